"""Predict a table in chunks with flat memory; from file to file an interrupted prediction can be resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from starscale import io
from starscale.io import Source, Unfinished, Worker, Writer, open_writer, read_ahead, state_of
from starscale.io.job_folder import Leftover
from starscale.io.threads import cores, stream_in_threads
from starscale.model.model import Model
from starscale.model.training_stars import UNKNOWN
from starscale.tables.api import PROVENANCE_KEY, says_mock
from starscale.tables.opening import open_for
from starscale.tables.repeated import RepeatedIds, hashed
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flags import CatalogueFlag
from starscale.vocabulary.later import Later
from starscale.vocabulary.progress import SILENT, Progress, Task
from starscale.vocabulary.provenance import METHODS, program, record, versions

learnt = Later("starscale.learn.regressor")

#: Rows of a chunk: enough that fixed costs are negligible, few enough for the memory of any laptop, and so few
#: that reading, computing and writing overlap for small tables too.
CHUNK = 65_536
#: Largest number of rows that one thread predicts at a time: enough slices for every core, and flat memory.
SLICE = 32_768


@dataclass(frozen=True, slots=True)
class RepeatedStars:
    """Identifiers that occur in more than one row of a table.

    Attributes
    ----------
    ids : int
        Number of such identifiers.
    rows : int
        Number of rows that have one of them.
    example : str
        One of them.
    """

    ids: int
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Predicted:
    """Result of :func:`predict`.

    Attributes
    ----------
    rows : int
        Rows of the catalogue.
    predicted : int
        Rows with a prediction.
    flags : mapping of str to int
        Number of rows that carry each flag, by the name of the flag.
    repeated : RepeatedStars or None
        Identifiers that occur in more than one row; None if there are none.
    table : polars.DataFrame or None
        The catalogue; None when it was written to `output`.
    """

    rows: int
    predicted: int
    flags: Mapping[str, int]
    repeated: RepeatedStars | None = None
    table: pl.DataFrame | None = field(default=None, compare=False)

    @property
    def account(self) -> RowAccount:
        """Rows that were read, all of which are in the catalogue."""
        return RowAccount(self.rows, self.rows)


@dataclass
class _Counter:
    label: str
    rows: int = 0
    predicted: int = 0
    flags: dict[CatalogueFlag, int] = field(default_factory=lambda: dict.fromkeys(CatalogueFlag, 0))

    def add(self, catalogue: pl.DataFrame) -> None:
        self.rows += catalogue.height
        self.predicted += catalogue.height - catalogue[self.label].null_count()
        flags = catalogue["flags"].to_numpy()
        for bit in CatalogueFlag:
            self.flags[bit] += int(np.count_nonzero(flags & int(bit)))

    def result(self, repeated: RepeatedStars | None, table: pl.DataFrame | None = None) -> Predicted:
        flags = {str(bit.name): n for bit, n in self.flags.items()}
        return Predicted(self.rows, self.predicted, flags, repeated, table)


def predict_in_memory(
    model: Model,
    table: pl.DataFrame,
    *,
    where: str = "table",
    found_columns: Mapping[str, Column] | None = None,
    chunk: int = CHUNK,
    progress: Progress = SILENT,
) -> Predicted:
    """Predict the stars of a table in memory; values and order are those of :func:`predict_file`.

    Parameters
    ----------
    model : Model
    table : polars.DataFrame, (n_stars, any)
    where : str
        Name of the table in error messages.
    found_columns : mapping of str to Column, optional
        Units as the file of the table states them.
    chunk : int
        Rows at a time.
    progress : Progress

    Returns
    -------
    Predicted
        With the catalogue.

    Raises
    ------
    InputError
        See :meth:`Model.predict`.
    """
    # An empty prediction gives the columns of an empty catalogue, and refuses unsuitable tables at once.
    parts = [model.predict(table.clear(), where=where, found_columns=found_columns)]
    _say_notes(model, table.columns, where, progress)
    counter = _Counter(model.labels[0])
    with progress.task("predicting", table.height) as task:
        for catalogue in _predicted(model, table.iter_slices(chunk), where, found_columns or {}):
            counter.add(catalogue)
            parts.append(catalogue)
            task.advance(catalogue.height)
    catalogue = pl.concat(parts, rechunk=True)
    RowAccount(table.height, catalogue.height)
    return counter.result(_repeated_in(catalogue["source_id"]), catalogue)


def predict_file(
    model: Model,
    table: Path,
    output: Path,
    *,
    bundle: Path | None = None,
    chunk: int = CHUNK,
    leftover: Leftover = "refuse",
    rename: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Predicted:
    """Predict the stars of a file into a catalogue file.

    Reading, computing and writing overlap. Completed chunks are kept in a folder next to the catalogue
    (:mod:`starscale.io.unfinished`) until the catalogue is complete. Every chunk is predicted independently, so
    the catalogue is the same, byte for byte, however often the prediction was interrupted.

    Parameters
    ----------
    model : Model
    table, output : Path
        Any format that :mod:`starscale.io` reads and writes.
    bundle : Path, optional
        Where the model was loaded from, for the provenance.
    chunk : int
        Rows at a time.
    leftover : {"refuse", "renew", "restart"}
        What to do about chunks of another prediction: see :meth:`starscale.io.Unfinished.open`.
    rename : mapping of str to str, optional
        Names in the table that the inputs of the model have been given, for the provenance.
    progress : Progress

    Returns
    -------
    Predicted

    Raises
    ------
    InputError
        Bad input, or input that was changed during the prediction.
    StarscaleError
        An output that cannot be written. No partial catalogue remains.
    """
    source = open_for(table, model.inputs)
    before, checksum = state_of(source.path), io.Hashing(source.path)
    provenance_of_model = about_model(model, bundle)
    columns = model.input_columns(list(source.schema))
    # An empty prediction gives the schema, and refuses unsuitable tables before anything is written.
    empty = pl.DataFrame(schema={name: source.schema[name] for name in columns})
    schema = model.predict(empty, where=str(table), found_columns=source.columns).schema
    _say_notes(model, columns, str(table), progress)
    job = {
        "input": before,
        "table": table.name,
        "rows": source.n_rows,
        "model": model.digest(),
        "asked": model.asked.document(),
        "chunk": chunk,
        "program": program(),
        "versions": versions(),
    }
    counter = _Counter(model.labels[0])
    with (
        progress.task("predicting", source.n_rows) as task,
        Unfinished.open(output, job, leftover) as kept,
        open_writer(
            output,
            schema,
            columns=model.columns,
            metadata=model.inputs.position_metadata,
            n_rows=source.n_rows,
            inside=kept.path,
        ) as writer,
    ):
        ids = RepeatedIds(kept.path / "identifiers")
        try:
            for catalogue in _written(model, source, columns, chunk, kept, writer, task):
                counter.add(catalogue)
                ids.add(catalogue["source_id"])
            repeated = _repeated_on_disk(ids, kept)
        finally:
            ids.close()
        if state_of(source.path) != before:
            fix = "Predict again, when nothing writes to it."
            raise InputError(Problem(str(table), "was changed while it was read", fix=fix))
        inputs = {"stars": {"path": str(table), "sha256": checksum.result()}}
        mock = model.mock or says_mock(source.metadata)
        renamed = {"rename": dict(rename)} if rename else {}
        settings = {"chunk": chunk, **renamed, **model.asked.document()}
        provenance = record(command="predict", mock=mock, settings=settings, inputs=inputs)
        account = RowAccount(source.n_rows, writer.n_rows)
        about = {**provenance, "model": provenance_of_model, "rows": account.document()}
        writer.metadata[PROVENANCE_KEY] = json.dumps(about)
    return counter.result(repeated)


def _say_notes(model: Model, columns: Sequence[str], where: str, progress: Progress) -> None:
    """Say that a table has none of the spectra that the model knows, and what an old bundle does not know."""
    if absent := model.absent_spectra(columns):
        progress.message(f"note: {where} has no {', '.join(absent)}: its stars are predicted without spectra")
    if model.stars is None:
        progress.message(f"note: {UNKNOWN}: the column part is null")
    if model.predictor.below is None and model.asked.below:
        progress.message(
            "note: the bundle of the model was made by an earlier build: p_*_below_* is not calibrated"
        )
    unknown = {
        "*_scale_error": model.label_scale,
        "*_error_truth": model.label_noise,
        "consistency_score, odd_measurement": model.predictor.consistency,
    }
    if null := [names for names, known in unknown.items() if known is None]:
        reason = "was made by an earlier build, or from too few stars or measurements"
        progress.message(f"note: the bundle of the model {reason}: null columns: {', '.join(null)}")


def about_model(model: Model, bundle: Path | None) -> dict[str, Any]:
    """Return the entry of a model in the provenance of a catalogue."""
    kind = model.predictor.regressor.kind
    about = {"title": model.information.get("title"), "kind": kind, "method": METHODS.get(kind, kind)}
    return about if bundle is None else {**about, "path": str(bundle), "sha256": io.checksum(bundle)}


def _written(
    model: Model,
    source: Source,
    columns: list[str],
    chunk: int,
    kept: Unfinished,
    writer: Writer,
    task: Task,
) -> Iterator[pl.DataFrame]:
    """Write the catalogue chunk by chunk, beginning with the stored chunks, and yield each chunk."""

    def write(catalogue: pl.DataFrame, *, new: bool) -> None:
        if new:
            kept.store(catalogue)
        writer.append(catalogue)

    stored = kept.n_parts
    with Worker() as worker:
        done = 0
        for number in range(stored):
            catalogue = kept.load(number)
            done += catalogue.height
            worker.do(write, catalogue, new=False)
            yield catalogue
        if stored:
            task.resumed(done)
        batches = read_ahead(source.batches(chunk, columns, skip=stored * chunk))
        for catalogue in _predicted(model, batches, str(source.path), source.columns):
            worker.do(write, catalogue, new=True)
            task.advance(catalogue.height)
            yield catalogue


def _predicted(
    model: Model, batches: Iterable[pl.DataFrame], where: str, found_columns: Mapping[str, Column]
) -> Iterator[pl.DataFrame]:
    """Yield the predictions of batches of rows, in order; each batch is divided among the threads."""

    def predict(cut: tuple[pl.DataFrame, bool]) -> tuple[pl.DataFrame, bool]:
        part, last = cut
        return model.predict(part, where=where, found_columns=found_columns), last

    parts: list[pl.DataFrame] = []
    for part, last in stream_in_threads(predict, _slices(batches)):
        parts.append(part)
        if last:
            yield pl.concat(parts, rechunk=True)
            parts = []


def _slices(batches: Iterable[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, bool]]:
    """Cut batches into slices, and tell which slice is the last of its batch.

    All threads get the same number of slices, of the same number of blocks, so that they finish together.
    The predicted values do not depend on the slices.
    """
    for batch in batches:
        rows = max(batch.height, 1)
        at_once = cores()
        n = at_once * math.ceil(rows / (at_once * SLICE))
        block = learnt.BLOCK
        size = block * math.ceil(rows / (n * block))
        starts = range(0, batch.height, size)
        for start in starts:
            yield batch.slice(start, size), start == starts[-1]


def _repeated_in(ids: pl.Series) -> RepeatedStars | None:
    known = ids.drop_nulls()
    repeated = known.filter(known.is_duplicated())
    return RepeatedStars(repeated.n_unique(), len(repeated), str(repeated[0])) if len(repeated) else None


def _repeated_on_disk(ids: RepeatedIds, kept: Unfinished) -> RepeatedStars | None:
    columns = (kept.load(number)["source_id"] for number in range(kept.n_parts))
    return repeated_stars(ids, columns)


def repeated_stars(ids: RepeatedIds, columns: Iterable[pl.Series]) -> RepeatedStars | None:
    """Count the repeated identifiers, and find an example in the columns that they came from.

    Parameters
    ----------
    ids : RepeatedIds
        All identifiers of the table.
    columns : iterable of polars.Series
        The same identifiers in pieces; read as far as the example.
    """
    n_ids, n_rows, example = ids.count()
    if not n_ids:
        return None
    for column in columns:
        known = column.drop_nulls()
        found = known.filter(pl.Series(hashed(known) == example, dtype=pl.Boolean))
        if len(found):
            return RepeatedStars(n_ids, n_rows, str(found[0]))
    return RepeatedStars(n_ids, n_rows, "")
