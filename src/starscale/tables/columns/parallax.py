"""The verb `correct_parallax`: parallaxes without their bias, as the survey file describes it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from starscale import io
from starscale.io import Source
from starscale.io.progress import progress_of
from starscale.surveys import Survey, load_survey
from starscale.surveys.parallax import ParallaxBias
from starscale.surveys.spelling import with_rename
from starscale.tables.api import PROVENANCE_KEY, AnyTable, is_mock, name_of, refuse_same, stated_metadata
from starscale.tables.arrays import as_floats
from starscale.tables.opening import open_for
from starscale.tables.standardise import require, spelling, standardise, to_read
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Progress, Task
from starscale.vocabulary.provenance import record

#: Rows in memory.
_CHUNK = 250_000
#: Names of the new columns.
BIAS, CORRECTED = "parallax_bias", "parallax_corrected"
#: Codes of solutions with five and with six parameters; only these have a zero point.
_FIVE, _SIX = 31, 95


@dataclass(frozen=True, slots=True)
class CorrectedParallaxes:
    """A table with corrected parallaxes.

    Attributes
    ----------
    table : polars.DataFrame or None
        None if it was written to a file.
    n_rows : int
    n_values : int
        Rows with a corrected parallax.
    """

    table: pl.DataFrame | None
    n_rows: int
    n_values: int


def correct_parallax(
    table: AnyTable,
    *,
    survey: str | Path | Survey,
    output: str | Path | None = None,
    rename: Mapping[str, str] | None = None,
    progress: Progress | bool | None = None,
) -> CorrectedParallaxes:
    """Add `parallax_bias` and `parallax_corrected`, the parallax without it, to a table.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes. All its columns are kept as they are.
    survey : str, Path or Survey
        Says what the bias is (section `parallax_bias`).
    output : str or Path, optional
        File to write, in pieces; its suffix gives the format. Default: the table is returned.
    rename : mapping of str to str, optional
        Names in the table, by the name of the survey.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    CorrectedParallaxes
        Both columns are null for a star without a bias: outside the range of the published function, or with a
        position only.

    Raises
    ------
    InputError
        The survey describes no bias, columns are missing or exist already, or the package of the zero point is not
        installed.
    StarscaleError
        `output` cannot be written; an older file is unchanged.
    """
    description, where = with_rename(load_survey(survey), rename), name_of(table)
    if output is not None:
        refuse_same(output, table)
    source = open_for(table, description, name=where)
    parallax, bias = _described(source, description, where)
    unit = description.columns[parallax].unit
    new = {
        BIAS: Column(BIAS, "float64", unit, "stat.error.sys;pos.parallax", f"bias of {parallax}: {bias.source}"),
        CORRECTED: Column(CORRECTED, "float64", unit, "pos.parallax.trig", f"{parallax} less its bias"),
    }
    if taken := [name for name in new if name in source.schema]:
        found = f"has columns called {', '.join(taken)} already"
        raise InputError(Problem(where, found, "other columns", "Leave the old columns out, or rename them."))
    counted = _Counts()
    with progress_of(progress).task("correcting parallaxes", source.n_rows) as task:
        frames = counted.through(_frames(source, description, parallax, bias, where), task)
        if output is None:
            return counted.result(pl.concat(frames, rechunk=True))
        schema = pl.Schema({**source.schema, BIAS: pl.Float64(), CORRECTED: pl.Float64()})
        provenance = json.dumps(_provenance(table, description), default=str)
        metadata = stated_metadata(source) | {PROVENANCE_KEY: provenance}
        about = {**source.columns, **new}
        with io.open_writer(Path(output).expanduser(), schema, columns=about, metadata=metadata) as writer:
            for frame in frames:
                writer.append(frame)
    return counted.result(None)


@dataclass
class _Counts:
    rows: int = 0
    values: int = 0

    def through(self, frames: Iterator[pl.DataFrame], task: Task) -> Iterator[pl.DataFrame]:
        for frame in frames:
            self.rows += frame.height
            self.values += frame.height - frame[CORRECTED].null_count()
            yield frame
            task.advance(frame.height)

    def result(self, table: pl.DataFrame | None) -> CorrectedParallaxes:
        return CorrectedParallaxes(table, self.rows, self.values)


def _described(source: Source, survey: Survey, where: str) -> tuple[str, ParallaxBias]:
    """Return the column with parallaxes and the description of their bias, if a table has all that is needed."""
    parallax = survey.motion.parallax if survey.motion is not None else None
    if parallax is None or survey.parallax_bias is None:
        found = f"survey {survey.name} describes no bias of parallaxes"
        raise InputError(Problem(where, found, "sections [motion] and [parallax_bias] in the survey file"))
    known = spelling(source.schema, survey)
    require(known, [parallax, *survey.parallax_bias.columns], where, "the bias of the parallax")
    return parallax, survey.parallax_bias


def _frames(
    source: Source, survey: Survey, parallax: str, bias: ParallaxBias, where: str
) -> Iterator[pl.DataFrame]:
    """Yield the table with the new columns, in pieces; at least one frame."""
    names = list(source.schema)
    read = to_read(names, survey, [survey.id.column, parallax, *bias.columns])
    of = _function() if bias.method is not None else None
    for frame in source.batches(_CHUNK, names) if source.n_rows else iter([source.read()]):
        about = source.columns
        stars = standardise(frame.select(read), survey, where=where, found_columns=about, whole=False)
        inputs = [as_floats(stars[name]) for name in bias.columns]
        value = inputs[0] if of is None else _zero_point(of, *inputs)
        found = {BIAS: value, CORRECTED: as_floats(stars[parallax]) - value}
        yield frame.with_columns(pl.Series(k, v, pl.Float64, nan_to_null=True) for k, v in found.items())


def _function() -> Callable[..., Any]:
    """Return the function of the package gaiadr3-zeropoint, which is optional."""
    where = "zero point of parallaxes"
    fix = "Install it: pip install 'starscale[parallax]'."
    if find_spec("zero_point") is None:
        raise InputError(Problem(where, "needs the package gaiadr3-zeropoint, not installed here", fix=fix))
    try:
        module = importlib.import_module("zero_point.zpt")
        module.load_tables()
        function: Callable[..., Any] = module.get_zpt
    except (ImportError, AttributeError, OSError) as error:
        raise InputError(Problem(where, f"gaiadr3-zeropoint cannot be used ({error})", fix=fix)) from error
    return function


def _zero_point(
    of: Callable[..., Any],
    magnitude: FloatArray,
    wavenumber: FloatArray,
    pseudocolour: FloatArray,
    latitude: FloatArray,
    solved: FloatArray,
) -> FloatArray:
    """Return the zero point in mas; NaN where it is not defined. Shape (n,)."""
    result = np.full(len(magnitude), np.nan)
    colour = np.where(solved == _FIVE, wavenumber, pseudocolour)
    # The function refuses all stars for one with another code.
    good = np.isin(solved, (_FIVE, _SIX)) & np.isfinite(magnitude) & np.isfinite(colour) & np.isfinite(latitude)
    if good.any():
        inputs = (values[good] for values in (magnitude, wavenumber, pseudocolour, latitude, solved))
        # Without warnings, stars outside the range of the function get NaN instead of an extrapolation.
        result[good] = of(*inputs, _warnings=False)
    return result


def _provenance(table: AnyTable, survey: Survey) -> dict[str, object]:
    path = Path(table) if isinstance(table, str | Path) else None
    bias = survey.parallax_bias.model_dump(mode="json") if survey.parallax_bias else None
    return record(
        command="parallax",
        mock=path is not None and is_mock(path),
        settings={"survey": survey.name, "parallax_bias": bias},
        inputs={} if path is None else {str(path): {"sha256": io.checksum(path)}},
    )
