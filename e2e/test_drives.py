# SPDX-License-Identifier: Apache-2.0
"""A store over six folders in three facilities: what is said of it, and what it survives."""

import hashlib
import json
import shutil
import time

import pytest
from botocore.exceptions import ClientError

import clients
from strongroom import Server

DRIVES = ["a:a1", "a:a2", "b:b1", "b:b2", "c:c1", "c:c2"]
SIZES = [0, 1, 40_000, 65_536, 1_000_000, 9 * clients.MIB + 17]
PATIENCE_S = 300


def flags(drives=DRIVES):
    return [part for drive in drives for part in ("--drive", drive)]


@pytest.fixture
def six(make_server):
    return make_server(*flags())


def status(server):
    return json.loads(server.command("status", "--json", check=False).stdout)


def until(server, wanted):
    """Waits until `wanted` holds of the status; the time only bounds how long a failure takes."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = status(server)
        if wanted(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.2)


def state(found, number):
    return next(drive for drive in found["drives"] if drive["number"] == number)["state"]


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


def lose(folder):
    """At once, as a drive is pulled out: a server that still writes could keep a folder from being
    emptied piece by piece."""
    lost = folder.with_name(f"{folder.name}-lost")
    folder.rename(lost)
    shutil.rmtree(lost, ignore_errors=True)


def test_status_says_what_there_is_in_words_and_as_json(six):
    text = six.command("status").stdout
    assert text.splitlines()[0] == "full redundancy"
    assert "4+2: any 2 drives, or any one facility, may be lost" in text
    assert "facility     b: 2 of 2 drives online" in text
    found = status(six)
    assert found["full_redundancy"] and found["owed"] == []
    assert [drive["facility"] for drive in found["drives"]] == list("aabbcc")
    assert len({drive["uid"] for drive in found["drives"]}) == 6
    listed = six.command("drive", "list").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == list("012345")
    six.stop()
    assert six.command("status").stdout.splitlines()[0] == "full redundancy"


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
    assert status(six)["full_redundancy"]
    compare(clients.s3(six), bucket, written)
    six.flags = []
    six.restart()
    assert status(six)["full_redundancy"]
    compare(clients.s3(six), bucket, written)


def test_dur_d8_a_folder_taken_away_under_load_and_an_empty_one_in_its_place(six):
    s3 = clients.s3(six)
    bucket = clients.make_bucket(s3)
    written = fill(s3, bucket, "before")
    lose(six.base / "b1")
    written |= fill(s3, bucket, "at-once")
    found = until(six, lambda now: state(now, 2) == "missing")
    assert not found["full_redundancy"]
    text = six.command("status", check=False)
    assert text.returncode == 1
    assert text.stdout.startswith("redundancy is not full:")
    assert "drive 2 of facility b is missing" in text.stdout
    assert "full redundancy" not in text.stdout
    written |= fill(s3, bucket, "meanwhile")
    compare(s3, bucket, written)
    (six.base / "b1").mkdir()
    until(six, lambda now: "drive replace" in (now["drives"][2]["note"] or ""))
    said = six.command("drive", "replace", "b:b1").stdout
    assert "is drive 6, in the place of drive 2" in said
    until(six, lambda now: now["full_redundancy"])
    assert state(status(six), 2) == "removed"
    compare(s3, bucket, written)
    # What was made again is worth as much as what was lost.
    lose(six.base / "a1")
    lose(six.base / "a2")
    compare(s3, bucket, written)


def test_dur_d8_a_lost_facility_stops_nothing_and_survives_a_restart(six):
    s3 = clients.s3(six)
    bucket = clients.make_bucket(s3)
    written = fill(s3, bucket, "before")
    for name in ("a1", "a2"):
        (six.base / name).rename(six.base / f"{name}-away")
    # The upload that finds the facility gone is answered 503, which every SDK repeats; from then
    # on new bodies go to the drives that are there.
    s3 = clients.s3(six, retries=3)
    written |= fill(s3, bucket, "without")
    s3 = clients.s3(six)
    written |= fill(s3, bucket, "still without")
    compare(s3, bucket, written)
    six.restart()
    s3 = clients.s3(six)
    compare(s3, bucket, written)
    written |= fill(s3, bucket, "restarted")
    assert not status(six)["full_redundancy"]
    for name in ("a1", "a2"):
        (six.base / f"{name}-away").rename(six.base / name)
    until(six, lambda now: now["full_redundancy"])
    compare(s3, bucket, written)


def test_dur_d8_writes_go_on_without_a_restart_when_one_of_two_lost_facilities_is_back(make_server):
    three = make_server(*flags(["a:a1", "b:b1", "c:c1"]))
    s3 = clients.s3(three)
    bucket = clients.make_bucket(s3)
    written = {}

    def put(key):
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
            return False
        written[key] = hashlib.sha256(key.encode()).digest()
        return True

    def put_until(wanted, prefix):
        end = time.monotonic() + PATIENCE_S
        while put(f"{prefix}{len(written)}") is not wanted:
            assert time.monotonic() < end
            time.sleep(0.2)

    assert put("before")
    for name in ("a1", "b1"):
        (three.base / name).rename(three.base / f"{name}-away")
    put_until(False, "meanwhile")
    (three.base / "b1-away").rename(three.base / "b1")
    put_until(True, "after")
    compare(s3, bucket, written)
    (three.base / "a1-away").rename(three.base / "a1")
    until(three, lambda now: now["full_redundancy"])
    three.restart()
    compare(clients.s3(three), bucket, written)


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
        (("drive", "add", "c:a1/sub"), "lie in each other"),
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


def test_a_copied_data_directory_does_not_use_the_drive_of_the_original(tmp_path):
    """`verify` of a copy without a drive said that all is well: it had read the original's, and commands
    changed that."""
    with Server() as server:
        s3 = clients.s3(server)
        bucket = clients.make_bucket(s3)
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        server.stop()
        copy = tmp_path / "copy"
        shutil.copytree(server.data, copy, ignore=shutil.ignore_patterns("drive"))
        before = {path: path.stat().st_mtime_ns for path in (server.data / "drive" / "audit").iterdir()}
        for command in (["verify", "--quiet"], ["status"], ["user", "add", "intruder"]):
            refused = server.command(*command, env={"STRONGROOM_DATA": str(copy)}, check=False)
            assert refused.returncode == 1, command
            assert "drive of another data directory" in refused.stderr, refused.stderr
            assert "give-up" not in refused.stderr
        after = {path: path.stat().st_mtime_ns for path in (server.data / "drive" / "audit").iterdir()}
        assert after == before
        shutil.copytree(server.data / "drive", copy / "drive")
        # Beside the original, which serves again.
        server.start()
        assert server.command("verify", "--quiet", env={"STRONGROOM_DATA": str(copy)}).returncode == 0
        server.stop()
        # A data directory that was moved finds its own drive.
        server.data.rename(tmp_path / "moved")
        server.data = tmp_path / "moved"
        server.start()
        assert clients.s3(server).get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_status_is_told_when_nothing_can_be_recorded(six):
    """Without a majority of the copies of the tables there is no audit log either, and its next event
    stops everything else: then above all an operator asks how the store is."""
    s3 = clients.s3(six)
    bucket = clients.make_bucket(s3)
    with_tables = [drive for drive in status(six)["drives"] if drive["tables"]]
    assert len(with_tables) == 3
    for number, name in ((0, "a1"), (2, "b1")):
        assert number in [drive["number"] for drive in with_tables]
        lose(six.base / name)
        until(six, lambda now: state(now, number) == "missing")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    ready, text = six.admin("/health/ready")
    assert ready == 503 and "a majority of the drives" in text, text
    for _ in range(2):
        found = status(six)
        assert [state(found, number) for number in (0, 2)] == ["missing", "missing"]
        text = six.command("status", check=False)
        assert text.returncode == 1
        assert "drive 0" in text.stdout and "drive 2" in text.stdout, text.stdout
        assert six.command("scrub", "status", check=False).returncode == 0
    refused = six.command("kms", "list", check=False)
    assert "cannot write the audit log" in refused.stderr


def test_a_drive_is_added_drained_and_removed(six):
    s3 = clients.s3(six)
    bucket = clients.make_bucket(s3)
    written = fill(s3, bucket, "x")
    assert "is drive 6" in six.command("drive", "add", "c:c3").stdout
    refused = six.command("drive", "remove", "5", check=False)
    assert "drive drain 5" in refused.stderr
    six.command("drive", "drain", "5", "--wait")
    until(six, lambda now: now["leaving_shards"] == 0)
    # The copy of the tables, if it had one, has to be whole elsewhere first.
    until(six, lambda now: now["drives"][5]["tables"] is None)
    six.command("drive", "remove", "5")
    lose(six.base / "c2")
    until(six, lambda now: now["full_redundancy"])
    compare(s3, bucket, written)
    with pytest.raises(ClientError):
        s3.get_object(Bucket=bucket, Key="none")
