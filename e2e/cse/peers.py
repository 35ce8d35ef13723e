# SPDX-License-Identifier: Apache-2.0
"""Amazon's S3 encryption clients, and our command line: who they are, what they can do, how to make
them write and read."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import clients
from strongroom import DEADLINE, REGION, clean_environment, program

HERE = Path(__file__).parent
FORMATS, WRAPS, STORAGES = ("V2", "V3"), ("kms", "aes", "rsa"), ("metadata", "instruction file")
CONTEXT = {"purpose": "interop", "n": "1"}
FIVE_MIB_3 = 5 * clients.MIB + 3
SIZES = (0, 1, 15, 16, 17, 1024, FIVE_MIB_3)
FEW_SIZES = (0, 17, 1024)
ISOLATED = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true"}


@dataclasses.dataclass(frozen=True)
class Case:
    """One object: how it is encrypted and where it lies."""

    peer: str
    format: str
    wrap: str
    storage: str
    size: int
    parts: bool = False

    @property
    def key(self):
        parts = "-parts" if self.parts else ""
        return f"{self.peer}/{self.format}-{self.wrap}-{self.storage.replace(' ', '-')}-{self.size}{parts}"

    @property
    def plain(self):
        return clients.noise(self.size, seed=7)

    @property
    def sha256(self):
        return hashlib.sha256(self.plain).hexdigest()


def cases(peer, formats, wraps, storages, sizes=SIZES):
    """All sizes where the envelope is in the metadata, some of them elsewhere."""
    return [
        Case(peer, form, wrap, storage, size)
        for form in formats for wrap in wraps for storage in storages
        for size in (sizes if storage == "metadata" else FEW_SIZES)
    ]


class World:
    """A bucket, keys, files of plaintext, and our own command line."""

    def __init__(self, server, bucket, kms_key, folder):
        self.server, self.bucket, self.kms_key, self.folder = server, bucket, kms_key, folder
        self.aes, self.rsa = folder / "aes.key", folder / "rsa.key"
        self.cse("keygen", "aes-256", self.aes)
        self.cse("keygen", "rsa-2048", self.rsa)

    @property
    def environment(self):
        return clean_environment() | ISOLATED | self.server.exports() | {
            "STRONGROOM_CSE_STATE": str(self.folder / "uploads"),
        }

    def cse(self, *words, check=True, stdin=None, env=None, timeout=2 * DEADLINE):
        done = subprocess.run(
            [str(program()), "cse", *map(str, words)], env=self.environment | (env or {}),
            input=stdin, capture_output=True, timeout=timeout, cwd=self.folder,
        )
        if check:
            assert done.returncode == 0, f"{words}: {done.stdout[-300:]!r} {done.stderr.decode()}"
        return done

    def file(self, size, seed=7):
        path = self.folder / f"plain-{size}-{seed}"
        if not path.exists():
            path.write_bytes(clients.noise(size, seed=seed))
        return path

    def url(self, key):
        return f"s3://{self.bucket}/{key}"

    def keys(self, wrap):
        """The flags that name the key of a wrap, and what goes with it."""
        if wrap == "kms":
            context = [word for name, value in CONTEXT.items() for word in ("--context", f"{name}={value}")]
            return ["--kms-key", self.kms_key, *context]
        return ["--master-key", {"aes": self.aes, "rsa": self.rsa}[wrap]]

    def write(self, case, *more):
        """Our command line writes a case."""
        policy = {"V2": "forbid-encrypt-allow-decrypt", "V3": "require-encrypt-require-decrypt"}
        flags = ["--commitment-policy", policy[case.format], *self.keys(case.wrap)]
        if case.storage != "metadata":
            flags.append("--instruction-file")
        if case.parts:
            flags += ["--part-size", "5MiB"]
        self.cse("cp", "--quiet", self.file(case.size), self.url(case.key), *flags, *more)

    def read(self, some, *more):
        """Our command line reads cases of one wrap, all in one process."""
        wraps = {case.wrap for case in some}
        assert len(wraps) == 1
        flags = ["--commitment-policy", "require-encrypt-allow-decrypt", *self.keys(wraps.pop()), *more]
        out = self.cse("cat", *(self.url(case.key) for case in some), *flags).stdout
        wanted = b"".join(case.plain for case in some)
        # Not `==` on megabytes in an assertion: pytest would explain the difference for minutes.
        assert hashlib.sha256(out).digest() == hashlib.sha256(wanted).digest(), [c.key for c in some]


# ---- Python -------------------------------------------------------------------------------------


class Python:
    """`amazon-s3-encryption-client-python`, in this process."""

    name = "Python 4.0.0"
    writes = [("V2", "kms", "metadata"), ("V3", "kms", "metadata")]
    reads = [(form, "kms", storage) for form in FORMATS for storage in STORAGES]

    def __init__(self, world):
        import s3_encryption
        from s3_encryption.materials.kms_keyring import KmsKeyring
        from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy

        def client(suite, policy):
            # Not the watched clients of `clients.py`: these calls are no test of S3.
            session = clients.session(world.server.credential)
            at = {"endpoint_url": world.server.url(), "verify": world.server.ca}
            keyring = KmsKeyring(session.client("kms", **at), world.kms_key)
            path_style = clients.Config(s3={"addressing_style": "path"})
            return s3_encryption.S3EncryptionClient(
                session.client("s3", config=path_style, **at),
                s3_encryption.S3EncryptionClientConfig(
                    keyring=keyring, encryption_algorithm=suite, commitment_policy=policy),
            )

        self.world = world
        self.clients = {
            "V2": client(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
                         CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT),
            "V3": client(AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
                         CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT),
        }

    def run(self, op, some):
        """{case: None or what was read}."""
        found = {}
        for case in some:
            s3 = self.clients[case.format]
            place = {"Bucket": self.world.bucket, "Key": case.key, "EncryptionContext": CONTEXT}
            if op == "get":
                found[case] = hashlib.sha256(s3.get_object(**place)["Body"].read()).hexdigest()
            elif case.parts:
                s3.upload_file(
                    str(self.world.file(case.size)), place.pop("Bucket"), place.pop("Key"),
                    multipart_threshold=5 * clients.MIB, multipart_chunksize=5 * clients.MIB, **place)
                found[case] = None
            else:
                s3.put_object(Body=case.plain, **place)
                found[case] = None
        return found


# ---- Ruby ---------------------------------------------------------------------------------------


class Ruby:
    """Debian's `ruby-aws-sdk-s3`: a client for format V1 and one for V2."""

    name = "Ruby 1.117.2"
    writes = [(form, wrap, storage) for form in ("V1", "V2") for wrap in WRAPS for storage in STORAGES]
    reads = [("V2", wrap, storage) for wrap in WRAPS for storage in STORAGES]

    def __init__(self, world):
        if shutil.which("ruby") is None:
            pytest.skip("ruby is not installed: Amazon's encryption clients for Ruby are not tested here")
        probe = subprocess.run(["ruby", "-e", "require 'aws-sdk-s3'; require 'aws-sdk-kms'"],
                               capture_output=True, timeout=DEADLINE)
        if probe.returncode != 0:
            pytest.skip("ruby-aws-sdk-s3 and ruby-aws-sdk-kms are not installed: not tested here")
        self.world = world

    def run(self, op, some):
        world = self.world
        plan = {
            "endpoint": world.server.url(), "region": REGION, "ca": world.server.ca,
            "aes": world.aes.read_text().strip(), "rsa": str(world.rsa), "kms": world.kms_key,
            "jobs": [{
                "id": n, "op": op, "client": case.format, "wrap": case.wrap, "storage": case.storage,
                "bucket": world.bucket, "key": case.key, "file": str(world.file(case.size)),
                "context": CONTEXT,
            } for n, case in enumerate(some)],
        }
        done = subprocess.run(["ruby", "-W0", HERE / "ruby/interop.rb"], input=json.dumps(plan), text=True,
                              env=world.environment, capture_output=True, timeout=900)
        assert done.returncode == 0, done.stderr
        return told(some, [json.loads(line) for line in done.stdout.splitlines()])


