# SPDX-License-Identifier: Apache-2.0
"""Amazon's S3 encryption client for Python, to be measured: `key` makes a KMS key and prints its name, `bucket`
makes a bucket whose objects the server seals under that key; the others move a file and print the seconds that took, without the start of Python. Where S3 and the key service
are, the environment says."""

import sys
import time

import boto3
import s3_encryption
from s3_encryption.materials.kms_keyring import KmsKeyring

MIB = 1 << 20


def client(key, **more):
    keyring = KmsKeyring(boto3.client("kms"), key)
    return s3_encryption.S3EncryptionClient(
        boto3.client("s3"), s3_encryption.S3EncryptionClientConfig(keyring=keyring, **more))


def put(key, file, bucket, name):
    """In parts, as its documentation says for large files."""
    client(key).upload_file(file, bucket, name)


def get(key, file, bucket, name):
    """Verified before the first byte is seen, which is its default."""
    body = client(key).get_object(Bucket=bucket, Key=name)["Body"]
    with open(file, "wb") as out:
        out.write(body.read())


def stream(key, file, bucket, name):
    """What comes is written before it is verified: it takes less memory."""
    s3 = client(key, enable_delayed_authentication=True)
    body = s3.get_object(Bucket=bucket, Key=name)["Body"]
    with open(file, "wb") as out:
        while piece := body.read(MIB):
            out.write(piece)


def main(op, *words):
    if op == "key":
        print(boto3.client("kms").create_key()["KeyMetadata"]["Arn"])
        return
    if op == "bucket":
        key, bucket = words
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [{
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
            "BucketKeyEnabled": True}]})
        return
    begun = time.monotonic()
    {"put": put, "get": get, "stream": stream}[op](*words)
    print(time.monotonic() - begun)


main(*sys.argv[1:])
