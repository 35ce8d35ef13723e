# SPDX-License-Identifier: Apache-2.0
"""The judge of histories: `strongroom-sim linear`, built beside the server."""

import os
import subprocess

from strongroom import program


def judge(history, path):
    """(linearizable or not, its words)"""
    history.write(path)
    done = subprocess.run([judge_program(), "linear", str(path)], capture_output=True, text=True)
    words = done.stdout + done.stderr
    assert done.returncode == 0 or "not linearizable" in words, words
    return done.returncode == 0, words


def judge_program():
    """STRONGROOM_SIM_BIN, else beside the server."""
    found = os.environ.get("STRONGROOM_SIM_BIN", program().with_name("strongroom-sim"))
    assert os.path.exists(found), f"no judge at {found}: `cargo xtask e2e` builds it"
    return found
