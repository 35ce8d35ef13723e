# SPDX-License-Identifier: Apache-2.0
"""DSSE-KMS: two layers around every object that asks for them, on every way in and out.

The matrix runs in two modes of it (`sse.py`); here is what is special about two layers.
"""

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest

import clients
import leaks
import sse
from clients import CustomerKey, MIB, SEGMENT, bucket_name, headers_of, noise, read, refused
from drive_watch import DriveWatch
from sse import BK, CTX, KID, SSE

DSSE = "aws:kms:dsse"
MARK = b"DSSE-PLAINTEXT-MARK-"
# What a segment has on the drive: 64 KiB of plaintext, 64 bytes of two layers, a checksum.
SLOT = SEGMENT + 64 + 8


@pytest.fixture(scope="module")
def key(kms):
    return kms.create_key(Description="two layers")["KeyMetadata"]["Arn"]


def dsse(key=None):
    return {"ServerSideEncryption": DSSE} | ({"SSEKMSKeyId": key} if key else {})


def text(size):
    return (MARK * (size // len(MARK) + 1))[:size]


def says_so(answer, key):
    headers = headers_of(answer)
    assert (headers[SSE], headers[KID]) == (DSSE, key)
    assert BK not in headers


def in_parts(s3, bucket, key_arn, parts, name="k"):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=name, **dsse(key_arn))
    says_so(upload, key_arn)
    where = {"Bucket": bucket, "Key": name, "UploadId": upload["UploadId"]}

    def send(number):
        answer = s3.upload_part(PartNumber=number, Body=parts[number - 1], **where)
        says_so(answer, key_arn)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    with ThreadPoolExecutor(4) as pool:
        named = list(pool.map(send, range(1, len(parts) + 1)))
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **where)
    says_so(done, key_arn)


@pytest.mark.parametrize("size", [
    0, 1, 1_000, 32_000, 33_000, SEGMENT - 1, SEGMENT, SEGMENT + 1, 8 * SEGMENT, 8 * SEGMENT + 1,
    3 * MIB + 17,
])
def test_s2_7_every_size_comes_back_and_is_nowhere_in_clear(server, s3, bucket, key, size):
    watch = DriveWatch(server)
    data = text(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **dsse(key))
    says_so(put, key)
    assert put["ETag"] != f'"{hashlib.md5(data).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert read(got) == data
    says_so(got, key)
    secrets = {"mark": MARK} | ({"md5": hashlib.md5(data).digest()} if data else {})
    assert leaks.find(secrets, watch.added()) == []
    assert size < 33_000 or watch.read_bytes > size


def test_s2_7_hundred_mebibytes_in_parts_and_ranges_of_them(server, s3, bucket, key):
    watch = DriveWatch(server)
    parts = [noise(16 * MIB + n * 1_013, n)[:-24] + MARK + b"last" for n in range(6)] + [text(4 * MIB)]
    whole = b"".join(parts)
    in_parts(s3, bucket, key, parts)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentLength"] == len(whole) >= 100 * MIB
    says_so(head, key)
    assert leaks.find({"mark": MARK}, watch.added()) == []
    first = len(parts[0])
    spans = [
        (0, 0), (SEGMENT - 1, SEGMENT), (8 * SEGMENT - 1, 8 * SEGMENT), (first - 1, first),
        (first - SEGMENT, first + SEGMENT), (len(whole) - 1, len(whole) - 1), (5, len(whole) - 7),
        (first, first + len(parts[1]) - 1),
    ]
    for a, b in spans:
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={a}-{b}")
        assert hashlib.sha256(read(got)).digest() == hashlib.sha256(whole[a:b + 1]).digest(), (a, b)
        assert got["ContentRange"] == f"bytes {a}-{b}/{len(whole)}"
    for number, part in enumerate(parts, 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert hashlib.sha256(read(got)).digest() == hashlib.sha256(part).digest()
    got = s3.get_object(Bucket=bucket, Key="k")
    assert hashlib.sha256(read(got)).digest() == hashlib.sha256(whole).digest()


def test_s2_7_a_bucket_key_is_tolerated_and_not_applied(s3, raw, bucket, key):
    for value in ("true", "false"):
        answer = raw.request("PUT", f"/{bucket}/k", b"x", {SSE: DSSE, KID: key, BK: value})
        assert answer.status == 200
        assert answer.headers[SSE] == DSSE and BK not in answer.headers
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": DSSE, "KMSMasterKeyID": key},
            "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    says_so(s3.put_object(Bucket=bucket, Key="k", Body=b"x"), key)
    says_so(s3.get_object(Bucket=bucket, Key="k"), key)


@pytest.mark.sse_c
def test_s2_7_the_default_of_a_bucket_is_applied_on_every_way_in(server, s3, bucket, key):
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": DSSE, "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    watch = DriveWatch(server)
    says_so(s3.put_object(Bucket=bucket, Key="put", Body=text(70_000)), key)
    source = {"Bucket": bucket, "Key": "put"}
    says_so(s3.copy_object(Bucket=bucket, Key="copy", CopySource=source), key)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")
    says_so(upload, key)
    where = {"Bucket": bucket, "Key": "parts", "UploadId": upload["UploadId"]}
    part = s3.upload_part(PartNumber=1, Body=text(5 * MIB), **where)
    copied = s3.upload_part_copy(PartNumber=2, CopySource=source, **where)
    says_so(copied, key)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]},
             {"PartNumber": 2, "ETag": copied["CopyPartResult"]["ETag"]}]
    says_so(s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **where), key)
    for name, data in (("put", text(70_000)), ("copy", text(70_000)),
                       ("parts", text(5 * MIB) + text(70_000))):
        got = s3.get_object(Bucket=bucket, Key=name)
        assert read(got) == data
        says_so(got, key)
    assert leaks.find({"mark": MARK}, watch.added()) == []
    # What the request says beats the rule.
    assert headers_of(s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256"))[SSE] == "AES256"
    assert headers_of(s3.put_object(Bucket=bucket, Key="k", Body=b"x", **CustomerKey().boto())).get(SSE) is None


def test_s2_7_checksums_and_attributes(s3, bucket, key):
    data = text(10_000)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm="SHA256", **dsse(key))
    wanted = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert put["ChecksumSHA256"] == wanted
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumSHA256"] == wanted
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumSHA256"] == wanted
    asked = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    assert asked["Checksum"]["ChecksumSHA256"] == wanted and asked["ObjectSize"] == 10_000
    with refused("BadDigest"):
        s3.put_object(Bucket=bucket, Key="k", Body=data, ContentMD5=base64.b64encode(bytes(16)).decode(), **dsse(key))
    assert read(s3.get_object(Bucket=bucket, Key="k")) == data


