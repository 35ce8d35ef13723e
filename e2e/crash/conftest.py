# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the crash tests, and what they did in numbers at the end of the run."""

import pytest

import shim

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
        terminalreporter.section("crash tests")
        for line in _LINES:
            terminalreporter.write_line(line)
