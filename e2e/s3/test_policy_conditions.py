# SPDX-License-Identifier: Apache-2.0
"""Condition keys of S3 in identity policies: the usual policies about encryption and transport, and
what each makes of a header that is not there."""

import base64
import hashlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "kms"))

import clients  # noqa: E402
from clients import CustomerKey, empty_and_delete, make_bucket, refused  # noqa: E402
from people import User, allow, deny, document  # noqa: E402
from forms import Forms  # noqa: E402
from rawhttp import Client, amz_date  # noqa: E402
from sse import C_ALG, KID, SSE  # noqa: E402

KEY = CustomerKey(bytes(range(32)))
S = "s3:x-amz-server-side-encryption"
ALL = allow("*")


@pytest.fixture(scope="module")
def person(server):
    return User(server, document(ALL))


@pytest.fixture(scope="module")
def bucket(s3):
    name = make_bucket(s3, "policy", sse_c=True)
    yield name
    empty_and_delete(s3, name)


def under(person, *statements):
    """The person's policy from now on: everything, but for `statements`."""
    person.set_policy(document(ALL, *statements))


NONE, AES, KMS = {}, {SSE: "AES256"}, {SSE: "aws:kms"}
TRIO = KEY.headers()
# Condition of a Deny on s3:PutObject; the headers which it lets through, and those which it does not.
POLICIES = {
    "s7.3 SSE StringNotEquals AES256": (
        {"StringNotEquals": {S: "AES256"}}, [AES], [NONE, KMS, TRIO]),
    "s7.3 SSE Null true": ({"Null": {S: "true"}}, [AES, KMS], [NONE, TRIO]),
    "s7.3 SSE Null false": ({"Null": {S: "false"}}, [NONE, TRIO], [AES, KMS]),
    "s7.3 SSE StringNotEquals aws:kms": (
        {"StringNotEquals": {S: "aws:kms"}}, [KMS], [NONE, AES, TRIO]),
    "s7.3 SSE StringNotEqualsIfExists aws:kms": (
        {"StringNotEqualsIfExists": {S: "aws:kms"}}, [KMS], [NONE, AES, TRIO]),
    "s7.3 SSE StringNotEquals aws:kms + Null false": (
        {"StringNotEquals": {S: "aws:kms"}, "Null": {S: "false"}}, [NONE, KMS, TRIO], [AES]),
    "s7.3 SSE StringEquals AES256": ({"StringEquals": {S: "AES256"}}, [NONE, KMS], [AES]),
    "s7.3 C-alg Null false: no customer keys": (
        {"Null": {f"{S}-customer-algorithm": "false"}}, [NONE, AES, KMS], [TRIO]),
    "s7.3 C-alg Null true: customer keys only": (
        {"Null": {f"{S}-customer-algorithm": "true"}}, [TRIO], [NONE, AES, KMS]),
    "s7.3 C-alg StringNotEquals AES256 + Null false": (
        {"StringNotEquals": {f"{S}-customer-algorithm": "AES256"},
         "Null": {f"{S}-customer-algorithm": "false"}}, [NONE, TRIO], [TRIO | {C_ALG: "AES192"}]),
}


def ask(raw, bucket, headers, target="PUT k"):
    method, key = target.split(" ")
    return raw.request(method, f"/{bucket}/{key}", b"x" if method == "PUT" else b"", headers)


def put_under(raw, bucket, arn):
    """UpdateObjectEncryption of `k`."""
    body = f"<ObjectEncryption><SSE-KMS><KMSKeyArn>{arn}</KMSKeyArn></SSE-KMS></ObjectEncryption>"
    body = body.encode()
    checked = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    return raw.request("PUT", f"/{bucket}/k?encryption", body, checked)


def is_denied(answer):
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer.body
    assert b"explicit deny" in answer.body


