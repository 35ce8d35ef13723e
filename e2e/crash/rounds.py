# SPDX-License-Identifier: Apache-2.0
"""One kill and all that must hold after it."""

import contextlib
import os
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

from audit_chain import AuditChain
from crash_server import READY_SECONDS_MAX, CrashServer


@dataclass
class Tally:
    """What a lane did."""

    kills: int = 0
    places: Counter = field(default_factory=Counter)
    slowest_start: float = 0.0
    seconds: float = 0.0

    def __str__(self):
        places = ", ".join(f"{n} at {place}" for place, n in sorted(self.places.items()))
        return (f"{self.kills} kills ({places}), slowest start {self.slowest_start:.2f} s, "
                f"{self.seconds:.0f} s")

    @staticmethod
    def sum(tallies):
        total = Tally()
        for one in tallies:
            total.kills += one.kills
            total.places += one.places
            total.slowest_start = max(total.slowest_start, one.slowest_start)
            total.seconds = max(total.seconds, one.seconds)
        return total


class Rounds:
    """The same data directory through many kills."""

    # Every so many rounds every object is looked at with `strongroom inspect`, too.
    INSPECT_EVERY = 8

    def __init__(self, library, world):
        self.server = CrashServer(library)
        self.world = world
        self.chain = AuditChain(self.server.data)
        self.tally = Tally()
        self.started = time.monotonic()

    def killed(self, place=None):
        """The server is dead: start it again and hold it to its word."""
        server = self.server
        self.tally.kills += 1
        if place is not None:
            self.tally.places[place] += 1
        server.start_again()
        self.hold()
        if self.tally.kills % self.INSPECT_EVERY == 0:
            self.world.check_inspect(server)

    def hold(self):
        self.world.check(self.server)
        self.world.check_files(self.server)
        self.world.check_audit(self.chain)
        done = self.server.command("verify", "--quiet", check=False)
        assert done.returncode == 0, f"verify: {done.returncode}\n{done.stdout}{done.stderr}"

    def end(self):
        """A clean stop and one more start, and the whole audit log from its first line."""
        self.server.stop()
        self.server.start()
        self.hold()
        self.world.check_inspect(self.server)
        AuditChain(self.server.data).follow()
        assert "panicked" not in self.server.log()
        usual = statistics.median_low(self.server.ready_seconds)
        assert usual < READY_SECONDS_MAX, f"a start takes {usual:.1f} s"
        self.tally.slowest_start = max(self.server.ready_seconds)
        self.tally.seconds = time.monotonic() - self.started
        return self.tally


@contextlib.contextmanager
def rounds(library, world):
    """Keeps the data directory of a failed lane when CRASH_KEEP is set."""
    these = Rounds(library, world)
    try:
        yield these
    except BaseException as error:
        server = these.server
        seen = "\n".join(server.shim.seen()[-12:])
        error.add_note(f"after {these.tally.kills} kills; last calls:\n{seen}")
        error.add_note(f"in {server.base}; log:\n{server.log()[-3000:]}")
        if os.environ.get("CRASH_KEEP"):
            server.kill()
            server.remove = lambda: None
        raise
    finally:
        these.server.remove()


def place_of(seen):
    """`f3 fdatasync drive/log/journal-0001` -> `fdatasync log`"""
    _, call, name = seen.split(" ", 2)
    parts = name.split("/")
    return f"{call} {parts[1] if parts[0] == 'drive' and len(parts) > 1 else parts[0]}"
