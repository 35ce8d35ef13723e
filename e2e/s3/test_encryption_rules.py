# SPDX-License-Identifier: Apache-2.0
"""The tables of rules, row by row, on every way of writing; and two faults at once, for the order.

What one way of writing says of one fault is in test_sec_sse.py; here each row is asked of PutObject,
CopyObject and CreateMultipartUpload alike, and beside another fault of the same request."""

import html
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "kms"))

from clients import CustomerKey, empty_and_delete, make_bucket, read  # noqa: E402
from people import User, allow, deny, document  # noqa: E402
from rawhttp import Client  # noqa: E402
from sse import BK, C_ALG, C_KEY, C_MD5, CTX, KID, SSE, encoded  # noqa: E402
from strongroom import ACCOUNT, REGION  # noqa: E402

KEY, OTHER = CustomerKey(bytes(range(32))), CustomerKey(bytes(range(1, 33)))
TRIO = KEY.headers()
ABSENT = "00000000-1111-2222-3333-444444444444"
KEYS = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"
NOT_SUPPORTED = "The encryption method specified is not supported"
NEEDS_KMS = ("Server Side Encryption with AWS KMS managed key requires HTTP header "
             "x-amz-server-side-encryption : aws:kms")
INCOMPATIBLE = ("Server Side Encryption with Customer provided key is incompatible with the "
                "encryption method specified")
MUST = "Requests specifying Server Side Encryption with Customer provided keys must "
STORED = ("The object was stored using a form of Server Side Encryption. The correct parameters must "
          "be provided to retrieve the object.")
APPLY = "The encryption parameters are not applicable to this object."
MISSING = ("The multipart upload initiate requested encryption. Subsequent part requests must "
           "include the appropriate encryption parameters.")
ALGORITHM = "The Encryption request you specified is not valid. Supported value: AES256."
MD5 = "The calculated MD5 hash of the key did not match the hash that was provided."
SECRET = "The secret key was invalid for the specified algorithm."
WRITES = ["put", "copy", "create"]


@pytest.fixture(scope="module")
def place(s3):
    """A bucket with an object of each kind to read and to copy, and open uploads."""
    name = make_bucket(s3, "rules", sse_c=True)
    s3.put_object(Bucket=name, Key="plain", Body=b"plain text")
    s3.put_object(Bucket=name, Key="kms", Body=b"plain text", ServerSideEncryption="aws:kms")
    s3.put_object(Bucket=name, Key="c", Body=b"plain text", **KEY.boto())
    yield name
    empty_and_delete(s3, name)


def write(raw, bucket, how, headers, source="plain", source_headers=None):
    if how == "put":
        return raw.request("PUT", f"/{bucket}/new", b"new", headers)
    if how == "create":
        return raw.request("POST", f"/{bucket}/new?uploads", b"", headers)
    copy = {"x-amz-copy-source": f"/{bucket}/{source}"} | (source_headers or {})
    return raw.request("PUT", f"/{bucket}/new", b"", headers | copy)


def says(answer, status, code, message, **elements):
    assert (answer.status, answer.code) == (status, code), answer.body
    assert html.unescape(answer.element("Message")) == message
    for name, value in elements.items():
        assert answer.element(name) == value, answer.body


def nothing_new(s3, bucket):
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="new")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket, Prefix="new")


# ---- 1.3 ----

SECTION_1_3 = {
    "SSE empty": ({SSE: ""}, NOT_SUPPORTED, ""),
    "SSE unknown": ({SSE: "AES128"}, NOT_SUPPORTED, "AES128"),
    "SSE in another case": ({SSE: "aes256"}, NOT_SUPPORTED, "aes256"),
    "KID without SSE": ({KID: "x"}, NEEDS_KMS, "null"),
    "CTX without SSE": ({CTX: encoded({"a": "b"})}, NEEDS_KMS, "null"),
    "KID with AES256": ({SSE: "AES256", KID: "x"}, NEEDS_KMS, "AES256"),
    "CTX with AES256": ({SSE: "AES256", CTX: encoded({"a": "b"})}, NEEDS_KMS, "AES256"),
    # Two faults: the method is judged before what goes with it.
    "SSE unknown and KID": ({SSE: "AES128", KID: "x"}, NOT_SUPPORTED, "AES128"),
    "SSE unknown and CTX no base64": ({SSE: "x", CTX: "!!!"}, NOT_SUPPORTED, "x"),
    "KID with AES256 and BK bad": ({SSE: "AES256", KID: "x", BK: "yes"}, NEEDS_KMS, "AES256"),
}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("row", SECTION_1_3.values(), ids=[f"s1.3 {name}" for name in SECTION_1_3])
def test_s1_3_header_misuse_on_writes(raw, s3, place, row, how):
    headers, message, value = row
    says(write(raw, place, how, headers), 400, "InvalidArgument", message,
         ArgumentName=SSE, ArgumentValue=value)
    nothing_new(s3, place)


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("value,status", [("true", 200), ("false", 200), ("yes", 400), ("TRUE", 400)])
@pytest.mark.parametrize("sse", [{}, {SSE: "AES256"}, {SSE: "aws:kms"}], ids=["none", "AES256", "kms"])
def test_s1_3_bucket_key_header(raw, s3, bucket, how, value, status, sse):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    answer = write(raw, bucket, how, sse | {BK: value})
    assert answer.status == status, answer.body
    if status == 200:
        asked = value == "true" and sse.get(SSE) == "aws:kms"
        assert answer.headers.get(BK) == ("true" if asked else None)
    else:
        assert (answer.code, answer.element("ArgumentName")) == ("InvalidArgument", BK)


