# SPDX-License-Identifier: Apache-2.0
"""Section 6.2, row by row: what a copy keeps, what it gets anew, and which copies onto itself are legal."""

import base64
import datetime
import hashlib
import json
import time

import pytest

import sse
from clients import CustomerKey, MIB, bucket_name, noise, read, refused

ILLEGAL = (
    "This copy request is illegal because it is trying to copy an object to itself without "
    "changing the object's metadata, storage class, website redirect location or encryption "
    "attributes."
)
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
FUTURE = datetime.datetime(2090, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def key_arn(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


@pytest.fixture
def place(bucket):
    return {"Bucket": bucket, "Key": "k"}


@pytest.fixture
def versioned(s3):
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield {"Bucket": name, "Key": "k"}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            s3.delete_object(Bucket=name, Key=entry["Key"], VersionId=entry["VersionId"])
    s3.delete_bucket(Bucket=name)


def kms_write(arn, **more):
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn} | more


def default_rule(s3, bucket, algorithm, **more):
    by_default = {"SSEAlgorithm": algorithm} | more
    rules = [{"ApplyServerSideEncryptionByDefault": by_default}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def self_copy(s3, place, **more):
    return s3.copy_object(CopySource=dict(place), **place, **more)


# ---- a copy onto itself -------------------------------------------------------------------


@pytest.mark.parametrize("more", [
    {}, {"MetadataDirective": "COPY"}, {"ACL": "private"},
    {"TaggingDirective": "COPY"}, {"Metadata": {"ignored": "1"}},
], ids=str)
def test_s6_2_self_copy_that_changes_nothing_is_illegal(s3, place, more):
    s3.put_object(Body=b"x", Metadata={"a": "1"}, **place)
    before = s3.head_object(**place)
    with refused("InvalidRequest", 400, ILLEGAL):
        self_copy(s3, place, **more)
    after = s3.head_object(**place)
    assert (after["Metadata"], after["ETag"]) == (before["Metadata"], before["ETag"])


@pytest.mark.parametrize("more", [
    {"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms"},
    {"BucketKeyEnabled": True}, {"BucketKeyEnabled": False}, {"MetadataDirective": "REPLACE"}, {"MetadataDirective": "REPLACE", "Metadata": {"a": "1"}},
    {"WebsiteRedirectLocation": "/elsewhere"}, {"StorageClass": "STANDARD"},
    {"StorageClass": "STANDARD_IA"},
], ids=str)
def test_s6_2_self_copy_with_a_header_that_could_change_something_is_legal(s3, place, more):
    s3.put_object(Body=b"x", Metadata={"a": "1"}, **place)
    self_copy(s3, place, **more)
    assert read(s3.get_object(**place)) == b"x"


def test_s6_2_self_copy_is_legal_where_the_bucket_was_given_a_rule(s3, place):
    s3.put_object(Body=b"x", **place)
    with refused("InvalidRequest", 400, ILLEGAL):
        self_copy(s3, place)
    default_rule(s3, place["Bucket"], "AES256")
    assert self_copy(s3, place)["ServerSideEncryption"] == "AES256"
    s3.delete_bucket_encryption(Bucket=place["Bucket"])
    with refused("InvalidRequest", 400, ILLEGAL):
        self_copy(s3, place)


@pytest.mark.sse_c
def test_s6_2_self_copy_is_legal_where_the_mode_changes(s3, place, key_arn):
    for write, source in [(kms_write(key_arn), {}), (CustomerKey(b"k" * 32).boto(), None)]:
        source = CustomerKey(b"k" * 32).boto(source=True) if source is None else source
        s3.put_object(Body=b"x", **place, **write)
        assert self_copy(s3, place, **source)["ServerSideEncryption"] == "AES256"
        assert read(s3.get_object(**place)) == b"x"


def test_s6_2_older_version_comes_back_by_a_copy_onto_its_name(s3, versioned):
    first = s3.put_object(Body=b"first", **versioned)["VersionId"]
    second = s3.put_object(Body=b"second", **versioned)["VersionId"]
    for source in [dict(versioned), versioned | {"VersionId": second}]:
        with refused("InvalidRequest", 400, ILLEGAL):
            s3.copy_object(CopySource=source, **versioned)
    made = s3.copy_object(CopySource=versioned | {"VersionId": first}, **versioned)
    assert made["CopySourceVersionId"] == first and made["VersionId"] not in (first, second)
    assert read(s3.get_object(**versioned)) == b"first"


# ---- encryption is never the source's -----------------------------------------------------


def test_s6_2_encryption_is_that_of_the_request_else_of_the_bucket(s3, place, key_arn, kms):
    other = kms.create_key()["KeyMetadata"]["Arn"]
    to = place | {"Key": "copy"}
    s3.put_object(Body=b"x", **place, **kms_write(key_arn))
    made = s3.copy_object(CopySource=dict(place), **to)
    assert (made["ServerSideEncryption"], made.get("SSEKMSKeyId")) == ("AES256", None)
    default_rule(s3, place["Bucket"], "aws:kms", KMSMasterKeyID=other)
    made = s3.copy_object(CopySource=dict(place), **to)
    assert (made["ServerSideEncryption"], made["SSEKMSKeyId"]) == ("aws:kms", other)
    made = s3.copy_object(CopySource=dict(place), ServerSideEncryption="AES256", **to)
    assert (made["ServerSideEncryption"], made.get("SSEKMSKeyId")) == ("AES256", None)
    made = s3.copy_object(CopySource=dict(place), ServerSideEncryption="aws:kms", **to)
    assert made["SSEKMSKeyId"] not in (key_arn, other), "aws/s3, neither source nor rule"


def test_s2_2_encryption_context_is_not_carried_over(server, s3, place, key_arn):
    context = sse.encoded({"project": "secret-plan"})
    s3.put_object(Body=b"x", **place, **kms_write(key_arn, SSEKMSEncryptionContext=context))
    made = s3.copy_object(CopySource=dict(place), **place | {"Key": "copy"}, **kms_write(key_arn))
    assert "SSEKMSEncryptionContext" not in made
    arn = f"arn:aws:s3:::{place['Bucket']}/copy"
    events = [e for e in server.audit() if arn in json.dumps(e.get("requestParameters"))]
    [made] = [e for e in events if e["eventName"] == "GenerateDataKey"]
    assert made["requestParameters"]["encryptionContext"] == {"aws:s3:arn": arn}
    own = sse.encoded({"project": "other"})
    made = s3.copy_object(CopySource=dict(place), **place | {"Key": "copy"},
                          **kms_write(key_arn, SSEKMSEncryptionContext=own))
    assert json.loads(base64.b64decode(made["SSEKMSEncryptionContext"])) == {"project": "other"}


# ---- properties ---------------------------------------------------------------------------


def test_s6_2_metadata_directive(s3, place):
    given = {"ContentType": "text/x", "CacheControl": "no-store", "ContentLanguage": "de",
             "ContentDisposition": "inline", "ContentEncoding": "x-own", "Metadata": {"a": "1"}}
    s3.put_object(Body=b"x", WebsiteRedirectLocation="/there", **place, **given)
    to = place | {"Key": "copy"}

    def facts():
        head = s3.head_object(**to)
        return {name: head.get(name) for name in [*given, "WebsiteRedirectLocation"]}

    s3.copy_object(CopySource=dict(place), Metadata={"b": "2"}, ContentType="image/png", **to)
    assert facts() == given | {"WebsiteRedirectLocation": None}, "COPY; where it redirects is not copied"
    s3.copy_object(CopySource=dict(place), WebsiteRedirectLocation="/here", **to)
    assert facts() == given | {"WebsiteRedirectLocation": "/here"}
    s3.copy_object(CopySource=dict(place), MetadataDirective="REPLACE", Metadata={"b": "2"}, **to)
    nothing = dict.fromkeys(given) | {"Metadata": {"b": "2"}, "ContentType": "binary/octet-stream"}
    assert facts() == nothing | {"WebsiteRedirectLocation": None}


@pytest.mark.parametrize("text", ["copy", "replace", "MERGE", "REPLACE,COPY"])
def test_s6_2_other_directives_are_refused(raw, s3, place, text):
    s3.put_object(Body=b"x", **place)
    headers = {"x-amz-copy-source": f"{place['Bucket']}/k", "x-amz-metadata-directive": text}
    answer = raw.request("PUT", f"/{place['Bucket']}/copy", b"", headers)
    assert answer.status == 400 and b"<Code>InvalidArgument</Code>" in answer.body
    with refused("404", 404):
        s3.head_object(**place | {"Key": "copy"})


# ---- what is kept and what is made anew ---------------------------------------------------


def test_s1_2_etag_of_a_copy_is_of_the_mode_of_the_copy(s3, place, key_arn):
    data = noise(200_000, 21)
    md5 = f'"{hashlib.md5(data).hexdigest()}"'
    to = place | {"Key": "copy"}
    for write in [{}, kms_write(key_arn)]:
        first = s3.put_object(Body=data, **place, **write)
        clear = s3.copy_object(CopySource=dict(place), **to)["CopyObjectResult"]
        assert clear["ETag"] == md5
        sealed = [
            s3.copy_object(CopySource=dict(place), **to, **kms_write(key_arn))["CopyObjectResult"]["ETag"]
            for _ in range(2)
        ]
        assert len({first["ETag"], md5, *sealed} - {md5}) == (2 if not write else 3), "each its own"
        assert all(len(etag) == 34 and "-" not in etag for etag in sealed)
        assert s3.head_object(**to)["ETag"] == sealed[-1]


def test_s6_2_last_modified_is_that_of_the_copy(s3, place):
    s3.put_object(Body=b"x", **place)
    before = s3.head_object(**place)["LastModified"]
    while datetime.datetime.now(datetime.timezone.utc) < before + datetime.timedelta(seconds=1.1):
        time.sleep(0.1)
    made = s3.copy_object(CopySource=dict(place), **place | {"Key": "copy"})
    assert made["CopyObjectResult"]["LastModified"] > before
    assert s3.head_object(**place)["LastModified"] == before


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_s8_copy_keeps_the_algorithm_or_takes_the_one_asked_for(s3, place, key_arn, algorithm, size):
    data = noise(size, 22)
    put = s3.put_object(Body=data, ChecksumAlgorithm=algorithm, **place, **kms_write(key_arn))
    name = f"Checksum{algorithm}"
    to = place | {"Key": "copy"}
    for target in [{}, kms_write(key_arn)]:
        made = s3.copy_object(CopySource=dict(place), **to, **target)["CopyObjectResult"]
        assert (made[name], made["ChecksumType"]) == (put[name], "FULL_OBJECT")
        other = s3.copy_object(CopySource=dict(place), ChecksumAlgorithm="SHA256", **to, **target)
        wanted = base64.b64encode(hashlib.sha256(data).digest()).decode()
        assert other["CopyObjectResult"]["ChecksumSHA256"] == wanted
        assert s3.head_object(ChecksumMode="ENABLED", **to)["ChecksumSHA256"] == wanted


@pytest.mark.sse_c
def test_s8_copy_of_an_object_without_a_checksum_gets_crc64nvme(s3, place):
    """Such an object: an SSE-C upload without an algorithm, completed without its key."""
    key = CustomerKey()
    upload = place | {"UploadId": s3.create_multipart_upload(**place, **key.boto())["UploadId"]}
    part = s3.upload_part(PartNumber=1, Body=noise(100_000, 23), **upload, **key.boto())
    named = {n: v for n, v in part.items() if n == "ETag" or n.startswith("Checksum")}
    s3.complete_multipart_upload(MultipartUpload={"Parts": [named | {"PartNumber": 1}]}, **upload,
                                 **key.boto())
    made = s3.copy_object(CopySource=dict(place), **place | {"Key": "copy"}, **key.boto(source=True))
    plain = s3.put_object(Body=noise(100_000, 23), ChecksumAlgorithm="CRC64NVME", **place | {"Key": "p"})
    result = made["CopyObjectResult"]
    kept = [name for name in result if name.startswith("Checksum") and name != "ChecksumType"]
    if kept == ["ChecksumCRC64NVME"]:
        assert result["ChecksumCRC64NVME"] == plain["ChecksumCRC64NVME"]
    else:
        assert kept, "every copy has a checksum"


# ---- conditions ---------------------------------------------------------------------------


def test_s6_6_conditions_on_the_source(s3, place):
    etag = s3.put_object(Body=b"x", **place)["ETag"]
    to = place | {"Key": "copy"}
    holds = [
        {"CopySourceIfMatch": etag}, {"CopySourceIfNoneMatch": '"other"'},
        {"CopySourceIfModifiedSince": PAST}, {"CopySourceIfUnmodifiedSince": FUTURE},
        {"CopySourceIfMatch": etag, "CopySourceIfUnmodifiedSince": PAST},
    ]
    fails = [
        {"CopySourceIfMatch": '"other"'}, {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfUnmodifiedSince": PAST},
        {"CopySourceIfNoneMatch": etag, "CopySourceIfModifiedSince": PAST},
    ]
    for condition in fails:
        with refused("PreconditionFailed", 412):
            s3.copy_object(CopySource=dict(place), **to, **condition)
        with refused("404", 404):
            s3.head_object(**to)
    for condition in holds:
        s3.copy_object(CopySource=dict(place), **to, **condition)
        s3.delete_object(**to)


def test_s6_6_conditions_on_what_the_copy_replaces(raw, s3, place, key_arn):
    s3.put_object(Body=noise(100_000, 24), **place, **kms_write(key_arn))
    there = s3.put_object(Body=b"old", **place | {"Key": "copy"}, **kms_write(key_arn))["ETag"]
    source = {"x-amz-copy-source": f"{place['Bucket']}/k", "x-amz-server-side-encryption": "aws:kms",
              "x-amz-server-side-encryption-aws-kms-key-id": key_arn}

    def copy(key, **headers):
        headers = source | {name.replace("_", "-"): value for name, value in headers.items()}
        return raw.request("PUT", f"/{place['Bucket']}/{key}", b"", headers)

    assert copy("copy", if_none_match="*").status == 412
    assert copy("copy", if_match='"other"').status == 412
    assert copy("absent", if_match=there).status == 404
    assert copy("copy", if_none_match=there).status == 501
    assert read(s3.get_object(**place | {"Key": "copy"})) == b"old"
    assert copy("copy", if_match=there).status == 200
    assert copy("absent", if_none_match="*").status == 200
    assert read(s3.get_object(**place | {"Key": "absent"})) == noise(100_000, 24)


# ---- sources ------------------------------------------------------------------------------


def test_s6_2_copy_of_versions_and_of_delete_markers(s3, versioned):
    first = s3.put_object(Body=b"first", **versioned)["VersionId"]
    second = s3.put_object(Body=b"second", **versioned)["VersionId"]
    to = versioned | {"Key": "copy"}
    for source, version, body in [
        ({}, second, b"second"), ({"VersionId": first}, first, b"first"),
    ]:
        made = s3.copy_object(CopySource=versioned | source, **to)
        assert made["CopySourceVersionId"] == version
        assert read(s3.get_object(**to)) == body
    marker = s3.delete_object(**versioned)["VersionId"]
    with refused("NoSuchKey", 404):
        s3.copy_object(CopySource=dict(versioned), **to)
    with refused("InvalidRequest", 400):
        s3.copy_object(CopySource=versioned | {"VersionId": marker}, **to)
    with refused("NoSuchVersion", 404):
        s3.copy_object(CopySource=versioned | {"VersionId": "A" * 32}, **to)
    assert s3.copy_object(CopySource=versioned | {"VersionId": first}, **to)["CopySourceVersionId"] == first


@pytest.mark.sse_c
def test_s6_2_part_of_a_copy_is_sealed_as_the_upload_is(s3, place, key_arn):
    data = noise(MIB, 25)
    customer = CustomerKey()
    to = place | {"Key": "parts"}
    for write, source in [(kms_write(key_arn), {}), (customer.boto(), customer.boto(source=True))]:
        s3.put_object(Body=data, **place, **write)
        upload = to | {"UploadId": s3.create_multipart_upload(**to)["UploadId"]}
        made = s3.upload_part_copy(PartNumber=1, CopySource=dict(place), **upload, **source,
                                   CopySourceRange="bytes=65530-65545")
        assert made["ServerSideEncryption"] == "AES256"
        part = made["CopyPartResult"]["ETag"]
        assert part == f'"{hashlib.md5(data[65_530:65_546]).hexdigest()}"'
        parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
        s3.complete_multipart_upload(MultipartUpload=parts, **upload)
        assert read(s3.get_object(**to)) == data[65_530:65_546]


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=-5", "bytes=5-4", "0-5", "bytes=0-5,7-9"])
def test_s6_2_part_copy_range_of_another_form(s3, place, text):
    s3.put_object(Body=b"0123456789", **place)
    upload = place | {"Key": "u"}
    upload |= {"UploadId": s3.create_multipart_upload(**upload)["UploadId"]}
    with refused("InvalidArgument", 400):
        s3.upload_part_copy(PartNumber=1, CopySource=dict(place), CopySourceRange=text, **upload)
    message = "Range specified is not valid for source object of size: 10"
    with refused("InvalidArgument", 400, message):
        s3.upload_part_copy(PartNumber=1, CopySource=dict(place), CopySourceRange="bytes=0-10", **upload)


def test_s6_2_a_rule_that_only_unblocks_customer_keys_is_no_default(s3, place):
    """The rule that lifts the block names no encryption: nothing is said of what a copy would change."""
    s3.put_object(Body=b"x", **place)
    for blocked in ("NONE", "SSE-C"):
        s3.put_bucket_encryption(Bucket=place["Bucket"], ServerSideEncryptionConfiguration={
            "Rules": [{"BlockedEncryptionTypes": {"EncryptionType": [blocked]}}]})
        with refused("InvalidRequest", 400, ILLEGAL):
            self_copy(s3, place)
        shown = s3.get_bucket_encryption(Bucket=place["Bucket"])
        (rule,) = shown["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule == {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False,
            "BlockedEncryptionTypes": {"EncryptionType": [blocked]}}
    # A default that was given is gone with such a rule, too.
    default_rule(s3, place["Bucket"], "AES256")
    self_copy(s3, place)
    s3.put_bucket_encryption(Bucket=place["Bucket"], ServerSideEncryptionConfiguration={
        "Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}]})
    with refused("InvalidRequest", 400, ILLEGAL):
        self_copy(s3, place)
