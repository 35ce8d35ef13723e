# SPDX-License-Identifier: Apache-2.0
"""Checksums: each algorithm, in a header and in a trailer, right and wrong."""

import base64
import hashlib
import zlib

import pytest

import rawhttp
from clients import MIB, noise, read, refused, s3 as s3_client
from test_multipart import complete, start

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
DATA = noise(100_000)
WRONG = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}


def b64(raw):
    return base64.b64encode(raw).decode()


def reflected(data, polynomial, width):
    """The plain bitwise definition of a reflected CRC, by a table of its own."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (polynomial if byte & 1 else 0)
        table.append(byte)
    crc = (1 << width) - 1
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return (crc ^ ((1 << width) - 1)).to_bytes(width // 8, "big")


def checksum(algorithm, data):
    if algorithm == "CRC32":
        return b64(zlib.crc32(data).to_bytes(4, "big"))
    if algorithm == "CRC32C":
        return b64(reflected(data, 0x82F63B78, 32))
    if algorithm == "CRC64NVME":
        return b64(reflected(data, 0x9A6C9329AC4BC9B5, 64))
    return b64(hashlib.new(algorithm.lower(), data).digest())


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_client_computes(server, bucket, algorithm, scheme):
    """boto3 sends a trailer over HTTPS and a header over HTTP, and verifies on GET."""
    client = s3_client(server, scheme)
    name = f"Checksum{algorithm}"
    put = client.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm=algorithm)
    assert put[name] == checksum(algorithm, DATA)
    got = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert read(got) == DATA
    assert (got[name], got["ChecksumType"]) == (checksum(algorithm, DATA), "FULL_OBJECT")
    head = client.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[name] == got[name]
    assert name not in client.head_object(Bucket=bucket, Key="k")
    listed = client.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert listed["ChecksumAlgorithm"] == [algorithm]
    copy = client.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})
    assert copy["CopyObjectResult"][name] == got[name]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_value_given(s3, bucket, algorithm):
    name = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=DATA, **{name: checksum(algorithm, DATA)})
    assert put[name] == checksum(algorithm, DATA)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_trailer_by_hand(raw, s3, bucket, algorithm):
    header = f"x-amz-checksum-{algorithm.lower()}"
    for mode in (rawhttp.UNSIGNED_TRAILER, rawhttp.SIGNED_TRAILER):
        answer = raw.put_chunked(
            f"/{bucket}/k", [DATA[:65_536], DATA[65_536:]], mode,
            trailer=[(header, checksum(algorithm, DATA))],
        )
        assert (answer.status, answer.headers[header]) == (200, checksum(algorithm, DATA))
        assert read(s3.get_object(Bucket=bucket, Key="k")) == DATA


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sec_n64_wrong_value_in_header(s3, bucket, algorithm):
    wrong = b64(bytes(WRONG[algorithm]))
    message = f"The {algorithm} you specified did not match the calculated checksum."
    with refused("BadDigest", 400, message):
        s3.put_object(Bucket=bucket, Key="k", Body=DATA, **{f"Checksum{algorithm}": wrong})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("mode", [rawhttp.UNSIGNED_TRAILER, rawhttp.SIGNED_TRAILER])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sec_n64_wrong_value_in_trailer(raw, s3, bucket, algorithm, mode):
    header = f"x-amz-checksum-{algorithm.lower()}"
    wrong = b64(bytes(WRONG[algorithm]))
    answer = raw.put_chunked(f"/{bucket}/k", [DATA], mode, trailer=[(header, wrong)])
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("form", ["not base64!", "", "QQ==", "A" * 200])
def test_sec_n64_malformed_value(raw, s3, bucket, algorithm, form):
    header = f"x-amz-checksum-{algorithm.lower()}"
    answer = raw.request("PUT", f"/{bucket}/k", b"x", {header: form})
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == f"Value for {header} header is invalid."
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n64_two_checksums(raw, s3, bucket):
    answer = raw.request("PUT", f"/{bucket}/k", b"x", {
        "x-amz-checksum-crc32": checksum("CRC32", b"x"),
        "x-amz-checksum-sha1": checksum("SHA1", b"x"),
    })
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == (
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
    )
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n64_unknown_algorithm(raw, s3, bucket):
    answer = raw.request(
        "PUT", f"/{bucket}/k", b"x", {"x-amz-sdk-checksum-algorithm": "MD4"}
    )
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]" in answer.element("Message")


@pytest.mark.parametrize("value,code", [
    ("not base64", "InvalidDigest"), ("QQ==", "InvalidDigest"), ("", "InvalidDigest"),
    (b64(bytes(16)), "BadDigest"),
])
def test_sec_n59_content_md5(raw, s3, bucket, value, code):
    answer = raw.request("PUT", f"/{bucket}/k", b"x", {"content-md5": value})
    assert (answer.status, answer.code) == (400, code)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_content_md5_that_is_right(raw, bucket):
    md5 = b64(hashlib.md5(b"x").digest())
    assert raw.request("PUT", f"/{bucket}/k", b"x", {"content-md5": md5}).status == 200


def test_none_sent_gives_crc64nvme(raw, s3, bucket):
    assert raw.request("PUT", f"/{bucket}/k", DATA).status == 200
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == checksum("CRC64NVME", DATA)
    assert head["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_multipart_checksums(s3, bucket, algorithm):
    """Composite for all but CRC64NVME, as S3 does unless told otherwise."""
    name = f"Checksum{algorithm}"
    pieces = [noise(5 * MIB, 1), b"tail"]
    upload = start(s3, bucket, ChecksumAlgorithm=algorithm)
    parts = []
    for n, piece in enumerate(pieces, 1):
        answer = s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=n, Body=piece,
            ChecksumAlgorithm=algorithm,
        )
        parts.append({"PartNumber": n, "ETag": answer["ETag"], name: answer[name]})
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert listed["ChecksumAlgorithm"] == algorithm
    assert [p[name] for p in listed["Parts"]] == [p[name] for p in parts]
    done = complete(s3, bucket, upload, parts)
    if algorithm == "CRC64NVME":
        assert done["ChecksumType"] == "FULL_OBJECT"
        assert done[name] == checksum(algorithm, b"".join(pieces))
    else:
        joined = b"".join(base64.b64decode(p[name]) for p in parts)
        assert done["ChecksumType"] == "COMPOSITE"
        assert done[name] == checksum(algorithm, joined) + "-2"
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (done[name], done["ChecksumType"])


def test_multipart_full_object_crc32(s3, bucket):
    pieces = [noise(5 * MIB, 2), b"tail"]
    upload = start(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = []
    for n, piece in enumerate(pieces, 1):
        answer = s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=n, Body=piece,
            ChecksumAlgorithm="CRC32",
        )
        parts.append({"PartNumber": n, "ETag": answer["ETag"]})
    whole = checksum("CRC32", b"".join(pieces))
    message = "The crc32 you specified did not match the calculated checksum."
    with refused("BadDigest", 400, message):
        complete(s3, bucket, upload, parts, ChecksumCRC32="AAAAAA==", ChecksumType="FULL_OBJECT")
    done = complete(s3, bucket, upload, parts, ChecksumCRC32=whole, ChecksumType="FULL_OBJECT")
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (whole, "FULL_OBJECT")


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256"])
def test_sec_n79_full_object_needs_a_crc(s3, bucket, algorithm):
    with refused("InvalidRequest", 400):
        start(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")


def test_sec_n79_crc64nvme_is_never_composite(s3, bucket):
    with refused("InvalidRequest", 400):
        start(s3, bucket, ChecksumAlgorithm="CRC64NVME", ChecksumType="COMPOSITE")


def test_sec_n79_complete_with_another_type(s3, bucket):
    upload = start(s3, bucket, ChecksumAlgorithm="CRC32")
    part = s3.upload_part(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32"
    )
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]
    with refused("InvalidRequest", 400):
        complete(s3, bucket, upload, parts, ChecksumType="FULL_OBJECT")
    with refused("InvalidPart", 400):
        wrong = [dict(parts[0], ChecksumCRC32="AAAAAA==")]
        complete(s3, bucket, upload, wrong)
    complete(s3, bucket, upload, parts)


def test_sec_n79_part_with_another_algorithm(s3, bucket):
    upload = start(s3, bucket, ChecksumAlgorithm="SHA256")
    with refused("InvalidRequest", 400):
        s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x",
            ChecksumAlgorithm="SHA1",
        )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_parts_with_checksums_are_numbered_without_gaps(s3, bucket, algorithm):
    """`CompletedPart.PartNumber`: from 1 on where each part has a checksum; CRC64NVME is not meant."""
    name = f"Checksum{algorithm}"
    upload = start(s3, bucket, ChecksumAlgorithm=algorithm)
    parts = []
    for number, data in ((2, noise(5 * MIB, 1)), (4, b"tail")):
        made = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=data,
                              ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": number, "ETag": made["ETag"], name: made[name]})
    if algorithm == "CRC64NVME":
        complete(s3, bucket, upload, parts)
        return
    with refused("InvalidPartOrder", 400):
        complete(s3, bucket, upload, parts)
    with refused("InvalidPartOrder", 400):
        complete(s3, bucket, upload, parts[:1])
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)


@pytest.mark.parametrize("named", [
    "<ChecksumSHA256>bad</ChecksumSHA256>",
    "<ChecksumCRC32>AAAAAQ==</ChecksumCRC32><ChecksumSHA1>2jmj7l5rSw0yVb/vlWAYkK/YBwk=</ChecksumSHA1>",
])
def test_a_part_names_one_checksum_that_is_one(raw, s3, bucket, named):
    upload = start(s3, bucket)
    made = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    body = (f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{made['ETag']}</ETag>"
            f"{named}</Part></CompleteMultipartUpload>").encode()
    answer = raw.request("POST", f"/{bucket}/k?uploadId={upload}", body)
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body
    assert answer.element("Message") == "Invalid Base64 or multiple checksums present in request"
    assert answer.element("ArgumentName") == "Checksum"
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
