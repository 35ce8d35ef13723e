# SPDX-License-Identifier: Apache-2.0
"""Several clients on a few keys at once, and everything they asked and were answered, written down.

A *value* is known by a word that its body begins with, and by the MD5 of the body, which is its
ETag; no two writes have the same. What a client cannot know (the connection broke, the answer was
5xx) is written down as unknown: it may have happened, or may still happen, or never.
"""

import collections
import hashlib
import json
import random
import threading
import time
from urllib.parse import quote

from bare_client import BareClient, Lost

BUCKET = "histories"
# On both sides of what lies with its row.
SIZES = (40, 1000, 20_000, 40_000, 200_000)


class History:
    """One line for each request."""

    def __init__(self):
        self.lines = []
        self.words = {}
        self.numbers = collections.Counter()
        self.lock = threading.Lock()

    def new_value(self, client, size):
        """(word, body): nobody else writes the same."""
        with self.lock:
            self.numbers[client] += 1
            word = f"{client}.{self.numbers[client]}"
            filler = hashlib.sha256(word.encode()).digest()
            body = (f"{word};".encode() + filler * (size // 32 + 1))[:max(size, len(word) + 1)]
            self.words[hashlib.md5(body).hexdigest()] = word
        return word, body

    def word_of(self, etag):
        return self.words[etag.strip('"')]

    def etag_of(self, word):
        return next(etag for etag, known in self.words.items() if known == word)

    def add(self, key, op, call, result, value=None, when=None):
        line = {"key": key, "call": call, "op": op, "result": result}
        if result != "unknown":
            line["return"] = time.monotonic_ns()
        if value is not None:
            line["value"] = value
        if when is not None:
            line["when"] = when
        with self.lock:
            self.lines.append(line)

    def write(self, path):
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))

    def longest(self):
        """The most requests on one key."""
        return max(collections.Counter(line["key"] for line in self.lines).values())


class Client(threading.Thread):
    """Asks for `requests` things, one after the other, until the server is gone."""

    def __init__(self, server, history, name, keys, requests, seed, on_request=lambda: None):
        super().__init__(daemon=True)
        self.http = BareClient(server)
        self.history, self.keys, self.requests = history, keys, requests
        self.label, self.choices, self.on_request = name, random.Random(f"{seed} {name}"), on_request
        self.seen = {}
        self.error = None

    def run(self):
        try:
            for _ in range(self.requests):
                self.on_request()
                self.one()
        except Lost:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.http.connection.close()

    def end(self):
        self.join(timeout=600)
        assert not self.is_alive(), f"{self.label} hangs"
        if self.error is not None:
            raise self.error

    def one(self):
        key, turn = self.choices.choice(self.keys), self.choices.random()
        if turn < 0.30:
            self.put(key, None)
        elif turn < 0.38:
            self.put(key, "absent")
        elif turn < 0.48 and key in self.seen:
            self.put(key, {"is": self.seen[key]})
        elif turn < 0.58:
            self.delete(key)
        elif turn < 0.66 and len(self.keys) > 1:
            self.copy(key)
        elif turn < 0.76:
            self.read(key, "HEAD")
        else:
            self.read(key, "GET")

    def put(self, key, when):
        word, body = self.history.new_value(self.label, self.choices.choice(SIZES))
        headers = {}
        if when == "absent":
            headers["if-none-match"] = "*"
        elif when is not None:
            headers["if-match"] = f'"{self.history.etag_of(when["is"])}"'
        with self.known(key, "put", word, when) as asked:
            answer = asked("PUT", path(key), body, headers)
            if answer.status == 200:
                assert self.history.word_of(answer.headers["etag"]) == word
                self.seen[key] = word
            return self.judge(asked, answer, when)

    def delete(self, key):
        with self.known(key, "delete", None, None) as asked:
            return self.judge(asked, asked("DELETE", path(key)), None)

    def judge(self, asked, answer, when):
        if answer.status in (200, 204):
            asked.result = "done"
        elif answer.status == 412 or (answer.status == 404 and when not in (None, "absent")):
            asked.result = "refused"
        elif answer.status == 409:
            # Somebody else was first at the same moment: nothing happened, and nothing is told.
            asked.result = None
        else:
            assert answer.status >= 500, answer

    def copy(self, key):
        """A read of the source and a write of the other key, each within the time of the request."""
        other = self.choices.choice([one for one in self.keys if one != key])
        word = self.seen.get(other)
        if word is None:
            return self.read(other, "HEAD")
        headers = {
            "x-amz-copy-source": f"/{BUCKET}/{quote(other)}",
            "x-amz-copy-source-if-match": f'"{self.history.etag_of(word)}"',
        }
        call = time.monotonic_ns()
        with self.known(key, "put", word, None) as asked:
            answer = asked("PUT", path(key), b"", headers)
            if answer.status == 200 and b"<Error>" not in answer.body:
                asked.result = "done"
                self.history.add(other, "get", call, "found", word)
            elif answer.status == 412:
                asked.result = None
                self.history.add(other, "get", call, "found-not", word)
                del self.seen[other]
            elif answer.status == 404:
                asked.result = None
                self.history.add(other, "get", call, "missing")
            else:
                assert answer.status >= 500 or b"<Error>" in answer.body, answer

    def read(self, key, method):
        call = time.monotonic_ns()
        answer = self.http.call(method, path(key))
        if answer.status == 404:
            self.history.add(key, "get", call, "missing")
        elif answer.status == 200:
            word = self.history.word_of(answer.headers["etag"])
            if method == "GET":
                whole = hashlib.md5(answer.body).hexdigest() == answer.headers["etag"].strip('"')
                assert whole, f"{key}: other bytes than were written"
            self.history.add(key, "get", call, "found", word)
            self.seen[key] = word
        else:
            assert answer.status >= 500, answer

    def known(self, key, op, value, when):
        return Known(self, key, op, value, when)


class Known:
    """One request that changes something: however it ends, it is written down."""

    def __init__(self, client, *facts):
        self.client, self.facts = client, facts
        self.result = "unknown"

    def __enter__(self):
        self.call = time.monotonic_ns()
        return self

    def __call__(self, *request):
        return self.client.http.call(*request)

    def __exit__(self, *_):
        key, op, value, when = self.facts
        if self.result is not None:
            self.client.history.add(key, op, self.call, self.result, value, when)


def path(key):
    return f"/{BUCKET}/{quote(key)}"
