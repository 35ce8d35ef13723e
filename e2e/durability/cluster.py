# SPDX-License-Identifier: Apache-2.0
"""A server over six folders in three facilities, with the shim in it."""

import contextlib
import json
import re
import shutil
import time

from crash_server import CrashServer
from shim import Shim

FACILITIES = {"a": ("a1", "a2"), "b": ("b1", "b2"), "c": ("c1", "c2")}
# Only how long a failure takes depends on this.
PATIENCE_S = 400


class Cluster(CrashServer):
    """Counts flushes below its base directory: of the drives and of the data directory."""

    def __init__(self, library, *flags):
        named = [f"{facility}:{name}" for facility, names in FACILITIES.items() for name in names]
        drives = [part for drive in named for part in ("--drive", drive)]
        super().__init__(library, *drives, *flags)
        self.shim = Shim(library, self.base / "shim", self.base.absolute())
        self.extra_env |= self.shim.environment()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        log = self.log()
        if kind is not None:
            print(f"in {self.base}; log:\n{log[-4000:]}")
        self.remove()
        assert kind is not None or "panicked" not in log, log[log.index("panicked") - 500:][:2000]

    def start(self):
        self.spawn()
        until(lambda: self._run_is_ours() or self.process.poll() is not None, "the start")
        assert self.process.poll() is None, f"ended at its start:\n{self.log()[-4000:]}"
        assert self.shim.is_loaded(), "the server runs without the shim"
        return self

    def _run_is_ours(self):
        run = self._run_file()
        if run is None or run["pid"] != self.process.pid:
            return False
        self.run_info = run
        return True

    # ---- drives -----------------------------------------------------------------------

    def drives(self):
        return [self.base / name for names in FACILITIES.values() for name in names]

    def take_away(self, *names):
        for name in names:
            (self.base / name).rename(self.base / f"{name}-away")

    def put_back(self, *names):
        for name in names:
            (self.base / f"{name}-away").rename(self.base / name)

    @contextlib.contextmanager
    def without(self, facility):
        self.take_away(*FACILITIES[facility])
        try:
            yield
        finally:
            self.put_back(*FACILITIES[facility])

    def destroy(self, name):
        """In one moment: what is being written there goes, too."""
        self.take_away(name)
        shutil.rmtree(self.base / f"{name}-away")

    def unfinished(self):
        return [path for drive in self.drives() for path in drive.glob("tmp/*")]

    def shards(self, bucket, name):
        """The shard files of an object by the shard's number, as `strongroom inspect` tells."""
        shown = self.command("inspect", "object", f"s3://{bucket}/{name}")
        (part,) = json.loads(shown.stdout)["parts"]
        found = {}
        for line in part["files"]:
            place, path, shard = re.fullmatch(r"\w+:(\S+) (\S+) \(shard (\d+) of .*\)", line).groups()
            found[int(shard)] = self.base / place / path
        return found

    # ---- how it is --------------------------------------------------------------------

    def status(self):
        return json.loads(self.command("status", "--json", check=False).stdout)

    def until_full(self):
        """Waits for full redundancy."""
        last = []

        def is_full():
            last[:] = [self.status()]
            return last[0]["full_redundancy"]

        until(is_full, "full redundancy", lambda: last)

    def scrub(self):
        """Two passes: the first may have begun before this was called."""
        def last():
            return json.loads(self.command("scrub", "status", "--json").stdout)["last"]

        for _ in range(2):
            before = last()
            self.command("scrub", "start")
            until(lambda: last() != before, "a pass of scrub")


def until(holds, what, detail=lambda: ""):
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"{what} does not come: {detail()}"
        time.sleep(0.05)
