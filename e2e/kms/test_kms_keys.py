# SPDX-License-Identifier: Apache-2.0
"""CreateKey, DescribeKey, ListKeys, UpdateKeyDescription, EnableKey, DisableKey."""

import datetime
import json
import re

import botocore
import pytest

from clients import refused
from keys import (
    ABSENT, ARN, ENCRYPTION, KINDS, MACS, SIGNING, SYMMETRIC, absent, metadata, pages, state,
)
from people import DEFAULT_KEY_POLICY, DELEGATE, document
from strongroom import ACCOUNT, REGION

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.mark.parametrize("spec,usage", KINDS)
def test_every_specification(kms, ring, spec, usage):
    made = ring[spec, usage]
    assert UUID.fullmatch(made["KeyId"])
    assert made["Arn"] == f"{ARN}:key/{made['KeyId']}"
    assert made["AWSAccountId"] == ACCOUNT
    assert (made["KeySpec"], made["CustomerMasterKeySpec"]) == (spec, spec)
    assert made["KeyUsage"] == usage
    assert (made["KeyState"], made["Enabled"]) == ("Enabled", True)
    assert (made["Origin"], made["KeyManager"]) == ("AWS_KMS", "CUSTOMER")
    assert made["MultiRegion"] is False and "MultiRegionConfiguration" not in made
    age = datetime.datetime.now(datetime.timezone.utc) - made["CreationDate"]
    assert abs(age) < datetime.timedelta(minutes=30)
    lists = {
        "EncryptionAlgorithms": ENCRYPTION.get(spec) if usage == "ENCRYPT_DECRYPT" else None,
        "SigningAlgorithms": SIGNING.get(spec) if usage == "SIGN_VERIFY" else None,
        "MacAlgorithms": [MACS[spec]] if usage == "GENERATE_VERIFY_MAC" else None,
        "KeyAgreementAlgorithms": ["ECDH"] if usage == "KEY_AGREEMENT" else None,
    }
    for name, expected in lists.items():
        assert sorted(made.get(name, [])) == sorted(expected or []), name
    if (spec, usage) == SYMMETRIC:
        assert re.fullmatch("[0-9a-f]{64}", made["CurrentKeyMaterialId"])
    for name in ("DeletionDate", "ValidTo", "ExpirationModel", "PendingDeletionWindowInDays"):
        assert name not in made
    assert metadata(kms, made["KeyId"]) == made


def test_defaults(kms):
    made = kms.create_key()["KeyMetadata"]
    assert (made["KeySpec"], made["KeyUsage"], made["Description"]) == (*SYMMETRIC, "")
    assert json.loads(kms.get_key_policy(KeyId=made["KeyId"])["Policy"]) == DEFAULT_KEY_POLICY
    assert kms.list_resource_tags(KeyId=made["KeyId"])["Tags"] == []


