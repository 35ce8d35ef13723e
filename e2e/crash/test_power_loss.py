# SPDX-License-Identifier: Apache-2.0
"""D2: the file system stops like a machine without power: what was not flushed is gone.

A kill leaves the page cache behind, so it cannot show a flush that is missing. Here an ext4 on a
loop device is shut down without writing anything more (the ioctl that xfstests use), unmounted
and mounted again. Writes that were acknowledged before must be there, bytes and names.
"""

import contextlib
import random
import time

import pytest

import lanes
import shim
from actor import Actor
from bare_client import Failed, Lost
from loop_drive import LoopDrive, why_not
from rounds import Tally, rounds
from strongroom import until
from test_kill_any_time import SharedObject, Writer, bare_writer
from world import BUCKET, World

LOSSES_EACH = max(10, lanes.ROUNDS // 10)
WHY_NOT = why_not("ext4")
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def test_dur_d2_power_loss_keeps_all_that_was_acknowledged(library, tell):
    jobs = [(lose_power, library, lane, LOSSES_EACH, False) for lane in range(lanes.LANES)]
    total = Tally.sum(lanes.run(jobs))
    tell(f"power lost: {total}")
    assert total.kills == lanes.LANES * LOSSES_EACH


def test_dur_d2_this_would_show_a_flush_that_does_nothing(library):
    """The same with a lying drive must not pass, or the test above proves nothing."""
    with pytest.raises(AssertionError, match="promised|refus|ended at its start|verify"):
        lanes.run([(lose_power, library, 7, 5, True)])


def lose_power(library, seed, losses, lies):
    choices = random.Random(f"power {seed}")
    world = World()
    with rounds(library, world) as these, on_ext4(these.server) as drive:
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
            if lies:
                # Nothing can be lost of what nobody wrote.
                until(lambda: sum(writer.requests for writer in writers) > 9, "some requests")
            time.sleep(choices.uniform(0.05, 0.4))
            cut_power(server, drive)
            for writer in writers:
                writer.end()
            shared.leave_open()
            drive.mount_again()
            these.killed()
        these.tally.places["any moment"] = these.tally.kills
        return these.end()


@contextlib.contextmanager
def on_ext4(server):
    """A file system of its own under a server's data directory."""
    with LoopDrive("ext4", server.data) as drive:
        try:
            yield drive
        finally:
            server.kill()


def cut_power(server, drive):
    """Between two system calls of the server, not within one.

    jbd2 answers a flush that waits for a transaction which the shutdown has aborted with
    success if the aborted commit is over by the time it looks. A machine that loses power
    does not answer at all.
    """
    server.freeze()
    drive.shut_down()
    # Nothing may hold the dead file system when it is unmounted.
    server.kill()
