# SPDX-License-Identifier: Apache-2.0
"""`strongroom kms` and `strongroom user policy` on a real server, and what comes with time."""

import datetime
import json
import os
import re
import shutil
import time

import pytest

import clients
import strongroom
from clients import read, refused
from clock_shim import Travel
from keys import ABSENT, ARN, metadata, pages, state
from people import allow, document
from test_kms_import import Import


@pytest.fixture(scope="session")
def travel():
    return Travel()


def line_of(text, stem):
    """The rest of the one line that begins so."""
    [found] = [line for line in text.splitlines() if line.startswith(stem)]
    return found.removeprefix(stem)


def until(look):
    """Waits for what the server does by itself."""
    return strongroom.until(look, "what the server does by itself", pause=0.1)


def listed(server, key):
    """What `kms list` says of a key: state, rotation, last use, aliases."""
    out = server.command("kms", "list").stdout
    [found] = [line.split("\t")[1:] for line in out.splitlines() if line.startswith(key)]
    return found


# ---- list and impact ------------------------------------------------------------------------------


def test_list(make_server):
    server = make_server()
    assert server.command("kms", "list").stdout == "No keys.\n"
    kms = clients.kms(server)
    one, two = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    kms.create_alias(AliasName="alias/photos", TargetKeyId=one)
    kms.create_alias(AliasName="alias/films", TargetKeyId=one)
    kms.enable_key_rotation(KeyId=one, RotationPeriodInDays=90)
    kms.encrypt(KeyId=one, Plaintext=b"x")
    kms.disable_key(KeyId=two)
    found = listed(server, one)
    assert found[:2] == ["Enabled", "every 90 days"]
    assert found[2].startswith("Encrypt ") and set(found[3].split(",")) == {"alias/photos", "alias/films"}
    assert listed(server, two) == ["Disabled", "-", "never", ""]
    server.stop()
    # The same without a server.
    assert listed(server, two) == ["Disabled", "-", "never", ""]


def test_impact(server, s3, kms, make_key):
    key, other = make_key(), make_key()
    names = sorted(clients.bucket_name() for _ in range(2))
    try:
        for name in names:
            s3.create_bucket(Bucket=name)
        sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
        s3.put_object(Bucket=names[0], Key="a", Body=bytes(1_000), **sse)
        s3.put_object(Bucket=names[0], Key="b", Body=bytes(2_345), **sse)
        s3.put_object(Bucket=names[0], Key="c", Body=bytes(9), ServerSideEncryption="AES256")
        s3.put_object(Bucket=names[0], Key="d", Body=bytes(9), ServerSideEncryption="aws:kms",
                      SSEKMSKeyId=other)
        s3.put_object(Bucket=names[1], Key="e", Body=bytes(77), **sse)
        upload = s3.create_multipart_upload(Bucket=names[1], Key="f", **sse)["UploadId"]
        kms.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{ARN.split(':')[4]}:root",
                         Operations=["Decrypt"])
        alias = f"alias/{names[0]}"
        kms.create_alias(AliasName=alias, TargetKeyId=key)
        for name in (key, f"{ARN}:key/{key}", alias):
            out = server.command("kms", "impact", name).stdout
            assert line_of(out, "key: ") == f"{ARN}:key/{key} (Enabled)"
            assert line_of(out, "aliases: ") == alias
            assert line_of(out, "grants: ") == "1"
            assert line_of(out, "last use: ").startswith("GenerateDataKey ")
            assert line_of(out, "depend on it: ") == "3 object versions and 1 open uploads in 2 buckets"
            assert line_of(out, f"  s3://{names[0]}\t") == "2 versions\t3345 bytes\t0 uploads"
            assert line_of(out, f"  s3://{names[1]}\t") == "1 versions\t77 bytes\t1 uploads"
        s3.abort_multipart_upload(Bucket=names[1], Key="f", UploadId=upload)
    finally:
        for name in names:
            clients.empty_and_delete(s3, name)
    out = server.command("kms", "impact", key).stdout
    assert line_of(out, "depend on it: ") == "0 object versions and 0 open uploads in 0 buckets"


