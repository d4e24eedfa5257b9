"""Measurements as arrays: one row for each star, one column for each survey."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import AXES
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray


@dataclass(frozen=True)
class Measured:
    """Labels of stars that several surveys measured.

    Parameters
    ----------
    surveys : tuple of str
        In the order of the columns; S of them.
    value, error : ndarray, (3, n, S)
        Axis 0: teff, logg, fe_h. Repeats are merged; NaN where there is no measurement.
    snr : ndarray, (n, S), optional
        Signal-to-noise ratios; NaN where unknown.
    """

    surveys: tuple[str, ...]
    value: FloatArray
    error: FloatArray
    snr: FloatArray | None = None

    def __len__(self) -> int:
        return int(self.value.shape[1])

    @property
    def there(self) -> NDArray[np.bool_]:
        """Where there is a measurement, shape (3, n, S)."""
        return np.isfinite(self.value)

    @property
    def by_any(self) -> NDArray[np.bool_]:
        """Which survey measured which star, in any label, shape (n, S)."""
        return np.asarray(self.there.any(axis=0))

    def take(self, stars: NDArray[np.intp] | NDArray[np.bool_]) -> Measured:
        """Select stars."""
        snr = None if self.snr is None else self.snr[stars]
        return replace(self, value=self.value[:, stars], error=self.error[:, stars], snr=snr)

    def without(self, survey: int) -> Measured:
        """Set the measurements of one survey to NaN."""
        hide = np.arange(len(self.surveys)) == survey
        return replace(self, value=np.where(hide, np.nan, self.value), error=np.where(hide, np.nan, self.error))


def measured(per_survey: pl.DataFrame, surveys: tuple[str, ...], max_stars: int, seed: int) -> Measured:
    """Select the stars of two or more surveys, as arrays.

    Parameters
    ----------
    per_survey : polars.DataFrame
        One row for each star and survey (:func:`starscale.homogenization.kernel.rows.merge_repeats`).
    surveys : sequence of str
        Their names, by number.
    max_stars : int
        More stars than this are thinned at random; those that tie the rarest pairs of surveys stay.
    seed : int
        Of the thinning.
    """
    several = per_survey.filter(pl.len().over("source_id") > 1)
    stars, place = np.unique(several["star"].to_numpy(), return_inverse=True)
    column = several["survey"].to_numpy().astype(np.intp)
    shape = (len(AXES), len(stars), len(surveys))
    value, error = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, name in enumerate(AXES):
        value[i, place, column] = several[name].to_numpy()
        error[i, place, column] = several[f"{name}_error"].to_numpy()
    value = np.where(np.isfinite(value) & (error > 0), value, np.nan)
    snr = np.full(shape[1:], np.nan)
    snr[place, column] = as_floats(several["snr"])
    found = Measured(surveys, value, np.where(np.isfinite(value), error, np.nan), snr)
    return found.take(_thinned(found, max_stars, seed))


def _thinned(found: Measured, max_stars: int, seed: int) -> NDArray[np.intp]:
    """Stars to keep: all, or a random sample in which rare pairs of surveys are preferred."""
    if len(found) <= max_stars:
        return np.arange(len(found))
    there = found.by_any
    common = pair_counts(there)
    pairs = there[:, :, None] & there[:, None, :] & ~np.eye(there.shape[1], dtype=bool)
    rarest = np.where(pairs, common, len(found)).min(axis=(1, 2))
    lot = np.random.default_rng(seed).random(len(found)) * rarest
    return np.sort(np.argpartition(lot, max_stars)[:max_stars])


def pair_counts(there: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Count the stars that every two surveys have in common, shape (n, S) -> (S, S)."""
    x = there.astype(np.float64)
    return np.rint(x.T @ x).astype(np.intp)
