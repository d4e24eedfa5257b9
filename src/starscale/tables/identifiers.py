"""Check identifiers: a 64-bit integer that was stored as a floating-point number has lost its last digits."""

from __future__ import annotations

from typing import cast

import polars as pl

from starscale.surveys import Survey
from starscale.vocabulary.errors import Problem

_RESAVE = (
    "Export the table again with this column as a 64-bit integer or as text (Parquet, FITS and VOTable keep it)."
)
#: Largest integer up to which a double represents every integer.
_EXACT = 2**53
#: Identifiers that end in this many zeros were rounded; by chance one in 10**_ZEROS does.
_ZEROS = 3
#: Above this a double represents one integer in 512 (one in four of those with seven zero bits, as Gaia's have).
_COARSE = 2**61
#: So many identifiers above _COARSE cannot all be doubles by chance (4**-20).
_TOO_MANY = 20


def identifier_problems(ids: pl.Series, survey: Survey, where: str, *, whole: bool = True) -> list[Problem]:
    """Find the problems of a column of identifiers.

    Single rows without an identifier are not a problem here: cuts remove and count them, and a match refuses
    them (:func:`missing_identifiers`).

    Parameters
    ----------
    ids : polars.Series
        The column as it was read.
    survey : Survey
        Its `id` gives the type, the range, and whether a value may repeat.
    where : str
        Table and column, for the messages.
    whole : bool
        The column is complete, not a piece: also check that not all identifiers are missing and, if the survey
        says so, that none is repeated.

    Returns
    -------
    list of Problem
        Empty for a valid column.
    """
    present = _without_blanks(ids).drop_nulls()
    if not len(present):
        return [all_missing(where)] if whole and len(ids) else []
    problems: list[Problem] = []
    if survey.columns[survey.id.column].dtype != "string":
        problems, present = _as_integers(present, where)
        if problems:
            return problems
        if present.dtype.is_integer():
            problems = _integer_problems(present, survey, where)
    if survey.id.unique and whole:
        problems += _duplicate_problems(present, where)
    return problems


def _without_blanks(ids: pl.Series) -> pl.Series:
    """Return identifiers with null for empty texts and NaN."""
    if ids.dtype == pl.String:
        ids = ids.str.strip_chars()
        return ids.set(ids == "", None)
    return ids.fill_nan(None) if ids.dtype.is_float() else ids


def _as_integers(present: pl.Series, where: str) -> tuple[list[Problem], pl.Series]:
    """Convert numbers and texts to integers; with problems, where digits were lost, the column as it was."""
    if present.dtype.is_float():
        problems = _float_problems(present, where)
        return problems, present if problems else present.cast(pl.Int64)
    if present.dtype == pl.String:
        problems = _text_problems(present, where)
        return problems, present if problems else present.str.to_integer(base=10)
    return [], present


def all_missing(where: str) -> Problem:
    """Return the problem of a column in which no row has an identifier."""
    return Problem(where, "all identifiers are missing", "one in every row")


def missing_identifiers(ids: pl.Series, where: str) -> list[Problem]:
    """Return the problem of rows without an identifier, if there are any."""
    if not (missing := ids.null_count()):
        return []
    fix = "Remove these rows first ('starscale clean' does)."
    return [Problem(where, f"{missing} of {len(ids)} identifiers are missing", "one in every row", fix)]


def _float_problems(present: pl.Series, where: str) -> list[Problem]:
    largest = float(present.abs().max())  # type: ignore[arg-type]
    if largest < _EXACT and bool((present == present.round()).all()):
        return []
    example = f"{present[0]:.17g}"
    return [
        Problem(
            where,
            f"{len(present)} identifiers are floating-point numbers (first: {example}); a float keeps 15 to 17 "
            "digits, so the last digits are lost and the rows cannot be matched",
            "64-bit integers",
            _RESAVE,
        )
    ]