@pytest.mark.parametrize("name", [ABSENT, "alias/nothing", "", "no key", f"{ARN}:key/{ABSENT}"])
def test_commands_on_no_key(server, name):
    done = server.command("kms", "impact", name, check=False)
    assert done.returncode == 1 and done.stderr and "depend on it" not in done.stdout
    done = server.command("kms", "verify-destroyed", name, check=False)
    assert done.returncode == 1 and "found: nothing" not in done.stdout


# ---- verify-destroyed and the clock ---------------------------------------------------------------


def test_a_key_that_lives_is_not_destroyed(server, kms, make_key):
    key = make_key()
    alias = f"alias/lives-{key}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    for is_scheduled in (False, True):
        if is_scheduled:
            kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        done = server.command("kms", "verify-destroyed", key, check=False)
        assert done.returncode == 1
        out = done.stdout
        assert "REMAINS no tombstone" in out and "REMAINS the key itself is there" in out
        assert "REMAINS 1 versions of its material in the tables" in out
        assert re.search(r"REMAINS its shred key [0-9a-f]{32} in the vault", out)
        assert re.search(r"REMAINS a shred key in \S+/vault/\S+", out)
        assert "found: nothing" not in out
    done = server.command("kms", "verify-destroyed", alias, check=False)
    assert done.returncode == 1 and "alias" in done.stderr
    kms.cancel_key_deletion(KeyId=key)


def test_a_drive_that_was_lost_is_named_until_it_is_said_to_be_gone(make_server, travel):
    """When another drive had taken its place it was said that nothing can be opened any more."""
    server = make_server("--drive", "a:a1", "--drive", "b:b1", "--drive", "c:c1")
    kms = clients.kms(server)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key, Plaintext=b"x")
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    server.stop()
    (server.base / "c1").rename(server.base / "c1-away")
    travel.to(server, 8)
    server.command("kms", "confirm-clock", "--yes")
    proof = ["kms", "verify-destroyed", key]
    done = server.command(*proof, check=False)
    assert done.returncode == 1 and "REMAINS drive 2 of facility c" in done.stdout
    assert "is drive 3" in server.command("drive", "replace", "c:c2").stdout

    def has_healed():
        found = json.loads(server.command("status", "--json", check=False).stdout)
        return found["full_redundancy"] and found["drives"][2]["state"] == "removed"

    until(has_healed)
    done = server.command(*proof, check=False)
    assert done.returncode == 1 and "found: 1" in done.stdout, done.stdout
    assert "REMAINS perhaps on drive 2 of facility c" in done.stdout
    done = server.command(*proof, "--also", str(server.base / "c1-away"), "--gone", "2", check=False)
    assert done.returncode == 1 and "REMAINS a shred key in" in done.stdout
    assert server.command(*proof, "--gone", "3", check=False).returncode == 1
    shutil.rmtree(server.base / "c1-away")
    assert "found: nothing" in server.command(*proof, "--gone", "2").stdout
    server.flags = []
    travel.back(server)


