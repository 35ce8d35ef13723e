# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow on purpose, and many of them: cut off in time, and nobody else waits."""

import socket
import time

import pytest

from clients import MIB, noise, read, s3 as s3_client
from rawhttp import UNSIGNED, Client, Wire
from strongroom import Server

HEADER, STALL, HANDSHAKE = 1.5, 2.0, 1.5
# What a busy machine may add; without a limit it would be for ever.
SLACK = 30


@pytest.fixture(scope="module")
def hasty():
    """A server of little patience."""
    with Server(
        "--header-timeout-ms", str(int(HEADER * 1000)), "--stall-timeout-ms", str(int(STALL * 1000)),
        "--handshake-timeout-ms", str(int(HANDSHAKE * 1000)), "--max-connections", "96", log="info",
    ) as server:
        client = s3_client(server)
        client.create_bucket(Bucket="slow")
        client.put_object(Bucket="slow", Key="large", Body=noise(24 * MIB))
        server.client = client
        yield server


def until_closed(wire, patience):
    began = time.monotonic()
    assert wire.is_closed(timeout=patience), "the server waits for ever"
    return time.monotonic() - began


def signed(server, wire, method, path, headers):
    sent = {"host": wire.host} | headers
    Client(server, wire.scheme).signer().sign(method, path, "", sent, UNSIGNED)
    return wire.head(method, path, sent)


def test_sec_n91_silent_handshake(hasty):
    with socket.create_connection(hasty.address("https"), timeout=60) as plain:
        began = time.monotonic()
        assert plain.recv(1) == b""
        assert time.monotonic() - began < HANDSHAKE + SLACK


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n91_no_request(hasty, scheme):
    with Wire(hasty, scheme) as wire:
        assert until_closed(wire, 60) < HEADER + SLACK


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n91_head_byte_by_byte(hasty, scheme):
    with Wire(hasty, scheme) as wire:
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
    with Wire(hasty, scheme) as wire:
        head = signed(hasty, wire, "PUT", "/slow/stops", {"content-length": "1000000"})
        wire.send(head + bytes(sent))
        began = time.monotonic()
        answer = wire.answer("PUT")
        assert answer is None or (answer.status, answer.code) == (400, "RequestTimeout")
        assert wire.is_closed(timeout=60)
        assert STALL - 0.5 < time.monotonic() - began < STALL + SLACK
    until = time.monotonic() + 60
    while set(hasty.open_files()) - before and time.monotonic() < until:
        time.sleep(0.1)
    assert not set(hasty.open_files()) - before
    names = [o["Key"] for o in hasty.client.list_objects_v2(Bucket="slow")["Contents"]]
    assert names == ["large"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n91_reader_that_stops(hasty, scheme):
    """A download that nobody takes: the answer is cut off, and never ends as if it were whole."""
    with Wire(hasty, scheme) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        wire.send(signed(hasty, wire, "GET", "/slow/large", {}))
        assert wire._more()
        time.sleep(STALL + 2.5)
        answer = wire.answer()
    assert "x-test-truncated" in answer.headers
    assert noise(24 * MIB).startswith(answer.body)


def test_sec_n91_body_that_drips_is_served_while_it_moves(hasty):
    """Slow is no crime as long as it moves."""
    with Wire(hasty, "http") as wire:
        data = noise(60_000)
        wire.send(signed(hasty, wire, "PUT", "/slow/drip", {"content-length": str(len(data))}))
        for at in range(0, len(data), 10_000):
            wire.send(data[at:at + 10_000])
            time.sleep(STALL / 3)
        assert wire.answer("PUT").status == 200
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
    with Wire(hasty, "http") as wire:
        wire.send(signed(hasty, wire, "GET", "/slow", {}))
        assert wire.answer().status == 200
        assert until_closed(wire, 60) < HEADER + SLACK


def test_sec_n93_more_connections_than_served(hasty):
    """All places are taken by the silent; a good request comes through when they are cut off."""
    silent = [socket.create_connection(hasty.address("http")) for _ in range(300)]
    try:
        began = time.monotonic()
        answer = Client(hasty, "http").request("GET", "/slow")
        assert answer.status == 200
        assert time.monotonic() - began < 60
    finally:
        for one in silent:
            one.close()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if hasty.metrics().get("strongroom_connections_open", 0) <= 1:
            break
        time.sleep(0.2)
    assert hasty.metrics()["strongroom_connections_open"] <= 1
    assert hasty.admin("/health/ready")[0] == 200
