# SPDX-License-Identifier: Apache-2.0
"""What each state of a key allows: every operation in every state, and scheduled deletion."""

import datetime

import botocore
import pytest

from clients import read, refused
from keys import ARN, ROOT, metadata, state
from people import DELEGATE, document

STATES = ["Enabled", "Disabled", "PendingDeletion", "PendingImport"]
USES = "crypto"  # refused in all states but Enabled
ANY = "any"  # allowed in all states
LIVE = "live"  # refused while deletion is pending
OPERATIONS = {
    "Encrypt": (USES, {"Plaintext": b"x"}), "Decrypt": (USES, {"CiphertextBlob": "own"}),
    "ReEncrypt": (USES, {"CiphertextBlob": "own", "DestinationKeyId": "own"}),
    "GenerateDataKey": (USES, {"KeySpec": "AES_256"}),
    "GenerateDataKeyWithoutPlaintext": (USES, {"KeySpec": "AES_256"}),
    "GenerateDataKeyPair": (USES, {"KeyPairSpec": "ECC_NIST_P256"}),
    "GenerateDataKeyPairWithoutPlaintext": (USES, {"KeyPairSpec": "ECC_NIST_P256"}),
    "CreateGrant": (USES, {"GranteePrincipal": ROOT, "Operations": ["Decrypt"]}),
    "EnableKeyRotation": (USES, {}), "DisableKeyRotation": (USES, {}), "RotateKeyOnDemand": (USES, {}),
    "DescribeKey": (ANY, {}), "ListGrants": (ANY, {}), "ListKeyPolicies": (ANY, {}),
    "GetKeyPolicy": (ANY, {}), "ListResourceTags": (ANY, {}), "ListAliases": (ANY, {}),
    "GetKeyLastUsage": (ANY, {}),
    "UpdateKeyDescription": (LIVE, {"Description": "x"}), "TagResource": (LIVE, {"Tags": []}),
    "UntagResource": (LIVE, {"TagKeys": []}), "CreateAlias": (LIVE, {"AliasName": "fresh"}),
}
# What is refused of a key whose material was made elsewhere, whatever its state.
NOT_OF_EXTERNAL = ("EnableKeyRotation", "DisableKeyRotation")


class Subject:
    """A key in one state, with a ciphertext of its own from before."""

    def __init__(self, kms, wanted):
        self.kms = kms
        origin = "EXTERNAL" if wanted == "PendingImport" else "AWS_KMS"
        made = kms.create_key(Origin=origin)["KeyMetadata"]
        self.id, self.arn = made["KeyId"], made["Arn"]
        self.blob = b"x" * 100
        if origin == "AWS_KMS":
            self.blob = kms.encrypt(KeyId=self.id, Plaintext=b"x")["CiphertextBlob"]
        if wanted == "Disabled":
            kms.disable_key(KeyId=self.id)
        if wanted == "PendingDeletion":
            kms.schedule_key_deletion(KeyId=self.id)
        assert state(kms, self.id) == wanted

    def call(self, operation, arguments):
        own = {"CiphertextBlob": self.blob, "DestinationKeyId": self.id}
        given = {name: own[name] if value == "own" else value for name, value in arguments.items()}
        if operation == "ReEncrypt":
            given["SourceKeyId"] = self.id
        elif operation == "CreateAlias":
            given |= {"AliasName": f"alias/of-{self.id}", "TargetKeyId": self.id}
        else:
            given["KeyId"] = self.id
        return getattr(self.kms, botocore.xform_name(operation))(**given)


def refusal(operation, kind, wanted, arn):
    """Code and message; None where the operation is allowed."""
    if kind == ANY or wanted == "Enabled":
        return None
    if kind == LIVE and wanted != "PendingDeletion":
        return None
    if wanted == "PendingImport" and operation in NOT_OF_EXTERNAL:
        return "UnsupportedOperationException", None
    return {
        "Disabled": ("DisabledException", f"{arn} is disabled."),
        "PendingDeletion": ("KMSInvalidStateException", f"{arn} is pending deletion."),
        "PendingImport": ("KMSInvalidStateException", f"{arn} is pending import."),
    }[wanted]


