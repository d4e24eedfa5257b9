"""Tables with exactly the columns and types of a survey file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from starscale.mock.galaxy import unit_vectors
from starscale.mock.spectrum import BANDS
from starscale.surveys import load_survey
from starscale.surveys.schema import TRUE_OVER_SFD
from starscale.tables.columns.typed import POLARS_TYPE
from starscale.vocabulary.arrays import FloatArray

ARCSEC = np.radians(1.0 / 3600.0)


def archive_table(survey: str, columns: Mapping[str, Any], *, keep_nan: bool = False) -> pl.DataFrame:
    """Return arrays as the table of a packaged survey, with its column order and types.

    Parameters
    ----------
    survey : str
        Name of a packaged survey file.
    columns : mapping
        Arrays by column name. A missing or unknown column is a defect of the mock and raises KeyError.
    keep_nan : bool
        Whether the archive writes NaN for missing values; otherwise NaN becomes null.

    Returns
    -------
    DataFrame
    """
    described = load_survey(survey).columns
    unknown = sorted(set(columns) - set(described))
    if unknown:
        raise KeyError(f"{survey} has no columns {', '.join(unknown)}")
    stored = {name: spec for name, spec in described.items() if spec.expression is None or name in columns}
    table = pl.DataFrame({name: columns[name] for name in stored})
    return table.select(_typed(table[name], POLARS_TYPE[spec.dtype], keep_nan) for name, spec in stored.items())


def _typed(column: pl.Series, dtype: Any, keep_nan: bool) -> pl.Series:
    if column.dtype.is_float() and not keep_nan:
        column = column.fill_nan(None)
    return column.cast(dtype)


def extinctions(ebv: FloatArray, teff: FloatArray) -> FloatArray:
    """Return the extinction in every band, mag, shape (n, 9), from true E(B-V) and the survey files' coefficients.

    In the wide Gaia bands it is smaller for cool stars; the size of this effect is INVENTED.
    """
    gaia, skymapper = load_survey("gaia_dr3"), load_survey("skymapper_dr2")
    colour = np.clip(teff / 5772.0 - 1.0, -0.4, 0.6)
    columns = []
    for band in BANDS:
        survey = gaia if band in gaia.bands else skymapper
        coefficient = survey.bands[band].extinction or 0.0
        scale = 1.0 if survey.extinction_scale == "true" else 1.0 / TRUE_OVER_SFD
        slope = {"G": 0.10, "BP": 0.06, "RP": 0.02}.get(band, 0.0)
        columns.append(coefficient * scale * ebv * (1 + slope * colour))
    return np.stack(columns, axis=1)


def close_pairs(ra: FloatArray, dec: FloatArray, radius: float) -> tuple[NDArray[np.int64], FloatArray]:
    """Return pairs of positions (deg) closer than `radius` (arcsec): indices (n, 2), separations (arcsec)."""
    vectors = unit_vectors(ra, dec)
    pairs = cKDTree(vectors).query_pairs(radius * ARCSEC, output_type="ndarray").astype(np.int64)
    apart = np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1) / ARCSEC
    return pairs, apart
