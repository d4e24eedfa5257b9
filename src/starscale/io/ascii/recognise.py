"""Tell text tables that describe their columns by their first lines."""

from __future__ import annotations

import re
from pathlib import Path

_DESCRIPTION = re.compile(rb"^\s*Byte-by-byte Description of file: *(.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_TYPES = {*("int", "integer", "long", "float", "double", "real", "char", "date"), *"ilfdrc"}
#: Characters that are searched for a description.
HEAD = 1 << 20
#: Name of the file in which the CDS describes the tables of a folder.
README = "ReadMe"


def byte_by_byte(head: bytes) -> bool:
    """Whether a text has a description of its columns, as tables of the CDS and of the AAS journals have."""
    return _DESCRIPTION.search(head) is not None


def is_ipac(head: bytes) -> bool:
    """Whether a text begins as an IPAC table: names between bars, and types below them."""
    lines = [line for line in head.splitlines() if not line.startswith(b"\\")][:2]
    if len(lines) < 2 or not all(line.startswith(b"|") for line in lines):
        return False
    types = [word.strip().lower() for word in lines[1].decode("latin-1").strip().strip("|").split("|")]
    return set(types) <= _TYPES


def described_by(readme: str, name: str) -> str:
    """Return the byte-by-byte description of the file `name` in the text of a ReadMe; empty if there is none."""
    lines = readme.splitlines()
    for start, line in enumerate(lines):
        found = _DESCRIPTION.match(line.encode())
        if found is None or name not in found[1].decode().split():
            continue
        rules = [i for i, text in enumerate(lines) if i > start and re.fullmatch(r"-{20,}\s*", text)]
        return "\n".join(lines[start : rules[2] + 1]) if len(rules) > 2 else ""
    return ""


def readme_beside(path: Path) -> str:
    """Return the description of a file in the ReadMe of its folder; empty if there is none."""
    readme = path.with_name(README)
    if not readme.is_file():
        return ""
    name = path.name.removesuffix(".gz")
    return described_by(readme.read_bytes().decode("utf-8", "replace"), name)
