"""Where the time of a prediction goes, by stage."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import polars as pl

from starscale import io
from starscale.features.features import evaluate_features, redder_features
from starscale.model.flagging import catalogue_flags
from starscale.model.model import Model
from starscale.model.predict import CHUNK
from starscale.tables.api import AnyTable, name_of
from starscale.tables.opening import open_for
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.later import Later

learnt = Later("starscale.learn.uncertainty.around")

#: Rows that are predicted for a profile.
ROWS = 2 * CHUNK
_READ, _WRITE, _OTHER = "read", "write", "other"


@dataclass
class _Clock:
    """Seconds of the processor (all threads) and of the wall, by stage; a stage within another belongs to it."""

    stages: Mapping[CodeType, str]
    spent: dict[str, list[float]] = field(default_factory=dict)
    _running: FrameType | None = None
    _began: tuple[float, float] = (0.0, 0.0)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of the ``with`` block for a stage."""
        began = _now()
        yield
        self._add(stage, began)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count the time of the functions that are stages, as far as this thread calls them."""
        before = sys.getprofile()
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and self._running is None and frame.f_code in self.stages:
            self._running, self._began = frame, _now()
        elif event == "return" and frame is self._running:
            self._running = None
            self._add(self.stages[frame.f_code], self._began)

    def _add(self, stage: str, began: tuple[float, float]) -> None:
        spent = self.spent.setdefault(stage, [0.0, 0.0])
        for i, (end, start) in enumerate(zip(_now(), began, strict=True)):
            spent[i] += end - start


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _stages(model: Model) -> dict[CodeType, str]:
    """Return the functions that are a stage of the prediction by a model."""
    predictor = model.predictor
    named: list[tuple[str, Callable[..., Any] | None]] = [
        ("names, types, units", Model.standardised),
        ("features", evaluate_features),
        ("gaps and scales of the inputs", type(predictor.preparation).apply),
        ("gaps and scales of the inputs", type(predictor.preparation).apply_both),
        ("learner", getattr(type(predictor.regressor), "predict_density", None)),
        ("learner", getattr(type(predictor.regressor), "predict_change", None)),
        ("learner", type(predictor.regressor).predict),
        ("probabilities", learnt.below_of),
        ("probabilities", learnt.calibrated_below),
        ("intervals", type(predictor.calibration).intervals),
        ("distance from the training stars", type(predictor.domain).score),
        ("distance of the labels", type(predictor.label_domain).score),
        ("consistency", type(predictor.consistency).score if predictor.consistency else None),
        ("slopes with E(B-V)", redder_features),
        ("slopes with E(B-V)", type(predictor.slopes).changes if predictor.slopes else None),
        ("flags", catalogue_flags),
        ("columns of the catalogue", Model._catalogue),
    ]
    return {function.__code__: stage for stage, function in named if function is not None}


def profile_prediction(model: Model, table: AnyTable, rows: int = ROWS) -> pl.DataFrame:
    """Measure where the time of a prediction goes.

    Reading, the stages of the computation, and writing follow each other here, while `predict` does them at the
    same time; programs are compiled before the clock starts.

    Parameters
    ----------
    model : Model
    table : path or table
        Anything that :func:`starscale.predict` takes.
    rows : int
        So many of its first rows are predicted.

    Returns
    -------
    polars.DataFrame
        One row for each stage, in the order of the work: `stage`, and microseconds a star of the processor (all
        threads, `processor`) and of the wall (`wall`). The last row is the `total`.

    Raises
    ------
    InputError
        Bad input; a table without rows.
    """
    clock = _Clock(_stages(model))
    source = open_for(table, model.inputs, choose=model.input_columns)
    columns = model.input_columns(list(source.schema))
    about: dict[str, Any] = {"where": name_of(table), "found_columns": source.columns}
    # An empty prediction refuses unsuitable tables.
    model.predict(pl.DataFrame(schema={name: source.schema[name] for name in columns}), **about)
    with clock.timed(_READ):
        stars = next(iter(source.batches(rows, columns)), pl.DataFrame()).head(rows)
    if stars.is_empty():
        raise InputError(Problem(name_of(table), "has no rows", "one or more"))
    for size in {min(CHUNK, stars.height), stars.height % CHUNK} - {0}:
        model.predict(stars.head(size), **about)
    began = _now()
    with clock.watching():
        parts = [model.predict(piece, **about) for piece in stars.iter_slices(CHUNK)]
    whole = [end - start for end, start in zip(_now(), began, strict=True)]
    with tempfile.TemporaryDirectory() as folder, clock.timed(_WRITE):
        io.write(pl.concat(parts), Path(folder) / "catalogue.parquet", columns=model.columns)
    return _table(clock, whole, stars.height)


def _table(clock: _Clock, whole: list[float], stars: int) -> pl.DataFrame:
    """Return the microseconds a star of every stage, and of what belongs to none."""
    inner = [spent for stage, spent in clock.spent.items() if stage not in (_READ, _WRITE)]
    inside = [sum(spent[i] for spent in inner) for i in (0, 1)]
    order = [_READ, *dict.fromkeys(clock.stages.values()), _OTHER, _WRITE]
    spent = clock.spent | {_OTHER: [max(a - b, 0.0) for a, b in zip(whole, inside, strict=True)]}
    found = pl.DataFrame(
        [(stage, *spent[stage]) for stage in order if stage in spent],
        schema=["stage", "processor", "wall"],
        orient="row",
    ).with_columns(pl.col("processor", "wall") * (1e6 / stars))
    total = found.select(pl.lit("total").alias("stage"), pl.col("processor", "wall").sum())
    return pl.concat([found, total])
