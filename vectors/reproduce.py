#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recomputes every vector in this folder from the specification, without any of the Rust code.

    pip install cryptography
    python3 vectors/reproduce.py            exit status 1 on any mismatch

generate.py beside it writes the files; their inputs are deterministic.

Specification: docs/spec/object-format.md and docs/spec/kms-ciphertext.md.
"""
import hashlib, hmac, json, pathlib, struct, sys
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).resolve().parent
GIB5, EK_REF_MAX, BLOB_MAX = 5 << 30, 6144, 6144


class Refused(Exception):
    """Carries the class of refusal: parse, wrong_key, open or error (not encodable)."""


def u(width, number):
    return number.to_bytes(width // 8, "big")


def sha384(data):
    return hashlib.sha384(data).digest()


def need(condition, refusal):
    if not condition:
        raise Refused(refusal)


# Primitives.

def extract(salt, secret):
    return hmac.new(salt, secret, hashlib.sha384).digest()


def expand(prk, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha384).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def kbkdf(secret, label, context):
    fixed = label + b"\0" + context + u(32, 256)
    return hmac.new(secret, u(32, 1) + fixed, hashlib.sha256).digest()


def gcm_open(key, nonce, sealed, aad):
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Refused("open") from None


# FLOE.

class Floe:
    def __init__(self, key, iv, aad, enc_seg_len=65568, rotation_bits=20):
        self.params = b"\0\0" + u(32, enc_seg_len) + u(32, 32)
        self.iv, self.aad, self.len, self.bits = iv, aad, enc_seg_len, rotation_bits
        self.header = self.params + iv + self.kdf(key, b"HEADER_TAG:", 32)
        self.message_key = self.kdf(key, b"MESSAGE_KEY:", 48)

    def kdf(self, key, purpose, length):
        return expand(key, self.params + self.iv + purpose + self.aad, length)

    def segment_key(self, i):
        return self.kdf(self.message_key, b"DEK:" + u(64, i >> self.bits << self.bits), 32)

    def seal(self, i, final, nonce, plain):
        marker = u(32, len(plain) + 32) if final else b"\xff" * 4
        return marker + nonce + AESGCM(self.segment_key(i)).encrypt(nonce, plain, u(64, i) + bytes([final]))

    def open(self, i, final, segment):
        need(len(segment) >= 32 and (final or len(segment) == self.len), "open")
        need(segment[:4] == (u(32, len(segment)) if final else b"\xff" * 4), "open")
        return gcm_open(self.segment_key(i), segment[4:16], segment[16:], u(64, i) + bytes([final]))


def check_floe_known_answer(v):
    data, plain, length = bytes.fromhex(v["ciphertext"]), b"", int(v["enc_seg_len"])
    message = Floe(bytes.fromhex(v["key"]), data[10:42], bytes.fromhex(v["aad"]), length, int(v["rotation_bits"]))
    assert message.header == data[:74], v["id"]
    at, index = 74, 0
    while at < len(data):
        final = data[at:at + 4] != b"\xff" * 4
        segment = data[at:at + (struct.unpack(">I", data[at:at + 4])[0] if final else length)]
        plain, at, index = plain + message.open(index, final, segment), at + len(segment), index + 1
    assert final and plain.hex() == v["plaintext"], v["id"]


# Keys and bodies.

def payload_key(oek, odi, layer, part_no, part_uid):
    prk = extract(b"strongroom/1/oek" + odi, oek)
    return expand(prk, b"strongroom/1/part\0" + u(8, layer) + u(16, part_no) + part_uid, 32)


def sums_key(oek, odi):
    return expand(extract(b"strongroom/1/oek" + odi, oek), b"strongroom/1/sums\0", 32)


def body_message(v):
    place = u(8, v["layer"]) + bytes.fromhex(v["odi"]) + u(16, v["part_no"]) + bytes.fromhex(v["part_uid"])
    iv = bytes.fromhex(v["header"])[10:42] if "header" in v else bytes.fromhex(v["iv"])
    return Floe(bytes.fromhex(v["pk"]), iv, b"strongroom/1/body" + place)


def pattern(length):
    return bytes((j * 31 + (j >> 16)) % 251 for j in range(length))


def body_open(v):
    message, size, plain = body_message(v), v["plain_size"], b""
    need(message.header.hex() == v["header"] and size <= GIB5, "open")
    count = max(1, -(-size // 65536))
    need(len(v["segments"]) == count, "open")
    for i, segment in enumerate(map(bytes.fromhex, v["segments"])):
        need(len(segment) == min(65536, size - i * 65536) + 32, "open")
        plain += message.open(i, i == count - 1, segment)
    return {"plaintext": plain.hex()}


# BIND, part table, properties.

def bind_bytes(v):
    b = lambda name: bytes.fromhex(v[name])
    def prefixed(width, data):
        need(len(data) < 1 << width, "error")
        return u(width, len(data)) + data
    sums = sorted(v["checksums"], key=lambda c: (c["alg"], c["type"]))
    pairs = [(c["alg"], c["type"]) for c in sums]
    need(len(set(pairs)) == len(pairs) and len(pairs) < 256, "error")
    return b"".join([
        u(16, 1), b("cluster_id"), b("bucket_uid"), prefixed(16, b("object_key")), b("version_uid"),
        u(8, v["null_version"]), b("odi"), u(64, v["plain_size"]), u(64, v["created_ms"]), prefixed(8, b("etag")),
        u(8, len(sums)), *(u(8, c["alg"]) + u(8, c["type"]) + prefixed(16, bytes.fromhex(c["bytes"])) for c in sums),
        u(16, v["parts"]), b("part_table_sha384"), b("properties_sha384"), prefixed(16, v["kms_arn"].encode()),
        b("context_sha384")])


def bind_compute(v):
    canonical = bind_bytes(v)
    return {"sha384": sha384(canonical).hex(), **({"canonical": canonical.hex()} if len(canonical) < 2000 else {})}


def part_table_parse(v):
    table, rows, last = bytes.fromhex(v["table"]), [], -1
    need(len(table) % 100 == 0 and len(table) <= 1_000_000, "parse")
    for at in range(0, len(table), 100):
        row = table[at:at + 100]
        number, size = int.from_bytes(row[:2], "big"), int.from_bytes(row[18:26], "big")
        need(last < number <= 10000 and (number or len(table) == 100) and size <= GIB5, "parse")
        rows, last = rows + [{"part_no": number, "part_uid": row[2:18].hex(), "plain_len": size, "header": row[26:].hex()}], number
    return {"rows": rows, "sha384": sha384(table).hex()}


def properties_compute(v):
    texts = [t.encode() for pair in sorted(v["pairs"], key=lambda p: (p[0].encode(), p[1].encode())) for t in pair]
    return {"sha384": sha384(b"".join(u(64, len(t)) + t for t in texts)).hex()}


# OSK1.

def wrap_keys(ek, salt, suite_mode):
    prk = extract(salt, ek)
    return (expand(prk, b"strongroom/1/wrap-" + use + b"\0" + suite_mode, 32) for use in (b"kek", b"commit"))


def osk1_aad(head, ek_ref, bind):
    return b"strongroom/1/wrap" + head + sha384(ek_ref) + bind


def osk1_wrap(ek, oek, mode, flags, ek_ref, bind, salt, nonce):
    kek, commitment = wrap_keys(ek, salt, bytes([1, mode]))
    head = b"OSK1" + bytes([1, 1, mode, flags]) + salt + commitment
    return head + nonce + AESGCM(kek).encrypt(nonce, oek, osk1_aad(head, ek_ref, bind)) + u(16, len(ek_ref)) + ek_ref


def osk1_open(v):
    r, ek, bind = bytes.fromhex(v["record"]), bytes.fromhex(v["ek"]), bytes.fromhex(v["bind_sha384"])
    need(len(r) >= 134 and r[:6] == b"OSK1\1\1" and 1 <= r[6] <= 3 and r[7] < 8, "parse")
    length, ek_ref = int.from_bytes(r[132:134], "big"), r[134:]
    need(length == len(ek_ref) and (length == 0 if r[6] == 3 else 1 <= length <= EK_REF_MAX), "parse")
    need(not (r[6] == 3 and r[7] & 1), "parse")
    kek, commitment = wrap_keys(ek, r[8:40], r[5:7])
    need(hmac.compare_digest(commitment, r[40:72]), "wrong_key")
    oek = gcm_open(kek, r[72:84], r[84:132], osk1_aad(r[:72], ek_ref, bind))
    return {"oek": oek.hex(), "mode": r[6], "flags": r[7], "ek_ref": ek_ref.hex()}


def completion_verify(v):
    ck = expand(extract(b"strongroom/1/oek" + bytes.fromhex(v["odi"]), bytes.fromhex(v["oek"])), b"strongroom/1/completion\0", 32)
    tag = hmac.new(ck, b"strongroom/1/completion-tag" + bytes.fromhex(v["bind_sha384"]), hashlib.sha384).digest()
    need(hmac.compare_digest(tag.hex(), v.get("tag", tag.hex())), "open")
    return {"ck": ck.hex(), "tag": tag.hex()}


# Sums and KMS blobs.

def sums_seal(key, plain, aad, nonce):
    return b"\1" + nonce + AESGCM(key).encrypt(nonce, plain, b"strongroom/1/sums-seal\1" + aad)


def sums_open(v):
    sealed = bytes.fromhex(v["sealed"])
    need(len(sealed) >= 29 and sealed[0] == 1, "open")
    key = sums_key(bytes.fromhex(v["oek"]), bytes.fromhex(v["odi"]))
    return {"plaintext": gcm_open(key, sealed[1:13], sealed[13:], b"strongroom/1/sums-seal\1" + bytes.fromhex(v["aad"])).hex()}


def context_bytes(context):
    texts = [t.encode() for name in sorted(context, key=str.encode) for t in (name, context[name])]
    return b"".join(u(16, len(t)) + t for t in texts)


def blob_seal(material, key_uid, version, n, nonce, plain, context):
    head = b"\1\1" + key_uid + u(32, version) + n
    return head + nonce + AESGCM(kbkdf(material, b"strongroom/1/kms-enc", n)).encrypt(nonce, plain, head + context_bytes(context))


def blob_open(v):
    blob = bytes.fromhex(v["blob"])
    need(66 <= len(blob) <= BLOB_MAX and blob[:2] == b"\1\1", "parse")
    key = kbkdf(bytes.fromhex(v["material"]), b"strongroom/1/kms-enc", blob[22:38])
    plain = gcm_open(key, blob[38:50], blob[50:], blob[:38] + context_bytes(v["context"]))
    return {"plaintext": plain.hex(), "key_uid": blob[2:18].hex(), "version": int.from_bytes(blob[18:22], "big"),
            "context_sha384": sha384(context_bytes(v["context"])).hex()}


def outcome(function, vector):
    try:
        return {"expect": "ok", **function(vector)}
    except Refused as refused:
        return {"expect": str(refused)}


def keys_compute(v):
    oek, odi, part_uid = (bytes.fromhex(v[name]) for name in ("oek", "odi", "part_uid"))
    return {"pk": payload_key(oek, odi, v["layer"], v["part_no"], part_uid).hex(), "sk": sums_key(oek, odi).hex()}


def large_body_compute(v):
    message, plain, sealed = body_message(v), pattern(v["plain_size"]), b""
    for i, nonce in enumerate(v["nonces"]):
        part = plain[i * 65536:(i + 1) * 65536]
        sealed += message.seal(i, i == len(v["nonces"]) - 1, bytes.fromhex(nonce), part)
    return {"header": message.header.hex(), "sealed_bytes": len(sealed), "sealed_sha384": sha384(sealed).hex()}


FILES = {
    "body.json": {"keys": keys_compute, "bodies": body_open, "large_bodies": large_body_compute},
    "bind.json": {"binds": bind_compute, "part_tables": part_table_parse, "properties": properties_compute},
    "osk1.json": {"records": osk1_open, "completion_tags": completion_verify},
    "sums.json": {"sums": sums_open},
    "kms-blob.json": {"blobs": blob_open},
}


def outcome(function, vector):
    """What the specification says about a vector: its results, or the class of its refusal."""
    try:
        return {"expect": "ok", **function(vector)}
    except Refused as refused:
        return {"expect": str(refused)}


def main():
    positives = negatives = mismatches = 0
    for known in json.loads((HERE / "floe/floe-kats.json").read_text())["vectors"]:
        check_floe_known_answer(known)
        positives += 1
    for file, groups in FILES.items():
        document = json.loads((HERE / file).read_text())
        for group, function in groups.items():
            names, differing = set(), set()
            for vector in document[group]:
                computed = outcome(function, vector)
                wrong = [name for name, value in computed.items() if vector.get(name) != value]
                if vector["name"] in names or ("must_differ" in vector and vector["sha384"] in differing):
                    wrong.append("not distinct")
                names.add(vector["name"])
                differing.add(vector.get("sha384", vector["name"]))
                is_negative = vector["expect"] != "ok" or "must_differ" in vector
                positives, negatives = positives + (not is_negative), negatives + is_negative
                if wrong:
                    mismatches += 1
                    print(f"{file} {group} {vector['name']}: {', '.join(wrong)}", file=sys.stderr)
    print(f"{positives} positive and {negatives} negative vectors, {mismatches} mismatches")
    return 1 if mismatches or not positives or not negatives else 0


if __name__ == "__main__":
    sys.exit(main())
