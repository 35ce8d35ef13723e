# SPDX-License-Identifier: Apache-2.0
"""What the run showed about an API: its compatibility document is written from that.

Every call of boto3 and every call by hand is noted: operation, parameters, values of those that
are words, and the answer. A parameter counts as supported when a call with it succeeded; nobody
writes that into a document by hand. The last tests of the run compare the documents with what
was seen; `--write-compat` writes them instead.
"""

import difflib
from collections import defaultdict
from pathlib import Path

import botocore.session
import compat_answers
import pytest
from botocore.model import ListShape, StringShape

HERE = Path(__file__).parent
BEGIN, END = "<!-- generated: begin -->\n", "<!-- generated: end -->\n"
DRY = "DryRunOperationException"


class Document:
    """One API, the tests that speak of it, and the page about it."""

    def __init__(self, service, files, own_words, write_with):
        self.service = service
        self.path = HERE.parent / f"docs/{service}-compatibility.md"
        self.files = files
        # Words that only a signature or a transport knows, and that any operation may answer.
        self.own_words = own_words
        self.write_with = write_with
        self.seen = defaultdict(set)
        self.noting = False
        self.whole = True

    def is_about(self, item):
        """Other tests may come and go without a change of the document."""
        return item.path in self.files()

    def watch(self, client):
        """Notes what this boto3 client calls."""
        def before(params, context, **_):
            context["strongroom-asked"] = dict(params)

        def after(parsed, model, context, **_):
            code = parsed.get("Error", {}).get("Code")
            self.record(model.name, context["strongroom-asked"], code)
            if code is None:
                self.answered(model, parsed)

        client.meta.events.register(f"before-parameter-build.{self.service}", before)
        client.meta.events.register(f"after-call.{self.service}", after)
        return client

    def record(self, operation, params, code):
        """One call; `code` is None if it succeeded."""
        if not self.noting:
            return
        done = code is None or (code == DRY and params.get("DryRun") is True)
        seen = self.seen[operation]
        if code is not None:
            seen.add(("error", code))
        if done:
            seen.add(("done",))
        for name, value in params.items():
            if value is None or (name == "DryRun" and value is not True):
                continue
            seen.add(("param", name, done))
            for word in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(word, str):
                    seen.add(("word", name, word, done))

    def answered(self, model, answer):
        """One answer that succeeded, as boto3 read it."""

    def model(self):
        return botocore.session.get_session().get_service_model(self.service)

    def operations(self):
        model = self.model()
        return [model.operation_model(name) for name in sorted(model.operation_names)]

    def is_done(self, operation):
        return ("done",) in self.seen[operation]

    def errors(self, operation):
        """Refusals that tests provoked; HEAD has no codes, only numbers."""
        return sorted({
            e[1].removesuffix("Exception") for e in self.seen[operation]
            if e[0] == "error" and e[1] not in self.own_words and not e[1].isdigit()
        })

    def state(self, operation, name):
        seen = self.seen[operation]
        if ("param", name, True) in seen:
            return "yes"
        return "refused" if ("param", name, False) in seen else "not tested"

    def words(self, operation, name, shape):
        """(values that succeeded, the other values) of a parameter that is one of some words."""
        if isinstance(shape, ListShape):
            shape = shape.member
        words = shape.enum if isinstance(shape, StringShape) else []
        taken = [word for word in words if ("word", name, word, True) in self.seen[operation]]
        return taken, [word for word in words if word not in taken]

    def expected(self):
        """The whole document as this run would have it."""
        head, rest = self.path.read_text().split(BEGIN, 1)
        _, tail = rest.split(END, 1)
        return head + BEGIN + "\n" + self.generated() + "\n" + END + tail

    def why_not(self):
        """Why this run says nothing about the document; None if it does."""
        if not self.whole:
            return f"only a part of the tests of {self.service} ran"
        return "other tests failed" if _Run.failed else None

    def compare(self, write):
        wanted = self.expected()
        if write:
            self.path.write_text(wanted)
        there = self.path.read_text()
        if there != wanted:
            changed = difflib.unified_diff(there.splitlines(), wanted.splitlines(), "the page",
                                           "this run", n=0, lineterm="")
            pytest.fail(
                f"docs/{self.path.name} does not say what this run showed. This writes it:\n\n"
                f"    cargo xtask e2e {self.write_with} --write-compat\n\n" + "\n".join(changed),
                pytrace=False,
            )


class KmsDocument(Document):
    def answered(self, model, answer):
        if self.noting:
            compat_answers.note(model, answer)

    def generated(self):
        lines = ["## Operations", "", "| Operation | Status | Refusals that tests provoke |",
                 "|---|---|---|"]
        for one in self.operations():
            status = "yes" if self.is_done(one.name) else "no"
            lines.append(f"| {one.name} | {status} | {', '.join(self.errors(one.name))} |")
        lines += ["", "## Parameters", "", "| Operation | Parameter | Status | Values |",
                  "|---|---|---|---|"]
        for one in self.operations():
            members = one.input_shape.members if one.input_shape else {}
            for name, shape in members.items() if self.is_done(one.name) else ():
                status = self.state(one.name, name)
                taken, rest = self.words(one.name, name, shape)
                note = listed(taken) + (f"; not {listed(rest)}" if rest else "")
                lines.append(f"| {one.name} | `{name}` | {status} | "
                             f"{note if taken and status == 'yes' else ''} |")
        lines += ["", "## Answers", "",
                  "Members of the service's model that no answer had; all others were there.", "",
                  "| Operation or structure | Member | Why |", "|---|---|---|"]
        for (owner, name), why in compat_answers.missing(self.operations()).items():
            lines.append(f"| {owner} | `{name}` | {why} |")
        return "\n".join(lines) + "\n"


def listed(names):
    return ", ".join(f"`{name}`" for name in names)


KMS = KmsDocument(
    "kms", lambda: {*(HERE / "kms").glob("test_*.py"), HERE / "test_kms.py"},
    {
        "MissingAuthenticationTokenException", "UnrecognizedClientException",
        "InvalidSignatureException", "IncompleteSignature", "ThrottlingException",
        "SerializationException", "RequestEntityTooLargeException", DRY,
    },
    "e2e/kms e2e/test_kms.py",
)
DOCUMENTS = [KMS]


# ---- plugin -------------------------------------------------------------------------------------


class _Run:
    failed = 0


def pytest_addoption(parser):
    parser.addoption(
        "--write-compat", action="store_true",
        help="write the compatibility documents from what this run shows",
    )
    parser.addoption(
        "--share", choices=["s3", "rest"],
        help="only the tests that docs/s3-compatibility.md is written from, or only the others",
    )


def pytest_deselected(items):
    for document in DOCUMENTS:
        if any(document.is_about(item) for item in items):
            document.whole = False


def pytest_collection_modifyitems(config, items):
    """The comparisons come last, and only after all tests of their API."""
    share = config.getoption("--share")
    if share:
        s3 = next(one for one in DOCUMENTS if one.service == "s3")
        others = [item for item in items if (share == "s3") != s3.is_about(item)]
        items[:] = [item for item in items if item not in set(others)]
        config.hook.pytest_deselected(items=others)
    last = [item for item in items if item.path.name.endswith("_compat.py")]
    rest = [item for item in items if item not in last]
    items[:] = rest + last
    there = {item.path for item in items}
    for document in DOCUMENTS:
        if not document.files() <= there:
            document.whole = False


def pytest_runtest_setup(item):
    for document in DOCUMENTS:
        document.noting = document.is_about(item)


def pytest_runtest_logreport(report):
    if report.failed:
        _Run.failed += 1
