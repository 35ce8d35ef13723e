# SPDX-License-Identifier: Apache-2.0
"""Encryption headers that are wrong: order, code, message and argument of each refusal."""

import base64
import xml.etree.ElementTree as ElementTree

import pytest

from clients import CustomerKey, empty_and_delete, make_bucket, noise, read
from sse import BK, C_ALG, C_KEY, C_MD5, CTX, KID, SSE, encoded

pytestmark = pytest.mark.sse_c

KEY = CustomerKey(bytes(range(32)))
OTHER = CustomerKey(bytes(range(1, 33)))
TRIO = KEY.headers()
SHORT = CustomerKey(bytes(31))
LONG = CustomerKey(bytes(33))
MUST = "Requests specifying Server Side Encryption with Customer provided keys must provide "
STORED = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be "
    "provided to retrieve the object."
)
NEEDS_KMS = (
    "Server Side Encryption with AWS KMS managed key requires HTTP header "
    "x-amz-server-side-encryption : aws:kms"
)
WRONG_KEY = (
    "Requests specifying Server Side Encryption with Customer provided keys must provide the "
    "correct secret key."
)
CONTEXT_FORM = (
    "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string "
    "holding JSON which represents a string-string map"
)
ALGORITHM = "The Encryption request you specified is not valid. Supported value: AES256."
MD5 = "The calculated MD5 hash of the key did not match the hash that was provided."
SECRET = "The secret key was invalid for the specified algorithm."


def trio(**changes):
    names = {"alg": C_ALG, "key": C_KEY, "md5": C_MD5}
    out = dict(TRIO)
    for name, value in changes.items():
        if value is None:
            del out[names[name]]
        else:
            out[names[name]] = value
    return out


# Headers -> code, message, ArgumentValue. ArgumentName is the SSE header in all of them.
CUSTOMER_ROWS = {
    "algorithm missing": (trio(alg=None), "InvalidArgument", MUST + "a valid encryption algorithm.", "null"),
    "only md5": ({C_MD5: KEY.md5}, "InvalidArgument", MUST + "a valid encryption algorithm.", "null"),
    "key missing": (trio(key=None), "InvalidArgument", MUST + "an appropriate secret key.", "null"),
    "only algorithm": ({C_ALG: "AES256"}, "InvalidArgument", MUST + "an appropriate secret key.", "null"),
    "key missing before algorithm": (
        trio(key=None, alg="AES128"), "InvalidArgument", MUST + "an appropriate secret key.", "null"
    ),
    "AES128": (trio(alg="AES128"), "InvalidEncryptionAlgorithmError", ALGORITHM, "AES128"),
    "lower case": (trio(alg="aes256"), "InvalidEncryptionAlgorithmError", ALGORITHM, "aes256"),
    "aws:kms": (trio(alg="aws:kms"), "InvalidEncryptionAlgorithmError", ALGORITHM, "aws:kms"),
    "algorithm before md5": (
        trio(alg="AES192", md5=None), "InvalidEncryptionAlgorithmError", ALGORITHM, "AES192"
    ),
    "md5 missing": (
        trio(md5=None), "InvalidArgument", MUST + "the client calculated MD5 of the secret key.", "null"
    ),
    "md5 of another key": (trio(md5=OTHER.md5), "InvalidArgument", MD5, "null"),
    "md5 no base64": (trio(md5="!!!"), "InvalidArgument", MD5, "null"),
    "md5 before length": (trio(key=SHORT.base64), "InvalidArgument", MD5, "null"),
    "31 bytes": (SHORT.headers(), "InvalidArgument", SECRET, "null"),
    "33 bytes": (LONG.headers(), "InvalidArgument", SECRET, "null"),
    "key no base64": (trio(key="not base64 at all!"), "InvalidArgument", SECRET, "null"),
    "key empty": (trio(key=""), "InvalidArgument", SECRET, "null"),
}
HEADER_ROWS = {
    "empty": ({SSE: ""}, "InvalidArgument", "The encryption method specified is not supported", ""),
    "AES128": ({SSE: "AES128"}, "InvalidArgument", "The encryption method specified is not supported", "AES128"),
    "lower case": ({SSE: "aes256"}, "InvalidArgument", "The encryption method specified is not supported", "aes256"),
    "aes:kms": ({SSE: "aes:kms"}, "InvalidArgument", "The encryption method specified is not supported", "aes:kms"),
    "fsx": ({SSE: "aws:fsx"}, "InvalidArgument", "The encryption method specified is not supported", "aws:fsx"),
    "key id alone": ({KID: "x"}, "InvalidArgument", NEEDS_KMS, None),
    "context alone": ({CTX: encoded({"a": "b"})}, "InvalidArgument", NEEDS_KMS, None),
    "key id with AES256": ({SSE: "AES256", KID: "x"}, "InvalidArgument", NEEDS_KMS, None),
    "context with AES256": ({SSE: "AES256", CTX: encoded({})}, "InvalidArgument", NEEDS_KMS, None),
    "AES256 with customer key": (
        {SSE: "AES256"} | TRIO, "InvalidArgument",
        "Server Side Encryption with Customer provided key is incompatible with the encryption "
        "method specified", "AES256",
    ),
    "kms with customer key": (
        {SSE: "aws:kms"} | TRIO, "InvalidArgument",
        "Server Side Encryption with Customer provided key is incompatible with the encryption "
        "method specified", "aws:kms",
    ),
    "incompatible before algorithm": (
        {SSE: "AES256"} | trio(alg="AES128"), "InvalidArgument",
        "Server Side Encryption with Customer provided key is incompatible with the encryption "
        "method specified", "AES256",
    ),
    "customer key and key id": ({KID: "x"} | TRIO, "InvalidArgument", NEEDS_KMS, None),
}