@pytest.mark.parametrize("target", ["PUT k", "POST m?uploads"])
@pytest.mark.parametrize("row", POLICIES.values(), ids=POLICIES)
def test_s7_3_headers_of_encryption(server, person, bucket, row, target):
    condition, lets, stops = row
    under(person, deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*", condition=condition))
    raw = Client(server, credential=person.credential)
    for headers in lets:
        answer = ask(raw, bucket, headers, target)
        assert answer.status == 200, (headers, answer.body)
    for headers in stops:
        is_denied(ask(raw, bucket, headers, target))


def test_s7_3_the_default_of_the_bucket_is_no_header(server, s3, person, kms_key):
    """A policy that asks for the header denies uploads which the default would encrypt anyway."""
    name = make_bucket(s3, "default")
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [{
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key["arn"]}}]})
    raw = Client(server, credential=person.credential)
    resource = f"arn:aws:s3:::{name}/*"
    try:
        for condition in ({"StringNotEquals": {S: "aws:kms"}}, {"Null": {S: "true"}},
                          {"StringNotEquals": {f"{S}-aws-kms-key-id": kms_key["arn"]}},
                          {"Null": {f"{S}-aws-kms-key-id": "true"}}):
            under(person, deny("s3:PutObject", resource, condition=condition))
            is_denied(ask(raw, name, NONE))
            assert ask(raw, name, KMS | {KID: kms_key["arn"]}).status == 200
        under(person, deny(
            "s3:PutObject", resource,
            condition={"StringNotEquals": {S: "aws:kms"}, "Null": {S: "false"}}))
        assert ask(raw, name, NONE).headers[KID] == kms_key["arn"]
    finally:
        empty_and_delete(s3, name)


