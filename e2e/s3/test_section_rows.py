# SPDX-License-Identifier: Apache-2.0
"""Rows of sections 1.3, 2.5, 3.4, 3.5 and 8 that the other tables do not ask, each by its section."""

import base64
import html
import sys
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from clients import MIB, CustomerKey, noise, read  # noqa: E402
from rawhttp import Wire  # noqa: E402
from sse import BK, C_ALG, CTX, KID, SSE, encoded  # noqa: E402

KEY, OTHER = CustomerKey(bytes(range(32))), CustomerKey(bytes(range(1, 33)))
TRIO = KEY.headers()
MUST = "Requests specifying Server Side Encryption with Customer provided keys must "
STORED = ("The object was stored using a form of Server Side Encryption. The correct parameters must "
          "be provided to retrieve the object.")
DIFFERENT = "The provided encryption parameters did not match the ones used originally."


def says(answer, status, code, message=None, **elements):
    assert (answer.status, answer.code) == (status, code), answer.body
    if message is not None:
        assert html.unescape(answer.element("Message")) == message
    for name, value in elements.items():
        assert answer.element(name) == value, answer.body


# ---- 1.3 ----

READ_HEADERS = {
    "SSE": (SSE, "AES256"), "SSE aws:kms": (SSE, "aws:kms"), "SSE dsse": (SSE, "aws:kms:dsse"),
    "SSE unknown": (SSE, "x"), "KID": (KID, "x"), "CTX": (CTX, encoded({"a": "b"})), "BK": (BK, "true"),
}


@pytest.mark.parametrize("row", READ_HEADERS.values(), ids=[f"s1.3 {n}" for n in READ_HEADERS])
def test_s1_3_encryption_headers_are_not_for_reads(raw, s3, bucket, row):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    name, value = row
    answer = raw.request("GET", f"/{bucket}/k", headers={name: value})
    says(answer, 400, "InvalidArgument", f"{name} header is not supported for this operation.",
         ArgumentName=name)
    if name == SSE:
        assert answer.element("ArgumentValue") == value
    head = raw.request("HEAD", f"/{bucket}/k", headers={name: value})
    assert (head.status, head.body) == (400, b"")
    assert raw.request("GET", f"/{bucket}/k").body == b"x"


@pytest.mark.parametrize("sse", ["AES256", "aws:kms", "x"])
def test_s1_3_encryption_is_named_by_create_and_not_by_parts(raw, s3, bucket, sse):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    part = f"/{bucket}/k?partNumber=1&uploadId={upload}"
    message = f"{SSE} header is not supported for this operation."
    copy = {SSE: sse, "x-amz-copy-source": f"/{bucket}/source"}
    said = {"ArgumentName": SSE, "ArgumentValue": sse}
    says(raw.request("PUT", part, b"", copy), 400, "InvalidArgument", message, **said)
    says(raw.request("PUT", part, b"x", {SSE: sse}), 400, "InvalidArgument", message, **said)
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    etag = raw.request("PUT", part, b"x").headers["etag"]
    done = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{etag}</ETag></Part></CompleteMultipartUpload>").encode()
    target = f"/{bucket}/k?uploadId={upload}"
    says(raw.request("POST", target, done, {SSE: sse}), 400, "InvalidArgument", message, **said)
    answer = raw.request("POST", target, done)
    assert (answer.status, answer.headers[SSE]) == (200, "AES256"), answer.body


# ---- 2.5 ----