# ---- Java ---------------------------------------------------------------------------------------


class Java:
    """`amazon-s3-encryption-client-java`, run from one source file."""

    name = "Java 4.0.0"
    writes = [(form, wrap, storage) for form in FORMATS for wrap in WRAPS for storage in STORAGES]
    reads = writes
    folder = HERE / "java"

    def __init__(self, world):
        for tool in ("java", "keytool", "mvn"):
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not installed: Amazon's encryption client for Java is not tested here")
        self.world = world
        self.libraries()
        self.trust = world.folder / "trust.p12"
        if not self.trust.exists():
            subprocess.run(
                ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", world.server.ca,
                 "-keystore", self.trust, "-storetype", "PKCS12", "-storepass", "changeit"],
                check=True, capture_output=True, timeout=DEADLINE)

    def libraries(self):
        """The client's jars, fetched once for each state of the pom."""
        pom, stamp = self.folder / "pom.xml", self.folder / "lib/.installed-pom.xml"
        if stamp.exists() and stamp.read_text() == pom.read_text():
            return
        shutil.rmtree(self.folder / "lib", ignore_errors=True)
        fetch = ["mvn", "-q", "-B", COPY_DEPENDENCIES, "-DoutputDirectory=lib", "-DincludeScope=runtime"]
        try:
            subprocess.run(fetch, cwd=self.folder, capture_output=True, text=True, timeout=300, check=True)
        except subprocess.SubprocessError as error:
            pytest.skip("Maven cannot fetch Amazon's encryption client for Java: not tested here\n"
                        + str(error.stdout)[-2000:])
        stamp.write_text(pom.read_text())

    def run(self, op, some):
        world = self.world
        context = ",".join(f"{name}={value}" for name, value in CONTEXT.items())
        lines = "".join(
            "\t".join((str(n), op, case.format, case.wrap, case.storage, world.bucket, case.key,
                       str(world.file(case.size)), context)) + "\n"
            for n, case in enumerate(some))
        done = subprocess.run(
            ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "lib/*",
             f"-Djavax.net.ssl.trustStore={self.trust}", "-Djavax.net.ssl.trustStorePassword=changeit",
             "Interop.java", f"endpoint={world.server.url()}", f"region={REGION}",
             f"aes={world.aes.read_text().strip()}", f"rsa={world.rsa}", f"kms={world.kms_key}"],
            input=lines, text=True, env=world.environment, cwd=self.folder, capture_output=True, timeout=900)
        assert done.returncode == 0, done.stderr[-4000:]
        answers = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 2]
        failed = [(some[int(n)].key, words) for n, state, words in answers if state != "ok"]
        assert not failed and len(answers) == len(some), (failed, done.stderr[-2000:])
        return {some[int(n)]: words for n, _, words in answers}


