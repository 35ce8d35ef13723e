# SPDX-License-Identifier: Apache-2.0
"""A negative test cannot be dropped silently: neither by deletion nor by a rename."""

import ast
from pathlib import Path

import pytest

# Raise these with the tests; lowering one needs a reason in the commit message.
FUNCTIONS = 335
CASES = 2266


def functions():
    found = []
    here = Path(__file__).parent
    for path in sorted([*here.glob("test_*.py"), *here.glob("kms/test_*.py"), *here.glob("s3/test_*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_sec_"):
                found.append((path.name, node.name))
    return found


def test_negative_tests_are_all_there():
    assert len(functions()) >= FUNCTIONS


def test_negative_cases_are_all_there(request):
    if not {f for f, _ in functions()} <= {item.path.name for item in request.session.items}:
        pytest.skip("only some files were collected")
    cases = [item for item in request.session.items if item.name.startswith("test_sec_")]
    assert len(cases) >= CASES


def test_negative_tests_have_names_of_their_own():
    """A second function of a name would hide the first."""
    names = functions()
    assert len(names) == len(set(names))
