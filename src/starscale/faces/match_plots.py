"""Pictures of a match: separations, and what the probabilities promise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from starscale.catalogue.crossmatch.quality import expected_quality
from starscale.faces.plots import BLUE, ORANGE, Array, grid, histogram, nothing

#: Share of the pairs that the axis of separations holds.
_SHOWN = 0.999


def separations(distances: Mapping[str, Array]) -> Figure:
    """Distribution of the separations of the kept pairs of each survey, arcsec."""
    figure, panels = grid(1, len(distances), (3.75, 3.0))
    for axes, (name, values) in zip(panels[0], distances.items(), strict=False):
        known = values[np.isfinite(values)]
        end = float(np.quantile(known, _SHOWN)) if len(known) else 1.0
        end = end or 1e-3
        histogram(axes, (0.0, 1.1 * end), ("", values, BLUE), noun="pairs")
        axes.set(xlabel="separation (arcsec)", ylabel="share of the pairs per bin")
        axes.set_title(name, fontsize=10)
    return figure


def match_quality(best: Mapping[str, Array]) -> Figure:
    """Probabilities of the best pairs of each survey, and what they promise above a threshold.

    Left: distribution of `1 - P`, both axes logarithmic. Right: expected incompleteness and
    contamination of the pairs above a threshold.
    """
    figure, panels = grid(len(best), 2, (4.6, 3.0))
    edges = np.logspace(-8, 0, 49)
    for row, (name, values) in zip(panels, best.items(), strict=False):
        left, right = row
        probability = values[np.isfinite(values)]
        if not len(probability):
            nothing(left)
            nothing(right)
            continue
        left.hist(np.clip(1 - probability, edges[0], 1.0), bins=edges.tolist(), color=BLUE)
        left.set(xscale="log", yscale="log", xlabel="1 - match probability", ylabel="best pairs per bin")
        left.set_title(name, fontsize=10)
        thresholds = 1 - np.logspace(-5, 0, 101)
        curves = expected_quality(probability, thresholds)
        x = 1 - thresholds
        incomplete = np.clip(1 - curves["completeness"].to_numpy(), 1e-8, None)
        right.plot(x, 100 * incomplete, color=BLUE, label="true pairs that are lost")
        right.plot(x, 100 * curves["contamination"].to_numpy(), color=ORANGE, label="wrong pairs among the kept")
        right.set(
            xscale="log", yscale="log", xlabel="1 - threshold on the probability", ylabel="expected share (%)"
        )
        right.set_ylim(1e-4, 100)
        right.legend(fontsize=8, frameon=False)
    return figure
