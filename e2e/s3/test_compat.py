# SPDX-License-Identifier: Apache-2.0
"""`serve --compat`: both forms of each place where S3 and Ceph's suite of S3 tests disagree."""

import pytest

import clients
from clients import CustomerKey, headers_of, make_bucket, read, refused
from rawhttp import Client
from sse import C_ALG, C_MD5, KID, SSE
from strongroom import Server

KEY, OTHER = CustomerKey(bytes(range(32))), CustomerKey(bytes(range(1, 33)))


class Side:
    """A server, how it was told to answer, and its clients."""

    def __init__(self, name, server):
        self.name, self.server = name, server
        self.s3, self.raw, self.kms = clients.s3(server), Client(server), clients.kms(server)
        self.made = []

    @property
    def ceph(self):
        return self.name == "ceph"

    def bucket(self, **more):
        self.made.append(make_bucket(self.s3, **more))
        return self.made[-1]


@pytest.fixture(scope="module")
def ceph_server():
    with Server("--compat", "ceph") as running:
        yield running


@pytest.fixture(params=["aws", "ceph"])
def side(request, server):
    running = server if request.param == "aws" else request.getfixturevalue("ceph_server")
    made = Side(request.param, running)
    yield made
    for name in made.made:
        clients.empty_and_delete(made.s3, name)


def test_compat_s3_6_a_write_about_whatever_is_there(side):
    bucket = side.bucket()
    target = f"/{bucket}/k"
    absent = side.raw.request("PUT", target, b"x", {"if-match": "*"})
    side.s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    there = side.raw.request("PUT", target, b"new", {"if-match": "*"})
    kept = read(side.s3.get_object(Bucket=bucket, Key="k"))
    if side.ceph:
        assert (absent.code, there.status, kept) == ("NoSuchKey", 200, b"new")
    else:
        assert (absent.status, absent.code) == (there.status, there.code) == (501, "NotImplemented")
        assert (there.element("Header"), kept) == ("If-Match", b"old")


