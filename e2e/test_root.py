# SPDX-License-Identifier: Apache-2.0
"""The root of all keys, from outside: every provider, every change from one to another, killed at
random; shares; new epochs; wrapped keys brought forward (killed: crash/test_kill_rewrap.py)."""

import hashlib
import itertools
import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

import clients
from strongroom import Server, clean_environment, program

MODULE = next(
    (p for p in map(Path, ("/usr/lib/softhsm/libsofthsm2.so",
                           "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
                           "/usr/local/lib/softhsm/libsofthsm2.so")) if p.exists()), None)
PIN = "91827364"
PHRASE = "a passphrase that nobody would guess"


def private(path, text):
    path.write_text(text + "\n")
    path.chmod(0o600)
    return str(path)


class Roots:
    """Everything a keyring can be sealed with, as flags of `serve` by name."""

    def __init__(self, base, other):
        self.base = base
        tokens = base / "tokens"
        tokens.mkdir()
        config = base / "softhsm2.conf"
        config.write_text(
            f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.env = {"SOFTHSM2_CONF": str(config)}
        assert MODULE, "SoftHSM2 is missing: `cargo xtask e2e` installs it"
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", "e2e token",
             "--pin", PIN, "--so-pin", "12345678"],
            env=clean_environment() | self.env, check=True, capture_output=True)
        access_key, secret = other.credential
        credentials = private(
            base / "credentials",
            f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}")
        kms = clients.kms(other)
        key_id = kms.create_key(Description="root of another store")["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName="alias/root", TargetKeyId=key_id)
        self.kms_key = key_id
        self.pin = private(base / "pin", PIN)
        self.flags = {
            "key-file": ["--root-key-file", str(base / "own.key")],
            "key-file-2": ["--root-key-file", str(base / "second.key")],
            "passphrase": ["--passphrase-file", private(base / "phrase", PHRASE)],
            "pkcs11": ["--pkcs11-module", str(MODULE), "--pkcs11-token-label", "e2e token",
                       "--pkcs11-key-label", "root", "--pkcs11-pin-file", self.pin],
            "kms": ["--root-kms-endpoint", other.url(), "--root-kms-key-id", "alias/root",
                    "--root-kms-credentials-file", credentials, "--root-kms-ca", other.ca],
        }

    def to(self, name):
        return [flag.replace("--", "--to-", 1) if flag.startswith("--") else flag
                for flag in self.flags[name]]

    def token_object(self):
        """Where SoftHSM2 keeps its description of the token."""
        (found,) = (self.base / "tokens").glob("*/token.object")
        return found


@pytest.fixture(scope="module")
def other():
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def roots(other, tmp_path_factory):
    return Roots(tmp_path_factory.mktemp("roots"), other)


@pytest.fixture
def store(roots):
    """A server of a test's own that finds the token, and what it was told last."""
    one = Server(*roots.flags["key-file-2"], env=roots.env)
    # Each test has its own key file.
    (roots.base / "second.key").unlink(missing_ok=True)
    (roots.base / "own.key").unlink(missing_ok=True)
    one.start()
    yield one
    log = one.log()
    one.remove()
    assert "panicked" not in log, log[log.index("panicked") - 500:][:2000]


def root(server, roots, *args, check=True, flags=()):
    return server.command("root", *args, *flags, env=roots.env, check=check)


def fill(server):
    """Objects of every kind of key; returns what reads them all back."""
    s3, kms = clients.s3(server), clients.kms(server)
    bucket = clients.bucket_name()
    s3.create_bucket(Bucket=bucket)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    bodies = {"small": b"s" * 100, "large": b"l" * 200_000, "kms": b"k" * 50_000}
    s3.put_object(Bucket=bucket, Key="small", Body=bodies["small"])
    s3.put_object(Bucket=bucket, Key="large", Body=bodies["large"])
    s3.put_object(Bucket=bucket, Key="kms", Body=bodies["kms"],
                  ServerSideEncryption="aws:kms", SSEKMSKeyId=key_id)
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"secret")["CiphertextBlob"]

    def read():
        s3, kms = clients.s3(server), clients.kms(server)
        for name, body in bodies.items():
            assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == body
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"secret"

    read()
    return read


