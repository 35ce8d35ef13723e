# SPDX-License-Identifier: Apache-2.0
"""Presigned URLs: made by boto3 and the signer by hand, used by a client without credentials."""

import ssl
import urllib.error
import urllib.parse
import urllib.request

import pytest

from clients import CustomerKey, kms as kms_client, noise, read, s3 as s3_client
from rawhttp import amz_date
from strongroom import DEADLINE


@pytest.fixture(scope="module")
def s3(server):
    """boto3 presigns with version 2 in us-east-1 unless told otherwise."""
    return s3_client(server, signature_version="s3v4")


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


def fetch(server, method, url, body=None, headers=None):
    """(status, headers, body) of a request without any credential of its own."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    context = ssl.create_default_context(cafile=server.ca) if url.startswith("https") else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=DEADLINE) as answer:
            return answer.status, lower(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, lower(error.headers), error.read()


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_get_and_put(server, bucket, scheme, style):
    client = s3_client(server, scheme, style, signature_version="s3v4")
    data = noise(150_000)
    key = {"Bucket": bucket, "Key": "p/ä +%"}
    url = client.generate_presigned_url("put_object", Params=key, ExpiresIn=600)
    assert fetch(server, "PUT", url, data)[0] == 200
    url = client.generate_presigned_url("get_object", Params=key, ExpiresIn=600)
    status, headers, body = fetch(server, "GET", url)
    assert (status, body) == (200, data)
    status, headers, body = fetch(server, "GET", url, headers={"Range": "bytes=5-9"})
    assert (status, body) == (206, data[5:10])
    url = client.generate_presigned_url("head_object", Params=key)
    assert fetch(server, "HEAD", url)[0] == 200
    url = client.generate_presigned_url("list_objects_v2", Params={"Bucket": bucket})
    assert b"<KeyCount>1</KeyCount>" in fetch(server, "GET", url)[2]
    url = client.generate_presigned_url("delete_object", Params=key)
    assert fetch(server, "DELETE", url)[0] == 204


def test_response_overrides_and_metadata_are_signed(server, s3, bucket):
    params = {"Bucket": bucket, "Key": "k"}
    url = s3.generate_presigned_url("put_object", Params=params | {
        "ContentType": "text/plain", "Metadata": {"a": "1"},
    })
    headers = {"Content-Type": "text/plain", "x-amz-meta-a": "1"}
    assert fetch(server, "PUT", url, b"x", headers)[0] == 200
    assert s3.head_object(**params)["Metadata"] == {"a": "1"}
    url = s3.generate_presigned_url("get_object", Params=params | {
        "ResponseContentDisposition": "attachment"
    })
    assert fetch(server, "GET", url)[1]["content-disposition"] == "attachment"


def test_multipart_by_presigned_parts(server, s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    url = s3.generate_presigned_url("upload_part", Params={
        "Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1,
    })
    status, headers, _ = fetch(server, "PUT", url, b"part")
    assert status == 200
    s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": headers["etag"]}]},
    )
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"part"


def test_encryption_headers_signed_into_the_url(server, raw, s3, kms_key, bucket):
    """SDKs sign SSE headers or hoist them into the query; both count."""
    url = s3.generate_presigned_url("put_object", Params={
        "Bucket": bucket, "Key": "k", "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": kms_key["alias"],
    })
    headers = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": kms_key["alias"],
    }
    assert fetch(server, "PUT", url, b"x", headers)[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == kms_key["arn"]
    answer = raw.presigned("PUT", f"/{bucket}/q", extra=[
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", kms_key["id"]),
    ], body=b"y")
    assert answer.status == 200
    assert s3.head_object(Bucket=bucket, Key="q")["SSEKMSKeyId"] == kms_key["arn"]
    for key, data in (("k", b"x"), ("q", b"y")):
        url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
        assert fetch(server, "GET", url)[2] == data


@pytest.mark.sse_c
def test_customer_key_goes_with_the_request_not_the_url(server, raw, bucket):
    key = CustomerKey()
    answer = raw.presigned("PUT", f"/{bucket}/c", headers=key.headers(), body=b"secret")
    assert answer.status == 200
    assert raw.presigned("GET", f"/{bucket}/c", headers=key.headers()).body == b"secret"
    assert raw.presigned("GET", f"/{bucket}/c").code == "InvalidRequest"


@pytest.mark.parametrize("part", ["customer-key", "customer-key-MD5"])
def test_sec_n13_customer_key_in_the_url(raw, s3, bucket, part):
    key = CustomerKey()
    answer = raw.presigned("PUT", f"/{bucket}/c", extra=[
        (f"x-amz-server-side-encryption-{part}", key.base64)
    ], body=b"secret")
    assert answer.status in (400, 403)
    assert key.base64.encode() not in answer.body
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "1e3", "abc", "", "99999999999999999999"])
def test_sec_n12_bad_expiry(raw, s3, bucket, expires):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.presigned("GET", f"/{bucket}/k", expires=expires)
    assert answer.status in (400, 403)
    assert answer.code in ("AuthorizationQueryParametersError", "AccessDenied")
    assert b"x" != answer.body


def test_sec_n12_expired(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.presigned(
        "GET", f"/{bucket}/k", expires=60, signer=raw.signer(date=amz_date(-61))
    )
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.element("Message") == "Request has expired"
    still = raw.presigned(
        "GET", f"/{bucket}/k", expires=600, signer=raw.signer(date=amz_date(-61))
    )
    assert still.status == 200


def test_sec_n12_from_the_future(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.presigned("GET", f"/{bucket}/k", signer=raw.signer(date=amz_date(3600)))
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_sec_n13_another_method(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for method in ("PUT", "DELETE", "HEAD"):
        answer = raw.presigned("GET", f"/{bucket}/k", send_method=method)
        assert answer.status == 403
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


@pytest.mark.parametrize("extra", [
    "&versionId=null", "&response-content-type=text/html", "&x=y", "&X-Amz-Expires=100",
    "&X-Amz-Signature=" + "0" * 64, "&uploads",
])
def test_sec_n13_extra_query(raw, s3, bucket, extra):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.presigned("GET", f"/{bucket}/k", bend=lambda query: query + extra)
    assert answer.status in (400, 403)
    assert answer.body != b"x"


def test_sec_n13_another_object(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="l", Body=b"other")
    good = {}

    def keep(query):
        good["query"] = query
        return query

    assert raw.presigned("GET", f"/{bucket}/k", bend=keep).status == 200
    answer = raw.presigned("GET", f"/{bucket}/l", bend=lambda _: good["query"])
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("header", [
    {"x-amz-acl": "private"}, {"x-amz-server-side-encryption": "AES256"},
    {"x-amz-meta-a": "1"}, {"x-amz-copy-source": "/b/k"},
    {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
])
def test_sec_n13_unsigned_amz_header(raw, s3, bucket, header):
    answer = raw.presigned("PUT", f"/{bucket}/k", body=b"x", send_headers=header)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.element("Message") == (
        "There were headers present in the request which were not signed"
    )
    assert answer.element("HeadersNotSigned") == next(iter(header))
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.sse_c
def test_sec_n13_changed_customer_key(raw, s3, bucket):
    one, two = CustomerKey(), CustomerKey()
    answer = raw.presigned(
        "PUT", f"/{bucket}/k", headers=one.headers(), send_headers=two.headers(), body=b"x"
    )
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_sec_n9_presigned_and_authorization_together(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    signer = raw.signer()
    answer = raw.presigned(
        "GET", f"/{bucket}/k", signer=signer,
        send_headers={"authorization": signer.authorization(["host"], "0" * 64)},
    )
    assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("missing", [
    "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
    "X-Amz-Signature",
])
def test_sec_n12_missing_parameter(raw, s3, bucket, missing):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")

    def without(query):
        return "&".join(p for p in query.split("&") if not p.startswith(missing + "="))

    answer = raw.presigned("GET", f"/{bucket}/k", bend=without)
    assert answer.status in (400, 403)
    assert answer.body != b"x"


def test_kms_presigned(server, kms):
    """A presigned URL is for S3: the key service takes none of S3's."""
    url = kms_client(server).generate_presigned_url("list_keys")
    status, _, body = fetch(server, "GET", url)
    assert status >= 400 and b"KeyArn" not in body
    assert urllib.parse.urlsplit(url).scheme == "https"


