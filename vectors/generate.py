#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the vectors: valid values sealed by reproduce.py, and the same values with one defect each.

Every byte comes from a label through SHAKE-256, so that a second run writes the same files.
"""
import copy, hashlib, json

import generate_client_side, generate_shard
import reproduce as r
from reproduce import HERE, u


def rnd(label, length):
    return hashlib.shake_256(b"strongroom vectors 1: " + label.encode()).digest(length)


def flip(data, bit):
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def write(file, comment, groups):
    document = {"comment": comment}
    for group, vectors in groups.items():
        function = r.FILES[file][group]
        document[group] = [{**v, **r.outcome(function, v)} for v in vectors]
    (HERE / file).write_text(json.dumps(document, indent=1) + "\n")


OEK, ODI = rnd("oek", 32), rnd("odi", 16)
UIDS = [rnd(f"part uid {n}", 16) for n in range(4)]


# Keys and bodies.

def key_case(name, layer, part_no, uid, odi=ODI, oek=OEK):
    return {"name": name, "oek": oek.hex(), "odi": odi.hex(), "layer": layer, "part_no": part_no, "part_uid": uid.hex()}


KEYS = [
    key_case("single_put", 1, 0, UIDS[0]), key_case("part_1", 1, 1, UIDS[1]), key_case("part_10000", 1, 10000, UIDS[2]),
    key_case("second_attempt_at_part_1", 1, 1, UIDS[3]), key_case("outer_layer", 2, 0, UIDS[0]),
    key_case("other_object", 1, 0, UIDS[0], odi=rnd("other odi", 16)),
    key_case("other_object_key", 1, 0, UIDS[0], oek=rnd("other oek", 32)),
]


def body_case(name, size, layer=1, part_no=0, uid=UIDS[0], plain=None):
    v = {"name": name, "pk": r.payload_key(OEK, ODI, layer, part_no, uid).hex(), "odi": ODI.hex(), "layer": layer,
         "part_no": part_no, "part_uid": uid.hex(), "plain_size": size, "iv": rnd(f"iv {name}", 32).hex()}
    message = r.body_message(v)
    plain = r.pattern(size) if plain is None else plain
    v["header"] = message.header.hex()
    v["segments"] = [message.seal(0, True, rnd(f"nonce {name}", 12), plain).hex()]
    del v["iv"]
    return v


def bodies():
    good = [body_case("empty", 0), body_case("one_byte", 1), body_case("hundred_bytes_part_7", 100, part_no=7, uid=UIDS[1])]
    base = good[2]
    bad = []

    def defect(name, **changes):
        bad.append({**copy.deepcopy(base), **changes, "name": name})

    header, segment = bytes.fromhex(base["header"]), bytes.fromhex(base["segments"][0])
    defect("header_aead_unknown", header=flip(header, 0).hex())
    defect("header_kdf_unknown", header=flip(header, 8).hex())
    defect("header_segment_length_changed", header=flip(header, 47).hex())
    defect("header_iv_length_changed", header=flip(header, 79).hex())
    defect("header_iv_bit_flipped", header=flip(header, 100).hex())
    defect("header_tag_bit_flipped", header=flip(header, 591).hex())
    defect("header_of_other_body", header=good[1]["header"])
    defect("payload_key_of_other_part", pk=good[1]["pk"])
    defect("layer_swapped", layer=2)
    defect("part_no_changed", part_no=8)
    defect("part_uid_of_earlier_attempt", part_uid=UIDS[3].hex())
    defect("object_data_id_of_other_object", odi=rnd("other odi", 16).hex())
    defect("size_one_more", plain_size=101)
    defect("size_one_less", plain_size=99)
    defect("size_zero", plain_size=0)
    defect("size_beyond_5_gib", plain_size=(5 << 30) + 1)
    defect("segment_missing", segments=[])
    defect("segment_appended", segments=base["segments"] * 2)
    defect("segment_of_other_body", segments=good[1]["segments"])
    defect("segment_cut_by_one", segments=[segment[:-1].hex()])
    defect("segment_one_byte_longer", segments=[(segment + b"\0").hex()])
    defect("segment_marker_not_final", segments=[(b"\xff" * 4 + segment[4:]).hex()])
    defect("segment_marker_length_wrong", segments=[flip(segment, 24).hex()])
    defect("segment_nonce_bit_flipped", segments=[flip(segment, 32).hex()])
    defect("segment_ciphertext_bit_flipped", segments=[flip(segment, 128).hex()])
    defect("segment_tag_bit_flipped", segments=[flip(segment, len(segment) * 8 - 1).hex()])
    message = r.body_message(base)
    nonce, plain = rnd("defect nonce", 12), r.pattern(100)
    sealed_as_inner = r.AESGCM(message.segment_key(0)).encrypt(nonce, plain, u(64, 0) + b"\0")
    defect("final_segment_sealed_as_inner", segments=[(u(32, 132) + nonce + sealed_as_inner).hex()])
    defect("segment_of_index_1_at_0", segments=[message.seal(1, True, nonce, plain).hex()])
    return good + bad


def large_bodies():
    out = []
    for size in (65535, 65536, 65537, 200000):
        v = {**key_case(f"{size}_bytes", 1, 0, UIDS[0]), "plain_size": size, "iv": rnd(f"iv {size}", 32).hex(),
             "pk": r.payload_key(OEK, ODI, 1, 0, UIDS[0]).hex(),
             "nonces": [rnd(f"nonce {size} {i}", 12).hex() for i in range(-(-size // 65536))]}
        del v["oek"]
        out.append(v)
    return out


# Two layers.

OUTER_OEK = rnd("outer oek", 32)


def outer_key_case(name, part_no, uid, odi=ODI, oek=OUTER_OEK):
    return {"name": name, "outer_oek": oek.hex(), "odi": odi.hex(), "part_no": part_no, "part_uid": uid.hex()}


OUTER_KEYS = [
    outer_key_case("single_put", 0, UIDS[0]), outer_key_case("part_10000", 10000, UIDS[2]), outer_key_case("second_attempt_at_part_1", 1, UIDS[3]),
    outer_key_case("other_object", 0, UIDS[0], odi=rnd("other odi", 16)), outer_key_case("inner_object_key_of_the_object", 0, UIDS[0], oek=OEK),
]


def dual_place(name, size, part_no, uid):
    return {"name": name, "pk": r.payload_key(OEK, ODI, 1, part_no, uid).hex(), "outer_pk": r.payload_key(OUTER_OEK, ODI, 2, part_no, uid).hex(),
            "odi": ODI.hex(), "part_no": part_no, "part_uid": uid.hex(), "plain_size": size,
            "iv": rnd(f"dual iv {name}", 32).hex(), "outer_iv": rnd(f"dual outer iv {name}", 32).hex()}


def dual_case(name, size, part_no=0, uid=UIDS[0]):
    v = dual_place(name, size, part_no, uid)
    inner, outer = r.dual_messages(v)
    v["header"], v["outer_header"] = inner.header.hex(), outer.header.hex()
    segment = inner.seal(0, True, rnd(f"dual nonce {name}", 12), r.pattern(size))
    v["segments"] = [outer.seal(0, True, rnd(f"dual outer nonce {name}", 12), segment).hex()]
    del v["iv"], v["outer_iv"]
    return v


def dual_bodies():
    good = [dual_case("empty", 0), dual_case("one_byte", 1), dual_case("hundred_bytes_part_7", 100, 7, UIDS[1])]
    base, bad = good[2], []
    inner, outer = r.dual_messages(base)
    nonces, plain = [rnd(f"dual defect nonce {i}", 12) for i in (1, 2)], r.pattern(100)

    def defect(name, **changes):
        bad.append({**copy.deepcopy(base), **changes, "name": name})

    def resealed(name, segment, index=0, final=True, message=outer, **changes):
        defect(name, segments=[message.seal(index, final, nonces[1], segment).hex()], **changes)

    header, outer_header, segment = (bytes.fromhex(h) for h in (base["header"], base["outer_header"], base["segments"][0]))
    whole = inner.seal(0, True, nonces[0], plain)
    for bit in (0, 8, 47, 79, 100, 591):
        defect(f"header_bit_{bit}_flipped", header=flip(header, bit).hex())
        defect(f"outer_header_bit_{bit}_flipped", outer_header=flip(outer_header, bit).hex())
    defect("headers_exchanged", header=base["outer_header"], outer_header=base["header"])
    defect("inner_header_twice", outer_header=base["header"])
    defect("outer_header_of_other_body", outer_header=good[1]["outer_header"])
    defect("header_of_other_body", header=good[1]["header"])
    defect("keys_exchanged", pk=base["outer_pk"], outer_pk=base["pk"])
    defect("inner_key_for_both", outer_pk=base["pk"])
    defect("outer_key_for_both", pk=base["outer_pk"])
    defect("payload_key_of_other_part", pk=good[1]["pk"])
    defect("outer_payload_key_of_other_part", outer_pk=good[1]["outer_pk"])
    defect("part_no_changed", part_no=8)
    defect("part_uid_of_earlier_attempt", part_uid=UIDS[3].hex())
    defect("object_data_id_of_other_object", odi=rnd("other odi", 16).hex())
    defect("size_one_more", plain_size=101)
    defect("size_one_less", plain_size=99)
    defect("size_longer_by_one_overhead", plain_size=132)
    defect("size_zero", plain_size=0)
    defect("size_beyond_5_gib", plain_size=(5 << 30) + 1)
    defect("segment_missing", segments=[])
    defect("segment_appended", segments=base["segments"] * 2)
    defect("segment_of_other_body", segments=good[1]["segments"])
    defect("segment_cut_by_one", segments=[segment[:-1].hex()])
    defect("segment_one_byte_longer", segments=[(segment + b"\0").hex()])
    defect("outer_layer_missing", segments=[whole.hex()])
    defect("outer_layer_missing_size_to_match", segments=[whole.hex()], plain_size=68)
    defect("outer_marker_not_final", segments=[(b"\xff" * 4 + segment[4:]).hex()])
    defect("outer_marker_length_of_inner", segments=[(u(32, 132) + segment[4:]).hex()])
    defect("outer_nonce_bit_flipped", segments=[flip(segment, 32).hex()])
    defect("outer_ciphertext_bit_flipped", segments=[flip(segment, 128).hex()])
    defect("outer_tag_bit_flipped", segments=[flip(segment, len(segment) * 8 - 1).hex()])
    resealed("plaintext_under_the_outer_layer_only", plain, plain_size=68)
    resealed("plaintext_with_room_under_the_outer_layer_only", bytes(16) + plain + bytes(16))
    resealed("inner_marker_not_final", b"\xff" * 4 + whole[4:])
    resealed("inner_marker_length_of_outer", u(32, 164) + whole[4:])
    resealed("inner_nonce_bit_flipped", flip(whole, 32))
    resealed("inner_ciphertext_bit_flipped", flip(whole, 128))
    resealed("inner_tag_bit_flipped", flip(whole, len(whole) * 8 - 1))
    resealed("inner_segment_cut_by_one", whole[:-1])
    resealed("inner_segment_one_byte_longer", whole + b"\0")
    resealed("inner_segment_of_index_1", inner.seal(1, True, nonces[0], plain))
    resealed("inner_segment_not_final", u(32, 132) + nonces[0] + r.AESGCM(inner.segment_key(0)).encrypt(nonces[0], plain, u(64, 0) + b"\0"))
    resealed("inner_segment_of_other_body", next(iter(r.dual_messages(good[1]))).seal(0, True, nonces[0], plain))
    resealed("outer_segment_of_index_1", whole, index=1)
    sealed_as_inner = u(32, 164) + nonces[1] + r.AESGCM(outer.segment_key(0)).encrypt(nonces[1], whole, u(64, 0) + b"\0")
    defect("outer_segment_not_final", segments=[sealed_as_inner.hex()])
    resealed("layers_in_the_other_order", outer.seal(0, True, nonces[0], plain), message=inner)
    resealed("both_layers_by_the_inner_key", whole, message=inner)
    resealed("both_layers_by_the_outer_key", outer.seal(0, True, nonces[0], plain))
    as_inner = r.Floe(bytes.fromhex(base["outer_pk"]), outer.iv, inner.aad, 65600)
    resealed("outer_layer_bound_as_an_inner_one", whole, message=as_inner, outer_header=as_inner.header.hex())
    short = r.Floe(bytes.fromhex(base["outer_pk"]), outer.iv, outer.aad)
    resealed("outer_layer_with_inner_segment_length", whole, message=short, outer_header=short.header.hex())
    as_outer = r.Floe(bytes.fromhex(base["pk"]), inner.iv, outer.aad)
    resealed("inner_layer_bound_as_an_outer_one", as_outer.seal(0, True, nonces[0], plain), header=as_outer.header.hex())
    long = r.Floe(bytes.fromhex(base["pk"]), inner.iv, inner.aad, 65600)
    resealed("inner_layer_with_outer_segment_length", long.seal(0, True, nonces[0], plain), header=long.header.hex())
    return good + bad


def large_dual_bodies():
    out = []
    for size in (65535, 65536, 65537, 200000):
        v, count = dual_place(f"{size}_bytes", size, 0, UIDS[0]), -(-size // 65536)
        v["nonces"] = [rnd(f"dual nonce {size} {i}", 12).hex() for i in range(count)]
        v["outer_nonces"] = [rnd(f"dual outer nonce {size} {i}", 12).hex() for i in range(count)]
        out.append(v)
    return out


def dual_sums():
    def case(name, plain, aad):
        once = r.sums_seal(r.sums_key(OEK, ODI), plain, aad, rnd(f"dual sums nonce {name}", 12))
        twice = r.sums_seal(r.outer_sums_key(OUTER_OEK, ODI), once, aad, rnd(f"dual sums outer nonce {name}", 12))
        return once, {"name": name, "oek": OEK.hex(), "outer_oek": OUTER_OEK.hex(), "odi": ODI.hex(), "aad": aad.hex(), "sealed": twice.hex()}

    (_, crc), (once, base), (_, empty) = case("crc32", rnd("crc", 4), b"\1\0"), case("sha256", rnd("sha", 32), b"\5\0"), case("empty_value", b"", b"")
    sealed, outer_sk = bytes.fromhex(base["sealed"]), r.outer_sums_key(OUTER_OEK, ODI)
    resealed = lambda data: {"sealed": r.sums_seal(outer_sk, data, b"\5\0", rnd("resealed", 12)).hex()}
    bad = {
        "empty": {"sealed": ""}, "outer_layer_missing": {"sealed": once.hex()}, "cut_by_one": {"sealed": sealed[:-1].hex()},
        "version_2": {"sealed": (b"\2" + sealed[1:]).hex()}, "outer_bit_flipped": {"sealed": flip(sealed, 104).hex()},
        "outer_tag_bit_flipped": {"sealed": flip(sealed, len(sealed) * 8 - 1).hex()}, "inner_bit_flipped": resealed(flip(once, 104)),
        "inner_tag_bit_flipped": resealed(flip(once, len(once) * 8 - 1)), "inner_cut": resealed(once[:28]), "inner_version_2": resealed(b"\2" + once[1:]),
        "inner_layer_missing": resealed(rnd("sha", 32)), "inner_of_other_use": resealed(r.sums_seal(r.sums_key(OEK, ODI), rnd("sha", 32), b"\4\0", rnd("x", 12))),
        "used_as_other_checksum": {"aad": b"\4\0".hex()}, "of_other_object": {"odi": rnd("other odi", 16).hex()},
        "keys_exchanged": {"oek": OUTER_OEK.hex(), "outer_oek": OEK.hex()}, "inner_key_for_both": {"outer_oek": OEK.hex()},
    }
    uid = rnd("sums part uid", 16)
    once, part = case("part_sha256", rnd("sha", 32), of_part(5, 3, 7, uid))
    aad = bytes.fromhex(part["aad"])
    of_other = r.sums_seal(r.sums_key(OEK, ODI), rnd("sha", 32), of_part(5, 3, 8, uid), rnd("x", 12))
    parts = [part] + [{**part, "aad": other.hex(), "name": name} for name, other in other_parts(uid).items()]
    parts += [
        {**part, "sealed": once.hex(), "name": "part_outer_layer_missing"},
        {**part, "sealed": r.sums_seal(outer_sk, of_other, aad, rnd("resealed", 12)).hex(), "name": "part_inner_of_other_part"},
    ]
    return [crc, base, empty] + [{**base, **changes, "name": name} for name, changes in bad.items()] + parts


# BIND, part table, properties.

def row(number, uid, size):
    v = {"odi": ODI.hex(), "layer": 1, "part_no": number, "part_uid": uid.hex(), "iv": rnd(f"row iv {number} {uid}", 32).hex(),
         "pk": r.payload_key(OEK, ODI, 1, number, uid).hex()}
    return u(16, number) + uid + u(64, size) + r.body_message(v).header


ROWS = [row(1, UIDS[1], 5 << 20), row(2, UIDS[2], 5 << 20), row(10000, UIDS[3], 1)]
SINGLE_ROW = row(0, UIDS[0], 65537)


def dual_row(number, uid, size):
    v = dual_place(f"row {number} {uid}", size, number, uid)
    return u(16, number | 0x8000) + uid + u(64, size) + b"".join(message.header for message in r.dual_messages(v))


DUAL_ROWS = [dual_row(1, UIDS[1], 5 << 20), dual_row(2, UIDS[2], 5 << 20), dual_row(10000, UIDS[3], 1)]
DUAL_SINGLE_ROW = dual_row(0, UIDS[0], 65537)
CONTEXT = {"aws:s3:arn": "arn:aws:s3:::records/2026/report.pdf", "department": "x-ray"}


def part_tables():
    table = lambda name, data: {"name": name, "table": data.hex()}
    return [
        table("single_put", SINGLE_ROW), table("three_parts", b"".join(ROWS)), table("pending_upload_no_row", b""),
        table("part_of_5_gib", row(1, UIDS[1], 5 << 30)),
        table("row_cut_by_one", SINGLE_ROW[:-1]), table("byte_after_last_row", SINGLE_ROW + b"\0"),
        table("parts_reordered", ROWS[1] + ROWS[0]), table("part_repeated", ROWS[0] + ROWS[0]),
        table("part_number_repeated", ROWS[0] + row(1, UIDS[3], 1)), table("part_number_0_beside_another", SINGLE_ROW + ROWS[0]),
        table("part_number_10001", row(10001, UIDS[1], 1)), table("part_number_65535", row(65535, UIDS[1], 1)),
        table("part_larger_than_5_gib", row(1, UIDS[1], (5 << 30) + 1)), table("part_size_all_ones", row(1, UIDS[1], (1 << 64) - 1)),
        table("dual_single_put", DUAL_SINGLE_ROW), table("dual_three_parts", b"".join(DUAL_ROWS)), table("dual_part_of_5_gib", dual_row(1, UIDS[1], 5 << 30)),
        table("dual_row_cut_by_one", DUAL_SINGLE_ROW[:-1]), table("dual_row_without_outer_header", DUAL_SINGLE_ROW[:100]),
        table("dual_byte_after_last_row", DUAL_SINGLE_ROW + b"\0"), table("dual_mark_cleared", flip(DUAL_SINGLE_ROW, 7)),
        table("dual_mark_cleared_in_second_row", DUAL_ROWS[0] + flip(DUAL_ROWS[1], 7)), table("dual_mark_set_on_a_single_row", flip(SINGLE_ROW, 7)),
        table("dual_row_after_a_single_row", ROWS[0] + DUAL_ROWS[1]), table("single_row_after_a_dual_row", DUAL_ROWS[0] + ROWS[1]),
        table("dual_rows_after_single_rows_of_the_same_length", b"".join(row(n, UIDS[1], 1) for n in range(1, 88)) + b"".join(dual_row(n, UIDS[1], 1) for n in range(88, 138))),
        table("dual_parts_reordered", DUAL_ROWS[1] + DUAL_ROWS[0]), table("dual_part_repeated", DUAL_ROWS[0] + DUAL_ROWS[0]),
        table("dual_part_number_0_beside_another", DUAL_SINGLE_ROW + DUAL_ROWS[0]), table("dual_part_number_10001", dual_row(10001, UIDS[1], 1)),
        table("dual_part_number_32767", dual_row(32767, UIDS[1], 1)), table("dual_part_larger_than_5_gib", dual_row(1, UIDS[1], (5 << 30) + 1)),
    ]


def properties():
    cases = {
        "none": [], "system_and_user": [["content-type", "application/pdf"], ["x-amz-meta-ward", "7b"]],
        "given_in_other_order": [["x-amz-meta-ward", "7b"], ["content-type", "application/pdf"]],
        "name_takes_byte_of_value": [["content-typea", "pplication/pdf"], ["x-amz-meta-ward", "7b"]],
        "empty_pair": [["", ""]], "pair_repeated": [["a", "b"], ["a", "b"]], "names_and_values_swapped": [["application/pdf", "content-type"], ["7b", "x-amz-meta-ward"]],
        "unicode_in_byte_order": [["\u00e9", "1"], ["z", "2"], ["\U0001f512", "3"], ["\uffee", "4"]],
    }
    return [{"name": name, "pairs": pairs} for name, pairs in cases.items()]


BIND = {
    "name": "single_put_sse_kms", "cluster_id": rnd("cluster", 16).hex(), "bucket_uid": rnd("bucket", 16).hex(),
    "object_key": b"2026/report.pdf".hex(), "version_uid": rnd("version", 16).hex(), "null_version": False, "odi": ODI.hex(),
    "plain_size": 65537, "created_ms": 1767225600000, "etag": b"6f5902ac237024bdd0c176cb93063dc4".hex(),
    "checksums": [{"alg": 1, "type": 1, "bytes": rnd("crc32", 33).hex()}, {"alg": 6, "type": 1, "bytes": rnd("md5", 45).hex()}],
    "parts": 0, "part_table_sha384": r.sha384(SINGLE_ROW).hex(),
    "properties_sha384": r.properties_compute({"pairs": [["content-type", "application/pdf"]]})["sha384"],
    "kms_arn": "arn:aws:kms:us-east-1:000000000000:key/5f0c1f62-5f3e-4d37-9d3c-0d9e5a4f2f10",
    "context_sha384": r.sha384(r.context_bytes(CONTEXT)).hex(),
}
EMPTY = {"kms_arn": "", "context_sha384": r.sha384(b"").hex(), "checksums": []}


def binds():
    out = [
        BIND, {**BIND, **EMPTY, "name": "single_put_sse_s3"},
        {**BIND, "name": "null_version_multipart", "null_version": True, "parts": 3, "plain_size": (10 << 20) + 1,
         "part_table_sha384": r.sha384(b"".join(ROWS)).hex(), "version_uid": "00" * 16},
        {**BIND, **EMPTY, "name": "longest_fields", "object_key": "61" * 1024, "etag": "62" * 255, "kms_arn": "a" * 2048},
        {**BIND, **EMPTY, "name": "pending_upload_empty_fields", "object_key": "", "etag": "", "plain_size": 0, "created_ms": 0,
         "part_table_sha384": r.sha384(b"").hex()},
    ]
    # A changed fact must change the digest: these carry `must_differ`.
    differs = {
        "cluster_changed": {"cluster_id": rnd("other cluster", 16).hex()},
        "bucket_recreated_under_same_name": {"bucket_uid": rnd("other bucket", 16).hex()},
        "object_renamed": {"object_key": b"2026/report.pdg".hex()},
        "object_key_one_byte_shorter": {"object_key": b"2026/report.pd".hex()},
        "version_swapped": {"version_uid": rnd("other version", 16).hex()},
        "null_version_flipped": {"null_version": True},
        "object_data_id_swapped": {"odi": rnd("other odi", 16).hex()},
        "size_one_more": {"plain_size": 65538}, "size_one_less": {"plain_size": 65536},
        "creation_time_changed": {"created_ms": 1767225600001},
        "etag_changed": {"etag": b"6f5902ac237024bdd0c176cb93063dc5".hex()}, "etag_dropped": {"etag": ""},
        "checksum_dropped": {"checksums": BIND["checksums"][:1]},
        "checksum_type_changed": {"checksums": [{**BIND["checksums"][0], "type": 2}, BIND["checksums"][1]]},
        "checksum_algorithm_changed": {"checksums": [{**BIND["checksums"][0], "alg": 2}, BIND["checksums"][1]]},
        "checksum_bytes_exchanged": {"checksums": [{**BIND["checksums"][i], "bytes": BIND["checksums"][1 - i]["bytes"]} for i in (0, 1)]},
        "part_count_changed": {"parts": 1},
        "part_table_of_other_object": {"part_table_sha384": r.sha384(b"".join(ROWS)).hex()},
        "properties_changed": {"properties_sha384": r.sha384(b"other").hex()},
        "kms_key_changed": {"kms_arn": BIND["kms_arn"][:-1] + "1"},
        "context_changed": {"context_sha384": r.sha384(b"").hex()},
    }
    out += [{**BIND, **changes, "name": name, "must_differ": True} for name, changes in differs.items()]
    errors = {
        "etag_of_256_bytes": {"etag": "61" * 256},
        "checksum_given_twice": {"checksums": [BIND["checksums"][0]] * 2},
    }
    return out + [{**BIND, **changes, "name": name} for name, changes in errors.items()]


# OSK1.

EK = {mode: rnd(f"ek {mode}", 32) for mode in (1, 2, 3, 4, "outer")}
EK_REF = {1: rnd("sse-s3 reference", 20), 2: rnd("kms blob", 98), 3: b"", 4: rnd("kms blob of two layers", 98), "outer": rnd("sse-s3 reference of two layers", 20)}


BUCKET_KEY, BUCKET_UID = rnd("bucket key", 32), rnd("bucket uid", 16)
BUCKET_KEY_REF = b"\1" + rnd("bucket key salt", 32) + EK_REF[2]


def bucket_key(name, key=BUCKET_KEY, uid=BUCKET_UID, ek_ref=BUCKET_KEY_REF):
    return {"name": name, "bucket_key": key.hex(), "bucket_uid": uid.hex(), "ek_ref": ek_ref.hex()}


def bucket_keys():
    longest = b"\1" + rnd("bucket key salt", 32) + rnd("longest bucket key", 6111)
    return [
        bucket_key("object"), bucket_key("other_salt", ek_ref=flip(BUCKET_KEY_REF, 8)), bucket_key("other_bucket", uid=rnd("other bucket uid", 16)),
        bucket_key("other_bucket_key", key=rnd("other bucket key", 32)), bucket_key("shortest_ciphertext", ek_ref=BUCKET_KEY_REF[:34]),
        bucket_key("longest_ciphertext", ek_ref=longest),
        bucket_key("empty", ek_ref=b""), bucket_key("version_0", ek_ref=b"\0" + BUCKET_KEY_REF[1:]), bucket_key("version_2", ek_ref=b"\2" + BUCKET_KEY_REF[1:]),
        bucket_key("version_only", ek_ref=b"\1"), bucket_key("cut_in_salt", ek_ref=BUCKET_KEY_REF[:32]), bucket_key("no_ciphertext", ek_ref=BUCKET_KEY_REF[:33]),
        bucket_key("too_long", ek_ref=longest + b"\0"), bucket_key("ciphertext_without_version_and_salt", ek_ref=EK_REF[2]),
    ]


def records():
    digests = {b["name"]: r.bind_compute(b)["sha384"] for b in binds() if r.outcome(r.bind_compute, b)["expect"] == "ok"}

    def ek_of(name, **changes):
        return bytes.fromhex(r.bucket_key_ek(bucket_key(name, **changes))["ek"])

    def case(name, mode, flags=0, bind="single_put_sse_kms", ek_ref=None):
        ek_ref = (BUCKET_KEY_REF if flags & 1 else EK_REF[mode]) if ek_ref is None else ek_ref
        ek = ek_of("object") if flags & 1 else EK[mode]
        record = r.osk1_wrap(ek, OEK, mode, flags, ek_ref, bytes.fromhex(digests[bind]), rnd(f"salt {name}", 32), rnd(f"wrap nonce {name}", 12))
        return {"name": name, "ek": ek.hex(), "bind": bind, "bind_sha384": digests[bind], "record": record.hex()}

    good = [
        case("sse_s3", 1, bind="single_put_sse_s3"), case("sse_kms", 2), case("sse_kms_bucket_key", 2, 1), case("sse_c", 3),
        case("sse_c_multipart", 3, 2, "null_version_multipart"),
        case("sse_kms_bucket_key_pending_upload", 2, 7, "pending_upload_empty_fields"), case("sse_kms_pending_upload", 2, 6, "pending_upload_empty_fields"),
        case("sse_s3_longest_reference", 1, ek_ref=rnd("longest", 6144)), case("sse_s3_shortest_reference", 1, ek_ref=b"\0"),
    ]
    base, bad = good[1], []
    record = bytes.fromhex(base["record"])

    def defect(name, data=record, **changes):
        bad.append({**base, "record": data.hex(), **changes, "name": name})

    def patched(at, data):
        return record[:at] + data + record[at + len(data):]

    for name, data in {
        "empty": b"", "magic_only": b"OSK1", "magic_changed": patched(0, b"OSK2"), "version_0": patched(4, b"\0"),
        "version_2": patched(4, b"\2"), "suite_0": patched(5, b"\0"), "suite_2": patched(5, b"\2"), "mode_0": patched(6, b"\0"),
        "mode_dsse_for_kms": patched(6, b"\4"), "mode_5": patched(6, b"\5"), "mode_255": patched(6, b"\xff"),
        "flag_bit_3_set": patched(7, b"\x08"), "flag_bit_7_set": patched(7, b"\x80"), "cut_before_reference_length": record[:132],
        "cut_in_reference_length": record[:133], "cut_in_reference": record[:-1], "byte_after_reference": record + b"\0",
        "second_record_appended": record + record, "reference_length_one_less": patched(132, u(16, 97)),
        "reference_length_one_more": patched(132, u(16, 99)), "reference_length_0_without_reference": patched(132, b"\0\0")[:134],
        "reference_longer_than_6144": patched(132, u(16, 6145)) + bytes(6145 - 98), "reference_length_65535": patched(132, b"\xff\xff"),
        "sse_c_with_reference": patched(6, b"\3"), "sse_c_with_bucket_key_flag": patched(6, b"\3\1")[:132] + b"\0\0",
    }.items():
        defect(name, data)
    for name, data in {
        "mode_s3_for_kms": patched(6, b"\1"), "mode_c_for_kms": patched(6, b"\3")[:132] + b"\0\0", "salt_bit_flipped": flip(record, 64),
        "commitment_bit_flipped": flip(record, 575), "salt_of_other_record": patched(8, bytes.fromhex(good[2]["record"])[8:40]),
    }.items():
        defect(name, data)
    defect("other_external_key", ek=EK[1].hex())
    for name, data in {
        "bucket_key_flag_set": patched(7, b"\1"), "multipart_flag_set": patched(7, b"\2"), "pending_flag_set": patched(7, b"\4"),
        "nonce_bit_flipped": flip(record, 576), "wrapped_key_bit_flipped": flip(record, 672), "tag_bit_flipped": flip(record, 1055),
        "reference_bit_flipped": flip(record, 1072), "reference_cut_with_its_length": patched(132, u(16, 97))[:-1],
    }.items():
        defect(name, data)
    outer = lambda name, flags=8, bind="single_put_sse_kms", ek_ref=EK_REF["outer"]: {
        "name": name, "ek": EK["outer"].hex(), "bind": bind, "bind_sha384": digests[bind],
        "record": r.osk1_wrap(EK["outer"], OUTER_OEK, 4, flags, ek_ref, bytes.fromhex(digests[bind]), rnd(f"salt {name}", 32), rnd(f"wrap nonce {name}", 12)).hex()}
    dual = [case("dsse_inner", 4), outer("dsse_outer")]
    good += dual + [
        case("dsse_inner_multipart", 4, 2, "null_version_multipart"), outer("dsse_outer_multipart", 10, "null_version_multipart"),
        case("dsse_inner_pending_upload", 4, 6, "pending_upload_empty_fields"), outer("dsse_outer_pending_upload", 14, "pending_upload_empty_fields"),
        outer("dsse_outer_longest_reference", ek_ref=rnd("longest", 6144)),
    ]
    inner_record, outer_record = (bytes.fromhex(v["record"]) for v in dual)
    put = lambda data, at, new: data[:at] + new + data[at + len(new):]
    for base_of, name, data in (
        (0, "dsse_inner_taken_for_outer", put(inner_record, 7, b"\10")), (1, "dsse_outer_taken_for_inner", put(outer_record, 7, b"\0")),
        (0, "dsse_inner_with_bucket_key_flag", put(inner_record, 7, b"\1")), (1, "dsse_outer_with_bucket_key_flag", put(outer_record, 7, b"\11")),
        (0, "dsse_inner_taken_for_kms", put(inner_record, 6, b"\2")), (1, "dsse_outer_taken_for_s3", put(put(outer_record, 6, b"\1"), 7, b"\0")),
        (1, "outer_flag_for_s3", put(outer_record, 6, b"\1")), (0, "outer_flag_for_kms", put(put(inner_record, 6, b"\2"), 7, b"\10")),
        (0, "outer_flag_for_sse_c", put(put(inner_record, 6, b"\3"), 7, b"\10")[:132] + b"\0\0"), (1, "flag_bit_4_set", put(outer_record, 7, b"\30")),
        (0, "dsse_inner_without_reference", inner_record[:132] + b"\0\0"), (1, "dsse_outer_without_reference", outer_record[:132] + b"\0\0"),
        (1, "dsse_both_records_in_one", inner_record + outer_record), (1, "dsse_outer_reference_of_inner", outer_record[:132] + inner_record[132:]),
        (0, "dsse_inner_reference_of_outer", inner_record[:132] + outer_record[132:]), (1, "dsse_outer_multipart_flag_set", put(outer_record, 7, b"\12")),
        (1, "dsse_outer_wrapped_key_of_inner", outer_record[:72] + inner_record[72:132] + outer_record[132:]),
        (0, "dsse_inner_salt_bit_flipped", flip(inner_record, 64)), (1, "dsse_outer_salt_bit_flipped", flip(outer_record, 64)),
        (0, "dsse_inner_tag_bit_flipped", flip(inner_record, 131 * 8)), (1, "dsse_outer_tag_bit_flipped", flip(outer_record, 131 * 8)),
        (1, "dsse_outer_cut", outer_record[:-1]), (1, "dsse_outer_byte_appended", outer_record + b"\0"),
    ):
        bad.append({**dual[base_of], "record": data.hex(), "name": name})
    bad += [{**dual[0], "ek": dual[1]["ek"], "name": "dsse_inner_with_outer_key"}, {**dual[1], "ek": dual[0]["ek"], "name": "dsse_outer_with_inner_key"}]
    for base_of, name in ((0, "dsse_inner"), (1, "dsse_outer")):
        for other in ("object_renamed", "version_swapped", "part_table_of_other_object"):
            bad.append({**dual[base_of], "bind": other, "bind_sha384": digests[other], "name": f"{name}_bound_to_other_{other}"})
    keyed = good[2]
    under_bucket_key = bytes.fromhex(keyed["record"])
    resalted = flip(under_bucket_key, 8 * 135)
    for name, data in {
        "bucket_key_without_reference": under_bucket_key[:132] + b"\0\0", "bucket_key_reference_version_0": under_bucket_key[:134] + b"\0" + under_bucket_key[135:],
        "bucket_key_reference_version_2": under_bucket_key[:134] + b"\2" + under_bucket_key[135:],
        "bucket_key_reference_without_ciphertext": under_bucket_key[:132] + u(16, 33) + under_bucket_key[134:167],
        "bucket_key_flag_cleared": under_bucket_key[:7] + b"\0" + under_bucket_key[8:], "bucket_key_for_sse_s3": under_bucket_key[:6] + b"\1" + under_bucket_key[7:],
        "bucket_key_salt_changed_old_external_key": resalted, "bucket_key_ciphertext_changed": flip(under_bucket_key, 8 * 167),
    }.items():
        bad.append({**keyed, "record": data.hex(), "name": name})
    for name, data, ek in (
        ("bucket_key_itself_as_external_key", under_bucket_key, BUCKET_KEY), ("bucket_key_of_other_bucket", under_bucket_key, ek_of("u", uid=rnd("other bucket uid", 16))),
        ("other_bucket_key", under_bucket_key, ek_of("k", key=rnd("other bucket key", 32))),
        ("bucket_key_salt_changed_new_external_key", resalted, ek_of("s", ek_ref=resalted[134:])),
    ):
        bad.append({**keyed, "record": data.hex(), "ek": ek.hex(), "name": name})
    for name in ("object_renamed", "size_one_more", "bucket_recreated_under_same_name", "version_swapped", "part_table_of_other_object", "kms_key_changed"):
        defect("bound_to_other_" + name, bind=name, bind_sha384=digests[name])
    return good + bad


def completion_tags():
    def case(name, bind):
        digest = next(r.bind_compute(b)["sha384"] for b in binds() if b["name"] == bind)
        return {"name": name, "oek": OEK.hex(), "odi": ODI.hex(), "bind": bind, "bind_sha384": digest}

    base = case("completed_without_the_key", "null_version_multipart")
    base["tag"] = tag = r.completion_verify(base)["tag"]
    bad = {
        "no_tag": {"tag": ""}, "tag_cut": {"tag": tag[:-2]}, "tag_longer": {"tag": tag + "00"}, "tag_bit_flipped": {"tag": flip(bytes.fromhex(tag), 383).hex()},
        "tag_of_other_object_key": {"oek": rnd("other oek", 32).hex()}, "tag_of_other_data": {"odi": rnd("other odi", 16).hex()},
        "tag_of_other_object": {**case("", "single_put_sse_kms")}, "tag_of_other_part_table": {**case("", "part_table_of_other_object")},
    }
    return [base] + [{**base, **changes, "name": name} for name, changes in bad.items()]


# Sums and KMS blobs.

def of_part(alg, use, number, uid):
    return bytes([alg, use]) + r.u(16, number) + uid


# Its checksum for other uses: of another part, of another attempt at it, for what was announced, in another algorithm, ..
def other_parts(uid):
    return {
        "part_as_other_number": of_part(5, 3, 8, uid), "part_as_number_swapped": of_part(5, 3, 0x700, uid),
        "part_as_other_attempt": of_part(5, 3, 7, flip(uid, 127)), "part_as_announced": of_part(5, 4, 7, uid),
        "part_as_other_checksum": of_part(4, 3, 7, uid), "part_as_of_the_object": b"\5\0", "part_as_composite": b"\5\1",
        "part_as_all_parts": b"\5\2", "part_without_uid": of_part(5, 3, 7, b""), "part_without_number": b"\5\3" + uid,
    }


def sums():
    def case(name, plain, aad, odi=ODI):
        sealed = r.sums_seal(r.sums_key(OEK, odi), plain, aad, rnd(f"sums nonce {name}", 12))
        return {"name": name, "oek": OEK.hex(), "odi": odi.hex(), "aad": aad.hex(), "sealed": sealed.hex()}

    good = [case("crc32", rnd("crc", 4), b"\1\0"), case("sha256", rnd("sha", 32), b"\5\0"), case("empty_value", b"", b""), case("long_value", rnd("long", 300), b"etag")]
    base = good[1]
    sealed = bytes.fromhex(base["sealed"])
    bad = {
        "empty": {"sealed": ""}, "shorter_than_overhead": {"sealed": sealed[:28].hex()}, "cut_by_one": {"sealed": sealed[:-1].hex()},
        "byte_appended": {"sealed": (sealed + b"\0").hex()}, "version_0": {"sealed": (b"\0" + sealed[1:]).hex()},
        "version_2": {"sealed": (b"\2" + sealed[1:]).hex()}, "nonce_bit_flipped": {"sealed": flip(sealed, 8).hex()},
        "ciphertext_bit_flipped": {"sealed": flip(sealed, 104).hex()}, "tag_bit_flipped": {"sealed": flip(sealed, len(sealed) * 8 - 1).hex()},
        "used_as_other_checksum": {"aad": b"\4\0".hex()}, "aad_dropped": {"aad": ""}, "of_other_object": {"odi": rnd("other odi", 16).hex()},
        "under_other_object_key": {"oek": rnd("other oek", 32).hex()},
    }
    uid = rnd("sums part uid", 16)
    part = case("part_sha256", rnd("sha", 32), of_part(5, 3, 7, uid))
    parts = [part, case("part_crc64nvme", rnd("crc64", 8), of_part(3, 3, 10_000, uid)), case("part_announced_crc32", rnd("crc", 4), of_part(1, 4, 1, uid))]
    parts += [{**part, "aad": aad.hex(), "name": name} for name, aad in other_parts(uid).items()]
    parts += [{**part, "odi": rnd("other odi", 16).hex(), "name": "part_of_other_object"}, {**base, "aad": part["aad"], "name": "of_the_object_as_part"}]
    return good + [{**base, **changes, "name": name} for name, changes in bad.items()] + parts


def blobs():
    material, uid = rnd("material", 32), rnd("kms key", 16)

    def case(name, plain, context, version=1):
        blob = r.blob_seal(material, uid, version, rnd(f"n {name}", 16), rnd(f"blob nonce {name}", 12), plain, context)
        return {"name": name, "material": material.hex(), "context": context, "blob": blob.hex()}

    good = [
        case("data_key", rnd("data key", 32), CONTEXT), case("no_context", b"plaintext", {}), case("empty_plaintext", b"", {"a": ""}),
        case("latest_version", b"\0", {"a": "b"}, (1 << 32) - 1), case("longest", bytes(6078), {}),
        case("context_in_byte_order", b"x", {"\U0001f512": "4", "z": "2", "\u00e9": "3", "Z": "1", "\uffee": "5"}),
    ]
    base = good[0]
    blob = bytes.fromhex(base["blob"])
    bad = {
        "empty": {"blob": ""}, "shorter_than_overhead": {"blob": blob[:65].hex()}, "version_byte_0": {"blob": (b"\0" + blob[1:]).hex()},
        "version_byte_2": {"blob": (b"\2" + blob[1:]).hex()}, "algorithm_0": {"blob": (blob[:1] + b"\0" + blob[2:]).hex()},
        "algorithm_2": {"blob": (blob[:1] + b"\2" + blob[2:]).hex()}, "longer_than_6144": {"blob": (blob + bytes(6145 - len(blob))).hex()},
        "key_uid_bit_flipped": {"blob": flip(blob, 16).hex()}, "key_version_bit_flipped": {"blob": flip(blob, 168).hex()},
        "n_bit_flipped": {"blob": flip(blob, 176).hex()}, "nonce_bit_flipped": {"blob": flip(blob, 304).hex()},
        "ciphertext_bit_flipped": {"blob": flip(blob, 400).hex()}, "tag_bit_flipped": {"blob": flip(blob, len(blob) * 8 - 1).hex()},
        "cut_by_one": {"blob": blob[:-1].hex()}, "byte_appended": {"blob": (blob + b"\0").hex()},
        "nothing_but_head_and_tag": {"blob": (blob[:50] + blob[-16:]).hex()}, "other_material": {"material": rnd("other material", 32).hex()},
        "context_dropped": {"context": {}}, "context_value_changed": {"context": {**CONTEXT, "department": "x-raz"}},
        "context_name_changed": {"context": {"aws:s3:arn": CONTEXT["aws:s3:arn"], "departmenu": "x-ray"}},
        "context_pair_dropped": {"context": {"department": "x-ray"}}, "context_pair_added": {"context": {**CONTEXT, "z": ""}},
        "context_name_takes_byte_of_value": {"context": {"aws:s3:arn": CONTEXT["aws:s3:arn"], "departmentx": "-ray"}},
        "context_values_exchanged": {"context": {"aws:s3:arn": "x-ray", "department": CONTEXT["aws:s3:arn"]}},
        "context_in_other_case": {"context": {"aws:s3:arn": CONTEXT["aws:s3:arn"], "Department": "x-ray"}},
    }
    return good + [{**base, **changes, "name": name} for name, changes in bad.items()]


def keyrings():
    kid, fk = rnd("keyring", 16), rnd("file key", 32)

    def row(kind, epoch, created=1_795_000_000_000):
        return u(8, kind) + u(32, epoch) + u(64, created + epoch) + rnd(f"epoch {kind} {epoch}", 32)

    def wrap(kind, secret, parameters, name, key=fk, keyring=kid):
        """A wrap; `secret` is the 32 bytes that wrap."""
        head = u(8, kind) + rnd(f"wrap {name}", 16) + u(64, 1_795_000_000_000)
        aad = b"strongroom/2/keyring-wrap\0" + keyring + head + parameters
        nonce = rnd(f"wrap nonce {name}", 12)
        wrapped = nonce + r.AESGCM(r.wrap_key(secret)).encrypt(nonce, key, aad)
        return head + u(16, len(parameters)) + parameters + u(16, len(wrapped)) + wrapped

    def keyring(wraps, rows, key=fk, version=2, magic=b"SRKR", count=None, comm=None):
        own, seal = r.file_keys(key, kid)
        head = magic + bytes([version]) + kid + bytes([len(wraps) if count is None else count]) + b"".join(wraps)
        head += own if comm is None else comm
        nonce = rnd("body nonce", 12)
        data = head + nonce + r.AESGCM(seal).encrypt(nonce, b"".join(rows), b"strongroom/2/keyring\0" + head)
        return data

    def summed(data):
        return (data + hashlib.sha256(data).digest()).hex()

    root, phrase = rnd("root key", 32), "correct horse battery staple"
    argon2 = u(8, 1) + u(32, 8192) + u(32, 1) + u(32, 1) + rnd("argon2 salt", 32)
    pbkdf2 = u(8, 2) + u(32, 600_000) + bytes(8) + rnd("pbkdf2 salt", 32)
    recovery, set_id = rnd("recovery key", 32), rnd("set", 8)
    slope = rnd("slope", 32)
    shares = [r.share_text(set_id, 2, x, bytes(s ^ r.gf_times(m, x) for s, m in zip(recovery, slope))) for x in (1, 2, 3)]
    others = [r.share_text(rnd("other set", 8), 2, x, rnd(f"other share {x}", 32)) for x in (1, 2)]
    by_key = wrap(1, root, b"", "key")
    by_argon2 = wrap(2, r.stretch(phrase.encode(), argon2), argon2, "argon2")
    by_pbkdf2 = wrap(2, r.stretch(phrase.encode(), pbkdf2), pbkdf2, "pbkdf2")
    by_shares = wrap(5, recovery, set_id + bytes([2, 3]), "recovery")
    token = u(8, 3) + rnd("token wrap", 16) + u(64, 7) + u(16, 1) + b"\1" + u(16, 60) + rnd("token bytes", 60)
    rows = [row(1, 1), row(2, 1)]
    many = [row(1, 1), row(1, 2), row(1, 7), row(2, 1), row(2, 3)]
    plain = keyring([by_key], rows)
    full = keyring([by_key, token, by_argon2, by_shares], many)

    def case(name, data, **secret):
        return {"name": name, "file": summed(data), **secret}

    key = {"root_key": root.hex()}
    good = [
        case("root_key", plain, **key), case("many_epochs_and_wraps", full, **key),
        case("passphrase_argon2id", full, passphrase=phrase), case("passphrase_pbkdf2", keyring([by_pbkdf2], rows), passphrase=phrase),
        case("shares_1_and_2", full, shares=shares[:2]), case("shares_3_and_1", full, shares=[shares[2], shares[0]]),
        case("share_as_it_is_typed", full, shares=[shares[1].lower().replace("1", "l").replace("0", "o"), shares[2].replace("-", " ").replace(" ", "-", 1)]),
        case("two_root_keys", keyring([wrap(1, rnd("old root key", 32), b"", "old"), by_key], rows), **key),
    ]
    bad = [
        {"name": "empty", "file": "", **key}, {"name": "checksum_bit_flipped", "file": flip(bytes.fromhex(summed(plain)), 8 * len(plain)).hex(), **key},
        {"name": "checksum_missing", "file": plain.hex(), **key},
        case("other_first_bytes", keyring([by_key], rows, magic=b"SRKS"), **key), case("version_1", keyring([by_key], rows, version=1), **key),
        case("version_3", keyring([by_key], rows, version=3), **key), case("no_wraps", keyring([], rows), **key),
        case("nine_wraps", keyring([by_key] * 9, rows), **key), case("count_beyond_the_wraps", keyring([by_key], rows, count=2), **key),
        case("wrap_of_unknown_kind", keyring([u(8, 6) + by_key[1:]], rows), **key),
        case("parameters_too_long", keyring([by_key[:25] + u(16, 1025) + bytes(1025) + u(16, 0)], rows), **key),
        case("wrapped_key_too_long", keyring([by_key[:25] + u(16, 0) + u(16, 8193) + bytes(8193)], rows), **key),
        case("cut_in_a_wrap", plain[:60], **key), case("cut_in_the_commitment", plain[:-len(rows) * 45 - 40], **key),
        case("other_root_key", plain, root_key=rnd("other root key", 32).hex()), case("no_wrap_of_that_kind", plain, passphrase=phrase),
        case("other_passphrase", full, passphrase=phrase + "r"), case("wrap_of_another_keyring", keyring([wrap(1, root, b"", "key", keyring=rnd("other keyring", 16))], rows), **key),
        case("wrap_of_another_file_key", keyring([wrap(1, root, b"", "key", key=rnd("other file key", 32))], rows), **key),
        case("commitment_to_another_key", keyring([by_key], rows, comm=rnd("comm", 32)), **key),
        case("root_key_with_parameters", keyring([wrap(1, root, b"\0", "key")], rows), **key),
        case("wrap_bit_flipped", flip(plain, 8 * 60), **key), case("wrap_id_bit_flipped", flip(plain, 8 * 25), **key),
        case("keyring_id_bit_flipped", flip(plain, 8 * 10), **key), case("created_bit_flipped", flip(plain, 8 * 40), **key),
        case("body_nonce_bit_flipped", flip(plain, 8 * (22 + 89 + 32)), **key), case("body_bit_flipped", flip(plain, 8 * (22 + 89 + 32 + 12)), **key),
        case("tag_bit_flipped", flip(plain, 8 * len(plain) - 1), **key), case("body_cut_by_one", plain[:-1], **key),
        case("byte_appended", plain + b"\0", **key), case("body_empty", plain[:22 + 89 + 32], **key),
        case("unread_wrap_changed", flip(full, 8 * (22 + 89 + 50)), **key), case("unread_wrap_taken_away", full[:21] + b"\3" + full[22:22 + 89] + full[22 + 89 + len(token):], **key),
        case("wraps_exchanged", full[:22] + token + by_key + full[22 + 89 + len(token):], **key),
        case("no_rows", keyring([by_key], []), **key), case("no_sse_s3_root", keyring([by_key], rows[:1]), **key),
        case("no_domain_key", keyring([by_key], rows[1:]), **key), case("rows_out_of_order", keyring([by_key], rows[::-1]), **key),
        case("epoch_twice", keyring([by_key], [rows[0], rows[0], rows[1]]), **key), case("epochs_out_of_order", keyring([by_key], [many[1], many[0], rows[1]]), **key),
        case("row_of_unknown_kind", keyring([by_key], rows + [row(3, 1)]), **key), case("row_cut", keyring([by_key], [rows[0], rows[1][:-1]]), **key),
    ]
    for name, parameters in {
        "kdf_0": u(8, 0) + argon2[1:], "kdf_3": u(8, 3) + argon2[1:], "argon2_memory_too_small": argon2[:1] + u(32, 8191) + argon2[5:],
        "argon2_memory_too_large": argon2[:1] + u(32, (1 << 20) + 1) + argon2[5:], "argon2_no_passes": argon2[:5] + u(32, 0) + argon2[9:],
        "argon2_passes_too_many": argon2[:5] + u(32, 17) + argon2[9:], "argon2_lanes_too_many": argon2[:9] + u(32, 9) + argon2[13:],
        "pbkdf2_too_few_iterations": pbkdf2[:1] + u(32, 599_999) + pbkdf2[5:], "pbkdf2_too_many_iterations": pbkdf2[:1] + u(32, 50_000_001) + pbkdf2[5:],
        "pbkdf2_with_more_numbers": pbkdf2[:5] + u(32, 1) + pbkdf2[9:], "salt_cut": argon2[:-1], "salt_longer": argon2 + b"\0",
    }.items():
        bad.append(case(name, keyring([wrap(2, bytes(32), parameters, name)], rows), passphrase=phrase))
    mistyped = shares[0][:-1] + ("0" if shares[0][-1] != "0" else "4")
    for name, given in {
        "one_share": shares[:1], "no_shares": [], "share_twice": [shares[0], shares[0]], "shares_of_another_set": others, "one_share_of_another_set": [shares[0], others[1]],
        "share_with_another_threshold": [shares[0], r.share_text(set_id, 3, 2, rnd("x", 32))], "share_with_another_value": [shares[0], r.share_text(set_id, 2, 2, rnd("x", 32))],
        "share_mistyped": [mistyped, shares[1]], "share_without_prefix": [shares[0][8:], shares[1]], "share_cut": [shares[0][:-1], shares[1]],
        "share_longer": [shares[0] + "0", shares[1]], "share_with_a_letter_of_none": [shares[0][:8] + "U" + shares[0][9:], shares[1]],
    }.items():
        bad.append(case(name, full, shares=given))
    bad.append(case("plan_of_one", keyring([wrap(5, recovery, set_id + bytes([1, 3]), "recovery")], rows), shares=shares[:2]))
    bad.append(case("no_recovery_key", plain, shares=shares[:2]))
    return good + bad


def materials():
    """Wrapped key material, and the file of the vault with the other half of what wraps it."""
    KEYRING = "many_epochs_and_wraps"
    keys = r.domain_keys({"keyring": KEYRING})

    def vault_file(v, epoch, name, shred=None):
        shred, nonce = rnd(f"shred {name}", 32) if shred is None else shred, rnd(f"vault nonce {name}", 12)
        sealed = r.AESGCM(keys[epoch](b"kms-shred")).encrypt(nonce, shred, r.vault_aad(v, epoch))
        head = b"SRVK\1" + bytes.fromhex(v["key_uid"]) + bytes.fromhex(v["shred_id"])
        return (head + u(32, epoch) + nonce + sealed).hex()

    def case(name, material, version=1, spec=0, origin=0, epoch=7, vault_epoch=None, uid=rnd("kms key", 16), created=1_795_255_262_000):
        v = {"name": name, "keyring": KEYRING, "key_uid": uid.hex(), "version": version, "spec": spec, "origin": origin,
             "created_ms": created, "material_id": rnd(f"material id {name}", 32).hex(), "wrap_epoch": epoch,
             "shred_id": rnd(f"shred id {name}", 16).hex()}
        v["vault_file"] = vault_file(v, vault_epoch or epoch, name)
        key, aad = r.material_key(v, keys, rnd(f"shred {name}", 32))
        nonce = rnd(f"material nonce {name}", 12)
        return {**v, "wrapped": (nonce + r.AESGCM(key).encrypt(nonce, material, aad)).hex()}

    good = [
        case("symmetric", rnd("material", 32)), case("symmetric_version_7", rnd("material 7", 32), version=7),
        case("imported", rnd("imported material", 32), origin=1), case("mac_key", rnd("mac key", 64), spec=11),
        case("private_key", bytes.fromhex(ED25519_PKCS8) + rnd("ed25519", 32), spec=7), case("first_epoch", rnd("old material", 32), epoch=1),
        case("vault_file_of_another_epoch", rnd("material", 32), epoch=7, vault_epoch=2),
        case("multi_region", rnd("material", 32), uid=rnd("multi", 6) + b"\x80" + rnd("region", 9)),
        case("latest_version", rnd("material", 32), version=(1 << 32) - 1, created=0),
    ]
    base, other = good[0], case("other", rnd("material", 32))
    file, wrapped = bytes.fromhex(base["vault_file"]), bytes.fromhex(base["wrapped"])
    bad = {
        "vault_file_empty": {"vault_file": ""}, "vault_file_of_zeros": {"vault_file": bytes(101).hex()},
        "vault_file_other_first_bytes": {"vault_file": (b"SRVL" + file[4:]).hex()}, "vault_file_version_0": {"vault_file": (file[:4] + b"\0" + file[5:]).hex()},
        "vault_file_version_2": {"vault_file": (file[:4] + b"\2" + file[5:]).hex()}, "vault_file_key_uid_bit_flipped": {"vault_file": flip(file, 40).hex()},
        "vault_file_shred_id_bit_flipped": {"vault_file": flip(file, 168).hex()}, "vault_file_cut_behind_the_head": {"vault_file": file[:37].hex()},
        "vault_file_epoch_unknown": {"vault_file": (file[:37] + u(32, 3) + file[41:]).hex()}, "vault_file_epoch_changed": {"vault_file": (file[:37] + u(32, 2) + file[41:]).hex()},
        "vault_file_nonce_bit_flipped": {"vault_file": flip(file, 41 * 8).hex()}, "vault_file_secret_bit_flipped": {"vault_file": flip(file, 53 * 8).hex()},
        "vault_file_tag_bit_flipped": {"vault_file": flip(file, 101 * 8 - 1).hex()}, "vault_file_cut_by_one": {"vault_file": file[:-1].hex()},
        "vault_file_byte_appended": {"vault_file": (file + b"\0").hex()}, "vault_file_of_another_shred_key": {"vault_file": other["vault_file"]},
        "vault_file_with_another_shred_key": {"vault_file": vault_file(base, 7, "another")},
        "vault_file_sealed_for_another_shred_id": {"vault_file": (file[:41] + bytes.fromhex(other["vault_file"])[41:]).hex()},
        "vault_file_with_16_bytes": {"vault_file": vault_file(base, 7, "short", rnd("short", 16))},
        "other_shred_id_with_its_file": {"shred_id": other["shred_id"], "vault_file": other["vault_file"]},
        "wrap_epoch_unknown": {"wrap_epoch": 3}, "wrap_epoch_changed": {"wrap_epoch": 2}, "wrap_epoch_0": {"wrap_epoch": 0},
        "other_version": {"version": 2}, "other_spec": {"spec": 9}, "other_origin": {"origin": 1}, "other_created": {"created_ms": base["created_ms"] + 1},
        "other_material_id": {"material_id": flip(bytes.fromhex(base["material_id"]), 0).hex()},
        "wrapped_empty": {"wrapped": ""}, "wrapped_shorter_than_overhead": {"wrapped": wrapped[:27].hex()}, "wrapped_nonce_bit_flipped": {"wrapped": flip(wrapped, 0).hex()},
        "wrapped_material_bit_flipped": {"wrapped": flip(wrapped, 96).hex()}, "wrapped_tag_bit_flipped": {"wrapped": flip(wrapped, len(wrapped) * 8 - 1).hex()},
        "wrapped_cut_by_one": {"wrapped": wrapped[:-1].hex()}, "wrapped_byte_appended": {"wrapped": (wrapped + b"\0").hex()},
        "wrapped_of_another_version": {"wrapped": good[1]["wrapped"]}, "wrapped_of_another_key": {"wrapped": good[7]["wrapped"]},
    }
    return good + [{**base, **changes, "name": name} for name, changes in bad.items()]


def manifests():
    """What stands, sealed, in front of the trailers of shard files."""
    KEYRING = "many_epochs_and_wraps"
    keys = r.domain_keys({"keyring": KEYRING})

    def case(name, content, epoch=7, cluster=rnd("cluster", 16), blob=rnd("blob", 16), plain=None):
        v = {"name": name, "keyring": KEYRING, "cluster_id": cluster.hex(), "blob": blob.hex()}
        key, aad = r.manifest_key(v, keys, epoch)
        nonce = rnd(f"manifest nonce {name}", 12)
        plain = r.manifest_padded(content) if plain is None else plain
        return {**v, "sealed": (b"\1" + u(32, epoch) + nonce + r.AESGCM(key).encrypt(nonce, plain, aad)).hex()}

    content = rnd("manifest", 32) * 20
    good = [
        case("usual", content), case("empty", b""), case("one_byte", b"m"), case("first_epoch", content, epoch=1),
        case("one_block_to_its_end", content[:252]), case("one_block_and_a_byte", content[:253]), case("longest", content * 25),
        case("blob_of_zeros", content, blob=bytes(16)),
    ]
    base, other = good[0], case("other_blob", content, blob=rnd("other blob", 16))
    sealed, padded = bytes.fromhex(base["sealed"]), r.manifest_padded(content)
    bad = {
        "nothing": {"sealed": ""}, "head_cut": {"sealed": sealed[:4].hex()}, "head_alone": {"sealed": sealed[:5].hex()},
        "version_0": {"sealed": (b"\0" + sealed[1:]).hex()}, "version_2": {"sealed": (b"\2" + sealed[1:]).hex()},
        "epoch_unknown": {"sealed": (b"\1" + u(32, 3) + sealed[5:]).hex()}, "epoch_changed": {"sealed": (b"\1" + u(32, 2) + sealed[5:]).hex()},
        "epoch_0": {"sealed": (b"\1" + u(32, 0) + sealed[5:]).hex()}, "nonce_bit_flipped": {"sealed": flip(sealed, 5 * 8).hex()},
        "content_first_bit_flipped": {"sealed": flip(sealed, 17 * 8).hex()}, "content_last_bit_flipped": {"sealed": flip(sealed, (len(sealed) - 16) * 8 - 1).hex()},
        "tag_first_bit_flipped": {"sealed": flip(sealed, (len(sealed) - 16) * 8).hex()}, "tag_last_bit_flipped": {"sealed": flip(sealed, len(sealed) * 8 - 1).hex()},
        "cut_by_one": {"sealed": sealed[:-1].hex()}, "byte_appended": {"sealed": (sealed + b"\0").hex()}, "cut_behind_the_nonce": {"sealed": sealed[:17].hex()},
        "nothing_but_nonce_and_tag": {"sealed": (sealed[:17] + sealed[-16:]).hex()}, "cut_by_a_block": {"sealed": (sealed[:17 + 512] + sealed[-16:]).hex()},
        "of_another_blob": {"sealed": other["sealed"]}, "blob_bit_flipped": {"blob": flip(bytes.fromhex(base["blob"]), 127).hex()},
        "cluster_bit_flipped": {"cluster_id": flip(bytes.fromhex(base["cluster_id"]), 0).hex()},
        "blob_and_cluster_exchanged": {"blob": base["cluster_id"], "cluster_id": base["blob"]}, "another_keyring": {"keyring": "root_key"},
        "of_zeros": {"sealed": bytes(len(sealed)).hex()},
    }
    shapes = {
        "no_length": b"", "length_cut": bytes(3), "not_padded": u(32, len(content)) + content, "padded_by_a_block_too_much": padded + bytes(256),
        "padding_not_zero": padded[:-1] + b"\1", "first_byte_of_padding_not_zero": padded[:644] + b"\1" + padded[645:],
        "length_too_small": u(32, len(content) - 1) + padded[4:], "length_beyond_the_end": u(32, len(padded)) + padded[4:],
        "length_of_all_ones": b"\xff" * 4 + padded[4:], "content_that_would_fit_fewer_blocks": u(32, 100) + content[:100] + bytes(512 - 104),
    }
    return good + [{**base, **changes, "name": name} for name, changes in bad.items()] + [case(name, b"", plain=plain) for name, plain in shapes.items()]


# Everything of an Ed25519 private key in PKCS#8 that stands before its 32 bytes.
ED25519_PKCS8 = "302e020100300506032b657004220420"


def imported_ids():
    uid, material = rnd("kms key", 16), rnd("imported material", 32)

    def case(name, uid=uid, material=material, keyring="many_epochs_and_wraps", **more):
        return {"name": name, "keyring": keyring, "key_uid": uid.hex(), "material": material.hex(), **more}

    differs = {"must_differ": "symmetric"}
    return [
        case("symmetric"), case("mac_key", material=rnd("mac key", 128)), case("private_key", material=bytes.fromhex(ED25519_PKCS8) + rnd("ed25519", 32)),
        # That keyring has the first epoch alone; the id does not change when there are more.
        {**case("only_epoch", uid=rnd("another kms key", 16)), "keyring": "root_key"},
        case("other_key", uid=flip(uid, 127), **differs), case("first_bit_of_the_key", uid=flip(uid, 0), **differs),
        case("other_material", material=flip(material, 0), **differs), case("last_bit_of_the_material", material=flip(material, 255), **differs),
        case("material_cut_by_one", material=material[:-1], **differs), case("material_with_a_byte_appended", material=material + b"\0", **differs),
        case("material_with_a_byte_before", material=b"\0" + material, **differs), case("byte_of_the_key_in_the_material", material=uid[-1:] + material, **differs),
        case("material_before_the_key", uid=material[:16], material=material[16:] + uid, **differs), case("no_material", material=b"", **differs),
        case("material_twice", material=material * 2, **differs), case("key_of_zeros", uid=bytes(16), **differs),
    ]


write("body.json", "Keys of an object, and bodies; docs/spec/object-format.md. Plaintext byte j of a large body is (31 j + floor(j / 65536)) mod 251.",
      {"keys": KEYS, "bodies": bodies(), "large_bodies": large_bodies()})
write("dual.json", "Bodies and checksums under two layers; docs/spec/object-format.md. `inner_segments` is what lies under the outer layer.",
      {"keys": OUTER_KEYS, "bodies": dual_bodies(), "large_bodies": large_dual_bodies(), "sums": dual_sums()})
write("bind.json", "BIND, part table and properties; docs/spec/object-format.md", {"binds": binds(), "part_tables": part_tables(), "properties": properties()})
write("osk1.json", "Sealed-key records; docs/spec/object-format.md. `bind` names an entry of bind.json.", {"records": records(), "completion_tags": completion_tags(), "bucket_keys": bucket_keys()})
write("sums.json", "Sealed checksums; docs/spec/object-format.md", {"sums": sums()})
write("kms-blob.json", "Ciphertexts of the key service; docs/spec/kms-ciphertext.md", {"blobs": blobs()})
write("keyring.json", "Keyring files, and shares; docs/spec/keyring.md", {"keyrings": keyrings()})
write("material.json", "Wrapped key material with its vault file, and ids of imported material; docs/spec/kms-ciphertext.md. `keyring` names an entry of keyring.json.",
      {"materials": materials(), "imported_ids": imported_ids()})
write("manifest.json", "Sealed manifests of blobs; docs/spec/manifest.md. `keyring` names an entry of keyring.json.", {"manifests": manifests()})
for file, comment, groups in generate_shard.files(rnd, flip):
    write(file, comment, groups)
for file, comment, groups in generate_client_side.files(rnd, flip):
    write(file, comment, groups)
