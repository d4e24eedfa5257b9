"""Positions as texts of three numbers (12:30:45.5, -05 10 10, 12h30m45s) become degrees."""

from __future__ import annotations

from typing import Final

import polars as pl

from starscale.vocabulary.errors import InputError, Problem

_ANGLE: Final = (
    r"^(?<sign>[+-]?)(?<whole>\d{1,3})\s*(?<mark>[hd°:\s])\s*(?<minutes>\d{1,2})\s*[m'′:\s]\s*"
    r"(?<seconds>\d{1,2}(?:\.\d*)?)\s*[s\"″]?$"
)
#: Degrees in an hour of right ascension.
_HOUR: Final = 15.0


def in_degrees(values: pl.Series, unit: str, where: str, *, right_ascension: bool) -> pl.Series | None:
    """Return sexagesimal positions in degrees; None if `values` are no such texts.

    Right ascension is in hours, unless its unit, or the letter ``d``, says degrees. The value is
    ``sign * (whole + minutes / 60 + seconds / 3600)``, for hours times 15.

    Parameters
    ----------
    values : polars.Series
    unit : str
        Of the column, as the table states it (``h:m:s``, ``d:m:s``, ``deg``); empty: not stated.
    where : str
        Name of the column in errors.
    right_ascension : bool
        Whether it is the right ascension, not the declination.

    Raises
    ------
    InputError
        A value is no angle of this kind, or is beyond its limits.
    """
    if values.dtype != pl.String:
        return None
    bare = values.str.strip_chars().str.replace("−", "-", literal=True).replace("", None)
    parts = bare.str.extract_groups(_ANGLE).struct.unnest()
    found = parts["whole"].is_not_null()
    if not found.any():
        return None
    whole, minutes, seconds = (parts[name].cast(pl.Float64) for name in ("whole", "minutes", "seconds"))
    size = whole + minutes / 60 + seconds / 3600
    hours = (parts["mark"] == "h") | (right_ascension and _says_hours(unit) and ~parts["mark"].is_in(["d", "°"]))
    size = size.zip_with(~hours.fill_null(False), size * _HOUR)
    wrong = (minutes >= 60) | (seconds > 60) | (size > (360 if right_ascension else 90))
    bad = bare.filter((bare.is_not_null() & ~found) | wrong.fill_null(False))
    if len(bad):
        what = "hh:mm:ss" if right_ascension else "dd:mm:ss"
        raise InputError(
            Problem(
                where,
                f"{len(bad)} of {len(values)} values are no angle (first: {bad[0]!r}), where others are such as "
                f"{bare.filter(found)[0]!r}",
                f"{what} everywhere, or degrees everywhere",
            )
        )
    negative = parts["sign"] == "-"
    return pl.select(pl.when(negative).then(-size).otherwise(size).alias(values.name)).to_series()


def _says_hours(unit: str) -> bool:
    """Whether right ascension in this unit is in hours, as it is where nothing is stated."""
    return not unit.strip().lower().startswith("d")
