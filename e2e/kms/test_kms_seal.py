# SPDX-License-Identifier: Apache-2.0
"""The `awskms` seal of Vault and OpenBao, by the requests that it makes.

Those programs are not among the tests' packages. Their library asks three things: DescribeKey at
the start, whose ARN it notes; Encrypt of a data key of 32 bytes for each value that is sealed,
whose KeyId it keeps beside the ciphertext; Decrypt without a KeyId. It has no encryption context
and no grant tokens, and the policy that its documentation asks for allows these three actions."""

import os

import pytest

from clients import refused
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keys import ARN
from people import allow, document

THREE = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"]


class Seal:
    """What the library does with a client and a key id."""

    def __init__(self, client, key_id):
        self.client, self.key_id = client, key_id
        self.current = client.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]

    def seal(self, plaintext):
        key, iv = os.urandom(32), os.urandom(12)
        wrapped = self.client.encrypt(KeyId=self.key_id, Plaintext=key)
        self.current = wrapped["KeyId"]
        return {"ciphertext": AESGCM(key).encrypt(iv, plaintext, None), "iv": iv,
                "key_id": wrapped["KeyId"], "wrapped_key": wrapped["CiphertextBlob"]}

    def open(self, sealed):
        key = self.client.decrypt(CiphertextBlob=sealed["wrapped_key"])["Plaintext"]
        return AESGCM(key).decrypt(sealed["iv"], sealed["ciphertext"], None)


@pytest.fixture
def user(make_user, key):
    return make_user(document(allow(THREE, f"{ARN}:key/{key}")))


def test_sealed_and_opened(user, kms, key, alias):
    for name in (key, f"{ARN}:key/{key}", alias, f"{ARN}:{alias}"):
        seal = Seal(user.kms, name)
        assert seal.current == f"{ARN}:key/{key}"
        sealed = seal.seal(b"the root key of another program")
        assert sealed["key_id"] == f"{ARN}:key/{key}"
        kms.rotate_key_on_demand(KeyId=key)
        # After a restart: another process, the same configuration.
        assert Seal(user.kms, name).open(sealed) == b"the root key of another program"


def test_an_alias_that_moved_still_opens_what_was_sealed(user, kms, make_key, key, alias):
    seal = Seal(user.kms, alias)
    sealed = seal.seal(b"x")
    other = make_key()
    user.set_policy(document(allow(THREE, [f"{ARN}:key/{key}", f"{ARN}:key/{other}"])))
    kms.update_alias(AliasName=alias, TargetKeyId=other)
    assert seal.open(sealed) == b"x"
    seal.seal(b"y")
    assert seal.current == f"{ARN}:key/{other}"


def test_sec_a_seal_without_its_key_stays_closed(user, kms, key, make_key, make_user):
    seal = Seal(user.kms, key)
    sealed = seal.seal(b"x")
    with pytest.raises(InvalidTag):
        seal.open(sealed | {"wrapped_key": seal.seal(b"y")["wrapped_key"]})
    with refused("AccessDeniedException", 400):
        Seal(user.kms, make_key())
    with refused("AccessDeniedException", 400):
        Seal(make_user(document(allow("kms:DescribeKey"))).kms, key).seal(b"x")
    bent = bytearray(sealed["wrapped_key"])
    bent[-1] ^= 1
    with refused("InvalidCiphertextException", 400):
        seal.open(sealed | {"wrapped_key": bytes(bent)})
    kms.disable_key(KeyId=key)
    # The start still tells about the key; nothing opens.
    with refused("DisabledException", 400):
        Seal(user.kms, key).open(sealed)
    kms.enable_key(KeyId=key)
    assert seal.open(sealed) == b"x"
    user.set_policy(document(allow("kms:DescribeKey")))
    with refused("AccessDeniedException", 400):
        seal.open(sealed)
