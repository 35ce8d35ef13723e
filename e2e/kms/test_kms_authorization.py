# SPDX-License-Identifier: Apache-2.0
"""Who may do what: identity policies, key policies and grants together, for KMS and for S3."""

import json
import uuid

import pytest

import clients
import leaks
from clients import read, refused
from keys import ARN, ROOT, SYMMETRIC
from people import DELEGATE, User, allow, deny, document, not_authorized, statement
from rawhttp import Client
from strongroom import ACCOUNT, REGION

S3_ALL = allow("s3:*")
NO_KEYS = document(S3_ALL)


def sse(key):
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}


def arn(key):
    return f"{ARN}:key/{key}"


def denied(user, action, key):
    """The refusal of a KMS call."""
    return refused_with(f"{not_authorized(user, action, arn(key))}")


class refused_with:
    def __init__(self, start, code="AccessDeniedException", status=400):
        self.start, self.code, self.status = start, code, status

    def __enter__(self):
        self.inner = refused(self.code, self.status)
        self.caught = self.inner.__enter__()
        return self.caught

    def __exit__(self, *exc):
        held = self.inner.__exit__(*exc)
        assert self.caught.value.response["Error"]["Message"].startswith(self.start)
        return held


# ---- the commands -------------------------------------------------------------------------------


def test_life_of_an_identity_policy(server, kms, key):
    user = User(server)
    assert user.kms.list_keys()["Keys"]  # without a policy it may do everything
    user.set_policy(document(allow("kms:DescribeKey")))
    shown = json.loads(server.command("user", "policy", user.name).stdout)
    assert shown == json.loads(document(allow("kms:DescribeKey")))
    assert user.kms.describe_key(KeyId=key)
    with denied(user, "kms:Encrypt", key):
        user.kms.encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException", 400):
        user.kms.list_keys()
    user.remove_policy()
    assert user.kms.encrypt(KeyId=key, Plaintext=b"x")
    user.remove()


@pytest.mark.parametrize("text", [
    "", "{", "[]", "{}", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]}',
    document(allow("kms:*", principal="*")), document({"Effect": "Permit", "Action": "*", "Resource": "*"}),
    '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}',
])
def test_sec_n42_identity_policies_that_are_none(server, make_user, kms, key, text):
    user = make_user(document(allow("kms:DescribeKey")))
    with pytest.raises(AssertionError):
        user.set_policy(text)
    assert user.kms.describe_key(KeyId=key)
    with refused("AccessDeniedException"):
        user.kms.encrypt(KeyId=key, Plaintext=b"x")
    name = f"u-{uuid.uuid4().hex[:12]}"
    with pytest.raises(AssertionError):
        User(server, text, name=name)
    assert name not in server.command("user", "list").stdout


def test_policy_outlives_a_restart(make_server):
    server = make_server()
    user = User(server, document(allow("kms:ListKeys")))
    server.restart()
    client = clients.kms(server, credential=user.credential)
    assert client.list_keys()["Keys"] == []
    with refused("AccessDeniedException"):
        client.create_key()


# ---- KMS ----------------------------------------------------------------------------------------


