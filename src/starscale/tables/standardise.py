"""Convert a table from an archive to the standard form that all other modules expect.

Columns get the names, types and units of the survey file, and missing values (NaN, infinity, sentinels such as
-9999, empty texts) become null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.io.units import convert, is_logarithm_of, parse_unit, same_unit
from starscale.surveys import Survey
from starscale.surveys.derived import derivable, underivable, with_inputs
from starscale.surveys.roles import units_of_roles
from starscale.surveys.schema import ColumnSpec
from starscale.surveys.spectra import array_lengths
from starscale.surveys.spelling import find_spelling, spelling_problems
from starscale.tables.columns.derived import derive
from starscale.tables.columns.flux_units import flux_unit_problems
from starscale.tables.columns.typed import POLARS_TYPE, Discarded, cast, plausible, without
from starscale.tables.columns.vectors import standard_array, whole_spectra
from starscale.tables.coordinates import off_the_sphere
from starscale.tables.identifiers import identifier_problems
from starscale.tables.releases import release_problems
from starscale.tables.sexagesimal import in_degrees
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean

#: Quantiles of a column by which logarithms are recognised.
_SHARES = (0.05, 0.5, 0.95)


def spelling(names: Iterable[str], survey: Survey) -> dict[str, str]:
    """Map the columns of a survey to their spelling among `names`, as far as they are there.

    A table uses the names of the survey file, or those of one of its copies in other archives; see
    :func:`starscale.surveys.spelling.find_spelling`.
    """
    return find_spelling(names, survey).columns


def to_read(names: Iterable[str], survey: Survey, columns: Iterable[str]) -> list[str]:
    """Return the columns, as a table with these names spells them, that must be read to have some of the survey.

    Of a column that is computed these are its inputs; columns that the table does not have are left out.
    """
    found = spelling(names, survey)
    return [found[column] for column in with_inputs(survey.columns, columns) if column in found]


def only(table: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Return some columns of a standardised table, as far as it has them."""
    return table.select(name for name in dict.fromkeys(columns) if name in table.columns)


def standardise(
    table: pl.DataFrame,
    survey: Survey,
    *,
    where: str = "table",
    found_columns: Mapping[str, Column] | None = None,
    whole: bool = True,
    discarded: Discarded | None = None,
) -> pl.DataFrame:
    """Return `table` with the survey's column names, types, units, nulls and computed columns.

    Parameters
    ----------
    table : polars.DataFrame, (n_rows, any)
        As read. Columns that the survey does not describe are kept as they are.
    survey : Survey
        Describes the columns.
    where : str
        Name of the table in error messages.
    found_columns : mapping of str to Column, optional
        Columns as the file describes them; values in other units are converted.
    whole : bool
        The table is complete, not a piece: check that there are identifiers and, if the survey says so, that
        they are unique.
    discarded : Discarded, optional
        Receives the numbers of values that became null: outside the plausible range of their column, or not valid.

    Raises
    ------
    InputError
        No identifier column, damaged or repeated identifiers, a value that is not of the column's type, a unit
        that cannot be converted, coordinates out of range, a table of another release; all problems in one error.
    """
    problems = Problems()
    # Of a file, only some columns may have been read; all its names tell which set of names it uses.
    names = list(dict.fromkeys([*(found_columns or {}), *table.columns]))
    spelled = find_spelling(names, survey)
    present = {column: name for column, name in spelled.columns.items() if name in table.columns}
    problems.items.extend(release_problems(names, survey, where))
    problems.items.extend(spelling_problems(names, survey, where))
    problems.items.extend(flux_unit_problems(survey, where))
    late = survey.id.column not in present and survey.id.column in derivable(survey.columns, present)
    if not late:
        problems.items.extend(_id_problems(table, survey, present.get(survey.id.column), names, where, whole))
    rules = _rules(survey, present, spelled.units, found_columns)
    cleaned = _cleaned(table, survey, present, rules, where, discarded, problems)
    found = derive(cleaned, survey, where=where, discarded=discarded)
    # An identifier that is computed can be checked only now.
    if late and (wrong := _id_problems(found, survey, survey.id.column, names, where, whole)):
        raise InputError(wrong)
    return found