def epochs(text):
    """The newest epochs in what `root show` prints."""
    return [int(line.split("epoch ")[1].split(",")[0])
            for line in text.splitlines() if "in use:" in line]


def blob_files(server):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in server.open_files()}


DIRECTIONS = list(itertools.permutations(["key-file", "passphrase", "pkcs11", "kms"], 2))


def test_rekey_in_all_directions(store, roots):
    """A closed tour over every pair of providers, while the server runs; at each stop a start."""
    read = fill(store)
    here = "key-file-2"
    tour = []
    for come, go in DIRECTIONS:
        tour += [come, go] if not tour or tour[-1] != come else [go]
    seen = set()
    for stop in tour:
        said = root(store, roots, "rekey", *roots.to(stop)).stdout
        assert roots.flags[stop][0] in said
        seen.add((here, stop))
        here = stop
        shown = root(store, roots, "show").stdout
        opens_with = shown.split("opens with any of:\n")[1].split("\n\n")[0].splitlines()
        assert len(opens_with) == 1, shown
        before = epochs(shown)
        # The running server rotates with the new provider, and a start finds it.
        assert epochs(root(store, roots, "rotate", "--domain").stdout) == [before[0] + 1, before[1]]
        store.flags = [*roots.flags[stop]]
        store.restart()
        read()
    assert set(DIRECTIONS) <= seen


def test_first_start_with_each_provider(roots, make_server):
    for name in ("passphrase", "pkcs11", "kms"):
        made = make_server(*roots.flags[name], env=roots.env)
        read = fill(made)
        assert not (made.data / "root.key").exists()
        made.restart()
        read()
        made.stop()


def test_pbkdf2_passphrase(roots, make_server):
    flags = [*roots.flags["passphrase"], "--passphrase-kdf", "pbkdf2"]
    made = make_server(*flags)
    assert "PBKDF2" in made.command("root", "show").stdout
    # The keyring says itself how the passphrase is stretched.
    made.flags = roots.flags["passphrase"]
    made.restart()


def test_rekey_killed_at_random(store, roots):
    """At least thirty kills; after each the old or the new provider opens, and the command run
    again ends the change."""
    read = fill(store)
    store.stop()
    rng = random.Random(7)
    names = ["passphrase", "pkcs11", "kms", "key-file"]
    here, killed, landed = "key-file-2", 0, {"old": 0, "both": 0, "new": 0}
    rounds = 0
    # How long a change to each provider takes on this machine: at first too long, then what those
    # took that got through before their kill.
    seconds = dict.fromkeys(names, 2.0)
    while killed < 30:
        rounds += 1
        there = rng.choice([name for name in names if name != here])
        command = [str(program()), "root", "rekey", *roots.flags[here], *roots.to(there)]
        env = clean_environment() | {"STRONGROOM_DATA": str(store.data)} | roots.env
        token = roots.token_object()
        before = token.read_bytes()
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = rng.random() * seconds[there]
        started = time.monotonic()
        try:
            process.wait(timeout=limit)
            seconds[there] = time.monotonic() - started
        except subprocess.TimeoutExpired:
            killed += 1
            seconds[there] *= 1.05
        process.kill()
        process.wait()
        # SoftHSM2 writes its description of the token in place at each login, and not at once. A
        # kill in between leaves no token; the module is not what is tested here.
        if len(token.read_bytes()) < len(before):
            token.write_bytes(before)
        opens = {
            name: root(store, roots, "show", flags=roots.flags[name], check=False).returncode == 0
            for name in (here, there)
        }
        assert any(opens.values()), f"round {rounds}: {here} -> {there}: neither opens"
        landed["both" if all(opens.values()) else "old" if opens[here] else "new"] += 1
        if opens[here]:
            root(store, roots, "rekey", *roots.to(there), flags=roots.flags[here])
        assert root(store, roots, "show", flags=roots.flags[here], check=False).returncode == 1
        here = there
    print(landed)
    store.flags = roots.flags[here]
    store.start()
    read()


