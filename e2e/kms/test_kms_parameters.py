# SPDX-License-Identifier: Apache-2.0
"""Every parameter that other tests use on some operations only, on all that have it."""

import base64
import datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clients import refused
from keys import AGREEMENT, ENCRYPTION, MACS, ROOT, SIGNING
from people import allow, document
from test_kms_import import Import, now

NOTHING = document(allow("sts:GetCallerIdentity"))


@pytest.fixture
def user(make_user):
    """A user whom nothing allows to use any key."""
    return make_user(NOTHING)


@pytest.fixture
def tokens(kms, user):
    """Grants a user operations on a key; answers with the token, as an argument."""
    def make(key, *operations):
        made = kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=list(operations))
        return {"GrantTokens": [made["GrantToken"]]}

    return make


def test_grant_tokens_of_symmetric_keys(user, key, make_key, tokens):
    token = tokens(key, "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair",
                   "GenerateDataKeyPairWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo", "CreateGrant", "Encrypt")
    user.kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256", **token)
    for call in (user.kms.generate_data_key_pair, user.kms.generate_data_key_pair_without_plaintext):
        assert call(KeyId=key, KeyPairSpec="ECC_NIST_P256", **token)["PublicKey"]
    blob = user.kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionAlgorithm="SYMMETRIC_DEFAULT", **token)
    assert blob["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    again = user.kms.re_encrypt(CiphertextBlob=blob["CiphertextBlob"], DestinationKeyId=key, **token)
    assert again["SourceKeyMaterialId"] == again["DestinationKeyMaterialId"]
    made = user.kms.create_grant(KeyId=key, GranteePrincipal=ROOT, Operations=["Encrypt"], **token)
    assert made["GrantId"]
    # The token of a grant allows nothing on another key.
    with refused("AccessDeniedException", 400):
        user.kms.encrypt(KeyId=make_key(), Plaintext=b"x", **token)


def test_grant_tokens_of_other_keys(user, ring, tokens):
    key = ring["ECC_NIST_P256", "SIGN_VERIFY"]["KeyId"]
    token = tokens(key, "Sign", "Verify", "GetPublicKey")
    known = {"KeyId": key, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"} | token
    signature = user.kms.sign(**known)["Signature"]
    assert user.kms.verify(Signature=signature, **known)["SignatureValid"]
    assert user.kms.get_public_key(KeyId=key, **token)["PublicKey"]
    key = ring["HMAC_256", "GENERATE_VERIFY_MAC"]["KeyId"]
    known = {"KeyId": key, "Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
    known |= tokens(key, "GenerateMac", "VerifyMac")
    assert user.kms.verify_mac(Mac=user.kms.generate_mac(**known)["Mac"], **known)["MacValid"]
    key = ring["ECC_NIST_P256", "KEY_AGREEMENT"]["KeyId"]
    own = ec.generate_private_key(ec.SECP256R1()).public_key()
    public = own.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    known = {"KeyId": key, "PublicKey": public, "KeyAgreementAlgorithm": "ECDH"}
    assert user.kms.derive_shared_secret(**known, **tokens(key, "DeriveSharedSecret"))["SharedSecret"]


@pytest.mark.parametrize("spec,usage", sorted(
    {(spec, "ENCRYPT_DECRYPT") for spec in ENCRYPTION} | {(spec, "GENERATE_VERIFY_MAC") for spec in MACS}
    | {(spec, "SIGN_VERIFY") for spec in SIGNING if spec.startswith("ECC")}))
def test_the_older_name_of_the_key_spec(kms, spec, usage):
    made = kms.create_key(CustomerMasterKeySpec=spec, KeyUsage=usage)["KeyMetadata"]
    assert made["KeySpec"] == made["CustomerMasterKeySpec"] == spec


@pytest.mark.parametrize("spec", ["RSA_4096", *AGREEMENT])
def test_pairs_without_plaintext(kms, key, spec):
    made = kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec=spec)
    assert made["KeyPairSpec"] == spec and "PrivateKeyPlaintext" not in made


def test_both_paddings_of_re_encryption(kms, key, ring):
    rsa = ring["RSA_2048", "ENCRYPT_DECRYPT"]["KeyId"]
    for padding in ENCRYPTION["RSA_2048"]:
        blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        there = kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=rsa, DestinationEncryptionAlgorithm=padding)
        assert there["DestinationEncryptionAlgorithm"] == padding and "DestinationKeyMaterialId" not in there
        back = kms.re_encrypt(
            CiphertextBlob=there["CiphertextBlob"], SourceKeyId=rsa, SourceEncryptionAlgorithm=padding,
            DestinationKeyId=key)
        assert kms.decrypt(CiphertextBlob=back["CiphertextBlob"])["Plaintext"] == b"x"


def test_services_are_no_principals(kms, by_hand, key):
    for operation, body in [
        ("ListGrants", {"KeyId": key, "GranteeServicePrincipal": "s3.amazonaws.com"}),
        ("ListRetirableGrants", {"RetiringServicePrincipal": "s3.amazonaws.com"}),
        ("CreateGrant", {"KeyId": key, "GranteePrincipal": ROOT, "Operations": ["Decrypt"],
                         "RetiringServicePrincipal": "s3.amazonaws.com"}),
    ]:
        answer = by_hand(operation, body)
        assert (answer.status, answer.code) == (400, "UnsupportedOperationException"), operation


def test_listings_say_where_to_go_on(kms, by_hand, key, make_key):
    """Each listing that can have two pages has them, with every member that says so."""
    for n in range(2):
        kms.create_alias(AliasName=f"alias/pages-{key}-{n}", TargetKeyId=key)
        kms.create_grant(KeyId=key, GranteePrincipal=ROOT, RetiringPrincipal=ROOT, Operations=["Decrypt"])
        kms.rotate_key_on_demand(KeyId=key)
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "a", "TagValue": ""}, {"TagKey": "b", "TagValue": "c"}])
    make_key()
    for call, arguments in [
        (kms.list_keys, {}), (kms.list_aliases, {"KeyId": key}), (kms.list_grants, {"KeyId": key}),
        (kms.list_retirable_grants, {"RetiringPrincipal": ROOT}), (kms.list_key_rotations, {"KeyId": key}),
        (kms.list_resource_tags, {"KeyId": key}),
    ]:
        first = call(Limit=1, **arguments)
        assert first["Truncated"] is True and first["NextMarker"]
        second = call(Limit=1, Marker=first["NextMarker"], **arguments)
        [one] = [value for value in first.values() if isinstance(value, list)]
        [two] = [value for value in second.values() if isinstance(value, list)]
        assert len(one) == len(two) == 1 and one != two
        # A marker belongs to its listing.
        answer = by_hand("ListKeyPolicies", {"KeyId": key, "Marker": first["NextMarker"]})
        assert answer.code == "InvalidMarkerException"


