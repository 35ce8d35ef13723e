# SPDX-License-Identifier: Apache-2.0
"""Histories of concurrent clients, with kills in between, are those of a single copy."""

import random
import threading

import pytest

from actor import Actor
from crash_server import CrashServer
from histories import BUCKET, Client, History
from judge import judge
from lanes import REPEATS
from strongroom import DEADLINE
from world import World

CLIENTS = 6
KEYS = 3
# Each key lives through two rounds, so that what a kill left is looked at by others.
ROUNDS = 17 * REPEATS
REQUESTS = 34


@pytest.fixture
def server(library):
    server = CrashServer(library)
    server.start()
    Actor(server, World()).create_bucket(BUCKET)
    yield server
    log = server.log()
    server.remove()
    assert "panicked" not in log, log[log.index("panicked") - 500:][:2000]


def run_round(server, history, number, kill_after=None):
    """All clients until they are done, or until the server is killed in the middle."""
    keys = [f"key-{number + late}-{at}" for late in range(2) for at in range(KEYS)]
    count, reached = [0], threading.Lock()

    def on_request():
        with reached:
            count[0] += 1
            if count[0] == kill_after:
                server.process.kill()

    clients = [
        Client(server, history, f"r{number}c{n}", keys, REQUESTS, number, on_request)
        for n in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.end()


def test_concurrent_requests_are_linearizable(server, tell, tmp_path):
    history = History()
    for number in range(ROUNDS):
        run_round(server, history, number)
    assert not any(line["result"] == "unknown" for line in history.lines)
    holds, words = judge(history, tmp_path / "history.jsonl")
    assert holds, words
    tell(f"without faults: {words.strip()}, up to {history.longest()} on one key")


def test_dur_d1_histories_with_kills_are_linearizable(server, tell, tmp_path):
    history, choices = History(), random.Random(5)
    for number in range(ROUNDS):
        run_round(server, history, number, choices.randrange(20, CLIENTS * REQUESTS - 20))
        server.process.wait(timeout=DEADLINE)
        server.start_again()
    run_round(server, history, ROUNDS)
    unknown = sum(line["result"] == "unknown" for line in history.lines)
    assert unknown >= ROUNDS // 2, f"only {unknown} requests without an answer"
    holds, words = judge(history, tmp_path / "history.jsonl")
    assert holds, words
    tell(f"{ROUNDS} kills: {words.strip()}, {unknown} without an answer")


def test_a_spoiled_history_is_found_out(server, tmp_path):
    """The judge of the two tests above, on a history of the same server with one lie in it."""
    history, found_out = History(), 0
    run_round(server, history, 0)
    assert judge(history, tmp_path / "right.jsonl")[0]
    right = list(history.lines)
    for spoil in (stale_read, lost_update, resurrected_delete):
        history.lines = right + spoil(right)
        found_out += not judge(history, tmp_path / "spoiled.jsonl")[0]
    assert found_out == 3


def after(lines):
    end = max(line.get("return", 0) for line in lines)
    return lambda at, **line: line | {"key": "key-0-0", "call": end + at, "return": end + at + 1}


def stale_read(lines):
    line = after(lines)
    return [
        line(1, op="put", value="old", result="done"),
        line(3, op="put", value="new", result="done"),
        line(5, op="get", value="old", result="found"),
    ]


def lost_update(lines):
    line = after(lines)
    return [
        line(1, op="put", value="seen", result="done"),
        line(3, op="put", value="one", when={"is": "seen"}, result="done"),
        line(5, op="put", value="other", when={"is": "seen"}, result="done"),
    ]


def resurrected_delete(lines):
    line = after(lines)
    return [
        line(1, op="put", value="gone", result="done"),
        line(3, op="delete", result="done"),
        line(5, op="get", value="gone", result="found"),
    ]
