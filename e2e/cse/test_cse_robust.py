# SPDX-License-Identifier: Apache-2.0
"""What other writers and networks do to the command line: writes that are cut off or meet, services that never answer, addresses
that are none."""

import json
import socket
import subprocess
import threading
import time

import pytest

import clients
from strongroom import DEADLINE, REGION, program

ANY = ["--commitment-policy", "require-encrypt-allow-decrypt"]
OLD = ["--commitment-policy", "forbid-encrypt-allow-decrypt"]


class Relay:
    """Passes bytes on to the server's plain HTTP until `cut` says of the head of a request that nothing comes through any more."""

    def __init__(self, world):
        self.env = dict(world.server.exports("http"))
        host, port = self.env["AWS_ENDPOINT_URL"].removeprefix("http://").split(":")
        self.to, self.cut, self.is_dark, self.heads = (host, int(port)), lambda head: False, False, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.env["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.env["AWS_MAX_ATTEMPTS"] = "1"
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.is_dark:
                near.close()
                continue
            far = socket.create_connection(self.to)
            threading.Thread(target=self.pump, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, False), daemon=True).start()

    def pump(self, source, target, is_request):
        try:
            while data := source.recv(1 << 16):
                if is_request and data.split(b" ")[0] in (b"GET", b"HEAD", b"PUT", b"POST", b"DELETE"):
                    head = data.split(b"\r\n")[0].decode()
                    self.heads.append(head)
                    self.is_dark = self.is_dark or self.cut(head)
                if self.is_dark:
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.fixture
def relay(world):
    relay = Relay(world)
    yield relay
    relay.listener.close()


@pytest.fixture
def other_key(world, tmp_path):
    path = tmp_path / "other.key"
    world.cse("keygen", "aes-256", path)
    return path


def readable(world, url, *keys):
    """The content under the first of the keys that opens it."""
    for key in keys:
        done = world.cse("cat", url, "--master-key", key, *ANY, check=False)
        if done.returncode == 0:
            return done.stdout
    return None


@pytest.mark.parametrize("policy", [[], OLD], ids=["V3", "V2"])
@pytest.mark.parametrize("words", ["reencrypt", "cp"])
def test_a_rewrite_that_is_cut_off_anywhere_leaves_an_object(world, s3, relay, other_key, words, policy):
    url = world.url(f"robust/{words}-{len(policy)}")
    old, new = world.file(300), world.file(301) if words == "cp" else world.file(300)
    for step in range(40):
        world.cse("cp", "-q", old, url, "--master-key", world.aes, "--instruction-file", *policy)
        relay.heads, relay.is_dark = [], False
        relay.cut = lambda head: len(relay.heads) > step
        if words == "cp":
            command = ["cp", "-q", new, url, "--master-key", other_key]
        else:
            command = ["reencrypt", "-q", url, "--master-key", world.aes, "--to-master-key", other_key, *ANY]
        done = world.cse(*command, "--instruction-file", check=False, env=relay.env)
        found = readable(world, url, world.aes, other_key)
        assert found in (old.read_bytes(), new.read_bytes()), (step, relay.heads, done.stderr)
        if done.returncode == 0:
            break
    assert done.returncode == 0 and step > 4, (step, done.stderr)
    kept = json.loads(world.cse("inspect", url).stdout)["kept_in"]
    assert kept == "instruction file"


def test_writers_that_meet_leave_an_object(world, tmp_path):
    url = world.url("robust/race")
    sources = []
    for writer in range(5):
        path = tmp_path / str(writer)
        path.write_bytes(bytes([65 + writer]) * (1000 + writer))
        sources.append(path)
    for turn in range(6):
        writers = []
        for writer, path in enumerate(sources):
            more = OLD if (writer + turn) % 2 else []
            more = more + ([] if writer == 4 and turn % 3 == 0 else ["--instruction-file"])
            writers.append(subprocess.Popen(
                [str(program()), "cse", "cp", "-q", str(path), url, "--master-key", str(world.aes), *more],
                env=world.environment, stderr=subprocess.PIPE))
        said = [writer.communicate(timeout=DEADLINE)[1] for writer in writers]
        # That all of them met somebody is possible, and said.
        assert all(writer.returncode == 0 or b"meanwhile" in words for writer, words in zip(writers, said)), said
        assert readable(world, url, world.aes) in [path.read_bytes() for path in sources], (turn, said)


