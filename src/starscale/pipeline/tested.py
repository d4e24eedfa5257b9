"""Steps of a run on the test part of the first training: its prediction as the catalogue, and the importance."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl

from starscale import io
from starscale.model.conditional import FEWEST, conditional_coverage
from starscale.model.evaluate import evaluate
from starscale.model.importance import importance_of
from starscale.model.model import Model
from starscale.pipeline.folder import RunFolder
from starscale.reports.importance_text import importance_json
from starscale.vocabulary.libraries import missing_library
from starscale.vocabulary.settings.run import RunConfig

#: Files of a run: the test part as it is predicted after the training, and as the catalogue, if that is asked for
#: something else; the importance.
TEST, TEST_AS_CATALOGUE, IMPORTANCE = "test.parquet", "test_as_catalogue.parquet", "importance.json"


def predicted_test(model: Model, stars: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predict the stars of a test part.

    Returns
    -------
    figures : polars.DataFrame
        Their figures of merit (:func:`.evaluate.evaluate`).
    table : polars.DataFrame
        The predictions, and ``<label>_label`` and `magnitude` of the same rows.
    """
    predicted = model.predict(stars, where="test part")
    bright = model.magnitude if model.magnitude in stars.columns else None
    magnitude = stars[bright].alias("magnitude") if bright else None
    reference = stars.select(pl.col(name).alias(f"{name}_label") for name in model.labels)
    if magnitude is not None:
        reference = reference.with_columns(magnitude)
    figures = evaluate(predicted, stars, model.labels, magnitude=magnitude)
    return figures, pl.concat([predicted, reference], how="horizontal")


def asked_step(
    folder: RunFolder, load: Callable[[], Model], asked: dict[str, Any], model: str, training: str
) -> list[dict[str, Any]]:
    """Predict the test part as the catalogue, which has another prior or other thresholds than the training.

    Parameters
    ----------
    folder : RunFolder
    load : callable
        Returns the model, with what is asked of it.
    asked : dict
        What is asked, as plain data.
    model, training : str
        Names of the model bundle and of the training table in the folder.

    Returns
    -------
    list of dict
        Rows of the figures of merit.
    """

    def work() -> dict[str, Any]:
        figures, table = predicted_test(load(), folder.read(training).filter(part="test"))
        folder.write(table, TEST_AS_CATALOGUE)
        return {"figures": json.loads(figures.with_columns(pl.col(pl.Float64).fill_nan(None)).write_json())}

    reads = folder.checksums(model, training)
    found = folder.step("test", settings=asked, reads=reads, writes=[TEST_AS_CATALOGUE], work=work)
    return list(found["figures"])


def coverage_step(
    folder: RunFolder, load: Callable[[], Model], asked: dict[str, Any], model: str, training: str
) -> None:
    """Measure whether the inputs tell which intervals miss, on the test part of the first training.

    A step without a file, whose parameters are those of :func:`asked_step`. It measures nothing where stars or
    scikit-learn are missing.
    """
    possible = missing_library("conditional coverage") is None

    def work() -> dict[str, Any]:
        stars = folder.read(training).filter(part="test")
        if stars.height < FEWEST or not possible:
            return {"rows": []}
        loaded = load().without_slopes()
        found = conditional_coverage(loaded, stars, loaded.predict(stars, where="test part"))
        return {"rows": found.to_dicts()}

    reads = folder.checksums(model, training)
    folder.step("coverage", settings=[asked, possible], reads=reads, writes=[], work=work)


def importance_step(folder: RunFolder, config: RunConfig, model: str, training: str) -> None:
    """Measure the importance on the test part of the first repeat, or skip the step if its inputs are unchanged.

    Parameters
    ----------
    folder : RunFolder
    config : RunConfig
    model, training : str
        Names of the model bundle and of the training table in the folder.
    """
    settings = config.importance

    def work() -> dict[str, Any]:
        bundle = Model.load(folder.file(model))
        test = io.read(folder.file(training)).filter(part="test")
        known = [name for name in bundle.labels if test[name].drop_nulls().len() > 1]
        table = pl.DataFrame()
        if known:
            table = importance_of(bundle, test, known, settings, where=training, progress=folder.progress)
        document = importance_json(table)
        io.atomic_text(folder.file(IMPORTANCE), document)
        return {**settings.model_dump(), "rows": json.loads(document)}

    folder.step(
        "importance",
        settings=settings.model_dump(),
        reads={name: folder.checksum(name) for name in (model, training)},
        writes=[IMPORTANCE],
        work=work,
    )
