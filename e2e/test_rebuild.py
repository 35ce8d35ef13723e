# SPDX-License-Identifier: Apache-2.0
"""The last resort: every table and every backup is lost, the drives' shard files are not."""

import json
import shutil

import pytest
from botocore.exceptions import ClientError

import clients
from strongroom import Server, until

SIZE = 1 << 20
PART = 5 << 20


def lose_tables(server, *drives):
    for drive in drives or [server.data / "drive"]:
        for name in ("log", "index"):
            shutil.rmtree(drive / name, ignore_errors=True)


def shard_files(*drives):
    return sorted(path for drive in drives for path in (drive / "blobs").rglob("*") if path.is_file())


def fill(server):
    """Objects of every mode, one in parts, an upload that is open; what they are and how they are read."""
    s3, kms = clients.s3(server), clients.kms(server)
    bucket = clients.make_bucket(s3, sse_c=True)
    key = kms.create_key(Description="telling-description")["KeyMetadata"]["KeyId"]
    customer = clients.CustomerKey()
    modes = {
        "telling-s3": ({}, {}),
        "telling-kms": ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}, {}),
        "telling-aws-s3": ({"ServerSideEncryption": "aws:kms"}, {}),
        "telling-bucket-key": ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key, "BucketKeyEnabled": True}, {}),
        "telling-dsse": ({"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": key}, {}),
        "telling-c": (customer.boto(), customer.boto()),
    }
    written = {}
    for seed, (name, (write, read)) in enumerate(modes.items()):
        body = b"telling-plaintext" + clients.noise(SIZE, seed=seed)
        s3.put_object(Bucket=bucket, Key=name, Body=body, Metadata={"telling": "telling-value"}, **write)
        written[name] = (body, read)
    # The last part lives in the tables.
    parts = [clients.noise(PART, seed=20), clients.noise(PART, seed=21), clients.noise(900, seed=22)]
    write = {"ServerSideEncryption": "aws:kms", "Metadata": {"telling": "telling-value"}}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="telling-parts", **write)["UploadId"]
    place = {"Bucket": bucket, "Key": "telling-parts", "UploadId": upload}
    named = [
        {"PartNumber": number, "ETag": s3.upload_part(PartNumber=number, Body=body, **place)["ETag"]}
        for number, body in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **place)
    written["telling-parts"] = (b"".join(parts), {})
    opened = [clients.noise(PART, seed=23), clients.noise(100_000, seed=24)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="telling-open")["UploadId"]
    for number, body in enumerate(opened, 1):
        s3.upload_part(Bucket=bucket, Key="telling-open", UploadId=upload, PartNumber=number, Body=body)
    s3.put_object(Bucket=bucket, Key="small", Body=b"small")
    return bucket, key, written, b"".join(opened)


def check(server, bucket, key, written, opened):
    """Everything is there again, once what was lost with the tables is said again."""
    s3, kms = clients.s3(server), clients.kms(server)
    # A key of the account is disabled until somebody has looked at it.
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="telling-kms")
    assert "Disabled" in refused.value.response["Error"]["Code"]
    assert clients.read(s3.get_object(Bucket=bucket, Key="telling-aws-s3")) == written["telling-aws-s3"][0]
    kms.enable_key(KeyId=key)
    for name, (body, read) in written.items():
        got = s3.get_object(Bucket=bucket, Key=name, **read)
        assert got["Metadata"] == {"telling": "telling-value"}
        assert clients.read(got) == body, name
    assert s3.head_object(Bucket=bucket, Key="telling-parts", PartNumber=3)["PartsCount"] == 3
    # What was not completed is an upload again, which can be.
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["Key"] for upload in uploads] == ["telling-open"]
    place = {"Bucket": bucket, "Key": "telling-open", "UploadId": uploads[0]["UploadId"]}
    listed = s3.list_parts(**place)["Parts"]
    named = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed]
    s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **place)
    assert clients.read(s3.get_object(Bucket=bucket, Key="telling-open")) == opened
    names = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert names == set(written) | {"telling-open"}, "small bodies live in the tables alone"
    assert server.command("verify", "--quiet").returncode == 0


