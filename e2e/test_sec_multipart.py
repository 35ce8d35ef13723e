# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads completed wrongly, twice, at once, or by somebody else's id."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from clients import MIB, bucket_name, empty_and_delete, noise, read, refused, s3 as s3_client
from strongroom import until

FIVE = 5 * MIB


@pytest.fixture
def upload(s3, bucket):
    """An upload of three small parts: (id, etags)."""
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    etags = [
        s3.upload_part(Bucket=bucket, Key="k", UploadId=made, PartNumber=n, Body=str(n).encode())["ETag"]
        for n in (1, 2, 3)
    ]
    return made, etags


def document(parts):
    inner = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()


def complete(raw, bucket, upload, parts, key="k"):
    body = parts if isinstance(parts, bytes) else document(parts)
    return raw.request("POST", f"/{bucket}/{key}?uploadId={upload}", body)


def still_open(s3, bucket, upload):
    parts = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]
    assert [p["PartNumber"] for p in parts] == [1, 2, 3]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("make,code", [
    (lambda e: [(1, '"' + "0" * 32 + '"')], "InvalidPart"),
    (lambda e: [(1, e[1])], "InvalidPart"),
    (lambda e: [(1, "")], "InvalidPart"),
    (lambda e: [(4, e[0])], "InvalidPart"),
    (lambda e: [(3, e[2]), (4, e[0])], None),
    (lambda e: [(2, e[1]), (1, e[0])], "InvalidPartOrder"),
    (lambda e: [(1, e[0]), (1, e[0])], "InvalidPartOrder"),
    (lambda e: [(3, e[2]), (2, e[1]), (1, e[0])], "InvalidPartOrder"),
    (lambda e: [(1, e[0]), (2, e[1])], "EntityTooSmall"),
    (lambda e: [(0, e[0])], None), (lambda e: [(10_001, e[0])], None), (lambda e: [(-1, e[0])], None),
    (lambda e: [(65_537, e[0])], None), (lambda e: [(2**32 + 1, e[0])], None),
    (lambda e: [], "MalformedXML"), (lambda e: b"", "InvalidRequest"), (lambda e: b"x", "MalformedXML"),
    (lambda e: document([(n, e[0]) for n in range(1, 10_002)]), "MalformedXML"),
    (lambda e: document([(1, e[0])]).replace(b"<ETag>", b"<ETag/><ETag>"), "MalformedXML"),
    (lambda e: document([(1, e[0])]).replace(b"PartNumber", b"Partnumber"), "MalformedXML"),
    (lambda e: b"<!DOCTYPE x [<!ENTITY e '1'>]>" + document([("&e;", e[0])]), "MalformedXML"),
    (lambda e: document([("1 1", e[0])]), "MalformedXML"),
    (lambda e: document([("1e0", e[0])]), "MalformedXML"),
])
def test_sec_n76_lists_of_parts(raw, s3, bucket, upload, make, code):
    made, etags = upload
    answer = complete(raw, bucket, made, make(etags))
    assert answer.status == 400, answer.body
    assert answer.code == code if code else answer.code in (
        "InvalidPart", "MalformedXML", "InvalidArgument", "InvalidPartOrder", "EntityTooSmall")
    still_open(s3, bucket, made)


def test_sec_n76_middle_part_too_small(raw, s3, bucket):
    made = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    where = {"Bucket": bucket, "Key": "k", "UploadId": made}
    one = s3.upload_part(PartNumber=1, Body=noise(FIVE - 1), **where)["ETag"]
    two = s3.upload_part(PartNumber=2, Body=b"x", **where)["ETag"]
    answer = complete(raw, bucket, made, [(1, one), (2, two)])
    assert (answer.status, answer.code) == (400, "EntityTooSmall")
    assert answer.element("ProposedSize") == str(FIVE - 1)
    assert answer.element("MinSizeAllowed") == str(FIVE)


