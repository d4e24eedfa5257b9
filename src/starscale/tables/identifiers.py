"""Are these identifiers whole? A 64-bit id that went through a float is lost for good."""

from __future__ import annotations

import polars as pl

from starscale.surveys import Survey
from starscale.vocabulary.errors import Problem

_RESAVE = (
    "Export the table again with this column as a 64-bit integer or as text (Parquet, FITS and VOTable keep it)."
)
#: A float holds integers exactly only up to here.
_EXACT = 2**53
#: Identifiers that end in this many zeros were rounded; by chance one in 10**_ZEROS does.
_ZEROS = 3
#: Above this a double holds one integer in 512 (one in four of those with seven zero bits, as Gaia's have).
_COARSE = 2**61
#: So many identifiers above _COARSE cannot all be doubles by chance (4**-20).
_TOO_MANY = 20


def identifier_problems(ids: pl.Series, survey: Survey, where: str, *, whole: bool = True) -> list[Problem]:
    """Say what is wrong with a column of identifiers; an empty list when nothing is.

    Single rows without an identifier are no damage: cuts remove and count them, a match needs
    all (:func:`missing_identifiers`).

    Parameters
    ----------
    ids : polars.Series
        The column as it was read.
    survey : Survey
        Its `id` says type, range and whether a value may repeat.
    where : str
        Table and column, for the message.
    whole : bool
        The column is whole, not a chunk of one: look for repeated identifiers, where the survey says
        that there are none, and complain when all are missing.
    """
    integer = survey.columns[survey.id.column].dtype != "string"
    if ids.dtype == pl.String:
        ids = ids.str.strip_chars()
        ids = ids.set(ids == "", None)
    elif ids.dtype.is_float():
        ids = ids.fill_nan(None)
    present = ids.drop_nulls()
    if not len(ids):
        return []
    if not len(present):
        if not whole:
            return []
        return [Problem(where, "all identifiers are missing", "one in every row")]
    if integer and ids.dtype.is_float():
        if problems := _float_problems(present, where):
            return problems
        present = present.cast(pl.Int64)
    elif integer and ids.dtype == pl.String:
        if problems := _text_problems(present, where):
            return problems
        present = present.str.to_integer(base=10)
    problems = _integer_problems(present, survey, where) if integer and present.dtype.is_integer() else []
    if survey.id.unique and whole:
        problems += _duplicate_problems(present, where)
    return problems


def missing_identifiers(ids: pl.Series, where: str) -> list[Problem]:
    """Complain about rows without an identifier."""
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
    problems = []
    ids = ids if ids.dtype == pl.UInt64 else ids.cast(pl.Int64)
    low, high = survey.id.lower, survey.id.upper
    too_low = ids.filter(ids < low) if low is not None else ids.clear()
    too_high = ids.filter(ids > high) if high is not None else ids.clear()
    outside = too_low.append(too_high)
    if len(outside):
        problems.append(
            Problem(
                where,
                f"{len(outside)} of {len(ids)} identifiers lie outside those of {survey.name} "
                f"(first: {outside[0]})",
                f"{low if low is not None else '...'} to {high if high is not None else '...'}",
                "Is this the identifier of another catalogue or release?",
            )
        )
    big = ids.filter(ids.abs() > _EXACT)
    rounded = int((big % 10**_ZEROS == 0).sum())
    # A handful may end in zeros by chance; one in ten cannot (chance: one in a thousand each).
    if rounded >= 3 and rounded > 0.1 * len(big):
        problems.append(
            Problem(
                where,
                f"{rounded} of {len(big)} identifiers end in {_ZEROS} zeros: rounded by some program",
                "64-bit integers with all their digits",
                _RESAVE,
            )
        )
        return problems
    coarse = ids.filter(ids.abs() > _COARSE)
    if len(coarse) >= _TOO_MANY and bool((coarse.cast(pl.Float64).cast(ids.dtype, strict=False) == coarse).all()):
        problems.append(
            Problem(
                where,
                f"all {len(coarse)} identifiers above 2**61 are integers that a floating-point number can hold: "
                "some program kept them as such and lost their last digits",
                "64-bit integers with all their digits",
                _RESAVE,
            )
        )
    return problems


def _duplicate_problems(ids: pl.Series, where: str) -> list[Problem]:
    distinct = ids.n_unique()
    if distinct == len(ids):
        return []
    return [repeated_identifiers(len(ids) - distinct, ids.filter(ids.is_duplicated())[0], where)]


def repeated_identifiers(rows: int, first: object, where: str) -> Problem:
    """Complain that `rows` rows repeat the identifier of another one."""
    return Problem(
        where,
        f"{rows} rows repeat an identifier of another row (first: {first})",
        "every identifier once",
        "Remove the repeated rows (in Python: table.unique('...'); in TOPCAT: internal match by exact value).",
    )
