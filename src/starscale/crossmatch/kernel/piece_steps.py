"""Steps of a cross-match that use the rows of one piece of the sky and those around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.curate import alike, is_imprecise, near_pairs, rank_keys
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.inputs import Curation, SkyRows, error_ceiling, evidence
from starscale.crossmatch.kernel.matcher import Found, Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import NO_EPOCHS, Epochs, Side, SkyPiece
from starscale.crossmatch.kernel.sample import Sample
from starscale.crossmatch.kernel.stores import KeptCandidates
from starscale.io.threads import give_back
from starscale.surveys import Survey

#: Density of a piece, its epochs, and the largest motion of its stars, arcsec.
Extent = tuple[DensityMap | None, Epochs, float]


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

    def __call__(self, own: SkyRows, near: SkyRows | None = None) -> Extent:  # noqa: ARG002
        """Return density, epochs, and motion in arcsec."""
        density = DensityMap.count(own.side.pixels) if self.count else None
        epochs, motion = NO_EPOCHS, 0.0
        if self.locate and self.between is None:
            epochs = Epochs.of(own.side.positions)
        elif self.locate and self.between is not None:
            motion = self.between.longest_way(own.side.positions)
        return density, epochs, motion


class PieceRepeats(NamedTuple):
    """Imprecise and repeated rows of a piece.

    Parameters
    ----------
    imprecise : int
        Number of imprecise rows.
    extent : Extent
        As if no row repeated another.
    pairs : ndarray of int, (n_pairs, 2), or None
        Row numbers that are one source.
    keys : polars.DataFrame or None
        What ranks these rows, and their cells (:func:`.curate.rank_keys`, `cell`).
    """

    imprecise: int
    extent: Extent
    pairs: NDArray[np.signedinteger] | None = None
    keys: pl.DataFrame | None = None


@dataclass(frozen=True)
class RepeatSearch:
    """Step that searches a piece of an external catalogue for imprecise and repeated rows.

    Parameters
    ----------
    survey : Survey
    reach : float
        Radius (deg) with which its sources will be searched for: they are sorted for it, once.
    extent : PieceExtent
        Applied to all rows but the imprecise ones.
    """

    survey: Survey
    reach: float
    extent: PieceExtent

    def __call__(self, own: SkyRows, near: SkyRows | None) -> PieceRepeats:
        """Search the rows of a piece; they repeat others there or around it."""
        ceiling, rule = error_ceiling(self.survey), self.survey.duplicates
        imprecise = int(is_imprecise(own.side.positions, ceiling).sum())
        extent = self.extent(Curation.of_nothing().applied(own.side, self.survey))
        if rule is None or near is None or near.table is None:
            return PieceRepeats(imprecise, extent)
        side = near.side
        vague, zones = is_imprecise(side.positions, ceiling), side.zones(self.reach)
        pairs = near_pairs(side.positions, rule, zones.without(vague))
        # For the search, where the rows are still the same.
        side.sorted_rows[self.reach] = zones
        # Few rows are near another one; only their other columns are looked at.
        rows = np.unique(pairs)
        pairs, side, known = np.searchsorted(rows, pairs), side.take(rows), evidence(near.table[rows], self.survey)
        pairs = pairs[alike(pairs, rule, known)]
        keys = rank_keys(side.positions, side.ids, known, np.unique(pairs))
        rows = keys["row"].to_numpy()
        keys = keys.with_columns(pl.Series("row", side.rows[rows]), pl.Series("cell", side.pixels[rows]))
        return PieceRepeats(imprecise, extent, side.rows[pairs], keys)


#: Leading sources of a piece, their good neighbours, and the nearest candidates of sources without any.
PieceMatch = tuple[pl.DataFrame, pl.DataFrame | None, pl.DataFrame | None]


@dataclass
class PieceSteps:
    """The two steps that search a piece for pairs.

    Parameters
    ----------
    matcher : Matcher
    kept : KeptCandidates, optional
        Where candidates wait between the two steps; None: they are searched twice.
    whole : bool
        The only piece is a whole catalogue, after whose search much memory is not needed again.
    """

    matcher: Matcher
    kept: KeptCandidates | None = None
    whole: bool = False

    def sample(self, own: SkyRows, near: SkyRows | None) -> Sample | None:
        """Select candidates of a piece to which the model can be fitted."""
        if near is None:
            return None
        piece = self._piece(own, near)
        found = self._search(piece)
        if self.kept is not None:
            self.kept.put(piece, found)
        return self.matcher.sample(found)

    def match(self, own: SkyRows, near: SkyRows | None, *, model: PairModel) -> PieceMatch:
        """Find the good neighbours of the leading sources of a piece."""
        if near is None:
            return leading_sources(own, np.zeros(len(own.side), dtype=bool)), None, None
        piece = self._piece(own, near)
        kept = None if self.kept is None else self.kept.take(piece)
        found = self._search(piece) if kept is None else kept
        del kept
        covered = np.concatenate([run.covered for run in found])
        # The candidates are released one run after the other.
        good, nearest = self.matcher.neighbours(found, model)
        return leading_sources(own, covered), good, nearest

    def _piece(self, own: SkyRows, near: SkyRows) -> SkyPiece:
        sides = (own.side, near.side) if self.matcher.mode == "dense" else (near.side, own.side)
        return SkyPiece(*sides, self.matcher.mode)

    def _search(self, piece: SkyPiece) -> list[Found]:
        found = self.matcher.candidates(piece)
        if self.whole:
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
