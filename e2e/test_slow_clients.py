# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow on purpose, and many of them: cut off in time, and nobody else waits."""

import socket
import time
from pathlib import Path

import pytest

from clients import MIB, noise, read, s3 as s3_client
from rawhttp import UNSIGNED, Client, Wire
from strongroom import Server, until

HEADER, STALL, HANDSHAKE = 1.5, 2.0, 1.5
# As in the kernel's tcp_states.h.
TCP_ESTABLISHED = 1
# What a busy machine may add; without a limit it would be for ever.
SLACK = 60
# A machine that stands still for longer than this server waits spoils what a client does in time.
TRIES = 6


@pytest.fixture(scope="module")
def hasty():
    """A server of little patience."""
    with Server(
        "--header-timeout-ms", str(int(HEADER * 1000)), "--stall-timeout-ms", str(int(STALL * 1000)),
        "--handshake-timeout-ms", str(int(HANDSHAKE * 1000)), "--max-connections", "96", log="info",
    ) as server:
        client = s3_client(server, retries=TRIES)
        client.create_bucket(Bucket="slow")
        client.put_object(Bucket="slow", Key="large", Body=noise(24 * MIB))
        server.client = client
        yield server


def connected(server, scheme):
    """A connection whose handshake was quick enough."""
    for left in reversed(range(TRIES)):
        try:
            return Wire(server, scheme)
        except OSError:
            if not left:
                raise
    raise AssertionError


def until_closed(wire):
    began = time.monotonic()
    assert wire.is_closed(timeout=SLACK), "the server waits for ever"
    return time.monotonic() - began


def until_let_go(wire):
    """Waits until the server has closed its end, without taking a byte."""
    ours, theirs = wire.socket.getsockname()[1], wire.socket.getpeername()[1]

    def is_let_go():
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, near, far, state, *_ = line.split()
            if (int(near[9:], 16), int(far[9:], 16)) == (theirs, ours):
                return int(state, 16) != TCP_ESTABLISHED
        return True

    until(is_let_go, "the end of a connection that nobody reads")


def signed(server, wire, method, path, headers):
    sent = {"host": wire.host} | headers
    Client(server, wire.scheme).signer().sign(method, path, "", sent, UNSIGNED)
    return wire.head(method, path, sent)


def test_sec_n91_silent_handshake(hasty):
    with socket.create_connection(hasty.address("https"), timeout=2 * SLACK) as plain:
        began = time.monotonic()
        assert plain.recv(1) == b""
        assert time.monotonic() - began < HANDSHAKE + SLACK


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n91_no_request(hasty, scheme):
    with connected(hasty, scheme) as wire:
        assert until_closed(wire) < HEADER + SLACK


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n91_head_byte_by_byte(hasty, scheme):
    with connected(hasty, scheme) as wire:
        began = time.monotonic()
        wire.socket.settimeout(0.2)
        closed = False
        for byte in b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x" * 200:
            try:
                wire.socket.sendall(bytes([byte]))
                if wire.socket.recv(4096) == b"":
                    closed = True
                    break
            except (TimeoutError, socket.timeout):
                continue
            except OSError:
                closed = True
                break
            if time.monotonic() - began > SLACK:
                break
        assert closed and time.monotonic() - began < HEADER + SLACK


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("sent", [0, 1, 100_000])
def test_sec_n91_body_that_stops(hasty, scheme, sent):
    before = set(hasty.open_files())
    for _ in range(TRIES):
        with connected(hasty, scheme) as wire:
            began = time.monotonic()
            head = signed(hasty, wire, "PUT", "/slow/stops", {"content-length": "1000000"})
            wire.send(head + bytes(sent))
            answer = wire.answer("PUT")
            assert answer is None or (answer.status, answer.code) == (400, "RequestTimeout")
            assert wire.is_closed(timeout=SLACK)
            took = time.monotonic() - began
        assert took < STALL + SLACK
        if took > STALL - 0.5:
            break
    else:
        raise AssertionError(f"cut off after {took:.1f} s each time")
    until(lambda: not set(hasty.open_files()) - before, "the end of what was cut off")
    names = [o["Key"] for o in hasty.client.list_objects_v2(Bucket="slow")["Contents"]]
    assert names == ["large"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n91_reader_that_stops(hasty, scheme):
    """A download that nobody takes: the answer is cut off, and never ends as if it were whole."""
    for _ in range(TRIES):
        with connected(hasty, scheme) as wire:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            wire.send(signed(hasty, wire, "GET", "/slow/large", {}))
            if not wire._more():
                continue
            until_let_go(wire)
            answer = wire.answer()
            break
    else:
        raise AssertionError("no answer begins")
    assert "x-test-truncated" in answer.headers
    assert noise(24 * MIB).startswith(answer.body)


def test_sec_n91_body_that_drips_is_served_while_it_moves(hasty):
    """Slow is no crime as long as it moves."""
    data = noise(60_000)
    for _ in range(TRIES):
        with Wire(hasty, "http") as wire:
            wire.send(signed(hasty, wire, "PUT", "/slow/drip", {"content-length": str(len(data))}))
            for at in range(0, len(data), 10_000):
                wire.send(data[at:at + 10_000])
                time.sleep(STALL / 3)
            answer = wire.answer("PUT")
        if answer is not None and answer.status == 200:
            break
    assert answer.status == 200
    assert read(hasty.client.get_object(Bucket="slow", Key="drip")) == data
    hasty.client.delete_object(Bucket="slow", Key="drip")


def test_sec_n91_body_that_crawls(hasty):
    """Never silent for long, and still below a kilobyte a second: cut off."""
    with Wire(hasty, "http") as wire:
        wire.send(signed(hasty, wire, "PUT", "/slow/crawl", {"content-length": "1000000"}))
        wire.socket.settimeout(0.3)
        began = time.monotonic()
        answered = False
        while not answered and time.monotonic() - began < STALL + SLACK:
            wire.send(b"x" * 30)
            try:
                answered = not wire._more() or wire.rest.startswith(b"HTTP/1.1 400")
            except (TimeoutError, socket.timeout):
                continue
        assert answered
        assert time.monotonic() - began < STALL + SLACK
    assert "slow/crawl" not in str(hasty.client.list_objects_v2(Bucket="slow"))


def test_sec_n91_idle_connection_ends(hasty):
    for _ in range(TRIES):
        with Wire(hasty, "http") as wire:
            wire.send(signed(hasty, wire, "GET", "/slow", {}))
            answer = wire.answer()
            if answer is None:
                continue
            assert answer.status == 200
            assert until_closed(wire) < HEADER + SLACK
            return
    raise AssertionError("no answer")


def test_sec_n93_more_connections_than_served(hasty):
    """All places are taken by the silent; a good request comes through when they are cut off."""
    silent = [socket.create_connection(hasty.address("http")) for _ in range(300)]
    try:
        for _ in range(TRIES):
            began = time.monotonic()
            answer = Client(hasty, "http").request("GET", "/slow")
            assert time.monotonic() - began < 2 * SLACK
            if answer is not None:
                break
        assert answer.status == 200
    finally:
        for one in silent:
            one.close()
    until(lambda: hasty.metrics()["strongroom_connections_open"] <= 1, "the end of the silent", pause=0.2)
    assert hasty.admin("/health/ready")[0] == 200
