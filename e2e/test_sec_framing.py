# SPDX-License-Identifier: Apache-2.0
"""HTTP framing by hand: lengths that lie, transfer codings that smuggle, bodies that end early."""

import contextlib
import time

import pytest

from clients import SEGMENT, noise, read
from rawhttp import UNSIGNED, Wire
from strongroom import until

DATA = noise(1000)


def signed(raw, wire, method, path, query="", headers=None, payload=UNSIGNED):
    sent = {"host": wire.host} | (headers or {})
    raw.signer().sign(method, path, query, sent, payload)
    return sent


def put(raw, bucket, lines, body, scheme="http"):
    """A PUT whose framing headers are `lines`; the answer, or whether the connection ended."""
    with Wire(raw.server, scheme) as wire:
        sent = signed(raw, wire, "PUT", f"/{bucket}/k")
        wire.send(wire.head("PUT", f"/{bucket}/k", [*sent.items(), *lines]) + body)
        answer = wire.answer("PUT")
        return answer, answer is None and wire.is_closed()


def refused(answer, closed, s3, bucket):
    """400-ish or a closed connection, and nothing stored."""
    if answer is not None:
        assert answer.status in (400, 411, 413, 501), answer
    else:
        assert closed
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("value", [
    "+5", "-5", "5,5", "5, 5", "0x5", "5 5", "", "five", "1e3", "５", "18446744073709551616",
    "9" * 40, "5;", "5.0",
])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n60_content_length_that_is_no_number(raw, s3, bucket, value, scheme):
    answer, closed = put(raw, bucket, [("content-length", value)], b"hello", scheme)
    refused(answer, closed, s3, bucket)


def test_sec_n60_two_content_lengths(raw, s3, bucket):
    """RFC 9112 6.3: different ones are refused; equal ones are refused or count once."""
    for lengths in (("5", "6"), ("6", "5"), ("5", "5", "6"), ("0", "5")):
        lines = [("content-length", length) for length in lengths]
        answer, closed = put(raw, bucket, lines, b"hello!")
        refused(answer, closed, s3, bucket)
    answer, closed = put(raw, bucket, [("content-length", "5")] * 2, b"hello")
    if answer is None or answer.status != 200:
        refused(answer, closed, s3, bucket)
    else:
        assert read(s3.get_object(Bucket=bucket, Key="k")) == b"hello"


def test_sec_n60_no_length(raw, s3, bucket):
    answer, _ = put(raw, bucket, [], b"")
    assert (answer.status, answer.code) == (411, "MissingContentLength")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n60_length_with_transfer_encoding(raw, s3, bucket):
    """Request smuggling's classic: both, and two readers choose differently."""
    lines = [("content-length", "5"), ("transfer-encoding", "chunked")]
    answer, closed = put(raw, bucket, lines, b"5\r\nhello\r\n0\r\n\r\n")
    refused(answer, closed, s3, bucket)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n60_body_shorter_than_announced(raw, s3, bucket, scheme):
    with Wire(raw.server, scheme) as wire:
        sent = signed(raw, wire, "PUT", f"/{bucket}/k", headers={"content-length": "1000"})
        wire.send(wire.head("PUT", f"/{bucket}/k", sent) + DATA[:999])
        wire.socket.shutdown(1) if scheme == "http" else wire.close()
        if scheme == "http":
            answer = wire.answer("PUT")
            assert answer is None or (answer.status, answer.code) == (400, "IncompleteBody")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n60_bytes_after_the_body_are_no_part_of_it(raw, s3, bucket):
    """They are the next request, which is garbage and ends the connection."""
    with Wire(raw.server, "http") as wire:
        sent = signed(raw, wire, "PUT", f"/{bucket}/k", headers={"content-length": "5"})
        wire.send(wire.head("PUT", f"/{bucket}/k", sent) + b"hello" + b"\x00garbage\r\n\r\n")
        assert wire.answer("PUT").status == 200
        after = wire.answer()
        assert after is None or after.status == 400
        assert wire.is_closed()
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"hello"


@pytest.mark.parametrize("coding", [
    "chunked, identity", "identity", "xchunked", "gzip", "gzip, chunked", "chunked, chunked",
    "chunked\x0b", "\x00chunked", "chun ked", '"chunked"', "chunked;q=1", "cow",
])
def test_sec_n61_transfer_codings(raw, s3, bucket, coding):
    lines = [("transfer-encoding", coding)]
    answer, closed = put(raw, bucket, lines, b"5\r\nhello\r\n0\r\n\r\n")
    refused(answer, closed, s3, bucket)


