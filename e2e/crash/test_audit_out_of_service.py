# SPDX-License-Identifier: Apache-2.0
"""The audit log is out of service while the tables are not. What cannot be recorded is not done."""

import errno
import json

import shim
from crash_server import CrashServer

DENY = json.dumps({"Version": "2012-10-17",
                   "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]})


def users(server):
    """Name -> access, as a server says that can record it."""
    lines = (line.split("\t") for line in server.command("user", "list").stdout.splitlines())
    return {fields[0]: fields[4] for fields in lines if len(fields) > 4}


def break_audit_log(server):
    """The one thing that this command writes is its line."""
    with server.shim.armed(shim.CHANGE, shim.FAIL, 1, errno=errno.EIO):
        failed = server.command("kms", "list", check=False)
        assert any("audit" in name for name in server.shim.seen()), server.shim.seen()
    assert failed.returncode == 1
    status, text = server.admin("/health/ready")
    assert status == 503 and "the audit log is out of service" in text, text
    return text.strip()


def test_users_are_as_before_where_nothing_can_be_recorded(library, tmp_path):
    """They were made, freed of a denial and removed, while the answer was that nothing could be recorded."""
    policy = tmp_path / "deny.json"
    policy.write_text(DENY)
    with CrashServer(library) as server:
        for name in ("held", "kept", "free"):
            server.command("user", "add", name)
        server.command("user", "policy", "held", str(policy))
        before = users(server)
        assert before == {"held": "policy", "kept": "full access", "free": "full access"}
        begun = [e for e in server.audit() if e["eventName"] == "BeginCommand"]
        assert [e["requestParameters"]["command"] for e in begun] == ["AddUser"] * 3 + [
            "SetUserPolicy"]
        why = break_audit_log(server)
        for act in (["add", "new"], ["add", "other", "--policy", str(policy)],
                    ["policy", "free", str(policy)], ["policy", "held", "--remove"],
                    ["remove", "kept"]):
            refused = server.command("user", *act, check=False)
            assert refused.returncode == 1 and not refused.stdout, act
            assert "cannot write the audit log" in refused.stderr, refused.stderr
        # All shards are there, and yet nothing is well.
        status = server.command("status", check=False)
        assert status.returncode == 1
        assert status.stdout.splitlines()[0].endswith(f"requests are refused: {why}")
        found = json.loads(server.command("status", "--json", check=False).stdout)
        assert found["out_of_service"] == why and found["full_redundancy"]
        server.start_again()
        assert users(server) == before
        assert server.command("status").stdout.splitlines()[0] == "full redundancy"
        server.command("user", "policy", "held", "--remove")
        assert users(server)["held"] == "full access"
