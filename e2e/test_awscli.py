# SPDX-License-Identifier: Apache-2.0
"""The AWS CLI as people use it: a subprocess after `eval "$(strongroom env)"`."""

import base64
import json
import subprocess
import sys
import urllib.request

import pytest

from clients import MIB, CustomerKey, aws, bucket_name, noise, read, read_tree, write_tree
from strongroom import DEADLINE, clean_environment, program

TREE = {
    "a.txt": b"alpha", "dir/b.bin": noise(70_000), "dir/sub/c": b"", "name with space+%.txt": b"odd",
    "dir/\u00e4\u00f6.txt": b"umlaut", "big.bin": noise(9 * MIB),
}


@pytest.fixture(scope="module")
def cli(server):
    def run(*args, **options):
        return aws(server, *args, **options).stdout

    return run


def as_json(out):
    return json.loads(out)


def test_the_five_minute_start(server, tmp_path):
    """The lines of the README, in one shell, with nothing but what `env` exports."""
    file = tmp_path / "FILE"
    file.write_bytes(noise(100_000))
    name = bucket_name("readme")
    script = """
        set -e
        eval "$("$PROGRAM" env --data "$DIR")"
        aws() { "$PYTHON" -m awscli "$@"; }
        aws s3 mb s3://$NAME
        aws s3 cp FILE s3://$NAME/k --sse aws:kms >/dev/null
        aws s3 cp s3://$NAME/k - | cmp - FILE
        aws kms list-keys
        aws s3 rb --force s3://$NAME
    """
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=3 * DEADLINE,
        env=clean_environment() | {
            "PROGRAM": str(program()), "DIR": str(server.data), "NAME": name,
            "PYTHON": sys.executable, "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "KeyArn" in done.stdout


def test_cp_and_ls_and_rm(cli, s3, bucket, tmp_path):
    source = tmp_path / "f"
    source.write_bytes(noise(12 * MIB))
    cli("s3", "cp", source, f"s3://{bucket}/d/f")
    cli("s3", "cp", source, f"s3://{bucket}/d/g", "--metadata", "a=1", "--content-type", "x/y")
    head = s3.head_object(Bucket=bucket, Key="d/g")
    assert (head["Metadata"], head["ContentType"]) == ({"a": "1"}, "x/y")
    cli("s3", "cp", f"s3://{bucket}/d/f", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    cli("s3", "cp", f"s3://{bucket}/d/f", f"s3://{bucket}/e")
    listed = cli("s3", "ls", f"s3://{bucket}", "--recursive").decode()
    assert [line.split()[-1] for line in listed.splitlines()] == ["d/f", "d/g", "e"]
    assert f"{12 * MIB} d/f" in listed
    assert "PRE d/" in cli("s3", "ls", f"s3://{bucket}").decode()
    cli("s3", "mv", f"s3://{bucket}/e", f"s3://{bucket}/f")
    cli("s3", "rm", f"s3://{bucket}/d/f")
    cli("s3", "rm", f"s3://{bucket}", "--recursive")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_pipes(cli, bucket):
    data = noise(100_000)
    cli("s3", "cp", "-", f"s3://{bucket}/pipe", stdin=data)
    assert cli("s3", "cp", f"s3://{bucket}/pipe", "-") == data


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_sync_there_and_back(cli, bucket, tmp_path, scheme):
    write_tree(tmp_path / "up", TREE)
    cli("s3", "sync", tmp_path / "up", f"s3://{bucket}/t", scheme=scheme)
    cli("s3", "sync", f"s3://{bucket}/t", tmp_path / "down", scheme=scheme)
    assert read_tree(tmp_path / "down") == TREE
    assert cli("s3", "sync", tmp_path / "up", f"s3://{bucket}/t", scheme=scheme) == b""
    (tmp_path / "up/a.txt").unlink()
    cli("s3", "sync", "--delete", tmp_path / "up", f"s3://{bucket}/t", scheme=scheme)
    left = cli("s3", "ls", f"s3://{bucket}/t/", "--recursive", scheme=scheme).decode()
    assert "a.txt" not in left and len(left.splitlines()) == len(TREE) - 1


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_empty_files_spoil_no_connection(cli, s3, bucket, tmp_path, scheme):
    """The CLI sends `Expect: 100-continue` with empty bodies too. It misread whatever came after
    a final answer to one on a connection that stayed open: `aws s3 sync` lost an ETag, or hung,
    now and then, where an empty file stood among the others."""
    tree = {f"{n:02}": b"" if n % 2 == 0 else noise(n) for n in range(8)} | {"big": noise(9 * MIB)}
    write_tree(tmp_path / "up", tree)
    (tmp_path / "config").write_text("[default]\ns3 =\n  max_concurrent_requests = 1\n")
    one_connection = {"AWS_CONFIG_FILE": str(tmp_path / "config")}
    # What hangs ends with an error when the CLI has waited long enough.
    options = {"scheme": scheme, "env": one_connection}
    cli("s3", "sync", tmp_path / "up", f"s3://{bucket}", **options)
    for name, data in tree.items():
        assert read(s3.get_object(Bucket=bucket, Key=name)) == data


@pytest.mark.parametrize("size", [100_000, 20 * MIB])
def test_cp_under_a_kms_key(cli, s3, kms_key, bucket, tmp_path, size):
    source = tmp_path / "f"
    source.write_bytes(noise(size))
    cli("s3", "cp", source, f"s3://{bucket}/default", "--sse", "aws:kms")
    cli("s3", "cp", source, f"s3://{bucket}/own", "--sse", "aws:kms", "--sse-kms-key-id",
        kms_key["alias"])
    assert s3.head_object(Bucket=bucket, Key="own")["SSEKMSKeyId"] == kms_key["arn"]
    assert s3.head_object(Bucket=bucket, Key="default")["ServerSideEncryption"] == "aws:kms"
    for key in ("default", "own"):
        cli("s3", "cp", f"s3://{bucket}/{key}", tmp_path / key)
        assert (tmp_path / key).read_bytes() == source.read_bytes()


@pytest.mark.sse_c
@pytest.mark.parametrize("size", [0, 20 * MIB])
def test_cp_with_a_customer_key(cli, server, bucket, tmp_path, size):
    source, key = tmp_path / "f", tmp_path / "key"
    source.write_bytes(noise(size))
    key.write_bytes(CustomerKey().raw)
    with_key = ["--sse-c", "AES256", "--sse-c-key", f"fileb://{key}"]
    cli("s3", "cp", source, f"s3://{bucket}/c", *with_key)
    cli("s3", "cp", f"s3://{bucket}/c", tmp_path / "back", *with_key)
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    failed = aws(server, "s3", "cp", f"s3://{bucket}/c", tmp_path / "no", check=False)
    assert failed.returncode != 0 and not (tmp_path / "no").exists()
    other = tmp_path / "other"
    other.write_bytes(CustomerKey().raw)
    cli("s3", "cp", f"s3://{bucket}/c", f"s3://{bucket}/d", "--sse-c-copy-source", "AES256",
        "--sse-c-copy-source-key", f"fileb://{key}", "--sse-c", "AES256", "--sse-c-key",
        f"fileb://{other}")
    cli("s3", "cp", f"s3://{bucket}/d", tmp_path / "back2", "--sse-c", "AES256", "--sse-c-key",
        f"fileb://{other}")
    assert (tmp_path / "back2").read_bytes() == source.read_bytes()


def test_presign(cli, server, s3_http, bucket, tmp_path):
    """Version 1 of the CLI presigns with Signature Version 2 in us-east-1 unless configured."""
    s3_http.put_object(Bucket=bucket, Key="k ä", Body=b"shared")
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n    signature_version = s3v4\n")
    url = cli("s3", "presign", f"s3://{bucket}/k ä", "--expires-in", "600", scheme="http",
              env={"AWS_CONFIG_FILE": str(config)}).decode().strip()
    assert "X-Amz-Signature" in url
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(url, timeout=DEADLINE).read() == b"shared"


def test_make_and_remove_buckets(cli, server):
    name = bucket_name()
    cli("s3", "mb", f"s3://{name}")
    assert name in cli("s3", "ls").decode()
    cli("s3", "cp", "-", f"s3://{name}/k", stdin=b"x")
    assert aws(server, "s3", "rb", f"s3://{name}", check=False).returncode != 0
    cli("s3", "rb", "--force", f"s3://{name}")
    assert name not in cli("s3", "ls").decode()


def test_s3api(cli, kms_key, bucket, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"0123456789")
    where = ["--bucket", bucket, "--key", "k"]
    put = as_json(cli("s3api", "put-object", *where, "--body", body, "--server-side-encryption",
                      "aws:kms", "--ssekms-key-id", kms_key["id"], "--checksum-algorithm", "SHA256",
                      "--metadata", "a=1"))
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", kms_key["arn"])
    head = as_json(cli("s3api", "head-object", *where))
    assert (head["ETag"], head["ContentLength"]) == (put["ETag"], 10)
    part = tmp_path / "part"
    got = as_json(cli("s3api", "get-object", *where, "--range", "bytes=2-4", part))
    assert (part.read_bytes(), got["ContentRange"]) == (b"234", "bytes 2-4/10")
    cli("s3api", "copy-object", "--bucket", bucket, "--key", "c", "--copy-source", f"{bucket}/k",
        "--metadata-directive", "REPLACE", "--metadata", "b=2")
    assert as_json(cli("s3api", "head-object", "--bucket", bucket, "--key", "c"))["Metadata"] == {"b": "2"}
    listed = as_json(cli("s3api", "list-objects-v2", "--bucket", bucket, "--max-items", "1"))
    assert listed["Contents"][0]["Key"] == "c" and "NextToken" in listed
    upload = as_json(cli("s3api", "create-multipart-upload", *where))["UploadId"]
    etag = as_json(cli("s3api", "upload-part", *where, "--upload-id", upload, "--part-number", "1",
                       "--body", body))["ETag"]
    parts = json.dumps({"Parts": [{"PartNumber": 1, "ETag": etag}]})
    cli("s3api", "complete-multipart-upload", *where, "--upload-id", upload, "--multipart-upload", parts)
    cli("s3api", "delete-objects", "--bucket", bucket, "--delete",
        json.dumps({"Objects": [{"Key": "k"}, {"Key": "c"}]}))
    assert b"Contents" not in cli("s3api", "list-objects-v2", "--bucket", bucket)


def test_kms(cli, server, tmp_path):
    key = as_json(cli("kms", "create-key", "--description", "cli"))["KeyMetadata"]
    assert key["KeyId"] in cli("kms", "list-keys").decode()
    assert as_json(cli("kms", "describe-key", "--key-id", key["Arn"]))["KeyMetadata"]["Description"] == "cli"
    alias = f"alias/cli-{key['KeyId'][:8]}"
    cli("kms", "create-alias", "--alias-name", alias, "--target-key-id", key["KeyId"])
    assert alias in cli("kms", "list-aliases").decode()
    plain = tmp_path / "plain"
    plain.write_bytes(b"hello \x00 world")
    sealed = as_json(cli("kms", "encrypt", "--key-id", alias, "--plaintext", f"fileb://{plain}",
                         "--encryption-context", "a=b"))["CiphertextBlob"]
    blob = tmp_path / "blob"
    blob.write_bytes(base64.b64decode(sealed))
    opened = as_json(cli("kms", "decrypt", "--ciphertext-blob", f"fileb://{blob}",
                         "--encryption-context", "a=b"))
    assert base64.b64decode(opened["Plaintext"]) == plain.read_bytes()
    made = as_json(cli("kms", "generate-data-key", "--key-id", alias, "--key-spec", "AES_256"))
    assert len(base64.b64decode(made["Plaintext"])) == 32
    cli("kms", "generate-data-key-without-plaintext", "--key-id", alias, "--key-spec", "AES_256")
    cli("kms", "disable-key", "--key-id", key["KeyId"])
    failed = aws(server, "kms", "encrypt", "--key-id", alias, "--plaintext", f"fileb://{plain}",
                 check=False)
    assert failed.returncode != 0 and b"DisabledException" in failed.stderr
    cli("kms", "enable-key", "--key-id", key["KeyId"])
    cli("kms", "delete-alias", "--alias-name", alias)
    assert alias not in cli("kms", "list-aliases").decode()


def test_errors_reach_the_person(server, bucket):
    failed = aws(server, "s3", "cp", f"s3://{bucket}/absent", "-", check=False)
    assert failed.returncode != 0 and b"404" in failed.stderr
    failed = aws(server, "s3", "ls", "s3://no-such-bucket-anywhere", check=False)
    assert failed.returncode != 0 and b"NoSuchBucket" in failed.stderr
    failed = aws(server, "s3", "ls", env={"AWS_SECRET_ACCESS_KEY": "wrong"}, check=False)
    assert failed.returncode != 0 and b"SignatureDoesNotMatch" in failed.stderr


def test_reads_of_the_cli_are_those_of_boto3(cli, s3, bucket):
    cli("s3", "cp", "-", f"s3://{bucket}/k", stdin=b"same")
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"same"