def test_sec_n76_complete_twice(raw, s3, bucket, upload):
    """Whoever did not hear the answer hears it then, as in S3; with other parts it is another request."""
    made, etags = upload
    first = complete(raw, bucket, made, [(1, etags[0])])
    assert first.status == 200
    again = complete(raw, bucket, made, [(1, etags[0])])
    assert (again.status, again.element("ETag")) == (200, first.element("ETag"))
    assert again.element("ChecksumCRC64NVME") == first.element("ChecksumCRC64NVME") is not None
    s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=made, IfNoneMatch="*",
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etags[0]}]})
    other = complete(raw, bucket, made, [(2, etags[1])])
    assert (other.status, other.code) == (404, "NoSuchUpload")
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"1"
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    gone = complete(raw, bucket, made, [(1, etags[0])])
    assert (gone.status, gone.code) == (404, "NoSuchUpload")
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"newer"


@pytest.mark.parametrize("round_", range(5))
def test_sec_n76_complete_against_abort(raw, s3, bucket, upload, round_):
    """One of them wins, and the loser sees no upload."""
    made, etags = upload
    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(complete, raw, bucket, made, [(1, etags[0])])
        gone = pool.submit(raw.request, "DELETE", f"/{bucket}/k?uploadId={made}")
        done, gone = done.result(), gone.result()
    there = s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    assert (done.status, gone.status, there) in [(200, 404, 1), (404, 204, 0)]
    if there:
        assert read(s3.get_object(Bucket=bucket, Key="k")) == b"1"


@pytest.mark.parametrize("round_", range(3))
def test_sec_n76_part_again_during_complete(raw, s3, bucket, upload, round_):
    made, etags = upload
    big = noise(500_000, round_)
    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(complete, raw, bucket, made, [(1, etags[0])])
        part = pool.submit(raw.request, "PUT", f"/{bucket}/k?partNumber=1&uploadId={made}", big)
        done, part = done.result(), part.result()
    assert part.status in (200, 404)
    if done.status == 200:
        assert read(s3.get_object(Bucket=bucket, Key="k")) == b"1"
    else:
        # It is not conditional, so no conflict: the part that it names is not there any more.
        assert (done.status, done.code) == (400, "InvalidPart")


def test_sec_n76_completes_at_once_have_one_result(raw, s3, bucket, upload):
    made, etags = upload
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(
            lambda n: complete(raw, bucket, made, [(n % 3 + 1, etags[n % 3])]), range(8)))
    winners = [a for a in answers if a.status == 200]
    assert winners and all(a.status in (200, 404, 409) for a in answers)
    etag = re.search(rb"<ETag>([^<]*)</ETag>", winners[0].body).group(1)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ETag"].strip('"').encode() in etag


@pytest.mark.parametrize("bend", [
    lambda u: u[:-1], lambda u: u + "x", lambda u: u.swapcase(), lambda u: "..%2F..%2Fx",
    lambda u: "x" * 2000, lambda u: "%00", lambda u: "%2e%2e", lambda u: u[::-1], lambda u: "0",
    lambda u: "null", lambda u: u + "%0d%0aset-cookie:x",
])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_sec_n77_forged_upload_ids(raw, s3, bucket, upload, bend, method):
    made, etags = upload
    forged = bend(made)
    target = f"/{bucket}/k?uploadId={forged}"
    target = target.replace("?", "?partNumber=1&") if method == "PUT" else target
    body = {"POST": document([(1, etags[0])]), "PUT": b"x"}.get(method, b"")
    answer = raw.request(method, target, body)
    assert (answer.status, answer.code) == (404, "NoSuchUpload"), answer.body
    assert "set-cookie" not in answer.headers
    still_open(s3, bucket, made)


