# SPDX-License-Identifier: Apache-2.0
"""The inputs of the vectors in shard/; generate.py writes them."""
import shard as s

PRODUCT = 65568


def forged(data, at, replacement, seed):
    """Some bytes of a fixed structure replaced, with a checksum that is right again."""
    fields = data[:at] + replacement + data[at + len(replacement):-8]
    return s.with_sum(fields[:len(data) - 8], seed)


def headers(rnd, flip):
    blob = rnd("blob", 16)
    shapes = [("single", 1, 0, 0, PRODUCT, 8, 0), ("mirrored", 1, 1, 1, PRODUCT, 8, 0), ("data_shard_of_4_2", 4, 2, 0, PRODUCT, 2, 0),
              ("parity_shard_of_4_2", 4, 2, 5, PRODUCT, 2, 0), ("longer_units_in_one_facility", 4, 2, 3, 65600, 2, 1),
              ("archive", 8, 3, 10, PRODUCT, 1, 2), ("everything_at_most", 16, 8, 23, 1 << 24, 255, 2), ("everything_at_least", 1, 0, 0, 8, 1, 0)]
    good = [{"name": name, "bytes": s.header_bytes(blob, *rest).hex()} for name, *rest in shapes]
    base = bytes.fromhex(good[3]["bytes"])
    bad = {
        "magic_of_a_trailer": forged(base, 0, b"SR-TRAIL", s.HEADER_SEED), "version_1": forged(base, 8, b"\1", s.HEADER_SEED),
        "version_3": forged(base, 8, b"\3", s.HEADER_SEED), "no_data_shards": forged(base, 9, b"\0", s.HEADER_SEED),
        "data_shards_17": forged(base, 9, b"\x11", s.HEADER_SEED), "data_shards_without_parity": forged(base, 10, b"\0\0", s.HEADER_SEED),
        "parity_shards_9": forged(base, 10, b"\x09", s.HEADER_SEED), "shard_index_as_many_as_shards": forged(base, 11, b"\6", s.HEADER_SEED),
        "shard_index_255": forged(base, 11, b"\xff", s.HEADER_SEED), "unit_of_no_bytes": forged(base, 12, bytes(4), s.HEADER_SEED),
        "unit_not_a_multiple_of_8": forged(base, 12, s.le(PRODUCT + 4, 4), s.HEADER_SEED),
        "unit_too_long": forged(base, 12, s.le((1 << 24) + 8, 4), s.HEADER_SEED), "cells_of_no_units": forged(base, 32, b"\0", s.HEADER_SEED),
        "policy_3": forged(base, 33, b"\3", s.HEADER_SEED), "first_reserved_byte_set": forged(base, 34, b"\1", s.HEADER_SEED),
        "last_reserved_byte_set": forged(base, 55, b"\1", s.HEADER_SEED), "checksum_with_the_seed_of_a_trailer": forged(base, 0, b"", s.TRAILER_SEED),
        "checksum_of_zeros": base[:56] + bytes(8), "checksum_in_the_other_byte_order": base[:56] + base[:55:-1],
        "first_bit_flipped": flip(base, 0), "blob_bit_flipped": flip(base, 8 * 20), "last_bit_flipped": flip(base, 511),
        "all_zeros": bytes(64), "cut_by_one": base[:-1], "byte_appended": base + b"\0",
        **{f"byte_{at}_changed": flip(base, 8 * at + at % 8) for at in range(64)},
    }
    return good + [{"name": name, "bytes": data.hex()} for name, data in bad.items()]


