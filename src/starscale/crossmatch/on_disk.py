"""Match catalogues that are larger than memory: tile by tile, with the kernel of the match in memory.

Both tables are read once and their rows sorted into tiles on disk. Every tile is then matched with
its margin, twice: to learn the errors, and to find the neighbours. What can only be counted over the whole
sky is kept in two small integers for every external source. The result is that of the match
in memory, row for row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.curate import collapse, duplicate_pairs, is_imprecise, rank_keys, take_out
from starscale.crossmatch.kernel.density import DensityMap, DensitySum
from starscale.crossmatch.kernel.engine import Statistics, leading_sources
from starscale.crossmatch.kernel.inputs import error_ceiling, evidence
from starscale.crossmatch.kernel.losses import unmatched
from starscale.crossmatch.kernel.matcher import Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import Epochs, Side, SkyPiece, among
from starscale.crossmatch.kernel.sample import Sample, gather
from starscale.crossmatch.kernel.select import (
    Mode,
    add_mates,
    best_pairs,
    choose_pairs,
    neighbour_columns,
    one_to_one,
    sorted_best_first,
)
from starscale.crossmatch.sky_table import Report, SkyTable
from starscale.io import Writer, open_writer, work_folder
from starscale.io.scatter import Scatter
from starscale.surveys import Survey
from starscale.vocabulary.columns import DUPLICATE_COLUMNS, Column
from starscale.vocabulary.settings.run import MatchConfig

#: Leading rows that are written at a time.
CHUNK = 1_000_000


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files to write; None: not wanted."""

    pairs: Path
    neighbours: Path | None = None
    unmatched: Path | None = None
    duplicates: Path | None = None


@dataclass(frozen=True, slots=True)
class OnDisk:
    """Result of :func:`match_on_disk`.

    Attributes
    ----------
    pairs : int
        Pairs kept.
    statistics : Statistics
        The median separation to a ten-thousandth of an arcsecond.
    model : PairModel
    losses : dict of str to int
        Leading sources without a pair, by reason.
    """

    pairs: int
    statistics: Statistics
    model: PairModel
    losses: Mapping[str, int]


def match_on_disk(
    left: Path,
    right: Path,
    outputs: Outputs,
    *,
    left_survey: Survey,
    right_survey: Survey,
    config: MatchConfig,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str] | None = None,
    order: int = 4,
    report: Report = lambda *_: None,
) -> OnDisk:
    """Match two tables on disk, whatever their size.

    Parameters
    ----------
    left, right : Path
        Gaia, and the catalogue to match it with.
    outputs : Outputs
    left_survey, right_survey : Survey
    config : MatchConfig
    columns : mapping of str to Column
        Descriptions of the columns that are written.
    metadata : mapping of str to str, optional
        Texts for the files.
    order : int
        HEALPix order of the tiles. A tile with its margin must fit in memory.
    report : callable, optional
        Told what is done and how many rows that was.

    Returns
    -------
    OnDisk

    Raises
    ------
    InputError
        As the match in memory.
    """
    with work_folder(outputs.pairs) as folder:
        job = MatchJob(
            SkyTable(left, left_survey, Scatter(folder / "left"), order),
            SkyTable(right, right_survey, Scatter(folder / "right"), order),
            config,
            config.mode or right_survey.match_mode,
            folder,
            report,
        )
        return job.run(outputs, columns, metadata or {})