def test_sec_n21_presigned_with_version_2(server, bucket):
    """What boto3 makes by default in us-east-1 is refused with a message that tells the way."""
    client = s3_client(server)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert "AWSAccessKeyId" in url
    status, _, body = fetch(server, "GET", url)
    assert (status, b"<Code>InvalidRequest</Code>" in body) == (400, True)
    assert b"Please use AWS4-HMAC-SHA256." in body


def test_s8_checksums_in_a_url_are_ignored_and_those_in_headers_hold(raw, s3, bucket):
    """An SDK puts the checksum of no bytes into a URL, since it has none when it signs."""
    target = f"/{bucket}/k"
    of_nothing = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-sdk-checksum-algorithm", "CRC32"),
                  ("x-id", "PutObject")]
    assert raw.presigned("PUT", target, of_nothing, body=b"hello").status == 200
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"hello"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = f"/{bucket}/m?partNumber=1&uploadId={upload}"
    assert raw.presigned("PUT", part, of_nothing, body=b"hello").status == 200
    wrong = {"x-amz-checksum-crc32": "AAAAAA=="}
    for where in (target, part):
        answer = raw.presigned("PUT", where, headers=wrong, body=b"other")
        assert (answer.status, answer.code) == (400, "BadDigest")
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"hello"


def test_parameters_of_the_clients_own_are_ignored(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    mine = [("x-user", "johndoe")]
    assert raw.presigned("GET", f"/{bucket}/k", mine).body == b"x"
    assert raw.request("GET", f"/{bucket}/k?x-user=johndoe").body == b"x"
    assert raw.request("GET", f"/{bucket}?list-type=2&x-user=johndoe").status == 200
    for other in ("user=johndoe", "X-Amz-User=johndoe", "xuser"):
        assert raw.request("GET", f"/{bucket}/k?{other}").status == 501, other
