# SPDX-License-Identifier: Apache-2.0
"""D2: the file system stops like a machine without power: what was not flushed is gone.

A kill leaves the page cache behind, so it cannot show a flush that is missing. Here an ext4 on a
loop device is shut down without writing anything more (the ioctl that xfstests use), unmounted
and mounted again. Writes that were acknowledged before must be there, bytes and names.
"""

import fcntl
import os
import random
import struct
import subprocess
import time

import pytest

import lanes
import shim
from actor import Actor
from bare_client import Failed, Lost
from rounds import Tally, rounds
from test_kill_any_time import SharedObject, Writer, bare_writer
from world import BUCKET, World

IMAGE_BYTES = 512 << 20
LOSSES_EACH = max(10, lanes.ROUNDS // 10)
# _IOR('X', 125, __u32), and the flag that keeps the file system's own journal from being written.
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("=I", 2)


def test_dur_d2_power_loss_keeps_all_that_was_acknowledged(library, tell):
    jobs = [(lose_power, library, lane, LOSSES_EACH, False) for lane in range(lanes.LANES)]
    tallies = lanes.run(jobs)
    if None in tallies:
        pytest.skip("no loop devices here: mounting a file system needs root")
    total = Tally.sum(tallies)
    tell(f"power lost: {total}")
    assert total.kills == lanes.LANES * LOSSES_EACH


def test_dur_d2_this_would_show_a_flush_that_does_nothing(library):
    """The same with a lying drive must not pass, or the test above proves nothing."""
    if lanes.run([(lose_power, library, 7, 0, False)]) == [None]:
        pytest.skip("no loop devices here: mounting a file system needs root")
    with pytest.raises(AssertionError, match="promised|refus|ended at its start|verify"):
        lanes.run([(lose_power, library, 7, 5, True)])


def lose_power(library, seed, losses, lies):
    choices = random.Random(f"power {seed}")
    world = World()
    with rounds(library, world) as these, Ext4(these.server) as drive:
        if drive.device is None:
            return None
        server = these.server.start()
        Actor(server, world).create_bucket(BUCKET)
        for turn in range(losses):
            shared = SharedObject(world)
            writers = [
                Writer(bare_writer, server, world, shared, f"p{n}",
                       random.Random(f"{seed}-{turn}-{n}"), ends=(Lost, Failed))
                for n in range(3)
            ]
            if lies:
                server.shim.arm(shim.FLUSH, shim.LIE, 1, shim.EVERY_FURTHER)
            for writer in writers:
                writer.start()
            time.sleep(choices.uniform(0.05, 0.4))
            drive.cut_power()
            server.kill()
            for writer in writers:
                writer.end()
            shared.leave_open()
            drive.mount()
            these.killed()
        these.tally.places["any moment"] = these.tally.kills
        return these.end()


class Ext4:
    """A file system of its own under a server's data directory."""

    def __init__(self, server):
        self.server = server
        self.path = server.data
        self.image = server.base / "drive.img"
        self.device = None
        self.is_mounted = False

    def __enter__(self):
        self.path.mkdir()
        with self.image.open("wb") as image:
            image.truncate(IMAGE_BYTES)
        if os.geteuid() != 0 or self._run("mkfs.ext4", "-q", "-F", self.image).returncode != 0:
            return self
        attached = self._run("losetup", "--find", "--show", self.image)
        if attached.returncode == 0:
            self.device = attached.stdout.strip()
            try:
                self.mount()
            except AssertionError:
                self._detach()
        return self

    def __exit__(self, *_):
        self.server.kill()
        if self.is_mounted:
            self.unmount()
        if self.device is not None:
            self._detach()

    def mount(self):
        done = self._run("mount", "-t", "ext4", self.device, self.path)
        assert done.returncode == 0, done.stderr
        self.is_mounted = True

    def unmount(self):
        done = self._run("umount", self.path)
        assert done.returncode == 0, done.stderr
        self.is_mounted = False

    def cut_power(self):
        """Between two system calls of the server, not within one.

        jbd2 answers a flush that waits for a transaction which the shutdown has aborted with
        success if the aborted commit is over by the time it looks. A machine that loses power
        does not answer at all.
        """
        self.server.freeze()
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(folder)
        # Nothing may hold the dead file system when it is unmounted.
        self.server.kill()
        self.unmount()

    def _detach(self):
        self._run("losetup", "--detach", self.device)
        self.device = None

    @staticmethod
    def _run(*command):
        return subprocess.run([*map(str, command)], capture_output=True, text=True)
