"""The stars of a piece of the sky to which the model of true pairs is fitted.

They are chosen by a hash of the identifiers, so that they do not depend on the order of rows or on how
the work is divided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from starscale.crossmatch.kernel.candidates import Candidates
from starscale.crossmatch.kernel.ellipses import PairEllipses
from starscale.crossmatch.kernel.model import OFFSET_ORDER, OFFSET_SHIFT
from starscale.tables.arrays import in_order
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray

#: Largest numbers of stars in the fit of the errors, and in each cell of the offsets.
SAMPLE, CELL_SAMPLE = 10_000, 400
#: Pairs of samples that wait to be gathered, at most: they take 30 bytes each.
_WAITING = 2_000_000
#: Bits of a key below the number of its cell.
_KEY_SHIFT = np.uint64(48)
#: Pairs of leading sources with one candidate only, and keys that sort them by cell and hash.
Single = tuple[NDArray[np.intp], NDArray[np.uint64]]
#: Square milliarcseconds in a square arcsecond.
MAS2 = 1e6


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
    """

    hashes: NDArray[np.uint64]
    brightness: FloatArray
    star: NDArray[np.intp]
    pairs: Candidates
    ellipses: PairEllipses
    log_density: FloatArray
    pixels: NDArray[np.signedinteger]

    def lowest(self, most: int = SAMPLE) -> StarSample:
        """The stars with the lowest hashes."""
        order = np.argsort(self.hashes, kind="stable")[:most]
        number = np.full(len(self.hashes), -1, dtype=np.intp)
        number[order] = np.arange(len(order))
        mine = number[self.star] >= 0
        # The order of the pairs does not depend on the pieces, so that sums are equal to the last bit.
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
        )


@dataclass(frozen=True, slots=True)
class OffsetSample:
    """Displacement vectors (mas) of stars with one candidate only, with their cell and hash. Shape (n, ...)."""

    hashes: NDArray[np.uint64]
    pixels: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def lowest(self) -> OffsetSample:
        """Return the pairs with the lowest hashes in each cell."""
        chosen = _lowest_in_cells(self.pixels, self.hashes)
        return OffsetSample(self.hashes[chosen], self.pixels[chosen], self.vectors[chosen])


#: Contribution of one piece of the sky.
Sample = tuple[StarSample, OffsetSample]


def sample_stars(
    pairs: Candidates,
    leading: NDArray[np.intp],
    density: Callable[[NDArray[np.intp]], FloatArray],
    moving: Positions,
    standing: Positions,
    pixels: NDArray[np.signedinteger],
    *,
    inside: NDArray[np.bool_],
    hashes: NDArray[np.uint64],
    highest: np.uint64,
    single: Single,
    limits: NDArray[np.uint64],
    brightness: FloatArray | None,
    unknown_motion: float,
) -> Sample:
    """Select the samples from the candidates of a piece of the sky.

    Parameters
    ----------
    pairs : Candidates
    leading : ndarray of int, (n_pairs,)
        Row of the leading source of every pair.
    density : callable
        From numbers of pairs to the density of the searched catalogue there, per arcsec^2.
    moving, standing : Positions
    pixels : ndarray of int, (n_pairs,)
        Finest cell of the standing source of every pair.
    inside : ndarray of bool, (n_leading,)
        Leading sources of this piece that lie inside the coverage.
    hashes, brightness : ndarray, (n_leading,)
    highest : uint64
        Hash above which no star is wanted (:func:`highest_hash`).
    single : tuple of ndarray
        Pairs of stars with one candidate only, and their keys (:func:`single_stars`).
    limits : ndarray of uint64, (n_cells,)
        Keys of single stars above which none is wanted in each cell of the sphere (:func:`highest_keys`).
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
    stars = StarSample(
        hashes[chosen],
        np.full(len(chosen), np.nan) if brightness is None else brightness[chosen],
        number[leading[mine]],
        picked,
        PairEllipses.of(picked, moving, standing, unknown_motion=unknown_motion),
        np.log(density(mine) / MAS2),
        pixels[mine],
    )
    alone, keys = single
    alone = alone[keys <= limits[keys >> _KEY_SHIFT]]
    vectors = pairs.vectors(alone).astype(np.float32)
    return stars, OffsetSample(hashes[leading[alone]], pixels[alone] >> OFFSET_SHIFT, vectors)


def single_stars(
    leading: NDArray[np.intp],
    inside: NDArray[np.bool_],
    hashes: NDArray[np.uint64],
    pixels: NDArray[np.signedinteger],
) -> Single:
    """Pairs of leading sources with one candidate only, and keys that sort them by cell and hash. Shapes (n,).

    Parameters as of :func:`sample_stars`.
    """
    alone = np.flatnonzero(inside[leading] & (np.bincount(leading, minlength=len(inside))[leading] == 1))
    return alone, _keys(pixels[alone] >> OFFSET_SHIFT, hashes[leading[alone]])


def highest_keys(keys: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Return the highest key of the sample in each cell, that of star :data:`CELL_SAMPLE`; 0 for an empty cell.

    Returns
    -------
    ndarray of uint64, (n_cells,)
        Of all cells of the sphere.
    """
    together = in_order(np.concatenate(keys))
    cell = together >> _KEY_SHIFT
    first = np.flatnonzero(np.diff(cell, prepend=~np.uint64(0)))
    last = np.append(first[1:], len(together)) - 1
    limits = np.zeros(12 * 4**OFFSET_ORDER, dtype=np.uint64)
    limits[cell[first]] = together[np.minimum(first + CELL_SAMPLE - 1, last)]
    return limits


def highest_hash(hashes: Sequence[NDArray[np.uint64]]) -> np.uint64:
    """Return the highest hash in the sample; the highest of all if there are fewer stars than the sample takes."""
    together = np.concatenate(hashes)
    if len(together) <= SAMPLE:
        return np.uint64(np.iinfo(np.uint64).max)
    return np.uint64(np.partition(together, SAMPLE - 1)[SAMPLE - 1])


def _lowest_in_cells(pixels: NDArray[np.int64], hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Rows with the lowest hashes of every cell, :data:`CELL_SAMPLE` at most, sorted by cell and hash."""
    order = np.argsort(_keys(pixels, hashes))
    first = np.flatnonzero(np.diff(pixels[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return order[rank < CELL_SAMPLE]


def _keys(pixels: NDArray[np.int64], hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return one key for cell and hash: cells of this order need 16 bits, which leaves 48 for the hash."""
    return np.asarray((pixels.astype(np.uint64) << _KEY_SHIFT) | (hashes >> np.uint64(16)), dtype=np.uint64)


def gather(samples: Sequence[Sample]) -> Sample:
    """Put the samples of pieces together; the result is that of the undivided sky."""
    stars, offsets = concatenate(samples)
    return stars.lowest(), offsets.lowest()


class SampleSum:
    """Gathers the samples of many pieces.

    A piece waits for others until together they are as large as what was gathered before, or :data:`_WAITING`: to
    gather each at once would sort everything anew for every piece.
    """

    def __init__(self) -> None:
        self.parts: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Add the sample of a piece."""
        self.parts.append(sample)
        sizes = [len(stars.pairs) + len(offsets.hashes) for stars, offsets in self.parts]
        if len(self.parts) > 1 and sum(sizes[1:]) >= min(sizes[0], _WAITING):
            self.parts = [gather(self.parts)]


def concatenate(samples: Sequence[Sample]) -> Sample:
    """Concatenate samples."""
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