def test_escrow_and_restore_drill(store, roots):
    read = fill(store)
    text = root(store, roots, "escrow").stdout
    shares = [line for line in text.splitlines() if line.startswith("SRSHARE-")]
    assert len(shares) == 3
    root(store, roots, "rekey", *roots.to("pkcs11"))
    store.flags = roots.flags["pkcs11"]
    store.restart()
    read()
    store.stop()
    # The token is lost, with everything that could open the keyring.
    lost = {"SOFTHSM2_CONF": "/nonexistent"}
    refused = store.command("root", "show", *store.flags, env=lost, check=False)
    assert refused.returncode == 1 and "PKCS#11" in refused.stderr
    for pair in itertools.combinations(shares, 2):
        files = []
        for number, share in enumerate(pair):
            files += ["--share-file", private(roots.base / f"share-{number}", share)]
        flags = ["--root-key-file", str(store.base / f"new-{len(files)}.key")]
        to = [flags[0].replace("--", "--to-"), flags[1]]
        said = store.command("root", "recover", *files, *to, env=lost).stdout
        assert "open again" in said
        store.flags = flags
        store.extra_env = lost
        store.start()
        read()
        names = [event["eventName"] for event in store.audit()]
        assert "RecoverRoot" in names and "EscrowRecoveryKey" in names
        store.stop()
    assert not any(share in store.log() + json.dumps(store.audit(settle=False)) for share in shares)


def test_a_key_of_the_store_does_not_seal_its_keyring(make_server, roots):
    """It was taken, and nothing opened the keyring at the next start: the key service that has the key
    starts when the keyring is open."""
    server = make_server(env=roots.env)
    kms = clients.kms(server)
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/own", TargetKeyId=key["KeyId"])
    access_key, secret = server.credential
    credentials = private(
        server.base / "credentials", f"aws_access_key_id={access_key}\naws_secret_access_key={secret}")
    shares = [line for line in root(server, roots, "escrow").stdout.splitlines()
              if line.startswith("SRSHARE-")]
    file = private(server.base / "shares", "\n".join(shares))
    before = (server.data / "keyring").read_bytes()
    for act in (["rekey"], ["recover", "--share-file", file]):
        for name in (key["KeyId"], key["Arn"], "alias/own"):
            refused = root(
                server, roots, *act, "--to-root-kms-endpoint", server.url(), "--to-root-kms-key-id", name,
                "--to-root-kms-credentials-file", credentials, "--to-root-kms-ca", server.ca, check=False)
            assert refused.returncode == 1, refused.stdout
            assert f"is a key of this store ({key['Arn']})" in refused.stderr, refused.stderr
    assert (server.data / "keyring").read_bytes() == before
    # A key of another store, of the same region and account, is taken.
    root(server, roots, "rekey", *roots.to("kms"))
    again = root(server, roots, "rekey", *roots.to("kms"), check=False)
    assert again.returncode == 1 and "is the secret that seals the keyring now" in again.stderr
    server.flags = roots.flags["kms"]
    server.restart()


