# SPDX-License-Identifier: Apache-2.0
"""Storage classes and archives with boto3 and by hand: what is shown, what is refused, restores."""

import time

import pytest

import clients
import leaks
from clients import (
    CustomerKey, bucket_name, empty_and_delete, headers_of, make_bucket, noise, read, refused,
)
from drive_watch import DriveWatch
from forms import Forms
from strongroom import until

CLASSES = ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER", "DEEP_ARCHIVE"]
COLD = ["GLACIER", "DEEP_ARCHIVE"]
SOURCE = "Operation is not valid for the source object's storage class"
PLAIN = "The operation is not valid for the object's storage class"


def restore(s3, bucket, key, days=1, tier=None, **more):
    request = {"Days": days}
    if tier:
        request["GlacierJobParameters"] = {"Tier": tier}
    answer = s3.restore_object(Bucket=bucket, Key=key, RestoreRequest=request, **more)
    return answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_shown_wherever_s3_shows_it(s3, raw, server, bucket, name):
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Body=b"x", StorageClass=name, **where)
    shown = None if name == "STANDARD" else name
    assert s3.head_object(**where).get("StorageClass") == shown
    attributes = s3.get_object_attributes(ObjectAttributes=["StorageClass"], **where)
    assert attributes["StorageClass"] == name
    listings = [s3.list_objects(Bucket=bucket)["Contents"], s3.list_objects_v2(Bucket=bucket)["Contents"]]
    listings.append(s3.list_object_versions(Bucket=bucket)["Versions"])
    assert [[one["StorageClass"] for one in listing] for listing in listings] == [[name]] * 3
    if name in COLD:
        with refused("InvalidObjectState", 403, PLAIN, StorageClass=name):
            s3.get_object(**where)
    else:
        assert s3.get_object(**where).get("StorageClass") == shown
    upload = s3.create_multipart_upload(StorageClass=name, **where)["UploadId"]
    assert s3.list_parts(UploadId=upload, **where)["StorageClass"] == name
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["StorageClass"] == name
    part = s3.upload_part(UploadId=upload, PartNumber=1, Body=b"part", **where)["ETag"]
    s3.complete_multipart_upload(
        UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}, **where
    )
    assert s3.head_object(**where).get("StorageClass") == shown
    form = Forms(server).upload(bucket, {"key": "form", "x-amz-storage-class": name}, b"x")
    assert form.status == 204
    assert s3.head_object(Bucket=bucket, Key="form").get("StorageClass") == shown
    sent = raw.presigned("PUT", f"/{bucket}/url", headers={"x-amz-storage-class": name}, body=b"x")
    assert sent.status == 200
    assert s3.head_object(Bucket=bucket, Key="url").get("StorageClass") == shown


@pytest.mark.parametrize("name", [
    "", "glacier", "REDUCED_REDUNDANCY", "INTELLIGENT_TIERING", "GLACIER_IR", "OUTPOSTS", "SNOW",
    "EXPRESS_ONEZONE", "STANDARD,GLACIER",
])
def test_a_class_that_is_not_there_is_refused(s3, raw, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    headers = {"x-amz-storage-class": name}
    for method, target, more in [
        ("PUT", f"/{bucket}/k", {}), ("POST", f"/{bucket}/k?uploads", {}),
        ("PUT", f"/{bucket}/k", {"x-amz-copy-source": f"/{bucket}/k"}),
    ]:
        answer = raw.request(method, target, headers=headers | more)
        assert (answer.status, answer.code) == (400, "InvalidStorageClass"), target
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"before"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_two_classes_in_one_request(raw, s3, bucket):
    """The class that policies see is the class that is stored."""
    with_two = [("x-amz-storage-class", "STANDARD_IA"), ("x-amz-storage-class", "GLACIER")]
    answer = raw.request("PUT", f"/{bucket}/k", b"x", headers=dict(with_two[:1]))
    assert answer.status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"


@pytest.mark.sse_c
@pytest.mark.parametrize("name", COLD)
def test_archives_are_opened_by_a_restore_and_their_key(s3, bucket, server, name):
    """Sealed as anything: the raw drive shows nothing of them, restored or not."""
    watch = DriveWatch(server)
    mark = b"ARCHIVE-PLAINTEXT-MARKER-" * 8_000
    key = CustomerKey()
    modes = {
        "s3": ({}, {}), "kms": ({"ServerSideEncryption": "aws:kms"}, {}),
        "dsse": ({"ServerSideEncryption": "aws:kms:dsse"}, {}), "c": (key.boto(), key.boto()),
    }
    for mode, (write, reading) in modes.items():
        where = {"Bucket": bucket, "Key": mode}
        put = s3.put_object(Body=mark, StorageClass=name, Metadata={"m": "v"}, **where, **write)
        with refused("InvalidObjectState", 403, PLAIN, StorageClass=name):
            s3.get_object(**where, **reading)
        with refused("InvalidObjectState", 403, PLAIN, StorageClass=name):
            s3.get_object(Range="bytes=0-0", **where, **reading)
        head = s3.head_object(**where, **reading)
        assert (head["ETag"], head["Metadata"]) == (put["ETag"], {"m": "v"})
        assert "Restore" not in head
        assert restore(s3, bucket, mode) == 202
        got = s3.get_object(**where, **reading)
        assert (read(got), got["ETag"], got["StorageClass"]) == (mark, put["ETag"], name)
        assert got["Restore"].startswith('ongoing-request="false", expiry-date="')
        assert restore(s3, bucket, mode, days=9) == 200
        for header, value in headers_of(put).items():
            if header.startswith("x-amz-server-side-encryption"):
                assert headers_of(got)[header] == value
    with refused("InvalidRequest", 400):
        s3.get_object(Bucket=bucket, Key="c")
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=bucket, Key="c", **CustomerKey().boto())
    added = watch.added()
    assert added
    assert leaks.find({"mark": mark[:48], "key": key.raw}, added) == []


