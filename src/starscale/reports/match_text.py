"""What the numbers of a match are called, and its tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starscale.crossmatch.kernel.engine import Statistics
from starscale.crossmatch.kernel.losses import REASONS

COUNTS = {
    "mode": "who leads (dense: Gaia; sparse: the survey)",
    "method": "method",
    "order": "cuts before or after",
    "n_lead": "sources of the leading catalogue",
    "n_external": "sources of the survey",
    "n_imprecise": "of which with an absurd position error, left out",
    "n_duplicates": "of which repeat another and were collapsed",
    "radius": "search radius (arcsec)",
    "n_pairs": "good pairs",
    "n_matched": "sources with a best neighbour",
    "n_strict": "of which alone on either side (strict)",
    "n_loose": "of which with one neighbour and no mates (loose)",
    "median_distance": "median separation of best neighbours (arcsec)",
    "pairs": "which are kept",
    "n_kept": "pairs kept, after all cuts",
}
MODEL = {
    "learnt_from": "stars that the errors were learnt from (0: taken as stated)",
    "error_scale": "factor on the survey's position errors",
    "error_floor_mas": "further error of all pairs (mas)",
    "offset_rms_mas": "typical local offset of the survey's frame, removed (mas)",
    "blended_share": "share of blended pairs",
    "blended_error_mas": "further error of blended pairs (mas)",
}


def plain(value: Any) -> str:
    """A count or a measure in print."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def match_rows(statistics: Statistics, model: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the table that the command prints."""
    found = {**asdict(statistics), **model}
    names = {**COUNTS, **(MODEL if statistics.method == "figure_of_merit" else {})}
    return ["match", "value"], [[meaning, plain(found[key])] for key, meaning in names.items() if key in found]


def loss_rows(losses: Mapping[str, int]) -> list[list[str]]:
    """Rows of the table of losses."""
    return [[meaning, plain(losses[reason])] for reason, meaning in REASONS.items() if reason in losses]
