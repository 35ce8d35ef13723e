# SPDX-License-Identifier: Apache-2.0
"""A store over six folders in three facilities: what is said of it, and what it survives."""

import hashlib
import json
import shutil

import pytest

import clients

DRIVES = ["a:a1", "a:a2", "b:b1", "b:b2", "c:c1", "c:c2"]
SIZES = [0, 1, 40_000, 65_536, 1_000_000, 9 * clients.MIB + 17]


def flags(drives=DRIVES):
    return [part for drive in drives for part in ("--drive", drive)]


@pytest.fixture
def six(make_server):
    return make_server(*flags())


def status(server):
    return json.loads(server.command("status", "--json", check=False).stdout)


def fill(s3, bucket, prefix):
    written = {}
    for size in SIZES:
        body = hashlib.shake_256(f"{prefix}{size}".encode()).digest(size)
        s3.put_object(Bucket=bucket, Key=f"{prefix}{size}", Body=body)
        written[f"{prefix}{size}"] = hashlib.sha256(body).digest()
    return written


def compare(s3, bucket, written):
    for key, wanted in written.items():
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert hashlib.sha256(body).digest() == wanted, key


def test_status_says_what_there_is_in_words_and_as_json(six):
    said = six.command("status", check=False)
    assert said.returncode == 1
    text = said.stdout
    assert text.splitlines()[:2] == [
        "redundancy is not full:",
        "  - 1 of 3 copies of the tables are whole; the others are catching up or away",
    ]
    assert "4+2: of bodies; but the tables are on one drive alone" in text
    assert "facility     b: 2 of 2 drives online" in text
    found = status(six)
    assert not found["full_redundancy"] and len(found["owed"]) == 1
    assert [drive["facility"] for drive in found["drives"]] == list("aabbcc")
    assert len({drive["uid"] for drive in found["drives"]}) == 6
    listed = six.command("drive", "list").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == list("012345")
    six.stop()
    assert six.command("status", check=False).stdout == text


def test_one_drive_says_that_nothing_may_be_lost(make_server):
    one = make_server()
    text = one.command("status").stdout
    assert text.splitlines()[0] == "full redundancy"
    assert "1+0: nothing may be lost" in text
    found = status(one)
    assert [drive["state"] for drive in found["drives"]] == ["online"]


def test_drives_are_found_again_without_being_named(six):
    s3 = clients.s3(six)
    bucket = clients.make_bucket(s3)
    written = fill(s3, bucket, "x")
    six.stop()
    (six.base / "c2").rename(six.base / "elsewhere")
    six.flags = ["--drive", "c:elsewhere"]
    six.start()
    assert len(status(six)["owed"]) == 1
    compare(clients.s3(six), bucket, written)
    six.flags = []
    six.restart()
    assert len(status(six)["owed"]) == 1
    compare(clients.s3(six), bucket, written)


def test_dur_d9_drives_that_do_not_belong_are_refused(six, make_server):
    other = make_server("--drive", "a:x1")
    other.stop()
    shutil.copytree(other.base / "x1", six.base / "x1")
    (six.base / "photos").mkdir()
    (six.base / "photos" / "cat.jpg").write_bytes(b"cat")
    for args, said in [
        (("drive", "add", "a:x1"), "another cluster"),
        (("drive", "add", "a:photos"), "no drive of Strongroom"),
        (("drive", "replace", "a:photos"), "no drive of facility `a` is missing"),
        (("drive", "add", "A:new"), "not the name of a facility"),
        (("drive", "drain", "9"), "no drive 9"),
        (("drive", "remove", "0"), "drive drain 0"),
    ]:
        refused = six.command(*args, check=False)
        assert refused.returncode != 0, args
        assert said in refused.stderr, refused.stderr
    assert [path.name for path in (six.base / "photos").iterdir()] == ["cat.jpg"]
    six.stop()
    refused = six.command("serve", "--drive", "a:x1", "--allow-unencrypted-swap", check=False)
    assert refused.returncode == 1
    assert "another cluster" in refused.stderr
    refused = six.command("serve", "--redundancy", "8+4", "--allow-unencrypted-swap", check=False)
    assert "needs 12 drives" in refused.stderr
    refused = six.command("serve", "--redundancy", "4", "--allow-unencrypted-swap", check=False)
    assert refused.returncode == 2
