# SPDX-License-Identifier: Apache-2.0
"""The compatibility document says what this run showed. Among the last tests of a run."""

import pytest

import compat_answers
from compat import KMS


def test_every_member_of_the_model_is_answered():
    """But for those that this server never has, and says why."""
    reason = KMS.why_not()
    if reason:
        pytest.skip(reason)
    missing = compat_answers.missing(KMS.operations())
    assert [where for where, why in missing.items() if not why] == []


def test_the_document_is_what_the_run_showed(request):
    reason = KMS.why_not()
    if reason:
        pytest.skip(reason)
    KMS.compare(request.config.getoption("--write-compat"))
