# SPDX-License-Identifier: Apache-2.0
"""The program: health, metrics, users, inspect, verify, restart, TLS, stop."""

import json
import re
import signal
import socket
import ssl
import threading
import warnings

import pytest

from clients import (
    MIB, SEGMENT, CustomerKey, kms as kms_client, make_bucket, noise, read, refused, s3 as s3_client,
)
from rawhttp import UNSIGNED, Client, Wire
from strongroom import DEADLINE, until


# ---- health and metrics -----------------------------------------------------------------------


def test_health(server):
    assert server.admin("/health/live") == (200, "live\n")
    assert server.admin("/health/ready")[0] == 200
    assert server.admin("/nothing")[0] == 404
    assert server.admin("/metrics", "POST")[0] == 405


def test_metrics_count(own):
    """On a server that does nothing else."""
    server, s3 = own
    before = server.metrics()
    s3.put_object(Bucket="own", Key="k", Body=bytes(100_000))
    read(s3.get_object(Bucket="own", Key="k"))
    after = server.metrics()

    def grew(stem, **labels):
        names = [
            n for n in after
            if n.startswith(stem) and all(f'{k}="{v}"' in n for k, v in labels.items())
        ]
        assert names, (stem, labels)
        return sum(after[n] - before.get(n, 0) for n in names)

    assert grew("strongroom_requests_total", operation="PutObject", status="200") == 1
    assert grew("strongroom_requests_total", operation="GetObject") == 1
    assert grew("strongroom_received_bytes_total", service="s3") >= 100_000
    assert grew("strongroom_sent_bytes_total", service="s3") >= 100_000
    assert after["strongroom_ready"] == 1
    assert any("connections" in name for name in after)


def test_sec_n26_admin_listener_is_loopback(server):
    assert server.address("admin")[0] == "127.0.0.1"
    done = server.command("serve", "--admin", "0.0.0.0:0", check=False)
    assert done.returncode != 0 and "loopback" in done.stderr


# ---- users --------------------------------------------------------------------------------------


def add_user(server, name):
    out = server.command("user", "add", name).stdout
    found = dict(re.findall(r"^(AWS_[A-Z_]+)=(\S+)$", out, re.M))
    return found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]


def test_life_of_a_user(server, s3, bucket):
    credential = add_user(server, "alice")
    assert credential[0] in server.command("user", "list").stdout
    assert credential[1] not in server.command("user", "list").stdout
    alice, keys = s3_client(server, credential=credential), kms_client(server, credential=credential)
    alice.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    assert read(alice.get_object(Bucket=bucket, Key="k")) == b"x"
    assert keys.list_keys()["Keys"]
    event = [e for e in server.audit(settle=False) if e["eventName"] == "PutObject"][-1]
    assert (event["userIdentity"]["type"], event["userIdentity"]["userName"]) == ("IAMUser", "alice")
    assert event["userIdentity"]["arn"].endswith(":user/alice")
    with pytest.raises(AssertionError):
        server.command("user", "add", "alice")
    server.command("user", "remove", "alice")
    with refused("InvalidAccessKeyId", 403):
        alice.get_object(Bucket=bucket, Key="k")
    with refused("UnrecognizedClientException"):
        keys.list_keys()
    with pytest.raises(AssertionError):
        server.command("user", "remove", "alice")
    assert "alice" not in server.command("user", "list").stdout
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


def test_sec_n35_user_made_again_is_another(server, bucket):
    old = add_user(server, "bob")
    url_of_old = Client(server, credential=old)
    assert url_of_old.request("GET", f"/{bucket}").status == 200
    server.command("user", "remove", "bob")
    new = add_user(server, "bob")
    assert new[0] != old[0] and new[1] != old[1]
    assert url_of_old.request("GET", f"/{bucket}").code == "InvalidAccessKeyId"
    assert url_of_old.presigned("GET", f"/{bucket}").code == "InvalidAccessKeyId"
    assert Client(server, credential=(old[0], new[1])).request("GET", f"/{bucket}").status == 403
    assert Client(server, credential=(new[0], old[1])).request("GET", f"/{bucket}").status == 403
    server.command("user", "remove", "bob")


