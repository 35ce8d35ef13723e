# SPDX-License-Identifier: Apache-2.0
"""The key service through boto3, and what a disabled key stops in S3."""

import base64
import json
import uuid

import pytest

from clients import bucket_name, empty_and_delete, kms as kms_client, noise, read, refused
from rawhttp import Client
from strongroom import ACCOUNT, REGION

ABSENT = "00000000-0000-4000-8000-000000000000"
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}"


@pytest.fixture
def key(kms):
    return kms.create_key(Description="of a test")["KeyMetadata"]


@pytest.fixture
def alias(kms, key):
    name = f"alias/t-{uuid.uuid4().hex}"
    kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
    yield name
    kms.delete_alias(AliasName=name)


def test_life_of_a_key(kms, key):
    assert key["Arn"] == f"{ARN}:key/{key['KeyId']}"
    assert key["Enabled"] and key["KeyState"] == "Enabled"
    assert (key["KeyManager"], key["Origin"], key["KeySpec"]) == (
        "CUSTOMER", "AWS_KMS", "SYMMETRIC_DEFAULT"
    )
    assert key["Description"] == "of a test" and key["KeyUsage"] == "ENCRYPT_DECRYPT"
    for name in (key["KeyId"], key["Arn"]):
        assert kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"] == key["KeyId"]
    listed = [k for page in kms.get_paginator("list_keys").paginate(Limit=2) for k in page["Keys"]]
    assert {"KeyId": key["KeyId"], "KeyArn": key["Arn"]} in listed
    kms.disable_key(KeyId=key["KeyId"])
    state = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
    assert (state["KeyState"], state["Enabled"]) == ("Disabled", False)
    kms.enable_key(KeyId=key["Arn"])
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled"


@pytest.mark.parametrize("context", [{}, {"a": "b"}, {"ä": "ü", "b": "1", "a": "2"}])
def test_encrypt_and_decrypt(kms, key, alias, context):
    plaintext = noise(4096)
    for name in (key["KeyId"], key["Arn"], alias, f"{ARN}:{alias}"):
        sealed = kms.encrypt(KeyId=name, Plaintext=plaintext, EncryptionContext=context)
        assert sealed["KeyId"] == key["Arn"]
        assert len(sealed["CiphertextBlob"]) <= 6144
        reversed_context = dict(reversed(context.items()))
        opened = kms.decrypt(
            CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=reversed_context
        )
        assert (opened["Plaintext"], opened["KeyId"]) == (plaintext, key["Arn"])
        kms.decrypt(
            CiphertextBlob=sealed["CiphertextBlob"], KeyId=name, EncryptionContext=context
        )
    blobs = {kms.encrypt(KeyId=alias, Plaintext=b"x")["CiphertextBlob"] for _ in range(3)}
    assert len(blobs) == 3


@pytest.mark.parametrize("size,args", [
    (32, {"KeySpec": "AES_256"}), (16, {"KeySpec": "AES_128"}), (1, {"NumberOfBytes": 1}),
    (1024, {"NumberOfBytes": 1024}),
])
def test_data_keys(kms, key, size, args):
    made = kms.generate_data_key(KeyId=key["KeyId"], EncryptionContext={"a": "b"}, **args)
    assert len(made["Plaintext"]) == size
    again = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert again["Plaintext"] == made["Plaintext"]
    blind = kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], **args)
    assert "Plaintext" not in blind
    assert len(kms.decrypt(CiphertextBlob=blind["CiphertextBlob"])["Plaintext"]) == size


def test_aliases(kms, key, alias):
    listed = [
        a for page in kms.get_paginator("list_aliases").paginate(Limit=1) for a in page["Aliases"]
    ]
    found = {a["AliasName"]: a for a in listed}[alias]
    assert (found["TargetKeyId"], found["AliasArn"]) == (key["KeyId"], f"{ARN}:{alias}")
    of_key = kms.list_aliases(KeyId=key["KeyId"])["Aliases"]
    assert [a["AliasName"] for a in of_key] == [alias]
    with refused("AlreadyExistsException", 400):
        kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])


@pytest.mark.parametrize("name", ["alias/aws/mine", "noprefix", "alias/", "alias/a b", "alias/ä"])
def test_sec_n82_alias_names(kms, key, name):
    with pytest.raises(Exception) as caught:
        kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
    code = caught.value.response["Error"]["Code"]
    assert code in ("InvalidAliasNameException", "NotAuthorizedException", "ValidationException")


def test_sec_n80_every_byte_of_a_ciphertext(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"secret", EncryptionContext={"a": "b"})
    blob = blob["CiphertextBlob"]
    bent = [blob[:at] + bytes([blob[at] ^ 0x40]) + blob[at + 1:] for at in range(len(blob))]
    bent += [blob[:-1], blob[1:], blob + b"\0", blob[:20], b"\0", blob + blob]
    for one in bent:
        with pytest.raises(Exception) as caught:
            kms.decrypt(CiphertextBlob=one, EncryptionContext={"a": "b"})
        error = caught.value.response["Error"]
        assert (error["Code"], error.get("Message", "")) == ("InvalidCiphertextException", "")


