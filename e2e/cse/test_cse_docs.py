# SPDX-License-Identifier: Apache-2.0
"""The README's section on client-side encryption works by copy and paste."""

import pathlib
import subprocess
import sys

from clients import bucket_name, empty_and_delete, s3 as s3_client
from strongroom import DEADLINE, clean_environment, program

PAGE = pathlib.Path(__file__).parent.parent.parent / "README.md"
HEADING = "## Encrypted before it leaves your machine"
PRELUDE = """
    set -eu
    eval "$("$PROGRAM" env --data "$DIR")"
    aws() { "$PYTHON" -m awscli "$@"; }
    strongroom() { "$PROGRAM" "$@"; }
"""


def test_the_commands_of_the_readme(server, tmp_path):
    section = PAGE.read_text().split(HEADING, 1)[1].split("\n## ", 1)[0]
    script = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    assert script.count("strongroom cse") >= 8
    name = bucket_name("readme")
    done = subprocess.run(
        ["sh", "-c", PRELUDE + script.replace("s3://sealed", f"s3://{name}")],
        cwd=tmp_path, capture_output=True, text=True, timeout=3 * DEADLINE,
        env=clean_environment() | {
            "PROGRAM": str(program()), "DIR": str(server.data), "PYTHON": sys.executable, "HOME": str(tmp_path),
            "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("for nobody else") == 2
    assert '"format": "V3"' in done.stdout
    empty_and_delete(s3_client(server), name)
