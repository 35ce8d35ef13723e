# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads, ranges, parts and conditions in every mode: what the mode must not change, and
what a key that is not there does to an open upload."""

import hashlib

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

import sse
from clients import MIB, SEGMENT, CustomerKey, noise, read, refused
from rawhttp import UNSIGNED, Signer, Wire

pytestmark = pytest.mark.sse_c

PART = 5 * MIB
LAST = SEGMENT + 9
MODES = ["none", "sse-s3", "kms-default", "kms-id", "kms-context", "sse-c"]


@pytest.fixture(params=MODES)
def mode(request, kms, kms_key, s3, bucket):
    s3.put_object(Bucket=bucket, Key="first", Body=b"", ServerSideEncryption="aws:kms")
    return {one.name: one for one in sse.modes(kms, kms_key)}[request.param]


@pytest.fixture
def own_key(kms):
    """A key of this test alone, enabled again at its end."""
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    yield arn
    kms.enable_key(KeyId=arn)


def create(s3, bucket, key="k", **write):
    made = s3.create_multipart_upload(Bucket=bucket, Key=key, **write)
    return {"Bucket": bucket, "Key": key, "UploadId": made["UploadId"]}


def complete(s3, upload, etags, **more):
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in etags]
    return s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **more)


def of_two_parts(s3, bucket, mode, key="k"):
    data = [noise(PART, 1), noise(LAST, 2)]
    upload = create(s3, bucket, key, **mode.write)
    etags = [
        (n, s3.upload_part(PartNumber=n, Body=piece, **upload, **mode.read)["ETag"])
        for n, piece in enumerate(data, 1)
    ]
    return data, complete(s3, upload, etags)["ETag"]


# ---- 6.1 ----------------------------------------------------------------------------------


def test_s6_1_etags_of_parts_are_compared_as_they_were_returned(s3, bucket, mode):
    upload = create(s3, bucket, **mode.write)
    one = s3.upload_part(PartNumber=1, Body=noise(PART, 1), **upload, **mode.read)["ETag"]
    two = s3.upload_part(PartNumber=2, Body=b"end", **upload, **mode.read)["ETag"]
    bare = one.strip('"')
    for wrong in [two, f'"{"0" * 32}"', f'"{bare[:-1]}"', f'"{bare}0"', f'"{bare}-1"', '""',
                  f'W/"{bare}"', '"' + hashlib.md5(b"").hexdigest() + '"']:
        with refused("InvalidPart", 400):
            complete(s3, upload, [(1, wrong), (2, two)])
    with refused("InvalidPart", 400):
        complete(s3, upload, [(1, one), (3, two)])
    with refused("InvalidPartOrder", 400):
        complete(s3, upload, [(2, two), (1, one)])
    # Clients take the quotes off, too.
    done = complete(s3, upload, [(1, bare), (2, two)])
    assert done["ETag"].strip('"').endswith("-2")
    assert read(s3.get_object(Bucket=bucket, Key="k", **mode.read)) == noise(PART, 1) + b"end"


def test_s6_1_last_upload_to_finish_wins(server, s3, bucket, raw, mode):
    """An attempt that began first and ended last is the part."""
    upload = create(s3, bucket, **mode.write)
    first, second = noise(200_000, 1), noise(100_000, 2)
    target = f"/{bucket}/k?partNumber=1&uploadId={upload['UploadId']}"
    with Wire(server, "https") as wire:
        headers = {"host": wire.host, "content-length": str(len(first)), **mode.read_headers}
        path, _, query = target.partition("?")
        Signer(*server.credential).sign("PUT", path, query, headers, UNSIGNED)
        wire.send(wire.head("PUT", target, headers) + first[:70_000])
        late = s3.upload_part(PartNumber=1, Body=second, **upload, **mode.read)["ETag"]
        wire.send(first[70_000:])
        answer = wire.answer("PUT")
    assert answer.status == 200, answer.body
    assert [p["Size"] for p in s3.list_parts(**upload)["Parts"]] == [len(first)]
    with refused("InvalidPart", 400):
        complete(s3, upload, [(1, late)])
    complete(s3, upload, [(1, answer.headers["etag"])])
    assert read(s3.get_object(Bucket=bucket, Key="k", **mode.read)) == first


def test_s6_1_a_part_sent_again_shares_no_sealed_bytes(server, s3, bucket, mode):
    """The same bytes under the same object key: a nonce used twice would show."""
    data = noise(4 * SEGMENT, 3)
    upload = create(s3, bucket, **mode.write)
    seen = []
    for number in (1, 1, 2):
        before = set(server.open_files())
        s3.upload_part(PartNumber=number, Body=data, **upload, **mode.read)
        seen.append(b"".join(p.read_bytes() for p in sorted(set(server.open_files()) - before)))
    s3.abort_multipart_upload(**upload)
    assert all(len(sealed) > len(data) for sealed in seen)
    blocks = [
        {sealed[at:at + 16] for at in range(0, len(sealed) - 16)} for sealed in seen
    ]
    for a in range(3):
        for b in range(a):
            # Frames of the file have bytes in common; whatever is sealed has not.
            assert len(blocks[a] & blocks[b]) < 512


@pytest.mark.parametrize("state", ["disabled", "pending"])
def test_s6_1_a_key_that_goes_away_under_an_upload(s3, kms, bucket, own_key, state):
    s3.put_object(Bucket=bucket, Key="source", Body=b"source")
    upload = create(s3, bucket, ServerSideEncryption="aws:kms", SSEKMSKeyId=own_key)
    etag = s3.upload_part(PartNumber=1, Body=b"part", **upload)["ETag"]
    other = create(s3, bucket, "other", ServerSideEncryption="aws:kms", SSEKMSKeyId=own_key)
    if state == "disabled":
        kms.disable_key(KeyId=own_key)
        code, message = "KMS.DisabledException", f"{own_key} is disabled."
    else:
        kms.schedule_key_deletion(KeyId=own_key, PendingWindowInDays=7)
        code, message = "KMS.KMSInvalidStateException", f"{own_key} is pending deletion."
    with refused(code, 400, message):
        s3.upload_part(PartNumber=2, Body=b"part", **upload)
    with refused(code, 400, message):
        s3.upload_part_copy(PartNumber=2, CopySource={"Bucket": bucket, "Key": "source"}, **upload)
    with refused(code, 400, message):
        complete(s3, upload, [(1, etag)])
    with refused(code, 400, message):
        create(s3, bucket, ServerSideEncryption="aws:kms", SSEKMSKeyId=own_key)
    # Neither a list nor an abort wants the key.
    assert [p["PartNumber"] for p in s3.list_parts(**upload)["Parts"]] == [1]
    s3.abort_multipart_upload(**other)
    with refused("NoSuchUpload", 404):
        s3.list_parts(**other)
    if state == "pending":
        kms.cancel_key_deletion(KeyId=own_key)
    kms.enable_key(KeyId=own_key)
    complete(s3, upload, [(1, etag)])
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"part"


# ---- 6.4 ----------------------------------------------------------------------------------


def test_s6_4_ranges_are_of_plaintext(s3, bucket, mode):
    data, etag = of_two_parts(s3, bucket, mode)
    whole = b"".join(data)
    size = len(whole)
    for asked, first, last in [
        ("bytes=0-0", 0, 0), (f"bytes={PART - 1}-{PART}", PART - 1, PART),
        (f"bytes={SEGMENT - 1}-{SEGMENT}", SEGMENT - 1, SEGMENT), ("bytes=-1", size - 1, size - 1),
        (f"bytes={size - 5}-", size - 5, size - 1), (f"bytes={size - 5}-{size * 2}", size - 5, size - 1),
        (f"bytes=-{size + 5}", 0, size - 1),
    ]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=asked, **mode.read)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"] == f"bytes {first}-{last}/{size}"
        assert (got["ContentLength"], got["ETag"]) == (last - first + 1, etag)
        assert read(got) == whole[first:last + 1]
        # No checksum of the whole object beside a piece of it.
        assert "ChecksumCRC64NVME" not in got
    for asked in (f"bytes={size}-", f"bytes={size}-{size + 9}", "bytes=-0"):
        with refused("InvalidRange", 416, "The requested range is not satisfiable",
                     ActualObjectSize=str(size), RangeRequested=asked):
            s3.get_object(Bucket=bucket, Key="k", Range=asked, **mode.read)


def test_s6_4_parts(s3, bucket, mode):
    data, etag = of_two_parts(s3, bucket, mode)
    size = len(data[0]) + len(data[1])
    first = 0
    for number, piece in enumerate(data, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number, **mode.read)
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number, **mode.read)
        assert read(got) == piece
        for answer in (got, head):
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
            assert (answer["ETag"], answer["PartsCount"]) == (etag, 2)
            assert answer["ContentLength"] == len(piece)
        assert got["ContentRange"] == f"bytes {first}-{first + len(piece) - 1}/{size}"
        first += len(piece)
        with refused("InvalidRequest", 400,
                     "Cannot specify both Range header and partNumber query parameter"):
            s3.get_object(
                Bucket=bucket, Key="k", PartNumber=number, Range="bytes=0-1", **mode.read)
    for number in (3, 10_000):
        with refused("InvalidPartNumber", 416, "The requested partnumber is not satisfiable",
                     ActualPartCount="2", PartNumberRequested=str(number)):
            s3.get_object(Bucket=bucket, Key="k", PartNumber=number, **mode.read)
        with refused("416", 416):
            s3.head_object(Bucket=bucket, Key="k", PartNumber=number, **mode.read)
    s3.put_object(Bucket=bucket, Key="one", Body=b"one part", **mode.write)
    got = s3.get_object(Bucket=bucket, Key="one", PartNumber=1, **mode.read)
    assert read(got) == b"one part" and got["ContentRange"] == "bytes 0-7/8"
    with refused("InvalidPartNumber", 416, ActualPartCount="1", PartNumberRequested="2"):
        s3.get_object(Bucket=bucket, Key="one", PartNumber=2, **mode.read)


# ---- 6.6 ----------------------------------------------------------------------------------


def test_s6_6_conditions_are_on_the_stored_etag(s3, bucket, mode):
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"same", **mode.write)["ETag"]
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"same", **mode.write)["ETag"]
    # An ETag of SSE-KMS and SSE-C says nothing about the bytes, so the same bytes are another one.
    assert (old == new) == mode.md5_etag
    md5 = f'"{hashlib.md5(b"same").hexdigest()}"'
    for wrong in {'"0"', f'"{"0" * 32}"', old if old != new else '"1"', md5 if md5 != new else '"2"'}:
        with refused("PreconditionFailed", 412, Condition="If-Match"):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch=wrong, **mode.write)
        with refused("PreconditionFailed", 412):
            s3.get_object(Bucket=bucket, Key="k", IfMatch=wrong, **mode.read)
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=bucket, Key="copy", CopySourceIfMatch=wrong,
                           CopySource={"Bucket": bucket, "Key": "k"}, **mode.source, **mode.write)
        with refused("PreconditionFailed", 412):
            s3.delete_object(Bucket=bucket, Key="k", IfMatch=wrong)
    with refused("PreconditionFailed", 412, Condition="If-None-Match"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*", **mode.write)
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="none", Body=b"x", IfMatch=new, **mode.write)
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfNoneMatch=new, **mode.write)
    with refused("304", 304):
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=new, **mode.read)
    assert read(s3.get_object(Bucket=bucket, Key="k", IfMatch=new, **mode.read)) == b"same"
    s3.copy_object(Bucket=bucket, Key="copy", CopySourceIfMatch=new,
                   CopySource={"Bucket": bucket, "Key": "k"}, **mode.source, **mode.write)
    s3.put_object(Bucket=bucket, Key="k", Body=b"after", IfMatch=new, **mode.write)
    last = s3.head_object(Bucket=bucket, Key="k", **mode.read)["ETag"]
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=last)
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k", **mode.read)


def test_s6_6_conditions_of_complete(s3, bucket, mode):
    def upload_of(data):
        upload = create(s3, bucket, **mode.write)
        return upload, [(1, s3.upload_part(PartNumber=1, Body=data, **upload, **mode.read)["ETag"])]

    upload, etags = upload_of(b"first")
    with refused("NoSuchKey", 404):
        complete(s3, upload, etags, IfMatch='"0"')
    first = complete(s3, upload, etags, IfNoneMatch="*")["ETag"]
    upload, etags = upload_of(b"second")
    with refused("PreconditionFailed", 412, Condition="If-None-Match"):
        complete(s3, upload, etags, IfNoneMatch="*")
    with refused("PreconditionFailed", 412, Condition="If-Match"):
        complete(s3, upload, etags, IfMatch=f'"{"0" * 32}"')
    with refused("NotImplemented", 501):
        complete(s3, upload, etags, IfNoneMatch=first)
    assert read(s3.get_object(Bucket=bucket, Key="k", **mode.read)) == b"first"
    # What was refused is still open.
    complete(s3, upload, etags, IfMatch=first)
    assert read(s3.get_object(Bucket=bucket, Key="k", **mode.read)) == b"second"


# ---- checksums that Complete names --------------------------------------------------------


@pytest.mark.parametrize("path", ["upload_file", "upload_file with SHA256"])
def test_s3_5_managed_transfer_under_a_customer_key(s3, bucket, tmp_path, path):
    """A stock client brings a CRC32 of each part unasked, and names it to Complete."""
    key, data = CustomerKey(), noise(2 * PART + LAST, 5)
    (tmp_path / "source").write_bytes(data)
    more = {"ChecksumAlgorithm": "SHA256"} if "SHA256" in path else {}
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    s3.upload_file(str(tmp_path / "source"), bucket, "k", ExtraArgs=key.boto() | more, Config=config)
    s3.download_file(bucket, "k", str(tmp_path / "target"), ExtraArgs=key.boto(), Config=config)
    assert (tmp_path / "target").read_bytes() == data
    assert s3.head_object(Bucket=bucket, Key="k", **key.boto())["ETag"].endswith('-3"')


def test_s3_5_named_checksums_of_an_upload_under_a_customer_key(s3, bucket):
    """They passed whatever they were where Create named no algorithm."""
    key = CustomerKey()
    upload = create(s3, bucket, **key.boto())
    part = s3.upload_part(PartNumber=1, Body=b"123456789", **upload, **key.boto())
    assert part["ChecksumCRC32"] == "y/Q5Jg=="

    def done(checksum=None, **more):
        named = {} if checksum is None else {"ChecksumCRC32": checksum}
        parts = [{"PartNumber": 1, "ETag": part["ETag"], **named}]
        return s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **more)

    with refused("InvalidPart", 400):
        done("AAAAAA==", **key.boto())
    with refused("InvalidRequest", 400):
        done("y/Q5Jg==")
    for more in ({}, key.boto()):
        with refused("BadDigest", 400):
            done(ChecksumCRC64NVME="AAAAAAAAAAA=", **more)
    with refused("InvalidRequest", 400):
        done(ChecksumType="COMPOSITE", **key.boto())
    done("y/Q5Jg==", **key.boto())
    # Without anything to compare no key is needed.
    upload = create(s3, bucket, **key.boto())
    part = s3.upload_part(PartNumber=1, Body=b"123456789", **upload, **key.boto())
    done()
    assert read(s3.get_object(Bucket=bucket, Key="k", **key.boto())) == b"123456789"


def test_s3_5_parts_are_listed_with_the_key_of_the_upload_or_none(raw, s3, bucket):
    for write in ({}, {"ServerSideEncryption": "aws:kms"}):
        upload = create(s3, bucket, **write)
        target = f"/{bucket}/k?uploadId={upload['UploadId']}"
        answer = raw.request("GET", target, headers=CustomerKey().headers())
        assert (answer.status, answer.code) == (400, "InvalidRequest"), answer.body
        assert s3.list_parts(**upload)["IsTruncated"] is False


def test_s8_a_part_of_a_composite_brings_its_checksum(raw, s3, bucket):
    for kind, status in (("COMPOSITE", 400), ("FULL_OBJECT", 200)):
        upload = create(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType=kind)
        target = f"/{bucket}/k?partNumber=1&uploadId={upload['UploadId']}"
        answer = raw.request("PUT", target, b"123456789")
        assert answer.status == status, answer.body
        if status == 400:
            assert answer.element("Message") == (
                "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum "
                "Type: null")
            continue
        assert answer.headers["x-amz-checksum-crc32"] == "y/Q5Jg=="
        part = {"PartNumber": 1, "ETag": answer.headers["etag"], "ChecksumCRC32": "y/Q5Jg=="}
        named = {"MultipartUpload": {"Parts": [part]}, **upload}
        with refused("InvalidRequest", 400):
            s3.complete_multipart_upload(ChecksumCRC32="y/Q5Jg==-1", **named)
        s3.complete_multipart_upload(ChecksumCRC32="y/Q5Jg==", **named)
