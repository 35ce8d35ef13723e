# SPDX-License-Identifier: Apache-2.0
"""Condition keys about what a request writes: whether it depends on what is there, its ACL, where a
bucket is made. They count for the write alone, and not for what the same request has to read."""

import base64
import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "kms"))

import clients  # noqa: E402
from clients import CustomerKey, empty_and_delete, make_bucket  # noqa: E402
from people import User, allow, deny, document  # noqa: E402
from forms import Forms  # noqa: E402
from rawhttp import Client  # noqa: E402
from sse import C_ALG, SSE  # noqa: E402
from strongroom import Server  # noqa: E402

KEY = CustomerKey(bytes(range(32)))
TRIO = KEY.headers()
SOURCE_TRIO = {name.replace("x-amz-", "x-amz-copy-source-", 1): value for name, value in TRIO.items()}
S = "s3:x-amz-server-side-encryption"
ALL = allow("*")
NEW = {"if-none-match": "*"}


@pytest.fixture(scope="module")
def person(server):
    return User(server, document(ALL))


@pytest.fixture
def bucket(s3):
    name = make_bucket(s3, "keys", sse_c=True)
    yield name
    empty_and_delete(s3, name)


@pytest.fixture
def raw(server, person):
    return Client(server, credential=person.credential)


def under(person, *statements):
    person.set_policy(document(ALL, *statements))


def status(raw, method, path, headers=None, body=b"x", **how):
    answer = raw.request(method, path, body if method in ("PUT", "POST") else b"", headers or {}, **how)
    if answer.status == 403:
        assert answer.code == "AccessDenied", answer.body
    return answer.status


def upload(s3, bucket, key):
    """An upload with one part: its query, and the document that completes it."""
    where = {"Bucket": bucket, "Key": key}
    made = s3.create_multipart_upload(**where)["UploadId"]
    etag = s3.upload_part(UploadId=made, PartNumber=1, Body=b"x", **where)["ETag"]
    done = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>").encode()
    return f"uploadId={made}", done


