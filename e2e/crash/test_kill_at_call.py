# SPDX-License-Identifier: Apache-2.0
"""D1: SIGKILL before and after every flush, and halfway through every write, of a fixed script.

Whatever was acknowledged is there byte for byte, everything else as a whole or not at all.
"""

import lanes
import shim
from bare_client import Lost
from rounds import Tally, place_of, rounds
from script import Script

FLUSHES_MIN = 60
CHANGES_MIN = 120


def test_dur_d1_kill_at_every_flush(library, tell):
    jobs = [
        (kill_at_each, library, shim.FLUSH, action, 1, 1, FLUSHES_MIN)
        for action in (shim.KILL_BEFORE, shim.KILL_AFTER)
    ]
    total = Tally.sum(lanes.run(jobs * lanes.REPEATS))
    tell(f"at every flush: {total}")
    places = set(total.places)
    assert {"fdatasync log", "fdatasync audit", "fdatasync blobs", "fsync blobs"} <= places


def test_dur_d6_kill_halfway_through_every_write(library, tell):
    jobs = [
        (kill_at_each, library, shim.CHANGE, shim.KILL_HALFWAY, first, 2, CHANGES_MIN // 2)
        for first in (1, 2)
    ]
    total = Tally.sum(lanes.run(jobs * lanes.REPEATS))
    tell(f"halfway through every write: {total}")
    places = set(total.places)
    assert {"pwrite log", "pwrite audit", "pwrite tmp", "write index", "unlink blobs"} <= places


def kill_at_each(library, kind, action, first, step, kills_min):
    """Kills at call `first`, then at `first + step`, .. until the script gets through."""
    script = Script()
    with rounds(library, script.world) as these:
        server = these.server.start()
        script.prepare(server)
        call = first
        while True:
            server.shim.arm(kind, action, call)
            seen = None
            try:
                script.run(server)
                if server.shim.counted(kind) < call:
                    seen = server.shim.seen()
                    server.shim.disarm()
                    # What it does by itself may have been that call just before.
                    if server.is_ready():
                        break
            except Lost:
                pass
            server.wait_killed()
            these.killed(place_of(last_of(kind, seen or server.shim.seen())))
            call += step
        assert these.tally.kills >= kills_min, f"only {these.tally.kills} kills"
        return these.end()


def last_of(kind, seen):
    """The call that killed, as the shim wrote it down."""
    letter = "f" if kind == shim.FLUSH else "c"
    return [name for name in seen if name.startswith(letter)][-1]
