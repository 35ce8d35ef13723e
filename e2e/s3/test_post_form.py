# SPDX-License-Identifier: Apache-2.0
"""POST of an upload form: every mode, every refusal, and forms that nobody honest sends."""

import base64
import gzip
import hashlib
import http.client
import json
import random
import re
import ssl
import zlib
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError

import leaks
import sse
from clients import MIB, SEGMENT, VIRTUAL_DOMAIN, CustomerKey, noise, s3 as s3_client
from drive_watch import DriveWatch
from forms import BOUNDARY, Forms, encode, expiration, part
from rawhttp import Wire, amz_date
from strongroom import until

pytestmark = pytest.mark.sse_c

MARK = b"FORM-PLAINTEXT-MARKER-"
SIZES = [0, 1, SEGMENT // 2 - 32, SEGMENT // 2, SEGMENT, SEGMENT + 1, 8 * SEGMENT, MIB + 7]


@pytest.fixture
def forms(server):
    return Forms(server)


@pytest.fixture
def plain(server):
    return Forms(server, "http")


@pytest.fixture(params=["none", "sse-s3", "kms-default", "kms-id", "kms-arn", "kms-alias",
                        "kms-alias-arn", "kms-context", "sse-c"])
def mode(request, kms, kms_key, s3, bucket):
    # The key aws/s3 is made at its first use.
    s3.put_object(Bucket=bucket, Key="first", Body=b"", ServerSideEncryption="aws:kms")
    return {one.name: one for one in sse.modes(kms, kms_key)}[request.param]


def text(size):
    return (MARK * (size // len(MARK) + 1))[:size]


def is_gone(s3, bucket, key):
    with pytest.raises(ClientError) as refused:
        s3.head_object(Bucket=bucket, Key=key)
    return refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def blobs(server):
    """What lies on the drive as bodies, or is being written. What earlier tests left may be going."""
    return {path for path in server.files() if "blob" in str(path) or "tmp" in path.parts}


def is_refused(answer, status, code, message=None):
    assert (answer.status, answer.code) == (status, code), answer.body
    if message is not None:
        said = answer.element("Message").replace("&quot;", '"').replace("&apos;", "'")
        assert said == message, said


# ---- what is stored ---------------------------------------------------------------------


def test_every_mode_stores_what_was_sent(server, s3, bucket, forms, mode):
    watch = DriveWatch(server)
    for size in SIZES:
        data = text(size)
        key = f"{mode.name}/{size}"
        fields = {"key": key, "Content-Type": "text/x-form", "x-amz-meta-A": "1",
                  **mode.write_headers}
        answer = forms.upload(bucket, fields, data)
        assert answer.status == 204, answer.body
        mode.check_headers("PostObject", answer.headers)
        etag = answer.headers["etag"]
        assert (etag == f'"{hashlib.md5(data).hexdigest()}"') == mode.md5_etag
        crc = answer.headers["x-amz-checksum-crc64nvme"]
        assert answer.headers["x-amz-checksum-type"] == "FULL_OBJECT"
        got = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **mode.read)
        assert got["Body"].read() == data
        assert (got["ETag"], got["ContentType"]) == (etag, "text/x-form")
        assert (got["Metadata"], got["ChecksumCRC64NVME"]) == ({"a": "1"}, crc)
        mode.check("GetObject", got)
        head = s3.head_object(Bucket=bucket, Key=key, **mode.read)
        assert head["ContentLength"] == size
    assert not leaks.find({"mark": MARK}, watch.added())


def test_presigned_post_of_boto3(server, bucket):
    """The form as the SDK makes it, sent by a client that is not ours."""
    s3 = s3_client(server, signature_version="s3v4")
    data = noise(100_000, 1)
    made = s3.generate_presigned_post(
        bucket, "dir/${filename}", Fields={"x-amz-server-side-encryption": "AES256", "acl": "private"},
        Conditions=[["starts-with", "$x-amz-server-side-encryption", "AES"], {"acl": "private"},
                    ["content-length-range", 1, 200_000]],
    )
    url = urlsplit(made["url"])
    body = encode(made["fields"], data, "C:\\users\\a b.bin")
    context = ssl.create_default_context(cafile=server.ca)
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context)
    connection.request("POST", url.path, body, {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY.decode()}",
    })
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 204
    got = s3.get_object(Bucket=bucket, Key="dir/a b.bin")
    assert got["Body"].read() == data and got["ServerSideEncryption"] == "AES256"
    assert got["ContentType"] == "binary/octet-stream"


