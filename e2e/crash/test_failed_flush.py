# SPDX-License-Identifier: Apache-2.0
"""D4: a flush fails with EIO.

The request that waited for it is not acknowledged, and the drive goes out of service for the
life of the process: after a failed flush the kernel may have dropped the bytes, and a second
flush that succeeds proves nothing. The next process finds all that was acknowledged before.
"""

import errno
import signal

import lanes
import shim
from actor import KMS, Actor
from bare_client import Failed
from rounds import Tally, place_of, rounds
from script import BIG, KIB, Script, body
from strongroom import DEADLINE

FLUSHES_MIN = 60


def test_dur_d4_eio_on_fsync_takes_the_drive_out_of_service(library, tell):
    jobs = [(fail_each, library, first, 2) for first in (1, 2)]
    total = Tally.sum(lanes.run(jobs * lanes.REPEATS))
    tell(f"failed flushes: {total}")
    assert {"fdatasync log", "fdatasync audit", "fdatasync blobs", "fsync blobs"} <= set(
        total.places
    )


def fail_each(library, first, step):
    """Fails flush `first`, then `first + step`, .. of the script until it gets through."""
    script = Script()
    with rounds(library, script.world) as these:
        server = these.server.start()
        script.prepare(server)
        call = first
        while True:
            server.shim.arm(shim.FLUSH, shim.FAIL, call, errno=errno.EIO)
            refused = None
            try:
                script.run(server)
            except Failed as failed:
                refused = failed.answer
            if server.shim.counted(shim.FLUSH) < call:
                assert refused is None, refused
                server.shim.disarm()
                # What it does by itself may have been that call just before.
                if server.is_ready():
                    break
                these.killed("behind the script")
                continue
            seen = server.shim.seen()[:]
            place = place_of(failed_call(seen, call))
            assert refused is not None or "index" in place, f"acknowledged in spite of {place}"
            out_of_service(server, script, place)
            end_process(server, call)
            these.killed(place)
            call += step
        assert these.tally.kills >= FLUSHES_MIN // step, f"only {these.tally.kills} failures"
        return these.end()


def failed_call(seen, call):
    return next(name for name in seen if name.startswith(f"f{call} "))


def out_of_service(server, script, place):
    """Only that one flush failed, all later ones would succeed; still nothing is accepted."""
    actor = Actor(server, script.world)
    if "index" in place:
        # The index flushes by itself; the next commit at the latest finds out.
        actor.must_fail(actor.put, "refused-small", body(KIB, 1), "no")
    status, text = server.admin("/health/ready")
    assert status == 503 and "out of service" in text, f"{place}: ready says {status} {text}"
    assert server.metrics()["strongroom_ready"] == 0
    assert server.admin("/health/live")[0] == 200
    requests = (
        (actor.put, "refused-small", body(KIB, 1), "no"),
        (actor.put, "refused-big", body(BIG, 2), "no"),
        (actor.put, "refused-kms", body(KIB, 3), "no", KMS),
        (actor.delete, "changing"),
        (actor.create_upload, "refused-parts", "no"),
        (actor.create_bucket, "crash-refused"),
    )
    for request, *arguments in requests:
        answer = actor.must_fail(request, *arguments)
        assert (answer.status, answer.code) == (503, "ServiceUnavailable"), (place, answer)
    # The key service has one word for all that is not the caller's fault.
    for request, *arguments in (
        (actor.create_alias, "alias/refused", script.key), (actor.enable_key, script.key, True)
    ):
        answer = actor.must_fail(request, *arguments)
        assert (answer.status, answer.code) == (500, "KMSInternalException"), (place, answer)


def end_process(server, call):
    """Half of them are told to stop, as an operator would: that must end, and say that not all
    is well."""
    if call % 4 < 2:
        server.process.send_signal(signal.SIGTERM)
        status = server.process.wait(timeout=DEADLINE)
        assert status == 1, f"ended with {status}:\n{server.log()[-2000:]}"
    server.kill()
