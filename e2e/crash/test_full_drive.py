# SPDX-License-Identifier: Apache-2.0
"""D5, N99: the drive is full. New content is refused, everything else goes on, and nothing has
to be restarted when there is room again."""

import errno
import os
import subprocess

import pytest

import shim
from actor import Actor
from bare_client import Failed
from rounds import rounds
from script import BIG, KIB, body
from strongroom import until
from world import BUCKET, World

DRIVE_BYTES = 96 * KIB * KIB
FILLED = "filled"


@pytest.fixture
def small_drive(library):
    """The rounds of a server whose data directory is a file system of its own."""
    with rounds(library, World()) as these:
        server = these.server
        server.data.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DRIVE_BYTES},mode=700", "tmpfs"]
        if os.geteuid() != 0 or subprocess.run([*mount, server.data]).returncode != 0:
            pytest.skip("mounting a file system needs root")
        try:
            yield these
        finally:
            server.kill()
            subprocess.run(["umount", "--lazy", server.data], check=True)


def test_dur_d5_full_drive_refuses_new_content_only(small_drive, tell):
    server, world = small_drive.server.start(), small_drive.world
    actor = Actor(server, world)
    actor.create_bucket(BUCKET)
    actor.put("early-small", body(KIB, 1), "early")
    actor.put("early-big", body(BIG, 2), "early")
    upload = actor.create_upload("early-parts", "early")
    actor.upload_part(upload, 1, body(BIG, 3))

    count = fill(actor)
    tell(f"full drive: refused after {count} objects")
    for name, size in (("late-big", BIG), ("late-small", 31 * KIB), ("late-tiny", 1)):
        answer = actor.must_fail(actor.put, name, body(size, 4), "late")
        assert (answer.status, answer.code) == (503, "ServiceUnavailable"), answer
    for request, *arguments in (
        (actor.upload_part, upload, 2, body(BIG, 5)),
        (actor.copy, "early-big", "late-copy"),
    ):
        assert actor.must_fail(request, *arguments).status == 503
    server_is_well(server)
    small_drive.hold()
    # Refused means that nothing happened.
    assert not [name for _, name in world.facts if "late" in name]

    # What frees space, and what only changes a word, still goes through.
    actor = Actor(server, world)
    actor.abort(upload)
    actor.create_bucket("crash-while-full")
    actor.delete_bucket("crash-while-full")
    key = actor.create_key()
    actor.enable_key(key, False)
    server_is_well(server)

    # Also over a restart.
    small_drive.killed()
    actor = Actor(server, world)
    assert actor.must_fail(actor.put, "late-tiny", body(1, 4), "late").status == 503
    for number in range(count):
        actor.delete(f"{FILLED}-{number}")
    put_when_there_is_room(actor)
    server_is_well(server)
    small_drive.hold()
    small_drive.end()


def fill(actor):
    """Puts until it is refused; returns how many were taken."""
    for number in range(DRIVE_BYTES // (KIB * KIB)):
        try:
            actor.put(f"{FILLED}-{number}", body(KIB * KIB, number), "filled")
        except Failed as failed:
            assert (failed.answer.status, failed.answer.code) == (503, "ServiceUnavailable")
            return number
    raise AssertionError("more was taken than the drive holds")


def put_when_there_is_room(actor):
    """The files of deleted objects are removed in the background."""
    def is_put():
        try:
            return actor.put("room-again", body(BIG, 6), "again") or True
        except Failed:
            return False

    until(is_put, "room for a body")


def server_is_well(server):
    status, text = server.admin("/health/ready")
    assert status == 200, text


def test_dur_d5_no_space_for_a_body_harms_nothing_else(library):
    """Without the margin: every write of a body fails with ENOSPC, everything else succeeds."""
    world = World()
    with rounds(library, world) as these:
        server = these.server.start()
        actor = Actor(server, world)
        actor.create_bucket(BUCKET)
        actor.put("early", body(BIG, 1), "early")
        for call in (1, 2, 3):
            with server.shim.armed(shim.CHANGE, shim.FAIL, call, errno=errno.ENOSPC):
                answer = actor.must_fail(actor.put, "late", body(BIG, 2), "late")
            assert (answer.status, answer.code) == (503, "ServiceUnavailable"), answer
            these.hold()
        server_is_well(server)
        actor = Actor(server, world)
        actor.put("late", body(BIG, 3), "late")
        actor.delete("early")
        these.hold()
        these.killed()
