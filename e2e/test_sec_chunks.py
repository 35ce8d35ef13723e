# SPDX-License-Identifier: Apache-2.0
"""aws-chunked bodies: the four payload modes, and everything that can be wrong in them."""

import base64
import hashlib

import pytest

from clients import CustomerKey, noise, read
from rawhttp import (
    EMPTY_SHA256, SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED, UNSIGNED_TRAILER, ChunkWriter, crc32,
    sha256,
)
from sse import KID, SSE

DATA = noise(200_000)
CHUNKS = [DATA[:65_536], DATA[65_536:131_072], DATA[131_072:]]
CRC = ("x-amz-checksum-crc32", crc32(DATA))


def nothing_stored(s3, bucket):
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_payload_modes(raw, raw_http, s3, bucket, scheme):
    client = raw if scheme == "https" else raw_http
    target = f"/{bucket}/k"
    small = [DATA[i:i + 8192] for i in range(0, len(DATA), 8192)]
    for put in (
        lambda: client.request("PUT", target, DATA),
        lambda: client.request("PUT", target, DATA, payload=UNSIGNED),
        lambda: client.put_chunked(target, CHUNKS),
        lambda: client.put_chunked(target, CHUNKS, SIGNED_TRAILER, [CRC]),
        lambda: client.put_chunked(target, CHUNKS, UNSIGNED_TRAILER, [CRC]),
        lambda: client.put_chunked(target, [DATA]),
        lambda: client.put_chunked(target, small),
    ):
        answer = put()
        assert answer.status == 200, answer.body
        assert read(s3.get_object(Bucket=bucket, Key="k")) == DATA
        s3.delete_object(Bucket=bucket, Key="k")
    assert client.put_chunked(target, []).status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 0


def test_parts_in_signed_chunks(raw, s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    answer = raw.put_chunked(f"/{bucket}/k?partNumber=1&uploadId={upload}", CHUNKS)
    assert answer.status == 200
    s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": answer.headers["etag"]}]},
    )
    assert read(s3.get_object(Bucket=bucket, Key="k")) == DATA


def test_aws_chunked_is_not_kept_and_gzip_is(raw, s3, bucket):
    answer = raw.put_chunked(
        f"/{bucket}/k", CHUNKS, headers={"content-encoding": "aws-chunked,gzip"}
    )
    assert answer.status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_sec_n19_wrong_chunk_signature(raw, s3, bucket, which):
    """The first, a middle, the last and the closing chunk."""
    def bend(body, _):
        parts = body.split(b"chunk-signature=")
        part = parts[which + 1]
        parts[which + 1] = (b"0" if part[:1] != b"0" else b"1") + part[1:]
        return b"chunk-signature=".join(parts)

    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, bend=bend)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("at", [100, 70_000, 140_000])
def test_sec_n19_changed_byte_under_a_chunk_signature(raw, s3, bucket, at):
    def bend(body, _):
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]

    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, bend=bend)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("mode,trailer", [(SIGNED_CHUNKS, ()), (SIGNED_TRAILER, [CRC])])
def test_s8_signed_chunks_are_of_8_kib_but_for_the_last(raw, s3, bucket, mode, trailer):
    for chunks in ([DATA[:8191], DATA[8191:]], [DATA[:8192], DATA[8192:8193], DATA[8193:]]):
        answer = raw.put_chunked(f"/{bucket}/k", chunks, mode, trailer)
        assert (answer.status, answer.code) == (403, "InvalidChunkSizeError"), answer.body
        assert answer.element("BadChunkSize") == str(min(len(chunk) for chunk in chunks))
    nothing_stored(s3, bucket)
    small = [DATA[at:at + 100] for at in range(0, len(DATA), 100)]
    assert raw.put_chunked(f"/{bucket}/k", small, UNSIGNED_TRAILER, [CRC]).status == 200


def split_chunks(body):
    """The chunks of a body with their heads."""
    out = []
    while body:
        head, rest = body.split(b"\r\n", 1)
        size = int(head.split(b";")[0], 16)
        end = size + 2 if size else len(rest)
        out.append(head + b"\r\n" + rest[:end])
        body = rest[end:]
    return out


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 2, 1, 3], [0, 0, 1, 3], [0, 1, 1, 3]])
def test_sec_n19_chunks_swapped_or_repeated(raw, s3, bucket, order):
    chunks = [DATA[:65_536], DATA[65_536:131_072], DATA[131_072:196_608]]
    answer = raw.put_chunked(
        f"/{bucket}/k", chunks, bend=lambda body, _: b"".join(split_chunks(body)[n] for n in order)
    )
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    nothing_stored(s3, bucket)


