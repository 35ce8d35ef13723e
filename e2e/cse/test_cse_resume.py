# SPDX-License-Identifier: Apache-2.0
"""The uploader is killed at any point, and goes on: the object opens, and nothing was sent twice under
the same counter with other bytes (the library proves that; here is what is seen from outside)."""

import hashlib
import random
import subprocess
import time

import pytest

import clients
from strongroom import program

SIZE = 40 * clients.MIB + 5
PARTS = 9
DEADLINE = 600


def begin(world, source, name, *more, key=None):
    return subprocess.Popen(
        [str(program()), "cse", "cp", "--quiet", str(source), world.url(name), "--master-key", str(key or world.aes),
         "--part-size", "5MiB", "--parallel", "2", *more],
        env=world.environment, cwd=world.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def uploads(s3, world, name):
    """{upload id: parts that arrived}"""
    answer = s3.list_multipart_uploads(Bucket=world.bucket, Prefix=name)
    found = {}
    for one in answer.get("Uploads", []):
        try:
            parts = s3.list_parts(Bucket=world.bucket, Key=name, UploadId=one["UploadId"]).get("Parts", [])
        except s3.exceptions.NoSuchUpload:
            continue  # it was completed in between
        found[one["UploadId"]] = {part["PartNumber"]: part["ETag"] for part in parts}
    return found


def interrupt(s3, world, source, name, wanted, key=None):
    """Begins an upload and kills it when so many parts arrived. False if it was quicker."""
    process = begin(world, source, name, key=key)
    until = time.monotonic() + DEADLINE
    while process.poll() is None and time.monotonic() < until:
        if any(len(parts) >= wanted for parts in uploads(s3, world, name).values()):
            break
    is_killed = process.poll() is None
    process.kill()
    process.communicate()
    return is_killed and bool(uploads(s3, world, name))


def interrupted(s3, world, source, name, wanted=2):
    for _ in range(50):
        if interrupt(s3, world, source, name, wanted):
            return uploads(s3, world, name)
        # What was quicker is none of what is asked for.
        s3.delete_object(Bucket=world.bucket, Key=name)
    raise AssertionError("every upload was done before it could be killed")


def finish(world, source, name, *more, key=None):
    process = begin(world, source, name, *more, key=key)
    _, said = process.communicate(timeout=DEADLINE)
    return process.returncode, said.decode()


def opens(world, name, source):
    out = world.cse("cat", world.url(name), "--master-key", world.aes).stdout
    return hashlib.sha256(out).digest() == hashlib.sha256(source.read_bytes()).digest()


@pytest.fixture
def source(world, tmp_path):
    path = tmp_path / "source"
    path.write_bytes(clients.noise(SIZE, seed=11))
    return path


def test_killed_at_random_and_resumed(world, s3, source):
    draw = random.Random(5)
    for round_ in range(3):
        name = f"resume/{round_}"
        interrupt(s3, world, source, name, draw.randint(0, 3))
        interrupt(s3, world, source, name, draw.randint(1, 6))
        code, said = finish(world, source, name)
        assert code == 0, said
        assert opens(world, name, source)
        assert s3.head_object(Bucket=world.bucket, Key=name)["ContentLength"] == SIZE + 16
        # Killed between the beginning of an upload and its record, it leaves one without parts.
        assert not any(uploads(s3, world, name).values())


def test_parts_that_arrived_are_not_sent_again(world, s3, source):
    name = "resume/parts"
    before = interrupted(s3, world, source, name)
    (upload, parts), = before.items()
    assert len(parts) >= 2
    # It goes on with the same upload, under the same key: there is no second one.
    again = interrupt(s3, world, source, name, len(parts))
    if again:
        (same, more), = uploads(s3, world, name).items()
        assert same == upload and parts.items() <= more.items()
    code, said = finish(world, source, name)
    assert code == 0, said
    assert opens(world, name, source)


def test_sec_n80_a_file_that_changed_meanwhile_is_not_mixed(world, s3, source):
    """Its parts would be encrypted with the counters that others were encrypted with."""
    name = "resume/changed"
    interrupted(s3, world, source, name)
    changed = bytearray(source.read_bytes())
    for at in range(0, SIZE, clients.MIB):
        changed[at] ^= 1
    source.write_bytes(bytes(changed))
    code, said = finish(world, source, name)
    assert code != 0 and "--no-resume" in said, said
    with clients.refused("404"):
        s3.head_object(Bucket=world.bucket, Key=name)
    code, said = finish(world, source, name, "--no-resume")
    assert code == 0, said
    assert opens(world, name, source)
    assert uploads(s3, world, name) == {}


def test_an_upload_under_a_public_key_begins_anew(world, s3, source):
    """It does not give the data key back, so there is nothing to go on with: the same command works all
    the same, where it said that no key opens the object."""
    name, public = "resume/public", f"{world.rsa}.pub"
    interrupt(s3, world, source, name, 1, key=public)
    code, said = finish(world, source, name, key=public)
    assert code == 0, said
    out = world.cse("cat", world.url(name), "--master-key", world.rsa).stdout
    assert out == source.read_bytes()
    for upload in uploads(s3, world, name):
        s3.abort_multipart_upload(Bucket=world.bucket, Key=name, UploadId=upload)


def test_a_damaged_record_is_no_dead_end(world, s3, source):
    name = "resume/damaged"
    interrupted(s3, world, source, name)
    folder = world.folder / "uploads"
    record = max((path for path in folder.iterdir()), key=lambda path: path.stat().st_mtime)
    record.write_bytes(b"?" + record.read_bytes()[1:])
    code, said = finish(world, source, name)
    assert code != 0 and "--no-resume" in said, said
    code, said = finish(world, source, name, "--no-resume")
    assert code == 0 and not record.exists(), said
    assert opens(world, name, source)
    for upload in uploads(s3, world, name):
        s3.abort_multipart_upload(Bucket=world.bucket, Key=name, UploadId=upload)


def test_records_of_uploads_hold_no_key_and_go(world, s3, source):
    name = "resume/records"
    interrupted(s3, world, source, name)
    folder = world.folder / "uploads"
    records = [path for path in folder.iterdir() if path.is_file()]
    assert records
    secrets = [world.aes.read_bytes().strip(), source.read_bytes()[:32]]
    for path in records:
        assert path.stat().st_mode & 0o077 == 0
        assert not any(secret in path.read_bytes() for secret in secrets)
    code, said = finish(world, source, name)
    assert code == 0, said
    assert len(list(folder.iterdir())) < len(records) + 1
