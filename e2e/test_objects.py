# SPDX-License-Identifier: Apache-2.0
"""Single objects through boto3: bytes, properties, ranges, conditions, copies, deletions."""

import datetime
import hashlib

import pytest

from clients import MIB, SEGMENT, headers_of, noise, read, refused, s3 as s3_client

EDGES = [0, 1, 4096, 32 * 1024, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, MIB + 7]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_bytes_come_back(server, bucket, scheme, style):
    client = s3_client(server, scheme, style)
    for size in EDGES:
        data = noise(size)
        put = client.put_object(Bucket=bucket, Key=f"s/{size}", Body=data)
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        assert put["ETag"] == etag
        assert put["ServerSideEncryption"] == "AES256"
        got = client.get_object(Bucket=bucket, Key=f"s/{size}")
        assert read(got) == data
        assert (got["ContentLength"], got["ETag"]) == (size, etag)
        assert got["ServerSideEncryption"] == "AES256"
        head = client.head_object(Bucket=bucket, Key=f"s/{size}")
        assert (head["ContentLength"], head["ETag"]) == (size, etag)
        assert head["AcceptRanges"] == "bytes"
        age = datetime.datetime.now(datetime.timezone.utc) - head["LastModified"]
        assert abs(age.total_seconds()) < 60


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_large_object_in_one_put(server, bucket, scheme):
    client = s3_client(server, scheme)
    data = noise(64 * MIB if scheme == "https" else 20 * MIB)
    client.put_object(Bucket=bucket, Key="large", Body=data)
    got = read(client.get_object(Bucket=bucket, Key="large"))
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_overwrite_replaces_everything(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=noise(200_000), Metadata={"a": "1"},
                  ContentType="text/plain")
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (read(got), got["Metadata"], got["ContentType"]) == (b"new", {}, "binary/octet-stream")


def test_properties_come_back(s3, bucket):
    sent = {
        "ContentType": "text/html; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentLanguage": "de-CH",
        "CacheControl": "max-age=60, private",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    metadata = {"color": "blue", "empty": "", "with-dash": "a  b", "upper": "ABC"}
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=metadata, Expires=expires, **sent)
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in sent} == sent
        assert answer["Metadata"] == metadata
        assert headers_of(answer)["expires"] == "Wed, 02 Jan 2030 03:04:05 GMT"


def test_get_may_override_headers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="image/png", ResponseCacheControl="no-store",
        ResponseContentDisposition="inline", ResponseContentEncoding="br",
        ResponseContentLanguage="fr",
    )
    assert got["ContentType"] == "image/png"
    assert got["CacheControl"] == "no-store"
    assert got["ContentDisposition"] == "inline"
    assert got["ContentEncoding"] == "br"
    assert got["ContentLanguage"] == "fr"
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/plain"


def test_ranges(s3, bucket):
    size = 3 * SEGMENT + 100
    data = noise(size)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    edges = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, size - 1]
    for start in edges:
        for end in edges:
            if end < start:
                continue
            got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={start}-{end}")
            assert read(got) == data[start:end + 1]
            assert got["ContentRange"] == f"bytes {start}-{end}/{size}"
            assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    for text, expected in [
        ("bytes=-1", data[-1:]), (f"bytes=-{size + 5}", data), ("bytes=5-", data[5:]),
        (f"bytes={size - 1}-{size * 2}", data[-1:]), ("bytes=0-18446744073709551615", data),
        (f"bytes=-{SEGMENT}", data[-SEGMENT:]),
    ]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert (read(got), got["ResponseMetadata"]["HTTPStatusCode"]) == (expected, 206), text
    head = s3.head_object(Bucket=bucket, Key="k", Range="bytes=10-19")
    assert head["ContentLength"] == 10
    with refused("InvalidRange", 416, ActualObjectSize=str(size), RangeRequested=f"bytes={size}-"):
        s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={size}-")


def test_part_number_of_a_plain_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=1)
    assert (read(got), got["ResponseMetadata"]["HTTPStatusCode"]) == (b"0123456789", 206)
    assert got["ContentRange"] == "bytes 0-9/10"


def test_conditional_reads(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    future = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    for holds in (
        {"IfMatch": etag}, {"IfMatch": "*"}, {"IfMatch": f'"other", {etag}'},
        {"IfNoneMatch": '"other"'}, {"IfModifiedSince": past}, {"IfUnmodifiedSince": future},
        {"IfMatch": etag, "IfUnmodifiedSince": past},
    ):
        assert read(s3.get_object(Bucket=bucket, Key="k", **holds)) == b"x", holds
        s3.head_object(Bucket=bucket, Key="k", **holds)
    for fails in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": past}):
        with refused("PreconditionFailed", 412):
            s3.get_object(Bucket=bucket, Key="k", **fails)
        with refused("412", 412):
            s3.head_object(Bucket=bucket, Key="k", **fails)
    for unchanged in (
        {"IfNoneMatch": etag}, {"IfNoneMatch": "*"}, {"IfModifiedSince": future - datetime.timedelta(hours=23, minutes=59)},
        {"IfNoneMatch": etag, "IfModifiedSince": past},
    ):
        with refused("304", 304) as caught:
            s3.get_object(Bucket=bucket, Key="k", **unchanged)
        assert headers_of(caught.value.response)["etag"] == etag


def test_conditional_writes(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412, Condition="If-None-Match"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412, Condition="If-Match"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch='"other"')
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="absent", Body=b"2", IfMatch=etag)
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch=etag)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"1"
    s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"3"


