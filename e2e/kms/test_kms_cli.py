# SPDX-License-Identifier: Apache-2.0
"""The AWS CLI for the daily work with keys: `aws kms ..` after `eval "$(strongroom env)"`."""

import base64
import json
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from clients import aws
from keys import ARN, ROOT
from people import DELEGATE, document


@pytest.fixture(scope="module")
def cli(server):
    """The output of a command: text with --query, else a document."""
    def run(*arguments, **options):
        out = aws(server, "kms", *arguments, **options).stdout.decode()
        return out.strip() if "--output" in arguments else json.loads(out or "{}")

    return run


@pytest.fixture(scope="module")
def fails(server):
    """The refusal of a command."""
    def run(*arguments):
        done = aws(server, "kms", *arguments, check=False)
        assert done.returncode in (254, 255), done
        return done.stderr.decode()

    return run


def text(*arguments):
    return [*arguments, "--output", "text"]


def test_encrypt_a_file(cli, fails, tmp_path):
    """The two commands of every tutorial."""
    alias = f"alias/cli-{uuid.uuid4().hex}"
    key = cli(*text("create-key", "--description", "by hand", "--tags", "TagKey=team,TagValue=blue",
                    "--query", "KeyMetadata.KeyId"))
    cli("create-alias", "--alias-name", alias, "--target-key-id", key)
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(bytes(range(256)))
    blob = cli(*text("encrypt", "--key-id", alias, "--plaintext", f"fileb://{plain}",
                     "--encryption-context", "app=a,stage=b", "--query", "CiphertextBlob"))
    sealed.write_bytes(base64.b64decode(blob))
    back = cli(*text("decrypt", "--ciphertext-blob", f"fileb://{sealed}",
                     "--encryption-context", "stage=b,app=a", "--query", "Plaintext"))
    assert base64.b64decode(back) == plain.read_bytes()
    assert "InvalidCiphertextException" in fails("decrypt", "--ciphertext-blob", f"fileb://{sealed}")
    shown = cli("describe-key", "--key-id", alias)["KeyMetadata"]
    assert (shown["KeyId"], shown["Description"]) == (key, "by hand")
    tags = cli("list-resource-tags", "--key-id", key)["Tags"]
    assert tags == [{"TagKey": "team", "TagValue": "blue"}]
    assert key in cli(*text("list-keys", "--query", "Keys[].KeyId"))
    assert alias in cli(*text("list-aliases", "--key-id", key, "--query", "Aliases[].AliasName"))
    cli("delete-alias", "--alias-name", alias)


def test_data_keys_and_random_bytes(cli, kms, key):
    made = cli("generate-data-key", "--key-id", key, "--key-spec", "AES_256")
    assert len(base64.b64decode(made["Plaintext"])) == 32
    assert kms.decrypt(CiphertextBlob=base64.b64decode(made["CiphertextBlob"]))["Plaintext"] == base64.b64decode(
        made["Plaintext"])
    blind = cli("generate-data-key-without-plaintext", "--key-id", key, "--number-of-bytes", "64")
    assert "Plaintext" not in blind
    drawn = cli(*text("generate-random", "--number-of-bytes", "20", "--query", "Plaintext"))
    assert len(base64.b64decode(drawn)) == 20
    pair = cli("generate-data-key-pair", "--key-id", key, "--key-pair-spec", "ECC_NIST_P256")
    assert load_der_public_key(base64.b64decode(pair["PublicKey"])).curve.name == "secp256r1"


