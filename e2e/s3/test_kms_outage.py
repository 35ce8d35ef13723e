# SPDX-License-Identifier: Apache-2.0
"""The key service refuses, fails, hangs or loses the root it was opened with: every way of writing
and reading an object under a KMS key ends with one clear answer and changes nothing.

What the key service needs at a use is the vault's file of the key. It is taken away (it fails) or
becomes a pipe that nobody writes to (it hangs)."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

import clients
import leaks
from clients import MIB, CustomerKey, bucket_name, headers_of, make_bucket, noise, read
from drive_watch import DriveWatch
from sse import BK, KID, SSE
from strongroom import ACCOUNT, REGION, Server, fixed_port, until

PART = 5 * MIB
# The key service is given 10 s; a client waits far longer before it calls this no answer.
LIMIT = 10
NO_ANSWER = 300
MODES = ["kms", "bucket key", "default"]
REFUSALS = {
    "disabled": ("KMS.DisabledException", 400),
    "pending deletion": ("KMS.KMSInvalidStateException", 400),
    "denied": ("AccessDenied", 403),
}
FAILURES = ["missing", "damaged", "unreadable"]


class Place:
    """A KMS key of its own, a bucket, and in it what the ways of writing and reading need."""

    def __init__(self, server, mode):
        self.server, self.mode = server, mode
        # botocore waits for `100 Continue` with the time to connect.
        patience = {"read_timeout": NO_ANSWER, "connect_timeout": NO_ANSWER}
        self.s3 = clients.s3(server, signature_version="s3v4", **patience)
        self.kms = clients.kms(server)
        before = set(vault(server))
        self.key = self.kms.create_key()["KeyMetadata"]["Arn"]
        [self.shred] = set(vault(server)) - before
        self.whole = self.shred.read_bytes()
        self.bucket = bucket_name("outage")
        self.secret = os.urandom(24)
        self.data = self.secret + noise(100_000, 1)
        make_bucket(self.s3, name=self.bucket, sse_c=True)
        if mode == "default":
            rule = {"ApplyServerSideEncryptionByDefault":
                    {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}, "BucketKeyEnabled": True}
            self.s3.put_bucket_encryption(
                Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        self.put("k", **self.asked)
        self.s3.put_object(Bucket=self.bucket, Key="plain", Body=self.data,
                           ServerSideEncryption="AES256")
        self.open = self.upload("open", **self.asked)
        self.open_part = self.part(self.open, 1)
        whole = self.upload("m", ChecksumAlgorithm="SHA256", **self.asked)
        sent = self.part(whole, 1, ChecksumAlgorithm="SHA256")
        self.complete(whole, sent)
        self.other = self.upload("other", ServerSideEncryption="AES256")

    @property
    def asked(self):
        """What a write says about encryption."""
        if self.mode == "default":
            return {}
        asked = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key}
        return asked | ({"BucketKeyEnabled": True} if self.mode == "bucket key" else {})

    def at(self, key):
        return {"Bucket": self.bucket, "Key": key}

    def put(self, key, **more):
        return self.s3.put_object(**self.at(key), Body=self.data, **more)

    def upload(self, key, **more):
        made = self.s3.create_multipart_upload(**self.at(key), **more)
        return {**self.at(key), "UploadId": made["UploadId"]}

    def part(self, upload, number, **more):
        body = self.secret + noise(PART, number)
        sent = self.s3.upload_part(**upload, PartNumber=number, Body=body, **more)
        sums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
        return {"PartNumber": number, "ETag": sent["ETag"]} | {
            name: value for name, value in sums.items() if name in ("ChecksumSHA256",)}

    def complete(self, upload, *parts):
        return self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": list(parts)})

    def writes(self):
        source, key = {"Bucket": self.bucket, "Key": "plain"}, self.key
        return {
            "PutObject": lambda: self.put("new", **self.asked),
            "PutObject over one": lambda: self.put("k", **self.asked),
            "presigned PUT": self.presigned,
            "CopyObject to it": lambda: self.s3.copy_object(
                **self.at("copy"), CopySource=source, **self.asked),
            "CreateMultipartUpload": lambda: self.s3.create_multipart_upload(
                **self.at("up"), **self.asked),
            "UploadPart": lambda: self.s3.upload_part(**self.open, PartNumber=2, Body=self.data),
            "UploadPartCopy to it": lambda: self.s3.upload_part_copy(
                **self.open, PartNumber=3, CopySource=source),
            "UpdateObjectEncryption to it": lambda: self.s3.update_object_encryption(
                **self.at("plain"), ObjectEncryption={
                    "SSEKMS": {"KMSKeyArn": key, "BucketKeyEnabled": self.mode != "kms"}}),
        }

    def reads(self):
        source = {"Bucket": self.bucket, "Key": "k"}
        return {
            "GetObject": lambda: self.s3.get_object(**self.at("k")),
            "GetObject of a range": lambda: self.s3.get_object(**self.at("k"), Range="bytes=5-9"),
            "GetObject of a part": lambda: self.s3.get_object(**self.at("m"), PartNumber=1),
            "HeadObject with its checksum": lambda: self.s3.head_object(
                **self.at("k"), ChecksumMode="ENABLED"),
            "GetObjectAttributes": lambda: self.s3.get_object_attributes(
                **self.at("k"), ObjectAttributes=["Checksum"]),
            "CopyObject from it": lambda: self.s3.copy_object(
                **self.at("from"), CopySource=source, ServerSideEncryption="AES256"),
            "UploadPartCopy from it": lambda: self.s3.upload_part_copy(
                **self.other, PartNumber=1, CopySource=source),
            "UpdateObjectEncryption of it": lambda: self.s3.update_object_encryption(
                **self.at("m"), ObjectEncryption={"SSEKMS": {"KMSKeyArn": self.key}}),
        }

    def last(self):
        """What ends the open upload, so it comes last."""
        return {"CompleteMultipartUpload": lambda: self.complete(self.open, self.open_part)}

    def presigned(self):
        names = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key}
        asked = {name: value for name, value in self.asked.items() if name in names}
        url = self.s3.generate_presigned_url("put_object", Params=self.at("pre") | asked)
        headers = {SSE: "aws:kms", KID: self.key} if asked else {}
        context = ssl.create_default_context(cafile=self.server.ca)
        host, port = self.server.address("https")
        connection = http.client.HTTPSConnection(host, port, timeout=NO_ANSWER, context=context)
        with contextlib.closing(connection):
            connection.request("PUT", url.split(f":{port}", 1)[1], self.data, headers)
            answer = connection.getresponse()
            body = answer.read().decode()
        if answer.status == 200:
            return {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": dict(answer.headers)}}
        code = body.split("<Code>")[1].split("<")[0]
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {
            "HTTPStatusCode": answer.status,
            "HTTPHeaders": {n.lower(): v for n, v in answer.headers.items()}}}, "PutObject")

    # ---- the outage -------------------------------------------------------------------------

    def forget(self):
        """Nothing of the key is in memory any more: not its material, no bucket key."""
        self.kms.disable_key(KeyId=self.key)
        self.kms.enable_key(KeyId=self.key)

    def refuse(self, how):
        if how == "disabled":
            self.kms.disable_key(KeyId=self.key)
        elif how == "pending deletion":
            self.kms.schedule_key_deletion(KeyId=self.key, PendingWindowInDays=7)
        else:
            self.policy = self.kms.get_key_policy(KeyId=self.key)["Policy"]
            policy = json.loads(self.policy)
            policy["Statement"].append({
                "Effect": "Deny", "Principal": "*", "Resource": "*",
                "Action": ["kms:GenerateDataKey", "kms:Decrypt", "kms:Encrypt", "kms:ReEncrypt*"]})
            self.kms.put_key_policy(KeyId=self.key, Policy=json.dumps(policy))

    def serve(self, how):
        if how == "pending deletion":
            self.kms.cancel_key_deletion(KeyId=self.key)
        if how == "denied":
            self.kms.put_key_policy(KeyId=self.key, Policy=self.policy)
        else:
            self.kms.enable_key(KeyId=self.key)

    def harm(self, how):
        self.forget()
        self.shred.unlink()
        if how == "damaged":
            self.shred.write_bytes(self.whole[:-1] + bytes([self.whole[-1] ^ 1]))
        if how == "unreadable":
            self.shred.mkdir()
        if how == "hanging":
            os.mkfifo(self.shred)

    def heal(self):
        pipe = None
        if self.shred.is_fifo():
            # Who reads it now reads its end.
            with contextlib.suppress(OSError):
                pipe = os.open(self.shred, os.O_WRONLY | os.O_NONBLOCK)
        new = self.shred.with_name("new")
        new.write_bytes(self.whole)
        new.chmod(0o600)
        if self.shred.is_dir():
            self.shred.rmdir()
        new.rename(self.shred)
        if pipe is not None:
            os.close(pipe)

    # ---- what may not change ----------------------------------------------------------------

    def facts(self):
        listed = self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]
        out = [(one["Key"], one["Size"], one["ETag"], one["LastModified"]) for one in listed]
        for key in [one["Key"] for one in listed]:
            head = headers_of(self.s3.head_object(**self.at(key)))
            out.append((key, head[SSE], head.get(KID), head.get(BK)))
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket)["Uploads"]
        out.append(sorted(one["UploadId"] for one in uploads))
        for upload in (self.open, self.other):
            parts = self.s3.list_parts(**upload).get("Parts", [])
            out.append([(one["PartNumber"], one["Size"], one["ETag"]) for one in parts])
        return out

    def blobs(self):
        return set(self.server.open_files())


def vault(server):
    return sorted((server.data / "drive").glob("vault/*"))


def outcome(call):
    """(code, status, headers) of a refusal; what was answered, if it was not one."""
    try:
        return None, 200, headers_of(call())
    except ClientError as error:
        meta = error.response["ResponseMetadata"]
        return error.response["Error"]["Code"], meta["HTTPStatusCode"], meta["HTTPHeaders"]


@contextlib.contextmanager
def nothing_changes(place):
    """Neither what the bucket shows nor the files of bodies, and no text reaches the drive."""
    facts, blobs = place.facts(), place.blobs()
    watch = DriveWatch(place.server)
    yield
    assert place.facts() == facts
    until(lambda: not place.blobs() - blobs, "the end of what was refused")
    assert not leaks.find({"text": place.secret}, watch.added())


def everything_works(place):
    """Each request again: nothing of the outage is left in the way."""
    for name, call in (place.reads() | place.writes() | place.last()).items():
        code, status, _ = outcome(call)
        assert (code, status) == (None, 200), name
    for key in ("k", "new", "copy", "pre", "open", "plain"):
        head = headers_of(place.s3.head_object(**place.at(key)))
        assert (head[SSE], head[KID]) == ("aws:kms", place.key), key
    assert read(place.s3.get_object(**place.at("k"))) == place.data
    for key in ("plain", "from", "new", "copy"):
        assert read(place.s3.get_object(**place.at(key))) == place.data
    assert read(place.s3.get_object(**place.at("open"))) == place.secret + noise(PART, 1)


def no_key_is_asked(place):
    """What goes on while the key does not serve."""
    customer = CustomerKey()
    place.s3.head_object(**place.at("k"))
    place.s3.list_objects_v2(Bucket=place.bucket)
    place.s3.list_parts(**place.open)
    for key, more in (("s3", {"ServerSideEncryption": "AES256"}), ("c", customer.boto())):
        place.s3.put_object(**place.at(key), Body=place.data, **more)
        more = customer.boto() if key == "c" else {}
        assert read(place.s3.get_object(**place.at(key), **more)) == place.data
        place.s3.delete_object(**place.at(key))
    upload = place.upload("gone", ServerSideEncryption="AES256")
    place.s3.abort_multipart_upload(**upload)


@pytest.fixture(scope="module")
def own_server():
    with Server() as running:
        yield running
        assert "panicked" not in running.log()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", REFUSALS)
def test_sec_n70_refusing_key(own_server, mode, how):
    place = Place(own_server, mode)
    place.refuse(how)
    with nothing_changes(place):
        for name, call in (place.writes() | place.reads() | place.last()).items():
            code, status, _ = outcome(call)
            wanted = REFUSALS[how]
            if name.startswith("HeadObject"):
                assert status == wanted[1], name
            else:
                assert (code, status) == wanted, name
        no_key_is_asked(place)
    place.serve(how)
    everything_works(place)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", FAILURES)
def test_sec_failing_key_service_is_503(own_server, mode, how):
    place = Place(own_server, mode)
    place.harm(how)
    with nothing_changes(place):
        for name, call in (place.writes() | place.reads() | place.last()).items():
            code, status, headers = outcome(call)
            assert status == 503 and headers["retry-after"] == "1", name
            assert code in ("ServiceUnavailable", "503"), name
        no_key_is_asked(place)
    place.heal()
    everything_works(place)


@pytest.mark.parametrize("mode", MODES)
def test_sec_hanging_key_service_is_503_in_bounded_time(own_server, mode):
    """All requests at once, twice: none is held longer than the limit, and none holds others."""
    place, bystander = Place(own_server, mode), Place(own_server, mode)
    place.harm("hanging")

    def others():
        assert read(bystander.s3.get_object(**bystander.at("k"))) == bystander.data
        # Small enough to lie in a row: the files of bodies are compared.
        bystander.s3.put_object(**bystander.at("small"), Body=b"small", **bystander.asked)

    with nothing_changes(place):
        answers = all_at_once(place.writes() | place.reads() | place.last(), others)
        for name, (code, status, headers), took in answers:
            assert status == 503 and headers["retry-after"] == "1", name
            assert code in ("ServiceUnavailable", "503"), name
            assert LIMIT - 1 < took < NO_ANSWER, name
    place.heal()
    everything_works(place)
    told = [event for event in own_server.audit() if event.get("errorCode") and
            place.key in json.dumps(event.get("resources")) and "kms" in event["eventSource"]]
    assert {event["errorCode"] for event in told} == {"DependencyTimeoutException"}
    assert {event["eventName"] for event in told} == {"GenerateDataKey", "Decrypt"}


def all_at_once(calls, others):
    """Asks for all of it twice, and does something else as long as that is held; (name, outcome,
    seconds) of each. Once more if this process stood still for all of that time."""
    def answered(name, call, started):
        return name, outcome(call), time.monotonic() - started

    for _ in range(3):
        started, served = time.monotonic(), 0
        with ThreadPoolExecutor(2 * len(calls)) as pool:
            asked = [pool.submit(answered, name, call, started)
                     for _ in range(2) for name, call in calls.items()]
            while not all(one.done() for one in asked):
                others()
                served += 1
        if served:
            return [one.result() for one in asked]
    raise AssertionError("nobody else was served")


def test_bucket_keys_that_are_held_outlive_a_failing_vault(own_server):
    """They are no other mode: the key is asked for its state and policy all the same."""
    place = Place(own_server, "bucket key")
    read(place.s3.get_object(**place.at("k")))
    place.shred.unlink()
    time.sleep(6)
    assert read(place.s3.get_object(**place.at("k"))) == place.data
    place.put("new", **place.asked)
    place.kms.disable_key(KeyId=place.key)
    with clients.refused("KMS.DisabledException", 400):
        place.s3.get_object(**place.at("k"))
    place.kms.enable_key(KeyId=place.key)
    assert outcome(place.reads()["GetObject"])[1] == 503
    place.heal()
    assert read(place.s3.get_object(**place.at("new"))) == place.data


def test_sec_an_answer_that_began_ends(own_server):
    """The key is asked before the first byte: what comes later does not tear the answer."""
    place = Place(own_server, "kms")
    data = noise(32 * MIB, 7)
    place.s3.put_object(**place.at("large"), Body=data, **place.asked)
    got = place.s3.get_object(**place.at("large"))
    first = got["Body"].read(1000)
    place.harm("missing")
    place.kms.disable_key(KeyId=place.key)
    assert first + got["Body"].read() == data
    with clients.refused("KMS.DisabledException", 400):
        place.s3.get_object(**place.at("large"))
    place.heal()


def test_sec_root_of_the_keyring_that_goes_away(tmp_path):
    """The provider of the root key (here another key service) is asked at the start only: a server
    that runs goes on, one that starts refuses to, and opens when it is there again."""
    # It comes back at the address that was told.
    with Server("--https", f"127.0.0.1:{fixed_port()}") as other:
        key = clients.kms(other).create_key()["KeyMetadata"]["KeyId"]
        access_key, secret = other.credential
        credentials = tmp_path / "credentials"
        credentials.write_text(
            f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n")
        credentials.chmod(0o600)
        flags = ["--root-kms-endpoint", other.url(), "--root-kms-key-id", key,
                 "--root-kms-credentials-file", str(credentials), "--root-kms-ca", other.ca]
        with Server(*flags) as server:
            places = [Place(server, mode) for mode in MODES]
            clients.kms(other).disable_key(KeyId=key)
            for place in places:
                place.forget()
            everything_works(places[0])
            server.stop()
            with pytest.raises(AssertionError, match="ended at its start"):
                server.start()
            assert "DisabledException" in server.log()
            other.stop()
            with pytest.raises(AssertionError, match="ended at its start"):
                server.start()
            other.start()
            clients.kms(other).enable_key(KeyId=key)
            server.start()
            for place in places[1:]:
                place.s3 = clients.s3(server)
                assert read(place.s3.get_object(**place.at("k"))) == place.data


def test_checksum_of_a_body_does_not_matter_to_a_refusal(own_server):
    """A refusal comes before the body is read: a wrong body gets the same answer."""
    place = Place(own_server, "kms")
    place.refuse("disabled")
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with clients.refused("KMS.DisabledException", 400):
        place.s3.put_object(**place.at("k"), Body=place.data, ContentMD5=wrong, **place.asked)


# ---- keys that cannot serve at all --------------------------------------------------------------


ABSENT = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11112222-3333-4444-8555-666677778888"
CANNOT = {
    "absent": "KMS.NotFoundException", "absent id": "KMS.NotFoundException",
    "no id": "KMS.NotFoundException", "absent alias": "KMS.NotFoundException",
    "foreign account": "KMS.NotFoundException", "foreign region": "KMS.NotFoundException",
    "asymmetric": "KMS.InvalidKeyUsageException", "signing": "KMS.InvalidKeyUsageException",
    "hmac": "KMS.InvalidKeyUsageException", "pending import": "KMS.KMSInvalidStateException",
}
KINDS = {
    "asymmetric": {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"},
    "signing": {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
    "hmac": {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    "pending import": {"Origin": "EXTERNAL"},
}


@pytest.fixture(scope="module")
def useless_keys(kms):
    keys = {
        "absent": ABSENT, "absent id": ABSENT.split("/")[1], "no id": "fake-key-id",
        "absent alias": "alias/nobody", "foreign account": ABSENT.replace(ACCOUNT, "999999999999"),
        "foreign region": ABSENT.replace(REGION, "eu-central-9"),
    }
    return keys | {name: kms.create_key(**kind)["KeyMetadata"]["Arn"] for name, kind in KINDS.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", CANNOT)
def test_sec_n70_keys_that_cannot_serve_on_every_write(s3, useless_keys, mode, kind):
    key, bucket = useless_keys[kind], bucket_name("useless")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="source", Body=b"source", ServerSideEncryption="AES256")
    asked = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    if mode == "bucket key":
        asked["BucketKeyEnabled"] = True
    if mode == "default":
        # The rule is not compared with the keys there are: an upload tells.
        rule = {"ApplyServerSideEncryptionByDefault":
                {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}, "BucketKeyEnabled": True}
        s3.put_bucket_encryption(
            Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        asked = {}
    for call in (
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"x", **asked),
        lambda: s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/source", **asked),
        lambda: s3.copy_object(Bucket=bucket, Key="source", CopySource=f"{bucket}/source",
                               MetadataDirective="REPLACE", **asked),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="k", **asked),
    ):
        with clients.refused(CANNOT[kind], 400):
            call()
    head = headers_of(s3.head_object(Bucket=bucket, Key="source"))
    assert head[SSE] == "AES256"
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["source"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    clients.empty_and_delete(s3, bucket)


@pytest.mark.parametrize("bucket_key", [False, True])
def test_sec_n69_no_header_leads_below_the_default_of_a_bucket(raw, s3, kms, bucket_key):
    """A default of aws:kms is given up by naming another mode in full, and by nothing else: headers
    that are empty, halves, of another operation or in another place are refused or do not count."""
    key, bucket = kms.create_key()["KeyMetadata"]["Arn"], bucket_name("downgrade")
    make_bucket(s3, name=bucket, sse_c=True)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
            "BucketKeyEnabled": bucket_key}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    for headers in ({SSE: ""}, {SSE: "none"}, {SSE: "aes256"}, {SSE: "AES256, aws:kms"},
                    {SSE: "AES256", KID: key}, {KID: key}, {BK: "no"},
                    {f"{SSE}-customer-algorithm": "AES256"}):
        for method, target in (("PUT", "k"), ("POST", "k?uploads")):
            answer = raw.request(method, f"/{bucket}/{target}", b"", headers)
            assert answer.status == 400, (headers, answer.body)
    # Whether there is a bucket key is for the request to say, where it says so (section 2.3).
    for headers, has_bucket_key in (
            ({}, bucket_key), ({BK: "false"}, False), ({BK: "true"}, True),
            ({f"x-amz-meta-{SSE}": "AES256"}, bucket_key),
            ({"x-amz-meta-x-amz-server-side-encryption": "AES256"}, bucket_key)):
        put = raw.request("PUT", f"/{bucket}/k", b"text", headers)
        assert put.status == 200 and (put.headers[SSE], put.headers[KID]) == ("aws:kms", key)
        got = raw.request("GET", f"/{bucket}/k")
        assert got.body == b"text" and (got.headers[SSE], got.headers[KID]) == ("aws:kms", key)
        assert (BK in got.headers) == (BK in put.headers) == has_bucket_key
    # One that is named in full is another mode, without the key of the default.
    put = raw.request("PUT", f"/{bucket}/k", b"text", {SSE: "AES256"})
    assert put.headers[SSE] == "AES256" and KID not in put.headers and BK not in put.headers
    kms.disable_key(KeyId=key)
    with clients.refused("KMS.DisabledException", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"other")
    assert read(s3.get_object(Bucket=bucket, Key="k")) == b"text"
    clients.empty_and_delete(s3, bucket)


def test_a_server_that_stops_does_not_wait_for_a_vault_that_hangs(make_server):
    server = make_server()
    place = Place(server, "kms")
    place.harm("hanging")
    assert outcome(place.reads()["GetObject"])[1] == 503
    server.stop()
    place.heal()
    server.start()
    place.s3 = clients.s3(server)
    assert read(place.s3.get_object(**place.at("k"))) == place.data


def test_sec_hanging_vault_holds_no_user_of_a_key_longer(own_server):
    """The wire, too: every use of the key is answered in the time that S3 has, other keys are used
    meanwhile, and who may not use the key is still refused."""
    place = Place(own_server, next(iter(MODES)))
    kms = clients.kms(own_server)
    blob = kms.encrypt(KeyId=place.key, Plaintext=b"x")["CiphertextBlob"]
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    of_other = kms.encrypt(KeyId=other, Plaintext=b"x")["CiphertextBlob"]
    place.harm("hanging")
    calls = {
        "Encrypt": lambda: kms.encrypt(KeyId=place.key, Plaintext=b"x"),
        "Decrypt": lambda: kms.decrypt(CiphertextBlob=blob),
        "GenerateDataKey": lambda: kms.generate_data_key(KeyId=place.key, KeySpec="AES_256"),
        "GenerateDataKeyWithoutPlaintext": lambda: kms.generate_data_key_without_plaintext(
            KeyId=place.key, KeySpec="AES_256"),
        "GenerateDataKeyPair": lambda: kms.generate_data_key_pair(
            KeyId=place.key, KeyPairSpec="ECC_NIST_P256"),
        "ReEncrypt from": lambda: kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=other),
        "ReEncrypt to": lambda: kms.re_encrypt(CiphertextBlob=of_other, DestinationKeyId=place.key),
    }

    def others():
        made = kms.encrypt(KeyId=other, Plaintext=b"y")["CiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=made)["Plaintext"] == b"y"
        # What needs no material is not held at all.
        assert kms.describe_key(KeyId=place.key)["KeyMetadata"]["Enabled"]

    for name, (code, status, _), took in all_at_once(calls, others):
        assert (code, status) == ("KMSInternalException", 500), name
        assert LIMIT - 1 < took < NO_ANSWER, name
    place.heal()
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    for call in calls.values():
        call()
