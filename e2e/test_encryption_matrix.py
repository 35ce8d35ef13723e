# SPDX-License-Identifier: Apache-2.0
"""Copies from mode to mode, and what is left of the modes over HTTP."""

import pytest

import sse
from clients import SEGMENT, bucket_name, empty_and_delete, noise, read, refused, s3 as s3_client

pytestmark = pytest.mark.sse_c

SMALL = noise(3 * SEGMENT + 17, 1)


@pytest.fixture(scope="module")
def modes(s3, kms, kms_key):
    name = bucket_name("first")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"", ServerSideEncryption="aws:kms")
    empty_and_delete(s3, name)
    return {mode.name: mode for mode in sse.modes(kms, kms_key)}


def ranges(size):
    yield 0, 0
    yield SEGMENT - 1, SEGMENT
    yield size - 1, size - 1
    yield 7, size - 9


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


@pytest.mark.parametrize("target", ["none", "sse-s3", "kms-context", "kms-default", "dsse-context", "sse-c"])
@pytest.mark.parametrize("name", ["sse-s3", "kms-id", "kms-context", "dsse-context", "sse-c"])
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