def test_the_older_name_of_the_specification(kms):
    made = kms.create_key(CustomerMasterKeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    assert made["KeyMetadata"]["KeySpec"] == "HMAC_256"


def test_everything_at_creation(kms):
    policy = document(DELEGATE, Id="mine")
    made = kms.create_key(
        Policy=policy, Description="all of it", KeyUsage="ENCRYPT_DECRYPT",
        KeySpec="SYMMETRIC_DEFAULT", Origin="AWS_KMS", BypassPolicyLockoutSafetyCheck=False,
        Tags=[{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": ""}], MultiRegion=False,
    )["KeyMetadata"]
    assert made["Description"] == "all of it"
    assert json.loads(kms.get_key_policy(KeyId=made["KeyId"])["Policy"]) == json.loads(policy)
    tags = kms.list_resource_tags(KeyId=made["KeyId"])["Tags"]
    assert tags == [{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": ""}]


def test_multi_region_keys_stay_in_their_region(kms):
    made = kms.create_key(MultiRegion=True)["KeyMetadata"]
    assert re.fullmatch("mrk-[0-9a-f]{32}", made["KeyId"])
    assert made["Arn"] == f"{ARN}:key/{made['KeyId']}" and made["MultiRegion"] is True
    assert made["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": {"Arn": made["Arn"], "Region": REGION}, "ReplicaKeys": [],
    }
    for name in (made["KeyId"], made["Arn"]):
        blob = kms.encrypt(KeyId=name, Plaintext=b"x")["CiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=blob, KeyId=name)["Plaintext"] == b"x"
    with refused("UnsupportedOperationException", 400):
        kms.replicate_key(KeyId=made["KeyId"], ReplicaRegion="eu-west-1")
    with refused("UnsupportedOperationException", 400):
        kms.update_primary_region(KeyId=made["KeyId"], PrimaryRegion="eu-west-1")


def test_external_keys_wait_for_material(kms):
    made = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]
    assert (made["Origin"], made["KeyState"], made["Enabled"]) == ("EXTERNAL", "PendingImport", False)
    assert "CurrentKeyMaterialId" not in made and "ExpirationModel" not in made


BAD_KEYS = [
    ({"KeySpec": "RSA_2048"}, "ValidationException"),  # RSA keys have no default usage
    ({"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "SIGN_VERIFY"}, "ValidationException"),
    ({"KeySpec": "ECC_NIST_P256", "KeyUsage": "ENCRYPT_DECRYPT"}, "ValidationException"),
    ({"KeySpec": "HMAC_256", "KeyUsage": "SIGN_VERIFY"}, "ValidationException"),
    ({"KeySpec": "RSA_2048", "KeyUsage": "GENERATE_VERIFY_MAC"}, "ValidationException"),
    ({"KeySpec": "RSA_2048", "KeyUsage": "KEY_AGREEMENT"}, "ValidationException"),
    ({"KeySpec": "ECC_NIST_EDWARDS25519", "KeyUsage": "KEY_AGREEMENT"}, "ValidationException"),
    ({"KeySpec": "AES_256"}, "ValidationException"),
    ({"KeyUsage": "EVERYTHING"}, "ValidationException"),
    ({"Origin": "ELSEWHERE"}, "ValidationException"),
    ({"KeySpec": "HMAC_256", "CustomerMasterKeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
     "ValidationException"),
    ({"Description": "x" * 8193}, "ValidationException"),
    ({"Tags": [{"TagKey": "", "TagValue": "x"}]}, "ValidationException"),
    ({"Tags": [{"TagKey": "x" * 129, "TagValue": "x"}]}, "ValidationException"),
    ({"Tags": [{"TagKey": "x", "TagValue": "x" * 257}]}, "ValidationException"),
    ({"Tags": [{"TagKey": "x", "TagValue": "1"}, {"TagKey": "x", "TagValue": "2"}]}, "TagException"),
    ({"Tags": [{"TagKey": f"{n}", "TagValue": ""} for n in range(51)]}, "TagException"),
    ({"Tags": [{"TagKey": "aws:x", "TagValue": "1"}]}, "TagException"),
    ({"Policy": "{"}, "MalformedPolicyDocumentException"),
    ({"Policy": "[]"}, "MalformedPolicyDocumentException"),
    ({"Policy": "{}"}, "MalformedPolicyDocumentException"),
    ({"CustomKeyStoreId": "cks-1234567890abcdef0"}, "UnsupportedOperationException"),
    ({"XksKeyId": "x"}, "UnsupportedOperationException"),
    ({"Origin": "AWS_CLOUDHSM"}, "UnsupportedOperationException"),
    ({"Origin": "EXTERNAL_KEY_STORE"}, "UnsupportedOperationException"),
    ({"KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
    ({"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
    ({"KeySpec": "ML_DSA_44", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
]


@pytest.mark.parametrize("arguments,code", BAD_KEYS)
def test_sec_n88_keys_that_cannot_be(by_hand, kms, arguments, code):
    before = len(pages(kms, "list_keys", "Keys"))
    answer = by_hand("CreateKey", arguments)
    assert (answer.status, answer.code) == (400, code), answer.body
    assert len(pages(kms, "list_keys", "Keys")) == before


@pytest.mark.parametrize("tags,message", [
    ([{"TagKey": "x", "TagValue": "1"}, {"TagKey": "x", "TagValue": "2"}], "Duplicate tag keys"),
    ([{"TagKey": f"{n}", "TagValue": ""} for n in range(51)], "Too many tags"),
    ([{"TagKey": "aws:x", "TagValue": "1"}], "Tags beginning with aws: are reserved"),
])
def test_sec_n88_tags_that_no_key_may_have(kms, tags, message):
    with refused("TagException", 400, message):
        kms.create_key(Tags=tags)


# ---- DescribeKey --------------------------------------------------------------------------------


def test_a_key_has_four_names(kms, key, alias):
    for name in (key, f"{ARN}:key/{key}", alias, f"{ARN}:{alias}"):
        assert metadata(kms, name)["KeyId"] == key


NOT_FOUND = [
    ("fake-key-id", "NotFoundException", "Invalid keyId 'fake-key-id'"),
    (ABSENT, "NotFoundException", absent()),
    (f"{ARN}:key/{ABSENT}", "NotFoundException", absent()),
    (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{ABSENT}", "NotFoundException", "Invalid arn eu-west-1"),
    ("alias/absent", "NotFoundException", f"Alias {ARN}:alias/absent is not found."),
    (f"{ARN}:alias/absent", "NotFoundException", f"Alias {ARN}:alias/absent is not found."),
    (f"arn:aws:s3:::{ABSENT}", "InvalidArnException", None),
    (f"{ARN}:grant/x", "InvalidArnException", None),
]

BY_NAME = {
    "DescribeKey": {}, "EnableKey": {}, "DisableKey": {}, "UpdateKeyDescription": {"Description": ""},
    "ScheduleKeyDeletion": {}, "CancelKeyDeletion": {}, "GetKeyPolicy": {}, "ListKeyPolicies": {},
    "PutKeyPolicy": {"Policy": document(DELEGATE)}, "EnableKeyRotation": {}, "DisableKeyRotation": {},
    "GetKeyRotationStatus": {}, "RotateKeyOnDemand": {}, "ListKeyRotations": {}, "TagResource": {"Tags": []},
    "UntagResource": {"TagKeys": []}, "ListResourceTags": {}, "ListGrants": {}, "RevokeGrant": {"GrantId": "0" * 64},
    "CreateGrant": {"GranteePrincipal": f"arn:aws:iam::{ACCOUNT}:root", "Operations": ["Decrypt"]},
    "GetParametersForImport": {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"},
    "DeleteImportedKeyMaterial": {}, "ImportKeyMaterial": {
        "ImportToken": "eA==", "EncryptedKeyMaterial": "eA==", "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"},
    "GetKeyLastUsage": {}, "GetPublicKey": {}, "Encrypt": {"Plaintext": "eA=="},
    "GenerateDataKey": {"KeySpec": "AES_256"}, "GenerateDataKeyWithoutPlaintext": {"KeySpec": "AES_256"},
    "GenerateDataKeyPair": {"KeyPairSpec": "ECC_NIST_P256"},
    "GenerateDataKeyPairWithoutPlaintext": {"KeyPairSpec": "ECC_NIST_P256"},
    "Sign": {"Message": "eA==", "SigningAlgorithm": "ECDSA_SHA_256"},
    "Verify": {"Message": "eA==", "SigningAlgorithm": "ECDSA_SHA_256", "Signature": "eA=="},
    "GenerateMac": {"Message": "eA==", "MacAlgorithm": "HMAC_SHA_256"},
    "VerifyMac": {"Message": "eA==", "MacAlgorithm": "HMAC_SHA_256", "Mac": "eA=="},
    "DeriveSharedSecret": {"KeyAgreementAlgorithm": "ECDH", "PublicKey": "eA=="},
}


@pytest.mark.parametrize("name,code,message", NOT_FOUND)
def test_sec_n70_names_of_no_key(kms, name, code, message):
    with refused(code, 400, message):
        kms.describe_key(KeyId=name)
    with refused(code, 400, message):
        kms.encrypt(KeyId=name, Plaintext=b"x")


@pytest.mark.parametrize("operation", sorted(BY_NAME))
def test_sec_n70_every_operation_on_an_absent_key(by_hand, operation):
    """NotFound, and neither another error nor a 500, whatever else the request says."""
    answer = by_hand(operation, {"KeyId": ABSENT} | BY_NAME[operation])
    assert (answer.status, answer.code, answer.message) == (400, "NotFoundException", absent())
    for wrong in ("", "x" * 2049):
        answer = by_hand(operation, {"KeyId": wrong} | BY_NAME[operation])
        assert (answer.status, answer.code) == (400, "ValidationException"), answer.body
    answer = by_hand(operation, BY_NAME[operation])
    assert (answer.status, answer.code) == (400, "ValidationException"), answer.body


ALIAS_IS_NO_NAME = [
    "EnableKey", "DisableKey", "UpdateKeyDescription", "ScheduleKeyDeletion", "CancelKeyDeletion",
    "GetKeyPolicy", "PutKeyPolicy", "ListKeyPolicies", "EnableKeyRotation", "DisableKeyRotation",
    "GetKeyRotationStatus", "RotateKeyOnDemand", "ListKeyRotations", "TagResource", "UntagResource",
    "ListResourceTags", "CreateGrant", "ListGrants", "RevokeGrant",
]


@pytest.mark.parametrize("operation", ALIAS_IS_NO_NAME)
def test_sec_n82_administration_takes_no_alias(by_hand, kms, key, alias, operation):
    """What changes a key names the key itself: an alias may point elsewhere a moment later."""
    before = metadata(kms, key)
    answer = by_hand(operation, {"KeyId": alias} | BY_NAME[operation])
    assert answer.status == 400 and answer.code in ("NotFoundException", "InvalidArnException"), answer.body
    assert metadata(kms, key) == before


# ---- ListKeys -----------------------------------------------------------------------------------


def test_list_keys_in_pages(kms, make_key):
    made = {make_key() for _ in range(3)}
    whole = pages(kms, "list_keys", "Keys")
    assert made <= {one["KeyId"] for one in whole}
    assert all(one["KeyArn"] == f"{ARN}:key/{one['KeyId']}" for one in whole)
    first = kms.list_keys(Limit=2)
    assert (len(first["Keys"]), first["Truncated"]) == (2, True)
    second = kms.list_keys(Limit=1, Marker=first["NextMarker"])
    assert second["Keys"] == whole[2:3]
    everything = kms.list_keys(Limit=1000)
    assert everything["Truncated"] is False and "NextMarker" not in everything
    assert kms.list_keys(Limit=1000, ResourceOwners=["SELF"])["Keys"] == everything["Keys"]
    with refused("UnsupportedOperationException", 400):
        kms.list_keys(ResourceOwners=["SELF", "OTHER_ACCOUNTS_VIA_RAM"])
    with refused("ValidationException", 400):
        kms.list_keys(ResourceOwners=["EVERYBODY"])


@pytest.mark.parametrize("arguments,code", [
    ({"Limit": 0}, "ValidationException"), ({"Limit": 1001}, "ValidationException"),
    ({"Limit": -1}, "ValidationException"), ({"Limit": "x"}, "SerializationException"),
    ({"Marker": "nonsense"}, "InvalidMarkerException"), ({"Marker": ""}, "ValidationException"),
    ({"Marker": "x" * 1025}, "ValidationException"),
])
@pytest.mark.parametrize("operation", ["ListKeys", "ListAliases", "ListResourceTags", "ListGrants",
                                       "ListRetirableGrants", "ListKeyRotations", "ListKeyPolicies"])
def test_sec_n83_pages_that_cannot_be(by_hand, ring, operation, arguments, code):
    more = {"ListKeys": {}, "ListAliases": {}, "ListRetirableGrants": {
        "RetiringPrincipal": f"arn:aws:iam::{ACCOUNT}:root"}}.get(operation)
    if more is None:
        more = {"KeyId": ring[SYMMETRIC]["KeyId"]}
    answer = by_hand(operation, more | arguments)
    # There is one policy, so its list has no second page; a marker means nothing there.
    if operation == "ListKeyPolicies" and code == "InvalidMarkerException":
        assert answer.status in (200, 400)
        return
    assert (answer.status, answer.code) == (400, code), answer.body


# ---- description and state ----------------------------------------------------------------------


def test_descriptions(kms, key):
    for text in ("another", "", "\u00e4\u00f6\u00fc \u20ac \U0001f512", "x" * 8192):
        kms.update_key_description(KeyId=key, Description=text)
        assert metadata(kms, key)["Description"] == text
    with refused("ValidationException", 400):
        kms.update_key_description(KeyId=key, Description="x" * 8193)
    assert metadata(kms, key)["Description"] == "x" * 8192


def test_enable_and_disable_twice(kms, key):
    for _ in range(2):
        kms.disable_key(KeyId=key)
        assert state(kms, key) == "Disabled"
    for _ in range(2):
        kms.enable_key(KeyId=f"{ARN}:key/{key}")
        assert state(kms, key) == "Enabled"


UNSUPPORTED = {
    "CreateCustomKeyStore": {"CustomKeyStoreName": "x"},
    "ConnectCustomKeyStore": {"CustomKeyStoreId": "cks-1234567890abcdef0"},
    "DisconnectCustomKeyStore": {"CustomKeyStoreId": "cks-1234567890abcdef0"},
    "DeleteCustomKeyStore": {"CustomKeyStoreId": "cks-1234567890abcdef0"},
    "UpdateCustomKeyStore": {"CustomKeyStoreId": "cks-1234567890abcdef0"},
    "DescribeCustomKeyStores": {},
    "Encapsulate": {"KeyId": ABSENT, "EncapsulationAlgorithm": "ML_KEM"},
    "Decapsulate": {"KeyId": ABSENT, "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": b"x"},
    "ReplicateKey": {"KeyId": ABSENT, "ReplicaRegion": "eu-west-1"},
    "UpdatePrimaryRegion": {"KeyId": ABSENT, "PrimaryRegion": "eu-west-1"},
}


@pytest.mark.parametrize("operation", sorted(UNSUPPORTED))
def test_operations_that_are_not_offered(kms, operation):
    call = getattr(kms, botocore.xform_name(operation))
    with refused("UnsupportedOperationException", 400) as caught:
        call(**UNSUPPORTED[operation])
    assert "not supported" in caught.value.response["Error"]["Message"]