def test_sec_n19_chunk_of_another_upload(raw, s3, bucket):
    kept = {}

    def keep(body, _):
        kept["body"] = body
        return body

    assert raw.put_chunked(f"/{bucket}/other", CHUNKS, bend=keep).status == 200
    s3.delete_object(Bucket=bucket, Key="other")

    def splice(body, _):
        return b"".join(split_chunks(body)[:1] + split_chunks(kept["body"])[1:])

    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, bend=splice)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    nothing_stored(s3, bucket)


def test_sec_n19_closing_chunk_missing(raw, s3, bucket):
    answer = raw.put_chunked(
        f"/{bucket}/k", CHUNKS, bend=lambda body, _: b"".join(split_chunks(body)[:-1])
    )
    assert (answer.status, answer.code) == (400, "IncompleteBody")
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("size", [
    b"8000000000000000", b"7fffffffffffffff", b"ffffffffffffffff", b"10000000000000000", b"-1",
    b"+10000", b"0x10000", b" 10000", b"10000 ", b"", b"zz", b"1_0000", b"\t10000", b"10000,10000",
])
@pytest.mark.parametrize("mode", [SIGNED_CHUNKS, UNSIGNED_TRAILER])
def test_sec_n19_chunk_size_lies(raw, s3, bucket, size, mode):
    def bend(body, _):
        head, rest = body.split(b"\r\n", 1)
        extension = b";" + head.split(b";", 1)[1] if b";" in head else b""
        return size + extension + b"\r\n" + rest

    trailer = [CRC] if mode == UNSIGNED_TRAILER else ()
    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, mode, trailer, bend=bend)
    assert answer.status in (400, 403), answer.body
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("mode", [SIGNED_CHUNKS, UNSIGNED_TRAILER])
@pytest.mark.parametrize("extension", [
    b";x=y", b";chunk-signature=", b";chunk-signature=0;chunk-signature=1", b";", b";\xff",
    b";chunk-Signature=" + b"0" * 64, b"\n;x", b";" + b"a" * 5000,
])
def test_sec_n19_chunk_extension(raw, s3, bucket, mode, extension):
    """CVE-2025-55315: a chunk extension with a bare line feed."""
    def bend(body, _):
        head, rest = body.split(b"\r\n", 1)
        return head.split(b";")[0] + extension + b"\r\n" + rest

    trailer = [CRC] if mode == UNSIGNED_TRAILER else ()
    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, mode, trailer, bend=bend)
    assert answer.status in (400, 403), answer.body
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("mode", [SIGNED_CHUNKS, UNSIGNED_TRAILER])
@pytest.mark.parametrize("decoded", [0, 1, len(DATA) - 1, len(DATA) + 1, 2**63, 5 * 1024**3])
def test_sec_n19_decoded_length_lies(raw, s3, bucket, mode, decoded):
    trailer = [CRC] if mode == UNSIGNED_TRAILER else ()
    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, mode, trailer, decoded=decoded)
    assert answer.status == 400
    assert answer.code in ("IncompleteBody", "EntityTooLarge")
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("decoded", ["", "abc", "-1", "+5", "5,5", "0x10", " ", "99999999999999999999"])
def test_sec_n19_decoded_length_is_no_number(raw, s3, bucket, decoded):
    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, decoded=decoded)
    assert answer.status in (400, 403, 411)
    nothing_stored(s3, bucket)


def test_sec_n19_decoded_length_missing(raw, s3, bucket):
    signer = raw.signer()
    writer_body = {}

    def build(headers):
        seed = headers["authorization"].rsplit("=", 1)[1]
        writer_body["body"] = ChunkWriter(signer, seed).body(CHUNKS)
        return headers

    answer = raw.request(
        "PUT", f"/{bucket}/k", b"", {"content-encoding": "aws-chunked"}, payload=SIGNED_CHUNKS,
        signer=signer, after=build, raw_body=b"0\r\n\r\n",
    )
    assert (answer.status, answer.code) == (411, "MissingContentLength")
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("tail", [b"x", b"\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n"])
def test_sec_n19_bytes_after_the_end(raw, s3, bucket, tail):
    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, bend=lambda body, _: body + tail)
    assert answer.status in (400, 403)
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("cut", [1, 2, 5, 90, 65_536, 199_000])
def test_sec_n19_chunked_body_cut(raw, s3, bucket, cut):
    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, bend=lambda body, _: body[:-cut])
    assert (answer.status, answer.code) == (400, "IncompleteBody")
    nothing_stored(s3, bucket)


