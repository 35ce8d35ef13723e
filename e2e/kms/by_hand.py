# SPDX-License-Identifier: Apache-2.0
"""Calls of the key service without a client library: documents and headers as the test wants them."""

import contextlib
import json

from compat import KMS
from rawhttp import Wire, sha256

CONTENT_TYPE = "application/x-amz-json-1.1"


class ByHand:
    """`by_hand("Encrypt", {...})` is the answer, with `code`, `message` and `document`."""

    def __init__(self, raw, wire=None):
        self.raw, self.wire = raw, wire

    @contextlib.contextmanager
    def connection(self):
        """The same on one connection, for many calls."""
        with Wire(self.raw.server, self.raw.scheme) as wire:
            yield ByHand(self.raw, wire)

    def __call__(self, operation, body=None, headers=None, **options):
        body = {} if body is None else body
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        target = f"TrentService.{operation}"
        sent = {"content-type": CONTENT_TYPE, "x-amz-target": target} | (headers or {})
        if self.wire is None:
            signer = self.raw.signer(service="kms")
            answer = self.raw.request("POST", "/", data, sent, signer=signer, **options)
        else:
            answer = self._again(data, sent)
        try:
            answer.document = json.loads(answer.body)
        except ValueError:
            answer.document = {}
        answer.message = answer.document.get("message")
        if isinstance(body, dict) and sent["x-amz-target"] == target:
            KMS.record(operation, body, answer.code)
        return answer

    def _again(self, data, sent):
        sent = {"host": self.wire.host} | sent
        self.raw.signer(service="kms").sign("POST", "/", "", sent, sha256(data))
        sent["content-length"] = str(len(data))
        self.wire.send(self.wire.head("POST", "/", sent) + data)
        return self.wire.answer("POST")
