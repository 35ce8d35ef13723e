# SPDX-License-Identifier: Apache-2.0
"""Shard files, recomputed from docs/spec/shard-format.md without any of the Rust code."""
from xxh3 import M64, xxh3_64

HEADER_SEED, TRAILER_SEED, MANIFEST_SEED = 0x5352484452000002, 0x535254524C000002, 0x53524D414E000002
UNIT_SEED, UNIT_STEP = 0x5352554E49000001, 0x9E3779B97F4A7C15


class Refused(Exception):
    """Carries the class of refusal: parse, wrong_key, open, damaged, too_few or error (not encodable)."""


def need(condition, refusal):
    if not condition:
        raise Refused(refusal)


def le(number, width):
    return number.to_bytes(width, "little")


def number(data, at, width):
    return int.from_bytes(data[at:at + width], "little")


def with_sum(fields, seed):
    return fields + le(xxh3_64(fields, seed), 8)


# The field and the code.

def times(a, b):
    product = 0
    for bit in range(8):
        product ^= (a << bit) * (b >> bit & 1)
    for bit in range(14, 7, -1):
        product ^= (0x11D << bit - 8) * (product >> bit & 1)
    return product


def over(a, b):
    return next(c for c in range(256) if times(b, c) == a)


X = [1]
while len(X) < 255:
    X.append(times(X[-1], 2))


def coefficient(i, j):
    if i < 2:
        return X[i * j]
    return over(X[i - 1] ^ 1, X[i - 1] ^ X[-j % 255])


C = [[coefficient(i, j) for j in range(16)] for i in range(8)]


def padded(unit, length):
    return unit + bytes(length - len(unit))


def combined(coefficients, units, length):
    out = bytearray(length)
    for factor, unit in zip(coefficients, units):
        table = [times(factor, byte) for byte in range(256)]
        for at, byte in enumerate(padded(unit, length)[:length]):
            out[at] ^= table[byte]
    return bytes(out)


def parity_units(k, m, data):
    longest = max(map(len, data))
    return [combined(C[i][:k], data, longest) for i in range(m)]


def row_of(k, shard):
    """What a shard's unit is, as coefficients of the data units."""
    return [int(j == shard) for j in range(k)] if shard < k else C[shard - k][:k]


def rebuilt(k, m, lost, sources, length):
    """Solves for all data units by elimination, then takes the one that is asked for."""
    need(len(sources) >= k, "too_few")
    taken = sorted(sources)[:k]
    need(lost < k + m and all(shard < k + m for shard in taken), "error")
    longest = max([len(sources[shard]) for shard in taken] + [length])
    system = [(list(row_of(k, shard)), padded(sources[shard], longest)) for shard in taken]
    for j in range(k):
        pivot = next(r for r in range(j, k) if system[r][0][j])
        system[j], system[pivot] = system[pivot], system[j]
        scale = over(1, system[j][0][j])
        system[j] = [times(scale, c) for c in system[j][0]], combined([scale], [system[j][1]], longest)
        for r in range(k):
            factor = system[r][0][j]
            if r != j and factor:
                system[r] = [a ^ times(factor, b) for a, b in zip(system[r][0], system[j][0])], combined([1, factor], [system[r][1], system[j][1]], longest)
    return combined(row_of(k, lost), [unit for _, unit in system], longest)[:length]


# From the blob to its shards.

def check_shape(k, m, c, unit_bytes, refusal):
    need(1 <= k <= 16 and (1 <= m <= 8 or (k, m) == (1, 0)), refusal)
    need(1 <= c <= 255 and unit_bytes % 8 == 0 and 8 <= unit_bytes <= 1 << 24, refusal)


