# SPDX-License-Identifier: Apache-2.0
"""`strongroom verify` reads the vault: harm to a shred key is found and named, with a server and
without one."""

import os

import pytest

import clients


def shred_keys(server):
    return sorted((server.data / "drive/vault").iterdir())


def harmed(path, harm):
    """Does harm to a file."""
    whole = path.read_bytes()
    if harm == "missing":
        return path.unlink()
    bent = bytearray(whole)
    if harm.startswith("byte"):
        bent[int(harm.split()[1])] ^= 1
    path.write_bytes({
        "empty": b"", "short": whole[:-1], "long": whole + b"\0", "zeros": bytes(len(whole)),
    }.get(harm, bytes(bent)))
    return None


@pytest.mark.parametrize("live", [True, False])
def test_verify_finds_each_harm_to_a_shred_key(make_server, live):
    server = make_server()
    kms = clients.kms(server)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    [path] = shred_keys(server)
    kms.rotate_key_on_demand(KeyId=key)
    kms.disable_key(KeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    [other] = [one for one in shred_keys(server) if one != path][-1:]
    if not live:
        server.stop()
    done = server.command("verify", "--quiet")
    count = len(shred_keys(server))
    assert f"opened: 3 versions of KMS keys with the {count} shred keys of the vault" in done.stdout
    whole = path.read_bytes()
    for harm in ("missing", "empty", "short", "long", "zeros", "byte 0", "byte 20", "byte 40",
                 "byte 60", "byte -1"):
        harmed(path, harm)
        done = server.command("verify", "--quiet", check=False)
        assert done.returncode == 1, harm
        found = [line for line in done.stdout.splitlines() if line.startswith(("DAMAGED", "UNREF"))]
        assert found and all(key in line and line.startswith("DAMAGED version") for line in found)
        path.write_bytes(whole)
    path.write_bytes(other.read_bytes())
    assert server.command("verify", "--quiet", check=False).returncode == 1
    path.write_bytes(whole)
    assert server.command("verify", "--quiet").returncode == 0


def test_verify_names_a_shred_key_that_nobody_needs(make_server):
    server = make_server()
    key = clients.kms(server).create_key()["KeyMetadata"]["KeyId"]
    [path] = shred_keys(server)
    stray = path.with_name(os.urandom(16).hex() + path.suffix)
    stray.write_bytes(path.read_bytes())
    stray.chmod(0o600)
    done = server.command("verify", "--quiet", check=False)
    assert done.returncode == 1 and stray.stem in done.stdout and "found: 1 damaged" in done.stdout
    server.restart()
    assert shred_keys(server) == [path]
    done = server.command("verify", "--quiet")
    assert "opened: 1 versions of KMS keys with the 1 shred keys" in done.stdout
    assert key in server.command("kms", "list").stdout