def test_s2_4_one_use_of_the_key_to_write_and_one_to_read(server, s3, bucket, kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **dsse(key))
    read(s3.get_object(Bucket=bucket, Key="k"))
    s3.head_object(Bucket=bucket, Key="k")
    events = [event for event in server.audit() if key in json.dumps(event)]
    used = [event["eventName"] for event in events if event["eventName"] in ("GenerateDataKey", "Decrypt")]
    assert sorted(used) == ["Decrypt", "GenerateDataKey"]
    contexts = {event["requestParameters"]["encryptionContext"]["aws:s3:arn"] for event in events
                if event["eventName"] in ("GenerateDataKey", "Decrypt")}
    assert contexts == {f"arn:aws:s3:::{bucket}/k"}
    put = [e for e in server.audit() if e["eventName"] == "PutObject" and bucket in json.dumps(e)]
    assert put[-1]["additionalEventData"]["SSEApplied"] == "SSE_KMS_DSSE"


def test_s2_5_a_disabled_key_stops_reads_and_writes(s3, bucket, kms):
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **dsse(key))
    kms.disable_key(KeyId=key)
    for call in (
        lambda: s3.get_object(Bucket=bucket, Key="k"),
        lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x", **dsse(key)),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="new", **dsse(key)),
        lambda: s3.copy_object(Bucket=bucket, Key="new", CopySource={"Bucket": bucket, "Key": "k"}),
    ):
        with refused("KMS.DisabledException", 400):
            call()
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 1
    kms.enable_key(KeyId=key)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"
    absent = key.rsplit("/", 1)[0] + "/11112222-3333-4444-8555-666677778888"
    with refused("KMS.NotFoundException", 400):
        s3.put_object(Bucket=bucket, Key="new", Body=b"x", **dsse(absent))


def test_s2_5_not_over_http(raw, raw_http, s3, bucket, key):
    answer = raw_http.request("PUT", f"/{bucket}/k", b"x", {SSE: DSSE, KID: key})
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **dsse(key))
    assert raw_http.request("GET", f"/{bucket}/k").status == 400


@pytest.mark.sse_c
@pytest.mark.parametrize("headers", [
    {SSE: "aws:kms:DSSE"}, {SSE: "aws:dsse"}, {SSE: "aws:kms:dsse "[:-1] + ",aws:kms"},
    {SSE: DSSE, CTX: "e"}, {SSE: DSSE, CTX: base64.b64encode(b"[]").decode()},
    {SSE: DSSE, BK: "maybe"}, {SSE: DSSE, sse.C_ALG: "AES256"},
])
def test_s1_3_what_is_no_request_for_two_layers(raw, s3, bucket, headers):
    answer = raw.request("PUT", f"/{bucket}/k", b"x", headers)
    assert answer.status == 400
    assert answer.code in ("InvalidArgument", "InvalidEncryptionAlgorithmError", "InvalidRequest")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.sse_c
def test_s1_3_a_customer_key_does_not_go_with_it(raw, s3, bucket):
    answer = raw.request("PUT", f"/{bucket}/k", b"x", {SSE: DSSE} | CustomerKey().headers())
    assert answer.status == 400
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **dsse())
    assert raw.request("GET", f"/{bucket}/k", headers=CustomerKey().headers()).status == 400
    assert raw.request("GET", f"/{bucket}/k", headers={SSE: DSSE}).status == 400


