# SPDX-License-Identifier: Apache-2.0
"""Requests of hostile shape: every operation, documents, targets, content types, sizes, compression."""

import gzip
import json
import zlib

import botocore.session
import pytest

from keys import SYMMETRIC
from test_kms_keys import BY_NAME, UNSUPPORTED

MODEL = botocore.session.get_session().get_service_model("kms")
OPERATIONS = sorted(set(MODEL.operation_names) - set(UNSUPPORTED))

BAD_DOCUMENTS = {
    "nothing": b"", "cut": b"{", "list": b"[]", "null": b"null", "text": b'"x"', "number": b"1",
    "two": b"{} {}", "byte order mark": b"\xef\xbb\xbf{}", "not UTF-8": b'{"KeyId":"\xff"}',
    "UTF-16": '{"KeyId":"x"}'.encode("utf-16"), "member twice": b'{"KeyId":"a","KeyId":"b"}',
    "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000, "deep lists": b"[" * 100_000,
    "lone surrogate": b'{"KeyId":"\\ud800"}', "not a number": b'{"KeyId":NaN}',
    "comment": b'{"KeyId":"a"/* */}', "single quotes": b"{'KeyId':'a'}", "trailing comma": b'{"KeyId":"a",}',
    "control character": b'{"KeyId":"a\x00b"}', "wrong type": b'{"KeyId":1,"Limit":{},"NumberOfBytes":"x",'
    b'"GrantToken":1,"AliasName":1,"RetiringPrincipal":1,"CiphertextBlob":1,"Description":1,"CustomKeyStoreId":1}',
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_sec_n88_documents(by_hand, operation):
    required = MODEL.operation_model(operation).input_shape.required_members
    with by_hand.connection() as call:
        for what, body in BAD_DOCUMENTS.items():
            if what == "nothing" and not required:
                continue  # as good as an empty object
            answer = call(operation, body)
            assert answer is not None, what
            assert answer.status in (400, 413), (what, answer)
            codes = ["SerializationException", "ValidationException", "RequestEntityTooLargeException"]
            if operation in ("CreateKey", "GenerateRandom"):
                codes.append("UnsupportedOperationException")  # a custom key store, of whatever type
            assert answer.code in codes, (what, answer)
        assert call("GenerateRandom", {"NumberOfBytes": 1}).status == 200


@pytest.mark.parametrize("operation", OPERATIONS)
def test_sec_n88_each_member_of_a_wrong_type(by_hand, ring, operation):
    """Every parameter of the model as each JSON type: never a 500, never a success with nonsense."""
    good = {"KeyId": ring[SYMMETRIC]["KeyId"]} | BY_NAME.get(operation, {})
    shape = MODEL.operation_model(operation).input_shape
    with by_hand.connection() as call:
        for name, member in shape.members.items():
            right = {"string": str, "blob": str, "integer": int, "boolean": bool, "list": list, "map": dict,
                     "structure": dict, "timestamp": int}[member.type_name]
            for wrong in ("\u0000", -1, 1e300, True, [], [1], {}, {"a": 1}, [[]], "\U0001f512" * 9000):
                if type(wrong) is right or (right is int and type(wrong) is float):
                    continue
                body = json.dumps(good | {name: wrong}).encode()
                answer = call(operation, body)
                assert answer is not None, (name, wrong)
                assert 400 <= answer.status < 500, (name, str(wrong)[:20], answer)
                assert "Internal" not in answer.code


@pytest.mark.parametrize("operation", OPERATIONS)
def test_sec_n88_nothing_given(by_hand, operation):
    required = MODEL.operation_model(operation).input_shape.required_members
    answer = by_hand(operation, {})
    if required or operation in ("RetireGrant", "GenerateRandom", "Decrypt", "ListRetirableGrants"):
        assert (answer.status, answer.code) == (400, "ValidationException"), answer.body
    else:
        assert answer.status == 200


def test_unknown_members_are_ignored(by_hand):
    assert by_hand("ListKeys", b'{"Nonsense":{"a":[1]},"Limit":1}').status == 200


@pytest.mark.parametrize("target", [
    "", "TrentService", "TrentService.", "TrentService.Nothing", "TrentService.encrypt", "Encrypt",
    "TrentService.Encrypt ", "trentservice.Encrypt", "TrentService.Encrypt.Decrypt", "TrentService..Encrypt",
    "AWSSecurityTokenService.GetCallerIdentity", "TrentService.Encrypt,TrentService.Decrypt",
    "TrentService/Encrypt", "TrentService.%45ncrypt", "x" * 4000,
])
def test_sec_n88_targets(by_hand, target):
    answer = by_hand("Encrypt", {}, {"x-amz-target": target})
    # Without a target it is not known to be for the key service; S3 refuses it then.
    assert 400 <= answer.status < 500 and answer.code
    if target.startswith("TrentService."):
        # Spaces around a value are not part of it.
        expected = "ValidationException" if target.strip() == "TrentService.Encrypt" else "UnknownOperationException"
        assert (answer.status, answer.code) == (400, expected)


@pytest.mark.parametrize("value,status", [
    ("application/json", 400), ("text/plain", 400), ("", 400), ("application/x-amz-json-1.0", 400),
    ("application/xml", 400), ("application/x-www-form-urlencoded", 400), ("multipart/form-data; boundary=x", 400),
    ("application/x-amz-json-1.1; charset=utf-8", 200), ("application/X-AMZ-JSON-1.1", 200),
])
def test_sec_n88_content_types(by_hand, value, status):
    answer = by_hand("ListKeys", {}, {"content-type": value})
    assert answer.status == status
    assert status == 200 or answer.code in ("UnknownOperationException", "SerializationException")


def bomb():
    """64 MiB of spaces between braces, in 64 KiB."""
    return gzip.compress(b"{" + b" " * (64 * 1024 * 1024) + b"}", 9)


@pytest.mark.parametrize("coding,body", [
    ("gzip", gzip.compress(b"{}")), ("deflate", zlib.compress(b"{}")), ("br", b"{}"), ("gzip, gzip", b"{}"),
    ("gzip", b"{}"), ("x-gzip", gzip.compress(b"{}")), ("zstd", b"{}"),
])
def test_sec_n88_compressed(by_hand, coding, body):
    answer = by_hand("ListKeys", body, {"content-encoding": coding})
    assert answer.status in (400, 415) and "Keys" not in answer.document


def test_sec_n88_a_bomb_does_not_go_off(server, by_hand):
    before = server.resident_bytes()
    for headers in ({"content-encoding": "gzip"}, {}):
        answer = by_hand("ListKeys", bomb(), headers)
        assert answer.status in (400, 413, 415), answer
    assert server.resident_bytes() - before < 48 * 1024 * 1024
    assert by_hand("ListKeys").status == 200


@pytest.mark.parametrize("body", [
    b'{"KeyId":"' + b"x" * (1024 * 1024) + b'"}', b" " * (1024 * 1024) + b"{}",
    b'{"Tags":[' + b",".join([b'{"TagKey":"a","TagValue":"b"}'] * 40_000) + b"]}",
    b'{"EncryptionContext":{' + b",".join(b'"%d":"x"' % n for n in range(100_000)) + b"}}",
])
@pytest.mark.parametrize("operation", ["Encrypt", "CreateKey", "TagResource"])
def test_sec_n88_a_megabyte(by_hand, operation, body):
    answer = by_hand(operation, body)
    assert answer is None or answer.status in (400, 413), answer
    assert by_hand("ListKeys").status == 200


def test_sec_n88_contexts_of_any_size(by_hand, ring):
    """A context is bounded, and what is just within the bound still opens."""
    key = ring[SYMMETRIC]["KeyId"]
    for size in (1, 1000, 4000):
        context = {"k": "v" * size}
        answer = by_hand("Encrypt", {"KeyId": key, "Plaintext": "eA==", "EncryptionContext": context})
        assert answer.status == 200
        opened = by_hand("Decrypt", {
            "CiphertextBlob": answer.document["CiphertextBlob"], "EncryptionContext": context})
        assert opened.document["Plaintext"] == "eA=="
    for context in ({"k": "v" * 100_000}, {str(n): "x" * 100 for n in range(1000)}):
        answer = by_hand("Encrypt", {"KeyId": key, "Plaintext": "eA==", "EncryptionContext": context})
        assert (answer.status, answer.code) == (400, "ValidationException")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_sec_n88_methods(raw, method):
    answer = raw.request(method, "/", b"{}" if method in ("PUT", "PATCH") else b"", {
        "content-type": "application/x-amz-json-1.1", "x-amz-target": "TrentService.ListKeys",
    }, signer=raw.signer(service="kms"))
    assert answer.status >= 400 and b"KeyArn" not in answer.body


@pytest.mark.parametrize("path", ["/x", "//", "/?Action=ListKeys", "/kms", "/%2e"])
def test_sec_n88_paths(raw, path):
    answer = raw.request("POST", path, b"{}", {
        "content-type": "application/x-amz-json-1.1", "x-amz-target": "TrentService.ListKeys",
    }, signer=raw.signer(service="kms"))
    assert answer.status >= 400 or path == "/?Action=ListKeys"


def test_errors_have_the_form_of_the_protocol(by_hand):
    answer = by_hand("DescribeKey", {"KeyId": "fake-key-id"})
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers.get("x-amzn-requestid") or answer.headers.get("x-amz-request-id")
    assert set(answer.document) == {"__type", "message"}
