"""Find the columns of the sky position, from their UCDs and names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from starscale.io.units import same_unit
from starscale.vocabulary.columns import DEC, RA, Column

#: UCD1+ word of each coordinate; the main position has ``meta.main`` as well.
_WORDS = ("pos.eq.ra", "pos.eq.dec")
_MAIN = "meta.main"


def position_columns(schema: pl.Schema, columns: Mapping[str, Column]) -> tuple[str, str] | None:
    """Return the columns of right ascension and declination (deg), or None where there are none.

    In this order: the main position by UCD, columns called ``ra`` and ``dec`` in any case of letters (exact names
    first), any position by UCD. Columns in
    units other than degrees, and columns that are not floating point, are ignored.
    """
    ucds = _ucds_of_degrees(schema, columns)

    def find(word: str, *others: str) -> str | None:
        """Return the first column whose UCD begins with a word and has the others."""
        return next((name for name, ucd in ucds.items() if ucd[0] == word and {*others} <= {*ucd}), None)

    main = [find(word, _MAIN) for word in _WORDS]
    named = [_spelled(name, ucds) for name in (RA.name, DEC.name)]
    first = [find(word) for word in _WORDS]
    for ra, dec in (main, named, first):
        if ra is not None and dec is not None:
            return ra, dec
    return None


def _spelled(name: str, names: Iterable[str]) -> str | None:
    """Return a name as it is spelled among others, in the same case of letters or in another."""
    same = [other for other in names if other.lower() == name]
    return next((other for other in same if other == name), same[0] if same else None)


def _ucds_of_degrees(schema: pl.Schema, columns: Mapping[str, Column]) -> dict[str, list[str]]:
    """Words of the UCDs of all columns of floats in degrees that could be a coordinate."""
    floats = [name for name, dtype in schema.items() if dtype in (pl.Float32, pl.Float64)]
    about = {name: columns.get(name, Column(name)) for name in floats}
    words = {name: column.ucd.split(";") for name, column in about.items()}
    # Units last: to understand those of other columns takes a library that need not be loaded for them.
    return {
        name: ucd
        for name, ucd in words.items()
        if (ucd[0] in _WORDS or name.lower() in (RA.name, DEC.name))
        and same_unit(about[name].unit or "deg", "deg")
    }
