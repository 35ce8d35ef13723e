# SPDX-License-Identifier: Apache-2.0
"""Deletes that say what they mean to delete, one by one and many at once."""

import base64
import datetime
import hashlib

import pytest

from clients import read, refused

SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def made(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"seven b")["ETag"]
    head = s3.head_object(Bucket=bucket, Key="k")
    return {"ETag": etag, "LastModifiedTime": head["LastModified"], "Size": 7}


def entry(s3, bucket, **conditions):
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", **conditions}]})
    return (answer.get("Errors") or [{}])[0].get("Code"), answer.get("Deleted")


GOOD = {
    "ETag": lambda made: {"ETag": made["ETag"]}, "ETag bare": lambda made: {"ETag": made["ETag"].strip('"')},
    "any ETag": lambda made: {"ETag": "*"}, "Size": lambda made: {"Size": 7},
    "time": lambda made: {"LastModifiedTime": made["LastModifiedTime"]}, "all": lambda made: dict(made),
}
BAD = {
    "ETag": lambda made: {"ETag": '"x"'}, "Size less": lambda made: {"Size": 6},
    "Size more": lambda made: {"Size": 8}, "Size zero": lambda made: {"Size": 0},
    "time before": lambda made: {"LastModifiedTime": made["LastModifiedTime"] - SECOND},
    "time after": lambda made: {"LastModifiedTime": made["LastModifiedTime"] + SECOND},
    "all but ETag": lambda made: made | {"ETag": '"x"'}, "all but Size": lambda made: made | {"Size": 8},
    "all but time": lambda made: made | {"LastModifiedTime": made["LastModifiedTime"] + SECOND},
}


@pytest.mark.parametrize("row", GOOD.values(), ids=GOOD)
def test_n74_an_entry_whose_conditions_hold_is_deleted(s3, bucket, made, row):
    assert entry(s3, bucket, **row(made)) == (None, [{"Key": "k"}])
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("row", BAD.values(), ids=BAD)
def test_sec_n74_an_entry_whose_conditions_fail_stays(s3, bucket, made, row):
    assert entry(s3, bucket, **row(made)) == ("PreconditionFailed", None)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"seven b"


@pytest.mark.parametrize("conditions", [
    {"IfMatch": '"x"'}, {"IfMatchSize": 8}, {"IfMatchSize": 0},
    {"IfMatchLastModifiedTime": datetime.datetime(2020, 1, 1)},
], ids=str)
def test_sec_n74_one_delete_keeps_its_conditions(s3, bucket, made, conditions):
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="k", **conditions)
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=made["ETag"], IfMatchSize=7,
                     IfMatchLastModifiedTime=made["LastModifiedTime"])
    # What is not there has no size and no time to differ; but an ETag asks for something.
    s3.delete_object(Bucket=bucket, Key="k", IfMatchSize=7)
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch="*")


def test_n74_versions_and_markers(s3, bucket, made):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    code, _ = entry(s3, bucket, Size=8)
    assert code == "PreconditionFailed"
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=bucket)
    code, deleted = entry(s3, bucket, ETag=made["ETag"])
    assert code is None and deleted[0]["DeleteMarker"] is True
    # A marker is nothing that an ETag could be of.
    assert entry(s3, bucket, ETag="*")[0] == "PreconditionFailed"
    # A version that is named is what is compared.
    assert entry(s3, bucket, VersionId="null", Size=8)[0] == "PreconditionFailed"
    assert entry(s3, bucket, VersionId="null", Size=7)[0] is None


@pytest.mark.parametrize("name", ["x-amz-mfa", "x-amz-bypass-governance-retention"])
def test_sec_a_header_that_would_mean_something_is_not_ignored(raw, s3, bucket, made, name):
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode(), name: "true"}
    assert raw.request("POST", f"/{bucket}?delete", body, headers).status == 501
    assert raw.request("DELETE", f"/{bucket}/k", b"", {name: "true"}).status == 501
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"seven b"