@pytest.mark.parametrize("storage", [[], ["--instruction-file"]], ids=["metadata", "file"])
def test_what_the_store_knows_of_an_object_stays(world, s3, other_key, storage):
    name = f"robust/kept-{len(storage)}"
    url, at = world.url(name), {"Bucket": world.bucket, "Key": name}
    world.cse("cp", "-q", world.file(50), url, "--master-key", world.aes, *storage)
    s3.copy_object(**at, CopySource=at, MetadataDirective="REPLACE", Metadata=s3.head_object(**at)["Metadata"],
                   StorageClass="STANDARD_IA", WebsiteRedirectLocation="/other", CacheControl="no-cache",
                   Expires="Thu, 01 Jan 2037 00:00:00 GMT")

    def known():
        found = s3.head_object(**at)
        names = ("StorageClass", "WebsiteRedirectLocation", "CacheControl", "ExpiresString", "ServerSideEncryption")
        return {name: found.get(name) for name in names}

    before = known()
    assert before["WebsiteRedirectLocation"] == "/other" and before["ExpiresString"]
    world.cse("rewrap", url, "--master-key", world.aes, "--to-master-key", other_key)
    assert known() == before
    world.cse("reencrypt", "-q", url, "--master-key", other_key, *storage)
    assert known() == before
    assert readable(world, url, other_key) == world.file(50).read_bytes()


def test_who_never_answers_is_given_up(world):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        world.cse("cp", "-q", world.file(17), world.url("robust/kms"), "--kms-key", world.kms_key)
        for words in (["cp", "-q", world.file(17), world.url("robust/s"), "--master-key", world.aes, "--endpoint-url", url],
                      ["cat", world.url("robust/s"), "--master-key", world.aes, "--endpoint-url", url],
                      ["ls", world.url(""), "--endpoint-url", url],
                      ["cat", world.url("robust/kms"), "--kms-key", world.kms_key, "--kms-endpoint-url", url]):
            begun = time.monotonic()
            done = world.cse(*words, "--read-timeout", "1", check=False, env={"AWS_MAX_ATTEMPTS": "1"})
            assert done.returncode == 1 and b"no answer in time" in done.stderr, (words, done.stderr)
            assert time.monotonic() - begun < DEADLINE


NO_ADDRESSES = ["127.0.0.1:9000", "https//kms.example.com", "kms.example.com", "localhost:9000", "/x", "ht tp://x", "https://a b",
                " https://127.0.0.1:1", "https://127.0.0.1:1 ", "https://127.0.0.1:1\n", "https://127.0.0.1:99999", "http://[::1",
                "ftp://127.0.0.1:1", "https:///", "https://user:passed@127.0.0.1:1"]


def test_sec_an_address_that_is_none_shows_no_key(world):
    url = world.url("robust/leak")
    world.cse("cp", "-q", world.file(17), url, "--master-key", world.aes)
    for address in NO_ADDRESSES:
        for flags, env in ((["--kms-endpoint-url", address], {}), ([], {"AWS_ENDPOINT_URL_KMS": address}),
                           (["--endpoint-url", address], {}), ([], {"AWS_ENDPOINT_URL": address}),
                           ([], {"STRONGROOM_CSE_KMS_ENDPOINT_URL": address})):
            done = world.cse("rewrap", url, "--master-key", world.aes, "--to-kms-key", world.kms_key, *flags, check=False, env=env)
            said = done.stdout + done.stderr
            assert done.returncode == 2 and b"address" in said, (address, flags, said)
            assert b"Plaintext" not in said and b"passed" not in said and len(said) < 300, said
    # One that leads nowhere is asked, and shows nothing either.
    done = world.cse("rewrap", url, "--master-key", world.aes, "--to-kms-key", world.kms_key,
                     "--kms-endpoint-url", "http://127.0.0.1:1", check=False, env={"AWS_MAX_ATTEMPTS": "1"})
    assert done.returncode == 1 and b"refused" in done.stderr and b"Plaintext" not in done.stderr, done.stderr


