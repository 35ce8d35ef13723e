# SPDX-License-Identifier: Apache-2.0
"""Six folders in three facilities, real clients, and what can happen to folders and processes.

Whatever happened, everything that was acknowledged is compared in the end, and full redundancy
comes back.
"""

import os
import random

import pytest

import shim
from actor import Actor
from bare_client import BareClient, Failed, Lost
from cluster import FACILITIES, Cluster, until
from load import BUCKET as LOAD_BUCKET, Load, path
from pulse import Pulse
from script import BIG, KIB, body
from world import BUCKET, World

KILLS = int(os.environ.get("CLUSTER_KILLS", "64"))


def some_of_everything(server, world, number):
    """Requests of every kind that touches blobs, the same each time."""
    actor, n = Actor(server, world), number * 16
    actor.put("small", body(KIB, n), f"r{n}")
    actor.put("big", body(BIG, n + 1), f"r{n}")
    actor.put("long", body(1_400 * KIB, n + 2), f"r{n}")
    upload = actor.create_upload("parts", f"r{n}")
    actor.upload_part(upload, 1, body(BIG, n + 3))
    actor.complete(upload, {1: body(BIG, n + 3)}, f"r{n}")
    actor.copy("big", "copy")
    actor.delete("big")
    actor.put("long", body(BIG, n + 4), f"r{n}")


def test_dur_d1_kill_at_a_flush_and_a_facility_gone(library, tell):
    """SIGKILL before or after the k-th flush. Every fourth start is without a facility: what was
    acknowledged before the kill is there all the same."""
    world, choices = World(), random.Random(31)
    with Cluster(library) as server, Pulse(server) as pulse:
        Actor(server, world).create_bucket(BUCKET)
        # The first time more is flushed: folders are made.
        for number in range(2):
            server.shim.arm(shim.FLUSH, shim.KILL_BEFORE, shim.EVERY_FURTHER)
            some_of_everything(server, world, number)
            flushes = server.shim.counted(shim.FLUSH)
        by_the_shim = looked_without = 0
        for number in range(KILLS):
            call = 1 + (2 * number + 1) * flushes // (2 * KILLS)
            action = choices.choice([shim.KILL_BEFORE, shim.KILL_AFTER])
            server.shim.arm(shim.FLUSH, action, call)
            try:
                some_of_everything(server, world, number + 2)
            except Lost:
                server.wait_killed()
                by_the_shim += 1
            except Failed as refused:
                assert pulse.excuses(), refused
            server.kill()
            server.shim.disarm()
            facility = "abc"[number // 4 % 3]
            if number % 4 == 3:
                with server.without(facility):
                    server.start()
                    # A body that was acknowledged without a slow drive may need this facility.
                    if server.status()["owed_shards"] == 0:
                        world.check(server)
                        looked_without += 1
            else:
                server.start()
            server.until_full()
            world.check(server)
        until(lambda: not server.unfinished(), "the end of what was half written")
        done = server.command("verify", "--quiet", check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        server.stop()
    # How many flushes there are depends on what happens to be flushed together.
    assert by_the_shim > 0, "no kill at a flush"
    tell(f"{KILLS} kills over six folders, {by_the_shim} of them at one of {flushes} flushes, "
         f"{looked_without} times without a facility")


def test_dur_d7_d8_folders_and_files_go_wrong_under_load(library, tell):
    choices = random.Random(7)
    with Cluster(library) as server, Load(server) as load:
        damaged = damage_some(server, choices)
        load.work(8)
        for name in damaged:
            assert BareClient(server).ask("GET", path(name)).body == still(name)
        server.scrub()
        load.rest()
        server.until_full()
        for name, files in damaged.items():
            for file, content in files.items():
                assert file.read_bytes() == content, f"{name}: {file} is not as it was"
        load.work(4)
        server.destroy("b1")
        load.work(12)
        load.rest()
        until(lambda: not server.status()["full_redundancy"], "the loss in the status")
        (server.base / "b1").mkdir()
        said = server.command("drive", "replace", "b:b1").stdout
        assert "in the place of drive 2" in said
        load.work(4)
        load.rest()
        server.until_full()
        # An upload that is under way may be refused now. A read may be if its body was written
        # without a drive that was slow, and not healed since.
        load.may_refuse = True
        load.work(4)
        with server.without("c"):
            load.work(12)
        load.work(4)
        load.rest()
        server.until_full()
        kept, refused = load.read_all(), sum(writer.refused for writer in load.writers)
        server.kill()
        server.start()
        server.until_full()
        assert load.read_all() == kept
        for name in damaged:
            assert BareClient(server).ask("GET", path(name)).body == still(name)
        tell(f"{kept} objects kept under load, {refused} requests refused without a facility")


def still(name):
    """What an object holds that nobody changes."""
    return body(1_100 * KIB, int(name.split("-")[1]))


def damage_some(server, choices):
    """Spoils files of objects that the writers leave alone, at most two shards of each; what they
    should hold."""
    names = [f"still-{number}" for number in range(7)]
    client = BareClient(server)
    for name in names:
        client.ask("PUT", path(name), still(name))
    server.until_full()
    files = {name: server.shards(LOAD_BUCKET, name) for name in names}
    assert all(len(shards) == 6 for shards in files.values()), files
    contents = {
        name: {file: file.read_bytes() for file in shards.values()}
        for name, shards in files.items()
    }
    cut, longer, flipped, zeroed, gone, exchanged, strange = names
    for name in (cut, longer, flipped, zeroed, gone):
        for shard in choices.sample(range(6), 2):
            file = files[name][shard]
            spoil(file, contents[name][file], name, names, choices)
    # Shards in each other's place, on two drives; and another body's file.
    one, other = (files[exchanged][shard] for shard in choices.sample(range(6), 2))
    one.write_bytes(contents[exchanged][other])
    other.write_bytes(contents[exchanged][one])
    here = files[strange][choices.randrange(6)]
    here.write_bytes(contents[cut][files[cut][0]])
    return contents


def spoil(file, content, name, names, choices):
    what = names.index(name)
    if what == 0:
        file.write_bytes(content[:choices.randrange(len(content))])
    elif what == 1:
        file.write_bytes(content + b"more")
    elif what == 2:
        at = choices.randrange(len(content))
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1:])
    elif what == 3:
        file.write_bytes(bytes(len(content)))
    else:
        file.unlink()


