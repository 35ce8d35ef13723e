# SPDX-License-Identifier: Apache-2.0
"""Finds a secret in bytes, however it was written down."""

import base64
from urllib.parse import quote_from_bytes


def forms(secret):
    """The secret as it is, in hex, base64 (at each alignment), escaped, as numbers, reversed."""
    secret = secret.encode() if isinstance(secret, str) else secret
    out = {"plain": secret, "reversed": secret[::-1], "UTF-16": secret.decode("latin-1").encode("utf-16-le")}
    out["hex"] = secret.hex().encode()
    out["HEX"] = secret.hex().upper().encode()
    for shift in range(3):
        # Only characters that depend on the secret alone.
        text = base64.b64encode(bytes(shift) + secret)
        first = 0 if shift == 0 else shift + 1
        last = (shift + len(secret)) // 3 * 4
        out[f"base64+{shift}"] = text[first:last]
        out[f"base64url+{shift}"] = text[first:last].replace(b"+", b"-").replace(b"/", b"_")
    out["escaped"] = quote_from_bytes(secret).encode()
    out["numbers"] = ",".join(str(b) for b in secret[:12]).encode()
    return {name: form for name, form in out.items() if len(form) >= 8}


def find(secrets, haystacks):
    """[(secret, form, where)] of everything found. `haystacks` is (where, bytes) pairs."""
    needles = [(name, how, form) for name, s in secrets.items() for how, form in forms(s).items()]
    return [
        (name, how, str(where))
        for where, data in haystacks
        for name, how, form in needles
        if form in data
    ]


def files(paths):
    """Whole files; a file that a live server removed meanwhile holds nothing."""
    for path in paths:
        try:
            yield path, path.read_bytes()
        except FileNotFoundError:
            pass


def memory(pid):
    """What can be read of a process's writable memory: (where, bytes) of each part that is there."""
    parts = []
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            words = line.split()
            if "-" in words[0] and len(words) >= 5:
                start, end = (int(word, 16) for word in words[0].split("-"))
                parts.append([start, end, words[1], words[5] if len(words) > 5 else "", 0])
            elif words[0] == "Rss:":
                parts[-1][4] = int(words[1])
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for start, end, mode, name, resident in parts:
            if mode[:2] == "rw" and resident:
                yield from read_part(file, start, end, name)


def read_part(file, start, end, name, step=64 << 20):
    """Parts overlap, so that nothing is cut in two. Memory that may not be read gives nothing."""
    for at in range(start, end, step):
        size = min(step + 8192, end - at)
        data = b""
        try:
            file.seek(at)
            while len(data) < size and (more := file.read(size - len(data))):
                data += more
        except OSError:
            pass
        if data:
            yield f"{at:x} {name}", data
