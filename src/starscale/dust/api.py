"""The verb `add_reddening`: columns with E(B-V) of a dust map."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale import io
from starscale.dust.description import load_map
from starscale.dust.reddening import ReddeningFlag, ReddeningMap
from starscale.io import Source
from starscale.io.progress import progress_of
from starscale.io.units import convert
from starscale.surveys import Survey, load_survey
from starscale.surveys.derived import derivable
from starscale.surveys.spelling import with_rename
from starscale.tables.api import PROVENANCE_KEY, AnyTable, is_mock, name_of, refuse_same, stated_metadata
from starscale.tables.arrays import as_floats
from starscale.tables.frames import refuse_frame
from starscale.tables.opening import open_for
from starscale.tables.standardise import require, spelling, standardise, to_read
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Progress, Task
from starscale.vocabulary.provenance import record

#: Rows in memory.
CHUNK = 250_000


@dataclass(frozen=True, slots=True)
class Reddened:
    """A table with E(B-V).

    Attributes
    ----------
    table : polars.DataFrame or None
        None if it was written to a file.
    n_rows : int
    n_values : int
        Rows with E(B-V).
    flags : dict of str to int
        Number of rows by flag, for flags that occur.
    scale : str
        Scale of E(B-V) for `[reddening]` of a survey file: "sfd" or "true".
    """

    table: pl.DataFrame | None
    n_rows: int
    n_values: int
    flags: dict[str, int]
    scale: str


def add_reddening(
    table: AnyTable,
    dust_map: str | Path,
    *,
    survey: str | Path | Survey,
    output: str | Path | None = None,
    distance: str | None = None,
    column: str = "ebv",
    rename: Mapping[str, str] | None = None,
    progress: Progress | bool | None = None,
) -> Reddened:
    """Add E(B-V) of a dust map, its error and a flag to a table.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes. All its columns are kept as they are.
    dust_map : str or Path
        Name of a packaged map of dustmaps, or a TOML file that describes a map.
    survey : str, Path or Survey
        Describes the columns with positions and distances.
    output : str or Path, optional
        File to write, in pieces; its suffix gives the format. Default: the table is returned.
    distance : str, optional
        Column with distances in pc, for a map that has several; default: that of the survey.
    column : str
        Name of the new column; the others are ``<column>_error`` and ``<column>_flag``.
    rename : mapping of str to str, optional
        Names in the table, by the name of the survey.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Reddened

    Raises
    ------
    InputError
        No positions or distances, columns that exist already, or a map that cannot be read.
    StarscaleError
        `output` cannot be written; an older file is unchanged.
    """
    description = with_rename(load_survey(survey), rename)
    where = name_of(table)
    if output is not None:
        refuse_same(output, table)
    source = open_for(table, description, name=where)
    refuse_frame(source, description, where)
    opened = ReddeningMap(*load_map(dust_map))
    job = _Job(source, description, opened, _needed(source, description, opened, distance, where), column, where)
    new = job.columns()
    taken = [name for name in new if name in source.schema]
    if taken:
        fix = "Choose another name with column (--column), or leave the old columns out."
        raise InputError(Problem(where, f"has columns called {', '.join(taken)} already", "new names", fix))
    shown = progress_of(progress)
    with shown.task(f"reading E(B-V) of {opened.about.name}", source.n_rows) as task:
        frames = _counted(job.frames(), task)
        if output is None:
            done = pl.concat(frames, rechunk=True)
            return job.result(done)
        schema = pl.Schema({**source.schema, **{name: job.kinds[name] for name in new}})
        metadata = stated_metadata(source) | {PROVENANCE_KEY: json.dumps(job.provenance(table), default=str)}
        about = {**source.columns, **new}
        with io.open_writer(Path(output).expanduser(), schema, columns=about, metadata=metadata) as writer:
            for frame in frames:
                writer.append(frame)
    return job.result(None)


class _Job:
    """One table and one map; counts what was found."""

    def __init__(
        self,
        source: Source,
        survey: Survey,
        opened: ReddeningMap,
        needed: tuple[str, ...],
        column: str,
        where: str,
    ) -> None:
        self._source, self._survey, self._map = source, survey, opened
        self._needed, self._column, self._where = needed, column, where
        self._counts = dict.fromkeys(ReddeningFlag, 0)
        self._rows = self._values = 0
        self.kinds: dict[str, pl.DataType] = dict(
            zip(self.columns(), (pl.Float64(), pl.Float64(), pl.Int32()), strict=True)
        )

    def columns(self) -> dict[str, Column]:
        """Return the new columns."""
        about, name = self._map.about, self._column
        scale = "of SFD" if about.scale == "sfd" else "true"
        at = " at the distance of the star" if self._map.needs_distance else ""
        return {
            name: Column(name, "float64", "mag", "phot.color.excess", f"E(B-V), scale {scale}{at}: {about.title}"),
            f"{name}_error": Column(
                f"{name}_error", "float64", "mag", "stat.error;phot.color.excess", f"error of {name}"
            ),
            f"{name}_flag": Column(f"{name}_flag", "int32", "", "meta.code.qual", f"flag of {name}; 0: none"),
        }

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the table with the new columns, in pieces; at least one frame."""
        names = list(self._source.schema)
        read = to_read(names, self._survey, [self._survey.id.column, *self._needed])
        whole = self._source.batches(CHUNK, names) if self._source.n_rows else iter([self._source.read()])
        for frame in whole:
            about = self._source.columns
            stars = standardise(
                frame.select(read), self._survey, where=self._where, found_columns=about, whole=False
            )
            others = [self._distances(frame[name]) for name in self._needed if name not in stars.columns]
            yield frame.with_columns(self._new(stars.with_columns(others)))

    def _distances(self, values: pl.Series) -> pl.Series:
        """Return distances that the survey does not describe in pc."""
        label, unit = f"{self._where}: column {values.name!r}", self._source.columns[values.name].unit
        if not values.dtype.is_numeric():
            raise InputError(Problem(label, f"is of type {values.dtype}", "distances in pc"))
        return convert(values, unit, "pc", label) if unit else values

    def _new(self, stars: pl.DataFrame) -> list[pl.Series]:
        ra, dec, *far = (as_floats(stars[name]) for name in self._needed)
        ebv, error, flag = self._map.reddening(ra, dec, far[0] if far else None)
        self._rows += len(flag)
        self._values += int(np.isfinite(ebv).sum())
        for bit in ReddeningFlag:
            self._counts[bit] += int((flag & bit > 0).sum())
        found: tuple[NDArray[Any], ...] = (ebv, error, flag)
        series = zip(self.kinds.items(), found, strict=True)
        return [pl.Series(name, values, kind, nan_to_null=True) for (name, kind), values in series]

    def provenance(self, table: AnyTable) -> dict[str, object]:
        """Return the provenance of the new table."""
        path = Path(table) if isinstance(table, str | Path) else None
        return record(
            command="redden",
            mock=path is not None and is_mock(path),
            settings={"survey": self._survey.name, "map": self._map.about.model_dump(mode="json")},
            inputs={} if path is None else {str(path): {"sha256": io.checksum(path)}},
        )

    def result(self, table: pl.DataFrame | None) -> Reddened:
        """Return what was done."""
        flags = {str(bit.name): n for bit, n in self._counts.items() if n}
        return Reddened(table, self._rows, self._values, flags, self._map.about.scale)


def _needed(
    source: Source, survey: Survey, opened: ReddeningMap, distance: str | None, where: str
) -> tuple[str, ...]:
    """Return the columns with positions and, if the map needs them, distances."""
    if survey.position is None:
        missing = f"survey {survey.name} describes no positions"
        raise InputError(Problem(where, missing, "a [position] section in the survey file"))
    names = [survey.position.ra, survey.position.dec]
    if opened.needs_distance:
        default = survey.distance.value if survey.distance is not None else None
        if distance is None and default is None:
            found = f"the map {opened.about.name} needs distances, and survey {survey.name} describes none"
            fix = "Name the column with --distance (in Python: distance=); `clean --join` adds distances."
            raise InputError(Problem(where, found, "a column with distances in pc", fix))
        names.append(str(distance or default))
    known = spelling(source.schema, survey)
    there = {*source.schema, *known, *derivable(survey.columns, known)}
    require(there, names, where, "E(B-V)")
    return tuple(names)


def _counted(frames: Iterator[pl.DataFrame], task: Task) -> Iterator[pl.DataFrame]:
    for frame in frames:
        yield frame
        task.advance(frame.height)
