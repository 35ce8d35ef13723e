# SPDX-License-Identifier: Apache-2.0
"""Whether the server's process or the drive below everything stood still.

A cluster gives up drives that do not answer within seconds. When all of them stand still at once,
because the machine does, it may refuse requests for a while, and is right. A drive that hangs alone
stops neither the health of the server nor another file, so it is no such excuse.
"""

import contextlib
import http.client
import os
import threading
import time

# Less than the server waits for any drive.
STANDSTILL_S = 3
# So long it may take afterwards until all drives count again.
EXCUSED_S = 60
EVERY_S = 0.2


class Pulse:
    """Feels it while the block runs."""

    def __init__(self, server):
        self.server, self.file = server, server.base / "pulse"
        self.ended = threading.Event()
        self.beat = time.monotonic()
        self.stood_still = -EXCUSED_S
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def excuses(self):
        """Whether something stands still now, or did a short while ago."""
        self._look()
        return time.monotonic() - self.stood_still < EXCUSED_S

    def _look(self):
        if time.monotonic() - self.beat > STANDSTILL_S:
            self.stood_still = time.monotonic()

    def _run(self):
        while not self.ended.wait(EVERY_S):
            # A server that is killed or starts again does not answer at once, and need not.
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.server.admin("/health/live")
            with self.file.open("wb") as file:
                file.write(b"x")
                os.fsync(file.fileno())
            self._look()
            self.beat = time.monotonic()
