# SPDX-License-Identifier: Apache-2.0
"""Key policies as documents: GetKeyPolicy, PutKeyPolicy, ListKeyPolicies, the lock-out check."""

import json

import pytest

from clients import refused
from keys import ARN, ROOT
from people import DEFAULT_KEY_POLICY, DELEGATE, allow, deny, document, statement
from strongroom import ACCOUNT

SOMEBODY = f"arn:aws:iam::{ACCOUNT}:user/somebody"
FOREIGN = "arn:aws:iam::111122223333:root"


def policy_of(kms, key):
    return json.loads(kms.get_key_policy(KeyId=key)["Policy"])


def test_policy_of_a_new_key(kms, key):
    got = kms.get_key_policy(KeyId=f"{ARN}:key/{key}", PolicyName="default")
    assert got["PolicyName"] == "default" and json.loads(got["Policy"]) == DEFAULT_KEY_POLICY
    listed = kms.list_key_policies(KeyId=key)
    assert (listed["PolicyNames"], listed["Truncated"]) == (["default"], False)
    assert kms.list_key_policies(KeyId=key, Limit=1000)["PolicyNames"] == ["default"]


def test_put_and_get(kms, key):
    text = document(DELEGATE, deny("kms:ScheduleKeyDeletion", principal="*"), Id="mine", Version="2012-10-17")
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=text)
    assert policy_of(kms, key) == json.loads(text)
    kms.put_key_policy(KeyId=key, Policy=document(DELEGATE))
    assert policy_of(kms, key) == json.loads(document(DELEGATE))


def test_policy_of_a_service_key(kms, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    got = policy_of(kms, kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["KeyId"])
    text = json.dumps(got)
    assert "kms:ViaService" in text and "kms:CallerAccount" in text and ACCOUNT in text


def test_names_of_policies(kms, key):
    with refused("NotFoundException", 400):
        kms.get_key_policy(KeyId=key, PolicyName="other")
    with pytest.raises(Exception) as caught:
        kms.put_key_policy(KeyId=key, PolicyName="other", Policy=document(DELEGATE))
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "NotFoundException")


MALFORMED = {
    "no json": "policy", "empty object": "{}", "list": "[]", "no statement": '{"Version":"2012-10-17"}',
    "no principal": document(allow("kms:*")), "no effect": document({"Principal": "*", "Action": "*", "Resource": "*"}),
    "effect in lower case": document({"Effect": "allow", "Principal": "*", "Action": "*", "Resource": "*"}),
    "no action": document({"Effect": "Allow", "Principal": "*", "Resource": "*"}),
    "no resource": document({"Effect": "Allow", "Principal": "*", "Action": "kms:*"}),
    "unknown element": document(DELEGATE | {"Conditions": {}}),
    "unknown top": document(DELEGATE, Statements=[]),
    "unknown operator": document(allow("kms:*", principal=ROOT, condition={"StringIs": {"a": "b"}})),
    "version": document(DELEGATE, Version="2020-01-01"),
    "both actions": document(DELEGATE | {"NotAction": "kms:*"}),
    "both principals": document(DELEGATE | {"NotPrincipal": "*"}),
    "both resources": document(DELEGATE | {"NotResource": "*"}),
    "duplicate member": '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}',
    "duplicate effect": '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Effect":"Allow",'
                        f'"Principal":{{"AWS":"{ROOT}"}},"Action":"kms:*","Resource":"*"}}]}}',
    "principal of no form": document(allow("kms:*", principal="nobody")),
    "deep": '{"Version":"2012-10-17","Statement":' + "[" * 500 + "]" * 500 + "}",
    "junk after": document(DELEGATE) + "x", "numbers": document(DELEGATE | {"Action": 1}),
    "byte order mark": "\ufeff" + document(DELEGATE),
}


@pytest.mark.parametrize("what", sorted(MALFORMED))
def test_sec_n42_documents_that_are_no_policy(by_hand, kms, key, what):
    answer = by_hand("PutKeyPolicy", {"KeyId": key, "Policy": MALFORMED[what]})
    assert answer.status == 400, answer
    assert answer.code in ("MalformedPolicyDocumentException", "ValidationException"), answer.body
    assert policy_of(kms, key) == DEFAULT_KEY_POLICY
    answer = by_hand("CreateKey", {"Policy": MALFORMED[what]})
    assert answer.status == 400 and answer.code in ("MalformedPolicyDocumentException", "ValidationException")


