# SPDX-License-Identifier: Apache-2.0
"""Mode x write path x read path over HTTPS, and what of it is left over HTTP."""

import hashlib

import pytest

import sse
from clients import MIB, SEGMENT, bucket_name, empty_and_delete, noise, read, refused, s3 as s3_client
from sse import MODE_NAMES

FIVE = 5 * MIB
SMALL = noise(3 * SEGMENT + 17, 1)
PIECES = [noise(FIVE, 2), noise(SEGMENT + 9, 3)]
WRITES = ["put", "multipart", "part-copy", "copy", "presigned", "chunk-signed"]


@pytest.fixture(scope="module")
def modes(s3, kms, kms_key):
    name = bucket_name("first")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"", ServerSideEncryption="aws:kms")
    empty_and_delete(s3, name)
    return {mode.name: mode for mode in sse.modes(kms, kms_key)}


@pytest.fixture(scope="module")
def source(s3):
    """What is copied: a plain object of the bytes of a small and of a multipart object."""
    name = bucket_name("source")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="small", Body=SMALL)
    s3.put_object(Bucket=name, Key="large", Body=b"".join(PIECES))
    yield name
    empty_and_delete(s3, name)


def write(path, mode, s3, raw, bucket, key, source):
    """Writes the object by one path; returns (bytes of it, parts)."""
    where = {"Bucket": bucket, "Key": key}
    target = f"/{bucket}/{key}"
    if path == "put":
        answer = s3.put_object(Body=SMALL, Metadata={"a": "1"}, **where, **mode.write)
        mode.check("PutObject", answer)
        assert (answer["ETag"] == f'"{hashlib.md5(SMALL).hexdigest()}"') == mode.md5_etag
        return SMALL, None
    if path == "copy":
        answer = s3.copy_object(
            CopySource={"Bucket": source, "Key": "small"}, MetadataDirective="REPLACE",
            Metadata={"a": "1"}, **where, **mode.write,
        )
        mode.check("CopyObject", answer)
        return SMALL, None
    meta = {"x-amz-meta-a": "1"}
    if path == "presigned":
        answer = raw.presigned("PUT", target, headers=mode.write_headers | meta, body=SMALL)
        assert answer.status == 200, answer.body
        return SMALL, None
    if path == "chunk-signed":
        answer = raw.put_chunked(
            target, [SMALL[:SEGMENT], SMALL[SEGMENT:]], headers=mode.write_headers | meta
        )
        assert answer.status == 200, answer.body
        return SMALL, None
    made = s3.create_multipart_upload(Metadata={"a": "1"}, **where, **mode.write)
    mode.check("CreateMultipartUpload", made)
    upload = {"UploadId": made["UploadId"], **where}
    parts = []
    offset = 0
    for n, piece in enumerate(PIECES, 1):
        if path == "multipart":
            answer = s3.upload_part(PartNumber=n, Body=piece, **upload, **mode.read)
            mode.check("UploadPart", answer)
            etag = answer["ETag"]
        else:
            end = offset + len(piece) - 1
            answer = s3.upload_part_copy(
                PartNumber=n, CopySource={"Bucket": source, "Key": "large"},
                CopySourceRange=f"bytes={offset}-{end}", **upload, **mode.read,
            )
            mode.check("UploadPartCopy", answer)
            etag = answer["CopyPartResult"]["ETag"]
        assert (etag == f'"{hashlib.md5(piece).hexdigest()}"') == mode.md5_etag
        parts.append({"PartNumber": n, "ETag": etag})
        offset += len(piece)
    listed = s3.list_parts(**upload)["Parts"]
    assert [p["Size"] for p in listed] == [len(piece) for piece in PIECES]
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    mode.check("CompleteMultipartUpload", done)
    assert done["ETag"].endswith('-2"')
    return b"".join(PIECES), PIECES


def ranges(size):
    yield 0, 0
    yield SEGMENT - 1, SEGMENT
    yield size - 1, size - 1
    yield 7, size - 9
    if size > FIVE:
        yield FIVE - 1, FIVE


def check_reads(mode, s3, bucket, key, data, pieces):
    where = {"Bucket": bucket, "Key": key}
    got = s3.get_object(**where, **mode.read)
    assert read(got) == data
    assert (got["ContentLength"], got["Metadata"]) == (len(data), {"a": "1"})
    mode.check("GetObject", got)
    head = s3.head_object(**where, **mode.read)
    assert (head["ContentLength"], head["ETag"]) == (len(data), got["ETag"])
    mode.check("HeadObject", head)
    for first, last in ranges(len(data)):
        part = s3.get_object(Range=f"bytes={first}-{last}", **where, **mode.read)
        assert read(part) == data[first:last + 1]
        assert part["ContentRange"] == f"bytes {first}-{last}/{len(data)}"
        mode.check("GetObject", part)
    for n, piece in enumerate(pieces or [data], 1):
        part = s3.get_object(PartNumber=n, **where, **mode.read)
        assert read(part) == piece
        mode.check("GetObject", part)
        assert s3.head_object(PartNumber=n, **where, **mode.read)["ContentLength"] == len(piece)
    listed = {o["Key"]: o for o in s3.list_objects_v2(Bucket=bucket)["Contents"]}[key]
    assert (listed["Size"], listed["ETag"]) == (len(data), got["ETag"])


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("name", MODE_NAMES)
def test_every_write_reads_back(server, s3, raw, modes, source, bucket, name, path):
    mode = modes[name]
    data, pieces = write(path, mode, s3, raw, bucket, "k", source)
    check_reads(mode, s3, bucket, "k", data, pieces)
    presigned = raw.presigned("GET", f"/{bucket}/k", headers=mode.read_headers)
    assert (presigned.status, presigned.body == data) == (200, True)


