# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads: by hand through boto3, and as s3transfer drives them."""

import hashlib
import io

import pytest
from boto3.s3.transfer import TransferConfig

from clients import MIB, noise, read, refused, s3 as s3_client

FIVE = 5 * MIB


def start(s3, bucket, key="k", **args):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **args)["UploadId"]


def put_part(s3, bucket, upload, number, data, key="k", **args):
    answer = s3.upload_part(
        Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data, **args
    )
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(s3, bucket, upload, parts, key="k", **args):
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **args
    )


def multipart_etag(pieces):
    joined = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    return f'"{hashlib.md5(joined).hexdigest()}-{len(pieces)}"'


def test_life_of_an_upload(s3, bucket):
    pieces = [noise(FIVE, 1), noise(FIVE + 1, 2), noise(77, 3)]
    upload = start(s3, bucket, Metadata={"a": "1"}, ContentType="text/plain")
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    numbers = [1, 7, 10_000]
    parts = [put_part(s3, bucket, upload, n, p) for n, p in zip(numbers, pieces)]
    assert parts[0]["ETag"] == f'"{hashlib.md5(pieces[0]).hexdigest()}"'
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]
    assert [(p["PartNumber"], p["Size"], p["ETag"]) for p in listed] == [
        (n, len(piece), part["ETag"]) for n, piece, part in zip(numbers, pieces, parts)
    ]
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="k")
    done = complete(s3, bucket, upload, parts)
    assert done["ETag"] == multipart_etag(pieces)
    assert done["Bucket"] == bucket and done["Location"].endswith(f"{bucket}/k")
    got = s3.get_object(Bucket=bucket, Key="k")
    data = b"".join(pieces)
    assert read(got) == data
    assert (got["ETag"], got["Metadata"], got["ContentType"]) == (
        done["ETag"], {"a": "1"}, "text/plain"
    )
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)

    offset = 0
    for n, piece in enumerate(pieces, 1):
        part = s3.get_object(Bucket=bucket, Key="k", PartNumber=n)
        assert read(part) == piece
        end = offset + len(piece)
        assert part["ContentRange"] == f"bytes {offset}-{end - 1}/{len(data)}"
        assert part["PartsCount"] == 3
        offset = end
    head = s3.head_object(Bucket=bucket, Key="k", PartNumber=2)
    assert (head["ContentLength"], head["PartsCount"]) == (FIVE + 1, 3)
    for start_at, end_at in [
        (FIVE - 1, FIVE), (FIVE - 10, FIVE + 65_536), (0, len(data) - 1),
        (2 * FIVE, 2 * FIVE + 1), (len(data) - 78, len(data) - 1),
    ]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={start_at}-{end_at}")
        assert read(got) == data[start_at:end_at + 1]
    with refused("InvalidPartNumber", 416, ActualPartCount="3", PartNumberRequested="4"):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)


def test_copy_of_a_multipart_object_is_plain(s3, bucket):
    pieces = [noise(FIVE, 4), noise(1000, 5)]
    upload = start(s3, bucket)
    complete(s3, bucket, upload, [put_part(s3, bucket, upload, n, p) for n, p in enumerate(pieces, 1)])
    copy = s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})
    data = b"".join(pieces)
    assert copy["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert read(s3.get_object(Bucket=bucket, Key="c")) == data


def test_last_upload_of_a_part_wins(s3, bucket):
    upload = start(s3, bucket)
    first = put_part(s3, bucket, upload, 1, b"first")
    second = put_part(s3, bucket, upload, 1, b"second")
    with refused("InvalidPart", 400):
        complete(s3, bucket, upload, [first])
    complete(s3, bucket, upload, [second])
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"second"


def test_parts_left_out_are_gone(s3, bucket):
    upload = start(s3, bucket)
    parts = [put_part(s3, bucket, upload, n, str(n).encode()) for n in (1, 2, 3)]
    complete(s3, bucket, upload, parts[1:2])
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"2"


def test_abort_removes_the_parts(s3, bucket):
    upload = start(s3, bucket)
    put_part(s3, bucket, upload, 1, noise(200_000))
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    for call in (
        lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId=upload),
        lambda: put_part(s3, bucket, upload, 2, b"x"),
        lambda: complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": '"x"'}]),
        lambda: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload),
    ):
        with refused("NoSuchUpload", 404):
            call()


