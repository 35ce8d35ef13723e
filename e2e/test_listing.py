# SPDX-License-Identifier: Apache-2.0
"""Listings through boto3: byte order, pages, delimiters and names that hurt."""

from urllib.parse import unquote_plus

import pytest

from clients import bucket_name, empty_and_delete, headers_of, noise, read, refused

ODD_NAMES = [
    "..", "../b/k", "a/../../b", ".", "./a", "a//b", "a/", "a", "//", "a/b/", "%2e%2e%2f",
    "%252e", "%", "+", "a+b", "a b", " ", "  lead", "trail ", "back\\slash", "C:\\x",
    "?query=1", "#fragment", "a&b=c;d", "<tag attr=\"1\">&amp;'", "ä", "a\u0308", "日本/語",
    "\u202eevil", "zero\u200bwidth", "emoji-\U0001f512", "~*!'()", "q\"uote", "semi;colon",
    "caf\u00e9", "cafe\u0301", "x" * 1024, "\u00e9" * 512, "strongroom-data/root.key",
    "drive/log", "null", "0", "a\tb", "a\nb",
]


@pytest.fixture(scope="module")
def odd_bucket(s3):
    name = bucket_name("odd")
    s3.create_bucket(Bucket=name)
    for n, key in enumerate(ODD_NAMES):
        s3.put_object(Bucket=name, Key=key, Body=str(n).encode())
    yield name
    empty_and_delete(s3, name)


def names(page):
    return [item["Key"] for item in page.get("Contents", [])]


@pytest.mark.parametrize("method", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pages_are_in_byte_order(s3, odd_bucket, method, size):
    """boto3 asks for encoding-type=url and decodes."""
    pages = s3.get_paginator(method).paginate(
        Bucket=odd_bucket, PaginationConfig={"PageSize": size}
    )
    found = [name for page in pages for name in names(page)]
    assert found == sorted(ODD_NAMES, key=lambda name: name.encode())


def test_odd_names_hold_their_own_bytes(s3, odd_bucket):
    for n, key in enumerate(ODD_NAMES):
        assert read(s3.get_object(Bucket=odd_bucket, Key=key)) == str(n).encode(), key
        assert s3.head_object(Bucket=odd_bucket, Key=key)["ContentLength"] == len(str(n))


def test_odd_names_can_be_copied_and_deleted(s3, odd_bucket, bucket):
    for n, key in enumerate(ODD_NAMES):
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": odd_bucket, "Key": key})
        assert read(s3.get_object(Bucket=bucket, Key=key)) == str(n).encode(), key
        s3.delete_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert len(names(s3.list_objects_v2(Bucket=odd_bucket))) == len(ODD_NAMES)


def test_odd_names_in_multipart_and_delete_many(s3, bucket):
    for key in ODD_NAMES:
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"p")
        done = s3.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
        assert done["Key"] == key
    printable = [key for key in ODD_NAMES if not any(c in key for c in "\t\n")]
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in printable]}
    )
    assert sorted(d["Key"] for d in answer["Deleted"]) == sorted(printable)


def test_listing_without_encoding_is_plain_xml(raw, s3, bucket):
    for key in ["a b", "ä", "<&>", "a+b", "%41"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = raw.request("GET", f"/{bucket}?list-type=2")
    assert answer.status == 200
    text = answer.body.decode()
    for shown in ["a b", "ä", "&lt;&amp;&gt;", "a+b", "%41"]:
        assert f"<Key>{shown}</Key>" in text
    encoded = raw.request("GET", f"/{bucket}?encoding-type=url&list-type=2").body.decode()
    keys = [part.split("</Key>")[0] for part in encoded.split("<Key>")[1:]]
    assert [unquote_plus(key) for key in keys] == sorted(["a b", "ä", "<&>", "a+b", "%41"])
    assert "<EncodingType>url</EncodingType>" in encoded


def test_delimiters_and_prefixes(s3, bucket):
    for key in ["a", "a/1", "a/2/x", "a/2/y", "a/3", "b/1", "c", "c/", "d--e--f", "d--g"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")

    def listed(**args):
        page = s3.list_objects_v2(Bucket=bucket, **args)
        return names(page), [p["Prefix"] for p in page.get("CommonPrefixes", [])]

    assert listed(Delimiter="/") == (["a", "c", "d--e--f", "d--g"], ["a/", "b/", "c/"])
    assert listed(Delimiter="/", Prefix="a/") == (["a/1", "a/3"], ["a/2/"])
    assert listed(Delimiter="/", Prefix="a") == (["a"], ["a/"])
    assert listed(Delimiter="--", Prefix="d") == ([], ["d--"])
    assert listed(Prefix="a/2/") == (["a/2/x", "a/2/y"], [])
    assert listed(Prefix="nothing") == ([], [])
    assert listed(StartAfter="b/1", Delimiter="/") == (["c", "d--e--f", "d--g"], ["c/"])
    assert listed(StartAfter="a/2/x", Prefix="a/") == (["a/2/y", "a/3"], [])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_common_prefixes_count_once_over_pages(s3, bucket, size):
    keys = [f"{d}/{n}" for d in "abcd" for n in range(4)] + ["a", "zz"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for method in ("list_objects", "list_objects_v2"):
        found = []
        for page in s3.get_paginator(method).paginate(
            Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}
        ):
            part = names(page) + [p["Prefix"] for p in page.get("CommonPrefixes", [])]
            assert 0 < len(part) <= size
            found += part
        assert sorted(found) == ["a", "a/", "b/", "c/", "d/", "zz"]
        assert len(found) == 6


def test_a_thousand_is_the_most(s3, bucket):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket=bucket, Key=f"k{n:04}", Body=b""), range(1003)))
    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
    assert (first["KeyCount"], first["MaxKeys"], first["IsTruncated"]) == (1000, 1000, True)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    assert names(rest) == ["k1000", "k1001", "k1002"]
    assert not rest["IsTruncated"]
    with refused("MalformedXML", 400):
        s3.delete_objects(
            Bucket=bucket, Delete={"Objects": [{"Key": f"k{n:04}"} for n in range(1001)]}
        )
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0


def test_what_a_listing_says(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=noise(70_000))
    head = s3.head_object(Bucket=bucket, Key="k")
    v1 = s3.list_objects(Bucket=bucket)["Contents"][0]
    v2 = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]
    for item in (v1, v2):
        assert item["Size"] == 70_000
        assert item["ETag"] == put["ETag"]
        assert item["StorageClass"] == "STANDARD"
        assert item["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert item["Owner"]["ID"]
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]


@pytest.mark.parametrize("args", [
    {"MaxKeys": -1}, {"ContinuationToken": "forged"}, {"ContinuationToken": "../../x"},
    {"ContinuationToken": "A" * 4000}, {"EncodingType": "base64"},
])
def test_sec_n96_bad_list_parameters(s3, bucket, args):
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=bucket, **args)


def test_answers_carry_ids(s3, bucket):
    headers = headers_of(s3.list_objects_v2(Bucket=bucket))
    assert headers["x-amz-request-id"] and headers["x-amz-id-2"]
