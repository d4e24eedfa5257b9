"""The columns of any table as arrays, with their units, for a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from starscale import io
from starscale.io.table import require_columns
from starscale.io.units import parse_unit
from starscale.tables.api import AnyTable, name_of, says_mock
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS, Column, catalogue_columns
from starscale.vocabulary.errors import Problems

#: Columns of starscale's own tables that hold lists.
_LISTS = ("columns",)


@dataclass(frozen=True, slots=True)
class PlotTable:
    """The columns that a picture needs.

    Attributes
    ----------
    where : str
        Name of the table in error messages.
    frame : polars.DataFrame
    columns : mapping of str to Column
        Units, as far as the table states them.
    mock : bool
        Whether the table says that its stars are simulated.
    """

    where: str
    frame: pl.DataFrame
    columns: Mapping[str, Column]
    mock: bool

    @classmethod
    def of(
        cls,
        table: AnyTable,
        *numeric: str | None,
        texts: Sequence[str] = (),
        optional: Sequence[str] = (),
        every: bool = False,
    ) -> PlotTable:
        """Read columns of a table.

        Parameters
        ----------
        table : path or table
            Anything that :func:`starscale.read` takes.
        numeric : str or None
            Columns of numbers (or yes and no) that must exist; None is left out.
        texts : sequence of str
            Columns of any type that must exist.
        optional : sequence of str
            Columns that are read where they exist.
        every : bool
            Read all columns.

        Raises
        ------
        InputError
            All columns that do not exist, or hold no numbers.
        """
        needed = list(dict.fromkeys([*(name for name in numeric if name is not None), *texts]))
        present: list[str] = []

        def chosen(names: Sequence[str]) -> list[str]:
            present[:] = names
            return [name for name in names if every or name in {*needed, *optional}]

        where = name_of(table)
        source = io.open_table(table, choose=chosen, name=where)
        names = present or list(source.schema)
        require_columns(where, needed, names)
        found = cls(where, source.read(chosen(names)), source.columns, says_mock(source.metadata))
        found._refuse_texts([name for name in found.frame.columns if name not in texts and name not in _LISTS])
        return found

    def _refuse_texts(self, names: Sequence[str]) -> None:
        problems = Problems()
        for name in names:
            kind = self.frame.schema[name]
            if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
                problems.add(f"{self.where}: column {name!r}", f"holds {kind}", "numbers")
        problems.raise_if_any()

    def __contains__(self, name: str) -> bool:
        return name in self.frame.columns

    def numbers(self, name: str) -> FloatArray:
        """A column as float64, NaN where it is missing or not finite. Shape (n_rows,)."""
        return numbers(self.frame, name)

    def unit(self, name: str) -> str:
        """Unit of a column: that of the table, or of the columns of a catalogue; empty where unknown."""
        about = self.columns.get(name)
        if about is not None and about.unit:
            return about.unit
        known = catalogue_columns().get(name)
        return known.unit if known is not None else _usual_unit(name)

    def title(self, name: str, unit: str | None = None) -> str:
        """Return the title of an axis with a column: symbol or name, and unit where one is known."""
        return axis_name(name, self.unit(name) if unit is None else unit)


def numbers(table: pl.DataFrame, name: str) -> FloatArray:
    """A column as float64, NaN where it is not finite; all NaN where there is no such column. Shape (n_rows,)."""
    if name not in table.columns:
        return np.full(table.height, np.nan)
    values = as_floats(table[name])
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


def axis_name(name: str, unit: str = "") -> str:
    """Return the title of an axis: symbol and unit of a label, else the name of the column."""
    if name == "magnitude":
        return "magnitude (mag)"
    label = name.removesuffix("_label")
    if label not in LABELS:
        return f"{name} ({_printed(unit)})" if unit else name
    symbol, _, index = LABELS[label].symbol.partition("_")
    return (f"${symbol}_{{\\mathrm{{{index}}}}}$" if index else symbol) + f" ({label_unit(label)})"


def _usual_unit(name: str) -> str:
    """Unit that a name tells in every catalogue: those of labels and of magnitudes; empty for other names."""
    label = next((item for item in LABELS if name.startswith(f"{item}_")), None)
    return label_unit(label) if label else "mag" if name.endswith("_mag") else ""


def _printed(unit: str) -> str:
    """Return a unit for people: a compound one with exponents, any other as it is written."""
    if not re.search(r"[.*/^ ]", unit):
        return unit
    try:
        return str(parse_unit(unit).to_string("latex_inline"))
    except ValueError:
        return unit


def label_unit(label: str) -> str:
    """Unit of the differences of a label, for people; empty where it is no label."""
    label = label.removesuffix("_label")
    return "" if label not in LABELS else "K" if LABELS[label].unit == "K" else "dex"


def short_name(label: str) -> str:
    """Return what a label is called without its unit; a column that is no label keeps its name."""
    return LABELS[label].name if label in LABELS else label
