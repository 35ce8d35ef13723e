# SPDX-License-Identifier: Apache-2.0
"""S3 Bucket Keys: the header, how seldom the KMS key is used, and that it is still in charge."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import clients
from clients import bucket_name, empty_and_delete, headers_of, noise, read
from sse import BK, C_ALG, CTX, KID, SSE

GETS = 10_000
THREADS = 8
# Of a bucket key in memory.
LIFE_SECONDS = 300


@pytest.fixture
def key(kms):
    return kms.create_key(Description="bucket keys")["KeyMetadata"]


@pytest.fixture(scope="module")
def other_bucket(s3):
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    yield name
    empty_and_delete(s3, name)


def with_bucket_key(key, **more):
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key["KeyId"],
            "BucketKeyEnabled": True} | more


def says_so(answer, key):
    """The answer says that the object has a bucket key, and from which KMS key."""
    headers = headers_of(answer)
    assert (headers[SSE], headers[KID], headers[BK]) == ("aws:kms", key["Arn"], "true")


def uses(server, key):
    """Uses of a KMS key in the audit log, refused ones too."""
    return [event for event in server.audit() if key["Arn"] in json.dumps(event)
            and event["eventName"] in ("GenerateDataKey", "Decrypt")]


def test_5_every_answer_says_that_there_is_a_bucket_key(s3, bucket, key):
    says_so(s3.put_object(Bucket=bucket, Key="k", Body=b"text", **with_bucket_key(key)), key)
    says_so(s3.get_object(Bucket=bucket, Key="k"), key)
    says_so(s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-2"), key)
    says_so(s3.head_object(Bucket=bucket, Key="k"), key)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", **with_bucket_key(key))
    says_so(upload, key)
    where = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    part = s3.upload_part(PartNumber=1, Body=noise(5 << 20), **where)
    says_so(part, key)
    copied = s3.upload_part_copy(PartNumber=2, CopySource=f"{bucket}/k", **where)
    says_so(copied, key)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]},
             {"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]}]
    says_so(s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **where), key)
    says_so(s3.head_object(Bucket=bucket, Key="m"), key)
    assert read(s3.get_object(Bucket=bucket, Key="m")) == noise(5 << 20) + b"text"
    says_so(s3.get_object(Bucket=bucket, Key="m", PartNumber=2), key)


def test_5_a_copy_does_as_the_request_says_not_as_the_source(s3, bucket, other_bucket, key):
    s3.put_object(Bucket=bucket, Key="with", Body=b"text", **with_bucket_key(key))
    source = {"CopySource": f"{bucket}/with", "Bucket": other_bucket}
    without = s3.copy_object(Key="without", ServerSideEncryption="aws:kms", SSEKMSKeyId=key["KeyId"], **source)
    assert BK not in headers_of(without)
    says_so(s3.copy_object(Key="with", **with_bucket_key(key), **source), key)
    plain = s3.copy_object(Key="plain", **source)
    assert headers_of(plain)[SSE] == "AES256" and BK not in headers_of(plain)
    for name in ("without", "with", "plain"):
        assert read(s3.get_object(Bucket=other_bucket, Key=name)) == b"text"
    assert BK not in headers_of(s3.head_object(Bucket=other_bucket, Key="without"))


@pytest.mark.parametrize("headers", [
    {BK: "true"}, {SSE: "AES256", BK: "true"}, {SSE: "aws:kms", BK: "false"}, {SSE: "aws:kms"},
])
def test_5_no_bucket_key_where_none_was_asked_for(raw, bucket, headers):
    """Never for SSE-S3, and not for SSE-KMS unless it is asked for."""
    put = raw.request("PUT", f"/{bucket}/k", b"x", headers)
    got = raw.request("GET", f"/{bucket}/k")
    assert (put.status, got.status) == (200, 200)
    assert BK not in {name.lower() for name in (*put.headers, *got.headers)}


@pytest.mark.sse_c
def test_5_no_bucket_key_for_customer_keys(s3, bucket):
    customer = clients.CustomerKey()
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", BucketKeyEnabled=True, **customer.boto())
    assert headers_of(put)[C_ALG] == "AES256" and BK not in headers_of(put)


def test_5_audit_names_the_bucket_and_the_pairs_of_the_caller(server, s3, bucket, key):
    context = base64.b64encode(json.dumps({"project": "x"}).encode()).decode()
    more = with_bucket_key(key, SSEKMSEncryptionContext=context)
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", **more)
    assert json.loads(base64.b64decode(headers_of(put)[CTX])) == {"project": "x"}
    s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    events = uses(server, key)
    assert [event["eventName"] for event in events] == ["GenerateDataKey", "Decrypt"]
    for event in events:
        told = event["requestParameters"]["encryptionContext"]
        assert told == {"aws:s3:arn": f"arn:aws:s3:::{bucket}", "project": "x"}
    shown = json.loads(server.command("inspect", "object", f"s3://{bucket}/k").stdout)
    assert shown["encryption"]["bucket_key"] is True
    assert shown["encryption"]["kms_key_arn"] == key["Arn"]
    impact = server.command("kms", "impact", key["KeyId"]).stdout
    assert bucket in impact


@pytest.mark.parametrize("arn,status", [("", 200), ("/k", 400), ("x", 400)])
def test_5_the_arn_of_a_context_is_that_of_the_bucket(raw, bucket, arn, status):
    context = json.dumps({"aws:s3:arn": f"arn:aws:s3:::{bucket}{arn}"}).encode()
    headers = {SSE: "aws:kms", BK: "true", CTX: base64.b64encode(context).decode()}
    assert raw.request("PUT", f"/{bucket}/k", b"x", headers).status == status


def test_5_many_reads_are_few_uses_and_a_disabled_key_stops_the_next(server, s3, kms, bucket, key):
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=str(number), Body=b"%d" % number, **with_bucket_key(key))

    def get(number):
        name = number % 20
        assert read(s3.get_object(Bucket=bucket, Key=str(name))) == b"%d" % name

    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(get, range(GETS)):
            pass
    found = uses(server, key)
    # All readers may find at once that there is none, at first and whenever one ends.
    lives = 1 + (time.monotonic() - began) // LIFE_SECONDS
    assert 0 < len(found) <= (THREADS + 2) * lives
    assert {event["eventName"] for event in found} == {"GenerateDataKey", "Decrypt"}
    kms.disable_key(KeyId=key["KeyId"])
    with clients.refused("KMS.DisabledException", 400):
        s3.get_object(Bucket=bucket, Key="1")
    with clients.refused("KMS.DisabledException", 400):
        s3.put_object(Bucket=bucket, Key="new", Body=b"x", **with_bucket_key(key))
    assert len(uses(server, key)) == len(found) + 2
    kms.enable_key(KeyId=key["KeyId"])
    get(1)


def test_5_verify_and_rewrap_know_such_objects(make_server):
    server = make_server()
    s3, kms = clients.s3(server), clients.kms(server)
    key = kms.create_key()["KeyMetadata"]
    s3.create_bucket(Bucket="own")
    for size in (0, 10, 300_000):
        s3.put_object(Bucket="own", Key=str(size), Body=noise(size), **with_bucket_key(key))
    assert server.command("verify").returncode == 0
    server.command("rewrap")
    for size in (0, 10, 300_000):
        assert read(s3.get_object(Bucket="own", Key=str(size))) == noise(size)
    server.restart()
    s3 = clients.s3(server)
    for size in (0, 10, 300_000):
        assert read(s3.get_object(Bucket="own", Key=str(size))) == noise(size)
