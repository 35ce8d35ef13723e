# SPDX-License-Identifier: Apache-2.0
"""The matrix as data: mode x write path x versioning x size, and the cases drawn from it.

A mode, a path or a state of versioning that the server does not offer is in no list here: it is
missing, and nothing about it is green.
"""

import itertools
from dataclasses import dataclass

from clients import MIB, SEGMENT
from sse import MODE_NAMES, RULE_NAMES

# How the encryption is asked for: by headers, or by the default of the bucket.
MODES = MODE_NAMES + RULE_NAMES
WRITES = [
    "put", "chunks", "copy", "parts", "part-copies", "presigned", "form", "update", "archive",
]
VERSIONING = ["never", "enabled", "suspended"]
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
        return f"{self.write}/{self.mode}/{self.size}/{self.versioning}".replace("+", "_")

    def __str__(self):
        return f"{self.mode}-{self.write}-{self.versioning}-{self.size}"


def offered(mode, write):
    """An object that is stored already goes under a KMS key, which its ARN names."""
    return write != "update" or mode in ("kms-arn", "kms-bucket-key")


def cases():
    """Every mode by every path. States of versioning and sizes are spread over them, so that each
    pair of a state with a mode, a path or a size is there, and each pair of a size with a mode or
    a path: all of them by each other would be twenty times as many."""
    fields = (MODES, WRITES, VERSIONING, list(SIZES))
    spread = ((0, 2), (1, 2), (2, 3), (0, 3), (1, 3))
    wanted = {
        (a, b, one, other) for a, b in spread for one in fields[a] for other in fields[b]
    }

    def pairs(case):
        return {(a, b, case[a], case[b]) for a, b in spread}

    out, turn = set(), itertools.count()

    def add(candidates):
        """The one of them that brings most, and of equal ones each in its turn."""
        at = next(turn) * 5 % len(candidates)
        best = max(candidates[at:] + candidates[:at], key=lambda case: len(pairs(case) & wanted))
        wanted.difference_update(pairs(best))
        out.add(best)

    everything = [case for case in itertools.product(*fields) if offered(*case[:2])]
    for first in itertools.product(*fields[:2]):
        if offered(*first):
            add([case for case in everything if case[:2] == first])
    while wanted:
        a, b, one, other = min(wanted)
        add([case for case in everything if (case[a], case[b]) == (one, other)])
    return [Case(*case) for case in sorted(out)]


def pieces(data):
    """The parts in which a multipart upload sends `data`."""
    return [data[at:at + PART] for at in range(0, len(data), PART)] or [b""]


def ranges(size):
    """First and last byte of what is read: within segments and across their borders."""
    edges = {0, SEGMENT - 1, SEGMENT, PART - 1, PART, size - 1}
    spans = {(at, at) for at in edges} | {(SEGMENT - 1, SEGMENT), (PART - 1, PART), (7, size - 9)}
    return sorted((a, b) for a, b in spans if 0 <= a <= b < size)
