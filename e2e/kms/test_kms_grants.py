# SPDX-License-Identifier: Apache-2.0
"""Grants: create, list, use, constrain, retire, revoke."""

import pytest

from clients import refused
from keys import ABSENT, ARN, ROOT, SYMMETRIC, pages
from people import User, allow, deny, document, not_authorized
from strongroom import ACCOUNT

ALL = ["Encrypt", "Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom",
       "ReEncryptTo", "CreateGrant", "RetireGrant", "DescribeKey", "GenerateDataKeyPair",
       "GenerateDataKeyPairWithoutPlaintext"]
NOTHING = document(allow("sts:GetCallerIdentity"))


def grants(client, key, **arguments):
    return pages(client, "list_grants", "Grants", KeyId=key, **arguments)


@pytest.fixture(scope="module")
def somebody(server):
    """The ARN of a user whom grants name."""
    return User(server, NOTHING).arn


@pytest.fixture
def user(make_user):
    """A user whom nothing allows to use any key."""
    return make_user(NOTHING)


def test_life_of_a_grant(kms, key, somebody):
    made = kms.create_grant(
        KeyId=key, GranteePrincipal=somebody, RetiringPrincipal=ROOT, Operations=ALL, Name="mine:/_-1",
        Constraints={"EncryptionContextSubset": {"a": "b"}},
    )
    assert len(made["GrantId"]) == 64 and made["GrantToken"]
    [one] = grants(kms, key)
    assert one["GrantId"] == made["GrantId"] and one["KeyId"] == f"{ARN}:key/{key}"
    assert (one["GranteePrincipal"], one["RetiringPrincipal"]) == (somebody, ROOT)
    assert (one["Name"], sorted(one["Operations"])) == ("mine:/_-1", sorted(ALL))
    assert one["Constraints"] == {"EncryptionContextSubset": {"a": "b"}}
    assert one["IssuingAccount"] == ROOT and one["CreationDate"]
    assert [g["GrantId"] for g in kms.list_retirable_grants(RetiringPrincipal=ROOT)["Grants"]].count(
        made["GrantId"]) == 1
    kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])
    assert grants(kms, key) == []
    assert made["GrantId"] not in str(kms.list_retirable_grants(RetiringPrincipal=ROOT))


def test_a_name_makes_creation_idempotent(kms, key, somebody):
    same = {"KeyId": key, "GranteePrincipal": somebody, "Operations": ["Decrypt", "Encrypt"], "Name": "n"}
    first = kms.create_grant(**same)
    again = kms.create_grant(**same)
    assert again["GrantId"] == first["GrantId"] and again["GrantToken"]
    others = [
        kms.create_grant(**(same | {"Name": "other"}))["GrantId"],
        kms.create_grant(**(same | {"Operations": ["Decrypt"]}))["GrantId"],
        kms.create_grant(**(same | {"GranteePrincipal": ROOT}))["GrantId"],
        kms.create_grant(**(same | {"Constraints": {"EncryptionContextEquals": {"a": "b"}}}))["GrantId"],
    ]
    unnamed = {k: v for k, v in same.items() if k != "Name"}
    others += [kms.create_grant(**unnamed)["GrantId"] for _ in range(2)]
    assert len({first["GrantId"], *others}) == 7 == len(grants(kms, key))


