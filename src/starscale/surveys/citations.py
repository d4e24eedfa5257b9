"""Papers to cite, as BibTeX: entries of the package by their key, and those that a survey file holds itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator

from starscale.vocabulary.errors import did_you_mean

_HEAD = re.compile(r"@(\w+)\s*\{\s*([^\s,{}]+)\s*,")


def _end(text: str, start: int) -> int:
    """Return the position after the brace that closes the one before `start`; 0 if there is none."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    return 0


def entries_of(text: str) -> dict[str, str]:
    """Return the entries of a BibTeX text, by key; a text between entries is a comment.

    Raises
    ------
    ValueError
        An entry without a key or with open braces, or two entries with one key.
    """
    found: dict[str, str] = {}
    at = text.find("@")
    while at >= 0:
        head = _HEAD.match(text, at)
        end = _end(text, head.end()) if head else 0
        if head is None or not end:
            raise ValueError(f"is not a BibTeX entry: {text[at : at + 40]!r} (expected @article{{key, ...}})")
        if head[2] in found:
            raise ValueError(f"two BibTeX entries with the key {head[2]!r}")
        found[head[2]] = text[at:end]
        at = text.find("@", end)
    return found


@lru_cache
def packaged_entries() -> Mapping[str, str]:
    """Return the entries of the package, by key."""
    return entries_of((resources.files(__package__) / "references.bib").read_text(encoding="utf-8"))


def _known(text: str) -> str:
    if "@" in text:
        if len(entries_of(text)) != 1:
            raise ValueError("expected one BibTeX entry in each text")
    elif text not in packaged_entries():
        near = did_you_mean(text, packaged_entries(), hint="Write the whole entry: @article{key, ...}.")
        raise ValueError(f"{text!r} is not the key of a packaged BibTeX entry; {near}")
    return text


#: Key of an entry of the package, or a whole entry.
Reference = Annotated[str, AfterValidator(_known)]


def resolved(references: tuple[str, ...]) -> dict[str, str]:
    """Return the BibTeX entries of the references of a survey file, by key."""
    known = packaged_entries()
    return {
        key: entry
        for text in references
        for key, entry in (entries_of(text) if "@" in text else {text: known[text]}).items()
    }
