# SPDX-License-Identifier: Apache-2.0
"""CopyObject that stands on the bodies of its source: no byte more on the drive, and each copy for itself."""

import hashlib
import json
from contextlib import contextmanager

import pytest

import clients
import leaks
from clients import CustomerKey, MIB, bucket_name, noise, read, refused
from drive_watch import DriveWatch, moved, rows

pytestmark = pytest.mark.sse_c

MODES = ["sse-s3", "kms", "kms-default", "sse-c"]


def asked(mode, key_arn, customer):
    """boto3 arguments of a write, of a read, and of a copy source."""
    if mode == "sse-c":
        return customer.boto(), customer.boto(), customer.boto(source=True)
    if mode == "sse-s3":
        return {"ServerSideEncryption": "AES256"}, {}, {}
    key = {} if mode == "kms-default" else {"SSEKMSKeyId": key_arn}
    return {"ServerSideEncryption": "aws:kms", **key}, {}, {}


def upload_in_parts(s3, where, pieces, write, key_args=None, **more):
    upload = where | {"UploadId": s3.create_multipart_upload(**where, **write, **more)["UploadId"]}
    parts = []
    for number, piece in enumerate(pieces, 1):
        sums = {}
        if "ChecksumAlgorithm" in more:
            sums["ChecksumAlgorithm"] = more["ChecksumAlgorithm"]
        done = s3.upload_part(PartNumber=number, Body=piece, **upload, **(key_args or {}), **sums)
        named = {name: value for name, value in done.items() if name.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": done["ETag"]} | named)
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@contextmanager
def no_body_moves(server):
    """Files of earlier tests may still be on their way out, but none comes in and none changes."""
    before = server.blobs().items()
    yield
    assert not server.blobs().items() - before


@pytest.fixture(scope="module")
def key_arn(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


@pytest.fixture
def other(s3):
    name = clients.make_bucket(s3, sse_c=True)
    yield name
    clients.empty_and_delete(s3, name)


@pytest.mark.parametrize("mode", MODES)
def test_same_key_and_mode_add_no_body_and_outlive_the_source(server, s3, bucket, other, key_arn, mode):
    write, reading, source = asked(mode, key_arn, CustomerKey())
    data = noise(3 * MIB, 5)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, Metadata={"a": "1"}, **write)
    watch = DriveWatch(server)
    with no_body_moves(server):
        for to in [(bucket, "copy"), (other, "copy")]:
            made = s3.copy_object(Bucket=to[0], Key=to[1], CopySource=f"{bucket}/k", **write, **source)
            result = made["CopyObjectResult"]
            assert (result["ETag"] == put["ETag"]) == (mode == "sse-s3")
    assert rows(watch.added()) < MIB, "rows, no body"
    head = s3.head_object(Bucket=other, Key="copy", **reading)
    assert head["Metadata"] == {"a": "1"} and head["ContentLength"] == len(data)

    s3.put_object(Bucket=bucket, Key="k", Body=b"something else", **write)
    assert read(s3.get_object(Bucket=bucket, Key="copy", **reading)) == data
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="copy")
    part = s3.get_object(Bucket=other, Key="copy", Range="bytes=65535-65536", **reading)
    assert read(part) == data[65_535:65_537]
    assert read(s3.get_object(Bucket=other, Key="copy", **reading)) == data


def test_another_key_or_mode_has_a_body_of_its_own(server, s3, kms, bucket, key_arn):
    data = noise(MIB, 6)
    second = kms.create_key()["KeyMetadata"]["Arn"]
    one, two = CustomerKey(), CustomerKey()
    cases = [
        (asked("kms", key_arn, None), asked("kms", second, None)),
        (asked("kms", key_arn, None), asked("kms-default", None, None)),
        (asked("kms", key_arn, None), asked("sse-s3", None, None)),
        (asked("sse-s3", None, None), asked("kms", key_arn, None)),
        (asked("sse-c", None, one), asked("sse-c", None, two)),
        (asked("sse-c", None, one), asked("sse-s3", None, None)),
    ]
    for (write, _, source), (target, reading, _) in cases:
        s3.put_object(Bucket=bucket, Key="k", Body=data, **write)
        before = set(server.blobs())
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **target, **source)
        assert set(server.blobs()) - before, (write, target)
        assert read(s3.get_object(Bucket=bucket, Key="copy", **reading)) == data


