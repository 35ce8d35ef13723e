# SPDX-License-Identifier: Apache-2.0
"""`strongroom cse cp` takes the same memory whatever the length of the object."""

import os
import subprocess
import time
from pathlib import Path

import clients
from strongroom import program

MOST_MIB = 64
SHORT, LONG = 256 * clients.MIB, 1024 * clients.MIB
DEADLINE = 900
TRIES = 5


def resident_most(process):
    """The most memory that was resident while a process ran, MiB, as the kernel counts it: with the pages of
    the program itself; None if it was not looked at until near its end. What is known of the children of a
    process that has ended is of no use, for it includes what was resident before the program was started."""
    known, until = 0, time.monotonic() + DEADLINE
    looked = time.monotonic()
    while process.poll() is None:
        assert time.monotonic() < until, "it does not end"
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            # Of this very program, not of the one that is about to start it.
            if line.startswith("Name:") and line.split()[1] != Path(program()).name[:15]:
                break
            if line.startswith("VmHWM:"):
                known, looked = int(line.split()[1]) / 1024, time.monotonic()
        time.sleep(0.005)
    return known if time.monotonic() - looked < 0.3 else None


def copy(world, *words):
    for _ in range(TRIES):
        process = subprocess.Popen(
            [str(program()), "cse", "cp", "--quiet", *map(str, words), "--master-key", str(world.aes)],
            env=world.environment, cwd=world.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        known = resident_most(process)
        assert process.returncode == 0, process.stderr.read().decode()
        if known is not None:
            return known
    raise AssertionError("it ended each time while nobody looked")


def same(one, other):
    """Whether two files have the same content; compared in pieces, for its own memory is not the matter here."""
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            ours, theirs = left.read(clients.MIB), right.read(clients.MIB)
            if ours != theirs:
                return False
            if not ours:
                return True


def test_memory_does_not_grow_with_the_object(world, s3):
    known = {}
    for bytes in (SHORT, LONG):
        plain, back, name = world.folder / "long", world.folder / "long-back", f"memory/{bytes}"
        with plain.open("wb") as file:
            # Zeros with something at both ends: they are read, encrypted and sent like anything else.
            os.ftruncate(file.fileno(), bytes)
            file.write(clients.noise(clients.MIB, seed=1))
            file.seek(bytes - 17)
            file.write(clients.noise(17, seed=2))
        known["up", bytes] = copy(world, plain, world.url(name))
        known["down", bytes] = copy(world, world.url(name), back)
        assert s3.head_object(Bucket=world.bucket, Key=name)["ContentLength"] == bytes + 16
        assert same(plain, back)
        s3.delete_object(Bucket=world.bucket, Key=name)
        plain.unlink()
        back.unlink()
    print({f"{way} {bytes >> 20} MiB": f"{mib:.0f} MiB" for (way, bytes), mib in known.items()})
    for (way, bytes), mib in known.items():
        # Fewer is no program that ran.
        assert 15 < mib < MOST_MIB, (way, bytes, mib)
    for way in ("up", "down"):
        # How many parts are under way at once depends on who is quicker: some MiB, whatever the length. What
        # grew with it, by a fiftieth of it only, would be more.
        assert known[way, LONG] - known[way, SHORT] < (LONG - SHORT) / clients.MIB / 50, known
