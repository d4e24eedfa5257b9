"""Array columns: the coefficients of a spectrum in one row of a table, from files of any kind."""

from __future__ import annotations

import polars as pl

from starscale.surveys import Survey
from starscale.surveys.spectra import array_lengths
from starscale.vocabulary.errors import InputError, Problem, Problems

#: Texts of a missing number inside an array.
_MISSING = ("nan", "null", "none", "--", "masked")
_OTHER_BASIS = (
    "Coefficients of another release belong to another basis: use spectra of the release that the others are of."
)


def standard_array(values: pl.Series, dtype: pl.DataType, length: int | None, where: str) -> pl.Series:
    """Return arrays of numbers as a list column; null where an array is empty or lacks a number.

    Parameters
    ----------
    values : polars.Series, (n,)
        Arrays, or texts such as ``(1.0, 2.0)`` and ``[1.0, 2.0]``.
    dtype : polars.DataType
        Of the numbers.
    length : int or None
        Number of elements; None: any, but the same in all rows.
    where : str
        Name of the column in error messages.

    Raises
    ------
    InputError
        No arrays of numbers, or arrays of several lengths.
    """
    lists = _lists(values, where).cast(pl.List(dtype))
    lacking = lists.list.eval((pl.element().is_null() | ~pl.element().is_finite()).any()).list.first()
    lists = lists.set((lacking | (lists.list.len() == 0)).fill_null(value=False), None)
    _check_lengths(lists, length, where)
    return lists


def _lists(values: pl.Series, where: str) -> pl.Series:
    """Return arrays in any form as lists."""
    if isinstance(values.dtype, pl.Array) and len(values.dtype.shape) == 1:
        values = values.arr.to_list()
    if isinstance(values.dtype, pl.List) and (values.dtype.inner == pl.Null or _is_number(values.dtype.inner)):
        return values
    if values.dtype == pl.Null:
        return values.cast(pl.List(pl.Float64))
    if values.dtype != pl.String:
        raise InputError(Problem(where, f"is of type {values.dtype}", "an array of numbers in every row"))
    texts = values.str.strip_chars().str.strip_chars("()[]{}").str.to_lowercase().str.extract_all(r"[^,;\s]+")
    number = pl.element().cast(pl.Float64, strict=False)
    numbers = texts.list.eval(number)
    wrong = texts.list.eval((number.is_null() & ~pl.element().is_in(_MISSING)).any())
    odd = values.filter(wrong.list.first().fill_null(value=False))
    if len(odd):
        found = f"{len(odd):,} of {len(values):,} values are no array of numbers (first: {str(odd[0])[:40]!r})"
        raise InputError(Problem(where, found, "an array of numbers in every row, such as (1.0, 2.0)"))
    return numbers


def _is_number(dtype: object) -> bool:
    return isinstance(dtype, pl.DataType) and dtype.is_numeric()


def _check_lengths(lists: pl.Series, length: int | None, where: str) -> None:
    counts = lists.list.len().drop_nulls().value_counts(sort=True).rows()
    if not counts or (len(counts) == 1 and counts[0][0] == (length or counts[0][0])):
        return
    found = " and ".join(f"{size} numbers ({number:,} of {len(lists):,} rows)" for size, number in counts[:3])
    expected = f"{length} numbers in every row" if length else "the same number in every row"
    raise InputError(Problem(where, f"has arrays of {found}", expected, _OTHER_BASIS))


def whole_spectra(table: pl.DataFrame, survey: Survey, where: str) -> pl.DataFrame:
    """Return a standardised table in which a star has all spectra of the survey or none.

    Raises
    ------
    InputError
        Rows with coefficients and without their errors.
    """
    problems = Problems()
    for spectrum in survey.spectra.values():
        if not set(spectrum.columns) <= set(table.columns) or spectrum.errors is None:
            continue
        bare = table.select(pl.col(spectrum.coefficients).is_not_null() & pl.col(spectrum.errors).is_null())
        if number := int(bare.to_series().sum()):
            found = f"{number:,} of {table.height:,} rows have {spectrum.coefficients} without errors"
            problems.add(f"{where}: column {spectrum.errors!r}", found, "errors for all coefficients, or for none")
    problems.raise_if_any()
    there = [name for name in array_lengths(survey.spectra) if name in table.columns]
    if not there:
        return table
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in there)
    return table.with_columns(pl.when(complete).then(pl.col(name)).alias(name) for name in there)
