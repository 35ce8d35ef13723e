# SPDX-License-Identifier: Apache-2.0
"""Documents, heads and queries of hostile size or shape; ranges and part numbers at their edges."""

import base64
import hashlib
import time

import pytest

from clients import bucket_name, empty_and_delete, noise, read
from rawhttp import UNSIGNED, Wire

ENTITY = b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">%s]>'
LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10)
)


def delete_xml(inner):
    return b"<Delete>" + inner + b"</Delete>"


BAD_DELETES = {
    "empty": b"", "no xml": b"hello", "not closed": b"<Delete><Object><Key>k</Key></Object>",
    "two roots": delete_xml(b"<Object><Key>k</Key></Object>") * 2,
    "wrong root": b"<Complete><Object><Key>k</Key></Object></Complete>",
    "no object": delete_xml(b""), "no key": delete_xml(b"<Object></Object>"),
    "two keys": delete_xml(b"<Object><Key>k</Key><Key>l</Key></Object>"),
    "doctype": ENTITY % b"" + delete_xml(b"<Object><Key>&a;</Key></Object>"),
    "billion laughs": ENTITY % LAUGHS + delete_xml(b"<Object><Key>&l9;</Key></Object>"),
    "external entity": b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + delete_xml(b"<Object><Key>&x;</Key></Object>"),
    "http entity": b'<!DOCTYPE d [<!ENTITY x SYSTEM "http://127.0.0.1:1/">]>'
        + delete_xml(b"<Object><Key>&x;</Key></Object>"),
    "parameter entity": b'<!DOCTYPE d [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>'
        + delete_xml(b"<Object><Key>k</Key></Object>"),
    "unknown entity": delete_xml(b"<Object><Key>&nbsp;</Key></Object>"),
    "deep": delete_xml(b"<Object>" * 10_000 + b"</Object>" * 10_000),
    "deep and open": b"<Delete>" * 100_000,
    "a million elements": delete_xml(b"<a/>" * 1_000_000),
    "huge attribute": b"<Delete a='" + b"x" * 3_000_000 + b"'><Object><Key>k</Key></Object></Delete>",
    "many attributes": b"<Delete " + b" ".join(b"a%d='1'" % n for n in range(50_000)) + b"/>",
    "utf-16": delete_xml(b"<Object><Key>k</Key></Object>").decode().encode("utf-16"),
    "utf-7": b'<?xml version="1.0" encoding="UTF-7"?>' + delete_xml(b"<Object><Key>k</Key></Object>"),
    "latin-1 bytes": delete_xml(b"<Object><Key>\xe9</Key></Object>"),
    "control character": delete_xml(b"<Object><Key>a&#0;b</Key></Object>"),
    "unknown element": delete_xml(b"<Object><Key>k</Key></Object><Objekt/>"),
    "typo in Quiet": delete_xml(b"<Quiet>yes</Quiet><Object><Key>k</Key></Object>"),
    "nul": delete_xml(b"<Object><Key>k\0</Key></Object>"),
    "processing instruction bomb": b"<?a " + b"x" * 3_000_000 + b"?>" + delete_xml(b""),
    "comment bomb": b"<!--" + b"x" * 3_000_000 + b"-->" + delete_xml(b""),
}


def with_md5(body):
    return {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}


@pytest.mark.parametrize("body", BAD_DELETES.values(), ids=BAD_DELETES)
def test_sec_n56_delete_documents(raw, s3, bucket, body):
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    began = time.monotonic()
    answer = raw.request("POST", f"/{bucket}?delete", body, with_md5(body))
    assert answer.status == 400, answer.body[:500]
    assert answer.code in ("MalformedXML", "MaxMessageLengthExceeded", "MissingRequestBodyError")
    assert b"root:" not in answer.body
    assert time.monotonic() - began < 60
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"kept"


