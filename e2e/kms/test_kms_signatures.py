# SPDX-License-Identifier: Apache-2.0
"""Sign, Verify, GetPublicKey, GenerateMac, VerifyMac, DeriveSharedSecret; held against `cryptography`."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding, PublicFormat, load_der_public_key,
)

from clients import noise, refused
from keys import AGREEMENT, ENCRYPTION, KINDS, MACS, SIGNING, SYMMETRIC

HASHES = {"256": SHA256, "384": SHA384, "512": SHA512}
EACH = [(spec, algorithm) for spec in SIGNING for algorithm in SIGNING[spec]]
CURVES = {"ECC_NIST_P256": ec.SECP256R1, "ECC_NIST_P384": ec.SECP384R1, "ECC_NIST_P521": ec.SECP521R1}


def spki(public):
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def verifies(public, algorithm, message, signature, digested=False):
    """Whether a signature holds, by another implementation."""
    if algorithm == "ED25519_SHA_512":
        call = lambda: public.verify(signature, message)
    else:
        digest = HASHES[algorithm[-3:]]()
        given = utils.Prehashed(digest) if digested else digest
        if algorithm.startswith("ECDSA"):
            call = lambda: public.verify(signature, message, ec.ECDSA(given))
        elif "PSS" in algorithm:
            scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
            call = lambda: public.verify(signature, message, scheme, given)
        else:
            call = lambda: public.verify(signature, message, padding.PKCS1v15(), given)
    try:
        call()
        return True
    except InvalidSignature:
        return False


def digest_of(algorithm, message):
    return hashlib.new(f"sha{algorithm[-3:]}", message).digest()


def public_of(kms, key):
    return load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])


# ---- GetPublicKey -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [k for k in KINDS if k != SYMMETRIC and not k[0].startswith("HMAC")])
def test_public_keys(kms, ring, kind):
    key, (spec, usage) = ring[kind], kind
    got = kms.get_public_key(KeyId=key["Arn"])
    assert (got["KeyId"], got["KeySpec"], got["CustomerMasterKeySpec"]) == (key["Arn"], spec, spec)
    assert got["KeyUsage"] == usage
    lists = {
        "EncryptionAlgorithms": ENCRYPTION.get(spec) if usage == "ENCRYPT_DECRYPT" else None,
        "SigningAlgorithms": SIGNING.get(spec) if usage == "SIGN_VERIFY" else None,
        "KeyAgreementAlgorithms": ["ECDH"] if usage == "KEY_AGREEMENT" else None,
    }
    for name, expected in lists.items():
        assert sorted(got.get(name, [])) == sorted(expected or []), name
    public = load_der_public_key(got["PublicKey"])
    assert spki(public) == got["PublicKey"]
    if spec.startswith("RSA"):
        assert isinstance(public, rsa.RSAPublicKey) and public.key_size == int(spec[4:])
        assert public.public_numbers().e == 65537
    elif spec in CURVES:
        assert isinstance(public.curve, CURVES[spec])
    else:
        assert isinstance(public, ed25519.Ed25519PublicKey)
    assert kms.get_public_key(KeyId=key["KeyId"])["PublicKey"] == got["PublicKey"]


@pytest.mark.parametrize("kind", [SYMMETRIC, ("HMAC_256", "GENERATE_VERIFY_MAC")])
def test_sec_n70_secret_keys_have_no_public_half(kms, ring, kind):
    with refused("UnsupportedOperationException", 400):
        kms.get_public_key(KeyId=ring[kind]["KeyId"])


# ---- Sign and Verify ----------------------------------------------------------------------------


@pytest.mark.parametrize("spec,algorithm", EACH)
def test_signatures(kms, ring, spec, algorithm):
    key = ring[spec, "SIGN_VERIFY"]
    public = public_of(kms, key["KeyId"])
    for message in (b"m", noise(4096)):
        digest = digest_of(algorithm, message)
        forms = [("RAW", message), ("DIGEST", digest)]
        if algorithm.startswith("ED25519"):
            forms = forms[:1]
        for form, given in forms:
            known = {"KeyId": key["KeyId"], "Message": given, "MessageType": form,
                     "SigningAlgorithm": algorithm}
            made = kms.sign(**known)
            assert (made["KeyId"], made["SigningAlgorithm"]) == (key["Arn"], algorithm)
            signature = made["Signature"]
            assert verifies(public, algorithm, given, signature, form == "DIGEST")
            # A signature of a digest is one of its message.
            for other, same in forms:
                held = kms.verify(**(known | {"Message": same, "MessageType": other}), Signature=signature)
                assert held["SignatureValid"] is True
                assert (held["KeyId"], held["SigningAlgorithm"]) == (key["Arn"], algorithm)
            for bent in (bytes([signature[0] ^ 1]) + signature[1:], signature[:-1],
                         signature[:-1] + bytes([signature[-1] ^ 1]), signature + b"\0", b"x"):
                with refused("KMSInvalidSignatureException", 400):
                    kms.verify(**known, Signature=bent)
            with refused("KMSInvalidSignatureException", 400):
                kms.verify(**(known | {"Message": bytes([given[0] ^ 1]) + given[1:]}), Signature=signature)


def test_raw_is_what_a_message_is(kms, ring):
    key = ring["ECC_NIST_P256", "SIGN_VERIFY"]["KeyId"]
    made = kms.sign(KeyId=key, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")
    assert verifies(public_of(kms, key), "ECDSA_SHA_256", b"m", made["Signature"])
    assert kms.verify(KeyId=key, Message=b"m", SigningAlgorithm="ECDSA_SHA_256",
                      Signature=made["Signature"])["SignatureValid"]


@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "RSA_2048",
                                  "ECC_NIST_EDWARDS25519"])
def test_signatures_made_outside_with_a_data_key_pair_are_of_another_key(kms, ring, spec):
    """Verify holds a signature against this key and no other."""
    algorithm = SIGNING[spec][0]
    key = ring[spec, "SIGN_VERIFY"]["KeyId"]
    other = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    known = {"Message": b"m", "SigningAlgorithm": algorithm, "MessageType": "RAW"}
    signature = kms.sign(KeyId=other, **known)["Signature"]
    assert kms.verify(KeyId=other, Signature=signature, **known)["SignatureValid"]
    with refused("KMSInvalidSignatureException", 400):
        kms.verify(KeyId=key, Signature=signature, **known)


def test_sec_n83_signatures_of_another_algorithm(kms, ring):
    key = ring["RSA_2048", "SIGN_VERIFY"]["KeyId"]
    signature = kms.sign(KeyId=key, Message=b"m", SigningAlgorithm="RSASSA_PSS_SHA_256")["Signature"]
    for other in SIGNING["RSA_2048"]:
        if other != "RSASSA_PSS_SHA_256":
            with refused("KMSInvalidSignatureException", 400):
                kms.verify(KeyId=key, Message=b"m", Signature=signature, SigningAlgorithm=other)


BAD_MESSAGES = [
    ({"Message": b""}, "ValidationException"), ({"Message": bytes(4097)}, "ValidationException"),
    ({"Message": b"x" * 31, "MessageType": "DIGEST"}, "ValidationException"),
    ({"Message": b"x" * 33, "MessageType": "DIGEST"}, "ValidationException"),
    ({"MessageType": "COOKED"}, "ValidationException"), ({"SigningAlgorithm": "NONE"}, "ValidationException"),
    ({"SigningAlgorithm": "ECDSA_SHA_384"}, "InvalidKeyUsageException"),
    ({"SigningAlgorithm": "RSASSA_PSS_SHA_256"}, "InvalidKeyUsageException"),
    ({"SigningAlgorithm": "ED25519_SHA_512"}, "InvalidKeyUsageException"),
]


@pytest.mark.parametrize("wrong,code", BAD_MESSAGES)
def test_sec_n83_messages(loose, ring, wrong, code):
    key = ring["ECC_NIST_P256", "SIGN_VERIFY"]["KeyId"]
    known = {"KeyId": key, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"} | wrong
    with refused(code, 400):
        loose.sign(**known)
    with refused(code, 400):
        loose.verify(Signature=b"x" * 70, **known)


def test_sec_n83_ed25519_signs_messages_only(kms, ring):
    key = ring["ECC_NIST_EDWARDS25519", "SIGN_VERIFY"]["KeyId"]
    with refused("ValidationException", 400):
        kms.sign(KeyId=key, Message=bytes(64), MessageType="DIGEST", SigningAlgorithm="ED25519_SHA_512")
    for form in ("DIGEST", "RAW"):
        with refused("UnsupportedOperationException", 400):
            kms.sign(KeyId=key, Message=bytes(64), MessageType=form, SigningAlgorithm="ED25519_PH_SHA_512")


@pytest.mark.parametrize("size,code", [(0, "ValidationException"), (6145, "ValidationException")])
def test_sec_n83_signatures_of_no_size(loose, ring, size, code):
    with refused(code, 400):
        loose.verify(KeyId=ring["ECC_NIST_P256", "SIGN_VERIFY"]["KeyId"], Message=b"m",
                     SigningAlgorithm="ECDSA_SHA_256", Signature=bytes(size))


@pytest.mark.parametrize("kind", [
    SYMMETRIC, ("RSA_2048", "ENCRYPT_DECRYPT"), ("ECC_NIST_P256", "KEY_AGREEMENT"),
    ("HMAC_256", "GENERATE_VERIFY_MAC"),
])
def test_sec_n70_keys_that_do_not_sign(kms, ring, kind):
    key = ring[kind]
    text = f"{key['Arn']} key usage is {kind[1]} which is not valid for "
    known = {"KeyId": key["KeyId"], "Message": b"m", "SigningAlgorithm": "RSASSA_PSS_SHA_256"}
    with refused("InvalidKeyUsageException", 400, text + "Sign."):
        kms.sign(**known)
    with refused("InvalidKeyUsageException", 400, text + "Verify."):
        kms.verify(Signature=b"x", **known)


# ---- MAC ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", sorted(MACS))
def test_macs(kms, ring, spec):
    key = ring[spec, "GENERATE_VERIFY_MAC"]
    for message in (b"m", noise(4096)):
        known = {"KeyId": key["KeyId"], "Message": message, "MacAlgorithm": MACS[spec]}
        made = kms.generate_mac(**known)
        assert (made["KeyId"], made["MacAlgorithm"]) == (key["Arn"], MACS[spec])
        mac = made["Mac"]
        assert len(mac) == int(spec[5:]) // 8
        assert kms.generate_mac(**known)["Mac"] == mac
        held = kms.verify_mac(Mac=mac, **known)
        assert (held["MacValid"], held["KeyId"], held["MacAlgorithm"]) == (True, key["Arn"], MACS[spec])
        for bent in (bytes([mac[0] ^ 1]) + mac[1:], mac[:-1], mac + b"\0", mac[:-1] + bytes([mac[-1] ^ 128]),
                     bytes(len(mac)), b"x"):
            with refused("KMSInvalidMacException", 400):
                kms.verify_mac(Mac=bent, **known)
        with refused("KMSInvalidMacException", 400):
            kms.verify_mac(Mac=mac, **(known | {"Message": message + b"x" if len(message) < 9 else b"x"}))


@pytest.mark.parametrize("wrong,code", [
    ({"Message": b""}, "ValidationException"), ({"Message": bytes(4097)}, "ValidationException"),
    ({"MacAlgorithm": "HMAC_MD5"}, "ValidationException"),
    ({"MacAlgorithm": "HMAC_SHA_512"}, "InvalidKeyUsageException"),
])
def test_sec_n83_macs_that_cannot_be(loose, ring, wrong, code):
    key = ring["HMAC_256", "GENERATE_VERIFY_MAC"]["KeyId"]
    known = {"KeyId": key, "Message": b"m", "MacAlgorithm": "HMAC_SHA_256"} | wrong
    with refused(code, 400):
        loose.generate_mac(**known)
    with refused(code, 400):
        loose.verify_mac(Mac=b"x" * 32, **known)


@pytest.mark.parametrize("size", [0, 6145])
def test_sec_n83_macs_of_no_size(loose, ring, size):
    with refused("ValidationException", 400):
        loose.verify_mac(KeyId=ring["HMAC_256", "GENERATE_VERIFY_MAC"]["KeyId"], Message=b"m",
                         MacAlgorithm="HMAC_SHA_256", Mac=bytes(size))


@pytest.mark.parametrize("kind", [SYMMETRIC, ("RSA_2048", "SIGN_VERIFY"), ("ECC_NIST_P256", "KEY_AGREEMENT")])
def test_sec_n70_keys_that_make_no_mac(kms, ring, kind):
    key = ring[kind]
    text = f"{key['Arn']} key usage is {kind[1]} which is not valid for "
    known = {"KeyId": key["KeyId"], "Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
    with refused("InvalidKeyUsageException", 400, text + "GenerateMac."):
        kms.generate_mac(**known)
    with refused("InvalidKeyUsageException", 400, text + "VerifyMac."):
        kms.verify_mac(Mac=b"x" * 32, **known)


# ---- shared secrets -----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", AGREEMENT)
def test_shared_secrets(kms, ring, spec):
    key = ring[spec, "KEY_AGREEMENT"]
    mine = ec.generate_private_key(CURVES[spec]())
    derived = kms.derive_shared_secret(
        KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=spki(mine.public_key()))
    assert derived["SharedSecret"] == mine.exchange(ec.ECDH(), public_of(kms, key["KeyId"]))
    assert len(derived["SharedSecret"]) == (mine.key_size + 7) // 8
    assert (derived["KeyId"], derived["KeyAgreementAlgorithm"]) == (key["Arn"], "ECDH")
    assert derived["KeyOrigin"] == "AWS_KMS"


def test_two_keys_of_the_service_agree(kms, ring, make_key):
    one = ring["ECC_NIST_P384", "KEY_AGREEMENT"]["KeyId"]
    other = make_key(KeySpec="ECC_NIST_P384", KeyUsage="KEY_AGREEMENT")
    secrets = {
        kms.derive_shared_secret(
            KeyId=a, KeyAgreementAlgorithm="ECDH", PublicKey=kms.get_public_key(KeyId=b)["PublicKey"],
        )["SharedSecret"] for a, b in ((one, other), (other, one))
    }
    assert len(secrets) == 1


def bad_points():
    good = spki(ec.generate_private_key(ec.SECP256R1()).public_key())
    off_curve = good[:-1] + bytes([good[-1] ^ 1])
    at_infinity = good[:-65] + bytes(65)
    return {
        "not on the curve": off_curve, "infinity": at_infinity, "zero": good[:-64] + bytes(64),
        "too large": good[:-64] + b"\xff" * 64, "cut": good[:-1], "longer": good + b"\0",
        "no document": b"x", "another curve": spki(ec.generate_private_key(ec.SECP384R1()).public_key()),
        "rsa": spki(rsa.generate_private_key(65537, 2048).public_key()),
        "x25519": spki(x25519.X25519PrivateKey.generate().public_key()),
        "ed25519": spki(ed25519.Ed25519PrivateKey.generate().public_key()),
        "twist": good[:-64] + (5).to_bytes(32, "big") + (7).to_bytes(32, "big"),
        "bare point": good[-65:], "largest": bytes(8192),
    }


def test_sec_n83_public_keys_that_are_none(kms, loose, ring):
    """An invalid point would leak the private key, bit by bit."""
    key = ring["ECC_NIST_P256", "KEY_AGREEMENT"]["KeyId"]
    for what, point in bad_points().items():
        with refused("ValidationException", 400):
            kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=point)
    for size in (0, 8193):
        with refused("ValidationException", 400):
            loose.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=bytes(size))
    with refused("ValidationException", 400):
        kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="DH",
                                 PublicKey=kms.get_public_key(KeyId=key)["PublicKey"])


@pytest.mark.parametrize("kind", [SYMMETRIC, ("RSA_2048", "ENCRYPT_DECRYPT"), ("ECC_NIST_P256", "SIGN_VERIFY")])
def test_sec_n70_keys_that_agree_with_nobody(kms, ring, kind):
    key = ring[kind]
    point = kms.get_public_key(KeyId=ring["ECC_NIST_P256", "KEY_AGREEMENT"]["KeyId"])["PublicKey"]
    with refused("InvalidKeyUsageException", 400,
                 f"{key['Arn']} key usage is {kind[1]} which is not valid for DeriveSharedSecret."):
        kms.derive_shared_secret(KeyId=key["KeyId"], KeyAgreementAlgorithm="ECDH", PublicKey=point)
