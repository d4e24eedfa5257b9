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
    usable = {
        name: columns.get(name, Column(name))
        for name, dtype in schema.items()
        if dtype in (pl.Float32, pl.Float64) and columns.get(name, Column(name)).unit in _DEGREES
    }
    by_word = [[name for name, about in usable.items() if about.ucd.split(";")[0] == word] for word in _WORDS]
    main = [next((n for n in names if _MAIN in usable[n].ucd.split(";")), None) for names in by_word]
    named = [name if name in usable else None for name in (RA.name, DEC.name)]
    first = [names[0] if names else None for names in by_word]
    for ra, dec in (main, named, first):
        if ra is not None and dec is not None:
            return ra, dec
    return None