def _cleaned(
    table: pl.DataFrame,
    survey: Survey,
    present: Mapping[str, str],
    rules: Mapping[str, _Rules],
    where: str,
    discarded: Discarded | None,
    problems: Problems,
) -> pl.DataFrame:
    """Convert every column of the survey; `problems` are those of the identifier, which are raised with others."""
    taken = {original: column for column, original in present.items()}
    arrays = array_lengths(survey.spectra)
    series = []
    for original in table.columns:
        column = taken.get(original)
        if column is None:
            series.append(table[original])
            continue
        # The identifier was examined above, in more detail.
        noted = problems if column != survey.id.column or not problems.items else Problems()
        with noted.collect():
            label = f"{where}: column {original!r}"
            if column in arrays:
                dtype = POLARS_TYPE[rules[column].spec.dtype]()
                series.append(standard_array(table[original], dtype, arrays[column], label).alias(column))
                continue
            cleaned = _clean_column(*_in_degrees(table[original], rules[column], survey, column, label), label)
            series.append(plausible(cleaned.alias(column), rules[column].spec, discarded))
    problems.items.extend(off_the_sphere(series, survey, where))
    problems.raise_if_any()
    return whole_spectra(pl.DataFrame(series), survey, where) if series else table


def _id_problems(
    table: pl.DataFrame, survey: Survey, present: str | None, names: list[str], where: str, whole: bool
) -> list[Problem]:
    """Check the identifiers; `present` is the spelling of their column, `names` are those of all columns."""
    if present is not None:
        return identifier_problems(table[present], survey, f"{where}: column {present!r}", whole=whole)
    fix = did_you_mean(survey.id.column, names)
    if lacking := underivable(survey.columns, spelling(names, survey)).get(survey.id.column):
        fix = f"It is computed from columns of which the table lacks {', '.join(lacking)}."
    return [
        Problem(f"{where}: column {survey.id.column!r}", "is missing", f"the identifier of {survey.title}", fix)
    ]


@dataclass(frozen=True, slots=True)
class _Rules:
    """How a column is standardised.

    `sentinels` are those of the survey and of the column, `unit` is that of the values in the table, `wanted` that
    of the survey, `physical` are the limits of its values (None: unknown), and `difference` says that they are
    errors or differences.
    """

    spec: ColumnSpec
    sentinels: tuple[float | str, ...]
    unit: str
    wanted: str
    physical: tuple[float, float] | None
    difference: bool


def _rules(
    survey: Survey,
    present: Mapping[str, str],
    copy_units: Mapping[str, str],
    found_columns: Mapping[str, Column] | None,
) -> dict[str, _Rules]:
    """Return the rules for the columns of a survey that are present under the given names.

    `copy_units` are those of columns whose unit the file does not state.
    """
    found = found_columns or {}
    specs, physical, errors, units = survey.limited(), survey.physical(), survey.errors(), units_of_roles(survey)
    return {
        column: _Rules(
            specs[column],
            (*survey.sentinels, *specs[column].sentinels),
            _unit_of_values(specs[column], found.get(original), copy_units.get(column, "")),
            specs[column].unit or units.get(column, ""),
            physical.get(column),
            column in errors,
        )
        for column, original in present.items()
    }


def _unit_of_values(spec: ColumnSpec, stated: Column | None, of_copy: str) -> str:
    """Return the unit of the values: that of files, but for a column that was converted from it; or the stated."""
    if stated is not None and stated.converted:
        return stated.unit or spec.unit
    return spec.file_unit or (stated.unit if stated is not None else "") or of_copy


def _in_degrees(
    values: pl.Series, rules: _Rules, survey: Survey, column: str, where: str
) -> tuple[pl.Series, _Rules]:
    """Return a position that is given as texts of three numbers in degrees; other values as they are."""
    if survey.position is None or column not in (survey.position.ra, survey.position.dec):
        return values, rules
    found = in_degrees(values, rules.unit, where, right_ascension=column == survey.position.ra)
    return (values, rules) if found is None else (found, replace(rules, unit="deg"))


def _clean_column(values: pl.Series, rules: _Rules, where: str) -> pl.Series:
    """Convert a column: missing values to null, then type, then unit."""
    target = POLARS_TYPE[rules.spec.dtype]()
    if isinstance(values.dtype, pl.Categorical | pl.Enum):
        values = values.cast(pl.String)
    # Before the type is changed: as Booleans, -9999 and NaN would be true.
    if values.dtype == pl.String:
        values = values.str.strip_chars()
        values = without(values, _is_missing_text(values, target, rules.sentinels))
    elif values.dtype.is_numeric():
        values = without(values, _is_missing(values, rules.sentinels))
    if values.dtype != target:
        values = cast(values, target, where)
    return _in_unit(values, rules, where) if target.is_float() else values