EACH_ACTION = {
    "kms:Encrypt": lambda c, k, b: c.encrypt(KeyId=k, Plaintext=b"x"),
    "kms:Decrypt": lambda c, k, b: c.decrypt(CiphertextBlob=b),
    "kms:GenerateDataKey": lambda c, k, b: c.generate_data_key(KeyId=k, KeySpec="AES_256"),
    "kms:GenerateDataKeyWithoutPlaintext": lambda c, k, b: c.generate_data_key_without_plaintext(
        KeyId=k, KeySpec="AES_256"),
    "kms:GenerateDataKeyPair": lambda c, k, b: c.generate_data_key_pair(KeyId=k, KeyPairSpec="ECC_NIST_P256"),
    "kms:GenerateDataKeyPairWithoutPlaintext": lambda c, k, b: c.generate_data_key_pair_without_plaintext(
        KeyId=k, KeyPairSpec="ECC_NIST_P256"),
    "kms:DescribeKey": lambda c, k, b: c.describe_key(KeyId=k),
    "kms:UpdateKeyDescription": lambda c, k, b: c.update_key_description(KeyId=k, Description="x"),
    "kms:GetKeyPolicy": lambda c, k, b: c.get_key_policy(KeyId=k),
    "kms:PutKeyPolicy": lambda c, k, b: c.put_key_policy(
        KeyId=k, Policy=document(DELEGATE), BypassPolicyLockoutSafetyCheck=True),
    "kms:ListKeyPolicies": lambda c, k, b: c.list_key_policies(KeyId=k),
    "kms:EnableKeyRotation": lambda c, k, b: c.enable_key_rotation(KeyId=k),
    "kms:DisableKeyRotation": lambda c, k, b: c.disable_key_rotation(KeyId=k),
    "kms:GetKeyRotationStatus": lambda c, k, b: c.get_key_rotation_status(KeyId=k),
    "kms:RotateKeyOnDemand": lambda c, k, b: c.rotate_key_on_demand(KeyId=k),
    "kms:ListKeyRotations": lambda c, k, b: c.list_key_rotations(KeyId=k),
    "kms:TagResource": lambda c, k, b: c.tag_resource(KeyId=k, Tags=[]),
    "kms:UntagResource": lambda c, k, b: c.untag_resource(KeyId=k, TagKeys=["x"]),
    "kms:ListResourceTags": lambda c, k, b: c.list_resource_tags(KeyId=k),
    "kms:CreateGrant": lambda c, k, b: c.create_grant(KeyId=k, GranteePrincipal=ROOT, Operations=["Decrypt"]),
    "kms:ListGrants": lambda c, k, b: c.list_grants(KeyId=k),
    "kms:GetKeyLastUsage": lambda c, k, b: c.get_key_last_usage(KeyId=k),
    "kms:DisableKey": lambda c, k, b: c.disable_key(KeyId=k),
    "kms:EnableKey": lambda c, k, b: c.enable_key(KeyId=k),
    "kms:ScheduleKeyDeletion": lambda c, k, b: c.schedule_key_deletion(KeyId=k),
    "kms:CancelKeyDeletion": lambda c, k, b: c.cancel_key_deletion(KeyId=k),
}


def test_sec_n36_each_action_needs_its_own_permission(kms, key, make_user):
    """All but one action: that one is refused, and with that one alone, all others are."""
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    user = make_user(document(allow("kms:ListAliases")))
    for action, call in EACH_ACTION.items():
        with denied(user, action, key):
            call(user.kms, key, blob)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    user.set_policy(document(allow(list(EACH_ACTION), arn(key))))
    for action, call in EACH_ACTION.items():
        call(user.kms, key, blob)


def test_sec_n36_account_wide_actions(kms, make_user):
    user = make_user(document(allow("kms:DescribeKey")))
    for action, call in {
        "kms:ListKeys": lambda: user.kms.list_keys(), "kms:ListAliases": lambda: user.kms.list_aliases(),
        "kms:CreateKey": lambda: user.kms.create_key(),
        "kms:GenerateRandom": lambda: user.kms.generate_random(NumberOfBytes=1),
    }.items():
        with refused_with(not_authorized(user, action, "")):
            call()
    user.set_policy(document(allow(["kms:ListKeys", "kms:ListAliases", "kms:CreateKey", "kms:GenerateRandom"])))
    assert "Keys" in user.kms.list_keys() and "Aliases" in user.kms.list_aliases()
    assert user.kms.create_key() and user.kms.generate_random(NumberOfBytes=1)
    with refused("AccessDeniedException"):  # its tags are another matter
        user.kms.create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])


def test_sec_n36_aliases_need_both_sides(kms, key, make_user):
    name = f"alias/t-{uuid.uuid4().hex}"
    alias_arn = f"{ARN}:{name}"
    user = make_user(document(allow("kms:CreateAlias", arn(key))))
    with refused("AccessDeniedException"):
        user.kms.create_alias(AliasName=name, TargetKeyId=key)
    user.set_policy(document(allow("kms:CreateAlias", alias_arn)))
    with refused("AccessDeniedException"):
        user.kms.create_alias(AliasName=name, TargetKeyId=key)
    user.set_policy(document(allow(["kms:CreateAlias", "kms:DeleteAlias"], [arn(key), alias_arn])))
    user.kms.create_alias(AliasName=name, TargetKeyId=key)
    user.kms.delete_alias(AliasName=name)


