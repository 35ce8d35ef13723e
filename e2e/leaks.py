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