def test_a_destroyed_key_is_found_in_a_copy_only(make_server, travel, tmp_path):
    server = make_server()
    kms, s3 = clients.kms(server), clients.s3(server)
    key, kept = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    name = clients.bucket_name()
    s3.create_bucket(Bucket=name)
    for one in (key, kept):
        s3.put_object(Bucket=name, Key=one, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=one)
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    shutil.copytree(server.data / "drive/vault", tmp_path / "old/vault")
    assert any((tmp_path / "old/vault").iterdir())
    server.command("backup", "metadata", str(server.base / "older"), "--quiet")
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    # A leap of the clock: of no use, and still there.
    travel.to(server, 8)
    waits = until(lambda: server.command("kms", "confirm-clock").stdout)
    assert line_of(waits, "waits to be destroyed: ") == f"{ARN}:key/{key}"
    assert "repeat this with --yes" in waits
    assert server.command("kms", "verify-destroyed", key, check=False).returncode == 1
    until(lambda: "the clock is ahead" in server.log())
    # The clock is right again: so is the key.
    travel.back(server)
    kms = clients.kms(server)
    assert state(kms, key) == "PendingDeletion"
    assert "nothing waits" in server.command("kms", "confirm-clock").stdout

    # The clock is confirmed.
    travel.to(server, 8)
    confirmed = server.command("kms", "confirm-clock", "--yes").stdout
    assert "confirmed: what was due is destroyed" in confirmed and "waits" not in confirmed
    for name_of in (key, f"{ARN}:key/{key}"):
        out = server.command("kms", "verify-destroyed", name_of).stdout
        assert line_of(out, "tombstone: destroyed ") and "found: nothing" in out
        assert "REMAINS" not in out
    assert [e for e in server.audit(settle=False) if e["eventName"] == "DeleteKey"]
    # A copy from before is found, wherever it lies and whatever its files are called.
    copies = tmp_path / "old"
    for also in (copies, tmp_path):
        done = server.command("kms", "verify-destroyed", key, "--also", str(also), check=False)
        assert done.returncode == 1 and "found: 1" in done.stdout
        assert line_of(done.stdout, "REMAINS a shred key in ").startswith(str(copies / "vault"))
    packed = tmp_path / "packed"
    packed.mkdir()
    files = sorted((copies / "vault").iterdir())
    (packed / "backup.tar").write_bytes(b"".join(os.urandom(70_001) + f.read_bytes() for f in files))
    done = server.command("kms", "verify-destroyed", key, "--also", str(packed), check=False)
    assert done.returncode == 1 and "backup.tar" in done.stdout
    (packed / "backup.tar").write_bytes(os.urandom(70_001))
    assert server.command("kms", "verify-destroyed", key, "--also", str(packed)).returncode == 0
    # A backup of the tables that is older brings the key back; one that is not does not have it.
    shutil.copy(server.base / "older", packed / "older")
    done = server.command("kms", "verify-destroyed", key, "--also", str(packed), check=False)
    assert done.returncode == 1 and "found: nothing" not in done.stdout
    assert line_of(done.stdout, "REMAINS the key in ").startswith(f"{packed}/older: a backup")
    (packed / "older").unlink()
    server.command("backup", "metadata", str(packed / "newer"), "--quiet")
    assert server.command("kms", "verify-destroyed", key, "--also", str(packed)).returncode == 0
    # What a link leads to was not searched.
    (packed / "link").symlink_to(copies)
    done = server.command("kms", "verify-destroyed", key, "--also", str(packed), check=False)
    assert done.returncode == 1 and "symbolic link" in done.stdout and "found: 1" in done.stdout
    (packed / "link").unlink()
    # The other key is as it was, also in what remains of the first.
    assert server.command("kms", "verify-destroyed", kept, check=False).returncode == 1

    travel.back(server)
    kms, s3 = clients.kms(server), clients.s3(server)
    with refused("NotFoundException", 400):
        kms.describe_key(KeyId=key)
    with refused("NotFoundException", 400):
        kms.decrypt(CiphertextBlob=blob)
    with pytest.raises(Exception) as caught:
        s3.get_object(Bucket=name, Key=key)
    assert "NotFound" in caught.value.response["Error"]["Code"]
    assert read(s3.get_object(Bucket=name, Key=kept)) == b"x"
    assert server.command("verify").returncode == 0


# ---- what comes with time -------------------------------------------------------------------------


