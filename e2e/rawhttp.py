# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand and a signer of our own: for what no client library lets through.

Nothing here shares code with botocore, so a mistake common to a client and the server shows.
"""

import base64
import contextlib
import datetime
import hashlib
import hmac
import re
import socket
import ssl
import zlib
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from strongroom import DEADLINE, REGION

UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
# Told of every signed request and its answer: (method, target, headers, answer).
OBSERVERS = []
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def amz_date(offset_seconds=0):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=offset_seconds)).strftime("%Y%m%dT%H%M%SZ")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def one_space(value):
    return re.sub(" +", " ", value.strip(" "))


def canonical_query(query):
    pairs = [
        tuple(quote(unquote_to_bytes(text), safe="-_.~") for text in part.partition("=")[::2])
        for part in query.split("&") if part
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


@dataclass
class Signer:
    """AWS Signature Version 4, with every step open to be bent."""

    access_key_id: str
    secret: str
    region: str = REGION
    service: str = "s3"
    date: str = field(default_factory=amz_date)
    terminator: str = "aws4_request"
    scope_date: str = None

    @property
    def scope(self):
        day = self.date[:8] if self.scope_date is None else self.scope_date
        return f"{day}/{self.region}/{self.service}/{self.terminator}"

    def key(self):
        key = mac(b"AWS4" + self.secret.encode(), self.scope.split("/")[0])
        for part in (self.region, self.service, self.terminator):
            key = mac(key, part)
        return key

    def string_to_sign(self, canonical, algorithm="AWS4-HMAC-SHA256"):
        return f"{algorithm}\n{self.date}\n{self.scope}\n{sha256(canonical.encode())}"

    def canonical(self, method, path, query, headers, signed, payload):
        lines = "".join(f"{name}:{one_space(headers[name])}\n" for name in signed)
        return "\n".join(
            [method, path, canonical_query(query), lines, ";".join(signed), payload]
        )

    def signature(self, method, path, query, headers, signed, payload):
        canonical = self.canonical(method, path, query, headers, signed, payload)
        return hmac.new(
            self.key(), self.string_to_sign(canonical).encode(), hashlib.sha256
        ).hexdigest()

    def authorization(self, signed, signature):
        return (
            f"AWS4-HMAC-SHA256 Credential={self.access_key_id}/{self.scope},"
            f"SignedHeaders={';'.join(signed)},Signature={signature}"
        )

    def sign(self, method, path, query, headers, payload):
        """Adds date, payload hash and Authorization to `headers`; returns the signature."""
        headers["x-amz-date"] = self.date
        if self.service == "s3":
            headers["x-amz-content-sha256"] = payload
        signed = sorted(
            name for name in headers
            if name == "host" or name.startswith("x-amz-") or name in ("content-type", "content-md5")
        )
        signature = self.signature(method, path, query, headers, signed, payload)
        headers["authorization"] = self.authorization(signed, signature)
        return signature

    def presign(self, method, path, headers, expires=300, extra=(), payload=UNSIGNED):
        """The query of a presigned URL; `headers` (with host) are all signed."""
        signed = sorted(headers)
        pairs = [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", f"{self.access_key_id}/{self.scope}"),
            ("X-Amz-Date", self.date),
            ("X-Amz-Expires", str(expires)),
            ("X-Amz-SignedHeaders", ";".join(signed)),
            *extra,
        ]
        query = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in pairs)
        signature = self.signature(method, path, query, headers, signed, payload)
        return f"{query}&X-Amz-Signature={signature}"


@dataclass
class ChunkWriter:
    """An aws-chunked body, with or without signatures."""

    signer: Signer
    seed: str
    signed: bool = True

    def sign(self, algorithm, parts):
        text = "\n".join([algorithm, self.signer.date, self.signer.scope, self.seed, *parts])
        self.seed = hmac.new(self.signer.key(), text.encode(), hashlib.sha256).hexdigest()
        return self.seed

    def chunk(self, data):
        head = f"{len(data):x}"
        if self.signed:
            parts = [EMPTY_SHA256, sha256(data)]
            head += f";chunk-signature={self.sign('AWS4-HMAC-SHA256-PAYLOAD', parts)}"
        return head.encode() + b"\r\n" + data + (b"\r\n" if data else b"")

    def trailer(self, lines):
        """`lines` is a list of (name, value)."""
        text = "".join(f"{name}:{value}\n" for name, value in lines)
        out = text.replace("\n", "\r\n")
        if self.signed:
            signature = self.sign("AWS4-HMAC-SHA256-TRAILER", [sha256(text.encode())])
            out += f"x-amz-trailer-signature:{signature}\r\n"
        return out.encode()

    def body(self, chunks, trailer=()):
        out = b"".join(self.chunk(data) for data in chunks) + self.chunk(b"")
        return out + (self.trailer(trailer) if trailer else b"") + b"\r\n"


@dataclass
class Answer:
    status: int
    reason: str
    headers: dict
    body: bytes

    @property
    def code(self):
        """The code of an S3 or KMS error, or None."""
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        if found:
            return found.group(1).decode()
        found = re.search(rb'"__type"\s*:\s*"([^"]*)"', self.body)
        return found.group(1).decode().rsplit("#", 1)[-1] if found else None

    def element(self, name):
        found = re.search(rf"<{name}>([^<]*)</{name}>".encode(), self.body)
        return found.group(1).decode() if found else None


class Wire:
    """One connection."""

    def __init__(self, server, scheme="http", timeout=DEADLINE):
        self.server = server
        self.scheme = scheme
        self.socket = socket.create_connection(server.address(scheme), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme == "https":
            context = ssl.create_default_context(cafile=server.ca)
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.host = "{}:{}".format(*server.address(scheme))
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """Sends; a server that answers early and closes is no error."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.socket.sendall(data)

    def head(self, method, target, headers):
        pairs = headers.items() if isinstance(headers, dict) else headers
        lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in pairs)]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n"

    def _more(self):
        try:
            data = self.socket.recv(65_536)
        except (ConnectionResetError, ssl.SSLError):
            return False
        self.rest += data
        return bool(data)

    def answer(self, method="GET"):
        """The next answer, or None if the peer ends the connection without one."""
        while True:
            while b"\r\n\r\n" not in self.rest:
                if not self._more():
                    return None
            head, self.rest = self.rest.split(b"\r\n\r\n", 1)
            first, *lines = head.decode("latin-1").split("\r\n")
            _, status, reason = (first + "  ").split(" ", 2)
            if status != "100":
                break
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in pairs}
        body = b""
        if method != "HEAD" and status not in ("204", "304"):
            if "content-length" in headers:
                size = int(headers["content-length"])
                while len(self.rest) < size and self._more():
                    pass
                body, self.rest = self.rest[:size], self.rest[size:]
                if len(body) < size:
                    headers["x-test-truncated"] = str(size - len(body))
            else:
                while self._more():
                    pass
                body, self.rest = self.rest, b""
        return Answer(int(status), reason.strip(), headers, body)

    def is_closed(self, timeout=60):
        """Whether the peer ends the connection, and not only because nothing comes (`PATIENCE`)."""
        self.socket.settimeout(timeout)
        try:
            while self._more():
                pass
            return True
        except (TimeoutError, socket.timeout):
            return False


