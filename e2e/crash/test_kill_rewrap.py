# SPDX-License-Identifier: Apache-2.0
"""`strongroom rewrap` killed before and after every flush and halfway through every write, as an
offline command and in a server that works for it.

Each kill hits a copy of one and the same store, right after a rotation of the keyring. Whoever
opens the store next finds everything readable; a second run brings the rest forward, and a third
finds nothing to do.
"""

import hashlib
import re
import shutil
import time

import lanes
import shim
from audit_chain import AuditChain
from bare_client import BareClient
from crash_server import CrashServer
from rounds import Tally, place_of, rounds
from test_kill_at_call import last_of
from world import World

KMS_KEYS, ROTATIONS = 4, 2
OBJECTS, UPLOADS = 66, 2
LARGE = b"l" * 200_000
CONTEXT = {"for": "rewrap"}
DONE = re.compile(r"files: (\d+) .*material: (\d+) wrapped .*keys: (\d+) wrapped", re.DOTALL)
# A shred key written, a commit, a shred key destroyed: five flushes for each key.
FLUSHES_MIN = 5 * KMS_KEYS
# And three writes: the shred key, the commit, the shred key overwritten.
CHANGES_MIN = 3 * KMS_KEYS
# Every so many offline rounds a server reads everything back, too.
READ_EVERY = 6


def test_dur_d1_kill_rewrap_at_every_call(library, tell):
    jobs = [
        (kill_command, library, shim.FLUSH, shim.KILL_BEFORE),
        (kill_command, library, shim.FLUSH, shim.KILL_AFTER),
        (kill_command, library, shim.CHANGE, shim.KILL_HALFWAY),
        (kill_server, library, shim.FLUSH, shim.KILL_BEFORE),
        (kill_server, library, shim.CHANGE, shim.KILL_HALFWAY),
    ]
    total = Tally.sum(lanes.run(jobs))
    tell(f"during rewrap: {total}")
    assert total.kills >= 200
    assert {"fdatasync vault", "fsync vault", "fdatasync log", "fdatasync audit", "pwrite vault",
            "unlink vault", "pwrite log", "write tls"} <= set(total.places)


def kill_command(library, kind, action):
    """The offline command, killed and run again."""
    with Store(library, kind) as store:
        while True:
            store.reset()
            store.server.shim.arm(kind, action, store.call)
            done = store.rewrap(env=store.server.shim.environment(), check=False)
            if done.returncode == 0:
                return store.end()
            assert done.returncode == -9, done.stderr
            store.note_kill()
            store.finish()
            if store.tally.kills % READ_EVERY == 0:
                store.server.start()
                store.read()
                assert store.forward(store.rewrap()) == (0, 0, 0)
                store.server.stop()


def kill_server(library, kind, action):
    """The server, killed while it works for the command; the next one does the rest."""
    with Store(library, kind) as store:
        while True:
            store.reset()
            server = store.server.start()
            # This use waits for its audit record, so nothing of the start is still to be flushed.
            store.decrypt(BareClient(server), store.blobs[0])
            server.shim.arm(kind, action, store.call)
            done = store.rewrap(check=False)
            if done.returncode == 0 and server.process.poll() is None:
                return store.end()
            server.wait_killed()
            store.note_kill()
            server.start()
            store.read()
            store.finish()
            assert store.forward(store.rewrap()) == (0, 0, 0)
            store.read()
            server.kill()


