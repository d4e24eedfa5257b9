"""Types of the columns of a text table: the narrowest type that fits EVERY row.

A column of numbers is kept as text where numbers would lose digits: whole numbers with leading zeros (``000``,
``007``), whole numbers of more than 64 bits, and whole numbers beside decimals that a double cannot hold
(``9007199254740993`` and ``1e3``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from starscale.io.csv.fields import MISSING, NAN, QUOTED_MARK
from starscale.io.table import columns_of

# A single T or F may be a spectral type or a flag, and stays text.
_TRUE: Final = ("true", "True", "TRUE")
_FALSE: Final = ("false", "False", "FALSE")
#: Words that are no value of a column of numbers or truth values, and those that are no whole number.
_NO_VALUE: Final = (*MISSING, *(QUOTED_MARK + word for word in MISSING[1:]))
NO_NUMBER: Final = (*_NO_VALUE, *NAN, *(QUOTED_MARK + word for word in NAN))
_ZEROS: Final = r"^[+-]?0[0-9]+$"

#: Every whole number up to here is a double.
_WHOLE: Final = 2**53
#: The widest integers that are recognised, as a key of answers.
_BEYOND: Final = str(pl.Int128())

_BOOL, _INT, _FLOAT = pl.Boolean(), pl.Int64(), pl.Float64()
_WIDE: Final[tuple[pl.DataType, ...]] = (pl.UInt64(), pl.Int128(), _FLOAT)
#: Candidate types from the narrowest to the widest; a column that fits none is text. Integers of more than 64 bits
#: are recognised so that they stay text: as floats they would lose digits.
_KINDS: Final[tuple[pl.DataType, ...]] = (_BOOL, _INT, *_WIDE)


@dataclass(slots=True)
class Kind:
    """Types that fit all values of a column so far."""

    kinds: tuple[pl.DataType, ...] = _KINDS
    #: Whether there was a value; one other than NaN; a whole number with a leading zero; one that no double holds.
    filled: bool = False
    counted: bool = False
    zeros: bool = False
    exact: bool = False
    #: Words for "missing" that the column contains.
    words: set[str] = field(default_factory=set)

    @property
    def is_number(self) -> bool:
        """Whether there are values, all of them numbers or truth values; as texts they may have more digits."""
        quoted = any(word.startswith(QUOTED_MARK) for word in self.words)
        return bool(self.kinds) and self.filled and (self.counted or not quoted)

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column."""
        if (
            not self.is_number
            or self.zeros
            or self.kinds[0] == pl.Int128
            or (self.exact and self.kinds[0] == _FLOAT)
        ):
            return pl.String()
        return _FLOAT if self.kinds[0].is_integer() and not self.counted else self.kinds[0]

    @property
    def missing(self) -> set[str]:
        """Words that are no number in this column of numbers: in the texts of the table they mean the same."""
        return self.words if self.is_number else set()


def narrow(found: dict[str, Kind], frame: pl.DataFrame, *, padded: bool) -> None:
    """Remove the types that do not fit the values of `frame`; `padded`: texts may begin or end with blanks.

    One cast is enough for most columns: what fits in 64 bits with a sign fits in all wider types.
    """
    alive = {name: kind for name, kind in found.items() if kind.kinds}
    if padded:
        frame = frame.select(columns_of(alive).str.strip_chars())
    answers = _answers(frame, alive, _quick_questions)
    unclear = {name: alive[name] for name, said in answers.items() if _unclear(said)}
    more = _answers(frame, unclear, _questions)
    for name, said in answers.items():
        said |= more.get(name, {})
        conclude = _conclude if name in more else _all_fit
        conclude(alive[name], said)
    _note_exact({name: alive[name] for name, said in answers.items() if _large(said)}, frame)


def _note_exact(found: Mapping[str, Kind], frame: pl.DataFrame) -> None:
    """Note which columns have whole numbers that no double holds."""
    for name, said in _answers(frame, found, _beyond_doubles).items():
        found[name].exact |= bool(said["exact"])


def _unclear(said: dict[str, Any]) -> bool:
    """Whether there are other texts than numbers, or numbers that may be better kept as texts."""
    return bool(said["fit"] < said["there"] or said["zero"] or said.get("odd"))


def _large(said: dict[str, Any]) -> bool:
    """Whether there may be whole numbers that no double holds: large ones, or some beyond 64 bits."""
    wide = said.get("low") is not None and (said["low"] < -_WHOLE or said["high"] > _WHOLE)
    return bool(wide or said.get("odd")) or said.get(_BEYOND, said["fit"]) > said["fit"]


