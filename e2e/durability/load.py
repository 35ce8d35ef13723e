# SPDX-License-Identifier: Apache-2.0
"""Clients that write and read all the time, and know what was promised to them."""

import hashlib
import random
import threading
from urllib.parse import quote

from bare_client import BareClient, Lost
from cluster import until
from pulse import Pulse

BUCKET = "load"
# In the tables; part of a stripe; several stripes.
SIZES = (900, 40_000, 300_000, 1_300_000)


class Load:
    """Some writers, which can be told to stand still. With `is_cut` the server is about to go in
    the middle of requests."""

    def __init__(self, server, writers=3, bucket=BUCKET):
        self.server, self.bucket = server, bucket
        self.go, self.ended = threading.Event(), threading.Event()
        self.pulse = Pulse(server)
        self.may_refuse = self.is_cut = False
        BareClient(server).ask("PUT", f"/{bucket}")
        self.writers = [Writer(self, number) for number in range(writers)]

    def __enter__(self):
        self.pulse.__enter__()
        self.go.set()
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.go.set()
        self.pulse.__exit__()
        for writer in self.writers:
            writer.join(timeout=600)
            assert not writer.is_alive(), "a request does not end"

    def work(self, requests):
        """Returns when every writer has done that much more."""
        self.go.set()
        for writer, target in [(one, one.done + requests) for one in self.writers]:
            until(lambda: writer.done >= target or writer.error, f"request {target}")
            self.check()

    def rest(self):
        """Returns when nothing is on its way."""
        self.go.clear()
        until(lambda: all(writer.is_idle for writer in self.writers), "the end of the requests")
        self.check()

    def check(self):
        for writer in self.writers:
            if writer.error is not None:
                raise writer.error

    def read_all(self):
        """Everything that was acknowledged, byte for byte; how much it was. What was not is there
        as a whole or not at all."""
        client = BareClient(self.server)
        acknowledged = {name: sum_ for one in self.writers for name, sum_ in one.kept.items()}
        for name, wanted in acknowledged.items():
            answer = client.call("GET", path(name, self.bucket))
            assert answer.status == 200, (name, answer.status, answer.code)
            assert hashlib.sha256(answer.body).hexdigest() == wanted, name
        for name, sent in [(*item,) for one in self.writers for item in one.unknown.items()]:
            answer = client.call("GET", path(name, self.bucket))
            assert answer.status in (200, 404), (name, answer.status, answer.code)
            is_whole = hashlib.sha256(answer.body).hexdigest() == sent
            assert answer.status == 404 or is_whole, f"{name} is there in part"
        return len(acknowledged)

    def refused(self):
        return sum(writer.refused for writer in self.writers)


class Writer(threading.Thread):
    """One connection. What is acknowledged is there from then on."""

    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.number = load, number
        self.choices = random.Random(number)
        self.kept, self.unknown, self.done, self.refused = {}, {}, 0, 0
        self.is_idle, self.error = True, None

    def run(self):
        try:
            client = BareClient(self.load.server)
            while not self.load.is_cut:
                self.is_idle = True
                self.load.go.wait()
                self.is_idle = False
                # Told to rest between the two: looked at again.
                if not self.load.go.is_set():
                    continue
                if self.load.ended.is_set():
                    return
                self.one(client)
                self.done += 1
        except BaseException as error:
            # The end of the connection, or a server that is not there any more.
            is_the_cut = self.load.is_cut and isinstance(error, (Lost, OSError))
            self.error = None if is_the_cut else error
        finally:
            self.is_idle = True

    def one(self, client):
        if self.kept and self.choices.random() < 0.5:
            return self.read(client, self.choices.choice(sorted(self.kept)))
        name = f"{self.number}/{self.done}"
        body = self.choices.randbytes(self.choices.choice(SIZES))
        self.unknown[name] = hashlib.sha256(body).hexdigest()
        try:
            answer = client.call("PUT", path(name, self.load.bucket), body)
        except Lost:
            if self.load.is_cut:
                raise
            # Refused before the body was through. Nobody asks for this name again.
            return self.refuse("PUT", name, None)
        if answer.status == 200:
            self.kept[name] = self.unknown.pop(name)
        else:
            self.refuse("PUT", name, answer)

    def read(self, client, name):
        answer = client.call("GET", path(name, self.load.bucket))
        if answer.status != 200:
            return self.refuse("GET", name, answer)
        assert hashlib.sha256(answer.body).hexdigest() == self.kept[name], f"wrong bytes of {name}"

    def refuse(self, method, name, answer):
        may = self.load.may_refuse or self.load.is_cut or self.load.pulse.excuses()
        assert may, (method, name, answer)
        assert answer is None or answer.status in self.refusals(method), (method, name, answer)
        self.refused += 1

    def refusals(self, method):
        """503: nothing was done. A write that was carried out when the drive of the audit log went away,
        and so is not recorded, is answered with 500 (docs/adr/0006)."""
        may_be_done = method == "PUT" and (self.load.is_cut or self.load.pulse.excuses())
        return {503, 500} if may_be_done else {503}


def path(name, bucket=BUCKET):
    return f"/{bucket}/{quote(name)}"
