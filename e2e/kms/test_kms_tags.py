# SPDX-License-Identifier: Apache-2.0
"""TagResource, UntagResource, ListResourceTags."""

import pytest

from clients import refused
from keys import ARN, pages


def tag(name, value=""):
    return {"TagKey": name, "TagValue": value}


def tags(kms, key):
    return {one["TagKey"]: one["TagValue"] for one in pages(kms, "list_resource_tags", "Tags", KeyId=key)}


def test_life_of_tags(kms, key):
    assert tags(kms, key) == {}
    kms.tag_resource(KeyId=key, Tags=[tag("a", "1"), tag("b"), tag("\u00e4 :/=+-@_.", "v" * 256)])
    kms.tag_resource(KeyId=f"{ARN}:key/{key}", Tags=[tag("a", "2"), tag("A", "3")])
    assert tags(kms, key) == {"a": "2", "b": "", "\u00e4 :/=+-@_.": "v" * 256, "A": "3"}
    kms.untag_resource(KeyId=key, TagKeys=["a", "absent"])
    assert tags(kms, key) == {"b": "", "\u00e4 :/=+-@_.": "v" * 256, "A": "3"}
    kms.untag_resource(KeyId=key, TagKeys=[])
    kms.tag_resource(KeyId=key, Tags=[])
    assert len(tags(kms, key)) == 3


def test_fifty_tags_in_pages(kms, key):
    kms.tag_resource(KeyId=key, Tags=[tag(f"t{n:02}", str(n)) for n in range(50)])
    first = kms.list_resource_tags(KeyId=key, Limit=20)
    assert (len(first["Tags"]), first["Truncated"]) == (20, True)
    second = kms.list_resource_tags(KeyId=key, Limit=50, Marker=first["NextMarker"])
    assert (len(second["Tags"]), second["Truncated"]) == (30, False)
    assert tags(kms, key) == {f"t{n:02}": str(n) for n in range(50)}
    kms.tag_resource(KeyId=key, Tags=[tag("t00", "again")])
    with refused("TagException", 400, "Too many tags"):
        kms.tag_resource(KeyId=key, Tags=[tag("one more")])
    assert len(tags(kms, key)) == 50 and tags(kms, key)["t00"] == "again"


@pytest.mark.parametrize("wrong,code,message", [
    ([tag("x", "1"), tag("x", "2")], "TagException", "Duplicate tag keys"),
    ([tag("aws:x")], "TagException", "Tags beginning with aws: are reserved"),
    ([tag("AWS:x")], "TagException", "Tags beginning with aws: are reserved"),
    ([tag(f"{n}") for n in range(51)], "TagException", "Too many tags"),
    ([tag("")], "ValidationException", None), ([tag("x" * 129)], "ValidationException", None),
    ([tag("x", "v" * 257)], "ValidationException", None),
])
def test_sec_n88_tags(loose, key, wrong, code, message):
    loose.tag_resource(KeyId=key, Tags=[tag("kept", "1")])
    with refused(code, 400, message):
        loose.tag_resource(KeyId=key, Tags=wrong)
    assert tags(loose, key) == {"kept": "1"}


def test_sec_n88_names_to_untag(loose, key):
    for wrong in ([""], ["x" * 129]):
        with refused("ValidationException", 400):
            loose.untag_resource(KeyId=key, TagKeys=wrong)
    with refused("TagException", 400, "Tags beginning with aws: are reserved"):
        loose.untag_resource(KeyId=key, TagKeys=["aws:x"])


def test_sec_n83_pages_of_tags_are_small(loose, key):
    with refused("ValidationException", 400):
        loose.list_resource_tags(KeyId=key, Limit=51)
