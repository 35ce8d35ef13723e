# SPDX-License-Identifier: Apache-2.0
"""D7: bytes of a stopped server's files are changed, cut, exchanged or gone.

Whatever it is: the start, an answer or `verify` says so and names it, or nothing is missing and
nothing is wrong. Wrong bytes and silent loss are the only failures.
"""

import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import lanes
from actor import Actor
from bare_client import BareClient, Failed, Lost
from crash_server import CrashServer
from script import BIG, KIB, body
from world import BUCKET, INLINE_BYTES_MAX, Eye, World, agree, ask_xml

CASES_EACH = 20 * lanes.REPEATS


def test_dur_d7_damage_to_shard_files(library, tell):
    found = run(library, "shards", tell)
    assert found["harmless"] == 0, "verify reads every byte of a shard file"


def test_dur_d7_damage_to_the_log(library, tell):
    found = run(library, "log", tell)
    assert found["start refused"] >= CASES_EACH // 2


def test_dur_d7_damage_to_the_index(library, tell):
    found = run(library, "index", tell)
    assert found["start refused"] + found["answer refused"] > 0


def test_dur_d7_damage_to_the_audit_log(library, tell):
    found = run(library, "audit", tell)
    assert set(found) == {"start refused"}


def test_dur_d7_damage_to_private_files(library, tell):
    found = run(library, "private", tell)
    assert set(found) == {"start refused"}


def run(library, kind, tell):
    jobs = [(damage, library, kind, lane) for lane in range(lanes.LANES)]
    found = sum(lanes.run(jobs), Counter())
    tell(f"damage to {kind}: " + ", ".join(f"{n} {word}" for word, n in sorted(found.items())))
    return found


def damage(library, kind, seed):
    """Half of the cases of one kind."""
    store = Prepared(library, was_killed=kind == "log")
    while len(store.some_files("drive/audit/events-*")) > 1:
        # Midnight: only the newest file is read at a start.
        store.remove()
        store = Prepared(library, was_killed=kind == "log")
    found = Counter()
    try:
        cases = list(CASES[kind](store, random.Random(f"{kind} {seed}")))
        for number, (title, names, change) in enumerate(cases):
            if number % lanes.LANES == seed:
                found[store.judge(kind, title, names, change)] += 1
        return found
    finally:
        store.remove()