def test_members_that_only_some_keys_have(kms, ring, key):
    for kind, member in [(("RSA_2048", "ENCRYPT_DECRYPT"), "EncryptionAlgorithms"),
                         (("ECC_NIST_P256", "KEY_AGREEMENT"), "KeyAgreementAlgorithms")]:
        assert kms.get_public_key(KeyId=ring[kind]["KeyId"])[member] == ring[kind][member]
    kms.create_grant(KeyId=key, GranteePrincipal=ROOT, Operations=["Decrypt"], Name="n",
                     Constraints={"EncryptionContextEquals": {"a": "b"}})
    [one] = kms.list_grants(KeyId=key)["Grants"]
    assert (one["Name"], one["Constraints"]) == ("n", {"EncryptionContextEquals": {"a": "b"}})
    end = kms.schedule_key_deletion(KeyId=key)["DeletionDate"]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["DeletionDate"] == end


def test_listed_material_says_when_it_expires(kms, make_key):
    key = make_key(Origin="EXTERNAL")
    end = now().replace(microsecond=0) + datetime.timedelta(days=7)
    Import(kms, key).send(bytes(range(32)), ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=end)
    [one] = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert (one["ExpirationModel"], one["ValidTo"]) == ("KEY_MATERIAL_EXPIRES", end)
    assert (one["ImportState"], one["KeyMaterialState"]) == ("IMPORTED", "CURRENT")


def test_answers_in_base64_are_whole(by_hand, key):
    """Blobs on the wire have their padding, in the ordinary alphabet."""
    for size in (1, 2, 3, 1024):
        answer = by_hand("GenerateDataKey", {"KeyId": key, "NumberOfBytes": size})
        assert len(base64.b64decode(answer.document["Plaintext"], validate=True)) == size
