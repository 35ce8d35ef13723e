# SPDX-License-Identifier: Apache-2.0
"""CreateAlias, UpdateAlias, DeleteAlias, ListAliases."""

import uuid

import pytest

from clients import refused
from keys import ABSENT, ARN, SYMMETRIC, absent, metadata, pages

PREFIX = (
    'Alias must start with the prefix "alias/". Please see '
    "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
)
INCORRECT = "The key ID in the request does not identify a CMK that can perform this operation."


def fresh():
    return f"alias/t/{uuid.uuid4().hex}"


def test_life_of_an_alias(kms, key, make_key):
    name, other = fresh(), make_key()
    kms.create_alias(AliasName=name, TargetKeyId=key)
    assert metadata(kms, name)["KeyId"] == key
    made = of(kms, key)[name]
    assert (made["AliasArn"], made["TargetKeyId"]) == (f"{ARN}:{name}", key)
    assert made["CreationDate"] == made["LastUpdatedDate"]
    kms.update_alias(AliasName=name, TargetKeyId=f"{ARN}:key/{other}")
    moved = of(kms, other)[name]
    assert moved["TargetKeyId"] == other and moved["CreationDate"] == made["CreationDate"]
    assert moved["LastUpdatedDate"] >= made["LastUpdatedDate"]
    assert name not in of(kms, key)
    kms.delete_alias(AliasName=name)
    with refused("NotFoundException", 400, f"Alias {ARN}:{name} is not found."):
        kms.describe_key(KeyId=name)
    assert metadata(kms, other)["KeyState"] == "Enabled"


def of(kms, key):
    return {one["AliasName"]: one for one in pages(kms, "list_aliases", "Aliases", KeyId=key)}


def test_pages(kms, key):
    names = sorted(fresh() for _ in range(5))
    for name in names:
        kms.create_alias(AliasName=name, TargetKeyId=key)
    listed = [one["AliasName"] for one in pages(kms, "list_aliases", "Aliases", KeyId=key, PaginationConfig={
        "PageSize": 2})]
    assert sorted(listed) == names
    first = kms.list_aliases(KeyId=key, Limit=2)
    assert first["Truncated"] and len(first["Aliases"]) == 2
    second = kms.list_aliases(KeyId=key, Limit=1000, Marker=first["NextMarker"])
    assert len(second["Aliases"]) == 3 and not second["Truncated"]
    everything = {one["AliasName"] for one in pages(kms, "list_aliases", "Aliases")}
    assert set(names) <= everything


@pytest.mark.parametrize("name,code,message", [
    ("noprefix", "ValidationException", PREFIX), ("Alias/x", "ValidationException", PREFIX),
    ("alias/", "ValidationException", None), ("", "ValidationException", None),
    ("alias/a b", "ValidationException", None), ("alias/\u00e4", "ValidationException", None),
    ("alias/x\n", "ValidationException", None), ("alias/" + "x" * 251, "ValidationException", None),
    ("alias/aws/mine", "NotAuthorizedException", None),
])
def test_sec_n82_names(loose, key, name, code, message):
    if name == "alias/aws/mine":
        code = "InvalidAliasNameException"
    for call in (
        lambda: loose.create_alias(AliasName=name, TargetKeyId=key),
        lambda: loose.update_alias(AliasName=name, TargetKeyId=key),
    ):
        with pytest.raises(Exception) as caught:
            call()
        error = caught.value.response["Error"]
        assert error["Code"] in (code, "InvalidAliasNameException", "NotAuthorizedException"), error
        assert message is None or error["Message"] == message
    assert of(loose, key) == {}


def test_sec_n82_aliases_and_keys_that_are_not_there(kms, key, alias):
    with refused("AlreadyExistsException", 400):
        kms.create_alias(AliasName=alias, TargetKeyId=key)
    for target in (ABSENT, f"{ARN}:key/{ABSENT}"):
        with refused("NotFoundException", 400, absent()):
            kms.create_alias(AliasName=fresh(), TargetKeyId=target)
        with refused("NotFoundException", 400, absent()):
            kms.update_alias(AliasName=alias, TargetKeyId=target)
    missing = fresh()
    with refused("NotFoundException", 400, f"Alias {ARN}:{missing} is not found."):
        kms.update_alias(AliasName=missing, TargetKeyId=key)
    with refused("NotFoundException", 400, f"Alias {ARN}:{missing} is not found."):
        kms.delete_alias(AliasName=missing)
    # An alias is no name for the target of an alias.
    with pytest.raises(Exception) as caught:
        kms.create_alias(AliasName=missing, TargetKeyId=alias)
    assert caught.value.response["Error"]["Code"] in ("NotFoundException", "ValidationException", "InvalidArnException")
    assert metadata(kms, alias)["KeyId"] == key


def test_sec_n82_alias_of_a_service(kms, s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    own = metadata(kms, "alias/aws/s3")["KeyId"]
    for call in (
        lambda: kms.update_alias(AliasName="alias/aws/s3", TargetKeyId=key),
        lambda: kms.delete_alias(AliasName="alias/aws/s3"),
        lambda: kms.create_alias(AliasName=fresh(), TargetKeyId=own),
    ):
        with pytest.raises(Exception) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert metadata(kms, "alias/aws/s3")["KeyId"] == own
    assert list(of(kms, own)) == ["alias/aws/s3"]


def test_sec_n82_an_alias_stays_with_its_kind(kms, ring, alias, key):
    """A name must not come to mean a key of another use."""
    for kind in (("RSA_2048", "SIGN_VERIFY"), ("HMAC_256", "GENERATE_VERIFY_MAC"),
                 ("RSA_2048", "ENCRYPT_DECRYPT")):
        with pytest.raises(Exception) as caught:
            kms.update_alias(AliasName=alias, TargetKeyId=ring[kind]["KeyId"])
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert metadata(kms, alias)["KeyId"] == key
    kms.update_alias(AliasName=alias, TargetKeyId=ring[SYMMETRIC]["KeyId"])


def test_fifty_aliases(kms, key):
    for _ in range(50):
        kms.create_alias(AliasName=fresh(), TargetKeyId=key)
    with refused("LimitExceededException", 400):
        kms.create_alias(AliasName=fresh(), TargetKeyId=key)
    assert len(of(kms, key)) == 50


def test_sec_n82_alias_that_points_elsewhere(kms, ring, key, alias):
    """Data is tied to the key it was sealed with, not to a name: a repointed alias opens nothing."""
    blob = kms.encrypt(KeyId=alias, Plaintext=b"x")["CiphertextBlob"]
    kms.update_alias(AliasName=alias, TargetKeyId=ring[SYMMETRIC]["KeyId"])
    with refused("IncorrectKeyException", 400, INCORRECT):
        kms.decrypt(CiphertextBlob=blob, KeyId=alias)
    opened = kms.decrypt(CiphertextBlob=blob)
    assert (opened["Plaintext"], opened["KeyId"]) == (b"x", f"{ARN}:key/{key}")
    assert kms.encrypt(KeyId=alias, Plaintext=b"x")["KeyId"] == ring[SYMMETRIC]["Arn"]
    kms.delete_alias(AliasName=alias)
    with refused("NotFoundException", 400, f"Alias {ARN}:{alias} is not found."):
        kms.decrypt(CiphertextBlob=blob, KeyId=alias)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