def test_sign_a_file(cli, fails, tmp_path):
    key = cli(*text("create-key", "--key-spec", "ECC_NIST_P256", "--key-usage", "SIGN_VERIFY",
                    "--query", "KeyMetadata.KeyId"))
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_bytes(b"to whom it may concern")
    known = ["--key-id", key, "--message", f"fileb://{message}", "--message-type", "RAW",
             "--signing-algorithm", "ECDSA_SHA_256"]
    made = base64.b64decode(cli(*text("sign", *known, "--query", "Signature")))
    signature.write_bytes(made)
    public = load_der_public_key(base64.b64decode(cli(*text("get-public-key", "--key-id", key,
                                                            "--query", "PublicKey"))))
    public.verify(made, message.read_bytes(), ec.ECDSA(SHA256()))
    assert cli("verify", *known, "--signature", f"fileb://{signature}")["SignatureValid"] is True
    message.write_bytes(b"to whom it may concern.")
    assert "KMSInvalidSignatureException" in fails("verify", *known, "--signature", f"fileb://{signature}")


def test_macs(cli, tmp_path):
    key = cli(*text("create-key", "--key-spec", "HMAC_256", "--key-usage", "GENERATE_VERIFY_MAC",
                    "--query", "KeyMetadata.KeyId"))
    mac = tmp_path / "mac"
    known = ["--key-id", key, "--message", "fileb:///etc/hostname", "--mac-algorithm", "HMAC_SHA_256"]
    mac.write_bytes(base64.b64decode(cli(*text("generate-mac", *known, "--query", "Mac"))))
    assert cli("verify-mac", *known, "--mac", f"fileb://{mac}")["MacValid"] is True


def test_policy_and_grants(cli, fails, key, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(document(DELEGATE, Id="by hand"))
    cli("put-key-policy", "--key-id", key, "--policy-name", "default", "--policy", f"file://{policy}")
    shown = cli(*text("get-key-policy", "--key-id", key, "--policy-name", "default", "--query", "Policy"))
    assert json.loads(shown) == json.loads(policy.read_text())
    assert cli("list-key-policies", "--key-id", key)["PolicyNames"] == ["default"]
    made = cli("create-grant", "--key-id", key, "--grantee-principal", ROOT, "--operations", "Decrypt", "Encrypt",
               "--constraints", "EncryptionContextSubset={app=a}", "--name", "by-hand")
    [grant] = cli("list-grants", "--key-id", key)["Grants"]
    assert (grant["GrantId"], grant["Name"]) == (made["GrantId"], "by-hand")
    cli("revoke-grant", "--key-id", key, "--grant-id", made["GrantId"])
    again = cli("create-grant", "--key-id", key, "--grantee-principal", ROOT, "--operations", "Decrypt")
    cli("retire-grant", "--grant-token", again["GrantToken"])
    assert cli("list-grants", "--key-id", key)["Grants"] == []
    policy.write_text("{}")
    assert "MalformedPolicyDocumentException" in fails(
        "put-key-policy", "--key-id", key, "--policy", f"file://{policy}")


def test_life_of_a_key(cli, fails, kms, key):
    arn = f"{ARN}:key/{key}"
    cli("update-key-description", "--key-id", key, "--description", "another")
    cli("tag-resource", "--key-id", key, "--tags", "TagKey=a,TagValue=b")
    cli("untag-resource", "--key-id", key, "--tag-keys", "a")
    cli("enable-key-rotation", "--key-id", key, "--rotation-period-in-days", "180")
    assert cli("get-key-rotation-status", "--key-id", key)["RotationPeriodInDays"] == 180
    cli("rotate-key-on-demand", "--key-id", key)
    assert len(cli("list-key-rotations", "--key-id", key)["Rotations"]) == 1
    cli("disable-key-rotation", "--key-id", key)
    cli("disable-key", "--key-id", key)
    assert f"{arn} is disabled." in fails("generate-data-key", "--key-id", key, "--key-spec", "AES_256")
    cli("enable-key", "--key-id", key)
    answer = cli("schedule-key-deletion", "--key-id", key, "--pending-window-in-days", "7")
    assert (answer["KeyState"], answer["PendingWindowInDays"]) == ("PendingDeletion", 7)
    assert f"{arn} is pending deletion." in fails("enable-key", "--key-id", key)
    cli("cancel-key-deletion", "--key-id", key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