def test_part_copy(s3, bucket):
    data = noise(2 * FIVE + 500)
    s3.put_object(Bucket=bucket, Key="src ä", Body=data)
    source = {"Bucket": bucket, "Key": "src ä"}
    upload = start(s3, bucket)
    parts = []
    for n, span in enumerate([(0, FIVE - 1), (FIVE, 2 * FIVE), (2 * FIVE + 1, len(data) - 1)], 1):
        answer = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=n, CopySource=source,
            CopySourceRange="bytes={}-{}".format(*span),
        )
        parts.append({"PartNumber": n, "ETag": answer["CopyPartResult"]["ETag"]})
    complete(s3, bucket, upload, parts)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == data
    upload = start(s3, bucket)
    whole = s3.upload_part_copy(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, CopySource=source
    )["CopyPartResult"]["ETag"]
    complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": whole}])
    assert read(s3.get_object(Bucket=bucket, Key="k")) == data


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=-5", "0-5", "bytes=5-4", "bytes=0-5,7-9", ""])
def test_sec_n44_part_copy_range_form(s3, bucket, text):
    s3.put_object(Bucket=bucket, Key="src", Body=b"0123456789")
    upload = start(s3, bucket)
    with refused("InvalidArgument", 400):
        s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, CopySourceRange=text,
            CopySource={"Bucket": bucket, "Key": "src"},
        )


def test_sec_n44_part_copy_range_outside(s3, bucket):
    s3.put_object(Bucket=bucket, Key="src", Body=b"0123456789")
    upload = start(s3, bucket)
    message = "Range specified is not valid for source object of size: 10"
    with refused("InvalidArgument", 400, message):
        s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, CopySourceRange="bytes=5-10",
            CopySource={"Bucket": bucket, "Key": "src"},
        )


def test_many_uploads_and_parts_in_pages(s3, bucket):
    keys = ["a", "b/1", "b/2", "c"]
    uploads = [(key, start(s3, bucket, key)) for key in keys for _ in range(2)]
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 3}
    )
    found = [(u["Key"], u["UploadId"]) for page in pages for u in page["Uploads"]]
    assert sorted(found) == sorted(uploads)
    assert [key for key, _ in found] == sorted(key for key, _ in found)
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["b/"]
    upload = uploads[0][1]
    for n in range(1, 8):
        put_part(s3, bucket, upload, n, b"x", key="a")
    pages = list(s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="a", UploadId=upload, PaginationConfig={"PageSize": 3}
    ))
    assert [p["PartNumber"] for page in pages for p in page["Parts"]] == list(range(1, 8))
    assert len(pages) == 3


@pytest.mark.parametrize("scheme,size", [("https", 200 * MIB), ("http", 40 * MIB + 1)])
def test_s3transfer(server, bucket, tmp_path, scheme, size):
    """The managed transfers: parallel parts up, parallel ranges down."""
    client = s3_client(server, scheme, max_pool_connections=10)
    config = TransferConfig(
        multipart_threshold=8 * MIB, multipart_chunksize=16 * MIB if size > 100 * MIB else 8 * MIB,
        max_concurrency=4,
    )
    source = tmp_path / "source"
    block = noise(8 * MIB, 9)
    with source.open("wb") as out:
        for n in range(size // len(block)):
            out.write(n.to_bytes(8, "big") + block[8:])
        out.write(block[: size % len(block)])
    extra = {"Metadata": {"a": "1"}, "ServerSideEncryption": "AES256"}
    client.upload_file(str(source), bucket, "big", ExtraArgs=extra, Config=config)
    head = client.head_object(Bucket=bucket, Key="big")
    assert (head["ContentLength"], head["Metadata"]) == (size, {"a": "1"})
    assert "-" in head["ETag"]
    target = tmp_path / "target"
    client.download_file(bucket, "big", str(target), Config=config)
    with source.open("rb") as one, target.open("rb") as two:
        assert hashlib.file_digest(one, "sha256").digest() == hashlib.file_digest(two, "sha256").digest()


def test_s3transfer_file_objects_and_copy(s3, bucket):
    data = noise(11 * MIB)
    config = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=6 * MIB)
    s3.upload_fileobj(io.BytesIO(data), bucket, "a", Config=config)
    s3.copy({"Bucket": bucket, "Key": "a"}, bucket, "b", Config=config)
    out = io.BytesIO()
    s3.download_fileobj(bucket, "b", out, Config=config)
    assert out.getvalue() == data


def test_conditional_complete(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload = start(s3, bucket)
    part = put_part(s3, bucket, upload, 1, b"new")
    with refused("PreconditionFailed", 412):
        complete(s3, bucket, upload, [part], IfNoneMatch="*")
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"there"
    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    complete(s3, bucket, upload, [part], IfMatch=etag)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"new"


def test_no_uploads_asked_for_are_no_page(s3, bucket):
    """Whoever followed its markers, which led nowhere, never ended."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=0)
    assert not page["IsTruncated"] and "Uploads" not in page
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
