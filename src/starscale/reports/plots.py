"""Figures of the report: several pictures of :mod:`starscale.plots` as the panels of one figure.

Nothing global of matplotlib changes and no display is needed. Missing values are left out; a panel without values
says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from starscale.plots import accuracy, diagrams, learning, matching, skymap, surveys, uncertainty
from starscale.plots import probabilities as probability_pictures
from starscale.plots.columns import axis_name, numbers
from starscale.plots.drawing import finite, histogram, limits_of
from starscale.plots.style import BLUE, GREY, ORANGE, blank, grid, styled
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS

#: Largest number of bars in a panel: the most important columns over all labels.
_BARS = 20
#: Quantities that the residuals of a calibration are drawn against.
_AXES = ("teff", "logg", "fe_h", "snr")


def one_to_one(test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw predicted against spectroscopic value (Turchi et al. 2024, Fig. 1).

    Parameters
    ----------
    test : polars.DataFrame, (n, ...)
        For every label its prediction, and the spectroscopic value as ``<label>_label``.
    labels : sequence of str
        One panel each.
    """
    figure, panels = grid(1, len(labels), (3.75, 3.25))
    for axes, label in zip(panels[0], labels, strict=False):
        accuracy.one_to_one(test, label, ax=axes)
    return figure


def error_distribution(test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the distribution of ``prediction - label`` as shares of the sample (Turchi et al. 2024, Fig. 2).

    The parameters are those of :func:`one_to_one`.
    """
    figure, panels = grid(1, len(labels), (3.75, 3.2))
    for axes, label in zip(panels[0], labels, strict=False):
        accuracy.error_distribution(test, label, ax=axes)
    return figure


def pulls(test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the distribution of ``(prediction - label) / predicted error`` with a unit Gaussian.

    The parameters are those of :func:`one_to_one`; `test` needs ``<label>_error`` as well.
    """
    figure, panels = grid(1, len(labels), (3.75, 3.2))
    for axes, label in zip(panels[0], labels, strict=False):
        accuracy.pulls(test, label, ax=axes)
    return figure


def reliability(test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw which share of the spectroscopic values lies below each predicted quantile.

    The parameters are those of :func:`one_to_one`; `test` needs the intervals, or ``<label>_error``, as well.
    """
    figure, panels = grid(1, len(labels), (3.75, 3.25))
    for axes, label in zip(panels[0], labels, strict=False):
        uncertainty.reliability(test, label, ax=axes)
    return figure


def probabilities(test: pl.DataFrame, columns: Sequence[str]) -> Figure:
    """Draw calibration, and purity against completeness, of probabilities to be below thresholds.

    Parameters
    ----------
    test : polars.DataFrame, (n, ...)
        The columns, and the spectroscopic value of every label as ``<label>_label``.
    columns : sequence of str
        One column of panels each.
    """
    figure, panels = grid(2, len(columns), (3.4, 3.2))
    for column, top, bottom in zip(columns, *panels, strict=True):
        probability_pictures.probability_calibration(test, column, ax=top)
        probability_pictures.purity_completeness(test, column, ax=bottom)
    return figure


def residual_trends(test: pl.DataFrame, labels: Sequence[str], against: Sequence[str]) -> Figure:
    """Draw ``prediction - label`` with its running median and central 68 %.

    Parameters
    ----------
    test : polars.DataFrame, (n, ...)
        As for :func:`one_to_one`; may have `magnitude`.
    labels : sequence of str
        One row of panels each.
    against : sequence of str
        One column of panels each: labels (their spectroscopic value) or ``magnitude``.
    """
    figure, panels = grid(len(labels), len(against), (2.85, 2.35))
    for row, label in zip(panels, labels, strict=False):
        for axes, name in zip(row, against, strict=False):
            accuracy.residuals(test, label, name if name == "magnitude" else f"{name}_label", ax=axes)
            if axes is not row[0]:
                axes.set_ylabel("")
            if row is not panels[-1]:
                axes.set_xlabel("")
    return figure


def coverage(bins: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the share of stars whose label lies in the 68 and 95 % intervals, with the nominal shares.

    Parameters
    ----------
    bins : polars.DataFrame
        `label`, `by` (``predicted`` or ``magnitude``), `low`, `high`, `n`, `coverage68`, `coverage95`;
        bins with fewer than 20 stars are not drawn.
    labels : sequence of str
        One column of panels each; one row for each `by` that has a bin.
    """
    drawn = bins.filter(pl.col("n") >= 20)
    kinds = [by for by in ("predicted", "magnitude") if by in drawn["by"]] or ["predicted"]
    figure, panels = grid(len(kinds), len(labels), (3.75, 2.8))
    for row, by in zip(panels, kinds, strict=False):
        for axes, label in zip(row, labels, strict=False):
            part = drawn.filter((pl.col("label") == label) & (pl.col("by") == by))
            low, high, n = numbers(part, "low"), numbers(part, "high"), numbers(part, "n")
            shares = [(level, low, high, numbers(part, f"coverage{level}"), n) for level in (68, 95)]
            with styled():
                uncertainty.draw_coverage(axes, shares, legend=axes is panels[0][0])
            axes.set_xlabel(f"predicted {axis_name(label)}" if by == "predicted" else axis_name(by))
            axes.set_ylabel(f"{LABELS[label].name}: in interval (%)")
    return figure


def kiel(stars: pl.DataFrame) -> Figure:
    """Draw two Kiel diagrams: coloured by density, and by the mean [Fe/H] of each cell.

    Parameters
    ----------
    stars : polars.DataFrame, (n, ...)
        `teff`, `logg`, and optionally `fe_h`.
    """
    coloured = bool(np.isfinite(numbers(stars, "fe_h")).any())
    figure, panels = grid(1, 2 if coloured else 1, (5.2, 4.4))
    diagrams.kiel(stars, ax=panels[0][0])
    if coloured:
        diagrams.kiel(stars, colour="fe_h", ax=panels[0][1])
    return figure


def colour_magnitude(stars: pl.DataFrame, bands: Sequence[str], parallax: str | None) -> Figure:
    """Draw colour-magnitude diagrams: by density, by mean [Fe/H], and of absolute magnitudes.

    Parameters
    ----------
    stars : polars.DataFrame, (n, ...)
        Magnitudes, and optionally `fe_h`.
    bands : (str, str, str)
        Columns of the two magnitudes of the colour and of that of the other axis.
    parallax : str, optional
        Column of parallaxes (mas), null where too uncertain for a distance.
    """
    names = dict(zip(("blue", "red", "magnitude"), bands, strict=True))
    coloured = "fe_h" in stars.columns
    figure, panels = grid(1, 1 + coloured + (parallax is not None), (4.3, 3.9))
    left = list(panels[0])
    diagrams.colour_magnitude(stars, **names, ax=left.pop(0))
    if coloured:
        diagrams.colour_magnitude(stars, **names, colour="fe_h", ax=left.pop(0))
    if parallax:
        diagrams.colour_magnitude(stars, **names, parallax=parallax, ax=left.pop(0))
    return figure


def label_distributions(stars: pl.DataFrame, test: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw the distribution of every label of `stars`, and of the labels of `test`, if it has rows."""
    figure, panels = grid(1, len(labels), (3.75, 3.0))
    for axes, label in zip(panels[0], labels, strict=False):
        predicted, known = numbers(stars, label), numbers(test, f"{label}_label")
        limits = limits_of(predicted, known, percent=99.6)
        with styled():
            histogram(axes, limits, ("catalogue", predicted, BLUE), ("spectroscopic, test part", known, ORANGE))
            if axes is panels[0][0] and axes.patches:
                axes.legend(loc="upper left", ncols=2)
        axes.set(xlabel=axis_name(label), ylabel="share of the stars per bin")
    return figure


def sky(stars: pl.DataFrame, *, value: str | None = None, weight: float = 1.0) -> Figure:
    """Draw the stars per square degree, or the mean of a column: a field alone, or the whole sky.

    Parameters
    ----------
    stars : polars.DataFrame, (n, ...)
        `ra` and `dec`, deg, and `value`.
    value : str, optional
        Column of which the map shows the mean, or the share of yes.
    weight : float
        Number of stars that each row represents.
    """
    projection = None if skymap.is_field(numbers(stars, "ra"), numbers(stars, "dec")) else "aitoff"
    with styled():
        figure = blank(8.6, 4.4)
        axes = figure.add_subplot(projection=projection)
    skymap.sky(stars, value=value, weight=weight, ax=axes)
    return figure


def importance_bars(table: pl.DataFrame) -> Figure:
    """Draw the relative increase of the RMSE, one panel a label, the most important column or group at the top.

    Parameters
    ----------
    table : polars.DataFrame
        From :func:`starscale.model.importance.permutation_importance`.
    """
    labels = [name for name in LABELS if name in table["label"]]
    mean = table.group_by("group", maintain_order=True).agg((pl.col("rmse_increase") / pl.col("rmse")).mean())
    order = mean.sort("rmse_increase", descending=True, maintain_order=True)["group"].to_list()[:_BARS]
    figure, panels = grid(1, len(labels), (3.1, 0.7 + 0.26 * len(order)))
    for i, (axes, label) in enumerate(zip(panels[0], labels, strict=False)):
        with styled():
            learning.importance_bars(axes, table.filter(label=label), order)
        if i:
            axes.set_yticklabels([])
        axes.set_title(label)
    return figure


def missing_bands(costs: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """Draw by which factor the errors of the same stars grow without each measurement, one panel a label."""
    longest = int(costs["missing"].n_unique())
    figure, panels = grid(1, len(labels), (3.75, 0.9 + 0.24 * longest))
    for axes, label in zip(panels[0], labels, strict=False):
        learning.missing_bands(costs, label, ax=axes)
    return figure


def separations(distances: Mapping[str, FloatArray]) -> Figure:
    """Draw the distribution of the separations of the kept pairs of each survey, arcsec."""
    figure, panels = grid(1, len(distances), (3.75, 3.0))
    for axes, (name, values) in zip(panels[0], distances.items(), strict=False):
        matching.separations(pl.DataFrame({"angular_distance": values}), ax=axes)
        axes.set_title(name)
    return figure


def match_quality(best: Mapping[str, FloatArray]) -> Figure:
    """Draw the probabilities of the best pairs of each survey, and the quality expected above a threshold.

    Left: distribution of `1 - P`, both axes logarithmic. Right: expected incompleteness and
    contamination of the pairs above a threshold.
    """
    figure, panels = grid(len(best), 2, (4.6, 3.0))
    for row, (name, values) in zip(panels, best.items(), strict=False):
        pairs = pl.DataFrame({"match_probability": values})
        matching.match_probabilities(pairs, ax=row[0])
        matching.purity(pairs, ax=row[1])
        row[0].set_title(name)
    return figure


def likeness(scores: Mapping[str, FloatArray], magnitudes: FloatArray, ends: Any, name: str) -> Figure:
    """Draw the distributions of scores and magnitudes against those of the training stars.

    Parameters
    ----------
    scores : mapping of str to ndarray, shape (n,)
    magnitudes : ndarray, shape (n,)
    ends : (float, float) or None
        Magnitudes of the brightest and the faintest training star.
    name : str
        Column of the magnitude.
    """
    shown = bool(np.isfinite(magnitudes).any()) and ends is not None
    figure, panels = grid(1, len(scores) + shown, (3.6, 3.0))
    for axes, (score, values) in zip(panels[0], scores.items(), strict=False):
        logarithm = np.log10(np.clip(finite(values)[0], 1e-3, None))
        limits = limits_of(logarithm, np.array([-1.0, 0.5]), percent=99.8)
        histogram(axes, limits, ("", logarithm, BLUE))
        axes.axvline(0.0, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel=f"log10 {score}", ylabel="share of the stars per bin")
    if shown:
        axes = panels[0][-1]
        low, high = (float(end) for end in ends)
        limits = limits_of(magnitudes, np.array([low, high]), percent=99.8)
        histogram(axes, limits, ("", magnitudes, BLUE))
        axes.axvspan(low, high, color=ORANGE, alpha=0.12, linewidth=0)
        axes.set(xlabel=f"{name} (mag)", ylabel="share of the stars per bin")
    return figure


def overlap(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Draw the matrix of the stars that every two surveys have in common."""
    with styled():
        figure = blank(2.6 + 0.85 * len(names), 1.6 + 0.6 * len(names))
        surveys.draw_overlap(figure.add_subplot(), names, counts)
    return figure


def residuals(rows: Sequence[Mapping[str, Any]], names: Sequence[str], label: str) -> Figure:
    """Draw each survey minus the others against labels and signal-to-noise: before (top), after (bottom).

    Parameters
    ----------
    rows : sequence of mapping
        `residuals` of the diagnostics of a calibration.
    names : sequence of str
        Surveys; their order sets the colours.
    label : str
    """
    mine = [row for row in rows if row["label"] == label]
    shown = [by for by in _AXES if any(row["by"] == by for row in mine)]
    n = max(len(shown), 1)
    with styled():
        figure = blank(2.9 * n + 0.6, 4.9)
        panels: Any = figure.subplots(2, n, squeeze=False, sharey=True, sharex="col")
        for line, when in zip(panels, ("before", "after"), strict=True):
            for axes, by in zip(line, shown, strict=False):
                surveys.draw_residuals(axes, mine, names, by, when)
            line[0].set_ylabel(f"survey - others, {when}\n{axis_name(label)}")
        for axes, by in zip(panels[1], shown, strict=False):
            axes.set_xlabel("signal-to-noise ratio" if by == "snr" else axis_name(by))
        _legend(figure, panels[0][0])
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    """One legend below all panels; none for axes without lines."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5))


def error_factors(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Figure:
    """Draw the error factors from repeats, from the N-cornered hat, and the adopted ones; one panel a label."""
    labels = [name for name in LABELS if any(row["label"] == name for row in rows)]
    n = max(len(labels), 1)
    with styled():
        figure = blank(3.1 * n + 1.2, 1.3 + 0.34 * len(names))
        panels: Any = figure.subplots(1, n, squeeze=False, sharey=True)
    for axes, label in zip(panels[0], labels, strict=False):
        surveys.draw_error_factors(axes, [row for row in rows if row["label"] == label], names)
        axes.set(title=label, xlabel="factor on quoted errors")
    panels[0][0].set_yticks(range(len(names)), list(names)[::-1], fontsize=8)
    return figure
