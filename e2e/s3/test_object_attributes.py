# SPDX-License-Identifier: Apache-2.0
"""GetObjectAttributes: what it tells, in which form, and what it wants for it."""

import base64
import json
import re
import uuid

import pytest

from clients import MIB, CustomerKey, noise, refused, s3 as s3_client
from sse import MODE_NAMES, modes
from test_checksums import ALGORITHMS, checksum

pytestmark = pytest.mark.sse_c

ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
FIRST, SECOND = noise(5 * MIB, 1), noise(1000, 2)


def ask(client, bucket, attributes=ALL, **more):
    return client.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=attributes, **more
    )


def trio(mode):
    """botocore encodes no customer key for this operation."""
    return whole(mode.customer) if mode.customer else {}


def whole(key):
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key.base64,
            "SSECustomerKeyMD5": key.md5}


def in_parts(client, bucket, algorithm, write=None, read=None, **create):
    """An object of two parts, numbered as S3 wants them; answers the checksums of the parts."""
    write, read = write or {}, read or {}
    upload = client.create_multipart_upload(
        Bucket=bucket, Key="k", **write, **create, ChecksumAlgorithm=algorithm
    )["UploadId"]
    named, name = [], f"Checksum{algorithm}"
    for number, data in ((1, FIRST), (2, SECOND)):
        part = client.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=data,
            ChecksumAlgorithm=algorithm, **read,
        )
        named.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
    done = client.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": named}, **read
    )
    return named, done


@pytest.mark.parametrize("name", MODE_NAMES)
def test_s6_5_one_put_in_every_mode(s3, bucket, kms, kms_key, name):
    mode = next(mode for mode in modes(kms, kms_key) if mode.name == name)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100, **mode.write)
    got = ask(s3, bucket, **trio(mode))
    assert got["ETag"] == put["ETag"].strip('"')
    assert got["ObjectSize"] == 100 and got["StorageClass"] == "STANDARD"
    assert got["LastModified"] == s3.head_object(Bucket=bucket, Key="k", **mode.read)["LastModified"]
    sums = {n: v for n, v in put.items() if n.startswith("Checksum")}
    assert {n: got["Checksum"][n] for n in sums} == sums
    assert got["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    assert "ObjectParts" not in got
    # The API matrix: nothing is said about the encryption.
    headers = got["ResponseMetadata"]["HTTPHeaders"]
    assert not [n for n in headers if "encryption" in n]


@pytest.mark.parametrize("attribute", ALL)
def test_only_what_was_asked_for(s3, bucket, attribute):
    in_parts(s3, bucket, "SHA256")
    got = ask(s3, bucket, [attribute])
    assert [name for name in ALL if name in got] == [attribute]


@pytest.mark.parametrize("name", ["none", "kms-id", "sse-c"])
@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "CRC64NVME"])
def test_s8_composite_parts_keep_their_checksums(s3, bucket, kms, kms_key, name, algorithm):
    mode = next(mode for mode in modes(kms, kms_key) if mode.name == name)
    named, done = in_parts(s3, bucket, algorithm, mode.write, mode.read)
    got = ask(s3, bucket, **trio(mode))
    field = f"Checksum{algorithm}"
    assert got["ETag"] == done["ETag"].strip('"') and got["ETag"].endswith("-2")
    assert got["Checksum"]["ChecksumType"] == "COMPOSITE"
    # Without the number of parts here, with it everywhere else.
    assert got["Checksum"][field] + "-2" == done[field]
    raws = b"".join(base64.b64decode(part[field]) for part in named)
    assert got["Checksum"][field] == checksum(algorithm, raws)
    parts = got["ObjectParts"]
    assert parts["TotalPartsCount"] == 2 and not parts["IsTruncated"]
    assert [(p["PartNumber"], p["Size"], p[field]) for p in parts["Parts"]] == [
        (1, len(FIRST), named[0][field]), (2, len(SECOND), named[1][field])
    ]


def test_pages_of_parts(s3, bucket):
    in_parts(s3, bucket, "CRC32")
    first = ask(s3, bucket, ["ObjectParts"], MaxParts=1)["ObjectParts"]
    assert [p["PartNumber"] for p in first["Parts"]] == [1]
    assert first["IsTruncated"] and first["MaxParts"] == 1 and first["TotalPartsCount"] == 2
    marker = first["NextPartNumberMarker"]
    second = ask(s3, bucket, ["ObjectParts"], MaxParts=1, PartNumberMarker=marker)["ObjectParts"]
    assert [p["PartNumber"] for p in second["Parts"]] == [2]
    assert not second["IsTruncated"] and second["PartNumberMarker"] == marker == 1
    none = ask(s3, bucket, ["ObjectParts"], PartNumberMarker=2)["ObjectParts"]
    assert "Parts" not in none and none["TotalPartsCount"] == 2