@pytest.fixture
def sealed(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kms", Body=b"secret", ServerSideEncryption="aws:kms")
    return bucket


WAYS = {
    "PUT": ("PUT", "new", {SSE: "aws:kms"}), "create": ("POST", "new?uploads", {SSE: "aws:kms"}),
    "copy": ("PUT", "new", {SSE: "aws:kms", "x-amz-copy-source": "/{}/kms"}), "GET": ("GET", "kms", {}),
    "HEAD": ("HEAD", "kms", {}),
}
STRANGERS = {
    # S3 says of both that SSE-KMS needs Signature Version 4, where it knows the caller or the bucket is
    # public. Here nobody is let in who did not sign with it, before anything is said of an object.
    "anonymous": ({}, 403, "AccessDenied"),
    "SigV2": ({"authorization": "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg="},
              400, "InvalidRequest"),
    "SigV2 in the query": ("AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=4102444800&Signature=x",
                           400, "InvalidRequest"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("who", STRANGERS.values(), ids=[f"s2.5 {name}" for name in STRANGERS])
def test_s2_5_a_request_without_signature_version_4(server, s3, sealed, way, who):
    credentials, status, code = who
    method, target, headers = way
    target = f"/{sealed}/{target}"
    headers = {name: value.format(sealed) for name, value in headers.items()}
    if isinstance(credentials, str):
        target += ("&" if "?" in target else "?") + credentials
    else:
        headers |= credentials
    body = b"x" if method == "PUT" else b""
    with Wire(server, "https") as wire:
        sent = {"host": wire.host, "content-length": str(len(body))} | headers
        wire.send(wire.head(method, target, sent) + body)
        answer = wire.answer(method)
    assert answer.status == status, answer.body
    if method != "HEAD":
        says(answer, status, code)
        assert b"secret" not in answer.body
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=sealed)["Contents"]] == ["kms"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=sealed)


def test_s2_5_a_key_service_that_was_asked_too_often_is_not_there(raw, s3, bucket):
    """The row SlowDown: this key service is asked in the same process and refuses nobody for asking
    often. (That a limit of it would be this answer is a test of the adapter.)"""
    for turn in range(40):
        answer = raw.request("PUT", f"/{bucket}/k", b"x", {SSE: "aws:kms"})
        assert answer.status == 200, (turn, answer.body)


# ---- 3.4 ----


@pytest.mark.sse_c
def test_s3_4_each_version_has_its_own_key_and_markers_none(raw, s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", **KEY.boto())["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", **OTHER.boto())["VersionId"]
    wrong = (403, "AccessDenied", MUST + "provide the correct secret key.")
    for target, good, bad in ((f"k?versionId={first}", KEY, OTHER), ("k", OTHER, KEY),
                              (f"k?versionId={second}", OTHER, KEY)):
        assert raw.request("GET", f"/{bucket}/{target}", headers=good.headers()).status == 200
        says(raw.request("GET", f"/{bucket}/{target}", headers=bad.headers()), *wrong)
        says(raw.request("GET", f"/{bucket}/{target}"), 400, "InvalidRequest", STORED)
        assert raw.request("HEAD", f"/{bucket}/{target}", headers=bad.headers()).status == 403
    assert raw.request("DELETE", f"/{bucket}/k").status == 204
    says(raw.request("GET", f"/{bucket}/k", headers=TRIO), 404, "NoSuchKey")
    assert raw.request("DELETE", f"/{bucket}/k?versionId={first}").status == 204


# ---- 3.5 ----


@pytest.mark.sse_c
def test_s3_5_a_copy_in_place_turns_the_key_and_one_key_twice_must_be_right(raw, s3, bucket):
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Body=b"x", **where, **KEY.boto())
    copy = {"x-amz-copy-source": f"/{bucket}/k"}
    twice = copy | OTHER.headers() | OTHER.headers(source=True)
    says(raw.request("PUT", f"/{bucket}/k", b"", twice), 400, "InvalidRequest", DIFFERENT)
    # To another name, and with another new key, it is a wrong key like any.
    says(raw.request("PUT", f"/{bucket}/new", b"", twice), 403, "AccessDenied")
    turned = copy | TRIO | OTHER.headers(source=True)
    says(raw.request("PUT", f"/{bucket}/k", b"", turned), 403, "AccessDenied")
    assert read(s3.get_object(**where, **KEY.boto())) == b"x"
    turned = copy | OTHER.headers() | KEY.headers(source=True)
    assert raw.request("PUT", f"/{bucket}/k", b"", turned).status == 200
    assert read(s3.get_object(**where, **OTHER.boto())) == b"x"
    says(raw.request("GET", f"/{bucket}/k", headers=TRIO), 403, "AccessDenied")


@pytest.mark.sse_c
def test_s3_5_a_presigned_url_holds_no_key_and_its_headers_are_signed(raw, s3, bucket):
    target = f"/{bucket}/k"
    # Headers beside the URL that nobody signed are refused, the key among them.
    answer = raw.presigned("PUT", target, headers={C_ALG: "AES256"}, send_headers=TRIO, body=b"x")
    says(answer, 403, "AccessDenied", "There were headers present in the request which were not signed")
    # A key in the URL itself ends up in logs.
    answer = raw.presigned("PUT", target, extra=list(TRIO.items()), body=b"x")
    assert answer.status in (400, 403), answer.body
    other = raw.presigned("PUT", target, headers=TRIO, send_headers=OTHER.headers(), body=b"x")
    assert other.status == 403, other.body
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert raw.presigned("PUT", target, headers=TRIO, body=b"x").status == 200
    assert read(s3.get_object(Bucket=bucket, Key="k", **KEY.boto())) == b"x"
    says(raw.presigned("GET", target), 400, "InvalidRequest", STORED)
    assert raw.presigned("GET", target, headers=TRIO).body == b"x"


# ---- 8 ----

DATA = b"123456789"
CRC32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
CK = "x-amz-checksum-"
SECTION_8 = {
    "malformed value": ({CK + "sha256": "x"}, 400, "InvalidRequest",
                        "Value for x-amz-checksum-sha256 header is invalid."),
    "value of another length": ({CK + "crc32": "AAAAAAAAAAA="}, 400, "InvalidRequest",
                                "Value for x-amz-checksum-crc32 header is invalid."),
    "mismatch": ({CK + "crc32": "AAAAAA=="}, 400, "BadDigest",
                 "The CRC32 you specified did not match the calculated checksum."),
    "two headers": ({CK + "crc32": CRC32, CK + "crc32c": "4waSgw=="}, 400, "InvalidRequest",
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."),
    "unknown algorithm": ({"x-amz-sdk-checksum-algorithm": "CRC16"}, 400, "InvalidRequest",
                          "Checksum algorithm provided is unsupported. Please try again with any of the "
                          "valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"),
    "md5 malformed": ({"content-md5": "x"}, 400, "InvalidDigest",
                      "The Content-MD5 you specified was invalid."),
    "md5 mismatch": ({"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, 400, "BadDigest",
                     "The Content-MD5 you specified did not match what we received."),
}


@pytest.mark.sse_c
@pytest.mark.parametrize("mode", [{}, {SSE: "aws:kms"}, {SSE: "aws:kms:dsse"}, TRIO],
                         ids=["s3", "kms", "dsse", "c"])
@pytest.mark.parametrize("row", SECTION_8.values(), ids=[f"s8 {name}" for name in SECTION_8])
def test_s8_checksums_that_are_refused(raw, s3, bucket, row, mode):
    headers, status, code, message = row
    says(raw.request("PUT", f"/{bucket}/k", DATA, headers | mode), status, code, message)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert raw.request("PUT", f"/{bucket}/k", DATA, {CK + "crc32": CRC32} | mode).status == 200


def test_s8_a_body_that_is_not_what_was_signed(raw, s3, bucket):
    answer = raw.request("PUT", f"/{bucket}/k", DATA, payload="0" * 64)
    says(answer, 400, "XAmzContentSHA256Mismatch",
         "The provided 'x-amz-content-sha256' header does not match what was computed.",
         ClientComputedContentSHA256="0" * 64)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def complete(raw, bucket, upload, parts, headers=None):
    inner = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{more}</Part>"
                    for number, etag, more in parts)
    body = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()
    return raw.request("POST", f"/{bucket}/m?uploadId={upload}", body, headers or {})


def test_s8_the_checksums_of_an_upload(raw, s3, bucket):
    made = s3.create_multipart_upload(Bucket=bucket, Key="m", ChecksumAlgorithm="CRC32")
    upload = made["UploadId"]
    assert (made["ChecksumAlgorithm"], made["ChecksumType"]) == ("CRC32", "COMPOSITE")
    part = f"/{bucket}/m?partNumber=1&uploadId={upload}"
    says(raw.request("PUT", part, DATA, {CK + "crc32c": "4waSgw=="}), 400, "InvalidRequest",
         "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: crc32c")
    etag = raw.request("PUT", part, DATA, {CK + "crc32": CRC32}).headers["etag"]
    named = f"<ChecksumCRC32>{CRC32}</ChecksumCRC32>"
    says(complete(raw, bucket, upload, [(1, etag, "")]), 400, "InvalidRequest",
         "The upload was created using a crc32 checksum. The complete request must include the checksum "
         "for each part. It was missing for part 1 in the request.")
    says(complete(raw, bucket, upload, [(1, etag, "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>")]), 400,
         "InvalidPart")
    says(complete(raw, bucket, upload, [(1, '"' + "0" * 32 + '"', named)]), 400, "InvalidPart")
    says(complete(raw, bucket, upload, [(1, etag, named), (1, etag, named)]), 400, "InvalidPartOrder")
    says(complete(raw, bucket, upload, [(1, etag, named)], {CK + "type": "FULL_OBJECT"}), 400,
         "InvalidRequest", "The upload was created using the COMPOSITE checksum mode. The complete "
         "request must use the same checksum mode.")
    says(complete(raw, bucket, upload, [(1, etag, named)], {"x-amz-mp-object-size": "8"}), 400,
         "InvalidRequest")
    done = complete(raw, bucket, upload, [(1, etag, named)], {"x-amz-mp-object-size": "9"})
    assert done.status == 200 and done.element("ChecksumCRC32").endswith("-1"), done.body


@pytest.mark.parametrize("sse", ["AES256", "aws:kms", "aws:kms:dsse"])
def test_s8_an_upload_without_an_algorithm_gets_crc64nvme(s3, bucket, sse):
    """boto3 brings a CRC32 with each part, whatever the upload was created with."""
    where = {"Bucket": bucket, "Key": "m"}
    upload = s3.create_multipart_upload(ServerSideEncryption=sse, **where)["UploadId"]
    parts = []
    for number, body in enumerate((noise(5 * MIB, 1), b"the end"), 1):
        part = s3.upload_part(UploadId=upload, PartNumber=number, Body=body, **where)
        assert "ChecksumCRC32" in part, "what the client computed is answered"
        parts.append({"PartNumber": number, "ETag": part["ETag"],
                      "ChecksumCRC32": part["ChecksumCRC32"]})
    done = s3.complete_multipart_upload(UploadId=upload, MultipartUpload={"Parts": parts}, **where)
    assert done["ChecksumType"] == "FULL_OBJECT"
    s3.put_object(Bucket=bucket, Key="once", Body=noise(5 * MIB, 1) + b"the end",
                  ChecksumAlgorithm="CRC64NVME")
    head = s3.head_object(ChecksumMode="ENABLED", **where)
    once = s3.head_object(ChecksumMode="ENABLED", Bucket=bucket, Key="once")
    assert head["ChecksumCRC64NVME"] == once["ChecksumCRC64NVME"] == done["ChecksumCRC64NVME"]
    assert "ChecksumCRC32" not in head
