# SPDX-License-Identifier: Apache-2.0
"""Encrypt, Decrypt, ReEncrypt, data keys and random bytes."""

import base64
import math
import os

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from clients import noise, refused
from keys import ARN, OAEP, SYMMETRIC, absent

INCORRECT = "The key ID in the request does not identify a CMK that can perform this operation."
DRY = "The request would have succeeded, but the DryRun option is set."
RSA = [("RSA_2048", "ENCRYPT_DECRYPT"), ("RSA_3072", "ENCRYPT_DECRYPT"), ("RSA_4096", "ENCRYPT_DECRYPT")]
HASHES = {"RSAES_OAEP_SHA_1": SHA1, "RSAES_OAEP_SHA_256": SHA256}


def oaep(algorithm):
    return padding.OAEP(padding.MGF1(HASHES[algorithm]()), HASHES[algorithm](), None)


def public_key(kms, key):
    return load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])


def b64(data):
    return base64.b64encode(data).decode()


# ---- symmetric ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 1024, 4095, 4096])
def test_sizes(kms, ring, size):
    key = ring[SYMMETRIC]
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=noise(size))
    assert sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT" and sealed["KeyId"] == key["Arn"]
    assert size < len(sealed["CiphertextBlob"]) <= 6144
    assert noise(size)[:16] not in sealed["CiphertextBlob"] or size < 16
    opened = kms.decrypt(
        CiphertextBlob=sealed["CiphertextBlob"], KeyId=key["Arn"], EncryptionAlgorithm="SYMMETRIC_DEFAULT"
    )
    assert opened["Plaintext"] == noise(size)
    assert (opened["KeyId"], opened["EncryptionAlgorithm"]) == (key["Arn"], "SYMMETRIC_DEFAULT")
    assert opened["KeyMaterialId"] == key["CurrentKeyMaterialId"]


def test_no_two_blobs_are_alike(kms, ring):
    key = ring[SYMMETRIC]["KeyId"]
    blobs = {kms.encrypt(KeyId=key, Plaintext=b"x" * 32)["CiphertextBlob"] for _ in range(20)}
    assert len(blobs) == 20
    # What differs is more than a counter: no two share their last 32 bytes, nor any nonce.
    assert len({blob[-32:] for blob in blobs}) == 20


def test_sec_n80_every_byte_of_a_ciphertext(by_hand, kms, ring):
    key = ring[SYMMETRIC]["KeyId"]
    context = {"a": "b"}
    blob = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
    bent = [blob[:at] + bytes([blob[at] ^ (1 << at % 8)]) + blob[at + 1:] for at in range(len(blob))]
    bent += [blob[:size] for size in range(1, len(blob))]
    bent += [blob + bytes([n]) for n in (0, 1, 255)]
    bent += [b"\0" + blob, blob + blob, os.urandom(len(blob)), os.urandom(6144), b"\1", b"AQICAH" * 30]
    with by_hand.connection() as call:
        for one in bent:
            answer = call("Decrypt", {"CiphertextBlob": b64(one), "EncryptionContext": context})
            assert (answer.status, answer.code, answer.message) == (400, "InvalidCiphertextException", "")
            answer = call("ReEncrypt", {
                "CiphertextBlob": b64(one), "SourceEncryptionContext": context, "DestinationKeyId": key,
            })
            assert (answer.status, answer.code, answer.message) == (400, "InvalidCiphertextException", "")
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
    assert opened["Plaintext"] == b"secret"


def test_sec_n80_ciphertexts_of_no_size(by_hand):
    for size, code in [(0, "ValidationException"), (6145, "ValidationException")]:
        answer = by_hand("Decrypt", {"CiphertextBlob": b64(bytes(size))})
        assert (answer.status, answer.code) == (400, code)
    for wrong in ("!!!", "AAE", "AA==AA==", 1, ["AAE="], {}):
        answer = by_hand("Decrypt", {"CiphertextBlob": wrong})
        assert (answer.status, answer.code) == (400, "SerializationException"), wrong


CONTEXTS = [
    ({"a": "b"}, [{}, {"a": "B"}, {"A": "b"}, {"a": "b", "c": "d"}, {"a": "b "}, {"b": "a"}, {"ab": "a"}]),
    ({}, [{"a": "b"}]),
    ({"a": "1", "b": "2"}, [{"a": "1"}, {"b": "2"}, {"a": "2", "b": "1"}, {"a": "1b2"}, {"a1": "b2"}]),
    # Composed and decomposed characters are other strings.
    ({"\u00e4": "x"}, [{"a\u0308": "x"}, {"\u00c4": "x"}]),
]


