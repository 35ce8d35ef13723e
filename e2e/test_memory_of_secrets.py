# SPDX-License-Identifier: Apache-2.0
"""The memory of a server that was asked for everything: no planted secret is left in it.

Read through /proc/PID/mem, as root can, and as a core file would show it. What is alive (the
secrets of root and of users) lies in memory that cannot be read so; what is done with is wiped,
also in the buffers of the HTTP and TLS libraries."""

import base64
import contextlib
import os
import resource
import signal
import subprocess
import time

import pytest

import leaks
from clients import kms as kms_client, s3 as s3_client
from strongroom import Server, until
from test_secrets import Planted, keys, objects, refusals

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="reads the memory of a process")
# A client's connection is closed by the client; the server's task for it ends a moment later, which
# nothing shows: on a busy machine it is looked for again after these seconds.
SETTLE_SECONDS = (2, 5, 15)


class Asked(Planted):
    """Closes its clients before memory is read."""

    def close(self):
        self.s3.close()
        self.kms.close()
        until(lambda: not self.server.metrics()["strongroom_connections_open"], "the end of connections")


def left_in_memory(server, secrets):
    """What is still found of `secrets` when the server has come to rest."""
    for seconds in SETTLE_SECONDS:
        time.sleep(seconds)
        found = leaks.find(secrets, leaks.memory(server.process.pid))
        if not found:
            break
    return found


def more_keys(planted):
    """Every operation of the key service that gives or takes a secret."""
    kms, secrets = planted.kms, planted.secrets
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    context = {"a": "b"}
    for size in (16, 32, 1024):
        made = kms.generate_data_key(KeyId=key, NumberOfBytes=size, EncryptionContext=context)
        secrets[f"data key of {size}"] = made["Plaintext"][-64:]
        kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)
    large = planted.plant("plaintext of 4096", 4096)
    blob = kms.encrypt(KeyId=key, Plaintext=large)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == large
    secrets["plaintext of 4096"] = large[-64:]
    secrets["start of 4096"] = large[:64]
    small = planted.plant("plaintext that is encrypted again")
    blob = kms.encrypt(KeyId=key, Plaintext=small)["CiphertextBlob"]
    blob = kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=other)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == small
    secrets["random"] = kms.generate_random(NumberOfBytes=48)["Plaintext"]
    for spec in ("ECC_NIST_P256", "RSA_2048"):
        pair = kms.generate_data_key_pair(KeyId=key, KeyPairSpec=spec)
        # The ends of a private key are numbers of its own; its head is the same in all.
        secrets[f"private key {spec}"] = pair["PrivateKeyPlaintext"][36:68]
        opened = kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"]
        assert opened == pair["PrivateKeyPlaintext"]
    imported(planted)


def imported(planted):
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    kms = planted.kms
    key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    wanted = kms.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    public = serialization.load_der_public_key(wanted["PublicKey"])
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    wrapped = public.encrypt(planted.plant("imported material"), oaep)
    kms.import_key_material(
        KeyId=key, ImportToken=wanted["ImportToken"], EncryptedKeyMaterial=wrapped,
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )
    kms.encrypt(KeyId=key, Plaintext=b"under imported material")
    kms.delete_imported_key_material(KeyId=key)


def a_user(planted):
    out = planted.server.command("user", "add", "planted").stdout
    lines = dict(line.removeprefix("export ").split("=", 1) for line in out.splitlines() if "=" in line)
    credential = (lines["AWS_ACCESS_KEY_ID"], lines["AWS_SECRET_ACCESS_KEY"])
    planted.secrets["user secret"] = credential[1]
    with contextlib.closing(s3_client(planted.server, credential=credential)) as client:
        client.list_buckets()
    with contextlib.closing(kms_client(planted.server, credential=credential)) as client:
        client.list_keys()


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    phrase = "a passphrase " + base64.b64encode(os.urandom(24)).decode()
    file = tmp_path_factory.mktemp("phrase") / "passphrase"
    file.touch(0o600)
    file.write_text(phrase + "\n")
    with Server("--passphrase-file", str(file)) as server:
        made = Asked(server)
        made.secrets["passphrase"] = phrase
        made.secrets["root secret"] = server.credential[1]
        objects(made)
        refusals(made)
        keys(made)
        more_keys(made)
        a_user(made)
        made.close()
        yield made


def searched(planted):
    """The planted secrets without those that say no more than what an answer says."""
    told = ("metadata", "metadata text", "signature", "presigned", "session token")
    return {name: value for name, value in planted.secrets.items() if name not in told}


def gone(planted):
    """What no memory may hold now. Buffers of bodies are used again and not wiped in between. On
    a kernel without secret memory, what is in use can be read by root."""
    kept = ["content", "refused content"]
    if "memory that only this process can read" not in planted.server.log():
        kept += ["root secret", "user secret"]
    return {name: value for name, value in searched(planted).items() if name not in kept}