def trailers(rnd, flip):
    blob, manifest = rnd("blob", 16), rnd("manifest", 40)
    shapes = [("empty_blob", 0, b""), ("one_byte", 1, b""), ("one_full_unit", PRODUCT, b""), ("one_byte_more", PRODUCT + 1, b""),
              ("with_manifest", 5 << 30, manifest), ("with_the_longest_manifest", 1000, rnd("long manifest", 16384)),
              ("note_longer_than_any_manifest_of_a_body", 0, rnd("note", 16385))]
    good = [{"name": name, "unit_bytes": PRODUCT, "manifest": m.hex(), "bytes": s.trailer_bytes(blob, size, PRODUCT, m).hex()} for name, size, m in shapes]
    base = bytes.fromhex(good[4]["bytes"])
    forge = lambda at, replacement, seed=s.TRAILER_SEED: forged(base, at, replacement, seed)
    bad = {
        "magic_of_a_header": forge(0, b"SR-SHARD"), "one_unit_more": forge(32, s.le(s.number(base, 32, 8) + 1, 8)),
        "one_unit_less": forge(32, s.le(s.number(base, 32, 8) - 1, 8)), "no_units": forge(32, bytes(8)), "length_beyond_all_units": forge(24, b"\xff" * 8),
        "manifest_one_byte_longer": forge(40, s.le(41, 4)), "manifest_one_byte_shorter": forge(40, s.le(39, 4)), "no_manifest": forge(40, bytes(4)),
        "manifest_of_4_gib": forge(40, b"\xff" * 4), "reserved_byte_set": forge(44, b"\1"), "last_reserved_byte_set": forge(47, b"\1"),
        "manifest_checksum_flipped": forge(48, flip(base[48:56], 3)), "checksum_with_the_seed_of_a_header": forge(0, b"", s.HEADER_SEED),
        "first_bit_flipped": flip(base, 0), "blob_bit_flipped": flip(base, 100), "last_bit_flipped": flip(base, 511), "all_zeros": bytes(64),
        "cut_by_one": base[:-1], "byte_appended": base + b"\0",
        **{f"byte_{at}_changed": flip(base, 8 * at + at % 8) for at in range(64)},
    }
    bad = [{**good[4], "name": name, "bytes": data.hex()} for name, data in bad.items()]
    other = {"of_other_units": {"unit_bytes": 65600, "bytes": s.trailer_bytes(blob, 5 << 30, PRODUCT, manifest).hex()},
             "other_manifest": {"manifest": flip(manifest, 7).hex()}, "manifest_cut": {"manifest": manifest[:-1].hex()},
             "manifest_too_long": {"manifest": bytes(16385).hex(), "bytes": s.trailer_bytes(blob, 1, PRODUCT, bytes(16385)).hex()},
             "note_too_long": {"manifest": "", "bytes": forged(s.trailer_bytes(blob, 0, PRODUCT, b""), 40, s.le((1 << 20) + 1, 4), s.TRAILER_SEED).hex()}}
    return good + bad + [{**good[4], **changes, "name": name} for name, changes in other.items()]


def layouts():
    def case(name, k, m, cell_units, sealed_bytes, unit_bytes=16):
        return {"name": name, "k": k, "m": m, "cell_units": cell_units, "unit_bytes": unit_bytes, "sealed_bytes": sealed_bytes}

    good = [case("empty", 4, 2, 2, 0), case("one_byte", 4, 2, 2, 1), case("single", 1, 0, 8, 16 * 9 + 3), case("mirrored", 1, 2, 8, 16 * 9 + 3),
            case("seven_units_of_2_1", 2, 1, 2, 16 * 7), case("exactly_one_stripe", 4, 2, 2, 16 * 8), case("one_unit_more_than_a_stripe", 4, 2, 2, 16 * 9),
            case("last_stripe_with_a_short_cell", 4, 2, 2, 16 * 13), case("last_stripe_with_an_empty_cell", 4, 2, 4, 16 * (16 + 5)),
            case("last_unit_short", 4, 2, 2, 16 * 12 + 1), case("product_1_mib", 4, 2, 2, 16 * PRODUCT, PRODUCT),
            case("product_wide", 8, 4, 1, 20 * PRODUCT + 99, PRODUCT), case("product_longer_units", 3, 2, 2, 10 * 65600 - 1, 65600),
            case("most_shards", 16, 8, 1, 16 * 40 + 5), case("longest_cells", 2, 2, 255, 16 * 12)]
    bad = [case("no_data_shards", 0, 2, 2, 64), case("data_shards_17", 17, 2, 1, 64), case("no_parity_for_several", 2, 0, 2, 64),
           case("parity_shards_9", 4, 9, 2, 64), case("no_shards", 0, 0, 8, 64), case("cells_of_no_units", 4, 2, 0, 64),
           case("cells_of_256_units", 4, 2, 256, 64), case("units_of_no_bytes", 4, 2, 2, 64, 0), case("units_of_4_bytes", 4, 2, 2, 64, 4),
           case("units_of_12_bytes", 4, 2, 2, 64, 12), case("units_too_long", 4, 2, 2, 64, (1 << 24) + 8), case("sixteen_without_parity", 16, 0, 1, 64)]
    return good + bad