def test_automatic_rotation_comes_at_its_time(make_server, travel):
    server = make_server()
    kms = clients.kms(server)
    key, still, asleep = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(3))
    for one in (key, asleep):
        kms.enable_key_rotation(KeyId=one, RotationPeriodInDays=90)
    kms.disable_key(KeyId=asleep)
    first = metadata(kms, key)["CurrentKeyMaterialId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]

    def rotations(one):
        return pages(clients.kms(server), "list_key_rotations", "Rotations", KeyId=one)

    travel.to(server, 89)
    time.sleep(1)
    travel.back(server)
    assert rotations(key) == []
    travel.to(server, 90 + 1 / 24)
    until(lambda: "KMS keys" in server.log())
    travel.back(server)
    [found] = rotations(key)
    assert found["RotationType"] == "AUTOMATIC"
    after = found["RotationDate"] - datetime.datetime.now(datetime.timezone.utc)
    assert abs(after - datetime.timedelta(days=90)) < datetime.timedelta(hours=2)
    assert (rotations(still), rotations(asleep)) == ([], [])
    kms = clients.kms(server)
    now = metadata(kms, key)["CurrentKeyMaterialId"]
    assert now != first and found["KeyMaterialId"] == now
    opened = kms.decrypt(CiphertextBlob=blob)
    assert (opened["Plaintext"], opened["KeyMaterialId"]) == (b"x", first)
    assert kms.generate_data_key(KeyId=key, KeySpec="AES_256")["KeyMaterialId"] == now


def test_imported_material_expires_at_its_time(make_server, travel):
    server = make_server()
    kms = clients.kms(server)
    key, kept = (kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"] for _ in range(2))
    material, end = os.urandom(32), datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3)
    Import(kms, key).send(material, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=end)
    Import(kms, kept).send(os.urandom(32))
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    vault = server.data / "drive/vault"
    assert len(list(vault.iterdir())) == 2
    travel.to(server, 2)
    assert "confirmed" in server.command("kms", "confirm-clock", "--yes").stdout
    assert listed(server, key)[0] == "Enabled" and len(list(vault.iterdir())) == 2
    travel.to(server, 3 + 1 / 24)
    server.command("kms", "confirm-clock", "--yes")
    assert len(list(vault.iterdir())) == 1
    travel.back(server)
    kms = clients.kms(server)
    assert (state(kms, key), state(kms, kept)) == ("PendingImport", "Enabled")
    with refused("KMSInvalidStateException", 400, f"{ARN}:key/{key} is pending import."):
        kms.decrypt(CiphertextBlob=blob)
    Import(kms, key).send(material)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_domain_keys_rotate_on_schedule(make_server, travel):
    server = make_server()
    kms = clients.kms(server)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]

    def ages():
        return re.findall(r"in use: .* (\d+) days old", server.command("root", "show").stdout)

    assert ages() == ["0", "0"]
    travel.to(server, 29)
    time.sleep(1)
    assert ages() == ["29", "29"]
    travel.to(server, 31)
    # The root of SSE-S3 is not due.
    until(lambda: ages() == ["0", "31"])
    assert [e for e in server.audit(settle=False) if e["eventName"] == "RotateKeyring"]
    travel.back(server)
    assert clients.kms(server).decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


# ---- policies of users ----------------------------------------------------------------------------


def test_user_policy(server, make_user, tmp_path):
    user = make_user()
    assert "full access" in server.command("user", "policy", user.name).stdout
    policy = document(allow("kms:ListKeys"))
    user.set_policy(policy)
    assert json.loads(server.command("user", "policy", user.name).stdout) == json.loads(policy)
    assert "Keys" in user.kms.list_keys()
    with refused("AccessDeniedException", 400):
        user.kms.create_key()
    nonsense = tmp_path / "policy.json"
    for text in ("", "{", "[]", '{"Version":"2012-10-17"}', '{"Statement":[{"Effect":"Maybe"}]}',
                 "\N{SNOWMAN}", document(allow("kms:ListKeys")) + "x", " " * 200_000):
        nonsense.write_text(text)
        done = server.command("user", "policy", user.name, str(nonsense), check=False)
        assert done.returncode != 0 and done.stderr, text[:50]
    nonsense.write_bytes(b"\xff\xfe")
    assert server.command("user", "policy", user.name, str(nonsense), check=False).returncode != 0
    assert json.loads(server.command("user", "policy", user.name).stdout) == json.loads(policy)
    absent = ["user", "policy", "nobody-at-all"]
    nonsense.write_text(policy)
    for more in ([], [str(nonsense)], ["--remove"]):
        assert server.command(*absent, *more, check=False).returncode == 1
    user.remove_policy()
    assert "full access" in server.command("user", "policy", user.name).stdout
    assert user.kms.create_key()
