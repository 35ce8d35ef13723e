# SPDX-License-Identifier: Apache-2.0
"""Opens client-side encrypted objects as docs/spec/client-side-encryption.md says, without any of the Rust code.

An object has metadata, content, perhaps an instruction file; a reader has a policy, two switches, an encryption context
that it expects, and keys. The class of a refusal is one of the errors of the library.
"""
import base64, binascii, email.header, hashlib, hmac, json, re, struct
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shard import Refused, need

OLD = ["x-amz-key", "x-amz-key-v2", "x-amz-iv", "x-amz-cek-alg", "x-amz-wrap-alg", "x-amz-matdesc", "x-amz-tag-len"]
MARKERS = ["x-amz-key", "x-amz-key-v2", "x-amz-3"]
OWN = ["x-amz-c", "x-amz-d", "x-amz-i"]
REST = ["x-amz-w", "x-amz-t", "x-amz-m"]
KNOWN = OLD + OWN + REST + ["x-amz-3", "x-amz-unencrypted-content-length"]
NUMBERS = ["x-amz-tag-len", "x-amz-unencrypted-content-length"]
CEK_ENTRY, KEY_ENTRY = "aws:x-amz-cek-alg", "kms_cmk_id"
SUITE = b"\x00\x73"
LONGEST = 2 ** 36 - 32


# Fields.

def undo(value):
    """Encoded words, and UTF-8 that was taken for Latin-1."""
    if not value.startswith("=?"):
        return value
    text = "".join(part.decode(charset) if isinstance(part, bytes) else part for part, charset in email.header.decode_header(value))
    return re.sub("[\x80-\xff]+", lambda run: run.group().encode("latin-1").decode("utf-8"), text)


def texts(document, numbers=()):
    """One JSON object of texts, every name once."""
    def once(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), "envelope")
        return dict(pairs)

    try:
        read = json.loads(document, object_pairs_hook=once)
        json.dumps(read, ensure_ascii=False).encode()  # refuses halves of characters
    except (ValueError, RecursionError):
        raise Refused("envelope") from None
    need(isinstance(read, dict), "envelope")
    for name, value in read.items():
        if name in numbers and type(value) is int and value >= 0:
            read[name] = str(value)
        need(isinstance(read[name], str), "envelope")
    return read


def binary(fields, name, length=None):
    need(name in fields, "envelope")
    try:
        value = base64.b64decode(fields[name], validate=True)
    except (binascii.Error, ValueError):
        raise Refused("envelope") from None
    need(base64.b64encode(value).decode() == fields[name], "envelope")
    need(length is None or len(value) == length, "envelope")
    return value


def envelope(v):
    """Format, and its fields."""
    fields = {}
    for name, value in v["metadata"].items():
        need(name.lower() not in fields, "envelope")
        fields[name.lower()] = undo(value)
    present = [name for name in MARKERS if name in fields]
    need(len(present) < 2, "envelope")
    if present:
        return whole(fields)
    need(not any(name in fields for name in OLD + REST), "envelope")
    own = [name for name in OWN if name in fields]
    need(len(own) in (0, 3), "envelope")
    if own:
        need(fields["x-amz-c"] == "115", "envelope")
        binary(fields, "x-amz-d", 28), binary(fields, "x-amz-i", 28)
    need("instruction_file" in v, "not_encrypted")
    file = texts(v["instruction_file"], NUMBERS)
    need(len(v["instruction_file"].encode()) <= 65536, "envelope")
    need(all(name in KNOWN for name in file) and not any(name in file for name in OWN), "envelope")
    present = [name for name in MARKERS if name in file]
    need(len(present) == 1 and (present == ["x-amz-3"]) == bool(own), "envelope")
    return whole({**file, **{name: fields[name] for name in own}})