class Prepared:
    """A data directory with a bit of everything, put back before each case."""

    def __init__(self, library, was_killed):
        self.server = CrashServer(library)
        self.world = World()
        self.server.start()
        actor = Actor(self.server, self.world)
        actor.create_bucket(BUCKET)
        for number in range(6):
            actor.put(f"small-{number}", body(20 * KIB, number), "small")
        for number in range(3):
            actor.put(f"big-{number}", body(BIG, number), "big")
        for name in ("parts", "open"):
            upload = actor.create_upload(name, "parts")
            actor.upload_part(upload, 1, body(BIG, 9))
            if name == "parts":
                actor.complete(upload, {1: body(BIG, 9)}, "parts")
        actor.delete("small-5")
        actor.put("big-0", body(BIG, 10), "big")
        self.world.check_files(self.server)
        self.files = self._shard_files()
        self.log_start = 0
        if was_killed:
            self._write_what_no_checkpoint_holds(actor)
            self.server.kill()
        else:
            # Sorted tables come from a checkpoint, the events of both stops from the audit log.
            self.server.restart()
            self.server.stop()
        (self.server.data / "run.json").unlink(missing_ok=True)
        self.saved = self.server.base / "saved"
        self._copy(self.server.data, self.saved)

    def _write_what_no_checkpoint_holds(self, actor):
        """The first file of the log is followed by a checkpoint, a moment later: what comes then is
        needed. The server stands still afterwards."""
        time.sleep(1)
        (journal,) = self.server.data.glob("drive/log/journal-*")
        anchor = journal.with_name("anchor")
        while True:
            before, self.log_start = anchor.stat().st_ino, journal.stat().st_size
            for number in range(6):
                actor.put(f"late-{number}", body(20 * KIB, 20 + number), "late")
            self.server.freeze()
            if anchor.stat().st_ino == before:
                return
            self.server.process.send_signal(signal.SIGCONT)

    @staticmethod
    def _copy(source, target):
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True)

    def _shard_files(self):
        """Path below the data directory -> name of the object."""
        files = {}
        for kind, name in self.world.facts:
            if kind == "object":
                done = self.server.command("inspect", "object", f"s3://{BUCKET}/{name}")
                for part in json.loads(done.stdout)["parts"]:
                    files |= {f"drive/{file}": name for file in part["files"]}
        for file in (f"drive/{file}" for file in self.server.blob_files()):
            # The note that "parts" was completed is short.
            is_note = (self.server.data / file).stat().st_size < INLINE_BYTES_MAX
            files.setdefault(file, "parts" if is_note else "open")
        return files

    def remove(self):
        self.server.remove()

    def some_files(self, pattern):
        found = [p.relative_to(self.saved) for p in self.saved.glob(pattern) if p.is_file()]
        return sorted(str(p) for p in found)

    def size(self, file):
        return (self.saved / file).stat().st_size

    # ---- one case ---------------------------------------------------------------------

    def judge(self, kind, title, names, change):
        """Applies the damage and says what became of it."""
        server = self.server
        server.kill()
        self._copy(self.saved, server.data)
        server.log_file.write_text("")
        change(server.data)
        try:
            word = self._word(kind, names)
        except AssertionError as error:
            raise AssertionError(f"{title}: {error}\n{server.log()[-2000:]}") from error
        assert "panicked" not in server.log(), f"{title}:\n{server.log()[-2000:]}"
        return word

    def _word(self, kind, names):
        server = self.server
        server.shim.disarm()
        server.spawn()
        if not server.wait_ready_or_dead():
            assert server.process.returncode == 1, f"ended with {server.process.returncode}"
            last = server.log().strip().splitlines()[-1]
            assert re.search(names, last), f"the refusal does not name {names}: {last}"
            return "start refused"
        refused = self._look()
        verified = server.command("verify", "--quiet", check=False)
        if kind == "shards":
            if verified.returncode == 0:
                # What one file alone suffices for, its header and trailer, is healed by the server.
                for file in self.files:
                    assert (server.data / file).read_bytes() == (self.saved / file).read_bytes(), file
                return "healed"
            assert verified.returncode == 1, verified
            assert re.search(names, verified.stdout), f"{names} not named:\n{verified.stdout}"
            return "found by verify" if not refused else "answer refused"
        if refused or verified.returncode != 0:
            words = verified.stdout + verified.stderr
            assert verified.returncode == 1 and words, verified
            return "answer refused" if refused else "found by verify"
        return "harmless"

    def _look(self):
        """How many answers were refused. Each other one must be right."""
        refused = 0
        client = BareClient(self.server)
        facts = self.world.facts
        objects = {name: value for (kind, name), value in facts.items() if kind == "object"}
        for name, promised in objects.items():
            try:
                answer = client.ask("GET", f"/{BUCKET}/{name}")
            except (Lost, Failed):
                refused += 1
                continue
            etag = answer.headers["etag"].strip('"')
            got = promised._replace(etag=etag)
            assert agree(promised, got), f"{name} has another ETag"
            assert_same(name, answer.body, promised)
        for look, kind in ((self._listed, "object"), (self._uploads, "upload")):
            try:
                found = look()
            except (Lost, Failed):
                refused += 1
                continue
            due = {name: value for (one, name), value in facts.items() if one == kind}
            assert found.keys() == due.keys(), f"{kind}s: listed {found.keys()}"
            assert kind == "object" or all(agree(due[name], found[name]) for name in due)
        return refused

    def _listed(self):
        tree = ask_xml(BareClient(self.server), f"/{BUCKET}?list-type=2")
        return {item.findtext("Key"): None for item in tree.findall("Contents")}

    def _uploads(self):
        with Eye(self.server) as eye:
            return {name: value for (_, name), value in eye._uploads().items()}


def assert_same(name, data, promised):
    assert hashlib.sha256(data).hexdigest() == promised.sha256, f"{name}: wrong bytes"


# ---- the cases: (title, what must be named, change) -------------------------------------


def flip(file, offset, bit):
    def change(data):
        with (data / file).open("r+b") as opened:
            opened.seek(offset)
            old = opened.read(1)[0]
            opened.seek(offset)
            opened.write(bytes([old ^ 1 << bit]))

    return f"bit {bit} of byte {offset} of {file}", change


def cut(file, size):
    return f"{file} cut to {size} bytes", lambda data: (data / file).open("r+b").truncate(size)


def grow(file, extra):
    def change(data):
        with (data / file).open("ab") as opened:
            opened.write(extra)

    return f"{file} with {extra!r} behind it", change


def zero(file, offset, size):
    def change(data):
        with (data / file).open("r+b") as opened:
            opened.seek(offset)
            opened.write(bytes(size))

    return f"{size} zeros at {offset} of {file}", change


def lose(file):
    return f"{file} gone", lambda data: (data / file).unlink()