# ---- Go -----------------------------------------------------------------------------------------


class Go:
    """`amazon-s3-encryption-client-go`, built for the run."""

    name = "Go 4.0.0"
    writes = [(form, "kms", "metadata") for form in FORMATS]
    reads = [(form, "kms", storage) for form in FORMATS for storage in STORAGES]
    folder = HERE / "go"

    def __init__(self, world):
        # Where Go's own installation puts it, which is not on every path.
        self.go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
        if self.go is None:
            pytest.skip("go is not installed: Amazon's encryption client for Go is not tested here")
        self.world = world
        self.program = world.folder / "interop-go"
        if not self.program.exists():
            self.build()

    def build(self):
        """With the modules that `go.sum` names by their checksums, and no others."""
        environment = os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
        say = {"cwd": self.folder, "env": environment, "capture_output": True, "text": True}
        try:
            subprocess.run([self.go, "mod", "download"], timeout=300, check=True, **say)
        except subprocess.SubprocessError as error:
            why = str(error.stderr)
            assert "checksum mismatch" not in why, why
            pytest.skip("Go cannot fetch Amazon's encryption client: not tested here\n" + why[-2000:])
        built = subprocess.run([self.go, "build", "-mod=readonly", "-buildvcs=false", "-o", self.program, "."],
                               timeout=900, **say)
        assert built.returncode == 0, built.stderr[-4000:]

    def run(self, op, some):
        world = self.world
        plan = {
            "kms": world.kms_key,
            "jobs": [{
                "id": n, "op": op, "format": case.format, "bucket": world.bucket, "key": case.key,
                "file": str(world.file(case.size)), "context": CONTEXT,
            } for n, case in enumerate(some)],
        }
        done = subprocess.run([self.program], input=json.dumps(plan), text=True, env=world.environment,
                              capture_output=True, timeout=900)
        assert done.returncode == 0, done.stderr[-4000:]
        return told(some, [json.loads(line) for line in done.stdout.splitlines()])


def told(some, answers):
    """{case: what was read} of a program's answers."""
    failed = [(some[a["id"]].key, a["error"]) for a in answers if not a["ok"]]
    assert not failed and len(answers) == len(some), failed
    return {some[a["id"]]: a.get("sha256") for a in answers}


COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
PEERS = (Python, Ruby, Java, Go)
