# SPDX-License-Identifier: Apache-2.0
"""Upload forms by hand: the policy, its signature, and the bytes of the form.

Nothing here is botocore's: every step is open to be bent.
"""

import base64
import datetime
import hashlib
import hmac
import json

from rawhttp import Signer, Wire, observed

BOUNDARY = b"----form7MA4YWxkTrZu0gW"


def part(name, value, boundary=BOUNDARY, more=b""):
    name, value = (x.encode() if isinstance(x, str) else x for x in (name, value))
    disposition = b'Content-Disposition: form-data; name="' + name + b'"' + more
    return b"--" + boundary + b"\r\n" + disposition + b"\r\n\r\n" + value + b"\r\n"


def encode(fields, data, filename="f.txt", boundary=BOUNDARY, after=b""):
    """The whole body. `fields` is a list of pairs, or a dict."""
    pairs = fields.items() if isinstance(fields, dict) else fields
    head = b"".join(part(name, value, boundary) for name, value in pairs)
    more = b"" if filename is None else b'; filename="' + filename.encode() + b'"'
    file = part("file", data, boundary, more + b"\r\nContent-Type: application/x-part")
    return head + file + after + b"--" + boundary + b"--\r\n"


def expiration(seconds=300):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Forms:
    """Posts forms to a server as one principal."""

    def __init__(self, server, scheme="https", credential=None):
        self.server, self.scheme = server, scheme
        self.credential = credential or server.credential

    def signed(self, bucket, fields, conditions=None, document=None, expires=300, **bent):
        """`fields` with policy and signature; by default a condition for each of them."""
        signer = Signer(*self.credential, **bent)
        fields = dict(fields) | {
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": f"{signer.access_key_id}/{signer.scope}",
            "x-amz-date": signer.date,
        }
        if document is None:
            every = [{"bucket": bucket}] + [{name: value} for name, value in fields.items()]
            if conditions is not None:
                every = [{"bucket": bucket}, *conditions] + [
                    {name: fields[name]} for name in list(fields)[-3:]
                ]
            document = {"expiration": expiration(expires), "conditions": every}
        if not isinstance(document, bytes):
            document = json.dumps(document).encode()
        policy = base64.b64encode(document)
        signature = hmac.new(signer.key(), policy, hashlib.sha256).hexdigest()
        return fields | {"policy": policy, "x-amz-signature": signature}

    def post(self, bucket, body, headers=None, boundary=BOUNDARY, target=None, length=None):
        """Sends the bytes of a form, whatever they are."""
        with Wire(self.server, self.scheme) as wire:
            quoted = boundary.decode()
            all_headers = {
                "host": wire.host, "content-type": f"multipart/form-data; boundary={quoted}",
                "content-length": str(len(body) if length is None else length),
            } | (headers or {})
            kept = {name: value for name, value in all_headers.items() if value is not None}
            target = target or f"/{bucket}"
            wire.send(wire.head("POST", target, kept) + body)
            return observed("POST", target, kept, wire.answer("POST"))

    def upload(self, bucket, fields, data, filename="f.txt", conditions=None, **more):
        """Signs and sends."""
        names = ("document", "expires", "date", "region", "service", "scope_date", "terminator")
        bent = {name: more.pop(name) for name in names if name in more}
        signed = self.signed(bucket, fields, conditions, **bent)
        return self.post(bucket, encode(signed, data, filename), **more)
