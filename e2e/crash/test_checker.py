# SPDX-License-Identifier: Apache-2.0
"""The checker is checked: what it must object to is done behind its back, and it must object."""

import ast
from pathlib import Path

import pytest

from actor import Actor
from audit_chain import AuditChain
from crash_server import CrashServer
from script import BIG, KIB, body
from world import BUCKET, World, agree

# Raise this with the tests; lowering it needs a reason in the commit message.
DURABILITY_TESTS = 17


@pytest.fixture(scope="module")
def server(library):
    server = CrashServer(library)
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def world(server):
    """A store with something of each kind, and its promises."""
    world = World()
    actor = Actor(server, world)
    actor.create_bucket(BUCKET)
    actor.put("kept", body(BIG, 1), "kept")
    actor.put("deleted", body(KIB, 2), "deleted")
    actor.delete("deleted")
    world.upload = actor.create_upload("parts", "parts")
    actor.upload_part(world.upload, 1, body(BIG, 3))
    world.key = actor.create_key()
    world.check(server)
    world.check_files(server)
    yield world
    actor = Actor(server, World())
    for name in ("kept", "deleted", "parts", "other"):
        actor.delete(name)
    for upload in [name for kind, name in world.facts if kind == "upload"]:
        actor.client.call("DELETE", f"/{BUCKET}/parts?uploadId={upload}")
    actor.delete_bucket(BUCKET)


def behind_the_back(server, world):
    """An actor whose acts the world does not hear of, though it knows the same facts."""
    other = World()
    other.facts = dict(world.facts)
    return Actor(server, other)


TAMPERING = {
    "lost object": lambda actor, world: actor.delete("kept"),
    "lost update": lambda actor, world: actor.put("kept", body(BIG, 4), "kept"),
    "other metadata": lambda actor, world: actor.put("kept", body(BIG, 1), "other"),
    "resurrected delete": lambda actor, world: actor.put("deleted", body(KIB, 2), "deleted"),
    "object of nobody": lambda actor, world: actor.put("other", b"", ""),
    "lost part": lambda actor, world: actor.abort(world.upload),
    "other part": lambda actor, world: actor.upload_part(world.upload, 1, body(BIG, 5)),
    "part of nobody": lambda actor, world: actor.upload_part(world.upload, 2, body(BIG, 5)),
    "key enabled again": lambda actor, world: actor.enable_key(world.key, False),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_checker_objects_to(server, world, what):
    TAMPERING[what](behind_the_back(server, world), world)
    with pytest.raises(AssertionError):
        world.check(server)


def test_checker_objects_to_half_a_completion(server, world):
    """The object is there and the upload is, too."""
    made = behind_the_back(server, world)
    made.put("parts", body(BIG, 3), "parts")
    world.attempt({
        ("object", "parts"): made.world.get("object", "parts"), ("upload", world.upload): None
    })
    with pytest.raises(AssertionError, match="half done"):
        world.check(server)


def test_checker_allows_old_and_new(server, world):
    old, new = body(BIG, 1), body(BIG, 6)
    for data in (old, new):
        made = behind_the_back(server, world)
        made.put("kept", data, "kept")
        wanted = behind_the_back(server, world)
        wanted.put("other", new, "kept")
        wanted.delete("other")
        promise = made.world.get("object", "kept")
        world.attempt({("object", "kept"): promise})
        world.check(server)
        assert agree(promise, world.get("object", "kept"))
    with pytest.raises(AssertionError):
        behind_the_back(server, world).put("kept", old, "kept")
        world.check(server)


def test_checker_objects_to_orphans_and_unrecorded_changes(server, world, monkeypatch):
    monkeypatch.setattr("world.ORPHAN_SECONDS_MAX", 0.2)
    orphan = server.data / "drive/blobs/00"
    orphan.mkdir(exist_ok=True)
    orphan = orphan / ("0" * 32)
    orphan.write_bytes(b"")
    with pytest.raises(AssertionError, match="blob files"):
        world.check_files(server)
    orphan.unlink()
    world.check_audit(AuditChain(server.data))
    world.acknowledged.append("NEVERRECORDED")
    with pytest.raises(AssertionError, match="not in the audit log"):
        world.check_audit(AuditChain(server.data))


def test_checker_objects_to_an_edited_audit_log(server, world):
    # At midnight another one begins.
    log, *_ = sorted((server.data / "drive/audit").iterdir())
    lines = log.read_bytes().splitlines(keepends=True)
    edited = lines[3].replace(b'"us-east-1"', b'"us-west-2"', 1)
    assert edited != lines[3]
    copy = server.base / "copy"
    (copy / "drive/audit").mkdir(parents=True, exist_ok=True)
    for changed, is_right in (
        (lines, True), (lines[:3] + lines[4:], False), (lines[1:], False),
        ([*lines[:3], lines[4], lines[3], *lines[5:]], False),
        ([*lines[:3], edited, *lines[4:]], False), ([*lines[:4], *lines[3:]], False),
    ):
        (copy / "drive/audit" / log.name).write_bytes(b"".join(changed))
        if is_right:
            AuditChain(copy).follow()
        else:
            with pytest.raises(AssertionError):
                AuditChain(copy).follow()


def test_durability_tests_are_all_there():
    found = [
        node.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_dur_")
    ]
    assert len(found) == len(set(found)) >= DURABILITY_TESTS, sorted(found)
