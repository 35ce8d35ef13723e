# SPDX-License-Identifier: Apache-2.0
"""D1: SIGKILL at random moments, with four writers at work, two of them stock boto3 clients.

Three quarters of the bodies lie in the tables, so that the log goes to new files, checkpoints
are taken and the index writes its sorted tables while the kills come.
"""

import hashlib
import random
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

import lanes
from actor import Actor, path
from bare_client import Lost
from rounds import Tally, rounds
from script import KIB, body
from strongroom import DEADLINE, REGION
from world import BUCKET, World, stored

NAMES = 6
SIZES = (0, 1, KIB, 20 * KIB, 30 * KIB, 31 * KIB, 33 * KIB, 300 * KIB)
SHARED = "shared"


def test_dur_d1_kill_at_random_times(library, tell):
    each = lanes.ROUNDS // lanes.LANES
    jobs = [(kill_at_random, library, lane, each) for lane in range(lanes.LANES)]
    total = Tally.sum(lanes.run(jobs))
    tell(f"at random times: {total}")
    assert total.kills >= lanes.LANES * each


def kill_at_random(library, seed, kills):
    random_number = random.Random(seed)
    world = World()
    with rounds(library, world) as these:
        server = these.server.start()
        Actor(server, world).create_bucket(BUCKET)
        for turn in range(kills):
            shared = SharedObject(world)
            kinds = (bare_writer, bare_writer, boto_writer, boto_writer)
            writers = [
                Writer(kind, server, world, shared, f"w{n}", random.Random(f"{seed}-{turn}-{n}"))
                for n, kind in enumerate(kinds)
            ]
            for writer in writers:
                writer.start()
            time.sleep(random_number.uniform(0.02, 0.45))
            server.kill()
            for writer in writers:
                writer.end()
            shared.leave_open()
            these.killed()
        these.tally.places["any moment"] = these.tally.kills
        return these.end()


class Writer(threading.Thread):
    """Puts, overwrites, copies and deletes until the server is gone."""

    def __init__(self, kind, server, world, shared, name, choices, ends=(Lost,)):
        super().__init__(daemon=True)
        self.ends = ends
        self.kind, self.server, self.world, self.shared = kind, server, world, shared
        self.prefix, self.choices = name, choices
        self.error = None
        self.requests = 0

    def run(self):
        try:
            try:
                self.kind(self)
            except self.ends:
                # Only a killed server may do that.
                self.server.process.wait(timeout=DEADLINE)
        except BaseException as error:
            self.error = error

    def end(self):
        self.join(timeout=2 * DEADLINE)
        assert not self.is_alive(), f"{self.prefix} hangs though the server is gone"
        if self.error is not None:
            raise self.error

    def next(self):
        """(name, another name, body, tag) of the next request."""
        self.requests += 1
        name, other = (f"{self.prefix}-{n}" for n in self.choices.sample(range(NAMES), 2))
        size = self.choices.choice(SIZES)
        return name, other, body(size, self.choices.randrange(65_521)), str(self.choices.random())


def bare_writer(writer):
    """Four kinds of requests, and now and then the object that all writers write."""
    actor = Actor(writer.server, writer.world)
    while True:
        name, other, data, tag = writer.next()
        turn = writer.choices.random()
        if turn < 0.15:
            writer.shared.put(actor.client, data, tag)
        elif turn < 0.70 or writer.world.get("object", name) is None:
            actor.put(name, data, tag)
        elif turn < 0.85:
            actor.copy(name, other)
        else:
            actor.delete(name)


def boto_writer(writer):
    """The same with boto3, which speaks of a lost connection in its own words."""
    server, world = writer.server, writer.world
    client = boto3.session.Session(*server.credential, region_name=REGION).client(
        "s3", endpoint_url=server.url("https"), verify=server.ca,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"},
                      connect_timeout=DEADLINE, read_timeout=DEADLINE),
    )

    def change(changes, request, **members):
        world.attempt(changes)
        try:
            answer = request(Bucket=BUCKET, **members)
        except (BotoCoreError, HTTPError) as lost:
            raise Lost(str(lost)) from lost
        except ClientError as error:
            # What botocore makes of an answer that was cut off.
            assert error.response["ResponseMetadata"].get("HTTPStatusCode", 0) == 200, error
            raise Lost(str(error)) from error
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        world.settle(changes, Answered(headers))

    while True:
        name, other, data, tag = writer.next()
        old = world.get("object", name)
        turn = writer.choices.random()
        if turn < 0.70 or old is None:
            new = stored(data, tag, hashlib.md5(data).hexdigest())
            change({("object", name): new}, client.put_object, Key=name, Body=data,
                   Metadata={"made": tag})
        elif turn < 0.85:
            source = {"Bucket": BUCKET, "Key": name}
            change({("object", other): old._replace(etag=None)}, client.copy_object,
                   Key=other, CopySource=source)
        else:
            change({("object", name): None}, client.delete_object, Key=name)


class Answered:
    """As much of an answer as the world asks for."""

    def __init__(self, headers):
        self.headers = headers


class SharedObject:
    """One object that several writers overwrite at the same time.

    Afterwards it may be what any write made that was not followed by an acknowledged one: a
    write that ended before another acknowledged one began cannot be what is seen.
    """

    def __init__(self, world):
        self.world = world
        self.writes = []
        self.lock = threading.Lock()

    def put(self, client, data, tag):
        write = [time.monotonic(), None, stored(data, tag, hashlib.md5(data).hexdigest())]
        with self.lock:
            self.writes.append(write)
        client.ask("PUT", path(SHARED), data, {"x-amz-meta-made": tag})
        write[1] = time.monotonic()

    def leave_open(self):
        """Tells the world what may be there."""
        done = [write for write in self.writes if write[1] is not None]
        last_start = max((start for start, _, _ in done), default=None)
        possible = [
            value for _, end, value in self.writes
            if last_start is None or end is None or end >= last_start
        ]
        fact = ("object", SHARED)
        if done:
            self.world.facts[fact] = possible.pop(0)
        if possible:
            self.world.open.setdefault(fact, []).extend(possible)
