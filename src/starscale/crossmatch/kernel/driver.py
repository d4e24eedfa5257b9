"""The cross-match of two catalogues of any size, wherever their rows are kept.

1. Curation: find imprecise and repeated rows of the external catalogue.
2. Survey: the density of the searched catalogue, and the margin that the fastest star requires.
3. Learning: sample the candidates of every piece and fit the model of true pairs.
4. Matching: find the good neighbours of every piece.
5. Over the whole sky: mates or one-to-one pairs, and the reason why a leading source has no pair.

Steps 1 to 4 work on one piece of the sky at a time. A :class:`Catalogue` supplies the pieces (all rows in memory,
tiles on disk, partitions on a cluster) and :class:`Results` keeps what was found, in memory or on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.curate import collapse
from starscale.crossmatch.kernel.density import DensityMap, DensitySum
from starscale.crossmatch.kernel.inputs import Curation, RepeatSearch, SkyRows
from starscale.crossmatch.kernel.losses import unmatched
from starscale.crossmatch.kernel.matcher import Found, Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import Epochs, Side, SkyPiece
from starscale.crossmatch.kernel.runs import give_back
from starscale.crossmatch.kernel.sample import Sample, gather
from starscale.crossmatch.kernel.select import (
    Mode,
    add_mates,
    best_pairs,
    count_clean,
    in_leading_order,
    neighbour_columns,
    one_to_one,
)
from starscale.surveys import Survey
from starscale.vocabulary.columns import DUPLICATE_COLUMNS
from starscale.vocabulary.progress import SilentTask, Task
from starscale.vocabulary.settings.run import MatchConfig

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
#: Bins per arcsecond of the histogram of separations.
_BINS = 1e4


class PieceResult(NamedTuple, Generic[T]):
    """Result of a step for one piece of a catalogue: number of the piece, number of its rows, result."""

    piece: int
    rows: int
    result: T


class Step(Protocol[T_co]):
    """A function of the rows of a piece and of the rows around it; None where nothing can be around it."""

    def __call__(self, own: SkyRows, near: SkyRows | None) -> T_co:
        """Apply the step."""


class Catalogue(Protocol):
    """One catalogue of a match, divided into pieces of the sky.

    Attributes
    ----------
    survey : Survey or None
        Describes the columns; needed for curation only.
    rows : int
        Number of rows; known after :meth:`read`.
    undivided : bool
        All rows are one piece, so no margin is needed.
    """

    @property
    def survey(self) -> Survey | None:
        """Survey of the catalogue."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def undivided(self) -> bool:
        """Whether all rows are one piece."""

    def read(self, task: Task) -> None:
        """Read the catalogue once: count its rows and divide them into pieces."""

    def each(
        self, step: Step[T], near: Self | None = None, margin: Callable[[int], float] | None = None
    ) -> Iterator[PieceResult[T]]:
        """Apply a step to every piece.

        Parameters
        ----------
        step : callable
            Receives the rows of the piece and, with `near`, those around it. Rows without a position form a piece
            with a negative number and nothing around it, or belong to the only piece.
        near : Catalogue, optional
            Catalogue of which the rows around the piece are passed to the step.
        margin : callable, optional
            Width (arcsec) of the margin around a piece, given its number.
        """

    def curate(self, curation: Curation) -> None:
        """Apply the result of the curation to all rows passed to later steps."""

    def share(self, density: DensityMap) -> DensityMap:
        """Return the density map in a form that can be part of a step."""


class ResultTable(Protocol):
    """A table in groups of consecutive leading rows, which is filled piece by piece."""

    @property
    def groups(self) -> list[int]:
        """Groups that have rows, in order."""

    def append(self, frame: pl.DataFrame) -> None:
        """Add rows; their column `leading` determines the group."""

    def read(self, group: int) -> pl.DataFrame:
        """Return the rows of a group in the order in which they were added."""

    def take(self, group: int) -> pl.DataFrame:
        """Return the rows of a group and remove them from the table."""


@dataclass(frozen=True, slots=True)
class Results:
    """Results of all pieces: good neighbours, nearest candidates of sources without any, leading sources."""

    found: ResultTable
    nearest: ResultTable
    sources: ResultTable


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
class MatchedRows:
    """The finished match of some consecutive leading rows.

    Attributes
    ----------
    best : polars.DataFrame
        Best pair of every leading source: columns of :data:`PAIR_COLUMNS`, and `degree`.
    neighbours : polars.DataFrame
        All good pairs.
    unmatched : polars.DataFrame
        Leading sources without a kept pair, with the reason.
    """

    best: pl.DataFrame
    neighbours: pl.DataFrame
    unmatched: pl.DataFrame


@dataclass(frozen=True)
class Extent:
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