def test_sec_n56_delete_of_no_name(raw, s3, bucket):
    """An error for that name; the others of the batch are deleted."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    body = delete_xml(b"<Object><Key></Key></Object><Object><Key>k</Key></Object>")
    answer = raw.request("POST", f"/{bucket}?delete", body, with_md5(body))
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert b"<Error><Key></Key><Code>" in answer.body and b"<Key>k</Key>" in answer.body
    assert "kept" in [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]


@pytest.mark.parametrize("headers", [
    {}, {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, {"x-amz-checksum-crc32": "AAAAAA=="},
])
def test_sec_n59_delete_without_a_right_digest(raw, s3, bucket, headers):
    """A batch deletion needs a digest of its document."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    body = delete_xml(b"<Object><Key>k</Key></Object>")
    answer = raw.request("POST", f"/{bucket}?delete", body, headers)
    assert answer.status == 400
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"kept"


@pytest.mark.parametrize("body", [
    b"", b"x", b"<CreateBucketConfiguration>", b"<CreateBucketConfiguration><LocationConstraint>"
    b"eu</LocationConstraint><LocationConstraint>us-east-1</LocationConstraint>"
    b"</CreateBucketConfiguration>", b"<a/>", ENTITY % b"" + b"<CreateBucketConfiguration/>",
    b"<CreateBucketConfiguration>" + b"<x>" * 5000, b" " * 3_000_000,
])
def test_sec_n57_create_bucket_documents(raw, s3, body):
    name = bucket_name("xml")
    answer = raw.request("PUT", f"/{name}", body)
    if body == b"":
        assert answer.status == 200
        empty_and_delete(s3, name)
    else:
        assert answer.status == 400, answer.body
        assert name not in [b["Name"] for b in s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("lines", [
    [("x-a", "v" * 40_000)], [(f"x-{n}", "v") for n in range(200)], [("x-a", "v" * 1_000_000)],
    [(f"x-{n}", "v" * 1000) for n in range(60)], [(f"x-{n}", "") for n in range(10_000)],
    [("x-" + "n" * 40_000, "v")],
])
def test_sec_n92_large_heads(raw, s3, bucket, lines, scheme):
    s3.put_object(Bucket=bucket, Key="k", Body=b"untouched")
    with Wire(raw.server, scheme) as wire:
        sent = {"host": wire.host}
        raw.signer().sign("GET", f"/{bucket}/k", "", sent, UNSIGNED)
        wire.send(wire.head("GET", f"/{bucket}/k", [*sent.items(), *lines]))
        answer = wire.answer()
    assert answer is None or answer.status in (400, 431), answer


def test_sec_n92_long_target_and_many_parameters(raw, bucket):
    for query in ("prefix=" + "x" * 60_000, "&".join(f"p{n}=1" for n in range(5_000))):
        with Wire(raw.server, "https") as wire:
            sent = {"host": wire.host}
            raw.signer().sign("GET", f"/{bucket}", query, sent, UNSIGNED)
            wire.send(wire.head("GET", f"/{bucket}?{query}", sent))
            answer = wire.answer()
        assert answer is None or answer.status in (200, 400, 414, 431, 501), answer
    assert raw.request("GET", f"/{bucket}").status == 200


@pytest.mark.parametrize("query", [
    "prefix=a&prefix=b", "list-type=2&list-type=1", "uploadId=a&uploadId=b", "prefix=%ff",
    "prefix=%", "prefix=%00%zz", "max-keys=1&max-keys=2",
])
def test_sec_n92_query_that_two_readers_read_differently(raw, bucket, query):
    answer = raw.request("GET", f"/{bucket}?{query}")
    assert 400 <= answer.status < 500, answer.body


SIZE = 200_000
DATA = noise(SIZE, 11)
WHOLE = [
    "bytes=", "bytes=a-b", "0-", "bytes 0-1", "bits=0-1", "bytes=0-0,2-2", "bytes=5-4",
    "bytes=1-2-3", "bytes=--1", "bytes=0x0-1", "bytes=+0-1", "bytes=0 - 1", "bytes=,", "",
    "bytes=99999999999999999999999-", "bytes=0-,",
]
NOWHERE = [f"bytes={SIZE}-", "bytes=-0", "bytes=18446744073709551615-", f"bytes={SIZE}-{SIZE + 5}"]


@pytest.fixture(scope="module")
def ranged(s3):
    name = bucket_name("range")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=DATA)
    s3.put_object(Bucket=name, Key="empty", Body=b"")
    yield name
    empty_and_delete(s3, name)