def test_s6_8_update_object_encryption_neither_from_nor_to(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **dsse(key))
    with refused("InvalidRequest", 400):
        s3.update_object_encryption(
            Bucket=bucket, Key="k", ObjectEncryption={"SSEKMS": {"KMSKeyArn": key}})
    says_so(s3.get_object(Bucket=bucket, Key="k"), key)


def test_the_way_out_is_a_copy(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="k", Body=text(200_000), **dsse(key))
    itself = {"Bucket": bucket, "Key": "k", "CopySource": {"Bucket": bucket, "Key": "k"}}
    for ask, mode in (({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}, "aws:kms"), (dsse(), DSSE),
                      ({"ServerSideEncryption": "AES256"}, "AES256"), (dsse(key), DSSE), (dsse(key), DSSE)):
        assert headers_of(s3.copy_object(**itself, **ask))[SSE] == mode
        got = s3.get_object(Bucket=bucket, Key="k")
        assert (read(got), headers_of(got)[SSE]) == (text(200_000), mode)


def test_versions_each_have_their_layers(s3, key):
    bucket = bucket_name("layers")
    s3.create_bucket(Bucket=bucket)
    try:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        ids = [s3.put_object(Bucket=bucket, Key="k", Body=bytes([n]) * 70_000, **mode)["VersionId"]
               for n, mode in enumerate((dsse(key), {}, dsse(), dsse(key)))]
        s3.delete_object(Bucket=bucket, Key="k")
        for n, version in enumerate(ids):
            got = s3.get_object(Bucket=bucket, Key="k", VersionId=version)
            assert read(got) == bytes([n]) * 70_000
            assert headers_of(got)[SSE] == ("AES256" if n == 1 else DSSE)
    finally:
        clients.empty_and_delete(s3, bucket)


def test_the_operator_sees_two_layers_and_no_secret(server, s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="k", Body=text(200_000), **dsse(key))
    done = server.command("inspect", "object", f"s3://{bucket}/k")
    found = json.loads(done.stdout)
    assert found["encryption"]["mode"] == "DSSE-KMS"
    assert found["format"]["layers"] == 2
    assert found["parts"][0]["sealed_bytes"] == 200_000 + 4 * 64


# ---- damage: each layer, each place ------------------------------------------------------------


def blob_of(server, bucket, name):
    done = server.command("inspect", "object", f"s3://{bucket}/{name}")
    [file] = json.loads(done.stdout)["parts"][0]["files"]
    [path] = [path for path in server.files() if str(path).endswith(file)]
    return path


def test_sec_every_place_of_a_segment_counts_and_nothing_of_it_is_served(make_server):
    """A checksum of the drive is no defence: it is computed anew here. What refuses is the outer
    layer, for every byte of it: marker, nonce, both of the inner one's, ciphertext, tags."""
    server = make_server()
    s3, kms = clients.s3(server), clients.kms(server)
    bucket = bucket_name("tamper")
    s3.create_bucket(Bucket=bucket)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    data = noise(3 * SEGMENT + 100, 3)
    s3.put_object(Bucket=bucket, Key="k", Body=data, **dsse(key))
    path = blob_of(server, bucket, "k")
    sound = path.read_bytes()
    # Behind the units stand the manifest and the trailer.
    assert 128 < len(sound) - (64 + 3 * SLOT + 100 + 64 + 8) <= 64 + 16_384
    for at in (64, 68, 80, 84, 96, 96 + 1_000, 64 + SEGMENT + 32, 64 + SEGMENT + 63, 64 + SLOT + 5):
        damaged = bytearray(sound)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(Exception):
            read(s3.get_object(Bucket=bucket, Key="k"))
        # A range within a sound segment is served, from within the damaged one nothing.
        sound_segment = 2
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={sound_segment * SEGMENT}-{sound_segment * SEGMENT + 9}")
        assert read(got) == data[sound_segment * SEGMENT:sound_segment * SEGMENT + 10]
        hit = 0 if at < 64 + SLOT else 1
        with refused("InternalError", 500):
            s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={hit * SEGMENT}-{hit * SEGMENT + 9}")
    for wrong in (sound[:64 + SLOT], b"", sound[:64] + sound[64 + SLOT:],
                  sound[:64] + sound[64 + SLOT:64 + 2 * SLOT] + sound[64:64 + SLOT] + sound[64 + 2 * SLOT:]):
        path.write_bytes(wrong)
        with pytest.raises(Exception):
            read(s3.get_object(Bucket=bucket, Key="k"))
    # What ends the file is not read with the units: the bytes are right, or none. These come last,
    # since the server may heal them away at any moment.
    for wrong in (sound[:-1], sound + b"x"):
        path.write_bytes(wrong)
        try:
            assert read(s3.get_object(Bucket=bucket, Key="k")) == data
        except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError):
            pass
    path.write_bytes(sound)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == data
    server.restart()
    assert read(clients.s3(server).get_object(Bucket=bucket, Key="k")) == data
