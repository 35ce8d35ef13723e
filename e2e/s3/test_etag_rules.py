# SPDX-License-Identifier: Apache-2.0
"""ETags and sizes: MD5 exactly where S3 promises it, opaque elsewhere, the same on every answer."""

import hashlib
import re

import pytest

from clients import MIB, CustomerKey, noise

pytestmark = pytest.mark.sse_c

KEY = CustomerKey(bytes(range(32)))
MODES = {
    "none": ({}, {}), "s3": ({"ServerSideEncryption": "AES256"}, {}),
    "kms": ({"ServerSideEncryption": "aws:kms"}, {}), "c": (KEY.boto(), KEY.boto()),
}
PIECES = [noise(5 * MIB, 5), b"the last part"]


def md5(data):
    return hashlib.md5(data).hexdigest()


def in_parts(s3, where, write, reading):
    upload = where | {"UploadId": s3.create_multipart_upload(**where, **write)["UploadId"]}
    parts = []
    for number, piece in enumerate(PIECES, 1):
        made = s3.upload_part(PartNumber=number, Body=piece, **upload, **reading)
        parts.append({"PartNumber": number, "ETag": made["ETag"]})
    listed = s3.list_parts(**upload)["Parts"] if not reading else parts
    assert [part["ETag"] for part in listed] == [part["ETag"] for part in parts]
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    return done["ETag"], [part["ETag"].strip('"') for part in parts]


def same_everywhere(s3, where, reading, etag, size):
    """GET, HEAD, attributes and both listings agree, in quotes, and count plaintext."""
    got, head = s3.get_object(**where, **reading), s3.head_object(**where, **reading)
    got["Body"].close()
    for answer in (got, head):
        assert (answer["ETag"], answer["ContentLength"]) == (etag, size)
    for listing in (s3.list_objects, s3.list_objects_v2):
        [entry] = listing(Bucket=where["Bucket"], Prefix=where["Key"])["Contents"]
        assert (entry["ETag"], entry["Size"]) == (etag, size)
    [entry] = s3.list_object_versions(Bucket=where["Bucket"], Prefix=where["Key"])["Versions"]
    assert (entry["ETag"], entry["Size"]) == (etag, size)


@pytest.mark.parametrize("size", [0, 1, 65_536, 200_001])
@pytest.mark.parametrize("mode", MODES)
def test_s1_2_etag_of_one_put(s3, bucket, mode, size):
    write, reading = MODES[mode]
    where, data = {"Bucket": bucket, "Key": "k"}, noise(size, 6)
    etags = [s3.put_object(Body=data, **where, **write)["ETag"] for _ in range(2)]
    if mode in ("none", "s3"):
        assert etags == [f'"{md5(data)}"'] * 2
    else:
        assert etags[0] != etags[1] and f'"{md5(data)}"' not in etags
        assert all(re.fullmatch('"[0-9a-f]{32}"', etag) for etag in etags)
    same_everywhere(s3, where, reading, etags[1], size)


@pytest.mark.parametrize("mode", MODES)
def test_s1_2_etag_of_parts(s3, bucket, mode):
    """The same construction over the ETags of the parts, whatever these are."""
    write, reading = MODES[mode]
    where = {"Bucket": bucket, "Key": "m"}
    etag, parts = in_parts(s3, where, write, reading)
    assert etag == f'"{md5(b"".join(map(bytes.fromhex, parts)))}-2"'
    plain = [md5(piece) for piece in PIECES]
    if mode in ("none", "s3"):
        assert parts == plain
    else:
        assert not set(parts) & set(plain)
    same_everywhere(s3, where, reading, etag, sum(map(len, PIECES)))


@pytest.mark.parametrize("target", MODES)
@pytest.mark.parametrize("mode", MODES)
def test_s1_2_etag_of_a_copy_of_parts_has_no_number(s3, bucket, mode, target):
    write, reading = MODES[mode]
    where, copy = {"Bucket": bucket, "Key": "m"}, {"Bucket": bucket, "Key": "copy"}
    in_parts(s3, where, write, reading)
    source = KEY.boto(source=True) if mode == "c" else {}
    to, read_target = MODES[target]
    made = s3.copy_object(CopySource=where, **copy, **source, **to)
    etag = made["CopyObjectResult"]["ETag"]
    whole = md5(b"".join(PIECES))
    if target in ("none", "s3"):
        assert etag == f'"{whole}"'
    else:
        assert re.fullmatch('"[0-9a-f]{32}"', etag) and whole not in etag
    same_everywhere(s3, copy, read_target, etag, sum(map(len, PIECES)))


@pytest.mark.parametrize("mode", MODES)
def test_s1_2_content_md5_is_checked_in_every_mode(s3, raw, bucket, mode):
    import base64
    headers = {"none": {}, "s3": {"x-amz-server-side-encryption": "AES256"},
               "kms": {"x-amz-server-side-encryption": "aws:kms"}, "c": KEY.headers()}[mode]
    for value, status, code in (
        (base64.b64encode(hashlib.md5(b"data").digest()).decode(), 200, None),
        (base64.b64encode(hashlib.md5(b"other").digest()).decode(), 400, "BadDigest"),
        ("short", 400, "InvalidDigest"),
    ):
        answer = raw.request("PUT", f"/{bucket}/{status}", b"data", headers | {"content-md5": value})
        assert (answer.status, answer.code) == (status, code), answer.body
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["200"]
