# SPDX-License-Identifier: Apache-2.0
"""What the run showed about S3: `docs/s3-compatibility.md` is written from it.

Requests by hand are noted as well: `Router` finds the operation and the parameters of a method,
a target and headers in botocore's description of the service.
"""

from functools import cached_property
from urllib.parse import parse_qsl

from compat import DOCUMENTS, HERE, Document, listed

FILES = (
    "buckets", "objects", "listing", "multipart", "checksums", "presigned", "encryption_matrix",
    "sec_sse", "sec_names", "sec_multipart", "sec_chunks", "sec_limits",
)
POST_FORM = "PostObject"


class Router:
    """Which operation a request by hand is, and which of its parameters it has."""

    def __init__(self, operations):
        self.routes = []
        for one in operations:
            path, _, query = one.http["requestUri"].partition("?")
            members = one.input_shape.members if one.input_shape else {}
            needed = one.input_shape.required_members if one.input_shape else []
            by_query = {s.serialization["name"]: n for n, s in members.items()
                        if s.serialization.get("location") == "querystring"}
            by_header = {s.serialization["name"].lower(): n for n, s in members.items()
                         if s.serialization.get("location") == "header"}
            prefixes = {s.serialization["name"].lower(): n for n, s in members.items()
                        if s.serialization.get("location") == "headers"}
            literal = set(parse_qsl(query, keep_blank_values=True))
            must_query = {q for q, n in by_query.items() if n in needed}
            must_header = {h for h, n in by_header.items() if n in needed}
            depth = sum(name in path for name in ("{Bucket}", "{Key+}"))
            weight = len(literal) + len(must_query) + len(must_header)
            self.routes.append((weight, depth, one, literal, must_query, must_header,
                                by_query, by_header, prefixes))
        self.routes.sort(key=lambda route: -route[0])

    def find(self, method, target, headers):
        """(operation, parameters) or None."""
        path, _, query = target.partition("?")
        depth = 0 if path == "/" else 1 if path.strip("/").count("/") == 0 else 2
        pairs = parse_qsl(query, keep_blank_values=True)
        names = {name for name, _ in pairs}
        if method == "POST" and "multipart/form-data" in headers.get("content-type", ""):
            return POST_FORM, {}
        for _, deep, one, literal, must_query, must_header, by_query, by_header, prefixes in self.routes:
            if (one.http["method"], deep) != (method, depth) or not literal <= set(pairs):
                continue
            if not must_query <= names or not must_header <= headers.keys():
                continue
            params = {by_query[n]: v for n, v in pairs if n in by_query}
            params |= {by_header[n]: v for n, v in headers.items() if n in by_header}
            params |= {name: True for prefix, name in prefixes.items()
                       if any(n.startswith(prefix) for n in headers)}
            known = set(by_query) | {name for name, _ in literal}
            if any(name not in known and not name.lower().startswith("x-amz-") for name in names):
                return None
            return one.name, params
        return None


class S3Document(Document):
    @cached_property
    def router(self):
        return Router(self.operations())

    def by_hand(self, method, target, headers, answer):
        """A request by hand, and its answer."""
        host = headers.get("host", "")
        if not self.noting or answer is None or not host.startswith(("127.0.0.1:", "localhost:")):
            return
        found = self.router.find(method, target, headers)
        if found:
            code = None if answer.status < 300 else answer.code or str(answer.status)
            self.record(*found, code)

    def record(self, operation, params, code):
        super().record(operation, dict(flat(params)), code)

    def generated(self):
        done = [one for one in self.operations() if self.is_done(one.name)]
        lines = ["## Operations", "", "Every operation that a test used successfully:", "",
                 "| Operation | Refusals that tests provoke |", "|---|---|"]
        lines += [f"| {one.name} | {', '.join(self.errors(one.name))} |" for one in done]
        if self.is_done(POST_FORM):
            lines.append(f"| POST object (form) | {', '.join(self.errors(POST_FORM))} |")
        rest = [one.name for one in self.operations() if not self.is_done(one.name)]
        lines += ["", f"Not offered: {', '.join(rest)}.", "", "## Parameters", "",
                  "| Operation | Used successfully | Refused | Not tested |", "|---|---|---|---|"]
        values = []
        for one in done:
            states = {"yes": [], "refused": [], "not tested": []}
            for name, shape in leaves(one.input_shape):
                state = self.state(one.name, name)
                states[state].append(name)
                taken, others = self.words(one.name, name, shape)
                if state == "yes" and taken:
                    values.append(f"| {one.name} | `{name}` | {listed(taken)} | {listed(others)} |")
            lines.append(f"| {one.name} | " + " | ".join(listed(s) for s in states.values()) + " |")
        lines += ["", "## Values", "", "Of parameters that are one of some words:", "",
                  "| Operation | Parameter | Used successfully | Not, or not tested |",
                  "|---|---|---|---|", *values]
        return "\n".join(lines) + "\n"


def flat(params, stem=""):
    """Members of structures as `Outer.Inner`, of lists of structures too."""
    for name, value in params.items():
        items = value if isinstance(value, (list, tuple)) else [value]
        inner = [item for item in items if isinstance(item, dict)]
        if not inner or name in OPAQUE:
            yield stem + name, value
        for item in inner if name not in OPAQUE else ():
            yield from flat(item, f"{stem}{name}.")


def leaves(shape, stem=""):
    """(name, shape) of every member that is no structure; names as `flat` makes them."""
    for name, member in shape.members.items() if shape else ():
        inner = member.member if member.type_name == "list" else member
        if inner.type_name == "structure" and name not in OPAQUE:
            yield from leaves(inner, f"{stem}{name}.")
        else:
            yield stem + name, member


# Structures that are one thing to a reader: their members are names, numbers and a secret.
OPAQUE = {"Metadata", "CopySource"}

S3 = S3Document(
    "s3",
    lambda: {*(HERE / "s3").glob("test_*.py"), *(HERE / f"test_{name}.py" for name in FILES)},
    {
        "SignatureDoesNotMatch", "InvalidAccessKeyId", "RequestTimeTooSkewed", "InternalError",
        "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "RequestTimeout",
        "SlowDown", "ServiceUnavailable",
        # The answer to whoever loses a race: a run may meet it or not.
        "ConditionalRequestConflict",
    },
    "e2e/s3 " + " ".join(f"e2e/test_{name}.py" for name in FILES),
)
DOCUMENTS.append(S3)
