"""Which columns of a table hold the positions of its rows, from their UCDs and names."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from starscale.vocabulary.columns import DEC, RA, Column

#: UCD1+ word of each coordinate; the main position carries ``meta.main`` beside it.
_WORDS = ("pos.eq.ra", "pos.eq.dec")
_MAIN = "meta.main"
_DEGREES = ("", "deg")


def position_columns(schema: pl.Schema, columns: Mapping[str, Column]) -> tuple[str, str] | None:
    """Return the columns of right ascension and declination (deg), or None where no pair is to be found.

    The main position by UCD comes first, then the columns that are called ``ra`` and ``dec``, then any
    position by UCD. A column whose unit is something else than degrees, or that holds no floats, is none.
    """
    ucds = _ucds_of_degrees(schema, columns)

    def find(word: str, *others: str) -> str | None:
        """Return the first column whose UCD begins with a word and has the others."""
        return next((name for name, ucd in ucds.items() if ucd[0] == word and {*others} <= {*ucd}), None)

    main = [find(word, _MAIN) for word in _WORDS]
    named = [name if name in ucds else None for name in (RA.name, DEC.name)]
    first = [find(word) for word in _WORDS]
    for ra, dec in (main, named, first):
        if ra is not None and dec is not None:
            return ra, dec
    return None


def _ucds_of_degrees(schema: pl.Schema, columns: Mapping[str, Column]) -> dict[str, list[str]]:
    """Words of the UCDs of all columns of floats in degrees."""
    floats = [name for name, dtype in schema.items() if dtype in (pl.Float32, pl.Float64)]
    about = {name: columns.get(name, Column(name)) for name in floats}
    return {name: column.ucd.split(";") for name, column in about.items() if column.unit in _DEGREES}
