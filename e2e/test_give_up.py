# SPDX-License-Identifier: Apache-2.0
"""Drives that are lost for good, where those that are left are no majority, and tables put back where a
start would find them."""

import json
import shutil

import pytest

import clients
from strongroom import Server, until

THREE = ["a:a1", "b:b1", "c:c1"]
SIX = ["a:a1", "a:a2", "b:b1", "b:b2", "c:c1", "c:c2"]
SIZES = (0, 100, 300_000)


def flags(drives):
    return [part for drive in drives for part in ("--drive", drive)]


def fill(server, prefix="first"):
    s3 = clients.s3(server)
    bucket = clients.make_bucket(s3)
    bodies = {f"{prefix}/{size}": clients.noise(size, seed=size) for size in SIZES}
    for name, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=name, Body=body)
    return bucket, bodies


def contents(server, bucket):
    s3 = clients.s3(server)
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {entry["Key"]: s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            for entry in listed}


def status(server):
    return json.loads(server.command("status", "--json", check=False).stdout)


def refused(server, *args):
    done = server.command(*args, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def refused_start(server):
    before = len(server.log())
    with pytest.raises(AssertionError, match="ended at its start"):
        server.start()
    return server.log()[before:]


def files(*folders):
    """Every file that says something, with its content."""
    return {path: path.read_bytes() for folder in folders for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "lock"}


def lose_tables(*paths):
    for path in paths:
        for name in ("log", "index"):
            shutil.rmtree(path / name)


def full(server):
    until(lambda: status(server)["full_redundancy"], "full redundancy")


def whole(server):
    until(lambda: all(drive["tables"] in (None, "whole") for drive in status(server)["drives"]),
          "whole copies of the tables")


@pytest.mark.parametrize("drives", [["a:a1"], THREE])
def test_dur_d15_a_backup_goes_to_the_drives_that_are_remembered(drives):
    """The tables went to DIR/drive, which was no drive of the store, and nothing was back."""
    with Server(*flags(drives)) as server:
        bucket, bodies = fill(server)
        file = server.base / "backup"
        server.command("backup", "metadata", file, "--quiet")
        server.stop()
        server.flags = []
        paths = [server.base / drive.split(":")[1] for drive in drives]
        # Where there are tables nothing is put back, and nothing is written, anywhere.
        before = files(*paths, server.data)
        assert "it has tables" in refused(server, "restore", "metadata", file)
        lose_tables(*paths[1:])
        before = {path: raw for path, raw in before.items() if path.exists()}
        assert "it has tables" in refused(server, "restore", "metadata", file)
        assert files(*paths, server.data) == before
        lose_tables(paths[0])
        assert "are back" in server.command("restore", "metadata", file).stdout
        assert not (server.data / "drive").exists()
        server.start()
        assert contents(server, bucket) == bodies
        assert server.command("verify", "--quiet").returncode == 0


def test_dur_d15_a_backup_is_not_put_back_while_a_drive_may_have_the_tables():
    with Server(*flags(THREE)) as server:
        bucket, bodies = fill(server)
        file = server.base / "backup"
        server.command("backup", "metadata", file, "--quiet")
        server.stop()
        server.flags = []
        paths = [server.base / drive.split(":")[1] for drive in THREE]
        lose_tables(*paths[:2])
        paths[2].rename(server.base / "away")
        assert "--accept-loss" in refused(server, "restore", "metadata", file)
        assert not (paths[0] / "log/anchor").exists()
        server.command("restore", "metadata", file, "--accept-loss")
        (server.base / "away").rename(paths[2])
        server.start()
        assert contents(server, bucket) == bodies
        whole(server)


@pytest.mark.parametrize(("drives", "lost"), [(THREE, [1, 2]), (SIX, [2, 4])])
def test_dur_d15_a_majority_of_the_copies_is_lost_and_one_is_left(drives, lost):
    """Everything was on the drives that were left, and no command went on with it."""
    with Server(*flags(drives)) as server:
        bucket, bodies = fill(server)
        full(server)
        server.stop()
        server.flags = []
        paths = [server.base / drive.split(":")[1] for drive in drives]
        for number in lost:
            paths[number].rename(server.base / f"lost{number}")
        numbers = [str(number) for number in lost]
        told = refused_start(server)
        assert f"strongroom drive give-up {' '.join(numbers)}" in told, told
        there = [path for path in paths if path.exists()]
        before = files(*there, server.data)
        # Said only, one that is there, one that is unknown: nothing is changed.
        told = refused(server, "drive", "give-up", *numbers)
        assert "nothing was changed" in told and "every change that was answered" in told
        assert "is there" in refused(server, "drive", "give-up", "0", *numbers, "--accept-loss")
        assert "no drive 77" in refused(server, "drive", "give-up", "77", "--accept-loss")
        assert {path: raw for path, raw in files(*there, server.data).items()
                if "index" not in path.parts} == {
            path: raw for path, raw in before.items() if "index" not in path.parts}
        done = server.command("drive", "give-up", *numbers, "--accept-loss").stdout
        assert "given up for good" in done and "drive add" in done
        server.start()
        assert "another process" in refused(server, "drive", "give-up", "0", "--accept-loss")
        assert contents(server, bucket) == bodies
        # What is lost comes back: with the others, alone, as a drive to be added. It is never believed.
        for number in lost:
            (server.base / f"lost{number}").rename(paths[number])
        s3 = clients.s3(server)
        s3.put_object(Bucket=bucket, Key="later", Body=b"later")
        bodies["later"] = b"later"
        assert "given up" in refused(server, "drive", "add", drives[lost[0]])
        server.stop()
        server.flags = flags([drives[number] for number in lost])
        assert "given up" in refused_start(server)
        server.flags = flags(drives)
        assert "given up" in refused_start(server)
        server.flags = []
        for number in lost:
            shutil.rmtree(paths[number])
        server.start()
        for number in lost:
            server.command("drive", "add", drives[number])
        full(server)
        assert contents(server, bucket) == bodies
        assert server.command("verify", "--quiet").returncode == 0
        server.settle_audit()
        log = b"".join(path.read_bytes() for path in sorted((paths[0] / "audit").iterdir()))
        assert b'"GiveUpDrives"' in log
        server.command("restore", "finish")
        server.restart()
        assert contents(server, bucket) == bodies


@pytest.mark.parametrize("way", ["backup", "rebuild", "new machine"])
def test_dur_d15_a_majority_is_lost_and_the_tables_with_it(way):
    with Server(*flags(THREE)) as server:
        bucket, bodies = fill(server)
        full(server)
        file = server.base / "backup"
        server.command("backup", "metadata", file, "--quiet")
        server.stop()
        server.flags = []
        lost = [server.base / "b1", server.base / "c1"]
        for path in lost:
            shutil.rmtree(path)
        lost[0].mkdir()
        lose_tables(server.base / "a1")
        named = ()
        if way == "new machine":
            shutil.move(server.data, server.base / "old-data")
            server.data.mkdir(mode=0o700)
            shutil.copy(server.base / "old-data/root.key", server.data / "root.key")
            assert "are back" not in refused(server, "restore", "metadata", file, *flags(["a:a1"]))
            server.command("restore", "keyring", file)
            assert "is there" in refused(server, "restore", "keyring", file)
            named = flags(["a:a1"])
        for command in (("restore", "metadata", file), ("rebuild",)):
            assert "drive give-up 1 2" in refused(server, *command, *named)
        assert not (server.base / "a1/log/anchor").exists()
        done = server.command("drive", "give-up", "1", "2", "--accept-loss", *named)
        assert "restore metadata FILE" in done.stdout
        refused_start(server)
        if way == "rebuild":
            server.command("rebuild")
            bodies = {name: body for name, body in bodies.items() if len(body) > 32 << 10}
        else:
            server.command("restore", "metadata", file)
        assert not (server.data / "drive").exists()
        server.start()
        assert contents(server, bucket) == bodies
        server.command("drive", "add", "b:b1")
        server.command("drive", "add", "c:c1")
        full(server)
        assert server.command("verify", "--quiet").returncode == 0


def test_dur_d15_only_a_copy_that_missed_changes_is_left():
    """It is taken if, and only if, the operator names it; nothing that came later is removed."""
    with Server(*flags(THREE)) as server:
        bucket, bodies = fill(server)
        full(server)
        (server.base / "a1").rename(server.base / "away")
        until(lambda: status(server)["drives"][0]["tables"] == "behind", "a copy that is left behind")
        clients.s3(server).put_object(Bucket=bucket, Key="later", Body=clients.noise(300_000, seed=9))
        server.stop()
        server.flags = []
        (server.base / "away").rename(server.base / "a1")
        for name in ("b1", "c1"):
            (server.base / name).rename(server.base / f"{name}-lost")
        assert "may still be on: drive 2" in refused(server, "drive", "give-up", "1", "--accept-loss")
        told = refused(server, "drive", "give-up", "1", "2", "--accept-loss")
        assert "missed changes" in told and "--tables-of 0" in told
        shards = files(server.base / "a1/blobs")
        done = server.command("drive", "give-up", "1", "2", "--accept-loss", "--tables-of", "0").stdout
        assert "WHICH MISSED CHANGES" in done
        server.start()
        assert contents(server, bucket) == bodies
        server.command("drive", "add", "b:b2")
        server.command("drive", "add", "c:c2")
        full(server)
        server.restart()
        assert contents(server, bucket) == bodies
        assert shards.keys() <= files(server.base / "a1/blobs").keys()


def test_dur_d8_a_drive_was_replaced_and_another_lost_before_the_copy_was_whole():
    """Every command said that no majority keeps the change, and named no drive."""
    with Server(*flags(THREE)) as server:
        bucket, bodies = fill(server)
        full(server)
        server.stop()
        server.flags = []
        shutil.rmtree(server.base / "b1")
        # Without a server nothing is caught up.
        server.command("drive", "replace", "b:b2")
        (server.base / "c1").rename(server.base / "c1-lost")
        for told in (refused_start(server), refused(server, "drive", "list")):
            assert "drive 2 of facility c, last at" in told and "drive give-up 2" in told, told
        server.command("drive", "give-up", "2", "--accept-loss")
        server.start()
        assert contents(server, bucket) == bodies
        server.command("drive", "add", "c:c2")
        full(server)


def test_status_says_what_the_copies_of_the_tables_bear():
    with Server(*flags(THREE)) as server:
        text = server.command("status").stdout
        assert ("1+2: any 2 drives, or any one facility, may be lost, but of those with a copy of the tables only one"
                in text)
        server.stop()
        told = refused(server, "drive", "give-up", "1", "--accept-loss")
        assert "is there" in told
        (server.base / "b1").rename(server.base / "away")
        assert "drive replace" in refused(server, "drive", "give-up", "1", "--accept-loss")
        (server.base / "away").rename(server.base / "b1")
        server.start()
