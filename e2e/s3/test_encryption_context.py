# SPDX-License-Identifier: Apache-2.0
"""Section 2.2: the encryption context of a caller, the ARN that the server adds, who sees them, what
policies compare them with, and what of them is in the audit log."""

import base64
import json
import uuid

import pytest

import clients
from clients import MIB, bucket_name, empty_and_delete, headers_of, noise, read, refused
from sse import BK, CTX, KID, SSE, encoded
from strongroom import ACCOUNT

PAIRS = {"project": "x", "ümlaut": "wert", "empty-like": " "}
FORM = ("The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string "
        "holding JSON which represents a string-string map")


@pytest.fixture(scope="module")
def key(kms):
    return kms.create_key(Description="contexts")["KeyMetadata"]["Arn"]


def arn(bucket, name=None):
    return f"arn:aws:s3:::{bucket}" + (f"/{name}" if name else "")


def asked(key, pairs=None, bucket_key=False):
    out = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    if pairs is not None:
        out["SSEKMSEncryptionContext"] = encoded(pairs)
    if bucket_key:
        out["BucketKeyEnabled"] = True
    return out


def told(answer):
    """The context in an answer's header."""
    header = headers_of(answer).get(CTX)
    return header and json.loads(base64.b64decode(header))


def events(server, bucket, name=None):
    """(uses of KMS keys, requests of S3) that have to do with a bucket or an object."""
    found = [event for event in server.audit() if arn(bucket, name) in json.dumps(event)]
    ours = [event for event in found if event["eventSource"] == "s3.amazonaws.com"]
    return [event for event in found if event["eventSource"] == "kms.amazonaws.com"], ours


def contexts(found):
    return [(event["eventName"], event["requestParameters"]["encryptionContext"]) for event in found]


