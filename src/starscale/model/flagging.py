"""The flags of predicted stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.surveys.schema import Cut
from starscale.tables.arrays import as_floats
from starscale.tables.cuts import apply_cuts, cut_columns
from starscale.vocabulary.flags import QUALITIES, SEVERITY, CatalogueFlag

if TYPE_CHECKING:
    from starscale.learn.prediction import Prediction

#: A solution, dwarf or giant, is possible above this probability.
_POSSIBLE = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a star is compared with, in the table of standardised inputs.

    Attributes
    ----------
    label_ranges : sequence of (float, float)
        Smallest and largest training value of every label.
    cuts : sequence of Cut
    magnitude : str or None
        Column of the magnitude, whose range is that of the training stars.
    magnitude_range : (float, float)
    position : tuple of str
        Columns of right ascension and declination; empty if the model knows none.
    """

    label_ranges: Sequence[tuple[float, float]]
    cuts: Sequence[Cut]
    magnitude: str | None
    magnitude_range: tuple[float, float]
    position: tuple[str, ...]


def catalogue_flags(
    prediction: Prediction, clean: pl.DataFrame, implausible: pl.Series | None, limits: Limits, where: str
) -> NDArray[np.int32]:
    """Return the bit mask of every star.

    Parameters
    ----------
    prediction : Prediction
    clean : polars.DataFrame, (n_stars, any)
        The standardised inputs.
    implausible : polars.Series of bool or None
        Where a value of the table was outside the plausible range of its column; None: nowhere.
    limits : Limits
    where : str
        Name of the table in error messages.

    Returns
    -------
    ndarray, (n_stars,)
    """
    with np.errstate(invalid="ignore"):
        conditions = {
            CatalogueFlag.INPUT_MISSING: prediction.n_missing > 0,
            CatalogueFlag.NOT_PREDICTED: ~prediction.predicted,
            CatalogueFlag.OUT_OF_DOMAIN: prediction.domain_score > 1,
            CatalogueFlag.LABEL_OUT_OF_RANGE: (prediction.label_score > 1)
            | _outside_labels(prediction, limits.label_ranges),
            CatalogueFlag.DWARF_OR_GIANT: ambiguous(prediction),
            CatalogueFlag.CUT_FAILED: ~_passes_cuts(clean, limits.cuts, where),
            CatalogueFlag.BAD_POSITION: _bad_position(clean, limits.position),
            CatalogueFlag.OUTSIDE_MAGNITUDES: _outside_magnitudes(clean, limits),
            CatalogueFlag.INPUT_IMPUTED: prediction.imputed,
            CatalogueFlag.UNCERTAIN: prediction.uncertain,
            CatalogueFlag.INCONSISTENT: prediction.consistency_score > 1,
            CatalogueFlag.INPUT_IMPLAUSIBLE: _rows(implausible, clean.height),
            CatalogueFlag.LABEL_IMPOSSIBLE: prediction.impossible,
        }
    bits = np.zeros(clean.height, dtype=np.int32)
    for bit, mask in conditions.items():
        bits[mask] |= int(bit)
    return bits


def quality(flags: NDArray[np.int32]) -> pl.Series:
    """Return the level of every star: the worst of its flags (:data:`SEVERITY`)."""
    level = np.zeros(len(flags), dtype=np.intp)
    for number, name in enumerate(QUALITIES):
        mask = sum(int(bit) for bit, severity in SEVERITY.items() if severity == name)
        level[flags & mask > 0] = number
    return pl.Series("quality", QUALITIES, dtype=pl.String)[level]


def ambiguous(prediction: Prediction) -> NDArray[np.bool_]:
    """Where the dwarf and the giant solution are both possible. Shape (n_stars,)."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.minimum(prediction.p_giant, 1 - prediction.p_giant) > _POSSIBLE)


def odd_measurement(prediction: Prediction, names: Sequence[str]) -> pl.Series:
    """Return the name of the measurement that disagrees with the others; null where all agree."""
    with np.errstate(invalid="ignore"):
        odd = np.where(prediction.consistency_score > 1, prediction.oddest, -1)
    return pl.Series("odd_measurement", [*names, None], dtype=pl.String)[np.where(odd < 0, len(names), odd)]


def _rows(where: pl.Series | None, n: int) -> NDArray[np.bool_]:
    """Return a mask of n rows; None: none of them."""
    return np.zeros(n, dtype=bool) if where is None else where.to_numpy()


def _outside_labels(prediction: Prediction, ranges: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """Where a predicted label is outside the range of the training labels. Shape (n_stars,)."""
    low, high = np.array(ranges).T
    return np.asarray(((prediction.value < low) | (prediction.value > high)).any(axis=1))


def _bad_position(clean: pl.DataFrame, position: Sequence[str]) -> NDArray[np.bool_]:
    """Where the position is missing or invalid. Shape (n_stars,)."""
    if not position or not set(position) <= set(clean.columns):
        return np.ones(clean.height, dtype=bool)
    ra, dec = (as_floats(clean[name]) for name in position)
    return np.asarray(~((np.abs(ra - 180) <= 540) & (np.abs(dec) <= 90)))


def _outside_magnitudes(clean: pl.DataFrame, limits: Limits) -> NDArray[np.bool_]:
    """Where the magnitude is known and outside the range of the training stars. Shape (n_stars,)."""
    if limits.magnitude is None or limits.magnitude not in clean.columns:
        return np.zeros(clean.height, dtype=bool)
    low, high = limits.magnitude_range
    return (~clean[limits.magnitude].is_between(low, high)).fill_null(False).to_numpy()


def _passes_cuts(clean: pl.DataFrame, cuts: Sequence[Cut], where: str) -> NDArray[np.bool_]:
    """Whether rows pass the cuts whose columns are in the table. Shape (n_stars,)."""
    possible = [cut for cut in cuts if set(cut_columns(cut, where)) <= set(clean.columns)]
    return apply_cuts(clean, possible, where=where)[0].to_numpy()
