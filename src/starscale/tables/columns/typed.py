"""Values of a column: their type, their plausible range, and those that become missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from starscale.surveys.schema import ColumnSpec
from starscale.tables.arrays import all_within
from starscale.vocabulary.columns import DType
from starscale.vocabulary.errors import Problems

#: Type of a column by its name in survey files.
POLARS_TYPE: dict[DType, type[pl.DataType]] = {
    "int64": pl.Int64,
    "int32": pl.Int32,
    "int16": pl.Int16,
    "float64": pl.Float64,
    "float32": pl.Float32,
    "bool": pl.Boolean,
    "string": pl.String,
}
_TRUE = ("true", "t", "1", "yes")
_FALSE = ("false", "f", "0", "no")


@dataclass
class Discarded:
    """Numbers of values that became missing although the table has them, by column.

    Attributes
    ----------
    outside : Counter
        Outside the plausible range of the column.
    invalid : Counter
        In rows for which the condition `valid` of the column, or `keep` of its band, is not true.
    rows : polars.Series or None
        Where a value of any column was outside the plausible range, for one table; None: nowhere.
    """

    outside: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)
    rows: pl.Series | None = None

    def note(self, column: str, wrong: pl.Series) -> None:
        """Count the values of a column that are outside its plausible range; `wrong` says where."""
        self.outside[column] += int(wrong.sum())
        self.rows = wrong if self.rows is None or len(self.rows) != len(wrong) else self.rows | wrong

    def document(self) -> dict[str, dict[str, int]]:
        """Return the numbers as plain data."""
        return {"outside": dict(self.outside), "invalid": dict(self.invalid)}

    def sentences(self) -> Iterator[str]:
        """Say for every column how many values became missing, and why."""
        for counts, why in ((self.outside, "outside the plausible range"), (self.invalid, "not valid")):
            yield from (f"{name}: {n:,} {why}, read as missing" for name, n in counts.items() if n)


def without(values: pl.Series, missing: pl.Series) -> pl.Series:
    """Null where `missing`."""
    return values.set(missing, None) if missing.any() else values


def plausible(values: pl.Series, spec: ColumnSpec, discarded: Discarded | None) -> pl.Series:
    """Null, and count, the numbers outside the plausible range of a column."""
    if (spec.lower is None and spec.upper is None) or not values.dtype.is_numeric():
        return values
    lower = -np.inf if spec.lower is None else spec.lower
    upper = np.inf if spec.upper is None else spec.upper
    if all_within(values, lower, upper):
        return values
    wrong = ~values.is_between(lower, upper).fill_null(True)
    if discarded is not None and wrong.any():
        discarded.note(values.name, wrong)
    return without(values, wrong)


def cast(values: pl.Series, target: pl.DataType, where: str) -> pl.Series:
    """Convert values to another type.

    Raises
    ------
    InputError
        A value is not of that type; `where` names the column.
    """
    problems = Problems()
    if target == pl.Boolean and values.dtype == pl.String:
        low = values.str.to_lowercase()
        wrong = values.filter(low.is_not_null() & ~low.is_in([*_TRUE, *_FALSE]))
        result = pl.select(
            pl.when(low.is_in(_TRUE)).then(True).when(low.is_in(_FALSE)).then(False).alias(values.name)
        ).to_series()
    elif target == pl.Boolean and values.dtype.is_numeric():
        wrong = values.filter((values != 0) & (values != 1))
        result = values.cast(target)
    elif target.is_integer() and values.dtype.is_float():
        result = values.cast(target, strict=False)
        wrong = values.filter((values != values.round()) | (values.is_not_null() & result.is_null()))
    else:
        result = values.cast(target, strict=False)
        wrong = values.filter(values.is_not_null() & result.is_null())
    if len(wrong):
        problems.add(
            where,
            f"{len(wrong)} of {len(values)} values are not of type {target} (first: {wrong[0]!r})",
            "",
            "Write decimal points in place of commas."
            if re.fullmatch(r"[+-]?\d*,\d+", str(wrong[0]).strip())
            else "If this value means 'missing', list it under `sentinels` in the survey file.",
        )
    problems.raise_if_any()
    return result
