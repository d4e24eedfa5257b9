"""Types of the columns of a text table: the narrowest type that fits EVERY row.

A column of numbers is kept as text where numbers would lose digits: whole numbers with leading zeros (``000``,
``007``), whole numbers of more than 64 bits, and whole numbers beside decimals that a double cannot hold
(``9007199254740993`` and ``1e3``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from starscale.io.csv.fields import MISSING, NAN, QUOTED_MARK
from starscale.io.table import column_of

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
        frame = frame.select(column_of(name).str.strip_chars() for name in alive)
    answers = _answers(frame, {name: _quick_questions(name, kind) for name, kind in alive.items()})
    unclear = {name: _questions(name, alive[name]) for name, said in answers.items() if _unclear(said)}
    for name, said in _answers(frame, unclear).items():
        answers[name] |= said
        _conclude(alive[name], answers[name])
    for name in answers.keys() - unclear:
        _all_fit(alive[name], answers[name])
    _note_exact(alive, frame, list(filter(lambda name: _large(answers[name]), answers)))


def _note_exact(found: dict[str, Kind], frame: pl.DataFrame, names: list[str]) -> None:
    """Note which columns have whole numbers that no double holds."""
    for name, said in _answers(frame, {name: {"exact": _beyond_doubles(name)} for name in names}).items():
        found[name].exact |= bool(said["exact"])


def _unclear(said: dict[str, Any]) -> bool:
    """Whether there are other texts than numbers, or numbers that may be better kept as texts."""
    return bool(said["fit"] < said["there"] or said["zero"] or said["odd"])


def _large(said: dict[str, Any]) -> bool:
    """Whether there may be whole numbers that no double holds: large ones, or some beyond 64 bits."""
    wide = said["low"] is not None and (said["low"] < -_WHOLE or said["high"] > _WHOLE)
    return bool(wide or said["odd"]) or said.get(_BEYOND, said["fit"]) > said["fit"]


def _answers(frame: pl.DataFrame, asks: dict[str, dict[str, pl.Expr]]) -> dict[str, dict[str, Any]]:
    """Ask questions about columns, all in one pass."""
    flat = [ask.alias(f"{name}\0{key}") for name, of in asks.items() for key, ask in of.items()]
    said = iter(frame.select(flat).row(0) if flat else ())
    return {name: {key: next(said) for key in of} for name, of in asks.items()}


def _tried(kind: Kind) -> pl.DataType:
    """Return the type that is tried first: integers where they are left."""
    return _INT if _INT in kind.kinds else kind.kinds[0]


def _quick_questions(name: str, kind: Kind) -> dict[str, pl.Expr]:
    text, tried = column_of(name), _tried(kind)
    number = cast_text(text, tried)
    # A zero and a digit at the beginning; cheaper than a regular expression.
    zero = [(text >= f"{sign}00") & (text < f"{sign}0:") for sign in ("", "-", "+")]
    return {
        "there": text.count(),
        "fit": number.count(),
        "zero": pl.any_horizontal(zero).any(),
        # NaN, or so large that a whole number may have lost digits.
        "odd": (number.abs() < _WHOLE).all().not_() if tried == _FLOAT else pl.lit(False),
        "low": number.min() if tried.is_integer() else pl.lit(None),
        "high": number.max() if tried.is_integer() else pl.lit(None),
    }


def _questions(name: str, kind: Kind) -> dict[str, pl.Expr]:
    text = column_of(name)
    word = text.filter(text.is_in(NO_NUMBER))
    return {
        "words": word.unique().implode(),
        "no_integer": word.len(),
        "no_value": word.is_in(_NO_VALUE).sum(),
        "zeros": text.str.contains(_ZEROS).any(),
        **{str(one): cast_text(text.str.strip_prefix(QUOTED_MARK), one).count() for one in kind.kinds},
    }


def _beyond_doubles(name: str) -> pl.Expr:
    """Whether there are whole numbers that no double holds."""
    number = cast_text(column_of(name), pl.Int128())
    return (number != number.cast(_FLOAT).cast(pl.Int128, strict=False)).any()


def _all_fit(kind: Kind, said: dict[str, Any]) -> None:
    """Conclude from the quick questions, when all values fit in the type that was tried."""
    if not said["there"]:
        return
    wider = kind.kinds[kind.kinds.index(_tried(kind)) :]
    negative = said["low"] is not None and said["low"] < 0
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
        return pl.when(text.is_in(_TRUE)).then(True).when(text.is_in(_FALSE)).then(False)
    return text.cast(dtype, strict=False)


def plain_text(text: pl.Expr, kind: Kind, missing: set[str], *, marked: bool) -> pl.Expr:
    """Return texts without the words in `missing`; without all words in a column of numbers or without values."""
    words = missing | set(NO_NUMBER if kind.is_number else () if kind.filled else MISSING) - {""}
    if words:
        text = pl.when(text.str.strip_chars().is_in(sorted(words)).not_()).then(text)
    return text.str.strip_prefix(QUOTED_MARK) if marked else text
