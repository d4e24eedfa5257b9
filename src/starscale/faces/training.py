"""The verbs on models: train, load, predict, evaluate."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from starscale import io
from starscale.catalogue.measurements import reddening_column
from starscale.catalogue.standardise import require
from starscale.faces.card import model_card
from starscale.faces.comparing import Trials, trial
from starscale.faces.distributed import on_cluster, predict_on_cluster
from starscale.faces.labelled import labelled_stars
from starscale.faces.learnable import Learnable
from starscale.faces.plan import Plan, all_cuts, inputs_survey, magnitude_column
from starscale.faces.planning import plan
from starscale.faces.prepare import prepare
from starscale.faces.progress import Bar
from starscale.faces.runfile import load_run
from starscale.faces.splitting import split_rule, with_clusters
from starscale.faces.tables import PROVENANCE_KEY, AnyTable, refuse_same
from starscale.io.unfinished import Leftover
from starscale.learn.checkpoint import Checkpoint
from starscale.use.evaluate import evaluate as compare
from starscale.use.evaluate import summarise
from starscale.use.missing import cost_of_missing
from starscale.use.model import Model
from starscale.use.predict import CHUNK, PredictionCounts, predict_file
from starscale.vocabulary.provenance import fingerprint, program, record, versions

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """Result of :func:`train_plan`.

    Attributes
    ----------
    model : Model
        Of the first repeat.
    figures : polars.DataFrame
        Figures of merit on the test parts: mean over the repeats and spread.
    test : polars.DataFrame
        Predictions and labels of the first repeat's test part.
    counts : mapping
        Stars in each part of the first repeat.
    trials : Trials or None
        Every repeat scored, where that was asked for.
    """

    model: Model
    figures: pl.DataFrame
    test: pl.DataFrame
    counts: Mapping[str, int]
    trials: Trials | None = None

    def save(self, path: str | Path) -> None:
        """Write the bundle of the model, with its card."""
        self.model.save(path, card=model_card(self.model, self.figures))


def train_plan(
    run: Plan,
    table: pl.DataFrame,
    *,
    provenance: Mapping[str, Any] | None = None,
    checkpoints: Path | None = None,
    scored: bool = False,
) -> Trained:
    """Train the model of a run on its training table, once for every repeat.

    Every repeat has its own split and initial weights. The first repeat's model is kept; the
    others say how much its figures depend on chance. In the folder `checkpoints`, if one is given, the state of
    the training is kept until all is done: after a kill the next call goes on from there. With `scored`, every
    repeat is also scored on its test part, as a comparison of models wants it.
    """
    config = run.config
    stars = Learnable.of(run, table)
    cuts = all_cuts(run, stars.members)
    shared: dict[str, Any] = {
        "features": stars.features,
        "inputs": inputs_survey(run, stars.members, stars.features, cuts, table),
        "labels": config.target,
        "cuts": cuts,
        "measurements": stars.measurements,
        "reddening": reddening_column(stars.features, stars.members),
        "mock": config.mock,
    }
    key = fingerprint(
        {"program": program(), "settings": settings(run), "stars": _digest(stars.x, stars.y, stars.y_error)}
    )
    repeats = []
    for repeat in range(config.repeats):
        kept = Checkpoint(None if checkpoints is None else checkpoints / f"repeat{repeat}", key)
        repeats.append(_repeat(stars, repeat, shared, kept, scored=scored))
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
    first, figures = repeats[0], summarise([repeat.figures for repeat in repeats])
    missing = cost_of_missing(first.model, table[stars.rows(0)["test"]]).with_columns(cs.float().fill_nan(None))
    information = {
        "title": config.title,
        "split": first.counts,
        "split_rule": split_rule(config.split, config.seed, [survey.name for survey in run.label_surveys]),
        "repeats": config.repeats,
        "figures": json.loads(figures.write_json()),
        "missing_bands": json.loads(missing.write_json()),
        "warnings": list(first.model.predictor.warnings),
        "provenance": dict(provenance or record(command="train", mock=config.mock, settings=settings(run))),
    }
    trials = [one for repeat in repeats if repeat.trials for one in repeat.trials.repeats]
    return replace(
        first,
        model=replace(first.model, information=information),
        figures=figures,
        trials=replace(first.trials, repeats=tuple(trials)) if first.trials else None,
    )


def _repeat(
    stars: Learnable, repeat: int, shared: Mapping[str, Any], checkpoint: Checkpoint, *, scored: bool
) -> Trained:
    """One training with its own split and seed, and its figures on its own test part."""
    config, table = stars.run.config, stars.table
    magnitude = magnitude_column(stars.members, table.columns)
    rows = stars.rows(repeat)
    started = time.perf_counter()
    predictor = stars.fit(rows, repeat, "training", checkpoint)
    seconds = None if checkpoint.resumed else time.perf_counter() - started
    model = Model(
        predictor=predictor,
        label_ranges=_ranges(config.target, stars.y[rows["train"]]),
        **shared,
        **_magnitudes(table[rows["train"]], magnitude),
    )
    test = table[rows["test"]]
    predicted = model.predict(test, where="test part")
    brightness = test[magnitude].alias("magnitude") if magnitude else None
    reference = test.select(pl.col(name).alias(f"{name}_label") for name in config.target)
    if brightness is not None:
        reference = reference.with_columns(brightness)
    return Trained(
        model=model,
        figures=compare(predicted, test, config.target, magnitude=brightness),
        test=pl.concat([predicted, reference], how="horizontal"),
        counts={name: len(r) for name, r in rows.items()},
        trials=Trials(config.model.kind, len(stars.features), (trial(stars, predictor, rows, seconds),))
        if scored
        else None,
    )


def settings(run: Plan) -> dict[str, Any]:
    """The settings of a run as plain data."""
    return run.config.model_dump(mode="json")


def _magnitudes(training: pl.DataFrame, column: str | None) -> dict[str, Any]:
    """What a model knows about the brightness of its training stars."""
    values = training[column].drop_nulls() if column is not None else pl.Series(dtype=pl.Float64)
    if values.is_empty():
        return {}
    return {"magnitude": column, "magnitude_range": (float(values.min()), float(values.max()))}  # type: ignore[arg-type]


def _digest(*arrays: Array) -> str:
    """Checksum of numbers."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def _ranges(labels: Sequence[str], y: Array) -> dict[str, tuple[float, float]]:
    return {name: (float(np.nanmin(y[:, i])), float(np.nanmax(y[:, i]))) for i, name in enumerate(labels)}