def test_sec_n22_key_removed_on_an_open_connection(server, bucket):
    """The connection lives on; the key does not."""
    credential = add_user(server, "carol")
    client = Client(server, credential=credential)
    with Wire(server, "https") as wire:
        for expected in (200, 403):
            sent = {"host": wire.host}
            client.signer().sign("GET", f"/{bucket}", "", sent, UNSIGNED)
            wire.send(wire.head("GET", f"/{bucket}", sent))
            assert wire.answer().status == expected
            if expected == 200:
                server.command("user", "remove", "carol")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 200, "ä", "a\nb", "--"])
def test_user_names(server, name):
    done = server.command("user", "add", "--", name, check=False)
    assert done.returncode != 0 or name == "--"
    if done.returncode == 0:
        server.command("user", "remove", "--", name)


# ---- inspect and verify -------------------------------------------------------------------------


@pytest.fixture
def own(make_server):
    server = make_server()
    client = s3_client(server)
    make_bucket(client, name="own", sse_c=True)
    return server, client


def test_inspect(own):
    server, s3 = own
    customer = CustomerKey()
    modes = {
        "s3": {}, "kms": {"ServerSideEncryption": "aws:kms"}, "c": customer.boto(),
    }
    for key, args in modes.items():
        s3.put_object(Bucket="own", Key=key, Body=noise(200_000), Metadata={"m": "hidden-meta"}, **args)
    s3.put_object(Bucket="own", Key="small", Body=b"small content")
    for key in (*modes, "small"):
        text = server.command("inspect", "object", f"s3://own/{key}").stdout
        shown = json.loads(text)
        assert (shown["bucket"], shown["object_key"]) == ("own", key)
        assert "hidden-meta" not in text and customer.base64 not in text
        assert "FLOE" in shown["format"]["body"]
        assert shown["format"]["sealed_key_record"] == "OSK1"
        part = shown["parts"][0]
        if key == "small":
            assert part["place"] == "tables" and part["files"] == []
        else:
            assert (part["plain_bytes"], part["segments"]) == (200_000, 4)
            assert part["sealed_bytes"] == 200_000 + 4 * 32
            assert len(part["files"]) == 1
            assert (server.data / "drive" / part["files"][0]).exists() or (
                server.data / part["files"][0]).exists()
    kms = json.loads(server.command("inspect", "object", "s3://own/kms").stdout)
    assert kms["encryption"]["kms_key_arn"].startswith("arn:aws:kms:")
    assert kms["encryption"]["encryption_context"] == {"aws:s3:arn": "arn:aws:s3:::own/kms"}
    for bad in ("s3://own/absent", "s3://absent/k", "own/k", "s3://own"):
        assert server.command("inspect", "object", bad, check=False).returncode != 0


def test_inspect_of_a_version(own):
    """Behind a delete marker nothing could be looked at."""
    server, s3 = own
    s3.create_bucket(Bucket="inspected")

    def shown(*version):
        done = server.command("inspect", "object", "s3://inspected/k", *version)
        found = json.loads(done.stdout)
        return found["version_id"], found["size"]

    s3.put_object(Bucket="inspected", Key="k", Body=b"1")
    assert shown() == (None, 1)
    s3.put_bucket_versioning(Bucket="inspected", VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket="inspected", Key="k", Body=body)["VersionId"] for body in (b"22", b"333")]
    assert shown() == (ids[1], 3)
    marker = s3.delete_object(Bucket="inspected", Key="k")["VersionId"]
    assert shown("--version-id", ids[0]) == (ids[0], 2)
    assert shown("--version-id", "null") == ("null", 1)
    for version in ((), ("--version-id", marker), ("--version-id", "A" * 32), ("--version-id", "x")):
        refused = server.command("inspect", "object", "s3://inspected/k", *version, check=False)
        assert refused.returncode != 0 and refused.stdout == "", version
    assert "is no version id" in refused.stderr


def data_file(server, key):
    name = json.loads(server.command("inspect", "object", f"s3://own/{key}").stdout)["parts"][0]["files"][0]
    path = server.data / name
    return path if path.exists() else server.data / "drive" / name


