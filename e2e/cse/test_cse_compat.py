# SPDX-License-Identifier: Apache-2.0
"""The compatibility document says what this run showed. Among the last tests of a run."""

import pytest

from cse_page import PAGE


def test_the_document_is_what_the_run_showed(request):
    reason = PAGE.why_not()
    if reason:
        pytest.skip(reason)
    PAGE.compare(request.config.getoption("--write-compat"))