def test_sec_n61_two_transfer_encodings(raw, s3, bucket):
    lines = [("transfer-encoding", "chunked"), ("transfer-encoding", "identity")]
    answer, closed = put(raw, bucket, lines, b"5\r\nhello\r\n0\r\n\r\n")
    refused(answer, closed, s3, bucket)


def test_sec_n61_chunked_transfer_has_no_length(raw, s3, bucket):
    """S3 wants the length up front."""
    lines = [("transfer-encoding", "chunked")]
    answer, _ = put(raw, bucket, lines, b"5\r\nhello\r\n0\r\n\r\n")
    assert (answer.status, answer.code) == (411, "MissingContentLength")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("body", [
    b"5\nhello\r\n0\r\n\r\n", b"5;a=\nb\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\njunk",
    b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloXX0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", b"\r\n", b"-1\r\n\r\n",
    b"5" + b";" + b"x" * 70_000 + b"\r\nhello\r\n0\r\n\r\n",
])
def test_sec_n61_broken_chunks_of_http(raw, s3, bucket, body):
    """With a streaming payload the length is declared elsewhere, so the chunks are read."""
    with Wire(raw.server, "http") as wire:
        sent = signed(raw, wire, "PUT", f"/{bucket}/k", headers={
            "x-amz-decoded-content-length": "5", "content-encoding": "aws-chunked",
            "x-amz-trailer": "x-amz-checksum-crc32", "transfer-encoding": "chunked",
        }, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        wire.send(wire.head("PUT", f"/{bucket}/k", sent) + body)
        wire.socket.shutdown(1)
        answer = wire.answer("PUT")
        assert answer is None or answer.status == 400, answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n61_http_1_0_with_transfer_encoding(raw, s3, bucket):
    with Wire(raw.server, "http") as wire:
        sent = signed(raw, wire, "PUT", f"/{bucket}/k", headers={"transfer-encoding": "chunked"})
        head = wire.head("PUT", f"/{bucket}/k", sent).replace(b"HTTP/1.1", b"HTTP/1.0")
        wire.send(head + b"5\r\nhello\r\n0\r\n\r\n")
        answer = wire.answer("PUT")
        assert answer is None or answer.status in (400, 411, 505)
        assert wire.is_closed()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("bent", [
    lambda head: head.replace(b"\r\n", b"\n"),
    lambda head: head.replace(b"host:", b"host :"),
    lambda head: head.replace(b"\r\nhost:", b"\r\n host:"),
    lambda head: head.replace(b"HTTP/1.1", b"HTTP/1.1 x"),
    lambda head: head.replace(b"HTTP/1.1", b"HTTP/2.0"),
    lambda head: head.replace(b"HTTP/1.1", b""),
    lambda head: b"\x16\x03\x01" + head,
    lambda head: head.replace(b"GET", b"G\x00T"),
    lambda head: head.replace(b"GET /", b"GET "),
    lambda head: head.replace(b"x-amz-date", b"x-amz\xe9-date"),
    lambda head: head.replace(b"\r\n\r\n", b"\r\nx\r\n\r\n"),
    lambda head: head.replace(b"\r\n\r\n", b"\r\n: v\r\n\r\n"),
])
def test_sec_n61_heads_that_are_none(raw, s3, bucket, bent):
    s3.put_object(Bucket=bucket, Key="k", Body=b"untouched")
    with Wire(raw.server, "http") as wire:
        head = wire.head("GET", f"/{bucket}/k", signed(raw, wire, "GET", f"/{bucket}/k"))
        wire.send(bent(head))
        # It may have been refused and closed already.
        with contextlib.suppress(OSError):
            wire.socket.shutdown(1)
        answer = wire.answer()
    # Lines that end in a bare line feed may be read as lines (RFC 9112 2.2), nothing else may.
    if bent(head) != head.replace(b"\r\n", b"\n"):
        assert answer is None or answer.status in (400, 403, 404, 505), answer


def test_sec_n62_too_large_before_the_body(raw, s3, bucket):
    """5 GiB and one byte: refused while the client still waits for 100 Continue."""
    for path, query in ((f"/{bucket}/k", ""),):
        with Wire(raw.server, "http") as wire:
            sent = signed(raw, wire, "PUT", path, query, {
                "content-length": str(5 * 1024**3 + 1), "expect": "100-continue",
            })
            began = time.monotonic()
            wire.send(wire.head("PUT", path, sent))
            answer = wire.answer("PUT")
        assert (answer.status, answer.code) == (400, "EntityTooLarge")
        assert time.monotonic() - began < 60
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n62_part_too_large(raw, s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    with Wire(raw.server, "http") as wire:
        query = f"partNumber=1&uploadId={upload}"
        sent = signed(raw, wire, "PUT", f"/{bucket}/k", query, {
            "content-length": str(5 * 1024**3 + 1), "expect": "100-continue",
        })
        wire.send(wire.head("PUT", f"/{bucket}/k?{query}", sent))
        answer = wire.answer("PUT")
    assert (answer.status, answer.code) == (400, "EntityTooLarge")


@pytest.mark.parametrize("case", ["signature", "bucket", "condition", "kms"])
def test_sec_n62_refused_before_100_continue(raw, s3, bucket, case):
    """What the head already decides is decided before a byte of the body is asked for."""
    s3.put_object(Bucket=bucket, Key="there", Body=b"x")
    path = {"bucket": "/no-such-bucket-here/k", "condition": f"/{bucket}/there"}.get(case, f"/{bucket}/k")
    headers = {"content-length": "1000000", "expect": "100-continue"}
    if case == "condition":
        headers["if-none-match"] = "*"
    if case == "kms":
        headers |= {
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id": "00000000-0000-0000-0000-000000000000",
        }
    with Wire(raw.server, "https") as wire:
        sent = signed(raw, wire, "PUT", path, headers=headers)
        if case == "signature":
            sent["authorization"] = sent["authorization"][:-1] + "x"
        wire.send(wire.head("PUT", path, sent))
        answer = wire.answer("PUT")
    expected = {
        "signature": (403, "SignatureDoesNotMatch"), "bucket": (404, "NoSuchBucket"),
        "condition": (412, "PreconditionFailed"), "kms": (400, "KMS.NotFoundException"),
    }
    assert (answer.status, answer.code) == expected[case]


def test_100_continue_then_the_body(raw, s3, bucket):
    with Wire(raw.server, "https") as wire:
        sent = signed(raw, wire, "PUT", f"/{bucket}/k", headers={
            "content-length": "1000", "expect": "100-continue",
        })
        wire.send(wire.head("PUT", f"/{bucket}/k", sent))
        assert wire._more() and wire.rest.startswith(b"HTTP/1.1 100 ")
        wire.send(DATA)
        assert wire.answer("PUT").status == 200
    assert read(s3.get_object(Bucket=bucket, Key="k")) == DATA


CUTS = [n * SEGMENT + d for n in (0, 1, 2, 4, 8) for d in (-1, 0, 1) if n * SEGMENT + d >= 0]


def test_sec_n63_cut_at_every_segment_boundary(raw, s3, bucket, server):
    """No object, and no file left behind."""
    size = 8 * SEGMENT + 2
    data = noise(size)
    before = set(server.open_files())
    for cut in CUTS:
        with Wire(raw.server, "http") as wire:
            sent = signed(raw, wire, "PUT", f"/{bucket}/k", headers={"content-length": str(size)})
            wire.send(wire.head("PUT", f"/{bucket}/k", sent) + data[:cut])
            time.sleep(0.02)
    until(lambda: not set(server.open_files()) - before, "the end of what was cut off")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n63_overwrite_cut_keeps_the_old_object(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    for cut in (0, 1, SEGMENT, 3 * SEGMENT):
        with Wire(raw.server, "http") as wire:
            sent = signed(raw, wire, "PUT", f"/{bucket}/k", headers={"content-length": "500000"})
            wire.send(wire.head("PUT", f"/{bucket}/k", sent) + noise(cut))
    time.sleep(0.3)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"old"


def test_pipelined_requests_are_answered_in_order(raw, s3, bucket):
    for n in range(3):
        s3.put_object(Bucket=bucket, Key=f"k{n}", Body=str(n).encode())
    with Wire(raw.server, "https") as wire:
        wire.send(b"".join(
            wire.head("GET", f"/{bucket}/k{n}", signed(raw, wire, "GET", f"/{bucket}/k{n}"))
            for n in range(3)
        ))
        assert [wire.answer().body for _ in range(3)] == [b"0", b"1", b"2"]


def test_connection_is_kept_after_a_refusal(raw, s3, bucket):
    with Wire(raw.server, "https") as wire:
        sent = signed(raw, wire, "PUT", "/no-such-bucket-here/k", headers={"content-length": "1000"})
        wire.send(wire.head("PUT", "/no-such-bucket-here/k", sent) + DATA)
        assert wire.answer("PUT").code == "NoSuchBucket"
        wire.send(wire.head("GET", f"/{bucket}", signed(raw, wire, "GET", f"/{bucket}")))
        assert wire.answer().status == 200
