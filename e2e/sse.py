# SPDX-License-Identifier: Apache-2.0
"""The encryption modes as requests and as answers: what is sent, and what must come back.

`EXPECTED` is the API matrix of the S3 model: which headers each operation's answer carries.
"""

import base64
import json
from dataclasses import dataclass, field

from clients import CustomerKey, headers_of

SSE = "x-amz-server-side-encryption"
KID = f"{SSE}-aws-kms-key-id"
CTX = f"{SSE}-context"
BK = f"{SSE}-bucket-key-enabled"
C_ALG = f"{SSE}-customer-algorithm"
C_KEY = f"{SSE}-customer-key"
C_MD5 = f"{SSE}-customer-key-md5"
ALL = (SSE, KID, CTX, BK, C_ALG, C_KEY, C_MD5)

# Operation -> what its answer may carry besides the mode and the key.
EXPECTED = {
    "PutObject": {"context", "customer"},
    "PostObject": {"customer"},
    "CopyObject": {"context", "customer"},
    "CreateMultipartUpload": {"context", "customer"},
    "UploadPart": {"customer"},
    "UploadPartCopy": {"customer"},
    "CompleteMultipartUpload": set(),
    "GetObject": {"customer"},
    "HeadObject": {"customer"},
}
CONTEXT = {"project": "e2e", "ümlaut": "wert", "empty-like": " "}


@dataclass
class Mode:
    """One way to ask for encryption."""

    name: str
    write: dict
    key_arn: str = None
    context: dict = None
    customer: CustomerKey = None
    needs_tls: bool = False
    algorithm: str = "aws:kms"
    write_headers: dict = field(default_factory=dict)
    bucket_key: bool = False
    # The rule of the bucket that asks for it, where no header does.
    rule: dict = None

    @property
    def read(self):
        """boto3 arguments of GET, HEAD, UploadPart and Complete."""
        return self.customer.boto() if self.customer else {}

    @property
    def read_headers(self):
        return self.customer.headers() if self.customer else {}

    @property
    def attributes(self):
        """boto3 arguments of GetObjectAttributes, for which botocore encodes no key."""
        if not self.customer:
            return {}
        return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": self.customer.base64,
                "SSECustomerKeyMD5": self.customer.md5}

    @property
    def source(self):
        """boto3 arguments that open a copy source."""
        return self.customer.boto(source=True) if self.customer else {}

    @property
    def md5_etag(self):
        return self.key_arn is None and self.customer is None

    def expected(self, operation):
        allowed = EXPECTED[operation]
        if self.customer:
            if "customer" not in allowed:
                return {}
            return {C_ALG: "AES256", C_MD5: self.customer.md5}
        if self.key_arn is None:
            return {SSE: "AES256"}
        out = {SSE: self.algorithm, KID: self.key_arn}
        if self.bucket_key:
            out[BK] = "true"
        if self.context and "context" in allowed:
            out[CTX] = self.context
        return out

    def check(self, operation, answer):
        """The answer carries exactly the headers of the matrix."""
        self.check_headers(operation, headers_of(answer))

    def check_headers(self, operation, headers):
        got = {name: headers[name] for name in ALL if name in headers}
        if CTX in got:
            got[CTX] = json.loads(base64.b64decode(got[CTX]))
        assert got == self.expected(operation), (self.name, operation)


def encoded(context):
    return base64.b64encode(json.dumps(context).encode()).decode()


def modes(kms, kms_key):
    """Every mode that this form of the server offers."""
    def by_key(name, key_id, key_arn, **more):
        algorithm = more.get("algorithm", "aws:kms")
        write = {"ServerSideEncryption": algorithm}
        headers = {SSE: algorithm}
        if key_id:
            write["SSEKMSKeyId"] = headers[KID] = key_id
        if more.get("context"):
            write["SSEKMSEncryptionContext"] = headers[CTX] = encoded(more["context"])
        if more.get("bucket_key"):
            write["BucketKeyEnabled"], headers[BK] = True, "true"
        return Mode(name, write, key_arn, needs_tls=True, write_headers=headers, **more)

    customer = CustomerKey()
    # The default key is made at its first use.
    default = default_key_arn(kms)
    arn = kms_key["arn"]
    return [
        Mode("none", {}),
        Mode("sse-s3", {"ServerSideEncryption": "AES256"}, write_headers={SSE: "AES256"}),
        by_key("kms-default", None, default),
        by_key("kms-id", kms_key["id"], arn),
        by_key("kms-arn", arn, arn),
        by_key("kms-alias", kms_key["alias"], arn),
        by_key("kms-alias-arn", kms_key["alias_arn"], arn),
        by_key("kms-context", kms_key["id"], arn, context=CONTEXT),
        by_key("kms-bucket-key", arn, arn, bucket_key=True),
        by_key("kms-bucket-key-context", kms_key["id"], arn, context=CONTEXT, bucket_key=True),
        by_key("dsse-default", None, default, algorithm="aws:kms:dsse"),
        by_key("dsse-context", kms_key["id"], arn, context=CONTEXT, algorithm="aws:kms:dsse"),
        Mode("sse-c", customer.boto(), customer=customer, needs_tls=True,
             write_headers=customer.headers()),
    ]


def by_rule(kms, kms_key):
    """Modes that the default of a bucket asks for, its name beginning with `rule`."""
    def mode(name, key_arn, algorithm, bucket_key=False, **more):
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm, **more}}
        rule |= {"BucketKeyEnabled": True} if bucket_key else {}
        return Mode(f"rule-{name}", {}, key_arn, needs_tls=key_arn is not None, rule=rule,
                    bucket_key=bucket_key, algorithm=algorithm)

    arn = kms_key["arn"]
    return [
        mode("s3", None, "AES256"),
        mode("kms-default", default_key_arn(kms), "aws:kms"),
        mode("kms-alias", arn, "aws:kms", KMSMasterKeyID=kms_key["alias"]),
        mode("kms-bucket-key", arn, "aws:kms", bucket_key=True, KMSMasterKeyID=arn),
        mode("dsse", arn, "aws:kms:dsse", KMSMasterKeyID=kms_key["id"]),
    ]


RULE_NAMES = [
    "rule-s3", "rule-kms-default", "rule-kms-alias", "rule-kms-bucket-key", "rule-dsse",
]
MODE_NAMES = [
    "none", "sse-s3", "kms-default", "kms-id", "kms-arn", "kms-alias", "kms-alias-arn",
    "kms-context", "kms-bucket-key", "kms-bucket-key-context", "dsse-default", "dsse-context",
    "sse-c",
]


def default_key_arn(kms):
    """ARN of alias/aws/s3, or None before its first use."""
    for page in kms.get_paginator("list_aliases").paginate():
        for alias in page["Aliases"]:
            if alias["AliasName"] == "alias/aws/s3" and "TargetKeyId" in alias:
                return kms.describe_key(KeyId=alias["TargetKeyId"])["KeyMetadata"]["Arn"]
    return None