def test_sec_n42_sizes(kms, loose, key):
    """32 KiB, and not a byte more."""
    def of_size(size):
        text = document(DELEGATE, Id="")
        return text.replace('"Id": ""', f'"Id": "{"x" * (size - len(text))}"')

    kms.put_key_policy(KeyId=key, Policy=of_size(32_768))
    assert len(kms.get_key_policy(KeyId=key)["Policy"]) > 32_000
    for size in (32_769, 131_073):
        with pytest.raises(Exception) as caught:
            loose.put_key_policy(KeyId=key, Policy=of_size(size))
        assert caught.value.response["Error"]["Code"] in (
            "LimitExceededException", "ValidationException", "MalformedPolicyDocumentException")
    assert len(policy_of(kms, key)["Id"]) > 32_000


# ---- the lock-out check -------------------------------------------------------------------------


LOCKED_OUT = {
    "only somebody else": document(allow("kms:*", principal=FOREIGN)),
    "no more PutKeyPolicy": document(allow(["kms:Encrypt", "kms:Decrypt"], principal=ROOT)),
    "denied": document(DELEGATE, deny("kms:PutKeyPolicy", principal="*")),
    "everything but": document(statement("Allow", None, NotAction="kms:PutKeyPolicy", principal=ROOT)),
    "on another key": document(allow("kms:*", f"{ARN}:key/00000000-0000-4000-8000-000000000000", principal=ROOT)),
}


@pytest.mark.parametrize("what", sorted(LOCKED_OUT))
def test_sec_n87_lock_out(kms, key, what):
    for bypass in ({}, {"BypassPolicyLockoutSafetyCheck": False}):
        with refused("MalformedPolicyDocumentException", 400):
            kms.put_key_policy(KeyId=key, Policy=LOCKED_OUT[what], **bypass)
        with refused("MalformedPolicyDocumentException", 400):
            kms.create_key(Policy=LOCKED_OUT[what], **bypass)
    assert policy_of(kms, key) == DEFAULT_KEY_POLICY


def test_sec_n87_lock_out_on_purpose(kms, key):
    """The flag is asked for, and then nobody can change the policy any more."""
    text = document(allow(["kms:Encrypt", "kms:DescribeKey", "kms:GetKeyPolicy"], principal=ROOT))
    kms.put_key_policy(KeyId=key, Policy=text, BypassPolicyLockoutSafetyCheck=True)
    kms.encrypt(KeyId=key, Plaintext=b"x")
    assert policy_of(kms, key) == json.loads(text)
    for call in (
        lambda: kms.put_key_policy(KeyId=key, Policy=document(DELEGATE)),
        lambda: kms.put_key_policy(KeyId=key, Policy=document(DELEGATE), BypassPolicyLockoutSafetyCheck=True),
        lambda: kms.disable_key(KeyId=key), lambda: kms.schedule_key_deletion(KeyId=key),
        lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256"),
    ):
        with refused("AccessDeniedException", 400):
            call()
    made = kms.create_key(Policy=text, BypassPolicyLockoutSafetyCheck=True)["KeyMetadata"]["KeyId"]
    with refused("AccessDeniedException", 400):
        kms.disable_key(KeyId=made)


def test_sec_n87_who_asks_must_stay_able(make_user, kms, key):
    """The check is about the caller, so a user cannot give the key away to another."""
    one, other = make_user(document(allow("kms:*"))), make_user(document(allow("kms:*")))
    theirs = document(allow("kms:*", principal=other.arn))
    with refused("MalformedPolicyDocumentException", 400):
        one.kms.put_key_policy(KeyId=key, Policy=theirs)
    one.kms.put_key_policy(KeyId=key, Policy=theirs, BypassPolicyLockoutSafetyCheck=True)
    for client in (one.kms, kms):
        with refused("AccessDeniedException", 400):
            client.describe_key(KeyId=key)
    other.kms.put_key_policy(KeyId=key, Policy=document(DELEGATE, allow("kms:*", principal=other.arn)))
    assert kms.describe_key(KeyId=key)


def test_sec_n87_principals_must_exist(kms, key):
    with refused("MalformedPolicyDocumentException", 400):
        kms.put_key_policy(KeyId=key, Policy=document(DELEGATE, allow("kms:Decrypt", principal=SOMEBODY + "-absent")))
    assert policy_of(kms, key) == DEFAULT_KEY_POLICY
