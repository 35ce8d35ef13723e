# SPDX-License-Identifier: Apache-2.0
"""Reads what a server added to its data directory since the last look, and counts what it moved."""

OVERLAP = 4096


def rows(added):
    """How many bytes came as rows: every commit is in the log first. A checkpoint writes the index
    anew at any time, whatever was asked for just then."""
    return sum(len(data) for path, data in added if path.parent.name == "log")


def moved(server):
    """(read, written) by the server so far, by any file or socket, as the kernel counts."""
    with open(f"/proc/{server.process.pid}/io") as file:
        facts = dict(line.split(": ") for line in file)
    return int(facts["rchar"]), int(facts["wchar"])


class DriveWatch:
    """Files of the drive grow or appear; a file that shrank or kept its length is read again."""

    def __init__(self, server):
        self.server = server
        self.seen = {}
        self.read_bytes = 0
        self.added()

    def added(self):
        """(path, bytes) of everything that is new, with a little of what was there before."""
        out = []
        for path in self.server.files():
            try:
                facts = path.stat()
                before, changed = self.seen.get(path, (0, None))
                if changed == facts.st_mtime_ns and before == facts.st_size:
                    continue
                start = max(0, before - OVERLAP) if facts.st_size > before else 0
                with path.open("rb") as file:
                    file.seek(start)
                    data = file.read()
                self.seen[path] = (start + len(data), facts.st_mtime_ns)
            except FileNotFoundError:
                continue
            self.read_bytes += len(data)
            out.append((path, data))
        return out