def train(
    run_file: str | Path, *, table: AnyTable | None = None, checkpoints: str | Path | None = None
) -> Trained:
    """Train the model of a run file.

    Parameters
    ----------
    run_file : path
        TOML.
    table : path or table, optional
        A training table, as `run` writes it; default: made from the tables that the run file names.
    checkpoints : path, optional
        Folder for the state of the training; one that was killed goes on from there when it is started again.

    Returns
    -------
    Trained
        ``.model`` predicts; ``.save(path)`` writes the bundle.

    Raises
    ------
    InputError
        Everything that is wrong with the settings or the tables, before training starts.
    """
    config, base = load_run(run_file)
    the_plan = plan(config, base)
    if table is None:
        training = prepare(the_plan, None if checkpoints is None else Path(checkpoints))
    else:
        training = io.read(table)
        target = (c for name in config.target for c in (name, f"{name}_error"))
        require(training.columns, target, str(table) if isinstance(table, str | Path) else "table", "training")
        training = with_clusters(training, the_plan.lead, config.split, base)
    return train_plan(the_plan, training, checkpoints=None if checkpoints is None else Path(checkpoints))


def load(path: str | Path) -> Model:
    """Open a model bundle.

    Raises
    ------
    InputError
        When it is not a bundle, or a file of it is missing, altered or of a newer version.
    """
    return Model.load(path)


