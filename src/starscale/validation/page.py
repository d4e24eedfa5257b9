"""The page of a validated catalogue: verdicts in words, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from starscale.reports.blocks import Block, Facts, Paragraph, Picture, Section, folded, html, render
from starscale.reports.table import ReportTable
from starscale.validation.checks import FAILS, FEWEST, OFFSET, PASSES, SCALE, TOO_FEW, TREND
from starscale.validation.result import Validated
from starscale.validation.samples import CLUSTER, ERROR, REFERENCE
from starscale.vocabulary.later import Later

if TYPE_CHECKING:
    from matplotlib.axes import Axes

plots, style = Later("starscale.plots"), Later("starscale.plots.style")

#: Most clusters that are drawn, each in a panel.
_PANELS = 12
#: Members below this number are drawn as larger points.
_FEW = 200
_WIDE, _TALL = 3.5, 3.0
_TITLES = {
    "clusters": "Clusters",
    "benchmark": "Benchmark stars",
    "seismic": "Gravities from seismology",
    "against": "Another catalogue",
    "wide binaries": "Wide binaries",
}
_MEANING = {
    "clusters": "The members of a cluster have one metallicity: [Fe/H] of a cluster has an offset from its known "
    "value, a scatter that the stated errors should explain, and no trend with temperature. Diffusion and mixing "
    "make real trends of up to 0.1 dex between dwarfs and giants.",
    "benchmark": "Stars whose labels are known well from other methods.",
    "seismic": "Surface gravities from oscillations are accurate to about 0.02 dex.",
    "against": "Differences from another catalogue do not say which of the two is right.",
    "wide binaries": "Two stars that were born together have one metallicity: their difference should be what the "
    "stated errors explain, whatever the difference of their temperatures.",
}
_QUANTITIES = {OFFSET: "offset", SCALE: "scatter / stated error", TREND: "trend per 1000 K"}


def validation_page(result: Validated, where: str) -> str:
    """Return the page of a validated catalogue.

    Parameters
    ----------
    result : Validated
    where : str
        Name of the catalogue.
    """
    sections = [_verdicts(result), *(_test(result, test) for test in result.stars)]
    return render(f"Is the catalogue right? {where}", "Report of starscale validate", sections, mock=result.mock)


def _verdicts(result: Validated) -> Section:
    verdicts = result.checks["verdict"]
    facts = [(name, str(int((verdicts == word).sum()))) for name, word in
             (("checks that pass", PASSES), ("checks that fail", FAILS), (TOO_FEW, TOO_FEW))]  # fmt: skip
    rule = html(
        "A check fails if its value lies outside the range that is no fault by more than chance. All checks of "
        "the page are judged together (Holm 1979), so that a catalogue without faults has any fault here with a "
        "probability below {level:g}. Outliers, such as non-members, have little or no weight.",
        level=result.level,
    )
    blocks: list[Block] = [Facts(facts)]
    blocks += [
        Paragraph(html("<b>Fault:</b> {fault}.", fault=fault.replace("+-", "±")))
        for fault in result.fault_sentences
    ]
    if not result.fault_sentences:
        blocks.append(Paragraph("No fault was found." if result.passed else f"Nothing was tested: {TOO_FEW}."))
    blocks += [Paragraph(html("<b>Note:</b> {note}.", note=note)) for note in result.notes]
    blocks += [Paragraph(rule), folded(_table(result.checks, "All checks."))]
    return Section("verdicts", "Verdicts", blocks)


def _table(checks: pl.DataFrame, caption: str) -> ReportTable:
    """Return checks as a table for reading."""
    rows = []
    for row in checks.iter_rows(named=True):
        cells = ["-", "-", "-"]
        if row["value"] is not None:
            places = _places(row)
            cells = [
                f"{row['value']:.{places}f} +- {row['error']:.{places}f}",
                f"{row['low']:.{places}f} to {row['high']:.{places}f}",
                f"{row['sigma']:.1f}",
            ]
        names = [row["test"], row["group"], row["label"], _QUANTITIES[row["quantity"]], row["unit"] or "-"]
        rows.append([*names, f"{row['n']:,}", f"{row['outliers']:,}", *cells, row["verdict"]])
    headings = [
        "test",
        "group",
        "column",
        "quantity",
        "unit",
        "stars",
        "outliers",
        "value",
        "no fault",
        "sigma",
        "verdict",
    ]
    return ReportTable(headings, rows, caption=caption)


def _places(row: dict[str, Any]) -> int:
    """Return decimals that suit the unit."""
    return 2 if row["quantity"] == SCALE else 1 if row["unit"].partition("/")[0] == "K" else 3


def _test(result: Validated, test: str) -> Section:
    """Return the section of one test."""
    checks, stars = result.checks.filter(pl.col("test") == test), result.stars[test]
    verdicts = checks["verdict"]
    words = [f"{int((verdicts == word).sum())} {name}" for word, name in
             ((PASSES, "pass"), (FAILS, "fail"), (TOO_FEW, f"have too few stars (below {FEWEST})"))
             if (verdicts == word).any()]  # fmt: skip
    blocks: list[Block] = [
        Paragraph(f"{_MEANING[test]} {stars.height:,} {'pairs' if test == 'wide binaries' else 'stars'}; of the "
                  f"checks {', '.join(words) or 'none was done'}.")
    ]  # fmt: skip
    draw = _clusters if test == "clusters" else _pairs if test == "wide binaries" else _labels
    blocks += draw(checks, stars, result.mock)
    caption = f"Checks: {_TITLES[test].lower()}."
    blocks.append(folded(_table(checks, caption)))
    return Section(test.replace(" ", "-"), _TITLES[test], blocks)


def _labels(checks: pl.DataFrame, stars: pl.DataFrame, mock: bool) -> list[Block]:
    """Draw one to one, residuals and pulls of every label."""
    labels = checks["label"].unique(maintain_order=True).to_list()
    figure, panels = style.grid(len(labels), 3, (_WIDE + 0.4, _TALL))
    along = next(name for name in (f"teff{REFERENCE}", "teff", "") if name in stars.columns or not name)
    for label, row in zip(labels, panels, strict=True):
        known = f"{label}{REFERENCE}"
        plots.one_to_one(stars, label, reference=known, ax=row[0])
        plots.residuals(stars, label, along or known, reference=known, ax=row[1])
        row[0].set_ylabel(row[0].get_ylabel().replace("predicted", "catalogue:"))
        row[1].set_ylabel(row[1].get_ylabel().replace("error of", "difference of"))
        row[1].set_xlabel(row[1].get_xlabel().removeprefix("spectroscopic "))
        _pulls(stars, label, row[2])
    caption = (
        "Catalogue against the other table, difference (catalogue - other) with running median and 16 to 84 %, "
        "and difference over its stated error with a unit Gaussian."
    )
    return [Picture.of(figure, "Values, differences and pulls", caption, mock=mock)]


def _pulls(stars: pl.DataFrame, label: str, axes: Axes) -> None:
    if f"{label}{ERROR}" in stars.columns:
        plots.pulls(stars, label, reference=f"{label}{REFERENCE}", error=f"{label}{ERROR}", ax=axes)
        axes.set_xlabel(f"difference of {label} / stated error")
    else:
        plots.error_distribution(stars, label, reference=f"{label}{REFERENCE}", ax=axes)


def _pairs(_: pl.DataFrame, stars: pl.DataFrame, mock: bool) -> list[Block]:
    """Draw the two stars of every pair against each other, their difference and its pulls."""
    figure, panels = style.grid(1, 3, (_WIDE + 0.4, _TALL))
    known = f"fe_h{REFERENCE}"
    plots.one_to_one(stars, "fe_h", reference=known, ax=panels[0][0])
    panels[0][0].set(xlabel="[Fe/H] of the second star", ylabel="[Fe/H] of the first star")
    along = "teff_difference" if "teff_difference" in stars.columns else known
    plots.residuals(stars, "fe_h", along, reference=known, ax=panels[0][1])
    panels[0][1].set_ylabel("difference of [Fe/H] (dex)")
    if along != known:
        panels[0][1].set_xlabel("difference of temperature (K)")
    _pulls(stars, "fe_h", panels[0][2])
    caption = "The two stars of every pair, their difference, and their difference over its stated error."
    return [Picture.of(figure, "Metallicities of pairs", caption, mock=mock)]


def _clusters(checks: pl.DataFrame, stars: pl.DataFrame, mock: bool) -> list[Block]:
    """Draw the checks of every cluster, and metallicity against temperature in the largest ones."""
    blocks: list[Block] = [_forest(checks, mock)]
    if "teff" not in stars.columns:
        return blocks
    sizes = stars[CLUSTER].value_counts(sort=True).filter(pl.col("count") >= FEWEST).head(_PANELS)
    names = sorted(sizes[CLUSTER].to_list())
    if not names:
        return blocks
    figure, panels = style.grid(-(-len(names) // 3), 3, (_WIDE + 0.2, _TALL - 0.3))
    flat = [axes for row in panels for axes in row]
    for name, axes in zip(names, flat, strict=False):
        members = stars.filter(pl.col(CLUSTER) == name).with_columns(pl.col("fe_h").median().alias("_median"))
        plots.residuals(members, "fe_h", "teff", reference="_median", ax=axes)
        if members.height < _FEW:
            # Few stars of a density are hard to see.
            difference = members["fe_h"] - members["_median"]
            axes.plot(members["teff"], difference, "o", color=style.BLUE, markersize=3, markeredgewidth=0)
        axes.set(title=name, ylabel="[Fe/H] - median (dex)")
    for axes in flat[len(names) :]:
        axes.set_axis_off()
    caption = (
        "Metallicity minus the median of the cluster against temperature, with running median and 16 to 84 %."
    )
    if sizes.height < stars[CLUSTER].n_unique():
        caption += f" The {sizes.height} largest clusters."
    blocks.append(Picture.of(figure, "Metallicity against temperature in every cluster", caption, mock=mock))
    return blocks


def _forest(checks: pl.DataFrame, mock: bool) -> Picture:
    """Draw the values of every cluster with their errors and the range that is no fault."""
    quantities = [name for name in _QUANTITIES if (checks["quantity"] == name).any()]
    groups: Sequence[str] = checks["group"].unique(maintain_order=True).to_list()[::-1]
    figure, panels = style.grid(1, len(quantities), (_WIDE + 0.2, 1.2 + 0.28 * len(groups)))
    for quantity, axes in zip(quantities, panels[0], strict=True):
        rows = checks.filter((pl.col("quantity") == quantity) & pl.col("value").is_not_null())
        for row in rows.iter_rows(named=True):
            place = groups.index(row["group"])
            colour, marker = (style.ORANGE, "s") if row["verdict"] == FAILS else (style.BLUE, "o")
            axes.fill_betweenx([place - 0.4, place + 0.4], row["low"], row["high"], color="#cccccc", alpha=0.5)
            axes.errorbar(
                row["value"], place, xerr=row["error"], fmt=marker, color=colour, markersize=5, capsize=2
            )
        unit = "" if quantity == SCALE else " (dex)"
        axes.set(xlabel=f"{_QUANTITIES[quantity]}{unit}", ylim=(-0.6, len(groups) - 0.4))
        axes.set_yticks(range(len(groups)), groups if axes is panels[0][0] else [])
    caption = "Checks of every cluster with their errors; grey: range that is no fault; orange squares: fails."
    return Picture.of(figure, "Offset, scatter and trend of every cluster", caption, mock=mock)
