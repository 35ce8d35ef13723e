# SPDX-License-Identifier: Apache-2.0
"""Bucket default encryption: the rule, what it does to each way of writing, and what it blocks."""

import base64
import hashlib
import html
import json

import pytest

import leaks
from clients import (
    CustomerKey, allow_sse_c, empty_and_delete, headers_of, make_bucket, noise, read, refused,
)
from rawhttp import Client
from sse import BK, C_ALG, KID, SSE, default_key_arn
from strongroom import ACCOUNT, REGION

MALFORMED = "The XML you provided was not well-formed or did not validate against our published schema"
ABSENT = "00000000-1111-2222-3333-444444444444"
NONE = {"EncryptionType": ["NONE"]}
SSE_C = {"EncryptionType": ["SSE-C"]}


def rule(algorithm="aws:kms", key=None, bucket_key=None, blocked=None):
    default = {"SSEAlgorithm": algorithm} | ({"KMSMasterKeyID": key} if key else {})
    out = {"ApplyServerSideEncryptionByDefault": default}
    if bucket_key is not None:
        out["BucketKeyEnabled"] = bucket_key
    if blocked is not None:
        out["BlockedEncryptionTypes"] = blocked
    return out


def put(s3, bucket, *rules):
    s3.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": list(rules)}
    )


def get(s3, bucket):
    found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert len(found) == 1
    return found[0]


def put_raw(raw, bucket, document, headers=None):
    body = document.encode() if isinstance(document, str) else document
    if headers is None:
        headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    return raw.request("PUT", f"/{bucket}?encryption", body, headers)


def document(inner):
    name = "ServerSideEncryptionConfiguration"
    return f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{name}>'


def default(inner):
    return f"<ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault>"


NEW = rule("AES256", bucket_key=False, blocked=SSE_C)


# ---- the rule itself ----


def test_a_new_bucket_has_a_rule(s3, bucket):
    assert get(s3, bucket) == NEW


def test_what_was_put_is_got(s3, bucket, kms_key):
    for key in (None, kms_key["id"], kms_key["arn"], kms_key["alias"], kms_key["alias_arn"], ABSENT,
                "no such <key> & none like it"):
        for bucket_key in (True, False):
            put(s3, bucket, rule("aws:kms", key, bucket_key, SSE_C))
            assert get(s3, bucket) == rule("aws:kms", key, bucket_key, SSE_C)
    put(s3, bucket, rule("aws:kms:dsse", kms_key["id"]))
    assert get(s3, bucket) == rule("aws:kms:dsse", kms_key["id"], False, SSE_C)
    put(s3, bucket, rule("AES256", bucket_key=True, blocked=NONE))
    assert get(s3, bucket) == rule("AES256", None, True, NONE)


def test_a_rule_without_the_block_leaves_the_block(s3, bucket):
    put(s3, bucket, rule("AES256", blocked=SSE_C))
    put(s3, bucket, rule("aws:kms"))
    assert get(s3, bucket)["BlockedEncryptionTypes"] == SSE_C
    put(s3, bucket, {"BlockedEncryptionTypes": NONE})
    assert get(s3, bucket) == rule("AES256", bucket_key=False, blocked=NONE)
    put(s3, bucket, rule("aws:kms"))
    assert get(s3, bucket)["BlockedEncryptionTypes"] == NONE


@pytest.mark.parametrize("first", ["no rule", "rule without the block"])
def test_new_buckets_block_customer_keys_until_they_are_told(s3, raw, bucket, first):
    key = CustomerKey()
    if first != "no rule":
        put(s3, bucket, rule("AES256"))
    assert get(s3, bucket)["BlockedEncryptionTypes"] == SSE_C
    is_blocked(raw.request("PUT", f"/{bucket}/k", b"x", key.headers()), bucket, "k")
    allow_sse_c(s3, bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **key.boto())
    # Back to what a new bucket does; what is there stays readable.
    s3.delete_bucket_encryption(Bucket=bucket)
    is_blocked(raw.request("PUT", f"/{bucket}/k", b"y", key.headers()), bucket, "k")
    assert read(s3.get_object(Bucket=bucket, Key="k", **key.boto())) == b"x"