@pytest.mark.parametrize("wanted", STATES)
def test_sec_n70_every_operation_in_every_state(kms, wanted):
    subject = Subject(kms, wanted)
    for operation, (kind, arguments) in OPERATIONS.items():
        if wanted == "PendingImport" and operation in ("Decrypt", "ReEncrypt"):
            continue  # there is no ciphertext yet; the tests of imports have one
        expected = refusal(operation, kind, wanted, subject.arn)
        if expected is None:
            subject.call(operation, arguments)
            continue
        code, message = expected
        with refused(code, 400, message):
            subject.call(operation, arguments)
        assert state(kms, subject.id) == wanted, operation


@pytest.mark.parametrize("wanted", STATES)
def test_sec_n70_policy_and_alias_of_a_key_that_waits(kms, wanted):
    """An alias can always be taken off, and rotation is told of."""
    subject = Subject(kms, "Enabled" if wanted != "PendingImport" else wanted)
    name = f"alias/off-{subject.id}"
    kms.create_alias(AliasName=name, TargetKeyId=subject.id)
    if wanted == "Disabled":
        kms.disable_key(KeyId=subject.id)
    if wanted == "PendingDeletion":
        kms.schedule_key_deletion(KeyId=subject.id)
    kms.delete_alias(AliasName=name)
    if wanted in ("Enabled", "Disabled"):
        assert kms.get_key_rotation_status(KeyId=subject.id)["KeyRotationEnabled"] is False
        kms.put_key_policy(KeyId=subject.id, Policy=document(DELEGATE))


@pytest.mark.parametrize("operation,forms", [
    ("EnableKey", {"Enabled": None, "Disabled": None, "PendingDeletion": "is pending deletion.",
                   "PendingImport": "is pending import."}),
    ("DisableKey", {"Enabled": None, "Disabled": None, "PendingDeletion": "is pending deletion.",
                    "PendingImport": "is pending import."}),
    ("CancelKeyDeletion", {"Enabled": "is not pending deletion.", "Disabled": "is not pending deletion.",
                           "PendingDeletion": None, "PendingImport": "is not pending deletion."}),
    ("ScheduleKeyDeletion", {"Enabled": None, "Disabled": None, "PendingDeletion": "is pending deletion.",
                             "PendingImport": None}),
])
def test_sec_n70_changes_of_state(kms, operation, forms):
    for wanted, text in forms.items():
        subject = Subject(kms, wanted)
        if text is None:
            subject.call(operation, {})
            continue
        with refused("KMSInvalidStateException", 400, f"{subject.arn} {text}"):
            subject.call(operation, {})
        assert state(kms, subject.id) == wanted


