# SPDX-License-Identifier: Apache-2.0
"""The table of the S3 model: operation x header x mode. What each operation takes, what its answer
carries in each mode, and that a header which it does not take is refused and changes nothing."""

import base64
import hashlib
from dataclasses import dataclass

import pytest

import sse
from clients import CustomerKey, bucket_name, empty_and_delete, read
from rawhttp import Client

WRITE = ["sse", "key id", "context", "bucket key"]
CUSTOMER, SOURCE = "customer key", "customer key of the source"
HEADERS = [*WRITE, CUSTOMER, SOURCE]
# Operation -> the headers that it takes.
TAKES = {
    "PutObject": [*WRITE, CUSTOMER],
    "CopyObject": [*WRITE, CUSTOMER, SOURCE],
    "CreateMultipartUpload": [*WRITE, CUSTOMER],
    "UploadPart": [CUSTOMER],
    "UploadPartCopy": [CUSTOMER, SOURCE],
    "CompleteMultipartUpload": [CUSTOMER],
    "GetObject": [CUSTOMER],
    "HeadObject": [CUSTOMER],
    "GetObjectAttributes": [CUSTOMER],
    "ListParts": [CUSTOMER],
    "UpdateObjectEncryption": [],
}
# Answers of these say nothing about encryption.
SILENT = ["GetObjectAttributes", "ListParts", "UpdateObjectEncryption"]
# Headers that mean nothing where they stand: there is no source, the upload has its mode already,
# or nothing is stored. The first of them is refused on parts and Complete (section 1.3).
IGNORED = {operation: [SOURCE] for operation in TAKES if SOURCE not in TAKES[operation]} | {
    "UploadPart": [*WRITE[1:], SOURCE], "UploadPartCopy": WRITE[1:],
    "CompleteMultipartUpload": [*WRITE[1:], SOURCE], "ListParts": [*WRITE, SOURCE],
}
UNSUPPORTED = "{} header is not supported for this operation."


@dataclass
class Place:
    """A bucket with an object, a source of copies and an open upload, all in one mode."""

    s3: object
    raw: Client
    bucket: str
    mode: sse.Mode
    upload: str
    etag: str

    @property
    def where(self):
        return {"Bucket": self.bucket, "Key": "k"}

    def ask(self, operation, headers):
        source = {"x-amz-copy-source": f"/{self.bucket}/source"}
        part = f"k?partNumber=2&uploadId={self.upload}"
        done = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{self.etag}</ETag></Part></CompleteMultipartUpload>"
        ).encode()
        update = (
            "<ObjectEncryption><SSE-KMS><KMSKeyArn>"
            f"{self.mode.key_arn}</KMSKeyArn></SSE-KMS></ObjectEncryption>"
        ).encode()
        method, path, body, more = {
            "PutObject": ("PUT", "new", b"new", {}),
            "CopyObject": ("PUT", "new", b"", source),
            "CreateMultipartUpload": ("POST", "new?uploads", b"", {}),
            "UploadPart": ("PUT", part, b"part", {}),
            "UploadPartCopy": ("PUT", part, b"", source),
            "CompleteMultipartUpload": ("POST", f"k?uploadId={self.upload}", done, {}),
            "GetObject": ("GET", "k", b"", {}),
            "HeadObject": ("HEAD", "k", b"", {}),
            "GetObjectAttributes": ("GET", "k?attributes", b"", {
                "x-amz-object-attributes": "ETag,ObjectSize",
            }),
            "ListParts": ("GET", f"k?uploadId={self.upload}", b"", {}),
            "UpdateObjectEncryption": ("PUT", "k?encryption", update, {
                "content-md5": base64.b64encode(hashlib.md5(update).digest()).decode(),
            }),
        }[operation]
        return self.raw.request(method, f"/{self.bucket}/{path}", body, headers | more)

    def of_mode(self, operation):
        """The headers with which the operation is right in this mode."""
        out = {}
        if WRITE[0] in TAKES[operation]:
            out |= self.mode.write_headers
        elif CUSTOMER in TAKES[operation]:
            out |= self.mode.read_headers
        if SOURCE in TAKES[operation] and self.mode.customer:
            out |= self.mode.customer.headers(source=True)
        return out

    def facts(self):
        """What may not have changed."""
        names = [o["Key"] for o in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]]
        open_uploads = self.s3.list_multipart_uploads(Bucket=self.bucket)["Uploads"]
        parts = self.s3.list_parts(UploadId=self.upload, **self.where)["Parts"]
        got = self.s3.get_object(**self.where, **self.mode.read)
        self.mode.check("GetObject", got)
        return (
            names, [u["UploadId"] for u in open_uploads], [p["PartNumber"] for p in parts],
            read(got), got["ETag"],
        )


@pytest.fixture(scope="module")
def modes(s3, kms, kms_key):
    # The key aws/s3 is made at its first use.
    first = bucket_name("first")
    s3.create_bucket(Bucket=first)
    s3.put_object(Bucket=first, Key="k", Body=b"", ServerSideEncryption="aws:kms")
    empty_and_delete(s3, first)
    return {mode.name: mode for mode in sse.modes(kms, kms_key)}