def never_wrong(server, data, place, key="k2"):
    """Right bytes or none. Header, manifest and trailer hold no bytes of the object: the server may have
    healed them, and a reading looks at the header alone."""
    raw = Client(server)
    answer = raw.request("GET", f"/own/{key}")
    if answer is not None and answer.status == 200:
        assert data.startswith(answer.body)
        assert "x-test-truncated" in answer.headers or place in ("header", "manifest", "trailer")
        assert place != "last" or len(answer.body) <= 5 * SEGMENT
    else:
        assert answer is None or answer.status >= 500
    last = raw.request("GET", f"/own/{key}", headers={"range": "bytes=-50"})
    if place == "last":
        assert last is None or last.status >= 500 or not last.body
    elif last is not None and last.status == 206:
        assert last.body == data[-50:]


# Header, a segment in the middle, the last segment, the trailer behind it.
PLACES = ["header", "middle", "last", "manifest", "trailer"]


def offset(blob, place):
    # In the last unit: behind it are its checksum, the manifest and the trailer.
    last = len(blob) - 64 - int.from_bytes(blob[-24:-20], "little") - 8 - 30
    return {"header": 30, "middle": 2 * SEGMENT + 1000, "last": last, "manifest": len(blob) - 100,
            "trailer": len(blob) - 1}[place]


@pytest.mark.parametrize("live", [True, False])
def test_verify_finds_a_flipped_byte(own, live):
    server, s3 = own
    data = noise(5 * SEGMENT + 100)
    for n in range(4):
        s3.put_object(Bucket="own", Key=f"k{n}", Body=data)
    for place in PLACES:
        s3.put_object(Bucket="own", Key=place, Body=data)
    s3.put_object(Bucket="own", Key="inline", Body=b"x" * 1000)
    s3.put_object(Bucket="own", Key="c", Body=data, **CustomerKey().boto())
    done = server.command("verify", "--quiet")
    assert "11 objects" in done.stdout and "0 damaged" in done.stdout
    path = data_file(server, "k2")
    # A running server heals what one file alone suffices for, header and trailer: each place has
    # an object of its own, so that it does not heal away what is done next.
    files = {place: data_file(server, place) for place in PLACES}
    if not live:
        server.stop()
    for place in PLACES:
        blob = files[place].read_bytes()
        bent = bytearray(blob)
        bent[offset(blob, place)] ^= 0x10
        files[place].write_bytes(bent)
        done = server.command("verify", "--quiet", check=False)
        assert done.returncode == 1, (place, done.stdout, done.stderr)
        damaged = [line for line in done.stdout.splitlines() if line.startswith("DAMAGED")]
        assert len(damaged) == 1 and "own" in damaged[0] and place in damaged[0]
        if live:
            never_wrong(server, data, place, place)
        files[place].write_bytes(blob)
    blob = path.read_bytes()
    at = offset(blob, "last")
    path.write_bytes(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1:])
    if not live:
        server.start()
        s3 = s3_client(server)
    never_wrong(server, data, "last")
    for n in (0, 1, 3):
        assert read(s3.get_object(Bucket="own", Key=f"k{n}")) == data
    path.write_bytes(blob)
    assert server.command("verify", "--quiet").returncode == 0
    assert read(s3.get_object(Bucket="own", Key="k2")) == data


@pytest.mark.parametrize("harm", ["missing", "empty", "truncated", "extended", "swapped", "zeroed"])
def test_sec_d7_harm_to_a_stored_file(own, harm):
    """Never wrong bytes: an error, and verify names the object."""
    server, s3 = own
    one, two = noise(3 * SEGMENT, 1), noise(3 * SEGMENT, 2)
    s3.put_object(Bucket="own", Key="one", Body=one)
    s3.put_object(Bucket="own", Key="two", Body=two)
    path, other = data_file(server, "one"), data_file(server, "two")
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "swapped":
        swapped = other.read_bytes()
        other.write_bytes(content)
        path.write_bytes(swapped)
    else:
        path.write_bytes({
            "empty": b"", "truncated": content[:-SEGMENT], "extended": content + bytes(100),
            "zeroed": bytes(len(content)),
        }[harm])
    done = server.command("verify", "--quiet", check=False)
    assert done.returncode == 1 and "own" in done.stdout and "one" in done.stdout
    for scheme in ("https", "http"):
        answer = Client(server, scheme).request("GET", "/own/one")
        if answer is not None and answer.status == 200:
            assert one.startswith(answer.body)
            assert len(answer.body) < len(one) or harm == "extended"
    server.restart()
    if harm != "swapped":
        assert read(s3_client(server).get_object(Bucket="own", Key="two")) == two


