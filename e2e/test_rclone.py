# SPDX-License-Identifier: Apache-2.0
"""rclone as Debian ships it, over HTTPS and HTTP."""

import shutil
import subprocess

import pytest

from clients import MIB, noise, read_tree, write_tree
from strongroom import DEADLINE, REGION, clean_environment

TREE = {
    "a.txt": b"alpha", "dir/b.bin": noise(300_000, 1), "dir/empty": b"", "dir/sub/deep/c": b"c",
    "odd name +%&.txt": b"odd", "dir/\u00e4\u00f6.txt": b"umlaut", "large.bin": noise(17 * MIB, 2),
} | {f"many/{n:03}": str(n).encode() for n in range(60)}


@pytest.fixture(params=["https", "http"])
def rclone(server, request, tmp_path):
    assert shutil.which("rclone"), "rclone is missing: `cargo xtask e2e` installs it"
    access_key, secret = server.credential
    config = tmp_path / "rclone.conf"
    config.write_text(f"""[room]
type = s3
provider = Other
access_key_id = {access_key}
secret_access_key = {secret}
endpoint = {server.url(request.param)}
region = {REGION}
upload_cutoff = 8M
chunk_size = 8M
""")

    def run(*args, check=True):
        trust = ["--ca-cert", server.ca] if request.param == "https" else []
        done = subprocess.run(
            ["rclone", "--config", str(config), "--retries", "1", *trust, *map(str, args)],
            env=clean_environment(), capture_output=True, text=True, timeout=2 * DEADLINE,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_copy_check_sync(rclone, bucket, tmp_path):
    write_tree(tmp_path / "up", TREE)
    there = f"room:{bucket}/t"
    rclone("copy", tmp_path / "up", there)
    assert "0 differences found" in rclone("check", tmp_path / "up", there)
    assert "0 differences found" in rclone("check", "--download", tmp_path / "up", there)
    rclone("copy", there, tmp_path / "down")
    assert read_tree(tmp_path / "down") == TREE
    listed = rclone("lsf", "-R", "--files-only", there).splitlines()
    assert sorted(listed) == sorted(TREE)

    (tmp_path / "up/a.txt").write_bytes(b"changed")
    (tmp_path / "up/dir/empty").unlink()
    (tmp_path / "up/new").write_bytes(b"new")
    rclone("sync", tmp_path / "up", there)
    assert "0 differences found" in rclone("check", tmp_path / "up", there)
    rclone("sync", there, tmp_path / "down")
    assert read_tree(tmp_path / "down") == read_tree(tmp_path / "up")
    assert "Transferred:   \t          0 B" in rclone("sync", "-v", tmp_path / "up", there) \
        or "There was nothing to transfer" in rclone("sync", "-v", tmp_path / "up", there)


def test_server_side_copy_move_and_purge(rclone, bucket, tmp_path):
    write_tree(tmp_path / "up", {"a": b"1", "b/c": noise(200_000, 3)})
    rclone("copy", tmp_path / "up", f"room:{bucket}/x")
    rclone("copy", f"room:{bucket}/x", f"room:{bucket}/y")
    rclone("move", f"room:{bucket}/y", f"room:{bucket}/z")
    rclone("copy", f"room:{bucket}/z", tmp_path / "down")
    assert read_tree(tmp_path / "down") == read_tree(tmp_path / "up")
    assert rclone("cat", f"room:{bucket}/z/a") == "1"
    rclone("delete", f"room:{bucket}")
    assert rclone("lsf", "-R", "--files-only", f"room:{bucket}") == ""
