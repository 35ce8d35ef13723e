# SPDX-License-Identifier: Apache-2.0
"""Three facilities on six file systems of their own, ext4 and XFS: those of one facility are shut
down under load, all of them at once, some are full."""

import contextlib
import signal

import pytest

from cluster import FACILITIES, Cluster, until
from load import Load
from loop_drive import MIB, LoopDrive, why_not

WHY_NOT = why_not("ext4", "xfs")
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

# The first drive of each facility has a copy of the tables.
KINDS = {"a1": "xfs", "a2": "ext4", "b1": "ext4", "b2": "xfs", "c1": "ext4", "c2": "xfs"}


class LoopCluster(Cluster):
    """Some of the six folders are file systems."""

    def __init__(self, library, options):
        """`options`: of each drive that is one."""
        super().__init__(library)
        self.loops = {name: LoopDrive(KINDS[name], self.base / name, **more)
                      for name, more in options.items()}
        self.mounted = contextlib.ExitStack()

    def __enter__(self):
        try:
            for drive in self.loops.values():
                self.mounted.enter_context(drive)
            return super().__enter__()
        except BaseException:
            self.remove()
            raise

    def remove(self):
        self.kill()
        self.mounted.close()
        super().remove()

    def shut_down(self, names):
        """Between two system calls: see `cut_power` in test_power_loss.py."""
        self.freeze()
        for at, name in enumerate(names):
            self.loops[name].shut_down(log_flush=at % 2 == 1)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def drive(self, name):
        """What status says of a drive."""
        drives = self.status()["drives"]
        return next(drive for drive in drives if drive["place"].rsplit("/", 1)[-1] == name)


def test_dur_d2_d8_file_systems_of_a_facility_and_of_all_are_shut_down(library, tell):
    with LoopCluster(library, dict.fromkeys(KINDS, {})) as server:
        with Load(server) as load:
            load.work(6)
            load.may_refuse = True
            server.shut_down(FACILITIES["a"])
            server.go_on()
            load.work(4)
            for name in FACILITIES["a"]:
                gone = lambda: server.drive(name)["state"] in ("missing", "out-of-service")
                until(gone, f"a word about {name}")
            load.rest()
            # Now that it is known, nothing is refused over the other two facilities.
            load.may_refuse, refused = False, load.refused()
            load.work(8)
            load.rest()
            status = server.status()
            assert not status["full_redundancy"] and status["owed"], status
            load.read_all()
            how = bring_back(server, FACILITIES["a"])
            load.is_cut = True
        load.check()
        server.until_full()
        kept = load.read_all()
        later = Load(server, bucket="later")
        with later:
            later.work(6)
            server.shut_down(KINDS)
            later.is_cut = True
            server.kill()
        later.check()
        for drive in server.loops.values():
            drive.mount_again()
        server.start()
        server.until_full()
        kept += later.read_all()
        assert load.read_all()
        done = server.command("verify", "--quiet", check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: not server.unfinished(), "the end of what was half written")
        server.stop()
    tell(f"file systems of a facility, then of all, shut down: {kept} objects kept, {refused} "
         f"requests refused before it was known; {how}")


def bring_back(server, names):
    """Mounts them again under the server; returns what it took. A drive that failed a flush stays
    away until a restart, and says so. One whose log or audit log the server has still open cannot be
    unmounted before."""
    busy, waiting = [], []
    for name in names:
        try:
            server.loops[name].unmount(seconds=5)
        except AssertionError:
            busy.append(name)
    if busy:
        server.kill()
    for name in names:
        server.loops[name].mount_again()
    if busy:
        server.start()
        return f"restarted for {busy} to be unmounted"
    for name in names:
        answers = []

        def is_told():
            answers[:] = [server.drive(name)]
            waits = "after a restart" in (answers[0]["note"] or "")
            return waits or answers[0]["state"] == "online"

        until(is_told, f"the return of {name}", lambda: answers)
        if answers[0]["state"] != "online":
            waiting.append(name)
    if waiting:
        server.kill()
        server.start()
        return f"restarted for {waiting}, which had failed a flush"
    return "no restart"


def test_dur_d5_full_drives_of_a_cluster_stop_nobody_else(library, tell):
    """One has no bytes left, one of another facility no files."""
    options = {"a2": {"image_bytes": 64 * MIB, "files": 2048}, "b2": {}}
    with LoopCluster(library, options) as server, Load(server) as load:
        load.work(4)
        # Whoever is in the middle of a body when both are filled may be refused.
        load.may_refuse = True
        server.loops["a2"].fill_files(4)
        server.loops["b2"].fill(MIB)
        load.work(2)
        for name in options:
            until(lambda: server.drive(name)["full"], f"a word that {name} is full")
        load.rest()
        load.may_refuse = False
        load.work(10)
        load.rest()
        assert all(server.drive(name)["state"] == "online" for name in options)
        load.read_all()
        for drive in server.loops.values():
            drive.make_room()
        for name in options:
            until(lambda: not server.drive(name)["full"], f"a word that {name} has room")
        load.work(4)
        load.rest()
        server.until_full()
        shards = [len(list((server.base / name).glob("blobs/*/*"))) for name in options]
        kept = load.read_all()
        server.kill()
        server.start()
        server.until_full()
        assert load.read_all() == kept
        tell(f"two of six drives full: {kept} objects kept, {load.refused()} refused, "
             f"{shards} shards on them at the end")
