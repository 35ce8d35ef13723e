# SPDX-License-Identifier: Apache-2.0
"""Imported material: wrapped outside with the public key of the service, imported, expired, deleted."""

import datetime
import hashlib
import hmac
import os
import time

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

import clients
from clients import read, refused
from keys import ARN, SYMMETRIC, metadata, pages, state

ALGORITHMS = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"]
KEEP = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def wrap(public, algorithm, material):
    """What a client does with the public key of GetParametersForImport."""
    key = load_der_public_key(public)
    digest = SHA1() if algorithm.endswith("SHA_1") else SHA256()
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    if algorithm.startswith("RSAES"):
        return key.encrypt(material, oaep)
    inner = os.urandom(32)
    return key.encrypt(inner, oaep) + aes_key_wrap_with_padding(inner, material)


class Import:
    """Parameters of an import into one key, and the import."""

    def __init__(self, kms, key, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048"):
        self.kms, self.key, self.algorithm = kms, key, algorithm
        self.got = kms.get_parameters_for_import(
            KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)

    def wrapped(self, material):
        return wrap(self.got["PublicKey"], self.algorithm, material)

    def send(self, material, **more):
        arguments = {"KeyId": self.key, "ImportToken": self.got["ImportToken"],
                     "EncryptedKeyMaterial": self.wrapped(material)} | KEEP | more
        return self.kms.import_key_material(**arguments)


@pytest.fixture
def waiting(make_key):
    """The id of a key without material."""
    return make_key(Origin="EXTERNAL")


# One algorithm for each of the larger keys, which are slow to make.
WAYS = [("RSA_2048", algorithm) for algorithm in ALGORITHMS] + [
    ("RSA_3072", "RSA_AES_KEY_WRAP_SHA_256"), ("RSA_4096", "RSA_AES_KEY_WRAP_SHA_256"),
]


@pytest.mark.parametrize("spec,algorithm", WAYS)
def test_each_way_to_wrap(kms, waiting, spec, algorithm):
    parameters = Import(kms, waiting, algorithm, spec)
    got = parameters.got
    assert got["KeyId"] == f"{ARN}:key/{waiting}" and got["ImportToken"]
    assert load_der_public_key(got["PublicKey"]).key_size == int(spec[4:])
    assert abs(got["ParametersValidTo"] - now() - datetime.timedelta(hours=24)) < datetime.timedelta(minutes=5)
    answer = parameters.send(os.urandom(32))
    assert answer["KeyId"] == f"{ARN}:key/{waiting}" and len(answer["KeyMaterialId"]) == 64
    meta = metadata(kms, waiting)
    assert (meta["KeyState"], meta["ExpirationModel"]) == ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    assert meta["CurrentKeyMaterialId"] == answer["KeyMaterialId"] and "ValidTo" not in meta
    blob = kms.encrypt(KeyId=waiting, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_deleted_material_comes_back(kms, s3, bucket, waiting):
    material = os.urandom(32)
    first = Import(kms, waiting).send(material)["KeyMaterialId"]
    blob = kms.encrypt(KeyId=waiting, Plaintext=b"x")["CiphertextBlob"]
    sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": waiting}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **sse)
    gone = kms.delete_imported_key_material(KeyId=waiting)
    assert (gone["KeyId"], gone["KeyMaterialId"]) == (f"{ARN}:key/{waiting}", first)
    assert state(kms, waiting) == "PendingImport"
    text = f"{ARN}:key/{waiting} is pending import."
    with refused("KMSInvalidStateException", 400, text):
        kms.decrypt(CiphertextBlob=blob)
    with refused("KMS.KMSInvalidStateException", 400, text):
        s3.get_object(Bucket=bucket, Key="k")
    with refused("IncorrectKeyMaterialException", 400):
        Import(kms, waiting).send(os.urandom(32))
    assert state(kms, waiting) == "PendingImport"
    again = Import(kms, waiting).send(material, ImportType="EXISTING_KEY_MATERIAL")
    assert again["KeyMaterialId"] == first
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


def test_material_that_expires(kms, waiting):
    material = os.urandom(32)
    for seconds in (3, 10, 60):
        until = now() + datetime.timedelta(seconds=seconds)
        try:
            Import(kms, waiting).send(material, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=until)
            meta = metadata(kms, waiting)
            blob = kms.encrypt(KeyId=waiting, Plaintext=b"x")["CiphertextBlob"]
            break
        except ClientError:
            assert now() > until, "refused before its time"
    else:
        raise AssertionError("it expires before it is used")
    assert meta["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
    assert abs(meta["ValidTo"] - until) <= datetime.timedelta(seconds=1)
    time.sleep(max(0, (meta["ValidTo"] - now()).total_seconds()) + 0.3)
    for call in (lambda: kms.decrypt(CiphertextBlob=blob), lambda: kms.encrypt(KeyId=waiting, Plaintext=b"x")):
        with refused("KMSInvalidStateException", 400, f"{ARN}:key/{waiting} is pending import."):
            call()
    assert state(kms, waiting) == "PendingImport"
    Import(kms, waiting).send(material)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_new_material_waits_for_a_rotation(kms, waiting):
    arn = f"{ARN}:key/{waiting}"
    materials = [os.urandom(32) for _ in range(3)]
    first = Import(kms, waiting).send(materials[0], ImportType="NEW_KEY_MATERIAL",
                                      KeyMaterialDescription="the first")["KeyMaterialId"]
    old = kms.encrypt(KeyId=waiting, Plaintext=b"old")["CiphertextBlob"]
    with refused("KMSInvalidStateException", 400,
                 f"No available key material pending rotation for the key: {arn}."):
        kms.rotate_key_on_demand(KeyId=waiting)
    second = Import(kms, waiting).send(materials[1], ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    assert metadata(kms, waiting)["CurrentKeyMaterialId"] == first
    listed = {one["KeyMaterialId"]: one for one in pages(
        kms, "list_key_rotations", "Rotations", KeyId=waiting, IncludeKeyMaterial="ALL_KEY_MATERIAL")}
    assert {one: listed[one]["KeyMaterialState"] for one in listed} == {
        first: "CURRENT", second: "PENDING_ROTATION"}
    assert listed[first]["KeyMaterialDescription"] == "the first"
    assert all(one["ImportState"] == "IMPORTED" for one in listed.values())
    with pytest.raises(Exception) as caught:
        Import(kms, waiting).send(materials[2], ImportType="NEW_KEY_MATERIAL")
    error = caught.value.response["Error"]
    assert error["Code"] == "KMSInvalidStateException"
    assert error["Message"].startswith("New key material (id: ")
    assert error["Message"].endswith(
        f"{waiting}, because another key material (id: {second}) is pending rotation.")
    kms.rotate_key_on_demand(KeyId=waiting)
    assert metadata(kms, waiting)["CurrentKeyMaterialId"] == second
    new = kms.encrypt(KeyId=waiting, Plaintext=b"new")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=old)["KeyMaterialId"] == first
    assert kms.decrypt(CiphertextBlob=new)["KeyMaterialId"] == second
    kms.delete_imported_key_material(KeyId=waiting, KeyMaterialId=first)
    assert state(kms, waiting) == "PendingImport"  # not all of it is there
    Import(kms, waiting).send(materials[0], KeyMaterialId=first)
    assert kms.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"


def test_material_of_an_hmac_key(kms, make_key):
    made = make_key(Origin="EXTERNAL", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    material = os.urandom(32)
    Import(kms, made).send(material)
    mac = kms.generate_mac(KeyId=made, Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"]
    assert mac == hmac.new(material, b"m", hashlib.sha256).digest()


# ---- refusals -----------------------------------------------------------------------------------


def test_sec_n85_only_external_keys(kms, ring):
    key = ring[SYMMETRIC]
    text = f"{key['Arn']} origin is AWS_KMS which is not valid for this operation."
    for call in (
        lambda: kms.get_parameters_for_import(
            KeyId=key["KeyId"], WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"),
        lambda: kms.import_key_material(
            KeyId=key["KeyId"], ImportToken=b"x", EncryptedKeyMaterial=b"x" * 256, **KEEP),
        lambda: kms.delete_imported_key_material(KeyId=key["KeyId"]),
    ):
        with refused("UnsupportedOperationException", 400, text):
            call()


@pytest.mark.parametrize("wrong,code", [
    ({"WrappingAlgorithm": "RSAES_PKCS1_V1_5"}, ("UnsupportedOperationException", "ValidationException")),
    ({"WrappingAlgorithm": "SM2PKE"}, ("UnsupportedOperationException", "ValidationException")),
    ({"WrappingAlgorithm": "AES"}, ("ValidationException",)),
    ({"WrappingKeySpec": "RSA_1024"}, ("ValidationException",)),
    ({"WrappingKeySpec": "SM2"}, ("UnsupportedOperationException", "ValidationException")),
    ({"WrappingKeySpec": None}, ("ValidationException",)), ({"WrappingAlgorithm": None}, ("ValidationException",)),
])
def test_sec_n85_parameters(by_hand, waiting, wrong, code):
    body = {"KeyId": waiting, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"} | wrong
    answer = by_hand("GetParametersForImport", {k: v for k, v in body.items() if v is not None})
    assert answer.status == 400 and answer.code in code, answer.body


def test_sec_n85_wrapped_another_way(kms, waiting):
    material = os.urandom(32)
    parameters = Import(kms, waiting)
    public = parameters.got["PublicKey"]
    good = parameters.wrapped(material)
    for bent in [wrap(public, other, material) for other in ALGORITHMS if other != parameters.algorithm] + [
        good[:-1], good + b"\0", bytes([good[0] ^ 1]) + good[1:], os.urandom(256), material, b"x",
    ]:
        with refused("InvalidCiphertextException", 400):
            parameters.send(material, EncryptedKeyMaterial=bent)
    assert state(kms, waiting) == "PendingImport"


@pytest.mark.parametrize("size", [0, 1, 16, 31, 33, 64])
def test_sec_n85_material_of_another_size(kms, waiting, size):
    with pytest.raises(Exception) as caught:
        Import(kms, waiting).send(bytes(size) or b"")
    assert caught.value.response["Error"]["Code"] in (
        "IncorrectKeyMaterialException", "InvalidCiphertextException", "ValidationException")
    assert state(kms, waiting) == "PendingImport"


def test_sec_n85_tokens(kms, waiting, make_key):
    other = make_key(Origin="EXTERNAL")
    material = os.urandom(32)
    mine, of_other = Import(kms, waiting), Import(kms, other)
    token = mine.got["ImportToken"]
    for bent in (of_other.got["ImportToken"], bytes([token[0] ^ 1]) + token[1:], token[:-1], token + b"\0",
                 token[:len(token) // 2], b"x", os.urandom(len(token))):
        with refused("InvalidImportTokenException", 400):
            mine.send(material, ImportToken=bent)
    # The material is wrapped for the token's own public key.
    second = Import(kms, waiting)
    with refused("InvalidCiphertextException", 400):
        mine.send(material, ImportToken=second.got["ImportToken"])
    assert state(kms, waiting) == state(kms, other) == "PendingImport"
    mine.send(material)
    # A token used once more cannot bring in anything else.
    with pytest.raises(Exception) as caught:
        mine.send(os.urandom(32))
    assert caught.value.response["Error"]["Code"] in (
        "IncorrectKeyMaterialException", "InvalidImportTokenException")
    assert state(kms, other) == "PendingImport"


def test_sec_n85_material_of_another_key_material_id(kms, waiting):
    material = os.urandom(32)
    first = Import(kms, waiting).send(material)["KeyMaterialId"]
    kms.delete_imported_key_material(KeyId=waiting)
    with pytest.raises(Exception) as caught:
        Import(kms, waiting).send(material, KeyMaterialId="0" * 64)
    assert caught.value.response["Error"]["Code"] in ("IncorrectKeyMaterialException", "ValidationException")
    with refused("ValidationException", 400):
        Import(kms, waiting).send(material, KeyMaterialId=first, ImportType="NEW_KEY_MATERIAL")
    # The identifier says which key the material is of, too.
    other = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    assert Import(kms, other).send(material)["KeyMaterialId"] != first


@pytest.mark.parametrize("wrong,code,message", [
    ({"ExpirationModel": "KEY_MATERIAL_EXPIRES"}, "ValidationException",
     "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"),
    ({"ExpirationModel": "NEVER"}, "ValidationException", None),
    ({"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": now() - datetime.timedelta(days=1)},
     "ValidationException", None),
    ({"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": now() + datetime.timedelta(days=367)},
     "ValidationException", None),
    ({"ImportType": "SOME"}, "ValidationException", None),
    ({"ImportToken": b""}, "ValidationException", None),
    ({"EncryptedKeyMaterial": b""}, "ValidationException", None),
    ({"EncryptedKeyMaterial": bytes(6145)}, "ValidationException", None),
    ({"ImportToken": bytes(6145)}, "ValidationException", None),
    ({"KeyMaterialDescription": "a;b"}, "ValidationException", None),
    ({"KeyMaterialDescription": "x" * 257}, "ValidationException", None),
    ({"KeyMaterialId": "xyz"}, "ValidationException", None),
])
def test_sec_n85_imports_that_cannot_be(loose, waiting, wrong, code, message):
    with refused(code, 400, message):
        Import(loose, waiting).send(os.urandom(32), **wrong)
    assert state(loose, waiting) == "PendingImport"


def test_sec_n85_deletion_of_what_is_not_there(kms, waiting):
    with pytest.raises(Exception) as caught:
        kms.delete_imported_key_material(KeyId=waiting, KeyMaterialId="0" * 64)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_sec_n85_token_outlives_a_restart_and_nothing_else(make_server):
    """The private half is kept; a token is no secret and opens nothing by itself."""
    server = make_server()
    client = clients.kms(server)
    key = client.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    parameters = Import(client, key)
    server.restart()
    parameters.kms = clients.kms(server)
    parameters.send(os.urandom(32))
    assert state(parameters.kms, key) == "Enabled"
