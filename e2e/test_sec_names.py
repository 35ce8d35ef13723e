# SPDX-License-Identifier: Apache-2.0
"""Names of buckets and objects, wherever a name can stand: URL, copy source, XML, host."""

import base64
import hashlib
from pathlib import Path
from urllib.parse import quote

import pytest

from clients import bucket_name, read
from rawhttp import UNSIGNED, Wire

TRAVERSALS = [
    "..", "../x", "../../x", "a/../../x", "../{other}/secret", "./../{other}/secret",
    "..\\..\\x", "/etc/passwd", "//etc/passwd", "C:\\x", "..%2f..%2fx", "%2e%2e%2f{other}/secret",
    "a/..;/x", "../root.key", "../../root.key", "../drive/superblock", "....//....//x",
    "\\\\server\\share", "~root/x", "file:///etc/passwd",
]


def escape(text):
    return quote(text, safe="-_.~/")


@pytest.fixture(scope="module")
def other(s3):
    """A bucket whose object no name in another bucket may reach."""
    name = bucket_name("other")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="secret", Body=b"other's secret")
    yield name
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=name)["Contents"]] == ["secret"]
    s3.delete_object(Bucket=name, Key="secret")
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("name", TRAVERSALS)
def test_sec_n48_traversal_is_a_name_like_any_other(server, raw, s3, bucket, other, name):
    name = name.format(other=other)
    before = {p for p in Path(server.base).rglob("*") if p.is_file()}
    target = f"/{bucket}/{escape(name)}"
    assert raw.request("PUT", target, b"mine").status == 200
    assert raw.request("GET", target).body == b"mine"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [name]
    # Sent as it is, unescaped, the name still means itself.
    plain = f"/{bucket}/{name}"
    if "%" not in name and "\\" not in name and " " not in name and "#" not in name:
        with Wire(server, "https") as wire:
            sent = {"host": wire.host}
            raw.signer().sign("GET", target, "", sent, UNSIGNED)
            wire.send(wire.head("GET", plain, sent))
            answer = wire.answer()
        assert answer.body == b"mine" or answer.status in (400, 403)
    assert raw.request("DELETE", target).status == 204
    new = {p for p in Path(server.base).rglob("*") if p.is_file()} - before
    assert all(p.is_relative_to(server.data / "drive") for p in new), new


@pytest.mark.parametrize("name", TRAVERSALS)
def test_sec_n54_traversal_in_copy_source(raw, bucket, other, name):
    """CVE-2026-54917: `..` in the copy source only."""
    name = name.format(other=other)
    for source in (f"/{bucket}/{escape(name)}", f"{bucket}/{escape(name)}"):
        answer = raw.request("PUT", f"/{bucket}/copied", b"", {"x-amz-copy-source": source})
        assert (answer.status, answer.code) == (404, "NoSuchKey"), source


@pytest.mark.parametrize("source", [
    "", "/", "//", "bucket", "/bucket", "/bucket/", "../x", "/../../etc/passwd", "%", "/b%/k",
    "/{b}/%ff", "/{b}/%00", "http://127.0.0.1/x", "arn:aws:s3:::b/k", "/{b}/k?versionId=",
    "/{b}/k?versionId=a&versionId=b", "/{b}/k?other=1", "/" + "a" * 5000,
])
def test_sec_n54_copy_source_that_is_none(raw, s3, bucket, source):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.request(
        "PUT", f"/{bucket}/copied", b"", {"x-amz-copy-source": source.format(b=bucket)}
    )
    assert 400 <= answer.status < 500, answer.body
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


@pytest.mark.parametrize("name", TRAVERSALS[:6])
def test_sec_n54_traversal_in_delete_xml(raw, s3, bucket, other, name):
    name = name.format(other=other)
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    body = f"<Delete><Object><Key>{name}</Key></Object></Delete>".encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = raw.request("POST", f"/{bucket}?delete", body, {"content-md5": md5})
    assert answer.status == 200
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["kept"]


@pytest.mark.parametrize("escaped", [
    "%00", "a%00b", "%C0%AE%C0%AE%2F", "%C0%80", "%ED%A0%80", "%ED%B0%80", "%FF", "%F8%88%80%80%80",
    "%80", "a%E2%82", "%F4%90%80%80", "%", "%2", "%zz", "%u0041",
])
def test_sec_n49_bytes_that_are_no_name(raw, s3, bucket, escaped):
    """NUL, overlong UTF-8, lone surrogates, broken escapes."""
    answer = raw.request("PUT", f"/{bucket}/{escaped}", b"x")
    assert answer.status == 400, answer.body
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("char", [*range(1, 32), 0x7F, 0x85, 0xFFFE, 0xFFFF, 0x200B, 0x202E])
def test_sec_n49_control_characters_are_kept_or_refused(raw, s3, bucket, char):
    """Never changed: what is stored is listed as it was sent."""
    name = f"a{chr(char)}b"
    answer = raw.request("PUT", f"/{bucket}/{escape(name)}", b"x")
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [name]
        plain = raw.request("GET", f"/{bucket}").body
        assert b"\r" not in plain.replace(b"\r\n", b"")


@pytest.mark.parametrize("name", ["x" * 1024, "é" * 512, "日" * 341, "a/" * 512])
def test_names_of_1024_bytes(raw, bucket, name):
    target = f"/{bucket}/{escape(name)}"
    assert raw.request("PUT", target, b"x").status == 200
    assert raw.request("GET", target).body == b"x"


