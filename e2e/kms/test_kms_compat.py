# SPDX-License-Identifier: Apache-2.0
"""The compatibility document says what this run showed. Always the last test of a run."""

import pytest

import compat


def test_the_document_is_what_the_run_showed(request):
    reason = compat.why_not()
    if reason:
        pytest.skip(reason)
    wanted = compat.expected()
    if request.config.getoption("--write-compat"):
        compat.DOCUMENT.write_text(wanted)
    assert compat.DOCUMENT.read_text() == wanted, (
        "docs/kms-compatibility.md is out of date; this writes it: `cargo xtask e2e e2e/kms e2e/test_kms.py --write-compat`"
    )
