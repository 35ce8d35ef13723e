# SPDX-License-Identifier: Apache-2.0
"""Storage classes over several drives, read from the drives themselves: where shards lie, how many
there are, what a lost facility takes, and what a rule or a copy changes of it."""

import json
import shutil

import pytest

import clients
import leaks
from clients import CustomerKey, make_bucket, noise, read, refused
from forms import Forms
from strongroom import until

SIX = ["a:a1", "a:a2", "b:b1", "b:b2", "c:c1", "c:c2"]
MARK = b"plaintext-of-an-archived-object/"
BIG = 1_000_003


def drives(facilities, each):
    return [f"{name}:{name}{number}" for name in facilities for number in range(each)]


def flags(names):
    return [part for name in names for part in ("--drive", name)]


def shards(server):
    """What is on the drives: {blob: {(facility, shard)}}, and {blob: (k, m, policy)}."""
    places, codes = {}, {}
    for folder in sorted(server.base.iterdir()):
        for path in (folder / "blobs").rglob("*"):
            try:
                file = path.read_bytes() if path.is_file() else b""
            except FileNotFoundError:
                continue                                    # a released body, just going
            head = file[:64]
            is_note = file[-40:-32] == bytes(8)             # no byte in it: tells of an upload
            if head[:8] == b"SR-SHARD" and not is_note:
                blob = head[16:32]
                places.setdefault(blob, set()).add((folder.name[0], head[11]))
                codes.setdefault(blob, set()).add((head[9], head[10], head[33]))
    assert all(len(code) == 1 for code in codes.values()), codes
    return places, {blob: code.pop() for blob, code in codes.items()}


class Watch:
    """Tells which body is new on the drives."""

    def __init__(self, server):
        self.server = server
        self.known = set(shards(server)[0])

    def new(self, count=1):
        """Facilities of the shards, and the code, of each body that came since the last look. A drive
        that was slow is left behind by an upload, and gets its shard later."""
        def are_whole():
            places, codes = shards(self.server)
            whole = all({shard for _, shard in places[blob]} == set(range(sum(codes[blob][:2])))
                        for blob in set(places) - self.known)
            return (places, codes) if whole else None

        places, codes = until(are_whole, "all shards")
        new = sorted(set(places) - self.known)
        self.known |= set(places)
        assert len(new) == count, "other bodies than were written"
        return [(sorted(of for of, _ in places[blob]), codes[blob]) for blob in new]


def key_calls(server):
    """What is recorded of keys, as far as it is durable at once: out of the copy of the log that has
    most, for one may be behind."""
    logs = []
    for log in server.base.glob("*/audit"):
        # What does not end is just being written.
        lines = [line for path in sorted(log.iterdir()) for line in path.read_bytes().split(b"\n")[:-1]]
        logs.append([json.loads(line) for line in lines])
    events = max(logs, key=len)
    return [event["eventName"] for event in events if event["eventSource"] == "kms.amazonaws.com"]


def lose(server, facility):
    """Each at once, as a drive is pulled out."""
    for folder in server.base.glob(f"{facility}[0-9]"):
        lost = folder.with_name(f"lost-{folder.name}")
        folder.rename(lost)
        shutil.rmtree(lost, ignore_errors=True)


def described(head):
    volatile = {"ResponseMetadata", "StorageClass", "Restore"}
    return {name: value for name, value in head.items() if name not in volatile}


def upload(s3, bucket, key, name):
    """Two parts of which each is a body of its own."""
    where = {"Bucket": bucket, "Key": key}
    bodies = [noise(5 * clients.MIB, 1), noise(100_000, 2)]
    upload_id = s3.create_multipart_upload(StorageClass=name, **where)["UploadId"]
    parts = []
    for number, body in enumerate(bodies, 1):
        sent = s3.upload_part(UploadId=upload_id, PartNumber=number, Body=body, **where)
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    s3.complete_multipart_upload(UploadId=upload_id, MultipartUpload={"Parts": parts}, **where)
    return b"".join(bodies)