# ---- restart, stop, TLS -------------------------------------------------------------------------


def test_restart_keeps_everything(own):
    server, s3 = own
    customer = CustomerKey()
    kms = kms_client(server)
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/kept", TargetKeyId=key["KeyId"])
    user = add_user(server, "kept")
    modes = {"s3": {}, "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/kept"},
             "c": customer.boto()}
    data = noise(300_000)
    for name, args in modes.items():
        s3.put_object(Bucket="own", Key=name, Body=data, Metadata={"m": name}, **args)
    upload = s3.create_multipart_upload(Bucket="own", Key="m", **customer.boto())["UploadId"]
    etag = s3.upload_part(
        Bucket="own", Key="m", UploadId=upload, PartNumber=1, Body=data, **customer.boto())["ETag"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    credential, ca = server.credential, open(server.ca).read()
    for round_ in range(2):
        server.restart()
        assert server.credential == credential and open(server.ca).read() == ca
        for client in (s3_client(server), s3_client(server, credential=user)):
            for name, args in modes.items():
                got = client.get_object(Bucket="own", Key=name, **(args if name == "c" else {}))
                assert (read(got), got["Metadata"]) == (data, {"m": name})
        assert kms_client(server).decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    s3 = s3_client(server)
    s3.complete_multipart_upload(
        Bucket="own", Key="m", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert read(s3.get_object(Bucket="own", Key="m", **customer.boto())) == data


def test_sigterm_lets_requests_finish(own):
    """An upload and a download are under way; both end well, and the server after them."""
    server, s3 = own
    data = noise(8 * MIB)
    s3.put_object(Bucket="own", Key="down", Body=data)
    raw = Client(server, "http")
    up, down = Wire(server, "http"), Wire(server, "http")
    sent = {"host": up.host, "content-length": str(len(data)), "expect": "100-continue"}
    raw.signer().sign("PUT", "/own/up", "", sent, UNSIGNED)
    up.send(up.head("PUT", "/own/up", sent))
    assert up._more() and up.rest.startswith(b"HTTP/1.1 100 "), "it waits for the body"
    up.send(data[:MIB])
    sent = {"host": down.host}
    raw.signer().sign("GET", "/own/down", "", sent, UNSIGNED)
    down.send(down.head("GET", "/own/down", sent))
    assert down._more()
    server.process.send_signal(signal.SIGTERM)
    until(lambda: refuses_connections(server), "the end of the listener")
    assert server.process.poll() is None
    rest = threading.Thread(target=lambda: up.send(data[MIB:]))
    rest.start()
    assert down.answer().body == data
    rest.join()
    assert up.answer("PUT").status == 200
    assert server.process.wait(timeout=DEADLINE) == 0
    server.start()
    assert read(s3_client(server).get_object(Bucket="own", Key="up")) == data


def refuses_connections(server):
    try:
        Wire(server, "http").close()
    except OSError:
        return True
    return False


def test_second_server_on_the_same_data_is_refused(own):
    server, _ = own
    done = server.command("serve", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin",
                          "127.0.0.1:0", check=False)
    assert done.returncode != 0 and done.stderr


@pytest.mark.parametrize("version,works", [
    (ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False),
    (ssl.TLSVersion.TLSv1, False),
])
def test_sec_n89_tls_versions(server, version, works):
    context = ssl.create_default_context(cafile=server.ca)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
        context.minimum_version = version
    if not works:
        context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(server.address("https"), timeout=DEADLINE) as plain:
        if works:
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                assert tls.version() in ("TLSv1.2", "TLSv1.3")
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("first", [
    b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
    b"\x16\x03\x01\xff\xff", bytes(200),
])
def test_sec_n89_no_tls_on_the_tls_port(server, first):
    with socket.create_connection(server.address("https"), timeout=DEADLINE) as plain:
        plain.sendall(first)
        plain.shutdown(socket.SHUT_WR)
        answer = b""
        while data := plain.recv(4096):
            answer += data
    assert b"HTTP/1.1 2" not in answer and b"ListAllMyBuckets" not in answer


def test_sec_n89_another_ca_is_not_trusted(server, make_server):
    other = make_server()
    context = ssl.create_default_context(cafile=other.ca)
    with socket.create_connection(server.address("https"), timeout=DEADLINE) as plain:
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(plain, server_hostname="localhost")
