"""Predict a whole file: read, compute and write in chunks, with flat memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from starscale.io import open_table, open_writer
from starscale.use.model import Model
from starscale.vocabulary.flags import CatalogueFlag

#: Rows in a chunk: large enough that fixed costs vanish, small enough for any laptop.
CHUNK = 100_000

Report = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PredictionCounts:
    """Rows of a catalogue, and how many carry each flag."""

    rows: int
    predicted: int
    flags: Mapping[str, int]


def predict_file(
    model: Model,
    source: Path,
    target: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    chunk: int = CHUNK,
    report: Report | None = None,
) -> PredictionCounts:
    """Predict the stars of a file into a catalogue file.

    Parameters
    ----------
    model : Model
    source, target : Path
        Any format that :mod:`starscale.io` reads and writes.
    metadata : mapping of str to str, optional
        Provenance to store in the file.
    chunk : int
        Rows at a time.
    report : callable, optional
        Called with the number of rows after every chunk.

    Returns
    -------
    PredictionCounts

    Raises
    ------
    StarscaleError
        Bad input or an output that cannot be written; no half-written catalogue is left.
    """
    table = open_table(source)
    columns = model.input_columns(list(table.schema))
    # An empty prediction gives the schema, and refuses a wrong table before anything is written.
    empty = pl.DataFrame(schema={name: table.schema[name] for name in columns})
    schema = model.predict(empty, where=str(source), found_columns=table.columns).schema
    about = {**model.inputs.position_metadata, **(metadata or {})}
    rows = predicted = 0
    counts = dict.fromkeys(CatalogueFlag, 0)
    with open_writer(target, schema, columns=model.columns, metadata=about, n_rows=table.n_rows) as writer:
        for batch in table.batches(chunk, columns):
            catalogue = model.predict(batch, where=str(source), found_columns=table.columns)
            writer.append(catalogue)
            rows += catalogue.height
            predicted += catalogue.height - catalogue[model.labels[0]].null_count()
            for bit in CatalogueFlag:
                counts[bit] += int((catalogue["flags"] & int(bit) > 0).sum())
            if report is not None:
                report(catalogue.height)
    return PredictionCounts(rows, predicted, {str(bit.name): n for bit, n in counts.items()})
