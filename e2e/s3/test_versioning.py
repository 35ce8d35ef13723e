# SPDX-License-Identifier: Apache-2.0
"""Versions with boto3: each with its own mode and key, delete markers, null versions, pages."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import leaks
from clients import (
    CustomerKey, bucket_name, empty_and_delete, headers_of, make_bucket, noise, read, refused,
)
from clients import s3 as s3_client
from drive_watch import DriveWatch

NO_ID = "A" * 32


def set_versioning(s3, bucket, status):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


@pytest.fixture
def plain(s3):
    name = make_bucket(s3, "plain", sse_c=True)
    yield name
    empty_and_delete(s3, name)


@pytest.fixture
def versioned(s3, plain):
    set_versioning(s3, plain, "Enabled")
    return plain


def entries(s3, bucket, **more):
    """(kind, key, id, is latest) of every entry, in pages, each kind in its order."""
    out = {"Versions": [], "DeleteMarkers": []}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **more):
        for kind, found in out.items():
            found += [(e["Key"], e["VersionId"], e["IsLatest"]) for e in page.get(kind, [])]
    return out


def test_status_of_a_bucket(s3, raw, plain):
    assert "Status" not in s3.get_bucket_versioning(Bucket=plain)
    for status in ["Suspended", "Enabled", "Enabled", "Suspended"]:
        set_versioning(s3, plain, status)
        assert s3.get_bucket_versioning(Bucket=plain)["Status"] == status
    nothing = "IllegalVersioningConfigurationException"
    for document, code in [
        ("", "MissingRequestBodyError"),
        ("<VersioningConfiguration/>", nothing),
        ("<VersioningConfiguration><Status/></VersioningConfiguration>", nothing),
        ("<Other><Status>Enabled</Status></Other>", "MalformedXML"),
        ("<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>", "MalformedXML"),
        ("<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>", "MalformedXML"),
        ("<VersioningConfiguration><Status> Enabled</Status></VersioningConfiguration>", "MalformedXML"),
    ]:
        answer = raw.request("PUT", f"/{plain}?versioning", body=document.encode())
        assert (answer.status, answer.code) == (400, code), document
    with refused("NotImplemented", 501):
        s3.put_bucket_versioning(
            Bucket=plain, VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"}
        )
    with refused("NoSuchBucket", 404):
        s3.get_bucket_versioning(Bucket=bucket_name("missing"))
    assert s3.get_bucket_versioning(Bucket=plain)["Status"] == "Suspended"


def test_never_versioned_bucket_shows_no_ids(s3, plain):
    where = {"Bucket": plain, "Key": "k"}
    for answer in [
        s3.put_object(Body=b"x", **where), s3.head_object(**where), s3.get_object(**where),
        s3.copy_object(Bucket=plain, Key="copy", CopySource=where), s3.delete_object(**where),
    ]:
        shown = headers_of(answer)
        assert not {"x-amz-version-id", "x-amz-copy-source-version-id",
                    "x-amz-delete-marker"} & set(shown)
    assert entries(s3, plain)["Versions"] == [("copy", "null", True)]


def test_each_version_has_its_own_mode_and_key(s3, server, kms_key, versioned):
    watch = DriveWatch(server)
    where = {"Bucket": versioned, "Key": "k"}
    keys = [CustomerKey(), CustomerKey()]
    modes = [
        ({}, {}), ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key["id"]}, {}),
        (keys[0].boto(), keys[0].boto()), (keys[1].boto(), keys[1].boto()),
        ({"ServerSideEncryption": "AES256"}, {}),
    ]
    bodies = [f"VERSIONS-PLAINTEXT-{n}\n".encode() * 60 + noise(size, n)
              for n, size in enumerate([0, 10, 70_000, 200_000, 3])]
    ids = []
    for (write, _), body in zip(modes, bodies):
        ids.append(s3.put_object(Body=body, **where, **write)["VersionId"])
    assert len(set(ids)) == len(ids) and all(len(i) == 32 for i in ids)
    marks = {f"body {n}": b"VERSIONS-PLAINTEXT-%d\n" % n for n in range(len(bodies))}
    marks |= {f"key {n}": key.raw for n, key in enumerate(keys)}
    assert leaks.find(marks, watch.added()) == []
    for n, ((_, key), body, id_) in enumerate(zip(modes, bodies, ids)):
        got = s3.get_object(VersionId=id_, **where, **key)
        assert read(got) == body and got["VersionId"] == id_
        assert s3.head_object(VersionId=id_, **where, **key)["VersionId"] == id_
        if key:
            other = keys[1] if n == 2 else keys[0]
            with refused("AccessDenied", 403):
                s3.get_object(VersionId=id_, **where, **other.boto())
            with refused("InvalidRequest", 400):
                s3.get_object(VersionId=id_, **where)
    assert read(s3.get_object(**where)) == bodies[-1]
    copied = s3.copy_object(
        Bucket=versioned, Key="copy", CopySource={"VersionId": ids[1], **where}
    )
    assert copied["CopySourceVersionId"] == ids[1]
    assert read(s3.get_object(Bucket=versioned, Key="copy", VersionId=copied["VersionId"])) \
        == bodies[1]
    # A version that is deleted is gone, and no other is.
    answer = s3.delete_object(VersionId=ids[2], **where)
    assert answer["VersionId"] == ids[2] and "DeleteMarker" not in answer
    with refused("NoSuchVersion", 404):
        s3.get_object(VersionId=ids[2], **where, **keys[0].boto())
    assert read(s3.get_object(VersionId=ids[3], **where, **keys[1].boto())) == bodies[3]
    listed = [id_ for key, id_, _ in entries(s3, versioned, Prefix="k")["Versions"]]
    assert listed == [ids[4], ids[3], ids[1], ids[0]]


def test_multipart_objects_are_versions(s3, versioned):
    where = {"Bucket": versioned, "Key": "k"}
    ids = []
    for n in range(2):
        upload = {"UploadId": s3.create_multipart_upload(**where)["UploadId"], **where}
        part = s3.upload_part(PartNumber=1, Body=noise(90_000, n), **upload)
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
        ids.append(done["VersionId"])
    for n, id_ in enumerate(ids):
        assert read(s3.get_object(VersionId=id_, **where)) == noise(90_000, n)
    upload = {"UploadId": s3.create_multipart_upload(**where)["UploadId"], **where}
    copied = s3.upload_part_copy(
        PartNumber=1, CopySource={"VersionId": ids[0], **where}, **upload
    )
    assert copied["CopySourceVersionId"] == ids[0]
    s3.abort_multipart_upload(**upload)


def test_delete_markers(s3, raw, versioned):
    where = {"Bucket": versioned, "Key": "k"}
    id_ = s3.put_object(Body=b"x", **where)["VersionId"]
    deleted = s3.delete_object(**where)
    assert deleted["DeleteMarker"] is True
    marker = deleted["VersionId"]
    target = f"/{versioned}/k"
    for method in ["GET", "HEAD"]:
        answer = raw.request(method, target)
        assert answer.status == 404
        assert answer.headers["x-amz-delete-marker"] == "true"
        assert answer.headers["x-amz-version-id"] == marker
        answer = raw.request(method, f"{target}?versionId={marker}")
        assert answer.status == 405
        assert answer.headers["x-amz-delete-marker"] == "true"
        assert answer.headers["allow"] == "DELETE" and "last-modified" in answer.headers
    assert raw.request("GET", target).code == "NoSuchKey"
    assert raw.request("GET", f"{target}?versionId={marker}").code == "MethodNotAllowed"
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=versioned, Key="c", CopySource=where)
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=versioned, Key="c", CopySource={"VersionId": marker, **where})
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    assert entries(s3, versioned) == {
        "Versions": [("k", id_, False)], "DeleteMarkers": [("k", marker, True)],
    }
    # The marker goes, and the object is there again.
    gone = s3.delete_object(VersionId=marker, **where)
    assert (gone["VersionId"], gone["DeleteMarker"]) == (marker, True)
    assert read(s3.get_object(**where)) == b"x"
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=versioned)


def test_suspended_buckets_have_one_null_version(s3, plain):
    where = {"Bucket": plain, "Key": "k"}
    s3.put_object(Body=b"before", **where)
    set_versioning(s3, plain, "Enabled")
    first = s3.put_object(Body=b"first", **where)["VersionId"]
    assert read(s3.get_object(VersionId="null", **where)) == b"before"
    set_versioning(s3, plain, "Suspended")
    for body in [b"second", b"third"]:
        assert s3.put_object(Body=body, **where)["VersionId"] == "null"
        assert read(s3.get_object(VersionId="null", **where)) == body
    assert entries(s3, plain)["Versions"] == [("k", "null", True), ("k", first, False)]
    deleted = s3.delete_object(**where)
    assert (deleted["VersionId"], deleted["DeleteMarker"]) == ("null", True)
    with refused("MethodNotAllowed", 405):
        s3.get_object(VersionId="null", **where)
    assert read(s3.get_object(VersionId=first, **where)) == b"first"
    set_versioning(s3, plain, "Enabled")
    s3.put_object(Body=b"fourth", **where)
    assert s3.delete_object(VersionId="null", **where)["DeleteMarker"] is True
    with refused("NoSuchVersion", 404):
        s3.get_object(VersionId="null", **where)
    assert read(s3.get_object(**where)) == b"fourth"


def test_ids_that_are_none(s3, raw, versioned):
    where = {"Bucket": versioned, "Key": "k"}
    id_ = s3.put_object(Body=b"x", **where)["VersionId"]
    for bad in ["x", "NULL", "0", id_ + "A", id_[:31], "..%2f..%2fetc"]:
        for method in ["GET", "HEAD", "DELETE"]:
            answer = raw.request(method, f"/{versioned}/k?versionId={bad}")
            assert answer.status == 400, (method, bad)
            if method != "HEAD":
                assert answer.code == "InvalidArgument"
                assert answer.element("Message") == "Invalid version id specified"
    for unknown in [NO_ID, "null"]:
        with refused("NoSuchVersion", 404):
            s3.get_object(VersionId=unknown, **where)
        s3.delete_object(VersionId=unknown, **where)
    with refused("InvalidArgument", 400):
        s3.copy_object(Bucket=versioned, Key="c", CopySource={"VersionId": "x", **where})
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=versioned, Key="other", VersionId=id_)
    answer = raw.request("PUT", f"/{versioned}/k?versionId={id_}", body=b"y")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert read(s3.get_object(VersionId=id_, **where)) == b"x"


def test_listing_pages(s3, versioned):
    for key in ["a", "b/1", "b/2", "c"]:
        for n in range(3):
            s3.put_object(Bucket=versioned, Key=key, Body=b"%d" % n)
    s3.delete_object(Bucket=versioned, Key="c")
    whole = entries(s3, versioned)
    assert len(whole["Versions"]) == 12 and len(whole["DeleteMarkers"]) == 1
    assert [latest for _, _, latest in whole["Versions"]] == \
        [True, False, False] * 3 + [False] * 3
    for size in [1, 2, 3, 5]:
        assert entries(s3, versioned, PaginationConfig={"PageSize": size}) == whole
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/", MaxKeys=4)
    assert page["IsTruncated"] and page["NextKeyMarker"] == "b/"
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["b/"]
    rest = s3.list_object_versions(Bucket=versioned, Delimiter="/", KeyMarker="b/")
    assert "CommonPrefixes" not in rest and len(rest["Versions"]) == 3
    only = s3.list_object_versions(Bucket=versioned, Prefix="b/1", EncodingType="url")
    assert [v["Key"] for v in only["Versions"]] == ["b/1"] * 3
    empty = s3.list_object_versions(Bucket=versioned, MaxKeys=0)
    assert not empty["IsTruncated"] and "Versions" not in empty
    with refused("InvalidArgument", 400):
        s3.list_object_versions(Bucket=versioned, VersionIdMarker="null")
    with refused("InvalidArgument", 400):
        s3.list_object_versions(Bucket=versioned, KeyMarker="a", VersionIdMarker="x")


def test_sec_n45_batches_name_versions(s3, versioned):
    where = {"Bucket": versioned, "Key": "k"}
    id_ = s3.put_object(Body=b"x", **where)["VersionId"]
    keep = s3.put_object(Body=b"y", **where)["VersionId"]
    asked = [{"Key": "k", "VersionId": id_}, {"Key": "k", "VersionId": NO_ID},
             {"Key": "k", "VersionId": "x"}, {"Key": "k"}]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": asked})
    assert {"Key": "k", "VersionId": id_} in answer["Deleted"]
    assert {"Key": "k", "VersionId": NO_ID} in answer["Deleted"]
    [marker] = [d for d in answer["Deleted"] if d.get("DeleteMarker")]
    assert [(e["Code"], e["VersionId"]) for e in answer["Errors"]] == [("InvalidArgument", "x")]
    asked = [{"Key": "k", "VersionId": marker["DeleteMarkerVersionId"]}]
    [gone] = s3.delete_objects(Bucket=versioned, Delete={"Objects": asked})["Deleted"]
    assert gone["DeleteMarker"] and gone["DeleteMarkerVersionId"] == gone["VersionId"]
    assert s3.get_object(**where)["VersionId"] == keep


def test_sec_n74_conditional_deletes(s3, versioned):
    where = {"Bucket": versioned, "Key": "k"}
    with refused("PreconditionFailed", 412):
        s3.delete_object(IfMatch="*", **where)
    etag = s3.put_object(Body=b"x", **where)["ETag"]
    for bad in ['"another"', "0" * 32]:
        with refused("PreconditionFailed", 412):
            s3.delete_object(IfMatch=bad, **where)
    assert s3.delete_object(IfMatch=etag, **where)["DeleteMarker"] is True
    with refused("PreconditionFailed", 412):
        s3.delete_object(IfMatch=etag, **where)
    # Nothing is there: a write that wants nothing there may come.
    s3.put_object(Body=b"y", IfNoneMatch="*", **where)
    with refused("PreconditionFailed", 412):
        s3.put_object(Body=b"z", IfNoneMatch="*", **where)


def test_deletes_of_versions_are_audited(s3, server, versioned):
    where = {"Bucket": versioned, "Key": "k"}
    s3.put_object(Body=b"x", **where)
    s3.delete_object(**where)
    report = server.audit()
    versions = [e for e in report if e["eventName"] == "DeleteObject"
                and e["requestParameters"].get("bucketName") == versioned]
    assert len(versions) == 1, json.dumps(versions)[:2000]


def test_s9_an_empty_marker_of_a_version_is_refused(raw, bucket):
    for query in ("versions&version-id-marker=", "versions&key-marker=a&version-id-marker="):
        answer = raw.request("GET", f"/{bucket}?{query}")
        assert (answer.status, answer.code) == (400, "InvalidArgument"), query
        assert answer.element("ArgumentName") == "version-id-marker"


@pytest.mark.parametrize("order", [["", "null"], ["null", "", "null"], ["", "", "null"]])
def test_s9_deletes_of_one_name_in_one_document_come_one_after_the_other(s3, order):
    """The marker that the first one made was told to be deleted, and stayed."""
    name = make_bucket(s3, "batch")
    set_versioning(s3, name, "Suspended")
    others = [{"Key": f"other-{n}"} for n in range(40)]
    for other in others:
        s3.put_object(Bucket=name, Body=b"x", **other)
    entries = [{"Key": "k"} | ({"VersionId": id} if id else {}) for id in order]
    asked = [entry for pair in zip(others, entries) for entry in pair] + others[len(entries):]
    done = s3.delete_objects(Bucket=name, Delete={"Objects": asked})
    assert "Errors" not in done
    assert [told["Key"] for told in done["Deleted"]] == [entry["Key"] for entry in asked]
    listed = s3.list_object_versions(Bucket=name)
    assert [m["Key"] for m in listed["DeleteMarkers"] if m["Key"] == "k"] == []
    assert len(listed["DeleteMarkers"]) == len(others)
    empty_and_delete(s3, name)


@pytest.mark.parametrize("status", [None, "Enabled", "Suspended"])
def test_many_writers_of_one_name_take_turns(server, plain, status):
    """From 24 clients on some were answered 500: each lost 64 times to the others."""
    if status:
        set_versioning(s3_client(server), plain, status)
    client = s3_client(server, max_pool_connections=64)

    def write(number):
        match number % 4:
            case 0 | 1:
                client.put_object(Bucket=plain, Key="k", Body=b"%d" % number)
            case 2:
                client.copy_object(Bucket=plain, Key="k", CopySource=f"{plain}/source")
            case _:
                client.delete_object(Bucket=plain, Key="k")

    client.put_object(Bucket=plain, Key="source", Body=b"copied")
    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(write, range(800))) == [None] * 800
    if status == "Enabled":
        found = entries(client, plain)
        of_name = {kind: [entry for entry in found[kind] if entry[0] == "k"] for kind in found}
        assert {kind: len(of) for kind, of in of_name.items()} == {
            "Versions": 600, "DeleteMarkers": 200}


def test_many_writers_of_one_part_and_one_rule_take_turns(server, plain):
    client = s3_client(server, max_pool_connections=64)
    upload = client.create_multipart_upload(Bucket=plain, Key="k")["UploadId"]

    def write(number):
        if number % 2:
            named = {"Bucket": plain, "Key": "k", "UploadId": upload, "PartNumber": 1}
            client.upload_part(**named, Body=b"%d" % number)
        else:
            default = {"SSEAlgorithm": "AES256"}
            rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
            client.put_bucket_encryption(
                Bucket=plain, ServerSideEncryptionConfiguration=rules)

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(write, range(800))) == [None] * 800
    assert len(client.list_parts(Bucket=plain, Key="k", UploadId=upload)["Parts"]) == 1