def test_deletions(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        gone = s3.delete_object(Bucket=bucket, Key="k")
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchKey", 404, Key="k"):
        s3.get_object(Bucket=bucket, Key="k")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="k")


def test_delete_many(s3, bucket):
    names = [f"d/{n}" for n in range(40)] + ["ä b+%/..", "<&>\"'"]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=b"")
    s3.put_object(Bucket=bucket, Key="kept", Body=b"")
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": n} for n in [*names, "absent"]]}
    )
    assert sorted(d["Key"] for d in answer["Deleted"]) == sorted([*names, "absent"])
    assert "Errors" not in answer
    left = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [item["Key"] for item in left] == ["kept"]
    quiet = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "kept"}], "Quiet": True}
    )
    assert "Deleted" not in quiet


def test_copies(s3, bucket):
    data = noise(150_000)
    source = {"Bucket": bucket, "Key": "src/ä +%.bin"}
    put = s3.put_object(Body=data, Metadata={"a": "1"}, ContentType="text/plain", **source)
    copy = s3.copy_object(Bucket=bucket, Key="dst", CopySource=source)
    assert copy["CopyObjectResult"]["ETag"] == put["ETag"]
    assert copy["ServerSideEncryption"] == "AES256"
    got = s3.get_object(Bucket=bucket, Key="dst")
    assert (read(got), got["Metadata"], got["ContentType"]) == (data, {"a": "1"}, "text/plain")
    s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, MetadataDirective="REPLACE",
                   Metadata={"b": "2"}, ContentType="image/png")
    got = s3.get_object(Bucket=bucket, Key="dst")
    assert (read(got), got["Metadata"], got["ContentType"]) == (data, {"b": "2"}, "image/png")
    s3.delete_object(**source)
    assert read(s3.get_object(Bucket=bucket, Key="dst")) == data


def test_copy_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"x")["ETag"]
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    source = {"Bucket": bucket, "Key": "a"}
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source, CopySourceIfMatch=etag)
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source, CopySourceIfModifiedSince=past)
    # A time that has not come is no condition on a source, as AWS answers.
    future = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source, CopySourceIfModifiedSince=future)
    for fails in (
        {"CopySourceIfMatch": '"other"'}, {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfUnmodifiedSince": past},
    ):
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=bucket, Key="c", CopySource=source, **fails)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="c")
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "absent"})


def test_copy_onto_itself(s3, bucket):
    source = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Body=b"x", **source)
    with refused(
        "InvalidRequest", 400,
        "This copy request is illegal because it is trying to copy an object to itself without "
        "changing the object's metadata, storage class, website redirect location or encryption "
        "attributes.",
    ):
        s3.copy_object(CopySource=source, **source)
    s3.copy_object(CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "1"}, **source)
    s3.copy_object(CopySource=source, ServerSideEncryption="AES256", **source)
    got = s3.get_object(**source)
    assert (read(got), got["Metadata"]) == (b"x", {"n": "1"})


def test_null_version(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert read(s3.get_object(Bucket=bucket, Key="k", VersionId="null")) == b"x"
    with pytest.raises(Exception) as caught:
        s3.get_object(Bucket=bucket, Key="k", VersionId="abc")
    assert caught.value.response["Error"]["Code"] in ("NoSuchVersion", "InvalidArgument")


def test_expected_bucket_owner(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner="000000000000")
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner="111122223333")


def test_many_readers_of_one_object_while_it_is_overwritten(server, s3, bucket):
    """Every answer is one version whole, never a mixture."""
    from concurrent.futures import ThreadPoolExecutor

    versions = [noise(300_000, seed) for seed in range(4)]
    s3.put_object(Bucket=bucket, Key="k", Body=versions[0])
    client = s3_client(server, max_pool_connections=8)

    def get(_):
        return read(client.get_object(Bucket=bucket, Key="k"))

    def put(n):
        client.put_object(Bucket=bucket, Key="k", Body=versions[n % 4])

    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(put, n) for n in range(16)]
        reads = [pool.submit(get, n) for n in range(64)]
        for write in writes:
            write.result()
        assert all(r.result() in versions for r in reads)


def test_if_none_match_race_has_one_winner(server, bucket):
    from concurrent.futures import ThreadPoolExecutor

    from botocore.exceptions import ClientError

    client = s3_client(server, "http", max_pool_connections=50)

    def put(n):
        try:
            client.put_object(Bucket=bucket, Key="once", Body=str(n), IfNoneMatch="*")
            return 200
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(put, range(50)))
    assert answers.count(200) == 1
    assert set(answers) <= {200, 409, 412}


def test_if_range_means_the_same_to_head_and_get(raw, s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")["ETag"]
    for validator, range_, expected in [
        (etag, "bytes=1-2", (206, "2")), ('"other"', "bytes=1-2", (200, "10")),
        (etag, "bytes=10-", (416, None)), ('"other"', "bytes=10-", (200, "10")),
    ]:
        for method in ("GET", "HEAD"):
            answer = raw.request(method, f"/{bucket}/k", headers={"range": range_, "if-range": validator})
            told = answer.headers.get("content-length") if answer.status < 400 else None
            assert (answer.status, told) == expected, (method, validator, range_)
