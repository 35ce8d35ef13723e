# SPDX-License-Identifier: Apache-2.0
"""Makes vectors.json: keys, signatures, ciphertexts and shared secrets by OpenSSL.

Needs the package `cryptography`. The keys are for tests and protect nothing.
"""

import json
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

MESSAGE = b"signed and encrypted elsewhere"
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def private(key):
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).hex()


def public(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    ).hex()


def of_rsa():
    key = rsa.generate_private_key(65537, 2048)
    signatures = {}
    for bits, algorithm in HASHES.items():
        pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
        signatures[f"RSASSA_PSS_SHA_{bits}"] = key.sign(MESSAGE, pss, algorithm).hex()
        signatures[f"RSASSA_PKCS1_V1_5_SHA_{bits}"] = key.sign(
            MESSAGE, padding.PKCS1v15(), algorithm
        ).hex()
    ciphertexts = {}
    for bits, algorithm in {"1": hashes.SHA1(), "256": hashes.SHA256()}.items():
        oaep = padding.OAEP(padding.MGF1(algorithm), algorithm, None)
        ciphertexts[f"RSAES_OAEP_SHA_{bits}"] = key.public_key().encrypt(MESSAGE, oaep).hex()
    return {
        "private": private(key),
        "public": public(key),
        "signatures": signatures,
        "ciphertexts": ciphertexts,
    }


def of_curve(curve, bits):
    key, peer = ec.generate_private_key(curve), ec.generate_private_key(curve)
    signature = key.sign(MESSAGE, ec.ECDSA(HASHES[bits]))
    return {
        "private": private(key),
        "public": public(key),
        "signatures": {f"ECDSA_SHA_{bits}": signature.hex()},
        "peer": public(peer),
        "secret": peer.exchange(ec.ECDH(), key.public_key()).hex(),
    }


def of_ed25519():
    key = ed25519.Ed25519PrivateKey.generate()
    return {
        "private": private(key),
        "public": public(key),
        "signatures": {"ED25519_SHA_512": key.sign(MESSAGE).hex()},
    }


def main():
    keys = {
        "RSA_2048": of_rsa(),
        "ECC_NIST_P256": of_curve(ec.SECP256R1(), "256"),
        "ECC_NIST_P384": of_curve(ec.SECP384R1(), "384"),
        "ECC_NIST_P521": of_curve(ec.SECP521R1(), "512"),
        "ECC_NIST_EDWARDS25519": of_ed25519(),
    }
    vectors = {"message": MESSAGE.hex(), "keys": keys}
    path = pathlib.Path(__file__).with_name("vectors.json")
    path.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