def test_dur_d15_every_table_and_backup_is_lost_and_the_files_tell():
    with Server() as server:
        bucket, key, written, opened = fill(server)
        drive = server.data / "drive"
        for path in shard_files(drive):
            raw = path.read_bytes()
            for shown in (b"telling", bucket.encode(), key.encode(), b"arn:aws"):
                assert shown not in raw, shown
        running = server.command("rebuild", check=False)
        assert running.returncode != 0
        server.stop()
        # What is there knows more.
        whole = server.command("rebuild", check=False)
        assert whole.returncode != 0 and "it has tables" in whole.stderr
        before = server.command("rebuild", "--dry-run")
        assert f"{len(written)} objects" in before.stdout and "would be back" in before.stdout
        lose_tables(server)
        files = shard_files(drive)
        vault = sorted((drive / "vault").iterdir())
        # A start must not take it for a new store and remove everything.
        with pytest.raises(Exception):
            server.start()
        assert "its tables are gone" in server.log()
        assert shard_files(drive) == files and sorted((drive / "vault").iterdir()) == vault
        told = json.loads(server.command("rebuild", "--dry-run", "--json").stdout)
        assert told["dry_run"] and told["objects"] == len(written) and told["not_back"] == []
        assert not (drive / "log/anchor").exists()
        done = server.command("rebuild", "--read-all", "--quiet")
        assert f"{len(written)} objects" in done.stdout and "are back" in done.stdout
        assert "open upload  s3://" in done.stdout and "telling-open" in done.stdout
        assert "telling-parts" not in done.stdout and "Never back" in done.stdout
        again = server.command("rebuild", check=False)
        assert again.returncode != 0 and "it has tables" in again.stderr
        server.start()
        check(server, bucket, key, written, opened)
        assert "RebuildTables" in [event["eventName"] for event in server.audit()]
        server.restart()
        assert clients.read(clients.s3(server).get_object(Bucket=bucket, Key="telling-kms")) == written["telling-kms"][0]


def test_dur_d15_several_drives_with_one_of_them_gone():
    drives = ["a:a1", "a:a2", "b:b1", "b:b2", "c:c1", "c:c2"]
    with Server(*(part for drive in drives for part in ("--drive", drive))) as server:
        bucket, key, written, opened = fill(server)
        s3 = clients.s3(server)
        for name in ("telling-s3", "telling-parts"):
            # Kept in one facility: sealed bytes in blobs of their own.
            source = {"Bucket": bucket, "Key": name}
            s3.copy_object(Bucket=bucket, Key=f"{name}-cold", CopySource=source, StorageClass="ONEZONE_IA",
                           **({"ServerSideEncryption": "aws:kms"} if name == "telling-parts" else {}))
            written[f"{name}-cold"] = written[name]
        # A drive that was slow is left behind by an upload, and gets its shard later.
        until(lambda: json.loads(server.command("status", "--json", check=False).stdout)["full_redundancy"],
              "full redundancy")
        server.stop()
        paths = [server.base / drive.split(":")[1] for drive in drives]
        assert all(path.is_dir() for path in paths)
        lose_tables(server, *paths)
        paths[5].rename(server.base / "away")
        # And one file of another drive is damaged: its shard is made anew.
        victim = shard_files(paths[0])[0]
        raw = bytearray(victim.read_bytes())
        raw[-1] ^= 1
        victim.write_bytes(raw)
        told = json.loads(server.command("rebuild", "--json").stdout)
        assert told["objects"] == len(written) and told["not_back"] == []
        assert len(told["damaged_files"]) == 1 and told["drives_away"] == [str(paths[5])]
        assert told["may_have_been_deleted"] == []
        (server.base / "away").rename(paths[5])
        server.start()
        for name in ("telling-s3-cold", "telling-parts-cold"):
            assert clients.s3(server).head_object(Bucket=bucket, Key=name)["StorageClass"] == "ONEZONE_IA"
        check(server, bucket, key, written, opened)


def test_what_may_have_been_deleted_is_named():
    """A drive was away when an object was deleted, and has its files: the object is back, and that is said."""
    drives = ["a:a1", "b:b1", "c:c1"]
    with Server(*(part for drive in drives for part in ("--drive", drive))) as server:
        s3 = clients.s3(server)
        bucket = clients.make_bucket(s3)
        bodies = {name: clients.noise(SIZE, seed=seed) for seed, name in enumerate(("kept", "deleted"))}
        for name, body in bodies.items():
            s3.put_object(Bucket=bucket, Key=name, Body=body)
        server.stop()
        paths = [server.base / drive.split(":")[1] for drive in drives]
        paths[2].rename(server.base / "away")
        server.start()
        clients.s3(server).delete_object(Bucket=bucket, Key="deleted")
        # Files go behind the answer.
        until(lambda: len(shard_files(*paths[:2])) == 2, "the end of the files of what was deleted")
        server.stop()
        (server.base / "away").rename(paths[2])
        lose_tables(server, *paths)
        dry = server.command("rebuild", "--dry-run")
        assert "MAY HAVE BEEN DELETED" in dry.stdout
        told = json.loads(server.command("rebuild", "--json").stdout)
        assert told["objects"] == 2
        assert told["may_have_been_deleted"] == [{"of": f"s3://{bucket}/deleted", "files": 1, "files_once": 3}]
        server.start()
        for name, body in bodies.items():
            assert clients.read(clients.s3(server).get_object(Bucket=bucket, Key=name)) == body