def test_s7_1_write_once(s3, person, raw, bucket):
    """The policy of S3's documentation: no object is made but under the condition that there is none."""
    s3.put_object(Bucket=bucket, Key="there", Body=b"first")
    under(person, deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*", condition={
        "Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}))
    there, new = f"/{bucket}/there", f"/{bucket}/new"
    copied = {"x-amz-copy-source": f"{bucket}/there"}
    assert status(raw, "PUT", there) == 403
    assert status(raw, "PUT", there, {"if-match": "x"}) == 403
    assert status(raw, "PUT", there, NEW) == 412
    assert status(raw, "PUT", new) == 403
    assert status(raw, "PUT", new, NEW) == 200
    assert status(raw, "PUT", f"/{bucket}/copy", copied, b"") == 403
    assert status(raw, "PUT", f"/{bucket}/copy", copied | NEW, b"") == 200
    # Pieces of an upload make no object; its end does.
    assert status(raw, "POST", f"/{bucket}/m?uploads", body=b"") == 200
    query, done = upload(s3, bucket, "m")
    assert status(raw, "PUT", f"/{bucket}/m?partNumber=2&{query}") == 200
    assert status(raw, "PUT", f"/{bucket}/m?partNumber=3&{query}", copied, b"") == 200
    assert status(raw, "POST", f"/{bucket}/m?{query}", body=done) == 403
    assert status(raw, "POST", f"/{bucket}/m?{query}", NEW, done) == 200
    assert s3.get_object(Bucket=bucket, Key="there")["Body"].read() == b"first"


def test_s7_1_only_conditional_writes_are_allowed(person, raw, bucket):
    person.set_policy(document(allow("s3:PutObject", condition={"Null": {"s3:if-none-match": "false"}})))
    assert status(raw, "PUT", f"/{bucket}/o") == 403
    assert status(raw, "PUT", f"/{bucket}/o", NEW) == 200
    person.set_policy(document(allow("s3:GetObject"), allow(
        ["s3:PutObject", "s3:DeleteObject"], condition={"StringEquals": {"s3:if-match": '"e"'}})))
    for method in ("PUT", "DELETE"):
        assert status(raw, method, f"/{bucket}/o") == 403
        assert status(raw, method, f"/{bucket}/o", {"if-match": '"f"'}) == 403
        assert status(raw, method, f"/{bucket}/o", {"if-match": '"e"'}) == 412


ACL = "s3:x-amz-acl"
OWNER, PRIVATE = {"x-amz-acl": "bucket-owner-full-control"}, {"x-amz-acl": "private"}


@pytest.mark.parametrize("condition,lets,stops", [
    ({"StringNotEquals": {ACL: "bucket-owner-full-control"}}, [OWNER], [{}, PRIVATE]),
    ({"StringEquals": {ACL: "private"}}, [{}, OWNER], [PRIVATE]),
    ({"Null": {ACL: "false"}}, [{}], [OWNER, PRIVATE]),
])
def test_s7_1_acl(s3, person, raw, bucket, condition, lets, stops):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    copied = {"x-amz-copy-source": f"{bucket}/source"}
    under(person, deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*", condition=condition))
    for headers, wanted in [(h, 200) for h in lets] + [(h, 403) for h in stops]:
        assert status(raw, "PUT", f"/{bucket}/k", headers) == wanted
        assert status(raw, "PUT", f"/{bucket}/k", headers | copied, b"") == wanted
        answer = raw.request("POST", f"/{bucket}/m?uploads", b"", headers)
        assert answer.status == wanted
        if wanted == 200:
            # A part is judged by what its upload was created with.
            made = answer.body.split(b"<UploadId>")[1].split(b"</UploadId>")[0].decode()
            assert status(raw, "PUT", f"/{bucket}/m?partNumber=1&uploadId={made}") == 200
    under(person, deny("s3:CreateBucket", condition=condition))
    name = f"/{bucket}-{'private' if PRIVATE in stops else 'other'}"
    if PRIVATE in stops:
        assert status(raw, "PUT", name, PRIVATE, b"") == 403


def test_s7_1_settings_of_new_buckets(s3, person, raw, bucket):
    ownership = {"x-amz-object-ownership": "BucketOwnerEnforced"}
    name = f"{bucket}-new"
    under(person, deny("s3:CreateBucket", condition={
        "StringNotEquals": {"s3:x-amz-object-ownership": "BucketOwnerEnforced"}}))
    assert status(raw, "PUT", f"/{name}", body=b"") == 403
    assert status(raw, "PUT", f"/{name}", ownership, b"") == 200
    s3.delete_bucket(Bucket=name)


def test_s7_1_where_a_bucket_is_made():
    server = Server("--region", "eu-west-1", log="info")
    try:
        server.start()
        person = User(server, document(ALL))
        raw = Client(server, credential=person.credential)
        how = {"signer": raw.signer(region="eu-west-1")}
        body = (b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>"
                b"</CreateBucketConfiguration>")
        here = {"StringEquals": {"s3:LocationConstraint": "eu-west-1"}}
        under(person, deny("s3:CreateBucket", condition=here))
        assert status(raw, "PUT", "/first", body=body, **how) == 403
        person.set_policy(document(allow("s3:CreateBucket", condition=here)))
        assert status(raw, "PUT", "/first", body=body, **how) == 200
        other = {"StringEquals": {"s3:LocationConstraint": "eu-central-1"}}
        person.set_policy(document(allow("s3:CreateBucket", condition=other)))
        assert status(raw, "PUT", "/second", body=body, **how) == 403
    finally:
        server.kill()
        server.remove()


def test_s7_1_referer(s3, person, raw, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    path, good, evil = f"/{bucket}/k", {"referer": "http://good/a"}, {"referer": "http://evil/a"}
    under(person, deny("s3:GetObject", condition={"StringLike": {"aws:Referer": "http://evil/*"}}))
    assert [status(raw, "GET", path, h) for h in ({}, good, evil)] == [200, 200, 403]
    under(person, deny("s3:GetObject", condition={"StringNotLike": {"aws:Referer": "http://good/*"}}))
    assert [status(raw, "GET", path, h) for h in ({}, good, evil)] == [403, 200, 403]


def test_s7_1_the_referer_of_a_form_and_of_who_says_two(server, s3, person, raw, bucket):
    path, evil = f"/{bucket}/k", {"referer": "http://evil/a"}
    forms = Forms(server, credential=person.credential)

    def post(headers):
        return forms.upload(bucket, {"key": "k"}, b"x", headers=headers).status
    under(person, deny("s3:PutObject", condition={"StringLike": {"aws:Referer": "http://evil/*"}}))
    assert [post(h) for h in ({}, {"referer": "http://good/"}, evil)] == [204, 204, 403]
    assert status(raw, "PUT", path, evil) == 403
    # What is not text, or stands there twice, is no way around.
    assert status(raw, "PUT", path, {"referer": "http://evil/é"}) == 403
    answer = raw.request("PUT", path, b"x", after=lambda sent: [
        *sent.items(), ("referer", "http://good/"), ("referer", "http://evil/a")])
    assert answer.status == 400, answer.body


def test_s7_1_the_condition_of_a_delete_is_the_same_in_a_document(s3, person, raw, bucket):
    """S3's policies for conditional deletes: alone and among many."""
    def many(etag):
        body = f"<Delete><Object><Key>k</Key>{etag}</Object></Delete>".encode()
        headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        answer = raw.request("POST", f"/{bucket}?delete", body, headers)
        assert answer.status == 200, answer.body
        return "AccessDenied" if b"AccessDenied" in answer.body else "Deleted"

    def put():
        return s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    etag = put()
    person.set_policy(document(allow("s3:GetObject"), allow(
        "s3:DeleteObject", condition={"Null": {"s3:if-match": "false"}})))
    assert many("") == "AccessDenied"
    assert status(raw, "DELETE", f"/{bucket}/k") == 403
    assert many(f"<ETag>{etag}</ETag>") == "Deleted"
    put()
    under(person, deny("s3:DeleteObject", condition={"StringEquals": {"s3:if-match": ["*", etag]}}))
    for spelled in ("*", etag, etag.strip('"')):
        assert many(f"<ETag>{spelled}</ETag>") == "AccessDenied"
        assert status(raw, "DELETE", f"/{bucket}/k", {"if-match": spelled}) == 403
    assert many("") == "Deleted"


@pytest.mark.parametrize("target", ["copy", "part", "compared"])
def test_s7_1_what_is_said_of_a_write_counts_for_no_read(s3, person, raw, bucket, target):
    """Only objects that name AES256 may be touched: a read names nothing, so it is not allowed, not even
    as the source of a copy that names it."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"secret")["ETag"]
    aes = {SSE: "AES256"}
    source = {"x-amz-copy-source": f"{bucket}/k"}
    made = s3.create_multipart_upload(Bucket=bucket, Key="m", ServerSideEncryption="AES256")["UploadId"]
    method, path, headers = {
        "copy": ("PUT", f"/{bucket}/mine", source | aes),
        "part": ("PUT", f"/{bucket}/m?partNumber=1&uploadId={made}", source),
        "compared": ("PUT", f"/{bucket}/k", aes | {"if-match": etag}),
    }[target]
    body = b"x" if target == "compared" else b""
    writes = allow("s3:PutObject", condition={"StringEquals": {S: "AES256"}})
    for name in (S, "s3:ObjectCreationOperation", "s3:x-amz-copy-source", "s3:if-match"):
        reads = allow("s3:GetObject", condition={"Null": {name: "false"}})
        person.set_policy(document(writes, reads))
        assert status(raw, method, path, headers, body) == 403, name
    person.set_policy(document(writes, allow("s3:GetObject", condition={"Null": {S: "true"}})))
    assert status(raw, method, path, headers, body) == 200


def test_s7_1_the_customer_key_of_a_source_is_not_that_of_its_copy(s3, person, raw, bucket):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.put_object(Bucket=bucket, Key="c", Body=b"x", **KEY.boto())
    name = f"{S}-customer-algorithm"
    plain = {"x-amz-copy-source": f"{bucket}/plain"}
    sealed = {"x-amz-copy-source": f"{bucket}/c"} | SOURCE_TRIO
    part = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    targets = [f"/{bucket}/mine", f"/{bucket}/m?partNumber=1&uploadId={part}"]
    # Reads with a customer key only.
    under(person, deny("s3:GetObject", condition={"Null": {name: "true"}}))
    assert status(raw, "GET", f"/{bucket}/plain") == 403
    assert status(raw, "PUT", targets[0], plain | TRIO, b"") == 403
    for target in targets:
        assert status(raw, "PUT", target, sealed, b"") == 200
    # Reads without one only.
    under(person, deny("s3:GetObject", condition={"StringEquals": {name: "AES256"}}))
    assert status(raw, "GET", f"/{bucket}/c", TRIO) == 403
    for target in targets:
        assert status(raw, "PUT", target, sealed, b"") == 403
    assert status(raw, "PUT", targets[0], plain | TRIO, b"") == 200
    assert C_ALG in TRIO
