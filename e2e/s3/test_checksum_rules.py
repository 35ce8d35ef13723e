# SPDX-License-Identifier: Apache-2.0
"""Checksums of sealed objects: who sees them, and on which reads."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "kms"))

import clients  # noqa: E402
from clients import MIB, CustomerKey, noise, read  # noqa: E402
from people import User, allow, deny, document  # noqa: E402
from test_checksums import ALGORITHMS, checksum  # noqa: E402

pytestmark = pytest.mark.sse_c

KEY = CustomerKey(bytes(range(32)))
MODES = {
    "s3": ({"ServerSideEncryption": "AES256"}, {}), "kms": ({"ServerSideEncryption": "aws:kms"}, {}),
    "c": (KEY.boto(), KEY.boto()),
}
DATA = noise(100_000, 3)


def shown(answer):
    return {name: value for name, value in answer.items() if name.startswith("Checksum")}


@pytest.mark.parametrize("algorithm", [None, *ALGORITHMS])
@pytest.mark.parametrize("mode", MODES)
def test_s8_a_checksum_is_shown_when_asked_for_the_whole_object(server, bucket, mode, algorithm):
    """None sent: CRC64NVME. Never on a read that does not ask, never on a range."""
    s3 = clients.s3(server, request_checksum_calculation="when_required",
                    response_checksum_validation="when_required")
    write, reading = MODES[mode]
    where = {"Bucket": bucket, "Key": "k"}
    name = f"Checksum{algorithm or 'CRC64NVME'}"
    value = checksum(algorithm or "CRC64NVME", DATA)
    more = {name: value} if algorithm else {}
    assert s3.put_object(Body=DATA, **where, **write, **more)[name] == value
    whole = {name: value, "ChecksumType": "FULL_OBJECT"}
    for ask in (s3.get_object, s3.head_object):
        assert shown(ask(ChecksumMode="ENABLED", **where, **reading)) == whole
        assert shown(ask(**where, **reading)) == {}
    # A range has no checksum of the whole; a part that is the object may.
    assert shown(s3.get_object(Range="bytes=1-9", ChecksumMode="ENABLED", **where, **reading)) == {}
    part = s3.get_object(PartNumber=1, ChecksumMode="ENABLED", **where, **reading)
    assert read(part) == DATA and shown(part).get(name, value) == value
    # A copy keeps algorithm and value, whatever it is sealed with.
    for target, (to, _) in MODES.items():
        source = KEY.boto(source=True) if mode == "c" else {}
        made = s3.copy_object(Bucket=bucket, Key=target, CopySource=where, **source, **to)
        assert made["CopyObjectResult"][name] == value


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_s8_a_part_is_shown_with_its_own_checksum(server, bucket, mode, algorithm):
    """Of a composite checksum, which is one of parts; never with that of the whole, which would not
    fit the bytes."""
    s3 = clients.s3(server, request_checksum_calculation="when_required",
                    response_checksum_validation="when_required")
    write, reading = MODES[mode]
    where, name = {"Bucket": bucket, "Key": "m"}, f"Checksum{algorithm}"
    pieces = [noise(5 * MIB, 4), b"tail"]
    upload = where | {"UploadId": s3.create_multipart_upload(
        **where, **write, ChecksumAlgorithm=algorithm)["UploadId"]}
    parts = []
    for number, piece in enumerate(pieces, 1):
        made = s3.upload_part(
            PartNumber=number, Body=piece, ChecksumAlgorithm=algorithm, **upload, **reading)
        assert made[name] == checksum(algorithm, piece)
        parts.append({"PartNumber": number, "ETag": made["ETag"], name: made[name]})
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **reading)
    kind = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    assert done["ChecksumType"] == kind
    assert shown(s3.head_object(ChecksumMode="ENABLED", **where, **reading)) == shown(done)
    for number, piece in enumerate(pieces, 1):
        of_part = {name: checksum(algorithm, piece), "ChecksumType": kind}
        for ask in (s3.get_object, s3.head_object):
            part = ask(PartNumber=number, ChecksumMode="ENABLED", **where, **reading)
            assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
            assert shown(part) == (of_part if kind == "COMPOSITE" else {})
            assert shown(ask(PartNumber=number, **where, **reading)) == {}
        got = s3.get_object(PartNumber=number, ChecksumMode="ENABLED", **where, **reading)
        assert read(got) == piece
    ranged = s3.get_object(Range="bytes=0-9", ChecksumMode="ENABLED", **where, **reading)
    assert shown(ranged) == {} and read(ranged) == pieces[0][:10]
    # A part that is all there is has the checksum of the object.
    s3.put_object(Bucket=bucket, Key="one", Body=DATA, ChecksumAlgorithm=algorithm, **write)
    whole = {name: checksum(algorithm, DATA), "ChecksumType": "FULL_OBJECT"}
    head = s3.head_object(Bucket=bucket, Key="one", PartNumber=1, ChecksumMode="ENABLED", **reading)
    assert shown(head) == whole


def test_s8_the_checksum_of_a_kms_object_needs_the_key(server, s3, kms_key, bucket):
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=kms_key["id"], **where)
    user = User(server, document(allow("*"), deny("kms:Decrypt", "*")))
    assert shown(user.s3.head_object(**where)) == {}
    with pytest.raises(user.s3.exceptions.ClientError) as caught:
        user.s3.head_object(ChecksumMode="ENABLED", **where)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    user.remove()


def test_s8_the_checksum_of_a_part_of_a_kms_object_needs_the_key(server, s3, kms_key, bucket):
    where = {"Bucket": bucket, "Key": "m"}
    upload = where | {"UploadId": s3.create_multipart_upload(
        ServerSideEncryption="aws:kms", SSEKMSKeyId=kms_key["id"], ChecksumAlgorithm="SHA256",
        **where)["UploadId"]}
    made = s3.upload_part(PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256", **upload)
    part = {"PartNumber": 1, "ETag": made["ETag"], "ChecksumSHA256": made["ChecksumSHA256"]}
    s3.complete_multipart_upload(MultipartUpload={"Parts": [part]}, **upload)
    user = User(server, document(allow("*"), deny("kms:Decrypt", "*")))
    assert shown(user.s3.head_object(PartNumber=1, **where)) == {}
    with pytest.raises(user.s3.exceptions.ClientError) as caught:
        user.s3.head_object(PartNumber=1, ChecksumMode="ENABLED", **where)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    user.remove()


@pytest.mark.parametrize("word", ["INVALID", "DISABLED", ""])
def test_s8_the_checksum_mode_is_enabled_or_refused(raw, s3, bucket, word):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.request("GET", f"/{bucket}/k", headers={"x-amz-checksum-mode": word})
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer.body
    assert answer.element("Message") == "Value for x-amz-checksum-mode header is invalid."


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_s8_a_type_needs_an_algorithm(raw, bucket, kind):
    answer = raw.request("POST", f"/{bucket}/m?uploads", b"", {"x-amz-checksum-type": kind})
    assert (answer.status, answer.code) == (400, "InvalidRequest"), answer.body
    assert answer.element("Message") == (
        "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")


def test_s8_a_failed_checksum_leaves_what_was_there(raw, s3, bucket):
    for write, reading in MODES.values():
        s3.put_object(Bucket=bucket, Key="k", Body=b"before", **write)
        headers = {"x-amz-checksum-sha256": checksum("SHA256", b"other")}
        answer = raw.request("PUT", f"/{bucket}/k", b"after", headers)
        assert (answer.status, answer.code) == (400, "BadDigest")
        assert read(s3.get_object(Bucket=bucket, Key="k", **reading)) == b"before"
