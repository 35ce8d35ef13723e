# SPDX-License-Identifier: Apache-2.0
"""Lifecycle configurations with boto3 and by hand, and rules that act, on a server with short
days."""

import base64
import hashlib

import pytest

import clients
from clients import CustomerKey, make_bucket, noise, read, refused
from strongroom import Server, until

DAY = 3


def put(s3, bucket, *rules, **more):
    return s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)}, **more
    )


def rule(ID="r", prefix="", Status="Enabled", **actions):
    return {"ID": ID, "Filter": {"Prefix": prefix}, "Status": Status} | actions


def rules_of(s3, bucket):
    return s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]


FULL = [
    rule(
        "all", "logs/", Transitions=[
            {"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER"},
            {"Days": 150, "StorageClass": "DEEP_ARCHIVE"},
        ],
        Expiration={"Days": 365},
        NoncurrentVersionTransitions=[
            {"NoncurrentDays": 30, "StorageClass": "ONEZONE_IA", "NewerNoncurrentVersions": 2}],
        NoncurrentVersionExpiration={"NoncurrentDays": 90, "NewerNoncurrentVersions": 5},
        AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7},
    ),
    rule("marker", Expiration={"ExpiredObjectDeleteMarker": True}, Status="Disabled"),
    {"ID": "sizes", "Status": "Enabled", "Expiration": {"Days": 1},
     "Filter": {"And": {"Prefix": "a", "ObjectSizeGreaterThan": 1, "ObjectSizeLessThan": 9}}},
    {"ID": "large", "Status": "Enabled", "Expiration": {"Days": 1},
     "Filter": {"ObjectSizeGreaterThan": 1_000_000}},
]


def test_a_configuration_comes_back_as_it_was_put(s3, bucket):
    with refused("NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist"):
        rules_of(s3, bucket)
    minimum = "TransitionDefaultMinimumObjectSize"
    assert put(s3, bucket, *FULL)[minimum] == "all_storage_classes_128K"
    assert rules_of(s3, bucket) == FULL
    varies = put(s3, bucket, *FULL, **{minimum: "varies_by_storage_class"})
    assert varies[minimum] == "varies_by_storage_class"
    got = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert got[minimum] == "varies_by_storage_class"
    # Another configuration takes its place as a whole.
    put(s3, bucket, rule("only", Expiration={"Days": 1}))
    assert [one["ID"] for one in rules_of(s3, bucket)] == ["only"]
    for _ in range(2):
        gone = s3.delete_bucket_lifecycle(Bucket=bucket)
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchLifecycleConfiguration", 404):
        rules_of(s3, bucket)


