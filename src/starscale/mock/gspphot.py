"""Estimates like those of Gaia's GSP-Phot: true values with correlated errors. All numbers are INVENTED.

The shape of the errors follows Andrae et al. 2023, A&A 674, A27: temperature and extinction trade against each
other, metallicities are too low and too alike, and the quoted intervals are far too narrow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from starscale.mock.fields import Stars
from starscale.vocabulary.arrays import FloatArray

#: A0 / E(B-V).
_A0 = 3.1
#: Quoted half widths relative to the true errors.
_UNDERSTATED = 0.3


def gspphot_columns(stars: Stars, g: FloatArray, extra: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the `*_gspphot` columns for all stars, followed by `extra` rows without a solution.

    Parameters
    ----------
    stars : Stars
        The truth, n stars.
    g : ndarray, shape (n + extra,)
        Apparent G.
    extra : int
        Number of rows at the end that are no stars.
    rng : numpy.random.Generator
        Source of randomness.
    """
    n = len(stars)
    faint = 1 + 0.8 * np.clip((g[:n] - 14.5) / 4, 0, 1.2)
    excess = rng.normal(size=n) * (0.11 * faint + 0.25 * np.minimum(stars.ebv, 1.0))
    azero = np.maximum(0.0, _A0 * stars.ebv + excess)
    # An overestimated extinction is compensated by a higher temperature.
    own = 0.016 * faint
    teff = stars.teff * (1 + 0.10 * (azero - _A0 * stars.ebv) + own * rng.normal(size=n))
    teff += 60 * np.sin(stars.teff / 450.0) - 90 * np.tanh((1.2 + stars.fe_h) * -1.5)
    logg_sigma = 0.12 * faint + 0.12 * (stars.logg < 3.5)
    logg = stars.logg + logg_sigma * rng.normal(size=n) - 0.25 * excess + 0.08 * np.tanh(stars.logg - 3.0)
    poor = np.clip(-stars.fe_h, 0.0, 3.0)
    mh_sigma = 0.20 * faint
    mh = -0.22 + 0.75 * stars.fe_h + 0.10 * poor**1.5 + mh_sigma * rng.normal(size=n) + 0.7 * excess
    absent = rng.random(n) < np.where(stars.teff > 9000, 0.3, 0.10)
    gone = np.concatenate([absent, np.ones(extra, dtype=bool)])

    def with_gaps(values: FloatArray) -> FloatArray:
        return np.where(gone, np.nan, np.concatenate([values, np.zeros(extra)]))

    columns: dict[str, Any] = {"azero_gspphot": with_gaps(azero)}
    for name, value, width in (
        ("teff", teff, 0.022 * stars.teff * faint),
        ("logg", logg, logg_sigma),
        ("mh", mh, mh_sigma),
    ):
        for suffix, sign in (("", 0.0), ("_lower", -1.0), ("_upper", 1.0)):
            quoted = _UNDERSTATED * width * np.exp(rng.normal(0.0, 0.3, n))
            columns[f"{name}_gspphot{suffix}"] = with_gaps(value + sign * quoted)
    library = np.where(stars.teff < 4500, "MARCS", np.where(stars.teff > 9000, "A", "PHOENIX"))
    names = pl.Series(np.concatenate([library, np.full(extra, "")]))
    columns["libname_gspphot"] = names.zip_with(pl.Series(~gone), pl.Series([None], dtype=pl.String))
    return columns