@needs_root
def test_memory_holds_no_planted_secret(asked):
    # The reading itself works: what is no secret and in use is found.
    memory = leaks.memory(asked.server.process.pid)
    assert any(str(asked.server.data).encode() in data for _, data in memory)
    assert left_in_memory(asked.server, gone(asked)) == []


class Keyring:
    """The keyring file of a server, opened with the root key as docs/spec/keyring.md says."""

    def __init__(self, root_key, file):
        self.id, self.wraps = file[5:21], file[21]
        assert (file[:5], self.wraps, file[22]) == (b"SRKR\x02", 1, 1)
        wrap_id, created = file[23:39], file[39:47]
        assert file[47:49] == bytes(2), "no parameters"
        wrapped = file[51:51 + int.from_bytes(file[49:51])]
        at = 51 + len(wrapped)
        aad = b"strongroom/2/keyring-wrap\0" + self.id + b"\x01" + wrap_id + created
        self.file_key = opened(hkdf(root_key, b"strongroom/2/root", b"strongroom/2/wrap\0"), wrapped, aad)
        key = hkdf(self.file_key, b"strongroom/2/keyring", b"strongroom/2/keyring-seal\0" + self.id)
        rows = opened(key, file[at + 32:-32], b"strongroom/2/keyring\0" + file[:at + 32])
        self.keys = [(row[0], row[1:5], row[13:]) for row in (rows[n:n + 45] for n in range(0, len(rows), 45))]

    def secrets(self):
        found = {"file key": self.file_key}
        for kind, epoch, key in self.keys:
            found[f"key of kind {kind}, epoch {epoch.hex()}"] = key
            if kind == 1:
                for label in (b"kms-wrap", b"meta"):
                    info = b"strongroom/1/" + label + b"\0" + epoch
                    found[f"{label}, epoch {epoch.hex()}"] = hkdf(key, b"strongroom/1/domain", info)
        return found


def hkdf(secret, salt, info):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=hashes.SHA384(), length=32, salt=salt, info=info).derive(secret)


def opened(key, sealed, aad):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)


@needs_root
def test_memory_holds_no_key_of_the_keyring():
    """Keys that live as long as the server, in use while memory is read."""
    with Server() as server:
        made = Asked(server)
        keys(made)
        # Epochs that come while the server runs are installed, too.
        server.command("root", "rotate")
        objects(made)
        made.close()
        root_key = bytes.fromhex((server.data / "root.key").read_text())
        keyring = Keyring(root_key, (server.data / "keyring").read_bytes())
        assert len(keyring.keys) > 2
        if "memory that only this process can read" not in server.log():
            pytest.skip("this kernel has no secret memory")
        planted = keyring.secrets() | {"root key": root_key}
        assert left_in_memory(server, planted) == []


def test_log_audit_metrics_and_errors_hold_none(asked):
    asked.server.audit()
    pages = [(path, asked.server.admin(path)[1].encode()) for path in ("/metrics", "/health/ready")]
    places = [
        *leaks.files(asked.server.audit_files()), ("log", asked.server.log().encode()),
        ("out", asked.server.out_file.read_bytes()), *pages, *enumerate(asked.answers),
    ]
    assert leaks.find(searched(asked), places) == []


def test_nothing_on_the_drive_in_clear(asked):
    assert leaks.find(searched(asked), leaks.files(asked.server.files())) == []


def test_kernel_was_asked_to_keep_the_process_to_itself(asked):
    pid = asked.server.process.pid
    limits = open(f"/proc/{pid}/limits").read()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    # A process that is not dumpable has its files in /proc owned by root, whoever runs it.
    status = os.stat(f"/proc/{pid}/environ")
    assert status.st_uid == 0


@needs_root
def test_no_debugger_of_the_same_user(tmp_path):
    """As another user than root, memory cannot be read even by that user."""
    nobody = 65534
    with Server() as server:
        # The server of the fixture runs as root; here only the flag matters, and it is the same.
        pid = server.process.pid
        tried = subprocess.run(
            ["python3", "-c", f"open('/proc/{pid}/mem', 'rb').read(1)"],
            capture_output=True, text=True, user=nobody, group=nobody,
        )
    assert tried.returncode != 0 and "Permission" in tried.stderr


def test_a_crash_leaves_no_core_file(make_server):
    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] != resource.RLIM_INFINITY and before[1] == 0:
        pytest.skip("core files are off for everything here")
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        server = make_server()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    server.process.send_signal(signal.SIGABRT)
    assert server.process.wait() == -signal.SIGABRT
    assert [p for p in server.base.rglob("core*") if p.is_file()] == []
