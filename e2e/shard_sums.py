# SPDX-License-Identifier: Apache-2.0
"""XXH3-64, as far as shard files need it: whoever holds the drive can make their checksums fit."""

import struct

MASK = (1 << 64) - 1
P32 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
       0x27D4EB2F165667C5)
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def fold(a, b):
    product = (a & MASK) * (b & MASK)
    return (product ^ product >> 64) & MASK


def avalanche(value):
    value &= MASK
    value ^= value >> 37
    value = value * 0x165667919E3779F9 & MASK
    return value ^ value >> 32


def xxh3_64(data, seed):
    """Of 17 to 32 bytes, or of more than 240."""
    size = len(data)
    if 17 <= size <= 32:
        total = size * P64[0]
        for at, key in ((0, 0), (size - 16, 16)):
            total += fold(u64(data, at) ^ (u64(SECRET, key) + seed) & MASK,
                          u64(data, at + 8) ^ (u64(SECRET, key + 8) - seed) & MASK)
        return avalanche(total)
    assert size > 240
    return _long(data, seed)


def _long(data, seed):
    secret = b"".join(
        ((u64(SECRET, at) + (-seed if at % 16 else seed)) & MASK).to_bytes(8, "little")
        for at in range(0, 192, 8)
    )
    lanes = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]]
    keys = [struct.unpack_from("<8Q", secret, 8 * n) for n in range(16)]
    last_key = struct.unpack_from("<8Q", secret, 128)

    def take(at, key):
        for n, word in enumerate(struct.unpack_from("<8Q", data, at)):
            mixed = word ^ key[n]
            lanes[n ^ 1] = lanes[n ^ 1] + word & MASK
            lanes[n] = lanes[n] + (mixed & 0xFFFFFFFF) * (mixed >> 32) & MASK

    stripes = (len(data) - 1) // 64
    for stripe in range(stripes):
        take(stripe * 64, keys[stripe % 16])
        if stripe % 16 == 15:
            for n, key in enumerate(last_key):
                lanes[n] = (lanes[n] ^ lanes[n] >> 47 ^ key) * P32[0] & MASK
    take(len(data) - 64, struct.unpack_from("<8Q", secret, 121))
    total = len(data) * P64[0]
    for n in range(0, 8, 2):
        total += fold(lanes[n] ^ u64(secret, 11 + 8 * n), lanes[n + 1] ^ u64(secret, 19 + 8 * n))
    return avalanche(total)
