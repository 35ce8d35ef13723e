# SPDX-License-Identifier: Apache-2.0
"""File systems of their own in image files: made, mounted, shut down hard, checked, filled.

A kill leaves the page cache behind, so it cannot show a flush that is missing. Here the file
system stops instead: what had not reached its image by then is gone, as when a machine loses
power. It needs root; `why_not` says what is missing.
"""

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

MIB = 1 << 20
# mkfs.xfs makes none that is smaller.
XFS_BYTES_MIN = 300 * MIB
IMAGE_BYTES = 512 * MIB
# _IOR('X', 125, __u32), as in the kernel's fs/ext4/ext4.h, and its flags.
EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_LOG_FLUSH, EXT4_NO_LOG_FLUSH = 1, 2
CAP_SYS_ADMIN = 21
TOOLS = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
NEEDED = {
    "ext4": ("mkfs.ext4", "fsck.ext4"),
    "xfs": ("mkfs.xfs", "xfs_io", "xfs_repair"),
}


def why_not(*kinds):
    """Why such file systems cannot be mounted here; None if they can."""
    status = open("/proc/self/status").read().split("CapEff:")[1].split()[0]
    if os.geteuid() != 0 or not int(status, 16) & 1 << CAP_SYS_ADMIN:
        return "mounting a file system needs root"
    known = open("/proc/filesystems").read().split()
    for kind in kinds:
        missing = [name for name in NEEDED[kind] if shutil.which(name, path=TOOLS) is None]
        if missing:
            return f"not installed: {', '.join(missing)}"
        if kind not in known and run("modprobe", kind, check=False).returncode != 0:
            return f"the kernel does not know {kind}"
    if not os.path.exists("/dev/loop-control"):
        return "no loop devices here"
    return None


class LoopDrive:
    """A file system in an image beside its mount point. Unmounted when it is left, whatever
    happened."""

    def __init__(self, kind, path, image_bytes=IMAGE_BYTES, files=None):
        """`files`: how many an ext4 can have."""
        self.kind, self.path, self.files = kind, path, files
        self.image = path.with_name(f"{path.name}.img")
        self.image_bytes = max(image_bytes, XFS_BYTES_MIN) if kind == "xfs" else image_bytes
        self.ballast = path / "ballast"
        self.is_mounted = False

    def __enter__(self):
        self.path.mkdir(exist_ok=True)
        with self.image.open("wb") as image:
            image.truncate(self.image_bytes)
        force = ["-F"] if self.kind == "ext4" else ["-f"]
        files = ["-N", self.files] if self.files else []
        run(f"mkfs.{self.kind}", "-q", *force, *files, self.image)
        self.mount()
        return self

    def __exit__(self, *_):
        # Asked for, a file system that is shut down does not say that it is mounted.
        if self.is_mounted:
            # Gone from here at once, and for good when the last file is closed.
            run("umount", "--lazy", self.path, check=False)
        self.image.unlink(missing_ok=True)

    def mount(self):
        run("mount", "-o", "loop", "-t", self.kind, self.image, self.path)
        self.is_mounted = True
        os.chmod(self.path, 0o700)

    def unmount(self, seconds=120):
        """Waits until nobody has anything open on it: the kernel may be slow to let go."""
        end = time.monotonic() + seconds
        while True:
            done = run("umount", self.path, check=False)
            if done.returncode == 0:
                self.is_mounted = False
                return
            is_busy = "busy" in done.stderr
            assert is_busy and time.monotonic() < end, (done.stderr, open_below(self.path))
            time.sleep(0.05)

    def shut_down(self, log_flush=False):
        """No write goes to the image any more. With `log_flush`, what the file system's own journal
        has in memory goes there before."""
        if self.kind == "xfs":
            flags = ["-f"] if log_flush else []
            run("xfs_io", "-x", "-c", " ".join(["shutdown", *flags]), self.path)
            return
        folder = os.open(self.path, os.O_RDONLY)
        try:
            flag = EXT4_LOG_FLUSH if log_flush else EXT4_NO_LOG_FLUSH
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("=I", flag))
        finally:
            os.close(folder)

    def mount_again(self):
        """As after a restart of the machine: the journal is replayed. Then the file system itself
        must be whole."""
        if self.is_mounted:
            self.unmount()
        self.mount()
        self.unmount()
        check = ["fsck.ext4", "-f", "-n"] if self.kind == "ext4" else ["xfs_repair", "-n"]
        run(*check, self.image)
        self.mount()

    def fill(self, left_bytes):
        """Leaves so much room."""
        found = os.statvfs(self.path)
        taken = found.f_bavail * found.f_frsize - left_bytes
        assert taken > 0, "there is less room already"
        with self.ballast.open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, taken)

    def fill_files(self, left):
        """Leaves room for so many files."""
        self.ballast.mkdir()
        while (found := os.statvfs(self.path).f_favail) > left:
            for number in range(found - left):
                try:
                    (self.ballast / f"{found}-{number}").touch()
                except OSError as error:
                    # Others take files, too.
                    assert error.errno == errno.ENOSPC, error
                    return

    def make_room(self):
        if self.ballast.is_dir():
            shutil.rmtree(self.ballast)
        else:
            self.ballast.unlink()


def open_below(folder):
    """The files there that somebody has open: (process, name)."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            name = os.readlink(link)
        except OSError:
            continue
        if name.startswith(f"{folder}/") or name == str(folder):
            found.append((link.parts[2], name))
    return found


def run(*command, check=True):
    environment = os.environ | {"PATH": TOOLS}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, env=environment, timeout=600
    )
    assert not check or done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
    return done