def exchange(one, other):
    def change(data):
        kept = (data / one).read_bytes()
        (data / one).write_bytes((data / other).read_bytes())
        (data / other).write_bytes(kept)

    return f"{one} and {other} exchanged", change


def shard_cases(store, choices):
    files = sorted(store.files)
    for number in range(CASES_EACH):
        file = files[number % len(files)]
        size = store.size(file)
        # Header, first unit, anywhere, last checksum, trailer.
        offset = (choices.randrange(64), 64 + choices.randrange(16), choices.randrange(size),
                  size - 48 - 1, size - 1 - choices.randrange(48))[number % 5]
        title, change = flip(file, offset, choices.randrange(8))
        yield title, store.files[file], change
    for number, file in enumerate(files):
        size = store.size(file)
        kinds = (cut(file, size - 1), cut(file, 0), grow(file, b"\0"), lose(file),
                 zero(file, size // 2, 4096), exchange(file, files[number - 1]))
        title, change = kinds[number % len(kinds)]
        yield title, store.files[file], change
    title, change = exchange(files[0], files[1])
    yield title, store.files[files[0]], change
    title, change = lose(files[2])
    yield title, store.files[files[2]], change


def log_cases(store, choices):
    """The log of a killed server: all of it is needed."""
    (journal,) = store.some_files("drive/log/journal-*")
    names = r"log/journal|log/anchor|table index"
    start, size = store.log_start, store.size(journal)
    for number in range(CASES_EACH):
        offset = (choices.randrange(72), choices.randrange(start, size), size - 1 - number * 3,
                  choices.randrange(start, size))[number % 4]
        title, change = flip(journal, offset, choices.randrange(8))
        yield title, names, change
    whole = [
        cut(journal, size // 2), cut(journal, 72), cut(journal, 0), zero(journal, size // 2, 512),
        zero(journal, size - 600, 600), lose(journal), lose("drive/log/anchor"),
        flip("drive/log/anchor", 20, 1), cut("drive/log/anchor", 10),
    ]
    for title, change in whole:
        yield title, names, change


def index_cases(store, choices):
    names = r"index"
    files = [file for file in store.some_files("drive/index/**/*") if store.size(file) > 0]
    for number in range(CASES_EACH):
        file = files[number % len(files)]
        # The journal of the index has a place kept for it that is mostly zeros.
        size = min(store.size(file), 4096)
        title, change = flip(file, choices.randrange(size), choices.randrange(8))
        yield title, names, change
    for number, file in enumerate(files):
        kinds = (lose(file), cut(file, store.size(file) // 2), cut(file, 0))
        title, change = kinds[number % 3]
        yield title, names, change
    yield "the index gone", names, lambda data: shutil.rmtree(data / "drive/index")


def audit_cases(store, choices):
    """All but the last line: what stands at the very end needs a copy of the chain's head."""
    (log,) = store.some_files("drive/audit/events-*")
    text = (store.saved / log).read_bytes()
    lines = text.splitlines(keepends=True)
    end = len(text) - len(lines[-1])
    for _ in range(CASES_EACH // 2):
        title, change = flip(log, choices.randrange(end), choices.randrange(8))
        yield title, log.removeprefix("drive/"), change
    without = text.replace(lines[2], b"", 1)
    swapped = text.replace(lines[2] + lines[3], lines[3] + lines[2], 1)
    twice = text.replace(lines[2], lines[2] * 2, 1)
    for title, changed in (("removed", without), ("swapped", swapped), ("repeated", twice)):
        assert changed != text
        yield (f"audit line {title}", log.removeprefix("drive/"),
               lambda data, changed=changed: (data / log).write_bytes(changed))


def private_cases(store, choices):
    for file in ("drive/superblock", "keyring", "root.key", "tls/ca-key.sealed"):
        name = "superblock" if "superblock" in file else re.escape(Path(file).name)
        if file == "root.key":
            # A changed root key is a key that opens nothing.
            name += "|keyring"
        size = store.size(file)
        for title, change in (
            flip(file, choices.randrange(size), choices.randrange(8)),
            flip(file, size - 1, 0), cut(file, size // 2), cut(file, 0),
        ):
            yield title, name, change
    for file in ("drive/superblock", "keyring", "root.key"):
        title, change = lose(file)
        # A folder without a superblock is none of ours, whatever else it holds.
        yield title, re.escape(Path(file).name) + "|no drive of Strongroom|superblock|key", change


CASES = {
    "shards": shard_cases, "log": log_cases, "index": index_cases, "audit": audit_cases,
    "private": private_cases,
}
