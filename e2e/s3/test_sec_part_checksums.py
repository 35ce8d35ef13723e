# SPDX-License-Identifier: Apache-2.0
"""Checksums of parts: nobody hears of a guess without the key, and with the server's root key alone no
file of a drive shows one."""

import base64
import hashlib
import json
import sys
import uuid
import zlib
from pathlib import Path

import pytest

import clients
from clients import MIB, make_bucket, noise, read, refused
from strongroom import Server

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "vectors"))
sys.dont_write_bytecode = True

import reproduce as spec

pytestmark = pytest.mark.sse_c

SECRET = b"salary of alice: 4711" + b"x" * 100_000
OTHER = b"salary of alice: 4712" + b"x" * 100_000
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"1" * 32}

# For the one operation that boto does not encode it for.
WRITTEN_OUT = {
    "SSECustomerAlgorithm": "AES256", "SSECustomerKey": base64.b64encode(b"1" * 32).decode(),
    "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(b"1" * 32).digest()).decode()}


def b64(data):
    return base64.b64encode(data).decode()


def sha256(data):
    return b64(hashlib.sha256(data).digest())


def crc32(data):
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def mode_of(name, key):
    """(what Create says, what each part says)"""
    if name == "sse-s3":
        return {}, {}
    if name == "sse-c":
        return CUSTOMER, CUSTOMER
    return {"ServerSideEncryption": name, "SSEKMSKeyId": key}, {}


@pytest.fixture
def outsider(server, bucket):
    """Who may write into the bucket and list parts there, and use no key."""
    name = f"u-{uuid.uuid4().hex[:12]}"
    path = server.base / f"{name}.json"
    allowed = {"Effect": "Allow", "Resource": "*", "Action": [
        "s3:PutObject", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads"]}
    path.write_text(json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    out = server.command("user", "add", name, "--policy", str(path)).stdout
    found = dict(line.split("=", 1) for line in out.splitlines() if line.startswith("AWS_"))
    yield clients.s3(server, credential=(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]))
    server.command("user", "remove", name, check=False)


@pytest.mark.parametrize("name", ["aws:kms", "aws:kms:dsse", "sse-c"])
@pytest.mark.parametrize("algorithm", ["SHA256", "CRC32", None])
def test_sec_n76_complete_says_nothing_of_a_guess_to_who_may_not_use_the_key(
        s3, kms, bucket, outsider, name, algorithm):
    """It was 400 for a wrong and 403 for a right guess of the plaintext."""
    key = kms.create_key()["KeyMetadata"]["Arn"]
    created, each = mode_of(name, key)
    fixed = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", **created, **fixed)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}
    kind = algorithm or "CRC32"
    digest = {"SHA256": sha256, "CRC32": crc32}[kind]
    stored = s3.upload_part(**upload, **each, PartNumber=1, Body=SECRET, ChecksumAlgorithm=kind)
    assert stored[f"Checksum{kind}"] == digest(SECRET)

    def complete(client, guess, whole=None, **more):
        part = {"PartNumber": 1, "ETag": stored["ETag"], f"Checksum{kind}": digest(guess)}
        if whole is not None:
            more[f"Checksum{kind}"] = digest(whole)
        return client.complete_multipart_upload(
            **upload, **more, MultipartUpload={"Parts": [part]})

    expected = ("InvalidRequest", 400) if name == "sse-c" else ("AccessDenied", 403)
    messages = set()
    for guess, whole in ((SECRET, None), (OTHER, None), (SECRET, SECRET), (SECRET, OTHER)):
        with refused(*expected) as caught:
            complete(outsider, guess, whole)
        messages.add(caught.value.response["Error"]["Message"])
    assert len(messages) == 1, messages
    if name != "sse-c" and algorithm:
        with refused("AccessDenied", 403):
            outsider.list_parts(**upload)
    # Who may use the key hears it.
    with refused("InvalidPart", 400):
        complete(s3, OTHER, **each)
    listed = s3.list_parts(**upload, **(WRITTEN_OUT if each else {}))["Parts"][0]
    assert listed.get(f"Checksum{kind}") == (digest(SECRET) if algorithm else None)
    complete(s3, SECRET, **each)
    assert read(s3.get_object(Bucket=bucket, Key="k", **each)) == SECRET


def opened_manifests(server):
    """What is in the manifests of all shard files, for who has root key, keyring and drive."""
    data = server.data
    rows = spec.keyring_body({
        "file": (data / "keyring").read_bytes().hex(),
        "root_key": (data / "root.key").read_text().strip()})
    rows = [rows[i:i + 45] for i in range(0, len(rows), 45)]
    domains = {int.from_bytes(row[1:5], "big"): row[13:] for row in rows if row[0] == 1}
    superblock = (data / "drive/superblock").read_bytes()
    clusters = {superblock[i:i + 16] for i in range(len(superblock) - 15)}
    out = []
    for path in sorted((data / "drive/blobs").glob("*/*")):
        tail = path.read_bytes()[-20_000:-64]
        for epoch, secret in domains.items():
            domain = spec.extract(b"strongroom/1/domain", secret)

            def derive(label, domain=domain, epoch=epoch):
                return spec.expand(domain, b"strongroom/1/" + label + b"\0" + spec.u(32, epoch), 32)

            at = tail.find(b"\1" + spec.u(32, epoch))
            while at >= 0:
                for cluster in clusters:
                    v = {"cluster_id": cluster.hex(), "blob": path.name}
                    key, aad = spec.manifest_key(v, {epoch: derive}, epoch)
                    try:
                        out.append(spec.gcm_open(key, tail[at + 5:at + 17], tail[at + 17:], aad))
                    except spec.Refused:
                        continue
                at = tail.find(b"\1" + spec.u(32, epoch), at + 1)
    return out


@pytest.mark.parametrize("name", ["sse-s3", "aws:kms", "aws:kms:dsse", "sse-c"])
@pytest.mark.parametrize("algorithm", ["SHA256", None])
def test_sec_n79_the_root_key_alone_opens_no_digest_of_a_part(name, algorithm):
    """It lay in the manifest of every part, for as long as the object was there, whatever became of
    its KMS key. The search is right if it finds those of an upload under SSE-S3."""
    with Server() as server:
        s3, kms = clients.s3(server), clients.kms(server)
        bucket = make_bucket(s3, sse_c=True)
        key = kms.create_key()["KeyMetadata"]["Arn"]
        created, each = mode_of(name, key)
        fixed = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        made = s3.create_multipart_upload(Bucket=bucket, Key="marked-name", **created, **fixed)
        upload = {"Bucket": bucket, "Key": "marked-name", "UploadId": made["UploadId"]}
        kind = algorithm or "CRC32"
        pieces, parts, digests = [noise(5 * MIB, 3), SECRET], [], []
        for number, piece in enumerate(pieces, 1):
            stored = s3.upload_part(**upload, **each, PartNumber=number, Body=piece,
                                    ChecksumAlgorithm=kind)
            digests.append(base64.b64decode(stored[f"Checksum{kind}"]))
            parts.append({"PartNumber": number, "ETag": stored["ETag"],
                          f"Checksum{kind}": stored[f"Checksum{kind}"]})

        def found():
            manifests = opened_manifests(server)
            assert sum(b"marked-name" in one for one in manifests) >= 2
            return sum(digest in one for one in manifests for digest in digests)

        while_open = found()
        s3.complete_multipart_upload(**upload, **each, MultipartUpload={"Parts": parts})
        finished = found()
        assert read(s3.get_object(Bucket=bucket, Key="marked-name", **each)) == b"".join(pieces)
        if name == "sse-s3":
            assert while_open >= 2 and finished >= 2
        else:
            assert (while_open, finished) == (0, 0)
