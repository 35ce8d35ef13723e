# SPDX-License-Identifier: Apache-2.0
"""What the server has promised, and the look at whether it kept its word.

A *fact* has a kind and a name (an object and its key, an upload and its id, ..) and a value; no
value means that it is not there. An answered request settles its facts. One whose answer never
came leaves each of its facts with two possible values, the old and the new one: that is all a
crash may leave open.
"""

import hashlib
import itertools
import json
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote
from xml.etree import ElementTree

from bare_client import BareClient

BUCKET = "crash"
# Sealed bodies up to this size lie in the tables.
INLINE_BYTES_MAX = 32 * 1024
# Only how long a failure takes depends on it.
ORPHAN_SECONDS_MAX = 180

# etag None: not known. files: the blob files that it stands on, each a number of ours; copies share
# theirs with the source.
Stored = namedtuple("Stored", "sha256 size meta etag files")
# parts: number -> Part
Upload = namedtuple("Upload", "object_key parts")
Part = namedtuple("Part", "size etag files")


def stored(body, meta, etag=None, files=None):
    """What a single PUT of `body` makes."""
    files = new_files(len(body)) if files is None else files
    return Stored(hashlib.sha256(body).hexdigest(), len(body), meta, etag, files)


def part(body):
    etag = hashlib.md5(body).hexdigest()
    return Part(len(body), etag, new_files(len(body)))


def new_files(size):
    """The files that a new body takes."""
    return frozenset([next(NUMBERS)] if size > INLINE_BYTES_MAX else [])


def note_of(upload_id):
    """The file that says that an upload was completed."""
    return ("note", upload_id)


def is_note(file):
    return isinstance(file, tuple)


def without_notes(files):
    return frozenset(file for file in files if not is_note(file))


NUMBERS = itertools.count()


class World:
    """Facts of one store. Several writers may share it when each has facts of its own."""

    def __init__(self):
        self.facts = {}
        self.open = {}
        # (group, facts) of requests of several facts that happen as a whole or not at all.
        self.wholes = []
        # Uploads whose id was never told: object keys.
        self.unnamed_uploads = []
        self.acknowledged = []
        self.lock = threading.Lock()

    def get(self, kind, name):
        return self.facts.get((kind, name))

    def attempt(self, changes):
        """`changes`: {(kind, name): new value or None}, about to be asked for."""
        with self.lock:
            for fact, value in changes.items():
                self.open.setdefault(fact, []).append(value)
            if len(changes) > 1:
                before = {fact: self.facts.get(fact) for fact in changes}
                self.wholes.append((before, changes))
        return changes

    def settle(self, changes, answer):
        """The answer came: this is so from now on."""
        with self.lock:
            for fact, value in changes.items():
                self._set(fact, value)
                self.open.pop(fact, None)
            self.wholes = [whole for whole in self.wholes if whole[1] is not changes]
            self.acknowledged.append(answer.headers["x-amz-request-id"])

    def refused(self, changes):
        """The server said that nothing happened."""
        with self.lock:
            for fact in changes:
                self.open.pop(fact, None)
            self.wholes = [whole for whole in self.wholes if whole[1] is not changes]

    def _set(self, fact, value):
        if value is None:
            self.facts.pop(fact, None)
        else:
            self.facts[fact] = value

    # ---- looking ----------------------------------------------------------------------

    def check(self, server):
        """Compares all there is with all that was promised, and settles what was open."""
        with Eye(server) as eye:
            found = eye.look(self)
        self._judge_unnamed_uploads(server, found)
        for before, changes in self.wholes:
            was = all(agree(value, found.get(fact)) for fact, value in before.items())
            done = all(agree(value, found.get(fact)) for fact, value in changes.items())
            assert was or done, f"half done: {changes} from {before}, found {found}"
        for fact in self.facts.keys() | self.open.keys() | found.keys():
            allowed = [self.facts.get(fact), *self.open.get(fact, [])]
            value = found.get(fact)
            assert any(agree(one, value) for one in allowed), (
                f"{fact}: found {value}, promised {allowed[0]}, asked for {allowed[1:]}"
            )
            self._set(fact, keep_files(value, allowed))
        self.open.clear()
        self.wholes.clear()

    def _judge_unnamed_uploads(self, server, found):
        known = self.facts.keys() | self.open.keys()
        for fact in [fact for fact in found if fact[0] == "upload" and fact not in known]:
            upload = found.pop(fact)
            assert upload.object_key in self.unnamed_uploads, f"nobody began {upload}"
            assert upload.parts == {}, f"nobody sent these parts: {upload}"
            self.unnamed_uploads.remove(upload.object_key)
            path = f"/{BUCKET}/{quote(upload.object_key)}?uploadId={fact[1]}"
            BareClient(server).ask("DELETE", path)
        self.unnamed_uploads.clear()

    def blob_files_due(self):
        """How many files the blobs of all objects and open parts take."""
        due = set()
        for (kind, _), value in self.facts.items():
            if kind == "object":
                due |= value.files
            elif kind == "upload":
                due = due.union(*(one.files for one in value.parts.values()))
        return len(due)

    def check_files(self, server):
        """No orphans and nothing half written, once the collection is done."""
        due = self.blob_files_due()
        until = time.monotonic() + ORPHAN_SECONDS_MAX
        while True:
            files, rest = server.blob_files(), server.temporary_files()
            if len(files) == due and not rest:
                return
            assert time.monotonic() < until, (
                f"{len(files)} blob files of {due}, temporary {rest}:\n{server.log()[-3000:]}"
            )
            time.sleep(0.01)

    def check_inspect(self, server):
        """`strongroom inspect` names exactly the files that are there."""
        named = set()
        objects = [name for kind, name in self.facts if kind == "object"]
        for name in objects:
            done = server.command("inspect", "object", f"s3://{BUCKET}/{name}")
            for one in json.loads(done.stdout)["parts"]:
                named |= set(one["files"])
        files = server.blob_files()
        assert named <= files, f"inspect names files that are not there: {named - files}"
        values = [value for (kind, _), value in self.facts.items() if kind == "object"]
        notes = sum(is_note(file) for value in values for file in value.files)
        uploads = [value for (kind, _), value in self.facts.items() if kind == "upload"]
        open_parts = sum(len(one.files) for upload in uploads for one in upload.parts.values())
        assert len(files - named) == open_parts + notes, f"files of nothing: {files - named}"

    def check_audit(self, chain):
        """The chain holds, and every answered change is in it."""
        chain.follow()
        missing = [one for one in self.acknowledged if one not in chain.request_ids]
        assert not missing, f"acknowledged but not in the audit log: {missing}"
        self.acknowledged.clear()


