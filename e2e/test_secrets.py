# SPDX-License-Identifier: Apache-2.0
"""Planted secrets: sent through every door, right and wrong, and then looked for in the logs (at
debug level), the audit log, error bodies, metrics and what the commands print."""

import base64
import os
import subprocess

import pytest

import leaks
from clients import CustomerKey, kms as kms_client, make_bucket, read, s3 as s3_client
from rawhttp import UNSIGNED, Client, Wire
from strongroom import DEADLINE, Server, clean_environment, program
from test_kms import call


class Planted:
    """A server that was asked for everything with marked secrets, and what it answered."""

    def __init__(self, server):
        self.server = server
        self.secrets = {}
        self.answers = []
        self.raw = Client(server)
        self.s3 = s3_client(server)
        self.kms = kms_client(server)

    def plant(self, name, size=32):
        self.secrets[name] = os.urandom(size)
        return self.secrets[name]

    def key(self, name):
        return CustomerKey(self.plant(name))

    def ask(self, *args, **options):
        answer = self.raw.request(*args, **options)
        if answer.status >= 400:
            self.answers.append(answer.body + repr(answer.headers).encode())
        return answer


def objects(planted):
    s3 = planted.s3
    make_bucket(s3, name="planted", sse_c=True)
    content = planted.plant("content", 48)
    metadata = base64.b64encode(planted.plant("metadata", 24)).decode()
    planted.secrets["metadata text"] = metadata
    key = planted.key("customer key")
    for args in ({}, {"ServerSideEncryption": "aws:kms"}, key.boto()):
        s3.put_object(Bucket="planted", Key="k", Body=content, Metadata={"m": metadata}, **args)
    read(s3.get_object(Bucket="planted", Key="k", **key.boto()))
    s3.put_object(Bucket="planted", Key="plain", Body=content * 3000)
    upload = s3.create_multipart_upload(Bucket="planted", Key="m", **key.boto())["UploadId"]
    s3.upload_part(
        Bucket="planted", Key="m", UploadId=upload, PartNumber=1, Body=content, **key.boto()
    )


def refusals(planted):
    """Each carries a secret of its own and is refused for another reason."""
    ask = planted.ask
    content = planted.plant("refused content", 48)

    def wrong(sent):
        return sent | {"authorization": sent["authorization"][:-64] + "0" * 64}

    key = planted.key("key under a wrong signature")
    ask("PUT", "/planted/x", content, key.headers(), after=wrong)
    ask("GET", "/planted/k", b"", planted.key("another key").headers())
    ask("PUT", "/planted/x", content, planted.key("key with a wrong algorithm").headers()
        | {"x-amz-server-side-encryption-customer-algorithm": "AES128"})
    ask("PUT", "/planted/x", content, planted.key("key with a wrong md5").headers()
        | {"x-amz-server-side-encryption-customer-key-md5": CustomerKey().md5})
    ask("PUT", "/planted/x", content, CustomerKey(planted.plant("short key", 31)).headers())
    ask("PUT", "/planted/x", content, planted.key("key beside kms").headers()
        | {"x-amz-server-side-encryption": "aws:kms"})
    ask("PUT", "/planted/x", b"", {"x-amz-copy-source": "/planted/k"}
        | planted.key("key of a copy source").headers(source=True))
    ask("PUT", "/planted/x", content, {"content-md5": CustomerKey().md5})
    ask("PUT", "/planted/x", content, raw_body=content[::-1])
    ask("PUT", "/no-such-bucket-here/x", content, planted.key("key for no bucket").headers())
    ask("POST", "/planted?delete", b"<Delete><Object><Key>" + content.hex().encode())
    plain = Client(planted.server, "http")
    for method in ("PUT", "GET"):
        answer = plain.request(method, "/planted/k", b"", planted.key(f"{method} in clear").headers())
        planted.answers.append(answer.body)
    twice = planted.key("key given twice").headers()
    ask("PUT", "/planted/x", content, twice, after=lambda h: [*h.items(), *twice.items()])
    token = planted.plant("session token", 24).hex()
    ask("GET", "/planted/k", b"", {"x-amz-security-token": token})
    url_key = planted.key("key in a URL")
    answer = planted.raw.presigned("PUT", "/planted/x", extra=[
        ("x-amz-server-side-encryption-customer-key", url_key.base64)], body=content)
    planted.answers.append(answer.body)
    with Wire(planted.server, "https") as wire:
        sent = {"host": wire.host}
        signature = planted.raw.signer().sign("PUT", "/planted/cut", "", sent, UNSIGNED)
        planted.secrets["signature"] = signature
        wire.send(wire.head("PUT", "/planted/cut", sent | {"content-length": "999"}) + content)
    answer = planted.raw.presigned(
        "GET", "/planted/plain", bend=lambda q: planted.secrets.update(presigned=q[-64:]) or q
    )
    assert answer.status == 200