class Tally:
    """Counts of a match, summed over groups of leading rows."""

    def __init__(self, config: MatchConfig, *, several: bool) -> None:
        self._config = config
        self.counts = dict.fromkeys(("n_pairs", "n_matched", "n_strict", "n_loose"), 0)
        self.kept = 0
        self._losses: dict[str, int] = {}
        self._median = float("nan")
        # The exact median needs all separations at once: over several groups it is that of a histogram.
        bins = int(config.search_radius * _BINS) + 2
        self._histogram = np.zeros(bins, dtype=np.int64) if several else None

    def add(self, rows: MatchedRows) -> None:
        """Count one group."""
        self.counts["n_pairs"] += rows.neighbours.height
        self.counts["n_matched"] += rows.best.height
        self.counts["n_strict"] += count_clean(rows.best, "strict")
        self.counts["n_loose"] += count_clean(rows.best, "loose")
        self.kept += count_clean(rows.best, self._config.pairs)
        for reason, n in rows.unmatched["reason"].value_counts().iter_rows():
            self._losses[reason] = self._losses.get(reason, 0) + n
        distances = rows.best["angular_distance"]
        if self._histogram is not None:
            np.add.at(self._histogram, (distances.to_numpy() * _BINS).astype(np.int64), 1)
        elif isinstance(median := distances.median(), float):
            self._median = median

    @property
    def losses(self) -> dict[str, int]:
        """Leading sources without a pair, by reason; the most frequent reason first."""
        return dict(sorted(self._losses.items(), key=lambda loss: -loss[1]))

    @property
    def median_distance(self) -> float:
        """Median separation of the best pairs, arcsec; to 1e-4 arcsec where it comes from the histogram."""
        if self._histogram is None:
            return self._median
        if not (matched := self.counts["n_matched"]):
            return float("nan")
        return float(np.searchsorted(np.cumsum(self._histogram), matched / 2)) / _BINS


