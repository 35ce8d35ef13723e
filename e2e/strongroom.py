# SPDX-License-Identifier: Apache-2.0
"""The real program: start it, ask it, stop it, read what it wrote."""

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path

REGION = "us-east-1"
ACCOUNT = "000000000000"
# How long a failure takes, and nothing else, depends on it.
DEADLINE = 180
# A machine that stands still for a while is no slow client; tests of slow clients name their own.
PATIENCE = {"--handshake-timeout-ms": "120000", "--header-timeout-ms": "120000",
            "--stall-timeout-ms": "300000"}


def program():
    """The binary under test: STRONGROOM_BIN, else the release build of this repository."""
    default = Path(__file__).parent.parent / "target/release/strongroom"
    path = Path(os.environ.get("STRONGROOM_BIN", default)).absolute()
    assert path.exists(), f"no server binary at {path}: `cargo xtask e2e` builds it"
    return path


def clean_environment():
    """The environment without anything that would point an AWS client elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "STRONGROOM_"))
        and name.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    }


class Server:
    """One data directory and the server over it. Everything is on loopback, on free ports."""

    def __init__(self, *flags, log="debug", env=None):
        self.base = Path(tempfile.mkdtemp(prefix="strongroom-e2e-"))
        self.data = self.base / "data"
        self.log_file = self.base / "server.log"
        self.out_file = self.base / "server.out"
        self.flags = list(flags)
        self.extra_env = dict(env or {})
        self.level = log
        self.process = None
        self.run_info = None
        self._env = {}
        self._marks = set()

    # ---- life -------------------------------------------------------------------------

    def start(self):
        self.spawn()
        self.run_info = self._wait_for_run_file()
        self._env = {}
        return self

    def spawn(self):
        """A new process, without waiting for anything."""
        command = [program(), "serve", "--data", self.data, "--log", self.level,
                   "--allow-unencrypted-swap"]
        listeners = dict.fromkeys(("--https", "--http", "--admin"), "127.0.0.1:0")
        for name, value in (listeners | PATIENCE).items():
            if name not in self.flags:
                command += [name, value]
        with self.log_file.open("ab") as log, self.out_file.open("ab") as out:
            self.process = subprocess.Popen(
                [*map(str, command), *self.flags], stdin=subprocess.DEVNULL, stdout=out,
                stderr=log, env=clean_environment() | self.extra_env, cwd=self.base,
            )
        return self.process

    def _wait_for_run_file(self):
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended at its start:\n{self.log()[-4000:]}")
            try:
                run = json.loads((self.data / "run.json").read_text())
                if run["pid"] == self.process.pid:
                    return run
            except (FileNotFoundError, json.JSONDecodeError):
                pass
            time.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{self.log()[-4000:]}")

    def stop(self):
        """SIGTERM, and the end must be clean."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=DEADLINE)
        assert status == 0, f"the server ended with {status}:\n{self.log()[-4000:]}"

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            self.remove()

    # ---- addresses and credentials ----------------------------------------------------

    def address(self, scheme):
        """(host, port) of the listener `https`, `http` or `admin`."""
        host, port = self.run_info[scheme].rsplit(":", 1)
        return host, int(port)

    def url(self, scheme="https"):
        return f"{scheme}://{self.run_info[scheme]}"

    @property
    def ca(self):
        return str(self.data / "tls/ca.pem")

    def command(self, *args, env=None, check=True):
        """A command of the program on this data directory."""
        done = subprocess.run(
            [str(program()), *args],
            env=clean_environment() | {"STRONGROOM_DATA": str(self.data)} | (env or {}),
            capture_output=True, text=True, timeout=DEADLINE, cwd=self.base,
        )
        if check:
            assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def env(self, *args):
        """What `eval "$(strongroom env)"` sets, as a shell sees it."""
        shell = subprocess.run(
            ["sh", "-c", 'eval "$("$0" env --data "$@")" && env', str(program()),
             str(self.data), *args],
            env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
            timeout=DEADLINE,
        )
        pairs = (line.split("=", 1) for line in shell.stdout.splitlines() if "=" in line)
        return {name: value for name, value in pairs if name.startswith("AWS_")}

    def exports(self, scheme="https"):
        """`env`, asked once for each start of the server."""
        if scheme not in self._env:
            self._env[scheme] = self.env(*(["--http"] if scheme == "http" else []))
        return self._env[scheme]

    @property
    def credential(self):
        """(access key id, secret access key) of root."""
        env = self.exports()
        return env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]

    # ---- what it wrote ----------------------------------------------------------------

    def log(self):
        return self.log_file.read_text(errors="replace")

    def admin(self, path, method="GET"):
        connection = http.client.HTTPConnection(*self.address("admin"), timeout=DEADLINE)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """name{labels} -> number."""
        status, text = self.admin("/metrics")
        assert status == 200
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in lines}

    def files(self):
        """Every regular file of the data directory; the server may remove some meanwhile."""
        found = []
        for folder, _, names in os.walk(self.data):
            for path in (Path(folder, name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    if stat.S_ISREG(path.lstat().st_mode):
                        found.append(path)
        return sorted(found)

    def audit_files(self):
        found = sorted(p for p in self.files() if "audit" in str(p.relative_to(self.data)))
        assert found, "no audit log in the data directory"
        return found

    def audit(self, settle=True):
        """All audit events, oldest first. Those of plain reads are in order, but may be on the drive
        later than the answer: unless told otherwise, this sees to it that they are there."""
        if settle:
            self.settle_audit()
        return [event for event in map(json.loads, self._audit_lines())
                if event.get("requestID") not in self._marks]

    def settle_audit(self):
        """A refusal is on the drive before it is answered, and all that came before it is, too."""
        if self.process is None or self.process.poll() is not None:
            return
        connection = http.client.HTTPConnection(*self.address("http"), timeout=DEADLINE)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        assert answer.status == 403, answer.status
        self._marks.add(answer.headers["x-amz-request-id"])

    def _audit_lines(self):
        """The server may be in the middle of the next batch: what does not end is no line yet."""
        for path in self.audit_files():
            yield from path.read_bytes().split(b"\n")[:-1]

    def resident_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def open_files(self):
        """Files of bodies: where blobs lie, and where they are written before."""
        return [p for p in self.files() if {"blobs", "tmp"} & set(p.relative_to(self.data).parts)]

    def blobs(self):
        """name -> what changes when a file is another one or written to."""
        found = {}
        for path in self.open_files():
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                found[str(path)] = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        return found


def until(holds, what, seconds=DEADLINE, pause=0.05):
    """Waits for what comes by itself; returns it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} does not come"
        time.sleep(pause)
    return found


def fixed_port():
    """A port for a server that comes back at the same address: nobody who leaves the choice to the
    kernel is given it in between."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = list(range(max(1024, lowest - 20_000), lowest))
    random.SystemRandom().shuffle(ports)
    for port in ports:
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no free port below {lowest}")


def resolve_localhost_names():
    """Makes *.localhost loopback, as RFC 6761 says; glibc asks DNS instead."""
    ask = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else host
        if isinstance(name, str) and name.endswith(".localhost"):
            host = "127.0.0.1"
        return ask(host, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo
