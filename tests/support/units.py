"""Units of every kind, for tests with random tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from hypothesis import strategies as st

NAMES = (
    *("deg", "rad", "arcmin", "arcsec", "mas", "uas", "hourangle", "h", "min", "s", "d", "yr", "a", "Myr", "Gyr"),
    *("mag", "mmag", "dex", "dB", "adu", "DN", "electron", "ct", "ph", "pix", "pc", "kpc", "Mpc", "AU", "lyr"),
    *("m", "cm", "km", "um", "nm", "Angstrom", "solMass", "solRad", "solLum", "earthMass", "jupiterMass", "K"),
    *("deg_C", "eV", "keV", "erg", "J", "W", "Hz", "GHz", "Jy", "mJy", "uJy", "nJy", "nmgy", "mgy", "sr", "beam"),
    *("percent", "g", "kg", "Pa", "hPa", "T", "G", "bit", "byte", "barn", "V", "A", "mol", "cd"),
)
SIMPLE = [*map(u.Unit, NAMES), u.ABmag, u.STmag]
#: Not the ampere: with photons and ergs, A is read as the angstrom.
LINEAR = [unit for unit in map(u.Unit, NAMES) if unit not in (u.dex, u.mag, u.mmag, u.dB, u.deg_C, u.A)]


def _composite(parts: list[tuple[Any, int]], scale: int) -> Any:
    product = u.Unit(10.0**scale)
    for unit, power in parts:
        product = product * unit**power
    return product


COMPOSITE = st.builds(
    _composite,
    st.lists(
        st.tuples(st.sampled_from(LINEAR), st.sampled_from([-3, -2, -1, 1, 2])),
        min_size=1,
        max_size=3,
        unique_by=lambda part: part[0],
    ),
    st.sampled_from([0, 0, 0, -17, 3]),
)
#: Units of astropy: simple, products with powers and a scale, and logarithms of them.
UNITS = st.one_of(
    st.sampled_from(SIMPLE),
    COMPOSITE,
    COMPOSITE.filter(lambda unit: unit.physical_type != "dimensionless").map(u.dex),
    st.just(u.mag(u.ct / u.s)),
)


def same(a: Any, b: Any) -> bool:
    """Whether two units have the same physical meaning, up to rounding; None is no unit."""
    if a is None or b is None or a == b:
        return bool(a == b)
    try:
        return bool(np.isclose(float(a.to(b)), 1.0, rtol=1e-9))
    except (u.UnitsError, TypeError):
        return False
