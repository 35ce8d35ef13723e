# SPDX-License-Identifier: Apache-2.0
"""The crash tests' server, clients and shim serve here, too."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "crash"))

import shim  # noqa: E402 (found by the line above)

_LINES = []


@pytest.fixture(scope="session")
def library():
    return shim.build()


@pytest.fixture
def tell():
    """Adds a line to the summary of the run."""
    return _LINES.append


def pytest_terminal_summary(terminalreporter):
    if _LINES:
        terminalreporter.section("durability tests")
        for line in _LINES:
            terminalreporter.write_line(line)
