"""Elements of vector columns as columns of their own: ``mag_psfcor[3]``, ``COVAR[0,0]``."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from starscale.io.table import Source, nearest_dtype
from starscale.vocabulary.errors import InputError, Problem

_ELEMENT = re.compile(r"(?P<vector>.+)\[(?P<index>\s*-?\d+\s*(?:,\s*-?\d+\s*)*)\]\s*")


@dataclass(frozen=True, slots=True)
class Element:
    """One number of every vector of a column; it counts from 0, and the last axis changes fastest, as in numpy.

    `length` is the number of elements that a vector must have, of all axes together; None: any.
    """

    vector: str
    index: tuple[int, ...]
    length: int | None = None

    def __str__(self) -> str:
        return f"{self.vector}[{','.join(map(str, self.index))}]"

    def dtype(self, vector: pl.DataType, where: str) -> pl.DataType:
        """Return the type of the element of a column of type `vector`.

        Raises
        ------
        InputError
            The column is no vector, has other axes or another length, or is too short.
        """
        axes = axes_of(vector)
        if not axes:
            found, fix = f"is no vector ({vector}): it has no element {self}", "Name the column without an index."
            raise InputError(Problem(where, found, "a vector column", fix))
        if len(self.index) != len(axes):
            found = f"has {len(axes)} axes ({shape_text(vector)}), and {self} has {len(self.index)}"
            raise InputError(Problem(where, found, "one number for each axis"))
        if self.length is not None and None not in axes and math.prod(filter(None, axes)) != self.length:
            raise InputError(self._of_another_length(where, f"has vectors of {shape_text(vector)}"))
        for place, length in zip(self.index, axes, strict=True):
            if place < 0 or (length is not None and place >= length):
                raise InputError(self._beyond(where, shape_text(vector), length))
        return _innermost(vector)

    def of(self, values: pl.Series, where: str) -> pl.Series:
        """Return the element of every vector; a vector that is missing or empty has none.

        Raises
        ------
        InputError
            A vector is too short, or has another length than it must have.
        """
        self._check_lengths(values, where)
        for place in self.index:
            if not isinstance(values.dtype, pl.List):
                values = values.arr.get(place)
                continue
            lengths = values.list.len()
            short = lengths.filter((lengths > 0) & (lengths <= place))
            if len(short):
                raise InputError(self._beyond(where, f"length {short[0]} in {len(short)} rows", int(short[0])))
            values = values.list.get(place, null_on_oob=True)
        return values

    def _check_lengths(self, values: pl.Series, where: str) -> None:
        """Refuse vectors of varying length of which one has another length than it must have."""
        axes = axes_of(values.dtype)
        if self.length is None or None not in axes:
            return
        flat = values.arr.to_list() if isinstance(values.dtype, pl.Array) else values
        for _ in axes[1:]:
            flat = flat.list.eval(pl.element().explode())
        lengths = flat.list.len()
        other = lengths.filter((lengths > 0) & (lengths != self.length))
        if len(other):
            found = f"has vectors of length {other[0]} in {len(other):,} of {len(lengths):,} rows"
            raise InputError(self._of_another_length(where, found))

    def _of_another_length(self, where: str, found: str) -> Problem:
        expected = f"length {self.length}, as the survey file says"
        return Problem(where, found, expected, "Is it a table of the release that the survey file describes?")

    def _beyond(self, where: str, length: str, last: int | None) -> Problem:
        expected = "a number from 0" + (f" to {last - 1}" if last else "")
        return Problem(where, f"has no element {self} ({length})", expected, "Elements are counted from 0.")


def element_of(text: str) -> Element | None:
    """Return the element that a name such as ``mag_psfcor[3]`` means; None for any other name."""
    found = _ELEMENT.fullmatch(text)
    return None if found is None else Element(found["vector"].strip(), tuple(map(int, found["index"].split(","))))


def axes_of(dtype: pl.DataType) -> tuple[int | None, ...]:
    """Return the lengths of the axes of a vector column; None: it varies. Empty for any other column."""
    axes: list[int | None] = []
    while isinstance(dtype, pl.Array | pl.List):
        axes.append(dtype.size if isinstance(dtype, pl.Array) else None)
        dtype = _inner(dtype)
    return tuple(axes)


def _innermost(dtype: pl.DataType) -> pl.DataType:
    """Return the type of the numbers of a vector column."""
    while isinstance(dtype, pl.Array | pl.List):
        dtype = _inner(dtype)
    return dtype


def _inner(dtype: pl.Array | pl.List) -> pl.DataType:
    return dtype.inner if isinstance(dtype.inner, pl.DataType) else dtype.inner()


def shape_text(dtype: pl.DataType) -> str:
    """Return the lengths of the axes of a vector column in words."""
    axes = axes_of(dtype)
    shown = " x ".join("any" if length is None else str(length) for length in axes)
    return f"length {shown}" if len(axes) == 1 else shown


class ElementSource(Source):
    """A table in which elements of vector columns are columns; only their vectors are read.

    Parameters
    ----------
    source : Source
    elements : mapping of str to Element
        The new columns.
    hidden : collection of str
        Vector columns that are left out.

    Raises
    ------
    InputError
        Elements that do not exist.
    """

    def __init__(self, source: Source, elements: Mapping[str, Element], hidden: Collection[str]) -> None:
        self.path, self.format, self.metadata = source.path, source.format, source.metadata
        self.frame, self.epoch, self.verify = source.frame, source.epoch, source.verify
        self.source, self._elements, self._hidden = source, dict(elements), frozenset(hidden)
        new = {
            name: element.dtype(source.schema[element.vector], self._where(element))
            for name, element in self._elements.items()
        }
        kept = {name: kind for name, kind in source.schema.items() if name not in self._hidden}
        self.schema = pl.Schema({**kept, **new})
        self.columns = {name: about for name, about in source.columns.items() if name not in self._hidden} | {
            name: replace(source.columns[element.vector], name=name, dtype=nearest_dtype(new[name]))
            for name, element in self._elements.items()
        }

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a user must know about the file."""
        return self.source.notes

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.source.n_rows

    def with_texts(self, names: Collection[str]) -> Source:
        """Return the table with these columns as texts."""
        source = self.source.with_texts({name for name in names if name not in self._elements})
        return self if source is self.source else ElementSource(source, self._elements, self._hidden)

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the vectors in chunks, and keep their elements."""
        return self.frames_after(0, rows, columns)

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the rows after the first `skip`."""
        self.source.verify = self.verify
        there = [self._elements[name].vector if name in self._elements else name for name in columns]
        for frame in self.source.frames_after(skip, rows, list(dict.fromkeys(there))):
            yield pl.DataFrame([self._column(frame, name) for name in columns])

    def _column(self, frame: pl.DataFrame, name: str) -> pl.Series:
        element = self._elements.get(name)
        if element is None:
            return frame[name]
        return element.of(frame[element.vector], self._where(element)).alias(name)

    def _where(self, element: Element) -> str:
        return f"{self.source.path}, column {element.vector!r}"
