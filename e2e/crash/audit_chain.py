# SPDX-License-Identifier: Apache-2.0
"""A reader of the audit log that shares nothing with the server: checks the hash chain."""

import hashlib
import json

from strongroom import until


def ends_a_line(file):
    with file.open("rb") as log:
        end = log.seek(0, 2)
        log.seek(max(0, end - 1))
        return log.read(1) in (b"", b"\n")


class AuditChain:
    """Follows the log of one data directory; each look goes on where the last one ended."""

    def __init__(self, data):
        self.folder = data / "drive/audit"
        self.file = None
        self.offset = 0
        self.seq = 0
        self.hash = "0" * 64
        self.request_ids = set()

    def follow(self):
        """Checks everything new; every line must be whole and follow the one before."""
        for file in sorted(self.folder.iterdir()):
            if self.file is not None and file.name < self.file:
                continue
            start = self.offset if file.name == self.file else 0
            # A server that runs may be in the middle of a batch; it does not stay there.
            until(lambda: ends_a_line(file), f"the end of a line of {file.name}")
            with file.open("rb") as log:
                log.seek(start)
                text = log.read()
            text = text[:text.rfind(b"\n") + 1]
            for line in text.split(b"\n")[:-1]:
                self._line(file.name, line)
            self.file, self.offset = file.name, start + len(text)
        return self

    def _line(self, name, line):
        record = json.loads(line)
        link = record["strongroom"]
        at = f"{name}, after number {self.seq}"
        assert link["seq"] == self.seq + 1, f"{at}: number {link['seq']}"
        assert link["prev"] == self.hash, f"{at}: the hash does not follow"
        assert link["synced"] < link["seq"], f"{at}: claims to be durable before it was written"
        self.seq = link["seq"]
        self.hash = hashlib.sha256(line).hexdigest()
        if record.get("requestID"):
            self.request_ids.add(record["requestID"])
