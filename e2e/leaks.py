# SPDX-License-Identifier: Apache-2.0
"""Finds a secret in bytes, however it was written down."""

import array
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
    """What can be read of a process's writable memory: (where, bytes) of each run of pages that are
    there. Memory that may not be read gives nothing."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for start, end, name in runs(pid):
            data = b""
            try:
                file.seek(start)
                while len(data) < end - start and (more := file.read(end - start - len(data))):
                    data += more
            except OSError:
                pass
            if data:
                yield f"{start:x} {name}", data


def runs(pid):
    """(start, end, name) of writable memory that has pages: an allocator reserves far more."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        for line in maps:
            words = line.split()
            if words[1][:2] != "rw":
                continue
            start, end = (int(word, 16) // PAGE for word in words[0].split("-"))
            pagemap.seek(start * 8)
            there = array.array("Q", pagemap.read((end - start) * 8))
            first = None
            for page, entry in enumerate([*there, 0], start):
                if entry >> 62 and first is None:
                    first = page
                elif not entry >> 62 and first is not None:
                    yield first * PAGE, page * PAGE, words[5] if len(words) > 5 else ""
                    first = None


PAGE = 4096
