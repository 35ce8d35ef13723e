# SPDX-License-Identifier: Apache-2.0
"""Bucket operations through boto3."""

import pytest

from clients import bucket_name, empty_and_delete, refused, s3 as s3_client


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_life_of_a_bucket(server, scheme, style):
    client = s3_client(server, scheme, style)
    name = bucket_name()
    made = client.create_bucket(Bucket=name)
    assert made["Location"].endswith(name)
    try:
        assert client.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
        assert client.get_bucket_location(Bucket=name)["LocationConstraint"] is None
        listed = {b["Name"]: b for b in client.list_buckets()["Buckets"]}
        assert listed[name]["CreationDate"].year >= 2026
    finally:
        client.delete_bucket(Bucket=name)
    with refused("404", 404):
        client.head_bucket(Bucket=name)


def test_list_buckets_in_pages(s3):
    names = sorted(bucket_name("page") for _ in range(5))
    for name in names:
        s3.create_bucket(Bucket=name)
    try:
        pages = list(
            s3.get_paginator("list_buckets").paginate(
                Prefix="page-", PaginationConfig={"PageSize": 2}
            )
        )
        assert [b["Name"] for page in pages for b in page.get("Buckets", [])] == names
        assert len(pages) >= 3
    finally:
        for name in names:
            s3.delete_bucket(Bucket=name)


def test_region_of_a_new_bucket(s3):
    name = bucket_name()
    with refused("IllegalLocationConstraintException", 400):
        s3.create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "mars-north-1"}
        )
    with refused("404", 404):
        s3.head_bucket(Bucket=name)


def test_same_bucket_again(s3, bucket):
    """us-east-1 answers 200 to the owner, and nothing in the bucket changes."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.create_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_bucket_with_objects_stays(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_missing_bucket_everywhere(s3):
    name = bucket_name("none")
    calls = [
        lambda: s3.list_objects(Bucket=name),
        lambda: s3.list_objects_v2(Bucket=name),
        lambda: s3.get_bucket_location(Bucket=name),
        lambda: s3.put_object(Bucket=name, Key="k", Body=b""),
        lambda: s3.get_object(Bucket=name, Key="k"),
        lambda: s3.delete_object(Bucket=name, Key="k"),
        lambda: s3.create_multipart_upload(Bucket=name, Key="k"),
        lambda: s3.list_multipart_uploads(Bucket=name),
        lambda: s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k"}]}),
        lambda: s3.delete_bucket(Bucket=name),
    ]
    for call in calls:
        with refused("NoSuchBucket", 404):
            call()


def test_delete_and_make_again_is_a_new_bucket(s3):
    """Objects of a removed bucket do not come back with its name."""
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"old")
    empty_and_delete(s3, name)
    s3.create_bucket(Bucket=name)
    try:
        assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0
        with refused("NoSuchKey", 404):
            s3.get_object(Bucket=name, Key="k")
    finally:
        s3.delete_bucket(Bucket=name)


def test_sub_resources_not_there_yet_never_fall_through(s3, bucket):
    """ceph#36264: a sub-resource that is not known deleted the bucket."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for call in (
        lambda: s3.delete_bucket_policy(Bucket=bucket),
        lambda: s3.delete_bucket_cors(Bucket=bucket),
        lambda: s3.get_bucket_acl(Bucket=bucket),
        lambda: s3.delete_object_tagging(Bucket=bucket, Key="k"),
    ):
        with refused("NotImplemented", 501):
            call()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
