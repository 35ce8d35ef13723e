# SPDX-License-Identifier: Apache-2.0
"""Sealed bytes on the raw drive are changed while the server is stopped: no wrong byte leaves.

`crash/test_damage.py` harms files as a drive does. Here is somebody who knows the format: whole units
are exchanged and put back from an older version, and the checksums, which need no key, are made to
fit, so that what refuses is the encryption alone. Rows are changed by the tamper tests of
strongroom-object.
"""

import re

import pytest

import clients
import shard_sums
import sse
from clients import SEGMENT, noise, read, refused
from rawhttp import Client
from strongroom import Server

HEADER, TRAILER, SUM = 64, 64, 8
# In the first run of segments that an answer waits for, and behind it.
SMALL, LARGE = 3 * SEGMENT + 1000, 20 * SEGMENT + 1000
BUCKET, SPARE = "tamper", "spare"


class Shard:
    """A shard file taken apart, and put together with checksums that fit."""

    def __init__(self, data):
        manifest = int.from_bytes(data[-24:-20], "little")
        end = len(data) - TRAILER - manifest
        self.header, self.rest = data[:HEADER], data[end:]
        self.unit = int.from_bytes(data[12:16], "little")
        body, step = data[HEADER:end], self.unit + SUM
        self.units = [body[at:at + step][:-SUM] for at in range(0, len(body), step)]

    def bytes(self):
        base = shard_sums.xxh3_64(self.header[16:32] + b"\0", 0x5352554E49000001)
        out = self.header
        for number, unit in enumerate(self.units):
            seed = base + number * 0x9E3779B97F4A7C15 & shard_sums.MASK
            out += unit + shard_sums.xxh3_64(unit, seed).to_bytes(SUM, "little")
        return out + self.rest


def flip(at, unit=0):
    def harm(shard, _):
        changed = bytearray(shard.units[unit])
        changed[at] ^= 0x20
        shard.units[unit] = bytes(changed)

    return harm


def exchange(one, other):
    def harm(shard, _):
        shard.units[one], shard.units[other] = shard.units[other], shard.units[one]

    return harm


def replay(*numbers):
    """Units of the version before, of the same name and length; no number means all."""
    def harm(shard, older):
        for number in numbers or range(len(shard.units)):
            shard.units[number] = older.units[number]

    return harm


def zeros(unit):
    def harm(shard, _):
        shard.units[unit] = bytes(len(shard.units[unit]))

    return harm


def as_first(shard, _):
    shard.units[1] = shard.units[0]


# What is done with fitting checksums, and then what any fool can do.
KNOWING = {
    "marker": flip(0), "nonce": flip(5), "first-byte": flip(16), "middle": flip(30_000, 1),
    "tag": flip(-1), "last-unit": flip(20, -1), "last-tag": flip(-1, -1),
    "exchanged": exchange(0, 2), "repeated": as_first, "zeros": zeros(1),
    "replay-first": replay(0), "replay-last": replay(-1), "replay-all": replay(),
}
BLUNT = {
    "bit": lambda data: data[:70_000] + bytes([data[70_000] ^ 1]) + data[70_001:],
    "cut": lambda data: data[:HEADER + 2 * (SEGMENT + 32 + SUM)],
    "cut-in-unit": lambda data: data[:-20_000], "grown": lambda data: data + bytes(40),
    "empty": lambda data: b"",
}
# Behind the first run of segments: the answer has begun when it is found.
LATE = {"late-flip": flip(9, 15), "late-exchange": exchange(14, 15), "late-replay": replay(15)}
HARMS = {**KNOWING, **BLUNT, **LATE}
MODES = ["sse-s3", "kms-context", "kms-bucket-key-context", "dsse-context", "sse-c"]
SHAPES = ["put", "parts"]
CASES = [
    (mode, shape, harm) for mode in MODES for shape in SHAPES for harm in HARMS
    if shape == "put" or harm in [*LATE, "replay-all", "exchanged"]
]


