"""The cross-match: the same few steps for a whole catalogue in memory and for every piece of a larger one.

1. :meth:`Matcher.candidates` of every piece.
2. :meth:`Matcher.sample` of every piece; together they give the model of true pairs (:meth:`Matcher.learn`).
3. :meth:`Matcher.neighbours` of every piece.
4. :func:`finish`: what can only be counted over the whole sky.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.catalogue.crossmatch.calibrate import (
    OffsetSample,
    StarSample,
    fit_model,
    gather,
    sample_stars,
)
from starscale.catalogue.crossmatch.candidates import Candidates, find_candidates
from starscale.catalogue.crossmatch.density import DensityMap
from starscale.catalogue.crossmatch.losses import unmatched
from starscale.catalogue.crossmatch.model import PairModel
from starscale.catalogue.crossmatch.pieces import Piece, Side, divide
from starscale.catalogue.crossmatch.score import MAS2, Scored, score_by_distance, score_pairs
from starscale.catalogue.crossmatch.select import (
    Mode,
    best_first,
    best_pairs,
    choose_pairs,
    count_neighbours,
    neighbour_columns,
    one_to_one,
    with_mates,
)
from starscale.catalogue.splits import stable_hash
from starscale.vocabulary.config import MatchConfig
from starscale.vocabulary.flags import PairFlag

#: Seed of the hash that chooses the stars that the model is learnt from.
_SAMPLE_SEED = 20190107


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
        """Whether errors and densities count, or the separation alone."""
        return self.config.method == "figure_of_merit"

    def candidates(self, piece: Piece) -> Candidates:
        """All pairs of a piece within the search radius."""
        moving = piece.moving.positions
        if not self.config.proper_motion:
            moving = moving.without_motion()
        return find_candidates(
            moving,
            piece.standing.positions,
            self.config.search_radius,
            unknown_motion=self.config.unknown_motion if self.config.proper_motion else 0.0,
        )

    def sample(self, piece: Piece, pairs: Candidates) -> tuple[StarSample, OffsetSample]:
        """The stars of a piece that the model may be learnt from."""
        where = piece.leading.positions
        inside = where.valid.copy()
        inside[inside] = self.density.covers(where.ra[inside], where.dec[inside])
        return sample_stars(
            pairs,
            self._leading(pairs),
            np.log(self._density(piece, pairs) / MAS2),
            piece.moving.positions,
            piece.standing.positions,
            inside=inside,
            hashes=stable_hash(piece.leading.ids, _SAMPLE_SEED),
            brightness=piece.leading.brightness,
        )

    def learn(self, samples: Sequence[tuple[StarSample, OffsetSample]]) -> PairModel:
        """Learn the model from the samples of all pieces."""
        if not samples:
            return PairModel()
        stars, offsets = gather(samples)
        as_stated = self.config.errors == "stated"
        return fit_model(stars, offsets, radius=self.config.search_radius, as_stated=as_stated)

    def neighbours(self, piece: Piece, pairs: Candidates, model: PairModel) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Good neighbours of a piece, counted, and the nearest candidate of every leading source."""
        leading = self._leading(pairs)
        if self.by_merit:
            scored = score_pairs(
                pairs,
                model.residuals(pairs, piece.moving.positions, piece.standing.positions),
                model,
                leading=leading,
                density=self._density(piece, pairs),
                completeness=model.completeness_of(piece.leading.brightness, leading),
                gamma=self.config.gamma,
                least_probability=self.config.least_probability,
            )
        else:
            scored = score_by_distance(pairs)
        table = count_neighbours(self._table(piece, scored))
        return table, _nearest(piece, pairs)

    def _leading(self, pairs: Candidates) -> NDArray[np.intp]:
        return pairs.moving if self.mode == "dense" else pairs.standing

    def _density(self, piece: Piece, pairs: Candidates) -> NDArray[np.float64]:
        """Density of the searched catalogue at every candidate, per arcsec^2."""
        rows = pairs.standing if self.mode == "dense" else pairs.moving
        where = piece.searched.positions
        used, inverse = np.unique(rows, return_inverse=True)
        return self.density.density(where.ra[used], where.dec[used])[inverse]

    def _table(self, piece: Piece, scored: Scored) -> pl.DataFrame:
        """Good pairs: identifiers, row numbers in the whole catalogues, and what is known of each alone."""
        good = np.flatnonzero(scored.good)
        pairs = scored.pairs.take(good)
        leading = self._leading(pairs)
        searched = pairs.standing if self.mode == "dense" else pairs.moving
        moving_id, standing_id = piece.moving.ids.gather(pairs.moving), piece.standing.ids.gather(pairs.standing)
        ids = (moving_id, standing_id) if self.mode == "dense" else (standing_id, moving_id)
        return pl.DataFrame(
            {
                "leading": piece.leading.rows[leading],
                "searched": piece.searched.rows[searched],
                "leading_id": ids[0],
                "searched_id": ids[1],
                "source_id": moving_id,
                "original_ext_source_id": standing_id,
                "angular_distance": pairs.distance,
                "normalised_distance": pl.Series(scored.distance_sigma[good]).fill_nan(None),
                "score": scored.score[good],
                "match_probability": pl.Series(scored.probability[good]).fill_nan(None),
                "xm_flag": self._flags(piece, pairs, scored.blended[good]),
            }
        )

    def _flags(self, piece: Piece, pairs: Candidates, blended: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Flags of pairs that follow from the two sources alone. Shape (n_pairs,)."""
        moving, standing = piece.moving.positions, piece.standing.positions
        if not self.config.proper_motion:
            moving = moving.without_motion()
        east, north = moving.shifts(pairs.moving, standing.epoch[pairs.standing])
        where = piece.leading.positions
        leading = self._leading(pairs)
        used, inverse = np.unique(leading, return_inverse=True)
        edge = self.density.near_edge(where.ra[used], where.dec[used])[inverse] & self.by_merit
        assumed = np.zeros(len(pairs), dtype=bool)
        for side, rows in ((moving, pairs.moving), (standing, pairs.standing)):
            if side.errors is not None and self.by_merit:
                assumed |= ~side.errors.stated[rows]
        flags = np.zeros(len(pairs), dtype=np.int32)
        for bit, condition in (
            (PairFlag.NO_PROPER_MOTION, ~moving.moving[pairs.moving]),
            (PairFlag.NO_EPOCH, ~standing.own_epoch[pairs.standing]),
            (PairFlag.HIGH_PROPER_MOTION, np.hypot(east, north) > self.config.search_radius * 1000),
            (PairFlag.EDGE_OF_COVERAGE, edge),
            (PairFlag.BLENDED, blended),
            (PairFlag.ERROR_ASSUMED, assumed),
            (PairFlag.DUPLICATES, piece.standing.several[pairs.standing]),
        ):
            flags |= np.where(condition, np.int32(bit), np.int32(0))
        return flags

    def reasons(self, side: Side, *, imprecise: NDArray[np.bool_], duplicate: NDArray[np.bool_]) -> pl.DataFrame:
        """The leading sources with the reasons that need no match: see :func:`losses.unmatched`.

        `side` is the leading one, `imprecise` and `duplicate` say of each row whether curation took it out.
        """
        where = side.positions
        covered = np.zeros(len(side), dtype=bool)
        good = where.valid
        covered[good] = self.density.covers(where.ra[good], where.dec[good])
        reason = np.select([duplicate, imprecise | ~good], ["duplicate", "no_position"], default="")
        return pl.DataFrame(
            {
                "leading": side.rows,
                "leading_id": side.ids,
                "reason": pl.Series(reason, dtype=pl.String).replace("", None),
                "covered": covered,
            }
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of a match, for the report."""

    mode: Mode
    method: str
    n_lead: int
    n_external: int
    n_imprecise: int
    n_duplicates: int
    n_pairs: int
    n_matched: int
    n_strict: int
    n_loose: int
    radius: float
    median_distance: float


@dataclass(frozen=True, slots=True)
class Match:
    """Result of a match.

    Parameters
    ----------
    best : polars.DataFrame
        Best pair of every leading source: columns of :data:`PAIR_COLUMNS`, and `degree`.
    neighbours : polars.DataFrame
        All good pairs.
    unmatched : polars.DataFrame
        Leading sources without a kept pair, and why.
    """

    best: pl.DataFrame
    neighbours: pl.DataFrame
    unmatched: pl.DataFrame
    model: PairModel


def finish(
    tables: Iterable[pl.DataFrame],
    nearest: Iterable[pl.DataFrame],
    leading: pl.DataFrame,
    config: MatchConfig,
    mode: Mode,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Count over the whole sky: best pairs, all neighbours, and what is left without a pair.

    Rows come in the order of the leading catalogue, whatever the order of the pieces.
    """
    neighbours = best_first(pl.concat(tables))
    neighbours = with_mates(neighbours) if mode == "dense" else one_to_one(neighbours)
    lost = unmatched(leading, pl.concat(nearest), neighbours, config.pairs)
    return best_pairs(neighbours), neighbour_columns(neighbours), lost


def crossmatch(
    moving: Side,
    standing: Side,
    config: MatchConfig,
    mode: Mode,
    *,
    imprecise: NDArray[np.bool_] | None = None,
    duplicate: NDArray[np.bool_] | None = None,
    order: int | None = None,
) -> Match:
    """Match two catalogues in memory.

    Parameters
    ----------
    moving, standing : Side
        Gaia, and the external catalogue after curation.
    config : MatchConfig
    mode : {"dense", "sparse"}
    imprecise, duplicate : ndarray of bool, (n_standing,), optional
        What curation took out, to be told in `unmatched` where the external catalogue leads.
    order : int, optional
        Divide the work into tiles of this HEALPix order; the result is the same.

    Returns
    -------
    Match
    """
    whole = Piece(moving, standing, mode)
    matcher = Matcher(config, mode, DensityMap.of(whole.searched.positions))
    pieces = [whole] if order is None else list(divide(moving, standing, mode, config.search_radius, order))
    candidates = [matcher.candidates(piece) for piece in pieces]
    model = PairModel()
    if matcher.by_merit:
        model = matcher.learn([matcher.sample(p, c) for p, c in zip(pieces, candidates, strict=True)])
    # A piece that holds nothing gives the tables their columns when there is no piece at all.
    nothing = np.empty(0, dtype=np.intp)
    empty = Piece(moving.take(nothing), standing.take(nothing), mode)
    found = [matcher.neighbours(p, c, model) for p, c in zip(pieces, candidates, strict=True)]
    found.append(matcher.neighbours(empty, matcher.candidates(empty), model))
    none = np.zeros(len(whole.leading), dtype=bool)
    own = mode == "sparse"
    leading = matcher.reasons(
        whole.leading,
        imprecise=imprecise if own and imprecise is not None else none,
        duplicate=duplicate if own and duplicate is not None else none,
    )
    best, neighbours, lost = finish([f[0] for f in found], [f[1] for f in found], leading, config, mode)
    return Match(best, neighbours, lost, model)


def statistics(
    match: Match, config: MatchConfig, mode: Mode, *, rows: tuple[int, int], curated: tuple[int, int]
) -> Statistics:
    """Count a match: `rows` of both catalogues, and the (imprecise, repeated) ones that curation took out."""
    counts = {choice: choose_pairs(match.best, choice).height for choice in ("strict", "loose")}
    median = match.best["angular_distance"].median()
    return Statistics(
        mode=mode,
        method=config.method,
        n_lead=rows[0],
        n_external=rows[1],
        n_imprecise=curated[0],
        n_duplicates=curated[1],
        n_pairs=match.neighbours.height,
        n_matched=match.best.height,
        n_strict=counts["strict"],
        n_loose=counts["loose"],
        radius=config.search_radius,
        median_distance=float(median) if isinstance(median, float) else float("nan"),
    )


def _nearest(piece: Piece, pairs: Candidates) -> pl.DataFrame:
    """Nearest candidate of every leading source that has one."""
    dense = piece.mode == "dense"
    leading, searched = (pairs.moving, pairs.standing) if dense else (pairs.standing, pairs.moving)
    # Of equally near ones the lower identifier, so that the order of rows never decides.
    rank = piece.searched.ids.rank("ordinal").to_numpy()
    order = np.lexsort((rank[searched], pairs.distance, leading))
    first = order[np.flatnonzero(np.diff(leading[order], prepend=-1))]
    return pl.DataFrame(
        {
            "leading": piece.leading.rows[leading[first]],
            "searched_id": piece.searched.ids.gather(searched[first]),
            "angular_distance": pairs.distance[first],
        }
    )