def test_full_object_checksums_list_no_parts(s3, bucket):
    in_parts(s3, bucket, "CRC64NVME")
    got = ask(s3, bucket)
    assert got["Checksum"]["ChecksumCRC64NVME"] == checksum("CRC64NVME", FIRST + SECOND)
    assert got["ObjectParts"]["TotalPartsCount"] == 2 and "Parts" not in got["ObjectParts"]
    in_parts(s3, bucket, "CRC32", ChecksumType="FULL_OBJECT")
    got = ask(s3, bucket)
    assert got["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    assert got["ObjectParts"]["TotalPartsCount"] == 2 and "Parts" not in got["ObjectParts"]


def test_copy_of_parts_is_one(s3, bucket):
    in_parts(s3, bucket, "SHA256")
    s3.copy_object(Bucket=bucket, Key="k2", CopySource={"Bucket": bucket, "Key": "k"})
    got = s3.get_object_attributes(Bucket=bucket, Key="k2", ObjectAttributes=ALL)
    assert "ObjectParts" not in got and got["Checksum"]["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("attributes,code", [
    (None, "InvalidRequest"), ("", "InvalidRequest"), ("etag", "InvalidArgument"),
    ("ETag,Owner", "InvalidArgument"), ("ETag,", "InvalidArgument"),
])
def test_attributes_that_are_none(raw, s3, bucket, attributes, code):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    headers = {} if attributes is None else {"x-amz-object-attributes": attributes}
    answer = raw.request("GET", f"/{bucket}/k?attributes", headers=headers)
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize("name", ["x-amz-max-parts", "x-amz-part-number-marker"])
@pytest.mark.parametrize("value", ["-1", "x", "", "1.5", "2147483648", "+1"])
def test_pages_that_are_none(raw, s3, bucket, name, value):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    headers = {"x-amz-object-attributes": "ObjectParts", name: value}
    answer = raw.request("GET", f"/{bucket}/k?attributes", headers=headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_headers_that_choose_an_encryption_are_refused(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    headers = {"x-amz-object-attributes": "ETag", "x-amz-server-side-encryption": "AES256"}
    answer = raw.request("GET", f"/{bucket}/k?attributes", headers=headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_missing_objects_and_versions(s3, bucket):
    with refused("NoSuchKey", 404):
        ask(s3, bucket)
    with refused("NoSuchBucket", 404):
        ask(s3, bucket + "x")


def test_sec_n68_sse_c_wants_its_key(s3, bucket):
    key = CustomerKey()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **key.boto())
    assert ask(s3, bucket, **whole(key))["ObjectSize"] == 1
    for attributes in (ALL, ["ETag"]):
        with refused("InvalidRequest", 400):
            ask(s3, bucket, attributes)
        with refused("AccessDenied", 403):
            ask(s3, bucket, attributes, **whole(CustomerKey()))
    with refused("InvalidArgument", 400):
        ask(s3, bucket, SSECustomerAlgorithm="AES256")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("InvalidRequest", 400):
        ask(s3, bucket, **whole(key))


def test_s2_4_only_checksums_need_the_key_of_kms(s3, bucket, kms):
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    write = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    in_parts(s3, bucket, "SHA256", write)
    kms.disable_key(KeyId=key)
    assert ask(s3, bucket, ["ETag", "ObjectSize", "StorageClass"])["ObjectSize"] == len(FIRST) + 1000
    for attribute in ("Checksum", "ObjectParts"):
        with refused("KMS.DisabledException", 400):
            ask(s3, bucket, [attribute])


@pytest.mark.parametrize("actions,allowed", [
    (["s3:GetObject", "s3:GetObjectAttributes"], True),
    (["s3:GetObject", "s3:ListBucket"], False),
    (["s3:GetObjectAttributes", "s3:ListBucket"], False),
    (["s3:GetObject", "s3:GetObjectVersionAttributes"], False),
])
def test_needs_both_permissions(server, s3, bucket, tmp_path, actions, allowed):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    name = f"reader-{uuid.uuid4().hex[:8]}"
    out = server.command("user", "add", name, "--policy", policy).stdout
    found = dict(re.findall(r"^(AWS_[A-Z_]+)=(\S+)$", out, re.M))
    credential = found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
    client = s3_client(server, credential=credential)
    if allowed:
        assert ask(client, bucket)["ObjectSize"] == 1
    else:
        with refused("AccessDenied", 403):
            ask(client, bucket)
