# SPDX-License-Identifier: Apache-2.0
"""GetKeyLastUsage: when a key was last used, and for what."""

import datetime

import pytest

import clients
from clients import read, refused
from keys import ARN


def last(kms, key):
    return kms.get_key_last_usage(KeyId=key)


def test_a_key_that_was_never_used(kms, key):
    made = kms.describe_key(KeyId=key)["KeyMetadata"]["CreationDate"]
    kms.get_key_policy(KeyId=key)
    kms.disable_key(KeyId=key)
    kms.enable_key(KeyId=key)
    with refused("InvalidCiphertextException"):
        kms.decrypt(KeyId=key, CiphertextBlob=b"x" * 100)
    with refused("DryRunOperationException"):
        kms.encrypt(KeyId=key, Plaintext=b"x", DryRun=True)
    got = last(kms, f"{ARN}:key/{key}")
    assert got["KeyLastUsage"] == {}
    assert got["KeyId"] in (key, f"{ARN}:key/{key}")
    assert got["KeyCreationDate"] == got["TrackingStartDate"] == made


def test_each_use_counts(server, kms, s3, bucket, key):
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    uses = [
        ("Encrypt", lambda: kms.encrypt(KeyId=key, Plaintext=b"x")),
        ("Decrypt", lambda: kms.decrypt(CiphertextBlob=blob)),
        ("GenerateDataKey", lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256")),
        ("GenerateDataKeyWithoutPlaintext", lambda: kms.generate_data_key_without_plaintext(
            KeyId=key, KeySpec="AES_256")),
        ("GenerateDataKeyPair", lambda: kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256")),
        ("ReEncrypt", lambda: kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)),
        ("GenerateDataKey", lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", **sse)),
        ("Decrypt", lambda: read(s3.get_object(Bucket=bucket, Key="k"))),
    ]
    for operation, use in uses:
        use()
        got = last(kms, key)["KeyLastUsage"]
        assert got["Operation"] == operation
        age = datetime.datetime.now(datetime.timezone.utc) - got["Timestamp"]
        assert abs(age) < datetime.timedelta(minutes=1)
        assert got["KmsRequestId"]
    event = {e["eventID"]: e for e in server.audit()}[got["CloudTrailEventId"]]
    assert (event["eventName"], event["resources"][0]["ARN"]) == ("Decrypt", f"{ARN}:key/{key}")


@pytest.mark.parametrize("kind,operation", [
    (("ECC_NIST_P256", "SIGN_VERIFY"), "Sign"), (("HMAC_256", "GENERATE_VERIFY_MAC"), "GenerateMac"),
])
def test_keys_of_other_kinds(kms, make_key, kind, operation):
    key = make_key(KeySpec=kind[0], KeyUsage=kind[1])
    if operation == "Sign":
        kms.sign(KeyId=key, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")
    else:
        kms.generate_mac(KeyId=key, Message=b"m", MacAlgorithm="HMAC_SHA_256")
    assert last(kms, key)["KeyLastUsage"]["Operation"] == operation


def test_it_outlives_a_stop(make_server):
    server = make_server()
    client = clients.kms(server)
    key = client.create_key()["KeyMetadata"]["KeyId"]
    client.encrypt(KeyId=key, Plaintext=b"x")
    before = last(client, key)
    server.restart()
    after = last(clients.kms(server), key)
    assert after["KeyLastUsage"] == before["KeyLastUsage"]
    assert after["TrackingStartDate"] == before["TrackingStartDate"]