class MatchJob:
    """The steps of one match; those that look at rows can be done elsewhere (:mod:`starscale.cluster`)."""

    def __init__(
        self,
        moving: SkyTable,
        standing: SkyTable,
        config: MatchConfig,
        mode: Mode,
        folder: Path,
        report: Report,
    ) -> None:
        self.moving, self.standing, self.config, self.mode, self.report = moving, standing, config, mode, report
        self.leading, self.searched = (moving, standing) if mode == "dense" else (standing, moving)
        self.found, self.nearest, self.sources = (
            Scatter(folder / name) for name in ("neighbours", "nearest", "sources")
        )
        self.duplicates: pl.DataFrame | None = None
        self.longest_way = 0.0

    def run(self, outputs: Outputs, columns: Mapping[str, Column], metadata: Mapping[str, str]) -> OnDisk:
        """Match, and write what is wanted."""
        self.moving.scatter(self.report)
        self.standing.scatter(self.report)
        if self.config.curate:
            self._curate()
        self._survey_the_sky()
        self.degree = np.zeros(self.searched.rows, dtype=np.uint32)
        self.chosen = np.zeros(self.searched.rows, dtype=np.uint32)
        matcher = Matcher(self.config, self.mode, self.density)
        model = PairModel()
        if matcher.by_merit:
            samples: list[Sample] = []
            for sample in self._samples(matcher):
                samples.append(sample)
                if len(samples) > 1:
                    samples = [gather(samples)]
            model = matcher.learn(samples)
        for sources, good, nearest in self._matches(matcher, model):
            self._keep_sources(sources)
            self._keep(good, nearest)
        return self._write(outputs, columns, metadata, model)

    def _samples(self, matcher: Matcher) -> Iterator[Sample]:
        """Stars of every piece that the model may be learnt from."""
        for piece in self._pieces("learning"):
            yield matcher.sample(matcher.candidates(piece))

    def _matches(
        self, matcher: Matcher, model: PairModel
    ) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
        """Leading sources of every piece, their good neighbours, and the nearest candidates of those without."""
        for piece in self._pieces("matching"):
            found = matcher.candidates(piece)
            sources = self._sources(piece.leading, np.concatenate([run.covered for run in found]))
            yield (sources, *matcher.neighbours(found, model))
        if -1 in self.leading.tiles.groups:
            side, _ = self.leading.own(-1)
            sources = self._sources(side, np.zeros(len(side), dtype=bool))
            self._keep_sources(sources)

    def _pieces(self, doing: str) -> Iterator[SkyPiece]:
        for tile in self.leading.tiles.groups:
            if tile < 0:
                continue
            own, _ = self.leading.own(tile)
            way = self.epochs.longest_way(own.positions) if self.mode == "dense" else self.longest_way
            near, _ = self.searched.around(tile, self.config.search_radius + way)
            sides = (own, near) if self.mode == "dense" else (near, own)
            yield SkyPiece(*sides, self.mode)
            self.report(doing, len(own))

    def _curate(self) -> None:
        """Find imprecise and repeated rows of the external catalogue, tile by tile."""
        catalogue, rule = self.standing, self.standing.survey.duplicates
        links, keys = [], []
        ceiling = error_ceiling(catalogue.survey)
        for tile in catalogue.tiles.groups:
            own, _ = catalogue.own(tile)
            catalogue.imprecise += int(is_imprecise(own.positions, ceiling).sum())
            if rule is None or tile < 0:
                continue
            side, table = catalogue.around(tile, rule.radius)
            known = evidence(table, catalogue.survey)
            precise = take_out(side.positions, is_imprecise(side.positions, ceiling))
            pairs = duplicate_pairs(precise, rule, known)
            keys.append(rank_keys(side.positions, side.ids, known, np.unique(pairs)))
            keys[-1] = keys[-1].with_columns(pl.Series("row", side.rows[keys[-1]["row"].to_numpy()]))
            links.append(side.rows[pairs])
            self.report("looking for repeated entries", len(own))
        if links:
            self._collapse(links, keys)
        catalogue.curated = True

    def _collapse(self, links: list[NDArray[np.int64]], keys: list[pl.DataFrame]) -> None:
        """Choose which of the repeated rows of the whole external catalogue take part."""
        catalogue = self.standing
        repeats = collapse(np.concatenate(links), pl.concat(keys).unique("row"))
        catalogue.repeats = np.sort(repeats["row"].to_numpy())
        catalogue.stand_ins = np.unique(repeats["stands_for"].to_numpy())
        self.duplicates = repeats.select(
            pl.col("id").alias("original_ext_source_id"), pl.col("stands_for_id").alias("clean_ext_source_id")
        )

    def _survey_the_sky(self) -> None:
        """Count the searched catalogue, and find the range of epochs and the fastest star."""
        counts = DensitySum()
        self.epochs = Epochs(np.nan, np.nan)
        for catalogue in (self.standing, self.moving):
            for tile in catalogue.tiles.groups:
                if tile < 0:
                    continue
                side, _ = catalogue.own(tile)
                if catalogue is self.searched:
                    counts.add(DensityMap.count(side.pixels))
                if catalogue is self.standing:
                    self.epochs |= Epochs.of(side.positions)
                elif self.mode == "sparse":
                    self.longest_way = max(self.longest_way, self.epochs.longest_way(side.positions))
        self.density = counts.total()

    def _keep(self, table: pl.DataFrame, nearest: pl.DataFrame) -> None:
        searched = table["searched"].to_numpy()
        np.add.at(self.degree, searched, 1)
        np.add.at(self.chosen, searched[table["best"].to_numpy()], 1)
        self.found.append(table, table["leading"].to_numpy() // CHUNK)
        self.nearest.append(nearest, nearest["leading"].to_numpy() // CHUNK)

    def _sources(self, side: Side, covered: NDArray[np.bool_]) -> pl.DataFrame:
        repeats = among(side.rows, self.standing.repeats) if self.mode == "sparse" else None
        return leading_sources(side, covered, duplicate=repeats)

    def _keep_sources(self, sources: pl.DataFrame) -> None:
        self.sources.append(sources, sources["leading"].to_numpy() // CHUNK)

    def _write(
        self, outputs: Outputs, columns: Mapping[str, Column], metadata: Mapping[str, str], model: PairModel
    ) -> OnDisk:
        """Finish and write the result in the order of the leading catalogue, some rows at a time."""
        losses: dict[str, int] = {}
        kept = 0
        counts = dict.fromkeys(("n_pairs", "n_matched", "n_strict", "n_loose"), 0)
        histogram = np.zeros(int(self.config.search_radius * 1e4) + 2, dtype=np.int64)
        writers: dict[str, Writer] = {}
        with ExitStack() as stack:
            for parts in self._finished():
                best, everything, lost = parts
                counts["n_pairs"] += everything.height
                counts["n_matched"] += best.height
                counts["n_strict"] += choose_pairs(best, "strict").height
                counts["n_loose"] += choose_pairs(best, "loose").height
                np.add.at(histogram, (best["angular_distance"].to_numpy() * 1e4).astype(np.int64), 1)
                for reason, n in lost["reason"].value_counts().iter_rows():
                    losses[reason] = losses.get(reason, 0) + n
                pairs = choose_pairs(best, self.config.pairs)
                kept += pairs.height
                frames = {
                    "pairs": (outputs.pairs, pairs),
                    "neighbours": (outputs.neighbours, neighbour_columns(everything)),
                    "unmatched": (outputs.unmatched, lost),
                }
                for name, (path, frame) in frames.items():
                    if path is None:
                        continue
                    if name not in writers:
                        writer = open_writer(path, frame.schema, columns=columns, metadata=metadata)
                        writers[name] = stack.enter_context(writer)
                    writers[name].append(frame)
                self.report("writing", best.height)
            if outputs.duplicates is not None:
                table = self._duplicate_table()
                with open_writer(outputs.duplicates, table.schema, columns=columns, metadata=metadata) as writer:
                    writer.append(table)
        middle = np.searchsorted(np.cumsum(histogram), counts["n_matched"] / 2) if counts["n_matched"] else np.nan
        statistics = Statistics(
            mode=self.mode,
            method=self.config.method,
            n_lead=self.moving.rows,
            n_external=self.standing.rows,
            n_imprecise=self.standing.imprecise,
            n_duplicates=len(self.standing.repeats),
            **counts,
            radius=self.config.search_radius,
            median_distance=float(middle) / 1e4,
        )
        return OnDisk(kept, statistics, model, losses)

    def _finished(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
        """Best pairs, all neighbours and losses, for some leading rows after the other."""
        claims = self._claims()
        chosen = self._one_to_one() if self.mode == "sparse" else None
        for group in self.sources.groups:
            table = sorted_best_first(self.found.read(group))
            searched = table["searched"].to_numpy()
            if chosen is None:
                table = add_mates(
                    table, self.degree[searched].astype(np.int64), self.chosen[searched].astype(np.int64)
                )
            else:
                table = chosen.filter(pl.col("leading") // CHUNK == group)
            leading = self.sources.read(group).sort("leading")
            lost = unmatched(leading, self.nearest.read(group), table, self.config.pairs, claims=claims)
            yield best_pairs(table), table, lost

    def _duplicate_table(self) -> pl.DataFrame:
        if self.duplicates is not None:
            return self.duplicates
        id_type = self.standing.tiles.read(0).schema[self.standing.survey.id.column]
        return pl.DataFrame(schema=dict.fromkeys(DUPLICATE_COLUMNS, id_type))

    def _claims(self) -> pl.DataFrame:
        """Good pairs whose searched source is a good neighbour of several leading ones."""
        several = self.degree > 1
        parts = []
        for group in self.found.groups:
            table = self.found.read(group)
            parts.append(table.filter(pl.Series(several[table["searched"].to_numpy()], dtype=pl.Boolean)))
        return pl.concat(parts) if parts else self.found.read(0)

    def _one_to_one(self) -> pl.DataFrame:
        """All good pairs of a sparse match, resolved: there are as many as the sparse catalogue has rows."""
        tables = [self.found.read(group) for group in self.found.groups]
        return one_to_one(sorted_best_first(pl.concat(tables) if tables else self.found.read(0)))
