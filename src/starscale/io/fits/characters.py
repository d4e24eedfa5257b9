"""Columns of ASCII tables (XTENSION TABLE), whose cells are written out (FITS 4.0, section 7.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl
from astropy.io import fits

from starscale.io.fits.decode import Bytes, shift, texts
from starscale.io.fits.field import number_of, whole_type

_FORM = re.compile(r"\s*([AIFED])(\d+)(?:\.\d+)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CharacterField:
    """Storage of one column: code (TFORM), place in the line and width (characters), text that means null."""

    name: str
    code: str
    offset: int
    width: int
    null: str | None
    scale: float
    zero: float

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column: text, 64-bit integers or double precision."""
        if self.code == "A":
            return pl.String()
        whole = whole_type("K", self.scale, self.zero) if self.code == "I" else None
        return whole or pl.Float64()


def character_field_of(header: fits.Header, i: int, name: str) -> CharacterField | None:
    """Describe column number `i`; None if TFORM or TBCOL makes no sense."""
    form = _FORM.fullmatch(str(header.get(f"TFORM{i}", "")))
    begin = header.get(f"TBCOL{i}")
    if form is None or not isinstance(begin, int) or begin < 1:
        return None
    null = header.get(f"TNULL{i}")
    return CharacterField(
        name,
        form[1].upper(),
        begin - 1,
        int(form[2]),
        None if null is None else str(null).strip(),
        number_of(header.get(f"TSCAL{i}", 1)),
        number_of(header.get(f"TZERO{i}", 0)),
    )


def decode_characters(field: CharacterField, raw: Bytes) -> pl.Series:
    """Decode a column from cells of shape (n_rows, field.width); blank is null.

    Numbers are read as they are written: an implied decimal point (FITS 4.0 deprecates it) is not put in.

    Raises
    ------
    ValueError
        A cell is no number.
    """
    if 0 in raw.shape:
        return pl.Series(field.name, [None] * len(raw), dtype=field.dtype)
    cells = texts(raw)
    bare = cells.str.strip_chars(" ")
    bare = pl.select(pl.when((bare != "") & bare.ne_missing(pl.lit(field.null))).then(bare)).to_series()
    if field.code == "A":
        return pl.select(pl.when(bare.is_not_null()).then(cells)).to_series().alias(field.name)
    whole = field.code == "I"
    # Fortran writes the exponent as D, or without a letter where it has three digits.
    plain = (
        bare if whole else bare.str.replace(r"[dDqQ]", "E").str.replace(r"^([^eE]*[0-9.])([+-]\d+)$", "${1}E$2")
    )
    values = plain.cast(pl.Int64 if whole else pl.Float64, strict=False)
    wrong = bare.filter(values.is_null() & bare.is_not_null())
    if len(wrong):
        kind = "whole number" if whole else "number"
        raise ValueError(f"column {field.name!r} holds {wrong[0]!r}, expected a {kind} (TFORM {field.code})")
    return _scaled(field, values).alias(field.name)


def _scaled(field: CharacterField, values: pl.Series) -> pl.Series:
    """Apply TSCAL and TZERO."""
    dtype = field.dtype
    if (field.scale, field.zero) == (1, 0):
        return values if values.dtype == pl.Int64 else values.fill_nan(None)
    if dtype == pl.Float64:
        return (values.cast(pl.Float64) * field.scale + field.zero).fill_nan(None)
    numbers = shift(field.name, values.fill_null(0).to_numpy(), int(field.scale), int(field.zero), type(dtype))
    return pl.select(pl.when(values.is_not_null()).then(pl.Series(numbers))).to_series()
