# SPDX-License-Identifier: Apache-2.0
"""Memory is bounded by connections, never by what they declare: 200 uploads of 1 GiB at once."""

import selectors
import time

from clients import MIB, CustomerKey, make_bucket, noise, read, s3 as s3_client
from rawhttp import UNSIGNED, Client, Wire
from strongroom import DEADLINE, until

UPLOADS = 200
DECLARED = 1024 * MIB
SECONDS = 15
LIMIT = 512 * MIB
PIECE = noise(65_536, 3)


def begin(server, client, n):
    """The head of a declared 1 GiB upload: both schemes, single and part, three modes."""
    scheme = "https" if n % 2 else "http"
    wire = Wire(server, scheme)
    headers = {"host": wire.host, "content-length": str(DECLARED)}
    if scheme == "https" and n % 8 == 3:
        headers |= CustomerKey().headers()
    if scheme == "https" and n % 8 == 5:
        headers["x-amz-server-side-encryption"] = "aws:kms"
    path = f"/big/{n}"
    client.signer().sign("PUT", path, "", headers, UNSIGNED)
    wire.send(wire.head("PUT", path, headers))
    wire.socket.setblocking(False)
    return wire


def stream(wires, seconds, watch):
    """Each upload gets a piece every now and then, so that all of them are always under way."""
    chosen = selectors.DefaultSelector()
    for wire in wires:
        chosen.register(wire.socket, selectors.EVENT_WRITE, wire)
    sent = {id(wire): 0 for wire in wires}
    began = time.monotonic()
    next_round, round_ = began, 0
    # All of them, on a machine as slow as it may be.
    while time.monotonic() - began < seconds or (
            min(sent.values()) == 0 and time.monotonic() - began < DEADLINE):
        round_ += 1
        for key, _ in chosen.select(timeout=0.2):
            try:
                at = sent[id(key.data)] % len(PIECE)
                sent[id(key.data)] += key.data.socket.send(PIECE[at:])
            except (BlockingIOError, OSError) as error:
                if not type(error).__name__.startswith(("SSLWant", "Blocking")):
                    raise
        watch()
        next_round += 0.25
        time.sleep(max(0.0, next_round - time.monotonic()))
    return sent


def test_sec_n95_two_hundred_declared_gibibytes(make_server):
    server = make_server(log="info")
    s3 = s3_client(server)
    make_bucket(s3, name="big", sse_c=True)
    s3.put_object(Bucket="big", Key="there", Body=b"x", ServerSideEncryption="aws:kms")
    client = Client(server, "http")
    before = set(server.open_files())
    peak = []
    wires = [begin(server, client, n) for n in range(UPLOADS)]
    try:
        sent = stream(wires, SECONDS, lambda: peak.append(server.resident_bytes()))
        assert server.metrics()["strongroom_connections_open"] >= UPLOADS
        assert set(server.open_files()) - before, "no body is on its way to the drive"
        # Others are served meanwhile.
        began = time.monotonic()
        assert read(s3.get_object(Bucket="big", Key="there")) == b"x"
        assert time.monotonic() - began < 60
    finally:
        for wire in wires:
            wire.close()
    assert min(sent.values()) > 0
    print(f"peak {max(peak) // MIB} MiB resident, {sum(sent.values()) // MIB} MiB sent")
    assert max(peak) < LIMIT, f"{max(peak) // MIB} MiB resident"
    until(lambda: not set(server.open_files()) - before, "the end of what was cut off", pause=0.2)
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="big")["Contents"]] == ["there"]
    until(lambda: server.metrics()["strongroom_connections_open"] <= 3, "the end of connections",
          pause=0.2)
    server.stop()