def test_sec_n20_wrong_trailer_signature(raw, s3, bucket):
    def bend(body, _):
        return body.replace(b"x-amz-trailer-signature:", b"x-amz-trailer-signature:0", 1)[:-5] + b"\r\n\r\n"

    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, SIGNED_TRAILER, [CRC], bend=bend)
    assert answer.status in (400, 403)
    nothing_stored(s3, bucket)


def test_sec_n20_trailer_changed_under_its_signature(raw, s3, bucket):
    """A checksum that fits other data, under the signature of the right one."""
    def bend(body, _):
        return body.replace(CRC[1].encode(), crc32(b"other").encode())

    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, SIGNED_TRAILER, [CRC], bend=bend)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    nothing_stored(s3, bucket)


@pytest.mark.parametrize("mode", [SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize("trailer,announce", [
    ([CRC], ["x-amz-checksum-sha256"]),
    ([CRC], ["x-amz-checksum-crc32", "x-amz-checksum-sha256"]),
    ([], ["x-amz-checksum-crc32"]),
    ([CRC, CRC], ["x-amz-checksum-crc32"]),
    ([CRC, ("x-amz-checksum-sha1", "x")], ["x-amz-checksum-crc32", "x-amz-checksum-sha1"]),
    ([("x-amz-meta-a", "1")], ["x-amz-meta-a"]),
    ([CRC, ("x-amz-meta-a", "1")], ["x-amz-checksum-crc32"]),
    ([CRC, ("authorization", "x")], ["x-amz-checksum-crc32"]),
    ([("authorization", "x")], ["authorization"]),
    ([("x-amz-checksum-md4", "x")], ["x-amz-checksum-md4"]),
    ([("x-amz-checksum-crc32", "not base64")], ["x-amz-checksum-crc32"]),
    ([("x-amz-checksum-crc32", "A" * 20_000)], ["x-amz-checksum-crc32"]),
])
def test_sec_n20_trailers(raw, s3, bucket, mode, trailer, announce):
    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, mode, trailer, announce=announce)
    assert answer.status in (400, 403), answer.body
    nothing_stored(s3, bucket)


def test_sec_n20_trailer_signature_missing(raw, s3, bucket):
    def bend(body, _):
        return body[: body.index(b"x-amz-trailer-signature")] + b"\r\n"

    answer = raw.put_chunked(f"/{bucket}/k", CHUNKS, SIGNED_TRAILER, [CRC], bend=bend)
    assert answer.status in (400, 403)
    nothing_stored(s3, bucket)


def test_sec_n20_trailer_announced_without_streaming(raw, s3, bucket):
    answer = raw.request("PUT", f"/{bucket}/k", DATA, {"x-amz-trailer": "x-amz-checksum-crc32"})
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    nothing_stored(s3, bucket)


def test_sec_n17_unsigned_chunks_in_signed_mode(raw, s3, bucket):
    """Signed mode with a body whose chunks carry no signature."""
    body = b"5\r\nhello\r\n0\r\n\r\n"
    answer = raw.put_chunked(f"/{bucket}/k", [b"hello"], bend=lambda *_: body)
    assert answer.status in (400, 403)
    nothing_stored(s3, bucket)


def test_sec_n17_chunked_body_in_plain_mode_is_plain(raw, s3, bucket):
    """Framing follows the signed mode, never the body or Content-Encoding."""
    body = b"5\r\nhello\r\n0\r\n\r\n"
    answer = raw.request("PUT", f"/{bucket}/k", body, payload=sha256(body))
    assert answer.status == 200
    assert read(s3.get_object(Bucket=bucket, Key="k")) == body
    assert EMPTY_SHA256 != sha256(body)


def test_sec_n16_unsigned_payload_over_plain_http(raw_http, s3, bucket, kms_key):
    """Plain HTTP is for loopback, and presigned URLs cannot do without: it is taken as S3 takes it,
    but never with a key or for a key, and not when a signed digest says something else."""
    target, key = f"/{bucket}/k", CustomerKey()
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    refused_headers = [
        key.headers(), {SSE: "aws:kms"}, {SSE: "aws:kms", KID: kms_key["id"]},
        {"content-md5": base64.b64encode(hashlib.md5(b"signed").digest()).decode()},
        {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"signed").digest()).decode()},
    ]
    for headers in refused_headers:
        for put in (
            lambda h: raw_http.request("PUT", target, DATA, h, payload=UNSIGNED),
            lambda h: raw_http.presigned("PUT", target, headers=h, body=DATA),
            lambda h: raw_http.put_chunked(target, CHUNKS, UNSIGNED_TRAILER, [CRC], headers=h),
        ):
            answer = put(headers)
            assert answer.status == 400, (headers, answer.body)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"before"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
