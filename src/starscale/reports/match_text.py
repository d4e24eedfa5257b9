"""Names of the counts and parameters of a match, and its tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starscale.crossmatch.kernel.losses import REASONS
from starscale.crossmatch.kernel.tally import MatchStatistics
from starscale.reports.table import ReportTable

COUNTS = {
    "mode": "leading catalogue (dense: Gaia; sparse: the survey)",
    "method": "method",
    "order": "order of cuts and match",
    "n_lead": "sources of the leading catalogue",
    "n_external": "sources of the survey",
    "n_imprecise": "of which with an implausible position error, left out",
    "n_duplicates": "of which duplicates, merged",
    "radius": "search radius (arcsec)",
    "n_pairs": "good pairs",
    "n_matched": "sources with a best neighbour",
    "n_strict": "of which with exactly one neighbour on both sides (strict)",
    "n_loose": "of which with one neighbour and no mates (loose)",
    "median_distance": "median separation of best neighbours (arcsec)",
    "pairs": "kind of pairs that are kept",
    "n_kept": "pairs kept, after all cuts",
}
MODEL = {
    "learnt_from": "stars that the position errors were fitted to (0: errors as stated)",
    "error_scale": "factor on the survey's position errors",
    "error_floor_mas": "additional error of all pairs (mas)",
    "offset_rms_mas": "typical local offset of the survey's frame, removed (mas)",
    "blended_share": "share of blended pairs",
    "blended_error_mas": "additional error of blended pairs (mas)",
}


def plain(value: Any) -> str:
    """Format a count or a measured value."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def match_table(statistics: MatchStatistics, model: Mapping[str, Any]) -> ReportTable:
    """Return the counts and the model of a match, as the command prints them."""
    found = {**asdict(statistics), **model}
    names = {**COUNTS, **(MODEL if statistics.method == "figure_of_merit" else {})}
    rows = [[meaning, plain(found[key])] for key, meaning in names.items() if key in found]
    return ReportTable(["match", "value"], rows)


def losses_table(losses: Mapping[str, int]) -> ReportTable:
    """Return the number of sources without a pair, by reason."""
    rows = [[meaning, plain(losses[reason])] for reason, meaning in REASONS.items() if reason in losses]
    return ReportTable(["without a pair, because", "sources"], rows)