def _in_unit(values: pl.Series, rules: _Rules, where: str) -> pl.Series:
    """Convert a column to the unit of the survey."""
    unit, wanted = rules.unit, rules.wanted
    # A text that is no unit is no other quantity than the one that the role of the column says.
    if not unit or same_unit(unit, wanted) or not (rules.spec.unit or parse_unit(unit) is not None):
        return values
    # The survey file has the last word.
    if rules.physical is not None and not rules.spec.file_unit and is_logarithm_of(wanted, unit):
        _refuse_logarithms(values, unit, wanted, rules.physical, where)
    return convert(values, unit, wanted, where, difference=rules.difference)


def _refuse_logarithms(
    values: pl.Series, unit: str, expected: str, limits: tuple[float, float], where: str
) -> None:
    """Refuse values whose unit is linear, but which look like the logarithms that they are to become.

    Many catalogues give logarithms of gravity the unit cm/s**2. A few outliers (sentinels) decide nothing.
    """
    low, middle, high = (values.quantile(share, "nearest") for share in _SHARES)
    if low is None or middle is None or high is None or low < limits[0] or high > limits[1]:
        return
    raise InputError(
        Problem(
            where,
            f"is in {unit!r} according to the file, but its values (median {middle:g}) look like logarithms",
            f"values in {expected!r}",
            f"Correct the unit in the file, or say in the survey file what the column holds: file_unit = "
            f'"{expected}" if the values are logarithms, file_unit = "{unit}" if they are not.',
        )
    )


def _is_missing(values: pl.Series, sentinels: Iterable[float | str]) -> pl.Series:
    """Whether a number is a sentinel or not finite; the result for null is arbitrary."""
    numbers = [float(s) for s in sentinels if not isinstance(s, str)]
    # numpy is faster here: polars would run one query per column and comparison.
    if values.dtype.is_float():
        given = values.to_numpy()
        # A sentinel may be beyond what single precision holds.
        with np.errstate(over="ignore"):
            # -9999.99 stored as float32 differs from the double -9999.99.
            doubles = {*numbers, *(float(np.float32(s)) for s in numbers)}
            return pl.Series(_equals_any(given, doubles, ~np.isfinite(given)))
    whole = pl.Series([s for s in numbers if s.is_integer()], dtype=pl.Float64)
    candidates = whole.cast(values.dtype, strict=False).drop_nulls()
    # With nulls numpy would make floating point numbers of them, which do not hold every identifier.
    if values.dtype.is_integer() and not values.null_count():
        given = values.to_numpy()
        return pl.Series(_equals_any(given, candidates, np.zeros(given.shape, dtype=bool)))
    return values.is_in(candidates.implode()).fill_null(False)


def _equals_any(given: NDArray[Any], numbers: Iterable[float], found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Set `found`, and return it, where a value is one of some numbers."""
    for number in numbers:
        found |= given == number
    return found


def _is_missing_text(values: pl.Series, target: pl.DataType, sentinels: tuple[float | str, ...]) -> pl.Series:
    """Whether a text is empty, a sentinel, or a number that is a sentinel."""
    texts = pl.Series(["", *(s for s in sentinels if isinstance(s, str))])
    missing = values.is_in(texts.implode())
    if target != pl.String:
        # A text that is not a number is kept here; the cast will refuse it.
        numbers = values.cast(pl.Float64, strict=False)
        missing = missing | (numbers.is_not_null() & _is_missing(numbers, sentinels))
    return missing.fill_null(False)


def require(table_columns: Iterable[str], needed: Iterable[str], where: str, purpose: str) -> None:
    """Refuse a table in which a column is missing.

    Parameters
    ----------
    table_columns, needed : iterable of str
        Columns of the table, and columns that it must have.
    where : str
        Name of the table in error messages.
    purpose : str
        What the columns are needed for.

    Raises
    ------
    InputError
        Names every missing column.
    """
    columns = list(table_columns)
    problems = Problems()
    for name in dict.fromkeys(needed):
        if name not in columns:
            problems.add(
                f"{where}: column {name!r}",
                f"is missing, but needed for {purpose}",
                fix=did_you_mean(name, columns),
            )
    problems.raise_if_any()