def test_sec_n36_a_policy_that_does_not_delegate(kms, make_user, make_key):
    """The key policy is the root of trust: without the account's root in it, IAM grants nothing."""
    user, other = make_user(document(allow("*"))), make_user(document(allow("*")))
    policy = document(
        allow("kms:*", principal=ROOT, condition={"StringEquals": {"aws:PrincipalType": "Account"}}),
        allow(["kms:Encrypt", "kms:DescribeKey"], principal=user.arn),
    )
    key = make_key(Policy=policy, BypassPolicyLockoutSafetyCheck=True)
    assert user.kms.encrypt(KeyId=key, Plaintext=b"x")
    for who, action, call in (
        (user, "kms:GenerateDataKey", lambda: user.kms.generate_data_key(KeyId=key, KeySpec="AES_256")),
        (other, "kms:Encrypt", lambda: other.kms.encrypt(KeyId=key, Plaintext=b"x")),
        (other, "kms:DescribeKey", lambda: other.kms.describe_key(KeyId=key)),
    ):
        with denied(who, action, key):
            call()
    # Said directly, it needs no identity policy.
    bare = make_user(document(allow("s3:ListAllMyBuckets")))
    kms.put_key_policy(KeyId=key, Policy=document(
        DELEGATE, allow("kms:Encrypt", principal=bare.arn)), BypassPolicyLockoutSafetyCheck=True)
    assert bare.kms.encrypt(KeyId=key, Plaintext=b"x")


def test_sec_n27_deny_wins_everywhere(kms, make_key, make_user, key):
    user = make_user(document(allow("kms:*"), deny("kms:Decrypt", arn(key))))
    blob = user.kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    with refused_with(not_authorized(user, "kms:Decrypt", arn(key)) + " with an explicit deny in an identity"):
        user.kms.decrypt(CiphertextBlob=blob)
    user.set_policy(document(allow("kms:*")))
    assert user.kms.decrypt(CiphertextBlob=blob)
    kms.put_key_policy(KeyId=key, Policy=document(
        DELEGATE, allow("kms:*", principal=user.arn), deny("kms:Decrypt", principal=user.arn)))
    kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=["Decrypt"])
    with refused_with(not_authorized(user, "kms:Decrypt", arn(key)) + " with an explicit deny in a resource"):
        user.kms.decrypt(CiphertextBlob=blob)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_sec_n84_re_encrypt_needs_both(kms, key, make_key, make_user):
    target = make_key()
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    from_it, to_it = allow("kms:ReEncryptFrom", arn(key)), allow("kms:ReEncryptTo", arn(target))
    user = make_user(document(from_it))
    for policy, action, where in (
        (document(from_it), "kms:ReEncryptTo", target), (document(to_it), "kms:ReEncryptFrom", key),
        (document(allow("kms:ReEncryptFrom", arn(target)), allow("kms:ReEncryptTo", arn(key))),
         "kms:ReEncryptFrom", key),
        (document(allow(["kms:Encrypt", "kms:Decrypt"])), "kms:ReEncryptFrom", key),
    ):
        user.set_policy(policy)
        with denied(user, action, where):
            user.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=target)
    user.set_policy(document(from_it, to_it))
    moved = user.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=target)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=moved)["Plaintext"] == b"x"
    # Whether it stays on one key is a condition.
    user.set_policy(document(statement(
        "Allow", "kms:ReEncrypt*", condition={"Bool": {"kms:ReEncryptOnSameKey": "true"}})))
    assert user.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key)
    with refused("AccessDeniedException"):
        user.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=target)