def keys(planted):
    kms = planted.kms
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    planted.secrets["data key"] = made["Plaintext"]
    plain = planted.plant("kms plaintext")
    blob = kms.encrypt(KeyId=key, Plaintext=plain)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == plain
    refused = base64.b64encode(planted.plant("refused plaintext")).decode()
    for operation, body in [
        ("Encrypt", {"KeyId": "alias/none", "Plaintext": refused}),
        ("Encrypt", {"KeyId": key, "Plaintext": refused, "Unknown": refused}),
        ("Encrypt", {"KeyId": key, "Plaintext": refused * 200}),
        ("Encrypt", b'{"KeyId": "x", "Plaintext": "' + refused.encode()),
        ("Encrypt", {"KeyId": key, "Plaintext": "!" + refused}),
        ("Encrypt", {"KeyId": key, "Plaintext": refused, "EncryptionContext": {"a": 1}}),
        ("Nothing", {"KeyId": key, "Plaintext": refused}),
    ]:
        planted.answers.append(call(planted.raw, operation, body).body)
    bad = Client(planted.server, credential=(planted.server.credential[0], "x" * 40))
    planted.answers.append(call(bad, "Encrypt", {"KeyId": key, "Plaintext": refused}).body)


@pytest.fixture(scope="module")
def planted():
    with Server(log="debug") as server:
        made = Planted(server)
        made.secrets["root secret"] = server.credential[1]
        objects(made)
        refusals(made)
        keys(made)
        added = server.command("user", "add", "planted").stdout
        made.secrets["user secret"] = added.split("AWS_SECRET_ACCESS_KEY=")[1].split()[0]
        yield made


def test_error_bodies(planted):
    assert len(planted.answers) > 20
    found = leaks.find(planted.secrets, enumerate(planted.answers))
    # A refused signature is echoed to the one who sent it, as S3 does; it opens nothing.
    assert [hit for hit in found if hit[0] not in ("signature", "presigned")] == []


def test_server_log(planted):
    log = planted.server.log()
    assert "DEBUG" in log and len(log) > 5_000
    assert leaks.find(planted.secrets, [("log", log.encode())]) == []


def test_audit_log(planted):
    planted.server.audit()
    assert leaks.find(planted.secrets, leaks.files(planted.server.audit_files())) == []


def test_metrics_and_health(planted):
    pages = [(path, planted.server.admin(path)[1].encode())
             for path in ("/metrics", "/health/live", "/health/ready", "/")]
    assert len(pages[0][1]) > 500
    assert leaks.find(planted.secrets, pages) == []
    for name in ("planted", "AKIA", "arn:aws"):
        assert name not in pages[0][1].decode(), "metrics tell about stored objects or users"


def test_what_commands_print(planted):
    commands = [
        ("inspect", "object", "s3://planted/k"), ("inspect", "object", "s3://planted/plain"),
        ("inspect", "object", "s3://planted/absent"), ("user", "list"), ("verify", "--quiet"),
        ("--help",), ("serve", "--help"),
    ]
    out = []
    for args in commands:
        done = planted.server.command(*args, check=False)
        out.append((args, (done.stdout + done.stderr).encode()))
    out.append(("serve", planted.server.out_file.read_bytes()))
    assert leaks.find(planted.secrets, out) == []


def test_command_lines_and_environment_of_the_server(planted):
    """What `ps` shows of it, and the environment that children would get."""
    pid = planted.server.process.pid
    seen = []
    for name in ("cmdline", "environ"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            try:
                seen.append((name, file.read()))
            except PermissionError:
                continue
    assert leaks.find(planted.secrets, seen) == []


def test_no_core_dumps_and_no_tracing_by_others(planted):
    limits = open(f"/proc/{planted.server.process.pid}/limits").read()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4] == "0"


def test_root_secret_from_the_environment_leaks_nowhere(make_server):
    secret = os.urandom(24).hex()
    server = make_server(env={
        "STRONGROOM_ROOT_ACCESS_KEY_ID": "AKIAFROMENVIRONMENT0",
        "STRONGROOM_ROOT_SECRET_ACCESS_KEY": secret,
    })
    client = s3_client(server, credential=("AKIAFROMENVIRONMENT0", secret))
    client.create_bucket(Bucket="env")
    server.stop()
    haystacks = [*leaks.files(server.files()), ("log", server.log().encode()),
                 ("out", server.out_file.read_bytes())]
    assert leaks.find({"secret": secret}, haystacks) == []


@pytest.mark.parametrize("name,value", [
    ("STRONGROOM_ROOT_SECRET_ACCESS_KEY", "short"), ("STRONGROOM_ROOT_SECRET_ACCESS_KEY", ""),
    ("STRONGROOM_ROOT_ACCESS_KEY_ID", "with space"),
])
def test_sec_n3_weak_root_credential_is_refused(tmp_path, name, value):
    """And the refusal does not show it."""
    env = clean_environment() | {
        "STRONGROOM_ROOT_ACCESS_KEY_ID": "AKIAFROMENVIRONMENT0",
        "STRONGROOM_ROOT_SECRET_ACCESS_KEY": os.urandom(24).hex(), name: value,
    }
    done = subprocess.run(
        [str(program()), "serve", "--data", str(tmp_path / "d"), "--https", "127.0.0.1:0",
         "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
        env=env, capture_output=True, text=True, timeout=DEADLINE,
    )
    assert done.returncode != 0
    assert env["STRONGROOM_ROOT_SECRET_ACCESS_KEY"] not in done.stderr or value == ""