@pytest.mark.parametrize("context,others", CONTEXTS)
def test_sec_n81_contexts(kms, ring, context, others):
    key = ring[SYMMETRIC]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
    data_key = kms.generate_data_key_without_plaintext(
        KeyId=key, KeySpec="AES_256", EncryptionContext=context)["CiphertextBlob"]
    for one in (blob, data_key):
        for other in others:
            with refused("InvalidCiphertextException", 400, ""):
                kms.decrypt(CiphertextBlob=one, EncryptionContext=other)
            with refused("InvalidCiphertextException", 400, ""):
                kms.re_encrypt(CiphertextBlob=one, SourceEncryptionContext=other, DestinationKeyId=key)
        kms.decrypt(CiphertextBlob=one, EncryptionContext=context)
    backwards = dict(reversed(context.items()))
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=backwards)["Plaintext"] == b"x"


def test_sec_n81_absent_and_empty_contexts_are_one(kms, ring):
    key = ring[SYMMETRIC]["KeyId"]
    with_empty = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={})["CiphertextBlob"]
    without = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=with_empty)["Plaintext"] == b"x"
    assert kms.decrypt(CiphertextBlob=without, EncryptionContext={})["Plaintext"] == b"x"


@pytest.mark.parametrize("context", [{"": "x"}, {"x": ""}, {"a": "b", "": ""}])
def test_sec_n81_empty_names_and_values(kms, ring, context):
    key = ring[SYMMETRIC]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    for call in (
        lambda: kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context),
        lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context),
        lambda: kms.decrypt(CiphertextBlob=blob, EncryptionContext=context),
    ):
        with refused("ValidationException", 400):
            call()


def test_sec_n82_another_key(kms, ring, key):
    other = ring[SYMMETRIC]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    with refused("IncorrectKeyException", 400, INCORRECT):
        kms.decrypt(CiphertextBlob=blob, KeyId=other)
    with refused("IncorrectKeyException", 400, INCORRECT):
        kms.re_encrypt(CiphertextBlob=blob, SourceKeyId=other, DestinationKeyId=other)
    with refused("NotFoundException", 400, absent()):
        kms.decrypt(CiphertextBlob=blob, KeyId="00000000-0000-4000-8000-000000000000")


def test_sec_n83_plaintext_sizes(by_hand, ring):
    key = ring[SYMMETRIC]["KeyId"]
    answer = by_hand("Encrypt", {"KeyId": key, "Plaintext": b64(bytes(4097))})
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert answer.message.endswith(
        "at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096")
    assert "AAAA" not in answer.message
    answer = by_hand("Encrypt", {"KeyId": key, "Plaintext": ""})
    assert (answer.status, answer.code) == (400, "ValidationException")
    answer = by_hand("Encrypt", {"KeyId": key})
    assert (answer.status, answer.code) == (400, "ValidationException")


@pytest.mark.parametrize("algorithm", OAEP)
def test_sec_n83_algorithms_of_other_keys(kms, ring, algorithm):
    """A symmetric key knows one algorithm, and an RSA key has no SYMMETRIC_DEFAULT."""
    key, pair = ring[SYMMETRIC]["KeyId"], ring["RSA_2048", "ENCRYPT_DECRYPT"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    for call in (
        lambda: kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionAlgorithm=algorithm),
        lambda: kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm=algorithm),
        lambda: kms.encrypt(KeyId=pair, Plaintext=b"x", EncryptionAlgorithm="SYMMETRIC_DEFAULT"),
        lambda: kms.encrypt(KeyId=pair, Plaintext=b"x"),
    ):
        with refused("InvalidKeyUsageException", 400):
            call()


# ---- RSA ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", OAEP)
@pytest.mark.parametrize("kind", RSA)
def test_rsa(kms, ring, kind, algorithm):
    key = ring[kind]
    known = {"KeyId": key["KeyId"], "EncryptionAlgorithm": algorithm}
    bits = int(kind[0][4:])
    most = bits // 8 - 2 * HASHES[algorithm].digest_size - 2
    for size in (1, most):
        sealed = kms.encrypt(Plaintext=noise(size), **known)
        assert (sealed["EncryptionAlgorithm"], sealed["KeyId"]) == (algorithm, key["Arn"])
        assert len(sealed["CiphertextBlob"]) == bits // 8
        opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], **known)
        assert (opened["Plaintext"], opened["KeyId"]) == (noise(size), key["Arn"])
        assert opened["EncryptionAlgorithm"] == algorithm
        # Sealed outside with the public key.
        outside = public_key(kms, key["KeyId"]).encrypt(noise(size), oaep(algorithm))
        assert kms.decrypt(CiphertextBlob=outside, **known)["Plaintext"] == noise(size)
    with refused("ValidationException", 400, f"Algorithm {algorithm} and key spec {kind[0]} cannot "
                 f"encrypt data larger than {most} bytes."):
        kms.encrypt(Plaintext=noise(most + 1), **known)


