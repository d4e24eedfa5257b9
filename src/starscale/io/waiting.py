"""A temporary file of rows, and the properties of their columns, for formats whose header comes first.

The headers of FITS and VOTable state the width of text columns and the integer that marks a null; both are known
only after the last row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import polars as pl
import pyarrow as pa

from starscale.io.portable import flat, plain_frame
from starscale.io.table import CHUNK_ROWS

_IN_MEMORY = 64 << 20


@dataclass(slots=True)
class Seen:
    """Properties of a column so far: widest text (bytes, UTF-16 units), nulls, smallest and largest integer."""

    width: int = 1
    units: int = 1
    ascii: bool = True
    nulls: bool = False
    lowest: int | None = None
    highest: int | None = None

    def look(self, values: pl.Series) -> None:
        """Update the properties with the elements of a batch of rows."""
        self.nulls = self.nulls or values.null_count() > 0
        if values.dtype == pl.String:
            self._look_at_texts(values)
        elif values.dtype.is_integer() and (low := values.min()) is not None:
            ends = int(cast("int", low)), int(cast("int", values.max()))
            self.lowest = ends[0] if self.lowest is None else min(self.lowest, ends[0])
            self.highest = ends[1] if self.highest is None else max(self.highest, ends[1])

    def _look_at_texts(self, values: pl.Series) -> None:
        sizes = values.str.len_bytes()
        self.width = max(self.width, cast("int | None", sizes.max()) or 1)
        others = values.filter((sizes != values.str.len_chars()).fill_null(False))
        self.ascii = self.ascii and not len(others)
        # A character beyond U+FFFF takes two UTF-16 units.
        wide = max((len(text.encode("utf-16-be")) // 2 for text in others.to_list()), default=1)
        narrow = cast("int | None", values.str.len_chars().max()) or 1
        self.units = max(self.units, wide, narrow)


class Waiting:
    """A table in an unnamed temporary file, kept in memory while it is small.

    Parameters
    ----------
    schema : polars.Schema
        Plain types, as :func:`starscale.io.portable.plain_schema` returns them.
    folder : Path
        Folder of the temporary file.
    """

    def __init__(self, schema: pl.Schema, folder: Path) -> None:
        self.seen = {name: Seen() for name in schema}
        self.rows = 0
        # Closed by `close`.
        file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(folder))  # noqa: SIM115
        self._file = cast("IO[bytes]", file)
        empty = pl.DataFrame(schema=schema).to_arrow(compat_level=pl.CompatLevel.oldest())
        self._stream = pa.ipc.new_stream(self._file, empty.schema)

    def append(self, frame: pl.DataFrame) -> None:
        """Append rows and update the properties of their columns."""
        for piece in plain_frame(frame).iter_slices(CHUNK_ROWS):
            for series in piece:
                self.seen[series.name].look(flat(series))
            self._stream.write_table(piece.to_arrow(compat_level=pl.CompatLevel.oldest()))
            self.rows += piece.height

    def finish(self) -> None:
        """End the stream after the last row."""
        self._stream.close()

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in order, in chunks."""
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as stream:
            for batch in stream:
                yield pl.DataFrame(batch)

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()
