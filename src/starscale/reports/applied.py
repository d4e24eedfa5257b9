"""Sections of the report of an applied model: what came out, and how unlike the training stars these are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from starscale.plots.columns import numbers
from starscale.reports import plots
from starscale.reports.blocks import Block, Facts, Paragraph, Picture, Section, html
from starscale.reports.finished import FinishedRun, count, mapping, spread_sample
from starscale.reports.table import ReportTable
from starscale.reports.text import attrition_table, figures_table, prior_text
from starscale.tables.cuts import Attrition
from starscale.vocabulary.flags import CatalogueFlag

_SCORES = ("domain_score", "label_score")


def applied_section(run: FinishedRun) -> Section:
    """Return the section about the model that was applied, what came out, and what its figures promise."""
    lead = next(iter(run.attritions("clean").values()), None)
    predicted, about = run.result("predict"), run.applied
    facts = {
        "stars in": lead.n_in if lead else None,
        "after cuts and match": run.result("join").get("stars"),
        "predicted": predicted.get("predicted"),
    }
    blocks: list[Block] = [
        Facts([(what, count(value)) for what, value in facts.items() if value is not None]),
        Paragraph(_model(about)),
    ]
    for kind in ("warnings", "notes"):
        blocks += [Paragraph(html("<b>{kind}:</b> {said}.", kind=kind[:-1], said=t)) for t in about.get(kind, ())]
    if prior := prior_text(mapping(about.get("asked"))):
        blocks.append(Paragraph(prior))
    if about.get("figures"):
        figures = pl.DataFrame(list(about["figures"]), infer_schema_length=None)
        caption = (
            "Errors of the model on the test part of its training: prediction - spectroscopic value. They hold "
            "for stars like those only; the next section says how unlike them the stars of this catalogue are."
        )
        blocks.append(figures_table(figures, predicted_error=True).captioned(caption))
    return Section("applied", "Summary", blocks)


def _model(about: Mapping[str, Any]) -> str:
    """Say which model was applied, with a link to its card."""
    stars = about.get("training_stars")
    trained = (
        f"{count(stars)} {'MOCK (simulated) ' if about.get('mock') else ''}stars" if stars else "unknown stars"
    )
    text = "Model “{title}” ({method}), trained on {trained}; SHA-256 {digest}. "
    text += "Its cuts removed rows." if about.get("clean") else "Its cuts removed no row: they set a flag."
    if about.get("card"):
        text += ' <a href="{card}">Model card</a>.'
    return html(
        text,
        title=str(about.get("title") or "without a title"),
        method=str(about.get("method", "")),
        trained=trained,
        digest=str(about.get("sha256", ""))[:12],
        card=str(about.get("card", "")),
    )


def likeness_section(run: FinishedRun) -> Section:
    """Return the section that says how unlike the training stars the stars of the catalogue are."""
    about = run.applied
    wanted = ("ra", "dec", "flags", *_SCORES)
    stars, weight = spread_sample(run.catalogue, wanted)
    if stars.is_empty():
        return Section("likeness", "Unlike the training stars?", [Paragraph("The catalogue has no rows.")])
    text = (
        "No label is known here, so errors cannot be measured. The figures say where the model is asked for more "
        "than it was trained and tested on: a score above 1 is exceeded by 1 % of the held-out stars of its "
        "training; a star outside the range of magnitudes is fainter or brighter than every training star. The "
        "errors and intervals of such stars are not tested."
    )
    blocks: list[Block] = [Paragraph(text), _shares(run)]
    blocks += _pictures(run, stars, weight, about)
    if failures := mapping(run.result("cuts").get("attrition")):
        attrition = Attrition.from_dict(failures)
        caption = "Stars that fail a cut which all training stars passed. They stay, with the flag CUT_FAILED."
        blocks.append(attrition_table(attrition).captioned(caption, code=(1,)))
    return Section("likeness", "Unlike the training stars?", blocks)


def _shares(run: FinishedRun) -> ReportTable:
    """Return the shares of the stars beyond the training stars, with those of its held-out stars."""
    predicted = run.result("predict")
    flags, rows = mapping(predicted.get("flags")), int(predicted.get("rows") or 0)
    named = {
        CatalogueFlag.OUT_OF_DOMAIN: ("inputs unlike the training stars (domain_score above 1)", "1 %"),
        CatalogueFlag.LABEL_OUT_OF_RANGE: (
            "labels unlike theirs (label_score above 1, out of range)",
            "about 1 %",
        ),
        CatalogueFlag.OUTSIDE_MAGNITUDES: ("fainter or brighter than all of them", "about 0 %"),
        CatalogueFlag.UNCERTAIN: ("unusually wide 95 % interval", "5 %"),
        CatalogueFlag.INPUT_IMPUTED: ("unusual set of missing inputs", "-"),
        CatalogueFlag.CUT_FAILED: ("fails a cut that they passed", "0 %"),
    }
    cells = [
        [meaning, str(flag.name), count(n), f"{100 * n / rows:.1f} %" if rows else "-", usual]
        for flag, (meaning, usual) in named.items()
        if isinstance(n := flags.get(str(flag.name)), int)
    ]
    caption = (
        "Stars of the catalogue that differ from the training stars, and the share of held-out stars that do."
    )
    table = ReportTable(["what", "flag", "stars", "share", "held-out stars"], cells)
    return table.captioned(caption, code=(1,))


def _pictures(run: FinishedRun, stars: pl.DataFrame, weight: int, about: Mapping[str, Any]) -> list[Picture]:
    n = count(stars.height)
    of = f"one star in {weight} of the catalogue ({n} stars)" if weight > 1 else f"all {n} stars of the catalogue"
    scores = {name: numbers(stars, name) for name in _SCORES}
    magnitudes, ends = np.empty(0), about.get("magnitude_range")
    if about.get("magnitude") and ends:
        table, _ = spread_sample(run.matched, (str(about["magnitude"]),))
        magnitudes = numbers(table, str(about["magnitude"]))
    caption = (
        f"Scores (1: the limit of the training stars, dashed) and magnitudes (shaded: the range of the training "
        f"stars), {of}."
    )
    found = [
        run.picture(
            plots.likeness(scores, magnitudes, ends, str(about.get("magnitude") or "")),
            "Histograms of domain score, label score and magnitude",
            caption,
        )
    ]
    if {"ra", "dec", "flags"} <= set(stars.columns):
        beyond = CatalogueFlag.OUT_OF_DOMAIN | CatalogueFlag.LABEL_OUT_OF_RANGE | CatalogueFlag.OUTSIDE_MAGNITUDES
        marked = stars.with_columns((pl.col("flags") & int(beyond) > 0).alias("marked"))
        names = ", ".join(str(flag.name) for flag in beyond)
        figure = plots.sky(marked, value="marked")
        caption = f"Share of the stars with one of the flags {names} on the sky (ICRS, east to the left), {of}."
        found.append(run.picture(figure, "Map of the share of flagged stars on the sky", caption))
    return found
