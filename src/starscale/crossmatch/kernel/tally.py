"""Counts of a match, and its rows in finished form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from starscale.crossmatch.kernel.select import (
    Mode,
    count_clean,
)
from starscale.vocabulary.settings.match import MatchConfig

#: Bins per arcsecond of the histogram of separations.
_BINS = 1e4


@dataclass(frozen=True, slots=True)
class MatchStatistics:
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
