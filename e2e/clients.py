# SPDX-License-Identifier: Apache-2.0
"""Stock clients pointed at the server under test."""

import base64
import contextlib
import hashlib
import os
import random
import subprocess
import sys
import uuid
from pathlib import Path

import boto3
import botocore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from compat import KMS
from compat_s3 import S3
from strongroom import DEADLINE, REGION, clean_environment

MIB = 1024 * 1024
SEGMENT = 65_536
# OpenSSL takes no wildcard directly below a top-level name: *.localhost would be refused.
VIRTUAL_DOMAIN = "s3.localhost"


def session(credential):
    return boto3.session.Session(
        aws_access_key_id=credential[0], aws_secret_access_key=credential[1], region_name=REGION
    )


def s3(server, scheme="https", style="path", credential=None, retries=0, **config):
    """A boto3 S3 client, watched for the compatibility document. `style` is path or virtual
    (bucket.s3.localhost)."""
    url = server.url(scheme)
    if style == "virtual":
        url = url.replace("127.0.0.1", VIRTUAL_DOMAIN)
    settings = {
        "retries": {"total_max_attempts": retries + 1} | ({"mode": "standard"} if retries else {}),
        "s3": {"addressing_style": style},
        "connect_timeout": DEADLINE,
        "read_timeout": DEADLINE,
    } | config
    return S3.watch(session(credential or server.credential).client(
        "s3", endpoint_url=url, verify=server.ca if scheme == "https" else None,
        config=Config(**settings),
    ))


def kms(server, scheme="https", credential=None, **config):
    """A boto3 KMS client; what it calls is noted for the compatibility document."""
    settings = {"connect_timeout": DEADLINE, "read_timeout": DEADLINE} | config
    return KMS.watch(session(credential or server.credential).client(
        "kms", endpoint_url=server.url(scheme), verify=server.ca if scheme == "https" else None,
        config=Config(retries={"total_max_attempts": 1}, **settings),
    ))


def method_of(operation):
    """`GenerateDataKey` -> `generate_data_key`, the name of the method of a boto3 client."""
    return botocore.xform_name(operation)


def aws(server, *args, env=None, check=True, stdin=None, scheme="https", timeout=2 * DEADLINE):
    """The AWS CLI with nothing but what `eval "$(strongroom env)"` sets."""
    point = server.exports(scheme)
    isolated = {
        "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "awscli", *map(str, args)],
        env=clean_environment() | isolated | point | (env or {}),
        input=stdin, capture_output=True, timeout=timeout,
    )
    if check:
        assert done.returncode == 0, f"aws {args}: {done.stdout!r} {done.stderr.decode()}"
    return done


def noise(size, seed=0):
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed * 1_000_003 + size).randbytes(size)


def bucket_name(stem="b"):
    return f"{stem}-{uuid.uuid4().hex[:16]}"


def make_bucket(client, stem="b", sse_c=False, name=None):
    """A new bucket. New buckets refuse uploads under customer keys, as in S3: a test which writes
    under some says `sse_c=True` (or wears `pytest.mark.sse_c`, for the fixture `bucket`)."""
    name = name or bucket_name(stem)
    client.create_bucket(Bucket=name)
    if sse_c:
        allow_sse_c(client, name)
    return name


def allow_sse_c(client, bucket):
    """Makes the bucket take customer keys; its default encryption is SSE-S3 then."""
    client.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={
            "Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}],
        })


def empty_and_delete(client, bucket):
    """Removes a bucket with all that is in it."""
    with contextlib.suppress(client.exceptions.NoSuchBucket):
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", []):
                client.abort_multipart_upload(
                    Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            all_of_them = [
                {"Key": item["Key"], "VersionId": item["VersionId"]}
                for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, [])
            ]
            # XML 1.0 cannot carry most control characters.
            plain = [item for item in all_of_them if item["Key"].isprintable()]
            if plain:
                client.delete_objects(Bucket=bucket, Delete={"Objects": plain, "Quiet": True})
            for item in all_of_them:
                if not item["Key"].isprintable():
                    client.delete_object(Bucket=bucket, **item)
        client.delete_bucket(Bucket=bucket)


@contextlib.contextmanager
def refused(code, status=None, message=None, **elements):
    """The block must be refused by exactly this S3 or KMS error."""
    with pytest.raises(ClientError) as caught:
        yield caught
    error = caught.value.response["Error"]
    got = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert error["Code"] == code, error
    if status is not None:
        assert got == status, error
    if message is not None:
        assert error["Message"] == message
    for name, value in elements.items():
        assert error.get(name) == value, error


class CustomerKey:
    """A customer key in each form that a client or a header wants it in."""

    def __init__(self, raw=None):
        self.raw = raw or os.urandom(32)
        self.base64 = base64.b64encode(self.raw).decode()
        self.md5 = base64.b64encode(hashlib.md5(self.raw).digest()).decode()

    def boto(self, source=False):
        stem = "CopySourceSSECustomer" if source else "SSECustomer"
        return {f"{stem}Algorithm": "AES256", f"{stem}Key": self.raw}

    def headers(self, source=False):
        stem = "x-amz-copy-source-server-side" if source else "x-amz-server-side"
        stem += "-encryption-customer"
        return {
            f"{stem}-algorithm": "AES256", f"{stem}-key": self.base64, f"{stem}-key-md5": self.md5
        }


def headers_of(answer):
    """The HTTP headers of a boto3 answer, names in lower case."""
    return {k.lower(): v for k, v in answer["ResponseMetadata"]["HTTPHeaders"].items()}


def read(answer):
    with contextlib.closing(answer["Body"]) as body:
        return body.read()


def write_tree(root, files):
    for name, data in files.items():
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        # LastModified counts whole seconds: a file of this very second would look newer.
        os.utime(path, (1_750_000_000, 1_750_000_000))


def read_tree(root):
    root = Path(root)
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }
