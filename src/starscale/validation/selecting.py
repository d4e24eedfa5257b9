"""The verb `selection_function`: which stars of a parent table a catalogue holds, and where it holds any."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.io.progress import progress_of
from starscale.tables.api import PROVENANCE_KEY, AnyTable, name_of, refuse_same, says_mock
from starscale.tables.sql import row_expression
from starscale.validation.selection import (
    COVERED,
    SelectionCounts,
    count_selection,
    parse_selection,
    write_coverage,
    write_selection,
)
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.provenance import record
from starscale.vocabulary.summary import Figures, Summarised


@dataclass(frozen=True, slots=True, repr=False)
class SelectionFunction(Summarised):
    """Result of :func:`selection_function`.

    Attributes
    ----------
    table : polars.DataFrame
        ``healpix_`` and ``<name>_`` (numbers of cell and bins), stars seen ``n`` and kept ``k``, probability ``p``
        with its error; one row for each combination with a star. Empty without a parent table.
    settings : dict
        Order of the cells and bins, as gaiaunlimited takes them.
    outside : int
        Stars of the parent table outside all bins, or without a position.
    sky : float
        Share of the sky in cells with a star of the catalogue.
    files : tuple of Path
        Files written.
    mock : bool
        Whether the stars are simulated, according to the tables.
    """

    table: pl.DataFrame
    settings: dict[str, Any]
    outside: int
    sky: float
    files: tuple[Path, ...]
    mock: bool

    def _key_figures(self) -> Figures:
        rows: list[tuple[str, object]] = [("share of the sky", f"{100 * self.sky:.3g} %")]
        if self.table.height:
            rows += [("seen", int(self.table["n"].sum())), ("kept", int(self.table["k"].sum()))]
            rows += [("outside the bins", self.outside), ("cells and bins with stars", self.table.height)]
        rows += [("files", ", ".join(path.name for path in self.files))]
        return f"{'MOCK: ' if self.mock else ''}Selection function", rows


def selection_function(
    table: AnyTable,
    output: str | Path,
    *,
    parent: AnyTable | None = None,
    bins: Mapping[str, int | Sequence[float]] | None = None,
    identifier: str = "source_id",
    keep: str | None = None,
    progress: Progress | bool | None = None,
) -> SelectionFunction:
    """Count which stars of a parent table a catalogue holds, by HEALPix cell, magnitude and colour.

    Both tables are read in chunks.

    Parameters
    ----------
    table : path or table
        The catalogue: anything that :func:`read` takes.
    output : path
        Folder: it receives the counts as FITS, Parquet and CSV (which gaiaunlimited reads), and a MOC of the cells
        of order 8 in which the catalogue holds a star.
    parent : path or table, optional
        All stars that were considered: identifier, position and the columns of the bins. Without it, only the
        MOC is written.
    bins : mapping, optional
        ``{"healpix": order, "phot_g_mean_mag": (low, high, step)}``; default: cells of order 5. The name may be an
        SQL expression of columns with a name of its own: ``"phot_g_mean_mag - phot_rp_mean_mag AS g_rp"``.
    identifier : str
        Column with the identifier, in both tables.
    keep : str, optional
        SQL predicate: only rows of the catalogue for which it is true count as kept.
    progress : Progress or bool, optional
        Receives the number of rows read; True: show it. Default: silent.

    Returns
    -------
    SelectionFunction

    Raises
    ------
    InputError
        Columns or settings that are wrong; no star of the catalogue in the parent table.
    """
    order, _ = parse_selection(bins or {})
    folder, where = Path(output).expanduser(), name_of(table, "catalogue")
    refuse_same(folder, table, *([] if parent is None else [parent]))
    rule = None if keep is None else row_expression(keep, "keep", "a predicate")
    source = io.open_table(table, name=where)
    mock = says_mock(source.metadata)
    shown, counts = progress_of(progress), None
    with io.atomic_directory(folder, marker=COVERED) as partial:
        with shown.task("reading the catalogue", source.n_rows) as task:
            kept, sky = write_coverage(source, where, identifier, rule, partial / COVERED, task)
        files = [COVERED]
        if parent is not None:
            with shown.task("reading the parent table") as task:
                counts = count_selection(parent, kept, identifier, bins or {}, task)
            mock = mock or counts.mock
            settings = {"bins": counts.settings, "keep": keep}
            provenance = record(command="selection_function", mock=mock, settings=settings)
            metadata = {PROVENANCE_KEY: json.dumps(provenance, default=str)}
            files = [*(path.name for path in write_selection(counts, partial, metadata)), COVERED]
    paths = tuple(folder / name for name in files)
    return _made(counts, order, sky, paths, mock)


def _made(
    counts: SelectionCounts | None, order: int, sky: float, files: tuple[Path, ...], mock: bool
) -> SelectionFunction:
    if counts is None:
        return SelectionFunction(pl.DataFrame(), {"healpix": order}, 0, sky, files, mock)
    return SelectionFunction(counts.table, counts.settings, counts.outside, sky, files, mock)
