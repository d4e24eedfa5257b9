"""Formats that are read and written whole, since their libraries know no other way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from starscale.io.portable import plain_frame, plain_schema
from starscale.io.table import Sink, Source, WritePlan
from starscale.vocabulary.columns import Column


class WholeSource(Source):
    """A table that was read into memory when it was opened."""

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

    def lazy(self) -> pl.LazyFrame:
        """Return the table, which is in memory, as a lazy frame."""
        return self._frame.lazy()

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Cut the table into pieces."""
        yield from self._frame.select(columns).iter_slices(rows)


class WholeSink(Sink):
    """Gathers all rows in memory and writes when it is closed."""

    def __init__(self, plan: WritePlan) -> None:
        self.plan = plan
        self.schema = plain_schema(plan.schema, str(plan.target))
        self._held: list[pl.DataFrame] = []

    def append(self, frame: pl.DataFrame) -> None:
        """Hold rows."""
        self._held.append(plain_frame(frame))

    def close(self, metadata: Mapping[str, str]) -> None:
        """Write the file."""
        self.write(pl.concat([pl.DataFrame(schema=self.schema), *self._held], rechunk=True), metadata)

    def abort(self) -> None:
        """Forget the rows."""
        self._held = []

    @abstractmethod
    def write(self, frame: pl.DataFrame, metadata: Mapping[str, str]) -> None:
        """Write the whole table to the path of the plan."""