def test_shares_that_nobody_got_are_missed(store, roots):
    """The old shares were void, the new ones nowhere, and a pipe that nobody read was a success."""
    command = [str(program()), "root", "escrow"]
    env = clean_environment() | {"STRONGROOM_DATA": str(store.data)} | roots.env
    reader, closed = os.pipe()
    os.close(reader)
    with open("/dev/full", "wb") as full:
        for out in (full, closed):
            lost = subprocess.run(command, env=env, stdout=out, stderr=subprocess.PIPE, text=True,
                                  check=False)
            assert lost.returncode == 1
            assert "are of no use any more: run `strongroom root escrow` again" in lost.stderr
    command = [str(program()), "user", "add", "lost"]
    lost = subprocess.run(command, env=env, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    os.close(closed)
    assert lost.returncode == 1 and "`strongroom user remove lost`" in lost.stderr
    store.command("user", "remove", "lost")


def test_an_older_keyring_and_an_older_secret_are_called_so(store, roots):
    """It was said that the stored data is damaged, and that the root key is of another store."""
    older = (store.data / "keyring").read_bytes()
    root(store, roots, "rotate")
    store.stop()
    newer = (store.data / "keyring").read_bytes()
    # Beginning with the new epoch the log's anchor is sealed anew at the next start.
    store.start()
    clients.make_bucket(clients.s3(store))
    store.stop()
    (store.data / "keyring").write_bytes(older)
    with pytest.raises(AssertionError, match="it may be older than the tables"):
        store.start()
    (store.data / "keyring").write_bytes(newer)
    root(store, roots, "rekey", *roots.to("passphrase"), flags=store.flags)
    root(store, roots, "rekey", *roots.to("key-file"), flags=roots.flags["passphrase"])
    refused = root(store, roots, "show", flags=store.flags, check=False)
    assert refused.returncode == 1 and "it sealed this keyring before" in refused.stderr, refused.stderr


def test_recover_while_the_server_runs(store, roots):
    read = fill(store)
    text = root(store, roots, "escrow", "--shares", "5", "--threshold", "4").stdout
    shares = [line for line in text.splitlines() if line.startswith("SRSHARE-")]
    Path(roots.flags["key-file-2"][1]).unlink()
    refused = root(store, roots, "rotate", check=False)
    assert refused.returncode == 1 and "missing" in refused.stderr
    file = private(store.base / "shares", "\n".join(shares[1:]))
    root(store, roots, "recover", "--share-file", file, *roots.to("passphrase"))
    root(store, roots, "rotate")
    store.flags = roots.flags["passphrase"]
    store.restart()
    read()


def test_rotate_five_times_and_rewrap(store, roots):
    """Epochs of before stay readable; wrapped keys come forward; bodies are not touched."""
    read = fill(store)
    old_readers = [read]
    for number in range(2, 7):
        assert epochs(root(store, roots, "rotate").stdout) == [number, number]
        old_readers.append(fill(store))
    for one in old_readers:
        one()
    before = blob_files(store)
    done = store.command("rewrap", "--quiet").stdout
    assert "private files: 2 sealed again" in done
    assert "object keys: 10 wrapped again" in done
    assert "0 damaged" in done
    assert blob_files(store) == before
    for one in old_readers:
        one()
    again = store.command("rewrap").stdout
    assert "private files: 0 sealed again" in again
    assert "KMS key material: 0 wrapped again" in again
    assert "object keys: 0 wrapped again" in again
    store.restart()
    for one in old_readers:
        one()
    verified = store.command("verify", "--quiet").stdout
    assert "found: 0 damaged" in verified
    names = [event["eventName"] for event in store.audit()]
    assert names.count("RotateKeyring") == 5 and names.count("RewrapKeys") == 2


def test_sec_wrong_pin_label_token_key_and_credentials_open_nothing(store, roots):
    root(store, roots, "rekey", *roots.to("pkcs11"))
    store.stop()
    keyring = (store.data / "keyring").read_bytes()
    right = dict(zip(*[iter(roots.flags["pkcs11"])] * 2))
    wrong_pin = private(roots.base / "wrong-pin", "00000000")
    for name, value, said in [
        ("--pkcs11-pin-file", wrong_pin, "refuses the PIN"),
        ("--pkcs11-key-label", "other", "no AES key labelled `other`"),
        ("--pkcs11-token-label", "other", "no PKCS#11 token is labelled `other`"),
        ("--pkcs11-module", "/nonexistent.so", "cannot load"),
        ("--pkcs11-pin-file", "/nonexistent", "does not exist"),
    ]:
        flags = [part for pair in (right | {name: value}).items() for part in pair]
        refused = root(store, roots, "show", flags=flags, check=False)
        assert refused.returncode == 1 and said in refused.stderr, refused.stderr
        assert PIN not in refused.stderr and "00000000" not in refused.stderr
    assert (store.data / "keyring").read_bytes() == keyring
    store.flags = roots.flags["pkcs11"]
    store.start()


def test_sec_disabled_key_and_wrong_credentials_at_the_key_service(store, roots, other):
    read = fill(store)
    root(store, roots, "rekey", *roots.to("kms"))
    store.stop()
    right = dict(zip(*[iter(roots.flags["kms"])] * 2))
    bad = private(roots.base / "bad-credentials",
                  "aws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = " + "x" * 40)
    own_ca = str(store.data / "tls/ca.pem")
    for name, value, said in [
        ("--root-kms-credentials-file", bad, "Decrypt is refused"),
        ("--root-kms-ca", own_ca, "cannot be used"),
        ("--root-kms-endpoint", "https://127.0.0.1:1", "cannot be used"),
        ("--root-kms-endpoint", "http://127.0.0.1:1", "https://"),
        ("--root-kms-key-id", "alias/nothing", "refused"),
    ]:
        flags = [part for pair in (right | {name: value}).items() for part in pair]
        refused = root(store, roots, "show", flags=flags, check=False)
        assert refused.returncode in (1, 2) and said in refused.stderr, refused.stderr
    kms = clients.kms(other)
    kms.disable_key(KeyId=roots.kms_key)
    try:
        refused = root(store, roots, "show", flags=roots.flags["kms"], check=False)
        assert refused.returncode == 1 and "DisabledException" in refused.stderr
    finally:
        kms.enable_key(KeyId=roots.kms_key)
    store.flags = roots.flags["kms"]
    store.start()
    read()


def test_sec_tampered_keyring_and_its_copies(store, roots):
    fill(store)
    store.stop()
    path = store.data / "keyring"
    whole = path.read_bytes()
    for at in range(0, len(whole), 23):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        refused = root(store, roots, "show", flags=roots.flags["key-file-2"], check=False)
        assert refused.returncode == 1 and "damaged" in refused.stderr, at
    for length in (0, 1, 50, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused = root(store, roots, "show", flags=roots.flags["key-file-2"], check=False)
        assert refused.returncode == 1
    # An older keyring lacks the epoch that things were sealed under since.
    path.write_bytes(whole)
    store.start()
    root(store, roots, "rotate")
    fill(store)
    store.stop()
    path.write_bytes(whole)
    refused = root(store, roots, "show", flags=roots.flags["key-file-2"], check=False)
    assert refused.returncode == 1
    path.unlink()
    refused = root(store, roots, "show", flags=roots.flags["key-file-2"], check=False)
    assert refused.returncode == 1 and "no store" in refused.stderr


def test_sec_no_secret_of_the_root_is_written_down(store, roots):
    """PIN, passphrase, root key and shares are in no log and in no audit record."""
    key = Path(roots.flags["key-file-2"][1]).read_text().strip()
    shares = [line for line in root(store, roots, "escrow").stdout.splitlines()
              if line.startswith("SRSHARE-")]
    for name in ("pkcs11", "kms", "passphrase"):
        root(store, roots, "rekey", *roots.to(name))
    root(store, roots, "rotate")
    shown = root(store, roots, "show").stdout
    text = store.log() + json.dumps(store.audit()) + shown + store.out_file.read_text()
    for secret in (PIN, PHRASE, key, *shares):
        assert secret not in text
    assert "recovery key, 2 of 3 shares" in shown