def test_large_object_of_parts_is_copied_without_a_byte(make_server):
    """256 MiB under SSE-KMS: not a byte of it is written, and none is read (its checksum is known).
    A server of its own, which has little else to do; a copy would move four times the bound."""
    server = make_server()
    s3, bucket = clients.s3(server), bucket_name()
    s3.create_bucket(Bucket=bucket)
    write = asked("kms", clients.kms(server).create_key()["KeyMetadata"]["Arn"], None)[0]
    piece = noise(8 * MIB, 7)
    upload_in_parts(s3, {"Bucket": bucket, "Key": "k"}, [piece] * 32, write, ChecksumAlgorithm="CRC32")
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=1)["PartsCount"] == 32

    watch, before = DriveWatch(server), moved(server)
    with no_body_moves(server):
        made = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **write)
    read_bytes, written = (b - a for a, b in zip(before, moved(server)))
    assert read_bytes < 64 * MIB and written < 64 * MIB
    assert rows(watch.added()) < MIB
    assert "-" not in made["CopyObjectResult"]["ETag"]
    head = s3.head_object(Bucket=bucket, Key="copy", PartNumber=1)
    assert head.get("PartsCount") is None and head["ContentLength"] == 256 * MIB
    with refused("416", 416):
        s3.head_object(Bucket=bucket, Key="copy", PartNumber=2)
    s3.delete_object(Bucket=bucket, Key="k")
    got = s3.get_object(Bucket=bucket, Key="copy")
    wanted = hashlib.sha256(piece * 32).digest()
    assert hashlib.sha256(read(got)).digest() == wanted


@pytest.mark.parametrize("algorithm", [None, "CRC32", "SHA256"])
def test_s8_copy_of_parts_has_a_plain_etag_and_a_checksum_of_the_whole(server, s3, bucket, algorithm):
    pieces = [noise(5 * MIB, 8), noise(5 * MIB, 9), noise(1000, 10)]
    data = b"".join(pieces)
    more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    upload_in_parts(s3, {"Bucket": bucket, "Key": "k"}, pieces, {}, **more)
    with no_body_moves(server):
        made = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")["CopyObjectResult"]
    assert made["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert made["ChecksumType"] == "FULL_OBJECT"
    plain = s3.put_object(Bucket=bucket, Key="plain", Body=data,
                          ChecksumAlgorithm=algorithm or "CRC64NVME")
    name = f"Checksum{algorithm or 'CRC64NVME'}"
    assert made[name] == plain[name]
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="copy", ObjectAttributes=["ObjectParts", "Checksum", "ETag"])
    assert "ObjectParts" not in attributes
    assert attributes["Checksum"] == {name: plain[name], "ChecksumType": "FULL_OBJECT"}
    s3.delete_object(Bucket=bucket, Key="k")
    assert read(s3.get_object(Bucket=bucket, Key="copy")) == data


def test_keys_are_asked_for_and_audited_as_if_bytes_moved(server, s3, bucket, key_arn):
    write = asked("kms", key_arn, None)[0]
    s3.put_object(Bucket=bucket, Key="k", Body=noise(MIB, 11), **write)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **write)
    events = [e for e in server.audit() if f"arn:aws:s3:::{bucket}/" in json.dumps(e)]
    assert [e["eventName"] for e in events[-3:]] == ["Decrypt", "GenerateDataKey", "CopyObject"]
    arns = [e["requestParameters"]["encryptionContext"]["aws:s3:arn"] for e in events[-3:-1]]
    assert arns == [f"arn:aws:s3:::{bucket}/k", f"arn:aws:s3:::{bucket}/copy"]


