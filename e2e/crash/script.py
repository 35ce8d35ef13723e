# SPDX-License-Identifier: Apache-2.0
"""The fixed script of operations that is killed at each of its flushes and writes."""

import random

from actor import KMS, Actor
from world import BUCKET, World

KIB = 1024
BIG = 300 * KIB
FIRST_PART = 5 * KIB * KIB

_NOISE = random.Random(7).randbytes(FIRST_PART + 65_521)


def body(size, number):
    """`size` bytes; for different numbers every 64 KiB segment is different."""
    start = number * 257 % 65_521
    return _NOISE[start:start + size]


class Script:
    """Runs on one world, round after round: what one round left is what the next one changes."""

    def __init__(self):
        self.world = World()
        self.round = 0
        self.key = None

    def prepare(self, server):
        actor = Actor(server, self.world)
        actor.create_bucket(BUCKET)
        self.key = actor.create_key()

    def run(self, server):
        """All of it, or up to the kill (Lost) or the failure (Failed)."""
        self.round += 1
        n = self.round * 16
        actor = Actor(server, self.world)
        self.objects(actor, n)
        self.multipart(actor, n)
        self.copies(actor, n)
        self.deletes(actor)
        self.buckets_and_keys(actor)

    def objects(self, actor, n):
        actor.put("small", body(KIB, n), f"r{n}")
        actor.put("big", body(BIG, n + 1), f"r{n}")
        # From the tables to a file and back again.
        sizes = (BIG, 2 * KIB) if self.round % 2 else (2 * KIB, BIG)
        actor.put("changing", body(sizes[0], n + 2), f"r{n}")
        actor.put("changing", body(sizes[1], n + 3), f"r{n}")
        actor.put("under-kms", body(BIG, n + 4), f"r{n}", KMS)

    def multipart(self, actor, n):
        upload = actor.create_upload("parts", f"r{n}")
        bodies = {1: body(FIRST_PART, n + 5), 2: body(BIG, n + 1)}
        actor.upload_part(upload, 1, bodies[1])
        actor.upload_part(upload, 2, body(100 * KIB, n + 7))
        actor.upload_part(upload, 2, body(BIG, n + 6))
        actor.upload_part_copy(upload, 2, "big", bodies[2])
        actor.complete(upload, bodies, f"r{n}")
        upload = actor.create_upload("abandoned", f"r{n}")
        actor.upload_part(upload, 1, body(BIG, n + 8))
        actor.abort(upload)

    def copies(self, actor, n):
        actor.copy("big", "copy")
        actor.copy("copy", "copy-under-kms", KMS)
        actor.copy("parts", "copy-of-parts")

    def deletes(self, actor):
        actor.delete("big")
        actor.delete_several(["copy", "small"])
        actor.delete("parts")
        actor.delete("copy-of-parts")

    def buckets_and_keys(self, actor):
        known = self.world.get
        if known("bucket", "crash-other") is None:
            actor.create_bucket("crash-other")
        else:
            actor.delete_bucket("crash-other")
        if known("alias", "alias/crash") is None:
            actor.create_alias("alias/crash", self.key)
        else:
            actor.delete_alias("alias/crash")
        actor.enable_key(self.key, known("key", self.key) != "Enabled")