def spread(k, m, c, unit_bytes, sealed_bytes):
    """Of every shard its units, as (length, number within the blob or None for parity)."""
    units = [(min(unit_bytes, sealed_bytes - at), at // unit_bytes) for at in range(0, sealed_bytes, unit_bytes)]
    shards = [[] for _ in range(k + m)]
    for first in range(0, len(units), k * c):
        stripe = units[first:first + k * c]
        width = -(-len(stripe) // k)
        for at, unit in enumerate(stripe):
            shards[at // width].append(unit)
        for parity in shards[k:]:
            parity.extend((max(length for length, _ in stripe[r::width]), None) for r in range(width))
    return shards


# The file.

def header_bytes(blob, k, m, shard, unit_bytes, c, policy):
    return with_sum(b"SR-SHARD" + bytes([2, k, m, shard]) + le(unit_bytes, 4) + blob + bytes([c, policy]) + bytes(22), HEADER_SEED)


def trailer_bytes(blob, sealed_bytes, unit_bytes, manifest):
    fields = b"SR-TRAIL" + blob + le(sealed_bytes, 8) + le(-(-sealed_bytes // unit_bytes), 8)
    return with_sum(fields + le(len(manifest), 4) + bytes(4) + le(xxh3_64(manifest, MANIFEST_SEED), 8), TRAILER_SEED)


def unit_sum(blob, shard, j, unit):
    base = xxh3_64(blob + bytes([shard]), UNIT_SEED)
    return le(xxh3_64(unit, base + j * UNIT_STEP & M64), 8)


def header_fields(data):
    need(len(data) == 64 and data[:8] == b"SR-SHARD" and data[8] == 2, "parse")
    k, m, shard, unit_bytes, blob, c, policy = data[9], data[10], data[11], number(data, 12, 4), data[16:32], data[32], data[33]
    check_shape(k, m, c, unit_bytes, "parse")
    need(shard < k + m and policy <= 2 and data == header_bytes(blob, k, m, shard, unit_bytes, c, policy), "parse")
    return {"blob": blob.hex(), "k": k, "m": m, "shard": shard, "unit_bytes": unit_bytes, "cell_units": c, "policy": policy}


def manifest_bytes_max(sealed_bytes):
    return 16384 if sealed_bytes else 1 << 20


def trailer_fields(data, unit_bytes, manifest):
    need(len(data) == 64 and data[:8] == b"SR-TRAIL", "parse")
    blob, sealed_bytes = data[8:24], number(data, 24, 8)
    need(len(manifest) <= manifest_bytes_max(sealed_bytes), "parse")
    need(data == trailer_bytes(blob, sealed_bytes, unit_bytes, manifest), "parse")
    return {"blob": blob.hex(), "sealed_bytes": sealed_bytes, "units": number(data, 32, 8)}


def shard_file(blob, k, m, shard, unit_bytes, c, policy, sealed, manifest):
    """The file of one shard of a blob whose sealed bytes are given."""
    shards = spread(k, m, c, unit_bytes, len(sealed))
    unit = lambda entry: sealed[entry[1] * unit_bytes:][:entry[0]]
    file = header_bytes(blob, k, m, shard, unit_bytes, c, policy)
    for j, entry in enumerate(shards[shard]):
        row = [unit(data[j]) if j < len(data) else b"" for data in shards[:k]]
        content = unit(entry) if shard < k else parity_units(k, m, row)[shard - k]
        file += content + unit_sum(blob, shard, j, content)
    return file + manifest + trailer_bytes(blob, len(sealed), unit_bytes, manifest)


def file_parts(data):
    """Reads a whole shard file, and compares every byte of it."""
    try:
        need(len(data) >= 128, "parse")
        header = header_fields(data[:64])
        end, manifest_bytes = len(data) - 64, number(data, len(data) - 24, 4)
        need(manifest_bytes <= end - 64, "parse")
        manifest = data[end - manifest_bytes:end]
        trailer = trailer_fields(data[end:], header["unit_bytes"], manifest)
    except Refused:
        raise Refused("damaged") from None
    blob, shard = bytes.fromhex(header["blob"]), header["shard"]
    need(trailer["blob"] == header["blob"], "damaged")
    need(trailer["sealed_bytes"] <= len(data) * header["k"], "damaged")
    shards = spread(header["k"], header["m"], header["cell_units"], header["unit_bytes"], trailer["sealed_bytes"])
    need(len(data) == 128 + sum(length + 8 for length, _ in shards[shard]) + manifest_bytes, "damaged")
    units, at = [], 64
    for j, (length, _) in enumerate(shards[shard]):
        units.append(data[at:at + length])
        need(data[at + length:at + length + 8] == unit_sum(blob, shard, j, units[-1]), "damaged")
        at += length + 8
    return header, trailer, units, manifest


# What the vectors ask for.

def header_parse(v):
    return header_fields(bytes.fromhex(v["bytes"]))


def trailer_parse(v):
    return trailer_fields(bytes.fromhex(v["bytes"]), v["unit_bytes"], bytes.fromhex(v["manifest"]))


def layout_compute(v):
    check_shape(v["k"], v["m"], v["cell_units"], v["unit_bytes"], "error")
    shards = spread(v["k"], v["m"], v["cell_units"], v["unit_bytes"], v["sealed_bytes"])
    held = [sum(length for length, _ in shard) for shard in shards]
    return {
        "shards": [["parity" if unit is None else unit for _, unit in shard] for shard in shards],
        "shard_bytes": held,
        "file_bytes": [128 + total + 8 * len(shard) for total, shard in zip(held, shards)],
    }


def code_encode(v):
    check_shape(v["k"], v["m"], 1, 8, "error")
    data = [bytes.fromhex(unit) for unit in v["data"]]
    need(len(data) == v["k"], "error")
    return {"parity": [unit.hex() for unit in parity_units(v["k"], v["m"], data)]}


def code_rebuild(v):
    sources = {int(shard): bytes.fromhex(unit) for shard, unit in v["sources"].items()}
    need(v["lost"] not in sources, "error")
    return {"unit": rebuilt(v["k"], v["m"], v["lost"], sources, v["unit_bytes"]).hex()}


def file_read(v):
    header, trailer, units, manifest = file_parts(bytes.fromhex(v["bytes"]))
    return {**header, "sealed_bytes": trailer["sealed_bytes"], "units": [unit.hex() for unit in units], "manifest": manifest.hex()}


def blob_read(v):
    """Reads a blob from the files that are there; a damaged file is as good as none."""
    whole = {}
    for place, file in enumerate(v["files"]):
        try:
            header, trailer, units, manifest = file_parts(bytes.fromhex(file or ""))
        except Refused:
            continue
        if header["blob"] == v["blob"] and header["shard"] == place:
            whole[place] = header, trailer, units, manifest
    need(whole, "too_few")
    header, trailer, _, manifest = next(iter(whole.values()))
    need(len(whole) >= header["k"], "too_few")
    k, m, unit_bytes = header["k"], header["m"], header["unit_bytes"]
    shards = spread(k, m, header["cell_units"], unit_bytes, trailer["sealed_bytes"])
    sealed = bytearray(trailer["sealed_bytes"])
    for shard in range(k):
        for j, (length, unit) in enumerate(shards[shard]):
            if shard in whole:
                content = whole[shard][2][j]
            else:
                row = {place: parts[2][j] if j < len(parts[2]) else b"" for place, parts in whole.items()}
                content = rebuilt(k, m, shard, row, length)
            sealed[unit * unit_bytes:unit * unit_bytes + length] = content
    return {"sealed": sealed.hex(), "manifest": manifest.hex()}


FILES = {
    "shard/headers.json": {"headers": header_parse},
    "shard/trailers.json": {"trailers": trailer_parse},
    "shard/layouts.json": {"layouts": layout_compute},
    "shard/code.json": {"rows": code_encode, "reconstructions": code_rebuild},
    "shard/files.json": {"files": file_read, "blobs": blob_read},
}