# To a read, a key of another length with its own MD5 is a wrong key (docs/semantics.md).
WRONG_TO_READS = (403, "AccessDenied", MUST + "the correct secret key.")


def to_read(name):
    """Status, code and message that a read answers to a row."""
    row = CUSTOMER_ROWS[name]
    return WRONG_TO_READS if name in ("31 bytes", "33 bytes") else (400, row[1], row[2])


def check(answer, row):
    headers, code, message, value = row
    assert (answer.status, answer.code) == (400, code), answer.body
    assert answer.element("Message") == message
    assert answer.element("ArgumentName") == SSE
    if value is not None:
        assert answer.element("ArgumentValue") == value
    for secret in (headers.get(C_KEY), KEY.base64):
        assert not secret or secret.encode() not in answer.body


def nothing_there(s3, bucket):
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.fixture(scope="module")
def place(s3):
    """Sealed objects to read: one per mode, and open uploads with and without customer key."""
    name = make_bucket(s3, "sse", sse_c=True)
    s3.put_object(Bucket=name, Key="plain", Body=b"plain text")
    s3.put_object(Bucket=name, Key="kms", Body=b"plain text", ServerSideEncryption="aws:kms")
    s3.put_object(Bucket=name, Key="c", Body=b"plain text", **KEY.boto())
    yield {
        "bucket": name,
        "c-upload": s3.create_multipart_upload(Bucket=name, Key="m", **KEY.boto())["UploadId"],
        "upload": s3.create_multipart_upload(Bucket=name, Key="m")["UploadId"],
    }
    empty_and_delete(s3, name)


@pytest.mark.parametrize("target", ["PUT /{b}/k", "POST /{b}/k?uploads", "copy"])
@pytest.mark.parametrize("row", CUSTOMER_ROWS.values(), ids=CUSTOMER_ROWS)
def test_sec_n66_customer_key_on_writes(raw, s3, place, bucket, row, target):
    if target == "copy":
        method, path = "PUT", f"/{bucket}/k"
        headers = row[0] | {"x-amz-copy-source": f"/{place['bucket']}/plain"}
    else:
        method, path = target.format(b=bucket).split(" ")
        headers = row[0]
    check(raw.request(method, path, b"", headers), row)
    nothing_there(s3, bucket)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", CUSTOMER_ROWS)
def test_sec_n66_customer_key_on_reads(raw, place, name, method):
    row, expected = CUSTOMER_ROWS[name], to_read(name)
    answer = raw.request(method, f"/{place['bucket']}/c", headers=row[0])
    if method == "HEAD":
        assert (answer.status, answer.body) == (expected[0], b"")
    elif expected is WRONG_TO_READS:
        assert (answer.status, answer.code, answer.element("Message")) == expected
    else:
        check(answer, row)


