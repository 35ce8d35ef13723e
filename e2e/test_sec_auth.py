# SPDX-License-Identifier: Apache-2.0
"""Requests without, with broken and with bent signatures. Nothing may happen in any of them."""

import base64
import hashlib
import os

import pytest

import rawhttp
from clients import bucket_name, read
from rawhttp import UNSIGNED, Client, Wire, amz_date
from strongroom import until

N15_MIB = int(os.environ.get("N15_MIB", "64"))
# Every route of S3 and the key service: (method, target, further headers).
ROUTES = [
    ("GET", "/", {}), ("PUT", "/{new}", {}), ("HEAD", "/{b}", {}), ("DELETE", "/{b}", {}),
    ("GET", "/{b}?location", {}), ("GET", "/{b}", {}), ("GET", "/{b}?list-type=2", {}),
    ("GET", "/{b}?uploads", {}), ("POST", "/{b}?delete", {}), ("PUT", "/{b}/new", {}),
    ("GET", "/{b}/k", {}), ("HEAD", "/{b}/k", {}), ("DELETE", "/{b}/k", {}),
    ("PUT", "/{b}/new", {"x-amz-copy-source": "/{b}/k"}), ("POST", "/{b}/k?uploads", {}),
    ("PUT", "/{b}/k?partNumber=1&uploadId={u}", {}),
    ("PUT", "/{b}/k?partNumber=1&uploadId={u}", {"x-amz-copy-source": "/{b}/k"}),
    ("GET", "/{b}/k?uploadId={u}", {}), ("POST", "/{b}/k?uploadId={u}", {}),
    ("DELETE", "/{b}/k?uploadId={u}", {}), ("GET", "/{b}?acl", {}), ("PUT", "/{b}/k?tagging", {}),
    ("POST", "/", {"x-amz-target": "TrentService.ListKeys"}),
    ("POST", "/", {"x-amz-target": "TrentService.CreateKey"}),
    ("POST", "/", {"x-amz-target": "TrentService.GenerateDataKey"}),
    ("POST", "/", {"x-amz-target": "TrentService.Decrypt"}),
]
IDS = [f"{m} {t} {' '.join(h.values())}".strip() for m, t, h in ROUTES]


@pytest.fixture(scope="module")
def place(s3):
    """A bucket with an object and an open upload, which must all be there at the end."""
    name = bucket_name("auth")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"untouched")
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    yield {"b": name, "u": upload, "new": bucket_name("never")}
    assert read(s3.get_object(Bucket=name, Key="k")) == b"untouched"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=name)["Contents"]] == ["k"]
    assert "Parts" not in s3.list_parts(Bucket=name, Key="k", UploadId=upload)
    assert "never" not in str([b["Name"] for b in s3.list_buckets()["Buckets"]])
    s3.abort_multipart_upload(Bucket=name, Key="k", UploadId=upload)
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)


def fill(route, place):
    method, target, headers = route
    return method, target.format(**place), {k: v.format(**place) for k, v in headers.items()}


def service(headers):
    return "kms" if "x-amz-target" in headers else "s3"


