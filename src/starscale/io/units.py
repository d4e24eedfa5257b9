"""Units of columns: comparison and conversion.

The notations of VOUnit and FITS are accepted, and the spellings of CDS and of archives
(``mas.yr**-1``, ``mas/yr``, ``mas yr-1``, ``log(cm.s**-2)``, ``dex``, ``"``).
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from astropy import units as u

from starscale.vocabulary.errors import InputError, Problem

_SPELLINGS = {
    '"': "arcsec",
    "''": "arcsec",
    "'": "arcmin",
    "degree": "deg",
    "degrees": "deg",
    "angstroms": "Angstrom",
    "magnitude": "mag",
    "years": "yr",
    "year": "yr",
    "days": "d",
    "day": "d",
    "kelvin": "K",
    "none": "",
    "-": "",
    "--": "",
    "unitless": "",
    "dimensionless": "",
}
_FORMATS = ("vounit", "fits", "cds", "generic")


def convert(values: pl.Series, from_unit: str, to_unit: str, where: str) -> pl.Series:
    """Return `values` in another unit.

    Parameters
    ----------
    values : polars.Series
        Numbers; nulls stay null.
    from_unit, to_unit : str
        Where either is empty, or both are the same, `values` are returned unchanged. Dimensionless, ``dex`` and
        the logarithm of any unit are interchangeable: archives give the unit of log g in all three ways.
    where : str
        Name of the column in errors.

    Returns
    -------
    polars.Series
        float32 for a float32 column; float64 for any other column that is converted.

    Raises
    ------
    InputError
        A unit is unknown, or the units are incompatible.
    """
    if not from_unit.strip() or not to_unit.strip() or same_unit(from_unit, to_unit):
        return values
    old, new = _parsed(from_unit), _parsed(to_unit)
    for text, unit in ((from_unit, old), (to_unit, new)):
        if unit is None:
            fix = "Write the unit as VOUnit does (mas.yr**-1, deg, mag), or leave it empty."
            raise InputError(
                Problem(where, f"unit {text!r} is not known", f"a unit that becomes {to_unit!r}", fix)
            )
    if not values.dtype.is_numeric():
        raise InputError(Problem(where, f"holds {values.dtype} values in unit {from_unit!r}", "numbers"))
    floats = values.cast(pl.Float64)
    try:
        # Applied to plain numbers, with NaN in place of nulls.
        turned = np.asarray(old.to(new, floats.fill_null(float("nan")).to_numpy()), dtype=np.float64)
    except (u.UnitConversionError, u.UnitTypeError) as error:
        fix = "Is it the right column? Otherwise correct the unit in the file or in the survey file."
        raise InputError(
            Problem(where, f"is in {from_unit!r}", f"a unit that becomes {to_unit!r}", fix)
        ) from error
    result = pl.select(pl.when(floats.is_not_null()).then(pl.Series(turned))).to_series()
    return result.cast(pl.Float32 if values.dtype == pl.Float32 else pl.Float64).alias(values.name)


def same_unit(a: str, b: str) -> bool:
    """Return whether two unit strings mean the same unit.

    A bare ``dex`` or ``mag`` is the same as ``dex`` or ``mag`` of any quantity, and ``dex`` is the same as
    dimensionless.
    """
    if a.strip() == b.strip():
        return True
    one, two = _parsed(a), _parsed(b)
    if one is None or two is None:
        return False
    if one == two:
        return True
    bare = _function(one), _function(two)
    if "dex" in bare and {"", "dex"} >= set(bare):
        return any(_is_bare(unit) for unit in (one, two))
    return bare[0] == bare[1] != "" and any(_is_bare(unit) for unit in (one, two))


def _function(unit: Any) -> str:
    """Return ``dex``, ``mag`` or ``dB`` for a logarithmic unit, else the unit as text; empty if dimensionless."""
    if isinstance(unit, u.function.FunctionUnitBase):
        return str(unit.function_unit)
    text = str(unit)
    return text if text in ("dex", "mag", "dB") else ("" if unit == u.dimensionless_unscaled else text)


def _is_bare(unit: Any) -> bool:
    return not isinstance(unit, u.function.FunctionUnitBase) or unit.physical_unit == u.dimensionless_unscaled


@lru_cache(maxsize=512)
def _parsed(text: str) -> Any:
    """Return an astropy unit, or None when no notation can parse the text."""
    plain = text.strip()
    plain = _SPELLINGS.get(plain.lower(), plain)
    if not plain:
        return u.dimensionless_unscaled
    if plain.startswith("[") and plain.endswith("]"):
        plain = f"log({plain[1:-1]})"
    for name in ("log10", "log", "dex"):
        if plain.startswith(f"{name}(") and plain.endswith(")"):
            inner = _parsed(plain[len(name) + 1 : -1])
            return None if inner is None else u.dex(inner)
    for notation in _FORMATS:
        try:
            with warnings.catch_warnings():
                # Deprecated spellings are accepted silently.
                warnings.simplefilter("ignore", u.UnitsWarning)
                return u.Unit(plain, format=notation)
        except (ValueError, TypeError):
            continue
    return None


def cds_unit(text: str) -> str:
    """Return a unit as CDS writes it in a ReadMe (``km.s-1``, ``[cm.s-2]``); ``---`` for none."""
    unit = _parsed(text)
    if unit is None:
        return text.strip().replace(" ", ".") or "---"
    return str(unit.to_string("cds")).replace(" ", "") or "---"
