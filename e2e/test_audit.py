# SPDX-License-Identifier: Apache-2.0
"""The audit log: CloudTrail's schema, one event for each use, refusals too, an unbroken chain."""

import hashlib
import json
import uuid

import pytest

import leaks
from clients import CustomerKey, bucket_name, empty_and_delete, read, refused, s3 as s3_client
from rawhttp import UNSIGNED, Client, Wire
from strongroom import ACCOUNT, REGION, until


class Trail:
    """The events of one bucket and key, in order."""

    def __init__(self, server, bucket):
        self.server, self.bucket = server, bucket

    def events(self, key=None, name=None, settle=True):
        out = []
        for event in self.server.audit(settle):
            text = json.dumps(event)
            if self.bucket not in text or (name and event["eventName"] != name):
                continue
            if key and not text.count(f"{self.bucket}/{key}"):
                continue
            out.append(event)
        return out

    def names(self, key, settle=True):
        return [e["eventName"] for e in self.events(key, settle=settle)]


@pytest.fixture
def trail(server, bucket):
    return Trail(server, bucket)


def test_every_line_parses_and_the_chain_is_unbroken(server, s3, bucket):
    for n in range(20):
        s3.put_object(Bucket=bucket, Key=str(n), Body=b"x")
        read(s3.get_object(Bucket=bucket, Key=str(n)))
    server.settle_audit()
    previous, seq, count = None, 0, 0
    for path in server.audit_files():
        data = path.read_bytes()
        # The server may just be writing the next batch; it does not stay half written.
        until(lambda: not data or path.read_bytes().endswith(b"\n"), "the end of a line")
        for line in data.split(b"\n")[:-1]:
            event = json.loads(line)
            mark = event["strongroom"]
            assert mark["seq"] == seq + 1
            if previous is not None:
                assert mark["prev"] == hashlib.sha256(previous).hexdigest()
            previous, seq, count = line, mark["seq"], count + 1
            for name in ("eventVersion", "userIdentity", "eventTime", "eventSource", "eventName",
                         "awsRegion", "sourceIPAddress", "userAgent", "requestID", "eventID",
                         "readOnly", "eventType", "managementEvent", "eventCategory",
                         "recipientAccountId"):
                assert name in event, (name, event)
            assert event["awsRegion"] == REGION
            assert event["recipientAccountId"] == ACCOUNT
            assert event["eventCategory"] in ("Management", "Data")
            assert event["managementEvent"] == (event["eventCategory"] == "Management")
            uuid.UUID(event["eventID"])
    assert count > 40


@pytest.mark.sse_c
def test_each_mode_of_a_put(s3, kms_key, bucket, trail):
    customer = CustomerKey()
    modes = {
        "none": ({}, "Default_SSE_S3"), "s3": ({"ServerSideEncryption": "AES256"}, "SSE_S3"),
        "kms": ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key["alias"]}, "SSE_KMS"),
        "c": (customer.boto(), "SSE_C"),
    }
    for key, (write, _) in modes.items():
        s3.put_object(Bucket=bucket, Key=key, Body=b"12345", **write)
        s3.get_object(Bucket=bucket, Key=key, **(write if key == "c" else {}))["Body"].read()
    events = trail.events()
    for key, (_, applied) in modes.items():
        put = one(events, "PutObject", key)
        assert put["additionalEventData"]["SSEApplied"] == applied
        assert put["additionalEventData"]["SignatureVersion"] == "SigV4"
        assert put["additionalEventData"]["AuthenticationMethod"] == "AuthHeader"
        assert put["additionalEventData"]["CipherSuite"].startswith("TLS")
        assert put["tlsDetails"]["tlsVersion"] in ("TLSv1.2", "TLSv1.3")
        assert put["eventSource"] == "s3.amazonaws.com"
        assert (put["readOnly"], put["eventCategory"]) == (False, "Data")
        assert put["requestParameters"]["bucketName"] == bucket
        assert put["requestParameters"]["key"] == key
        assert put["userIdentity"]["type"] == "Root"
        assert put["userIdentity"]["accountId"] == ACCOUNT
        assert {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{bucket}/{key}"} in put["resources"]
        assert "errorCode" not in put
        get = one(events, "GetObject", key)
        assert (get["readOnly"], get["additionalEventData"]["bytesTransferredOut"]) == (True, 5)
    kms_put = one(events, "PutObject", "kms")
    arn = "x-amz-server-side-encryption-aws-kms-key-id"
    assert kms_put["requestParameters"][arn] == kms_key["alias"]
    assert kms_put["responseElements"][arn] == kms_key["arn"]
    c_put = one(events, "PutObject", "c")
    md5 = "x-amz-server-side-encryption-customer-key-md5"
    assert c_put["requestParameters"][md5] == customer.md5
    assert leaks.find({"key": customer.raw}, [("event", json.dumps(events).encode())]) == []


def one(events, name, key):
    found = [e for e in events if e["eventName"] == name and e["requestParameters"].get("key") == key]
    assert len(found) == 1, (name, key, len(found))
    return found[0]


def test_use_of_a_kms_key_by_s3(s3, kms_key, bucket, trail):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms",
                  SSEKMSKeyId=kms_key["id"])
    read(s3.get_object(Bucket=bucket, Key="k"))
    s3.head_object(Bucket=bucket, Key="k")
    uses = [e for e in trail.events("k") if e["eventSource"] == "kms.amazonaws.com"]
    assert [e["eventName"] for e in uses] == ["GenerateDataKey", "Decrypt"]
    arn = f"arn:aws:s3:::{bucket}/k"
    for use in uses:
        assert use["requestParameters"]["encryptionContext"] == {"aws:s3:arn": arn}
        assert use["userIdentity"]["invokedBy"] == "AWS Internal"
        assert (use["sourceIPAddress"], use["userAgent"]) == ("AWS Internal", "AWS Internal")
        assert use["resources"][0]["ARN"] == kms_key["arn"]
        assert use["resources"][0]["type"] == "AWS::KMS::Key"
        assert (use["readOnly"], use["eventCategory"]) == (True, "Management")
        assert use["responseElements"] is None
    assert uses[0]["requestParameters"]["keySpec"] == "AES_256"
    assert uses[1]["requestParameters"]["encryptionAlgorithm"] == "SYMMETRIC_DEFAULT"