def test_pages_and_filters(kms, key, somebody):
    made = [
        kms.create_grant(KeyId=key, GranteePrincipal=who, Operations=["Decrypt"], RetiringPrincipal=somebody)
        ["GrantId"] for who in (somebody, ROOT, somebody, ROOT, somebody)
    ]
    first = kms.list_grants(KeyId=key, Limit=2)
    assert (len(first["Grants"]), first["Truncated"]) == (2, True)
    rest = kms.list_grants(KeyId=key, Limit=1000, Marker=first["NextMarker"])
    assert (len(rest["Grants"]), rest["Truncated"]) == (3, False)
    assert {g["GrantId"] for g in grants(kms, key)} == set(made)
    assert {g["GrantId"] for g in grants(kms, key, GranteePrincipal=ROOT)} == {made[1], made[3]}
    assert [g["GrantId"] for g in grants(kms, key, GrantId=made[4])] == [made[4]]
    page = kms.list_retirable_grants(RetiringPrincipal=somebody, Limit=3)
    assert (len(page["Grants"]), page["Truncated"]) == (3, True)
    again = kms.list_retirable_grants(RetiringPrincipal=somebody, Limit=1000, Marker=page["NextMarker"])
    assert set(made) <= {g["GrantId"] for g in page["Grants"] + again["Grants"]}
    for one in made:
        kms.revoke_grant(KeyId=key, GrantId=one)


BAD = [
    ({"Operations": ["Everything"]}, "ValidationException"), ({"Operations": []}, "ValidationException"),
    ({"Operations": None}, "ValidationException"), ({"GranteePrincipal": None}, "ValidationException"),
    ({"GranteePrincipal": "x" * 257}, "ValidationException"), ({"GranteePrincipal": ""}, "ValidationException"),
    ({"GranteePrincipal": "somebody"}, "InvalidArnException"),
    ({"GranteePrincipal": f"arn:aws:s3:::{ACCOUNT}"}, "InvalidArnException"),
    ({"GranteePrincipal": f"arn:aws:iam::{ACCOUNT}:user/nobody"}, "InvalidArnException"),
    ({"RetiringPrincipal": "nobody"}, "InvalidArnException"),
    ({"RetiringPrincipal": f"arn:aws:iam::{ACCOUNT}:user/nobody"}, "InvalidArnException"),
    ({"Name": "a b"}, "ValidationException"), ({"Name": "x" * 257}, "ValidationException"),
    # What the key cannot do cannot be granted on it.
    ({"Operations": ["Sign"]}, "ValidationException"),
    ({"Operations": ["Decrypt", "GenerateMac"]}, "ValidationException"),
    ({"Constraints": {"EncryptionContextEquals": {"": "b"}}}, "ValidationException"),
    ({"Constraints": {"EncryptionContextEquals": {"a": "b"}, "EncryptionContextSubset": {"a": "b"}}},
     "ValidationException"),
    ({"GranteeServicePrincipal": "s3.amazonaws.com"}, ("UnsupportedOperationException", "ValidationException")),
    ({"RetiringServicePrincipal": "s3.amazonaws.com"}, ("UnsupportedOperationException", "ValidationException")),
    ({"Constraints": {"SourceArn": "arn:aws:s3:::b"}}, ("UnsupportedOperationException", "ValidationException")),
    ({"GrantTokens": ["nonsense"]}, "InvalidGrantTokenException"),
]


@pytest.mark.parametrize("wrong,code", BAD)
def test_sec_n37_grants_that_cannot_be(by_hand, kms, key, wrong, code, somebody):
    body = {"KeyId": key, "GranteePrincipal": somebody, "Operations": ["Decrypt"]} | wrong
    answer = by_hand("CreateGrant", {name: value for name, value in body.items() if value is not None})
    assert answer.status == 400 and answer.code in (code if isinstance(code, tuple) else (code,)), answer.body
    assert grants(kms, key) == []


def test_sec_n37_constraints_are_for_symmetric_keys(kms, ring, somebody):
    with refused("ValidationException", 400):
        kms.create_grant(KeyId=ring["RSA_2048", "ENCRYPT_DECRYPT"]["KeyId"], GranteePrincipal=somebody,
                         Operations=["Decrypt"], Constraints={"EncryptionContextEquals": {"a": "b"}})


