#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recomputes every vector in this folder from the specification, without any of the Rust code.

    pip install cryptography
    python3 vectors/reproduce.py            exit status 1 on any mismatch

generate.py beside it writes the files; their inputs are deterministic.

Specification: docs/spec/object-format.md, docs/spec/kms-ciphertext.md and docs/spec/keyring.md; for shard
files docs/spec/shard-format.md, in shard.py.
"""
import hashlib, hmac, json, pathlib, struct, sys
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import client_side, shard
from shard import Refused, need

HERE = pathlib.Path(__file__).resolve().parent
GIB5, EK_REF_MAX, BLOB_MAX = 5 << 30, 6144, 6144


def u(width, number):
    return number.to_bytes(width // 8, "big")


def sha384(data):
    return hashlib.sha384(data).digest()


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


def dual_messages(v):
    place = bytes.fromhex(v["odi"]) + u(16, v["part_no"]) + bytes.fromhex(v["part_uid"])
    for layer, key, header, iv, length in ((1, "pk", "header", "iv", 65568), (2, "outer_pk", "outer_header", "outer_iv", 65600)):
        iv = bytes.fromhex(v[header])[10:42] if header in v else bytes.fromhex(v[iv])
        yield Floe(bytes.fromhex(v[key]), iv, b"strongroom/1/body" + u(8, layer) + place, length)


def dual_body_open(v):
    (inner, outer), size, plain, found = dual_messages(v), v["plain_size"], b"", []
    need(inner.header.hex() == v["header"] and outer.header.hex() == v["outer_header"] and size <= GIB5, "open")
    count = max(1, -(-size // 65536))
    need(len(v["segments"]) == count, "open")
    for i, segment in enumerate(map(bytes.fromhex, v["segments"])):
        need(len(segment) == min(65536, size - i * 65536) + 64, "open")
        found.append(outer.open(i, i == count - 1, segment))
        plain += inner.open(i, i == count - 1, found[-1])
    return {"plaintext": plain.hex(), "inner_segments": [f.hex() for f in found]}


def outer_keys_compute(v):
    oek, odi, part_uid = (bytes.fromhex(v[name]) for name in ("outer_oek", "odi", "part_uid"))
    return {"outer_pk": payload_key(oek, odi, 2, v["part_no"], part_uid).hex(), "outer_sk": outer_sums_key(oek, odi).hex()}


def outer_sums_key(oek, odi):
    return expand(extract(b"strongroom/1/oek" + odi, oek), b"strongroom/1/sums\0\2", 32)


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
    dual = 0x8000 if table and table[0] & 0x80 else 0
    length = 174 if dual else 100
    need(len(table) % length == 0 and len(table) <= 10_000 * length, "parse")
    for at in range(0, len(table), length):
        row = table[at:at + length]
        number, size = int.from_bytes(row[:2], "big") ^ dual, int.from_bytes(row[18:26], "big")
        need(last < number <= 10000 and (number or len(table) == length) and size <= GIB5, "parse")
        rows, last = rows + [{"part_no": number, "part_uid": row[2:18].hex(), "plain_len": size, "header": row[26:100].hex(),
                              **({"outer_header": row[100:].hex()} if dual else {})}], number
    return {"rows": rows, "sha384": sha384(table).hex()}


def properties_compute(v):
    texts = [t.encode() for pair in sorted(v["pairs"], key=lambda p: (p[0].encode(), p[1].encode())) for t in pair]
    return {"sha384": sha384(b"".join(u(64, len(t)) + t for t in texts)).hex()}


# OSK1.

def wrap_keys(ek, salt, head):
    """head: bytes 5 to 7 of the record; the layer counts for mode 4 only."""
    prk = extract(salt, ek)
    tail = head[:2] + (bytes([2 if head[2] & 8 else 1]) if head[1] == 4 else b"")
    return (expand(prk, b"strongroom/1/wrap-" + use + b"\0" + tail, 32) for use in (b"kek", b"commit"))


def osk1_aad(head, ek_ref, bind):
    return b"strongroom/1/wrap" + head + sha384(ek_ref) + bind


def osk1_wrap(ek, oek, mode, flags, ek_ref, bind, salt, nonce):
    kek, commitment = wrap_keys(ek, salt, bytes([1, mode, flags]))
    head = b"OSK1" + bytes([1, 1, mode, flags]) + salt + commitment
    return head + nonce + AESGCM(kek).encrypt(nonce, oek, osk1_aad(head, ek_ref, bind)) + u(16, len(ek_ref)) + ek_ref


def osk1_open(v):
    r, ek, bind = bytes.fromhex(v["record"]), bytes.fromhex(v["ek"]), bytes.fromhex(v["bind_sha384"])
    need(len(r) >= 134 and r[:6] == b"OSK1\1\1" and 1 <= r[6] <= 4 and r[7] < 16, "parse")
    length, ek_ref = int.from_bytes(r[132:134], "big"), r[134:]
    need(length == len(ek_ref) and (length == 0 if r[6] == 3 else 1 <= length <= EK_REF_MAX), "parse")
    need((r[6] == 2 or not r[7] & 1) and (r[6] == 4 or not r[7] & 8), "parse")
    if r[7] & 1:
        bucket_key_ref(ek_ref)
    kek, commitment = wrap_keys(ek, r[8:40], r[5:8])
    need(hmac.compare_digest(commitment, r[40:72]), "wrong_key")
    oek = gcm_open(kek, r[72:84], r[84:132], osk1_aad(r[:72], ek_ref, bind))
    return {"oek": oek.hex(), "mode": r[6], "flags": r[7], "ek_ref": ek_ref.hex()}


def bucket_key_ref(ek_ref):
    need(34 <= len(ek_ref) <= EK_REF_MAX and ek_ref[:1] == b"\1", "parse")
    return ek_ref[1:33], ek_ref[33:]


def bucket_key_ek(v):
    salt, blob = bucket_key_ref(bytes.fromhex(v["ek_ref"]))
    info = b"strongroom/1/bucket-key\0\1" + bytes.fromhex(v["bucket_uid"])
    return {"blob": blob.hex(), "ek": expand(extract(salt, bytes.fromhex(v["bucket_key"])), info, 32).hex()}


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


def dual_sums_open(v):
    sealed, odi, aad = (bytes.fromhex(v[name]) for name in ("sealed", "odi", "aad"))
    for key in (outer_sums_key(bytes.fromhex(v["outer_oek"]), odi), sums_key(bytes.fromhex(v["oek"]), odi)):
        need(len(sealed) >= 29 and sealed[0] == 1, "open")
        sealed = gcm_open(key, sealed[1:13], sealed[13:], b"strongroom/1/sums-seal\1" + aad)
    return {"plaintext": sealed.hex()}


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


# The keyring file (docs/spec/keyring.md).

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Bytes:
    """Reads from the front; what is not there makes the form wrong."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(self.at + count <= len(self.data), "parse")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, width):
        return int.from_bytes(self.take(width // 8), "big")


def keyring_parse(data):
    need(len(data) >= 32 and hashlib.sha256(data[:-32]).digest() == data[-32:], "parse")
    r = Bytes(data[:-32])
    need(r.take(4) == b"SRKR" and r.number(8) == 2, "parse")
    keyring_id, wraps = r.take(16), []
    count = r.number(8)
    need(1 <= count <= 8, "parse")
    for _ in range(count):
        kind, wrap_id, created = r.number(8), r.take(16), r.number(64)
        need(1 <= kind <= 5, "parse")
        fields = []
        for most in (1024, 8192):
            length = r.number(16)
            need(length <= most, "parse")
            fields.append(r.take(length))
        aad = (b"strongroom/2/keyring-wrap\0" + keyring_id + u(8, kind) + wrap_id + u(64, created) + fields[0])
        wraps.append((kind, fields[0], fields[1], aad))
    comm = r.take(32)
    return keyring_id, wraps, r.data[:r.at], comm, r.data[r.at:]


def file_keys(fk, keyring_id):
    prk = extract(b"strongroom/2/keyring", fk)
    return tuple(expand(prk, b"strongroom/2/keyring-" + label + b"\0" + keyring_id, 32) for label in (b"comm", b"seal"))


def wrap_key(secret):
    return expand(extract(b"strongroom/2/root", secret), b"strongroom/2/wrap\0", 32)


def stretch(passphrase, parameters):
    r = Bytes(parameters)
    algorithm, a, b, c, salt = r.number(8), r.number(32), r.number(32), r.number(32), r.take(32)
    need(r.at == len(parameters), "parse")
    if algorithm == 1:
        need(8192 <= a <= 1 << 20 and 1 <= b <= 16 and 1 <= c <= 8, "parse")
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
        return Argon2id(salt=salt, length=32, iterations=b, lanes=c, memory_cost=a).derive(passphrase)
    need(algorithm == 2 and 600_000 <= a <= 50_000_000 and b == c == 0, "parse")
    return hashlib.pbkdf2_hmac("sha512", passphrase, salt, a, 32)


def gf_times(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def gf_over(a, b):
    return next(c for c in range(256) if gf_times(b, c) == a)


def share_parse(text):
    need(text.upper().startswith("SRSHARE-"), "parse")
    digits = text[8:].upper().replace("-", "").replace(" ", "")
    digits = digits.replace("O", "0").replace("I", "1").replace("L", "1")
    need(len(digits) == 76 and all(d in CROCKFORD for d in digits), "parse")
    number = 0
    for d in digits:
        number = number << 5 | CROCKFORD.index(d)
    need(number & 15 == 0, "parse")
    data = (number >> 4).to_bytes(47, "big")
    need(hashlib.sha256(b"strongroom/1/share\0" + data[:43]).digest()[:4] == data[43:], "parse")
    need(data[0] == 1 and 2 <= data[9] <= 16 and 1 <= data[10] <= 16, "parse")
    return {"set": data[1:9], "threshold": data[9], "number": data[10], "value": data[11:43]}


def share_text(set_id, threshold, number, value):
    data = b"\x01" + set_id + bytes([threshold, number]) + value
    data += hashlib.sha256(b"strongroom/1/share\0" + data).digest()[:4]
    bits = int.from_bytes(data, "big") << 4
    digits = "".join(CROCKFORD[bits >> 5 * i & 31] for i in reversed(range(76)))
    return "SRSHARE-" + "-".join(digits[i:i + 4] for i in range(0, 76, 4))


def combine(shares):
    secret = bytes(32)
    for one in shares:
        weight = 1
        for other in shares:
            if other is not one:
                weight = gf_times(weight, gf_over(other["number"], other["number"] ^ one["number"]))
        secret = bytes(s ^ gf_times(v, weight) for s, v in zip(secret, one["value"]))
    return secret


def keyring_secret(v, kind, parameters):
    """What wraps by itself, from what a vector gives."""
    if kind == 1:
        need(parameters == b"", "parse")
        return bytes.fromhex(v["root_key"])
    if kind == 2:
        return stretch(v["passphrase"].encode(), parameters)
    shares = [share_parse(text) for text in v["shares"]]
    need(len(parameters) == 10 and 2 <= parameters[8] <= parameters[9] <= 16, "parse")
    need(all((s["set"], s["threshold"]) == (parameters[:8], parameters[8]) for s in shares), "wrong_key")
    need(all(s["number"] <= parameters[9] for s in shares), "wrong_key")
    need(len({s["number"] for s in shares}) == len(shares) >= parameters[8], "wrong_key")
    return combine(shares[:parameters[8]])


def keyring_open(v):
    return keyring_rows(keyring_body(v))


def keyring_body(v):
    keyring_id, wraps, head, comm, body = keyring_parse(bytes.fromhex(v["file"]))
    kind = 1 if "root_key" in v else 2 if "passphrase" in v else 5
    refusal = "wrong_key"
    for wrap_kind, parameters, wrapped, aad in wraps:
        if wrap_kind != kind:
            continue
        try:
            key = wrap_key(keyring_secret(v, kind, parameters))
            need(len(wrapped) >= 28, "wrong_key")
            try:
                fk = gcm_open(key, wrapped[:12], wrapped[12:], aad)
            except Refused:
                raise Refused("wrong_key") from None
            own, seal = file_keys(fk, keyring_id)
            need(own == comm, "wrong_key")
        except Refused as refused:
            refusal = str(refused)
            continue
        need(len(body) >= 28, "open")
        return gcm_open(seal, body[:12], body[12:], b"strongroom/2/keyring\0" + head)
    raise Refused(refusal)


def keyring_rows(rows):
    need(len(rows) % 45 == 0, "parse")
    keys = [(r[0], int.from_bytes(r[1:5], "big"), int.from_bytes(r[5:13], "big"), r[13:])
            for r in (rows[i:i + 45] for i in range(0, len(rows), 45))]
    places = [key[:2] for key in keys]
    need({kind for kind, _ in places} == {1, 2} and all(a < b for a, b in zip(places, places[1:])), "parse")
    _, epoch, _, secret = [key for key in keys if key[0] == 1][-1]
    domain = extract(b"strongroom/1/domain", secret)
    derive = lambda label: expand(domain, label + b"\0" + u(32, epoch), 32)
    stream = expand(extract(b"strongroom/1/at-rest", derive(b"strongroom/1/meta")), b"strongroom/1/stream\0" + u(64, 7), 32)
    # Sealed with a fixed nonce, to be opened by the code: a private file `vector`, and a row of stream 7.
    head, nonce = b"\x01" + u(32, epoch), bytes(range(12))
    private = AESGCM(derive(b"strongroom/1/private")).encrypt(nonce, b"opened", b"strongroom/1/private\0" + head + b"vector")
    row = AESGCM(stream).encrypt(nonce, b"opened", head + u(64, 7) + b"place")
    return {
        "epochs": [{"kind": kind, "epoch": epoch, "created_ms": created} for kind, epoch, created, _ in keys],
        "private": (head + nonce + private).hex(),
        "row": (head + nonce + row).hex(),
    }


# Key material at rest (docs/spec/kms-ciphertext.md).

def domain_keys(v):
    """What is derived from the domain keys of the named entry of keyring.json: epoch -> a function of a label."""
    entries = json.loads((HERE / "keyring.json").read_text())["keyrings"]
    body = keyring_body(next(entry for entry in entries if entry["name"] == v["keyring"]))
    rows = [body[i:i + 45] for i in range(0, len(body), 45)]

    def derive(epoch, secret):
        domain = extract(b"strongroom/1/domain", secret)
        return lambda label: expand(domain, b"strongroom/1/" + label + b"\0" + u(32, epoch), 32)

    epochs = {int.from_bytes(row[1:5], "big"): row[13:] for row in rows if row[0] == 1}
    return {epoch: derive(epoch, secret) for epoch, secret in epochs.items()}


def vault_aad(v, epoch):
    return b"strongroom/1/kms-shred\0" + bytes.fromhex(v["key_uid"]) + bytes.fromhex(v["shred_id"]) + u(32, epoch)


def vault_open(v, keys):
    """The shred key in a file of the vault."""
    data, head = bytes.fromhex(v["vault_file"]), b"SRVK\1" + bytes.fromhex(v["key_uid"]) + bytes.fromhex(v["shred_id"])
    need(data[:37] == head and len(data) >= 41, "parse")
    epoch = int.from_bytes(data[37:41], "big")
    need(epoch in keys, "wrong_key")
    need(len(data) == 101, "open")
    return gcm_open(keys[epoch](b"kms-shred"), data[41:53], data[53:], vault_aad(v, epoch))


def material_key(v, keys, shred):
    """What wraps the material, and the AAD."""
    need(v["wrap_epoch"] in keys, "wrong_key")
    prk = extract(b"strongroom/1/kms-material", keys[v["wrap_epoch"]](b"kms-wrap") + shred)
    uid = bytes.fromhex(v["key_uid"])
    key = expand(prk, b"strongroom/1/kms-material-key\0" + uid + bytes.fromhex(v["shred_id"]), 32)
    aad = (b"strongroom/1/kms-material\0" + uid + u(32, v["version"]) + u(8, v["spec"]) + u(8, v["origin"])
           + u(64, v["created_ms"]) + bytes.fromhex(v["material_id"]))
    return key, aad


def material_open(v):
    keys, wrapped = domain_keys(v), bytes.fromhex(v["wrapped"])
    key, aad = material_key(v, keys, vault_open(v, keys))
    need(len(wrapped) >= 28, "open")
    return {"material": gcm_open(key, wrapped[:12], wrapped[12:], aad).hex()}


def imported_id(v):
    keys = domain_keys(v)
    message = bytes.fromhex(v["key_uid"]) + bytes.fromhex(v["material"])
    made = hmac.new(keys[min(keys)](b"kms-material-id"), message, hashlib.sha256).digest()
    return {"material_id": made.hex(), "sha384": sha384(made).hex()}


# Manifests in shard files (docs/spec/manifest.md).

def manifest_key(v, keys, epoch):
    """What seals the manifest of a blob, and the AAD."""
    place, head = bytes.fromhex(v["cluster_id"]) + bytes.fromhex(v["blob"]), b"\1" + u(32, epoch)
    root = extract(b"strongroom/1/manifests", keys[epoch](b"manifest"))
    return expand(root, b"strongroom/1/manifest-key\0" + place, 32), b"strongroom/1/manifest\0" + head + place


def manifest_padded(content):
    plain = u(32, len(content)) + content
    return plain + bytes(-len(plain) % 256)


def manifest_open(v):
    keys, sealed = domain_keys(v), bytes.fromhex(v["sealed"])
    need(len(sealed) >= 5 and sealed[0] == 1, "parse")
    epoch = int.from_bytes(sealed[1:5], "big")
    need(epoch in keys, "wrong_key")
    need(len(sealed) >= 33, "open")
    key, aad = manifest_key(v, keys, epoch)
    plain = gcm_open(key, sealed[5:17], sealed[17:], aad)
    need(len(plain) >= 4, "parse")
    content = plain[4:4 + int.from_bytes(plain[:4], "big")]
    need(plain == manifest_padded(content), "parse")
    return {"content": content.hex()}


def keys_compute(v):
    oek, odi, part_uid = (bytes.fromhex(v[name]) for name in ("oek", "odi", "part_uid"))
    return {"pk": payload_key(oek, odi, v["layer"], v["part_no"], part_uid).hex(), "sk": sums_key(oek, odi).hex()}


def large_body_compute(v):
    message, plain, sealed = body_message(v), pattern(v["plain_size"]), b""
    for i, nonce in enumerate(v["nonces"]):
        part = plain[i * 65536:(i + 1) * 65536]
        sealed += message.seal(i, i == len(v["nonces"]) - 1, bytes.fromhex(nonce), part)
    return {"header": message.header.hex(), "sealed_bytes": len(sealed), "sealed_sha384": sha384(sealed).hex()}


def large_dual_body_compute(v):
    (inner, outer), plain, sealed = dual_messages(v), pattern(v["plain_size"]), b""
    for i, (nonce, outer_nonce) in enumerate(zip(v["nonces"], v["outer_nonces"])):
        final = i == len(v["nonces"]) - 1
        segment = inner.seal(i, final, bytes.fromhex(nonce), plain[i * 65536:(i + 1) * 65536])
        sealed += outer.seal(i, final, bytes.fromhex(outer_nonce), segment)
    return {"header": inner.header.hex(), "outer_header": outer.header.hex(), "sealed_bytes": len(sealed), "sealed_sha384": sha384(sealed).hex()}


FILES = {
    "body.json": {"keys": keys_compute, "bodies": body_open, "large_bodies": large_body_compute},
    "dual.json": {"keys": outer_keys_compute, "bodies": dual_body_open, "large_bodies": large_dual_body_compute, "sums": dual_sums_open},
    "bind.json": {"binds": bind_compute, "part_tables": part_table_parse, "properties": properties_compute},
    "osk1.json": {"records": osk1_open, "completion_tags": completion_verify, "bucket_keys": bucket_key_ek},
    "sums.json": {"sums": sums_open},
    "kms-blob.json": {"blobs": blob_open},
    "keyring.json": {"keyrings": keyring_open},
    "manifest.json": {"manifests": manifest_open},
    "material.json": {"materials": material_open, "imported_ids": imported_id},
    **shard.FILES,
    **client_side.FILES,
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