def test_delete_resets_and_can_be_repeated(s3, bucket, kms_key):
    put(s3, bucket, rule("aws:kms", kms_key["id"], True, NONE))
    for _ in range(2):
        answer = s3.delete_bucket_encryption(Bucket=bucket)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert get(s3, bucket) == NEW
    # The bucket itself is still there, and so is what is in it.
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_bucket_encryption(Bucket=bucket)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


def test_a_bucket_made_again_has_a_new_rule(s3, bucket, kms_key):
    put(s3, bucket, rule("aws:kms", kms_key["id"], True, NONE))
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert get(s3, bucket) == NEW


def test_the_rule_survives_a_restart(make_server):
    from clients import s3 as client
    server = make_server()
    s3 = client(server)
    s3.create_bucket(Bucket="kept")
    put(s3, "kept", rule("aws:kms", ABSENT, True, SSE_C))
    server.stop()
    server.start()
    assert get(client(server), "kept") == rule("aws:kms", ABSENT, True, SSE_C)


def test_no_such_bucket_comes_first(s3, raw):
    with refused("NoSuchBucket", 404):
        s3.get_bucket_encryption(Bucket="no-such-bucket")
    with refused("NoSuchBucket", 404):
        s3.delete_bucket_encryption(Bucket="no-such-bucket")
    for body in ("", "x", document("")):
        assert put_raw(raw, "no-such-bucket", body).code == "NoSuchBucket"
        assert put_raw(raw, "no-such-bucket", body, {}).code == "NoSuchBucket"


