# SPDX-License-Identifier: Apache-2.0
"""`strongroom rewrap --bucket b --to KEY`: a bucket under another KMS key, while its bytes stay."""

import subprocess
import time

import pytest

import clients
from clients import CustomerKey, MIB, noise, read
from strongroom import DEADLINE, clean_environment, program


@pytest.fixture
def own(make_server):
    """A server of its own with a bucket and two keys."""
    server = make_server()
    s3, kms = clients.s3(server), clients.kms(server)
    clients.make_bucket(s3, name="photos", sse_c=True)
    keys = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    return server, s3, kms, keys


def key_of(s3, key):
    return s3.head_object(Bucket="photos", Key=key).get("SSEKMSKeyId")


def kms_events(server, name):
    lines = [line for path in server.audit_files() for line in path.read_bytes().split(b"\n")]
    return sum(f'"{name}"'.encode() in line for line in lines)


def last_line(done):
    return done.stdout.strip().splitlines()[-1]


def test_bucket_goes_under_another_key_and_what_is_left_is_named(own):
    server, s3, kms, keys = own
    kms.create_alias(AliasName="alias/photos", TargetKeyId=keys[1])
    data = noise(3 * MIB, 31)
    s3.put_object(Bucket="photos", Key="2025/s3", Body=data, Metadata={"a": "1"})
    s3.put_object(Bucket="photos", Key="2026/kms", Body=data, ServerSideEncryption="aws:kms",
                  SSEKMSKeyId=keys[0])
    s3.put_object(Bucket="photos", Key="2026/small", Body=b"small")
    customer = CustomerKey()
    s3.put_object(Bucket="photos", Key="2026/own", Body=data, **customer.boto())
    heads = {key: s3.head_object(Bucket="photos", Key=key) for key in ["2025/s3", "2026/kms"]}
    before = server.blobs()

    dry = server.command("rewrap", "--bucket", "photos", "--to", "alias/photos", "--dry-run", check=False)
    assert dry.returncode == 1 and "4 versions: 3 would come under" in dry.stdout
    assert "left: s3://photos/2026/own: under a customer key (SSE-C)" in dry.stdout
    assert key_of(s3, "2025/s3") is None
    done = server.command("rewrap", "--bucket", "photos", "--to", "alias/photos", "--prefix", "2025/")
    assert last_line(done) == f"1 versions: 1 came under {keys[1]}, 0 were under it, 0 left"
    assert key_of(s3, "2026/small") is None
    done = server.command("rewrap", "--bucket", "photos", "--to", keys[1], check=False)
    assert done.returncode == 1
    assert last_line(done) == f"4 versions: 2 came under {keys[1]}, 1 were under it, 1 left"
    assert server.blobs() == before
    for key, head in heads.items():
        now = s3.head_object(Bucket="photos", Key=key)
        assert now["SSEKMSKeyId"] == keys[1]
        for fact in ["ETag", "LastModified", "Metadata", "ContentLength"]:
            assert now[fact] == head[fact]
        assert read(s3.get_object(Bucket="photos", Key=key)) == data
    assert read(s3.get_object(Bucket="photos", Key="2026/own", **customer.boto())) == data

    events = server.audit()
    told = [e for e in events if e["eventName"] == "RewrapBucket"]
    assert [e["readOnly"] for e in told] == [True, False, False]
    assert told[-1]["requestParameters"] == {
        "bucketName": "photos", "prefix": "", "keyId": keys[1], "dryRun": False,
    }
    assert told[-1]["responseElements"] == {
        "keyId": keys[1], "versions": 4, "rewrapped": 2, "current": 1, "left": 1,
    }
    for key in ["2025/s3", "2026/kms", "2026/small"]:
        arn = f"arn:aws:s3:::photos/{key}"
        made = [e for e in events if e["eventName"] == "GenerateDataKey"
                and e["requestParameters"]["encryptionContext"].get("aws:s3:arn") == arn
                and e["resources"][0]["ARN"] == keys[1]]
        assert len(made) == 1, key


def test_unknown_bucket_and_key_and_a_disabled_key_change_nothing(own):
    server, s3, kms, keys = own
    s3.put_object(Bucket="photos", Key="k", Body=b"x")
    kms.disable_key(KeyId=keys[1])
    for bucket, key in [("absent", keys[0]), ("photos", "alias/absent"), ("photos", keys[1])]:
        done = server.command("rewrap", "--bucket", bucket, "--to", key, check=False)
        assert done.returncode == 1 and done.stderr, (bucket, key)
    assert key_of(s3, "k") is None
    failed = [e for e in server.audit() if e["eventName"] == "RewrapBucket"]
    assert len(failed) == 3 and all(e["errorCode"] == "RewrapBucketFailed" for e in failed)
    for args in [["--bucket", "photos"], ["--to", keys[0]], ["--prefix", "a"], ["--dry-run"]]:
        assert server.command("rewrap", *args, check=False).returncode == 2


def test_it_works_without_a_running_server(own):
    server, s3, _, keys = own
    s3.put_object(Bucket="photos", Key="k", Body=noise(MIB, 32))
    server.stop()
    done = server.command("rewrap", "--bucket", "photos", "--to", keys[0])
    assert last_line(done) == f"1 versions: 1 came under {keys[0]}, 0 were under it, 0 left"
    server.start()
    s3 = clients.s3(server)
    assert key_of(s3, "k") == keys[0]
    assert read(s3.get_object(Bucket="photos", Key="k")) == noise(MIB, 32)


def test_server_killed_in_the_middle_and_the_rest_is_taken_up(own):
    """Killed after a few keys were made, wherever that was: every object is whole, and a second
    run brings those that are left, and no other."""
    server, s3, _, keys = own
    count = 300
    for number in range(count):
        s3.put_object(Bucket="photos", Key=f"{number:03}", Body=b"%d" % number)
    before = kms_events(server, "GenerateDataKey")
    environment = clean_environment() | {"STRONGROOM_DATA": str(server.data)}
    command = [str(program()), "rewrap", "--bucket", "photos", "--to", keys[0]]
    running = subprocess.Popen(command, env=environment, cwd=server.base,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while running.poll() is None and kms_events(server, "GenerateDataKey") < before + 20:
        time.sleep(0.001)
    server.kill()
    running.communicate(timeout=DEADLINE)
    server.start()
    s3 = clients.s3(server)
    there = 0
    for number in range(count):
        there += key_of(s3, f"{number:03}") == keys[0]
        assert read(s3.get_object(Bucket="photos", Key=f"{number:03}")) == b"%d" % number
    done = server.command("rewrap", "--bucket", "photos", "--to", keys[0])
    assert last_line(done) == (
        f"{count} versions: {count - there} came under {keys[0]}, {there} were under it, 0 left"
    )
    assert {key_of(s3, f"{number:03}") for number in range(count)} == {keys[0]}
    server.command("verify", "--quiet")
