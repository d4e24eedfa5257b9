"""Decoding the rows of TABLEDATA: the texts of cells, and the values that they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from xml.parsers import expat

import numpy as np
import polars as pl

from starscale.io.votable.cells import NUMBERS, Cells, masked, null_number, nulls_of, number_of, tidy_texts
from starscale.io.votable.document import Attributes, DamagedError, local

#: Texts of cells without a value, in lower case; NaN of integers is one that archives write.
_NOTHING = ("", "nan", "null", "none", "-", "--", "?")
_TRUE, _FALSE, _UNKNOWN = ("t", "1", "true"), ("f", "0", "false"), ("?", "", "\0", "null")
_BETWEEN = re.compile(r"\s*,\s*")
_BUFFER = 1 << 20

Meaning = Callable[[str], float | int | bool | None]


class CellError(ValueError):
    """A text is not a value of its column.

    Parameters
    ----------
    place : int
        Position among the texts.
    text, expected : str
    where : str
        Row and column.
    """

    def __init__(self, place: int, text: str, expected: str, where: str = "") -> None:
        super().__init__(f"{text!r} is not {expected}")
        self.place, self.text, self.expected, self.where = place, text, expected, where


class RowReader:
    """Reads rows of TABLEDATA as texts, and turns them to frames.

    Parameters
    ----------
    columns : sequence of Cells
    encoding : str
        Of the document.
    """

    def __init__(self, columns: Sequence[Cells], encoding: str) -> None:
        self._columns = tuple(columns)
        self._cells: list[str] = []
        self._said: list[str] = []
        #: Rows that were seen, and those that became frames.
        self._seen = self._done = 0
        self._parser = expat.ParserCreate(encoding)
        self._parser.buffer_text = True
        self._parser.buffer_size = _BUFFER
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._said.append

    def frames(self, blocks: Iterable[bytes], rows: int, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield frames of at most `rows` rows.

        Raises
        ------
        DamagedError
            A row has too few or too many cells, or something stands between them.
        CellError
            A cell holds no value of its column.
        """
        self._parser.Parse(b"<TABLEDATA>", False)
        for block in blocks:
            self._parser.Parse(block, False)
            while len(self._cells) >= rows * len(self._columns) > 0:
                yield self._frame(rows, names)
        self._parser.Parse(b"</TABLEDATA>", True)
        while self._cells:
            yield self._frame(rows, names)

    def _start(self, tag: str, attributes: Attributes) -> None:
        self._refuse_stray()
        if attributes.get("encoding", "none").lower() != "none":
            raise DamagedError(f"cells in the encoding {attributes['encoding']} cannot be read")
        if local(tag) not in ("TD", "TR", "TABLEDATA"):
            raise DamagedError(f"an element {tag} is between its cells")

    def _end(self, tag: str) -> None:
        if tag.endswith("TD"):
            self._cells.append("".join(self._said))
            self._said.clear()
            return
        self._refuse_stray()
        width = len(self._columns)
        self._seen += tag.endswith("TR")
        if len(self._cells) != (self._seen - self._done) * width:
            raise DamagedError(f"row {self._seen:,} has not the {width} cells of the {width} columns")

    def _refuse_stray(self) -> None:
        said = self._said
        if said:
            if not "".join(said).isspace():
                raise DamagedError(f"a text is between its cells: {''.join(said).strip()[:40]!r}")
            said.clear()

    def _frame(self, rows: int, names: Sequence[str]) -> pl.DataFrame:
        width = len(self._columns)
        cells, self._cells = self._cells[: rows * width], self._cells[rows * width :]
        found, wanted = {}, set(names)
        for i, item in enumerate(self._columns):
            if item.name in wanted:
                try:
                    found[item.name] = column_of(item, cells[i::width])
                except CellError as error:
                    where = f"row {self._done + error.place + 1:,} of column {item.name!r}"
                    raise CellError(error.place, error.text, error.expected, where) from None
        self._done += len(cells) // width
        return pl.DataFrame([found[name] for name in names])


def column_of(item: Cells, cells: Sequence[str]) -> pl.Series:
    """Turn the texts of cells to the values of a column.

    Raises
    ------
    CellError
        A cell holds no value of this type, or not as many as the column has.
    """
    if item.is_text:
        # Blanks belong to a text, but for those with line breaks, which lay out the document.
        plain = [cell.strip() if "\n" in cell else cell for cell in cells]
        return _text_arrays(item, plain) if item.shape or item.varying else _texts(item, plain)
    return _arrays(item, cells) if item.shape or item.varying else item.column(_values(item, cells))


