# SPDX-License-Identifier: Apache-2.0
"""A third SDK: the AWS SDK for JavaScript, where Node.js is there."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from strongroom import DEADLINE, clean_environment

HERE = Path(__file__).parent / "js"


@pytest.fixture(scope="module")
def node():
    for name in ("node", "npm"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed: the AWS SDK for JavaScript is not tested here")
    lock, stamp = HERE / "package-lock.json", HERE / "node_modules/.installed-lock.json"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
            cwd=HERE, check=True, timeout=180,
        )
        stamp.write_text(lock.read_text())
    return shutil.which("node")


@pytest.mark.sse_c
def test_put_and_get_in_three_modes(server, kms_key, bucket, node):
    done = subprocess.run(
        [node, "roundtrip.mjs", bucket, kms_key["arn"]], cwd=HERE, timeout=2 * DEADLINE,
        env=clean_environment() | server.env(), capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["objects"] == 16
    assert answer["told"] == {
        "s3": ["AES256", None, None], "kms": ["aws:kms", kms_key["arn"], None],
        "c": [None, None, "AES256"], "absent": "NoSuchKey",
    }