@pytest.mark.parametrize("context", [
    {}, {"a": "B"}, {"A": "b"}, {"a": "b", "c": "d"}, {"a": "b "}, {"c": "b"},
])
def test_sec_n81_another_context(kms, key, context):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"a": "b"})
    with refused("InvalidCiphertextException", 400):
        kms.decrypt(CiphertextBlob=blob["CiphertextBlob"], EncryptionContext=context)


def test_sec_n82_another_key(kms, key):
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("IncorrectKeyException", 400):
        kms.decrypt(CiphertextBlob=blob, KeyId=other)


NOT_FOUND = [
    ("fake-key-id", "Invalid keyId 'fake-key-id'"),
    (ABSENT, f"Key '{ARN}:key/{ABSENT}' does not exist"),
    (f"{ARN}:key/{ABSENT}", f"Key '{ARN}:key/{ABSENT}' does not exist"),
    (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{ABSENT}", "Invalid arn eu-west-1"),
    ("alias/absent", f"Alias {ARN}:alias/absent is not found."),
]


@pytest.mark.parametrize("name,message", NOT_FOUND)
def test_sec_n70_key_that_is_not_there(kms, s3, bucket, name, message):
    for call in (
        lambda: kms.describe_key(KeyId=name), lambda: kms.encrypt(KeyId=name, Plaintext=b"x"),
        lambda: kms.generate_data_key(KeyId=name, KeySpec="AES_256"),
    ):
        with refused("NotFoundException", 400, message):
            call()
    sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": name}
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    for call in (
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", **sse),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="k", **sse),
        lambda: s3.copy_object(
            Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "source"}, **sse
        ),
    ):
        with refused("KMS.NotFoundException", 400, message):
            call()
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["source"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_sec_n83_limits(raw, kms, key):
    below = {"KeyId": key["KeyId"]}
    for more, message in [
        ({"NumberOfBytes": 1025}, "1 validation error detected: Value '1025' at 'numberOfBytes' "
         "failed to satisfy constraint: Member must have value less than or equal to 1024"),
        ({"NumberOfBytes": 0}, None), ({}, None), ({"NumberOfBytes": -1}, None),
        ({"NumberOfBytes": 5, "KeySpec": "AES_256"}, None), ({"KeySpec": "AES_512"}, None),
    ]:
        answer = call(raw, "GenerateDataKey", below | more)
        assert (answer.status, answer.code) == (400, "ValidationException"), more
        assert message is None or json.loads(answer.body)["message"] == message
    with refused("ValidationException", 400):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=bytes(4097))
    for size in (0, 6145):
        answer = call(raw, "Decrypt", {"CiphertextBlob": base64.b64encode(bytes(size)).decode()})
        assert answer.status == 400 and answer.code != "InternalError"


def call(raw, operation, body, headers=None, **options):
    """A signed call of the key service by hand; `body` is JSON or bytes."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {
        "content-type": "application/x-amz-json-1.1", "x-amz-target": f"TrentService.{operation}",
    } | (headers or {})
    signer = raw.signer(service="kms")
    return raw.request("POST", "/", body, headers, signer=signer, **options)


@pytest.mark.parametrize("target,code", [
    ("TrentService.Nothing", "UnknownOperationException"), ("TrentService.", "UnknownOperationException"),
    ("TrentService.encrypt", "UnknownOperationException"),
    ("TrentService.ReplicateKey", "UnsupportedOperationException"),
])
def test_sec_n88_targets(raw, target, code):
    answer = call(raw, "x", {}, {"x-amz-target": target})
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"x"', b"{} {}", b'{"KeyId":1}', b'{"KeyId":null}', b'{"KeyId":"a","KeyId":"b"}',
    b"\xef\xbb\xbf{}", b'{"KeyId":"\xff"}', b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b"[" * 100_000, b'{"KeyId":"' + b"x" * 300_000 + b'"}', b'{"Plaintext":"!!!","KeyId":"x"}',
    b'{"KeyId":"\\ud800"}', b'{"EncryptionContext":{"a":1},"KeyId":"x","Plaintext":"eA=="}',
    b'{"EncryptionContext":[],"KeyId":"x","Plaintext":"eA=="}', b'{"KeyId":NaN}',
])
def test_sec_n88_documents(raw, body):
    """Refused as the client's fault; and a good request after it is served."""
    for operation in ("Encrypt", "DescribeKey", "GenerateDataKey"):
        answer = call(raw, operation, body)
        assert answer.status in (400, 413), (operation, answer)
        assert answer.code and "Internal" not in answer.code
    assert call(raw, "ListKeys", {}).status == 200


@pytest.mark.parametrize("headers", [
    {"content-type": "application/json"}, {"content-type": "text/plain"}, {"content-type": ""},
    {"content-encoding": "gzip"},
])
def test_sec_n88_content_headers(raw, headers):
    assert call(raw, "ListKeys", {}, headers).status == 400