@pytest.mark.parametrize("name", COLD)
def test_archives_are_no_source_of_copies(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="cold", Body=noise(100_000), StorageClass=name)
    source = {"Bucket": bucket, "Key": "cold"}
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    for _ in range(2):
        with refused("InvalidObjectState", 403, SOURCE, StorageClass=name):
            s3.copy_object(CopySource=source, **where)
        with refused("InvalidObjectState", 403, SOURCE, StorageClass=name):
            s3.upload_part_copy(CopySource=source, UploadId=upload, PartNumber=1, **where)
    restore(s3, bucket, "cold")
    s3.upload_part_copy(CopySource=source, UploadId=upload, PartNumber=1, **where)
    s3.copy_object(CopySource=source, **where)
    assert "StorageClass" not in s3.head_object(**where), "a copy does not take the class over"
    # A copy onto itself makes a restored object a warm one for good.
    s3.copy_object(CopySource=source, **source, StorageClass="STANDARD")
    head = s3.head_object(**source)
    assert "StorageClass" not in head and "Restore" not in head
    assert read(s3.get_object(**source)) == noise(100_000)


def test_versions_have_classes_of_their_own(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    where = {"Bucket": bucket, "Key": "k"}
    ids = {name: s3.put_object(Body=name.encode(), StorageClass=name, **where)["VersionId"] for name in CLASSES}
    listed = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [one["StorageClass"] for one in listed] == CLASSES[::-1]
    assert restore(s3, bucket, "k", VersionId=ids["GLACIER"]) == 202
    assert read(s3.get_object(VersionId=ids["GLACIER"], **where)) == b"GLACIER"
    with refused("InvalidObjectState", 403):
        s3.get_object(VersionId=ids["DEEP_ARCHIVE"], **where)
    with refused("InvalidObjectState", 403):
        s3.get_object(**where)
    with refused("InvalidObjectState", 403, "Restore is not allowed for the object's current storage class"):
        restore(s3, bucket, "k", VersionId=ids["STANDARD"])
    with refused("NoSuchVersion", 404):
        restore(s3, bucket, "k", VersionId="A" * 32)
    marker = s3.delete_object(**where)["VersionId"]
    with refused("NoSuchKey", 404):
        restore(s3, bucket, "k")
    with refused("MethodNotAllowed", 405):
        restore(s3, bucket, "k", VersionId=marker)


def test_a_restore_is_asked_for_in_one_form(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="GLACIER")
    for body, status, code in [
        ("", 400, "MalformedXML"), ("<RestoreRequest/>", 400, "MalformedXML"),
        ("<RestoreRequest><Days>0</Days></RestoreRequest>", 400, "InvalidArgument"),
        ("<RestoreRequest><Days>-1</Days></RestoreRequest>", 400, "MalformedXML"),
        ("<RestoreRequest><Days>1</Days><Days>1</Days></RestoreRequest>", 400, "MalformedXML"),
        ("<RestoreRequest><Days>1</Days><Dayz>1</Dayz></RestoreRequest>", 400, "MalformedXML"),
        ("<RestoreRequest><Days>1</Days><Tier>Fast</Tier></RestoreRequest>", 400, "MalformedXML"),
        ("<RestoreRequest><Days>1</Days><Type>SELECT</Type></RestoreRequest>", 501, "NotImplemented"),
        ("<Restore><Days>1</Days></Restore>", 400, "MalformedXML"),
        ("<RestoreRequest><Days>99999999999</Days></RestoreRequest>", 400, "MalformedXML"),
    ]:
        answer = raw.request("POST", f"/{bucket}/k?restore", body.encode())
        assert (answer.status, answer.code) == (status, code), body
    for method in ["GET", "PUT", "DELETE"]:
        answer = raw.request(method, f"/{bucket}/k?restore", b"x")
        assert (answer.status, answer.code) == (501, "NotImplemented"), method
    answer = raw.request("POST", f"/{bucket}?restore", b"<RestoreRequest><Days>1</Days></RestoreRequest>")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    with refused("InvalidObjectState", 403):
        s3.get_object(Bucket=bucket, Key="k")
    body = b"<RestoreRequest><Days>1</Days></RestoreRequest>"
    assert raw.request("POST", f"/{bucket}/k?restore=", body).status == 202
    assert raw.presigned("POST", f"/{bucket}/k?restore=", body=body).status == 200


def test_restores_take_their_time_and_end(make_server):
    """Days of twelve seconds, and restores of four."""
    server = make_server("--lifecycle-day-seconds", "12", "--restore-delay-seconds", "4")
    s3 = clients.s3(server)
    bucket = make_bucket(s3)
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Body=b"cold", StorageClass="DEEP_ARCHIVE", **where)
    with refused("InvalidArgument", 400, "Retrieval option is not supported by this storage class"):
        restore(s3, bucket, "k", tier="Expedited")
    asked = time.monotonic()
    assert restore(s3, bucket, "k", tier="Bulk") == 202
    head = s3.head_object(**where)
    listed = s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])
    if time.monotonic() - asked < 4:
        assert head["Restore"] == 'ongoing-request="true"'
        assert listed["Contents"][0]["RestoreStatus"]["IsRestoreInProgress"] is True
    until_restored(s3, where, asked)
    listed = s3.list_objects(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])["Contents"][0]
    if "RestoreStatus" in listed:
        assert listed["RestoreStatus"]["IsRestoreInProgress"] is False
        assert "RestoreExpiryDate" in listed["RestoreStatus"]
    until(lambda: "Restore" not in s3.head_object(**where), "the end of a restore")
    with refused("InvalidObjectState", 403, PLAIN, StorageClass="DEEP_ARCHIVE"):
        s3.get_object(**where)
    assert "RestoreStatus" not in s3.list_objects(
        Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])["Contents"][0]
    asked = time.monotonic()
    assert restore(s3, bucket, "k") == 202
    server.restart()
    until_restored(clients.s3(server), where, asked)


