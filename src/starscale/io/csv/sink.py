"""Writing CSV and TSV files.

A CSV file cannot hold units, descriptions or metadata; ECSV can. Null is an empty field, an empty text is ``""``,
NaN is ``NaN``; texts such as ``null`` have quotation marks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import polars as pl

from starscale.io.csv.fields import MISSING, NAN, QUOTED_MARK
from starscale.io.portable import plain_frame, plain_schema
from starscale.io.table import CHUNK_ROWS, Sink, WritePlan, column_of
from starscale.vocabulary.errors import InputError, Problem, Problems

_MARK = "\ufeff"
#: A text that got quotation marks by a mark before and a line feed after it.
_QUOTED = re.compile(f'"{QUOTED_MARK}((?:[^"]|"")*)\n"'.encode())


class CsvSink(Sink):
    """Writes rows as they arrive."""

    def __init__(self, plan: WritePlan) -> None:
        schema = plain_schema(plan.schema, str(plan.target))
        problems = Problems()
        for name, dtype in schema.items():
            if dtype.is_nested():
                fix = "Write Parquet, or a column for each element."
                problems.add(str(plan.target), f"a CSV file cannot hold the vector column {name!r}", fix=fix)
        for name in schema:
            about = plan.columns.get(name)
            if about is not None and about.converted:
                found = f"cannot state that the survey file's unit of files no longer holds for {name!r}"
                fix = f"Write .ecsv, .parquet, .fits or .vot, which state its unit, {about.unit!r}."
                problems.add(str(plan.target), found, "a format with units", fix)
        problems.raise_if_any()
        self._separator = "\t" if plan.target.name.lower().endswith(".tsv") else ","
        self._file = plan.path.open("wb")
        # A name that holds another separator must not look like two names.
        unclear = any(re.search(r"[\t,;| ]", name) for name in schema)
        style: Literal["always", "necessary"] = "always" if unclear else "necessary"
        header = pl.DataFrame(schema=schema).write_csv(separator=self._separator, quote_style=style)
        self._file.write(header.encode())

    def append(self, frame: pl.DataFrame) -> None:
        """Write rows."""
        # polars can write to the file itself, but then reports a full disk without an error number.
        for piece in plain_frame(frame).iter_slices(CHUNK_ROWS):
            self._file.write(_written(piece, self._separator))

    def close(self, metadata: Mapping[str, str]) -> None:  # noqa: ARG002
        """Finish the file; `metadata` cannot be stored."""
        self._file.close()

    def abort(self) -> None:
        """Close the file."""
        self._file.close()


def _written(frame: pl.DataFrame, separator: str) -> bytes:
    """Return rows; a text that without quotation marks could mean something else gets them.

    These are words for "missing", and a byte order mark at the beginning, which is no part of a text.
    """
    words = [*MISSING[1:], *NAN]
    unclear = pl.col(pl.String).is_in(words) | pl.col(pl.String).str.starts_with(_MARK)
    texts = frame.select(unclear.any())
    doubtful = (
        [name for name, there in zip(texts.columns, texts.row(0), strict=True) if there] if texts.width else []
    )
    # A line feed in a text makes polars put quotation marks around it; it is removed again.
    frame = frame.with_columns(
        pl.when(column_of(name).is_in(words) | column_of(name).str.starts_with(_MARK))
        .then(QUOTED_MARK + column_of(name) + "\n")
        .otherwise(column_of(name))
        .alias(name)
        for name in doubtful
    )
    content = frame.write_csv(include_header=False, separator=separator).encode()
    return _QUOTED.sub(rb'"\1"', content) if doubtful else content


def open_sink(plan: WritePlan) -> Sink:
    """Open a CSV file for writing."""
    if not plan.schema:
        raise InputError(
            Problem(str(plan.target), "a CSV file cannot hold a table without columns", fix="Write Parquet.")
        )
    return CsvSink(plan)