class MatchJob:
    """A cross-match of two catalogues.

    Parameters
    ----------
    moving, standing : Catalogue
        Gaia, and the external catalogue; both of the same kind.
    config : MatchConfig
    mode : {"dense", "sparse"}
        Leading catalogue: Gaia, or the external one.
    results : Results
    curate : bool
        Find imprecise and repeated rows of the external catalogue first.
    density : DensityMap, optional
        Density of the searched catalogue, where only a part of its rows is given.
    task : Task
        Counts the rows that were read, and the leading rows of each further step.

    Attributes
    ----------
    model : PairModel
    tally : Tally
        Both are complete after :meth:`run`.
    """

    def __init__(
        self,
        moving: Catalogue,
        standing: Catalogue,
        config: MatchConfig,
        mode: Mode,
        results: Results,
        *,
        curate: bool = False,
        density: DensityMap | None = None,
        task: Task | None = None,
    ) -> None:
        self.moving, self.standing, self.config, self.mode = moving, standing, config, mode
        self.leading, self.searched = (moving, standing) if mode == "dense" else (standing, moving)
        self.results, self._curates, self._density = results, curate, density
        self.task = SilentTask() if task is None else task
        self.model, self.tally = PairModel(), Tally(config, several=False)
        self._motions: dict[int, float] = {}
        self._imprecise = 0
        self._repeats: pl.DataFrame | None = None
        self._id_type: pl.DataType | None = None

    def run(self) -> Iterator[MatchedRows]:
        """Match, and yield the result in the order of the leading catalogue, some rows at a time."""
        self.moving.read(self.task)
        self.standing.read(self.task)
        if self._curates:
            self._curate()
        self._search()
        give_back()
        yield from self._finished()

    @property
    def statistics(self) -> Statistics:
        """The counts, after :meth:`run`."""
        return Statistics(
            mode=self.mode,
            method=self.config.method,
            n_lead=self.moving.rows,
            n_external=self.standing.rows,
            n_imprecise=self._imprecise,
            n_duplicates=0 if self._repeats is None else self._repeats.height,
            **self.tally.counts,
            radius=self.config.search_radius,
            median_distance=self.tally.median_distance,
        )

    @property
    def duplicates(self) -> pl.DataFrame:
        """Rows of the external catalogue that repeat another, and the row that represents them."""
        if self._repeats is None:
            return pl.DataFrame(schema=dict.fromkeys(DUPLICATE_COLUMNS, self._id_type))
        return self._repeats.select(
            pl.col("id").alias("original_ext_source_id"), pl.col("stands_for_id").alias("clean_ext_source_id")
        )

    def _curate(self) -> None:
        """Find imprecise and repeated rows of the external catalogue."""
        catalogue = self.standing
        if catalogue.survey is None:
            raise TypeError("curation needs the survey of the catalogue")
        rule = catalogue.survey.duplicates
        step = RepeatSearch(catalogue.survey)
        near, radius = (None, 0.0) if rule is None else (catalogue, rule.radius)
        links, keys = [], []
        for _, _, (imprecise, linked, ranked) in catalogue.each(step, near, lambda _: radius):
            self._imprecise += imprecise
            if linked is not None and ranked is not None:
                links.append(linked)
                keys.append(ranked)
        nothing = np.empty(0, dtype=np.int64)
        curation = Curation(nothing, nothing)
        if links:
            repeats = collapse(np.concatenate(links), pl.concat(keys).unique("row"))
            self._repeats = repeats.select("id", "stands_for_id")
            curation = Curation(repeats["row"].to_numpy(), np.unique(repeats["stands_for"].to_numpy()))
        catalogue.curate(curation)

    def _survey(self) -> DensityMap:
        """Find the density of the searched catalogue, and how far the stars of each piece move."""
        counts, epochs = DensitySum(), Epochs(np.nan, np.nan)
        for catalogue in (self.standing, self.moving):
            moves = catalogue is self.moving
            count = catalogue is self.searched and self._density is None
            step = Extent(count, not catalogue.undivided, epochs if moves else None)
            if not (step.count or step.locate):
                continue
            for piece, _, (density, here, motion) in catalogue.each(step):
                if density is not None:
                    counts.add(density)
                epochs |= here
                if moves and piece >= 0:
                    self._motions[piece] = motion
        return counts.total() if self._density is None else self._density

    def _margin(self) -> Callable[[int], float]:
        """Distance from a piece within which its leading sources can have counterparts, arcsec."""
        radius, motions = self.config.search_radius, self._motions
        if self.mode == "dense":
            return lambda piece: radius + motions[piece]
        farthest = max(motions.values(), default=0.0)
        return lambda _: radius + farthest

    def _search(self) -> None:
        """Find the good neighbours of every piece, with the model of the pairs of all pieces."""
        matcher = Matcher(self.config, self.mode, self.leading.share(self._survey()))
        self._density = None
        steps, margin = PieceSteps(matcher, keep=self.leading.undivided), self._margin()
        if matcher.by_merit:
            self.model = self._learn(steps, margin)
        step = partial(steps.match, model=self.model)
        searched = self.searched.rows if self.mode == "dense" else 0
        self._degree, self._chosen = (np.zeros(searched, dtype=np.int32) for _ in range(2))
        for _, n, (sources, good, nearest) in self.leading.each(step, self.searched, margin):
            self.results.sources.append(sources)
            if good is not None and nearest is not None:
                self._keep(good, nearest)
            self.task.advance(n, "matching")

    def _learn(self, steps: PieceSteps, margin: Callable[[int], float]) -> PairModel:
        samples: list[Sample] = []
        for _, n, sample in self.leading.each(steps.sample, self.searched, margin):
            if sample is not None:
                samples.append(sample)
            if len(samples) > 1:
                samples = [gather(samples)]
            self.task.advance(n, "learning")
        if steps.keep:
            give_back()
        return steps.matcher.learn(samples)

    def _keep(self, good: pl.DataFrame, nearest: pl.DataFrame) -> None:
        """Keep the good neighbours of a piece, and count how often each searched source is one of them."""
        self._id_type = good.schema["original_ext_source_id"]
        if self.mode == "dense":
            searched = good["searched"].to_numpy()
            np.add.at(self._degree, searched, 1)
            np.add.at(self._chosen, searched[good["best"].to_numpy()], 1)
        self.results.found.append(good)
        self.results.nearest.append(nearest)

    def _finished(self) -> Iterator[MatchedRows]:
        if self.mode == "sparse":
            self._resolve()
        groups = self.results.sources.groups
        self.tally = Tally(self.config, several=len(groups) > 1)
        # A single group holds all claims itself.
        claims = self._claims() if len(groups) > 1 else None
        for group in groups:
            rows = self._finish(group, claims)
            self.tally.add(rows)
            yield rows
            del rows

    def _finish(self, group: int, claims: pl.DataFrame | None) -> MatchedRows:
        neighbours = in_leading_order(self.results.found.take(group))
        if self.mode == "dense":
            searched = neighbours["searched"].to_numpy()
            neighbours = add_mates(neighbours, self._degree[searched], self._chosen[searched])
            del searched
        leading = in_leading_order(self.results.sources.take(group))
        nearest = self.results.nearest.take(group)
        lost = unmatched(leading, nearest, neighbours, self.config.pairs, claims=claims)
        # Release what the results do not contain before the best pairs are copied.
        neighbours = neighbours.drop("leading", "searched", "leading_id", "searched_id")
        del leading, nearest
        give_back()
        return MatchedRows(best_pairs(neighbours), neighbour_columns(neighbours), lost)

    def _resolve(self) -> None:
        """Resolve the pairs of a sparse match one-to-one; they are about as many as the external sources."""
        found = self.results.found
        tables = [in_leading_order(found.take(group)) for group in found.groups]
        table = pl.concat(tables) if tables else found.read(0)
        del tables
        found.append(one_to_one(table))

    def _claims(self) -> pl.DataFrame:
        """Good pairs whose searched source is a good neighbour of several leading sources."""
        found = self.results.found
        parts = []
        for group in found.groups:
            table = found.read(group)
            if self.mode == "dense":
                shared = pl.Series(self._degree[table["searched"].to_numpy()] > 1, dtype=pl.Boolean)
                parts.append(table.filter(shared))
            else:
                parts.append(table.filter(pl.col("degree") > 1))
        return pl.concat(parts) if parts else found.read(0)
