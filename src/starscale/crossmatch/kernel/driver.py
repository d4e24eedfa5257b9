"""The cross-match of two catalogues of any size, in memory, on disk or on a cluster.

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
from functools import partial

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.curate import collapse
from starscale.crossmatch.kernel.density import DensityMap, DensitySum
from starscale.crossmatch.kernel.inputs import Curation
from starscale.crossmatch.kernel.losses import unmatched
from starscale.crossmatch.kernel.matcher import Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.piece_steps import PieceExtent, PieceSteps, RepeatSearch
from starscale.crossmatch.kernel.pieces import NO_EPOCHS, Epochs
from starscale.crossmatch.kernel.sample import SampleSum
from starscale.crossmatch.kernel.select import (
    Mode,
    add_mates,
    best_pairs,
    in_leading_order,
    neighbour_columns,
    one_to_one,
)
from starscale.crossmatch.kernel.stores import Catalogue, Results
from starscale.crossmatch.kernel.tally import MatchedRows, MatchStatistics, Tally
from starscale.io.threads import give_back
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.columns import DUPLICATE_COLUMNS
from starscale.vocabulary.progress import SilentTask, Task
from starscale.vocabulary.settings.match import MatchConfig


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
        # How often each searched source is a good neighbour, and the best one; filled in a dense match.
        self._degree = self._chosen = np.empty(0, dtype=np.int32)
        self._imprecise = 0
        self._repeats: pl.DataFrame | None = None
        # Density, if it is searched, and epochs of the external catalogue after curation.
        self._standing: tuple[DensityMap, Epochs] | None = None
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
    def statistics(self) -> MatchStatistics:
        """Return the counts, after :meth:`run`."""
        return MatchStatistics(
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
    def account(self) -> RowAccount:
        """Leading sources, those with a kept pair, and the others by reason; after :meth:`run`.

        Raises
        ------
        UnaccountedRowsError
            A leading source is in neither.
        """
        return RowAccount(self.leading.rows, self.tally.kept, self.tally.losses)

    @property
    def duplicates(self) -> pl.DataFrame:
        """Rows of the external catalogue that repeat another, and the row that represents them."""
        if self._repeats is None:
            return pl.DataFrame(schema=dict.fromkeys(DUPLICATE_COLUMNS, self._id_type))
        return self._repeats.select(
            pl.col("id").alias("original_ext_source_id"), pl.col("stands_for_id").alias("clean_ext_source_id")
        )

    def _curate(self) -> None:
        """Find imprecise and repeated rows of the external catalogue, and its extent without them."""
        catalogue = self.standing
        if catalogue.survey is None:
            raise TypeError("curation needs the survey of the catalogue")
        rule = catalogue.survey.duplicates
        step = RepeatSearch(catalogue.survey, self.config.search_radius / 3600, self._extent_of(catalogue))
        near, radius = (None, 0.0) if rule is None else (catalogue, rule.radius)
        links, keys, counts, epochs = [], [], DensitySum(), NO_EPOCHS
        for _, _, (imprecise, (density, here, _), linked, ranked) in catalogue.each(step, near, lambda _: radius):
            self._imprecise += imprecise
            epochs |= here
            if density is not None:
                counts.add(density)
            if linked is not None and ranked is not None:
                links.append(linked)
                keys.append(ranked)
        curation, total = Curation.of_nothing(), counts.total()
        if links:
            known = pl.concat(keys).unique("row")
            repeats = collapse(np.concatenate(links), known)
            self._repeats = repeats.select("id", "stands_for_id")
            curation = Curation(repeats["row"].to_numpy(), np.unique(repeats["stands_for"].to_numpy()))
            if step.extent.count:
                total = total.without(known.join(repeats, on="row", how="semi")["cell"].to_numpy())
        catalogue.curate(curation)
        self._standing = total, epochs

    def _survey(self) -> DensityMap:
        """Find the density of the searched catalogue, and how far the stars of each piece move."""
        standing, epochs = self._surveyed(self.standing) if self._standing is None else self._standing
        # The stars of Gaia are moved to the epochs of the external catalogue.
        moving, _ = self._surveyed(self.moving, epochs)
        self._standing = None
        if self._density is not None:
            return self._density
        return moving if self.searched is self.moving else standing

    def _surveyed(self, catalogue: Catalogue, between: Epochs | None = None) -> tuple[DensityMap, Epochs]:
        """Count the density of a catalogue, and find its epochs or (with `between`) the motions of its pieces."""
        step, counts, epochs = self._extent_of(catalogue, between), DensitySum(), NO_EPOCHS
        if step.count or step.locate:
            for piece, _, (density, here, motion) in catalogue.each(step):
                if density is not None:
                    counts.add(density)
                epochs |= here
                if between is not None and piece >= 0:
                    self._motions[piece] = motion
        return counts.total(), epochs

    def _extent_of(self, catalogue: Catalogue, between: Epochs | None = None) -> PieceExtent:
        """Return the step that finds what a match has to know of a catalogue beforehand."""
        count = catalogue is self.searched and self._density is None
        return PieceExtent(count, not catalogue.undivided, between)

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
        steps, margin = PieceSteps(matcher, self.results.candidates, self.leading.undivided), self._margin()
        if matcher.by_merit:
            self.model = self._learn(steps, margin)
        step = partial(steps.match, model=self.model)
        for _, n, (sources, good, nearest) in self.leading.each(step, self.searched, margin):
            self.results.sources.append(sources)
            if good is not None and nearest is not None:
                self._keep(good, nearest)
            self.task.advance(n, "matching")

    def _learn(self, steps: PieceSteps, margin: Callable[[int], float]) -> PairModel:
        samples = SampleSum()
        for _, n, sample in self.leading.each(steps.sample, self.searched, margin):
            if sample is not None:
                samples.add(sample)
            self.task.advance(n, "learning")
        if steps.whole:
            give_back()
        return steps.matcher.learn(samples.parts)

    def _keep(self, good: pl.DataFrame, nearest: pl.DataFrame) -> None:
        """Keep the good neighbours of a piece, and count how often each searched source is one of them."""
        self._id_type = good.schema["original_ext_source_id"]
        if self.mode == "dense":
            if not len(self._degree):
                # Allocated late: the candidates, which take most of the memory, have been released.
                self._degree, self._chosen = (np.zeros(self.searched.rows, dtype=np.int32) for _ in range(2))
            searched = good["searched"].to_numpy()
            # numpy adds a number of the type of the array twenty times faster than a Python integer.
            np.add.at(self._degree, searched, np.int32(1))
            np.add.at(self._chosen, searched[good["best"].to_numpy()], np.int32(1))
        self.results.found.append(good)
        self.results.nearest.append(nearest)

    def _finished(self) -> Iterator[MatchedRows]:
        if self.mode == "sparse":
            self._resolve()
        groups = self.results.sources.groups
        self.tally = Tally(self.config, several=len(groups) > 1)
        # A single group contains all pairs.
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
            if claims is None:
                # The only group: the counts are not needed again.
                self._degree = self._chosen = self._degree[:0].copy()
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