AES = default("<SSEAlgorithm>AES256</SSEAlgorithm>")
BAD = {
    "empty": "", "no xml": "x", "another root": "<Rule/>", "no rule": document(""),
    "empty rule": document("<Rule/>"),
    "two rules": document(f"<Rule>{AES}</Rule><Rule>{AES}</Rule>"),
    "only a bucket key": document("<Rule><BucketKeyEnabled>true</BucketKeyEnabled></Rule>"),
    "bucket key no boolean": document(f"<Rule>{AES}<BucketKeyEnabled>yes</BucketKeyEnabled></Rule>"),
    "no algorithm": document(f"<Rule>{default('')}</Rule>"),
    "lower case": document(f"<Rule>{default('<SSEAlgorithm>aes256</SSEAlgorithm>')}</Rule>"),
    "customer keys": document(f"<Rule>{default('<SSEAlgorithm>SSE-C</SSEAlgorithm>')}</Rule>"),
    "unknown element": document(f"<Rule>{AES}<Other/></Rule>"),
    "KMSKeyID": document(
        f"<Rule>{default('<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSKeyID>a</KMSKeyID>')}</Rule>"
    ),
    "no type": document(f"<Rule>{AES}<BlockedEncryptionTypes/></Rule>"),
    "both types": document(
        f"<Rule>{AES}<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType>"
        "<EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule>"
    ),
    "another type": document(
        f"<Rule>{AES}<BlockedEncryptionTypes><EncryptionType>SSE-KMS</EncryptionType>"
        "</BlockedEncryptionTypes></Rule>"
    ),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_other_documents_are_refused(s3, raw, bucket, body):
    put(s3, bucket, rule("aws:kms", ABSENT, True, SSE_C))
    answer = put_raw(raw, bucket, body)
    assert (answer.status, answer.code) == (400, "MalformedXML"), answer.body
    assert answer.element("Message") == MALFORMED
    assert get(s3, bucket) == rule("aws:kms", ABSENT, True, SSE_C)


def test_no_rule_and_two_rules_from_a_client(s3, bucket):
    for rules in ([], [rule("AES256"), rule("aws:kms")]):
        with refused("MalformedXML", 400, MALFORMED):
            put(s3, bucket, *rules)
    assert get(s3, bucket) == NEW


def test_a_key_for_aes256_is_refused(s3, bucket, kms_key):
    with refused(
        "InvalidArgument", 400,
        "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or "
        "aws:kms:dsse", ArgumentName="ApplyServerSideEncryptionByDefault",
    ):
        put(s3, bucket, rule("AES256", kms_key["id"]))
    assert get(s3, bucket) == NEW


def test_a_rule_needs_its_digest(s3, raw, bucket):
    body = document(f"<Rule>{AES}</Rule>")
    assert put_raw(raw, bucket, body).status == 200
    for headers, code in [
        ({}, "InvalidRequest"),
        ({"content-md5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"content-md5": "x"}, "InvalidDigest"),
    ]:
        answer = put_raw(raw, bucket, body, headers)
        assert (answer.status, answer.code) == (400, code), answer.body


def test_the_object_form_touches_nothing(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    for method in ("GET", "PUT", "DELETE", "POST"):
        answer = raw.request(method, f"/{bucket}/k?encryption", b"")
        assert answer.status >= 400
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"kept"


# ---- what it does ----


def check(answer, arn):
    headers = headers_of(answer)
    assert headers[SSE] == ("aws:kms" if arn else "AES256")
    assert headers.get(KID) == arn
    assert C_ALG not in headers


def write_all(s3, bucket, data, **encryption):
    """One object by each way of writing that asks for encryption; key -> answer."""
    where = {"Bucket": bucket}
    out = {"put": s3.put_object(Key="put", Body=data, **where, **encryption)}
    out["copy"] = s3.copy_object(Key="copy", CopySource=f"{bucket}/put", **where, **encryption)
    made = s3.create_multipart_upload(Key="parts", **where, **encryption)
    upload = {"Key": "parts", "UploadId": made["UploadId"], **where}
    part = s3.upload_part(PartNumber=1, Body=data, **upload)
    done = s3.complete_multipart_upload(
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}, **upload
    )
    return out | {"create": made, "part": part, "parts": done}


@pytest.mark.parametrize("form", ["id", "arn", "alias", "alias_arn", None])
def test_the_default_is_applied_to_each_way_of_writing(s3, kms, kms_key, bucket, server, form):
    put(s3, bucket, rule("aws:kms", kms_key[form] if form else None))
    data = noise(100_000, 7) + b"bucket default canary " * 8
    answers = write_all(s3, bucket, data)
    arn = kms_key["arn"] if form else default_key_arn(kms)
    for answer in answers.values():
        check(answer, arn)
    md5 = f'"{hashlib.md5(data).hexdigest()}"'
    for key in ("put", "copy", "parts"):
        head = s3.head_object(Bucket=bucket, Key=key)
        check(head, arn)
        assert head["ETag"] != md5
        found = s3.get_object(Bucket=bucket, Key=key)
        check(found, arn)
        assert read(found) == data
    secrets = {"head": data[:48], "canary": b"bucket default canary "}
    assert leaks.find(secrets, leaks.files(server.files())) == []


@pytest.mark.sse_c
def test_the_request_beats_the_default(s3, kms, kms_key, bucket):
    other = kms.create_key()["KeyMetadata"]["Arn"]
    put(s3, bucket, rule("aws:kms", kms_key["id"], True))
    data = noise(1000, 1)
    # AES256 does not inherit the key.
    for answer in write_all(s3, bucket, data, ServerSideEncryption="AES256").values():
        check(answer, None)
        assert BK not in headers_of(answer)
    assert s3.head_object(Bucket=bucket, Key="put")["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    for answer in write_all(
        s3, bucket, data, ServerSideEncryption="aws:kms", SSEKMSKeyId=other
    ).values():
        check(answer, other)
    # Without a key it is the default key of S3, not the bucket's.
    for answer in write_all(s3, bucket, data, ServerSideEncryption="aws:kms").values():
        check(answer, default_key_arn(kms))
    # A customer key ignores the default entirely.
    customer = CustomerKey()
    answer = s3.put_object(Bucket=bucket, Key="c", Body=data, **customer.boto())
    assert headers_of(answer)[C_ALG] == "AES256"
    assert not {SSE, KID, BK} & set(headers_of(answer))
    assert read(s3.get_object(Bucket=bucket, Key="c", **customer.boto())) == data


def test_the_default_is_that_of_the_target_bucket(s3, kms_key, bucket):
    target = make_bucket(s3, sse_c=True)
    try:
        put(s3, bucket, rule("aws:kms", kms_key["id"]))
        s3.put_object(Bucket=bucket, Key="kms", Body=b"x")
        check(s3.copy_object(Bucket=target, Key="k", CopySource=f"{bucket}/kms"), None)
        check(s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{target}/k"), kms_key["arn"])
        customer = CustomerKey()
        s3.put_object(Bucket=target, Key="c", Body=b"x", **customer.boto())
        copied = s3.copy_object(
            Bucket=bucket, Key="from-c", CopySource=f"{target}/c", **customer.boto(source=True)
        )
        check(copied, kms_key["arn"])
        assert read(s3.get_object(Bucket=bucket, Key="from-c")) == b"x"
    finally:
        empty_and_delete(s3, target)


def test_an_open_upload_and_old_objects_keep_their_encryption(s3, kms_key, bucket):
    s3.put_object(Bucket=bucket, Key="old", Body=b"old")
    made = s3.create_multipart_upload(Bucket=bucket, Key="m")
    upload = {"Bucket": bucket, "Key": "m", "UploadId": made["UploadId"]}
    put(s3, bucket, rule("aws:kms", kms_key["id"]))
    part = s3.upload_part(PartNumber=1, Body=b"x", **upload)
    check(part, None)
    done = s3.complete_multipart_upload(
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}, **upload
    )
    check(done, None)
    check(s3.head_object(Bucket=bucket, Key="old"), None)
    check(s3.put_object(Bucket=bucket, Key="new", Body=b"x"), kms_key["arn"])
    s3.delete_bucket_encryption(Bucket=bucket)
    check(s3.head_object(Bucket=bucket, Key="new"), kms_key["arn"])
    check(s3.put_object(Bucket=bucket, Key="newer", Body=b"x"), None)


def test_a_key_that_is_not_there_is_told_by_the_upload(s3, kms, bucket):
    def nothing(code):
        with refused(code, 400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        with refused(code, 400):
            s3.create_multipart_upload(Bucket=bucket, Key="k")
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    put(s3, bucket, rule("aws:kms", ABSENT))
    with refused(
        "KMS.NotFoundException", 400,
        f"Key 'arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT}' does not exist",
    ):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    nothing("KMS.NotFoundException")
    put(s3, bucket, rule("aws:kms", "alias/not-there"))
    nothing("KMS.NotFoundException")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    put(s3, bucket, rule("aws:kms", key))
    kms.disable_key(KeyId=key)
    nothing("KMS.DisabledException")
    # What names its encryption does not ask for the bucket's key.
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")


def test_a_kms_default_wants_tls(s3, s3_http, kms_key, bucket):
    put(s3, bucket, rule("aws:kms", kms_key["id"]))
    message = (
        "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a "
        "secure connection."
    )
    with refused("InvalidArgument", 400, message):
        s3_http.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("InvalidArgument", 400, message):
        s3_http.create_multipart_upload(Bucket=bucket, Key="k")
    s3_http.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")


# ---- customer keys blocked ----


def is_blocked(answer, bucket, key):
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer.body
    assert html.unescape(answer.element("Message")) == (
        f'User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: s3:PutObject on '
        f'resource: "arn:aws:s3:::{bucket}/{key}" because this bucket has blocked upload requests '
        "that specify Server Side Encryption with Customer provided keys (SSE-C). Please specify "
        "a different server-side encryption type"
    )


def test_blocked_uploads_are_refused_before_the_key_is_looked_at(s3, raw, bucket):
    key = CustomerKey()
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    put(s3, bucket, rule("AES256", blocked=SSE_C))
    trio = key.headers()
    algorithm = "x-amz-server-side-encryption-customer-algorithm"
    secret = "x-amz-server-side-encryption-customer-key"
    for headers in (trio, {algorithm: "AES192"}, {secret: "no key"}, trio | {SSE: "AES256"},
                    trio | {secret: "AAAA"}):
        is_blocked(raw.request("PUT", f"/{bucket}/k", b"x", headers), bucket, "k")
        is_blocked(raw.request("POST", f"/{bucket}/k?uploads", b"", headers), bucket, "k")
        copy = headers | {"x-amz-copy-source": f"/{bucket}/source"}
        is_blocked(raw.request("PUT", f"/{bucket}/k", b"", copy), bucket, "k")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    for write in ({}, {"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms"}):
        s3.put_object(Bucket=bucket, Key="other", Body=b"x", **write)


@pytest.mark.sse_c
def test_what_is_there_is_read_and_deleted_and_copied_away(s3, bucket):
    key = CustomerKey()
    s3.put_object(Bucket=bucket, Key="c", Body=b"0123456789", **key.boto())
    put(s3, bucket, rule("AES256", blocked=SSE_C))
    assert read(s3.get_object(Bucket=bucket, Key="c", **key.boto())) == b"0123456789"
    assert read(s3.get_object(Bucket=bucket, Key="c", Range="bytes=2-3", **key.boto())) == b"23"
    s3.head_object(Bucket=bucket, Key="c", **key.boto())
    s3.copy_object(Bucket=bucket, Key="d", CopySource=f"{bucket}/c", **key.boto(source=True))
    assert read(s3.get_object(Bucket=bucket, Key="d")) == b"0123456789"
    s3.delete_object(Bucket=bucket, Key="c")


@pytest.mark.sse_c
def test_an_open_upload_under_a_customer_key_can_only_be_aborted(s3, raw, bucket):
    key = CustomerKey()
    made = s3.create_multipart_upload(Bucket=bucket, Key="m", **key.boto())
    upload = {"Bucket": bucket, "Key": "m", "UploadId": made["UploadId"]}
    part = s3.upload_part(PartNumber=1, Body=b"x", **upload, **key.boto())
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    put(s3, bucket, rule("AES256", blocked=SSE_C))
    target = f"/{bucket}/m?uploadId={made['UploadId']}"
    part_target = f"/{bucket}/m?partNumber=2&uploadId={made['UploadId']}"
    done = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part['ETag']}</ETag></Part></CompleteMultipartUpload>"
    ).encode()
    source = {"x-amz-copy-source": f"/{bucket}/source"}
    for headers in (key.headers(), {}):
        is_blocked(raw.request("PUT", part_target, b"x", headers), bucket, "m")
        is_blocked(raw.request("PUT", part_target, b"", headers | source), bucket, "m")
        is_blocked(raw.request("POST", target, done, headers), bucket, "m")
    assert len(s3.list_parts(**upload)["Parts"]) == 1
    s3.abort_multipart_upload(**upload)
    # Unblocked, everything goes again.
    put(s3, bucket, {"BlockedEncryptionTypes": NONE})
    s3.put_object(Bucket=bucket, Key="c", Body=b"x", **key.boto())


def test_a_policy_comes_before_the_block(server, bucket, s3, raw):
    """Whoever may not write is not told what the bucket blocks."""
    put(s3, bucket, rule("AES256", blocked=SSE_C))
    stranger = Client(server, credential=("AKIAIOSFODNN7EXAMPLE", "x" * 40))
    answer = stranger.request("PUT", f"/{bucket}/k", b"x", CustomerKey().headers())
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")


# ---- audit ----


def test_events_say_what_was_asked_and_applied(server, s3, kms_key, bucket):
    put(s3, bucket, rule("aws:kms", kms_key["id"], True, SSE_C))
    get(s3, bucket)
    s3.put_object(Bucket=bucket, Key="by-default", Body=b"x")
    s3.put_object(Bucket=bucket, Key="asked", Body=b"x", ServerSideEncryption="aws:kms")
    s3.create_multipart_upload(Bucket=bucket, Key="upload")
    s3.delete_bucket_encryption(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="after", Body=b"x")
    events = [e for e in server.audit() if bucket in json.dumps(e)]
    by_name = {e["eventName"]: e for e in events}
    for name, read_only in (("PutBucketEncryption", False), ("GetBucketEncryption", True),
                            ("DeleteBucketEncryption", False)):
        event = by_name[name]
        assert (event["eventCategory"], event["managementEvent"]) == ("Management", True)
        assert event["readOnly"] is read_only
        assert event["requestParameters"]["bucketName"] == bucket
    shown = by_name["PutBucketEncryption"]["requestParameters"]["ServerSideEncryptionConfiguration"]
    assert shown == {"Rule": {
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key["id"]
        },
        "BucketKeyEnabled": True, "BlockedEncryptionTypes": {"EncryptionType": "SSE-C"},
    }}
    applied = {
        e["requestParameters"].get("key"): e["additionalEventData"]["SSEApplied"]
        for e in events if "SSEApplied" in e.get("additionalEventData", {})
    }
    assert applied == {
        "by-default": "Default_SSE_KMS", "asked": "SSE_KMS", "upload": "Default_SSE_KMS",
        "after": "Default_SSE_S3",
    }