@pytest.mark.parametrize("row", CUSTOMER_ROWS.values(), ids=CUSTOMER_ROWS)
def test_sec_n66_customer_key_on_parts(raw, s3, place, row):
    bucket, upload = place["bucket"], place["c-upload"]
    target = f"/{bucket}/m?partNumber=1&uploadId={upload}"
    check(raw.request("PUT", target, b"x", row[0]), row)
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="m", UploadId=upload)


@pytest.mark.parametrize("name", CUSTOMER_ROWS)
def test_sec_n66_customer_key_of_copy_sources(raw, s3, place, bucket, name):
    row = CUSTOMER_ROWS[name]
    stem = "x-amz-copy-source-server-side-encryption-customer"
    headers = {name.replace(C_ALG[:-10], stem): value for name, value in row[0].items()}
    headers["x-amz-copy-source"] = f"/{place['bucket']}/c"
    answer = raw.request("PUT", f"/{bucket}/k", b"", headers)
    assert (answer.status, answer.code, answer.element("Message")) == to_read(name)
    nothing_there(s3, bucket)


@pytest.mark.parametrize("target", ["PUT /{b}/k", "POST /{b}/k?uploads"])
@pytest.mark.parametrize("row", HEADER_ROWS.values(), ids=HEADER_ROWS)
def test_sec_n67_headers_that_contradict(raw, s3, bucket, row, target):
    method, path = target.format(b=bucket).split(" ")
    check(raw.request(method, path, b"", row[0]), row)
    nothing_there(s3, bucket)


@pytest.mark.parametrize("name", [SSE, C_KEY, C_ALG, C_MD5, KID, CTX])
def test_sec_n67_header_given_twice(raw, s3, bucket, name):
    headers = {SSE: "aws:kms", KID: "alias/aws/s3", CTX: encoded({})}
    headers = headers if name in headers else dict(TRIO)
    answer = raw.request(
        "PUT", f"/{bucket}/k", b"x", headers, after=lambda h: [*h.items(), (name, headers[name])]
    )
    assert answer.status in (400, 403)
    nothing_there(s3, bucket)


BAD_CONTEXTS = {
    "no base64": "!!!", "no json": base64.b64encode(b"{").decode(), "empty": "",
    "list": base64.b64encode(b'["a"]').decode(), "string": base64.b64encode(b'"a"').decode(),
    "number": base64.b64encode(b'{"a":1}').decode(), "null": base64.b64encode(b'{"a":null}').decode(),
    "nested": base64.b64encode(b'{"a":{"b":"c"}}').decode(),
    "array value": base64.b64encode(b'{"a":["b"]}').decode(),
    "twice": base64.b64encode(b'{"a":"1","a":"2"}').decode(),
    "latin-1": base64.b64encode(b'{"a":"\xe9"}').decode(),
    "trailing": base64.b64encode(b'{"a":"b"} x').decode(),
    "over 8 KiB": encoded({"a": "x" * 9000}),
    "deep": base64.b64encode(b'{"a":' * 1500 + b'"x"' + b"}" * 1500).decode()[:8000],
    "utf-16": base64.b64encode('{"a":"b"}'.encode("utf-16")).decode(),
}


@pytest.mark.parametrize("value", BAD_CONTEXTS.values(), ids=BAD_CONTEXTS)
@pytest.mark.parametrize("target", ["PUT /{b}/k", "POST /{b}/k?uploads"])
def test_sec_n67_context(raw, s3, bucket, value, target):
    method, path = target.format(b=bucket).split(" ")
    answer = raw.request(method, path, b"", {SSE: "aws:kms", CTX: value})
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body
    assert answer.element("Message") == CONTEXT_FORM
    nothing_there(s3, bucket)


@pytest.mark.parametrize("context", [
    {"aws:s3:arn": "arn:aws:s3:::other/k"}, {"aws:s3:arn": ""}, {"aws:other": "x"},
])
def test_sec_n67_context_of_another_object(raw, s3, bucket, context):
    answer = raw.request("PUT", f"/{bucket}/k", b"x", {SSE: "aws:kms", CTX: encoded(context)})
    assert (answer.status, answer.code) == (400, "InvalidArgument"), answer.body
    nothing_there(s3, bucket)


