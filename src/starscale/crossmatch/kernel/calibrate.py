"""Fit the model of true pairs to the catalogues themselves.

Nothing else is needed: among stars with their candidates, true counterparts crowd near zero
displacement and chance neighbours are spread evenly with the known density of the catalogue. The
parameters are those of the largest likelihood of all stars,

    prod_i [ (1 - Q) + Q sum_j p(D_ij) / rho_j ]

(Sutherland & Saunders 1992, MNRAS 259, 413; Pineau et al. 2017, A&A 597, A89), with the share `Q`
of stars that have a counterpart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.fit_errors import fit_errors
from starscale.crossmatch.kernel.model import NO_OFFSETS, OFFSET_ORDER, Offsets, PairModel, magnitude_bin
from starscale.crossmatch.kernel.sample import OffsetSample, StarSample
from starscale.io.threads import in_threads
from starscale.vocabulary.arrays import FloatArray

#: Smallest number of stars with a candidate for which errors are fitted; otherwise they are used as stated.
FEWEST = 100
#: Weight of the offset of the wider cell, in stars.
_PULL = 30.0
#: Orders of the cells of the offsets, the widest first.
_ORDERS = range(2, OFFSET_ORDER + 1)
#: Stars in a magnitude bin of the completeness, and largest number of bins.
_BIN, _BINS = 400, 10


def fit_offsets(sample: OffsetSample) -> Offsets:
    """Median displacement of each cell, drawn to that of the wider cell around it if there are few stars."""
    if len(sample.hashes) < FEWEST:
        return NO_OFFSETS
    axes = ("x", "y", "z")
    # Sorted groups need no table of hashes, and short numbers are sorted by their digits.
    by_cell = np.argsort(sample.pixels.astype(np.uint16), kind="stable")
    columns = {axis: values[by_cell] for axis, values in zip(axes, sample.vectors.T, strict=True)}
    table = pl.DataFrame({"pixel": sample.pixels[by_cell], **columns})
    pixels = table["pixel"].set_sorted().unique(maintain_order=True).to_numpy()

    def medians(order: int | None) -> pl.DataFrame:
        """Return the medians of the cells of an order, or of all stars."""
        if order is None:
            return table.select(pl.col(axes).median())
        cell = (pl.col("pixel") // 4 ** (OFFSET_ORDER - order)).set_sorted()
        return table.group_by(cell).agg(pl.col(axes).median(), pl.len().alias("n")).sort("pixel")

    whole, *by_order = in_threads(medians, [None, *_ORDERS])
    vectors = np.repeat(whole.to_numpy(), len(pixels), axis=0)
    for order, cells in zip(_ORDERS, by_order, strict=True):
        mine = np.searchsorted(cells["pixel"].to_numpy(), pixels // 4 ** (OFFSET_ORDER - order))
        n = cells["n"].to_numpy()[mine, None]
        weight = n / (n + _PULL)
        vectors = weight * cells.select(axes).to_numpy()[mine] + (1 - weight) * vectors
    return Offsets(pixels, vectors)


def fit_model(stars: StarSample, offsets: OffsetSample, *, radius: float, as_stated: bool = False) -> PairModel:
    """Learn the model.

    Parameters
    ----------
    stars : StarSample
    offsets : OffsetSample
    radius : float
        That of the candidates, arcsec.
    as_stated : bool
        Take errors as they are stated and learn the completeness alone.

    Returns
    -------
    PairModel
        With the stated errors where there are too few stars to say more (`stars` is 0 then).
    """
    model = PairModel()
    east, north = model.residuals(stars.pairs, stars.pixels)
    with_candidate = int(np.count_nonzero(np.bincount(stars.star)))
    if not as_stated and with_candidate >= FEWEST:
        frame = fit_offsets(offsets)
        east, north = PairModel(offsets=frame).residuals(stars.pairs, stars.pixels)
        scale, floor, share, wide = fit_errors(stars, east, north, radius)
        model = PairModel(
            scale=scale, floor=floor, wide=wide, wide_fraction=share, offsets=frame, stars=with_candidate
        )
    return _with_completeness(model, stars, east, north)


def _with_completeness(model: PairModel, stars: StarSample, east: FloatArray, north: FloatArray) -> PairModel:
    """Estimate the share of stars with a counterpart in bins of magnitude, by expectation maximisation."""
    n = len(stars.hashes)
    log_p, _ = model.log_likelihood(stars.ellipses, east, north)
    evidence = np.bincount(stars.star, np.exp(log_p - stars.log_density), minlength=n)
    known = stars.brightness[np.isfinite(stars.brightness)]
    bins = int(np.clip(len(known) // _BIN, 1, _BINS))
    edges = np.quantile(known, np.arange(1, bins) / bins) if bins > 1 else np.empty(0)
    member = magnitude_bin(stars.brightness, edges)
    count = np.bincount(member, minlength=bins + 1)
    whole = 0.9
    complete = np.full(bins + 1, whole)
    for _ in range(100):
        prior = complete[member]
        has = prior * evidence / (1 - prior + prior * evidence)
        whole = (has.sum() + 0.9) / (n + 1)
        # A bin with few stars is drawn to the mean of all; no fraction is exactly 0 or 1.
        complete = (np.bincount(member, has, minlength=bins + 1) + 10 * whole) / (count + 10)
        complete = np.clip(complete, 1e-4, 1 - 1e-4)
    return replace(model, edges=edges, completeness=complete)