def whole(fields):
    if "x-amz-3" in fields:
        need(not any(name in fields for name in OLD), "envelope")
        need(all(name in fields for name in OWN + ["x-amz-w"]), "envelope")
        need(fields["x-amz-c"] == "115" and fields["x-amz-w"] in ("02", "12", "22"), "envelope")
        by_service = fields["x-amz-w"] == "12"
        need(by_service == ("x-amz-t" in fields) and not (by_service and "x-amz-m" in fields), "envelope")
        message_id = binary(fields, "x-amz-i", 28)
        need(any(message_id), "envelope")
        wrap = {"02": "AES/GCM", "12": "kms+context", "22": "RSA-OAEP-SHA1"}[fields["x-amz-w"]]
        return {"format": 3, "wrap": wrap, "cek": "115", "wrapped": binary(fields, "x-amz-3"), "commitment": binary(fields, "x-amz-d", 28),
                "id": message_id, "description": texts(fields.get("x-amz-t") or fields.get("x-amz-m", "{}"))}
    need(not any(name in fields for name in OWN + REST), "envelope")
    description = texts(fields.get("x-amz-matdesc", "{}"))
    if "x-amz-key" in fields:
        need(not any(name in fields for name in ("x-amz-cek-alg", "x-amz-wrap-alg", "x-amz-tag-len")), "envelope")
        wrapped = binary(fields, "x-amz-key")
        return {"format": 1, "wrap": "RSA" if len(wrapped) > 48 else "AES", "cek": "AES/CBC/PKCS5Padding", "wrapped": wrapped,
                "iv": binary(fields, "x-amz-iv", 16), "description": description}
    cek, wrap = fields.get("x-amz-cek-alg"), fields.get("x-amz-wrap-alg")
    need(cek in ("AES/GCM/NoPadding", "AES/CBC/PKCS5Padding", "AES/CBC/PKCS7Padding"), "envelope")
    need(wrap in ("kms+context", "AES/GCM", "RSA-OAEP-SHA1", "kms", "AESWrap", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"), "envelope")
    is_gcm = cek == "AES/GCM/NoPadding"
    iv = binary(fields, "x-amz-iv", 12 if is_gcm else 16)
    need(is_gcm or wrap not in ("kms+context", "AES/GCM", "RSA-OAEP-SHA1"), "envelope")
    need(not is_gcm or (any(iv) and fields.get("x-amz-tag-len", "128") == "128"), "envelope")
    return {"format": 2, "wrap": wrap, "cek": cek, "wrapped": binary(fields, "x-amz-key-v2"), "iv": iv, "description": description}


# Keys.

def admit(v, e):
    """Judged before any key is used."""
    need(v["policy"] != "require-encrypt-require-decrypt" or e["format"] == 3, "refused")
    need(v.get("legacy_wrapping") or e["wrap"] in ("kms+context", "AES/GCM", "RSA-OAEP-SHA1"), "refused")
    need(v.get("legacy_modes") or "CBC" not in e["cek"], "refused")


def data_key(v, e):
    keys, expected = v["keys"], v.get("context", {})
    if "kms" in keys:
        key = by_service(keys["kms"], e, expected)
    else:
        need(not expected, "wrong_context")
        need(e["wrap"] not in ("kms", "kms+context"), "wrong_key")
        ring = keys.get("aes") or keys.get("rsa")
        found = [one for one in ring if one["description"] == e["description"]]
        need(found, "unknown_description")
        key = by_aes(bytes.fromhex(found[0]["key_hex"]), e) if "aes" in keys else by_rsa(found[0]["pkcs8_b64"], e)
    need(len(key) == 32 or (len(key) in (16, 24) and e["format"] != 3), "wrong_key")
    return key


def by_service(service, e, expected):
    stored = e["description"]
    need(e["wrap"] in ("kms", "kms+context"), "wrong_key")
    if e["wrap"] == "kms":
        need(not expected, "wrong_context")
        need(CEK_ENTRY not in stored, "envelope")
    else:
        need(CEK_ENTRY not in expected and KEY_ENTRY not in expected, "config")
        need(stored.get(CEK_ENTRY) == e["cek"], "envelope")
        need({name: value for name, value in stored.items() if name not in (CEK_ENTRY, KEY_ENTRY)} == expected, "wrong_context")
    for known in service["ciphertexts"]:
        if bytes.fromhex(known["blob_hex"]) == e["wrapped"] and known["context"] == stored:
            return bytes.fromhex(known["data_key_hex"])
    raise Refused("key_service")


def by_aes(master, e):
    wrapped = e["wrapped"]
    try:
        if e["wrap"] == "AES/GCM":
            need(len(wrapped) >= 12, "wrong_key")
            return AESGCM(master).decrypt(wrapped[:12], wrapped[12:], e["cek"].encode())
        if e["wrap"] == "AESWrap":
            return keywrap.aes_key_unwrap(master, wrapped)
        if e["wrap"] == "AES":
            return unpadded(Cipher(algorithms.AES(master), modes.ECB()), wrapped)
    except (InvalidTag, keywrap.InvalidUnwrap, ValueError):
        pass
    raise Refused("wrong_key")


def by_rsa(pkcs8, e):
    key = serialization.load_der_private_key(base64.b64decode(pkcs8), None)
    oaep = lambda digest: rsa_padding.OAEP(rsa_padding.MGF1(digest()), digest(), None)
    try:
        if e["wrap"] == "RSA-OAEP-SHA1":
            payload = key.decrypt(e["wrapped"], oaep(hashes.SHA1))
            need(len(payload) > 0 and payload[1 + payload[0]:] == e["cek"].encode() and len(payload) > payload[0], "wrong_key")
            return payload[1:1 + payload[0]]
        if e["wrap"] == "RSA/ECB/OAEPWithSHA-256AndMGF1Padding":
            return key.decrypt(e["wrapped"], oaep(hashes.SHA256))
        if e["wrap"] == "RSA":
            found = key.decrypt(e["wrapped"], rsa_padding.PKCS1v15())
            need(len(found) in (16, 24, 32), "content")
            return found
    except ValueError:
        # Wrong PKCS#1 padding must not be told from content that does not open.
        raise Refused("content" if e["wrap"] == "RSA" else "wrong_key") from None
    raise Refused("wrong_key")


# Content.

def hkdf(key, message_id):
    """Commitment and content key."""
    extracted = hmac.new(message_id, key, hashlib.sha512).digest()
    expand = lambda label: hmac.new(extracted, SUITE + label + b"\1", hashlib.sha512).digest()
    return expand(b"COMMITKEY")[:28], expand(b"DERIVEKEY")[:32]


def unpadded(cipher, data):
    decryptor, unpad = cipher.decryptor(), padding.PKCS7(128).unpadder()
    plain = decryptor.update(data) + decryptor.finalize()
    return unpad.update(plain) + unpad.finalize()


def open_object(v):
    e = envelope(v)
    admit(v, e)
    key, content = data_key(v, e), bytes.fromhex(v["content_hex"])
    nonce, aad = e.get("iv"), None
    if e["format"] == 3:
        commitment, key = hkdf(key, e["id"])
        need(commitment == e["commitment"], "commitment")
        nonce, aad = b"\1" * 12, SUITE
    try:
        if "CBC" in e["cek"]:
            plain = unpadded(Cipher(algorithms.AES(key), modes.CBC(e["iv"])), content)
        else:
            plain = AESGCM(key).decrypt(nonce, content, aad)
    except (InvalidTag, ValueError):
        raise Refused("content") from None
    return {"plaintext_hex": plain.hex()}


def counter_range(v):
    """Bytes first..=last of the plaintext, by AES-CTR from the right block on."""
    key, first, last = bytes.fromhex(v["key_hex"]), v["first"], v["last"]
    need(v["stored_bytes"] >= 16 and v["stored_bytes"] - 16 <= LONGEST, "content")
    need(first <= last and first < v["stored_bytes"] - 16, "range")
    last = min(last, v["stored_bytes"] - 17)
    start = first - first % 16
    counter = bytes.fromhex(v["nonce_hex"]) + struct.pack(">I", 2 + start // 16)
    stream = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(bytes(last + 1 - start))
    return {"fetch_first": start, "fetch_last": last, "keystream_hex": stream[first - start:].hex()}


FILES = {"cse/own-objects.json": {"opened": open_object, "refused": open_object}, "cse/own-ranges.json": {"ranges": counter_range}}