@pytest.mark.parametrize("name", ["x" * 1025, "é" * 513, "日" * 342, "x" * 8000, "%2F" * 2000])
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
def test_sec_n50_names_of_more_than_1024_bytes(raw, s3, bucket, name, method):
    answer = raw.request(method, f"/{bucket}/{escape(name)}", b"x" if method == "PUT" else b"")
    assert answer.status == 400
    if method != "HEAD":
        assert answer.code == "KeyTooLongError"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("name", [
    "ab", "a" * 64, "Upper", "under_score", "a..b", ".a", "a.", "-a", "a-", "a.-b", "a-.b",
    "192.168.0.1", "xn--abc", "sthree-abc", "abc-s3alias", "abc--ol-s3", "ä-bucket", "a b c",
    "%2e%2e", "..", "abc--x-s3", "abc.mrap", "amzn-s3-demo-x",
])
def test_sec_n53_bucket_names(raw, s3, name):
    before = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    answer = raw.request("PUT", f"/{escape(name).replace('/', '%2F')}")
    assert answer.status == 400, answer.body
    assert answer.code in ("InvalidBucketName", "InvalidURI")
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == before


@pytest.mark.parametrize("host", [
    "", "user@localhost", "a b", "local_host/x", "localhost:99999999", "localhost:80:80",
    "localhost\\x", "[::1", "a" * 300, "évil", "localhost#x", "localhost?x", "a,b",
])
def test_sec_n53_host_header(server, raw, s3, bucket, host):
    s3.put_object(Bucket=bucket, Key="k", Body=b"untouched")
    with Wire(server, "https") as wire:
        sent = {"host": host}
        raw.signer().sign("GET", f"/{bucket}/k", "", sent, UNSIGNED)
        wire.send(wire.head("GET", f"/{bucket}/k", sent))
        answer = wire.answer()
    # One that two readers could read differently is not served, signed or not.
    assert answer.status in (400, 403), answer


def test_sec_n53_two_hosts(server, raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"untouched")
    answer = raw.request(
        "GET", f"/{bucket}/k", after=lambda h: [("host", "other.localhost"), *h.items()]
    )
    assert answer.status == 400 and b"untouched" not in answer.body
    with Wire(server, "https") as wire:
        wire.send(wire.head("GET", f"/{bucket}/k", {}))
        assert wire.answer().status in (400, 403)


def test_sec_n53_absolute_target_with_another_host(server, raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"untouched")
    with Wire(server, "https") as wire:
        sent = {"host": wire.host}
        raw.signer().sign("GET", f"/{bucket}/k", "", sent, UNSIGNED)
        wire.send(wire.head("GET", f"http://elsewhere.localhost/{bucket}/k", sent))
        answer = wire.answer()
    assert answer.status == 400 and b"untouched" not in answer.body


def test_sec_n53_bucket_of_the_host_wins_and_is_signed(server, raw, s3, bucket, other):
    """A signature for one virtual host does not open another."""
    with Wire(server, "https") as wire:
        port = wire.host.split(":")[1]
        sent = {"host": f"{bucket}.localhost:{port}"}
        raw.signer().sign("GET", "/secret", "", sent, UNSIGNED)
        sent["host"] = f"{other}.localhost:{port}"
        wire.send(wire.head("GET", "/secret", sent))
        answer = wire.answer()
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    with Wire(server, "https") as wire:
        sent = {"host": f"{bucket}.localhost:{port}"}
        raw.signer().sign("GET", f"/{other}/secret", "", sent, UNSIGNED)
        wire.send(wire.head("GET", f"/{other}/secret", sent))
        answer = wire.answer()
    assert (answer.status, answer.code) == (404, "NoSuchKey")


@pytest.mark.parametrize("name", ["e\u0301", "\u00e9", "A\u030a", "\u212b", "\u00c5"])
def test_normal_forms_are_different_names(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
    s3.put_object(Bucket=bucket, Key="e\u0301x", Body=b"")
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert name in listed and len(listed) == 2
    assert read(s3.get_object(Bucket=bucket, Key=name)) == name.encode()


@pytest.mark.parametrize("headers", [
    {"x-amz-meta-a": "x" * 2048}, {"x-amz-meta-a": "x" * 1024, "x-amz-meta-b": "y" * 1024},
    {"x-amz-meta-": "x"}, {"x-amz-meta-a": "a\u0085b"}, {"x-amz-meta-a": "a\tb"},
])
def test_sec_n55_metadata(raw, s3, bucket, headers):
    answer = raw.request("PUT", f"/{bucket}/k", b"x", headers)
    assert (answer.status, answer.code) in [(400, "MetadataTooLarge"), (400, "InvalidArgument")]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("name", [
    "x-amz-meta-x-amz-server-side-encryption", "x-amz-meta-strongroom-mode",
    "x-amz-meta-x-minio-internal", "x-amz-meta-etag",
])
def test_sec_n55_metadata_named_like_internals_is_only_metadata(raw, s3, bucket, name):
    assert raw.request("PUT", f"/{bucket}/k", b"x", {name: "aws:kms"}).status == 200
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ServerSideEncryption"] == "AES256" and "SSEKMSKeyId" not in head
    assert head["Metadata"] == {name.removeprefix("x-amz-meta-"): "aws:kms"}


@pytest.mark.parametrize("value", [b"a\rb", b"a\nb", b"a\r\nx-amz-meta-b: c", b"a\0b", b"\xff\xfe"])
def test_sec_n55_header_injection(server, raw, s3, bucket, value):
    with Wire(server, "https") as wire:
        sent = {"host": wire.host}
        raw.signer().sign("PUT", f"/{bucket}/k", "", sent, UNSIGNED)
        head = wire.head("PUT", f"/{bucket}/k", sent | {"content-length": "0"})
        wire.send(head[:-2] + b"x-amz-meta-a: " + value + b"\r\n\r\n")
        answer = wire.answer("PUT")
    assert answer.status in (400, 403)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