@pytest.mark.parametrize("text", WHOLE)
def test_sec_n73_ranges_that_are_none(raw, ranged, text):
    """A range that cannot be read, or is several, is the whole object or a refusal."""
    answer = raw.request("GET", f"/{ranged}/k", headers={"range": text})
    assert answer.status in (200, 400, 416, 501), answer.status
    if answer.status == 200:
        assert answer.body == DATA and "content-range" not in answer.headers


@pytest.mark.parametrize("text", NOWHERE)
def test_sec_n73_ranges_outside(raw, ranged, text):
    answer = raw.request("GET", f"/{ranged}/k", headers={"range": text})
    assert (answer.status, answer.code) == (416, "InvalidRange")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert raw.request("HEAD", f"/{ranged}/k", headers={"range": text}).status == 416


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=0-0", "bytes=-0", "bytes=5-9"])
def test_sec_n73_range_of_an_empty_object(raw, ranged, text):
    answer = raw.request("GET", f"/{ranged}/empty", headers={"range": text})
    assert (answer.status, answer.code) == (416, "InvalidRange")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query,headers", [
    ("", {"range": "bytes=-1"}), ("", {"range": "bytes=-500"}), ("?partNumber=1", {}),
])
def test_s6_4_all_of_an_empty_object(raw, ranged, method, query, headers):
    """Its last bytes and its first part are all of it: 200 without a Content-Range, as in S3.
    Transfer managers open downloads with either."""
    answer = raw.request(method, f"/{ranged}/empty{query}", headers=headers)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("number,status,code", [
    ("0", 400, "InvalidArgument"), ("10001", 400, "InvalidArgument"), ("-1", 400, "InvalidArgument"),
    ("x", 400, "InvalidArgument"), ("", 400, "InvalidArgument"), ("1.0", 400, "InvalidArgument"),
    ("2", 416, "InvalidPartNumber"), ("10000", 416, "InvalidPartNumber"),
    ("18446744073709551617", 400, "InvalidArgument"),
])
def test_sec_n75_part_numbers(raw, ranged, number, status, code):
    answer = raw.request("GET", f"/{ranged}/k?partNumber={number}")
    assert (answer.status, answer.code) == (status, code), answer.body


def test_sec_n75_part_number_with_range(raw, ranged):
    answer = raw.request("GET", f"/{ranged}/k?partNumber=1", headers={"range": "bytes=0-1"})
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == (
        "Cannot specify both Range header and partNumber query parameter"
    )


@pytest.mark.parametrize("headers,status", [
    ({"if-match": "*"}, 200), ({"if-match": '"a", "b"'}, 412), ({"if-none-match": 'W/"x"'}, 200),
    ({"if-none-match": "*"}, 304), ({"if-match": "garbage"}, 412), ({"if-match": ""}, 412),
    ({"if-modified-since": "garbage"}, 200), ({"if-unmodified-since": "garbage"}, 200),
    ({"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
    ({"if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
    ({"if-modified-since": "Fri, 31 Dec 9999 23:59:59 GMT"}, 200),
])
def test_sec_n74_conditions_of_every_shape(raw, ranged, headers, status):
    answer = raw.request("GET", f"/{ranged}/k", headers=headers)
    assert answer.status in (status, 400), answer.status