@pytest.mark.parametrize("when_sent", [False, True])
def test_s7_3_one_key_by_whatever_name(server, person, kms, kms_key, bucket, when_sent):
    """A negated operator holds for a key that is not there; `Null: false` beside it asks for one."""
    name = f"{S}-aws-kms-key-id"
    condition = {"StringNotEquals": {name: kms_key["arn"]}}
    if when_sent:
        condition["Null"] = {name: "false"}
    under(person, deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*", condition=condition))
    raw = Client(server, credential=person.credential)
    other = kms.create_key()["KeyMetadata"]
    for named in (kms_key["arn"], kms_key["id"]):
        assert ask(raw, bucket, KMS | {KID: named}).status == 200, named
    for named in (other["Arn"], other["KeyId"]):
        is_denied(ask(raw, bucket, KMS | {KID: named}))
    without = [NONE, AES, KMS]
    for headers in without:
        answer = ask(raw, bucket, headers)
        if when_sent:
            assert answer.status == 200
        else:
            is_denied(answer)


@pytest.mark.parametrize("condition,https,http", [
    ({"Bool": {"aws:SecureTransport": "false"}}, 200, 403),
    ({"Bool": {"aws:SecureTransport": "true"}}, 403, 200),
    ({"Null": {"aws:SecureTransport": "true"}}, 200, 200),
    ({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, 200, 200),
    ({"NumericLessThan": {"s3:TlsVersion": "1.4"}}, 403, 200),
    ({"NumericLessThanIfExists": {"s3:TlsVersion": "1.2"}}, 200, 403),
    ({"Null": {"s3:TlsVersion": "true"}}, 200, 403),
], ids=json.dumps)
def test_s7_3_transport(server, person, bucket, condition, https, http):
    """TlsVersion is absent over HTTP: alone it denies nothing there."""
    under(person, deny(
        "s3:*", [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"], condition=condition))
    for scheme, status in (("https", https), ("http", http)):
        raw = Client(server, scheme, credential=person.credential)
        for method, path in (("PUT", f"/{bucket}/k"), ("GET", f"/{bucket}?list-type=2")):
            answer = raw.request(method, path, b"x" if method == "PUT" else b"")
            assert answer.status == status, (scheme, method, answer.body)


def test_s7_3_customer_algorithm_on_reads_and_parts(server, s3, person, bucket):
    """Reads and every request of an upload fill the key, so one that requires it hits them all."""
    s3.put_object(Bucket=bucket, Key="c", Body=b"x", **KEY.boto())
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    made = s3.create_multipart_upload(Bucket=bucket, Key="m", **KEY.boto())["UploadId"]
    etag = s3.upload_part(
        Bucket=bucket, Key="m", UploadId=made, PartNumber=1, Body=b"x", **KEY.boto())["ETag"]
    under(person, deny(
        ["s3:PutObject", "s3:GetObject"], f"arn:aws:s3:::{bucket}/*",
        condition={"Null": {f"{S}-customer-algorithm": "true"}}))
    raw = Client(server, credential=person.credential)
    assert raw.request("GET", f"/{bucket}/c", headers=TRIO).body == b"x"
    is_denied(raw.request("GET", f"/{bucket}/c"))
    is_denied(raw.request("GET", f"/{bucket}/plain"))
    part = f"/{bucket}/m?partNumber=1&uploadId={made}"
    is_denied(raw.request("PUT", part, b"x"))
    done = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>").encode()
    is_denied(raw.request("POST", f"/{bucket}/m?uploadId={made}", done))
    assert raw.request("POST", f"/{bucket}/m?uploadId={made}", done, TRIO).status == 200


def test_s7_1_policy_comes_before_validation(server, person, bucket):
    """Two faults at once: what the policy denies is 403, whatever else is wrong with the headers."""
    under(person, deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*"))
    raw = Client(server, credential=person.credential)
    for headers in ({SSE: "nonsense"}, TRIO | {C_ALG: "AES192"}, {KID: "x"}, AES | TRIO,
                    {"content-md5": "x"}):
        for target in ("PUT k", "POST m?uploads", "PUT k?partNumber=1&uploadId=x",
                       "POST k?uploadId=x"):
            is_denied(ask(raw, bucket, headers, target))


# ---- values have one spelling -------------------------------------------------------------------


def test_sec_a_version_is_the_same_version_as_a_copy_source(server, s3, person, raw):
    name = make_bucket(s3, "versions")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    secret = s3.put_object(Bucket=name, Key="k", Body=b"secret")["VersionId"]
    other = s3.put_object(Bucket=name, Key="k", Body=b"other")["VersionId"]
    under(person, {"Effect": "Deny", "Action": "s3:GetObjectVersion", "Resource": "*",
                   "Condition": {"StringEquals": {"s3:VersionId": secret}}})
    mine = Client(server, credential=person.credential)
    is_denied(mine.request("GET", f"/{name}/k?versionId={secret}"))
    source = {"x-amz-copy-source": f"/{name}/k?versionId={secret}"}
    is_denied(mine.request("PUT", f"/{name}/mine", b"", source))
    upload = s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"]
    is_denied(mine.request("PUT", f"/{name}/m?partNumber=1&uploadId={upload}", b"", source))
    source = {"x-amz-copy-source": f"/{name}/k?versionId={other}"}
    assert mine.request("PUT", f"/{name}/mine", b"", source).status == 200
    empty_and_delete(s3, name)


def test_sec_a_copy_source_has_one_spelling(server, s3, person):
    name = make_bucket(s3, "spelled")
    for key in ("secret/k", "secret/\u00e9", "open/k"):
        s3.put_object(Bucket=name, Key=key, Body=b"x")
    under(person, {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*",
                   "Condition": {"StringLike": {"s3:x-amz-copy-source": f"{name}/secret/*"}}})
    mine = Client(server, credential=person.credential)
    for spelled in ("/secret/k", "/%73ecret/k", "/secret%2Fk", "/secret/k?versionId=null",
                    "/secret/%C3%A9"):
        for lead in ("/", ""):
            source = {"x-amz-copy-source": f"{lead}{name}{spelled}"}
            is_denied(mine.request("PUT", f"/{name}/mine", b"", source))
    source = {"x-amz-copy-source": f"/{name}/open/k"}
    assert mine.request("PUT", f"/{name}/mine", b"", source).status == 200
    empty_and_delete(s3, name)


def test_sec_a_key_has_one_spelling(server, person, kms, bucket):
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    key_id = arn.rsplit("/", 1)[1]
    name = f"{S}-aws-kms-key-id"
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}
    mine = Client(server, credential=person.credential)
    under(person, deny | {"Condition": {"StringEquals": {name: arn}}})
    for spelled in (arn, key_id, key_id.upper(), arn.replace(key_id, key_id.upper())):
        is_denied(ask(mine, bucket, KMS | {KID: spelled}))
    assert ask(mine, bucket, KMS).status == 200
    # The same key, named in the document of UpdateObjectEncryption, which takes ARNs only.
    for spelled in (arn, arn.replace(key_id, key_id.upper())):
        is_denied(put_under(mine, bucket, spelled))
    other = kms.create_key()["KeyMetadata"]["Arn"]
    assert put_under(mine, bucket, other).status == 200
    under(person, deny | {"Condition": {"Null": {name: "true"}}})
    is_denied(ask(mine, bucket, KMS | {KID: ""}))
    assert ask(mine, bucket, KMS | {KID: arn}).status == 200


def test_sec_who_may_not_read_learns_nothing_by_conditions(server, s3, person):
    name = make_bucket(s3, "guess")
    etag = s3.put_object(Bucket=name, Key="k", Body=b"guess")["ETag"]
    deny = ["s3:GetObject", "s3:ListBucket"]
    under(person, {"Effect": "Deny", "Action": deny, "Resource": "*"})
    mine = Client(server, credential=person.credential)
    answers = {
        (answer.status, answer.code)
        for key in ("k", "absent") for value in (etag, '"0"')
        for answer in [mine.request("PUT", f"/{name}/{key}", b"x", {"if-match": value})]
    }
    assert answers == {(403, "AccessDenied")}
    # Not a question that a write may ask, whatever is there.
    for key in ("k", "absent"):
        assert mine.request("PUT", f"/{name}/{key}", b"x", {"if-match": "*"}).status == 501
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"guess"
    under(person, {"Effect": "Deny", "Action": "s3:ListBucket", "Resource": "*"})
    assert mine.request("PUT", f"/{name}/k", b"x", {"if-match": '"0"'}).status == 412
    assert mine.request("PUT", f"/{name}/k", b"x", {"if-match": etag}).status == 200
    empty_and_delete(s3, name)


def test_sec_checksums_of_parts_need_the_key(server, s3, kms, person):
    name = make_bucket(s3, "parts")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    upload = s3.create_multipart_upload(
        Bucket=name, Key="m", ServerSideEncryption="aws:kms", SSEKMSKeyId=arn,
        ChecksumAlgorithm="SHA256")["UploadId"]
    s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=1, Body=b"x",
                   ChecksumAlgorithm="SHA256")
    mine = Client(server, credential=person.credential)
    target = f"/{name}/m?uploadId={upload}"
    under(person)
    assert b"<ChecksumSHA256>" in mine.request("GET", target).body
    under(person, {"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"})
    answer = mine.request("GET", target)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert b"ChecksumSHA256" not in answer.body
    empty_and_delete(s3, name)


def test_s7_1_an_upload_under_a_policy_that_wants_encryption_named(server, person, bucket):
    """Create names it; no client can name it again with a part, and none has to."""
    under(person, deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*", condition={"Null": {S: "true"}}))
    mine = clients.s3(server, credential=person.credential)
    where = {"Bucket": bucket, "Key": "named"}
    with refused("AccessDenied", 403):
        mine.create_multipart_upload(**where)
    upload = mine.create_multipart_upload(ServerSideEncryption="AES256", **where)["UploadId"]
    part = mine.upload_part(UploadId=upload, PartNumber=1, Body=b"x", **where)
    for _ in range(2):
        mine.complete_multipart_upload(UploadId=upload, **where, MultipartUpload={
            "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    # An upload that did not name it goes no further, whatever a part says.
    other = clients.s3(server).create_multipart_upload(**where)["UploadId"]
    raw = Client(server, credential=person.credential)
    for headers in ({}, AES, KMS):
        is_denied(raw.request("PUT", f"/{bucket}/named?partNumber=1&uploadId={other}", b"x", headers))
    asked = dict(UploadId=other, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    with refused("AccessDenied", 403):
        mine.complete_multipart_upload(**asked, **where)
    # Nor is it told of when somebody else completed it.
    root = clients.s3(server)
    root.upload_part(UploadId=other, PartNumber=1, Body=b"x", **where)
    for _ in range(2):
        root.complete_multipart_upload(**asked, **where)
        with refused("AccessDenied", 403):
            mine.complete_multipart_upload(**asked, **where)


def test_s7_1_the_age_of_a_signature(server, person, bucket):
    """AWS's own example: no presigned URL that was signed more than ten minutes ago."""
    mine = Client(server, credential=person.credential)
    target = f"/{bucket}/aged"
    under(person)
    assert mine.request("PUT", target, b"x").status == 200
    old, new = mine.signer(), mine.signer()
    old.date = amz_date(-900)
    under(person, deny("s3:*", f"arn:aws:s3:::{bucket}/*",
                       condition={"NumericGreaterThan": {"s3:signatureAge": "600000"}}))
    assert mine.presigned("GET", target, signer=new, expires=3600).body == b"x"
    is_denied(mine.presigned("GET", target, signer=old, expires=3600))
    is_denied(mine.presigned("PUT", target, signer=old, expires=3600, body=b"y"))
    # Where the signature is in a header there is no such key, as in S3.
    assert mine.request("GET", target).body == b"x"
    under(person, deny("s3:*", f"arn:aws:s3:::{bucket}/*",
                       condition={"Null": {"s3:signatureAge": "false"}}))
    assert mine.request("GET", target).body == b"x"
    is_denied(mine.presigned("GET", target, signer=new))
    # The policy of a form is signed for somebody else to use, too.
    forms = Forms(server, credential=person.credential)
    is_denied(forms.upload(bucket, {"key": "aged"}, b"y"))
    under(person, deny("s3:*", f"arn:aws:s3:::{bucket}/*",
                       condition={"NumericGreaterThan": {"s3:signatureAge": "600000"}}))
    is_denied(forms.upload(bucket, {"key": "aged"}, b"y", date=amz_date(-900)))
    assert mine.request("GET", target).body == b"x"
    assert forms.upload(bucket, {"key": "aged"}, b"z").status == 204
