# SPDX-License-Identifier: Apache-2.0
"""UpdateObjectEncryption: another KMS key around an object's key, and its bytes stay where they are."""

import base64
import hashlib
import json
import uuid

import pytest

import clients
import sse
from clients import CustomerKey, bucket_name, noise, read, refused
from drive_watch import DriveWatch, moved, rows
from rawhttp import Client
from strongroom import ACCOUNT, REGION

MIB = 1 << 20
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
ABSENT = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11112222-3333-4444-8555-666677778888"


def target(key, **more):
    return {"ObjectEncryption": {"SSEKMS": {"KMSKeyArn": key} | more}}


def document(inner):
    return f'<ObjectEncryption xmlns="{NAMESPACE}">{inner}</ObjectEncryption>'.encode()


def to_key(key, rest=""):
    return document(f"<SSE-KMS><KMSKeyArn>{key}</KMSKeyArn>{rest}</SSE-KMS>")


def md5(body):
    return {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}


def facts(s3, bucket, key):
    """What may not change."""
    got = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    sums = {name: value for name, value in got.items() if name.startswith("Checksum")}
    return (read(got), got["ETag"], got["LastModified"], got["Metadata"], got["ContentType"],
            got.get("PartsCount"), sums)


def mode(s3, bucket, key):
    head = s3.head_object(Bucket=bucket, Key=key)
    return head["ServerSideEncryption"], head.get("SSEKMSKeyId")


@pytest.fixture(scope="module")
def keys(kms):
    return [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]


