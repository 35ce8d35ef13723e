# SPDX-License-Identifier: Apache-2.0
"""The preloaded library `fsync_shim.c`: building it, arming it, reading what it saw."""

import contextlib
import mmap
import os
import struct
import subprocess
import tempfile
from pathlib import Path

# The order of the C enums.
FLUSH, CHANGE = 0, 1
KILL_BEFORE, KILL_AFTER, FAIL, KILL_HALFWAY, LIE = 1, 2, 3, 4, 5
EVERY_FURTHER = 2**63

# Offsets in `struct control`.
COUNTED = 0
PLANS = 16
PLAN = struct.Struct("=QQII")
SEEN = PLANS + 2 * PLAN.size
LOADED = SEEN + 8
NAMES = LOADED + 8
SEEN_MAX, NAME_BYTES = 4096, 112
CONTROL_BYTES = NAMES + SEEN_MAX * NAME_BYTES


def build():
    """Compiles the library; returns its path."""
    source = Path(__file__).with_name("fsync_shim.c")
    library = Path(tempfile.mkdtemp(prefix="strongroom-shim-")) / "fsync_shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", str(library), str(source)], check=True)
    return library


class Shim:
    """One server's copy of the library, reached through the file that both map."""

    def __init__(self, library, control_file, under):
        self.library = Path(library)
        self.control_file = Path(control_file)
        self.under = os.path.realpath(under)
        self.control_file.write_bytes(bytes(CONTROL_BYTES))
        with self.control_file.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), CONTROL_BYTES)

    def environment(self):
        return {
            "LD_PRELOAD": str(self.library),
            "CRASH_SHIM_CONTROL": str(self.control_file),
            "CRASH_SHIM_UNDER": self.under,
        }

    def arm(self, kind, action, first, last=None, errno=0):
        """From now on counts from 1, and acts at calls `first` to `last`."""
        self.disarm()
        start = PLANS + kind * PLAN.size
        self.map[start:start + PLAN.size] = PLAN.pack(first, last or first, action, errno)

    def disarm(self):
        self.map[COUNTED:LOADED] = bytes(LOADED - COUNTED)

    @contextlib.contextmanager
    def armed(self, *args, **kwargs):
        self.arm(*args, **kwargs)
        try:
            yield
        finally:
            self.disarm()

    def is_loaded(self):
        return self._number(LOADED) == 1

    def counted(self, kind):
        return self._number(COUNTED + 8 * kind)

    def seen(self):
        """Every call since it was armed: `f3 fdatasync drive/log/journal-..`."""
        names = []
        for entry in range(min(self._number(SEEN), SEEN_MAX)):
            start = NAMES + entry * NAME_BYTES
            names.append(self.map[start:start + NAME_BYTES].split(b"\0", 1)[0].decode())
        return names

    def _number(self, offset):
        return struct.unpack_from("=Q", self.map, offset)[0]