def test_tables_on_a_drive_that_is_away_are_not_given_up_unasked():
    """A facility was unplugged, the others lost their tables: `rebuild` made poorer ones, and those of the
    facility counted for older when it came back."""
    drives = ["a:a1", "b:b1", "c:c1"]
    with Server(*(part for drive in drives for part in ("--drive", drive))) as server:
        s3 = clients.s3(server)
        bucket = clients.make_bucket(s3)
        s3.put_object(Bucket=bucket, Key="small", Body=b"in the tables only")
        server.stop()
        paths = [server.base / drive.split(":")[1] for drive in drives]
        lose_tables(server, *paths[:2])
        paths[2].rename(server.base / "away")
        refused = server.command("rebuild", check=False)
        assert refused.returncode != 0 and "--accept-loss" in refused.stderr
        assert not any((path / "log/anchor").exists() for path in paths[:2])
        # Looking is allowed, and changes nothing.
        assert server.command("rebuild", "--dry-run", "--json").returncode == 0
        (server.base / "away").rename(paths[2])
        refused = server.command("rebuild", "--accept-loss", check=False)
        assert refused.returncode != 0 and "it has tables" in refused.stderr
        paths[2].rename(server.base / "gone")
        done = json.loads(server.command("rebuild", "--accept-loss", "--json").stdout)
        assert done["drives_away"] == [str(paths[2])]
        (server.base / "gone").rename(paths[2])
        server.start()
        assert clients.s3(server).list_buckets()["Buckets"] == []
        log = b"".join(path.read_bytes() for path in sorted((paths[0] / "audit").iterdir()))
        events = [json.loads(line) for line in log.splitlines()]
        events = [event for event in events if event["eventName"] in ("RebuildTables", "StartServer")]
        assert events[-2]["responseElements"]["objects"] == 0
        assert events[-1]["responseElements"] == {"tablesAreRestored": True}


def test_what_is_damaged_is_named_and_never_back():
    with Server() as server:
        s3 = clients.s3(server)
        bucket = clients.make_bucket(s3)
        bodies = {}
        for number in range(4):
            bodies[f"{number}"] = clients.noise(70_000, seed=number)
            s3.put_object(Bucket=bucket, Key=f"{number}", Body=bodies[f"{number}"])
        server.stop()
        lose_tables(server)
        files = shard_files(server.data / "drive")
        assert len(files) == 4
        # The end of one; a unit of another, which only reading all of it finds.
        for path, offset in ((files[0], -70), (files[1], 1000)):
            raw = bytearray(path.read_bytes())
            raw[offset] ^= 1
            path.write_bytes(raw)
        # One file in the place of another.
        files[2].write_bytes(files[3].read_bytes())
        dry = server.command("rebuild", "--dry-run", "--json", check=False)
        assert dry.returncode == 1
        dry = json.loads(dry.stdout)
        assert dry["objects"] == 2 and len(dry["damaged_files"]) == len(dry["not_back"]) == 2
        done = server.command("rebuild", "--read-all", "--json", check=False)
        assert done.returncode == 1
        done = json.loads(done.stdout)
        assert done["objects"] == 1 and len(done["damaged_files"]) == len(done["not_back"]) == 3
        assert {found["place"].split("/")[-1] for found in done["damaged_files"]} == {path.name for path in files[:3]}
        server.start()
        s3 = clients.s3(server)
        back = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
        assert len(back) == 1
        assert clients.read(s3.get_object(Bucket=bucket, Key=back[0])) == bodies[back[0]]
        # What could not be read is kept: somebody may know better.
        assert shard_files(server.data / "drive") == files


def test_another_root_key_and_no_store_are_refused():
    with Server() as server:
        server.stop()
        lose_tables(server)
        (server.data / "root.key").write_bytes(bytes(32))
        refused = server.command("rebuild", check=False)
        assert refused.returncode != 0 and "root key" in refused.stderr
        nothing = server.command("rebuild", "--data", server.base / "nothing", check=False)
        assert nothing.returncode != 0
        assert not (server.data / "drive/log/anchor").exists()
