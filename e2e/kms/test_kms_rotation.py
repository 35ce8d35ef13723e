# SPDX-License-Identifier: Apache-2.0
"""Rotation: on a schedule, on demand, and what older material still opens."""

import datetime

import pytest

import clients
from clients import read, refused
from keys import ARN, ASYMMETRIC, ROOT, metadata, pages

LIMIT = (
    "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations "
    "can be performed for this key: {}"
)


def rotations(kms, key, **arguments):
    return pages(kms, "list_key_rotations", "Rotations", KeyId=key, **arguments)


def test_rotation_status(kms, key):
    off = kms.get_key_rotation_status(KeyId=key)
    assert (off["KeyRotationEnabled"], off["KeyId"]) == (False, key)
    assert "NextRotationDate" not in off
    kms.enable_key_rotation(KeyId=key)
    on = kms.get_key_rotation_status(KeyId=key)
    assert (on["KeyRotationEnabled"], on["RotationPeriodInDays"]) == (True, 365)
    assert days_until(on["NextRotationDate"]) == 365
    for days in (90, 2560, 180):
        kms.enable_key_rotation(KeyId=f"{ARN}:key/{key}", RotationPeriodInDays=days)
        on = kms.get_key_rotation_status(KeyId=key)
        assert (on["RotationPeriodInDays"], days_until(on["NextRotationDate"])) == (days, days)
    kms.disable_key(KeyId=key)
    kms.enable_key(KeyId=key)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 180
    for _ in range(2):
        kms.disable_key_rotation(KeyId=key)
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False


def days_until(moment):
    wait = moment - datetime.datetime.now(datetime.timezone.utc)
    return round(wait / datetime.timedelta(days=1))


@pytest.mark.parametrize("days", [89, 2561, 0, -1, 2**31])
def test_sec_n86_periods(loose, key, days):
    with refused("ValidationException", 400):
        loose.enable_key_rotation(KeyId=key, RotationPeriodInDays=days)
    assert loose.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False


@pytest.mark.parametrize("kind", ASYMMETRIC)
def test_sec_n70_keys_that_do_not_rotate(kms, ring, kind):
    key = ring[kind]["KeyId"]
    for call in (kms.enable_key_rotation, kms.disable_key_rotation, kms.rotate_key_on_demand):
        with refused("UnsupportedOperationException", 400):
            call(KeyId=key)


def test_rotation_on_demand_keeps_what_was_sealed(kms, s3, bucket, key):
    sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    context = {"a": "b"}
    sealed, materials = [], []
    for n in range(4):
        materials.append(metadata(kms, key)["CurrentKeyMaterialId"])
        text = f"sealed {n}".encode()
        made = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
        assert made["KeyMaterialId"] == materials[n]
        s3.put_object(Bucket=bucket, Key=str(n), Body=text, **sse)
        blob = kms.encrypt(KeyId=key, Plaintext=text, EncryptionContext=context)["CiphertextBlob"]
        sealed.append((text, blob, made))
        if n < 3:
            assert kms.rotate_key_on_demand(KeyId=key)["KeyId"] == key
    assert len(set(materials)) == 4
    for n, (text, blob, made) in enumerate(sealed):
        opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
        assert (opened["Plaintext"], opened["KeyMaterialId"]) == (text, materials[n])
        assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
        assert read(s3.get_object(Bucket=bucket, Key=str(n))) == text
        moved = kms.re_encrypt(
            CiphertextBlob=blob, SourceEncryptionContext=context, DestinationKeyId=key)
        assert moved["SourceKeyMaterialId"] == materials[n]
        assert moved["DestinationKeyMaterialId"] == materials[3]
    listed = rotations(kms, key)
    assert len(listed) == 3
    for one in listed:
        assert one["KeyId"] == key and one["RotationType"] == "ON_DEMAND"
        assert abs(days_until(one["RotationDate"])) == 0
    assert {one["KeyMaterialId"] for one in listed} == set(materials[1:])


def test_rotations_in_pages(kms, key):
    for _ in range(5):
        kms.rotate_key_on_demand(KeyId=key)
    first = kms.list_key_rotations(KeyId=key, Limit=2, IncludeKeyMaterial="ROTATIONS_ONLY")
    assert (len(first["Rotations"]), first["Truncated"]) == (2, True)
    rest = kms.list_key_rotations(KeyId=key, Limit=1000, Marker=first["NextMarker"])
    assert (len(rest["Rotations"]), rest["Truncated"]) == (3, False)
    whole = rotations(kms, key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    assert len(whole) == 6
    assert sorted(one.get("KeyMaterialState") for one in whole) == ["CURRENT"] + ["NON_CURRENT"] * 5
    [current] = [one for one in whole if one["KeyMaterialState"] == "CURRENT"]
    assert current["KeyMaterialId"] == metadata(kms, key)["CurrentKeyMaterialId"]


def test_sec_n86_25_rotations_on_demand(kms, key):
    for _ in range(25):
        kms.rotate_key_on_demand(KeyId=key)
    before = metadata(kms, key)
    with refused("LimitExceededException", 400, LIMIT.format(f"{ARN}:key/{key}")):
        kms.rotate_key_on_demand(KeyId=key)
    assert metadata(kms, key) == before and len(rotations(kms, key)) == 25


def test_material_outlives_a_restart(make_server):


    server = make_server()
    client = clients.kms(server)
    key = client.create_key()["KeyMetadata"]["KeyId"]
    old = client.encrypt(KeyId=key, Plaintext=b"old")["CiphertextBlob"]
    client.rotate_key_on_demand(KeyId=key)
    new = client.encrypt(KeyId=key, Plaintext=b"new")["CiphertextBlob"]
    pair = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    signing = {"KeyId": pair, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = client.sign(**signing)["Signature"]
    grant = client.create_grant(KeyId=key, GranteePrincipal=ROOT,
                                Operations=["Decrypt"])["GrantId"]
    for again in (server.restart, lambda: (server.kill(), server.start())):
        again()
        client = clients.kms(server)
        assert client.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"
        assert client.decrypt(CiphertextBlob=new)["Plaintext"] == b"new"
        assert client.verify(Signature=signature, **signing)["SignatureValid"]
        assert [g["GrantId"] for g in client.list_grants(KeyId=key)["Grants"]] == [grant]
        assert len(rotations(client, key)) == 1