def test_sec_n80_rsa_ciphertexts(kms, ring):
    key, other = ring["RSA_2048", "ENCRYPT_DECRYPT"]["KeyId"], ring["RSA_3072", "ENCRYPT_DECRYPT"]["KeyId"]
    known = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    blob = kms.encrypt(Plaintext=b"x", **known)["CiphertextBlob"]
    bent = [bytes([blob[0] ^ 1]) + blob[1:], blob[:-1] + bytes([blob[-1] ^ 1]), blob[:-1], blob + b"\0",
            b"\0" + blob, bytes(256), b"\xff" * 256, b"x", bytes(6144)]
    for one in bent:
        with refused("InvalidCiphertextException", 400, ""):
            kms.decrypt(CiphertextBlob=one, **known)
    for wrong in ({"EncryptionAlgorithm": "RSAES_OAEP_SHA_1"}, {"KeyId": other}):
        with refused("InvalidCiphertextException", 400, ""):
            kms.decrypt(CiphertextBlob=blob, **(known | wrong))
    with refused("ValidationException", 400):  # which key is it of?
        kms.decrypt(CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256")
    with refused("InvalidCiphertextException", 400):
        kms.decrypt(CiphertextBlob=blob)


def test_sec_n81_rsa_has_no_context(kms, ring):
    known = {"KeyId": ring["RSA_2048", "ENCRYPT_DECRYPT"]["KeyId"],
             "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    blob = kms.encrypt(Plaintext=b"x", **known)["CiphertextBlob"]
    with refused("ValidationException", 400):
        kms.encrypt(Plaintext=b"x", EncryptionContext={"a": "b"}, **known)
    with refused("ValidationException", 400):
        kms.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"}, **known)


@pytest.mark.parametrize("kind", [
    ("RSA_2048", "SIGN_VERIFY"), ("ECC_NIST_P256", "SIGN_VERIFY"), ("ECC_NIST_P256", "KEY_AGREEMENT"),
    ("HMAC_256", "GENERATE_VERIFY_MAC"),
])
def test_sec_n70_keys_for_something_else(kms, ring, kind):
    key = ring[kind]
    text = f"{key['Arn']} key usage is {kind[1]} which is not valid for "
    for name, call in {
        "Encrypt": lambda: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x"),
        "Decrypt": lambda: kms.decrypt(KeyId=key["KeyId"], CiphertextBlob=b"x" * 100),
        "GenerateDataKey": lambda: kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256"),
        "GenerateDataKeyWithoutPlaintext": lambda: kms.generate_data_key_without_plaintext(
            KeyId=key["KeyId"], KeySpec="AES_256"),
        "GenerateDataKeyPair": lambda: kms.generate_data_key_pair(
            KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256"),
    }.items():
        with refused("InvalidKeyUsageException", 400, text + f"{name}."):
            call()


@pytest.mark.parametrize("operation", ["generate_data_key", "generate_data_key_without_plaintext"])
def test_sec_n70_data_keys_need_a_symmetric_key(kms, ring, operation):
    with refused("InvalidKeyUsageException", 400):
        getattr(kms, operation)(KeyId=ring["RSA_2048", "ENCRYPT_DECRYPT"]["KeyId"], KeySpec="AES_256")


# ---- ReEncrypt ----------------------------------------------------------------------------------


def test_re_encrypt_to_another_key_and_context(kms, ring, key):
    target = ring[SYMMETRIC]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"a": "1"})["CiphertextBlob"]
    moved = kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext={"a": "1"}, SourceKeyId=key,
        DestinationKeyId=target["Arn"], DestinationEncryptionContext={"b": "2"},
        SourceEncryptionAlgorithm="SYMMETRIC_DEFAULT", DestinationEncryptionAlgorithm="SYMMETRIC_DEFAULT",
    )
    assert (moved["SourceKeyId"], moved["KeyId"]) == (f"{ARN}:key/{key}", target["Arn"])
    assert moved["SourceEncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert moved["DestinationEncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert moved["DestinationKeyMaterialId"] == target["CurrentKeyMaterialId"]
    assert moved["SourceKeyMaterialId"] == kms.describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]
    opened = kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"b": "2"})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"x", target["Arn"])
    with refused("InvalidCiphertextException", 400, ""):
        kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"a": "1"})