CONDITIONS = [
    # condition, a call it lets through, calls it does not
    ({"StringEquals": {"kms:EncryptionContext:app": "a"}},
     # The name of a condition key is not case-sensitive, its value is.
     [("encrypt", {"EncryptionContext": {"app": "a", "x": "y"}}), ("encrypt", {"EncryptionContext": {"App": "a"}})],
     [("encrypt", {}), ("encrypt", {"EncryptionContext": {"app": "A"}})]),
    ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["app", "id"]},
      "Null": {"kms:EncryptionContextKeys": "false"}},
     [("encrypt", {"EncryptionContext": {"app": "1"}}), ("encrypt", {"EncryptionContext": {"id": "1", "app": "2"}})],
     [("encrypt", {}), ("encrypt", {"EncryptionContext": {"app": "1", "more": "2"}})]),
    ({"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}, [("encrypt", {})], []),
    ({"StringEquals": {"kms:CallerAccount": ACCOUNT}}, [("encrypt", {})], []),
    ({"StringEquals": {"kms:CallerAccount": "111122223333"}}, [], [("encrypt", {})]),
    ({"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}, [], [("encrypt", {})]),
    ({"StringNotEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}, [("encrypt", {})], []),
    ({"Bool": {"aws:SecureTransport": "true"}}, [("encrypt", {})], []),
    ({"Bool": {"aws:SecureTransport": "false"}}, [], [("encrypt", {})]),
    ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, [("encrypt", {})], []),
    ({"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}}, [], [("encrypt", {})]),
    ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/u-*"}}, [("encrypt", {})], []),
    ({"StringEquals": {"aws:PrincipalAccount": "111122223333"}}, [], [("encrypt", {})]),
    ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, [("encrypt", {})], []),
    ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, [], [("encrypt", {})]),
    ({"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:KeyUsage": "ENCRYPT_DECRYPT",
                       "kms:KeyOrigin": "AWS_KMS"}, "Bool": {"kms:MultiRegion": "false"}},
     [("encrypt", {})], []),
    ({"StringEquals": {"kms:KeySpec": "RSA_2048"}}, [], [("encrypt", {})]),
    ({"StringLike": {"kms:RequestAlias": "alias/*"}}, [("encrypt", {"KeyId": "alias"})], [("encrypt", {})]),
    ({"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/t-*"}}, [("encrypt", {})], []),
    ({"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/other-*"}}, [], [("encrypt", {})]),
    ({"StringEquals": {"aws:ResourceTag/team": "blue"}}, [("encrypt", {})], []),
    ({"StringEquals": {"aws:ResourceTag/team": "red"}}, [], [("encrypt", {})]),
    ({"NumericLessThanEquals": {"kms:RotationPeriodInDays": "365"}},
     [("enable_key_rotation", {"RotationPeriodInDays": 90})], [("enable_key_rotation", {"RotationPeriodInDays": 366})]),
    ({"NumericGreaterThanEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": "20"}},
     [], [("schedule_key_deletion", {"PendingWindowInDays": 7})]),
    ({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]},
      "StringEquals": {"kms:GranteePrincipal": ROOT}},
     [("create_grant", {"GranteePrincipal": ROOT, "Operations": ["Encrypt"]})],
     [("create_grant", {"GranteePrincipal": ROOT, "Operations": ["Encrypt", "GenerateDataKey"]})]),
    ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, [],
     [("create_grant", {"GranteePrincipal": ROOT, "Operations": ["Encrypt"]})]),
    ({"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "false"}},
     [], [("put_key_policy", {"Policy": document(DELEGATE), "BypassPolicyLockoutSafetyCheck": True})]),
    ({"StringEquals": {"kms:DataKeyPairSpec": "ECC_NIST_P256"}},
     [("generate_data_key_pair", {"KeyPairSpec": "ECC_NIST_P256"})],
     [("generate_data_key_pair", {"KeyPairSpec": "ECC_NIST_P384"})]),
]


@pytest.mark.parametrize("where", ["identity policy", "key policy"])
def test_condition_keys(kms, key, make_user, where):
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "team", "TagValue": "blue"}])
    name = f"alias/t-{uuid.uuid4().hex}"
    kms.create_alias(AliasName=name, TargetKeyId=key)
    user = make_user(document(allow("s3:ListAllMyBuckets")))
    root = allow("kms:*", principal=ROOT)
    for condition, good, bad in CONDITIONS:
        if where == "identity policy":
            user.set_policy(document(allow("kms:*", condition=condition)))
        else:
            kms.put_key_policy(KeyId=key, Policy=document(
                root, allow("kms:*", principal=user.arn, condition=condition)))
        for expected, calls in ((True, good), (False, bad)):
            for operation, arguments in calls:
                given = {"KeyId": key} | arguments
                if arguments.get("KeyId") == "alias":
                    given["KeyId"] = name
                if operation == "encrypt":
                    given["Plaintext"] = b"x"
                try:
                    getattr(user.kms, operation)(**given)
                    held = True
                except user.kms.exceptions.ClientError as error:
                    assert error.response["Error"]["Code"] == "AccessDeniedException", (condition, error)
                    held = False
                assert held == expected, (condition, operation, arguments)


