"""Learn the model of true pairs from the catalogues themselves.

Nothing else is needed: among stars with their candidates, true counterparts crowd near zero
displacement and chance neighbours are spread evenly with the known density of the catalogue. The
parameters are those of the largest likelihood of all stars,

    prod_i [ (1 - Q) + Q sum_j p(D_ij) / rho_j ]

(Sutherland & Saunders 1992, MNRAS 259, 413; Pineau et al. 2017, A&A 597, A89), with the share `Q`
of stars that have a counterpart.

A sample is chosen by a hash of the identifiers, so that it does not depend on the order of rows or
on how the work is divided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from starscale.catalogue.crossmatch.candidates import Candidates
from starscale.catalogue.crossmatch.ellipses import PairEllipses
from starscale.catalogue.crossmatch.model import (
    NO_OFFSETS,
    OFFSET_ORDER,
    OFFSET_SHIFT,
    Offsets,
    PairModel,
    magnitude_bin,
)
from starscale.catalogue.healpix import Array, Cells
from starscale.catalogue.positions import Positions

#: Stars that the errors are learnt from at most, and for each cell of the offsets.
SAMPLE, CELL_SAMPLE = 10_000, 400
#: With fewer stars with a candidate the errors are taken as stated.
FEWEST = 100
#: Offsets are drawn to those of the wider cell as if that held so many stars more.
_PULL = 30.0
#: Widest cells of the offsets.
_COARSEST = 2
#: Stars of a bin of magnitude in which the completeness is estimated, and bins at most.
_BIN, _BINS = 400, 10
#: Bits of a key below the number of its cell.
_KEY_SHIFT = np.uint64(48)
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class StarSample:
    """Leading sources inside the coverage of the searched catalogue, with all their candidates.

    Parameters
    ----------
    hashes : ndarray of uint64, (n_stars,)
        Of the identifiers, ascending.
    brightness : ndarray, (n_stars,)
        Magnitudes; NaN where unknown.
    star : ndarray of int, (n_pairs,)
        Which star a pair belongs to.
    pairs : Candidates, n_pairs
    ellipses : PairEllipses, n_pairs
    log_density : ndarray, (n_pairs,)
        Of the searched catalogue at the candidate, per mas^2.
    pixels : ndarray of int, (n_pairs,)
        Finest cell of the standing source: where the offset is looked up.
    east_axis, north_axis : ndarray, (n_pairs, 3)
        Of the moving source, to turn an offset into the plane of the pair.
    """

    hashes: Hashes
    brightness: Array
    star: NDArray[np.intp]
    pairs: Candidates
    ellipses: PairEllipses
    log_density: Array
    pixels: Cells
    east_axis: Array
    north_axis: Array

    def lowest(self, most: int = SAMPLE) -> StarSample:
        """The stars with the lowest hashes."""
        order = np.argsort(self.hashes, kind="stable")[:most]
        number = np.full(len(self.hashes), -1, dtype=np.intp)
        number[order] = np.arange(len(order))
        mine = number[self.star] >= 0
        # Pairs in an order that does not depend on the pieces: sums come out the same to the last bit.
        rows = np.flatnonzero(mine)
        rows = rows[np.lexsort((self.pairs.distance[rows], number[self.star[rows]]))]
        return StarSample(
            self.hashes[order],
            self.brightness[order],
            number[self.star[rows]],
            self.pairs.take(rows),
            self.ellipses.take(rows),
            self.log_density[rows],
            self.pixels[rows],
            self.east_axis[rows],
            self.north_axis[rows],
        )


@dataclass(frozen=True, slots=True)
class OffsetSample:
    """Displacement vectors (mas) of stars with one candidate only, with their cell and hash. Shape (n, ...)."""

    hashes: Hashes
    pixels: NDArray[np.int64]
    vectors: Array

    def lowest(self) -> OffsetSample:
        """Those with the lowest hashes in every cell."""
        chosen = _lowest_in_cells(self.pixels, self.hashes)
        return OffsetSample(self.hashes[chosen], self.pixels[chosen], self.vectors[chosen])


#: What one piece of the sky contributes.
Sample = tuple[StarSample, OffsetSample]


def sample_stars(
    pairs: Candidates,
    leading: NDArray[np.intp],
    log_density: Array,
    moving: Positions,
    standing: Positions,
    pixels: Cells,
    *,
    inside: NDArray[np.bool_],
    hashes: Hashes,
    highest: np.uint64,
    limits: Hashes,
    brightness: Array | None,
    unknown_motion: float,
) -> Sample:
    """Take the samples out of the candidates of a piece of the sky.

    Parameters
    ----------
    pairs : Candidates
    leading : ndarray of int, (n_pairs,)
        Row of the leading source of every pair.
    log_density : ndarray, (n_pairs,)
    moving, standing : Positions
    pixels : ndarray of int, (n_pairs,)
        Finest cell of the standing source of every pair.
    inside : ndarray of bool, (n_leading,)
        Leading sources of this piece that lie inside the coverage.
    hashes, brightness : ndarray, (n_leading,)
    highest : uint64
        Hash above which no star is wanted (:func:`highest_hash`).
    limits : ndarray of uint64, (n_cells,)
        Keys of single stars above which none is wanted in each cell (:func:`highest_keys`).
    unknown_motion : float
        As in :meth:`PairEllipses.of`.
    """
    lowest = np.flatnonzero(inside & (hashes <= highest))
    # Stars with the lowest hashes, in their order.
    chosen = lowest[np.argsort(hashes[lowest], kind="stable")]
    number = np.full(len(inside), -1, dtype=np.intp)
    number[chosen] = np.arange(len(chosen))
    mine = np.flatnonzero(number[leading] >= 0)
    picked = pairs.take(mine)
    axes = moving.axes(picked.moving)
    stars = StarSample(
        hashes[chosen],
        np.full(len(chosen), np.nan) if brightness is None else brightness[chosen],
        number[leading[mine]],
        picked,
        PairEllipses.of(picked, moving, standing, axes, unknown_motion=unknown_motion),
        log_density[mine],
        pixels[mine],
        *axes,
    )
    alone, keys = single_stars(leading, inside, hashes, pixels)
    # The next limit is that of the own cell where the key is not above it.
    at = np.minimum(np.searchsorted(limits, keys), len(limits) - 1)
    wanted = (limits[at] >= keys) & (limits[at] >> _KEY_SHIFT == keys >> _KEY_SHIFT)
    alone = alone[wanted]
    east, north = moving.axes(pairs.moving[alone])
    vectors = pairs.east[alone, None] * east + pairs.north[alone, None] * north
    return stars, OffsetSample(hashes[leading[alone]], pixels[alone] >> OFFSET_SHIFT, vectors)


def single_stars(
    leading: NDArray[np.intp], inside: NDArray[np.bool_], hashes: Hashes, pixels: Cells
) -> tuple[NDArray[np.intp], Hashes]:
    """Pairs of leading sources with one candidate only, and keys that sort them by cell and hash. Shapes (n,).

    Parameters as of :func:`sample_stars`.
    """
    alone = np.flatnonzero(inside[leading] & (np.bincount(leading, minlength=len(inside))[leading] == 1))
    return alone, _keys(pixels[alone] >> OFFSET_SHIFT, hashes[leading[alone]])


def highest_keys(keys: Sequence[Hashes]) -> Hashes:
    """The highest key wanted of every cell, that of star :data:`CELL_SAMPLE` there, sorted. Shape (n_cells,)."""
    together = np.sort(np.concatenate(keys))
    first = np.flatnonzero(np.diff(together >> _KEY_SHIFT, prepend=~np.uint64(0)))
    last = np.append(first[1:], len(together)) - 1
    return np.asarray(together[np.minimum(first + CELL_SAMPLE - 1, last)], dtype=np.uint64)


def highest_hash(hashes: Sequence[Hashes]) -> np.uint64:
    """The hash below which, and at which, lie as many as the sample takes; that of all where they are fewer."""
    together = np.concatenate(hashes)
    if len(together) <= SAMPLE:
        return np.uint64(np.iinfo(np.uint64).max)
    return np.uint64(np.partition(together, SAMPLE - 1)[SAMPLE - 1])


def _lowest_in_cells(pixels: NDArray[np.int64], hashes: Hashes) -> NDArray[np.intp]:
    """Rows with the lowest hashes of every cell, :data:`CELL_SAMPLE` at most, sorted by cell and hash."""
    order = np.argsort(_keys(pixels, hashes))
    first = np.flatnonzero(np.diff(pixels[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return order[rank < CELL_SAMPLE]


def _keys(pixels: NDArray[np.int64], hashes: Hashes) -> Hashes:
    """One key for both: cells of this order need 16 bits, and 48 bits of a hash are as good as 64."""
    return np.asarray((pixels.astype(np.uint64) << _KEY_SHIFT) | (hashes >> np.uint64(16)), dtype=np.uint64)


def gather(samples: Sequence[Sample]) -> Sample:
    """Put the samples of pieces together; the result is that of the undivided sky."""
    stars, offsets = concatenate(samples)
    return stars.lowest(), offsets.lowest()


def concatenate(samples: Sequence[Sample]) -> Sample:
    """Put samples together as they are."""
    shifts = np.cumsum([0, *(len(stars.hashes) for stars, _ in samples[:-1])])
    stars = StarSample(
        **{
            field.name: np.concatenate([getattr(s, field.name) for s, _ in samples])
            for field in fields(StarSample)
            if field.name not in ("star", "pairs", "ellipses")
        },
        star=np.concatenate([s.star + shift for (s, _), shift in zip(samples, shifts, strict=True)]),
        pairs=Candidates.concatenate([s.pairs for s, _ in samples]),
        ellipses=PairEllipses.concatenate([s.ellipses for s, _ in samples]),
    )
    offsets = OffsetSample(
        *(np.concatenate([getattr(o, field.name) for _, o in samples]) for field in fields(OffsetSample))
    )
    return stars, offsets


def fit_offsets(sample: OffsetSample) -> Offsets:
    """Median displacement of every cell, drawn to that of the wider cell around it where stars are few."""
    if len(sample.hashes) < FEWEST:
        return NO_OFFSETS
    axes = ("x", "y", "z")
    table = pl.DataFrame({"pixel": sample.pixels, **dict(zip(axes, sample.vectors.T, strict=True))})
    pixels = np.unique(sample.pixels)
    vectors = np.repeat(np.median(sample.vectors, axis=0)[None], len(pixels), axis=0)
    for order in range(_COARSEST, OFFSET_ORDER + 1):
        shift = 4 ** (OFFSET_ORDER - order)
        cell = pl.col("pixel") // shift
        medians = table.group_by(cell).agg(pl.col(axes).median(), pl.len().alias("n")).sort("pixel")
        mine = np.searchsorted(medians["pixel"].to_numpy(), pixels // shift)
        n = medians["n"].to_numpy()[mine, None]
        weight = n / (n + _PULL)
        vectors = weight * medians.select(axes).to_numpy()[mine] + (1 - weight) * vectors
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
    east, north = stars.pairs.east, stars.pairs.north
    with_candidate = len(np.unique(stars.star))
    if not as_stated and with_candidate >= FEWEST:
        frame = fit_offsets(offsets)
        vector = frame.at(stars.pixels)
        east = east - (vector * stars.east_axis).sum(axis=1)
        north = north - (vector * stars.north_axis).sum(axis=1)
        scale, floor, share, wide = _fit_errors(stars, east, north, radius)
        model = PairModel(
            scale=scale, floor=floor, wide=wide, wide_fraction=share, offsets=frame, stars=with_candidate
        )
    return _with_completeness(model, stars, east, north)


def _fit_errors(stars: StarSample, east: Array, north: Array, radius: float) -> tuple[float, float, float, float]:
    """Scale, floor (mas), wide share and wide error (mas) of the largest likelihood."""
    n = len(stars.hashes)
    # Typical displacement of the nearest candidates: where the search starts.
    nearest = np.full(n, np.inf)
    np.minimum.at(nearest, stars.star, np.hypot(east, north))
    typical = float(np.median(nearest[np.isfinite(nearest)]))

    def unpack(x: Array) -> tuple[float, float, float, float, float]:
        return float(np.exp(x[0])), float(np.exp(x[1])), _expit(x[2]), float(np.exp(x[3])), _expit(x[4])

    def loss(x: Array, first: int) -> float:
        """Of the first stars of the sample."""
        scale, floor, share, wide, complete = unpack(x)
        trial = PairModel(scale=scale, floor=floor, wide=wide, wide_fraction=share)
        mine = slice(0, int(np.searchsorted(stars.star, first)))
        log_p, _ = trial.log_likelihood(stars.ellipses.take(mine), east[mine], north[mine])
        evidence = np.bincount(stars.star[mine], np.exp(log_p - stars.log_density[mine]), minlength=first)
        return float(-np.mean(np.log1p(-complete + complete * evidence)))

    widest = np.log(radius * 1000 / 2)
    start = np.array([0.0, np.log(max(typical / 2, 0.1)), -4.0, min(np.log(10 * typical + 100), widest), 3.0])
    bounds = [
        (np.log(0.1), np.log(10.0)),
        (np.log(0.01), widest),
        (-12.0, 0.0),
        (np.log(20.0), widest),
        (-6.0, 9.0),
    ]
    # Most of the way on a few stars, where a step costs little.
    for first in (max(n // 5, min(n, 1000)), n):
        # Five numbers: threads would take longer to meet than to work.
        with threadpool_limits(1, "blas"):
            found = minimize(
                loss, start, (first,), "L-BFGS-B", bounds=bounds, options={"maxiter": 200, "ftol": 1e-9}
            )
        start = found.x
    scale, floor, share, wide, _ = unpack(start)
    return scale, floor, share, wide


def _expit(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def _with_completeness(model: PairModel, stars: StarSample, east: Array, north: Array) -> PairModel:
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
        # A bin with few stars is drawn to the whole sample; no share is ever exactly 0 or 1.
        complete = (np.bincount(member, has, minlength=bins + 1) + 10 * whole) / (count + 10)
        complete = np.clip(complete, 1e-4, 1 - 1e-4)
    return replace(model, edges=edges, completeness=complete)