def test_compat_s3_6_customer_keys_in_new_buckets(side):
    bucket = side.bucket()
    where = {"Bucket": bucket, "Key": "k"}
    if not side.ceph:
        with refused("AccessDenied", 403):
            side.s3.put_object(Body=b"x", **where, **KEY.boto())
        return
    side.s3.put_object(Body=b"x", **where, **KEY.boto())
    assert read(side.s3.get_object(**where, **KEY.boto())) == b"x"
    # A bucket that was told blocks under either form.
    side.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={
        "Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}]})
    with refused("AccessDenied", 403):
        side.s3.put_object(Body=b"x", **where, **KEY.boto())


@pytest.mark.parametrize("headers", [{SSE: "AES256"}, {SSE: "aws:kms", KID: "alias/aws/s3"}],
                         ids=["AES256", "aws:kms"])
def test_compat_s1_3_encryption_headers_on_parts(side, headers):
    bucket = side.bucket()
    where = {"Bucket": bucket, "Key": "m"}
    side.s3.put_object(Bucket=bucket, Key="source", Body=b"part")
    upload = side.s3.create_multipart_upload(**where)["UploadId"]
    etag = side.s3.upload_part(UploadId=upload, PartNumber=1, Body=b"part", **where)["ETag"]
    done = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>").encode()
    part = f"/{bucket}/m?partNumber=1&uploadId={upload}"
    source = {"x-amz-copy-source": f"/{bucket}/source"}
    for answer in (
        side.raw.request("PUT", part, b"part", headers),
        side.raw.request("PUT", part, b"", headers | source),
        side.raw.request("POST", f"/{bucket}/m?uploadId={upload}", done, headers),
    ):
        if side.ceph:
            assert answer.status == 200, answer.body
            continue
        assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body
        assert answer.element("Message") == f"{SSE} header is not supported for this operation."
        assert answer.element("ArgumentName") == SSE
        assert answer.element("ArgumentValue") == headers[SSE]
    # Neither form takes them on reads.
    side.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert side.raw.request("GET", f"/{bucket}/k", headers=headers).status == 400
    assert side.raw.request("HEAD", f"/{bucket}/k", headers=headers).status == 400


def test_compat_s2_1_kms_without_a_key(side):
    bucket = side.bucket()
    answer = side.raw.request("PUT", f"/{bucket}/k", b"x", {SSE: "aws:kms"})
    upload = side.raw.request("POST", f"/{bucket}/m?uploads", b"", {SSE: "aws:kms"})
    if side.ceph:
        for refusal in (answer, upload):
            assert (refusal.status, refusal.code) == (400, "InvalidArgument"), refusal.body
        assert side.s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    else:
        assert (answer.status, upload.status) == (200, 200)
        assert answer.headers[KID].startswith("arn:aws:kms:")
    key = side.kms.create_key()["KeyMetadata"]["Arn"]
    named = side.raw.request("PUT", f"/{bucket}/k", b"x", {SSE: "aws:kms", KID: key})
    # What was configured as an ARN is what the answer says, under both.
    assert (named.status, named.headers[KID]) == (200, key)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_compat_s3_4_another_customer_key(side, method):
    bucket = side.bucket(sse_c=True)
    side.s3.put_object(Bucket=bucket, Key="k", Body=b"mine", **KEY.boto())
    answer = side.raw.request(method, f"/{bucket}/k", headers=OTHER.headers())
    assert answer.status == (400 if side.ceph else 403)
    assert b"mine" not in answer.body
    if method == "GET":
        assert answer.code == ("InvalidArgument" if side.ceph else "AccessDenied")
        assert answer.element("Message").endswith("must provide the correct secret key.")
    copy = {"x-amz-copy-source": f"/{bucket}/k"} | OTHER.headers(source=True)
    answer = side.raw.request("PUT", f"/{bucket}/copy", b"", copy)
    assert answer.status == (400 if side.ceph else 403)


@pytest.mark.parametrize("sent,aws,ceph", [
    ({}, 200, 400), (KEY.headers(), 200, 200), (OTHER.headers(), 400, 400),
], ids=["none", "right", "wrong"])
def test_compat_s3_5_complete_and_the_customer_key(side, sent, aws, ceph):
    bucket = side.bucket(sse_c=True)
    where = {"Bucket": bucket, "Key": "m"}
    upload = side.s3.create_multipart_upload(**where, **KEY.boto())["UploadId"]
    etag = side.s3.upload_part(
        UploadId=upload, PartNumber=1, Body=b"part", **where, **KEY.boto())["ETag"]
    done = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>").encode()
    answer = side.raw.request("POST", f"/{bucket}/m?uploadId={upload}", done, sent)
    assert answer.status == (ceph if side.ceph else aws), answer.body
    if answer.status == 200:
        echo = {C_ALG: "AES256", C_MD5: KEY.md5} if side.ceph else {}
        assert {n: answer.headers[n] for n in (C_ALG, C_MD5) if n in answer.headers} == echo
        assert read(side.s3.get_object(**where, **KEY.boto())) == b"part"
    else:
        assert side.s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_compat_s4_a_bucket_that_was_given_no_rule(side):
    bucket = side.bucket()

    def ask():
        return side.raw.request("GET", f"/{bucket}?encryption")

    def expect_none(answer):
        if side.ceph:
            assert (answer.status, answer.code) == (
                404, "ServerSideEncryptionConfigurationNotFoundError")
            assert answer.element("Message") == (
                "The server side encryption configuration was not found")
        else:
            assert (answer.status, answer.element("SSEAlgorithm")) == (200, "AES256")
            assert answer.element("EncryptionType") == "SSE-C"

    expect_none(ask())
    side.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]})
    assert (ask().status, ask().element("SSEAlgorithm")) == (200, "AES256")
    side.s3.delete_bucket_encryption(Bucket=bucket)
    expect_none(ask())
    # The default itself is SSE-S3 under both.
    made = side.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert headers_of(made)[SSE] == "AES256"


def test_compat_s6_4_a_part_that_is_not_there(side):
    bucket = side.bucket()
    side.s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    answer = side.raw.request("GET", f"/{bucket}/k?partNumber=2")
    expected = (400, "InvalidPart") if side.ceph else (416, "InvalidPartNumber")
    assert (answer.status, answer.code) == expected
    assert answer.element("ActualPartCount") == "1"
    assert side.raw.request("HEAD", f"/{bucket}/k?partNumber=2").status == expected[0]
    # A range that is not there is 416 under both.
    answer = side.raw.request("GET", f"/{bucket}/k", headers={"range": "bytes=10-"})
    assert (answer.status, answer.code) == (416, "InvalidRange")


def test_the_switch_is_a_variable_too_and_takes_known_names_only(make_server):
    server = make_server(env={"STRONGROOM_COMPAT": "ceph"})
    assert "--compat ceph" in server.log()
    bucket = make_bucket(clients.s3(server))
    clients.s3(server).put_object(Bucket=bucket, Key="k", Body=b"x", **KEY.boto())
    # Without the switch the bucket was told nothing, and blocks; what is there is read.
    server.stop()
    server.extra_env = {}
    server.start()
    s3 = clients.s3(server)
    with refused("AccessDenied", 403):
        s3.put_object(Bucket=bucket, Key="k2", Body=b"x", **KEY.boto())
    assert read(s3.get_object(Bucket=bucket, Key="k", **KEY.boto())) == b"x"
    for bad in ("minio", "CEPH", ""):
        done = server.command("serve", "--compat", bad, check=False)
        assert done.returncode == 2 and "--compat" in done.stderr
