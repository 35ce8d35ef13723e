# SPDX-License-Identifier: Apache-2.0
"""`strongroom cse` as people use it: files, streams, keys, profiles, refusals."""

import base64
import json
import os
import re
import socket
import stat
import threading
from pathlib import Path

import pytest

import clients
from peers import CONTEXT, ISOLATED, Case
from strongroom import DEADLINE, REGION, clean_environment


@pytest.fixture
def key(world):
    """The flags of the AES key."""
    return ["--master-key", world.aes]


@pytest.fixture
def sealed(world, s3, key, request):
    """An object of 1,000 bytes, by name of the test, and what is stored of it."""
    name = f"cli/{abs(hash(request.node.name))}"
    world.cse("cp", "--quiet", world.file(1000), world.url(name), *key)
    found = s3.get_object(Bucket=world.bucket, Key=name)
    return name, clients.read(found), found["Metadata"]


def put(s3, world, name, body, metadata):
    s3.put_object(Bucket=world.bucket, Key=name, Body=body, Metadata=metadata)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# ---- keys ---------------------------------------------------------------------------------------


def test_keygen(world, tmp_path):
    for kind in ("aes-256", "rsa-2048"):
        path = tmp_path / kind
        done = world.cse("keygen", kind, path)
        assert mode(path) == 0o600
        before = path.read_bytes()
        secret = before.splitlines()[min(1, len(before.splitlines()) - 1)]
        assert secret not in done.stdout + done.stderr
        again = world.cse("keygen", kind, path, check=False)
        assert again.returncode == 1 and path.read_bytes() == before
    assert len(base64.b64decode((tmp_path / "aes-256").read_text())) == 32
    assert (tmp_path / "rsa-2048.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")


def test_a_public_key_encrypts_and_does_not_decrypt(world, tmp_path):
    name = "cli/public"
    public = f"{world.rsa}.pub"
    world.cse("cp", "--quiet", world.file(1000), world.url(name), "--master-key", public)
    assert world.cse("cat", world.url(name), "--master-key", world.rsa).stdout == world.file(1000).read_bytes()
    done = world.cse("cat", world.url(name), "--master-key", public, check=False)
    assert done.returncode == 1 and done.stdout == b""


@pytest.mark.parametrize("which", ["aes", "rsa", "rsa.pub"])
def test_a_key_from_a_pipe_is_read_once(world, tmp_path, which):
    """Story: the key was opened a second time, to see whether an upload could go on; its writer had gone."""
    kept = world.aes if which == "aes" else world.rsa
    given = f"{kept}.pub" if which.endswith("pub") else kept
    pipe, name = tmp_path / "pipe", f"cli/pipe-{which}"
    os.mkfifo(pipe, 0o600)
    writer = threading.Thread(target=pipe.write_bytes, args=(Path(given).read_bytes(),), daemon=True)
    writer.start()
    world.cse("cp", "--quiet", world.file(1000), world.url(name), "--master-key", pipe)
    writer.join()
    assert world.cse("cat", world.url(name), "--master-key", kept).stdout == world.file(1000).read_bytes()


def test_a_key_file_that_others_may_read_is_named(world, tmp_path, sealed):
    path = tmp_path / "k"
    path.write_bytes(world.aes.read_bytes())
    path.chmod(0o644)
    done = world.cse("cat", world.url(sealed[0]), "--master-key", path)
    assert b"can be read by others" in done.stderr


