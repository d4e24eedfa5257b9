"""The steps of a match on one piece of the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.calibrate import fit_model
from starscale.crossmatch.kernel.candidates import Candidates, SearchTargets
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.ellipses import PairEllipses
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import SkyPiece
from starscale.crossmatch.kernel.runs import Columns, drained, stacked
from starscale.crossmatch.kernel.sample import (
    Sample,
    Single,
    concatenate,
    gather,
    highest_hash,
    highest_keys,
    sample_stars,
    single_stars,
)
from starscale.crossmatch.kernel.score import Scored, score_by_distance, score_pairs
from starscale.crossmatch.kernel.select import Mode, best_first, count_neighbours, nearest_of
from starscale.io.threads import both, in_threads
from starscale.tables.hashes import stable_hash
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.flags import PairFlag
from starscale.vocabulary.settings.match import MatchConfig

#: Seed of the hash that chooses the stars for the fit of the model.
_SAMPLE_SEED = 20190107


@dataclass(frozen=True, slots=True)
class Found:
    """The candidates of a run of leading sources, with density and coverage of the searched catalogue.

    Parameters
    ----------
    piece : SkyPiece
    pairs : Candidates
    covered, edge : ndarray of bool, (n_leading,)
        Whether the searched catalogue reaches each leading source, and whether it ends nearby.
    """

    piece: SkyPiece
    pairs: Candidates
    covered: NDArray[np.bool_]
    edge: NDArray[np.bool_]

    @property
    def leading(self) -> NDArray[np.intp]:
        """Row of the leading source of every pair. Shape (n_pairs,)."""
        return self.pairs.moving if self.piece.mode == "dense" else self.pairs.standing

    @property
    def searched(self) -> NDArray[np.intp]:
        """Row of the searched source of every pair. Shape (n_pairs,)."""
        return self.pairs.standing if self.piece.mode == "dense" else self.pairs.moving

    @property
    def pixels(self) -> NDArray[np.signedinteger]:
        """Finest cell of the standing source of every pair. Shape (n_pairs,)."""
        pixels: NDArray[np.signedinteger] = self.piece.standing.pixels[self.pairs.standing]
        return pixels


@dataclass(frozen=True)
class Matcher:
    """The steps of a match that see one piece of the sky at a time.

    Parameters
    ----------
    config : MatchConfig
    mode : {"dense", "sparse"}
        Which side leads: Gaia, or the external catalogue.
    density : DensityMap
        Of the whole searched catalogue.
    """

    config: MatchConfig
    mode: Mode
    density: DensityMap

    @property
    def by_merit(self) -> bool:
        """Whether errors and densities are used, or the separation alone."""
        return self.config.method == "figure_of_merit"

    @property
    def _unknown_motion(self) -> float:
        return self.config.unknown_motion if self.config.proper_motion else 0.0

    def candidates(self, piece: SkyPiece) -> list[Found]:
        """All pairs of a piece within the search radius, run by run."""
        # Shared by all runs.
        targets, pixels = both(
            lambda: SearchTargets.of(piece.standing, self.config.search_radius),
            lambda: self._prepared(piece),
        )
        found = targets.by_runs(self._moving(piece), whole=piece.mode == "sparse")
        if piece.mode == "sparse":
            found = [Candidates.concatenate(found)]
        parts = piece.runs()
        ends = np.cumsum([len(part.leading) for part in parts])
        where = np.split(pixels, ends[:-1])
        reached = in_threads(self.density.coverage_at, where)
        return [Found(part, pairs, *cover) for part, pairs, cover in zip(parts, found, reached, strict=True)]

    def _prepared(self, piece: SkyPiece) -> NDArray[np.signedinteger]:
        """Cells of the leading sources, when the density and the cells of the searched ones are known too."""
        self.density.at(piece.searched.pixels[:0])
        return piece.leading.pixels

    def _density(self, found: Found, which: NDArray[np.intp] | slice) -> FloatArray:
        """Density of the searched catalogue at some of the candidates, per arcsec^2. Shape (n,)."""
        return self.density.density_at(found.piece.searched.pixels[found.searched[which]])

    def sample(self, found: Sequence[Found]) -> Sample:
        """Return the stars of a piece to which the model can be fitted."""
        hashes = in_threads(lambda f: stable_hash(f.piece.leading.ids, _SAMPLE_SEED), found)
        numbers = range(len(found))

        def alone(n: int) -> Single:
            f = found[n]
            return single_stars(f.leading, f.covered, hashes[n], f.pixels)

        highest = highest_hash([own[f.covered] for f, own in zip(found, hashes, strict=True)])
        single = in_threads(alone, numbers)
        limits = highest_keys([keys for _, keys in single])

        def sample(n: int) -> Sample:
            f = found[n]
            return sample_stars(
                f.pairs,
                f.leading,
                lambda which: self._density(f, which),
                f.piece.moving.positions,
                f.piece.standing.positions,
                f.pixels,
                inside=f.covered,
                hashes=hashes[n],
                highest=highest,
                single=single[n],
                limits=limits,
                brightness=f.piece.leading.brightness,
                unknown_motion=self._unknown_motion,
            )

        stars, offsets = concatenate(in_threads(sample, numbers))
        return stars.lowest(), offsets

    def learn(self, samples: Sequence[Sample]) -> PairModel:
        """Fit the model to the samples of all pieces."""
        if not samples:
            return PairModel()
        stars, offsets = gather(samples) if len(samples) > 1 else samples[0]
        as_stated = self.config.errors == "stated"
        return fit_model(stars, offsets, radius=self.config.search_radius, as_stated=as_stated)

    def neighbours(self, found: list[Found], model: PairModel) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Good neighbours, counted, and the nearest candidate of leading sources without any.

        Runs are taken out of `found` as they are done: candidates go as their neighbours come.
        """
        both = in_threads(lambda run: self._neighbours(run, model), drained(found))
        good, nearest = (stacked(list(side)) for side in zip(*both, strict=True))
        del both
        own, other = ("leading_id", "searched_id") if self.mode == "dense" else ("searched_id", "leading_id")
        good = good.with_columns(
            pl.col("normalised_distance", "match_probability").fill_nan(None),
            source_id=pl.col(own),
            original_ext_source_id=pl.col(other),
        )
        return count_neighbours(good), nearest_of(nearest)

    def _neighbours(self, found: Found, model: PairModel) -> tuple[Columns, Columns]:
        """Good pairs of a run, best first, and the candidates of its leading sources without any."""
        piece, pairs = found.piece, found.pairs
        if self.by_merit:
            moving, standing = self._moving(piece), piece.standing.positions
            scored = score_pairs(
                PairEllipses.of(pairs, moving, standing, unknown_motion=self._unknown_motion),
                model.residuals(pairs, found.pixels),
                model,
                leading=found.leading,
                density=self._density(found, slice(None)),
                completeness=model.completeness_of(piece.leading.brightness, found.leading),
                gamma=self.config.gamma,
                least_probability=self.config.least_probability,
            )
        else:
            scored = score_by_distance(pairs)
        return self._good(found, scored), _without(found, scored)

    def _moving(self, piece: SkyPiece) -> Positions:
        moving = piece.moving.positions
        return moving if self.config.proper_motion else moving.without_motion()

    def _good(self, found: Found, scored: Scored) -> Columns:
        """Good pairs: identifiers, row numbers in the whole catalogues, and what is known of each alone."""
        good = np.flatnonzero(scored.good)
        piece = found.piece
        good = good[best_first(found.leading[good], scored.score[good], piece.searched.ids, found.searched[good])]
        leading, searched = found.leading[good], found.searched[good]
        return {
            "leading": piece.leading.rows[leading],
            "searched": piece.searched.rows[searched],
            "leading_id": piece.leading.ids[leading],
            "searched_id": piece.searched.ids[searched],
            "angular_distance": found.pairs.distance[good],
            "normalised_distance": scored.distance_sigma[good],
            "score": scored.score[good],
            "match_probability": scored.probability[good],
            "xm_flag": self._flags(found, good, scored.blended[good]),
        }

    def _flags(self, found: Found, good: NDArray[np.intp], blended: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Flags of good pairs that follow from the two sources alone. Shape (n_good,)."""
        piece = found.piece
        moving, standing = self._moving(piece), piece.standing.positions
        left, right = found.pairs.moving[good], found.pairs.standing[good]
        flags = np.zeros(len(good), dtype=np.int32)

        def raise_where(which: NDArray[np.bool_], flag: PairFlag) -> None:
            # Arithmetic on all rows is several times faster than on a selection.
            np.bitwise_or(flags, which * np.int32(flag), out=flags)

        raise_where(~moving.moves(left), PairFlag.NO_PROPER_MOTION)
        raise_where(~standing.own_epoch[right], PairFlag.NO_EPOCH)
        raise_where(found.pairs.fast[good], PairFlag.HIGH_PROPER_MOTION)
        raise_where(piece.standing.several[right], PairFlag.DUPLICATES)
        if self.by_merit:
            raise_where(found.edge[found.leading[good]], PairFlag.EDGE_OF_COVERAGE)
            raise_where(blended, PairFlag.BLENDED)
            for side, rows in ((moving, left), (standing, right)):
                if side.errors is not None:
                    raise_where(~side.errors.stated[rows], PairFlag.ERROR_ASSUMED)
        return flags


def _without(found: Found, scored: Scored) -> Columns:
    """Candidates of the leading sources that have candidates, but no good neighbour."""
    served = np.zeros(len(found.piece.leading), dtype=bool)
    served[found.leading[scored.good]] = True
    rows = np.flatnonzero(~served[found.leading])
    return {
        "leading": found.piece.leading.rows[found.leading[rows]],
        "searched_id": found.piece.searched.ids[found.searched[rows]],
        "angular_distance": found.pairs.distance[rows],
    }
