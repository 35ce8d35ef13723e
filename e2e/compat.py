# SPDX-License-Identifier: Apache-2.0
"""What the run showed about the key service: `docs/kms-compatibility.md` is written from it.

Every call of boto3 and every call by hand is noted: operation, parameters, values of those that
are words, and the answer. A parameter counts as supported when a call with it succeeded; nobody
writes that into the document by hand. The last test of the run compares the document with what
was seen; `--write-compat` writes it instead.
"""

from collections import defaultdict
from pathlib import Path

import botocore.session
from botocore.model import ListShape, StringShape

DOCUMENT = Path(__file__).parent.parent / "docs/kms-compatibility.md"
BEGIN, END = "<!-- generated: begin -->\n", "<!-- generated: end -->\n"
DRY = "DryRunOperationException"
OWN_WORDS = {
    # Words that only a signature or a transport knows, and that any operation may answer.
    "MissingAuthenticationTokenException", "UnrecognizedClientException", "InvalidSignatureException",
    "IncompleteSignature", "ThrottlingException", "SerializationException",
    "RequestEntityTooLargeException",
}

_SEEN = defaultdict(set)


def watch(client):
    """Notes what this boto3 client calls."""
    def before(params, context, **_):
        context["strongroom-asked"] = dict(params)

    def after(parsed, model, context, **_):
        record(model.name, context["strongroom-asked"], parsed.get("Error", {}).get("Code"))

    client.meta.events.register("before-parameter-build.kms", before)
    client.meta.events.register("after-call.kms", after)
    return client


def record(operation, params, code):
    """One call; `code` is None if it succeeded."""
    if not _Run.noting:
        return
    done = code is None or (code == DRY and params.get("DryRun") is True)
    if code is not None:
        _SEEN[operation].add(("error", code))
    if done:
        _SEEN[operation].add(("done",))
    for name, value in params.items():
        if value is None or (name == "DryRun" and value is not True):
            continue
        _SEEN[operation].add(("param", name, done))
        for word in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(word, str):
                _SEEN[operation].add(("word", name, word, done))


def generated():
    """The generated part of the document."""
    model = botocore.session.get_session().get_service_model("kms")
    operations = [model.operation_model(name) for name in sorted(model.operation_names)]
    lines = ["## Operations", "", "| Operation | Status | Refusals that tests provoke |", "|---|---|---|"]
    for one in operations:
        seen = _SEEN[one.name]
        errors = sorted({e[1].removesuffix("Exception") for e in seen if e[0] == "error"
                         and e[1] not in OWN_WORDS and e[1] != "DryRunOperationException"})
        status = "yes" if ("done",) in seen else "no"
        lines.append(f"| {one.name} | {status} | {', '.join(errors)} |")
    lines += ["", "## Parameters", "", "| Operation | Parameter | Status | Values |", "|---|---|---|---|"]
    for one in operations:
        members = one.input_shape.members if one.input_shape else {}
        if ("done",) not in _SEEN[one.name]:
            members = {}
        for name, shape in members.items():
            status, values = parameter(one.name, name, shape)
            lines.append(f"| {one.name} | `{name}` | {status} | {values} |")
    return "\n".join(lines) + "\n"


def parameter(operation, name, shape):
    seen = _SEEN[operation]
    done = ("param", name, True) in seen
    status = "yes" if done else "refused" if ("param", name, False) in seen else "not tested"
    if isinstance(shape, ListShape):
        shape = shape.member
    words = shape.enum if isinstance(shape, StringShape) else []
    taken = [word for word in words if ("word", name, word, True) in seen]
    rest = [word for word in words if word not in taken]
    if not done or not words:
        return status, ""
    note = ", ".join(f"`{word}`" for word in taken)
    return status, note + (f"; not {', '.join(f'`{word}`' for word in rest)}" if rest else "")


def expected():
    """The whole document as this run would have it."""
    text = DOCUMENT.read_text()
    head, rest = text.split(BEGIN, 1)
    _, tail = rest.split(END, 1)
    return head + BEGIN + "\n" + generated() + "\n" + END + tail


# ---- plugin -------------------------------------------------------------------------------------


class _Run:
    whole = True
    failed = 0
    noting = False


def pytest_addoption(parser):
    parser.addoption(
        "--write-compat", action="store_true",
        help="write docs/kms-compatibility.md from what this run shows",
    )


def pytest_deselected(items):
    if any(is_about_kms(item) for item in items):
        _Run.whole = False


def pytest_collection_modifyitems(items):
    """The comparison comes last, and only after all tests of the key service."""
    last = [item for item in items if item.path.name == "test_kms_compat.py"]
    rest = [item for item in items if item not in last]
    items[:] = rest + last
    folder = Path(__file__).parent
    wanted = set((folder / "kms").glob("test_*.py")) | {folder / "test_kms.py"}
    if not wanted <= {item.path for item in items}:
        _Run.whole = False


def pytest_runtest_setup(item):
    """Other tests may come and go without a change of the document."""
    _Run.noting = is_about_kms(item)


def pytest_runtest_logreport(report):
    if report.failed:
        _Run.failed += 1


def is_about_kms(item):
    return item.path.parent.name == "kms" or item.path.name == "test_kms.py"


def why_not():
    """Why this run says nothing about the document; None if it does."""
    if not _Run.whole:
        return "only a part of the tests of the key service ran"
    return "other tests failed" if _Run.failed else None
