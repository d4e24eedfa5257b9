"""Formats whose libraries read and write whole tables only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from starscale.io.portable import plain_frame, plain_schema
from starscale.io.table import Sink, Source, WritePlan, picked, without_nan
from starscale.vocabulary.columns import Column


class WholeSource(Source):
    """A table that is read into memory when it is opened."""

    def __init__(
        self, path: Path, name: str, frame: pl.DataFrame, columns: dict[str, Column], metadata: dict[str, str]
    ) -> None:
        self.path = path
        self.format = name
        self.schema = frame.schema
        self.columns = columns
        self.metadata = metadata
        self._frame = frame

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._frame.height

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the table, or the named columns of it."""
        return without_nan(self._frame if columns is None else picked(self._frame, self.choose(columns)))

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield slices of the table."""
        yield from picked(self._frame, columns).iter_slices(rows)


class WholeSink(Sink):
    """Keeps all rows in memory and writes them when it is closed."""

    def __init__(self, plan: WritePlan) -> None:
        self.plan = plan
        self.schema = plain_schema(plan.schema, str(plan.target))
        self._held: list[pl.DataFrame] = []

    def append(self, frame: pl.DataFrame) -> None:
        """Keep rows."""
        self._held.append(plain_frame(frame))

    def close(self, metadata: Mapping[str, str]) -> None:
        """Write the file."""
        self.write(pl.concat([pl.DataFrame(schema=self.schema), *self._held], rechunk=True), metadata)

    def abort(self) -> None:
        """Drop the rows."""
        self._held = []

    @abstractmethod
    def write(self, frame: pl.DataFrame, metadata: Mapping[str, str]) -> None:
        """Write the whole table to `plan.path`."""
