# SPDX-License-Identifier: Apache-2.0
"""D1 for the server's own life: killed at each flush and write of its first start, of a start
after a crash, and of a clean stop. The next start must get through without help."""

import signal

import lanes
import shim
from actor import Actor
from bare_client import Lost
from crash_server import CrashServer
from rounds import Tally, place_of, rounds
from script import Script, body
from strongroom import DEADLINE
from test_kill_at_call import last_of
from world import BUCKET, World

KILLS = (
    (shim.FLUSH, shim.KILL_BEFORE), (shim.FLUSH, shim.KILL_AFTER),
    (shim.CHANGE, shim.KILL_HALFWAY),
)


def test_dur_d1_kill_during_first_start(library, tell):
    jobs = [(first_start, library, shim.CHANGE, shim.KILL_HALFWAY, first, 2) for first in (1, 2)]
    jobs += [
        (first_start, library, shim.FLUSH, action, 1, 1)
        for action in (shim.KILL_BEFORE, shim.KILL_AFTER)
    ]
    total = Tally.sum(lanes.run(jobs * lanes.REPEATS))
    tell(f"during the first start: {total}")
    assert total.kills >= 100


def first_start(library, kind, action, first, step):
    """A new data directory each time, killed at call `first`, then `first + step`, .."""
    tally = Tally()
    call = first
    while True:
        with rounds(library, World()) as these:
            server = these.server
            server.use_generated_credential()
            if not spawn_and_kill(server, kind, action, call):
                return tally
            tally.kills += 1
            tally.places[place_of(last_of(kind, server.shim.seen()))] += 1
            server.start_again()
            actor = Actor(server, these.world)
            actor.create_bucket(BUCKET)
            actor.put("first", body(100_000, call), "first")
            server.start_again()
            these.hold()
            tally.slowest_start = max(tally.slowest_start, *server.ready_seconds)
        call += step


def spawn_and_kill(server, kind, action, call):
    """Starts a server that is to be killed at `call`. False if it gets through its start."""
    server.shim.arm(kind, action, call)
    server.spawn()
    if server.wait_ready_or_dead():
        server.kill()
        return False
    server.wait_killed()
    return True


def test_dur_d1_kill_during_start_after_a_crash(library, tell):
    jobs = [(start_after_crash, library, kind, action) for kind, action in KILLS]
    total = Tally.sum(lanes.run(jobs * lanes.REPEATS))
    tell(f"during a start after a crash: {total}")
    assert total.kills >= 12


def start_after_crash(library, kind, action):
    """The crash is one in the middle of the script, and each start is killed some calls later.

    A start that is killed leaves its work to the next one, which then makes more calls. Steps
    that grow with the number of calls catch up with that.
    """
    script = Script()
    with rounds(library, script.world) as these:
        server = these.server.start()
        script.prepare(server)
        call = 1
        while True:
            server.shim.arm(shim.FLUSH, shim.KILL_BEFORE, 3 + 7 * call % 70)
            try:
                # Once is enough where little is flushed together.
                for _ in range(3):
                    script.run(server)
                raise AssertionError("the script got through")
            except Lost:
                server.wait_killed()
            if not spawn_and_kill(server, kind, action, call):
                break
            these.killed(place_of(last_of(kind, server.shim.seen())))
            call += 1 + call // 16
        server.start_again()
        return these.end()


def test_dur_d1_kill_during_stop(library, tell):
    jobs = [(stop, library, kind, action) for kind, action in KILLS]
    total = Tally.sum(lanes.run(jobs * lanes.REPEATS))
    tell(f"during a stop: {total}")
    assert total.kills >= 15


def stop(library, kind, action):
    script = Script()
    with rounds(library, script.world) as these:
        server = these.server.start()
        script.prepare(server)
        call = 1
        while True:
            actor = Actor(server, script.world)
            actor.put("last", body(100_000, call), str(call))
            actor.put("last-small", body(1000, call), str(call))
            server.shim.arm(kind, action, call)
            server.process.send_signal(signal.SIGTERM)
            if server.process.wait(timeout=DEADLINE) == 0:
                break
            server.wait_killed()
            these.killed(place_of(last_of(kind, server.shim.seen())))
            call += 1
        server.start_again()
        return these.end()