@pytest.mark.parametrize("target", ["none", "sse-s3", "kms-context", "kms-default", "sse-c"])
@pytest.mark.parametrize("name", ["sse-s3", "kms-id", "kms-context", "sse-c"])
def test_copy_from_mode_to_mode(s3, modes, bucket, name, target):
    """The copy is sealed as asked, never as its source was; nothing of the source leaks."""
    one, two = modes[name], modes[target]
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL, Metadata={"a": "1"}, **one.write)
    source = {"Bucket": bucket, "Key": "a"}
    made = s3.copy_object(Bucket=bucket, Key="b", CopySource=source, **one.source, **two.write)
    two.check("CopyObject", made)
    check_reads(two, s3, bucket, "b", SMALL, None)
    upload = {
        "Bucket": bucket, "Key": "c",
        "UploadId": s3.create_multipart_upload(
            Bucket=bucket, Key="c", Metadata={"a": "1"}, **two.write
        )["UploadId"],
    }
    part = s3.upload_part_copy(
        PartNumber=1, CopySource=source, CopySourceRange=f"bytes=10-{len(SMALL) - 1}",
        **upload, **one.source, **two.read,
    )
    two.check("UploadPartCopy", part)
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    check_reads(two, s3, bucket, "c", SMALL[10:], [SMALL[10:]])


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 32 * 1024])
@pytest.mark.parametrize("name", ["kms-id", "sse-c"])
def test_sizes_in_each_mode(s3, modes, bucket, name, size):
    mode = modes[name]
    data = noise(size, 5)
    s3.put_object(Bucket=bucket, Key="k", Body=data, **mode.write)
    assert read(s3.get_object(Bucket=bucket, Key="k", **mode.read)) == data


@pytest.mark.parametrize("name", ["kms-id", "sse-c"])
def test_equal_bytes_have_different_etags(s3, modes, bucket, name):
    mode = modes[name]
    etags = {
        s3.put_object(Bucket=bucket, Key="k", Body=b"same", **mode.write)["ETag"] for _ in range(4)
    }
    assert len(etags) == 4
    assert f'"{hashlib.md5(b"same").hexdigest()}"' not in etags


def test_checksums_are_kept_in_each_mode(s3, modes, bucket):
    for mode in modes.values():
        put = s3.put_object(
            Bucket=bucket, Key="k", Body=SMALL, ChecksumAlgorithm="SHA256", **mode.write
        )
        head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", **mode.read)
        assert head["ChecksumSHA256"] == put["ChecksumSHA256"]


def test_sse_s3_over_http(server, s3_http, bucket):
    for args in ({}, {"ServerSideEncryption": "AES256"}):
        put = s3_http.put_object(Bucket=bucket, Key="k", Body=SMALL, **args)
        assert put["ServerSideEncryption"] == "AES256"
        got = s3_http.get_object(Bucket=bucket, Key="k")
        assert (read(got), got["ServerSideEncryption"]) == (SMALL, "AES256")


C_OVER_HTTP = (
    "Requests specifying Server Side Encryption with Customer provided keys must be made over a "
    "secure connection."
)
KMS_OVER_HTTP = (
    "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a "
    "secure connection."
)


@pytest.mark.parametrize("header", [sse.C_ALG, sse.C_KEY, sse.C_MD5])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_sec_n66_customer_key_over_http(raw_http, s3, modes, bucket, method, header):
    """Any one of the three headers is enough; boto3 refuses to send them, so by hand."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **modes["sse-c"].write)
    value = modes["sse-c"].read_headers[header]
    answer = raw_http.request(method, f"/{bucket}/k", b"", {header: value})
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == C_OVER_HTTP
    assert value.encode() not in answer.body or header == sse.C_ALG


@pytest.mark.parametrize("target", ["uploads", "partNumber=1&uploadId={u}"])
def test_sec_n66_customer_key_over_http_in_multipart(raw_http, s3, modes, bucket, target):
    mode = modes["sse-c"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **mode.write)["UploadId"]
    method = "POST" if target == "uploads" else "PUT"
    answer = raw_http.request(
        method, f"/{bucket}/k?" + target.format(u=upload), b"x" if method == "PUT" else b"",
        mode.read_headers,
    )
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == C_OVER_HTTP


def test_sec_n66_customer_key_of_a_copy_source_over_http(raw_http, s3, modes, bucket):
    mode = modes["sse-c"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **mode.write)
    headers = {"x-amz-copy-source": f"/{bucket}/k"} | mode.customer.headers(source=True)
    answer = raw_http.request("PUT", f"/{bucket}/c", b"", headers)
    assert (answer.status, answer.element("Message")) == (400, C_OVER_HTTP)


def test_sec_n70_kms_over_http(server, s3, s3_http, modes, bucket):
    mode = modes["kms-id"]
    with refused("InvalidArgument", 400, KMS_OVER_HTTP):
        s3_http.put_object(Bucket=bucket, Key="k", Body=b"x", **mode.write)
    with refused("InvalidArgument", 400, KMS_OVER_HTTP):
        s3_http.create_multipart_upload(Bucket=bucket, Key="k", **mode.write)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **mode.write)
    with refused("InvalidArgument", 400, KMS_OVER_HTTP):
        s3_http.get_object(Bucket=bucket, Key="k")
    with refused("InvalidArgument", 400, KMS_OVER_HTTP):
        s3_http.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", **mode.write)["UploadId"]
    with refused("InvalidArgument", 400, KMS_OVER_HTTP):
        s3_http.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    client = s3_client(server, "http")
    assert [o["Key"] for o in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
