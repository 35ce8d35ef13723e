# SPDX-License-Identifier: Apache-2.0
"""What Amazon's S3 encryption clients write, we read; what we write, they read."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import pytest

from cse_page import PAGE
from peers import FIVE_MIB_3, FORMATS, PEERS, STORAGES, WRAPS, Case, Python, cases


@pytest.fixture(scope="module", params=PEERS, ids=lambda peer: peer.name.split()[0])
def peer(request, world):
    try:
        return request.param(world)
    except pytest.skip.Exception:
        PAGE.absent.append(request.param.name)
        raise


def written_by(peer):
    some = [case for kind in peer.writes for case in cases(peer.name, *([word] for word in kind))]
    if isinstance(peer, Python):
        some += [Case(peer.name, form, "kms", "metadata", FIVE_MIB_3, parts=True) for form in FORMATS]
    return some


@pytest.fixture(scope="module")
def ours(world):
    """One object of each kind by our command line, in one and in several parts."""
    some = cases("ours", FORMATS, WRAPS, STORAGES)
    some += [Case("ours", form, wrap, "metadata", FIVE_MIB_3, parts=True)
             for form in FORMATS for wrap in WRAPS]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(world.write, some))
    return some


def legacy(case):
    if case.format == "V1":
        return ["--enable-legacy-wrapping-algorithms", "--enable-legacy-unauthenticated-modes"]
    return []


def test_what_it_writes_we_read(world, peer):
    some = written_by(peer)
    peer.run("put", some)
    kind = lambda case: (case.wrap, case.format, case.storage)  # noqa: E731
    for _, group in groupby(sorted(some, key=kind), key=kind):
        group = list(group)
        is_old = group[0].format == "V1"
        if is_old and group[0].wrap == "kms":
            # This wrap binds no context, so whoever expects one must not take it for checked.
            flags = ["--commitment-policy", "require-encrypt-allow-decrypt", "--kms-key", world.kms_key]
            out = world.cse("cat", *(world.url(c.key) for c in group), *flags, *legacy(group[0])).stdout
            wanted = b"".join(case.plain for case in group)
            assert hashlib.sha256(out).digest() == hashlib.sha256(wanted).digest()
        else:
            world.read(group, *legacy(group[0]))
        # Without a key.
        said = json.loads(world.cse(
            "inspect", world.url(group[0].key), "--commitment-policy", "require-encrypt-allow-decrypt",
            *legacy(group[0])).stdout)
        form, storage = "V2" if group[0].wrap == "kms" and is_old else group[0].format, group[0].storage
        assert (said["format"], said["kept_in"], said["verdict"]["because"]) == (form, storage, None)
        for case in group:
            PAGE.note("in", case)


def test_what_we_write_it_reads(world, peer, ours):
    some = [case for case in ours if (case.format, case.wrap, case.storage) in peer.reads]
    found = peer.run("get", some)
    for case in some:
        assert found[case] == case.sha256, case.key
        PAGE.note("out", Case(peer.name, case.format, case.wrap, case.storage, case.size, case.parts))


def test_what_we_write_we_read(world, ours):
    for wrap in WRAPS:
        world.read([case for case in ours if case.wrap == wrap])


def test_a_hundred_mebibytes(world):
    """Once, in parts, each way through the client that does parts as well."""
    size = 100 << 20
    mine, theirs = (Case(who, "V3", "kms", "metadata", size, parts=True) for who in ("ours", Python.name))
    world.write(mine)
    back = world.folder / "back"
    world.cse("cp", "--quiet", world.url(mine.key), back, *world.keys("kms"))
    assert hashlib.sha256(back.read_bytes()).hexdigest() == mine.sha256
    back.unlink()
    peer = Python(world)
    assert peer.run("get", [mine])[mine] == mine.sha256
    peer.run("put", [theirs])
    world.read([theirs])
    for direction in ("in", "out"):
        PAGE.note(direction, theirs)


@pytest.mark.parametrize("form", FORMATS)
def test_sec_n80_another_context_is_refused_by_both(world, form):
    """What we wrote under a context, neither opens under another; and the other way round."""
    peer, case = Python(world), Case(Python.name, form, "kms", "metadata", 17)
    mine = Case("ours", form, "kms", "metadata", 17)
    peer.run("put", [case])
    world.write(mine)
    for one in (case, mine):
        for context in ([], ["purpose=interop"], ["purpose=interop", "n=2"], ["purpose=interop", "n=1", "x="]):
            flags = [word for pair in context for word in ("--context", pair)]
            done = world.cse("cat", world.url(one.key), "--kms-key", world.kms_key, *flags,
                             "--commitment-policy", "require-encrypt-allow-decrypt", check=False)
            assert done.returncode == 1 and done.stdout == b"", done
            assert b"context" in done.stderr
    with pytest.raises(Exception, match="(?i)context"):
        peer.clients[form].get_object(Bucket=world.bucket, Key=mine.key, EncryptionContext={"purpose": "x"})
