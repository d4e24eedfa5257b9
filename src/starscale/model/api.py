"""The verbs `load`, `predict` and `evaluate`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.cluster.engine import hats_is_mock, hats_provenance, on_cluster, refuse_other_than_hats
from starscale.cluster.extra import engine_module
from starscale.io.job_folder import Leftover
from starscale.io.progress import progress_of
from starscale.model.asked import Asked, Prior, asked, tilt_of
from starscale.model.labelled import Evaluation, labelled_stars
from starscale.model.model import Model
from starscale.model.predict import CHUNK, Predicted, about_model, predict_file, predict_in_memory
from starscale.model.renumbering import OtherRelease
from starscale.registry.installing import bundle_folder
from starscale.surveys.spelling import with_rename
from starscale.tables.api import PROVENANCE_KEY, AnyTable, name_of, refuse_same, says_mock
from starscale.tables.opening import open_for
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.match import CrosswalkInput
from starscale.vocabulary.settings.predict import TRAINING


def load(path: str | Path) -> Model:
    """Open a model bundle.

    Parameters
    ----------
    path : str or Path
        Folder of the bundle, as :func:`train` and :func:`run` write it; or, where no such path exists, the name
        of a model (:func:`list_models`) that is on this machine.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        Not a bundle, or a file of it is missing, altered or of a newer version.
    """
    return Model.load(bundle_folder(path))


def predict(
    model: Model | str | Path,
    table: AnyTable,
    output: str | Path | None = None,
    *,
    chunk: int = CHUNK,
    restart: bool = False,
    rename: Mapping[str, str] | None = None,
    below: Mapping[str, Sequence[float]] | None = None,
    prior: Prior = TRAINING,
    slopes: bool = True,
    engine: str = "local",
    client: Any = None,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Progress | bool | None = None,
) -> Predicted:
    """Predict the labels of every star of a table.

    From file to file, reading, computing and writing overlap, and memory does not grow with the number of rows.
    An interrupted prediction, even one that was killed, resumes when the same call is made again, and the
    catalogue is the same byte for byte.

    Parameters
    ----------
    model : Model or path
        A model, or the path of its bundle.
    table : path or table
        Anything that :func:`read` takes, with the columns of the model's surveys; rows and their order are kept.
    output : path, optional
        Write the catalogue to this file instead of returning it, in any format that :func:`write` writes. While
        `table` is a file, completed chunks are kept in the folder ``<output>.unfinished`` until the catalogue is
        complete.
    chunk : int
        Rows at a time.
    restart : bool
        Discard an unfinished earlier prediction. Otherwise chunks of another model, input or setting are
        refused.
    rename : mapping of str to str, optional
        Names in the table, by name of an input of the model.
    below : mapping of str to sequence of float, optional
        Thresholds by label: the catalogue gives the calibrated probability to be below each, as
        `p_fe_h_below_m2p5` for ``{"fe_h": [-2.5]}``. Default: -1, -2 and -3 for `fe_h`.
    prior : {"training", "flat"}, path, table or mapping
        What is taken to be known of a label before the star was measured. "training": labels are as common as in
        the training. "flat": all labels in the range of the training are equally common, for unbiased samples of
        rare stars, at the price of more scatter. A table with a column of the label and one called `density`
        gives any other. A mapping says it for some of the labels: ``{"fe_h": "flat"}``.
    slopes : bool
        Whether the slopes of the labels with E(B-V) are computed (`teff_ebv_slope`, ...). False: these columns are
        null, all others stay, and a model that uses E(B-V) takes less time.
    engine : {"local", "lsdb"}
        Where to compute: in this process, or by LSDB on a Dask cluster (extra ``lsdb``), from HATS to HATS, with
        the same rows and values. `table` may then also be a URL, or a catalogue that LSDB has opened.
    client : distributed.Client, optional
        Client of a running cluster, for the engine ``lsdb``.
    scheduler : str, optional
        Address of a running Dask scheduler, instead of `client`.
    workers : int, optional
        Worker processes to start on this machine, instead of `client`; default: one per core.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Predicted
        Counts, and the catalogue unless it was written to `output`.

    Raises
    ------
    StarscaleError
        Bad input, input that was changed during the prediction, or an output that cannot be written; no partial
        catalogue remains.
    """
    cluster = {"client": client, "scheduler": scheduler, "workers": workers}
    display = progress_of(progress)
    if on_cluster(engine, **cluster):
        if rename:
            fix = "Rename the columns of the catalogue first."
            raise InputError(Problem("rename", "is given with the engine 'lsdb'", "the engine 'local'", fix))
        if output is None:
            raise InputError(Problem("output", "is missing", "a HATS folder, which the engine 'lsdb' writes to"))
        return predict_on_cluster(
            model,
            table,
            output,
            chunk=chunk,
            below=below,
            prior=prior,
            slopes=slopes,
            progress=display,
            **cluster,
        )
    loaded, bundle = opened_model(model)
    loaded = asking(loaded, below, prior, slopes=slopes)
    if rename:
        loaded = replace(loaded, inputs=with_rename(loaded.inputs, rename))
    if output is None:
        return _predict_table(loaded, table, chunk, display)
    refuse_same(output, table)
    if isinstance(table, str | Path):
        leftover: Leftover = "restart" if restart else "refuse"
        return predict_file(
            loaded,
            Path(table),
            Path(output),
            bundle=bundle,
            chunk=chunk,
            leftover=leftover,
            rename=rename,
            progress=display,
        )
    found = _predict_table(loaded, table, chunk, display)
    mock = loaded.mock or says_mock(io.open_table(table, choose=lambda _: ()).metadata)
    settings = {"chunk": chunk, **loaded.asked.document()}
    provenance = record(command="predict", mock=mock, settings=settings, inputs={})
    metadata = {PROVENANCE_KEY: json.dumps({**provenance, "model": about_model(loaded, bundle)})}
    metadata |= loaded.inputs.position_metadata
    io.write(found.table, output, columns=loaded.columns, metadata=metadata)
    return replace(found, table=None)


def asking(
    model: Model, below: Mapping[str, Sequence[float]] | None, prior: Prior, *, slopes: bool = True
) -> Model:
    """Return a model with what a user asks of it; the model itself if nothing is asked.

    Raises
    ------
    InputError
        What cannot be asked of it: see :func:`.asked.asked` and :func:`.asked.tilt_of`.
    """
    slopes = slopes and model.asked.slopes
    if below is not None or not isinstance(prior, str) or prior != TRAINING:
        return asked_of(model, asked(model.labels, below, prior, slopes=slopes))
    return model if slopes else model.without_slopes()


def asked_of(model: Model, wanted: Asked) -> Model:
    """Return a model of which something is asked.

    Raises
    ------
    InputError
        The model cannot answer under another prior: see :func:`.asked.tilt_of`.
    """
    tilt_of(model.predictor, wanted)
    return replace(model, asked=wanted)


def opened_model(model: Model | str | Path) -> tuple[Model, Path | None]:
    """Return a model, loaded if it is given by path or name, and the folder of its bundle."""
    if isinstance(model, Model):
        return model, None
    folder = bundle_folder(model)
    return Model.load(folder), folder


def _predict_table(model: Model, table: AnyTable, chunk: int, progress: Progress) -> Predicted:
    source = open_for(table, model.inputs, choose=model.input_columns)
    stars = source.read(model.input_columns(list(source.schema)))
    return predict_in_memory(
        model, stars, where=name_of(table), found_columns=source.columns, chunk=chunk, progress=progress
    )


def predict_on_cluster(
    model: Model | str | Path,
    table: Any,
    output: str | Path,
    *,
    chunk: int,
    progress: Progress,
    below: Mapping[str, Sequence[float]] | None = None,
    prior: Prior = TRAINING,
    slopes: bool = True,
    made_from: Path | None = None,
    **cluster: Any,
) -> Predicted:
    """Predict a HATS catalogue into another one on a Dask cluster.

    Parameters
    ----------
    model : Model or path
    table : path, URL or catalogue
        A HATS catalogue, or one that LSDB has opened.
    output : path
        Folder of the new catalogue.
    chunk : int
        Rows at a time.
    progress : Progress
    below : mapping of str to sequence of float, optional
    prior : str, path, table or mapping
    slopes : bool
        See :func:`predict`.
    made_from : Path, optional
        The bundle of a model that is not as it was loaded, for the provenance.
    **cluster
        See :class:`starscale.cluster.cluster.Where`.

    Raises
    ------
    StarscaleError
        LSDB is not installed, bad input, a partition that fails; no partial catalogue remains.
    """
    where = engine_module("cluster.cluster").Where(**cluster)
    catalogue = engine_module("cluster.catalogue")
    path = Path(output).expanduser()
    refuse_other_than_hats(path)
    refuse_same(path, table)
    loaded, bundle = opened_model(model)
    loaded = asking(loaded, below, prior, slopes=slopes)
    sky = catalogue.open_hats(table)
    settings = {"engine": "lsdb", "chunk": chunk, **loaded.asked.document()}
    provenance = record(
        command="predict",
        mock=loaded.mock or hats_is_mock(sky.name),
        settings=settings,
        inputs={"stars": hats_provenance(sky)},
    )
    provenance["versions"] |= catalogue.library_versions()
    provenance["model"] = about_model(loaded, bundle or made_from)
    with progress.task("predicting", sky.rows) as task:
        found: Predicted = engine_module("model.on_cluster").predict_sky(
            loaded,
            bundle,
            sky,
            path,
            where,
            metadata={PROVENANCE_KEY: json.dumps(provenance)},
            chunk=chunk,
            task=task,
        )
    return found


def evaluate(
    model: Model | str | Path,
    table: AnyTable,
    *,
    include_training: bool = False,
    prior: Prior = TRAINING,
    release: str = "",
    crosswalk: Sequence[CrosswalkInput] = (),
    progress: Progress | bool | None = None,
) -> pl.DataFrame:
    """Compare the predictions for a table with its known labels.

    Parameters
    ----------
    model : Model or path
        A model, or the path of its bundle.
    table : path or table
        The inputs of the model and a column for each label (`teff`, `logg`, `fe_h`). Values outside the physical
        limits of a label (sentinels) are ignored.
    include_training : bool
        Whether stars that the model was trained or calibrated on are compared, too. By default they are left out:
        what remains of a training table is its test part. They are found by their identifiers; the bundle of an
        earlier build has no list of them, and knows them in a training table (with a column `part`) only.
    prior : str, path, table or mapping
        What is known of the labels before, as for :func:`predict`.
    release : str, optional
        Release of Gaia that the identifiers of the table are of ("dr3"), if it is not that of the model.
    crosswalk : sequence of CrosswalkInput, optional
        Tables that lead from that release to the model's. Rows without an identifier there are left out.
    progress : Progress or bool, optional
        Is told how many stars were left out; True: show it. Default: silent.

    Returns
    -------
    polars.DataFrame
        One row for each label and bin: `label`, `by` ("all", the binned quantity, or "quality", whose levels are
        numbered from 0, good, to 3, bad), `low`, `high`, `n`, and
        the figures of merit of ``prediction - label``: `mean`, `median`, `std`, `mad`, `rmse`, `outliers` (share
        beyond three MAD of the median), `coverage68`, `coverage95` (share of labels inside the interval) and
        `error` (median predicted error).

    Raises
    ------
    InputError
        No label column, or no row to compare; a table of another release without a crosswalk.
    """
    return evaluation(model, table, include_training, None, prior, release, crosswalk, progress).figures()


def evaluate_probabilities(
    model: Model | str | Path,
    table: AnyTable,
    *,
    include_training: bool = False,
    below: Mapping[str, Sequence[float]] | None = None,
    prior: Prior = TRAINING,
    release: str = "",
    crosswalk: Sequence[CrosswalkInput] = (),
    progress: Progress | bool | None = None,
) -> pl.DataFrame:
    """Score the probabilities that labels are below thresholds, for a table with known labels.

    Parameters
    ----------
    model : Model or path
        As for :func:`evaluate`, as are the parameters that are not described here.
    table : path or table
    include_training : bool
    below : mapping of str to sequence of float, optional
        Thresholds by label; default: -1, -2 and -3 for `fe_h`.
    prior : str, path, table or mapping
    release : str, optional
    crosswalk : sequence of CrosswalkInput, optional
    progress : Progress or bool, optional

    Returns
    -------
    polars.DataFrame
        One row for each label and threshold: `label`, `threshold`, `n` stars, the number `below`;
        `mean_probability` and `share` (of stars below), which are equal if the probabilities are right on average;
        `brier`, the mean of ``(p - [below])**2``; `skill`, 1 minus its ratio to that of giving every star the
        share; `deviation`, the largest difference of mean probability and share in bins of 300 stars of like
        probability; `purity50`, the share below among the most probable stars that hold half of those below;
        `average_purity`, its mean over all completenesses (average precision).

    Raises
    ------
    InputError
        As for :func:`evaluate`; a threshold outside the physical limits of its label.
    """
    return evaluation(model, table, include_training, below, prior, release, crosswalk, progress).probabilities()


def evaluate_coverage(
    model: Model | str | Path,
    table: AnyTable,
    *,
    include_training: bool = False,
    prior: Prior = TRAINING,
    release: str = "",
    crosswalk: Sequence[CrosswalkInput] = (),
    progress: Progress | bool | None = None,
) -> pl.DataFrame:
    """Measure whether the inputs tell which intervals miss, for a table with known labels.

    Gradient-boosted trees predict from the inputs whether an interval holds the label, for stars that they were
    not trained on. They can do better than the nominal share only where the coverage depends on the inputs.

    Parameters
    ----------
    model : Model or path
        As for :func:`evaluate`, as are the other parameters.
    table : path or table
    include_training : bool
    prior : str, path, table or mapping
    release : str, optional
    crosswalk : sequence of CrosswalkInput, optional
    progress : Progress or bool, optional

    Returns
    -------
    polars.DataFrame
        One row for each label and interval (`interval`: 68 or 95) with 500 stars or more: `n`; the `share` of
        labels inside; `excess`, the excess risk of target coverage (arXiv:2512.11779), with its standard error
        `excess_error`; `deviation`, the root of it: by how much the coverage of stars of one kind deviates from
        the nominal one, in the mean over all stars, as far as the trees can tell.

    Raises
    ------
    InputError
        As for :func:`evaluate`; scikit-learn (extra ``baselines``) is not installed.
    """
    return evaluation(model, table, include_training, None, prior, release, crosswalk, progress).coverage()


def evaluation(
    model: Model | str | Path,
    table: AnyTable,
    include_training: bool,
    below: Mapping[str, Sequence[float]] | None,
    prior: Prior,
    release: str,
    crosswalk: Sequence[CrosswalkInput],
    progress: Progress | bool | None,
) -> Evaluation:
    """Predict the stars of a table that have labels, once for all that is computed of them."""
    asked_model = asking(opened_model(model)[0], below, prior, slopes=False)
    stars = labelled_stars(
        asked_model,
        table,
        include_training=include_training,
        other=OtherRelease(release, crosswalk),
        progress=progress_of(progress),
    )
    catalogue = asked_model.predict(stars.table, where=stars.where, found_columns=stars.columns)
    return Evaluation(asked_model, stars, catalogue)