def test_sec_n37_grants_that_are_not_there(kms, key, ring, somebody):
    made = kms.create_grant(KeyId=key, GranteePrincipal=somebody, Operations=["Decrypt"])["GrantId"]
    other = ring[SYMMETRIC]["KeyId"]
    for grant in ("0" * 64, made):
        with refused("InvalidGrantIdException", 400):
            kms.revoke_grant(KeyId=other, GrantId=grant)
        with refused("InvalidGrantIdException", 400):
            kms.retire_grant(KeyId=f"{ARN}:key/{other}", GrantId=grant)
    with refused("InvalidGrantTokenException", 400):
        kms.retire_grant(GrantToken="nonsense")
    for arguments in ({}, {"KeyId": f"{ARN}:key/{key}"}, {"GrantId": made}):
        with refused("ValidationException", 400):
            kms.retire_grant(**arguments)
    with refused("NotFoundException", 400):
        kms.revoke_grant(KeyId=ABSENT, GrantId=made)
    assert [g["GrantId"] for g in grants(kms, key)] == [made]


def test_dry_runs(kms, key, somebody):
    known = {"KeyId": key, "GranteePrincipal": somebody, "Operations": ["Decrypt"]}
    with refused("DryRunOperationException", 400):
        kms.create_grant(DryRun=True, **known)
    assert grants(kms, key) == []
    made = kms.create_grant(**known)
    with refused("DryRunOperationException", 400):
        kms.revoke_grant(KeyId=key, GrantId=made["GrantId"], DryRun=True)
    with refused("DryRunOperationException", 400):
        kms.retire_grant(GrantToken=made["GrantToken"], DryRun=True)
    assert len(grants(kms, key)) == 1


# ---- what a grant allows ------------------------------------------------------------------------


def test_a_grant_is_enough_and_its_end_is_the_end(kms, key, user):
    text = not_authorized(user, "kms:Encrypt", f"{ARN}:key/{key}")
    with refused("AccessDeniedException", 400) as caught:
        user.kms.encrypt(KeyId=key, Plaintext=b"x")
    assert caught.value.response["Error"]["Message"].startswith(text)
    made = kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=["Encrypt", "DescribeKey"])
    blob = user.kms.encrypt(KeyId=key, Plaintext=b"x", GrantTokens=[made["GrantToken"]])["CiphertextBlob"]
    assert user.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]  # without the token as well
    assert user.kms.describe_key(KeyId=key, GrantTokens=[made["GrantToken"]])
    for call in (
        lambda: user.kms.decrypt(CiphertextBlob=blob),
        lambda: user.kms.decrypt(CiphertextBlob=blob, GrantTokens=[made["GrantToken"]]),
        lambda: user.kms.disable_key(KeyId=key), lambda: user.kms.get_key_policy(KeyId=key),
        lambda: user.kms.list_grants(KeyId=key),
    ):
        with refused("AccessDeniedException", 400):
            call()
    kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])
    for tokens in ({}, {"GrantTokens": [made["GrantToken"]]}):
        with pytest.raises(Exception) as caught:
            user.kms.encrypt(KeyId=key, Plaintext=b"x", **tokens)
        assert caught.value.response["Error"]["Code"] in ("AccessDeniedException", "InvalidGrantTokenException")


@pytest.mark.parametrize("constraint,good,bad", [
    ("EncryptionContextEquals", [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}],
     [{}, {"a": "1"}, {"a": "1", "b": "3"}, {"a": "1", "b": "2", "c": "3"}, {"A": "1", "b": "2"}]),
    ("EncryptionContextSubset", [{"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}],
     [{}, {"a": "1"}, {"a": "1", "b": "3"}, {"A": "1", "b": "2"}]),
])
def test_sec_n37_constraints(kms, key, user, constraint, good, bad):
    kms.create_grant(
        KeyId=key, GranteePrincipal=user.arn, Operations=["Encrypt", "Decrypt", "GenerateDataKey"],
        Constraints={constraint: {"a": "1", "b": "2"}},
    )
    for context in good:
        blob = user.kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
        assert user.kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == b"x"
        user.kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)
    for context in bad:
        blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
        for call in (
            lambda: user.kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context),
            lambda: user.kms.decrypt(CiphertextBlob=blob, EncryptionContext=context),
            lambda: user.kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context),
        ):
            with refused("AccessDeniedException", 400):
                call()


