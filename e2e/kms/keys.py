# SPDX-License-Identifier: Apache-2.0
"""KMS keys for tests: what the specifications can do, and one key of each, made once."""

from strongroom import ACCOUNT, REGION

ABSENT = "00000000-0000-4000-8000-000000000000"
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"

OAEP = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
RSA_SIGNING = [
    f"RSASSA_{padding}_SHA_{bits}" for padding in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512)
]
ENCRYPTION = {
    "SYMMETRIC_DEFAULT": ["SYMMETRIC_DEFAULT"], "RSA_2048": OAEP, "RSA_3072": OAEP, "RSA_4096": OAEP,
}
SIGNING = {
    "RSA_2048": RSA_SIGNING, "RSA_3072": RSA_SIGNING, "RSA_4096": RSA_SIGNING,
    "ECC_NIST_P256": ["ECDSA_SHA_256"], "ECC_NIST_P384": ["ECDSA_SHA_384"],
    "ECC_NIST_P521": ["ECDSA_SHA_512"],
    # Not ED25519_PH_SHA_512, which the cryptographic module does not offer.
    "ECC_NIST_EDWARDS25519": ["ED25519_SHA_512"],
}
MACS = {f"HMAC_{bits}": f"HMAC_SHA_{bits}" for bits in (224, 256, 384, 512)}
AGREEMENT = ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"]

# Every specification with each of its usages.
KINDS = (
    [(spec, "ENCRYPT_DECRYPT") for spec in ENCRYPTION] + [(spec, "SIGN_VERIFY") for spec in SIGNING]
    + [(spec, "GENERATE_VERIFY_MAC") for spec in MACS] + [(spec, "KEY_AGREEMENT") for spec in AGREEMENT]
)
SYMMETRIC = ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
# One of each family, for what does not depend on the size.
ASYMMETRIC = [
    ("RSA_2048", "ENCRYPT_DECRYPT"), ("RSA_2048", "SIGN_VERIFY"), ("ECC_NIST_P256", "SIGN_VERIFY"),
    ("ECC_NIST_P256", "KEY_AGREEMENT"), ("HMAC_256", "GENERATE_VERIFY_MAC"),
]


class Ring:
    """`ring[spec, usage]` is the metadata of a key that no test may change. Large RSA keys are slow
    to make, so they are made when the first test wants them."""

    def __init__(self, client):
        self.client, self.made = client, {}

    def __getitem__(self, kind):
        if kind not in self.made:
            spec, usage = kind
            made = self.client.create_key(KeySpec=spec, KeyUsage=usage, Description="shared")
            self.made[kind] = made["KeyMetadata"]
        return self.made[kind]


def metadata(client, key):
    return client.describe_key(KeyId=key)["KeyMetadata"]


def state(client, key):
    return metadata(client, key)["KeyState"]


def absent(key=ABSENT):
    """The message about a key that is not there."""
    return f"Key '{ARN}:key/{key}' does not exist"


def pages(client, operation, result, **arguments):
    """Everything a list operation has, page by page."""
    return [one for page in client.get_paginator(operation).paginate(**arguments) for one in page[result]]
