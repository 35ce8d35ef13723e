# SPDX-License-Identifier: Apache-2.0
"""The preloaded library `clock_shim.c`: building it, and servers whose clock is ahead."""

import subprocess
import tempfile
from pathlib import Path

DAY = 24 * 3600


def build():
    """Compiles the library; returns its path."""
    source = Path(__file__).with_name("clock_shim.c")
    library = Path(tempfile.mkdtemp(prefix="strongroom-clock-")) / "clock_shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", str(library), str(source)], check=True)
    return library


class Travel:
    """Restarts servers at other times."""

    def __init__(self):
        self.library = build()

    def to(self, server, days):
        """The server again, with its clock so many days ahead. Clients whose clock is not are
        refused, so ask it through the program."""
        server.extra_env |= {
            "LD_PRELOAD": str(self.library), "CLOCK_SHIM_SECONDS": str(round(days * DAY)),
        }
        return server.restart()

    def back(self, server):
        """The server again, with the clock of the machine."""
        for name in ("LD_PRELOAD", "CLOCK_SHIM_SECONDS"):
            server.extra_env.pop(name, None)
        return server.restart()
