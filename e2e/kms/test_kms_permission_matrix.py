# SPDX-License-Identifier: Apache-2.0
"""Every operation with a key: refused without its permission, allowed with it alone, refused by an
explicit deny, allowed by a grant where grants may allow it, and never by a grant against a deny."""

import json
import uuid
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import clients
from clients import refused
from keys import ARN, ROOT, SYMMETRIC
from people import DELEGATE, User, allow, deny, document
from strongroom import REGION
from test_kms_import import KEEP, Import

SIGN = ("ECC_NIST_P256", "SIGN_VERIFY")
MAC = ("HMAC_256", "GENERATE_VERIFY_MAC")
AGREE = ("ECC_NIST_P256", "KEY_AGREEMENT")
MESSAGE = {"Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
MACCED = {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
PAIR = {"KeyPairSpec": "ECC_NIST_P256"}
POINT = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
    Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PEER = {"PublicKey": POINT, "KeyAgreementAlgorithm": "ECDH"}
RSA_WAY = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}


@dataclass
class Case:
    """How an operation is called on a key."""

    kind: object = SYMMETRIC
    # What the operation takes; or a function of the root's client and the key that makes it.
    arguments: object = None
    # Whether a grant can allow it.
    grantable: bool = False
    # Actions that the operation needs besides its own.
    besides: tuple = ()
    # The action, where it is not named like the operation.
    action: str = None
    # The parameter that names the key; None if the ciphertext does.
    names_key: str = "KeyId"


def blob(kms, key):
    return {"CiphertextBlob": kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]}


def re_encrypt(kms, key):
    return blob(kms, key) | {"DestinationKeyId": key}


def signature(kms, key):
    return MESSAGE | {"Signature": kms.sign(KeyId=key, **MESSAGE)["Signature"]}


def mac(kms, key):
    return MACCED | {"Mac": kms.generate_mac(KeyId=key, **MACCED)["Mac"]}


def material(kms, key):
    parameters = Import(kms, key)
    token = parameters.got["ImportToken"]
    return {"ImportToken": token, "EncryptedKeyMaterial": parameters.wrapped(b"m" * 32)} | KEEP


def imported(kms, key):
    Import(kms, key).send(b"m" * 32)
    return {}


def disabled(kms, key):
    kms.disable_key(KeyId=key)
    return {}


def pending(kms, key):
    kms.schedule_key_deletion(KeyId=key)
    return {}


def given(kms, key):
    made = kms.create_grant(KeyId=key, GranteePrincipal=ROOT, Operations=["Decrypt"])
    return {"GrantId": made["GrantId"]}


def an_alias():
    return {"AliasName": f"alias/m-{uuid.uuid4().hex}"}


def with_alias(kms, key):
    named = an_alias()
    kms.create_alias(TargetKeyId=key, **named)
    return named


