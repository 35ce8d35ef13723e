# SPDX-License-Identifier: Apache-2.0
"""The compatibility document says what this run showed. Among the last tests of a run."""

import pytest

from compat import KMS


def test_the_document_is_what_the_run_showed(request):
    reason = KMS.why_not()
    if reason:
        pytest.skip(reason)
    KMS.compare(request.config.getoption("--write-compat"))