def test_direct_use_of_a_kms_key(server, kms):
    mark = uuid.uuid4().hex
    key = kms.create_key(Description=mark)["KeyMetadata"]
    context = {"mark": mark}
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=context)
    kms.decrypt(CiphertextBlob=blob["CiphertextBlob"], EncryptionContext=context)
    kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext=context)
    kms.disable_key(KeyId=key["KeyId"])
    with pytest.raises(Exception):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=context)
    events = [e for e in server.audit() if key["KeyId"] in json.dumps(e)]
    assert [e["eventName"] for e in events] == [
        "CreateKey", "Encrypt", "Decrypt", "GenerateDataKey", "DisableKey", "Encrypt"
    ]
    assert events[-1]["errorCode"] == "DisabledException"
    for event in events:
        assert event["sourceIPAddress"] == "127.0.0.1"
        assert "Boto3" in event["userAgent"]
        assert "invokedBy" not in event["userIdentity"]
        text = json.dumps(event).lower()
        assert "plaintext" not in text.replace("withoutplaintext", "") and "blob" not in text


def test_names_of_all_events(s3, trail):
    name = bucket_name("names")
    s3.create_bucket(Bucket=name)
    where = {"Bucket": name, "Key": "k"}
    s3.put_object(Body=b"x", **where)
    s3.copy_object(Bucket=name, Key="c", CopySource=where)
    upload = s3.create_multipart_upload(**where)["UploadId"]
    etag = s3.upload_part(UploadId=upload, PartNumber=1, Body=b"x", **where)["ETag"]
    s3.upload_part_copy(UploadId=upload, PartNumber=2, CopySource=where, **where)
    s3.list_parts(UploadId=upload, **where)
    s3.list_multipart_uploads(Bucket=name)
    s3.complete_multipart_upload(
        UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}, **where
    )
    upload = s3.create_multipart_upload(**where)["UploadId"]
    s3.abort_multipart_upload(UploadId=upload, **where)
    read(s3.get_object(**where))
    s3.head_object(**where)
    s3.head_bucket(Bucket=name)
    s3.get_bucket_location(Bucket=name)
    s3.list_objects(Bucket=name)
    s3.list_objects_v2(Bucket=name)
    s3.delete_object(**where)
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "c"}]})
    s3.delete_bucket(Bucket=name)
    events = Trail(trail.server, name).events()
    assert [e["eventName"] for e in events] == [
        "CreateBucket", "PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart",
        "UploadPartCopy", "ListParts", "ListMultipartUploads", "CompleteMultipartUpload",
        "CreateMultipartUpload", "AbortMultipartUpload", "GetObject", "HeadObject", "HeadBucket",
        "GetBucketLocation", "ListObjects", "ListObjects", "DeleteObject",
        # One for each object of the batch, then the batch.
        "DeleteObject", "DeleteObjects", "DeleteBucket",
    ]
    management = {e["eventName"] for e in events if e["managementEvent"]}
    assert management == {"CreateBucket", "DeleteBucket", "GetBucketLocation"}
    assert len({e["requestID"] for e in events}) == len(events) - 1
    assert all("errorCode" not in e for e in events)


@pytest.mark.sse_c
def test_sec_n1_refusals_are_recorded_before_the_answer(server, raw, bucket, trail):
    """Durable: the line is there when the answer is, without waiting."""
    stranger = Client(server, credential=("AKIASTRANGER00000000", "x" * 40))
    forger = Client(server, credential=(server.credential[0], "x" * 40))
    rows = [
        (stranger.request("GET", f"/{bucket}/a"), "InvalidAccessKeyId"),
        (forger.request("GET", f"/{bucket}/b"), "SignatureDoesNotMatch"),
        (raw.request("GET", f"/{bucket}/c", after=lambda h: {
            k: v for k, v in h.items() if k != "authorization"}), "AccessDenied"),
        (raw.request("PUT", f"/{bucket}/d", b"", {"x-amz-server-side-encryption": "x"}),
         "InvalidArgument"),
        (raw.request("PUT", f"/{bucket}/e", b"", {
            "x-amz-server-side-encryption-customer-algorithm": "AES256"}), "InvalidArgument"),
    ]
    for (answer, code), key in zip(rows, "abcde"):
        assert answer.code == code
        events = trail.events(key, settle=False)
        assert [e.get("errorCode") for e in events] == [code], key
        assert events[0]["requestID"] == answer.headers["x-amz-request-id"]
        assert events[0]["errorMessage"]
    unknown = trail.events("a", settle=False)[0]["userIdentity"]
    assert unknown.get("accessKeyId") == "AKIASTRANGER00000000"