class Store:
    """A store whose keyring was just rotated, copied for each kill."""

    def __init__(self, library, kind):
        self.rounds = rounds(library, World())
        self.kind = kind
        self.kills_min = FLUSHES_MIN if kind == shim.FLUSH else CHANGES_MIN
        self.call = 0

    def __enter__(self):
        self.these = self.rounds.__enter__()
        self.server, self.tally = self.these.server, self.these.tally
        self.pristine = self.server.base / "pristine"
        self.server.use_generated_credential()
        self.server.start()
        self.server.keep_credential()
        self.fill(BareClient(self.server))
        self.server.stop()
        self.server.command("root", "rotate")
        # The count of everything, from a run that nobody disturbs.
        shutil.copytree(self.server.data, self.pristine)
        self.bodies = self.body_files()
        self.all = self.forward(self.rewrap())
        assert self.all == (2, KMS_KEYS + ROTATIONS, OBJECTS + UPLOADS + 1)
        return self

    def __exit__(self, *error):
        return self.rounds.__exit__(*error)

    def fill(self, client):
        client.ask("PUT", "/rewrap")
        for number in range(OBJECTS):
            client.ask("PUT", f"/rewrap/{number:03}", b"%d" % number)
        client.ask("PUT", "/rewrap/large", LARGE)
        for number in range(UPLOADS):
            client.ask("POST", f"/rewrap/upload-{number}?uploads=")
        self.blobs, key_ids = [], []
        for number in range(KMS_KEYS):
            key_ids.append(client.kms("CreateKey")[1]["KeyMetadata"]["KeyId"])
            self.encrypt(client, key_ids[-1])
        for key_id in key_ids[:ROTATIONS]:
            client.kms("RotateKeyOnDemand", KeyId=key_id)
            self.encrypt(client, key_id)
        key = {"x-amz-server-side-encryption": "aws:kms",
               "x-amz-server-side-encryption-aws-kms-key-id": key_ids[0]}
        client.ask("PUT", "/rewrap/kms", b"kms", key)

    def encrypt(self, client, key_id):
        _, sealed = client.kms("Encrypt", KeyId=key_id, Plaintext="eA==",
                               EncryptionContext=CONTEXT)
        self.blobs.append(sealed["CiphertextBlob"])

    def reset(self):
        """The store as it was, and one call further."""
        self.call += 1
        self.server.shim.disarm()
        shutil.rmtree(self.server.data)
        shutil.copytree(self.pristine, self.server.data)

    def rewrap(self, **kwargs):
        return self.server.command("rewrap", "--quiet", **kwargs)

    @staticmethod
    def forward(done):
        """How many files, versions of key material and object keys a run brought forward."""
        assert done.stdout.count("0 damaged") == 2, done.stdout
        return tuple(map(int, DONE.search(done.stdout).groups()))

    def note_kill(self):
        self.tally.kills += 1
        self.tally.places[place_of(last_of(self.kind, self.server.shim.seen()))] += 1
        self.server.shim.disarm()

    def finish(self):
        """What the killed run left is brought forward by another, and nothing is left over."""
        rest = self.forward(self.rewrap())
        assert all(some <= every for some, every in zip(rest, self.all)), (rest, self.all)
        verified = self.server.command("verify", "--quiet")
        assert "found: 0 damaged" in verified.stdout, verified.stdout
        assert len(list((self.server.data / "drive/vault").iterdir())) == KMS_KEYS
        assert self.body_files() == self.bodies
        AuditChain(self.server.data).follow()

    def body_files(self):
        drive = self.server.data / "drive"
        return {name: hashlib.sha256((drive / name).read_bytes()).hexdigest()
                for name in self.server.blob_files()}

    def read(self):
        client = BareClient(self.server)
        for number in range(OBJECTS):
            assert client.ask("GET", f"/rewrap/{number:03}").body == b"%d" % number
        assert client.ask("GET", "/rewrap/large").body == LARGE
        assert client.ask("GET", "/rewrap/kms").body == b"kms"
        for number in range(UPLOADS):
            listed = client.ask("GET", "/rewrap?uploads=").body
            assert b"upload-%d" % number in listed
        for blob in self.blobs:
            self.decrypt(client, blob)

    @staticmethod
    def decrypt(client, blob):
        _, opened = client.kms("Decrypt", CiphertextBlob=blob, EncryptionContext=CONTEXT)
        assert opened["Plaintext"] == "eA=="

    def end(self):
        assert self.tally.kills >= self.kills_min, f"only {self.tally.kills} kills"
        self.tally.slowest_start = max(self.server.ready_seconds)
        self.tally.seconds = time.monotonic() - self.these.started
        return self.tally