def predict(
    model: Model | str | Path,
    source: str | Path,
    target: str | Path,
    *,
    chunk: int = CHUNK,
    restart: bool = False,
    engine: str = "local",
    client: Any = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> PredictionCounts:
    """Predict the stars of a file into a catalogue file, in chunks.

    Reading, computing and writing overlap, and memory does not grow with the number of rows. If it is stopped, by
    a kill as well, the same call goes on where it was, and the catalogue is the same byte for byte.

    Parameters
    ----------
    model : Model or path
        A model, or the bundle of one.
    source, target : path
        Any format that :func:`read` reads and :func:`write` writes; rows and their order are kept.
        Until the catalogue is whole, finished chunks are kept in the folder ``<target>.unfinished``.
    chunk : int
        Rows at a time.
    restart : bool
        Throw away what an earlier call left unfinished. Without it, chunks of another model, input or
        setting are refused.
    engine : {"local", "lsdb"}
        Where the work is done: in this process, or by LSDB on a Dask cluster (extra ``lsdb``), HATS to HATS; the
        rows and values are the same. `source` may then also be a URL, or a catalogue that LSDB has opened.
    client : distributed.Client, optional
        Your own cluster, for the engine ``lsdb``.
    scheduler : str, optional
        Address of a running Dask scheduler, in its place.
    workers : int, optional
        Worker processes to start on this machine, in its place; default: one a core.

    Raises
    ------
    StarscaleError
        Bad input, input that was changed meanwhile, or an output that cannot be written; no half-written
        catalogue is left.
    """
    cluster = {"client": client, "scheduler": scheduler, "workers": workers}
    if on_cluster(engine, **cluster):
        return predict_on_cluster(model, source, target, chunk=chunk, **cluster)
    return predict_with(model, source, target, chunk=chunk, leftover="restart" if restart else "refuse")


def predict_with(
    model: Model | str | Path,
    source: str | Path,
    target: str | Path,
    *,
    chunk: int = CHUNK,
    leftover: Leftover = "refuse",
) -> PredictionCounts:
    """Do what :func:`predict` does; `leftover` as for :meth:`starscale.io.Unfinished.open`."""
    bundle = model if isinstance(model, Model) else load(model)
    refuse_same(target, source)
    opened = io.open_table(Path(source))
    about: dict[str, Any] = {"title": bundle.information.get("title")}
    if not isinstance(model, Model):
        about |= {"path": str(model), "sha256": io.checksum(Path(model))}
    hashing = io.Hashing(opened.path)

    def metadata() -> dict[str, str]:
        provenance = record(
            command="predict",
            mock=bundle.mock,
            settings={"chunk": chunk},
            inputs={"stars": {"path": str(source), "sha256": hashing.result()}},
        )
        return {PROVENANCE_KEY: json.dumps({**provenance, "model": about})}

    with Bar("predicting", opened.n_rows) as bar:
        return predict_file(
            bundle,
            Path(source),
            Path(target),
            metadata=metadata,
            chunk=chunk,
            report=bar,
            made_from={"program": program(), "versions": versions()},
            leftover=leftover,
        )


def evaluate(model: Model | str | Path, source: AnyTable) -> pl.DataFrame:
    """Predict a table with known labels and compare.

    Parameters
    ----------
    model : Model or path
    source : path or table
        The model's inputs and a column for each label (`teff`, `logg`, `fe_h`); values that no star
        can have (sentinels) are left out. Where a column `part` stands in it (a training table),
        only the stars are used that were in the test part when this model was trained; of any other
        table all rows are, whether the model has seen them or not.

    Returns
    -------
    polars.DataFrame
        See :func:`starscale.use.evaluate.evaluate`.

    Raises
    ------
    InputError
        No label column, no row to compare.
    """
    bundle = model if isinstance(model, Model) else load(model)
    stars = labelled_stars(bundle, source)
    return compare(bundle.predict(stars.table, where=stars.where), stars.table, stars.labels)
