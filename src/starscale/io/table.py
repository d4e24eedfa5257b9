"""What every table format offers: a lazily read :class:`Source` and a :class:`Sink` that takes rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from starscale.vocabulary.columns import Column, DType
from starscale.vocabulary.errors import Problems, did_you_mean

#: Rows that are held at a time where a format decides for itself.
CHUNK_ROWS = 65_536

_NEAREST: dict[pl.DataType, DType] = {
    pl.Boolean(): "bool",
    pl.Int8(): "int16",
    pl.UInt8(): "int16",
    pl.Int16(): "int16",
    pl.UInt16(): "int32",
    pl.Int32(): "int32",
    pl.UInt32(): "int64",
    pl.Int64(): "int64",
    pl.UInt64(): "int64",
    pl.Float32(): "float32",
    pl.Float64(): "float64",
}


class Source(ABC):
    """A table on disk that is read only as far as it is asked for.

    Attributes
    ----------
    path : Path
        Where it is.
    format : str
        Name of the format, as in :data:`starscale.io.formats.FORMATS`.
    schema : polars.Schema
        Names and types of all columns, in order.
    columns : dict of str to Column
        Unit, UCD and description of every column, as far as the file tells.
    metadata : dict of str to str
        What the file says about the table as a whole.
    """

    path: Path
    format: str
    schema: pl.Schema
    columns: dict[str, Column]
    metadata: dict[str, str]

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Number of rows."""

    @abstractmethod
    def lazy(self) -> pl.LazyFrame:
        """Return the whole table as a lazy frame."""

    @abstractmethod
    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows in order in pieces of about `rows`, as suits the format; `columns` exist."""

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield what :meth:`frames` does, without the first `skip` rows; a format that can leaps over them."""
        for frame in self.frames(rows, columns):
            if skip < frame.height:
                yield frame.slice(skip) if skip else frame
            skip = max(skip - frame.height, 0)

    def batches(self, rows: int, columns: Sequence[str] | None = None, *, skip: int = 0) -> Iterator[pl.DataFrame]:
        """Yield the rows in order in frames of exactly `rows`, the last one perhaps shorter.

        One piece is held at a time, whatever the size of the file; ECSV files, and VOTables with vectors of
        varying length, are read whole first.

        Parameters
        ----------
        rows : int
            Rows of a frame, at least 1.
        columns : sequence of str, optional
            Columns to read, in the order wanted; default: all.
        skip : int
            Rows to leave out at the beginning.

        Raises
        ------
        InputError
            For a column that is not there, or a file that turns out to be damaged.
        """
        if rows < 1:
            raise ValueError(f"a batch has at least 1 row, not {rows}")
        return rebatch(self.frames_after(skip, rows, self.choose(columns)), rows)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the table, or the named columns of it, in memory."""
        chosen = self.choose(columns)
        empty = pl.DataFrame(schema={name: self.schema[name] for name in chosen})
        return pl.concat([empty, *self.frames(CHUNK_ROWS, chosen)], rechunk=True)

    def rows_with(self, column: str, values: pl.Series, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the rows whose `column` is one of `values`, in order; memory as for :meth:`batches`.

        Parameters
        ----------
        column : str
        values : polars.Series
            Of the type of the column.
        columns : sequence of str, optional
            Columns to return; default: all.

        Raises
        ------
        InputError
            For a column that is not there, or a file that turns out to be damaged.
        """
        chosen = self.choose(columns)
        read = self.choose([*chosen, *({column} - set(chosen))])
        empty = pl.DataFrame(schema={name: self.schema[name] for name in chosen})
        wanted = pl.col(column).is_in(values.implode())
        return pl.concat([empty, *(f.filter(wanted).select(chosen) for f in self.frames(CHUNK_ROWS, read))])

    def choose(self, columns: Sequence[str] | None) -> list[str]:
        """Return `columns`, or all when None; every one that is missing is a problem of one error."""
        if columns is None:
            return list(self.schema)
        require_columns(str(self.path), columns, list(self.schema))
        return list(columns)


class Sink(ABC):
    """Takes rows, writes one file. The caller sees to it that the file appears only when it is whole."""

    @abstractmethod
    def append(self, frame: pl.DataFrame) -> None:
        """Add rows; the frame has the columns and types that the sink was opened with."""

    @abstractmethod
    def close(self, metadata: Mapping[str, str]) -> None:
        """Write what is left, and `metadata` where the format has room for it."""

    @abstractmethod
    def abort(self) -> None:
        """Let go of everything; the file is of no use. May follow a failed `close`."""


@dataclass(frozen=True, slots=True)
class WritePlan:
    """What a sink must know beforehand. `target` is what errors call the file, `path` where it is built."""

    path: Path
    target: Path
    schema: pl.Schema
    columns: Mapping[str, Column]


def require_columns(where: str, wanted: Sequence[str], present: Sequence[str]) -> None:
    """Raise one error that names every wanted column that is missing or asked for twice.

    Raises
    ------
    InputError
        With a suggestion for each.
    """
    problems = Problems()
    shown = ", ".join(present[:12]) + (f", ... ({len(present)} in all)" if len(present) > 12 else "")
    there = set(present)
    for name in dict.fromkeys(wanted):
        if name not in there:
            hint = f"The columns are: {shown or 'none'}."
            problems.add(where, f"has no column {name!r}", fix=did_you_mean(name, present, hint=hint))
        elif list(wanted).count(name) > 1:
            problems.add(where, f"column {name!r} is asked for twice", "every column once")
    problems.raise_if_any()


def rebatch(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """Cut a stream of frames of any height into frames of exactly `rows`, the last one perhaps shorter."""
    held: list[pl.DataFrame] = []
    height = 0
    for frame in frames:
        held.append(frame)
        height += frame.height
        if height < rows:
            continue
        joined = pl.concat(held) if len(held) > 1 else frame
        whole = height - height % rows
        for start in range(0, whole, rows):
            yield joined.slice(start, rows)
        held, height = [joined.slice(whole)], height - whole
    if height:
        yield pl.concat(held)


def unique_names(names: Iterable[str]) -> list[str]:
    """Give every column a name of its own: a repeated name gets ``_2``, ``_3``, a missing one its number."""
    given = [name.strip() for name in names]
    taken = set(given)
    seen: set[str] = set()
    result = []
    for position, name in enumerate(given, 1):
        base = name or f"column_{position}"
        candidate, count = base, 1
        while candidate in seen or (candidate != name and candidate in taken):
            count += 1
            candidate = f"{base}_{count}"
        seen.add(candidate)
        result.append(candidate)
    return result


def nearest_dtype(dtype: pl.DataType) -> DType:
    """Storage type of the vocabulary that holds `dtype`; for a vector that of its elements, else ``string``."""
    while isinstance(dtype, (pl.Array, pl.List)):
        dtype = dtype.inner if isinstance(dtype.inner, pl.DataType) else dtype.inner()
    return _NEAREST.get(dtype, "string")


def describe(schema: pl.Schema, known: Mapping[str, Mapping[str, str]]) -> dict[str, Column]:
    """Build a :class:`Column` for each column; `known` holds ``unit``, ``ucd`` and ``description`` by name."""
    columns = {}
    for name, dtype in schema.items():
        about = known.get(name, {})
        columns[name] = Column(
            name,
            nearest_dtype(dtype),
            about.get("unit", "").strip(),
            about.get("ucd", "").strip(),
            about.get("description", "").strip(),
        )
    return columns
