# SPDX-License-Identifier: Apache-2.0
"""Who may read a version by its id, and what no default of a bucket takes away."""

import pytest

from clients import CustomerKey, bucket_name, empty_and_delete, read, refused
from sse import BK, CTX, KID, SSE, encoded
from test_update_encryption import allow, person  # noqa: F401 (a fixture)

OLD, NEW = b"old bytes", b"new bytes"


@pytest.fixture
def versions(s3):
    """A bucket with two versions of `k`, and the id of the older one."""
    name = bucket_name("versions")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    older = s3.put_object(Bucket=name, Key="k", Body=OLD)["VersionId"]
    s3.put_object(Bucket=name, Key="k", Body=NEW)
    yield {"Bucket": name, "Key": "k"}, older
    empty_and_delete(s3, name)


def reads(client, where, more):
    """The four ways to the bytes or the facts of an object; `more` names the version or nothing."""
    source, target = {**where, **more}, {"Bucket": where["Bucket"], "Key": "copy"}

    def part_copy():
        upload = target | {"UploadId": client.create_multipart_upload(**target)["UploadId"]}
        try:
            client.upload_part_copy(PartNumber=1, CopySource=source, **upload)
        finally:
            client.abort_multipart_upload(**upload)

    return {
        "get": lambda: client.get_object(**source), "head": lambda: client.head_object(**source),
        "copy": lambda: client.copy_object(CopySource=source, **target), "part copy": part_copy,
    }


@pytest.mark.parametrize("way", ["get", "head", "copy", "part copy"])
@pytest.mark.parametrize("right,by_id", [("s3:GetObject", False), ("s3:GetObjectVersion", True)])
def test_sec_n43_reading_a_version_has_a_right_of_its_own(s3, versions, person, way, right, by_id):  # noqa: F811
    where, older = versions
    other = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket", "s3:ListBucketVersions"]
    client = person(allow(right, *other))
    named, current = {"VersionId": older}, {}
    granted, denied = (named, current) if by_id else (current, named)
    reads(client, where, granted)[way]()
    with refused("403" if way == "head" else "AccessDenied", 403):
        reads(client, where, denied)[way]()
    # The current version by its id is a version by its id.
    newest = {"VersionId": s3.head_object(**where)["VersionId"]}
    if by_id:
        reads(client, where, newest)[way]()
    else:
        with refused("403" if way == "head" else "AccessDenied", 403):
            reads(client, where, newest)[way]()
    assert read(s3.get_object(**where)) == NEW
    assert read(s3.get_object(VersionId=older, **where)) == OLD


# ---- defaults -----------------------------------------------------------------------------------


def rule(s3, bucket, **rule):
    s3.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )


def test_sec_n69_customer_keys_on_a_bucket_that_blocks_them(s3, raw, bucket):
    key = CustomerKey()
    rule(s3, bucket, BlockedEncryptionTypes={"EncryptionType": ["NONE"]})
    s3.put_object(Bucket=bucket, Key="before", Body=b"x", **key.boto())
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", **key.boto())
    upload = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}
    rule(s3, bucket, BlockedEncryptionTypes={"EncryptionType": ["SSE-C"]})
    copy = {"CopySource": f"{bucket}/before", **key.boto(source=True)}
    for attempt in (
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", **key.boto()),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="k", **key.boto()),
        lambda: s3.copy_object(Bucket=bucket, Key="k", **copy, **key.boto()),
        lambda: s3.upload_part(PartNumber=1, Body=b"x", **upload, **key.boto()),
        lambda: s3.upload_part_copy(PartNumber=1, **copy, **upload, **key.boto()),
    ):
        with refused("AccessDenied", 403):
            attempt()
    for headers in (key.headers(), {f"{SSE}-customer-algorithm": "AES256"}):
        answer = raw.request("PUT", f"/{bucket}/k", b"x", headers)
        assert (answer.status, answer.code) == (403, "AccessDenied")
        answer = raw.put_chunked(f"/{bucket}/k", [b"x"], headers=headers)
        assert (answer.status, answer.code) == (403, "AccessDenied")
        answer = raw.presigned("PUT", f"/{bucket}/k", headers=headers, body=b"x")
        assert (answer.status, answer.code) == (403, "AccessDenied")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["before"]
    assert "Parts" not in s3.list_parts(**upload)
    assert read(s3.get_object(Bucket=bucket, Key="before", **key.boto())) == b"x"


def test_sec_n69_a_default_is_not_undone_by_less_than_another_mode(s3, raw, bucket, kms_key):
    """Under a default of KMS only AES256, said in full, makes an object of SSE-S3."""
    rule(s3, bucket, ApplyServerSideEncryptionByDefault={
        "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key["id"],
    })
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"under the default")
    assert put["SSEKMSKeyId"] == kms_key["arn"]
    target = f"/{bucket}/k"
    for headers in (
        {SSE: ""}, {SSE: "aes256"}, {SSE: "AES128"}, {SSE: "none"}, {SSE: "aws:fsx"},
        {KID: kms_key["id"]}, {CTX: encoded({"a": "b"})},
        {SSE: "AES256", KID: kms_key["id"]}, {SSE: "AES256", CTX: encoded({"a": "b"})},
    ):
        answer = raw.request("PUT", target, b"less", headers)
        assert (answer.status, answer.code) == (400, "InvalidArgument"), headers
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (read(got), got["SSEKMSKeyId"]) == (b"under the default", kms_key["arn"])
    # What means nothing changes nothing.
    for headers in ({BK: "false"}, {"x-amz-meta-" + SSE: "AES256"}, {SSE.upper() + "-X": "AES256"}):
        answer = raw.request("PUT", target, b"again", headers)
        if answer.status == 200:
            assert answer.headers[KID] == kms_key["arn"], headers
        head = s3.head_object(Bucket=bucket, Key="k")
        assert head["SSEKMSKeyId"] == kms_key["arn"]
    assert s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256"
    )["ServerSideEncryption"] == "AES256"


def test_sec_n69_default_with_a_key_that_is_gone_falls_back_to_nothing(s3, kms, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"there before")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    rule(s3, bucket, ApplyServerSideEncryptionByDefault={
        "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key,
    })
    kms.disable_key(KeyId=key)
    for name in ("k", "new"):
        with refused("KMS.DisabledException", 400):
            s3.put_object(Bucket=bucket, Key=name, Body=b"never in another mode")
        with refused("KMS.DisabledException", 400):
            s3.create_multipart_upload(Bucket=bucket, Key=name)
        with refused("KMS.DisabledException", 400):
            s3.copy_object(Bucket=bucket, Key=name, CopySource=f"{bucket}/k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (read(got), got["ServerSideEncryption"]) == (b"there before", "AES256")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