def code_rows(rnd):
    def case(name, k, m, lengths):
        return {"name": name, "k": k, "m": m, "data": [rnd(f"{name} {j}", length).hex() for j, length in enumerate(lengths)]}

    good = [case(f"{k}_{m}", k, m, [24] * k) for k, m in ((1, 1), (1, 8), (2, 1), (2, 2), (3, 2), (4, 2), (5, 2), (6, 3), (8, 3), (8, 4), (16, 8))]
    good += [case("short_units", 4, 2, [40, 40, 17, 0]), case("only_one_unit", 4, 2, [5, 0, 0, 0])]
    good.append({"name": "every_byte_alone", "k": 2, "m": 8, "data": [bytes(range(256)).hex(), bytes(256).hex()]})
    good.append({"name": "every_byte_in_the_last", "k": 16, "m": 8, "data": [bytes(256).hex()] * 15 + [bytes(range(256)).hex()]})
    good.append({"name": "zeros", "k": 4, "m": 2, "data": [bytes(32).hex()] * 4})
    bad = [case("too_few_units", 4, 2, [8] * 3), case("too_many_units", 4, 2, [8] * 5), case("no_units", 4, 2, []), case("more_parity_than_there_is", 4, 9, [8] * 4)]
    return good + bad


def reconstructions(rnd):
    cases = []

    def case(name, k, m, lost, there, lengths=None):
        data = [rnd(f"row {k} {j}", length) for j, length in enumerate(lengths or [32] * k)]
        units = data + s.parity_units(k, m, data)
        cases.append({"name": name, "k": k, "m": m, "lost": lost, "unit_bytes": len(units[lost]) if lost < k + m else 32,
                      "sources": {str(shard): units[shard].hex() for shard in there if shard < k + m}})

    case("copy_of_a_mirror", 1, 2, 0, [2])
    case("data_by_first_parity", 4, 2, 0, [1, 2, 3, 4])
    case("data_by_second_parity", 4, 2, 3, [0, 1, 2, 5])
    case("data_of_two_lost", 4, 2, 1, [0, 3, 4, 5])
    case("other_data_of_the_two", 4, 2, 2, [0, 3, 4, 5])
    case("parity_from_data", 4, 2, 5, [0, 1, 2, 3])
    case("parity_with_data_lost", 4, 2, 4, [0, 1, 2, 5])
    case("four_lost_of_8_4", 8, 4, 2, [4, 5, 6, 7, 8, 9, 10, 11])
    case("eight_lost_of_16_8", 16, 8, 7, [*range(8, 24)])
    case("short_unit", 4, 2, 2, [0, 1, 3, 4], [40, 40, 17, 0])
    case("next_to_an_empty_one", 4, 2, 0, [1, 2, 3, 5], [40, 40, 17, 0])
    for name, there in (("three_of_four", [1, 2, 3]), ("parity_alone", [4, 5]), ("none", []), ("one_of_four", [5])):
        case(f"too_few_{name}", 4, 2, 0, there)
    case("too_few_seven_of_eight", 8, 4, 0, range(5, 12))
    case("too_few_no_copy", 1, 2, 0, [])
    good = cases[1]
    cases.append({**good, "name": "lost_shard_among_the_sources", "lost": 1})
    cases.append({**good, "name": "lost_shard_that_the_code_has_not", "lost": 6})
    cases.append({**good, "name": "source_that_the_code_has_not", "sources": {**dict(list(good["sources"].items())[:3]), "6": "00" * 32}})
    return cases