def until_restored(s3, where, asked):
    """Asks again for a restore that came and went while nobody looked, which takes a day at least."""
    def is_restored():
        nonlocal asked
        found = s3.head_object(**where).get("Restore")
        if found is None:
            assert time.monotonic() - asked > 12, "the restore is gone"
            asked = time.monotonic()
            restore(s3, where["Bucket"], where["Key"])
            return False
        return 'ongoing-request="false"' in found

    until(is_restored, "a restore")


def test_restores_are_in_the_audit_log(s3, bucket, server):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="GLACIER")
    restore(s3, bucket, "k", days=3, tier="Bulk")
    with refused("InvalidObjectState", 403):
        s3.put_object(Bucket=bucket, Key="l", Body=b"x")
        restore(s3, bucket, "l")
    events = [event for event in server.audit(settle=False) if event["eventName"] == "RestoreObject"
              and (event["requestParameters"] or {}).get("bucketName") == bucket]
    done, failed = events
    assert done["requestParameters"]["RestoreRequest"] == {
        "Days": 3, "GlacierJobParameters": {"Tier": "Bulk"}}
    assert (done["readOnly"], done["eventCategory"]) == (False, "Data")
    assert failed["errorCode"] == "InvalidObjectState"


def test_archives_are_verified_where_they_lie(make_server):
    server = make_server()
    s3 = clients.s3(server)
    bucket = make_bucket(s3, bucket_name("cold"))
    for name in COLD:
        s3.put_object(Bucket=bucket, Key=name, Body=noise(200_000), StorageClass=name)
    assert server.command("verify").returncode == 0
    empty_and_delete(s3, bucket)


def test_raw_answers_name_the_class(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="GLACIER")
    answer = raw.request("GET", f"/{bucket}/k")
    assert (answer.status, answer.code) == (403, "InvalidObjectState")
    assert answer.element("StorageClass") == "GLACIER"
    head = raw.request("HEAD", f"/{bucket}/k")
    assert head.status == 200 and head.headers["x-amz-storage-class"] == "GLACIER"
