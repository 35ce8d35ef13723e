# SPDX-License-Identifier: Apache-2.0
"""What the run showed about other clients: `docs/cse-compatibility.md` is written from it."""

from compat import DOCUMENTS, HERE as E2E, Document
from peers import FORMATS, PEERS, STORAGES, WRAPS


class Page(Document):
    """One row for each client, format, wrap and storage; a cell counts when its test succeeded."""

    def __init__(self):
        super().__init__("cse", lambda: set((E2E / "cse").glob("test_*.py")), (), "e2e/cse")
        self.sizes = {}
        self.absent = []

    def note(self, direction, case):
        cell = (case.peer, case.format, case.wrap, case.storage, direction)
        self.sizes.setdefault(cell, set()).add((case.size, case.parts))

    def why_not(self):
        if self.absent:
            return "not here: " + ", ".join(self.absent)
        return super().why_not()

    def generated(self):
        lines = ["| Client | Format | Wrap | Envelope in | It writes, we read | We write, it reads |",
                 "|---|---|---|---|---|---|"]
        for peer in PEERS:
            for form in ("V1", *FORMATS):
                for wrap in WRAPS:
                    for storage in STORAGES:
                        if (form, wrap, storage) not in {*peer.writes, *peer.reads}:
                            continue
                        cells = [self.cell(peer.name, form, wrap, storage, d) for d in ("in", "out")]
                        # Ruby's first client writes the fields of V2 under a KMS key.
                        shown_form = "V2, AES-CBC" if (form, wrap) == ("V1", "kms") else form
                        lines.append(f"| {peer.name} | {shown_form} | {WORDS[wrap]} | {storage} | "
                                     f"{cells[0]} | {cells[1]} |")
        return "\n".join(lines) + "\n"

    def cell(self, *cell):
        sizes = self.sizes.get(cell)
        if not sizes:
            return "-"
        largest = max(sizes)[0]
        parts = ", in parts too" if any(parts for _, parts in sizes) else ""
        return f"{len(sizes)} objects up to {shown(largest)}{parts}"


def shown(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"


WORDS = {"kms": "KMS key", "aes": "AES key", "rsa": "RSA key"}
PAGE = Page()
DOCUMENTS.append(PAGE)