class Client:
    """Signed requests by hand."""

    def __init__(self, server, scheme="https", credential=None):
        self.server = server
        self.scheme = scheme
        self.credential = credential or server.credential

    def signer(self, **bent):
        return Signer(*self.credential, **bent)

    def request(self, method, target, body=b"", headers=None, payload=None, signer=None,
                after=None, raw_body=None):
        """One signed request on a connection of its own.

        `payload` is what x-amz-content-sha256 says (the body's hash if None), `after` changes
        the headers when they are signed, `raw_body` goes over the wire instead of `body`.
        """
        path, _, query = target.partition("?")
        signer = signer or self.signer()
        with Wire(self.server, self.scheme) as wire:
            sent = {"host": wire.host} | {k.lower(): v for k, v in (headers or {}).items()}
            payload = sha256(body) if payload is None else payload
            signer.sign(method, path, query, sent, payload)
            on_wire = body if raw_body is None else raw_body
            if method in ("PUT", "POST") or on_wire:
                sent.setdefault("content-length", str(len(on_wire)))
            pairs = list(sent.items())
            if after is not None:
                pairs = after(dict(sent)) or pairs
                pairs = list(pairs.items()) if isinstance(pairs, dict) else pairs
            wire.send(wire.head(method, target, pairs) + on_wire)
            return observed(method, target, dict(pairs), wire.answer(method))

    def put_chunked(self, target, chunks, mode=SIGNED_CHUNKS, trailer=(), headers=None,
                    bend=None, decoded=None, announce=None, signer=None):
        """A PUT of an aws-chunked body. `bend` may change the encoded body."""
        signer = signer or self.signer()
        path, _, query = target.partition("?")
        data = b"".join(chunks)
        with Wire(self.server, self.scheme) as wire:
            sent = {
                "host": wire.host, "content-encoding": "aws-chunked",
                "x-amz-decoded-content-length": str(len(data) if decoded is None else decoded),
            } | (headers or {})
            names = [name for name, _ in trailer] if announce is None else announce
            if names:
                sent["x-amz-trailer"] = ",".join(names)
            seed = signer.sign("PUT", path, query, sent, mode)
            writer = ChunkWriter(signer, seed, signed=mode != UNSIGNED_TRAILER)
            body = writer.body(chunks, trailer)
            body = bend(body, writer) if bend else body
            sent["content-length"] = str(len(body))
            wire.send(wire.head("PUT", target, sent) + body)
            return observed("PUT", target, sent, wire.answer("PUT"))

    def presigned(self, method, target, extra=(), headers=None, expires=300, signer=None,
                  body=b"", send_headers=None, send_method=None, bend=None):
        """A presigned request; what is sent may differ from what was signed."""
        path, _, query = target.partition("?")
        extra = [*extra, *(tuple((p + "=").split("=")[:2]) for p in query.split("&") if p)]
        with Wire(self.server, self.scheme) as wire:
            signed = {"host": wire.host} | (headers or {})
            query = (signer or self.signer()).presign(method, path, signed, expires, extra)
            query = bend(query) if bend else query
            sent = signed | (send_headers or {})
            method = send_method or method
            if method in ("PUT", "POST"):
                sent["content-length"] = str(len(body))
            wire.send(wire.head(method, f"{path}?{query}", sent) + body)
            return observed(method, f"{path}?{query}", sent, wire.answer(method))


def observed(method, target, headers, answer):
    for tell in OBSERVERS:
        tell(method, target, headers, answer)
    return answer


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