def test_disabled_key_copies_nothing(server, s3, kms, bucket):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    write = asked("kms", key, None)[0]
    s3.put_object(Bucket=bucket, Key="k", Body=noise(MIB, 12), **write)
    kms.disable_key(KeyId=key)
    with no_body_moves(server), refused("KMS.DisabledException", 400):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **write)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="copy")
    kms.enable_key(KeyId=key)


def test_versions_share_and_go_one_by_one(server, s3, key_arn):
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    write = asked("kms", key_arn, None)[0]
    data = noise(MIB, 13)
    first = s3.put_object(Bucket=bucket, Key="k", Body=data, **write)["VersionId"]
    ids = [first]
    with no_body_moves(server):
        for number in range(3):
            made = s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k?versionId={ids[-1]}",
                                  MetadataDirective="REPLACE", Metadata={"n": str(number)}, **write)
            assert made["CopySourceVersionId"] == ids[-1]
            ids.append(made["VersionId"])
    for left, gone in enumerate(reversed(ids[1:]), 1):
        s3.delete_object(Bucket=bucket, Key="k", VersionId=gone)
        assert read(s3.get_object(Bucket=bucket, Key="k")) == data, left
    assert read(s3.get_object(Bucket=bucket, Key="k", VersionId=first)) == data
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    s3.delete_bucket(Bucket=bucket)


def test_drive_holds_no_plaintext_and_verify_counts_the_references(make_server):
    server = make_server()
    s3 = clients.s3(server)
    clients.make_bucket(s3, name="copies", sse_c=True)
    marker = noise(48, 14).hex().encode()
    data = marker * (MIB // len(marker) + 1)
    customer = CustomerKey()
    for mode in ["sse-s3", "kms-default", "sse-c"]:
        write, _, source = asked(mode, None, customer)
        s3.put_object(Bucket="copies", Key=mode, Body=data, Metadata={"m": marker.decode()}, **write)
        s3.copy_object(Bucket="copies", Key=f"{mode}/copy", CopySource=f"copies/{mode}", **write, **source)
    done = server.command("verify", "--quiet")
    assert "damaged" not in done.stdout or "0 damaged" in done.stdout, done.stdout
    for mode in ["sse-s3", "kms-default", "sse-c"]:
        s3.delete_object(Bucket="copies", Key=mode)
    server.command("verify", "--quiet")
    server.restart()
    server.command("verify", "--quiet")
    assert leaks.find({"marker": marker}, leaks.files(server.files())) == []
    body = read(clients.s3(server).get_object(Bucket="copies", Key="sse-c/copy", **customer.boto()))
    assert body == data


def test_damage_is_named_for_each_copy_and_no_byte_of_it_leaves(make_server):
    server = make_server()
    s3 = clients.s3(server)
    s3.create_bucket(Bucket="copies")
    s3.put_object(Bucket="copies", Key="a", Body=noise(MIB, 15))
    s3.copy_object(Bucket="copies", Key="b", CopySource="copies/a")
    [blob] = server.open_files()
    server.stop()
    with blob.open("r+b") as file:
        file.seek(300_000)
        byte = file.read(1)
        file.seek(300_000)
        file.write(bytes([byte[0] ^ 1]))
    server.start()
    s3 = clients.s3(server)
    for key in "ab":
        with pytest.raises(Exception):  # noqa: B017 - refused, or broken off in the middle
            read(s3.get_object(Bucket="copies", Key=key))
    done = server.command("verify", "--quiet", check=False)
    assert done.returncode == 1
    assert "s3://copies/a" in done.stdout and "s3://copies/b" in done.stdout
    s3.delete_object(Bucket="copies", Key="a")
    s3.delete_object(Bucket="copies", Key="b")
    server.command("verify", "--quiet")