def test_the_default_of_the_bucket_holds(s3, bucket, forms, kms_key):
    rule = {"ApplyServerSideEncryptionByDefault": {
        "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key["id"]}}
    s3.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    answer = forms.upload(bucket, {"key": "k"}, b"data")
    assert answer.headers[sse.SSE] == "aws:kms"
    assert answer.headers[sse.KID] == kms_key["arn"]
    # What is asked for wins over it, and does not inherit its key.
    answer = forms.upload(bucket, {"key": "k", sse.SSE: "AES256"}, b"data")
    assert answer.headers[sse.SSE] == "AES256" and sse.KID not in answer.headers


def test_blocked_customer_keys(s3, bucket, forms):
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
            "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}
    s3.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    answer = forms.upload(bucket, {"key": "k", **CustomerKey().headers()}, b"data")
    is_refused(answer, 403, "AccessDenied")
    assert "has blocked upload requests" in answer.element("Message")
    # Before the key is looked at.
    answer = forms.upload(bucket, {"key": "k", sse.C_ALG: "AES192"}, b"data")
    is_refused(answer, 403, "AccessDenied")
    assert is_gone(s3, bucket, "k")


def test_versions(s3, bucket, forms):
    first = forms.upload(bucket, {"key": "k"}, b"1")
    assert "x-amz-version-id" not in first.headers
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    second = forms.upload(bucket, {"key": "k"}, b"2")
    third = forms.upload(bucket, {"key": "k"}, b"3")
    ids = [answer.headers["x-amz-version-id"] for answer in (second, third)]
    assert len(set(ids)) == 2
    for version, data in [(ids[0], b"2"), (ids[1], b"3"), ("null", b"1")]:
        got = s3.get_object(Bucket=bucket, Key="k", VersionId=version)
        assert got["Body"].read() == data


# ---- what is answered -------------------------------------------------------------------


def test_answers(server, s3, bucket, forms):
    data = b"something body"
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    place = "https://{}:{}".format(*server.address("https")) + f"/{bucket}/a/key-f.txt"
    for asked, status in [(None, 204), ("204", 204), ("200", 200), ("201", 201), ("418", 204),
                          ("", 204), ("+201", 204)]:
        fields = {"key": "a/key-${filename}"}
        if asked is not None:
            fields["success_action_status"] = asked
        conditions = [["starts-with", "$key", "a/"], ["starts-with", "$success_action_status", ""]]
        answer = forms.upload(bucket, fields, data,
                              conditions=conditions if asked is not None else conditions[:1])
        assert answer.status == status, answer.body
        assert (answer.headers["etag"], answer.headers["location"]) == (etag, place)
        if status == 201:
            assert answer.headers["content-type"] == "application/xml"
            assert answer.body.decode() == (
                '<?xml version="1.0" encoding="UTF-8"?>\n'
                f"<PostResponse><Location>{place}</Location><Bucket>{bucket}</Bucket>"
                f"<Key>a/key-f.txt</Key><ETag>{etag.replace(chr(34), '&quot;')}</ETag></PostResponse>"
            )
        else:
            assert answer.body == b""
    assert s3.get_object(Bucket=bucket, Key="a/key-f.txt")["Body"].read() == data


def test_virtual_hosts(server, s3, bucket, forms):
    port = server.address("https")[1]
    host = f"{bucket}.{VIRTUAL_DOMAIN}:{port}"
    answer = forms.upload(bucket, {"key": "a b"}, b"x", headers={"host": host}, target="/")
    assert (answer.status, answer.headers["location"]) == (204, f"https://{host}/a%20b")
    assert s3.get_object(Bucket=bucket, Key="a b")["Body"].read() == b"x"
    # The bucket that counts is that of the host.
    other = forms.signed("another-bucket", {"key": "l"})
    answer = forms.post(bucket, encode(other, b"x"), {"host": host}, target="/")
    is_refused(answer, 403, "AccessDenied")
    assert is_gone(s3, bucket, "l")
    is_refused(forms.post("", encode(other, b"x"), target="/"), 403, "AccessDenied")


@pytest.mark.parametrize("field", ["success_action_redirect", "redirect"])
def test_redirects(bucket, forms, field):
    etag = f'"{hashlib.md5(b"x").hexdigest()}"'
    fields = {"key": "a/b c&d=e\u00e9", field: "https://example.com/done?a=b#top",
              "success_action_status": "201"}
    answer = forms.upload(bucket, fields, b"x")
    assert (answer.status, answer.body) == (303, b"")
    url = urlsplit(answer.headers["location"])
    assert url.fragment == "top" and url.netloc == "example.com"
    assert parse_qs(url.query) == {
        "a": ["b"], "bucket": [bucket], "key": [fields["key"]], "etag": [etag]}
    for none in ["/relative", "javascript:alert(1)", "ftp://example.com/", ""]:
        answer = forms.upload(bucket, fields | {field: none}, b"x")
        assert answer.status == 201, none


def test_names_of_files(s3, bucket, forms):
    for key, filename, stored in [
        ("${filename}", "a.txt", "a.txt"),
        ("d/${filename}", "../../etc/passwd", "d/passwd"),
        ("d/${filename}", "C:\\x\\y.txt", "d/y.txt"),
        ("d/${filename}", "", "d/"),
        ("d/${filename}", None, "d/${filename}"),
        ("d/${filename}", "..", "d/.."),
        ("d/${filename}", "\u00e9\u2014.pdf", "d/\u00e9\u2014.pdf"),
    ]:
        answer = forms.upload(bucket, {"key": key}, b"x", filename,
                              conditions=[["starts-with", "$key", stored[:1]]])
        assert answer.status == 204, (key, filename, answer.body)
        listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
        assert stored in [one["Key"] for one in listed], (key, filename)
    # The condition is on the name that is stored.
    answer = forms.upload(bucket, {"key": "user/${filename}"}, b"x", "a.txt",
                          conditions=[{"key": "user/${filename}"}])
    is_refused(answer, 403, "AccessDenied", "Invalid according to Policy: Policy Condition failed: "
               '["eq", "$key", "user/${filename}"]')
    for fields, filename in [({"key": ""}, "f"), ({"key": "${filename}"}, "a/")]:
        is_refused(forms.upload(bucket, fields, b"x", filename, conditions=[]),
                   400, "InvalidArgument", "User key must have a length greater than 0.")
    is_refused(forms.upload(bucket, {"key": "k" * 1025}, b"x"), 400, "KeyTooLongError")
    is_refused(forms.upload(bucket, {"key": "a\0b"}, b"x"), 400, "InvalidArgument")


# ---- who may ----------------------------------------------------------------------------


def test_forms_that_nobody_signed(s3, bucket, forms):
    unsigned = forms.signed(bucket, {"key": "k"})
    alone = {name: unsigned[name] for name in ("key", "policy")}
    for fields in [{"key": "k"}, alone, {"key": "k", "policy": ""}]:
        is_refused(forms.post(bucket, encode(fields, b"x")), 403, "AccessDenied", "Access Denied")
    for name, shown in [("x-amz-algorithm", "X-Amz-Algorithm"), ("policy", "Policy"),
                        ("x-amz-credential", "X-Amz-Credential"), ("x-amz-date", "X-Amz-Date"),
                        ("x-amz-signature", "X-Amz-Signature")]:
        less = {key: value for key, value in unsigned.items() if key != name}
        answer = forms.post(bucket, encode(less, b"x"))
        is_refused(answer, 400, "InvalidArgument", f"Bucket POST must contain a field named '{shown}'."
                   "  If it is specified, please check the order of the fields.")
        assert answer.element("ArgumentName") == shown
    old = {"key": "k", "AWSAccessKeyId": forms.credential[0], "policy": alone["policy"],
           "signature": "x"}
    is_refused(forms.post(bucket, encode(old, b"x")), 400, "InvalidRequest")
    assert is_gone(s3, bucket, "k")


def test_signatures_that_do_not_match(server, s3, bucket, forms):
    good = forms.signed(bucket, {"key": "k"})
    policy = good["policy"]
    document = base64.b64decode(policy)
    rewritten = base64.b64encode(document.replace(b'"k"', b'"l"'))
    other = Forms(server, credential=(forms.credential[0], "another-secret")).signed(
        bucket, {"key": "k"})
    for fields in [
        good | {"policy": rewritten}, good | {"policy": policy[:-2]}, good | {"policy": policy + b"="},
        good | {"x-amz-signature": good["x-amz-signature"][::-1]}, good | {"x-amz-signature": ""},
        good | {"x-amz-signature": good["x-amz-signature"].upper()}, other,
    ]:
        answer = forms.post(bucket, encode(fields, b"x"))
        is_refused(answer, 403, "SignatureDoesNotMatch")
        sent = fields["policy"].decode()
        assert answer.element("StringToSign") == sent
        assert answer.element("CanonicalRequest") is None
    unknown = Forms(server, credential=("AKIAUNKNOWNUNKNOWN00", "x" * 40))
    is_refused(unknown.upload(bucket, {"key": "k"}, b"x"), 403, "InvalidAccessKeyId")
    for bent, name in [({"region": "eu-west-1"}, "X-Amz-Credential"),
                       ({"service": "ec2"}, "X-Amz-Credential"),
                       ({"terminator": "aws3_request"}, "X-Amz-Credential"),
                       ({"scope_date": "20200101"}, "X-Amz-Credential"),
                       ({"date": "2026-11-21T00:00:00Z"}, "X-Amz-Credential")]:
        answer = forms.upload(bucket, {"key": "k"}, b"x", **bent)
        is_refused(answer, 400, "InvalidArgument")
        assert answer.element("ArgumentName") in (name, "X-Amz-Date")
    for seconds in (-8 * 86_400, 3_600):
        is_refused(forms.upload(bucket, {"key": "k"}, b"x", date=amz_date(seconds)),
                   403, "AccessDenied")
    # A signature for the key service is none for S3.
    is_refused(forms.upload(bucket, {"key": "k"}, b"x", service="kms"),
               400, "AuthorizationHeaderMalformed")
    token = forms.upload(bucket, {"key": "k", "x-amz-security-token": "t"}, b"x")
    is_refused(token, 400, "InvalidToken")
    assert is_gone(s3, bucket, "k")


def test_credentials_in_two_places(s3, bucket, forms, raw):
    body = encode(forms.signed(bucket, {"key": "k"}), b"x")
    for headers, target in [
        ({"authorization": "AWS4-HMAC-SHA256 Credential=x"}, None),
        ({}, f"/{bucket}?X-Amz-Signature=x&X-Amz-Algorithm=AWS4-HMAC-SHA256"),
    ]:
        answer = forms.post(bucket, body, headers, target=target)
        is_refused(answer, 400, "InvalidArgument")
    # Headers that nobody signed say nothing.
    for name in ("x-amz-acl", "x-amz-server-side-encryption", "x-amz-meta-a",
                 "x-amz-expected-bucket-owner"):
        answer = forms.post(bucket, body, {name: "private"})
        is_refused(answer, 403, "AccessDenied",
                   "There were headers present in the request which were not signed")
        assert answer.element("HeadersNotSigned") == name
    for name in ("x-amz-acl", "X-Amz-Server-Side-Encryption", "x-amz-meta-a"):
        answer = forms.post(bucket, body, target=f"/{bucket}?{name}=private")
        is_refused(answer, 501, "NotImplemented")
    assert is_gone(s3, bucket, "k")


def test_the_signer_must_be_allowed(server, s3, bucket, kms_key, tmp_path):
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/in/*"},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": {
            "StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}}},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*", "Condition": {
            "StringNotEquals": {"s3:authType": "POST"}}},
    ]}
    document = tmp_path / "policy.json"
    document.write_text(json.dumps(policy))
    said = server.command("user", "add", "form-writer", "--policy", document).stdout
    found = dict(re.findall(r"^(AWS_[A-Z_]+)=(\S+)$", said, re.M))
    writer = (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])
    try:
        theirs = Forms(server, credential=writer)
        assert theirs.upload(bucket, {"key": "in/k"}, b"x").status == 204
        is_refused(theirs.upload(bucket, {"key": "out/k"}, b"x"), 403, "AccessDenied")
        # The policy of the form permits what its signer may not.
        is_refused(theirs.upload(bucket, {"key": "out/k"}, b"x",
                                 conditions=[["starts-with", "$key", ""]]), 403, "AccessDenied")
        denied = theirs.upload(bucket, {"key": "in/l", sse.SSE: "AES256"}, b"x")
        is_refused(denied, 403, "AccessDenied")
        # The key is used as the signer, who may not.
        denied = theirs.upload(
            bucket, {"key": "in/l", sse.SSE: "aws:kms", sse.KID: kms_key["id"]}, b"x")
        is_refused(denied, 403, "AccessDenied")
        assert "kms:GenerateDataKey" in denied.element("Message")
        with pytest.raises(ClientError):
            s3_client(server, credential=writer).put_object(Bucket=bucket, Key="in/l", Body=b"")
        assert is_gone(s3, bucket, "in/l") and is_gone(s3, bucket, "out/k")
    finally:
        server.command("user", "remove", "form-writer")


# ---- the policy -------------------------------------------------------------------------


def test_conditions(s3, bucket, forms):
    for fields, conditions, says in [
        ({"key": "k", "acl": "private"}, [{"key": "k"}], "Extra input fields: acl"),
        ({"key": "k", sse.SSE: "AES256"}, [{"key": "k"}], f"Extra input fields: {sse.SSE}"),
        ({"key": "k", "foo": "1", "Bar": "2"}, [{"key": "k"}], "Extra input fields: foo, Bar"),
        ({"key": "k"}, [["starts-with", "$key", "l"]],
         'Policy Condition failed: ["starts-with", "$key", "l"]'),
        ({"key": "k"}, [{"key": "k"}, {"bucket": "other"}],
         'Policy Condition failed: ["eq", "$bucket", "other"]'),
        ({"key": "k"}, [{"key": "k"}, ["starts-with", f"${sse.SSE}", ""]],
         f'Policy Condition failed: ["starts-with", "${sse.SSE}", ""]'),
        ({"key": "k", sse.SSE: "aws:kms"}, [{"key": "k"}, {sse.SSE: "AES256"}],
         f'Policy Condition failed: ["eq", "${sse.SSE}", "AES256"]'),
        ({"key": "k", "Content-Type": "image/a,text/b"},
         [{"key": "k"}, ["starts-with", "$Content-Type", "image/"]],
         'Policy Condition failed: ["starts-with", "$Content-Type", "image/"]'),
    ]:
        answer = forms.upload(bucket, fields, b"x", conditions=conditions)
        is_refused(answer, 403, "AccessDenied", f"Invalid according to Policy: {says}")
    customer = CustomerKey().headers()
    for name in customer:
        conditions = [{"key": "k"}] + [["starts-with", f"${n}", ""] for n in customer if n != name]
        answer = forms.upload(bucket, {"key": "k", **customer}, b"x", conditions=conditions)
        is_refused(answer, 403, "AccessDenied",
                   f"Invalid according to Policy: Extra input fields: {name}")
    assert is_gone(s3, bucket, "k")
    for fields, conditions in [
        ({"KEY": "k", "x-ignore-a": "1"}, [["StArTs-WiTh", "$Key", ""]]),
        ({"key": "k", "foo": "1"}, [{"key": "k"}, ["starts-with", "$FOO", ""]]),
        ({"key": "k", **customer},
         [{"key": "k"}] + [["starts-with", f"${name}", ""] for name in customer]),
    ]:
        assert forms.upload(bucket, fields, b"x", conditions=conditions).status == 204, fields


def test_policies_end(bucket, forms):
    is_refused(forms.upload(bucket, {"key": "k"}, b"x", expires=-1),
               403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    for bad in ["tomorrow", "2030-01-01 00:00:00Z", "2030-01-01T00:00:00+01:00", ""]:
        answer = forms.upload(bucket, {"key": "k"}, b"x", document={
            "expiration": bad, "conditions": []})
        is_refused(answer, 400, "InvalidPolicyDocument",
                   f"Invalid Policy: Invalid 'expiration' value: '{bad}'")


def test_policies_that_are_none(s3, bucket, forms):
    soon = expiration()
    for document in [
        b"", b"{", b"[]", b"\xff", b'{"expiration":1}', b"null",
        {"expiration": soon}, {"conditions": []}, {"expiration": soon, "conditions": {}},
        {"expiration": soon, "conditions": [{}]}, {"expiration": soon, "conditions": [[]]},
        {"expiration": soon, "conditions": [{"key": "k", "bucket": bucket}]},
        {"expiration": soon, "conditions": [["ends-with", "$key", "k"]]},
        {"expiration": soon, "conditions": [["content-length-range", 0]]},
        {"expiration": soon, "conditions": [["content-length-range", -1, 0]]},
        {"expiration": soon, "conditions": [], "Statement": []},
        b'{"expiration":"%s","conditions":[],"conditions":[]}' % soon.encode(),
        b"[" * 10_000,
    ]:
        answer = forms.upload(bucket, {"key": "k"}, b"x", document=document)
        is_refused(answer, 400, "InvalidPolicyDocument")
    assert is_gone(s3, bucket, "k")


def test_lengths(server, s3, bucket, forms):
    """The policy fails only when the body is there: nothing of it stays."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    least, most = 5, 3 * MIB
    conditions = [{"key": "k"}, ["content-length-range", least, most]]
    watch = DriveWatch(server)
    before = blobs(server)
    for size, code, asked in [
        (0, "EntityTooSmall", ("MinSizeAllowed", least)), (4, "EntityTooSmall", ("MinSizeAllowed", least)),
        (most + 1, "EntityTooLarge", ("MaxSizeAllowed", most)),
        (most + 4 * MIB, "EntityTooLarge", ("MaxSizeAllowed", most)),
    ]:
        answer = forms.upload(bucket, {"key": "k"}, text(size), conditions=conditions)
        is_refused(answer, 400, code)
        assert answer.element(asked[0]) == str(asked[1])
        if size <= 4:
            assert answer.element("ProposedSize") == str(size)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"
    until(lambda: not blobs(server) - before, "the end of what was refused")
    assert not leaks.find({"mark": MARK}, watch.added())
    for size in (least, most):
        assert forms.upload(bucket, {"key": "k"}, text(size), conditions=conditions).status == 204
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == text(size)
    quoted = [{"key": "k"}, ["content-length-range", "1", "2"]]
    assert forms.upload(bucket, {"key": "k"}, b"xy", conditions=quoted).status == 204
    never = [{"key": "k"}, ["content-length-range", "test", "10"]]
    is_refused(forms.upload(bucket, {"key": "k"}, b"xy", conditions=never), 403, "AccessDenied",
               "Invalid according to Policy: Policy Condition failed: "
               '["content-length-range", "test", "10"]')


# ---- what the fields say goes the way of PutObject's headers ----------------------------------


def test_customer_keys_in_clear(s3, bucket, plain, forms):
    fields = {"key": "k", **CustomerKey().headers()}
    is_refused(plain.upload(bucket, fields, b"x"), 400, "InvalidRequest",
               "Requests specifying Server Side Encryption with Customer provided keys must be made "
               "over a secure connection.")
    is_refused(plain.upload(bucket, {"key": "k", sse.SSE: "aws:kms"}, b"x"), 400, "InvalidArgument",
               "Requests specifying Server Side Encryption with AWS KMS managed keys must be made "
               "over a secure connection.")
    assert is_gone(s3, bucket, "k")
    assert plain.upload(bucket, {"key": "k", sse.SSE: "AES256"}, b"x").status == 204


def test_encryption_fields_are_checked_as_headers_are(s3, bucket, forms):
    key, other = CustomerKey().headers(), CustomerKey().headers()
    sixteen = base64.b64encode(b"k" * 16).decode()
    sixteen_md5 = base64.b64encode(hashlib.md5(b"k" * 16).digest()).decode()
    bad_uuid = "00000000-0000-4000-8000-000000000000"
    for fields, code, message in [
        ({sse.SSE: ""}, "InvalidArgument", "The encryption method specified is not supported"),
        ({sse.SSE: "aes256"}, "InvalidArgument", "The encryption method specified is not supported"),
        ({sse.SSE: " AES256"}, "InvalidArgument", "The encryption method specified is not supported"),
        ({sse.SSE: "AES256", **key}, "InvalidArgument", None),
        ({sse.KID: "x"}, "InvalidArgument", None),
        ({sse.SSE: "AES256", sse.CTX: "e30="}, "InvalidArgument", None),
        ({sse.SSE: "aws:kms", sse.CTX: "x"}, "InvalidArgument", None),
        ({sse.SSE: "aws:kms", sse.BK: "yes"}, "InvalidArgument", None),
        ({sse.SSE: "aws:kms", sse.KID: "fake-key-id"}, "KMS.NotFoundException",
         "Invalid keyId 'fake-key-id'"),
        ({sse.SSE: "aws:kms", sse.KID: bad_uuid}, "KMS.NotFoundException", None),
        (key | {sse.C_ALG: "AES192"}, "InvalidEncryptionAlgorithmError", None),
        (key | {sse.C_MD5: other[sse.C_MD5]}, "InvalidArgument",
         "The calculated MD5 hash of the key did not match the hash that was provided."),
        (key | {sse.C_KEY: sixteen, sse.C_MD5: sixteen_md5}, "InvalidArgument",
         "The secret key was invalid for the specified algorithm."),
        ({sse.C_ALG: "AES256"}, "InvalidArgument", None),
        ({sse.C_KEY: key[sse.C_KEY]}, "InvalidArgument", None),
    ]:
        answer = forms.upload(bucket, {"key": "k", **fields}, b"x")
        is_refused(answer, 400, code, message)
    assert is_gone(s3, bucket, "k")


def test_checksums(s3, bucket, forms):
    data = text(200_000)
    crc = base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()
    sha = base64.b64encode(hashlib.sha256(data).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    for name, value in [("x-amz-checksum-crc32", crc), ("x-amz-checksum-sha256", sha)]:
        answer = forms.upload(bucket, {"key": name, name: value, "Content-MD5": md5}, data)
        assert answer.status == 204 and answer.headers[name] == value
    sha_of_other = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    for fields, code in [
        ({"x-amz-checksum-sha256": sha_of_other}, "BadDigest"),
        ({"x-amz-checksum-sha256": "sailorjerry"}, "InvalidRequest"),
        ({"x-amz-checksum-sha256": sha, "x-amz-checksum-crc32": crc}, "InvalidRequest"),
        ({"x-amz-checksum-algorithm": "SHA256"}, "InvalidRequest"),
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"Content-MD5": "x"}, "InvalidDigest"),
    ]:
        is_refused(forms.upload(bucket, {"key": "k", **fields}, data), 400, code)
    assert is_gone(s3, bucket, "k")


def test_other_fields(s3, bucket, forms):
    fields = {"key": "k", "Content-Type": "text/plain", "Content-Encoding": "gzip",
              "Content-Disposition": "inline", "Cache-Control": "no-store",
              "Expires": "Wed, 21 Oct 2037 07:28:00 GMT", "x-amz-meta-One": "1",
              "x-amz-storage-class": "STANDARD", "acl": "private",
              "x-amz-website-redirect-location": "/elsewhere"}
    assert forms.upload(bucket, fields, b"x").status == 204
    got = s3.head_object(Bucket=bucket, Key="k")
    assert (got["ContentType"], got["ContentEncoding"]) == ("text/plain", "gzip")
    assert (got["ContentDisposition"], got["CacheControl"]) == ("inline", "no-store")
    assert got["Metadata"] == {"one": "1"} and got["WebsiteRedirectLocation"] == "/elsewhere"
    for name, value, status, code in [
        ("acl", "public-read", 501, "NotImplemented"),
        ("tagging", "<Tagging><TagSet/></Tagging>", 501, "NotImplemented"),
        ("x-amz-tagging", "a=b", 501, "NotImplemented"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY", 400, "InvalidStorageClass"),
        ("x-amz-object-lock-mode", "COMPLIANCE", 501, "NotImplemented"),
        ("x-amz-copy-source", f"/{bucket}/k", 501, "NotImplemented"),
        ("x-amz-meta-a", "x" * 2048, 400, "MetadataTooLarge"),
        ("x-amz-meta-a", "a\nb", 400, "InvalidArgument"),
        ("x-amz-expected-bucket-owner", "111111111111", 403, "AccessDenied"),
    ]:
        is_refused(forms.upload(bucket, {"key": "l", name: value}, b"x"), status, code)
    assert is_gone(s3, bucket, "l")


def test_conditional_writes(s3, bucket, forms):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"before")["ETag"]
    for where in ("field", "header"):
        def send(key, name, value):
            if where == "field":
                return forms.upload(bucket, {"key": key, name: value}, b"after")
            return forms.upload(bucket, {"key": key}, b"after", headers={name: value})

        answer = send("k", "If-None-Match", "*")
        is_refused(answer, 412, "PreconditionFailed")
        assert answer.element("Condition") == "If-None-Match"
        if where == "header":
            # Nobody signed it, and the answer would tell what is there.
            is_refused(send("k", "If-Match", '"0"'), 501, "NotImplemented")
            is_refused(send("none", "If-Match", etag), 501, "NotImplemented")
        else:
            is_refused(send("k", "If-Match", '"0"'), 412, "PreconditionFailed")
            is_refused(send("none", "If-Match", etag), 404, "NoSuchKey")
        is_refused(send("k", "If-None-Match", etag), 501, "NotImplemented")
        is_refused(send("k", "If-Modified-Since", "Wed, 21 Oct 2015 07:28:00 GMT"),
                   501, "NotImplemented")
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"
        assert send(f"new-{where}", "If-None-Match", "*").status == 204
        if where == "field":
            match = f'"{hashlib.md5(b"after").hexdigest()}"'
            assert send(f"new-{where}", "If-Match", match).status == 204
    answer = forms.upload(bucket, {"key": "k", "If-Match": etag}, b"x",
                          headers={"If-Match": '"0"'})
    is_refused(answer, 400, "InvalidRequest",
               "Conflicting values provided in HTTP headers and POST form fields.")


def test_sec_a_name_does_not_grow_before_it_is_known_who_asks(server, bucket, forms):
    """900 times the name of a file of 10,000 characters would be 9 MB, by nobody."""
    fields = {"key": "${filename}" * 900}
    body = encode(fields, b"x", filename="&" * 10_000)
    answer = forms.post(bucket, body)
    assert answer.status in (400, 403) and len(answer.body) < 20_000
    assert answer.code in ("KeyTooLongError", "AccessDenied")


# ---- forms that are none ------------------------------------------------------------------


def test_posts_that_are_no_forms(raw, s3, bucket, forms):
    body = encode(forms.signed(bucket, {"key": "k"}), b"x")
    for content_type in [None, "", "text/html", "multipart/mixed; boundary=x",
                         "application/x-www-form-urlencoded", "multipart/form-data2; boundary=x"]:
        # Its fields are no credentials; with others it is asked for what it should be.
        answer = forms.post(bucket, body, {"content-type": content_type})
        is_refused(answer, 403, "AccessDenied")
        headers = {} if content_type is None else {"content-type": content_type}
        answer = raw.request("POST", f"/{bucket}", body, headers)
        is_refused(answer, 412, "PreconditionFailed")
        assert answer.element("Condition") == (
            "Bucket POST must be of the enclosure-type multipart/form-data")
    for content_type in ["multipart/form-data", "multipart/form-data; boundary=",
                         "multipart/form-data; boundary=a; boundary=b",
                         "multipart/form-data; boundary=" + "a" * 71]:
        is_refused(forms.post(bucket, body, {"content-type": content_type}),
                   400, "MalformedPOSTRequest")
    for name, code in [("Content-Encoding", "gzip"), ("Content-MD5", "AAAA")]:
        is_refused(forms.post(bucket, body, {name: code}), 501, "NotImplemented")
    # Another operation: its credentials would stand in a header.
    is_refused(forms.post(bucket, body, target=f"/{bucket}?acl"), 403, "AccessDenied")
    missing = forms.upload("no-such-bucket-of-forms", {"key": "k"}, b"x")
    is_refused(missing, 404, "NoSuchBucket")
    assert is_gone(s3, bucket, "k")


def test_hostile_forms(s3, bucket, forms):
    signed = forms.signed(bucket, {"key": "k"})
    good = encode(signed, b"content")
    dashes = b"--" + BOUNDARY
    file = part("file", b"x", more=b'; filename="f"')
    fields = b"".join(part(name, value) for name, value in signed.items())
    malformed = [
        b"", b"\r\n", b"x" + good, b"\r\n" + good, good + b"x", good.replace(b"\r\n", b"\n"),
        gzip.compress(good), good[:-4], good[:-6], good.replace(dashes + b"--", dashes),
        # A nested multipart is content; as a field it is a field without a name.
        dashes + b"\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n" + good,
        part("a", b"1").replace(b"form-data", b"attachment") + good,
        part("a", b"1").replace(b'name="a"', b'name="a"; name="b"') + good,
        part("a", b"1", more=b"\r\nContent-Transfer-Encoding: base64") + good,
        part("a", b"\xff\xfe") + good, part(b"\xff", b"1") + good,
        dashes + b"\r\n" + b"\r\n" + good,
        good.replace(dashes + b"--", dashes + b"-x"),
    ]
    for number, body in enumerate(malformed):
        is_refused(forms.post(bucket, body), 400, "MalformedPOSTRequest",
                   "The body of your POST request is not well-formed multipart/form-data.")
        assert is_gone(s3, bucket, "k"), number
    many = b"".join(part(f"x-ignore-{n}", b"") for n in range(10_000))
    for body in [part("x-ignore-a", b"x" * 20_480) + good, many + good,
                 dashes + b"\r\nX: " + b"x" * 100_000 + b"\r\n" + good,
                 b"".join(part(f"a{n}", b"") for n in range(201)) + file,
                 # A file by another name is a field.
                 fields + part("upload", b"x" * 30_000, more=b'; filename="f"') + dashes + b"--\r\n"]:
        answer = forms.post(bucket, body)
        is_refused(answer, 400, "MaxPostPreDataLengthExceeded")
        assert answer.element("MaxPostPreDataLengthBytes") == "20480"
    for body, count in [(fields + dashes + b"--\r\n", "0"), (fields + file + file + dashes + b"--", "2")]:
        answer = forms.post(bucket, body)
        is_refused(answer, 400, "InvalidArgument", "POST requires exactly one file upload per request.")
        assert answer.element("ArgumentValue") == count
    for name in ("key", "policy", "x-amz-signature", "x-amz-meta-a"):
        twice = fields + part("x-amz-meta-a", b"1") + part(name.upper(), b"other") + file
        is_refused(forms.post(bucket, twice + dashes + b"--\r\n"), 400, "InvalidArgument")
    # What follows the file is ignored, so these fields are missing.
    late = file + fields + dashes + b"--\r\n"
    is_refused(forms.post(bucket, late), 400, "InvalidArgument",
               "Bucket POST must contain a field named 'key'.  If it is specified, please check the "
               "order of the fields.")
    assert is_gone(s3, bucket, "k")


def test_what_follows_the_file_is_ignored_and_bounded(s3, bucket, forms):
    signed = forms.signed(bucket, {"key": "k"})
    after = part("key", b"other") + part("x-amz-meta-a", b"1") + part("submit", b"go")
    assert forms.post(bucket, encode(signed, b"content", after=after)).status == 204
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"content" and got["Metadata"] == {}
    assert is_gone(s3, bucket, "other")
    long = encode(signed, b"changed", after=part("x", b"x" * 30_000))
    is_refused(forms.post(bucket, long), 400, "MalformedPOSTRequest")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"


def test_content_that_looks_like_the_end(s3, bucket, forms):
    """The boundary, nearly: in the content, cut at every byte, behind every length."""
    full = b"\r\n--" + BOUNDARY
    near = [full[:cut] + b"x" for cut in range(1, len(full))]
    near += [full[:cut] + full[:cut] for cut in range(1, len(full))]
    near += [b"\r" * 100 + b"\n--", b"--" + BOUNDARY + b"--\r\n", b"\n--" + BOUNDARY,
             b"\r\n--" + BOUNDARY[::-1], b"\r\n--" + BOUNDARY.lower() + b"--"]
    content = b"".join(random.Random(1).sample(near, len(near)))
    for data in [content, *near]:
        answer = forms.upload(bucket, {"key": "k"}, data)
        assert answer.status == 204, data
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data


def test_forms_in_pieces(s3, bucket, forms):
    """Each split of the bytes around the file's beginning and end, as frames of HTTP."""
    signed = forms.signed(bucket, {"key": "k"})
    data = b"content\r\n--" + BOUNDARY[:5]
    body = encode(signed, data)
    first, last = body.index(b'name="file"'), body.rindex(b"\r\n--" + BOUNDARY)
    cuts = [*range(first - 10, first + 90, 7), *range(last - 3, len(body))]
    for cut in cuts:
        with Wire(forms.server, "https") as wire:
            headers = {"host": wire.host, "transfer-encoding": "chunked",
                       "content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
            wire.send(wire.head("POST", f"/{bucket}", headers))
            for piece in (body[:cut], body[cut:]):
                if piece:
                    wire.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            wire.send(b"0\r\n\r\n")
            answer = wire.answer("POST")
        assert answer.status == 204, (cut, answer.body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data


def test_forms_that_end_early_leave_nothing(server, s3, bucket, forms):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    before = blobs(server)
    watch = DriveWatch(server)
    body = encode(forms.signed(bucket, {"key": "k"}), text(2 * MIB))
    for cut in [100, body.index(b'name="file"') + 200, len(body) // 2, len(body) - 30, len(body) - 3]:
        # The connection ends before its Content-Length.
        with Wire(server, "https") as wire:
            headers = {"host": wire.host, "content-length": str(len(body)),
                       "content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"}
            wire.send(wire.head("POST", f"/{bucket}", headers) + body[:cut])
        # The body ends, and the form does not.
        is_refused(forms.post(bucket, body[:cut]), 400, "MalformedPOSTRequest")
    until(lambda: not blobs(server) - before, "the end of what was cut off")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"
    assert not leaks.find({"mark": MARK}, watch.added())


def test_memory_does_not_grow_with_the_file(make_server):
    server = make_server()
    s3 = s3_client(server)
    s3.create_bucket(Bucket="large")
    forms = Forms(server)

    def resident():
        status = (server.process.pid, "VmHWM")
        with open(f"/proc/{status[0]}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(status[1]))

    assert forms.upload("large", {"key": "warm"}, bytes(16 * MIB)).status == 204
    before = resident()
    assert forms.upload("large", {"key": "k"}, bytes(200 * MIB)).status == 204
    assert s3.head_object(Bucket="large", Key="k")["ContentLength"] == 200 * MIB
    assert resident() - before < 64 * 1024


# ---- what is recorded ---------------------------------------------------------------------


def test_events(server, s3, bucket, forms):
    key = CustomerKey()
    assert forms.upload(bucket, {"key": "k-c", **key.headers()}, b"x").status == 204
    assert forms.upload(bucket, {"key": "k-s"}, b"x").status == 204
    forms.upload(bucket, {"key": "k-no"}, b"x", expires=-1)
    forms.post(bucket, encode({"key": "k-anonymous"}, b"x"))
    found = {}
    for event in server.audit(settle=False):
        parameters = event.get("requestParameters") or {}
        if event["eventName"] == "PostObject" and parameters.get("bucketName") == bucket:
            found[parameters["key"]] = event
    assert set(found) == {"k-c", "k-s", "k-no", "k-anonymous"}
    assert found["k-c"]["additionalEventData"]["SSEApplied"] == "SSE_C"
    assert found["k-s"]["additionalEventData"]["SSEApplied"] == "Default_SSE_S3"
    assert found["k-s"]["additionalEventData"]["AuthenticationMethod"] == "PostPolicy"
    assert found["k-no"]["errorCode"] == found["k-anonymous"]["errorCode"] == "AccessDenied"
    for event in found.values():
        assert not event["readOnly"] and event["eventCategory"] == "Data"
    recorded = json.dumps(list(found.values()))
    assert key.headers()[sse.C_KEY] not in recorded and "policy" not in recorded
    assert not leaks.find({"key": key.raw}, leaks.files(server.files()))
