"""Reading tables of FITS files in chunks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from starscale.io.fits.about import column_keywords, merged, metadata_of, system_of
from starscale.io.fits.cards import damaged
from starscale.io.fits.characters import CharacterField, decode_characters
from starscale.io.fits.decode import Bytes, decode
from starscale.io.fits.field import FitsField
from starscale.io.fits.header import find_table, other_tables, schema_of
from starscale.io.fits.header import tables as tables
from starscale.io.fits.plus import described
from starscale.io.fits.records import RecordReader
from starscale.io.fits.serialized import Serialized, serialized
from starscale.io.fits.verify import Verification
from starscale.io.masks import masked
from starscale.io.packed import DAMAGE
from starscale.io.table import Doubt, OtherTables, Source, describe, picked, repeated_names
from starscale.io.votable.position import epoch_of, frame_of
from starscale.vocabulary.errors import InputError, Problem


class FitsSource(Source):
    """A table of a FITS file, plain or packed with gzip.

    Null is NaN for floats, TNULL for integers, a zero byte for logicals and a blank text for texts; in ASCII
    tables a blank or TNULL. Trailing blanks are removed. A vector column becomes :class:`polars.Array`, one of
    varying length :class:`polars.List`; complex numbers become pairs. Only the requested rows are read, but for a
    file with DATASUM or CHECKSUM: the rows before them are read too, once, to verify the sums.
    """

    def __init__(self, path: Path, part: str | None) -> None:
        self.path = path
        self.format = "fits"
        self._table, primary = find_table(path, part)
        self.part = self._table.unit.name
        self._fields = {item.name: item for item in self._table.fields}
        by_astropy = self._by_astropy()
        self._masks = {
            name: mask for name, mask in by_astropy.masks.items() if name in self._fields and mask in self._fields
        }
        stored = schema_of(self._table)
        hidden = set(self._masks.values())
        self.schema = pl.Schema({name: kind for name, kind in stored.items() if name not in hidden})
        self.metadata = metadata_of(self._table.header)
        by_topcat = described(path, primary, self._table.unit.number, stored)
        keywords = column_keywords(self._table.header, list(self._fields))
        self.columns = describe(self.schema, merged(by_topcat.known, keywords, by_astropy.known))
        # An empty primary header often speaks for the file.
        general = system_of(metadata_of(primary.cards)) if primary.size == 0 else {}
        system = {**by_topcat.system, **general, **system_of(self.metadata)}
        self.frame, self.epoch = frame_of(system), epoch_of(system)
        self._verification = Verification(path, self._table.unit)

    def _by_astropy(self) -> Serialized:
        """Return what astropy wrote about the columns; it matters most where masks are columns of their own."""
        header = self._table.header
        try:
            return serialized([str(line) for line in header["COMMENT"]] if "COMMENT" in header else [])
        except ValueError as error:
            if not any(f"{name}.mask" in self._fields for name in self._fields):
                return Serialized()
            found = f"the masks of its columns cannot be understood ({error})"
            fix = "Write the file again with astropy."
            expected = "the YAML of astropy in its COMMENT cards"
            raise InputError(Problem(str(self.path), found, expected, fix)) from error

    @cached_property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a user must know about the file; the other tables are looked for when this is first asked for."""
        found = repeated_names(self._table.names, list(self._fields))
        if self._table.columnar:
            found.append(f"a column-oriented table: its one record is read as {self._table.rows} rows")
        elif vectors := self._table.alike:
            found.append(Doubt(f"one row of vectors of {vectors} elements: TOPCAT would read {vectors} rows"))
        if self._verification.copied:
            found.append("its DATASUM and CHECKSUM were copied from another file, so they are not verified")
        others = list(other_tables(self.path, self._table.unit.number))
        if others:
            found.append(OtherTables(f"other tables in the file: {', '.join(others)}"))
        return tuple(found)

    @property
    def n_rows(self) -> int:
        """Number of rows, from the header."""
        return self._table.rows

    def lazy(self) -> pl.LazyFrame:
        """Return the table, read into memory, as a lazy frame."""
        return self.read().lazy()

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read about `rows` rows at a time."""
        return self.frames_after(0, rows, columns)

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the rows after the first `skip`."""
        masks = {name: self._masks[name] for name in columns if name in self._masks}
        fields = [self._fields[name] for name in [*columns, *dict.fromkeys(masks.values())]]
        reader = RecordReader(self.path, self._table, self._verification if self.verify else None)
        try:
            heap = reader.heap(fields)
            for cells in reader.cells(skip, rows, fields):
                stored = pl.DataFrame([_series(*pair, heap) for pair in zip(fields, cells, strict=True)])
                hidden = [masked(stored[name], stored[mask]) for name, mask in masks.items()]
                yield picked(stored.with_columns(hidden), columns)
        except (OSError, *DAMAGE, ValueError, pl.exceptions.PolarsError) as error:
            raise InputError(damaged(self.path, str(error))) from error


def open_source(path: Path, part: str | None) -> Source:
    """Open a FITS file; `part` is the number or name of an extension."""
    return FitsSource(path, part)


def _series(field: FitsField | CharacterField, raw: Bytes, heap: Bytes) -> pl.Series:
    return decode(field, raw, heap) if isinstance(field, FitsField) else decode_characters(field, raw)
