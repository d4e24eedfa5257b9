"""The selection function of a catalogue: the share of a parent table that it holds, by place and brightness.

Cells and bins are those of gaiaunlimited (Castro-Ginard et al. 2023, A&A 677, A37), in whose form the counts are
written: nested HEALPix cells (ICRS), numbers of bins counted from 0, ``n`` stars seen and ``k`` of them kept. The
probability is the mean of its distribution for a uniform prior, ``(k + 1) / (n + 2)``, and its error that
distribution's standard deviation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from starscale import io
from starscale.io.sky_columns import position_columns
from starscale.io.table import Source, require_columns
from starscale.tables.api import AnyTable, name_of, says_mock
from starscale.tables.arrays import as_floats
from starscale.tables.healpix import cells, placed_cells
from starscale.tables.sql import RowExpression, row_expression
from starscale.validation.moc import write_moc
from starscale.validation.references import as_keys
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.later import Later
from starscale.vocabulary.progress import Task

fits = Later("astropy.io.fits")

CELL = "healpix"
#: Finest order of the cells of counts; order of the cells of the coverage.
FINEST, COVERAGE = 8, 8
_HEALPIX = {"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", "COORDSYS": "C", "INDXSCHM": "EXPLICIT"}
SELECTION, COVERED = "selection", "moc.fits"
_NAMED = re.compile(r"(?is)(?P<expression>.+?)\s+AS\s+(?P<name>\w+)\s*")
_CHUNK = 250_000


@dataclass(frozen=True, slots=True)
class SelectionBins:
    """Bins of one quantity of the parent table, of equal width.

    Attributes
    ----------
    name : str
        Name of the quantity in the result.
    expression : RowExpression
        SQL of the columns of the parent table.
    low, high, step : float
    """

    name: str
    expression: RowExpression
    low: float
    high: float
    step: float

    @property
    def count(self) -> int:
        """Number of bins."""
        return max(round((self.high - self.low) / self.step), 1)

    def numbers(self, frame: pl.DataFrame) -> pl.Series:
        """Return the number of the bin of every row; null outside all of them."""
        values = self.expression.on(frame).cast(pl.Float64)
        place = ((values - self.low) / self.step).floor().cast(pl.Int64, strict=False)
        inside = (values >= self.low) & (values < self.high) & (place < self.count)
        return place.set(~inside.fill_null(value=False), None).alias(f"{self.name}_")


@dataclass(frozen=True, slots=True)
class SelectionCounts:
    """Counts of a selection function.

    Attributes
    ----------
    order : int
        Of the HEALPix cells.
    bins : tuple of SelectionBins
    table : polars.DataFrame
        ``healpix_`` and ``<name>_`` (numbers of cell and bins), ``n``, ``k``, ``p``, ``p_error``, one row for each
        combination with a star.
    outside : int
        Stars of the parent table outside all bins, or without a position.
    mock : bool
    """

    order: int
    bins: tuple[SelectionBins, ...]
    table: pl.DataFrame
    outside: int
    mock: bool

    @property
    def settings(self) -> dict[str, Any]:
        """Order of the cells, and low end, high end and width of the bins, as gaiaunlimited takes them."""
        return {CELL: self.order, **{one.name: [one.low, one.high, one.step] for one in self.bins}}


def parse_selection(selection: Mapping[str, Any]) -> tuple[int, tuple[SelectionBins, ...]]:
    """Read the settings of a selection function.

    Parameters
    ----------
    selection : mapping
        ``{"healpix": order, "phot_g_mean_mag": (low, high, step)}``; instead of a column any SQL expression with a
        name, such as ``"phot_g_mean_mag - phot_rp_mean_mag AS g_rp"``.

    Raises
    ------
    InputError
        All that is wrong.
    """
    problems, bins = Problems(), []
    order = selection.get(CELL, 5)
    if not isinstance(order, int) or not 0 <= order <= FINEST:
        problems.add("selection", f"{CELL} = {order!r}", f"the order of HEALPix cells, 0 to {FINEST}")
    for text, limits in selection.items():
        if text == CELL:
            continue
        with problems.collect():
            bins.append(_bins(text, limits))
    problems.raise_if_any()
    return int(order), tuple(bins)


def _bins(text: str, limits: Any) -> SelectionBins:
    named = _NAMED.fullmatch(text)
    expression = row_expression(named["expression"] if named else text, "selection")
    name = named["name"] if named else text
    if not named and expression.columns != (text,):
        raise InputError(Problem("selection", f"{text!r} has no name", f"'{text} AS name'"))
    wrong = Problem("selection", f"{text} = {limits!r}", "low end, high end and width of the bins: 3, 20, 0.5")
    try:
        low, high, step = (float(one) for one in limits)
    except (TypeError, ValueError):
        raise InputError(wrong) from None
    if not (np.isfinite([low, high, step]).all() and low < high and 0 < step <= high - low):
        raise InputError(wrong)
    return SelectionBins(name, expression, low, high, step)


def count_selection(
    parent: AnyTable, kept: pl.Series, identifier: str, selection: Mapping[str, Any], task: Task
) -> SelectionCounts:
    """Count the stars of a parent table, and those that a catalogue holds.

    Parameters
    ----------
    parent : path or table
        All stars that were considered: identifier, position, and the columns of the bins. Read in chunks.
    kept : polars.Series
        Identifiers of the catalogue.
    identifier : str
        Column with the identifier.
    selection : mapping
        As for :func:`parse_selection`.
    task : Task
        Receives the rows read.

    Raises
    ------
    InputError
        Settings or columns that are wrong; identifiers of another type; no star of the catalogue in the parent.
    """
    order, bins = parse_selection(selection)
    where = name_of(parent, "parent table")
    source = io.open_table(parent, name=where)
    ra, dec = positions_of(source, where)
    names = list(dict.fromkeys([identifier, ra, dec, *(name for one in bins for name in one.expression.columns)]))
    require_columns(where, names, list(source.schema))
    groups, pieces, outside = [f"{CELL}_", *(f"{one.name}_" for one in bins)], [], 0
    for frame in source.batches(_CHUNK, names):
        task.advance(frame.height)
        keys = as_keys(frame[identifier], f"{where}: column {identifier!r}")
        if keys.dtype != kept.dtype:
            raise InputError(
                Problem(where, f"its identifiers are {keys.dtype}", f"{kept.dtype}, as in the catalogue")
            )
        piece = pl.DataFrame(
            [
                _cells(frame, ra, dec, order),
                *(one.numbers(frame) for one in bins),
                keys.is_in(kept.implode()).fill_null(value=False).alias("kept"),
            ]
        )
        inside = piece.drop_nulls(groups)
        outside += piece.height - inside.height
        pieces.append(
            inside.group_by(groups).agg(pl.len().cast(pl.Int64).alias("n"), pl.col("kept").sum().alias("k"))
        )
    if not pieces:
        raise InputError(Problem(where, "has no rows", "all stars that were considered"))
    table = pl.concat(pieces).group_by(groups).agg(pl.col("n", "k").sum().cast(pl.Int64)).sort(groups)
    if table["k"].sum() == 0:
        raise InputError(
            Problem(where, "holds no star of the catalogue inside the bins", "the table it was made from")
        )
    return SelectionCounts(order, bins, table.with_columns(**_probability()), outside, says_mock(source.metadata))


def _probability() -> dict[str, pl.Expr]:
    """Mean and standard deviation of the beta distribution of a share, for a uniform prior."""
    n, k = pl.col("n").cast(pl.Float64), pl.col("k").cast(pl.Float64)
    variance = (k + 1) * (n - k + 1) / ((n + 2) ** 2 * (n + 3))
    return {"p": (k + 1) / (n + 2), "p_error": variance.sqrt()}


def positions_of(source: Source, where: str) -> tuple[str, str]:
    """Return the columns of right ascension and declination (deg).

    Raises
    ------
    InputError
        There are none.
    """
    found = position_columns(source.schema, source.columns)
    if found is None:
        raise InputError(Problem(where, "has no position", "ra and dec in degrees"))
    return found


def _cells(frame: pl.DataFrame, ra: str, dec: str, order: int) -> pl.Series:
    """Return the cell of every row; null without a position."""
    a, d = (as_floats(frame[name]) for name in (ra, dec))
    found = pl.Series(f"{CELL}_", placed_cells(a, d, order).astype(np.int64))
    return found.set(found < 0, None)


def write_selection(counts: SelectionCounts, folder: Path, metadata: Mapping[str, str]) -> tuple[Path, ...]:
    """Write counts as FITS and Parquet, and as the CSV file that gaiaunlimited reads."""
    table = counts.table.with_columns(
        ((pl.col(f"{one.name}_") + 0.5) * one.step + one.low).alias(one.name) for one in counts.bins
    )
    healpix = {**_HEALPIX, "NSIDE": 2**counts.order}
    about = {**{key: str(value) for key, value in healpix.items()}, SELECTION: str(counts.settings), **metadata}
    paths = [folder / f"{SELECTION}.{suffix}" for suffix in ("fits", "parquet", "csv")]
    for path in paths[:2]:
        io.write(table, path, columns=_described(counts), metadata=about)
    # Programs look for these in the header, where texts about a table of other programs are not.
    with fits.open(paths[0], mode="update") as file:
        file[1].header.update(healpix)
        file[1].add_checksum()
    io.atomic_text(paths[2], f"#{counts.settings}\n{_with_empty(counts).write_csv()}")
    return tuple(paths)


def _with_empty(counts: SelectionCounts) -> pl.DataFrame:
    """Return the counts with a row for every cell, and for every bin, that has no star.

    From the numbers of different values gaiaunlimited finds the order of the cells and the shape of its array.
    """
    sizes = {f"{CELL}_": 12 * 4**counts.order, **{f"{one.name}_": one.count for one in counts.bins}}
    found = counts.table.select(*sizes, "n", "k")
    for name, size in sizes.items():
        unseen = pl.int_range(size, eager=True).alias(name)
        unseen = unseen.filter(~unseen.is_in(found[name].implode()))
        zeros = [pl.lit(0, pl.Int64).alias(other) for other in found.columns if other != name]
        found = pl.concat([found, unseen.to_frame().with_columns(zeros).select(found.columns)])
    return found.sort(list(sizes))


def _described(counts: SelectionCounts) -> dict[str, Column]:
    found = [
        Column(f"{CELL}_", "int64", "", "pos.healpix", f"nested HEALPix cell of order {counts.order} (ICRS)"),
        Column("n", "int64", "", "meta.number", "stars of the parent table"),
        Column("k", "int64", "", "meta.number", "of these in the catalogue"),
        Column("p", "float64", "", "stat.probability", "probability to be in the catalogue: (k + 1) / (n + 2)"),
        Column("p_error", "float64", "", "stat.error;stat.probability", "its standard deviation"),
    ]
    for one in counts.bins:
        text = f"number of the bin of {one.expression.text}: {one.low:g} to {one.high:g} in steps of {one.step:g}"
        found += [Column(f"{one.name}_", "int64", "", "", text), Column(one.name, description="centre of the bin")]
    return {column.name: column for column in found}


def write_coverage(
    source: Source, where: str, identifier: str, rule: RowExpression | None, output: Path, task: Task
) -> tuple[pl.Series, float]:
    """Write where a catalogue holds stars; return its identifiers, and the share of the sky."""
    ra, dec = positions_of(source, where)
    names = list(dict.fromkeys([identifier, ra, dec, *(rule.columns if rule else ())]))
    require_columns(where, names, list(source.schema))
    seen, keys = [np.empty(0, np.int64)], []
    for frame in source.batches(_CHUNK, names):
        task.advance(frame.height)
        rows = frame.filter(rule.mask(frame)) if rule else frame
        place = rows.drop_nulls([ra, dec])
        seen.append(np.unique(cells(place[ra].to_numpy(), place[dec].to_numpy(), COVERAGE)))
        keys.append(as_keys(rows[identifier], f"{where}: column {identifier!r}").drop_nulls())
    if not keys:
        raise InputError(Problem(where, "has no rows", "a catalogue"))
    return pl.concat(keys), write_moc(output, np.concatenate(seen), COVERAGE)