def _arrays(item: Cells, cells: Sequence[str]) -> pl.Series:
    size = item.elements
    parts = [_split(item, cell) for cell in cells]
    for place, part in enumerate(parts):
        if len(part) % size or not (item.varying or len(part) == size):
            raise CellError(place, cells[place].strip(), f"{'a multiple of ' * item.varying}{size} values")
    try:
        flat = _values(item, list(chain.from_iterable(parts)))
    except CellError as error:
        ends = np.cumsum([len(part) for part in parts])
        place = int(np.searchsorted(ends, error.place, side="right"))
        raise CellError(place, error.text, error.expected) from None
    return item.column(flat, [len(part) // size for part in parts])


def _split(item: Cells, cell: str) -> list[str]:
    """Return the elements of a cell; those of an empty cell of fixed length are all missing."""
    parts = list("".join(cell.split())) if item.datatype == "bit" else _BETWEEN.sub(" ", cell).split()
    return parts if parts or item.varying else [""] * item.elements


def _texts(item: Cells, cells: Sequence[str]) -> pl.Series:
    # A character that is a blank is no padding.
    width = item.width if item.width != 1 else None
    return item.column(_judged(item, cells, [len(cell) == width for cell in cells]))


def _text_arrays(item: Cells, cells: Sequence[str]) -> pl.Series:
    """Cut cells into texts of one width; the last may be shorter."""
    width = item.width or 1
    size = width * item.elements
    counts = [-(-len(cell.rstrip()) // size) if item.varying else 1 for cell in cells]
    filled = [cell.ljust(count * size) for cell, count in zip(cells, counts, strict=True)]
    parts = [
        text[start : start + width]
        for text, count in zip(filled, counts, strict=True)
        for start in range(0, count * size, width)
    ]
    return item.column(_judged(item, parts, [True] * len(parts)), counts)


def _judged(item: Cells, texts: Sequence[str], padded: Sequence[bool]) -> pl.Series:
    """Remove padding; blank texts and those of VALUES null are null."""
    series = pl.Series(texts, dtype=pl.String)
    full = pl.Series(padded, dtype=pl.Boolean)
    tidy = pl.select(
        pl.when(full).then(tidy_texts(series, padded=True)).otherwise(tidy_texts(series, padded=False))
    ).to_series()
    return tidy if item.null is None else pl.select(pl.when(tidy != item.null).then(tidy)).to_series()


def _values(item: Cells, texts: Sequence[str]) -> pl.Series:
    """Turn texts of single values to numbers, truths or bits."""
    plain = pl.Series([text.strip() for text in texts], dtype=pl.String)
    if item.datatype in ("boolean", "bit"):
        meaning = _truth if item.datatype == "boolean" else _bit
        expected = "a truth value (T, F, 1, 0, true, false)" if item.datatype == "boolean" else "a bit (0, 1)"
        none = pl.Series([None] * len(plain), dtype=pl.Boolean)
        return _completed(item, plain, none, none, meaning, expected)
    return _floats(item, plain) if item.inner.is_float() else _integers(item, plain)


def _integers(item: Cells, texts: pl.Series) -> pl.Series:
    info = np.iinfo(NUMBERS[item.datatype][1])
    expected = f"a whole number from {info.min} to {info.max} ({item.datatype})"
    null = null_number(item)

    def meaning(text: str) -> int | None:
        number = number_of(text, item.datatype)
        if number is None and text.lower() not in _NOTHING:
            raise ValueError
        if number is None or number == null:
            return None
        if not info.min <= number <= info.max:
            raise ValueError
        return int(number)

    wide = texts.cast(pl.Int64, strict=False)
    odd = wide.is_null() | ~wide.is_between(int(info.min), int(info.max))
    found = _completed(item, texts, wide, odd, meaning, expected)
    if null is not None and info.min <= null <= info.max:
        found = pl.select(pl.when(found != null).then(found)).to_series()
    return found.cast(item.inner)


def _floats(item: Cells, texts: pl.Series) -> pl.Series:
    expected = f"a number ({item.datatype})"

    def meaning(text: str) -> float | None:
        if text.lower() in _NOTHING:
            return None
        number = number_of(text, item.datatype)
        if number is None or (too_large(number) and "inf" not in text.lower()):
            raise ValueError
        return float(number)

    def too_large(number: float) -> bool:
        return bool(pl.Series([number], dtype=pl.Float64).cast(item.inner).is_infinite()[0])

    wide = texts.cast(pl.Float64, strict=False)
    odd = wide.is_null() | wide.cast(item.inner).is_infinite()
    found = _completed(item, texts, wide, odd, meaning, expected).cast(item.inner)
    stored = found.fill_null(float("nan")).to_numpy()
    return masked(found, nulls_of(item, stored))


def _truth(text: str) -> bool | None:
    low = text.lower()
    if low in _UNKNOWN:
        return None
    if low not in (*_TRUE, *_FALSE):
        raise ValueError
    return low in _TRUE


def _bit(text: str) -> bool | None:
    if text not in ("", "0", "1"):
        raise ValueError
    return text == "1" if text else None


def _completed(
    item: Cells, texts: pl.Series, values: pl.Series, odd: pl.Series, meaning: Meaning, expected: str
) -> pl.Series:
    """Set the values of texts that are `odd`: each different text is judged once."""
    odd = odd.fill_null(True)
    if not odd.any():
        return values
    known: dict[str, float | int | bool | None] = {}
    for text in texts.filter(odd).unique(maintain_order=True).to_list():
        try:
            known[text] = None if text == item.null else meaning(text)
        except ValueError:
            place = int((texts == text).arg_max() or 0)
            raise CellError(place, text, expected) from None
    given = pl.Series(list(known.values()), dtype=values.dtype)
    better = texts.replace_strict(pl.Series(list(known), dtype=pl.String), given, default=None)
    return pl.select(pl.when(odd).then(better).otherwise(values)).to_series()