def test_sec_n15_body_is_signed(raw, kms):
    """The signature of a call covers its document."""
    answer = call(raw, "ListKeys", {}, raw_body=b'{"Limit":1}')
    assert answer.status in (400, 403)
    assert "Keys" not in answer.body.decode()


def test_over_http_on_loopback(server, key):
    """Plain HTTP is for this machine only, and the whole of this test is on it."""
    client = kms_client(server, "http")
    assert client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Arn"] == key["Arn"]
    assert call(Client(server, "http"), "ListKeys", {}).status == 200


def test_default_key_of_s3(kms, s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    meta = kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]
    assert meta["Arn"] == put["SSEKMSKeyId"]
    assert meta["KeyManager"] == "AWS"
    assert meta["Description"] == (
        "Default key that protects my S3 objects when no other key is defined"
    )
    with pytest.raises(Exception) as caught:
        kms.disable_key(KeyId=meta["KeyId"])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


@pytest.fixture
def sealed(s3, kms, key):
    """Objects and an open upload under a key of the test's own."""
    name = bucket_name("dis")
    sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key["KeyId"]}
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="small", Body=b"x", ChecksumAlgorithm="SHA256", **sse)
    s3.put_object(Bucket=name, Key="large", Body=noise(300_000), **sse)
    upload = s3.create_multipart_upload(Bucket=name, Key="m", **sse)["UploadId"]
    s3.upload_part(Bucket=name, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    yield name, upload, sse
    kms.enable_key(KeyId=key["KeyId"])
    empty_and_delete(s3, name)


def test_disabling_a_key_stops_put_and_get_at_once(s3, kms, key, sealed):
    bucket, upload, sse = sealed
    source = {"Bucket": bucket, "Key": "large"}
    calls = {
        "PUT": lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x", **sse),
        "GET": lambda: s3.get_object(Bucket=bucket, Key="small"),
        "large GET": lambda: s3.get_object(Bucket=bucket, Key="large"),
        "range": lambda: s3.get_object(Bucket=bucket, Key="large", Range="bytes=0-0"),
        "copy from": lambda: s3.copy_object(Bucket=bucket, Key="new", CopySource=source),
        "copy to": lambda: s3.copy_object(Bucket=bucket, Key="new", CopySource=source, **sse),
        "create": lambda: s3.create_multipart_upload(Bucket=bucket, Key="new", **sse),
        "part": lambda: s3.upload_part(
            Bucket=bucket, Key="m", UploadId=upload, PartNumber=2, Body=b"x"
        ),
        "part copy": lambda: s3.upload_part_copy(
            Bucket=bucket, Key="m", UploadId=upload, PartNumber=2, CopySource=source
        ),
        "HEAD checksum": lambda: s3.head_object(Bucket=bucket, Key="small", ChecksumMode="ENABLED"),
    }
    message = f"{key['Arn']} is disabled."
    for _ in range(2):
        kms.disable_key(KeyId=key["KeyId"])
        for name, call_it in calls.items():
            if name.startswith("HEAD"):
                with refused("400", 400):
                    call_it()
                continue
            with refused("KMS.DisabledException", 400, message):
                call_it()
        for call_it in (
            lambda: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x"),
            lambda: kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256"),
        ):
            with refused("DisabledException", 400, message):
                call_it()
        # HEAD asks the key service nothing; deletion and listing neither.
        assert s3.head_object(Bucket=bucket, Key="small")["SSEKMSKeyId"] == key["Arn"]
        names = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
        assert names == ["large", "small"]
        kms.enable_key(KeyId=key["KeyId"])
        assert read(s3.get_object(Bucket=bucket, Key="small")) == b"x"
        assert read(s3.get_object(Bucket=bucket, Key="large")) == noise(300_000)
    part = s3.list_parts(Bucket=bucket, Key="m", UploadId=upload)["Parts"]
    assert [p["PartNumber"] for p in part] == [1]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="m", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part[0]["ETag"]}]},
    )
    assert read(s3.get_object(Bucket=bucket, Key="m")) == b"x"


def test_abort_and_delete_need_no_key(s3, kms, key, sealed):
    bucket, upload, _ = sealed
    kms.disable_key(KeyId=key["KeyId"])
    s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    s3.delete_object(Bucket=bucket, Key="small")


def test_sec_n82_blob_of_s3_is_bound_to_its_object(s3, kms, key, bucket):
    """A data key that a client makes for its own context opens nothing of S3's."""
    made = kms.generate_data_key(
        KeyId=key["KeyId"], KeySpec="AES_256",
        EncryptionContext={"aws:s3:arn": f"arn:aws:s3:::{bucket}/k"},
    )
    with refused("InvalidCiphertextException", 400):
        kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={
            "aws:s3:arn": f"arn:aws:s3:::{bucket}/other",
        })
