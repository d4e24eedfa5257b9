"""The interfaces of every table format: a :class:`Source`, read lazily, and a :class:`Sink` for writing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import polars as pl
import polars.selectors as cs

from starscale.io.portable import flat
from starscale.vocabulary.columns import Column, DType
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.unit_notes import restored, without_converted

#: Rows of a chunk where the caller does not choose it.
CHUNK_ROWS = 65_536
#: Of a text table.
MOST_COLUMNS = 10_000

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


class Doubt(str):
    """A note on a file that is a reason to doubt results; other notes are only good to know."""

    __slots__ = ()


class OtherTables(str):
    """A note that tells of other tables in the file."""

    __slots__ = ()


class Source(ABC):
    """A table on disk whose rows are read on demand.

    Attributes
    ----------
    path : Path
        Location of the table.
    format : str
        Name of the format, as in :data:`starscale.io.formats.FORMATS`.
    schema : polars.Schema
        Names and types of all columns, in order.
    columns : dict of str to Column
        Unit, UCD and description of every column, as far as the file states them.
    metadata : dict of str to str
        Texts about the table as a whole.
    notes : tuple of str
        What a user must know about the file, one sentence each: it was cut off by the service, it holds other
        tables, column names are repeated. ``starscale check`` reports each one.
    frame : str
        Reference frame of the positions as the file states it (``ICRS``, ``FK4``); empty: not stated.
    epoch : float or None
        Epoch of the positions in Julian years as the file states it; None: not stated.
    verify : bool
        Whether the checksums that the file states are verified when its rows are read.
    part : str
        Name of the table within its file; empty: it has none.
    """

    path: Path
    format: str
    schema: pl.Schema
    columns: dict[str, Column]
    metadata: dict[str, str]
    notes: tuple[str, ...] = ()
    frame: str = ""
    epoch: float | None = None
    verify: bool = True
    part: str = ""

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Number of rows."""

    def with_texts(self, names: Collection[str]) -> Source:  # noqa: ARG002
        """Return the table with these columns as texts, as they are written; itself where files have types."""
        return self

    def lazy(self) -> pl.LazyFrame:
        """Return the whole table as a lazy frame."""
        return self.read().lazy()

    @abstractmethod
    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows in order, in chunks of about `rows` as suits the format; `columns` must exist."""

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Do the same without the first `skip` rows; formats override this where they can seek."""
        for frame in self.frames(rows, columns):
            if skip < frame.height:
                yield frame.slice(skip) if skip else frame
            skip = max(skip - frame.height, 0)

    def batches(self, rows: int, columns: Sequence[str] | None = None, *, skip: int = 0) -> Iterator[pl.DataFrame]:
        """Yield the rows in order, in frames of exactly `rows`; the last one may be shorter.

        One chunk is in memory at a time, whatever the size of the file. MRT, CDS and IPAC tables, and FITS
        files inside a VOTable, are read whole first.

        Parameters
        ----------
        rows : int
            Rows of a frame, at least 1.
        columns : sequence of str, optional
            Columns to read, in this order; default: all.
        skip : int
            Rows to skip at the beginning.

        Raises
        ------
        InputError
            A column is missing, or the file is damaged.
        """
        if rows < 1:
            raise ValueError(f"a batch has at least 1 row, not {rows}")
        return rebatch(map(without_nan, self.frames_after(skip, rows, self.choose(columns))), rows)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the table, or the named columns of it, in memory."""
        chosen = self.choose(columns)
        empty = pl.DataFrame(schema={name: self.schema[name] for name in chosen})
        return pl.concat([empty, *map(without_nan, self.frames(CHUNK_ROWS, chosen))], rechunk=True)

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
            A column is missing, or the file is damaged.
        """
        chosen = self.choose(columns)
        read = self.choose([*chosen, *({column} - set(chosen))])
        empty = pl.DataFrame(schema={name: self.schema[name] for name in chosen})
        wanted = pl.col(column).is_in(values.implode())
        found = (picked(without_nan(frame).filter(wanted), chosen) for frame in self.frames(CHUNK_ROWS, read))
        return pl.concat([empty, *found])

    def choose(self, columns: Sequence[str] | None) -> list[str]:
        """Return `columns`, or all columns when None; one error names every missing column."""
        if columns is None:
            return list(self.schema)
        require_columns(str(self.path), columns, list(self.schema))
        return list(columns)


class Sink(ABC):
    """Writes rows to one file; the caller renames the file when it is complete."""

    @abstractmethod
    def append(self, frame: pl.DataFrame) -> None:
        """Append rows, with the columns and types that the sink was opened with."""

    @abstractmethod
    def close(self, metadata: Mapping[str, str]) -> None:
        """Write the remaining rows, and `metadata` where the format can hold them."""

    @abstractmethod
    def abort(self) -> None:
        """Release all resources; the file is incomplete. May follow a failed `close`."""


@dataclass(frozen=True, slots=True)
class WritePlan:
    """What a sink is to write. `path` is the partial file, `target` its final name, used in errors."""

    path: Path
    target: Path
    schema: pl.Schema
    columns: Mapping[str, Column]


def require_columns(where: str, wanted: Sequence[str], present: Sequence[str]) -> None:
    """Refuse wanted columns that are missing or repeated; one error names them all.

    Raises
    ------
    InputError
        With a similar name for each missing column.
    """
    problems = Problems()
    shown = ", ".join(present[:12]) + (f", ... ({len(present)} in all)" if len(present) > 12 else "")
    there, times = set(present), Counter(wanted)
    for name in times:
        if name not in there:
            hint = f"The columns are: {shown or 'none'}."
            problems.add(where, f"has no column {name!r}", fix=did_you_mean(name, present, hint=hint))
        elif times[name] > 1:
            problems.add(where, f"column {name!r} is asked for twice", "every column once")
    problems.raise_if_any()


def refuse_many_columns(path: Path, number: int) -> None:
    """Refuse a text table of more columns than one of stars has: what is done for each would take minutes.

    Raises
    ------
    InputError
        There are more than `MOST_COLUMNS`.
    """
    if number > MOST_COLUMNS:
        found, fix = f"has {number:,} columns", "Leave out those that are not needed."
        raise InputError(Problem(str(path), found, f"at most {MOST_COLUMNS:,}", fix))


def column_of(name: str) -> pl.Expr:
    """Return a column by its name; polars takes ``*`` and names between ``^`` and ``$`` for patterns."""
    return cs.by_name(name).as_expr() if name == "*" or name.startswith("^") else pl.col(name)


def columns_of(names: Iterable[str]) -> pl.Expr:
    """Return one expression for many columns, by their names: what is done with it is done with each."""
    return cs.by_name(*names).as_expr()


def picked(frame: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """Return columns by their names, in this order."""
    return pl.DataFrame({name: frame.get_column(name) for name in names})


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame in which NaN is null: every format, and every table in memory, is read so."""
    there = [*_numbers_with_nan(frame), *_vectors_with_nan(frame)]
    return frame.with_columns(map(_filled, there)) if there else frame


def _numbers_with_nan(frame: pl.DataFrame) -> list[pl.Series]:
    """Look at all columns of numbers together: one by one, ten thousand would take seconds."""
    names = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    some = frame.select(columns_of(names).is_nan().any()).row(0) if names else ()
    return [frame[name] for name, found in zip(names, some, strict=True) if found]


def _vectors_with_nan(frame: pl.DataFrame) -> list[pl.Series]:
    nested = (series for series in frame if series.dtype.is_nested() and _innermost(series.dtype).is_float())
    return [series for series in nested if _elements(series).is_nan().any()]


def _innermost(dtype: pl.DataType) -> pl.DataType:
    """Return the type of the elements of vectors and lists; other types as they are."""
    while isinstance(dtype, (pl.List, pl.Array)):
        dtype = cast("pl.DataType", dtype.inner)
    return dtype


def _elements(series: pl.Series) -> pl.Series:
    """Return the numbers of vectors and lists as one series; other columns as they are."""
    while isinstance(series.dtype, pl.List):
        series = series.explode()
    return flat(series)


def _filled(series: pl.Series) -> pl.Series:
    """Return a column with null in place of NaN; a vector that is missing as a whole stays missing."""
    if isinstance(series.dtype, pl.List):
        inner = pl.element().map_batches(_filled, return_dtype=series.dtype.inner)
        nested = isinstance(series.dtype.inner, (pl.List, pl.Array))
        return series.list.eval(inner if nested else pl.element().fill_nan(None))
    filled = flat(series).fill_nan(None)
    if not isinstance(series.dtype, pl.Array):
        return filled
    vectors = filled.reshape((len(series), *series.dtype.shape)).alias(series.name)
    return pl.select(pl.when(series.is_not_null()).then(vectors)).to_series()


def rebatch(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """Cut a stream of frames into frames of exactly `rows`; the last one may be shorter."""
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
    """Make names unique: a repeated name gets ``_2``, ``_3``; a missing one becomes ``column_N``."""
    # Arrow ends names at a NUL, and polars panics.
    given = [name.replace("\0", "").strip() for name in names]
    taken = set(given)
    seen: set[str] = set()
    reached: dict[str, int] = {}
    result = []
    for position, name in enumerate(given, 1):
        base = name or f"column_{position}"
        candidate, count = base, reached.get(base, 1)
        while candidate in seen or (candidate != name and candidate in taken):
            count += 1
            candidate = f"{base}_{count}"
        reached[base] = count
        seen.add(candidate)
        result.append(candidate)
    return result


def repeated_names(given: Sequence[str], names: Sequence[str]) -> list[str]:
    """Say which of the `given` names of columns are repeated, and what the columns are called here (`names`)."""
    counts = Counter(given)
    return [
        Doubt(
            f"the column name {name!r} is repeated: its columns are called "
            + ", ".join(here for here, there in zip(names, given, strict=True) if there == name)
        )
        for name, times in counts.items()
        if times > 1 and name
    ]


def nearest_dtype(dtype: pl.DataType) -> DType:
    """Return the type of :class:`Column` for `dtype`; for a vector that of its elements, else ``string``."""
    while isinstance(dtype, (pl.Array, pl.List)):
        dtype = dtype.inner if isinstance(dtype.inner, pl.DataType) else dtype.inner()
    return _NEAREST.get(dtype, "string")


def describe(schema: pl.Schema, known: Mapping[str, Mapping[str, str]]) -> dict[str, Column]:
    """Build a :class:`Column` for each column; `known` holds ``unit``, ``ucd`` and ``description`` by name."""
    columns = {}
    for name, dtype in schema.items():
        about = known.get(name, {})
        unit, description = restored(about.get("unit", "").strip(), about.get("description", "").strip())
        description, converted = without_converted(description)
        ucd = about.get("ucd", "").strip()
        columns[name] = Column(name, nearest_dtype(dtype), unit, ucd, description, converted=bool(converted))
    return columns


def julian_year(text: str) -> float | None:
    """Return the year of an epoch such as ``J2016.0``; None for any other text."""
    try:
        return float(text.strip().removeprefix("J"))
    except ValueError:
        return None