def files_and_blobs(rnd, flip):
    blob, other, manifest = rnd("blob", 16), rnd("other blob", 16), rnd("file manifest", 24)
    shape = dict(k=2, m=1, unit_bytes=16, c=2, policy=0)

    def make(shard, sealed, blob=blob, manifest=b"", **more):
        given = {**shape, **more}
        return s.shard_file(blob, given["k"], given["m"], shard, given["unit_bytes"], given["c"], given["policy"], sealed, manifest)

    def case(name, data):
        return {"name": name, "bytes": data.hex()}

    sealed = rnd("sealed", 16 * 6 + 5)
    three = [make(shard, sealed, manifest=manifest) for shard in range(3)]
    base = three[0]
    units = [base[64 + 24 * j:88 + 24 * j] for j in range(4)]
    files = [case("data_shard", base), case("data_shard_with_a_short_unit", three[1]), case("parity_shard", three[2]), case("empty_blob", make(0, b"")),
             case("shard_without_units", make(1, b"x")), case("single", make(0, sealed, k=1, m=0, c=8)), case("mirror", make(1, sealed, k=1, m=1, c=8)),
             case("parity_of_short_units", make(3, sealed[:7], k=3)), case("product_unit", make(0, rnd("product", PRODUCT), k=1, m=0, c=8, unit_bytes=PRODUCT)),
             case("units_of_200", make(5, rnd("units of 200", 200 * 9), k=4, m=2, unit_bytes=200))]
    older = make(0, rnd("older", len(sealed)), blob=other, manifest=manifest)
    bad = {
        "nothing": b"", "header_alone": base[:64], "cut_in_the_trailer": base[:-1], "cut_by_a_unit": base[:64 + 72] + base[64 + 96:],
        "byte_appended": base + b"\0", "byte_before": b"\0" + base, "unit_appended": base[:-64 - 24] + units[3] + base[-64 - 24:],
        "no_trailer": base[:-64], "no_manifest": base[:-64 - 24] + base[-64:], "trailer_twice": base + base[-64:],
        "units_swapped": base[:64] + units[1] + units[0] + base[64 + 48:], "unit_repeated": base[:64] + units[0] + units[0] + base[64 + 48:],
        "unit_of_another_shard": base[:64] + three[1][64:88] + base[88:], "unit_of_another_blob": base[:64] + older[64:88] + base[88:],
        "unit_of_zeros": base[:64] + bytes(24) + base[88:], "header_of_another_shard": three[2][:64] + base[64:],
        "header_of_another_blob": older[:64] + base[64:], "trailer_of_another_blob": base[:-64] + older[-64:],
        "trailer_of_a_longer_blob": base[:-64] + s.trailer_bytes(blob, len(sealed) + 32, 16, manifest),
        "header_of_another_shape": s.header_bytes(blob, 3, 1, 0, 16, 2, 0) + base[64:], "unit_bit_flipped": flip(base, 8 * 70),
        "checksum_bit_flipped": flip(base, 8 * 85), "manifest_bit_flipped": flip(base, 8 * (len(base) - 70)),
        "header_bit_flipped": flip(base, 8 * 9), "trailer_bit_flipped": flip(base, 8 * (len(base) - 40)), "all_zeros": bytes(len(base)),
        "parity_with_a_byte_changed_and_no_new_checksum": flip(three[2], 8 * 64),
    }
    # Of a short file everything: each byte changed, and cut at each place.
    small = make(2, sealed[:19], manifest=manifest[:3])
    files.append(case("small", small))
    bad.update({f"small_byte_{at}_changed": flip(small, 8 * at + at % 8) for at in range(len(small))})
    bad.update({f"small_cut_to_{length}": small[:length] for length in range(0, len(small), 16)})
    files += [case(name, data) for name, data in bad.items()]

    def read(name, files):
        return {"name": name, "blob": blob.hex(), "files": [file.hex() if file is not None else None for file in files]}

    six = [make(shard, rnd("six", 16 * 21 + 9), k=4, m=2) for shard in range(6)]
    lost = lambda files, *gone: [None if at in gone else file for at, file in enumerate(files)]
    blobs = [read("whole", three), read("data_lost", lost(three, 0)), read("short_data_lost", lost(three, 1)), read("parity_lost", lost(three, 2)),
             read("unit_damaged", [bad["unit_bit_flipped"], *three[1:]]), read("shards_swapped_where_parity_is_not", [three[0], three[0], three[2]]),
             read("stale_shard_of_another_blob", [older, *three[1:]]), read("two_lost_of_4_2", lost(six, 1, 3)), read("first_two_lost_of_4_2", lost(six, 0, 1)),
             read("data_and_parity_lost_of_4_2", lost(six, 2, 5)), read("empty", [make(shard, b"") for shard in range(3)]),
             read("mirror_half_lost", [None, make(1, sealed, k=1, m=1, c=8)])]
    blobs += [read(f"beyond_{name}", files) for name, files in {
        "two_lost": lost(three, 0, 1), "two_lost_with_parity": lost(three, 1, 2), "all_lost": lost(three, 0, 1, 2), "three_lost_of_4_2": lost(six, 0, 1, 2),
        "three_lost_of_4_2_with_parity": lost(six, 3, 4, 5), "one_lost_one_damaged": [None, three[1], flip(three[2], 8 * 64)],
        "two_damaged": [bad["unit_bit_flipped"], three[1], flip(three[2], 8 * 64)], "all_swapped": [three[1], three[2], three[0]],
        "two_swapped": [three[1], three[0], three[2]], "stale_and_lost": [older, None, three[2]], "of_another_blob": [older, None, None],
        "one_copy_thrice": [None, three[0], three[0]], "two_cut": [three[0][:-1], three[1][:-1], three[2]], "mirror_all_lost": [None, None],
        "five_lost_of_4_2": lost(six, 0, 1, 2, 3, 4), "four_lost_of_4_2": lost(six, 0, 1, 4, 5), "lost_and_truncated": [None, three[1][:100], three[2]],
        "empty_blob_lost": [None, None, make(2, b"")], "header_and_unit_damaged": [bad["header_bit_flipped"], bad["unit_bit_flipped"], three[2]],
        "trailers_damaged": [bad["trailer_bit_flipped"], flip(three[1], 8 * (len(three[1]) - 40)), three[2]],
        "nothing_but_zeros": [bytes(len(base))] * 3, "empty_files": [b"", b"", b""], "longer": [base + b"\0", three[1] + b"\0", three[2]],
        "unit_of_the_other_shard": [bad["unit_of_another_shard"], None, three[2]], "unit_swapped": [bad["units_swapped"], three[1], None],
        "no_manifest": [bad["no_manifest"], three[1], None], "trailer_of_another": [bad["trailer_of_another_blob"], three[1], None],
        "wrong_shape": [bad["header_of_another_shape"], None, three[2]], "manifest_damaged": [bad["manifest_bit_flipped"], None, three[2]],
        "repeated_unit": [bad["unit_repeated"], None, three[2]], "header_of_another": [bad["header_of_another_shard"], None, three[2]],
        "unit_zeroed": [bad["unit_of_zeros"], three[1], None], "checksum_damaged": [bad["checksum_bit_flipped"], None, three[2]],
        "unit_cut_out": [bad["cut_by_a_unit"], None, three[2]], "unit_too_many": [bad["unit_appended"], three[1], None], "trailer_twice": [bad["trailer_twice"], None, three[2]],
    }.items()]
    return files, blobs


def files(rnd, flip):
    page = "docs/spec/shard-format.md"
    whole, blobs = files_and_blobs(rnd, flip)
    return [
        ("shard/headers.json", f"Headers of shard files; {page}", {"headers": headers(rnd, flip)}),
        ("shard/trailers.json", f"Trailers of shard files, with the manifest in front of them; {page}", {"trailers": trailers(rnd, flip)}),
        ("shard/layouts.json", f"Which unit lies in which shard: `shards` lists the units of each in order; {page}", {"layouts": layouts()}),
        ("shard/code.json", f"Parity units from data units, and lost units from others; {page}", {"rows": code_rows(rnd), "reconstructions": reconstructions(rnd)}),
        ("shard/files.json", f"Whole shard files, and blobs read from the files that are there; {page}", {"files": whole, "blobs": blobs}),
    ]
