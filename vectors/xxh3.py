# SPDX-License-Identifier: Apache-2.0
"""XXH3, 64 bits, with a seed: written from the algorithm's public description
(github.com/Cyan4973/xxHash, doc/xxhash_spec.md), so that checksums of shards are recomputed by other
code than ours."""

M64 = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MX1, MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)


def le(data, at, width):
    return int.from_bytes(data[at:at + width], "little")


def swap(value, width):
    return int.from_bytes(value.to_bytes(width, "little"), "big")


def rotl(value, bits):
    return (value << bits | value >> 64 - bits) & M64


def fold(a, b):
    product = a * b
    return product & M64 ^ product >> 64


def avalanche(h):
    h = (h ^ h >> 37) * MX1 & M64
    return h ^ h >> 32


def avalanche64(h):
    h = (h ^ h >> 33) * P64_2 & M64
    h = (h ^ h >> 29) * P64_3 & M64
    return h ^ h >> 32


def mix16(data, at, secret_at, seed):
    low, high = le(SECRET, secret_at, 8) + seed & M64, le(SECRET, secret_at + 8, 8) - seed & M64
    return fold(le(data, at, 8) ^ low, le(data, at + 8, 8) ^ high)


def short(data, seed):
    n = len(data)
    if n == 0:
        return avalanche64(seed ^ le(SECRET, 56, 8) ^ le(SECRET, 64, 8))
    if n < 4:
        combined = data[n - 1] | n << 8 | data[0] << 16 | data[n >> 1] << 24
        return avalanche64(combined ^ (le(SECRET, 0, 4) ^ le(SECRET, 4, 4)) + seed & M64)
    if n < 9:
        seed ^= swap(seed & 0xFFFFFFFF, 4) << 32
        h = (le(SECRET, 8, 8) ^ le(SECRET, 16, 8)) - seed & M64
        h ^= le(data, n - 4, 4) + (le(data, 0, 4) << 32)
        h ^= rotl(h, 49) ^ rotl(h, 24)
        h = h * MX2 & M64
        h = (h ^ (h >> 35) + n) * MX2 & M64
        return h ^ h >> 28
    low = le(data, 0, 8) ^ (le(SECRET, 24, 8) ^ le(SECRET, 32, 8)) + seed & M64
    high = le(data, n - 8, 8) ^ (le(SECRET, 40, 8) ^ le(SECRET, 48, 8)) - seed & M64
    return avalanche(n + swap(low, 8) + high + fold(low, high) & M64)


def medium(data, seed):
    n = len(data)
    total = n * P64_1
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            total += mix16(data, 16 * i, 32 * i, seed) + mix16(data, n - 16 * (i + 1), 32 * i + 16, seed)
        return avalanche(total & M64)
    for i in range(8):
        total += mix16(data, 16 * i, 16 * i, seed)
    total = avalanche(total & M64)
    for i in range(8, n // 16):
        total += mix16(data, 16 * i, 16 * (i - 8) + 3, seed)
    return avalanche(total + mix16(data, n - 16, 136 - 17, seed) & M64)


def long(data, seed):
    n, secret = len(data), b""
    for at in range(0, 192, 16):
        secret += (le(SECRET, at, 8) + seed & M64).to_bytes(8, "little") + (le(SECRET, at + 8, 8) - seed & M64).to_bytes(8, "little")
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]

    def accumulate(at, secret_at):
        for lane in range(8):
            value = le(data, at + 8 * lane, 8)
            key = value ^ le(secret, secret_at + 8 * lane, 8)
            acc[lane ^ 1] = acc[lane ^ 1] + value & M64
            acc[lane] = acc[lane] + (key & 0xFFFFFFFF) * (key >> 32) & M64

    for block in range(0, (n - 1) // 1024):
        for stripe in range(16):
            accumulate(1024 * block + 64 * stripe, 8 * stripe)
        for lane in range(8):
            acc[lane] = (acc[lane] ^ acc[lane] >> 47 ^ le(secret, 128 + 8 * lane, 8)) * P32_1 & M64
    last = (n - 1) // 1024 * 1024
    for stripe in range((n - 1 - last) // 64):
        accumulate(last + 64 * stripe, 8 * stripe)
    accumulate(n - 64, 192 - 64 - 7)
    result = n * P64_1
    for i in range(4):
        result += fold(acc[2 * i] ^ le(secret, 11 + 16 * i, 8), acc[2 * i + 1] ^ le(secret, 19 + 16 * i, 8))
    return avalanche(result & M64)


def xxh3_64(data, seed):
    return (short if len(data) <= 16 else medium if len(data) <= 240 else long)(data, seed)
