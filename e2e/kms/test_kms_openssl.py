# SPDX-License-Identifier: Apache-2.0
"""The scripts of docs/kms-with-openssl.md, run as they stand there; and what verifies in them must
refuse another message."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from strongroom import DEADLINE, clean_environment

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "kms-with-openssl.md"
SCRIPT = re.compile(r"^## (.+?)\n(?:(?!^## ).)*?^```sh\n(.*?)^```$", re.M | re.S)
SCRIPTS = SCRIPT.findall(PAGE.read_text())


def test_every_openssl_command_of_the_documents_is_run():
    text = PAGE.read_text()
    assert len(SCRIPTS) == text.count("```sh\n") == text.count("\n## ") >= 7
    outside = SCRIPT.sub("", text)
    assert not re.search(r"^\s*openssl ", outside, re.M)
    for other in DOCS.rglob("*.md"):
        if other != PAGE:
            assert not re.search(r"^[ $]*openssl \w", other.read_text(), re.M), other


@pytest.fixture
def shell(server, tmp_path):
    """Runs a script in a directory of its own, where `aws` is the AWS CLI and talks to the server."""
    programs = tmp_path / "programs"
    programs.mkdir()
    aws = programs / "aws"
    aws.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m awscli "$@"\n')
    aws.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    env = clean_environment() | server.exports() | {
        "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
    }
    env["PATH"] = f"{programs}:{env['PATH']}"

    def run(script):
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=work, env=env, capture_output=True,
            text=True, timeout=3 * DEADLINE,
        )

    run.work = work
    return run


@pytest.mark.parametrize("title,script", SCRIPTS, ids=[title for title, _ in SCRIPTS])
def test_script(shell, title, script):
    done = shell(script)
    assert done.returncode == 0, f"{title}\n{done.stdout}{done.stderr}"
    whole = script.replace("\\\n", " ")
    verifying = [line for line in whole.splitlines() if re.match(r"openssl \w+ .*-verify ", line)]
    assert verifying or "Verify" not in title
    for line in verifying:
        assert shell(line).returncode == 0
    if verifying:
        (shell.work / "message.txt").write_text("another message\n")
    for line in verifying:
        assert shell(line).returncode != 0, f"{line}: accepts another message"
    # What is compared is compared with something.
    for file in re.findall(r"cmp - (\S+)", whole):
        assert (shell.work / file).stat().st_size > 0
