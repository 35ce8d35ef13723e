# SPDX-License-Identifier: Apache-2.0
"""The compatibility document says what this run showed. Among the last tests of a run."""

import pytest

from compat_s3 import S3, Router


def test_a_request_by_hand_is_the_operation_it_asks_for():
    router = Router(S3.operations())
    for method, target, headers, wanted in (
        ("PUT", "/b/k", {}, "PutObject"), ("PUT", "/b", {}, "CreateBucket"),
        ("PUT", "/b/k", {"x-amz-copy-source": "/b/s"}, "CopyObject"),
        ("PUT", "/b/k/l?partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {"x-amz-copy-source": "/b/s"}, "UploadPartCopy"),
        ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"), ("GET", "/", {}, "ListBuckets"),
        ("GET", "/b?list-type=2&prefix=p", {}, "ListObjectsV2"), ("GET", "/b", {}, "ListObjects"),
        ("GET", "/b/k?attributes", {"x-amz-object-attributes": "ETag"}, "GetObjectAttributes"),
        ("DELETE", "/b?encryption", {}, "DeleteBucketEncryption"), ("GET", "/b/k", {}, "GetObject"),
    ):
        assert router.find(method, target, headers)[0] == wanted
    assert router.find("PUT", "/b/k?no-such-thing", {}) is None
    _, params = router.find("GET", "/b/k?versionId=v", {"range": "bytes=0-0"})
    assert params == {"VersionId": "v", "Range": "bytes=0-0"}


def test_the_document_is_what_the_run_showed(request):
    reason = S3.why_not()
    if reason:
        pytest.skip(reason)
    S3.compare(request.config.getoption("--write-compat"))