class House:
    """A server whose objects were harmed while it was stopped, one harm for each object."""

    def __init__(self):
        self.server = Server().start()
        self.s3, kms = clients.s3(self.server), clients.kms(self.server)
        for name in (BUCKET, SPARE):
            self.s3.create_bucket(Bucket=name)
            self.s3.put_bucket_encryption(
                Bucket=name, ServerSideEncryptionConfiguration={
                    "Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}]},
            )
        self.s3.put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        key = kms.create_key()["KeyMetadata"]
        ids = {"id": key["KeyId"], "arn": key["Arn"], "alias": "alias/t", "alias_arn": "-"}
        self.modes = {mode.name: mode for mode in sse.modes(kms, ids) if mode.name in MODES}
        self.objects, self.known, plan = {}, set(), []
        for case in CASES:
            plan.append((*case, self.store(*case)))
        for mode in MODES:
            self.store(mode, "put", "sound")
        self.server.stop()
        for *_, harm, (current, older) in plan:
            data = current.read_bytes()
            if harm in BLUNT:
                current.write_bytes(BLUNT[harm](data))
                continue
            shard, before = Shard(data), Shard(older.read_bytes())
            assert shard.bytes() == data, "the checksums are those of the format"
            HARMS[harm](shard, before)
            assert shard.bytes() != data and len(shard.bytes()) == len(data)
            current.write_bytes(shard.bytes())
        self.server.start()
        self.s3, self.raw = clients.s3(self.server), Client(self.server)

    def blobs(self):
        return set((self.server.data / "drive/blobs").glob("*/*"))

    def store(self, mode, shape, harm):
        """Two versions of one length; answers the files of the newer and the older one."""
        mode, key = self.modes[mode], f"{mode}/{shape}/{harm}"
        size = LARGE if harm in LATE else SMALL
        files = []
        for turn in (1, 2):
            data = noise(size, turn)
            where = {"Bucket": BUCKET, "Key": key}
            if shape == "put":
                self.s3.put_object(Body=data, **where, **mode.write)
            else:
                made = self.s3.create_multipart_upload(**where, **mode.write)
                upload = where | {"UploadId": made["UploadId"]}
                etag = self.s3.upload_part(
                    PartNumber=1, Body=data, **upload, **mode.read)["ETag"]
                parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
                self.s3.complete_multipart_upload(MultipartUpload=parts, **upload)
            new = self.blobs() - self.known
            # That an upload was completed is a second file, without a body.
            assert len(new) == (1 if shape == "put" else 2)
            file = max(new, key=lambda path: path.stat().st_size)
            self.known |= new
            files.append(file)
        self.objects[key] = data
        return files[::-1]


@pytest.fixture(scope="module")
def house():
    made = House()
    try:
        yield made
        assert "panicked" not in made.server.log()
    finally:
        made.server.remove()


def broken(data, answer):
    """An answer that began: it ends early, and holds nothing but right bytes."""
    assert answer.status in (200, 206)
    assert "x-test-truncated" in answer.headers, "a whole answer"
    assert data.startswith(answer.body) and len(answer.body) < len(data)


@pytest.mark.parametrize("mode,shape,harm", CASES)
def test_sec_changed_bytes_are_refused_before_they_leave(house, mode, shape, harm):
    key, one = f"{mode}/{shape}/{harm}", house.modes[mode]
    data, where = house.objects[key], {"Bucket": BUCKET, "Key": key}
    # Facts are rows, which nobody changed.
    head = house.s3.head_object(**where, **one.read)
    assert head["ContentLength"] == len(data)
    one.check("HeadObject", head)
    whole = house.raw.request("GET", f"/{BUCKET}/{key}", headers=one.read_headers)
    if harm in LATE:
        broken(data, whole)
    elif whole.status == 200:
        # A file that is longer than its blob is no blob; what is in front of it may be read.
        assert harm == "grown" and whole.body == data
    else:
        assert (whole.status, whole.code) == (500, "InternalError")
    for first, last in ((0, 99), (70_000, 140_000), (len(data) - 100, len(data) - 1), (0, len(data) - 1)):
        headers = one.read_headers | {"range": f"bytes={first}-{last}"}
        part = house.raw.request("GET", f"/{BUCKET}/{key}", headers=headers)
        if part.status == 206:
            right = data[first:last + 1]
            assert right.startswith(part.body)
            assert part.body == right or "x-test-truncated" in part.headers
        else:
            assert (part.status, part.code) == (500, "InternalError")
    if harm == "grown":
        # The bytes are all there, and a server that noticed cuts off what is too much.
        return
    # Into another mode, so that every byte is opened and sealed again.
    target = {"Bucket": SPARE, "Key": "copy"}
    other = house.modes["kms-context" if mode == "sse-s3" else "sse-s3"]
    with refused("InternalError", 500):
        house.s3.copy_object(CopySource=where, **target, **one.source, **other.write)
    made = house.s3.create_multipart_upload(**target)
    upload = target | {"UploadId": made["UploadId"]}
    with refused("InternalError", 500):
        house.s3.upload_part_copy(PartNumber=1, CopySource=where, **upload, **one.source)
    assert "Parts" not in house.s3.list_parts(**upload)
    house.s3.abort_multipart_upload(**upload)
    assert house.s3.list_objects_v2(Bucket=SPARE)["KeyCount"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_objects_beside_them_are_whole(house, mode):
    where, one = {"Bucket": BUCKET, "Key": f"{mode}/put/sound"}, house.modes[mode]
    assert read(house.s3.get_object(**where, **one.read)) == house.objects[where["Key"]]


def test_sec_verify_names_every_changed_object(house):
    """All but those under customer keys whose checksums fit: nobody can open them without the key."""
    done = house.server.command("verify", "--quiet", check=False)
    assert done.returncode == 1, done.stdout
    named = set(re.findall(rf"DAMAGED\s+.*?s3://{BUCKET}/([^\s:]+)", done.stdout))
    due = {
        f"{mode}/{shape}/{harm}" for mode, shape, harm in CASES if mode != "sse-c" or harm in BLUNT
    }
    healed = {name for name in due if name.endswith("/grown")}
    assert due - healed <= named <= due, done.stdout
