# SPDX-License-Identifier: Apache-2.0
"""The server with the shim in it: started, killed, started again, and timed."""

import http.client
import json
import os
import signal
import time
from pathlib import Path

from shim import Shim
from strongroom import DEADLINE, Server, until

# The most work that a start may be, from the new process to the first answer: in seconds of a
# processor, for by the clock it takes as long as the machine stands still.
READY_SECONDS_MAX = 5.0
ACCESS_KEY = ("AKIACRASHTEST0000001", "crash-test-secret-0123456789abcdefghijkl")
CREDENTIAL = {
    "STRONGROOM_ROOT_ACCESS_KEY_ID": ACCESS_KEY[0],
    "STRONGROOM_ROOT_SECRET_ACCESS_KEY": ACCESS_KEY[1],
}


class CrashServer(Server):
    """With a credential that is known, so that a start costs little."""

    def __init__(self, library, *flags):
        super().__init__(*flags, log="info", env=CREDENTIAL)
        self.shim = Shim(library, self.base / "shim", self.data.absolute())
        self.extra_env |= self.shim.environment()
        self.ready_seconds = []
        self.known_credential = CREDENTIAL
        self.kept_credential = None

    @property
    def credential(self):
        if self.known_credential:
            return ACCESS_KEY
        if self.kept_credential:
            return self.kept_credential
        made = self.env()
        return made["AWS_ACCESS_KEY_ID"], made["AWS_SECRET_ACCESS_KEY"]

    def use_generated_credential(self):
        """As without any settings: the server makes the credential and keeps it, sealed."""
        self.known_credential = {}
        for name in CREDENTIAL:
            del self.extra_env[name]

    def keep_credential(self):
        """The generated one will not change any more: it is asked for once."""
        self.kept_credential = self.credential

    def start(self):
        """Returns when the server says that it is ready."""
        started = time.monotonic()
        self.spawn()
        assert self.wait_ready_or_dead(), f"ended at its start:\n{self.log()[-4000:]}"
        status, text = self.admin("/health/ready")
        assert status == 200, text
        seconds = time.monotonic() - started
        work = self.processor_seconds()
        assert work < READY_SECONDS_MAX, f"ready after {seconds:.1f} s, {work:.1f} s of them work"
        assert self.shim.is_loaded(), "the server runs without the shim"
        self.ready_seconds.append(seconds)
        return self

    def processor_seconds(self):
        """How long all threads of the process ran so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        user, system = map(int, fields[11:13])
        return (user + system) / os.sysconf("SC_CLK_TCK")

    def wait_ready_or_dead(self):
        """True once it can be reached; False if it ended before that."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            run = self._run_file()
            if run is not None and run["pid"] == self.process.pid:
                self.run_info = run
                return self.process.poll() is None
            if self.process.poll() is not None:
                return False
            time.sleep(0.003)
        raise AssertionError(f"the server did not start:\n{self.log()[-4000:]}")

    def _run_file(self):
        try:
            return json.loads((self.data / "run.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def start_again(self):
        """After a kill: no plan of the shim stays."""
        self.kill()
        self.shim.disarm()
        return self.start()

    def freeze(self):
        """Stops every thread; those in a system call finish it first."""
        self.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task")

        def stands_still():
            try:
                states = [(thread / "stat").read_text().rsplit(")", 1)[1].split()[0]
                          for thread in threads.iterdir()]
            except (FileNotFoundError, ProcessLookupError):
                # A thread that had ended already.
                return False
            return all(state == "T" for state in states)

        until(stands_still, "the standstill of the server", pause=0.001)

    def wait_killed(self):
        """The shim does the killing; this only waits for it."""
        status = self.process.wait(timeout=DEADLINE)
        assert status == -9, f"ended with {status}, not by SIGKILL:\n{self.log()[-4000:]}"

    def is_ready(self):
        try:
            return self.admin("/health/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def command(self, *args, env=None, check=True):
        return super().command(*args, env=self.known_credential | (env or {}), check=check)

    # ---- what lies on the drive -------------------------------------------------------

    def blob_files(self):
        """Names on the drive, as `strongroom inspect` writes them."""
        drive = self.data / "drive"
        return {str(p.relative_to(drive)) for p in (drive / "blobs").glob("*/*")}

    def temporary_files(self):
        return sorted(p.name for p in (self.data / "drive/tmp").glob("*"))