@pytest.mark.parametrize("text", [b"", b"correct horse battery staple 123", b"\x80" * 31, b"zz" * 32 + b"\n",
                                  b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_sec_n80_a_file_that_is_no_key_is_refused(world, tmp_path, sealed, text):
    path = tmp_path / "k"
    path.write_bytes(text)
    path.chmod(0o600)
    done = world.cse("cat", world.url(sealed[0]), "--master-key", path, check=False)
    assert done.returncode == 2 and done.stdout == b""
    assert not text.strip() or text.strip() not in done.stderr


def test_descriptions_choose_the_key(world, tmp_path):
    other = tmp_path / "other"
    world.cse("keygen", "aes-256", other)
    both = ["--master-key", other, "--matdesc", "kid=2", "--master-key", world.aes, "--matdesc", '{"kid":"1"}']
    one = world.url("cli/kid1")
    world.cse("cp", "--quiet", world.file(17), one, "--master-key", world.aes, "--matdesc", "kid=1")
    two = world.url("cli/kid2")
    world.cse("cp", "--quiet", world.file(16), two, *both)
    out = world.cse("cat", one, two, *both).stdout
    assert out == world.file(17).read_bytes() + world.file(16).read_bytes()
    done = world.cse("cat", one, "--master-key", world.aes, check=False)
    assert done.returncode == 1 and b'{"kid":"1"}' in done.stderr and b"--matdesc" in done.stderr
    done = world.cse("cat", one, "--master-key", other, "--matdesc", "kid=1", check=False)
    assert done.returncode == 1 and done.stdout == b""
    for wrong in (["--master-key", other, "--master-key", world.aes], ["--matdesc", "a=b"],
                  ["--master-key", other, "--kms-key", "x"], [],
                  ["--master-key", other, "--context", "a=b"]):
        assert world.cse("cat", one, *wrong, check=False).returncode == 2, wrong


# ---- copies -------------------------------------------------------------------------------------


def test_files_streams_and_folders(world, s3, key, tmp_path):
    plain = world.file(70_000)
    name = "cli/copies/a file"
    world.cse("cp", plain, world.url(name), *key, "--metadata", "Owner=me", "--content-type", "text/x-y")
    head = s3.head_object(Bucket=world.bucket, Key=name)
    assert head["ContentLength"] == 70_016 and head["Metadata"]["owner"] == "me"
    assert head["ContentType"] == "text/x-y"
    world.cse("cp", world.url(name), tmp_path, *key)
    assert (tmp_path / "a file").read_bytes() == plain.read_bytes()
    assert mode(tmp_path / "a file") == 0o600
    world.cse("cp", plain, world.url("cli/copies/"), *key)
    world.cse("cp", "-", world.url("cli/copies/stream"), *key, stdin=plain.read_bytes())
    for same in (plain.name, "stream"):
        assert world.cse("cp", world.url(f"cli/copies/{same}"), "-", *key).stdout == plain.read_bytes()
    there = tmp_path / "there"
    there.write_bytes(b"before")
    there.chmod(0o640)
    world.cse("cp", world.url(name), there, *key)
    assert there.read_bytes() == plain.read_bytes() and mode(there) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a file", "there"]


def test_sec_n80_a_file_that_is_there_keeps_its_group(world, key, sealed, tmp_path):
    """Story: `-rw-r----- ann payroll` became `-rw-r----- ann users`, and all users could read it."""
    there = tmp_path / "there"
    there.write_bytes(b"before")
    # Who may not give files away has a group of its own here, and that is kept, too.
    group = 4242 if os.geteuid() == 0 else os.getegid()
    os.chown(there, -1, group)
    there.chmod(0o640)
    world.cse("cp", "--quiet", world.url(sealed[0]), there, *key)
    assert there.read_bytes() == world.file(1000).read_bytes()
    assert (there.stat().st_gid, mode(there)) == (group, 0o640)


def test_a_long_stream_goes_up_in_parts(world, s3, key):
    plain = clients.noise(11 * clients.MIB, seed=3)
    name = "cli/stream-in-parts"
    world.cse("cp", "-", world.url(name), *key, "--part-size", "5MiB", stdin=plain)
    assert s3.head_object(Bucket=world.bucket, Key=name)["ETag"].endswith('-3"')
    assert world.cse("cat", world.url(name), *key).stdout == plain


def test_ranges_are_those_of_http(world, key, sealed):
    plain = world.file(1000).read_bytes()
    for range_, part in (("0-0", plain[:1]), ("5-20", plain[5:21]), ("990-", plain[990:]), ("-40", plain[-40:]),
                         ("-5000", plain), ("990-5000", plain[990:])):
        assert world.cse("cat", world.url(sealed[0]), "--range", range_, *key).stdout == part, range_
        assert world.cse("cat", world.url(sealed[0]), "--range", range_, *key, "--unverified",
                         "--enable-legacy-unauthenticated-modes").stdout == part, range_
    for outside in ("1000-", "1000-2000"):
        done = world.cse("cat", world.url(sealed[0]), "--range", outside, *key, check=False)
        assert done.returncode == 1 and done.stdout == b""
    for wrong in ("", "5-4", "a-b", "0-1,3-4", "-0", "bytes=0-1"):
        assert world.cse("cat", world.url(sealed[0]), "--range", wrong, *key, check=False).returncode == 2
    assert world.cse("cat", world.url(sealed[0]), "--range", "0-0", "--unverified", *key,
                     check=False).returncode == 2


def test_what_makes_no_sense_is_refused_before_anything_is_sent(world, key, tmp_path):
    file = world.file(17)
    for words in (("cp", file, file), ("cp", world.url("a"), world.url("b")), ("cp", "-", "-"),
                  ("cp", tmp_path, world.url("a")), ("cp", "-", world.url("folder/")), ("cp", "/dev/null", world.url("a")),
                  ("cp", file, "s3://"), ("cp", world.url("a"), "/dev/null"), ("cp", world.url("a/.."), tmp_path),
                  ("cp", world.url("a"), f"{tmp_path}/none/"), ("cat", "s3://bucket"), ("cat", "file"),
                  ("cp", file, world.url("a"), "--metadata", "x-amz-3=a"), ("cp", file, world.url("a"), "--part-size", "1")):
        done = world.cse(*words, *key, check=False)
        assert done.returncode == 2, (words, done)
        assert done.stderr


# ---- refusals -----------------------------------------------------------------------------------


def refused(world, name, key, tmp_path, *more):
    """Neither a file nor a byte on standard output; and what was said."""
    target = tmp_path / "target"
    done = world.cse("cp", world.url(name), target, *key, *more, check=False)
    assert done.returncode == 1, done
    assert not target.exists() and list(tmp_path.iterdir()) == []
    target.write_bytes(b"before")
    assert world.cse("cp", world.url(name), target, *key, *more, check=False).returncode == 1
    assert target.read_bytes() == b"before" and list(tmp_path.iterdir()) == [target]
    target.unlink()
    out = world.cse("cat", world.url(name), *key, *more, check=False)
    assert out.returncode == 1 and out.stdout == b""
    return done.stderr.decode()


def test_sec_n80_changed_bytes_are_never_handed_out(world, s3, key, sealed, tmp_path):
    name, body, metadata = sealed
    for at in (0, 500, 999, 1000, 1015):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
        put(s3, world, name, changed, metadata)
        assert "does not open" in refused(world, name, key, tmp_path)
    for changed in (body[:-1], body[:-16], body + b"x", body[:10], b""):
        put(s3, world, name, changed, metadata)
        refused(world, name, key, tmp_path)


def test_sec_n80_a_changed_byte_of_a_large_object(world, s3, key, tmp_path):
    """Which is fetched in ranges, and spooled by `cat`."""
    name = "cli/large"
    world.cse("cp", "--quiet", world.file(20 * clients.MIB), world.url(name), *key)
    found = s3.get_object(Bucket=world.bucket, Key=name)
    body, metadata = bytearray(clients.read(found)), found["Metadata"]
    body[3] ^= 1
    put(s3, world, name, bytes(body), metadata)
    refused(world, name, key, tmp_path)


def test_sec_n80_changed_envelopes(world, s3, key, sealed, tmp_path):
    name, body, metadata = sealed
    other = "cli/another"
    world.cse("cp", "--quiet", world.file(16), world.url(other), *key)
    theirs = s3.head_object(Bucket=world.bucket, Key=other)["Metadata"]
    flip = lambda text: base64.b64encode(bytes([base64.b64decode(text)[0] ^ 1]) + base64.b64decode(text)[1:]).decode()  # noqa: E731
    for change in (
        {"x-amz-3": theirs["x-amz-3"]}, {"x-amz-d": flip(metadata["x-amz-d"])}, {"x-amz-i": flip(metadata["x-amz-i"])},
        {"x-amz-c": "114"}, {"x-amz-w": "12"}, {"x-amz-w": "99"}, {"x-amz-key-v2": metadata["x-amz-3"]},
        {"x-amz-tag-len": "128"}, {"x-amz-iv": "AAAA"}, {"x-amz-m": "[]"}, {"x-amz-d": "AAAA"},
        {"x-amz-3": None}, {"x-amz-c": None}, {"x-amz-d": None}, {"x-amz-i": None}, {"x-amz-w": None},
    ):
        changed = {n: v for n, v in (metadata | change).items() if v is not None}
        put(s3, world, name, body, changed)
        refused(world, name, key, tmp_path)


def test_sec_n80_plaintext_is_not_taken_for_decrypted(world, s3, key, tmp_path):
    name = "cli/plain"
    put(s3, world, name, b"forged", {})
    assert "not encrypted" in refused(world, name, key, tmp_path)
    done = world.cse("inspect", world.url(name), check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["encrypted"] is False


def test_sec_n80_older_formats_need_a_word(world, key, tmp_path):
    case = Case("cli", "V2", "aes", "metadata", 17)
    world.write(case)
    said = refused(world, case.key, key, tmp_path)
    assert "require-encrypt-allow-decrypt" in said
    done = world.cse("inspect", world.url(case.key), check=False)
    assert done.returncode == 1
    verdict = json.loads(done.stdout)["verdict"]
    assert verdict["would_be_opened"] is False
    assert verdict["needs"] == ["--commitment-policy require-encrypt-allow-decrypt"]


def test_errors_say_what_is_the_matter(world, key, sealed):
    for words, code, said in (
        (("cat", world.url("cli/none")), 1, "s3://"), (("cat", "s3://no-such-bucket-here/x"), 1, "s3://"),
        (("cat", world.url(sealed[0]), "--endpoint-url", "http://127.0.0.1:1"), 1, "s3://"),
        (("cat", world.url(sealed[0]), "--ca-bundle", world.aes), 2, "certificates"),
    ):
        done = world.cse(*words, *key, check=False, env={"AWS_MAX_ATTEMPTS": "1"})
        assert (done.returncode, done.stdout) == (code, b""), done
        assert said in done.stderr.decode() and "panicked" not in done.stderr.decode()


def test_sec_n80_data_keys_do_not_travel_in_clear(world):
    """The key service answers with them in plaintext. The name leads nowhere, should it be asked after all."""
    for words in (["--kms-endpoint-url", "http://kms.invalid:1"], ["--endpoint-url", "http://kms.invalid:1"]):
        done = world.cse("cp", "--quiet", world.file(17), world.url("cli/clear"), "--kms-key", "k", *words, check=False,
                         env={"AWS_MAX_ATTEMPTS": "1"})
        assert done.returncode == 1 and b"in clear" in done.stderr, done


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sec_n80_no_proxy_is_asked_for_what_is_here(world, tmp_path, scheme):
    """Story: data keys may be asked for over HTTP on this machine, and a proxy of the environment was asked instead."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        def listen():
            while True:
                try:
                    connection, _ = proxy.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(DEADLINE)
                    asked.append(connection.recv(4096).split(b"\r\n")[0])

        threading.Thread(target=listen, daemon=True).start()
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        env = {name: url for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")}
        env |= world.server.exports(scheme) | {"AWS_MAX_ATTEMPTS": "1"}
        name, kms = f"cli/proxy-{scheme}", ["--kms-key", world.kms_key]
        world.cse("cp", "--quiet", world.file(17), world.url(name), *kms, env=env)
        assert world.cse("cat", world.url(name), *kms, env=env).stdout == world.file(17).read_bytes()
        assert asked == []
        # Others are asked by way of it. The name leads nowhere.
        done = world.cse("cat", world.url(name), *kms, "--s3-endpoint-url", f"{scheme}://s3.invalid:1", check=False, env=env)
        assert done.returncode == 1 and done.stdout == b""
        assert asked and b"s3.invalid:1" in asked[0], asked


# ---- looking ------------------------------------------------------------------------------------


def test_listings_have_the_sizes_of_plaintext(world, s3, key):
    sizes = {"a": 0, "b": 1000, "c": 17}
    for name, size in sizes.items():
        more = ["--instruction-file"] if name == "c" else []
        world.cse("cp", "--quiet", world.file(size), world.url(f"cli/ls/{name}"), *key, *more)
    s3.put_object(Bucket=world.bucket, Key="cli/ls/plain", Body=b"12345")
    s3.put_object(Bucket=world.bucket, Key="cli/ls/folder/x", Body=b"")
    out = world.cse("ls", world.url("cli/ls/")).stdout.decode()
    rows = {line.split()[-1]: line.split() for line in out.splitlines()}
    assert {name.rsplit("/", 1)[1]: row[1:3] for name, row in rows.items() if row[0] != "PRE"} == {
        "a": ["0", "V3"], "b": ["1000", "V3"], "c": ["17", "V3"], "plain": ["5", "-"]}
    assert "cli/ls/folder/" in rows
    lines = world.cse("ls", world.url("cli/ls/"), "--recursive", "--json", "--all").stdout.splitlines()
    found = {one["key"]: one for one in map(json.loads, lines)}
    assert found["cli/ls/c"]["plaintext_bytes"] == 17 and found["cli/ls/c"]["stored_bytes"] == 33
    assert found["cli/ls/plain"]["format"] is None
    assert {"cli/ls/c.instruction", "cli/ls/folder/x"} <= found.keys()


def test_sec_n80_names_command_no_terminal(world, s3):
    s3.put_object(Bucket=world.bucket, Key="cli/esc/\u001b]0;x\u0007\u009b2J", Body=b"")
    for more in ([], ["--json"]):
        out = world.cse("ls", world.url("cli/esc/"), *more).stdout.decode()
        assert all(c.isprintable() or c == "\n" for c in out) and out.count("\n") == 1, out


def test_head_and_inspect_use_no_key(world, kms, sealed):
    head = json.loads(world.cse("head", world.url(sealed[0])).stdout)
    assert (head["plaintext_bytes"], head["stored_bytes"], head["format"]) == (1000, 1016, "V3")
    assert head["metadata"] == {}
    case = Case("cli", "V3", "kms", "metadata", 17)
    world.write(case)
    said = json.loads(world.cse("inspect", world.url(case.key)).stdout)
    assert said["format"] == "V3" and said["commits_to_its_key"] is True and said["wrap_is_legacy"] is False
    assert said["encryption_context"] == CONTEXT | {"aws:x-amz-cek-alg": "115"}
    assert said["verdict"]["would_be_opened"] is True and "--kms-key" in said["verdict"]["needs_key"]
    said = json.loads(world.cse("inspect", world.url(sealed[0])).stdout)
    assert said["materials_description"] == {} and said["plaintext_bytes"] == 1000


# ---- on the way ---------------------------------------------------------------------------------


def test_signatures_cover_bodies_without_tls_or_when_told(world, key, tmp_path):
    """A policy that wants them covered tells which requests were."""
    server, name = world.server, f"cse-{abs(hash(world.bucket))}"
    out = server.command("user", "add", name).stdout
    found = dict(re.findall(r"^(AWS_[A-Z_]+)=(\S+)$", out, re.M))
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*",
         "Condition": {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}},
    ]}))
    server.command("user", "policy", name, str(policy))
    short, long = world.file(1000), world.file(6 * clients.MIB)
    http = {"AWS_ENDPOINT_URL": server.url("http")}
    for source, place, words, env, status in [
        (short, "signing/refused", [], {}, 1),
        (short, "signing/covered", ["--sign-bodies"], {}, 0),
        (short, "signing/clear", [], http, 0),
        (long, "signing/parts-refused", ["--part-size", "5MiB", "--no-resume"], {}, 1),
        (long, "signing/parts", ["--part-size", "5MiB", "--sign-bodies"], {}, 0),
    ]:
        done = world.cse("cp", "--quiet", source, world.url(place), *key, *words, env=found | env, check=False)
        assert done.returncode == status, (place, done.stderr.decode())
    assert world.cse("cat", world.url("signing/covered"), *key).stdout == short.read_bytes()
    assert world.cse("cat", world.url("signing/parts"), *key).stdout == long.read_bytes()
    server.command("user", "remove", name)


# ---- other keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["metadata", "instruction file"])
def test_rewrap_leaves_the_data(world, s3, tmp_path, storage):
    new = tmp_path / "new"
    world.cse("keygen", "aes-256", new)
    name = f"cli/rewrap-{storage[0]}"
    flags = ["--instruction-file"] if storage != "metadata" else []
    world.cse("cp", "--quiet", world.file(1000), world.url(name), "--master-key", world.aes, "--matdesc", "kid=1", *flags)
    before = clients.read(s3.get_object(Bucket=world.bucket, Key=name))
    world.cse("rewrap", world.url(name), "--master-key", world.aes, "--matdesc", "kid=1",
              "--to-master-key", new, "--to-matdesc", "kid=2")
    assert clients.read(s3.get_object(Bucket=world.bucket, Key=name)) == before
    new_key = ["--master-key", new, "--matdesc", "kid=2"]
    assert world.cse("cat", world.url(name), *new_key).stdout == world.file(1000).read_bytes()
    old = world.cse("cat", world.url(name), "--master-key", world.aes, "--matdesc", "kid=1", check=False)
    assert old.returncode == 1 and old.stdout == b""
    assert json.loads(world.cse("inspect", world.url(name)).stdout)["kept_in"] == storage
    for wrong in (["--to-master-key", world.aes], []):
        done = world.cse("rewrap", world.url(name), "--master-key", world.aes, "--matdesc", "kid=1", *wrong, check=False)
        assert done.returncode in (1, 2)
    assert world.cse("cat", world.url(name), *new_key).stdout == world.file(1000).read_bytes()


@pytest.mark.parametrize("kept", [
    {"ServerSideEncryption": "AES256"},
    {"ServerSideEncryption": "aws:kms", "StorageClass": "STANDARD_IA"},
    {"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True, "StorageClass": "ONEZONE_IA"},
    {"ServerSideEncryption": "aws:kms:dsse"},
])
def test_rewrap_keeps_class_and_encryption_at_the_store(world, s3, kms, key, tmp_path, kept):
    """A copy onto itself that says nothing of them gets what is the bucket's default, which is another one
    for each of these objects."""
    new, bucket = tmp_path / "new", clients.make_bucket(s3, "cse-kept")
    world.cse("keygen", "aes-256", new)
    usual = kms.create_key(Description="of the bucket")["KeyMetadata"]["Arn"]
    kept = dict(kept)
    if kept["ServerSideEncryption"] != "AES256":
        kept["SSEKMSKeyId"] = kms.create_key(Description="of the object")["KeyMetadata"]["Arn"]
    has_bucket_key = kept.get("BucketKeyEnabled", False)
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [{
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": usual},
        "BucketKeyEnabled": not has_bucket_key}]})
    where = {"Bucket": bucket, "Key": "k"}
    world.cse("cp", "--quiet", world.file(1000), f"s3://{bucket}/k", *key)
    s3.copy_object(CopySource=where, MetadataDirective="REPLACE", Metadata=s3.head_object(**where)["Metadata"],
                   ContentLanguage="fy", **where, **kept)
    names = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled", "StorageClass", "ContentLanguage")

    def facts():
        head = s3.head_object(**where)
        return {name: head.get(name) for name in names}, head["Metadata"]

    before, envelope = facts()
    assert {name: before[name] for name in kept} == kept
    world.cse("rewrap", f"s3://{bucket}/k", *key, "--to-master-key", new)
    after, other = facts()
    assert after == before and other != envelope
    assert world.cse("cat", f"s3://{bucket}/k", "--master-key", new).stdout == world.file(1000).read_bytes()
    clients.empty_and_delete(s3, bucket)


def test_rewrap_under_another_kms_key(world, kms):
    case = Case("cli-rewrap", "V3", "kms", "metadata", 17)
    world.write(case)
    other = kms.create_key(Description="other")["KeyMetadata"]["Arn"]
    world.cse("rewrap", world.url(case.key), *world.keys("kms"), "--to-kms-key", other)
    context = world.keys("kms")[2:]
    assert world.cse("cat", world.url(case.key), "--kms-key", other, *context).stdout == case.plain
    assert world.cse("cat", world.url(case.key), "--kms-any-key", *context).stdout == case.plain
    assert world.cse("cat", world.url(case.key), *world.keys("kms"), check=False).returncode == 1


def test_reencrypt_into_v3_and_under_another_key(world, s3, key):
    case = Case("cli-anew", "V2", "aes", "metadata", 1024)
    world.write(case)
    old = s3.get_object(Bucket=world.bucket, Key=case.key)
    old_body = clients.read(old)
    target = world.url("cli-anew/target")
    flags = ["--commitment-policy", "require-encrypt-allow-decrypt"]
    assert world.cse("reencrypt", world.url(case.key), *key, check=False).returncode == 1
    world.cse("reencrypt", world.url(case.key), target, *key, *flags, "--to-kms-key", world.kms_key, "--to-context", "a=b")
    assert world.cse("cat", target, "--kms-key", world.kms_key, "--context", "a=b").stdout == case.plain
    world.cse("reencrypt", world.url(case.key), *key, *flags)
    assert world.cse("cat", world.url(case.key), *key).stdout == case.plain
    assert clients.read(s3.get_object(Bucket=world.bucket, Key=case.key)) != old_body


# ---- where the services are ---------------------------------------------------------------------


def test_profiles_as_the_aws_cli_has_them(world, key, sealed, tmp_path):
    access, secret = world.server.credential
    (tmp_path / "config").write_text(
        f"[profile here]\nregion = {REGION}\nendpoint_url = {world.server.url()}\n"
        "[profile elsewhere]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:1\n")
    (tmp_path / "credentials").write_text(
        f"[here]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"
        "[elsewhere]\naws_access_key_id = x\naws_secret_access_key = y\n")
    bare = clean_environment() | ISOLATED | {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_MAX_ATTEMPTS": "1",
    }
    import subprocess

    from strongroom import program

    def cat(*words, **env):
        return subprocess.run([str(program()), "cse", "cat", world.url(sealed[0]), "--master-key", str(world.aes), *words],
                              env=bare | env, capture_output=True, timeout=DEADLINE)

    plain = world.file(1000).read_bytes()
    ca = ("--ca-bundle", world.server.ca)
    assert cat("--profile", "here", *ca).stdout == plain
    assert cat(AWS_PROFILE="here", AWS_CA_BUNDLE=world.server.ca).stdout == plain
    # A profile that is named goes before credentials in the environment.
    assert cat("--profile", "here", *ca, AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y").stdout == plain
    # What is said on the command line goes before the profile.
    done = cat("--profile", "elsewhere", *ca, "--endpoint-url", world.server.url(), "--region", REGION)
    assert done.returncode == 1 and b"InvalidAccessKeyId" in done.stderr
    for done in (cat("--profile", "elsewhere"), cat("--profile", "here"), cat("--profile", "nowhere", *ca), cat(*ca)):
        assert done.returncode != 0 and done.stdout == b"" and b"panicked" not in done.stderr, done


def test_the_help_teaches(world):
    assert b"keygen aes-256" in world.cse("--help").stdout
    for command in ("cp", "cat", "ls", "head", "inspect", "rewrap", "reencrypt", "keygen"):
        text = world.cse(command, "--help").stdout
        assert b"--endpoint-url" in text or command == "keygen"