@pytest.fixture
def place(s3, bucket):
    """An object under SSE-S3."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", Metadata={"a": "1"})
    return {"Bucket": bucket, "Key": "k"}


@pytest.mark.parametrize("size", [0, 1, 20_000, 3 * MIB])
def test_sse_s3_to_kms_and_on_to_another_key(s3, bucket, keys, size):
    data = noise(size, 3)
    s3.put_object(Bucket=bucket, Key="k", Body=data, Metadata={"a": "1"},
                  ContentType="text/x", ChecksumAlgorithm="SHA256")
    before = facts(s3, bucket, "k")
    assert before[0] == data and mode(s3, bucket, "k") == ("AES256", None)
    for key in [keys[0], keys[1], keys[0], keys[0]]:
        answer = s3.update_object_encryption(Bucket=bucket, Key="k", **target(key))
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert mode(s3, bucket, "k") == ("aws:kms", key)
        assert facts(s3, bucket, "k") == before
        if size:
            part = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={size - 1}-{size - 1}")
            assert read(part) == data[-1:]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    assert read(s3.get_object(Bucket=bucket, Key="copy")) == data


def test_answer_is_empty_and_versions_are_named_null(raw, s3, place, keys):
    for query in ["encryption", "encryption=", "encryption&versionId=null"]:
        body = to_key(keys[0], "<BucketKeyEnabled>false</BucketKeyEnabled>")
        answer = raw.request("PUT", f"/{place['Bucket']}/k?{query}", body, md5(body))
        assert (answer.status, answer.body) == (200, b""), answer.body
        assert not [name for name in dict(answer.headers) if "server-side" in name.lower()]
    assert read(s3.get_object(**place)) == b"data"


def test_context_of_the_caller_stays(server, s3, kms, bucket, keys):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms",
                  SSEKMSKeyId=keys[0], SSEKMSEncryptionContext=sse.encoded({"project": "e2e"}))
    s3.update_object_encryption(Bucket=bucket, Key="k", **target(keys[1]))
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"
    events = [e for e in server.audit() if f"arn:aws:s3:::{bucket}/k" in json.dumps(e)]
    opened = [e for e in events if e["eventName"] == "Decrypt"][-1]
    assert opened["resources"][0]["ARN"] == keys[1]
    assert opened["requestParameters"]["encryptionContext"] == {
        "project": "e2e", "aws:s3:arn": f"arn:aws:s3:::{bucket}/k",
    }


def test_audit_says_what_was_done(server, s3, place, keys):
    s3.update_object_encryption(**place, **target(keys[0]))
    s3.update_object_encryption(**place, **target(keys[1]))
    events = [e for e in server.audit() if f"arn:aws:s3:::{place['Bucket']}/k" in json.dumps(e)]
    names = [e["eventName"] for e in events]
    assert names[-5:] == [
        "GenerateDataKey", "UpdateObjectEncryption",
        "Decrypt", "GenerateDataKey", "UpdateObjectEncryption",
    ]
    last, made = events[-1], events[-2]
    assert (last["eventCategory"], last["readOnly"]) == ("Data", False)
    assert last["requestParameters"]["ObjectEncryption"] == {
        "SSE-KMS": {"KMSKeyArn": keys[1], "BucketKeyEnabled": False},
    }
    assert last["additionalEventData"]["SSEApplied"] == "SSE_KMS"
    assert made["resources"][0]["ARN"] == keys[1]
    with refused("KMS.NotFoundException", 400):
        s3.update_object_encryption(**place, **target(ABSENT))
    last = server.audit()[-1]
    assert last["eventName"] == "UpdateObjectEncryption"
    assert last["errorCode"] == "KMS.NotFoundException"


def test_large_object_of_parts_is_not_moved(make_server):
    """48 MiB: the files stay as they are, and the server, one of its own that has little else to do,
    reads and writes a part of that at most."""
    server = make_server()
    s3, kms = clients.s3(server), clients.kms(server)
    keys = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    pieces = [noise(8 * MIB, n) for n in range(6)]
    where = {"Bucket": clients.make_bucket(s3), "Key": "k"}
    upload = where | {"UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=piece, **upload)["ETag"]}
        for n, piece in enumerate(pieces, 1)
    ]
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    before, etag = server.blobs(), s3.head_object(**where)["ETag"]
    assert sum(size for _, _, size in before.values()) >= 48 * MIB
    watch, moved_before = DriveWatch(server), moved(server)
    for key in keys:
        s3.update_object_encryption(**where, **target(key))
    read_bytes, written = (b - a for a, b in zip(moved_before, moved(server)))
    assert read_bytes < 12 * MIB and written < 12 * MIB
    assert not server.blobs().items() - before.items()
    assert rows(watch.added()) < MIB
    got = s3.get_object(**where)
    assert (got["ETag"], got["SSEKMSKeyId"]) == (etag, keys[1])
    assert read(got) == b"".join(pieces)
    for n, piece in enumerate(pieces, 1):
        assert read(s3.get_object(PartNumber=n, **where)) == piece
    assert read(s3.get_object(Range="bytes=8388600-8388615", **where)) == \
        pieces[0][-8:] + pieces[1][:8]


def test_survives_a_restart(make_server):
    server = make_server()
    s3, kms = clients.s3(server), clients.kms(server)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="b-restart")
    s3.put_object(Bucket="b-restart", Key="k", Body=b"data")
    before = facts(s3, "b-restart", "k")
    s3.update_object_encryption(Bucket="b-restart", Key="k", **target(key))
    server.kill()
    server.start()
    s3 = clients.s3(server)
    assert mode(s3, "b-restart", "k") == ("aws:kms", key)
    assert facts(s3, "b-restart", "k") == before


def test_key_rules_the_object_from_then_on(s3, kms, place):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.update_object_encryption(**place, **target(key))
    kms.disable_key(KeyId=key)
    with refused("KMS.DisabledException", 400):
        s3.get_object(**place)
    with refused("KMS.DisabledException", 400):
        s3.update_object_encryption(**place, **target(key))
    kms.enable_key(KeyId=key)
    assert read(s3.get_object(**place)) == b"data"


# ---- refusals -----------------------------------------------------------------------------------


ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}"
KEY_ID = ABSENT.rsplit("/")[-1]
DOCUMENTS = [
    (b"", "MalformedXML"),
    (b"data", "MalformedXML"),
    (b"<ObjectEncryption>", "MalformedXML"),
    (b"<Other/>", "MalformedXML"),
    (document("<Other/>"), "MalformedXML"),
    (document("text"), "MalformedXML"),
    (to_key(ABSENT, "<Other/>"), "MalformedXML"),
    (to_key(ABSENT, f"<KMSKeyArn>{ABSENT}</KMSKeyArn>"), "MalformedXML"),
    (b"<!DOCTYPE a [<!ENTITY b \"c\">]>" + to_key("&b;"), "MalformedXML"),
    (document(""), "InvalidRequest"),
    (document("<SSE-S3/>"), "InvalidRequest"),
    (document("<SSE-C/>"), "InvalidRequest"),
    (document(f"<DSSE-KMS><KMSKeyArn>{ABSENT}</KMSKeyArn></DSSE-KMS>"), "InvalidRequest"),
    (document("<SSE-KMS/>"), "InvalidRequest"),
    (document("<SSE-KMS><BucketKeyEnabled>false</BucketKeyEnabled></SSE-KMS>"), "InvalidRequest"),
    (to_key(""), "InvalidRequest"),
    (to_key(KEY_ID), "InvalidRequest"),
    (to_key("alias/aws/s3"), "InvalidRequest"),
    (to_key(f"{ARN}:alias/a"), "InvalidRequest"),
    (to_key(f"{ARN}:key/"), "InvalidRequest"),
    (to_key(f" {ABSENT}"), "InvalidRequest"),
    (to_key(ABSENT + "a" * 2048), "InvalidRequest"),
    (to_key(ABSENT.replace("kms", "s3")), "InvalidRequest"),
    (to_key(ABSENT, "<BucketKeyEnabled>yes</BucketKeyEnabled>"), "InvalidRequest"),
    (to_key(ABSENT, "<BucketKeyEnabled/>"), "InvalidRequest"),
]


@pytest.mark.parametrize("row", range(len(DOCUMENTS)))
def test_sec_n71_documents(raw, s3, place, row):
    body, code = DOCUMENTS[row]
    answer = raw.request("PUT", f"/{place['Bucket']}/k?encryption", body, md5(body))
    assert (answer.status, answer.code) == (400, code)
    # It never falls through to PutObject, which would store the document.
    assert read(s3.get_object(**place)) == b"data"
    assert mode(s3, **{"bucket": place["Bucket"], "key": "k"}) == ("AES256", None)


@pytest.mark.parametrize("key,code,status", [
    (ABSENT, "KMS.NotFoundException", 400),
    (f"{ARN}:key/not-a-uuid", "KMS.NotFoundException", 400),
    (ABSENT.replace(REGION, "eu-central-9"), "KMS.NotFoundException", 400),
    (ABSENT.replace(ACCOUNT, "999999999999"), "AccessDenied", 403),
    ("disabled", "KMS.DisabledException", 400),
    ("pending", "KMS.KMSInvalidStateException", 400),
    ("hmac", "KMS.InvalidKeyUsageException", 400),
    ("rsa", "KMS.InvalidKeyUsageException", 400),
])
def test_sec_n71_keys(s3, kms, place, key, code, status):
    specs = {"hmac": {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
             "rsa": {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}}
    if ":" not in key:
        kind, key = key, kms.create_key(**specs.get(key, {}))["KeyMetadata"]["Arn"]
        if kind == "disabled":
            kms.disable_key(KeyId=key)
        if kind == "pending":
            kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    with refused(code, status):
        s3.update_object_encryption(**place, **target(key))
    assert mode(s3, place["Bucket"], "k") == ("AES256", None)
    assert read(s3.get_object(**place)) == b"data"


@pytest.mark.parametrize("size", [0, 20_000, 3 * MIB])
def test_bucket_keys_come_and_go(s3, bucket, keys, size):
    data = noise(size, 5)
    s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm="CRC32")
    before = facts(s3, bucket, "k")
    for key, wish in [(keys[0], True), (keys[0], False), (keys[0], True), (keys[1], True),
                      (keys[1], None), (keys[1], None)]:
        more = {} if wish is None else {"BucketKeyEnabled": wish}
        s3.update_object_encryption(Bucket=bucket, Key="k", **target(key, **more))
        assert mode(s3, bucket, "k") == ("aws:kms", key)
        assert s3.head_object(Bucket=bucket, Key="k").get("BucketKeyEnabled") == (wish or None)
        assert facts(s3, bucket, "k") == before


def test_sec_n71_with_a_bucket_key_policies_compare_the_arn_of_the_bucket(s3, bucket, keys, person):
    """Both keys are asked: the one of now with the context of now, the other with the one to be."""
    name = "kms:EncryptionContext:aws:s3:arn"
    of_bucket, of_object = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/k"
    by_bucket = person(allow(*S3_RIGHTS), allow(
        *KMS_RIGHTS, Condition={"StringEquals": {name: of_bucket}}))
    by_object = person(allow(*S3_RIGHTS), allow(
        *KMS_RIGHTS, Condition={"StringEquals": {name: of_object}}))
    by_both = person(allow(*S3_RIGHTS), allow(
        *KMS_RIGHTS, Condition={"StringEquals": {name: [of_bucket, of_object]}}))
    with_bucket_key, without = target(keys[1], BucketKeyEnabled=True), target(keys[1])
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    with refused("AccessDenied", 403):
        by_object.update_object_encryption(Bucket=bucket, Key="k", **with_bucket_key)
    with refused("AccessDenied", 403):
        by_bucket.update_object_encryption(Bucket=bucket, Key="k", **without)
    assert mode(s3, bucket, "k") == ("AES256", None)
    by_bucket.update_object_encryption(Bucket=bucket, Key="k", **with_bucket_key)
    for one in (by_object, by_bucket):
        with refused("AccessDenied", 403):
            one.update_object_encryption(Bucket=bucket, Key="k", **without)
    assert s3.head_object(Bucket=bucket, Key="k")["BucketKeyEnabled"] is True
    by_both.update_object_encryption(Bucket=bucket, Key="k", **without)
    assert "BucketKeyEnabled" not in s3.head_object(Bucket=bucket, Key="k")
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"data"


@pytest.mark.sse_c
def test_sec_n71_customer_key_sources(s3, bucket, keys):
    customer = CustomerKey()
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", **customer.boto())
    with refused("InvalidRequest", 400):
        s3.update_object_encryption(Bucket=bucket, Key="k", **target(keys[0]))
    got = s3.get_object(Bucket=bucket, Key="k", **customer.boto())
    assert read(got) == b"data" and "SSEKMSKeyId" not in got


def test_sec_n71_what_is_not_there(s3, bucket, place, keys):
    with refused("NoSuchKey", 404):
        s3.update_object_encryption(Bucket=bucket, Key="other", **target(keys[0]))
    with refused("NoSuchBucket", 404):
        s3.update_object_encryption(Bucket=bucket_name("no"), Key="k", **target(keys[0]))
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    elsewhere = s3.put_object(Bucket=bucket, Key="elsewhere", Body=b"x")["VersionId"]
    with refused("NoSuchVersion", 404):
        s3.update_object_encryption(VersionId=elsewhere, **place, **target(keys[0]))
    for malformed in ("", "x", "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY", elsewhere + "A"):
        with refused("InvalidArgument", 400):
            s3.update_object_encryption(VersionId=malformed, **place, **target(keys[0]))


@pytest.mark.parametrize("headers", [
    {}, {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, {"content-md5": "x"},
    {"x-amz-checksum-crc32": "AAAAAA=="}, {"x-amz-sdk-checksum-algorithm": "CRC32"},
])
def test_sec_n71_checksum_is_required_and_checked(raw, s3, place, keys, headers):
    answer = raw.request("PUT", f"/{place['Bucket']}/k?encryption", to_key(keys[0]), headers)
    assert answer.status == 400, answer.body
    assert answer.code in ("InvalidRequest", "BadDigest", "InvalidDigest")
    assert mode(s3, place["Bucket"], "k") == ("AES256", None)


@pytest.mark.parametrize("headers", [
    {"x-amz-server-side-encryption": "aws:kms"}, {"x-amz-server-side-encryption": "AES256"},
    {"x-amz-server-side-encryption-bucket-key-enabled": "true"}, CustomerKey().headers(),
    {"x-amz-copy-source": "/a/b"},
])
def test_sec_n71_headers_of_other_operations(raw, s3, place, keys, headers):
    body = to_key(keys[0])
    answer = raw.request("PUT", f"/{place['Bucket']}/k?encryption", body, md5(body) | headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert read(s3.get_object(**place)) == b"data"


@pytest.mark.parametrize("query", [
    "encryption&uploadId=u", "encryption&partNumber=1&uploadId=u", "encryption&tagging",
    "encryption&acl", "Encryption", "encryption&delete",
])
def test_sec_n71_other_sub_resources_beside_it(raw, s3, place, keys, query):
    body = to_key(keys[0])
    answer = raw.request("PUT", f"/{place['Bucket']}/k?{query}", body, md5(body))
    assert answer.status == 501
    assert read(s3.get_object(**place)) == b"data"
    assert mode(s3, place["Bucket"], "k") == ("AES256", None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
def test_sec_n71_other_methods(raw, s3, place, method):
    assert raw.request(method, f"/{place['Bucket']}/k?encryption").status == 501
    assert read(s3.get_object(**place)) == b"data"


def test_sec_n71_plain_http(raw_http, s3, place, keys):
    body = to_key(keys[0])
    answer = raw_http.request("PUT", f"/{place['Bucket']}/k?encryption", body, md5(body))
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert b"secure connection" in answer.body
    assert mode(s3, place["Bucket"], "k") == ("AES256", None)


def test_sec_n71_signature(raw, s3, place, keys):
    body = to_key(keys[0])
    answer = raw.request("PUT", f"/{place['Bucket']}/k?encryption", body, md5(body),
                         raw_body=to_key(keys[1]))
    assert answer.status == 400
    key_id, _ = raw.server.credential
    answer = Client(raw.server, credential=(key_id, "x" * 40)).request(
        "PUT", f"/{place['Bucket']}/k?encryption", body, md5(body))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert mode(s3, place["Bucket"], "k") == ("AES256", None)


# ---- permissions --------------------------------------------------------------------------------


class Person:
    """A user with an identity policy."""

    def __init__(self, server, *statements):
        self.server, self.name = server, f"u-{uuid.uuid4().hex[:12]}"
        self.arn = f"arn:aws:iam::{ACCOUNT}:user/{self.name}"
        path = server.base / f"{self.name}.json"
        path.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
        out = server.command("user", "add", self.name, "--policy", str(path)).stdout
        found = dict(line.split("=", 1) for line in out.splitlines() if line.startswith("AWS_"))
        credential = found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
        self.s3 = clients.s3(server, credential=credential)


@pytest.fixture
def person(server):
    made = []

    def make(*statements):
        made.append(Person(server, *statements))
        return made[-1].s3

    yield make
    for one in made:
        server.command("user", "remove", one.name, check=False)


def allow(*actions, **more):
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"} | more


def deny(action, **more):
    return {"Effect": "Deny", "Action": action, "Resource": "*"} | more


S3_RIGHTS = ["s3:PutObject", "s3:UpdateObjectEncryption"]
KMS_RIGHTS = ["kms:GenerateDataKey", "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*"]


def test_sec_n71_exactly_these_rights(s3, bucket, keys, person):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ServerSideEncryption="aws:kms",
                  SSEKMSKeyId=keys[0])
    one = person(allow(*S3_RIGHTS, *KMS_RIGHTS))
    one.update_object_encryption(Bucket=bucket, Key="k", **target(keys[1]))
    assert mode(s3, bucket, "k") == ("aws:kms", keys[1])


@pytest.mark.parametrize("missing", [*S3_RIGHTS, *KMS_RIGHTS])
def test_sec_n71_a_right_that_is_missing(s3, bucket, keys, person, missing):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ServerSideEncryption="aws:kms",
                  SSEKMSKeyId=keys[0])
    one = person(allow(*[right for right in S3_RIGHTS + KMS_RIGHTS if right != missing]))
    with refused("AccessDenied", 403):
        one.update_object_encryption(Bucket=bucket, Key="k", **target(keys[1]))
    assert mode(s3, bucket, "k") == ("aws:kms", keys[0])


@pytest.mark.parametrize("side,action", [
    (0, "kms:Decrypt"), (0, "kms:ReEncryptFrom"),
    (1, "kms:GenerateDataKey"), (1, "kms:Encrypt"), (1, "kms:ReEncryptTo"),
])
@pytest.mark.parametrize("by", ["identity", "key"])
def test_sec_n71_denied_on_either_key(server, s3, kms, bucket, person, side, action, by):
    pair = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ServerSideEncryption="aws:kms",
                  SSEKMSKeyId=pair[0])
    rights = [allow(*S3_RIGHTS, *KMS_RIGHTS)]
    if by == "identity":
        rights.append(deny(action, Resource=pair[side]))
    one = person(*rights)
    if by == "key":
        policy = json.loads(kms.get_key_policy(KeyId=pair[side])["Policy"])
        policy["Statement"].append(deny(action, Principal="*"))
        kms.put_key_policy(KeyId=pair[side], Policy=json.dumps(policy))
    with refused("AccessDenied", 403):
        one.update_object_encryption(Bucket=bucket, Key="k", **target(pair[1]))
    assert mode(s3, bucket, "k") == ("aws:kms", pair[0])
    # Refusals are on the drive before their answer.
    refused_ones = [e for e in server.audit(settle=False) if f"arn:aws:s3:::{bucket}/k" in json.dumps(e)
                    and "errorCode" in e]
    assert refused_ones[-1]["eventName"] == "UpdateObjectEncryption"
    refusal = [e for e in refused_ones if e["eventSource"] == "kms.amazonaws.com"][-1]
    assert refusal["errorCode"] == "AccessDenied"


def test_sec_n71_rights_on_the_source_are_not_asked_for_sse_s3(s3, place, keys, person):
    one = person(allow(*S3_RIGHTS, "kms:GenerateDataKey", "kms:Encrypt", "kms:ReEncryptTo"))
    one.update_object_encryption(**place, **target(keys[0]))
    assert mode(s3, place["Bucket"], "k") == ("aws:kms", keys[0])


def test_conditions_see_the_mode_and_the_key_of_the_document(s3, place, keys, person):
    key = "s3:x-amz-server-side-encryption-aws-kms-key-id"
    one = person(
        allow(*S3_RIGHTS, *KMS_RIGHTS),
        deny("s3:PutObject", Condition={"Null": {"s3:x-amz-server-side-encryption": "true"}}),
        deny("s3:UpdateObjectEncryption", Condition={"StringNotEquals": {key: keys[0]}}),
    )
    with refused("AccessDenied", 403):
        one.update_object_encryption(**place, **target(keys[1]))
    one.update_object_encryption(**place, **target(keys[0]))
    assert mode(s3, place["Bucket"], "k") == ("aws:kms", keys[0])


def test_sec_n71_absence_is_hidden_from_who_may_not_list(bucket, keys, person):
    one = person(allow(*S3_RIGHTS, *KMS_RIGHTS))
    with refused("AccessDenied", 403):
        one.update_object_encryption(Bucket=bucket, Key="absent", **target(keys[0]))
