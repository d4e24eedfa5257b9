"""Numbers that are written otherwise: with a decimal comma (``1,5``) or an exponent of Fortran (``1.5D+02``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from starscale.io.csv.kinds import NO_NUMBER, Kind
from starscale.io.table import Doubt

#: Kinds of numbers. Three digits after every comma may be thousands; a code such as ``12D3`` is no number.
_KINDS: Final = {
    "whole": r"^[+-]?\d+([eE][+-]?\d+)?$",
    "point": r"^[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?$",
    "comma": r"^[+-]?\d*,\d+([eE][+-]?\d+)?$",
    "thousands": r"^[+-]?\d{1,3},\d{3}$",
    "fortran": r"^[+-]?((\d+\.\d*|\.\d+)[dD][+-]?\d+|\d+[dD][+-]\d+)$",
}


@dataclass(slots=True)
class SpelledNumbers:
    """Looks for such numbers in the columns of texts, chunk by chunk.

    Attributes
    ----------
    counts : dict of str to Counter
        Numbers of values of each kind, of the columns most of whose values are written so.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def add(
        self, frame: pl.DataFrame, kinds: Mapping[str, Kind], before: Mapping[str, tuple[pl.DataType, ...]]
    ) -> None:
        """Count the values of a chunk; `before`: the types that fitted each column before it."""
        texts = [name for name, kind in kinds.items() if not kind.kinds]
        for name in texts:
            if name in self.counts:
                self.counts[name] += _count(frame[name])
            elif name not in self._known and frame[name].str.contains(r"[,dD]").any():
                found = _count(frame[name])
                if _most(found, before[name]):
                    self.counts[name] = found
        self._known.update(texts)

    def numbers(self, kinds: Mapping[str, Kind], separator: str) -> set[str]:
        """Return the columns that are numbers.

        Commas are taken for decimal ones where something else divides the fields, no other column has points,
        and some commas cannot divide thousands.
        """
        points = any(kind.is_number and kind.dtype == pl.Float64() for kind in kinds.values())
        decimal = any(found["comma"] > found["thousands"] for found in self.counts.values())
        commas = separator != "," and decimal and not points
        return {
            name
            for name, found in self.counts.items()
            if (commas and found["comma"] + found["whole"] == found["there"])
            or (found["fortran"] + found["whole"] + found["point"] == found["there"])
        }

    def notes(self, numbers: set[str]) -> Iterator[str]:
        """Say which columns have commas, and whether they were read as numbers."""
        read, texts = list[str](), list[str]()
        for name, found in self.counts.items():
            if found["comma"]:
                counted = f"{name} ({found['comma']:,} of {found['there']:,} values)"
                (read if name in numbers else texts).append(counted)
        if read:
            yield f"numbers with a decimal comma, as in 1,5: {', '.join(read)}"
        if texts:
            yield Doubt(f"numbers with a comma, as in 1,5, are read as texts: {', '.join(texts)}")


def _most(found: Counter[str], before: tuple[pl.DataType, ...]) -> bool:
    """Whether most values are numbers, some of them written otherwise."""
    odd = found["comma"] + found["fortran"]
    # What was a number with a point before is not one with a comma now.
    fits = pl.Int64() in before or (pl.Float64() in before and not found["comma"])
    return odd > 0 and fits and 2 * (odd + found["whole"] + found["point"]) > found["there"]


def _count(texts: pl.Series) -> Counter[str]:
    """Return how many values are numbers of each kind, and how many there are."""
    values = texts.str.strip_chars().drop_nulls()
    values = values.filter(~values.is_in(NO_NUMBER))
    found = {kind: int(values.str.contains(pattern).sum()) for kind, pattern in _KINDS.items()}
    return Counter(found | {"there": len(values)})


def as_usual(text: pl.Expr) -> pl.Expr:
    """Return numbers as programs write them."""
    return text.str.replace_many([",", "D", "d"], [".", "E", "E"])