def test_context_with_the_objects_own_arn(raw, bucket):
    context = {"aws:s3:arn": f"arn:aws:s3:::{bucket}/k", "a": "b"}
    answer = raw.request("PUT", f"/{bucket}/k", b"x", {SSE: "aws:kms", CTX: encoded(context)})
    assert answer.status == 200
    assert raw.request("GET", f"/{bucket}/k").body == b"x"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("header,value", [
    (SSE, "AES256"), (SSE, "aws:kms"), (SSE, ""), (KID, "x"), (CTX, "e30="), (BK, "true"),
])
@pytest.mark.parametrize("key", ["plain", "kms"])
def test_sec_n67_encryption_headers_on_reads(raw, place, method, header, value, key):
    answer = raw.request(method, f"/{place['bucket']}/{key}", headers={header: value})
    assert answer.status == 400
    if method == "GET":
        assert answer.code == "InvalidArgument"
        assert answer.element("Message") == f"{header} header is not supported for this operation."
        assert answer.element("ArgumentName") == header
        if header == SSE:
            assert answer.element("ArgumentValue") == value


@pytest.mark.parametrize("value,status", [("true", 200), ("false", 200), ("yes", 400), ("", 400)])
def test_bucket_key_header(raw, bucket, value, status):
    for sse in ({SSE: "AES256"}, {}, {SSE: "aws:kms"}):
        answer = raw.request("PUT", f"/{bucket}/k", b"x", sse | {BK: value})
        assert answer.status == status
        if status == 400:
            assert answer.code == "InvalidArgument"


# ---- reads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [
    {}, {"range": "bytes=0-0"}, {"if-match": '"x"'}, {"if-none-match": "*"}, {"range": "bytes=99-"},
])
def test_sec_n68_customer_key_missing(raw, place, headers):
    """Decided before conditions and ranges, so that none of them tells anything."""
    target = f"/{place['bucket']}/c"
    answer = raw.request("GET", target, headers=headers)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == STORED
    assert raw.request("HEAD", target, headers=headers).status == 400


@pytest.mark.parametrize("headers", [
    {}, {"range": "bytes=0-0"}, {"if-match": '"x"'}, {"if-none-match": "*"},
])
@pytest.mark.parametrize("key", [OTHER, CustomerKey(bytes(32))], ids=["other", "zeroes"])
def test_sec_n68_customer_key_wrong(raw, place, headers, key):
    target = f"/{place['bucket']}/c"
    answer = raw.request("GET", target, headers=key.headers() | headers)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.element("Message") == WRONG_KEY
    assert raw.request("HEAD", target, headers=key.headers() | headers).status == 403


@pytest.mark.parametrize("bit", range(0, 256, 37))
def test_sec_n68_one_bit_of_the_customer_key(raw, place, bit):
    near = bytearray(KEY.raw)
    near[bit // 8] ^= 1 << (bit % 8)
    answer = raw.request("GET", f"/{place['bucket']}/c", headers=CustomerKey(bytes(near)).headers())
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize("key", ["plain", "kms"])
def test_sec_n68_customer_key_for_another_mode(raw, place, key):
    target = f"/{place['bucket']}/{key}"
    answer = raw.request("GET", target, headers=TRIO)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == "The encryption parameters are not applicable to this object."
    assert raw.request("HEAD", target, headers=TRIO).status == 400


def test_sec_n68_missing_object_comes_first(raw, place):
    for headers in (TRIO, {}):
        answer = raw.request("GET", f"/{place['bucket']}/absent", headers=headers)
        assert (answer.status, answer.code) == (404, "NoSuchKey")


def test_delete_needs_no_customer_key(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="c", Body=b"x", **KEY.boto())
    assert raw.request("DELETE", f"/{bucket}/c").status == 204


# ---- multipart and copy -----------------------------------------------------------------------

MISSING = (
    "The multipart upload initiate requested encryption. Subsequent part requests must include "
    "the appropriate encryption parameters."
)
DIFFERENT = "The provided encryption parameters did not match the ones used originally."


@pytest.mark.parametrize("upload,headers,message", [
    ("c-upload", {}, MISSING), ("upload", TRIO, MISSING), ("c-upload", OTHER.headers(), DIFFERENT),
])
@pytest.mark.parametrize("copy", [False, True])
def test_sec_n72_part_with_another_customer_key(raw, s3, place, upload, headers, message, copy):
    bucket, upload = place["bucket"], place[upload]
    source = {"x-amz-copy-source": f"/{bucket}/plain"} if copy else {}
    target = f"/{bucket}/m?partNumber=1&uploadId={upload}"
    answer = raw.request("PUT", target, b"" if copy else b"x", headers | source)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == message
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="m", UploadId=upload)