def denied(answer, method, *codes):
    assert answer is not None
    assert answer.status in (400, 403), answer
    assert b"untouched" not in answer.body
    if method != "HEAD":
        assert answer.code in codes, (answer.code, answer.body)


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_sec_n1_no_signature_on_any_route(server, place, route, scheme):
    method, target, headers = fill(route, place)
    with Wire(server, scheme) as wire:
        wire.send(wire.head(method, target, {"host": wire.host, "content-length": "0"} | headers))
        denied(wire.answer(method), method, "AccessDenied", "MissingAuthenticationTokenException",
               "MissingAuthenticationToken")


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_sec_n3_wrong_secret_on_any_route(server, place, route):
    method, target, headers = fill(route, place)
    client = Client(server, credential=(server.credential[0], "x" * 40))
    answer = client.request(method, target, b"", headers, signer=client.signer(service=service(headers)))
    denied(answer, method, "SignatureDoesNotMatch", "InvalidSignatureException")


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_sec_n17_forged_streaming_trailer_on_any_route(raw, place, route):
    """CVE-2025-31489, CVE-2026-40344: an unsigned-trailer request whose signature nobody checked."""
    method, target, headers = fill(route, place)
    headers |= {
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": "1",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    body = b"1\r\nx\r\n0\r\nx-amz-checksum-crc32:" + rawhttp.crc32(b"x").encode() + b"\r\n\r\n"

    def forge(sent):
        sent["authorization"] = sent["authorization"][:-64] + "0" * 64

    answer = raw.request(
        method, target, body, headers, payload=rawhttp.UNSIGNED_TRAILER, after=lambda h: forge(h) or h,
        signer=raw.signer(service=service(headers)),
    )
    denied(answer, method, "SignatureDoesNotMatch", "InvalidSignatureException")
    gone = raw.request(
        method, target, body, headers, payload=rawhttp.UNSIGNED_TRAILER,
        after=lambda h: {k: v for k, v in h.items() if k != "authorization"},
    )
    denied(gone, method, "AccessDenied", "MissingAuthenticationTokenException",
           "MissingAuthenticationToken")


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_sec_n18_forged_query_credentials_on_any_route(raw, place, route):
    """CVE-2026-41145: credentials in the query where the gate looked at the header only."""
    method, target, headers = fill(route, place)
    answer = raw.presigned(
        method, target, headers=headers, bend=lambda q: q[:-64] + "0" * 64,
        signer=raw.signer(service=service(headers)),
        send_headers={"x-amz-content-sha256": rawhttp.UNSIGNED_TRAILER},
    )
    denied(answer, method, "SignatureDoesNotMatch", "AccessDenied", "InvalidSignatureException",
           "MissingAuthenticationTokenException", "IncompleteSignatureException",
           "AuthorizationQueryParametersError", "InvalidArgument", "InvalidRequest")


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_sec_n10_expired_on_any_route(raw, place, route):
    method, target, headers = fill(route, place)
    signer = raw.signer(date=amz_date(-16 * 60), service=service(headers))
    answer = raw.request(method, target, b"", headers, signer=signer)
    denied(answer, method, "RequestTimeTooSkewed", "InvalidSignatureException")


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_sec_n2_unknown_access_key_on_any_route(server, place, route):
    method, target, headers = fill(route, place)
    client = Client(server, credential=("AKIAABCDEFGHIJKLMNOP", "x" * 40))
    answer = client.request(method, target, b"", headers, signer=client.signer(service=service(headers)))
    denied(answer, method, "InvalidAccessKeyId", "UnrecognizedClientException")


@pytest.mark.parametrize("bit", range(0, 256, 16))
def test_sec_n4_one_bit_of_the_signature(raw, place, bit):
    def flip(headers):
        head, signature = headers["authorization"].rsplit("=", 1)
        raw_bytes = bytearray.fromhex(signature)
        raw_bytes[bit // 8] ^= 1 << (bit % 8)
        return headers | {"authorization": f"{head}={raw_bytes.hex()}"}

    answer = raw.request("GET", "/{b}/k".format(**place), after=flip)
    denied(answer, "GET", "SignatureDoesNotMatch")


@pytest.mark.parametrize("change", [
    str.upper, lambda s: s[:-1], lambda s: s + "0", lambda s: "", lambda s: "g" * 64,
    lambda s: s[:-2] + "  ", lambda s: "0x" + s[2:], lambda s: s + "\t", lambda s: "é" * 32,
])
def test_sec_n5_form_of_the_signature(raw, place, change):
    def bend(headers):
        head, signature = headers["authorization"].rsplit("=", 1)
        return headers | {"authorization": f"{head}={change(signature)}"}

    answer = raw.request("GET", "/{b}/k".format(**place), after=bend)
    if change("ab" * 32).strip() != "ab" * 32:
        denied(answer, "GET", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "AccessDenied")


def test_sec_n6_unsigned_host(raw, place):
    signer = raw.signer()
    path = "/{b}/k".format(**place)
    with Wire(raw.server, "https") as wire:
        sent = {"x-amz-date": signer.date, "x-amz-content-sha256": UNSIGNED}
        names = sorted(sent)
        signature = signer.signature("GET", path, "", sent, names, UNSIGNED)
        sent |= {"authorization": signer.authorization(names, signature), "host": wire.host}
        wire.send(wire.head("GET", path, sent))
        denied(wire.answer(), "GET", "AccessDenied", "AuthorizationHeaderMalformed",
               "SignatureDoesNotMatch")


@pytest.mark.parametrize("header", [
    "x-amz-acl", "x-amz-meta-a", "x-amz-copy-source", "x-amz-server-side-encryption",
    "x-amz-security-token", "x-amz-anything", "X-AMZ-Storage-Class",
])
def test_sec_n7_header_added_after_signing(raw, s3, place, header):
    answer = raw.request(
        "PUT", "/{b}/added".format(**place), b"x", after=lambda h: h | {header: "x"}
    )
    denied(answer, "PUT", "AccessDenied", "SignatureDoesNotMatch", "InvalidToken")


@pytest.mark.parametrize("change", [
    lambda names: names + ["x-amz-date"], lambda names: list(reversed(names)),
    lambda names: names + ["x-amz-absent"], lambda names: [n.upper() for n in names],
    lambda names: [""] + names, lambda names: [], lambda names: names[:1],
])
def test_sec_n8_signed_header_list(raw, place, change):
    signer = raw.signer()
    path = "/{b}/k".format(**place)
    with Wire(raw.server, "https") as wire:
        sent = {"host": wire.host, "x-amz-date": signer.date, "x-amz-content-sha256": UNSIGNED}
        names = change(sorted(sent))
        known = {n: sent.get(n.lower(), "") for n in names}
        signature = signer.signature("GET", path, "", known, names, UNSIGNED)
        sent["authorization"] = signer.authorization(names, signature)
        wire.send(wire.head("GET", path, sent))
        denied(wire.answer(), "GET", "AuthorizationHeaderMalformed", "SignatureDoesNotMatch",
               "AccessDenied")


def test_sec_n9_two_authorization_headers(raw, place):
    for second in (None, "AWS4-HMAC-SHA256 Credential=x", "Basic eA=="):
        answer = raw.request(
            "GET", "/{b}/k".format(**place),
            after=lambda h: [*h.items(), ("authorization", second or h["authorization"])],
        )
        denied(answer, "GET", "InvalidArgument", "InvalidRequest")


# A request is older when it is looked at than when it was signed, and the future nearer.
@pytest.mark.parametrize("offset", [-15 * 60 - 5, 15 * 60 + 120, -86_400, 86_400, 10**9])
def test_sec_n10_skewed_clock(raw, place, offset):
    signer = raw.signer(date=amz_date(offset))
    answer = raw.request("GET", "/{b}/k".format(**place), signer=signer)
    denied(answer, "GET", "RequestTimeTooSkewed")


@pytest.mark.parametrize("offset", [-13 * 60, 14 * 60])
def test_clock_within_a_quarter_of_an_hour(raw, place, offset):
    answer = raw.request("GET", "/{b}/k".format(**place), signer=raw.signer(date=amz_date(offset)))
    assert answer.status == 200


@pytest.mark.parametrize("date", [
    "", "garbage", "20260101", "20260230T000000Z", "20260101T250000Z", "2026-01-01T00:00:00Z",
    "20260101T000000", "99999999T999999Z", "-0260101T000000Z", "２０２６0101T000000Z",
])
def test_sec_n10_date_that_is_none(raw, place, date):
    """A date that cannot be read must not skip the check of the clock."""
    good = amz_date()
    signer = raw.signer(date=date, scope_date=good[:8])
    answer = raw.request("GET", "/{b}/k".format(**place), signer=signer)
    denied(answer, "GET", "AccessDenied", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed",
           "InvalidArgument", "SignatureDoesNotMatch")
    missing = raw.request(
        "GET", "/{b}/k".format(**place),
        after=lambda h: {k: v for k, v in h.items() if k != "x-amz-date"},
    )
    denied(missing, "GET", "AccessDenied", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed")


@pytest.mark.parametrize("bent", [
    {"region": "eu-west-1"}, {"region": ""}, {"service": "sts"}, {"service": "iam"},
    {"terminator": "aws5_request"}, {"terminator": ""}, {"scope_date": "20200101"},
    {"scope_date": amz_date(-2 * 86_400)[:8]}, {"scope_date": ""},
])
def test_sec_n11_scope(raw, place, bent):
    answer = raw.request("GET", "/{b}/k".format(**place), signer=raw.signer(**bent))
    denied(answer, "GET", "AuthorizationHeaderMalformed", "SignatureDoesNotMatch", "AccessDenied")


def test_sec_n11_right_region_is_told(raw, place):
    answer = raw.request("GET", "/{b}/k".format(**place), signer=raw.signer(region="eu-west-1"))
    assert (answer.status, answer.element("Region")) == (400, "us-east-1")


def test_sec_n11_signature_for_one_service_at_another(raw, kms_key, place):
    """A signature for S3 is worth nothing at the key service, nor the other way round."""
    at_kms = raw.request(
        "POST", "/", b"{}",
        {"x-amz-target": "TrentService.ListKeys", "content-type": "application/x-amz-json-1.1"},
    )
    assert at_kms.status in (400, 403) and kms_key["id"].encode() not in at_kms.body
    at_s3 = raw.request("GET", "/{b}/k".format(**place), signer=raw.signer(service="kms"))
    assert at_s3.status in (400, 403, 404) and b"untouched" not in at_s3.body


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_sec_n15_body_is_not_the_signed_one(raw, s3, bucket, size):
    signed = os.urandom(size)
    sent = bytes(size + 1) if size == 0 else bytes([signed[0] ^ 1]) + signed[1:]
    answer = raw.request("PUT", f"/{bucket}/k", signed, raw_body=sent)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n15_large_body_is_not_the_signed_one(raw, s3, bucket, server):
    """Nothing waits for the end of such a body to be stored; `N15_MIB=5120` is the largest PUT."""
    size, block = N15_MIB << 20, os.urandom(1 << 20)
    digest = hashlib.sha256()
    for _ in range(N15_MIB):
        digest.update(block)
    before = {path for path in server.files() if "blobs" in path.parts}
    for last, status in ((block[:-1] + bytes([block[-1] ^ 1]), 400), (block, 200)):
        with Wire(server, "https", timeout=600) as wire:
            headers = {"host": wire.host, "content-length": str(size)}
            raw.signer().sign("PUT", f"/{bucket}/k", "", headers, digest.hexdigest())
            wire.send(wire.head("PUT", f"/{bucket}/k", headers))
            for _ in range(N15_MIB - 1):
                wire.send(block)
            wire.send(last)
            answer = wire.answer("PUT")
        assert answer.status == status, answer

        def kept():
            return {path for path in server.files() if "blobs" in path.parts} - before

        if status == 400:
            assert answer.code == "XAmzContentSHA256Mismatch"
            assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
            until(lambda: not kept(), "the end of what was refused")
        else:
            assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == size
            assert len(kept()) == 1


@pytest.mark.parametrize("method,query,headers", [
    ("PUT", "", {"x-amz-copy-source": "{}/there"}), ("POST", "?uploads", {}), ("DELETE", "", {}),
], ids=["copy", "create upload", "delete"])
@pytest.mark.parametrize("signed,sent,md5,code", [
    (b"signed", b"another", None, "XAmzContentSHA256Mismatch"),
    (b"signed", b"", None, "XAmzContentSHA256Mismatch"),
    (b"", b"another", None, "XAmzContentSHA256Mismatch"),
    (b"x", b"x", b"another", "BadDigest"),
    (b"x" * 16_385, b"x" * 16_385, None, "MaxMessageLengthExceeded"),
], ids=["another", "none", "one", "md5", "too long"])
def test_s8_a_body_that_nobody_reads_is_the_signed_one(
        raw, s3, bucket, method, query, headers, signed, sent, md5, code):
    s3.put_object(Bucket=bucket, Key="there", Body=b"x")
    headers = {name: value.format(bucket) for name, value in headers.items()}
    if md5 is not None:
        headers["content-md5"] = base64.b64encode(hashlib.md5(md5).digest()).decode()
    key = "there" if method == "DELETE" else "new"
    answer = raw.request(method, f"/{bucket}/{key}{query}", signed, headers, raw_body=sent)
    assert (answer.status, answer.code) == (400, code), answer.body
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["there"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("value", ["", "abc", "0" * 63, "unsigned-payload", "STREAMING", "G" * 64])
def test_sec_n15_content_sha256_that_is_none(raw, s3, bucket, value):
    answer = raw.request("PUT", f"/{bucket}/k", b"x", payload=value)
    denied(answer, "PUT", "InvalidArgument", "InvalidRequest", "XAmzContentSHA256Mismatch")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("authorization,code", [
    ("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "InvalidRequest"),
    ("AWS4-ECDSA-P256-SHA256 Credential=x/20260101/s3/aws4_request,SignedHeaders=host,Signature=0",
     "InvalidArgument"),
    ("Basic dXNlcjpwYXNz", "InvalidArgument"), ("Bearer abc", "InvalidArgument"),
])
def test_sec_n21_other_schemes(raw, place, authorization, code):
    answer = raw.request(
        "GET", "/{b}/k".format(**place), after=lambda h: h | {"authorization": authorization}
    )
    denied(answer, "GET", code)
    assert "AWS4-HMAC-SHA256" in answer.element("Message")


@pytest.mark.parametrize("text", [
    "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256 Credential=",
    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=,Signature=",
    "AWS4-HMAC-SHA256 Signature=0,Signature=1", "AWS4-HMAC-SHA256 " + "a=b," * 2000, "\x7f", "",
])
def test_sec_n8_authorization_that_is_none(raw, place, text):
    answer = raw.request(
        "GET", "/{b}/k".format(**place), after=lambda h: h | {"authorization": text}
    )
    assert answer.status in (400, 403)
    assert b"untouched" not in answer.body


def test_sec_n22_session_token_where_there_are_none(raw, place):
    answer = raw.request("GET", "/{b}/k".format(**place), headers={"x-amz-security-token": "abc"})
    denied(answer, "GET", "InvalidToken")


def test_sec_n1_error_does_not_tell_whether_the_object_is_there(server, place):
    """Without a signature the answers for what is there and what is not are the same."""
    answers = []
    for target in ("/{b}/k".format(**place), "/{b}/absent".format(**place), "/absent-bucket/k"):
        with Wire(server, "https") as wire:
            wire.send(wire.head("GET", target, {"host": wire.host}))
            answer = wire.answer()
            answers.append((answer.status, answer.code, answer.element("Message")))
    assert len(set(answers)) == 1


@pytest.mark.parametrize("path", [
    "/metrics", "/health/ready", "/health/live", "/debug/pprof", "/minio/admin/v3/info", "/admin",
    "/.well-known/x", "/favicon.ico", "/?Action=ListUsers", "/_strongroom", "/status",
])
def test_sec_n26_nothing_to_see_without_a_signature(server, path):
    for scheme in ("https", "http"):
        with Wire(server, scheme) as wire:
            wire.send(wire.head("GET", path, {"host": wire.host}))
            answer = wire.answer()
        assert (answer.status, answer.code) == (403, "AccessDenied")
