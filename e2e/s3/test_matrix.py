# SPDX-License-Identifier: Apache-2.0
"""Mode x write path x read path x versioning x size class, and the raw drive after each write.

What may be sent and what must come back is in `matrix.py` and `sse.py`. Every object is read by
every path: whole, ranges, parts, HEAD, attributes, presigned, as the source of a copy, in a listing,
and where there are versions by its id beside an older one in another mode.
"""

import base64
import dataclasses
import hashlib

import pytest

import leaks
import matrix
import sse
from clients import bucket_name, empty_and_delete, headers_of, noise, read, refused
from drive_watch import DriveWatch
from forms import Forms
from rawhttp import Client

META = {"a": "1"}
META_HEADERS = {"x-amz-meta-a": "1"}
MARK = "MATRIX-PLAINTEXT-"


def body(case):
    """Half of it text with a mark in every line, so that a piece of it in clear is found."""
    size = case.plain_bytes
    line = f"{MARK}{hashlib.md5(str(case).encode()).hexdigest()}\n".encode()
    text = (line * (size // len(line) + 1))[:size // 2]
    return (text + noise(size - len(text), 7))[:size]


class Room:
    """The server of the run, a bucket for each state of versioning and default, and the modes."""

    def __init__(self, server, s3, kms, kms_key):
        self.server, self.s3, self.kms = server, s3, kms
        self.raw = Client(server)
        self.forms = Forms(server)
        self.buckets = {}
        self.source = bucket_name("source")
        s3.create_bucket(Bucket=self.source)
        # The key aws/s3 is made at its first use.
        s3.put_object(Bucket=self.source, Key="first", Body=b"", ServerSideEncryption="aws:kms")
        known = sse.modes(kms, kms_key) + sse.by_rule(kms, kms_key)
        self.modes = {mode.name: mode for mode in known}
        self.watch = DriveWatch(server)

    def bucket(self, case):
        """A bucket for each state of versioning and each default."""
        rule = self.modes[case.mode].rule
        name = self.buckets.get((case.versioning, str(rule)))
        if name is None:
            name = self.buckets[case.versioning, str(rule)] = bucket_name("matrix")
            self.s3.create_bucket(Bucket=name)
            open_to_all = {"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}
            self.s3.put_bucket_encryption(
                Bucket=name,
                ServerSideEncryptionConfiguration={"Rules": [open_to_all | (rule or {})]},
            )
        return name

    def versions(self, bucket, status):
        self.s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": status.capitalize()}
        )

    def source_of(self, data):
        """An object with these bytes to copy from."""
        key = hashlib.sha256(data).hexdigest()
        self.s3.put_object(Bucket=self.source, Key=key, Body=data)
        return {"Bucket": self.source, "Key": key}

    def close(self):
        for name in [self.source, *self.buckets.values()]:
            empty_and_delete(self.s3, name)


@pytest.fixture(scope="module")
def room(server, s3, kms, kms_key):
    made = Room(server, s3, kms, kms_key)
    yield made
    made.close()


def by_put(room, mode, where, data):
    answer = room.s3.put_object(Body=data, Metadata=META, **where, **mode.write)
    mode.check("PutObject", answer)
    return answer["ETag"], None


def by_archive(room, mode, where, data):
    """An archived object: nobody reads it before it is restored, and no key is asked for then."""
    answer = room.s3.put_object(
        Body=data, Metadata=META, StorageClass="GLACIER", **where, **mode.write
    )
    mode.check("PutObject", answer)
    with refused("InvalidObjectState", 403, StorageClass="GLACIER"):
        room.s3.get_object(**where, **mode.read)
    room.s3.restore_object(RestoreRequest={"Days": 1}, **where)
    return answer["ETag"], None


def by_chunks(room, mode, where, data):
    answer = room.raw.put_chunked(
        target(where), [data[at:at + 65_536] for at in range(0, len(data), 65_536)],
        headers=mode.write_headers | META_HEADERS,
    )
    return raw_answer(mode, answer), None


def by_presigned(room, mode, where, data):
    answer = room.raw.presigned(
        "PUT", target(where), headers=mode.write_headers | META_HEADERS, body=data
    )
    return raw_answer(mode, answer), None


def by_form(room, mode, where, data):
    fields = {"key": where["Key"], **mode.write_headers, **META_HEADERS}
    answer = room.forms.upload(where["Bucket"], fields, data)
    assert answer.status == 204, answer.body
    mode.check_headers("PostObject", answer.headers)
    return answer.headers["etag"], None


def by_copy(room, mode, where, data):
    answer = room.s3.copy_object(
        CopySource=room.source_of(data), MetadataDirective="REPLACE", Metadata=META, **where,
        **mode.write,
    )
    mode.check("CopyObject", answer)
    return answer["CopyObjectResult"]["ETag"], None


def by_update(room, mode, where, data):
    """From another KMS key; from SSE-S3 it would leave an ETag that is the MD5."""
    put = room.s3.put_object(Body=data, Metadata=META, **where, **room.modes["kms-default"].write)
    answer = room.s3.update_object_encryption(
        ObjectEncryption={"SSEKMS": {
            "KMSKeyArn": mode.key_arn, "BucketKeyEnabled": mode.bucket_key}}, **where
    )
    assert not set(headers_of(answer)) & set(sse.ALL)
    return put["ETag"], None


def by_parts(room, mode, where, data):
    def send(number, piece, _, upload):
        answer = room.s3.upload_part(PartNumber=number, Body=piece, **upload, **mode.read)
        mode.check("UploadPart", answer)
        return answer["ETag"]

    return multipart(room, mode, where, data, send)


def by_part_copies(room, mode, where, data):
    source = room.source_of(data)

    def send(number, piece, offset, upload):
        # An empty range cannot be written down.
        span = {"CopySourceRange": f"bytes={offset}-{offset + len(piece) - 1}"} if piece else {}
        answer = room.s3.upload_part_copy(
            PartNumber=number, CopySource=source, **span, **upload, **mode.read
        )
        mode.check("UploadPartCopy", answer)
        return answer["CopyPartResult"]["ETag"]

    return multipart(room, mode, where, data, send)


WRITES = {
    "put": by_put, "chunks": by_chunks, "presigned": by_presigned, "form": by_form, "copy": by_copy,
    "parts": by_parts, "part-copies": by_part_copies, "update": by_update, "archive": by_archive,
}


def multipart(room, mode, where, data, send):
    s3 = room.s3
    made = s3.create_multipart_upload(Metadata=META, **where, **mode.write)
    mode.check("CreateMultipartUpload", made)
    upload = {"UploadId": made["UploadId"], **where}
    pieces = matrix.pieces(data)
    parts, offset = [], 0
    for number, piece in enumerate(pieces, 1):
        etag = send(number, piece, offset, upload)
        assert (etag == quoted_md5(piece)) == mode.md5_etag
        parts.append({"PartNumber": number, "ETag": etag})
        offset += len(piece)
    listed = s3.list_parts(**upload)
    assert [p["Size"] for p in listed["Parts"]] == [len(piece) for piece in pieces]
    assert not set(headers_of(listed)) & set(sse.ALL)
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    mode.check("CompleteMultipartUpload", done)
    joined = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    assert done["ETag"] == f'"{hashlib.md5(joined).hexdigest()}-{len(parts)}"'
    return done["ETag"], pieces


def target(where):
    return f"/{where['Bucket']}/{where['Key']}"


def quoted_md5(data):
    return f'"{hashlib.md5(data).hexdigest()}"'


def raw_answer(mode, answer):
    """The ETag of a PUT by hand, whose headers must be those of the table."""
    assert answer.status == 200, answer.body
    mode.check_headers("PutObject", answer.headers)
    return answer.headers["etag"]


@pytest.mark.parametrize("case", matrix.cases(), ids=str)
def test_what_is_written_is_sealed_and_reads_back(room, case):
    mode, data = room.modes[case.mode], body(case)
    where = {"Bucket": room.bucket(case), "Key": case.key}
    older = stand_behind(room, case, where) if case.versioning != "never" else None
    etag, pieces = WRITES[case.write](room, mode, where, data)
    if pieces is None:
        assert (etag == quoted_md5(data)) == mode.md5_etag
    nothing_in_clear(room, mode, data)
    check_reads(room, mode, where, data, etag, pieces)
    if older:
        check_versions(room, case, where, data, older)
    nothing_in_clear(room, mode, data)


def stand_behind(room, case, where):
    """What was there before in a mode of its own: (id, mode, bytes). Where versioning is suspended
    there is a null version in a third mode, too, which the write replaces."""
    turn = matrix.MODES.index(case.mode)
    mode, third = (room.modes[sse.MODE_NAMES[(turn + n) % len(sse.MODE_NAMES)]] for n in (5, 3))
    if mode.name == "none" and room.modes[case.mode].rule:
        mode = room.modes[case.mode]
    elif mode.key_arn and mode.algorithm == "aws:kms" and room.modes[case.mode].rule and (
            room.modes[case.mode].bucket_key):
        # Of the rule of a bucket only this goes with a mode that the request names.
        mode = dataclasses.replace(mode, bucket_key=True)
    room.versions(where["Bucket"], "enabled")
    data = f"older {case}".encode() * 3000
    put = room.s3.put_object(Body=data, **where, **mode.write)
    mode.check("PutObject", put)
    if case.versioning == "suspended":
        room.versions(where["Bucket"], "suspended")
        put_null = room.s3.put_object(Body=b"to be replaced", **where, **third.write)
        assert put_null["VersionId"] == "null"
    return put["VersionId"], mode, data


def check_versions(room, case, where, data, older):
    """Both versions read by their ids, each with its own key; what is deleted by id is gone."""
    s3, mode = room.s3, room.modes[case.mode]
    older_id, older_mode, older_data = older
    current = s3.head_object(**where, **mode.read)["VersionId"]
    assert (current == "null") == (case.versioning == "suspended")
    listed = s3.list_object_versions(Bucket=where["Bucket"], Prefix=where["Key"])["Versions"]
    assert [(v["VersionId"], v["Size"], v["IsLatest"]) for v in listed] == [
        (current, len(data), True), (older_id, len(older_data), False)
    ]
    for version, its_mode, its_data in ((current, mode, data), older):
        one = {"VersionId": version, **where}
        got = s3.get_object(**one, **its_mode.read)
        assert (read(got), got["VersionId"]) == (its_data, version)
        told = s3.get_object_attributes(
            ObjectAttributes=["ObjectSize"], **one, **its_mode.attributes
        )
        assert (told["ObjectSize"], told["VersionId"]) == (len(its_data), version)
        copy = {"Bucket": room.source, "Key": "copy"}
        answer = s3.copy_object(CopySource=one, **copy, **its_mode.source)
        assert answer["CopySourceVersionId"] == version
        assert read(s3.get_object(**copy)) == its_data
    if older_mode.customer and not mode.customer:
        with refused("InvalidRequest", 400):
            s3.get_object(VersionId=older_id, **where)
    if mode.customer and not older_mode.customer:
        with refused("InvalidRequest", 400):
            s3.get_object(VersionId=older_id, **where, **mode.read)
    s3.delete_object(VersionId=current, **where)
    with refused("NoSuchVersion", 404):
        s3.get_object(VersionId=current, **where, **mode.read)
    assert read(s3.get_object(**where, **older_mode.read)) == older_data


def nothing_in_clear(room, mode, data):
    secrets = {"mark": MARK}
    if len(data) > 32:
        secrets |= {"md5": hashlib.md5(data).digest(), "tail": data[-24:]}
    if mode.customer:
        secrets["customer key"] = mode.customer.raw
    assert leaks.find(secrets, room.watch.added()) == []


def check_reads(room, mode, where, data, etag, pieces):
    s3 = room.s3
    got = s3.get_object(**where, **mode.read)
    assert read(got) == data
    assert (got["ContentLength"], got["Metadata"], got["ETag"]) == (len(data), META, etag)
    mode.check("GetObject", got)
    head = s3.head_object(**where, **mode.read)
    assert (head["ContentLength"], head["ETag"]) == (len(data), etag)
    mode.check("HeadObject", head)
    for first, last in matrix.ranges(len(data)):
        part = s3.get_object(Range=f"bytes={first}-{last}", **where, **mode.read)
        assert read(part) == data[first:last + 1]
        assert part["ContentRange"] == f"bytes {first}-{last}/{len(data)}"
        mode.check("GetObject", part)
    for number, piece in enumerate(pieces or [data], 1):
        part = s3.get_object(PartNumber=number, **where, **mode.read)
        assert (read(part), part["ETag"]) == (piece, etag)
        mode.check("GetObject", part)
        head = s3.head_object(PartNumber=number, **where, **mode.read)
        assert head["ContentLength"] == len(piece)
        mode.check("HeadObject", head)
    attributes(room, mode, where, data, etag, pieces)
    presigned = room.raw.presigned("GET", target(where), headers=mode.read_headers)
    assert (presigned.status, presigned.body) == (200, data)
    mode.check_headers("GetObject", presigned.headers)
    listed = s3.list_objects_v2(Bucket=where["Bucket"], Prefix=where["Key"])["Contents"]
    assert [(o["Size"], o["ETag"]) for o in listed if o["Key"] == where["Key"]] == [
        (len(data), etag)
    ]
    as_a_source(room, mode, where, data)


def attributes(room, mode, where, data, etag, pieces):
    told = room.s3.get_object_attributes(
        ObjectAttributes=["ETag", "Checksum", "ObjectParts", "ObjectSize"], **where,
        **mode.attributes,
    )
    assert not set(headers_of(told)) & set(sse.ALL)
    assert (told["ObjectSize"], told["ETag"]) == (len(data), etag.strip('"'))
    if pieces is None:
        assert "ObjectParts" not in told
    else:
        assert told["ObjectParts"]["TotalPartsCount"] == len(pieces)
    head = room.s3.head_object(ChecksumMode="ENABLED", **where, **mode.read)
    stored = {name: head[name] for name in told.get("Checksum", {})}
    assert stored == told.get("Checksum", {})


def as_a_source(room, mode, where, data):
    """The copy is sealed as asked, here not at all asked: SSE-S3, and an ETag that is the MD5."""
    plain = room.modes["none"]
    copy = {"Bucket": room.source, "Key": "copy"}
    answer = room.s3.copy_object(CopySource=where, **copy, **mode.source)
    plain.check("CopyObject", answer)
    assert answer["CopyObjectResult"]["ETag"] == quoted_md5(data)
    got = room.s3.get_object(**copy)
    assert (read(got), got["Metadata"]) == (data, META)
    plain.check("GetObject", got)


@pytest.mark.sse_c
def test_s3_1_2_opaque_etags_say_nothing_about_the_bytes(room, bucket):
    for name in sse.MODE_NAMES:
        mode = room.modes[name]
        etags = {
            room.s3.put_object(Bucket=bucket, Key="k", Body=b"same", **mode.write)["ETag"]
            for _ in range(3)
        }
        assert len(etags) == (1 if mode.md5_etag else 3)
        assert (quoted_md5(b"same") in etags) == mode.md5_etag


def test_the_watch_sees_what_is_written(room):
    """The search itself: a mark in a new file of the data directory is found."""
    room.watch.added()
    file = room.server.data / "drive" / "planted"
    try:
        file.write_bytes(b"x" * 5000 + base64.b64encode(MARK.encode()) + b"y")
        found = leaks.find({"mark": MARK}, room.watch.added())
        assert {hit[0] for hit in found} == {"mark"}
    finally:
        file.unlink()