def test_re_encrypt_on_the_same_key(kms, key):
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    again = kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)["CiphertextBlob"]
    assert again != blob and kms.decrypt(CiphertextBlob=again)["Plaintext"] == b"x"


def test_re_encrypt_between_symmetric_and_rsa(kms, ring, key):
    pair = ring["RSA_2048", "ENCRYPT_DECRYPT"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x" * 190)["CiphertextBlob"]
    moved = kms.re_encrypt(
        CiphertextBlob=blob, DestinationKeyId=pair["KeyId"],
        DestinationEncryptionAlgorithm="RSAES_OAEP_SHA_256",
    )
    assert moved["DestinationEncryptionAlgorithm"] == "RSAES_OAEP_SHA_256"
    back = kms.re_encrypt(
        CiphertextBlob=moved["CiphertextBlob"], SourceKeyId=pair["KeyId"],
        SourceEncryptionAlgorithm="RSAES_OAEP_SHA_256", DestinationKeyId=key,
    )
    assert (back["SourceKeyId"], back["SourceEncryptionAlgorithm"]) == (pair["Arn"], "RSAES_OAEP_SHA_256")
    assert kms.decrypt(CiphertextBlob=back["CiphertextBlob"])["Plaintext"] == b"x" * 190
    with refused("InvalidKeyUsageException", 400):
        kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=ring["HMAC_256", "GENERATE_VERIFY_MAC"]["KeyId"])
    large = kms.encrypt(KeyId=key, Plaintext=b"x" * 191)["CiphertextBlob"]
    with refused("ValidationException", 400):
        kms.re_encrypt(CiphertextBlob=large, DestinationKeyId=pair["KeyId"],
                       DestinationEncryptionAlgorithm="RSAES_OAEP_SHA_256")


# ---- data keys ----------------------------------------------------------------------------------