def _text_problems(present: pl.Series, where: str) -> list[Problem]:
    scientific = present.filter(present.str.contains(r"(?i)^[+-]?\d+(\.\d*)?e[+-]?\d+$"))
    if len(scientific):
        return [
            Problem(
                where,
                f"{len(scientific)} of {len(present)} identifiers are in scientific notation "
                f"(first: {scientific[0]}); their last digits are lost and the rows cannot be matched",
                "64-bit integers",
                _RESAVE,
            )
        ]
    wrong = present.filter(present.str.to_integer(strict=False, base=10).is_null())
    if len(wrong):
        return [
            Problem(where, f"{len(wrong)} of {len(present)} identifiers are not numbers (first: {wrong[0]!r})")
        ]
    return []


def _integer_problems(ids: pl.Series, survey: Survey, where: str) -> list[Problem]:
    ids = ids if ids.dtype == pl.UInt64 else ids.cast(pl.Int64)
    return [*_range_problems(ids, survey, where), *_rounding_problems(ids, where)]


def _range_problems(ids: pl.Series, survey: Survey, where: str) -> list[Problem]:
    low, high = survey.id.lower, survey.id.upper
    first, last = _ends(ids)
    if (low is None or first >= low) and (high is None or last <= high):
        return []
    too_low = ids.filter(ids < low) if low is not None else ids.clear()
    too_high = ids.filter(ids > high) if high is not None else ids.clear()
    outside = too_low.append(too_high)
    if not len(outside):
        return []
    return [
        Problem(
            where,
            f"{len(outside)} of {len(ids)} identifiers lie outside the range of {survey.name} "
            f"(first: {outside[0]})",
            f"{low if low is not None else '...'} to {high if high is not None else '...'}",
            "Is this the identifier of another catalogue or release?",
        )
    ]


def _rounding_problems(ids: pl.Series, where: str) -> list[Problem]:
    """Find integers that were rounded, to a few decimal digits or to doubles."""
    expected = "64-bit integers with all their digits"
    # Most catalogues have shorter numbers, of which nothing need be copied.
    largest = max(map(abs, _ends(ids)))
    if largest <= _EXACT:
        return []
    big = ids.filter(ids.abs() > _EXACT)
    rounded = int((big % 10**_ZEROS == 0).sum())
    # A handful may end in zeros by chance; one in ten cannot (chance: one in a thousand each).
    if rounded >= 3 and rounded > 0.1 * len(big):
        found = f"{rounded} of {len(big)} identifiers end in {_ZEROS} zeros: rounded by some program"
        return [Problem(where, found, expected, _RESAVE)]
    if largest <= _COARSE:
        return []
    coarse = ids.filter(ids.abs() > _COARSE)
    if len(coarse) >= _TOO_MANY and bool((coarse.cast(pl.Float64).cast(ids.dtype, strict=False) == coarse).all()):
        found = (
            f"all {len(coarse)} identifiers above 2**61 are integers that a floating-point number can represent: "
            "some program stored them as such, and their last digits are lost"
        )
        return [Problem(where, found, expected, _RESAVE)]
    return []


def _ends(ids: pl.Series) -> tuple[int, int]:
    """Smallest and largest of some integers, 0 without any."""
    return cast("int", ids.min() or 0), cast("int", ids.max() or 0)


def _duplicate_problems(ids: pl.Series, where: str) -> list[Problem]:
    # Archives sort by identifier.
    if ids.dtype.is_integer() and (ids[1:] > ids[:-1]).all():
        return []
    distinct = ids.n_unique()
    if distinct == len(ids):
        return []
    return [repeated_identifiers(len(ids) - distinct, ids.filter(ids.is_duplicated())[0], where)]


def repeated_identifiers(rows: int, first: object, where: str) -> Problem:
    """Return the problem of `rows` rows that repeat the identifier of another row."""
    return Problem(
        where,
        f"{rows} rows repeat an identifier of another row (first: {first})",
        "every identifier once",
        "Remove the repeated rows (in Python: table.unique('...'); in TOPCAT: internal match by exact value).",
    )
