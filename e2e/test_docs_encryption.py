# SPDX-License-Identifier: Apache-2.0
"""docs/encryption.md: its commands are run as they stand, in one shell, in their order."""

import pathlib
import subprocess
import sys

from clients import bucket_name, empty_and_delete, s3 as s3_client
from strongroom import DEADLINE, clean_environment, program

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "encryption.md"
PRELUDE = """
    set -eu
    eval "$("$PROGRAM" env --data "$DIR")"
    aws() { "$PYTHON" -m awscli "$@"; }
    strongroom() { "$PROGRAM" "$@" --data "$DIR"; }
"""


def commands(page):
    """The indented blocks. `set -e` looks away from `! command`, so that gets a check."""
    lines = [line[4:] for line in page.splitlines() if line.startswith("    ")]
    return "\n".join(
        f"if {line[2:]}; then echo 'should have failed' >&2; exit 1; fi"
        if line.startswith("! ") else line for line in lines)


def run(script, server, folder):
    return subprocess.run(
        ["sh", "-c", PRELUDE + script], cwd=folder, capture_output=True, text=True, timeout=3 * DEADLINE,
        env=clean_environment() | {
            "PROGRAM": str(program()), "DIR": str(server.data), "PYTHON": sys.executable,
            "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null",
        },
    )


def test_the_commands_of_the_page(server, tmp_path):
    name = bucket_name("vault")
    script = commands(PAGE.read_text()).replace("s3://vault", f"s3://{name}").replace(
        "--bucket vault", f"--bucket {name}")
    assert script.count("aws ") > 20
    done = run(script, server, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("AES256", "aws:kms", "aws:kms:dsse"):
        assert kind in done.stdout, kind
    # Three reads that are allowed; the two that are not show nothing.
    assert done.stdout.count("the quarterly figures") == 3
    s3 = s3_client(server)
    for key, mode in (("kms.txt", "aws:kms"), ("small.txt", "aws:kms"), ("plain.txt", "aws:kms"),
                      ("twice.txt", "aws:kms:dsse"), ("by-default.txt", "aws:kms")):
        assert s3.head_object(Bucket=name, Key=key)["ServerSideEncryption"] == mode
    assert s3.head_object(Bucket=name, Key="small.txt")["BucketKeyEnabled"] is True
    empty_and_delete(s3, name)


def test_a_command_that_fails_or_should_have_is_found(server, tmp_path):
    assert run(commands("    false\n    true\n"), server, tmp_path).returncode != 0
    assert run(commands("    ! true\n    true\n"), server, tmp_path).returncode != 0
    assert run(commands("    ! false\n    true\n"), server, tmp_path).returncode == 0
