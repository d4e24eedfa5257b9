"""Rows of a table of neighbours for some identifiers, from a file of any size or from the archive."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.crosswalk import DIFFERENCE, DISTANCE, NEW, OLD, one_to_one, within
from starscale.io.units import convert
from starscale.surveys import Survey
from starscale.surveys.releases import CrosswalkColumns, GaiaIdentifier
from starscale.surveys.schema import Identifier
from starscale.tables.standardise import require
from starscale.tables.stream import columns_of, pieces
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.match import CrosswalkLimits

_PROBABLE = "probable"


@dataclass(frozen=True)
class Neighbourhood:
    """A table of neighbours, used in one of its two directions.

    Parameters
    ----------
    survey : Survey
        Describes the table.
    columns : CrosswalkColumns
        Its section `crosswalk`.
    path : Path or None
        The table, as the settings write it. None: its rows are fetched from the archive of the survey.
    base : Path
        Folder that a relative path starts from.
    limits : CrosswalkLimits
    back : bool
        From the newer release to the older one.
    """

    survey: Survey
    columns: CrosswalkColumns
    path: Path | None
    base: Path
    limits: CrosswalkLimits
    back: bool = False

    @property
    def start(self) -> GaiaIdentifier:
        """The identifiers that are replaced."""
        return self.columns.newer if self.back else self.columns.older

    @property
    def goal(self) -> GaiaIdentifier:
        """The identifiers that replace them."""
        return self.columns.older if self.back else self.columns.newer

    @property
    def where(self) -> str:
        """Name of the table in messages."""
        return (
            str(self.base / self.path) if self.path is not None else f"{self.survey.service}: {self.survey.table}"
        )

    def settings(self) -> list[Any]:
        """Return what the result depends on besides the table, as plain data."""
        return [self.survey.model_dump(mode="json"), self.limits.model_dump(mode="json"), self.path is None]

    def walk(self, ids: pl.Series) -> tuple[pl.DataFrame, dict[str, int]]:
        """Find the counterpart of every identifier; see :func:`~starscale.crossmatch.kernel.crosswalk.one_to_one`.

        The table is read twice: the rows of the identifiers, then those of the sources that they name, because
        such a source may belong to a star that is not among `ids`.

        Parameters
        ----------
        ids : polars.Series of int64
            Different identifiers.

        Returns
        -------
        pairs : polars.DataFrame
            `old`, `new`, `reason`.
        counts : dict of str to int
            `identifiers`, `found`, `kept`, `repeated_rows`, and, where the table has such a column, `improbable`.

        Raises
        ------
        InputError
            Missing columns, rows that contradict each other, or a table without any of the identifiers.
        """
        own, copies = self._unique(self._rows(self.start, ids))
        if own.height == 0:
            raise InputError(self._foreign(ids))
        targets = within(own, self.limits)[NEW].unique()
        rivals = [self._rows(self.goal, targets)] if len(targets) else []
        # The first rows come again with the second.
        rows, _ = self._unique(pl.concat([own, *rivals]))
        pairs = one_to_one(ids, rows.drop(_PROBABLE), self.limits)
        kept = pairs.filter(pl.col(NEW).is_not_null())
        counts = {
            "identifiers": len(ids),
            "found": own[OLD].n_unique(),
            "kept": kept.height,
            "repeated_rows": copies,
        }
        if own[_PROBABLE].null_count() < own.height:
            improbable = kept.join(own.filter(~pl.col(_PROBABLE)), on=[OLD, NEW], how="semi")
            counts["improbable"] = improbable.height
        return pairs, counts

    def _foreign(self, ids: pl.Series) -> Problem:
        return Problem(
            f"{self.where}: column {self.start.column!r}",
            f"holds none of the {len(ids):,} identifiers of the labels (first: {ids[0]})",
            f"identifiers of {self.start.release}",
            "Is this the table of other releases, or of another part of the sky?",
        )

    def _rows(self, side: GaiaIdentifier, ids: pl.Series) -> pl.DataFrame:
        """Return the rows with one of the identifiers in the column of this side."""
        if self.path is not None:
            return self._from_file(self.base / self.path, side, ids)
        with tempfile.TemporaryDirectory(prefix="starscale-") as folder:
            file = Path(folder) / "neighbourhood.parquet"
            # Only a crosswalk from the archive loads the network libraries.
            fetch = importlib.import_module("starscale.archives.api").fetch
            fetch(self._by(side), file, ids=ids)
            return self._from_file(file, side, ids)

    def _by(self, side: GaiaIdentifier) -> Survey:
        """Return the survey with the identifier of one side as that of its rows, to have this column examined."""
        own = self.survey.id
        identifier = own if own.column == side.column else Identifier(column=side.column, lower=1)
        return self.survey.model_copy(update={"id": identifier.model_copy(update={"unique": False})})

    def _from_file(self, path: Path, side: GaiaIdentifier, ids: pl.Series) -> pl.DataFrame:
        survey, wanted = self._by(side), np.unique(ids.to_numpy())
        needed = [name for name in self.columns.columns if name != self.columns.probable and name is not None]
        present = columns_of(path, survey)
        require(present, needed, str(path), "a crosswalk between releases of Gaia")
        chosen = [*needed, *([self.columns.probable] if self.columns.probable in present else [])]
        frames = [frame.filter(_among(frame[side.column], wanted)) for frame in pieces(path, survey, chosen)]
        return self._named(pl.concat(frames))

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        spec, probable = self.survey.columns[self.columns.distance], self.columns.probable
        distance = convert(rows[self.columns.distance].cast(pl.Float64), spec.unit, "mas", self.where)
        return rows.select(
            pl.col(self.start.column).alias(OLD),
            pl.col(self.goal.column).alias(NEW),
            distance.alias(DISTANCE),
            pl.col(self.columns.magnitude_difference).cast(pl.Float64).alias(DIFFERENCE),
            (pl.col(probable) if probable in rows.columns else pl.lit(None)).cast(pl.Boolean).alias(_PROBABLE),
        ).drop_nulls([OLD, NEW])

    def _unique(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """Return every row once, and the number of exact copies; refuse rows that contradict each other."""
        if len(wrong := rows.filter(pl.col(DISTANCE) < 0)):
            found = f"{wrong.height:,} of {rows.height:,} distances are negative"
            raise InputError(Problem(f"{self.where}: column {self.columns.distance!r}", found, "0 or more"))
        once = rows.unique(maintain_order=True)
        twice = once.filter(once.select(OLD, NEW).is_duplicated())
        if twice.height:
            pair = f"{twice[OLD][0]} and {twice[NEW][0]}"
            found = f"{twice.select(OLD, NEW).n_unique():,} pairs occur with different values (first: {pair})"
            fix = "Exact copies of a row do no harm; remove the wrong ones of these."
            raise InputError(Problem(self.where, found, "every pair of identifiers once", fix))
        return once, rows.height - once.height


def _among(values: pl.Series, wanted: np.ndarray) -> pl.Series:
    """Whether each value is one of `wanted`, which is sorted."""
    found = values.fill_null(-1).to_numpy()
    place = np.minimum(np.searchsorted(wanted, found), max(len(wanted) - 1, 0))
    return pl.Series(wanted[place] == found if len(wanted) else np.zeros(len(found), dtype=bool))


def route(crosswalks: Sequence[Neighbourhood], start: str, goal: str | None) -> list[Neighbourhood] | None:
    """Return the shortest chain of crosswalks from one release to another; None if there is none."""
    chains: list[list[Neighbourhood]] = [[]]
    reached = {start}
    while chains:
        longer = []
        for chain in chains:
            end = chain[-1].goal.release if chain else start
            if end == goal:
                return chain
            longer += [[*chain, step] for step in _steps(crosswalks, end) if step.goal.release not in reached]
        reached |= {chain[-1].goal.release for chain in longer}
        chains = longer
    return None


def _steps(crosswalks: Sequence[Neighbourhood], release: str) -> Iterator[Neighbourhood]:
    for item in crosswalks:
        for back in (False, True):
            step = replace(item, back=back)
            if step.start.release == release:
                yield step
