"""Predict a whole file: read, compute and write in chunks, with flat memory, and go on after any stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from starscale.io import Source, Unfinished, Worker, Writer, open_table, open_writer, read_ahead, state_of
from starscale.io.threads import stream_in_threads, threads
from starscale.io.unfinished import Leftover
from starscale.learn.regressor import BLOCK
from starscale.model.model import Model
from starscale.tables.repeated import RepeatedIds, hashed
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flags import CatalogueFlag

#: Rows in a chunk: large enough that fixed costs vanish, small enough for any laptop, and so few that reading,
#: computing and writing overlap in small tables too.
CHUNK = 65_536
#: Rows that one thread predicts at a time, at most: some for every core, and few enough for flat memory.
SLICE = 16_384


class Report(Protocol):
    """Is told how a prediction gets on."""

    def resumed(self, rows: int, /) -> None:
        """Take note that `rows` were done by an earlier process."""

    def advance(self, rows: int, /) -> None:
        """Take note that `rows` more are done."""


@dataclass(frozen=True, slots=True)
class RepeatedStars:
    """Identifiers that stand in more than one row: how many, in how many rows, and one of them."""

    ids: int
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Predicted:
    """Rows of a catalogue, how many carry each flag, and identifiers that stand in more than one row."""

    rows: int
    predicted: int
    flags: Mapping[str, int]
    repeated: RepeatedStars | None = None


@dataclass
class _Counter:
    label: str
    rows: int = 0
    predicted: int = 0
    flags: dict[CatalogueFlag, int] = field(default_factory=lambda: dict.fromkeys(CatalogueFlag, 0))

    def add(self, catalogue: pl.DataFrame) -> None:
        self.rows += catalogue.height
        self.predicted += catalogue.height - catalogue[self.label].null_count()
        for bit in CatalogueFlag:
            self.flags[bit] += int((catalogue["flags"] & int(bit) > 0).sum())

    def counts(self, repeated: RepeatedStars | None) -> Predicted:
        return Predicted(self.rows, self.predicted, {str(bit.name): n for bit, n in self.flags.items()}, repeated)


def predict_file(
    model: Model,
    source: Path,
    target: Path,
    *,
    metadata: Callable[[], Mapping[str, str]] | None = None,
    chunk: int = CHUNK,
    report: Report | None = None,
    made_from: Mapping[str, Any] | None = None,
    leftover: Leftover = "refuse",
) -> Predicted:
    """Predict the stars of a file into a catalogue file.

    Reading, computing and writing overlap. Finished chunks are kept in a folder beside the catalogue
    (:mod:`starscale.io.unfinished`) until it is whole. A chunk is predicted by itself, so the catalogue is the
    same, byte for byte, however often the work was stopped.

    Parameters
    ----------
    model : Model
    source, target : Path
        Any format that :mod:`starscale.io` reads and writes.
    metadata : callable, optional
        Gives the texts (provenance) to store in the file; called when all rows are done.
    chunk : int
        Rows at a time.
    report : Report, optional
        Told about every chunk.
    made_from : mapping, optional
        Plain data, beside input, model and chunk, that must be the same for the work to be continued.
    leftover : {"refuse", "renew", "restart"}
        What to do about chunks of another prediction: see :meth:`starscale.io.Unfinished.open`.

    Returns
    -------
    Predicted

    Raises
    ------
    InputError
        Bad input, or input that was changed meanwhile.
    StarscaleError
        An output that cannot be written. No half-written catalogue is left.
    """
    table = open_table(source)
    before = state_of(table.path)
    columns = model.input_columns(list(table.schema))
    # An empty prediction gives the schema, and refuses a wrong table before anything is written.
    empty = pl.DataFrame(schema={name: table.schema[name] for name in columns})
    schema = model.predict(empty, where=str(source), found_columns=table.columns).schema
    job = {
        "input": before,
        "table": source.name,
        "rows": table.n_rows,
        "model": model.digest(),
        "chunk": chunk,
        **(made_from or {}),
    }
    counter = _Counter(model.labels[0])
    with (
        Unfinished.open(target, job, leftover) as kept,
        open_writer(
            target,
            schema,
            columns=model.columns,
            metadata=model.inputs.position_metadata,
            n_rows=table.n_rows,
            inside=kept.path,
        ) as writer,
    ):
        ids = RepeatedIds(kept.path / "identifiers")
        try:
            for catalogue in _chunks(model, table, columns, chunk, kept, writer, report):
                counter.add(catalogue)
                ids.add(catalogue["source_id"])
            repeated = _repeats(ids, kept)
        finally:
            ids.close()
        if state_of(table.path) != before:
            fix = "Predict again, when nothing writes to it."
            raise InputError(Problem(str(source), "was changed while it was read", fix=fix))
        if metadata is not None:
            writer.metadata |= metadata()
    return counter.counts(repeated)


def _chunks(
    model: Model,
    table: Source,
    columns: list[str],
    chunk: int,
    kept: Unfinished,
    writer: Writer,
    report: Report | None,
) -> Iterator[pl.DataFrame]:
    """Write the catalogue chunk by chunk, those that are kept first, and yield each."""

    def write(catalogue: pl.DataFrame, *, new: bool) -> None:
        if new:
            kept.store(catalogue)
        writer.append(catalogue)

    def predict(cut: tuple[pl.DataFrame, bool]) -> tuple[pl.DataFrame, bool]:
        part, last = cut
        return model.predict(part, where=str(table.path), found_columns=table.columns), last

    begun = kept.n_parts
    with Worker() as worker:
        done = 0
        for number in range(begun):
            catalogue = kept.load(number)
            done += catalogue.height
            worker.do(write, catalogue, new=False)
            yield catalogue
        if begun and report is not None:
            report.resumed(done)
        batches = read_ahead(table.batches(chunk, columns, skip=begun * chunk))
        parts: list[pl.DataFrame] = []
        for part, last in stream_in_threads(predict, _slices(batches)):
            parts.append(part)
            if last:
                catalogue = pl.concat(parts, rechunk=True)
                parts = []
                worker.do(write, catalogue, new=True)
                if report is not None:
                    report.advance(catalogue.height)
                yield catalogue


def _slices(batches: Iterable[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, bool]]:
    """Cut batches into slices, and tell which is the last of its batch.

    As many for each thread, of the same number of blocks, so that all get done at the same time; what is predicted
    does not depend on it.
    """
    for batch in batches:
        rows = max(batch.height, 1)
        at_once = threads()
        n = at_once * math.ceil(rows / (at_once * SLICE))
        size = BLOCK * math.ceil(rows / (n * BLOCK))
        starts = range(0, batch.height, size)
        for start in starts:
            yield batch.slice(start, size), start == starts[-1]


def _repeats(ids: RepeatedIds, kept: Unfinished) -> RepeatedStars | None:
    n_ids, n_rows, example = ids.count()
    if not n_ids:
        return None
    name = ""
    for number in range(kept.n_parts):
        column = kept.load(number)["source_id"].drop_nulls()
        found = column.filter(pl.Series(hashed(column) == example))
        if len(found):
            name = str(found[0])
            break
    return RepeatedStars(n_ids, n_rows, name)
