# SPDX-License-Identifier: Apache-2.0
"""A server on a file system of its own, ext4 or XFS, which is shut down hard under load, or is full.

Whatever was acknowledged is there by its SHA-256 afterwards, and nothing in part.
"""

import contextlib
import random
import signal
import time

import pytest

from actor import Actor
from bare_client import BareClient, Lost
from cluster import until
from crash_server import CrashServer
from load import Load, path
from loop_drive import MIB, LoopDrive, why_not
from script import BIG, KIB, body
from world import BUCKET, World

WHY_NOT = why_not("ext4", "xfs")
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

TURNS = 4


@contextlib.contextmanager
def server_on(library, kind, **options):
    """A server, not started, whose data directory is such a file system."""
    server = CrashServer(library)
    try:
        with LoopDrive(kind, server.data, **options) as drive:
            try:
                yield server, drive
            finally:
                server.kill()
        assert "panicked" not in server.log(), server.log()
    except BaseException as error:
        error.add_note(f"log:\n{server.log()[-3000:]}")
        raise
    finally:
        server.remove()


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_dur_d2_a_file_system_is_shut_down_under_load(library, tell, kind):
    choices = random.Random(f"shut down {kind}")
    loads = []
    with server_on(library, kind) as (server, drive):
        server.start()
        for turn in range(TURNS):
            load = Load(server, bucket=f"load-{turn}")
            loads.append(load)
            with load:
                load.work(2)
                time.sleep(choices.uniform(0, 0.3))
                late = BareClient(server)
                # In the middle of requests, and between two system calls of the server: on ext4 a
                # flush that waits for the journal may be answered with success by the shutdown.
                server.freeze()
                drive.shut_down(log_flush=turn % 2 == 1)
                load.is_cut = True
                if turn >= TURNS // 2:
                    lives_on_without_its_drive(server, late)
                server.kill()
            load.check()
            drive.mount_again()
            server.start_again()
            kept = sum(load.read_all() for load in loads)
            done = server.command("verify", "--quiet", check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert not server.temporary_files()
        server.stop()
    unknown = sum(len(writer.unknown) for load in loads for writer in load.writers)
    tell(f"{kind} shut down {TURNS} times: {kept} objects kept, {unknown} requests cut off")


def lives_on_without_its_drive(server, client):
    """The file system is gone, the server is not: it says so, and acknowledges nothing."""
    server.process.send_signal(signal.SIGCONT)
    until(lambda: not server.is_ready(), "a word that the drive is gone")
    for number in range(3):
        try:
            answer = client.call("PUT", path(f"late-{number}"), body(BIG, number))
        except Lost:
            continue
        assert answer.status >= 500, answer


@pytest.mark.parametrize("kind, full_of", [("ext4", "bytes"), ("xfs", "bytes"), ("ext4", "files")])
def test_dur_d5_a_full_file_system_refuses_new_content_only(library, tell, kind, full_of):
    """Of 512 files an ext4 keeps 25 back, for log, index and audit log."""
    options = {"files": 512} if full_of == "files" else {}
    with server_on(library, kind, image_bytes=64 * MIB, **options) as (server, drive):
        server.start()
        actor = Actor(server, World())
        actor.create_bucket(BUCKET)
        if full_of == "bytes":
            actor.put("early", body(BIG, 1), "early")
            drive.fill(40 * MIB)
            size = MIB
        else:
            drive.fill_files(150)
            size = 40 * KIB
        taken = take_until_refused(server, 0, size)
        assert len(taken) > 10, taken
        # What needs no new content goes on, and all that was taken is there.
        assert server.is_ready(), "out of service"
        actor.create_bucket("while-full")
        actor.delete_bucket("while-full")
        compare(server, taken, size)
        server.kill()
        server.start_again()
        compare(server, taken, size)
        # The start may have put its own files together, but it is still full.
        taken += take_until_refused(server, 1000, size)
        client = BareClient(server)
        for number in taken[:8]:
            client.ask("DELETE", f"/{BUCKET}/{number}")
        if full_of == "bytes":
            drive.make_room()
        until(
            lambda: client.call("PUT", f"/{BUCKET}/late", body(size, 1)).status == 200,
            "room for a body",
        )
        compare(server, taken[8:], size)
        assert server.is_ready()
        server.stop()
        tell(f"{kind} full of {full_of}: refused after {len(taken)} objects")


def take_until_refused(server, first, size):
    client = BareClient(server)
    for number in range(first, first + 200):
        answer = client.call("PUT", f"/{BUCKET}/{number}", body(size, number))
        if answer.status != 200:
            assert (answer.status, answer.code) == (503, "ServiceUnavailable"), answer
            return list(range(first, number))
    raise AssertionError("more was taken than there is room for")


def compare(server, names, size):
    client = BareClient(server)
    for name in names:
        assert client.ask("GET", f"/{BUCKET}/{name}").body == body(size, name), name