# ---- form of the header -------------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [
    {}, {"a": "b"}, PAIRS, {"a" * 1000: "b" * 1000}, {str(n): "v" for n in range(100)},
    {"quote\"d": "back\\slash \u0001"}, {"AWS": "is no prefix"},
], ids=range(7))
@pytest.mark.parametrize("bucket_key", [False, True])
def test_2_2_contexts_are_told_to_who_writes_and_to_nobody_who_reads(s3, bucket, key, pairs, bucket_key):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"text", **asked(key, pairs, bucket_key))
    assert told(put) == (pairs or None)
    copy = s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k",
                          **asked(key, pairs, bucket_key))
    assert told(copy) == (pairs or None)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", **asked(key, pairs, bucket_key))
    assert told(upload) == (pairs or None)
    where = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    part = s3.upload_part(**where, PartNumber=1, Body=b"part")
    done = s3.complete_multipart_upload(
        **where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    for name, body in (("k", b"text"), ("c", b"text"), ("m", b"part")):
        got = s3.get_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED")
        assert read(got) == body
        head = s3.head_object(Bucket=bucket, Key=name)
        for answer in (got, head, part, done):
            headers = headers_of(answer)
            assert CTX not in headers and headers[KID] == key
            assert headers.get(BK) == ("true" if bucket_key else None)


@pytest.mark.parametrize("text", [
    '{"a":""}', '{"":"a"}', '{"a":"b","":""}',
])
@pytest.mark.parametrize("path", ["PUT {0}/k", "POST {0}/k?uploads", "COPY {0}/k"])
def test_sec_n67_empty_names_and_values(raw, s3, bucket, key, text, path):
    """The key service takes none, and S3 has one code for whatever is wrong with a context."""
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    headers = {SSE: "aws:kms", KID: key, CTX: base64.b64encode(text.encode()).decode()}
    method, target = path.format(f"/{bucket}").split(" ")
    if method == "COPY":
        method, headers = "PUT", headers | {"x-amz-copy-source": f"/{bucket}/source"}
    answer = raw.request(method, target, b"", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("value", ["e30", "e3 0=", "eyJhIjoiYiJ9eyJhIjoiYiJ9", "bnVsbA=="])
def test_sec_n67_not_quite_base64_of_a_map(raw, bucket, value):
    answer = raw.request("PUT", f"/{bucket}/k", b"x", {SSE: "aws:kms", CTX: value})
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert answer.element("Message") == FORM


@pytest.mark.parametrize("headers", [{}, {SSE: "AES256"}])
@pytest.mark.parametrize("path", ["PUT {0}/k", "POST {0}/k?uploads", "COPY {0}/k"])
def test_sec_n67_a_context_needs_a_kms_key(raw, s3, bucket, headers, path):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    method, target = path.format(f"/{bucket}").split(" ")
    headers = headers | {CTX: encoded({"a": "b"})}
    if method == "COPY":
        method, headers = "PUT", headers | {"x-amz-copy-source": f"/{bucket}/source"}
    answer = raw.request(method, target, b"x", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert "requires HTTP header" in answer.element("Message")


@pytest.mark.parametrize("method,target", [
    ("GET", "k"), ("HEAD", "k"), ("GET", "k?partNumber=1"), ("GET", "k?versionId=null"),
])
def test_2_2_a_context_is_not_for_reads(raw, s3, bucket, key, method, target):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **asked(key, {"a": "b"}))
    answer = raw.request(method, f"/{bucket}/{target}", headers={CTX: encoded({"a": "b"})})
    assert answer.status == 400


def test_2_6_a_context_in_the_query_of_a_presigned_request_is_ignored(raw, s3, bucket, key):
    """A header has to be signed; in the query, where S3 takes the mode and the key, it is nothing."""
    extra = [(SSE, "aws:kms"), (KID, key), (CTX, encoded({"a": "b"}))]
    answer = raw.presigned("PUT", f"/{bucket}/k", extra=extra, body=b"x")
    if answer.status == 200:
        assert CTX not in answer.headers
    else:
        assert answer.status in (400, 403, 501), answer.body
    answer = raw.presigned("PUT", f"/{bucket}/k", body=b"x",
                           send_headers={SSE: "aws:kms", CTX: encoded({"a": "b"})})
    assert answer.status == 403


# ---- aws:s3:arn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bucket_key", [False, True])
@pytest.mark.parametrize("given", ["object", "bucket", "other", "empty", "case", "version"])
@pytest.mark.parametrize("path", ["PUT {0}/k", "POST {0}/k?uploads", "COPY {0}/k"])
def test_2_2_an_arn_is_taken_only_if_it_is_the_one_that_is_added(
        raw, s3, bucket, key, path, given, bucket_key):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    value = {"object": arn(bucket, "k"), "bucket": arn(bucket), "other": arn(bucket, "other"),
             "empty": "", "case": arn(bucket, "K"), "version": arn(bucket, "k") + "?versionId=null"}
    headers = {SSE: "aws:kms", KID: key, CTX: encoded({"aws:s3:arn": value[given], "a": "b"})}
    if bucket_key:
        headers[BK] = "true"
    method, target = path.format(f"/{bucket}").split(" ")
    if method == "COPY":
        method, headers = "PUT", headers | {"x-amz-copy-source": f"/{bucket}/source"}
    answer = raw.request(method, target, b"", headers)
    right = "bucket" if bucket_key else "object"
    assert answer.status == (200 if given == right else 400), answer.body
    if given != right:
        assert answer.code == "InvalidArgument"


@pytest.mark.parametrize("pairs", [
    {"aws:": "x"}, {"aws:s3:ARN": "x"}, {"aws:s3": "x"}, {"aws:other": "x"}, {"AWS:S3:ARN": "x"},
    {"Aws:s3:arn": "x", "a": "b"}, {"team": "red", "Team": "red"}, {"\u00c4": "1", "\u00e4": "2"},
], ids=range(8))
@pytest.mark.parametrize("path", ["PUT {0}/k", "POST {0}/k?uploads", "COPY {0}/k"])
@pytest.mark.parametrize("mode", ["aws:kms", "aws:kms:dsse"])
def test_2_2_names_of_the_server_and_names_like_others_are_not_for_callers(
        raw, s3, bucket, key, pairs, path, mode):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    headers = {SSE: mode, KID: key, CTX: encoded(pairs)}
    method, target = path.format(f"/{bucket}").split(" ")
    if method == "COPY":
        method, headers = "PUT", headers | {"x-amz-copy-source": f"/{bucket}/source"}
    answer = raw.request(method, target, b"", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body


# ---- what follows the object --------------------------------------------------------------------


def test_2_2_a_copy_does_not_carry_the_pairs_of_its_source(server, s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x", **asked(key, PAIRS))
    copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", **asked(key))
    assert told(copy) is None
    used, _ = events(server, bucket)
    assert contexts(used)[-2:] in (
        [("Decrypt", PAIRS | {"aws:s3:arn": arn(bucket, "source")}),
         ("GenerateDataKey", {"aws:s3:arn": arn(bucket, "copy")})],
        [("GenerateDataKey", {"aws:s3:arn": arn(bucket, "copy")}),
         ("Decrypt", PAIRS | {"aws:s3:arn": arn(bucket, "source")})],
    )
    assert read(s3.get_object(Bucket=bucket, Key="copy")) == b"x"
    used, _ = events(server, bucket, "copy")
    assert contexts(used)[-1] == ("Decrypt", {"aws:s3:arn": arn(bucket, "copy")})


def test_2_2_the_default_of_a_bucket_has_no_pairs(server, s3, key):
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
            "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    put = s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert headers_of(put)[BK] == "true" and told(put) is None
    put = s3.put_object(Bucket=name, Key="without", Body=b"x", **asked(key), BucketKeyEnabled=False)
    assert BK not in headers_of(put)
    put = s3.put_object(Bucket=name, Key="other", Body=b"x", **asked(key))
    assert headers_of(put)[BK] == "true"
    used, _ = events(server, name)
    assert contexts(used) == [("GenerateDataKey", {"aws:s3:arn": arn(name)}),
                              ("GenerateDataKey", {"aws:s3:arn": arn(name, "without")})]
    empty_and_delete(s3, name)


@pytest.mark.parametrize("bucket_key", [False, True])
def test_6_8_updates_keep_the_pairs_and_change_the_arn(server, s3, bucket, key, bucket_key):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **asked(key, PAIRS, not bucket_key))
    s3.update_object_encryption(Bucket=bucket, Key="k", ObjectEncryption={
        "SSEKMS": {"KMSKeyArn": key, "BucketKeyEnabled": bucket_key}})
    got = s3.get_object(Bucket=bucket, Key="k")
    assert read(got) == b"x" and headers_of(got).get(BK) == ("true" if bucket_key else None)
    shown = json.loads(server.command("inspect", "object", f"s3://{bucket}/k").stdout)["encryption"]
    wanted = PAIRS | {"aws:s3:arn": arn(bucket) if bucket_key else arn(bucket, "k")}
    assert (shown["encryption_context"], shown["bucket_key"]) == (wanted, bucket_key)


# ---- audit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bucket_key", [False, True])
def test_12_both_services_record_the_context(server, s3, bucket, key, bucket_key):
    write = asked(key, PAIRS, bucket_key)
    s3.put_object(Bucket=bucket, Key="k", Body=b"text", **write)
    read(s3.get_object(Bucket=bucket, Key="k"))
    used, requests = events(server, bucket)
    wanted = PAIRS | {"aws:s3:arn": arn(bucket) if bucket_key else arn(bucket, "k")}
    assert contexts(used) == [("GenerateDataKey", wanted), ("Decrypt", wanted)]
    made, opened = used
    for event in used:
        assert event["resources"] == [{
            "accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key}]
        assert event["sourceIPAddress"] == event["userAgent"] == "AWS Internal"
        assert event["userIdentity"]["invokedBy"] == "AWS Internal"
        assert event["readOnly"] is True and event["managementEvent"] is True
        assert event["responseElements"] is None
        material = event["additionalEventData"]["keyMaterialId"]
        assert len(material) == 64
    assert made["requestParameters"] == {
        "keyId": key, "keySpec": "AES_256", "encryptionContext": wanted}
    assert opened["requestParameters"] == {
        "encryptionAlgorithm": "SYMMETRIC_DEFAULT", "encryptionContext": wanted}
    put = next(event for event in requests if event["eventName"] == "PutObject")
    got = next(event for event in requests if event["eventName"] == "GetObject")
    parameters, elements = put["requestParameters"], put["responseElements"]
    for record in (parameters, elements):
        assert record[SSE] == "aws:kms" and record[KID] == key
        assert json.loads(base64.b64decode(record[CTX])) == PAIRS
        assert record.get(BK) == ("true" if bucket_key else None)
    assert put["additionalEventData"]["SSEApplied"] == "SSE_KMS"
    assert {one["ARN"] for one in put["resources"]} == {arn(bucket), arn(bucket, "k")}
    assert CTX not in json.dumps(got)


def test_12_a_refused_context_is_recorded_as_it_came(server, raw, bucket, key):
    sent = encoded({"aws:s3:arn": arn("somebody-elses", "k")})
    answer = raw.request("PUT", f"/{bucket}/k", b"x", {SSE: "aws:kms", KID: key, CTX: sent})
    assert answer.status == 400
    used, requests = events(server, bucket)
    [event] = [one for one in requests if one["eventName"] == "PutObject"]
    assert event["errorCode"] == "InvalidArgument"
    assert event["requestParameters"][CTX] == sent
    # No key was asked with it.
    assert not used


# ---- policies -----------------------------------------------------------------------------------


@pytest.fixture
def person(server):
    made = []

    def make(*statements):
        name = f"u-{uuid.uuid4().hex[:12]}"
        path = server.base / f"{name}.json"
        path.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
        out = server.command("user", "add", name, "--policy", str(path)).stdout
        found = dict(line.split("=", 1) for line in out.splitlines() if line.startswith("AWS_"))
        made.append(name)
        credential = found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
        return name, clients.s3(server, credential=credential)

    yield make
    for name in made:
        server.command("user", "remove", name, check=False)


def allow(actions, **condition):
    out = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    return out | ({"Condition": condition} if condition else {})


KMS_USE = ["kms:GenerateDataKey", "kms:Decrypt"]


@pytest.mark.parametrize("bucket_key", [False, True])
@pytest.mark.parametrize("names", ["object", "bucket"])
def test_2_2_policies_compare_the_arn_of_the_object_or_with_a_bucket_key_of_the_bucket(
        s3, bucket, key, person, bucket_key, names):
    value = arn(bucket) if names == "bucket" else arn(bucket, "k")
    _, one = person(allow("s3:*"), allow(
        KMS_USE, StringEquals={"kms:EncryptionContext:aws:s3:arn": value}))
    serves = (names == "bucket") == bucket_key
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **asked(key, None, bucket_key))
    put = {"Bucket": bucket, "Key": "k", "Body": b"y"} | asked(key, None, bucket_key)
    if serves:
        one.put_object(**put)
        assert read(one.get_object(Bucket=bucket, Key="k")) == b"y"
        if not bucket_key:
            with refused("AccessDenied", 403):
                one.put_object(**put | {"Key": "other"})
    else:
        with refused("AccessDenied", 403):
            one.put_object(**put)
        with refused("AccessDenied", 403):
            one.get_object(Bucket=bucket, Key="k")
        assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


@pytest.mark.parametrize("operator", [
    "StringEquals", "StringLike", "ArnLike", "ForAnyValue:StringLike", "ForAllValues:StringLike",
    "ForAnyValue:ArnEquals",
])
@pytest.mark.parametrize("spelled", ["AWS:S3:ARN", "aws:s3:ARN"])
def test_sec_n67_the_arn_of_another_object_is_not_put_beside_the_true_one(
        server, s3, bucket, key, person, operator, spelled):
    """Policies do not tell `AWS:S3:ARN` from `aws:s3:arn`: with it a key that is for one object was
    used for any."""
    value = arn(bucket, "k")
    name, one = person(allow("s3:*"), allow(
        KMS_USE, **{operator: {"kms:EncryptionContext:aws:s3:arn": value}}))
    one.put_object(Bucket=bucket, Key="k", Body=b"y", **asked(key))
    with refused("AccessDenied", 403):
        one.put_object(Bucket=bucket, Key="other", Body=b"y", **asked(key))
    with refused("InvalidArgument", 400):
        one.put_object(Bucket=bucket, Key="other", Body=b"y", **asked(key, {spelled: value}))
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="other")


@pytest.mark.parametrize("bucket_key", [False, True])
def test_2_2_policies_and_grants_compare_the_pairs_of_the_caller(
        server, s3, kms, bucket, person, bucket_key):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    right, wrong = {"team": "a"}, {"team": "b"}
    _, by_policy = person(allow("s3:*"), allow(
        KMS_USE, StringEquals={"kms:EncryptionContext:team": "a"}))
    name, by_grant = person(allow("s3:*"))
    kms.create_grant(
        KeyId=key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:user/{name}",
        Operations=["GenerateDataKey", "Decrypt"],
        Constraints={"EncryptionContextSubset": right})
    for one in (by_policy, by_grant):
        one.put_object(Bucket=bucket, Key="k", Body=b"x", **asked(key, right, bucket_key))
        assert read(one.get_object(Bucket=bucket, Key="k")) == b"x"
        # The name of a condition key is not case-sensitive, that of a grant's constraint is.
        for pairs in (wrong, None, {"Team": "a"} if one is by_grant else {"teams": "a"}):
            with refused("AccessDenied", 403):
                one.put_object(Bucket=bucket, Key="no", Body=b"x", **asked(key, pairs, bucket_key))
        s3.put_object(Bucket=bucket, Key="other", Body=b"x", **asked(key, wrong, bucket_key))
        with refused("AccessDenied", 403):
            one.get_object(Bucket=bucket, Key="other")


def test_2_2_grants_on_the_whole_context_name_the_arn_too(s3, kms, bucket, person):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    name, one = person(allow("s3:*"))
    kms.create_grant(
        KeyId=key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:user/{name}",
        Operations=["GenerateDataKey", "Decrypt"],
        Constraints={"EncryptionContextEquals": {"a": "b", "aws:s3:arn": arn(bucket, "k")}})
    one.put_object(Bucket=bucket, Key="k", Body=b"x", **asked(key, {"a": "b"}))
    assert read(one.get_object(Bucket=bucket, Key="k")) == b"x"
    for name, pairs, bucket_key in (
            ("other", {"a": "b"}, False), ("k", {}, False), ("k", {"a": "b", "c": "d"}, False),
            ("k", {"a": "b"}, True)):
        with refused("AccessDenied", 403):
            one.put_object(Bucket=bucket, Key=name, Body=b"x", **asked(key, pairs, bucket_key))


@pytest.mark.parametrize("bucket_key", [False, True])
def test_parts_are_opened_with_the_context_of_their_upload(server, s3, bucket, key, bucket_key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", **asked(key, PAIRS, bucket_key))
    where = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    s3.upload_part(**where, PartNumber=1, Body=noise(5 * MIB))
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.upload_part_copy(**where, PartNumber=2, CopySource=f"{bucket}/plain")
    s3.abort_multipart_upload(**where)
    used, _ = events(server, bucket)
    wanted = PAIRS | {"aws:s3:arn": arn(bucket) if bucket_key else arn(bucket, "m")}
    assert {name for name, _ in contexts(used)} == {"GenerateDataKey", "Decrypt"}
    assert all(context == wanted for _, context in contexts(used))
