# SPDX-License-Identifier: Apache-2.0
"""The matrix as data: mode x write path x versioning x size, and the cases drawn from it.

A mode, a path or a state of versioning that the server does not offer is in no list here: it is
missing, and nothing about it is green.
"""

import itertools
from dataclasses import dataclass

from clients import MIB, SEGMENT
from sse import MODE_NAMES

# How the encryption is asked for: by headers, or by the default of the bucket.
MODES = MODE_NAMES
WRITES = ["put", "chunks", "copy", "parts", "part-copies", "presigned"]
VERSIONING = ["never"]
SIZES = {
    "0": 0, "1": 1, "64K-1": SEGMENT - 1, "64K": SEGMENT, "64K+1": SEGMENT + 1, "1M": MIB,
    "5M+": 5 * MIB + SEGMENT + 9,
}
# A part that is not the last one has at least 5 MiB.
PART = 5 * MIB


@dataclass(frozen=True)
class Case:
    mode: str
    write: str
    versioning: str
    size: str

    @property
    def plain_bytes(self):
        return SIZES[self.size]

    @property
    def key(self):
        return f"{self.write}/{self.mode}/{self.size}".replace("+", "_")

    def __str__(self):
        return f"{self.mode}-{self.write}-{self.versioning}-{self.size}"


def cases():
    """Every mode by every path in every state of versioning; sizes so that every pair with a
    mode, with a path and with a state of versioning is there."""
    fields = (MODES, WRITES, VERSIONING, list(SIZES))
    out = []
    wanted = {
        pair for a in range(3) for pair in itertools.product([a], fields[a], fields[3])
    }
    turn = itertools.count()
    for first in itertools.product(*fields[:3]):
        def gain(size):
            return sum((a, first[a], size) in wanted for a in range(3))

        start = next(turn) % len(fields[3])
        order = fields[3][start:] + fields[3][:start]
        size = max(order, key=gain)
        wanted -= {(a, first[a], size) for a in range(3)}
        out.append(Case(*first, size))
    for a, value, size in sorted(wanted):
        rest = [field[next(turn) % len(field)] for field in fields[:3]]
        rest[a] = value
        out.append(Case(*rest, size))
    return sorted(set(out), key=str)


def pieces(data):
    """The parts in which a multipart upload sends `data`."""
    return [data[at:at + PART] for at in range(0, len(data), PART)] or [b""]


def ranges(size):
    """First and last byte of what is read: within segments and across their borders."""
    edges = {0, SEGMENT - 1, SEGMENT, PART - 1, PART, size - 1}
    spans = {(at, at) for at in edges} | {(SEGMENT - 1, SEGMENT), (PART - 1, PART), (7, size - 9)}
    return sorted((a, b) for a, b in spans if 0 <= a <= b < size)