def _answers(
    frame: pl.DataFrame,
    found: Mapping[str, Kind],
    questions: Callable[[pl.Expr, Sequence[pl.DataType]], dict[str, pl.Expr]],
) -> dict[str, dict[str, Any]]:
    """Ask questions about columns, all in one pass.

    Columns that the same types fit are asked together: making the expressions would take longest in a wide table.
    """
    alike: dict[tuple[pl.DataType, ...], list[str]] = {}
    for name, kind in found.items():
        alike.setdefault(kind.kinds, []).append(name)
    asked = {kinds: questions(columns_of(names), kinds) for kinds, names in alike.items()}
    flat = [ask.name.suffix(f"\0{key}") for asks in asked.values() for key, ask in asks.items()]
    said = frame.select(flat).row(0, named=True) if flat else {}
    return {name: {key: said[f"{name}\0{key}"] for key in asked[kind.kinds]} for name, kind in found.items()}


def _tried(kinds: Sequence[pl.DataType]) -> pl.DataType:
    """Return the type that is tried first: integers where they are left."""
    return _INT if _INT in kinds else kinds[0]


def _quick_questions(text: pl.Expr, kinds: Sequence[pl.DataType]) -> dict[str, pl.Expr]:
    tried = _tried(kinds)
    number = cast_text(text, tried)
    # A zero and a digit at the beginning; cheaper than a regular expression.
    zero = [(text >= f"{sign}00") & (text < f"{sign}0:") for sign in ("", "-", "+")]
    asked = {"there": text.count(), "fit": number.count(), "zero": (zero[0] | zero[1] | zero[2]).any()}
    if tried.is_integer():
        asked |= {"low": number.min(), "high": number.max()}
    # NaN, or so large that a whole number may have lost digits.
    return asked | ({"odd": (number.abs() < _WHOLE).all().not_()} if tried == _FLOAT else {})


def _questions(text: pl.Expr, kinds: Sequence[pl.DataType]) -> dict[str, pl.Expr]:
    word = text.filter(text.is_in(NO_NUMBER))
    return {
        "words": word.unique().implode(),
        "no_integer": word.len(),
        "no_value": word.is_in(_NO_VALUE).sum(),
        "zeros": text.str.contains(_ZEROS).any(),
        **{str(one): cast_text(text.str.strip_prefix(QUOTED_MARK), one).count() for one in kinds},
    }


def _beyond_doubles(text: pl.Expr, kinds: Sequence[pl.DataType]) -> dict[str, pl.Expr]:  # noqa: ARG001
    """Whether there are whole numbers that no double holds."""
    number = cast_text(text, pl.Int128())
    return {"exact": (number != number.cast(_FLOAT).cast(pl.Int128, strict=False)).any()}


def _all_fit(kind: Kind, said: dict[str, Any]) -> None:
    """Conclude from the quick questions, when all values fit in the type that was tried."""
    if not said["there"]:
        return
    wider = kind.kinds[kind.kinds.index(_tried(kind.kinds)) :]
    negative = said.get("low") is not None and said["low"] < 0
    kind.kinds = tuple(one for one in wider if not (negative and one == pl.UInt64()))
    kind.filled = kind.counted = True


def _conclude(kind: Kind, said: dict[str, Any]) -> None:
    there = said["there"]
    needed = {one: there - said["no_integer" if one.is_integer() else "no_value"] for one in kind.kinds}
    kind.kinds = tuple(one for one in kind.kinds if said[str(one)] == needed[one])
    kind.filled = kind.filled or there > said["no_value"]
    kind.counted = kind.counted or there > said["no_integer"]
    kind.zeros = kind.zeros or said["zeros"]
    kind.words |= set(said["words"]) - {""}


def cast_text(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Cast texts without blanks to numbers or truth values; those that do not fit become null."""
    if dtype == pl.Boolean:
        return pl.when(text.is_in((*_TRUE, *_FALSE))).then(text.is_in(_TRUE))
    return text.cast(dtype, strict=False)


def plain_text(text: pl.Expr, kind: Kind, missing: set[str], *, marked: bool) -> pl.Expr:
    """Return texts without the words in `missing`; without all words in a column of numbers or without values."""
    words = missing | set(NO_NUMBER if kind.is_number else () if kind.filled else MISSING) - {""}
    if words:
        text = pl.when(text.str.strip_chars().is_in(sorted(words)).not_()).then(text)
    return text.str.strip_prefix(QUOTED_MARK) if marked else text