def test_the_first_form_of_rules(s3, bucket):
    old = {"ID": "old", "Prefix": "logs/", "Status": "Enabled", "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle(Bucket=bucket, LifecycleConfiguration={"Rules": [old]})
    assert rules_of(s3, bucket) == [old]
    with refused("InvalidRequest", 400, "Filter element can only be used in Lifecycle V2."):
        put(s3, bucket, old, rule("new", Expiration={"Days": 1}))


def test_rules_without_an_id_get_one(s3, bucket):
    one = rule(Expiration={"Days": 1})
    del one["ID"]
    put(s3, bucket, one, one | {"Filter": {"Prefix": "b"}})
    ids = [one["ID"] for one in rules_of(s3, bucket)]
    assert len(set(ids)) == 2 and all(len(one) == 48 for one in ids)


@pytest.mark.parametrize("bad, code, message", [
    (rule(Expiration={"Days": 0}), "InvalidArgument",
     "'Days' for Expiration action must be a positive integer"),
    (rule(Expiration={"Days": -1}), "InvalidArgument",
     "'Days' for Expiration action must be a positive integer"),
    (rule(), "InvalidRequest", "At least one action needs to be specified in a rule"),
    (rule("x" * 256, Expiration={"Days": 1}), "InvalidArgument",
     "ID length should not exceed allowed limit of 255"),
    (rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True}), "MalformedXML", None),
    (rule(Expiration={}), "MalformedXML", None),
    (rule(Expiration={"Date": "2030-01-01T12:00:00Z"}), "InvalidArgument",
     "'Date' must be at midnight GMT"),
    (rule(Status="enabled", Expiration={"Days": 1}), "MalformedXML", None),
    (rule(Transitions=[{"Days": 29, "StorageClass": "STANDARD_IA"}]), "InvalidArgument",
     "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'"),
    (rule(Transitions=[{"Days": 1, "StorageClass": "NOWHERE"}]), "MalformedXML", None),
    (rule(Transitions=[{"Days": 1, "StorageClass": "STANDARD"}]), "MalformedXML", None),
    (rule(Transitions=[{"Days": 1, "StorageClass": "INTELLIGENT_TIERING"}]), "NotImplemented", None),
    (rule(Transitions=[{"Days": 5, "StorageClass": "GLACIER"}], Expiration={"Days": 5}),
     "InvalidArgument",
     "'Days' in the Expiration action for filter '(prefix=)' must be greater than 'Days' in the "
     "Transition action"),
    (rule(NoncurrentVersionExpiration={"NoncurrentDays": 0}), "InvalidArgument", None),
    (rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 101}),
     "InvalidArgument", "'NewerNoncurrentVersions' must be less than or equal to 100"),
    (rule(NoncurrentVersionTransitions=[
        {"NoncurrentDays": 1, "NewerNoncurrentVersions": 101, "StorageClass": "GLACIER"}]),
     "InvalidArgument", "'NewerNoncurrentVersions' must be less than or equal to 100"),
    (rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0}), "InvalidArgument", None),
    ({"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1}}, "MalformedXML", None),
    ({"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1},
      "Filter": {"Tag": {"Key": "a", "Value": "b"}}}, "NotImplemented", None),
    ({"ID": "r", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
      "Filter": {"ObjectSizeGreaterThan": 1}}, "InvalidRequest",
     "AbortIncompleteMultipartUpload cannot be specified with Object Size."),
], ids=lambda value: str(value)[:60])
def test_rules_that_s3_would_not_take_change_nothing(s3, bucket, bad, code, message):
    put(s3, bucket, rule("kept", Expiration={"Days": 1}))
    with refused(code, 501 if code == "NotImplemented" else 400, message):
        put(s3, bucket, rule("first", Expiration={"Days": 1}), bad)
    assert [one["ID"] for one in rules_of(s3, bucket)] == ["kept"]


def test_two_rules_with_one_id(s3, bucket):
    message = "Rule ID must be unique. Found same ID for more than one rule"
    with refused("InvalidArgument", 400, message):
        put(s3, bucket, rule(Expiration={"Days": 1}), rule(prefix="b", Expiration={"Days": 1}))


def test_sec_n58_words_that_are_misspelt_or_doubled(raw, s3, bucket):
    """A typo must not switch a rule off, or on for everything."""
    def document(inner):
        return f"<LifecycleConfiguration>{inner}</LifecycleConfiguration>".encode()

    good = ("<Rule><Filter><Prefix>a</Prefix></Filter><Status>Enabled</Status>"
            "<Expiration><Days>1</Days></Expiration></Rule>")
    assert send(raw, bucket, document(good)).status == 200
    for a, b in [
        ("Prefix>", "prefix>"), ("<Filter><Prefix>a</Prefix></Filter>", "<Filters/>"),
        ("<Days>1</Days>", "<Days>1</Days><Days>2</Days>"), ("<Days>1</Days>", "<Day>1</Day>"),
        ("Status>", "status>"), ("Rule>", "Rules>"), ("<Days>1", "<Days>1x"), ("<Days>1", "<Days>"),
        ("<Days>1", "<Days>99999999999"), ("<Status>", "<Other/><Status>"),
        ("<Prefix>a</Prefix>", "<Prefix>a</Prefix><Prefix>b</Prefix>"),
        ("<Expiration>", "text<Expiration>"),
    ]:
        bad = good.replace(a, b)
        assert bad != good
        answer = send(raw, bucket, document(bad))
        assert (answer.status, answer.code) == (400, "MalformedXML"), bad
    for year in ["0000", "0", "-0001", "10000", "99999"]:
        date = good.replace("<Days>1</Days>", f"<Date>{year}-01-01T00:00:00Z</Date>")
        answer = send(raw, bucket, document(date))
        assert (answer.status, answer.code) == (400, "MalformedXML"), year
    far = good.replace("<Days>1</Days>", "<Date>9999-12-30T00:00:00Z</Date>")
    assert send(raw, bucket, document(far)).status == 200
    for rules in [0, 1_001]:
        answer = send(raw, bucket, document(good * rules))
        assert (answer.status, answer.code) == (400, "MalformedXML"), rules


