"""What astropy writes into COMMENT cards of a FITS table: descriptions of its columns, and how they are stored.

``Table.write`` puts a YAML document there as soon as a column has a description, or is stored as several (a masked
column as values and ``NAME.mask``).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starscale.io.masks import masks_of

_BEGIN, _END = "--BEGIN-ASTROPY-SERIALIZED-COLUMNS--", "--END-ASTROPY-SERIALIZED-COLUMNS--"


@dataclass(frozen=True, slots=True)
class Serialized:
    """Properties of columns by name, and the stored mask of each column that has one."""

    known: dict[str, dict[str, str]] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)


def without_yaml(comments: Sequence[str]) -> list[str]:
    """Return the comments without the document of astropy."""
    if _BEGIN not in comments:
        return list(comments)
    begin = comments.index(_BEGIN)
    end = comments.index(_END) if _END in comments else len(comments)
    return [*comments[:begin], *comments[end + 1 :]]


def serialized(comments: Sequence[str]) -> Serialized:
    """Read the document of astropy among the comments of a header, if there is one.

    Raises
    ------
    ValueError
        It cannot be understood.
    """
    if _BEGIN not in comments:
        return Serialized()
    begin = comments.index(_BEGIN) + 1
    end = comments.index(_END) if _END in comments else len(comments)
    lines: list[str] = []
    go_on = False
    for line in comments[begin:end]:
        # A line that is too long for a card ends in a backslash.
        text = line.removesuffix("\\")
        lines[-1:] = [lines[-1] + text] if go_on else [*lines[-1:], text]
        go_on = line.endswith("\\")
    try:
        header = importlib.import_module("astropy.table.meta").get_header_from_yaml(lines)
        masks = masks_of(header)
        known = {str(item["name"]): _about(item) for item in header["datatype"]}
    except Exception as error:  # the YAML may name any class of astropy, each with errors of its own
        raise ValueError((str(error).strip().splitlines() or [type(error).__name__])[0]) from error
    return Serialized(known, masks)


def _about(item: Mapping[str, Any]) -> dict[str, str]:
    meta = dict(item.get("meta") or {})
    texts = {"unit": item.get("unit"), "ucd": meta.get("ucd"), "description": item.get("description")}
    return {what: str(text or "") for what, text in texts.items()}
