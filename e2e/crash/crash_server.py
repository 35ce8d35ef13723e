# SPDX-License-Identifier: Apache-2.0
"""The server with the shim in it: started, killed, started again, and timed."""

import http.client
import json
import signal
import subprocess
import time
from pathlib import Path

from shim import Shim
from strongroom import Server, clean_environment, program

# The most that a start may take, from the new process to the first answer.
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

    def spawn(self):
        """A new process, without waiting for anything."""
        command = [program(), "serve", "--data", self.data, "--log", self.level,
                   "--allow-unencrypted-swap"]
        for name in ("--https", "--http", "--admin"):
            if name not in self.flags:
                command += [name, "127.0.0.1:0"]
        with self.log_file.open("ab") as log, self.out_file.open("wb") as out:
            self.process = subprocess.Popen(
                [*map(str, command), *self.flags], stdin=subprocess.DEVNULL, stdout=out,
                stderr=log, env=clean_environment() | self.extra_env, cwd=self.base,
            )
        return self.process

    def start(self):
        """Returns when the server says that it is ready."""
        started = time.monotonic()
        self.spawn()
        assert self.wait_ready_or_dead(), f"ended at its start:\n{self.log()[-4000:]}"
        status, text = self.admin("/health/ready")
        assert status == 200, text
        seconds = time.monotonic() - started
        assert seconds < READY_SECONDS_MAX, f"ready after {seconds:.1f} s"
        assert self.shim.is_loaded(), "the server runs without the shim"
        self.ready_seconds.append(seconds)
        return self

    def wait_ready_or_dead(self):
        """True once it can be reached; False if it ended before that."""
        until = time.monotonic() + 6 * READY_SECONDS_MAX
        while time.monotonic() < until:
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

    def freeze(self, seconds=20):
        """Stops every thread; those in a system call finish it first."""
        self.process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + seconds
        threads = Path(f"/proc/{self.process.pid}/task")
        while not all(
            (thread / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
            for thread in threads.iterdir()
        ):
            assert time.monotonic() < until, "the server does not stand still"
            time.sleep(0.001)

    def wait_killed(self, seconds=20):
        """The shim does the killing; this only waits for it."""
        status = self.process.wait(timeout=seconds)
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
