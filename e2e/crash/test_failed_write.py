# SPDX-License-Identifier: Apache-2.0
"""D4 and D5: one write fails, with EIO or with ENOSPC.

The request that needed it is not acknowledged. Either the server goes on as if nothing had
happened, or it says that it is not ready; a restart brings back all that was acknowledged. Only
the note of a completed upload, which nothing is read from, is left out on a full drive and counted.
"""

import errno

import lanes
import shim
from actor import Actor
from bare_client import Failed
from rounds import Tally, place_of, rounds
from script import BIG, KIB, Script, body
from strongroom import until
from world import BUCKET

# One write in so many: each of them passes the same few places of the program.
STRIDE = 5
FAILURES_MIN = 20
# A file that cannot be removed is removed by the next start; nobody has to hear of it.
MAY_PASS = {"unlink blobs", "unlink index"}


def test_dur_d5_failed_write_is_not_acknowledged(library, tell):
    jobs = [(fail_each, library, error, first) for first, error in
            ((1, errno.EIO), (2, errno.ENOSPC), (3, errno.EIO), (4, errno.ENOSPC))]
    total = Tally.sum(lanes.run(jobs * lanes.REPEATS))
    tell(f"failed writes: {total}")
    assert {"pwrite log", "pwrite audit", "pwrite tmp", "write index"} <= set(total.places)


def fail_each(library, error, first):
    """Fails write `first`, then `first + STRIDE`, .. of the script until it gets through."""
    script = Script()
    with rounds(library, script.world) as these:
        server = these.server.start()
        script.prepare(server)
        call = first
        while True:
            server.shim.arm(shim.CHANGE, shim.FAIL, call, errno=error)
            refused = None
            try:
                script.run(server)
            except Failed as failed:
                refused = failed.answer
            seen = server.shim.seen()
            if server.shim.counted(shim.CHANGE) < call:
                assert refused is None, refused
                server.shim.disarm()
                # What it does by itself may have been that call just before.
                if server.is_ready():
                    break
                these.killed("behind the script")
                continue
            server.shim.disarm()
            place = place_of(next(name for name in seen if name.startswith(f"c{call} ")))
            serves_or_says_so(server, script, refused, place, error)
            these.killed(place)
            call += STRIDE
        assert these.tally.kills >= FAILURES_MIN, f"only {these.tally.kills} failures"
        return these.end()


def notes_left_out(server, error):
    """Nothing is refused for want of a note where there is no room for it; other failures count."""
    left_out = server.metrics().get("strongroom_manifests_left_out_total", 0)
    assert left_out == 0 or error == errno.ENOSPC, "a note was left out of a drive that has room"
    return left_out > 0


def serves_or_says_so(server, script, refused, place, error):
    """Ready if and only if it takes requests."""
    if refused is None and place not in MAY_PASS:
        # A mark in the log, or an event of a mere read, fails behind the back of every request.
        until(lambda: not server.is_ready() or notes_left_out(server, error), f"{place}: a word of it")
    ready = server.is_ready()
    actor = Actor(server, script.world)
    requests = (
        (actor.put, "after-small", body(KIB, 1), "after"),
        (actor.put, "after-big", body(BIG, 2), "after"),
        (actor.delete, "changing"),
    )
    for request, *arguments in requests:
        if ready:
            request(*arguments)
        else:
            answer = actor.must_fail(request, *arguments)
            assert answer.status == 503, (place, answer)
    if ready:
        read = actor.client.ask("GET", f"/{BUCKET}/after-big")
        assert read.body == body(BIG, 2)