@pytest.mark.parametrize("redundancy, is_enough", [("2+4", True), ("4+2", False)])
def test_dur_d8_an_upload_under_way_when_a_facility_goes(library, redundancy, is_enough):
    """It goes on with the drives that are left where they suffice for the write quorum. With 4+2 on
    three facilities they do not: four of six shards would be a body that survives nothing more."""
    whole = body(5_000 * KIB, 3)
    with Cluster(library, "--redundancy", redundancy) as server:
        Actor(server, World()).create_bucket(BUCKET)

        class InTheMiddle(bytes):
            """Sent in two halves; in between the facility goes."""

            def __iter__(self):
                half = len(self) // 2
                yield self[:half]
                until(lambda: len(server.unfinished()) == 6, "the first half on all drives")
                server.take_away(*FACILITIES["b"])
                yield self[half:]

        target = f"/{BUCKET}/under-way"
        try:
            answer = Slow(server).ask("PUT", target, InTheMiddle(whole))
            assert is_enough, f"acknowledged below the quorum: {answer}"
        except (Failed, Lost) as refused:
            # Lost: the answer came, and the connection ended, before the body was through.
            assert not is_enough, refused
            assert isinstance(refused, Lost) or refused.answer.status == 503, refused.answer
            # What every client does then.
            BareClient(server).ask("PUT", target, whole)
        client = BareClient(server)
        assert client.ask("GET", target).body == whole
        server.put_back(*FACILITIES["b"])
        server.until_full()
        assert client.ask("GET", target).body == whole
        until(lambda: not server.unfinished(), "the end of what was half written")


class Slow(BareClient):
    """Sends a body piece by piece."""

    def call(self, method, target, body=b"", headers=None, service="s3"):
        request = self.connection.request

        def in_pieces(method, target, body, headers):
            sent = headers | {"content-length": str(len(body))}
            return request(method, target, iter(body), sent)

        self.connection.request = in_pieces
        try:
            return super().call(method, target, body, headers, service)
        finally:
            self.connection.request = request
