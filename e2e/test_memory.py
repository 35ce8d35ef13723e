# SPDX-License-Identifier: Apache-2.0
"""Memory is bounded by connections, never by what they declare: 200 uploads of 1 GiB at once."""

import contextlib
import hashlib
import selectors
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "kms"))

from clients import MIB, CustomerKey, make_bucket, noise, read, s3 as s3_client  # noqa: E402
from people import User, deny, document  # noqa: E402
from rawhttp import UNSIGNED, Client, Wire  # noqa: E402
from strongroom import DEADLINE, until  # noqa: E402

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


# Room that all documents share, and what a test may find beside it: programs, buffers of connections.
DOCUMENTS, BESIDE = 64 * MIB, 144 * MIB


def unfinished(server, client, method, target, length, begin):
    """A request whose body has everything but its last bytes."""
    wire = Wire(server, "https")
    path, _, query = target.partition("?")
    headers = {"host": wire.host, "content-length": str(length),
               "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    client.signer().sign(method, path, query, headers, UNSIGNED)
    wire.send(wire.head(method, target, headers) + begin + b" " * (length - 4096 - len(begin)))
    return wire


def refused_documents(server):
    name = "strongroom_documents_refused_total"
    return sum(value for key, value in server.metrics().items() if key.startswith(name))


def test_sec_n95_documents_that_do_not_end_share_one_amount(make_server):
    """Lists of parts and of objects are read whole: who stops in the middle, on many connections, held
    megabytes with each; also one who may do nothing."""
    server = make_server(log="info")
    s3 = s3_client(server)
    make_bucket(s3, name="lists")
    nobody = User(server, document(deny("*")))
    for number in range(100):
        s3.put_object(Bucket="lists", Key="x" * 1000 + str(number), Body=b"")
    upload = s3.create_multipart_upload(Bucket="lists", Key="k")["UploadId"]
    clients = [(Client(server), f"/lists/k?uploadId={upload}", 4 * MIB, b"<CompleteMultipartUpload>"),
               (Client(server, credential=nobody.credential), "/lists?delete", 2 * MIB, b"<Delete>")]
    before = server.resident_bytes()
    with ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(unfinished, server, clients[n % 2][0], "POST", *clients[n % 2][1:])
                 for n in range(60)]
        # Longer than a long document waits for room.
        peak, until_ = 0, time.monotonic() + 15
        while time.monotonic() < until_:
            peak = max(peak, server.resident_bytes())
            # What needs no room of that is served all the time, a long answer among it.
            s3.put_object(Bucket="lists", Key="small", Body=b"x")
            assert s3.list_objects_v2(Bucket="lists")["KeyCount"] == 101
            time.sleep(0.2)
        for one in asked:
            one.result().close()
    print(f"{before // MIB} MiB, then {peak // MIB} MiB resident")
    assert peak < before + DOCUMENTS + BESIDE, f"{(peak - before) // MIB} MiB more"
    assert refused_documents(server) > 0
    # And when they are gone there is room again.
    keys = [{"Key": "x" * 1000 + str(n)} for n in range(1000)]
    gone = s3_client(server, retries=8).delete_objects(Bucket="lists", Delete={"Objects": keys})
    assert len(gone["Deleted"]) == 1000
    nobody.remove()


def test_sec_n95_answers_that_nobody_reads_share_one_amount(make_server):
    server = make_server(log="info")
    s3 = s3_client(server)
    make_bucket(s3, name="lists")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket="lists", Key=f"{n:04}" + "&" * 1015, Body=b""),
                      range(1000)))
    client, wires = Client(server), []
    before = server.resident_bytes()
    for _ in range(60):
        wire = Wire(server, "https")
        headers = {"host": wire.host}
        client.signer().sign("GET", "/lists", "list-type=2", headers, hashlib.sha256(b"").hexdigest())
        wire.send(wire.head("GET", "/lists?list-type=2", headers))
        wires.append(wire)
    try:
        peak, until_ = 0, time.monotonic() + 8
        while time.monotonic() < until_:
            peak = max(peak, server.resident_bytes())
            assert len(s3.list_objects_v2(Bucket="lists", MaxKeys=5)["Contents"]) == 5
            time.sleep(0.2)
        print(f"{before // MIB} MiB, then {peak // MIB} MiB resident")
        assert peak < before + DOCUMENTS + BESIDE, f"{(peak - before) // MIB} MiB more"
        assert refused_documents(server) > 0
    finally:
        for wire in wires:
            wire.close()
    listed = s3_client(server, retries=8).list_objects_v2(Bucket="lists")
    assert listed["KeyCount"] == 1000


def test_sec_n95_strangers_take_no_room_from_those_who_are_known(make_server):
    """Documents of the key service are read before it is known who sent them: they have room of their
    own, and whoever fills it keeps nobody of S3 waiting."""
    server = make_server(log="info")
    s3 = s3_client(server)
    make_bucket(s3, name="lists")
    keys = [{"Key": "x" * 1000 + str(n)} for n in range(1000)]
    length, wires, before = 250 * 1024, [], server.resident_bytes()
    try:
        for _ in range(120):
            wire = Wire(server, "https")
            headers = {"host": wire.host, "content-length": str(length),
                       "content-type": "application/x-amz-json-1.1",
                       "x-amz-target": "TrentService.Encrypt"}
            wire.send(wire.head("POST", "/", headers))
            wire.socket.setblocking(False)
            wires.append(wire)
        peak, until_ = 0, time.monotonic() + 14
        while time.monotonic() < until_:
            for wire in wires:
                with contextlib.suppress(OSError):
                    wire.socket.send(b" " * 2048)
            peak = max(peak, server.resident_bytes())
            gone = s3.delete_objects(Bucket="lists", Delete={"Objects": keys})
            assert len(gone["Deleted"]) == 1000
            time.sleep(0.2)
        assert refused_documents(server) > 0
        assert peak < before + DOCUMENTS + BESIDE, f"{(peak - before) // MIB} MiB more"
    finally:
        for wire in wires:
            wire.close()