def test_sec_n70_refused_key_use_is_recorded(s3, kms, bucket, trail):
    key = kms.create_key()["KeyMetadata"]
    kms.disable_key(KeyId=key["KeyId"])
    with pytest.raises(Exception):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms",
                      SSEKMSKeyId=key["KeyId"])
    events = trail.events("k", settle=False)
    assert [(e["eventName"], e["errorCode"]) for e in events] == [
        ("GenerateDataKey", "DisabledException"), ("PutObject", "KMS.DisabledException")
    ]


def test_mutations_are_there_when_the_answer_is(s3, bucket, trail):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert trail.names("k", settle=False) == ["PutObject"]
    s3.delete_object(Bucket=bucket, Key="k")
    assert trail.names("k", settle=False) == ["PutObject", "DeleteObject"]


def test_plain_reads_are_there_within_a_second_and_in_order(s3, bucket, trail):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(5):
        read(s3.get_object(Bucket=bucket, Key="k"))
    wanted = ["PutObject"] + ["GetObject"] * 5
    # Nothing that is durable at once comes after them: they get there by themselves.
    until(lambda: len(trail.names("k", settle=False)) >= len(wanted), "the events of the reads")
    assert trail.names("k", settle=False) == wanted


def test_presigned_requests_say_so_and_hide_the_signature(raw, bucket, trail):
    kept = {}

    def keep(query):
        kept["signature"] = query.rsplit("=", 1)[1]
        return query

    assert raw.presigned("PUT", f"/{bucket}/k", body=b"x", bend=keep).status == 200
    event = trail.events("k", settle=False)[0]
    assert event["additionalEventData"]["AuthenticationMethod"] == "QueryString"
    assert kept["signature"] not in json.dumps(event)


def test_client_that_hangs_up_is_recorded(raw, bucket, trail):
    with Wire(raw.server, "https") as wire:
        sent = {"host": wire.host}
        raw.signer().sign("PUT", f"/{bucket}/gone", "", sent, UNSIGNED)
        wire.send(wire.head("PUT", f"/{bucket}/gone", sent | {
            "content-length": "1000", "expect": "100-continue"}))
        assert wire._more() and wire.rest.startswith(b"HTTP/1.1 100 "), "it waits for the body"
        wire.send(b"x")
    until(lambda: trail.events("gone"), "the event of a request that was cut off", pause=0.5)


def test_the_root_credential_is_handed_out_with_a_record_or_not_at_all(make_server):
    """Without a server `strongroom env` read it from its file, and nobody knew."""
    server = make_server()
    server.stop()

    def handed_out():
        events = server.audit(settle=False)
        return [e["eventName"] for e in events if "GetRootCredential" in (
            e["eventName"], (e["requestParameters"] or {}).get("command"))]

    assert handed_out() == []
    secret = server.env()["AWS_SECRET_ACCESS_KEY"]
    assert handed_out() == ["BeginCommand", "GetRootCredential"]
    path = server.audit_files()[-1]
    data = path.read_bytes()
    path.write_bytes(data.replace(b"GetRootCredential", b"GetSomeOtherThing"))
    refused = server.command("env", check=False)
    assert refused.returncode == 1 and "audit" in refused.stderr
    assert secret not in refused.stdout + refused.stderr
    path.write_bytes(data)
    server.start()
    assert server.env()["AWS_SECRET_ACCESS_KEY"] == secret


def test_an_edited_log_is_found_at_the_next_start(make_server):
    server = make_server()
    client = s3_client(server)
    client.create_bucket(Bucket="edited")
    client.put_object(Bucket="edited", Key="secret-deed", Body=b"x")
    empty_and_delete(client, "edited")
    server.stop()
    path = server.audit_files()[-1]
    data = path.read_bytes()
    if b"secret-deed" not in data:
        # Only the newest file is read at a start, and at midnight there is a new one.
        assert b"secret-deed" in server.audit_files()[-2].read_bytes()
        server.start()
        with refused("NoSuchBucket", 404):
            s3_client(server).put_object(Bucket="edited", Key="secret-deed", Body=b"x")
        server.stop()
        path = server.audit_files()[-1]
        data = path.read_bytes()
    assert b"secret-deed" in data
    path.write_bytes(data.replace(b"secret-deed", b"honest-deed"))
    with pytest.raises(AssertionError, match="audit"):
        server.start()
    path.write_bytes(data)
    server.start()
