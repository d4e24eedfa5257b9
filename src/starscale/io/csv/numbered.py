"""Headers of SExtractor (ASCII_HEAD): a comment for each column, with its number, name, description and unit."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

from starscale.io.csv.beginning import Beginning
from starscale.io.csv.fields import is_value
from starscale.io.csv.layout import CsvLayout

_LINE = re.compile(r"#\s*(\d+)\s+([A-Za-z]\S*)(?:\s+(.*?))?\s*(?:\[([^\]]*)\])?\s*")


def numbered_columns(begin: Beginning) -> CsvLayout | None:
    """Return the layout of a table whose columns are numbered in its comments; None for any other.

    The columns of a vector have one comment, with the number of the first: they become ``V``, ``V_1``, ``V_2``.
    """
    found = [match for record in begin.leading if (match := _LINE.fullmatch(record.text))]
    numbers = [int(match[1]) for match in found]
    if len(found) != len(begin.leading) or not _counts_up(numbers):
        return None
    layout = CsvLayout((), begin.leading[-1].end, " ")
    row = layout.split(begin.rest[0].text) if begin.rest else ["0"] * numbers[-1]
    # Other comments may be numbered too.
    if len(row) < max(numbers[-1], 2) or not any(map(is_value, row)):
        return None
    return replace(layout, **_described(found, [*numbers[1:], len(row) + 1]))


def _counts_up(numbers: list[int]) -> bool:
    return numbers[:1] == [1] and all(a < b for a, b in pairwise(numbers))


def _described(found: list[re.Match[str]], ends: list[int]) -> dict[str, Any]:
    """Return names, units and descriptions of columns; `ends` are the numbers of those that follow each line."""
    names, units, known = list[str](), list[str](), dict[str, dict[str, str]]()
    for match, end in zip(found, ends, strict=True):
        for part in range(end - int(match[1])):
            names.append(f"{match[2]}_{part}" if part else match[2])
            units.append(match[4] or "")
            known[names[-1]] = {"description": (match[3] or "").strip()}
    return {"names": tuple(names), "units": tuple(units), "known": known}