def agree(promised, found):
    """Whether `found` is `promised`, as far as that is known."""
    if isinstance(promised, Stored) and isinstance(found, Stored):
        etag = promised.etag or found.etag
        return promised._replace(etag=etag, files=None) == found._replace(files=None)
    if isinstance(promised, Upload) and isinstance(found, Upload):
        bare = {n: one._replace(files=None) for n, one in promised.parts.items()}
        return (promised.object_key, bare) == (found.object_key, found.parts)
    return promised == found


def keep_files(found, allowed):
    """The promise that `found` agrees with: it knows the number of files, which no client sees."""
    promise = next(one for one in allowed if agree(one, found))
    if isinstance(promise, Stored):
        return promise._replace(etag=found.etag)
    return promise


class Eye:
    """Reads back everything that a client can see."""

    def __init__(self, server):
        self.clients = [BareClient(server) for _ in range(2)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.connection.close()

    def look(self, world):
        """{(kind, name): value}"""
        client = self.clients[0]
        found = {("bucket", name): True for name in texts(client, "/", "Bucket/Name")}
        if ("bucket", BUCKET) in found:
            found |= self._objects(world)
            found |= self._uploads()
        kinds = {kind for kind, _ in world.facts.keys() | world.open.keys()}
        if "alias" in kinds:
            for alias in client.kms("ListAliases")[1]["Aliases"]:
                if not alias["AliasName"].startswith("alias/aws/"):
                    found["alias", alias["AliasName"]] = alias["TargetKeyId"]
        for kind, name in world.facts.keys() | world.open.keys():
            if kind == "key":
                state = client.kms("DescribeKey", KeyId=name)[1]["KeyMetadata"]["KeyState"]
                found[kind, name] = state
        return found

    def _objects(self, world):
        tree = ask_xml(self.clients[0], f"/{BUCKET}?list-type=2")
        assert tree.findtext("IsTruncated") == "false"
        listed = {item.findtext("Key"): item for item in tree.findall("Contents")}
        facts = world.facts.keys() | world.open.keys()
        names = sorted(listed.keys() | {name for kind, name in facts if kind == "object"})
        with ThreadPoolExecutor(len(self.clients)) as pool:
            halves = [names[n::len(self.clients)] for n in range(len(self.clients))]
            read = list(pool.map(self._read_all, self.clients, halves))
        objects = {name: value for half in read for name, value in half.items()}
        for name, value in objects.items():
            assert (value is not None) == (name in listed), f"{name}: GET and listing disagree"
            if value is not None:
                item = listed[name]
                seen = (int(item.findtext("Size")), item.findtext("ETag").strip('"'))
                assert seen == (value.size, value.etag), f"{name}: listed as {seen}, is {value}"
        return {("object", name): value for name, value in objects.items() if value is not None}

    @staticmethod
    def _read_all(client, names):
        return {name: read_object(client, name) for name in names}

    def _uploads(self):
        found = {}
        tree = ask_xml(self.clients[0], f"/{BUCKET}?uploads")
        for item in tree.findall("Upload"):
            name, upload_id = item.findtext("Key"), item.findtext("UploadId")
            listed = ask_xml(self.clients[0], f"/{BUCKET}/{quote(name)}?uploadId={upload_id}")
            parts = {
                int(one.findtext("PartNumber")):
                    Part(int(one.findtext("Size")), one.findtext("ETag").strip('"'), None)
                for one in listed.findall("Part")
            }
            found["upload", upload_id] = Upload(name, parts)
        return found


def read_object(client, name):
    """The object as its bytes show it, or None. Length and ETag must be those of the bytes."""
    answer = client.call("GET", f"/{BUCKET}/{quote(name)}")
    if answer.status == 404:
        assert answer.code == "NoSuchKey", answer
        return None
    assert answer.status == 200, (name, answer.status, answer.code)
    meta = answer.headers.get("x-amz-meta-made", "")
    etag = answer.headers["etag"].strip('"')
    return stored(answer.body, meta, etag, files=None)._replace(files=None)


def ask_xml(client, target):
    tree = ElementTree.fromstring(client.ask("GET", target).body)
    for element in tree.iter():
        element.tag = element.tag.split("}", 1)[-1]
    return tree


def texts(client, target, path):
    return [element.text for element in ask_xml(client, target).iterfind(f".//{path}")]
