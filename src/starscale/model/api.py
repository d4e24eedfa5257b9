"""The verb `predict` on a cluster: HATS to HATS, by LSDB on Dask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.cluster.engine import _about, on_cluster
from starscale.cluster.extra import engine_module
from starscale.io.bars import Bar
from starscale.io.formats import by_suffix
from starscale.io.unfinished import Leftover
from starscale.model.evaluate import evaluate as compare
from starscale.model.labelled import labelled_stars
from starscale.model.model import Model
from starscale.model.predict import CHUNK, Predicted, predict_file
from starscale.tables.api import PROVENANCE_KEY, AnyTable, refuse_same
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.provenance import program, record, versions


def predict_on_cluster(
    model: Model | str | Path, source: Any, target: str | Path, *, chunk: int, **cluster: Any
) -> Predicted:
    """Predict a HATS catalogue (path, URL, or one that LSDB has opened) into another one.

    Parameters
    ----------
    model : Model or path
    source, target : path
    chunk : int
        Rows at a time.
    **cluster
        See :class:`starscale.cluster.cluster.Where`.

    Raises
    ------
    StarscaleError
        LSDB is not installed, bad input, a partition that fails; no half-written catalogue is left.
    """
    where = engine_module("cluster.cluster").Where(**cluster)
    catalogue = engine_module("cluster.catalogue")
    path = Path(target).expanduser()
    known = by_suffix(path.name)
    if known is not None and path.suffix != ".hats":
        fix = "Name a folder, such as catalogue.hats, or use the engine 'local'."
        raise InputError(Problem(str(target), f"is {known.title}", "HATS, which engine 'lsdb' writes", fix))
    refuse_same(path, source)
    bundle = model if isinstance(model, Model) else Model.load(model)
    sky = catalogue.open_sky(source)
    settings = {"engine": "lsdb", "chunk": chunk}
    inputs = {"stars": _about(sky)}
    provenance = record(command="predict", mock=bundle.mock, settings=settings, inputs=inputs)
    provenance["versions"] |= catalogue.library_versions()
    provenance["model"] = {"title": bundle.information.get("title")}
    if not isinstance(model, Model):
        provenance["model"] |= {"path": str(model), "sha256": io.checksum(Path(model))}
    with Bar("predicting", sky.rows) as bar:
        counts: Predicted = engine_module("model.on_cluster").predict_sky(
            bundle,
            None if isinstance(model, Model) else Path(model),
            sky,
            path,
            where,
            metadata={PROVENANCE_KEY: json.dumps(provenance)},
            chunk=chunk,
            report=bar.advance,
        )
    return counts


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
) -> Predicted:
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
) -> Predicted:
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
        See :func:`starscale.model.evaluate.evaluate`.

    Raises
    ------
    InputError
        No label column, no row to compare.
    """
    bundle = model if isinstance(model, Model) else load(model)
    stars = labelled_stars(bundle, source)
    return compare(bundle.predict(stars.table, where=stars.where), stars.table, stars.labels)
