# SPDX-License-Identifier: Apache-2.0
"""Backups of the tables: made while the server runs, put back where every table was lost."""

import shutil

import pytest

import clients
from strongroom import Server, until


def filled(server):
    """Objects under every kind of key of the server's, small and large; what they are."""
    s3, kms = clients.s3(server), clients.kms(server)
    bucket = clients.make_bucket(s3)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    key = kms.create_key(Description="of a backup")["KeyMetadata"]["KeyId"]
    modes = {
        "s3": {},
        "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key},
        "dsse": {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": key},
    }
    bodies = {}
    for mode, arguments in modes.items():
        for size in (0, 100, 300_000):
            name = f"{mode}/{size}"
            bodies[name] = clients.noise(size, seed=len(bodies))
            s3.put_object(Bucket=bucket, Key=name, Body=bodies[name], **arguments)
    return bucket, bodies


def contents(server, bucket):
    s3 = clients.s3(server)
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {entry["Key"]: s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            for entry in listed}


def lose_tables(server):
    for name in ("log", "index", "vault"):
        shutil.rmtree(server.data / "drive" / name, ignore_errors=name == "vault")


def test_dur_d15_every_object_is_read_again_after_all_tables_were_lost():
    with Server() as server:
        bucket, bodies = filled(server)
        file = server.base / "backup"
        made = server.command("backup", "metadata", file, "--quiet")
        assert "up to commit" in made.stdout
        assert file.stat().st_mode & 0o777 == 0o600
        # Nothing of names and bodies lies in it in clear.
        bytes_ = file.read_bytes()
        assert bucket.encode() not in bytes_ and b"dsse/100" not in bytes_
        s3 = clients.s3(server)
        s3.put_object(Bucket=bucket, Key="later", Body=clients.noise(200_000))
        credential = server.credential
        server.stop()
        lose_tables(server)
        shutil.rmtree(server.data / "tls")
        (server.data / "root-credential.sealed").unlink()

        assert "whole" in server.command("backup", "check", file).stdout
        restored = server.command("restore", "metadata", file)
        assert "are back" in restored.stdout
        server.start()
        assert server.credential == credential
        assert contents(server, bucket) == bodies
        # New objects, and the same numbers for versions of old ones.
        clients.s3(server).put_object(Bucket=bucket, Key="new", Body=b"new")
        assert server.command("verify", "--quiet").returncode == 0
        names = [event["eventName"] for event in server.audit()]
        assert "BackupMetadata" in names and "RestoreMetadata" in names

        # What was written after the backup is kept until somebody says otherwise.
        shards = list((server.data / "drive/blobs").rglob("*"))
        assert "next start" in server.command("restore", "finish").stdout
        assert "nothing to do" in server.command("restore", "finish").stdout
        server.restart()
        assert contents(server, bucket) == bodies | {"new": b"new"}
        wait_until_fewer(server, len(shards))


def wait_until_fewer(server, before):
    """The files without rows go in the background of a start; nothing else removes any."""
    until(lambda: len(list((server.data / "drive/blobs").rglob("*"))) < before,
          "the end of the file of an object that no table knows")


def test_dur_d15_a_new_machine_needs_the_backup_the_root_key_and_the_shards():
    with Server() as old:
        bucket, bodies = filled(old)
        file = old.base / "backup"
        old.command("backup", "metadata", file, "--quiet")
        old.stop()
        with_key, without_key = Server(), Server()
        try:
            for new in (with_key, without_key):
                (new.data / "drive").mkdir(parents=True, mode=0o700)
                new.data.chmod(0o700)
                for name in ("superblock", "blobs"):
                    source = old.data / "drive" / name
                    copy = shutil.copytree if source.is_dir() else shutil.copy
                    copy(source, new.data / "drive" / name)
            shutil.copy(old.data / "root.key", with_key.data / "root.key")
            refused = without_key.command("restore", "metadata", file, check=False)
            assert refused.returncode != 0 and "root key" in refused.stderr
            assert not (without_key.data / "keyring").exists()
            assert not (without_key.data / "drive/log").exists()
            with_key.command("restore", "metadata", file)
            with_key.start()
            assert contents(with_key, bucket) == bodies
        finally:
            for new in (with_key, without_key):
                new.kill()
                new.remove()


@pytest.mark.parametrize("damage", ["head", "middle", "end", "cut", "longer", "empty"])
def test_a_damaged_backup_changes_nothing(damage):
    with Server() as server:
        bucket, _ = filled(server)
        file = server.base / "backup"
        server.command("backup", "metadata", file, "--quiet")
        server.stop()
        lose_tables(server)
        good = file.read_bytes()
        place = {"head": 20, "middle": len(good) // 2, "end": len(good) - 3}.get(damage)
        if place is not None:
            bad = good[:place] + bytes([good[place] ^ 1]) + good[place + 1:]
        else:
            bad = {"cut": good[:-40], "longer": good + b"x", "empty": b""}[damage]
        file.write_bytes(bad)
        for command in (("backup", "check"), ("restore", "metadata")):
            refused = server.command(*command, file, check=False)
            assert refused.returncode != 0, command
            assert "backup" in refused.stderr
        assert not (server.data / "drive/log").exists()
        file.write_bytes(good)
        server.command("restore", "metadata", file)
        server.start()
        assert len(contents(server, bucket)) == 9


def test_what_is_refused():
    with Server() as server:
        file = server.base / "backup"
        server.command("backup", "metadata", file, "--quiet")
        again = server.command("backup", "metadata", file, "--quiet", check=False)
        assert again.returncode != 0 and "exists" in again.stderr
        running = server.command("restore", "metadata", file, check=False)
        assert running.returncode != 0
        server.stop()
        # Without a server the command opens the store itself.
        server.command("backup", "metadata", server.base / "second", "--quiet")
        full = server.command("restore", "metadata", file, check=False)
        assert full.returncode != 0 and "it has tables" in full.stderr
        missing = server.command("restore", "metadata", server.base / "nothing", check=False)
        assert missing.returncode != 0 and "nothing" in missing.stderr
        nowhere = server.command(
            "backup", "metadata", server.base / "no/such/folder", check=False)
        assert nowhere.returncode != 0
        whole = file.read_bytes()
        server.start()
    with Server() as other:
        other.stop()
        lose_tables(other)
        file = other.base / "backup"
        file.write_bytes(whole)
        strange = other.command("restore", "metadata", file, check=False)
        assert strange.returncode != 0 and "of another store" in strange.stderr
        assert not (other.data / "drive/log").exists()