def test_grants_of_a_signing_key(kms, make_key, user):
    key = make_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=["Verify", "GetPublicKey"])
    known = {"KeyId": key, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(**known)["Signature"]
    assert user.kms.verify(Signature=signature, **known)["SignatureValid"]
    assert user.kms.get_public_key(KeyId=key)["PublicKey"]
    with refused("AccessDeniedException", 400):
        user.kms.sign(**known)


def test_sec_n27_deny_beats_a_grant(kms, key, make_user):
    user = make_user(document(allow("kms:*"), deny("kms:Decrypt", f"{ARN}:key/{key}")))
    kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=["Encrypt", "Decrypt"])
    blob = user.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    with refused("AccessDeniedException", 400) as caught:
        user.kms.decrypt(CiphertextBlob=blob)
    assert "explicit deny" in caught.value.response["Error"]["Message"]


def test_sec_n37_grantees_pass_on_what_they_have(kms, key, make_user):
    """CreateGrant by a grant: no more operations than one's own, and no weaker constraint."""
    middle, last = make_user(NOTHING), make_user(NOTHING)
    kms.create_grant(
        KeyId=key, GranteePrincipal=middle.arn, Operations=["Decrypt", "CreateGrant"],
        Constraints={"EncryptionContextSubset": {"a": "1"}},
    )
    for more in (
        {"Operations": ["Encrypt"]}, {"Operations": ["Decrypt", "Encrypt"]}, {"Operations": ["Decrypt"]},
        {"Operations": ["Decrypt"], "Constraints": {"EncryptionContextSubset": {"b": "1"}}},
    ):
        with refused("AccessDeniedException", 400):
            middle.kms.create_grant(KeyId=key, GranteePrincipal=last.arn, **more)
    middle.kms.create_grant(
        KeyId=key, GranteePrincipal=last.arn, Operations=["Decrypt"],
        Constraints={"EncryptionContextSubset": {"a": "1", "b": "2"}},
    )
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"a": "1", "b": "2"})["CiphertextBlob"]
    assert last.kms.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "1", "b": "2"})["Plaintext"] == b"x"


# ---- retiring -----------------------------------------------------------------------------------


def test_sec_n37_who_may_retire(kms, key, make_user):
    retiring = make_user(document(allow("kms:ListRetirableGrants")))
    grantee, stranger = make_user(NOTHING), make_user(NOTHING)
    made = kms.create_grant(KeyId=key, GranteePrincipal=grantee.arn, RetiringPrincipal=retiring.arn,
                            Operations=["Decrypt"])
    for who in (stranger, grantee):
        for arguments in ({"KeyId": f"{ARN}:key/{key}", "GrantId": made["GrantId"]},
                          {"GrantToken": made["GrantToken"]}):
            with refused("AccessDeniedException", 400):
                who.kms.retire_grant(**arguments)
    assert [g["GrantId"] for g in retiring.kms.list_retirable_grants(RetiringPrincipal=retiring.arn)["Grants"]
            ] == [made["GrantId"]]
    retiring.kms.retire_grant(GrantToken=made["GrantToken"])
    assert grants(kms, key) == []
    own = kms.create_grant(KeyId=key, GranteePrincipal=grantee.arn, Operations=["Decrypt", "RetireGrant"])
    grantee.kms.retire_grant(KeyId=f"{ARN}:key/{key}", GrantId=own["GrantId"])
    assert grants(kms, key) == []


def test_sec_n35_grants_go_with_their_user(server, kms, key, make_user):
    """A user made again under the same name is another: it inherits no grant."""
    old = make_user(NOTHING)
    kms.create_grant(KeyId=key, GranteePrincipal=old.arn, Operations=["Encrypt"])
    assert old.kms.encrypt(KeyId=key, Plaintext=b"x")
    old.remove()
    new = User(server, NOTHING, name=old.name)
    with refused("AccessDeniedException", 400):
        new.kms.encrypt(KeyId=key, Plaintext=b"x")