STANDARD = (list("aabbcc"), (4, 2, 0))


def in_one_facility(found):
    facilities, code = found
    return code == (1, 1, 1) and len(facilities) == 2 and len(set(facilities)) == 1


def test_dur_d8_each_class_lies_as_it_promises_and_a_lost_facility_takes_no_more(make_server):
    six = make_server(*flags(SIX), "--restore-delay-seconds", "0")
    s3 = clients.s3(six)
    bucket = make_bucket(s3)
    watch = Watch(six)
    body = noise(BIG)
    for name in ("STANDARD", "STANDARD_IA", "GLACIER", "DEEP_ARCHIVE"):
        s3.put_object(Bucket=bucket, Key=name, Body=body, StorageClass=name)
        # Six drives have no code that costs less: an archive lies as STANDARD does.
        assert watch.new() == [STANDARD], name
    homes = {}
    for number in range(6):
        s3.put_object(Bucket=bucket, Key=f"one/{number}", Body=body, StorageClass="ONEZONE_IA")
        [found] = watch.new()
        assert in_one_facility(found), found
        homes[f"one/{number}"] = found[0][0]
    sent = Forms(six).upload(
        bucket, {"key": "one/form", "x-amz-storage-class": "ONEZONE_IA"}, body)
    assert sent.status == 204
    [found] = watch.new()
    assert in_one_facility(found)
    homes["one/form"] = found[0][0]
    whole = upload(s3, bucket, "one/parts", "ONEZONE_IA")
    parts = watch.new(2)
    assert all(map(in_one_facility, parts)), parts

    def copy(source, target, name):
        s3.copy_object(Bucket=bucket, Key=target, StorageClass=name,
                       CopySource={"Bucket": bucket, "Key": source})

    copy("STANDARD", "shared", "STANDARD_IA")
    assert watch.new(0) == []
    copy("STANDARD", "one/copy", "ONEZONE_IA")
    [found] = watch.new()
    assert in_one_facility(found), "a copy across classes has a body of its own"
    homes["one/copy"] = found[0][0]
    copy("one/parts", "safe", "STANDARD")
    assert watch.new(2) == [STANDARD, STANDARD]
    assert read(s3.get_object(Bucket=bucket, Key="safe")) == whole
    # Back onto itself, and the old body goes.
    copy("one/copy", "one/copy", "STANDARD")
    assert watch.new() == [STANDARD]
    del homes["one/copy"]
    for key in homes:
        assert read(s3.get_object(Bucket=bucket, Key=key)) == body, key
    text = six.command("status").stdout
    assert "ONEZONE_IA: 1+1: any one drive of its facility may be lost, the facility not" in text
    [shown] = json.loads(six.command("status", "--json").stdout)["classes"]
    assert (shown["names"], shown["redundancy"]) == (["ONEZONE_IA"], "1+1")
    assert shown["one_facility"] is True

    lost = homes["one/0"]
    lose(six, lost)
    for key in ("STANDARD", "STANDARD_IA", "one/copy", "shared"):
        assert read(s3.get_object(Bucket=bucket, Key=key)) == body, key
    s3.restore_object(Bucket=bucket, Key="GLACIER", RestoreRequest={"Days": 1})
    assert read(s3.get_object(Bucket=bucket, Key="GLACIER")) == body
    for key, home in homes.items():
        if home == lost:
            with refused("ServiceUnavailable", 503):
                s3.get_object(Bucket=bucket, Key=key)
        else:
            assert read(s3.get_object(Bucket=bucket, Key=key)) == body, key
    assert six.command("status", check=False).returncode == 1


