# SPDX-License-Identifier: Apache-2.0
"""One kept connection, requests signed by hand, and a clear word on what is known afterwards."""

import http.client
import json
import ssl

from rawhttp import Answer, Signer, sha256
from strongroom import DEADLINE


class Lost(Exception):
    """The connection ended before the answer: whether the request took effect is not known."""


class Failed(Exception):
    """The server answered 5xx: it promised nothing."""

    def __init__(self, answer):
        super().__init__(f"{answer.status} {answer.code}")
        self.answer = answer


class BareClient:
    """Speaks S3 and KMS over HTTPS with one server process."""

    def __init__(self, server):
        self.host, self.port = server.address("https")
        self.credential = server.credential
        trust = ssl.create_default_context(cafile=server.ca)
        self.connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=DEADLINE, context=trust
        )

    def call(self, method, target, body=b"", headers=None, service="s3"):
        """The whole answer, or Lost."""
        path, _, query = target.partition("?")
        sent = {"host": f"{self.host}:{self.port}"} | (headers or {})
        Signer(*self.credential, service=service).sign(method, path, query, sent, sha256(body))
        try:
            self.connection.request(method, target, body, sent)
            response = self.connection.getresponse()
            text = response.read()
        except (ConnectionError, ssl.SSLError, http.client.HTTPException) as lost:
            self.connection.close()
            raise Lost(f"{method} {target}: {lost!r}") from lost
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response.reason, names, text)

    def ask(self, method, target, body=b"", headers=None, service="s3"):
        """A success, or Lost, or Failed. Anything else is a mistake of the test."""
        answer = self.call(method, target, body, headers, service)
        if answer.status >= 500 or (answer.status == 200 and b"<Error>" in answer.body[:200]):
            raise Failed(answer)
        assert answer.status < 300, (method, target, answer)
        return answer

    def kms(self, operation, **members):
        headers = {
            "content-type": "application/x-amz-json-1.1", "x-amz-target": f"TrentService.{operation}"
        }
        body = json.dumps(members).encode()
        answer = self.ask("POST", "/", body, headers, service="kms")
        return answer, json.loads(answer.body) if answer.body else {}