def test_sec_n76_upload_of_another_bucket_or_key(raw, s3, bucket, upload):
    made, etags = upload
    other = bucket_name()
    s3.create_bucket(Bucket=other)
    try:
        for place in (f"/{other}/k", f"/{bucket}/other"):
            for method, target, body in [
                ("POST", f"{place}?uploadId={made}", document([(1, etags[0])])),
                ("PUT", f"{place}?partNumber=1&uploadId={made}", b"x"),
                ("GET", f"{place}?uploadId={made}", b""), ("DELETE", f"{place}?uploadId={made}", b""),
            ]:
                answer = raw.request(method, target, body)
                assert (answer.status, answer.code) == (404, "NoSuchUpload")
    finally:
        empty_and_delete(s3, other)
    still_open(s3, bucket, made)


@pytest.mark.parametrize("number", ["0", "10001", "-1", "", "x", "1.5", "99999999999999999999"])
@pytest.mark.parametrize("copy", [False, True])
def test_sec_n76_part_numbers(raw, s3, bucket, upload, number, copy):
    made, _ = upload
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    headers = {"x-amz-copy-source": f"/{bucket}/source"} if copy else {}
    target = f"/{bucket}/k?partNumber={number}&uploadId={made}"
    answer = raw.request("PUT", target, b"" if copy else b"x", headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    s3.delete_object(Bucket=bucket, Key="source")
    still_open(s3, bucket, made)


def test_sec_n76_object_size_that_is_not_so(raw, s3, bucket, upload):
    made, etags = upload
    for size, status in (("2", 400), ("0", 400), ("x", 400), ("1", 200)):
        answer = raw.request(
            "POST", f"/{bucket}/k?uploadId={made}", document([(1, etags[0])]),
            {"x-amz-mp-object-size": size},
        )
        assert answer.status == status, answer.body


def test_sec_n79_composite_needs_the_checksum_of_each_part(raw, s3, bucket):
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    etag = s3.upload_part(
        Bucket=bucket, Key="k", UploadId=made, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256"
    )["ETag"]
    answer = complete(raw, bucket, made, [(1, etag)])
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.element("Message") == (
        "The upload was created using a sha256 checksum. The complete request must include the "
        "checksum for each part. It was missing for part 1 in the request."
    )


def test_sec_n78_abandoned_uploads_are_seen_and_leave_nothing_when_ended(make_server):
    """No quota counts and no clock ends them: they are listed with their parts, they keep their
    bucket, `verify` reads them, and with them goes what they hold of the drive."""
    server = make_server()
    s3 = s3_client(server)
    s3.create_bucket(Bucket="abandoned")
    ids = []
    for number in range(3):
        made = s3.create_multipart_upload(Bucket="abandoned", Key=f"k{number}")["UploadId"]
        for part in (1, 2):
            s3.upload_part(Bucket="abandoned", Key=f"k{number}", UploadId=made, PartNumber=part,
                           Body=noise(MIB, part))
        ids.append(made)
    server.restart()
    s3 = s3_client(server)
    listed = s3.list_multipart_uploads(Bucket="abandoned")["Uploads"]
    assert [one["UploadId"] for one in listed] == ids
    for number, made in enumerate(ids):
        parts = s3.list_parts(Bucket="abandoned", Key=f"k{number}", UploadId=made)["Parts"]
        assert [part["Size"] for part in parts] == [MIB, MIB]
    assert s3.list_objects_v2(Bucket="abandoned")["KeyCount"] == 0
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket="abandoned")
    assert len(large(server)) == 6
    assert "6 parts of open uploads" in server.command("verify").stdout
    for number, made in enumerate(ids):
        s3.abort_multipart_upload(Bucket="abandoned", Key=f"k{number}", UploadId=made)
    # Files are removed behind the answer; a stop waits for nothing, and a start collects the rest.
    server.restart()
    until(lambda: large(server) == [], "the end of the parts")
    s3_client(server).delete_bucket(Bucket="abandoned")


def large(server):
    """Files that can only be those of the parts."""
    return [path for path, (_, _, size) in server.blobs().items() if size >= MIB]
