# SPDX-License-Identifier: Apache-2.0
"""The proof by reading the raw data directory: after each kind of write no file of it holds
plaintext, user metadata, a customer key, a data key or a credential, in any form."""

import base64
import hashlib
import os

import pytest

import leaks
from clients import MIB, SEGMENT, CustomerKey, kms as kms_client, make_bucket, read, s3 as s3_client
from rawhttp import SIGNED_TRAILER, UNSIGNED, UNSIGNED_TRAILER, Client, Wire, crc32
from sse import KID, SSE
from strongroom import Server

MARK = "STRONGROOM-PLAINTEXT-MARKER-"
SIZES = {"empty": 0, "inline": 2_000, "large": 3 * SEGMENT + 100}


def marked(kind, size):
    """Text in which every window of 64 bytes holds a mark that names its test."""
    line = f"{MARK}{kind}:{'.' * (62 - len(MARK) - len(kind))}\n".encode()
    return (line * (size // len(line) + 1))[:size]


class Room:
    """A server, what was written to it, and every secret that must not be found."""

    def __init__(self, server):
        self.server = server
        self.s3 = s3_client(server)
        self.kms = kms_client(server)
        self.raw = Client(server)
        self.secrets = {"mark": MARK, "root secret": server.credential[1]}
        self.stored = {}
        self.bucket = "at-rest"
        make_bucket(self.s3, name=self.bucket, sse_c=True)
        self.key = self.kms.create_key()["KeyMetadata"]

    def modes(self, kind):
        customer = CustomerKey()
        self.secrets |= {
            f"customer key {kind}": customer.raw,
            f"customer key md5 {kind}": hashlib.md5(customer.raw).digest(),
        }
        kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key["KeyId"]}
        return {
            "none": ({}, {}, {}), "s3": ({"ServerSideEncryption": "AES256"}, {}, {SSE: "AES256"}),
            "kms": (kms, {}, {SSE: "aws:kms", KID: self.key["KeyId"]}),
            "c": (customer.boto(), customer.boto(), customer.headers()),
        }

    def metadata(self, kind):
        value = f"METADATA-{kind}-{os.urandom(8).hex()}"
        self.secrets[f"metadata {kind}"] = value
        return value

    def keep(self, key, data, read_args):
        self.stored[key] = (data, read_args)
        for name in ("md5", "sha256"):
            if len(data) > 32:
                self.secrets[f"{name} {key}"] = hashlib.new(name, data).digest()


def by_put(room, key, data, write, read_args, meta, size):
    room.s3.put_object(
        Bucket=room.bucket, Key=key, Body=data, Metadata={"m": meta}, ContentDisposition=meta,
        ChecksumAlgorithm="SHA256", ContentMD5=base64.b64encode(hashlib.md5(data).digest()).decode(),
        **write,
    )


def by_chunks(mode, trailer):
    def write(room, key, data, _, headers, meta, size):
        chunks = [data[at:at + SEGMENT] for at in range(0, len(data), SEGMENT)]
        lines = [("x-amz-checksum-crc32", crc32(data))] if trailer else ()
        answer = room.raw.put_chunked(
            f"/{room.bucket}/{key}", chunks, mode, lines, headers=headers | {"x-amz-meta-m": meta}
        )
        assert answer.status == 200, answer.body

    return write


def by_presigned(room, key, data, _, headers, meta, size):
    answer = room.raw.presigned(
        "PUT", f"/{room.bucket}/{key}", headers=headers | {"x-amz-meta-m": meta}, body=data
    )
    assert answer.status == 200, answer.body


def by_unsigned(room, key, data, _, headers, meta, size):
    answer = room.raw.request(
        "PUT", f"/{room.bucket}/{key}", data, headers | {"x-amz-meta-m": meta}, payload=UNSIGNED
    )
    assert answer.status == 200, answer.body


def by_copy(room, key, data, write, read_args, meta, size):
    source = {"Bucket": room.bucket, "Key": f"put/none/{size}"}
    room.s3.copy_object(
        Bucket=room.bucket, Key=key, CopySource=source, MetadataDirective="REPLACE",
        Metadata={"m": meta}, **write,
    )


def by_parts(copy):
    def write(room, key, data, write, read_args, meta, size):
        where = {"Bucket": room.bucket, "Key": key}
        upload = room.s3.create_multipart_upload(Metadata={"m": meta}, **where, **write)["UploadId"]
        if copy:
            source = {"Bucket": room.bucket, "Key": f"put/none/{size}"}
            made = room.s3.upload_part_copy(
                UploadId=upload, PartNumber=1, CopySource=source, **where, **read_args
            )["CopyPartResult"]
        else:
            made = room.s3.upload_part(
                UploadId=upload, PartNumber=1, Body=data, **where, **read_args
            )
        parts = [{"PartNumber": 1, "ETag": made["ETag"]}]
        room.s3.complete_multipart_upload(
            UploadId=upload, MultipartUpload={"Parts": parts}, **where
        )

    return write


def by_archive(room, key, data, write, read_args, meta, size):
    """Archived, and restored: the sealed bytes stay where they are."""
    where = {"Bucket": room.bucket, "Key": key}
    room.s3.put_object(Body=data, Metadata={"m": meta}, StorageClass="DEEP_ARCHIVE", **where, **write)
    room.s3.restore_object(RestoreRequest={"Days": 1}, **where)


WRITES = {
    "put": by_put, "archive": by_archive, "signed-chunks": by_chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", False),
    "signed-trailer": by_chunks(SIGNED_TRAILER, True),
    "unsigned-trailer": by_chunks(UNSIGNED_TRAILER, True), "presigned": by_presigned,
    "unsigned": by_unsigned, "copy": by_copy, "multipart": by_parts(False),
    "part-copy": by_parts(True),
}
RAW = {"signed-chunks", "signed-trailer", "unsigned-trailer", "presigned", "unsigned"}


def fill(room):
    """Every write path in every mode and size; overwritten, deleted and half-done things too."""
    for kind, write in WRITES.items():
        for mode, (boto, read_args, headers) in room.modes(kind).items():
            for size_name, size in SIZES.items():
                key = f"{kind}/{mode}/{size_name}"
                data = marked(f"put/none/{size_name}" if "copy" in kind else key, size)
                meta = room.metadata(key)
                second = headers if kind in RAW else read_args
                write(room, key, data, boto, second, meta, size_name)
                room.keep(key, data, read_args)
    for name in ("overwritten", "deleted"):
        boto, read_args, _ = room.modes(name)["s3"]
        for size in SIZES.values():
            room.s3.put_object(Bucket=room.bucket, Key=name, Body=marked(name, size), **boto)
    room.s3.delete_object(Bucket=room.bucket, Key="deleted")
    upload = room.s3.create_multipart_upload(
        Bucket=room.bucket, Key="open", Metadata={"m": room.metadata("open")}
    )["UploadId"]
    room.s3.upload_part(
        Bucket=room.bucket, Key="open", UploadId=upload, PartNumber=1, Body=marked("open", 6 * MIB)
    )


def fill_keys(room):
    """Plaintext of the key service, users' secrets, and an upload that never ends."""
    for n in range(3):
        context = {"who": "at-rest"}
        made = room.kms.generate_data_key(
            KeyId=room.key["KeyId"], KeySpec="AES_256", EncryptionContext=context
        )
        room.secrets[f"data key {n}"] = made["Plaintext"]
        plain = os.urandom(24)
        room.secrets[f"kms plaintext {n}"] = plain
        sealed = room.kms.encrypt(KeyId=room.key["KeyId"], Plaintext=plain)["CiphertextBlob"]
        assert room.kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == plain
    added = room.server.command("user", "add", "at-rest").stdout
    secret = added.split("AWS_SECRET_ACCESS_KEY=")[1].split()[0]
    room.secrets["user secret"] = secret
    with Wire(room.server, "https") as wire:
        sent = {"host": wire.host}
        signature = room.raw.signer().sign("PUT", f"/{room.bucket}/never", "", sent, UNSIGNED)
        room.secrets["request signature"] = signature
        sent["content-length"] = str(10 * MIB)
        wire.send(wire.head("PUT", f"/{room.bucket}/never", sent) + marked("never", 2 * MIB))
        room.server.process.kill()
        room.server.process.wait()


@pytest.fixture(scope="module")
def room():
    server = Server("--restore-delay-seconds", "0", log="trace").start()
    made = Room(server)
    fill(made)
    server.restart()
    made.s3, made.kms, made.raw = s3_client(server), kms_client(server), Client(server)
    fill_keys(made)
    yield made
    server.remove()


def found(room, files, skip=()):
    secrets = {n: s for n, s in room.secrets.items() if not n.startswith(tuple(skip) or ("\0",))}
    return leaks.find(secrets, leaks.files(files))


def test_the_search_finds_what_is_there(room, tmp_path):
    """The search itself, on a file that holds each secret in each form."""
    secrets = {"a": os.urandom(32), "b": "a secret of text"}
    for form in ("plain", "hex", "base64+0", "base64+1", "base64+2", "escaped", "UTF-16"):
        for name, secret in secrets.items():
            path = tmp_path / "f"
            path.write_bytes(b"x" * 1001 + leaks.forms(secret)[form] + b"y" * 10)
            assert any(hit[0] == name for hit in leaks.find(secrets, leaks.files([path]))), form
    padded = base64.b64encode(b"12" + secrets["a"] + b"3")
    assert leaks.find(secrets, [("padded", padded)])


def test_nothing_in_the_data_directory(room):
    """Every file: blobs, tables, index, audit log, keys, certificates, remains of a kill."""
    files = room.server.files()
    assert len(files) > 30 and sum(p.stat().st_size for p in files) > 10 * MIB
    audit = set(room.server.audit_files())
    assert found(room, [p for p in files if p not in audit]) == []
    # CloudTrail's record of a request with a customer key holds the key's MD5, and only that.
    assert found(room, audit, skip=["customer key md5"]) == []


def test_nothing_in_names_of_files(room):
    names = "\n".join(str(p) for p in room.server.base.rglob("*")).encode()
    assert leaks.find(room.secrets, [("names", names)]) == []


def test_root_key_is_in_its_file_only(room):
    """Then a drive without that file is worthless."""
    content = (room.server.data / "root.key").read_bytes()
    rest = [p for p in room.server.files() if p.name != "root.key"]
    assert leaks.find({"root key": content.strip()}, leaks.files(rest)) == []
    halves = {"half": content.strip()[-24:]}
    assert leaks.find(halves, leaks.files(rest)) == []


def test_secret_files_are_for_the_owner_only(room):
    for path in (room.server.data, *room.server.data.rglob("*")):
        mode = path.stat().st_mode & 0o077
        if path.name in ("ca.pem",) or path.is_symlink():
            continue
        if path.parent == room.server.data or path == room.server.data:
            assert mode == 0 or path.name in ("tls", "drive"), (path, oct(mode))
    assert room.server.data.stat().st_mode & 0o077 == 0


def test_nothing_in_the_log_at_the_most_talkative_level(room):
    log = room.server.log().encode() + room.server.out_file.read_bytes()
    assert len(log) > 10_000
    assert leaks.find(room.secrets, [("log", log)]) == []


def test_all_of_it_is_still_there(room):
    """Sealed means nothing if it cannot be opened: everything reads back after the kill."""
    room.server.start()
    s3 = s3_client(room.server)
    for key, (data, read_args) in room.stored.items():
        assert read(s3.get_object(Bucket=room.bucket, Key=key, **read_args)) == data, key
    names = [
        o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=room.bucket)
        for o in page["Contents"]
    ]
    assert sorted(names) == sorted([*room.stored, "overwritten"])
    assert room.server.command("verify", "--quiet").stdout.count("DAMAGED") == 0
    room.server.stop()
    marks = {"mark": MARK} | {n: s for n, s in room.secrets.items() if n.startswith("customer key p")}
    assert leaks.find(marks, leaks.files(room.server.files())) == []