def test_complete_of_a_customer_key_upload(raw, s3, bucket):
    """Without the key: fine, and no echo. With a wrong one: refused."""
    for sent, status in (({}, 200), (OTHER.headers(), 400)):
        upload = s3.create_multipart_upload(Bucket=bucket, Key="m", **KEY.boto())["UploadId"]
        etag = s3.upload_part(
            Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"part", **KEY.boto()
        )["ETag"].strip('"')
        body = (
            f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
            "</CompleteMultipartUpload>"
        ).encode()
        answer = raw.request("POST", f"/{bucket}/m?uploadId={upload}", body, sent)
        assert answer.status == status, answer.body
        assert C_ALG not in answer.headers
    assert read(s3.get_object(Bucket=bucket, Key="m", **KEY.boto())) == b"part"


def test_sec_n44_copy_source_with_customer_key(raw, s3, place, bucket):
    source = {"x-amz-copy-source": f"/{place['bucket']}/c"}
    rows = [
        (source, 400, "InvalidRequest", STORED),
        (source | OTHER.headers(source=True), 403, "AccessDenied", WRONG_KEY),
        ({"x-amz-copy-source": f"/{place['bucket']}/plain"} | KEY.headers(source=True), 400,
         "InvalidRequest", "The encryption parameters are not applicable to this object."),
    ]
    for headers, status, code, message in rows:
        answer = raw.request("PUT", f"/{bucket}/k", b"", headers)
        assert (answer.status, answer.code, answer.element("Message")) == (status, code, message)
        upload = place["upload"]
        target = f"/{place['bucket']}/m?partNumber=1&uploadId={upload}"
        answer = raw.request("PUT", target, b"", headers)
        assert (answer.status, answer.code, answer.element("Message")) == (status, code, message)
    nothing_there(s3, bucket)


def test_rotation_of_a_customer_key_in_place(s3, bucket):
    where = {"Bucket": bucket, "Key": "k"}
    data = noise(100_000)
    s3.put_object(Body=data, **where, **KEY.boto())
    s3.copy_object(CopySource=where, **where, **KEY.boto(source=True), **OTHER.boto())
    assert read(s3.get_object(**where, **OTHER.boto())) == data
    with pytest.raises(Exception) as caught:
        s3.get_object(**where, **KEY.boto())
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_self_copy_away_from_each_mode(s3, bucket):
    """KMS or customer key -> the bucket's default: a change, therefore legal."""
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Body=b"x", ServerSideEncryption="aws:kms", **where)
    assert s3.copy_object(CopySource=where, **where)["ServerSideEncryption"] == "AES256"
    s3.put_object(Body=b"x", **where, **KEY.boto())
    answer = s3.copy_object(CopySource=where, **where, **KEY.boto(source=True))
    assert answer["ServerSideEncryption"] == "AES256"
    assert read(s3.get_object(**where)) == b"x"


def test_errors_are_xml_that_any_parser_reads(raw, bucket):
    answer = raw.request("GET", f"/{bucket}/%3C%26%22%01%EF%BF%BE%F0%9F%94%92")
    document = ElementTree.fromstring(answer.body)
    assert document.tag == "Error"
    assert [child.tag for child in document][:2] == ["Code", "Message"]
    assert {"RequestId", "HostId", "Resource"} <= {child.tag for child in document}
    assert document.find("RequestId").text == answer.headers["x-amz-request-id"]
