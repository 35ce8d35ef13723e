# SPDX-License-Identifier: Apache-2.0
"""Client-side encrypted objects as a client of our own would write them, and the same with one defect each; generate.py writes
them. Names of refused ones begin with the number of the rule that they break.
"""
import base64, copy, hashlib, json
from cryptography.hazmat.primitives import keywrap, padding, serialization
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import client_side as c
from reproduce import HERE

GCM, CBC = "AES/GCM/NoPadding", "AES/CBC/PKCS5Padding"
KEY_ID = "arn:aws:kms:us-east-1:123456789012:key/3f8f1b1e-7a0a-4a52-9a55-0a6d5c1f7f10"
ALLOW, REQUIRE = "require-encrypt-allow-decrypt", "require-encrypt-require-decrypt"
PKCS8 = json.loads((HERE / "cse/jce-wraps.json").read_text())["rsa_private_pkcs8_b64"]


def b64(data):
    return base64.b64encode(data).decode()


def compact(document):
    return json.dumps(document, separators=(",", ":"))


def mgf1(seed, length, digest):
    out = b"".join(digest(seed + i.to_bytes(4, "big")).digest() for i in range(length // 20 + 1))
    return out[:length]


def oaep(payload, seed, digest):
    """RSA-OAEP with a chosen seed, so that a second run gives the same bytes."""
    public = serialization.load_der_private_key(base64.b64decode(PKCS8), None).public_key().public_numbers()
    size, width = (public.n.bit_length() + 7) // 8, digest().digest_size
    block = digest(b"").digest() + bytes(size - len(payload) - 2 * width - 2) + b"\1" + payload
    xor = lambda a, b: bytes(x ^ y for x, y in zip(a, b))
    block = xor(block, mgf1(seed[:width], len(block), digest))
    seed = xor(seed[:width], mgf1(block, width, digest))
    return pow(int.from_bytes(b"\0" + seed + block, "big"), public.e, public.n).to_bytes(size, "big")


def pkcs1(payload, filler):
    public = serialization.load_der_private_key(base64.b64decode(PKCS8), None).public_key().public_numbers()
    size = (public.n.bit_length() + 7) // 8
    filler = bytes(byte or 1 for byte in filler[:size - 3 - len(payload)])
    return pow(int.from_bytes(b"\0\2" + filler + b"\0" + payload, "big"), public.e, public.n).to_bytes(size, "big")


def padded(mode, key, plain):
    pad, encryptor = padding.PKCS7(128).padder(), Cipher(algorithms.AES(key), mode).encryptor()
    return encryptor.update(pad.update(plain) + pad.finalize()) + encryptor.finalize()


class Writer:
    """Every byte from the object's name."""

    def __init__(self, rnd, name):
        self.rnd = lambda label, length: rnd(f"client side {name} {label}", length)
        self.name = name

    def wrap(self, how, key, cek, master, context):
        if how in ("kms", "kms+context"):
            blob = b"own service " + self.rnd("blob", 40)
            stored = {**context, c.CEK_ENTRY: cek} if how == "kms+context" else {**context, c.KEY_ENTRY: KEY_ID}
            known = {"blob_hex": blob.hex(), "context": stored, "data_key_hex": key.hex()}
            return blob, stored, {"kms": {"key_id": KEY_ID, "ciphertexts": [known]}}
        if how in ("AES/GCM", "AESWrap", "AES"):
            nonce = self.rnd("wrap nonce", 12)
            wrapped = {"AES/GCM": lambda: nonce + AESGCM(master).encrypt(nonce, key, cek.encode()), "AESWrap": lambda: keywrap.aes_key_wrap(master, key),
                       "AES": lambda: padded(modes.ECB(), master, key)}[how]()
            return wrapped, context, {"aes": [{"description": context, "key_hex": master.hex()}]}
        seed = self.rnd("seed", 300)
        wrapped = {"RSA-OAEP-SHA1": lambda: oaep(bytes([len(key)]) + key + cek.encode(), seed, hashlib.sha1),
                   "RSA/ECB/OAEPWithSHA-256AndMGF1Padding": lambda: oaep(key, seed, hashlib.sha256), "RSA": lambda: pkcs1(key, seed)}[how]()
        return wrapped, context, {"rsa": [{"description": context, "pkcs8_b64": PKCS8}]}

    def write(self, version, how, plain, cek=GCM, context=None, in_file=False, master=32, key=32, **more):
        """`context` is the encryption context of a key service, else the materials description."""
        context, key, cek = context or {}, self.rnd("data key", key), "115" if version == 3 else cek
        wrapped, stored, keys = self.wrap(how, key, cek, self.rnd("master", master), context)
        own = {}
        if version == 3:
            message_id = self.rnd("message id", 28)
            commitment, content_key = c.hkdf(key, message_id)
            content = AESGCM(content_key).encrypt(b"\1" * 12, plain, c.SUITE)
            own = {"x-amz-c": cek, "x-amz-d": b64(commitment), "x-amz-i": b64(message_id)}
            code = {"AES/GCM": "02", "kms+context": "12", "RSA-OAEP-SHA1": "22"}[how]
            fields = {"x-amz-3": b64(wrapped), "x-amz-w": code, "x-amz-t" if code == "12" else "x-amz-m": compact(stored)}
        else:
            iv = self.rnd("iv", 12 if cek == GCM else 16)
            content = AESGCM(key).encrypt(iv, plain, None) if cek == GCM else padded(modes.CBC(iv), key, plain)
            fields = {"x-amz-iv": b64(iv), "x-amz-matdesc": compact(stored)}
            if version == 1:
                fields["x-amz-key"] = b64(wrapped)
            else:
                fields.update({"x-amz-key-v2": b64(wrapped), "x-amz-cek-alg": cek, "x-amz-wrap-alg": how})
                if cek == GCM:
                    fields["x-amz-tag-len"] = "128"
        v = {"name": self.name, "policy": REQUIRE if version == 3 else ALLOW, "metadata": own if in_file else {**own, **fields}}
        if in_file:
            v["instruction_file"] = compact(fields)
        if how in ("kms", "AESWrap", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", "AES", "RSA"):
            v["legacy_wrapping"] = True
        if cek == CBC:
            v["legacy_modes"] = True
        if how == "kms+context":
            v["context"] = context
        return {**v, "keys": keys, "content_hex": content.hex(), **more}


def objects(rnd):
    def write(name, version, how, size=37, **more):
        return Writer(rnd, name).write(version, how, rnd(f"client side plain {name}", size), **more)

    odd = {"purpose": "h\u00e9llo \u65e5\u672c \U0001f600", "a b": "c \"d\" \\ <&>"}
    ecs = {"tenant": "a", "purpose": "invoices"}
    good = []
    for version in (3, 2):
        for how, short in (("kms+context", "kms"), ("AES/GCM", "aes"), ("RSA-OAEP-SHA1", "rsa")):
            for size in (0, 1, 15, 16, 17, 100):
                good.append(write(f"v{version}_{short}_{size}", version, how, size))
            good.append(write(f"v{version}_{short}_instruction_file", version, how, in_file=True))
            good.append(write(f"v{version}_{short}_description", version, how, context=ecs))
            good.append(write(f"v{version}_{short}_odd_description", version, how, context=odd))
            good.append(write(f"v{version}_{short}_odd_description_instruction_file", version, how, context=odd, in_file=True))
        good += [write(f"v{version}_aes_master_{bits}", version, "AES/GCM", master=bits // 8) for bits in (128, 192)]
    good += [write(f"v2_{short}_data_key_{bits}", 2, how, key=bits // 8) for bits in (128, 192) for how, short in (("AES/GCM", "aes"), ("RSA-OAEP-SHA1", "rsa"))]
    for how, short in (("kms", "kms"), ("AESWrap", "aeswrap"), ("RSA/ECB/OAEPWithSHA-256AndMGF1Padding", "oaep256")):
        for cek, mode in ((GCM, "gcm"), (CBC, "cbc")):
            good.append(write(f"v2_legacy_{short}_{mode}", 2, how, cek=cek))
            good.append(write(f"v2_legacy_{short}_{mode}_instruction_file", 2, how, cek=cek, in_file=True))
    for how, short in (("AES", "aes"), ("RSA", "rsa")):
        for size in (0, 15, 16, 37):
            good.append(write(f"v1_{short}_{size}", 1, how, size, cek=CBC))
        good.append(write(f"v1_{short}_instruction_file", 1, how, cek=CBC, in_file=True))

    def variant(name, of, change):
        v = copy.deepcopy(next(v for v in good if v["name"] == of))
        change(v)
        good.append({**v, "name": name})

    variant("v2_without_tag_len", "v2_kms_17", lambda v: v["metadata"].pop("x-amz-tag-len"))
    variant("v2_cbc_with_tag_len_0", "v2_legacy_kms_cbc", lambda v: v["metadata"].update({"x-amz-tag-len": "0"}))
    variant("v2_cbc_called_pkcs7", "v2_legacy_kms_cbc", lambda v: v["metadata"].update({"x-amz-cek-alg": "AES/CBC/PKCS7Padding"}))
    variant("v2_without_description", "v2_aes_17", lambda v: v["metadata"].pop("x-amz-matdesc"))
    variant("v1_without_description", "v1_aes_37", lambda v: v["metadata"].pop("x-amz-matdesc"))
    variant("v3_without_description", "v3_aes_17", lambda v: v["metadata"].pop("x-amz-m"))
    variant("v3_with_plaintext_length", "v3_kms_17", lambda v: v["metadata"].update({"x-amz-unencrypted-content-length": "17"}))
    variant("v3_with_other_metadata", "v3_kms_17", lambda v: v["metadata"].update({"color": "red", "x-amz-z": "?"}))
    variant("v3_names_in_capitals", "v3_kms_17", lambda v: v.update(metadata={name.title(): value for name, value in v["metadata"].items()}))
    variant("v2_file_beside_plaintext_length", "v2_aes_instruction_file", lambda v: v["metadata"].update({"x-amz-unencrypted-content-length": "37"}))
    variant("v2_file_with_numbers", "v2_aes_instruction_file",
            lambda v: v.update(instruction_file=v["instruction_file"].replace('"128"', '128,"x-amz-unencrypted-content-length":37')))
    spaced = lambda v: json.dumps(json.loads(v["instruction_file"]), indent=1)
    variant("v3_file_on_many_lines", "v3_rsa_instruction_file", lambda v: v.update(instruction_file=spaced(v)))

    def as_s3_returns(v):
        raw = json.dumps(odd_stored(v), ensure_ascii=False)
        v["metadata"]["x-amz-t"] = "=?UTF-8?B?" + b64(raw.encode().decode("latin-1").encode()) + "?="

    odd_stored = lambda v: json.loads(v["metadata"]["x-amz-t"])
    variant("v3_context_not_ascii_as_s3_returns_it", "v3_kms_odd_description", as_s3_returns)
    return good


def refused(rnd, flip, good):
    bad = []
    named = {v["name"]: v for v in good}

    def defect(name, of, change=lambda v: None, **fields):
        v = copy.deepcopy(named[of])
        change(v)
        for field, value in fields.items():
            v["metadata"].pop(field) if value is None else v["metadata"].update({field: value})
        bad.append({**v, "name": "cse_" + name})

    def m(**fields):
        return {name.replace("_", "-"): value for name, value in fields.items()}

    def content(change):
        return lambda v: v.update(content_hex=change(bytes.fromhex(v["content_hex"])).hex())

    def field(of, name):
        return base64.b64decode(named[of]["metadata"][name])

    def file(change):
        def apply(v):
            document = json.loads(v["instruction_file"])
            change(document, v)
            v["instruction_file"] = compact(document)
        return apply

    for version in (3, 2):
        of = f"v{version}_kms_100"
        defect(f"n01_body_bit_flipped_v{version}", of, content(lambda data: flip(data, 77)))
        defect(f"n02_tag_bit_flipped_v{version}", of, content(lambda data: flip(data, len(data) * 8 - 1)))
        defect(f"n03_body_cut_by_1_v{version}", of, content(lambda data: data[:-1]))
        defect(f"n04_body_cut_by_16_v{version}", of, content(lambda data: data[:-16]))
        defect(f"n05_byte_appended_v{version}", of, content(lambda data: data + b"\0"))
    d, i, three = field("v3_kms_17", "x-amz-d"), field("v3_kms_17", "x-amz-i"), "v3_kms_17"
    defect("n06_c_flipped", three, **m(x_amz_c="015"))
    defect("n07_d_flipped", three, **m(x_amz_d=b64(flip(d, 0))))
    defect("n08_i_flipped", three, **m(x_amz_i=b64(flip(i, 223))))
    defect("n09_d_of_27_bytes", three, **m(x_amz_d=b64(d[:27])))
    defect("n10_d_of_29_bytes", three, **m(x_amz_d=b64(d + b"\0")))
    defect("n11_i_of_27_bytes", three, **m(x_amz_i=b64(i[:27])))
    defect("n12_i_of_29_bytes", three, **m(x_amz_i=b64(i + b"\0")))
    defect("n12_i_all_zero", three, **m(x_amz_i=b64(bytes(28))))
    other = lambda v: v["keys"]["kms"]["ciphertexts"].extend(named["v3_kms_16"]["keys"]["kms"]["ciphertexts"])
    defect("n13_wrapped_key_of_another_object_kms", three, other, **m(x_amz_3=named["v3_kms_16"]["metadata"]["x-amz-3"]))
    master = bytes.fromhex(named["v3_aes_17"]["keys"]["aes"][0]["key_hex"])
    nonce = rnd("client side other nonce", 12)
    wrapped = lambda key, cek: b64(nonce + AESGCM(master).encrypt(nonce, key, cek.encode()))
    defect("n13_wrapped_key_of_another_object_aes", "v3_aes_17", **m(x_amz_3=wrapped(rnd("client side other key", 32), "115")))
    defect("n14_w_02_on_a_kms_object", three, **m(x_amz_w="02"))
    defect("n14_w_02_and_m_on_a_kms_object", three, **m(x_amz_w="02", x_amz_t=None, x_amz_m="{}"))
    defect("n14_w_12_on_an_aes_object", "v3_aes_17", **m(x_amz_w="12", x_amz_m=None, x_amz_t='{"aws:x-amz-cek-alg":"115"}'))
    defect("n15_w_99", three, **m(x_amz_w="99"))
    defect("n16_w_01", three, **m(x_amz_w="01"))
    defect("n17_c_114", three, **m(x_amz_c="114"))
    defect("n18_c_116", three, **m(x_amz_c="116"))
    defect("n19_key_and_key_v2", "v2_kms_17", **m(x_amz_key="AAAA"))
    defect("n20_key_v2_and_3", "v2_kms_17", **m(x_amz_3="AAAA"))
    defect("n21_key_and_3", "v1_aes_37", **m(x_amz_3="AAAA"))
    defect("n22_v2_with_c", "v2_kms_17", **m(x_amz_c="115"))
    defect("n23_v2_with_w", "v2_kms_17", **m(x_amz_w="12"))
    defect("n24_v2_with_c_and_w", "v2_kms_17", **m(x_amz_c="115", x_amz_w="12"))
    defect("n25_v3_with_tag_len", three, **m(x_amz_tag_len="128"))
    defect("n26_v3_with_iv", three, **m(x_amz_iv=b64(b"\1" * 12)))
    for name in ("c", "d", "i"):
        copied = lambda document, v, name="x-amz-" + name: document.update({name: v["metadata"][name]})
        defect(f"n27_instruction_file_with_{name}", "v3_aes_instruction_file", file(copied))
    defect("n28_instruction_file_of_v2_for_v3", "v3_aes_instruction_file", lambda v: v.update(instruction_file=named["v2_aes_instruction_file"]["instruction_file"]))
    defect("n28_instruction_file_of_v2_and_v3", "v3_aes_instruction_file", file(lambda document, v: document.update({"x-amz-key-v2": "AAAA"})))
    defect("n28_instruction_file_of_v3_for_v2", "v2_aes_instruction_file", lambda v: v.update(instruction_file=named["v3_aes_instruction_file"]["instruction_file"]))
    defect("n29_instruction_file_with_unknown_field", "v3_aes_instruction_file", file(lambda document, v: document.update({"x-amz-zz": "1"})))
    defect("n30_instruction_file_not_json", "v3_aes_instruction_file", lambda v: v.update(instruction_file="wrapped: yes"))
    defect("n31_instruction_file_json_array", "v3_aes_instruction_file", lambda v: v.update(instruction_file="[" + v["instruction_file"] + "]"))
    defect("n31_instruction_file_number_for_a_text", "v3_aes_instruction_file", lambda v: v.update(instruction_file=v["instruction_file"].replace('"02"', "2")))
    defect("n31_instruction_file_name_twice", "v3_aes_instruction_file", lambda v: v.update(instruction_file='{"x-amz-w":"02",' + v["instruction_file"][1:]))
    defect("n31_instruction_file_empty", "v3_aes_instruction_file", lambda v: v.update(instruction_file=""))
    defect("n31_instruction_file_missing", "v3_aes_instruction_file", lambda v: v.pop("instruction_file"))
    for version in (3, 2):
        of = f"v{version}_kms_description"
        defect(f"n32_context_entry_wrong_v{version}", of, lambda v: v["context"].update(tenant="b"))
        defect(f"n33_context_entry_missing_v{version}", of, lambda v: v["context"].pop("tenant"))
        defect(f"n33_context_missing_v{version}", of, lambda v: v["context"].clear())
        defect(f"n34_context_entry_extra_v{version}", of, lambda v: v["context"].update(more="x"))
        defect(f"n35_context_entry_reserved_v{version}", of, lambda v: v["context"].update({c.CEK_ENTRY: "115"}))
        defect(f"n35_context_entry_reserved_key_id_v{version}", of, lambda v: v["context"].update({c.KEY_ENTRY: KEY_ID}))
    defect("n36_stored_cek_alg_of_v2_in_v3", three, **m(x_amz_t=compact({c.CEK_ENTRY: GCM})))
    defect("n36_stored_cek_alg_of_v3_in_v2", "v2_kms_17", **m(x_amz_matdesc=compact({c.CEK_ENTRY: "115"})))
    defect("n36_stored_cek_alg_missing", three, **m(x_amz_t="{}"))
    defect("n37_tag_len_96", "v2_kms_17", **m(x_amz_tag_len="96"))
    defect("n38_gcm_iv_of_16_bytes", "v2_kms_17", **m(x_amz_iv=b64(b"\1" * 16)))
    defect("n39_iv_all_zero", "v2_kms_17", **m(x_amz_iv=b64(bytes(12))))
    cbc = m(x_amz_cek_alg=CBC, x_amz_iv=b64(b"\1" * 16))
    everything = lambda v: v.update(policy=ALLOW, legacy_wrapping=True, legacy_modes=True)
    defect("n40_gcm_to_cbc_under_aes", "v2_aes_17", everything, **cbc)
    defect("n41_gcm_to_cbc_under_rsa", "v2_rsa_17", everything, **cbc)
    defect("n42_gcm_to_cbc_under_kms", "v2_kms_17", everything, **cbc)
    defect("n43_kms_context_to_kms", "v2_kms_17", everything, **m(x_amz_wrap_alg="kms"))
    defect("n43_kms_context_to_kms_and_cbc", "v2_kms_17", everything, **cbc, **m(x_amz_wrap_alg="kms"))
    defect("n43_kms_context_to_kms_around_the_context", "v2_kms_description", lambda v: (everything(v), v["context"].clear()), **m(x_amz_wrap_alg="kms"))
    defect("n43_kms_with_a_context_expected", "v2_legacy_kms_gcm", lambda v: v.update(context={"tenant": "a"}))
    off = lambda v: (v.pop("legacy_wrapping", None), v.pop("legacy_modes", None))
    defect("n44_cbc_with_flags_off", "v2_legacy_kms_cbc", lambda v: v.pop("legacy_modes"))
    defect("n45_kms_with_flags_off", "v2_legacy_kms_gcm", off)
    defect("n46_aeswrap_with_flags_off", "v2_legacy_aeswrap_gcm", off)
    defect("n46_oaep_sha256_with_flags_off", "v2_legacy_oaep256_gcm", off)
    for short in ("aes", "rsa"):
        defect(f"n47_v1_with_flags_off_{short}", f"v1_{short}_37", off)
        defect(f"n47_v1_with_only_wrapping_{short}", f"v1_{short}_37", lambda v: v.pop("legacy_modes"))
        defect(f"n47_v1_with_only_modes_{short}", f"v1_{short}_37", lambda v: v.pop("legacy_wrapping"))
    for of in ("v2_kms_17", "v2_aes_17", "v2_rsa_17", "v2_aes_instruction_file", "v1_aes_37"):
        defect("n48_require_decrypt_" + of, of, lambda v: v.update(policy=REQUIRE))
    defect("n49_plaintext_object", three, lambda v: v["metadata"].clear())
    defect("n49_plaintext_object_with_metadata", three, lambda v: v.update(metadata={"color": "red", "x-amz-unencrypted-content-length": "17"}))
    defect("n49_half_an_envelope_v3", three, **m(x_amz_3=None))
    defect("n49_half_an_envelope_v2", "v2_kms_17", **m(x_amz_key_v2=None))
    defect("n49_two_of_c_d_i", "v3_aes_instruction_file", **m(x_amz_d=None))
    seed, key = rnd("client side forged seed", 32), rnd("client side forged key", 32)
    for name, payload in (("n50_oaep_length_byte_31", b"\x1f" + key[1:] + b"115"), ("n50_oaep_length_byte_16", b"\x10" + key[16:] + b"115"),
                          ("n50_oaep_length_byte_beyond", b"\x40" + key + b"115"), ("n51_oaep_suffix_116", b"\x20" + key + b"116"),
                          ("n51_oaep_suffix_longer", b"\x20" + key + b"1155"), ("n51_oaep_suffix_missing", b"\x20" + key), ("n51_oaep_nothing", b"")):
        defect(name, "v3_rsa_17", **m(x_amz_3=b64(oaep(payload, seed, hashlib.sha1))))
    defect("n52_key_wrapped_for_v2_in_v3", "v3_aes_17", **m(x_amz_3=wrapped(key, GCM)))
    defect("n52_data_key_of_16_bytes_in_v3", "v3_aes_17", **m(x_amz_3=wrapped(key[:16], "115")))
    defect("n53_another_master_key", "v3_aes_17", lambda v: v["keys"]["aes"][0].update(key_hex=key.hex()))
    defect("n54_unknown_description", "v3_aes_17", **m(x_amz_m='{"kid":"2"}'))
    for name, text in (("array", "[]"), ("number", '{"a":1}'), ("twice", '{"a":"b","a":"c"}'), ("empty", ""), ("trailing", "{} {}"), ("half_a_character", '{"a":"\\ud800"}')):
        defect(f"n55_description_{name}", "v3_aes_17", **m(x_amz_m=text))
    defect("n56_base64_without_padding", three, **m(x_amz_i=b64(i).rstrip("=")))
    defect("n56_base64_with_a_line", three, **m(x_amz_i=b64(i)[:20] + "\n" + b64(i)[20:]))
    defect("n56_base64_of_urls", three, **m(x_amz_i="_" + b64(i)[1:]))
    return bad


def ranges(rnd):
    cases = [(100, 0, 83), (100, 0, 0), (100, 15, 16), (100, 16, 31), (100, 83, 83), (100, 83, 99), (100, 5, 2 ** 64 - 1), (17, 0, 0), (2 ** 36 - 16, 2 ** 36 - 40, 2 ** 36 - 1),
             (2 ** 36 - 16, 2 ** 35 + 7, 2 ** 35 + 40), (5 * 2 ** 30, 2 ** 32 - 3, 2 ** 32 + 3),
             (100, 84, 84), (100, 99, 100), (100, 9, 8), (16, 0, 0), (15, 0, 0), (0, 0, 0), (2 ** 36 - 15, 0, 0), (2 ** 64 - 1, 0, 0)]
    return [{"name": f"{first}_to_{last}_of_{stored}", "key_hex": rnd("client side range", 32).hex(), "nonce_hex": "01" * 12, "stored_bytes": stored,
             "first": first, "last": last} for stored, first, last in cases]


def files(rnd, flip):
    good = objects(rnd)
    yield "cse/own-objects.json", ("Objects by a client of our own, and what must be refused; docs/spec/client-side-encryption.md. `expect` is `ok`, or "
                                   "which error."), {"opened": good, "refused": refused(rnd, flip, good)}
    yield "cse/own-ranges.json", ("Ranges of plaintext: what is fetched, and the keystream from the first byte asked for on; "
                                  "docs/spec/client-side-encryption.md"), {"ranges": ranges(rnd)}