@pytest.mark.sse_c
def test_s1_3_bucket_key_header_with_a_customer_key(raw, bucket):
    for value, status in (("true", 200), ("x", 400), ("", 400)):
        answer = raw.request("PUT", f"/{bucket}/new", b"new", TRIO | {BK: value})
        assert answer.status == status, answer.body
        assert BK not in answer.headers


# ---- 2.3 ----


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("rule", [True, False], ids=["on by default", "off by default"])
def test_s2_3_the_header_beats_the_bucket_also_where_the_mode_is_the_bucket_s(
        raw, s3, bucket, how, rule):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [{
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"},
        "BucketKeyEnabled": rule,
    }]})
    for headers, expected in (({}, rule), ({BK: "true"}, True), ({BK: "false"}, False)):
        answer = write(raw, bucket, how, headers)
        assert (answer.status, answer.headers[SSE]) == (200, "aws:kms"), answer.body
        assert answer.headers.get(BK) == ("true" if expected else None)


# ---- 2.6 ----


@pytest.mark.parametrize("query,status,code", [
    ("x-amz-server-side-encryption=aws%3Akms", 501, "NotImplemented"),
    ("X-Amz-Server-Side-Encryption=AES256", 501, "NotImplemented"),
    ("x-amz-acl=public-read", 501, "NotImplemented"),
    (C_ALG + "=AES256", 501, "NotImplemented"),
    (C_ALG + "=AES256&" + C_KEY + "=" + "A" * 44, 400, "InvalidArgument"),
    (C_MD5 + "=x", 400, "InvalidArgument"),
])
def test_s2_6_headers_in_the_query_of_a_request_that_is_not_presigned(
        raw, s3, place, query, status, code):
    """They were ignored: an object that was to be under a KMS key lay there under another."""
    for method, body in (("PUT", b"new"), ("GET", b""), ("DELETE", b"")):
        answer = raw.request(method, f"/{place}/new?{query}", body)
        assert (answer.status, answer.code) == (status, code), answer.body
    nothing_new(s3, place)


# ---- 2.5 ----


