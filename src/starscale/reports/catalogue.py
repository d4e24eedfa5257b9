"""The section of a report about the catalogue: its figures, and the flags of its stars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from starscale.plots.columns import numbers
from starscale.plots.skymap import looked_at
from starscale.reports import plots
from starscale.reports.blocks import Block, Paragraph, Picture, Section
from starscale.reports.colours import colour_magnitude
from starscale.reports.finished import FinishedRun, count, mapping, spread_sample
from starscale.reports.table import ReportTable
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.flags import CatalogueFlag, describe


def catalogue_section(run: FinishedRun) -> Section:
    """Return the section about the predicted labels, the stars on the sky and the flags."""
    blocks: list[Block] = [*_pictures(run)]
    if not blocks:
        blocks.append(Paragraph("The run has no catalogue yet, or it has no rows."))
    if flags := _flags(run):
        blocks.append(flags)
    return Section("catalogue", "The catalogue", blocks)


def _pictures(run: FinishedRun) -> list[Picture]:
    stars, weight = spread_sample(run.catalogue, ("ra", "dec", "flags", *LABELS))
    if stars.is_empty():
        return []
    labels = [name for name in LABELS if name in stars.columns]
    n = count(stars.height)
    of = f"one star in {weight} of the catalogue ({n} stars)" if weight > 1 else f"all {n} stars of the catalogue"
    found = list(_diagrams(run, stars, of))
    if labels:
        known = (
            ", and of the spectroscopic labels of the test part. Where the first reaches beyond the second, the "
            "model may extrapolate"
        )
        caption = f"Distribution of the predicted labels, {of}{'' if run.untested else known}."
        figure = plots.label_distributions(stars, run.test, labels)
        found.append(run.picture(figure, "Histograms of the predicted labels", caption))
    if {"ra", "dec"} <= set(stars.columns):
        found += _maps(run, stars, weight, of)
    return found


def _diagrams(run: FinishedRun, stars: pl.DataFrame, of: str) -> Iterator[Picture]:
    """Draw the stars in the planes of labels and of colours, as far as the run has them."""
    if {"teff", "logg"} <= set(stars.columns):
        coloured = " and by mean predicted [Fe/H]" if "fe_h" in stars.columns else ""
        caption = f"Kiel diagram of the predicted labels, {of}, by density{coloured}."
        yield run.picture(plots.kiel(stars), "Kiel diagram of the catalogue", caption, hover=True)
    if diagram := colour_magnitude(run, stars, of):
        yield diagram


def _maps(run: FinishedRun, stars: pl.DataFrame, weight: int, of: str) -> Iterator[Picture]:
    """Draw where the stars are, their mean [Fe/H], and the share of them with a flag."""
    place = f"on the sky (ICRS, east to the left), {of}."
    figure = plots.sky(stars, weight=weight)
    picture = run.picture(figure, "Map of the stars on the sky", f"Number of stars {place}", hover=True)
    yield replace(picture, sky=sky_address(stars))
    if "fe_h" in stars.columns and stars["fe_h"].count():
        figure = plots.sky(stars, value="fe_h")
        yield run.picture(figure, "Map of [Fe/H] on the sky", f"Mean predicted [Fe/H] {place}", hover=True)
    if "flags" in stars.columns:
        title = "with a flag"
        figure = plots.sky(stars.with_columns((pl.col("flags") != 0).alias(title)), value=title)
        caption = f"Share of the stars with at least one flag {place}"
        yield run.picture(figure, "Map of the share of stars with a flag on the sky", caption, hover=True)


def sky_address(stars: pl.DataFrame) -> str:
    """Return where a browser shows the field of the stars, or their densest region; empty without positions."""
    place = looked_at(numbers(stars, "ra"), numbers(stars, "dec"))
    if place is None:
        return ""
    ra, dec, width = place
    return f"https://sky.esa.int/esasky/?target={ra:.4f}%20{dec:+.4f}&fov={max(width, 0.05):.3g}"


def _flags(run: FinishedRun) -> ReportTable | None:
    predicted = run.result("predict")
    counts, rows = mapping(predicted.get("flags")), int(predicted.get("rows") or 0)
    known = {name: (str(bit), meaning) for bit, name, meaning in describe(CatalogueFlag)}
    cells = [
        [name, *known.get(name, ("-", "")), count(n), f"{100 * n / rows:.2f} %" if rows else "-"]
        for name, n in counts.items()
    ]
    table = ReportTable(["flag", "bit", "meaning", "stars", "share"], cells)
    return table.captioned("Flags of the catalogue. A star may carry several.", code=(0,)) if cells else None