def test_condition_keys_of_signatures(kms, ring, make_user):
    signer, mac = ring["RSA_2048", "SIGN_VERIFY"]["KeyId"], ring["HMAC_256", "GENERATE_VERIFY_MAC"]["KeyId"]
    user = make_user(document(
        allow("kms:Sign", condition={"StringEquals": {"kms:SigningAlgorithm": "RSASSA_PSS_SHA_256",
                                                      "kms:MessageType": "DIGEST"}}),
        allow("kms:GenerateMac", condition={"StringEquals": {"kms:MacAlgorithm": "HMAC_SHA_256"}}),
    ))
    user.kms.sign(KeyId=signer, Message=bytes(32), MessageType="DIGEST", SigningAlgorithm="RSASSA_PSS_SHA_256")
    user.kms.generate_mac(KeyId=mac, Message=b"m", MacAlgorithm="HMAC_SHA_256")
    for wrong in ({"MessageType": "RAW"}, {"SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}):
        arguments = {"MessageType": "DIGEST", "SigningAlgorithm": "RSASSA_PSS_SHA_256"} | wrong
        with denied(user, "kms:Sign", signer):
            user.kms.sign(KeyId=signer, Message=bytes(32), **arguments)


def test_sec_n38_via_service_cannot_be_said_by_a_client(server, key, make_user):
    """Only S3's own path sets it; headers do not."""
    user = make_user(document(allow("kms:*", condition={
        "StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}})))
    raw = Client(server, credential=user.credential)
    body = json.dumps({"KeyId": key, "Plaintext": "eA=="}).encode()
    for name in ("x-amz-via-service", "kms-via-service", "x-amz-source-arn", "via", "x-amz-invoked-by"):
        answer = raw.request("POST", "/", body, {
            "content-type": "application/x-amz-json-1.1", "x-amz-target": "TrentService.Encrypt",
            name: f"s3.{REGION}.amazonaws.com",
        }, signer=raw.signer(service="kms"))
        assert (answer.status, answer.code) == (400, "AccessDeniedException"), name


def test_sec_n39_the_source_address_is_that_of_the_connection(server, key, make_user):
    user = make_user(document(allow("kms:*", condition={"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}})))
    raw = Client(server, credential=user.credential)
    body = json.dumps({"KeyId": key, "Plaintext": "eA=="}).encode()
    for name in ("x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip"):
        answer = raw.request("POST", "/", body, {
            "content-type": "application/x-amz-json-1.1", "x-amz-target": "TrentService.Encrypt",
            name: "198.51.100.7",
        }, signer=raw.signer(service="kms"))
        assert (answer.status, answer.code) == (400, "AccessDeniedException"), name


def test_sec_n35_user_made_again_is_another_for_a_key_policy(server, kms, key, make_user):
    nothing = document(allow("s3:ListAllMyBuckets"))
    old = make_user(nothing)
    kms.put_key_policy(KeyId=key, Policy=document(DELEGATE, allow("kms:Encrypt", principal=old.arn)))
    assert old.kms.encrypt(KeyId=key, Plaintext=b"x")
    old.remove()
    new = User(server, nothing, name=old.name)
    with denied(new, "kms:Encrypt", key):
        new.kms.encrypt(KeyId=key, Plaintext=b"x")


# ---- S3 on behalf of the caller -----------------------------------------------------------------


def test_sec_n70_putting_needs_the_key(s3, bucket, key, make_user):
    """The requester's own permissions count, not the server's."""
    user = make_user(NO_KEYS)
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    s3.put_object(Bucket=bucket, Key="sealed", Body=b"x", **sse(key))
    where = {"Bucket": bucket, "Key": "k"}
    text = not_authorized(user, "kms:GenerateDataKey", arn(key))
    for call in (
        lambda: user.s3.put_object(Body=b"x", **where, **sse(key)),
        lambda: user.s3.create_multipart_upload(**where, **sse(key)),
        lambda: user.s3.copy_object(CopySource={"Bucket": bucket, "Key": "source"}, **where, **sse(key)),
    ):
        with refused_with(text, "AccessDenied", 403):
            call()
    for call in (
        lambda: user.s3.get_object(Bucket=bucket, Key="sealed"),
        lambda: user.s3.get_object(Bucket=bucket, Key="sealed", Range="bytes=0-0"),
        lambda: user.s3.copy_object(CopySource={"Bucket": bucket, "Key": "sealed"}, **where),
    ):
        with refused("AccessDenied", 403):
            call()
    assert user.s3.head_object(Bucket=bucket, Key="sealed")["SSEKMSKeyId"] == arn(key)
    user.s3.put_object(Body=b"x", **where)
    assert read(user.s3.get_object(**where)) == b"x"
    assert sorted(o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]) == ["k", "sealed", "source"]


def test_a_user_who_can_only_write(s3, bucket, key, make_user):
    user = make_user(document(
        allow(["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], f"arn:aws:s3:::{bucket}/*"),
        allow("kms:GenerateDataKey", arn(key)),
    ))
    user.s3.put_object(Bucket=bucket, Key="k", Body=b"x", **sse(key))
    with refused("AccessDenied", 403):
        user.s3.get_object(Bucket=bucket, Key="k")
    with refused("403", 403):
        user.s3.head_object(Bucket=bucket, Key="k")
    with refused("AccessDenied", 403):
        user.s3.delete_object(Bucket=bucket, Key="k")
    # A part needs the data key of its upload, and that is Decrypt.
    upload = user.s3.create_multipart_upload(Bucket=bucket, Key="m", **sse(key))["UploadId"]
    with refused("AccessDenied", 403):
        user.s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    user.s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    user.set_policy(document(S3_ALL, allow("kms:GenerateDataKey", arn(key))))
    with refused("AccessDenied", 403):
        user.s3.get_object(Bucket=bucket, Key="k")
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"x"


def test_a_user_who_can_only_read(s3, bucket, key, make_user):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **sse(key))
    user = make_user(document(allow(["s3:GetObject"]), allow("kms:Decrypt", arn(key))))
    assert read(user.s3.get_object(Bucket=bucket, Key="k")) == b"x"
    with refused("AccessDenied", 403):
        user.s3.put_object(Bucket=bucket, Key="n", Body=b"x", **sse(key))
    with refused("AccessDenied", 403):
        user.s3.list_objects_v2(Bucket=bucket)


def test_keys_that_s3_alone_may_use(s3, kms, bucket, key, make_user):
    via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com", "kms:CallerAccount": ACCOUNT}}
    user = make_user(document(S3_ALL, allow("kms:*", condition=via)))
    user.s3.put_object(Bucket=bucket, Key="k", Body=b"x", **sse(key))
    assert read(user.s3.get_object(Bucket=bucket, Key="k")) == b"x"
    with denied(user, "kms:GenerateDataKey", key):
        user.kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    # And the other way round: everywhere but through S3.
    kms.put_key_policy(KeyId=key, Policy=document(DELEGATE, deny("kms:GenerateDataKey", principal="*", condition=via)))
    with refused("AccessDenied", 403) as caught:
        s3.put_object(Bucket=bucket, Key="n", Body=b"x", **sse(key))
    assert "explicit deny" in caught.value.response["Error"]["Message"]
    assert kms.generate_data_key(KeyId=key, KeySpec="AES_256")


def test_a_grant_is_enough_for_s3(s3, kms, bucket, key, make_user):
    user = make_user(NO_KEYS)
    inside = {"aws:s3:arn": f"arn:aws:s3:::{bucket}/in"}
    made = kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=["GenerateDataKey", "Decrypt"],
                            Constraints={"EncryptionContextSubset": inside})["GrantId"]
    user.s3.put_object(Bucket=bucket, Key="in", Body=b"x", **sse(key))
    assert read(user.s3.get_object(Bucket=bucket, Key="in")) == b"x"
    with refused("AccessDenied", 403):
        user.s3.put_object(Bucket=bucket, Key="out", Body=b"x", **sse(key))
    kms.revoke_grant(KeyId=key, GrantId=made)
    with refused("AccessDenied", 403):
        user.s3.get_object(Bucket=bucket, Key="in")


def test_the_context_of_an_object_is_a_condition(s3, bucket, key, make_user):
    like = {"StringLike": {"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}/mine/*"}}
    user = make_user(document(S3_ALL, allow("kms:*", arn(key), condition=like)))
    user.s3.put_object(Bucket=bucket, Key="mine/k", Body=b"x", **sse(key))
    assert read(user.s3.get_object(Bucket=bucket, Key="mine/k")) == b"x"
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"x", **sse(key))
    with refused("AccessDenied", 403):
        user.s3.get_object(Bucket=bucket, Key="theirs")
    with refused("AccessDenied", 403):
        user.s3.put_object(Bucket=bucket, Key="theirs", Body=b"x", **sse(key))


def test_the_key_of_s3_is_for_everybody_in_the_account(s3, bucket, make_user):
    user = make_user(NO_KEYS)
    user.s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    assert read(user.s3.get_object(Bucket=bucket, Key="k")) == b"x"
    user.set_policy(document(S3_ALL, deny("kms:Decrypt")))
    with refused("AccessDenied", 403):
        user.s3.get_object(Bucket=bucket, Key="k")


# ---- the audit log ------------------------------------------------------------------------------


def test_refusals_are_recorded_with_everything(server, kms, key, make_user):
    user = make_user(document(allow("s3:ListAllMyBuckets")))
    context = {"mark": uuid.uuid4().hex}
    with denied(user, "kms:Encrypt", key):
        user.kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext=context)
    with refused("AccessDeniedException"):
        user.kms.create_key(Description=context["mark"])
    refusal = [e for e in server.audit(settle=False) if context["mark"] in json.dumps(e)][0]
    assert refusal["eventName"] == "Encrypt"
    assert refusal["errorCode"] in ("AccessDenied", "AccessDeniedException")
    assert refusal["errorMessage"].startswith(not_authorized(user, "kms:Encrypt", arn(key)))
    assert refusal["userIdentity"]["arn"] == user.arn
    assert refusal["userIdentity"]["accessKeyId"] == user.credential[0]
    assert refusal["requestParameters"]["encryptionContext"] == context
    assert refusal["resources"][0]["ARN"] == arn(key)
    assert refusal["sourceIPAddress"] == "127.0.0.1" and "Boto3" in refusal["userAgent"]
    assert "secret" not in json.dumps(refusal)


def test_refusals_through_s3_are_recorded(server, s3, bucket, key, make_user):
    user = make_user(NO_KEYS)
    with refused("AccessDenied", 403):
        user.s3.put_object(Bucket=bucket, Key="k", Body=b"x", **sse(key))
    events = [e for e in server.audit(settle=False) if f"{bucket}/k" in json.dumps(e)]
    assert [e["eventName"] for e in events] == ["GenerateDataKey", "PutObject"]
    use, put = events
    assert use["errorCode"].startswith("AccessDenied") and put["errorCode"] == "AccessDenied"
    assert use["userIdentity"]["arn"] == put["userIdentity"]["arn"] == user.arn
    assert use["userIdentity"]["invokedBy"] == "AWS Internal"
    assert use["requestParameters"]["encryptionContext"] == {"aws:s3:arn": f"arn:aws:s3:::{bucket}/k"}
    assert use["resources"][0]["ARN"] == arn(key)


def test_re_encrypt_is_one_event_about_two_keys(server, kms, key, ring):
    target = ring[SYMMETRIC]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=target["KeyId"])
    [event] = [e for e in server.audit(settle=False) if e["eventName"] == "ReEncrypt" and key in json.dumps(e)]
    assert [r["ARN"] for r in event["resources"]] == [arn(key), target["Arn"]]


def test_nothing_secret_is_recorded(server, kms, ring):
    key = ring[SYMMETRIC]["KeyId"]
    signer = ring["ECC_NIST_P256", "SIGN_VERIFY"]["KeyId"]
    mac = ring["HMAC_256", "GENERATE_VERIFY_MAC"]["KeyId"]
    mark = uuid.uuid4().bytes * 2
    secrets = {
        "plaintext": mark, "data key": kms.generate_data_key(KeyId=key, KeySpec="AES_256")["Plaintext"],
        "private key": kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256")["PrivateKeyPlaintext"],
        "random": kms.generate_random(NumberOfBytes=32)["Plaintext"],
        "mac": kms.generate_mac(KeyId=mac, Message=mark, MacAlgorithm="HMAC_SHA_256")["Mac"],
        "blob": kms.encrypt(KeyId=key, Plaintext=mark)["CiphertextBlob"],
    }
    kms.sign(KeyId=signer, Message=mark, SigningAlgorithm="ECDSA_SHA_256")
    where = [(str(path), path.read_bytes()) for path in server.audit_files()]
    where.append(("log", server.log().encode()))
    assert leaks.find(secrets, where) == []