@pytest.fixture(scope="module")
def bad_keys(kms):
    def make(**kind):
        return kms.create_key(**kind)["KeyMetadata"]["Arn"]

    disabled, pending = make(), make()
    kms.disable_key(KeyId=disabled)
    kms.schedule_key_deletion(KeyId=pending, PendingWindowInDays=7)
    return {
        "disabled": disabled, "pending deletion": pending, "pending import": make(Origin="EXTERNAL"),
        "RSA": make(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT"),
        "HMAC": make(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC"),
    }


def expected_2_5(row, bad_keys):
    """Key id to send, code, and how the message begins."""
    aliases = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/"
    if row in bad_keys:
        arn = bad_keys[row]
        code, message = {
            "disabled": ("KMS.DisabledException", f"{arn} is disabled."),
            "pending deletion": ("KMS.KMSInvalidStateException", f"{arn} is pending deletion."),
            "pending import": ("KMS.KMSInvalidStateException", f"{arn} is pending import."),
            "RSA": ("KMS.InvalidKeyUsageException", f"{arn} key usage is "),
            "HMAC": ("KMS.InvalidKeyUsageException", f"{arn} key usage is "),
        }[row]
        return arn, code, message
    return {
        "no id": ("fake-key-id", "KMS.NotFoundException", "Invalid keyId 'fake-key-id'"),
        "alias unknown": ("alias/no-such", "KMS.NotFoundException", f"Alias {aliases}no-such is not found."),
        "id absent": (ABSENT, "KMS.NotFoundException", f"Key '{KEYS}{ABSENT}' does not exist"),
        "ARN absent": (KEYS + ABSENT, "KMS.NotFoundException", f"Key '{KEYS}{ABSENT}' does not exist"),
        "ARN of another region": (
            f"arn:aws:kms:eu-west-9:{ACCOUNT}:key/{ABSENT}", "KMS.NotFoundException",
            "Invalid arn eu-west-9"),
    }[row]


SECTION_2_5 = ["no id", "alias unknown", "id absent", "ARN absent", "ARN of another region", "disabled",
               "pending deletion", "pending import", "RSA", "HMAC"]


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("row", SECTION_2_5, ids=[f"s2.5 {name}" for name in SECTION_2_5])
def test_s2_5_keys_that_do_not_serve(raw, s3, place, bad_keys, row, how):
    key, code, message = expected_2_5(row, bad_keys)
    answer = write(raw, place, how, {SSE: "aws:kms", KID: key})
    assert (answer.status, answer.code) == (400, code), answer.body
    assert html.unescape(answer.element("Message")).startswith(message)
    nothing_new(s3, place)


@pytest.mark.parametrize("how", WRITES)
def test_s2_5_no_permission_for_the_key(server, s3, place, kms_key, how):
    user = User(server, document(allow("*"), deny("kms:GenerateDataKey", "*")))
    answer = write(Client(server, credential=user.credential), place, how,
                   {SSE: "aws:kms", KID: kms_key["id"]})
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer.body
    assert html.unescape(answer.element("Message")).startswith(
        f"User: {user.arn} is not authorized to perform: kms:GenerateDataKey on resource: "
        f"{kms_key['arn']} ")
    nothing_new(s3, place)
    user.remove()


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("key", [None, ABSENT], ids=["good key", "and an absent key"])
def test_s2_5_plain_http_comes_before_the_key(raw_http, s3, place, how, key):
    headers = {SSE: "aws:kms"} | ({KID: key} if key else {})
    says(write(raw_http, place, how, headers), 400, "InvalidArgument",
         "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a "
         "secure connection.")
    nothing_new(s3, place)


def test_s2_5_disabled_key_on_reads(raw, s3, kms, bucket):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    kms.disable_key(KeyId=key)
    says(raw.request("GET", f"/{bucket}/k"), 400, "KMS.DisabledException", f"{key} is disabled.")
    says(raw.request("PUT", f"/{bucket}/copy", b"", {"x-amz-copy-source": f"/{bucket}/k"}), 400,
         "KMS.DisabledException", f"{key} is disabled.")
    # No key is asked for a HEAD; the checksum needs it.
    assert raw.request("HEAD", f"/{bucket}/k").headers[KID] == key
    assert raw.request("HEAD", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"}).status == 400
    kms.enable_key(KeyId=key)
    assert raw.request("GET", f"/{bucket}/k").body == b"x"


# ---- 3.2: rows in order; each with the faults of all rows behind it ----


def bent(**changes):
    names = {"alg": C_ALG, "key": C_KEY, "md5": C_MD5, "sse": SSE}
    out = dict(TRIO)
    for name, value in changes.items():
        out.pop(names[name], None)
        if value is not None:
            out[names[name]] = value
    return out


SHORT = CustomerKey(bytes(31))
SECTION_3_2 = {
    "row 1 before 4": (bent(sse="AES256", alg="AES128"), "InvalidArgument", INCOMPATIBLE, "AES256"),
    "row 1 before 2": (bent(sse="aws:kms", alg=None), "InvalidArgument", INCOMPATIBLE, "aws:kms"),
    "row 1 before an unknown method": (bent(sse="x"), "InvalidArgument", INCOMPATIBLE, "x"),
    "row 2 before 3": (
        {C_MD5: KEY.md5}, "InvalidArgument", MUST + "provide a valid encryption algorithm.", "null"),
    "row 2 before 6 and 7": (
        bent(alg=None, key=SHORT.base64), "InvalidArgument",
        MUST + "provide a valid encryption algorithm.", "null"),
    "row 3 before 4": (
        bent(alg="AES192", key=None), "InvalidArgument",
        MUST + "provide an appropriate secret key.", "null"),
    "row 4 before 5": (bent(alg="AES192", md5=None), "InvalidEncryptionAlgorithmError", ALGORITHM, "AES192"),
    "row 4 before 7": (
        bent(alg="AES192", key=SHORT.base64, md5=SHORT.md5), "InvalidEncryptionAlgorithmError",
        ALGORITHM, "AES192"),
    "row 5 before 7": (
        bent(key=SHORT.base64, md5=None), "InvalidArgument",
        MUST + "provide the client calculated MD5 of the secret key.", "null"),
    "row 6 before 7": (bent(key=SHORT.base64), "InvalidArgument", MD5, "null"),
    "row 7": (SHORT.headers(), "InvalidArgument", SECRET, "null"),
}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("row", SECTION_3_2.values(), ids=[f"s3.2 {name}" for name in SECTION_3_2])
def test_s3_2_order_of_validation(raw, s3, place, row, how):
    headers, code, message, value = row
    says(write(raw, place, how, headers), 400, code, message, ArgumentName=SSE, ArgumentValue=value)
    nothing_new(s3, place)


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("row", SECTION_3_2.values(), ids=[f"s3.2 row 0 before {n}" for n in SECTION_3_2])
def test_s3_2_the_block_comes_first(raw, s3, bucket, row, how):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    answer = write(raw, bucket, how, row[0])
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer.body
    assert b"because this bucket has blocked upload requests" in answer.body
    nothing_new(s3, bucket)


# ---- 3.3 before all ----


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("headers", [TRIO, {C_ALG: "AES192"}, TRIO | {SSE: "x"}, {C_KEY: ""}],
                         ids=["trio", "algorithm", "and a method", "empty key"])
def test_s3_3_no_customer_header_over_http(raw_http, s3, place, headers, how):
    says(write(raw_http, place, how, headers), 400, "InvalidRequest",
         MUST + "be made over a secure connection.")
    nothing_new(s3, place)


@pytest.mark.parametrize("headers", [TRIO, {C_ALG: "AES256"}, {
    name.replace("x-amz-server", "x-amz-copy-source-server"): value for name, value in TRIO.items()}],
    ids=["trio", "algorithm", "copy source"])
def test_s3_3_every_operation_refuses_a_customer_key_in_clear(raw_http, s3, place, headers):
    for method, target in (
        ("GET", "/"), ("GET", f"/{place}"), ("GET", f"/{place}?list-type=2"),
        ("GET", f"/{place}?versions"), ("GET", f"/{place}?uploads"), ("PUT", f"/{place}-other"),
        ("DELETE", f"/{place}"), ("DELETE", f"/{place}?encryption"), ("POST", f"/{place}?delete"),
        ("DELETE", f"/{place}/plain"), ("DELETE", f"/{place}/plain?uploadId=x"),
        ("GET", f"/{place}-other/plain"),
    ):
        says(raw_http.request(method, target, b"", headers), 400, "InvalidRequest",
             MUST + "be made over a secure connection.")
    assert read(s3.get_object(Bucket=place, Key="plain")) == b"plain text"


# ---- 3.4 ----

READS = {
    "GET": lambda raw, b, k, h: raw.request("GET", f"/{b}/{k}", headers=h),
    "range GET": lambda raw, b, k, h: raw.request("GET", f"/{b}/{k}", headers=h | {"range": "bytes=0-1"}),
    "part GET": lambda raw, b, k, h: raw.request("GET", f"/{b}/{k}?partNumber=1", headers=h),
    "GET with a condition": lambda raw, b, k, h: raw.request(
        "GET", f"/{b}/{k}", headers=h | {"if-match": '"x"'}),
    "GET behind the end": lambda raw, b, k, h: raw.request(
        "GET", f"/{b}/{k}", headers=h | {"range": "bytes=99-"}),
    "attributes": lambda raw, b, k, h: raw.request(
        "GET", f"/{b}/{k}?attributes", headers=h | {"x-amz-object-attributes": "ETag"}),
    "copy source": lambda raw, b, k, h: raw.request("PUT", f"/{b}/new", b"", {
        "x-amz-copy-source": f"/{b}/{k}"} | {
        n.replace("x-amz-server", "x-amz-copy-source-server"): v for n, v in h.items()}),
}
SECTION_3_4 = {
    "no headers": ("c", {}, 400, "InvalidRequest", STORED),
    "another key": ("c", OTHER.headers(), 403, "AccessDenied", MUST + "provide the correct secret key."),
    "malformed: algorithm": ("c", bent(alg="AES192"), 400, "InvalidEncryptionAlgorithmError", ALGORITHM),
    "malformed: md5": ("c", bent(md5=OTHER.md5), 400, "InvalidArgument", MD5),
    # Of another length, and its MD5 right: a wrong key, not a malformed one (docs/semantics.md).
    "short": ("c", SHORT.headers(), 403, "AccessDenied", MUST + "provide the correct secret key."),
    "malformed: no base64": ("c", bent(key="!!!!"), 400, "InvalidArgument", SECRET),
    "not SSE-C": ("plain", TRIO, 400, "InvalidRequest", APPLY),
    "not SSE-C but SSE-KMS": ("kms", TRIO, 400, "InvalidRequest", APPLY),
}


@pytest.mark.parametrize("read_by", READS)
@pytest.mark.parametrize("row", SECTION_3_4.values(), ids=[f"s3.4 {name}" for name in SECTION_3_4])
def test_s3_4_reads(raw, s3, place, row, read_by):
    """Also before If-Match and Range: their own refusals would tell of the object."""
    key, headers, status, code, message = row
    says(READS[read_by](raw, place, key, headers), status, code, message)
    head = raw.request("HEAD", f"/{place}/{key}", headers=headers)
    assert (head.status, head.body) == (status, b"")
    nothing_new(s3, place)


@pytest.mark.parametrize("read_by", READS)
def test_s3_4_a_missing_object_comes_first(raw, place, read_by):
    for headers in ({}, TRIO, SHORT.headers(), bent(alg="AES192"), bent(md5=OTHER.md5)):
        answer = READS[read_by](raw, place, "absent", headers)
        assert (answer.status, answer.code) == (404, "NoSuchKey"), answer.body


# ---- 3.5 ----


def test_s3_5_parts_and_the_key_of_the_upload(raw, s3, place):
    c = s3.create_multipart_upload(Bucket=place, Key="m", **KEY.boto())["UploadId"]
    plain = s3.create_multipart_upload(Bucket=place, Key="m")["UploadId"]
    different = "The provided encryption parameters did not match the ones used originally."
    source = {"x-amz-copy-source": f"/{place}/plain"}
    for upload, headers, message in ((c, {}, MISSING), (plain, TRIO, MISSING),
                                     (c, OTHER.headers(), different)):
        target = f"/{place}/m?partNumber=1&uploadId={upload}"
        says(raw.request("PUT", target, b"x", headers), 400, "InvalidRequest", message)
        says(raw.request("PUT", target, b"", headers | source), 400, "InvalidRequest", message)


@pytest.mark.parametrize("checksum", [None, "SHA256", "CRC64NVME"])
def test_s3_5_complete_and_list_want_the_key_where_there_is_a_checksum(raw, s3, place, checksum):
    where = {"Bucket": place, "Key": "done"}
    more = {"ChecksumAlgorithm": checksum} if checksum else {}
    upload = s3.create_multipart_upload(**where, **KEY.boto(), **more)["UploadId"]
    part = s3.upload_part(UploadId=upload, PartNumber=1, Body=b"x", **where, **KEY.boto(), **more)
    name = f"Checksum{checksum}"
    element = f"<{name}>{part[name]}</{name}>" if checksum else ""
    body = ("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{part['ETag']}</ETag>{element}</Part></CompleteMultipartUpload>").encode()
    target = f"/{place}/done?uploadId={upload}"
    for headers, status in (({}, 400 if checksum else 200), (OTHER.headers(), 400), (TRIO, 200)):
        answer = raw.request("GET", target, headers=headers)
        assert answer.status == status, answer.body
        if checksum and status == 200:
            assert answer.element(name) == part[name]
    if checksum:
        assert raw.request("POST", target, body).status == 400
    assert raw.request("POST", target, body, OTHER.headers()).status == 400
    answer = raw.request("POST", target, body, TRIO if checksum else {})
    assert answer.status == 200 and C_ALG not in answer.headers
    head = s3.head_object(ChecksumMode="ENABLED", **where, **KEY.boto())
    # Completed without the key, there was nobody to make a checksum for.
    assert ("ChecksumType" in head) == bool(checksum)
    assert read(s3.get_object(**where, **KEY.boto())) == b"x"


def test_s3_5_copies(raw, s3, place):
    source = {"x-amz-copy-source": f"/{place}/c"}
    says(raw.request("PUT", f"/{place}/new", b"", source), 400, "InvalidRequest", STORED)
    plain = {"x-amz-copy-source": f"/{place}/plain"} | KEY.headers(source=True)
    says(raw.request("PUT", f"/{place}/new", b"", plain), 400, "InvalidRequest", APPLY)
    # No header for the target: the default of its bucket.
    answer = raw.request("PUT", f"/{place}/of-c", b"", source | KEY.headers(source=True))
    assert (answer.status, answer.headers[SSE]) == (200, "AES256")
    nothing_new(s3, place)