def test_empty_variables_are_not_set(world):
    url, kms = world.url("robust/empty"), ["--kms-key", world.kms_key]
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_KMS", "STRONGROOM_CSE_KMS_ENDPOINT_URL", "XDG_STATE_HOME",
                 "STRONGROOM_CSE_STATE"):
        env = {name: "", "HOME": str(world.folder)}
        world.cse("cp", "-q", world.file(17), url, *kms, env=env)
        assert world.cse("cat", url, *kms, env=env).stdout == world.file(17).read_bytes()
    server = world.environment["AWS_ENDPOINT_URL"]
    env = {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": server, "AWS_ENDPOINT_URL_KMS": server}
    assert world.cse("cat", url, *kms, env=env).stdout == world.file(17).read_bytes()
    done = world.cse("ls", world.url(""), "--endpoint-url", "", check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("env", [{"AWS_ACCESS_KEY_ID": "AKIA\r"}, {"AWS_SECRET_ACCESS_KEY": "hidden\n"},
                                 {"AWS_SESSION_TOKEN": "hidden\r"}, {"AWS_REGION": REGION + "\n"}])
def test_sec_malformed_settings_are_errors(world, env):
    done = world.cse("ls", world.url(""), check=False, env=env)
    assert done.returncode == 2 and b"panicked" not in done.stderr and b"hidden" not in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_sec_instruction_files_are_no_targets(world):
    url, flags = world.url("robust/ii"), ["--master-key", world.aes]
    world.cse("cp", "-q", world.file(17), url, *flags, "--instruction-file")
    for words in (["cp", "-q", "-", f"{url}.instruction"], ["reencrypt", url, f"{url}.instruction"]):
        done = world.cse(*words, *flags, check=False, stdin=b"x")
        assert done.returncode == 2 and b".instruction" in done.stderr, done.stderr
    assert world.cse("cat", url, *flags).stdout == world.file(17).read_bytes()


def test_an_object_without_its_instruction_file_is_encrypted(world, s3):
    name = "robust/lost/x"
    world.cse("cp", "-q", world.file(17), world.url(name), "--master-key", world.aes, "--instruction-file")
    s3.delete_object(Bucket=world.bucket, Key=f"{name}.instruction")
    done = world.cse("inspect", world.url(name), check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["encrypted"] is True and "instruction file is missing" in found["damaged"]
    assert b" BAD " in world.cse("ls", world.url("robust/lost/")).stdout
    assert "missing" in json.loads(world.cse("head", world.url(name)).stdout)["damaged"]


def test_parts_that_s3_does_not_take(world):
    flags = ["--master-key", world.aes, "--part-size", "4MiB"]
    for source, stdin in ((world.file(9 * clients.MIB), None), ("-", b"x")):
        done = world.cse("cp", "-q", source, world.url("robust/parts"), *flags, check=False, stdin=stdin)
        assert done.returncode == 2 and b"5MiB" in done.stderr, done.stderr
    world.cse("cp", "-q", world.file(17), world.url("robust/parts"), *flags)


def test_what_was_not_begun_leaves_no_record(world, tmp_path):
    for _ in range(2):
        done = world.cse("cp", "-q", world.file(17), world.url("robust/none"), "--kms-key", "alias/none", "--state", tmp_path,
                         check=False)
        assert done.returncode == 1 and b"interrupted" not in done.stderr, done.stderr
        assert not list(tmp_path.iterdir())
