"""Steps of a cross-match that use the rows of one piece of the sky and those around it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.inputs import SkyRows
from starscale.crossmatch.kernel.matcher import Found, Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import Epochs, Side, SkyPiece
from starscale.crossmatch.kernel.runs import give_back
from starscale.crossmatch.kernel.sample import Sample


@dataclass(frozen=True)
class PieceExtent:
    """Step that finds the density of a piece, its range of epochs, and the largest motion of its stars.

    Parameters
    ----------
    count : bool
        Compute the density.
    locate : bool
        Find the epochs, or the largest motion where `between` is given.
    between : Epochs, optional
        Epochs between which the stars move.
    """

    count: bool
    locate: bool
    between: Epochs | None

    def __call__(self, own: SkyRows, near: SkyRows | None = None) -> tuple[DensityMap | None, Epochs, float]:  # noqa: ARG002
        """Return density, epochs, and motion in arcsec."""
        density = DensityMap.count(own.side.pixels) if self.count else None
        epochs, motion = Epochs(np.nan, np.nan), 0.0
        if self.locate and self.between is None:
            epochs = Epochs.of(own.side.positions)
        elif self.locate and self.between is not None:
            motion = self.between.longest_way(own.side.positions)
        return density, epochs, motion


#: Leading sources of a piece, their good neighbours, and the nearest candidates of sources without any.
PieceMatch = tuple[pl.DataFrame, pl.DataFrame | None, pl.DataFrame | None]


@dataclass
class PieceSteps:
    """The two steps that search a piece for pairs.

    Parameters
    ----------
    matcher : Matcher
    keep : bool
        Keep the candidates between the two steps; for a catalogue of one piece.
    """

    matcher: Matcher
    keep: bool
    _kept: list[Found] = field(default_factory=list)

    def sample(self, own: SkyRows, near: SkyRows | None) -> Sample | None:
        """Select candidates of a piece to which the model can be fitted."""
        return None if near is None else self.matcher.sample(self._candidates(own, near))

    def match(self, own: SkyRows, near: SkyRows | None, *, model: PairModel) -> PieceMatch:
        """Find the good neighbours of the leading sources of a piece."""
        if near is None:
            return leading_sources(own, np.zeros(len(own.side), dtype=bool)), None, None
        found = self._candidates(own, near)
        self._kept = []
        covered = np.concatenate([run.covered for run in found])
        if self.keep:
            give_back()
        # The candidates are released one run after the other.
        good, nearest = self.matcher.neighbours(found, model)
        return leading_sources(own, covered), good, nearest

    def _candidates(self, own: SkyRows, near: SkyRows) -> list[Found]:
        if self._kept:
            return self._kept
        sides = (own.side, near.side) if self.matcher.mode == "dense" else (near.side, own.side)
        found = self.matcher.candidates(SkyPiece(*sides, self.matcher.mode))
        if self.keep:
            self._kept = found
            give_back()
        return found


def leading_sources(own: SkyRows, covered: NDArray[np.bool_]) -> pl.DataFrame:
    """Table of leading sources for :func:`losses.unmatched`.

    Parameters
    ----------
    own : SkyRows
    covered : ndarray of bool, (n,)
        Whether the searched catalogue covers the position of each source.
    """
    side: Side = own.side
    return pl.DataFrame(
        {
            "leading": side.rows,
            "leading_id": side.ids,
            "repeated": np.zeros(len(side), dtype=bool) if own.repeated is None else own.repeated,
            "placed": side.positions.valid,
            "covered": covered,
        }
    )
