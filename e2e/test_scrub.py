# SPDX-License-Identifier: Apache-2.0
"""Scrub and heal on the real program: damage is found while it serves, named until it is gone, and
what can be made anew is made anew."""

import datetime
import json
import time

import pytest

from clients import SEGMENT, make_bucket, read, s3 as s3_client
from strongroom import Server

UNTIL = 180


@pytest.fixture
def own():
    with Server() as server:
        yield server


def status(server):
    return json.loads(server.command("scrub", "status", "--json").stdout)


def scrub(server):
    """A whole pass of the running server, begun after this was called: one may be under way already."""
    # In milliseconds, as it is told.
    called = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(milliseconds=1)
    until = time.monotonic() + UNTIL
    while time.monotonic() < until:
        before = status(server)["last"]
        asked = server.command("scrub", "start")
        assert "reads everything again now" in asked.stdout
        while time.monotonic() < until:
            now = status(server)
            if now["last"] and now["last"] != before and now["phase"] == "resting":
                break
            time.sleep(0.05)
        if now["last"] and datetime.datetime.fromisoformat(now["last"]["started"]) >= called:
            return now
    raise AssertionError(f"no pass within {UNTIL} s: {now}")


def blob_files(server):
    folder = server.data / "drive/blobs"
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip(path, offset):
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1
    path.write_bytes(raw)


def wait(server, what):
    until = time.monotonic() + UNTIL
    while time.monotonic() < until:
        now = status(server)
        if what(now):
            return now
        time.sleep(0.05)
    raise AssertionError(f"not within {UNTIL} s: {now}")


def test_dur_d13_scrub_of_a_running_server_finds_every_damaged_file(own):
    client = s3_client(own)
    bucket = make_bucket(client)
    bodies = {}
    for number in range(8):
        key = f"{number}"
        bodies[key] = bytes([number]) * (number + 1) * SEGMENT
        client.put_object(Bucket=bucket, Key=key, Body=bodies[key])
    clean = scrub(own)
    assert clean["running"] is True and clean["late"] is False
    assert clean["last"]["blobs"] == clean["last"]["shards"] == 8
    assert clean["last"]["damaged_shards"] == clean["last"]["stray_files"] == 0
    assert clean["heal"]["damaged_blobs"] == 0

    files = blob_files(own)
    assert len(files) == 8
    flip(files[0], 200)                                          # a unit
    files[1].write_bytes(files[1].read_bytes()[:-5_000])         # cut, beyond the manifest
    files[2].unlink()                                            # missing
    swapped = files[3].read_bytes()
    files[3].write_bytes(files[4].read_bytes())                  # in each other's place
    files[4].write_bytes(swapped)
    found = scrub(own)
    assert found["last"]["damaged_shards"] == 5, found
    found = wait(own, lambda now: now["heal"]["unhealed_blobs"] >= 5)
    named = "\n".join(found["heal"]["unhealed"])
    for path in files[:5]:
        assert path.name in named, named
    for path in files[5:]:
        assert path.name not in named
    text = own.command("scrub", "status").stdout
    assert text.startswith("CANNOT BE HEALED NOW  blob ")
    # A pass that was under way may have met some of them, too.
    assert own.metrics()["strongroom_scrub_damaged_shards_total"] >= 5
    assert own.metrics()["strongroom_scrub_deadline_seconds"] > 0

    # It is not forgotten by a restart; without a server a pass is done in the command.
    own.stop()
    left = status(own)
    assert left["running"] is False and left["heal"]["damaged_blobs"] == 5
    done = own.command("scrub", "start", "--quiet", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    own.start()
    assert status(own)["heal"]["damaged_blobs"] == 5 or wait(
        own, lambda now: now["heal"]["damaged_blobs"] == 5)


def test_dur_d7_what_needs_no_other_shard_is_healed_while_the_server_serves(own):
    """With one drive a header and a trailer can be made anew: the units say who they are."""
    client = s3_client(own)
    bucket = make_bucket(client)
    body = b"x" * (3 * SEGMENT + 5)
    client.put_object(Bucket=bucket, Key="a", Body=body)
    (path,) = blob_files(own)
    good = path.read_bytes()
    for offset in (9, len(good) - 10):
        before = own.metrics().get("strongroom_scrub_damaged_shards_total", 0)
        flip(path, offset)
        scrub(own)
        # By that pass, or by one that was under way.
        assert own.metrics()["strongroom_scrub_damaged_shards_total"] >= before + 1
        healed = wait(own, lambda now: now["heal"]["damaged_blobs"] == 0)
        assert healed["heal"]["unhealed_blobs"] == 0
        assert path.read_bytes() == good
        assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == body
    assert own.metrics()["strongroom_heal_shards_total"] == 2
    assert own.command("scrub", "status").stdout.count("heal: nothing to do") == 1


def test_files_that_belong_nowhere_are_told(own):
    client = s3_client(own)
    client.put_object(Bucket=make_bucket(client), Key="a", Body=b"x" * 2 * SEGMENT)
    (path,) = blob_files(own)
    stray = path.with_name("ee" * 16)
    stray = own.data / "drive/blobs/ee" / stray.name
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"something")
    (stray.parent / "notes.txt").write_text("somebody's")
    found = scrub(own)
    assert (found["last"]["stray_files"], found["last"]["foreign_files"]) == (1, 1)
    assert stray.exists() and (stray.parent / "notes.txt").exists()


@pytest.mark.parametrize("flag", ["--scrub-days", "--scrub-mib-per-second", "--heal-mib-per-second",
                                  "--heal-after-minutes"])
def test_a_pace_of_nothing_is_refused(flag):
    with pytest.raises(AssertionError, match=f"{flag} must be at least 1"):
        with Server(flag, "0"):
            pass