CASES = {
    "CancelKeyDeletion": Case(arguments=pending),
    "CreateAlias": Case(arguments=lambda kms, key: an_alias(), names_key="TargetKeyId"),
    "CreateGrant": Case(arguments={"GranteePrincipal": ROOT, "Operations": ["Decrypt"]}, grantable=True),
    "Decrypt": Case(arguments=blob, grantable=True, names_key=None),
    "DeleteAlias": Case(arguments=with_alias, names_key=None),
    "DeleteImportedKeyMaterial": Case(kind="EXTERNAL", arguments=imported),
    "DeriveSharedSecret": Case(kind=AGREE, arguments=PEER, grantable=True),
    "DescribeKey": Case(grantable=True),
    "DisableKey": Case(),
    "DisableKeyRotation": Case(),
    "EnableKey": Case(arguments=disabled),
    "EnableKeyRotation": Case(),
    "Encrypt": Case(arguments={"Plaintext": b"x"}, grantable=True),
    "GenerateDataKey": Case(arguments={"KeySpec": "AES_256"}, grantable=True),
    "GenerateDataKeyPair": Case(arguments=PAIR, grantable=True),
    "GenerateDataKeyPairWithoutPlaintext": Case(arguments=PAIR, grantable=True),
    "GenerateDataKeyWithoutPlaintext": Case(arguments={"KeySpec": "AES_256"}, grantable=True),
    "GenerateMac": Case(kind=MAC, arguments=MACCED, grantable=True),
    "GetKeyLastUsage": Case(),
    "GetKeyPolicy": Case(),
    "GetKeyRotationStatus": Case(),
    "GetParametersForImport": Case(kind="EXTERNAL", arguments=RSA_WAY),
    "GetPublicKey": Case(kind=SIGN, grantable=True),
    "ImportKeyMaterial": Case(kind="EXTERNAL", arguments=material),
    "ListGrants": Case(),
    "ListKeyPolicies": Case(),
    "ListKeyRotations": Case(),
    "ListResourceTags": Case(),
    "PutKeyPolicy": Case(arguments={"Policy": document(DELEGATE)}),
    "ReEncrypt": Case(arguments=re_encrypt, grantable=True, names_key=None,
                      action="kms:ReEncryptFrom", besides=("kms:ReEncryptTo",)),
    "ReEncrypt (to)": Case(arguments=re_encrypt, grantable=True, names_key=None,
                           action="kms:ReEncryptTo", besides=("kms:ReEncryptFrom",)),
    "RevokeGrant": Case(arguments=given),
    "RotateKeyOnDemand": Case(),
    "ScheduleKeyDeletion": Case(),
    "Sign": Case(kind=SIGN, arguments=MESSAGE, grantable=True),
    "TagResource": Case(arguments={"Tags": [{"TagKey": "a", "TagValue": "b"}]}),
    "UntagResource": Case(arguments={"TagKeys": ["a"]}),
    "UpdateAlias": Case(arguments=with_alias, names_key="TargetKeyId"),
    "UpdateKeyDescription": Case(arguments={"Description": "d"}),
    "Verify": Case(kind=SIGN, arguments=signature, grantable=True),
    "VerifyMac": Case(kind=MAC, arguments=mac, grantable=True),
}
# Those that concern no key, or that the grant itself allows, have tests of their own.
ELSEWHERE = {"CreateKey", "GenerateRandom", "ListAliases", "ListKeys", "ListRetirableGrants", "RetireGrant"}
UNSUPPORTED = {
    "ConnectCustomKeyStore", "CreateCustomKeyStore", "Decapsulate", "Encapsulate", "DeleteCustomKeyStore", "DescribeCustomKeyStores",
    "DisconnectCustomKeyStore", "UpdateCustomKeyStore", "ReplicateKey", "UpdatePrimaryRegion",
}


def test_sec_n36_the_matrix_has_every_operation(kms):
    operations = {name.split(" ")[0] for name in CASES}
    assert operations | ELSEWHERE | UNSUPPORTED == set(kms.meta.service_model.operation_names)
    assert not operations & (ELSEWHERE | UNSUPPORTED)


@pytest.fixture(scope="module")
def user(server):
    made = User(server, document(allow("s3:ListAllMyBuckets")))
    # What is called here is refused on purpose: it says nothing about compatibility.
    made.kms = clients.session(made.credential).client(
        "kms", endpoint_url=server.url(), verify=server.ca, region_name=REGION)
    yield made
    made.remove()


def make_key_of(kms, kind):
    wanted = {"Origin": "EXTERNAL"} if kind == "EXTERNAL" else {"KeySpec": kind[0], "KeyUsage": kind[1]}
    return kms.create_key(Description="matrix", **wanted)["KeyMetadata"]["KeyId"]