def send(raw, bucket, body):
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return raw.request("PUT", f"/{bucket}?lifecycle", body, headers={"content-md5": md5})


def test_a_thousand_rules(s3, bucket):
    many = [rule(f"r{n}", f"{n:04}/", Expiration={"Days": n + 1}) for n in range(1_000)]
    put(s3, bucket, *many)
    assert rules_of(s3, bucket) == many
    answer = s3.put_object(Bucket=bucket, Key="0500/k", Body=b"x")
    assert 'rule-id="r500"' in answer["Expiration"]


def test_a_document_without_a_checksum_is_refused(raw, s3, bucket):
    body = (b"<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Days>1"
            b"</Days></Expiration></Rule></LifecycleConfiguration>")
    answer = raw.request("PUT", f"/{bucket}?lifecycle", body)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    answer = raw.request("PUT", f"/{bucket}?lifecycle", body, headers={"content-md5": "AAAA"})
    assert (answer.status, answer.code) == (400, "InvalidDigest")
    with refused("NoSuchLifecycleConfiguration", 404):
        rules_of(s3, bucket)
    with refused("NoSuchBucket", 404):
        put(s3, "no-such-bucket-here", rule(Expiration={"Days": 1}))


def test_answers_say_what_rules_will_do(s3, bucket):
    put(s3, bucket, rule("old logs", "logs/", Expiration={"Days": 3}),
        rule("sooner", "logs/b", Expiration={"Days": 1}),
        rule("uploads", "logs/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2}))
    where = {"Bucket": bucket, "Key": "logs/a"}
    said = s3.put_object(Body=b"x", **where)["Expiration"]
    assert said.endswith(' 00:00:00 GMT", rule-id="old logs"') and said.startswith('expiry-date="')
    assert s3.head_object(**where)["Expiration"] == said
    assert s3.get_object(**where)["Expiration"] == said
    assert "Expiration" not in s3.head_object(VersionId="null", **where)
    copy = s3.copy_object(CopySource=where, Bucket=bucket, Key="logs/b")
    assert 'rule-id="sooner"' in copy["Expiration"]
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    upload = s3.create_multipart_upload(**where)
    assert upload["AbortRuleId"] == "uploads" and upload["AbortDate"].hour == 0
    part = s3.upload_part(UploadId=upload["UploadId"], PartNumber=1, Body=b"x", **where)["ETag"]
    listed = s3.list_parts(UploadId=upload["UploadId"], **where)
    assert (listed["AbortRuleId"], listed["AbortDate"]) == ("uploads", upload["AbortDate"])
    done = s3.complete_multipart_upload(
        UploadId=upload["UploadId"],
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}, **where)
    assert 'rule-id="old logs"' in done["Expiration"]
    # A rule that is disabled says nothing.
    put(s3, bucket, rule("off", Status="Disabled", Expiration={"Days": 1}))
    assert "Expiration" not in s3.head_object(**where)


def test_rules_go_with_their_bucket(s3):
    name = make_bucket(s3)
    put(s3, name, rule(Expiration={"Days": 1}))
    s3.delete_bucket(Bucket=name)
    with refused("NoSuchBucket", 404):
        rules_of(s3, name)
    s3.create_bucket(Bucket=name)
    with refused("NoSuchLifecycleConfiguration", 404):
        rules_of(s3, name)
    assert "Expiration" not in s3.put_object(Bucket=name, Key="k", Body=b"x")
    clients.empty_and_delete(s3, name)


# ---- rules that act -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick():
    """A server whose days have three seconds."""
    with Server("--lifecycle-day-seconds", str(DAY), "--restore-delay-seconds", "0") as running:
        yield running


@pytest.fixture(scope="module")
def qs3(quick):
    return clients.s3(quick)


def wait(holds):
    until(holds, "what a rule does", pause=0.2)


def names(s3, bucket):
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def a_few_days(s3, bucket):
    """So long that whatever is due was done: a witness that was made now has gone."""
    s3.put_object(Bucket=bucket, Key="witness/w", Body=b"")
    wait(lambda: "witness/w" not in names(s3, bucket))


WITNESS = rule("witness", "witness/", Expiration={"Days": 2})


def lifecycle_events(server, bucket, name):
    return [event for event in server.audit(settle=False) if event["eventName"] == name
            and (event["requestParameters"] or {}).get("bucketName") == bucket]


def test_objects_expire(quick, qs3):
    bucket = make_bucket(qs3, sse_c=True)
    key = CustomerKey()
    qs3.put_object(Bucket=bucket, Key="logs/a", Body=b"a")
    qs3.put_object(Bucket=bucket, Key="logs/c", Body=noise(300_000), **key.boto())
    qs3.put_object(Bucket=bucket, Key="kept", Body=b"k")
    off = rule("off", "kept", Status="Disabled", Expiration={"Days": 1})
    put(qs3, bucket, rule("logs", "logs/", Expiration={"Days": 1}), off, WITNESS)
    wait(lambda: names(qs3, bucket) == ["kept"])
    a_few_days(qs3, bucket)
    assert names(qs3, bucket) == ["kept"]
    events = lifecycle_events(quick, bucket, "ExpireObject")
    events = [event for event in events if event["requestParameters"]["key"] != "witness/w"]
    assert sorted(event["requestParameters"]["key"] for event in events) == ["logs/a", "logs/c"]
    for event in events:
        assert event["eventType"] == "AwsServiceEvent"
        assert event["userIdentity"] == {"type": "AWSService", "invokedBy": "s3.amazonaws.com"}
        assert event["additionalEventData"]["lifecycleRule"] == "logs"


def test_versions_expire(quick, qs3):
    bucket = make_bucket(qs3)
    qs3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    where = {"Bucket": bucket, "Key": "k"}
    for n in range(3):
        qs3.put_object(Body=b"%d" % n, **where)
    qs3.put_object(Bucket=bucket, Key="stays", Body=b"s")
    put(qs3, bucket, rule(
        "k", "k", Expiration={"Days": 1}, NoncurrentVersionExpiration={"NoncurrentDays": 1}))
    # Versions, then a delete marker, then what it hides, then the marker.
    wait(lambda: lifecycle_events(quick, bucket, "CreateDeleteMarker"))
    wait(lambda: [v["Key"] for v in qs3.list_object_versions(Bucket=bucket).get("Versions", [])]
         == ["stays"])
    wait(lambda: "DeleteMarkers" not in qs3.list_object_versions(Bucket=bucket))
    assert read(qs3.get_object(Bucket=bucket, Key="stays")) == b"s"


@pytest.mark.parametrize("target", ["GLACIER", "DEEP_ARCHIVE"])
def test_transitions_keep_everything_but_the_class(quick, qs3, target):
    """s3t test_lifecycle_transition_encrypted: in every mode, and nobody's key is asked for."""
    bucket = make_bucket(qs3, sse_c=True)
    data = noise(200_000)
    key = CustomerKey()
    modes = {
        "s3": ({}, {}), "kms": ({"ServerSideEncryption": "aws:kms"}, {}),
        "dsse": ({"ServerSideEncryption": "aws:kms:dsse"}, {}), "c": (key.boto(), key.boto()),
    }
    before = {}
    for mode, (write, reading) in modes.items():
        where = {"Bucket": bucket, "Key": mode}
        qs3.put_object(Body=data, Metadata={"m": "v"}, **where, **write)
        before[mode] = described(qs3.head_object(ChecksumMode="ENABLED", **where, **reading))
    qs3.put_object(Bucket=bucket, Key="small", Body=b"small")
    put(qs3, bucket, rule("move", Transitions=[{"Days": 0, "StorageClass": target}]))
    for mode, (_, reading) in modes.items():
        where = {"Bucket": bucket, "Key": mode}
        wait(lambda: qs3.head_object(**where, **reading).get("StorageClass") == target)
        with refused("InvalidObjectState", 403, StorageClass=target):
            qs3.get_object(**where, **reading)
        after = described(qs3.head_object(ChecksumMode="ENABLED", **where, **reading))
        assert after == before[mode]
        qs3.restore_object(RestoreRequest={"Days": 1_000}, **where)
        assert read(qs3.get_object(**where, **reading)) == data
    assert "StorageClass" not in qs3.head_object(Bucket=bucket, Key="small")
    # An event follows its commit.
    wait(lambda: len(lifecycle_events(quick, bucket, "TransitionObject")) >= len(modes))
    events = lifecycle_events(quick, bucket, "TransitionObject")
    assert sorted(event["requestParameters"]["key"] for event in events) == sorted(modes)
    assert {event["requestParameters"]["storageClass"] for event in events} == {target}


def described(head):
    volatile = {"ResponseMetadata", "StorageClass", "Expiration", "Restore"}
    return {name: value for name, value in head.items() if name not in volatile}


def test_open_uploads_are_aborted(quick, qs3):
    bucket = make_bucket(qs3)
    where = {"Bucket": bucket, "Key": "in/k"}
    upload = qs3.create_multipart_upload(**where)["UploadId"]
    qs3.upload_part(UploadId=upload, PartNumber=1, Body=noise(200_000), **where)
    other = qs3.create_multipart_upload(Bucket=bucket, Key="out")["UploadId"]
    put(qs3, bucket, rule(
        "abort", "in/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}), WITNESS)
    wait(lambda: [u["Key"] for u in qs3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["out"])
    with refused("NoSuchUpload", 404):
        qs3.list_parts(UploadId=upload, **where)
    a_few_days(qs3, bucket)
    assert qs3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"] == other
    wait(lambda: lifecycle_events(quick, bucket, "DeleteUpload"))
    [event] = lifecycle_events(quick, bucket, "DeleteUpload")
    assert event["requestParameters"]["uploadId"] == upload


def test_rules_act_after_a_kill(make_server):
    """What was due when the server was killed is done by the next one, and nothing else."""
    server = make_server("--lifecycle-day-seconds", str(DAY))
    s3 = clients.s3(server)
    bucket = make_bucket(s3)
    for n in range(300):
        s3.put_object(Bucket=bucket, Key=f"go/{n:03}", Body=b"x")
    s3.put_object(Bucket=bucket, Key="stay", Body=b"s")
    put(s3, bucket, rule("go", "go/", Expiration={"Days": 1}))
    wait(lambda: len(names(s3, bucket)) < 301)
    server.kill()
    server.start()
    s3 = clients.s3(server)
    wait(lambda: names(s3, bucket) == ["stay"])
    assert read(s3.get_object(Bucket=bucket, Key="stay")) == b"s"
    server.stop()
    assert server.command("verify").returncode == 0


def test_settings_of_short_days_are_checked_and_told():
    broken = Server("--lifecycle-day-seconds", "0")
    try:
        with pytest.raises(AssertionError, match="ended at its start"):
            broken.start()
        assert "--lifecycle-day-seconds" in broken.log()
    finally:
        broken.remove()


def test_the_log_warns_of_short_days(quick):
    assert "--lifecycle-day-seconds" in quick.log()