@pytest.mark.parametrize("kind,call", [
    (("ECC_NIST_P256", "SIGN_VERIFY"), {"sign": {"Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}}),
    (("HMAC_256", "GENERATE_VERIFY_MAC"), {"generate_mac": {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}}),
    (("ECC_NIST_P256", "KEY_AGREEMENT"), {"derive_shared_secret": {"KeyAgreementAlgorithm": "ECDH"}}),
])
def test_sec_n70_keys_of_other_kinds(kms, make_key, ring, kind, call):
    key = make_key(KeySpec=kind[0], KeyUsage=kind[1])
    [(name, arguments)] = call.items()
    if name == "derive_shared_secret":
        arguments = arguments | {"PublicKey": kms.get_public_key(KeyId=ring[kind]["KeyId"])["PublicKey"]}
    calls = [lambda: getattr(kms, name)(KeyId=key, **arguments)]
    if name == "sign":
        signature = calls[0]()["Signature"]
        calls += [lambda: kms.verify(KeyId=key, Signature=signature, **arguments)]
    if name == "generate_mac":
        mac = calls[0]()["Mac"]
        calls += [lambda: kms.verify_mac(KeyId=key, Mac=mac, **arguments)]
    if kind[0] != "HMAC_256":
        calls += [lambda: kms.get_public_key(KeyId=key)]
    arn = f"{ARN}:key/{key}"
    kms.disable_key(KeyId=key)
    for one in calls:
        with refused("DisabledException", 400, f"{arn} is disabled."):
            one()
    kms.schedule_key_deletion(KeyId=key)
    for one in calls:
        with refused("KMSInvalidStateException", 400, f"{arn} is pending deletion."):
            one()


# ---- scheduled deletion -------------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 7, 8, 30])
def test_schedule_and_cancel(kms, key, alias, window):
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    before = datetime.datetime.now(datetime.timezone.utc)
    arguments = {} if window is None else {"PendingWindowInDays": window}
    answer = kms.schedule_key_deletion(KeyId=key, **arguments)
    days = window or 30
    assert (answer["KeyId"], answer["KeyState"]) == (f"{ARN}:key/{key}", "PendingDeletion")
    assert answer["PendingWindowInDays"] == days
    wait = answer["DeletionDate"] - before
    assert abs(wait - datetime.timedelta(days=days)) < datetime.timedelta(days=1, minutes=1)
    waiting = metadata(kms, alias)
    assert (waiting["KeyState"], waiting["Enabled"]) == ("PendingDeletion", False)
    assert waiting["DeletionDate"] == answer["DeletionDate"]
    with refused("KMSInvalidStateException", 400, f"{ARN}:key/{key} is pending deletion."):
        kms.decrypt(CiphertextBlob=blob)
    assert kms.cancel_key_deletion(KeyId=key)["KeyId"] == f"{ARN}:key/{key}"
    kept = metadata(kms, key)
    assert kept["KeyState"] == "Disabled" and "DeletionDate" not in kept
    with refused("DisabledException", 400):
        kms.decrypt(CiphertextBlob=blob)
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert metadata(kms, alias)["KeyId"] == key


@pytest.mark.parametrize("days", [6, 31, 0, -1, 1, 365, 366, 2**31, "7", 7.5])
def test_sec_n86_windows(by_hand, kms, key, days):
    answer = by_hand("ScheduleKeyDeletion", {"KeyId": key, "PendingWindowInDays": days})
    assert answer.status == 400
    assert answer.code in ("ValidationException", "SerializationException"), answer.body
    assert state(kms, key) == "Enabled"


def test_sec_n86_keys_of_a_service_stay(kms, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    own = metadata(kms, "alias/aws/s3")["KeyId"]
    for call in (
        lambda: kms.schedule_key_deletion(KeyId=own), lambda: kms.disable_key(KeyId=own),
        lambda: kms.put_key_policy(KeyId=own, Policy=document(DELEGATE)),
        lambda: kms.update_key_description(KeyId=own, Description="mine"),
        lambda: kms.tag_resource(KeyId=own, Tags=[{"TagKey": "a", "TagValue": "b"}]),
        lambda: kms.enable_key_rotation(KeyId=own), lambda: kms.rotate_key_on_demand(KeyId=own),
        lambda: kms.create_grant(KeyId=own, GranteePrincipal=ROOT, Operations=["Decrypt"]),
        lambda: kms.encrypt(KeyId=own, Plaintext=b"x"),
        lambda: kms.generate_data_key(KeyId=own, KeySpec="AES_256"),
    ):
        with refused("AccessDeniedException", 400):
            call()
    assert state(kms, own) == "Enabled"
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


def test_s3_while_deletion_is_pending(kms, s3, bucket, key):
    sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **sse)
    kms.schedule_key_deletion(KeyId=key)
    text = f"{ARN}:key/{key} is pending deletion."
    with refused("KMS.KMSInvalidStateException", 400, text):
        s3.get_object(Bucket=bucket, Key="k")
    with refused("KMS.KMSInvalidStateException", 400, text):
        s3.put_object(Bucket=bucket, Key="n", Body=b"x", **sse)
    s3.head_object(Bucket=bucket, Key="k")
    kms.cancel_key_deletion(KeyId=key)
    with refused("KMS.DisabledException", 400, f"{ARN}:key/{key} is disabled."):
        s3.get_object(Bucket=bucket, Key="k")
    kms.enable_key(KeyId=key)
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


def test_s3_and_keys_of_other_kinds(kms, s3, bucket, ring, make_key):
    """SSE-KMS takes symmetric keys only, and a key without material says so."""
    for kind in (("RSA_2048", "ENCRYPT_DECRYPT"), ("RSA_2048", "SIGN_VERIFY"),
                 ("HMAC_256", "GENERATE_VERIFY_MAC"), ("ECC_NIST_P256", "KEY_AGREEMENT")):
        with refused("KMS.InvalidKeyUsageException", 400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms",
                          SSEKMSKeyId=ring[kind]["KeyId"])
    waiting = make_key(Origin="EXTERNAL")
    with refused("KMS.KMSInvalidStateException", 400, f"{ARN}:key/{waiting} is pending import."):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=waiting)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