@pytest.mark.parametrize("name", CASES)
def test_sec_n36_permission_matrix(kms, user, name):
    case = CASES[name]
    operation = name.split(" ")[0]
    action = case.action or f"kms:{operation}"
    key = make_key_of(kms, case.kind)
    arguments = case.arguments(kms, key) if callable(case.arguments) else dict(case.arguments or {})
    if case.names_key:
        arguments[case.names_key] = key
    method = getattr(user.kms, clients.method_of(operation))
    members = kms.meta.service_model.operation_model(operation).input_shape.members

    def is_refused():
        """Twice where it can be: a dry run tells no more than the call."""
        for more in ({}, {"DryRun": True}) if "DryRun" in members else ({},):
            with refused("AccessDeniedException", 400) as caught:
                method(**arguments, **more)
            message = caught.value.response["Error"]["Message"]
            assert message.startswith(
                f"User: {user.arn} is not authorized to perform: {action} on resource: {ARN}:"), message
            assert set(caught.value.response) <= {"Error", "ResponseMetadata", "message", "__type"}

    # Everything else is allowed; on this key, and also the same on every other key.
    everything_else = allow(None, NotAction=action)
    user.set_policy(document(everything_else))
    is_refused()
    other_key = f"{ARN}:key/{uuid.uuid4()}"
    user.set_policy(document(everything_else, allow(action, other_key)))
    is_refused()
    # An explicit deny beats what allows it.
    user.set_policy(document(allow("kms:*"), deny(action)))
    is_refused()
    # With a grant: those operations that grants are about, and only while nothing denies them.
    if case.grantable:
        words = [word.removeprefix("kms:") for word in (action, *case.besides)]
        more = ["Decrypt"] if operation == "CreateGrant" else []
        grant = kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=[*words, *more])
        is_refused()
        user.set_policy(document(allow("s3:ListAllMyBuckets")))
        method(**arguments)
        if operation == "CreateGrant":
            with refused("AccessDeniedException"):
                method(**arguments | {"Operations": ["Encrypt"]})
        kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
        user.set_policy(document(allow(["s3:ListAllMyBuckets", *case.besides])))
        is_refused()
    else:
        word = action.removeprefix("kms:")
        with refused("ValidationException", 400):
            kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=[word])
    # A key policy that denies beats every identity policy and grant. Root puts it, and takes it
    # away again.
    if case.kind != "EXTERNAL" and operation not in ("CancelKeyDeletion", "DeleteAlias"):
        user.set_policy(document(allow("kms:*")))
        forbids = deny(action, principal=user.arn)
        kms.put_key_policy(KeyId=key, Policy=document(DELEGATE, forbids))
        is_refused()
        kms.put_key_policy(KeyId=key, Policy=document(DELEGATE))
    # And with the permission alone it is done.
    aliases = f"{ARN}:alias/*"
    user.set_policy(document(allow([action, *case.besides], [f"{ARN}:key/{key}", aliases])))
    if "DryRun" in members:
        with refused("DryRunOperationException"):
            method(**arguments, DryRun=True)
    method(**arguments)


def test_sec_n36_every_refusal_of_the_matrix_is_recorded(server, kms, user):
    """The matrix refused each operation; run alone, this test does so for two."""
    key = make_key_of(kms, SYMMETRIC)
    user.set_policy(document(allow("s3:ListAllMyBuckets")))
    with refused("AccessDeniedException"):
        user.kms.rotate_key_on_demand(KeyId=key)
    with refused("AccessDeniedException"):
        user.kms.get_key_last_usage(KeyId=key)
    mine = [event for event in server.audit(settle=False) if event["userIdentity"].get("userName") == user.name]
    refusals = [event for event in mine if event.get("errorCode") == "AccessDenied"]
    assert {"RotateKeyOnDemand", "GetKeyLastUsage"} <= {event["eventName"] for event in refusals}
    for event in refusals:
        assert event["errorMessage"].startswith(f"User: {user.arn} is not authorized to perform: kms:")
        assert event["resources"], event["eventName"]
        assert event.get("responseElements") is None
    done = {event["eventName"] for event in mine if "errorCode" not in event}
    if len(done) > len(CASES) / 2:
        operations = {name.split(" ")[0] for name in CASES}
        assert operations == {event["eventName"] for event in refusals} & operations
        assert operations == done & operations
    assert json.dumps(refusals).count("plaintext") == 0