class Places:
    """Makes them, and takes them away."""

    def __init__(self, s3, raw, modes):
        self.s3, self.raw, self.modes, self.made = s3, raw, modes, {}

    def make(self, name):
        mode, bucket = self.modes[name], bucket_name("section0")
        self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={
            "Rules": [{"BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}}],
        })
        where = {"Bucket": bucket, "Key": "k"}
        for key in ("k", "source"):
            self.s3.put_object(Bucket=bucket, Key=key, Body=b"there", **mode.write)
        upload = self.s3.create_multipart_upload(**where, **mode.write)["UploadId"]
        part = self.s3.upload_part(
            PartNumber=1, Body=b"1", UploadId=upload, **where, **mode.read)
        return self.made.setdefault(
            bucket, Place(self.s3, self.raw, bucket, mode, upload, part["ETag"]))

    def standing(self, name):
        """One that is there already, for what changes nothing."""
        found = [here for here in self.made.values() if here.mode.name == name]
        return found[0] if found else self.make(name)

    def close(self):
        for bucket in self.made:
            empty_and_delete(self.s3, bucket)
        self.made = {}


@pytest.fixture
def place(s3, raw, modes):
    made = Places(s3, raw, modes)
    yield made.make
    made.close()


@pytest.fixture(scope="module")
def standing(s3, raw, modes):
    made = Places(s3, raw, modes)
    yield made.standing
    made.close()


@pytest.mark.parametrize("name", sse.MODE_NAMES)
@pytest.mark.parametrize("operation", TAKES)
def test_s3_0_answer_carries_what_the_table_says(place, operation, name):
    here = place(name)
    answer = here.ask(operation, here.of_mode(operation))
    if operation == "UpdateObjectEncryption" and (
            here.mode.key_arn is None or here.mode.algorithm != "aws:kms"):
        # Without a key there is no ARN in the document; objects under SSE-C and DSSE cannot change.
        assert answer.status == 400
        return
    assert answer.status == 200, answer.body
    if operation in SILENT:
        assert not set(answer.headers) & set(sse.ALL)
    else:
        here.mode.check_headers(operation, answer.headers)


def value(header, here, kms_key):
    """The header by itself, and with what it needs beside it."""
    kms = {sse.SSE: "aws:kms"}
    return {
        "sse": ({sse.SSE: "AES256"}, {}), "key id": ({sse.KID: kms_key["id"]}, kms),
        "context": ({sse.CTX: sse.encoded({"a": "b"})}, kms), "bucket key": ({sse.BK: "false"}, kms),
        CUSTOMER: (CustomerKey().headers(), {}), SOURCE: (CustomerKey().headers(source=True), {}),
    }[header]


@pytest.mark.parametrize("operation,header", [
    (operation, header) for operation, taken in TAKES.items() for header in taken
    if header in WRITE or (header == CUSTOMER and WRITE[0] in taken)
])
def test_s3_0_header_of_a_write_is_taken(place, kms_key, operation, header):
    here = place("none")
    alone, beside = value(header, here, kms_key)
    answer = here.ask(operation, alone | beside)
    assert answer.status == 200, answer.body
    if header == CUSTOMER:
        assert answer.headers[sse.C_MD5] == alone[sse.C_MD5] and sse.SSE not in answer.headers
    else:
        assert answer.headers[sse.SSE] == (beside | alone)[sse.SSE]


@pytest.mark.parametrize("name", ["none", "kms-id", "sse-c"])
@pytest.mark.parametrize("operation,header", [
    (operation, header) for operation, taken in TAKES.items() for header in HEADERS
    if header not in taken and header not in IGNORED.get(operation, [])
])
def test_s3_0_header_that_is_not_taken_is_refused(standing, kms_key, operation, header, name):
    here = standing(name)
    before = here.facts()
    alone, _ = value(header, here, kms_key)
    answer = here.ask(operation, here.of_mode(operation) | alone)
    assert answer.status == 400
    if operation != "HeadObject":
        assert answer.code == "InvalidArgument", answer.body
        assert answer.element("Message") == UNSUPPORTED.format(answer.element("ArgumentName"))
        assert answer.element("ArgumentName") in alone
    assert here.facts() == before


@pytest.mark.parametrize("name", ["none", "kms-id", "sse-c"])
@pytest.mark.parametrize("operation,header", [
    (operation, header) for operation, ignored in IGNORED.items() for header in ignored
    if header != WRITE[0] and operation != "UpdateObjectEncryption"
])
def test_s3_0_header_that_means_nothing_changes_nothing(place, kms_key, operation, header, name):
    here = place(name)
    alone, _ = value(header, here, kms_key)
    answer = here.ask(operation, here.of_mode(operation) | alone)
    assert answer.status == 200, answer.body
    if operation in SILENT:
        assert not set(answer.headers) & set(sse.ALL)
    else:
        here.mode.check_headers(operation, answer.headers)


@pytest.mark.parametrize("operation", [op for op, taken in TAKES.items() if taken == [CUSTOMER]])
@pytest.mark.parametrize("name", ["none", "kms-id"])
def test_s3_0_customer_key_where_none_applies(standing, operation, name):
    """Taken by the operation, but not by what it is about."""
    here = standing(name)
    before = here.facts()
    answer = here.ask(operation, CustomerKey().headers())
    assert answer.status == 400
    if operation != "HeadObject":
        assert answer.code == "InvalidRequest", answer.body
    assert here.facts() == before