SIZES = [({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16)] + [
    ({"NumberOfBytes": n}, n) for n in (1, 24, 64, 1023, 1024)
]


@pytest.mark.parametrize("wanted,size", SIZES)
def test_data_keys(kms, ring, wanted, size):
    key = ring[SYMMETRIC]
    known = {"KeyId": key["KeyId"], "EncryptionContext": {"a": "b"}} | wanted
    made = kms.generate_data_key(**known)
    assert (len(made["Plaintext"]), made["KeyId"]) == (size, key["Arn"])
    assert made["KeyMaterialId"] == key["CurrentKeyMaterialId"]
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert opened["Plaintext"] == made["Plaintext"]
    blind = kms.generate_data_key_without_plaintext(**known)
    assert "Plaintext" not in blind and blind["KeyId"] == key["Arn"]
    assert blind["KeyMaterialId"] == key["CurrentKeyMaterialId"]
    opened = kms.decrypt(CiphertextBlob=blind["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert len(opened["Plaintext"]) == size
    assert size < 16 or opened["Plaintext"] != made["Plaintext"]


BAD_SIZES = [
    ({"NumberOfBytes": 1025}, "1 validation error detected: Value '1025' at 'numberOfBytes' failed to "
     "satisfy constraint: Member must have value less than or equal to 1024"),
    ({"NumberOfBytes": 0}, "1 validation error detected: Value '0' at 'numberOfBytes' failed to "
     "satisfy constraint: Member must have value greater than or equal to 1"),
    ({"NumberOfBytes": -1}, None), ({"NumberOfBytes": 2**31}, None), ({}, None),
    ({"NumberOfBytes": 32, "KeySpec": "AES_256"}, None), ({"KeySpec": "AES_512"}, None),
    ({"KeySpec": "aes_256"}, None), ({"KeySpec": ""}, None),
]


@pytest.mark.parametrize("wanted,message", BAD_SIZES)
@pytest.mark.parametrize("operation", ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext"])
def test_sec_n83_sizes_of_data_keys(by_hand, ring, operation, wanted, message):
    answer = by_hand(operation, {"KeyId": ring[SYMMETRIC]["KeyId"]} | wanted)
    assert (answer.status, answer.code) == (400, "ValidationException"), answer.body
    assert message is None or answer.message == message
    assert "Plaintext" not in answer.document and "CiphertextBlob" not in answer.document


PAIRS = ["RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
         "ECC_NIST_EDWARDS25519"]


@pytest.mark.parametrize("spec", PAIRS)
def test_data_key_pairs(kms, ring, spec):
    key = ring[SYMMETRIC]
    known = {"KeyId": key["KeyId"], "KeyPairSpec": spec, "EncryptionContext": {"a": "b"}}
    made = kms.generate_data_key_pair(**known)
    check_pair(kms, made, made["PrivateKeyPlaintext"], spec)
    assert (made["KeyId"], made["KeyPairSpec"]) == (key["Arn"], spec)
    assert made["KeyMaterialId"] == key["CurrentKeyMaterialId"]
    with refused("InvalidCiphertextException", 400, ""):
        kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])
    if spec == "RSA_4096":
        return  # slow to make; the other operation takes the same way
    blind = kms.generate_data_key_pair_without_plaintext(**known)
    assert "PrivateKeyPlaintext" not in blind and blind["KeyPairSpec"] == spec
    check_pair(kms, blind, None, spec)
    assert blind["PublicKey"] != made["PublicKey"]


def check_pair(kms, made, plaintext, spec):
    opened = kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"], EncryptionContext={"a": "b"})
    assert plaintext is None or opened["Plaintext"] == plaintext
    private = load_der_private_key(opened["Plaintext"], None)
    public = load_der_public_key(made["PublicKey"])
    assert private.public_key() == public
    if spec.startswith("RSA"):
        assert public.key_size == int(spec[4:]) and public.public_numbers().e == 65537
    elif "_P" in spec:
        assert public.curve.name == f"secp{spec[-3:]}r1"


@pytest.mark.parametrize("spec,code", [
    ("ECC_SECG_P256K1", "UnsupportedOperationException"), ("SM2", "UnsupportedOperationException"),
    ("RSA_1024", "ValidationException"), ("AES_256", "ValidationException"), ("", "ValidationException"),
    (None, "ValidationException"),
])
def test_sec_n83_pairs_that_are_not_made(by_hand, ring, spec, code):
    body = {"KeyId": ring[SYMMETRIC]["KeyId"]} | ({"KeyPairSpec": spec} if spec is not None else {})
    for operation in ("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"):
        answer = by_hand(operation, body)
        assert (answer.status, answer.code) == (400, code), answer.body


# ---- random -------------------------------------------------------------------------------------


def test_random(kms):
    for size in (1, 32, 1024):
        assert len(kms.generate_random(NumberOfBytes=size)["Plaintext"]) == size
    seen = [kms.generate_random(NumberOfBytes=1024)["Plaintext"] for _ in range(8)]
    assert len(set(seen)) == 8
    ones = sum(bin(byte).count("1") for one in seen for byte in one)
    bits = 8 * 8 * 1024
    assert abs(ones - bits / 2) < 6 * math.sqrt(bits / 4)


@pytest.mark.parametrize("wanted,message", BAD_SIZES[:1] + [
    ({"NumberOfBytes": 0}, BAD_SIZES[1][1]), ({}, "NumberOfBytes is required."), ({"NumberOfBytes": -1}, None),
])
def test_sec_n83_sizes_of_random(by_hand, wanted, message):
    answer = by_hand("GenerateRandom", wanted)
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert message is None or answer.message == message


def test_sec_n88_random_from_elsewhere(kms):
    with refused("UnsupportedOperationException", 400):
        kms.generate_random(NumberOfBytes=1, CustomKeyStoreId="cks-1234567890abcdef0")
    with refused("UnsupportedOperationException", 400):
        kms.generate_random(NumberOfBytes=1, Recipient={
            "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x"})


# ---- dry runs and what is for enclaves ----------------------------------------------------------


def uses(ring, kms):
    """Each operation that takes DryRun or Recipient, as it would succeed."""
    key = ring[SYMMETRIC]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    signer = ring["ECC_NIST_P256", "SIGN_VERIFY"]["KeyId"]
    signing = {"KeyId": signer, "Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}
    hmac = {"KeyId": ring["HMAC_256", "GENERATE_VERIFY_MAC"]["KeyId"], "Message": b"x",
            "MacAlgorithm": "HMAC_SHA_256"}
    agreement = ring["ECC_NIST_P256", "KEY_AGREEMENT"]["KeyId"]
    public = kms.get_public_key(KeyId=agreement)["PublicKey"]
    return {
        "encrypt": {"KeyId": key, "Plaintext": b"x"}, "decrypt": {"CiphertextBlob": blob},
        "re_encrypt": {"CiphertextBlob": blob, "DestinationKeyId": key},
        "generate_data_key": {"KeyId": key, "KeySpec": "AES_256"},
        "generate_data_key_without_plaintext": {"KeyId": key, "KeySpec": "AES_256"},
        "generate_data_key_pair": {"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"},
        "generate_data_key_pair_without_plaintext": {"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"},
        "sign": signing, "verify": signing | {"Signature": kms.sign(**signing)["Signature"]},
        "generate_mac": hmac, "verify_mac": hmac | {"Mac": kms.generate_mac(**hmac)["Mac"]},
        "derive_shared_secret": {
            "KeyId": agreement, "KeyAgreementAlgorithm": "ECDH", "PublicKey": public},
    }


def test_sec_n88_dry_runs_do_nothing(kms, ring):
    for name, arguments in uses(ring, kms).items():
        call = getattr(kms, name)
        call(DryRun=False, **arguments)
        with refused("DryRunOperationException", 400, DRY):
            call(DryRun=True, **arguments)


def test_sec_n88_dry_runs_find_what_is_wrong(kms, ring, key):
    kms.disable_key(KeyId=key)
    with refused("DisabledException", 400, f"{ARN}:key/{key} is disabled."):
        kms.encrypt(KeyId=key, Plaintext=b"x", DryRun=True)
    with refused("NotFoundException", 400, absent()):
        kms.encrypt(KeyId="00000000-0000-4000-8000-000000000000", Plaintext=b"x", DryRun=True)
    with refused("InvalidCiphertextException", 400, ""):
        kms.decrypt(CiphertextBlob=b"x" * 100, DryRun=True)
    blob = kms.encrypt(KeyId=ring[SYMMETRIC]["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("InvalidCiphertextException", 400, ""):
        kms.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"}, DryRun=True)


def test_sec_n88_enclaves_are_not_known(kms, ring):
    recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x" * 100}
    known = uses(ring, kms)
    for name in ("decrypt", "generate_data_key", "generate_data_key_pair", "derive_shared_secret"):
        with refused("UnsupportedOperationException", 400):
            getattr(kms, name)(Recipient=recipient, **known[name])


def test_sec_n88_dry_runs_without_a_ciphertext(loose, ring, key):
    """IGNORE_CIPHERTEXT asks for permissions alone: in a dry run, of keys that are named."""
    ignore = {"DryRunModifiers": ["IGNORE_CIPHERTEXT"]}
    target = ring[SYMMETRIC]["KeyId"]
    blob = loose.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    for more in ({}, {"CiphertextBlob": b"x" * 100}):
        with refused("DryRunOperationException", 400, DRY):
            loose.decrypt(KeyId=key, DryRun=True, **ignore, **more)
        with refused("DryRunOperationException", 400, DRY):
            loose.re_encrypt(SourceKeyId=key, DestinationKeyId=target, DryRun=True, **ignore, **more)
    for wrong in ({"DryRun": False}, {}):
        with refused("ValidationException", 400):
            loose.decrypt(KeyId=key, CiphertextBlob=blob, **ignore, **wrong)
    with refused("ValidationException", 400):
        loose.decrypt(KeyId=key, CiphertextBlob=blob, DryRun=True, DryRunModifiers=["IGNORE_EVERYTHING"])
    loose.disable_key(KeyId=key)
    with refused("DisabledException", 400):
        loose.decrypt(KeyId=key, DryRun=True, **ignore)


# ---- grant tokens -------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens,code", [
    (["nonsense"], "InvalidGrantTokenException"), (["x"] * 11, "ValidationException"),
    ([""], "ValidationException"), (["x" * 8193], "ValidationException"),
])
def test_sec_n37_grant_tokens_of_no_grant(kms, loose, ring, tokens, code):
    for name, arguments in uses(ring, kms).items():
        with refused(code, 400):
            getattr(loose, name)(GrantTokens=tokens, **arguments)
    with refused(code, 400):
        loose.describe_key(KeyId=ring[SYMMETRIC]["KeyId"], GrantTokens=tokens)
    with refused(code, 400):
        loose.get_public_key(KeyId=ring["RSA_2048", "SIGN_VERIFY"]["KeyId"], GrantTokens=tokens)