def test_a_rule_moves_sealed_bytes_to_the_archives_code(make_server):
    """Twelve drives in four facilities: 8+4 becomes 8+3, and nothing else changes."""
    twelve = make_server(*flags(drives("abcd", 3)), "--lifecycle-day-seconds", "3",
                         "--restore-delay-seconds", "0")
    s3 = clients.s3(twelve)
    bucket = make_bucket(s3, sse_c=True)
    watch = Watch(twelve)
    body = (MARK * (BIG // len(MARK) + 1))[:BIG]
    s3.put_object(Bucket=bucket, Key="cold", Body=body, StorageClass="DEEP_ARCHIVE")
    [(facilities, code)] = watch.new()
    assert code == (8, 3, 2) and len(facilities) == 11
    assert max(map(facilities.count, "abcd")) <= 3
    key = CustomerKey()
    modes = {"s3": {}, "kms": {"ServerSideEncryption": "aws:kms"},
             "dsse": {"ServerSideEncryption": "aws:kms:dsse"}, "c": key.boto()}
    before = {}
    for mode, said in modes.items():
        where = {"Bucket": bucket, "Key": mode}
        s3.put_object(Body=body, **where, **said)
        reading = said if mode == "c" else {}
        before[mode] = described(s3.head_object(ChecksumMode="ENABLED", **where, **reading))
    assert {found[1] for found in watch.new(4)} == {(8, 4, 0)}
    used = key_calls(twelve)
    assert "GenerateDataKey" in used
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [{
        "ID": "r", "Filter": {"Prefix": ""}, "Status": "Enabled",
        "Transitions": [{"Days": 0, "StorageClass": "GLACIER"}]}]})

    def classes():
        return {one["Key"]: one["StorageClass"]
                for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}

    # Listings ask for no key: what is recorded of keys until then would be the rule's doing.
    until(lambda: classes() == {"cold": "DEEP_ARCHIVE"} | dict.fromkeys(modes, "GLACIER"), "the rule")
    assert key_calls(twelve) == used, "a rule asks for no key"
    for mode, said in modes.items():
        reading = said if mode == "c" else {}
        head = s3.head_object(Bucket=bucket, Key=mode, ChecksumMode="ENABLED", **reading)
        assert described(head) == before[mode], mode
    # Released bodies go from the drives a moment after the commit.
    until(lambda: len(shards(twelve)[0]) == 5, "the end of released bodies")
    for facilities, code in watch.new(4):
        assert code == (8, 3, 2)
        assert max(map(facilities.count, "abcd")) <= 3
    files = [path for path in twelve.base.rglob("*") if path.is_file()]
    found = leaks.find({"body": MARK}, leaks.files(files))
    assert not found, found
    with refused("InvalidObjectState", 403):
        s3.get_object(Bucket=bucket, Key="s3")
    twelve.restart()
    s3 = clients.s3(twelve)
    lose(twelve, "c")
    for mode, said in {**modes, "cold": {}}.items():
        where = {"Bucket": bucket, "Key": mode}
        s3.restore_object(RestoreRequest={"Days": 1_000}, **where)
        reading = said if mode == "c" else {}
        assert read(s3.get_object(**where, **reading)) == body, mode
        if mode == "c":
            with refused("AccessDenied", 403):
                s3.get_object(**where, **CustomerKey().boto())


@pytest.mark.parametrize("lost", ["a", "c"])
def test_dur_d8_three_facilities_keep_archives_through_the_loss_of_one(make_server, lost):
    """Over three facilities nothing that survives the loss of one costs less than 8+4 does."""
    twelve = make_server(*flags(drives("abc", 4)), "--restore-delay-seconds", "0")
    s3 = clients.s3(twelve)
    bucket = make_bucket(s3)
    watch = Watch(twelve)
    body = noise(BIG)
    s3.put_object(Bucket=bucket, Key="k", Body=body, StorageClass="GLACIER")
    assert watch.new() == [(list("aaaabbbbcccc"), (8, 4, 0))]
    lose(twelve, lost)
    s3.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 1})
    assert read(s3.get_object(Bucket=bucket, Key="k")) == body
