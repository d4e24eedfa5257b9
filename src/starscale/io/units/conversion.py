"""Comparison and conversion of units."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from starscale.io.units.parsing import parse_unit
from starscale.io.units.spellings import NOT_STATED
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.later import Later

u = Later("astropy.units")


def convert(values: pl.Series, from_unit: str, to_unit: str, where: str, *, difference: bool = False) -> pl.Series:
    """Return `values` in another unit.

    Parameters
    ----------
    values : polars.Series
        Numbers; nulls stay null.
    from_unit, to_unit : str
        Where either is not stated, or both are the same, `values` are returned unchanged. Dimensionless, ``dex``
        and the logarithm of any unit are interchangeable: archives give the unit of log g in all three ways.
    where : str
        Name of the column in errors.
    difference : bool
        The values are errors or differences: of a logarithm or magnitude they do not depend on the unit inside.

    Returns
    -------
    polars.Series
        float32 for a float32 column; float64 for any other column that is converted. A value without an image
        (the magnitude of a flux that is not positive) is null.

    Raises
    ------
    InputError
        A unit is unknown, or the units are incompatible.
    """
    if not is_stated(from_unit) or not is_stated(to_unit) or same_unit(from_unit, to_unit):
        return values
    old, new = parse_unit(from_unit), parse_unit(to_unit)
    wrong = Problem(
        where,
        f"is in {from_unit!r}",
        f"a unit that becomes {to_unit!r}",
        "Is it the right column? Otherwise correct the unit in the file or in the survey file.",
    )
    for text, unit in ((from_unit, old), (to_unit, new)):
        if unit is None:
            fix = "Write the unit as VOUnit does (mas.yr**-1, deg, mag), or leave it empty."
            raise InputError(
                Problem(where, f"unit {text!r} is not known", f"a unit that becomes {to_unit!r}", fix)
            )
    if not values.dtype.is_numeric():
        raise InputError(Problem(where, f"holds {values.dtype} values in unit {from_unit!r}", "numbers"))
    if _other_logarithm(old, new, difference):
        raise InputError(wrong)
    floats = values.cast(pl.Float64)
    try:
        # Applied to plain numbers, with NaN in place of nulls.
        turned = _turned(floats.fill_null(float("nan")).to_numpy(), old, new, difference)
    except (u.UnitConversionError, u.UnitTypeError) as error:
        raise InputError(wrong) from error
    result = pl.Series(values.name, turned).cast(pl.Float32 if values.dtype == pl.Float32 else pl.Float64)
    # Also a number that is too large for float32.
    return result.set(~result.is_finite(), None)


def _other_logarithm(old: Any, new: Any, difference: bool) -> bool:
    """Whether units are logarithms of another kind, dex and mag, without the quantity that would relate them.

    astropy makes -37.5 mag of 15 dex, a ratio of fluxes; but a column of such a unit is no magnitude.
    """
    one, two = (unit.function_unit if _is_function(unit) else unit for unit in (old, new))
    related = _is_function(old) and _is_function(new) and not difference
    return not related and all(unit.is_equivalent(u.dex) for unit in (one, two)) and one.to(two) < 0


def _turned(numbers: np.ndarray[Any, Any], old: Any, new: Any, difference: bool) -> np.ndarray[Any, Any]:
    """Convert numbers; those without an image become NaN or infinity."""
    if old == u.h and new.physical_type == "angle":
        # Right ascensions in hours.
        old = u.hourangle
    if difference and (_is_function(old) or _is_function(new)):
        old, new = (unit.function_unit if _is_function(unit) else unit for unit in (old, new))
    with np.errstate(all="ignore"):
        return np.asarray(old.to(new, numbers, equivalencies=_equivalent()), dtype=np.float64)


@lru_cache
def _equivalent() -> list[Any]:
    """Conversions that are meant wherever they are possible: kelvins and degrees Celsius, maggies and fluxes."""
    # Inverse variances of fluxes.
    of_maggies, of_janskys = u.mgy**-2, u.Jy**-2
    scale = (1 * u.mgy).to_value(u.Jy, u.zero_point_flux(u.AB)) ** -2
    return [
        *u.temperature(),
        *u.zero_point_flux(u.AB),
        (of_maggies, of_janskys, lambda value: value * scale, lambda value: value / scale),
    ]


def is_stated(text: str) -> bool:
    """Return whether a text states a unit, unlike ``---`` or ``none``."""
    return text.strip().lower() not in NOT_STATED


def is_logarithm_of(to_unit: str, from_unit: str) -> bool:
    """Return whether values become decimal logarithms when they are converted from one unit to the other."""
    old, new = parse_unit(from_unit), parse_unit(to_unit)
    return (
        isinstance(new, u.DexUnit)
        and old is not None
        and not _is_function(old)
        and old.is_equivalent(new.physical_unit)
    )


def same_unit(a: str, b: str) -> bool:
    """Return whether two unit strings mean the same unit.

    A bare ``dex`` or ``mag`` is the same as ``dex`` or ``mag`` of any quantity, and ``dex`` is the same as
    dimensionless.
    """
    if a.strip() == b.strip():
        return True
    one, two = parse_unit(a), parse_unit(b)
    if one is None or two is None:
        return False
    if one == two:
        return True
    bare = _function(one), _function(two)
    if "dex" in bare and {"", "dex"} >= set(bare):
        return any(_is_bare(unit) for unit in (one, two))
    return bare[0] == bare[1] != "" and any(_is_bare(unit) for unit in (one, two))


def _is_function(unit: Any) -> bool:
    return isinstance(unit, u.function.FunctionUnitBase)


def _function(unit: Any) -> str:
    """Return ``dex``, ``mag`` or ``dB`` for a logarithmic unit, else the unit as text; empty if dimensionless."""
    if _is_function(unit):
        return str(unit.function_unit)
    text = str(unit)
    return text if text in ("dex", "mag", "dB") else ("" if unit == u.dimensionless_unscaled else text)


def _is_bare(unit: Any) -> bool:
    return not _is_function(unit) or unit.physical_unit == u.dimensionless_unscaled
