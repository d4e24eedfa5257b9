"""Sections of a report about errors: summary, accuracy, missing bands, uncertainty, comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from starscale.features.splits import PARTS
from starscale.model.evaluate import BINS, FIGURES, evaluate
from starscale.model.label_scale import LabelNoise, LabelScale
from starscale.plots.drawing import binomial_error
from starscale.reports import plots
from starscale.reports.answers import answers
from starscale.reports.blocks import Answers, Block, Facts, Paragraph, Section, folded, html
from starscale.reports.finished import FinishedRun, count, mapping
from starscale.reports.importance import importance_section
from starscale.reports.models import models_section
from starscale.reports.probabilities import probability_section
from starscale.reports.table import ReportTable
from starscale.reports.text import (
    HEADINGS,
    SHARES_TEXT,
    conditional_table,
    figures_table,
    missing_table,
    prior_text,
    scale_table,
    scale_text,
    shares_table,
)
from starscale.vocabulary.columns import LABELS

_NUMBERS = ("low", "high", "n", *FIGURES, *(f"{name}_spread" for name in FIGURES))
_FIGURES_SCHEMA = {"label": pl.String, "by": pl.String, **dict.fromkeys(_NUMBERS, pl.Float64)}


def summary_section(run: FinishedRun) -> Section:
    """Return the section with the numbers of stars from the tables to the catalogue, and the errors."""
    figures = _figures(run.metrics.get("test"))
    blocks: list[Block] = [Answers(answers(run, figures)), Facts(_facts(run))]
    if prior := prior_text(mapping(run.metrics.get("asked"))):
        blocks.append(Paragraph(f"{prior} Figures of the test part are of values under the same prior."))
    if figures.is_empty():
        blocks.append(Paragraph("The run has no figures of merit yet: it did not come to its end."))
    else:
        blocks += [
            figures_table(figures, predicted_error=True).captioned(
                html("Errors of the predictions: {sample}.", sample=_sample(run))
            ),
            Paragraph(
                html(
                    "The standard deviation (std), the MAD (1.4826 times the median absolute deviation, "
                    "insensitive to outliers), the RMSE (which counts an offset as well) and the predicted error "
                    "(the median of the errors in the catalogue) are <b>four different things</b>, so all four "
                    "are given. “&gt;3 MAD %” is the share of stars farther than three MAD from the median "
                    "error; “in 68 % int.” and “in 95 % int.” are the percentages of stars whose spectroscopic "
                    "value lies in the predicted interval. The spectroscopic values have errors of their own, "
                    "which are part of all these numbers."
                )
            ),
        ]
    rows = [[what, count(value)] for what, value in _flow(run) if value is not None]
    if rows:
        kind = mapping(run.settings.get("model")).get("kind", "")
        model = f"; model of the kind “{kind}”" if kind else ""
        blocks.append(
            ReportTable(["what", "count"], rows, caption=f"Stars from the tables to the catalogue{model}.")
        )
    return Section("summary", "Summary", blocks)


def _facts(run: FinishedRun) -> list[tuple[str, str]]:
    lead = next(iter(run.attritions("clean").values()), None)
    facts = {
        "stars in": lead.n_in if lead else None,
        "after cuts and match": run.result("join").get("stars"),
        "with spectroscopic labels": run.result("training set").get("stars"),
        "predicted": run.result("predict").get("predicted"),
    }
    return [(what, count(value)) for what, value in facts.items() if value is not None]


def _flow(run: FinishedRun) -> list[tuple[str, Any]]:
    """Rows and stars after every step, from the tables to the catalogue."""
    split = mapping(run.metrics.get("split") or run.result("train").get("split"))
    flow: list[tuple[str, Any]] = []
    for survey, attrition in run.attritions("clean").items():
        flow += [(f"{survey}: rows read", attrition.n_in), (f"{survey}: left by the cuts", attrition.n_out)]
    predicted = run.result("predict")
    return [
        *flow,
        ("stars left by all cuts and matches", run.result("join").get("stars")),
        ("of these with spectroscopic labels", run.result("training set").get("stars")),
        *((f"of these in the {'training' if part == 'train' else part} part", split.get(part)) for part in PARTS),
        ("rows of the catalogue", predicted.get("rows")),
        ("of these predicted", predicted.get("predicted")),
    ]


def accuracy_section(run: FinishedRun) -> Section:
    """Return the section about the errors on the test parts of all trainings."""
    figures = _figures(run.metrics.get("test"))
    known = (
        "Table 1 lists the errors on the whole test part; the tables at the end of this section, those in bins."
    )
    blocks: list[Block] = [Paragraph("The run has no figures of merit yet." if figures.is_empty() else known)]
    blocks += _error_pictures(run)
    blocks += [section for section in (importance_section(run), missing_section(run)) if section]
    for by, table in _binned(figures, "spectroscopic"):
        caption = html("Errors by {by}: {sample}. Bins with few stars say little.", by=by, sample=_sample(run))
        blocks.append(folded(table.captioned(caption), f"Errors by {by}"))
    if models := models_section(run):
        blocks.append(models)
    return Section("accuracy", "Accuracy", blocks)


def _error_pictures(run: FinishedRun) -> list[Block]:
    """Figures of the test part of the first training."""
    if run.untested:
        return []
    test, labels, of = run.test, run.labels, _of_test(run)
    bright = "magnitude" in test.columns
    against = [*labels, *(("magnitude",) if bright else ())]
    trends = html(
        "Error (prediction &minus; spectroscopic value) against spectroscopic values{bright}, {of}: running "
        "median (line) and central 68 % (band), in bins of equal width with 20 stars or more; grey: density. "
        "Against the true value every regression slopes down: predictions tend to the mean where the inputs say "
        "little.",
        bright=" and magnitude" if bright else "",
        of=of,
    )
    return [
        run.picture(
            plots.one_to_one(test, labels),
            "Predicted against spectroscopic value, one panel a label",
            f"Predicted against spectroscopic value, {of}, as points or, where they are many, by density. Dashed: "
            "one to one. MAD and std are those of the difference. As Fig. 1 of Turchi et al. (2024).",
        ),
        run.picture(
            plots.error_distribution(test, labels),
            "Histograms of the error, one panel a label",
            f"Distribution of the error, {of}, as share of the sample. As Fig. 2 of Turchi et al. (2024).",
        ),
        run.picture(
            plots.residual_trends(test, labels, against),
            "Error against spectroscopic values and magnitude",
            trends,
        ),
    ]


def missing_section(run: FinishedRun) -> Section | None:
    """Return the section about the errors without each band; None if they were not measured."""
    costs = run.result("train").get("missing_bands")
    if not costs:
        return None
    text = (
        "Stars of the test part that have a measurement, predicted with it and without it. A common set of bands "
        "has its own networks; stars with any other set are predicted from imputed values, and flagged."
    )
    caption = (
        "MAD of the same stars with and without a measurement, the ratio of the two, and without it: the share of "
        "labels inside the 68 % interval, and the median predicted error."
    )
    table = missing_table(costs).captioned(caption)
    drawn = pl.DataFrame(list(costs), infer_schema_length=None)
    picture = run.picture(
        plots.missing_bands(drawn, [name for name in LABELS if name in drawn["label"]]),
        "Ratio of the errors without and with each measurement",
        "Ratio of the MAD of the same stars without and with a measurement (dashed: no loss), with their number.",
    )
    folded_table = folded(table, "Errors without each measurement")
    return Section("missing", "Cost of a missing band", [Paragraph(text), picture, folded_table])


def uncertainty_section(run: FinishedRun) -> Section:
    """Return the section about the coverage of the intervals and the scale of the predicted errors."""
    if run.untested:
        nothing = Paragraph("The run has no predictions of a test part.")
        return Section("uncertainty", "Uncertainty", [nothing])
    shares, of = coverage_in_bins(run.test, run.labels), _of_test(run)
    text = html(
        "Intervals are calibrated on held-out stars and tested here on stars that were used neither in training "
        "nor in calibration. The nominal shares are meant to hold for what a user can see: bins of predicted "
        "value and of magnitude. <b>Coverage at fixed true value cannot be promised</b> by any method: "
        "predictions of every regression tend to the mean, most for rare stars such as the metal-poor ones. The "
        "tables by spectroscopic value in section 6 show it."
    )
    coverage = (
        "Share of stars whose spectroscopic value lies in the predicted 68 % (circles) and 95 % (squares) "
        f"interval, {of}. Dashed: nominal. Vertical bars: binomial standard error; horizontal bars: width of the "
        "bin. Bins with fewer than 20 stars are in the table only."
    )
    pulls = (
        f"Error in units of the predicted error, {of}. Dashed: a Gaussian of unit width, which the errors follow "
        "where they are Gaussian and well predicted."
    )
    bright = " and magnitude" if "magnitude" in run.test.columns else ""
    caption = f"Coverage of the intervals, {of}; ± is the binomial standard error."
    return Section(
        "uncertainty",
        "Uncertainty",
        [
            Paragraph(text),
            run.picture(
                plots.coverage(shares, run.labels),
                "Coverage of the 68 and 95 per cent intervals in bins",
                coverage,
            ),
            folded(_coverage_table(shares).captioned(caption), f"Coverage by predicted value{bright}"),
            run.picture(
                plots.reliability(run.test, run.labels),
                "Share of the spectroscopic values below each predicted quantile",
                f"Share of the spectroscopic values below each predicted quantile, {of}. Dashed: perfect "
                "quantiles; grey: what 95 % of perfect ones would give at each point with this number of stars. A "
                "curve that is flatter than the diagonal in the middle means intervals that are too narrow.",
            ),
            run.picture(
                plots.pulls(run.test, run.labels), "Histograms of the error in units of the predicted error", pulls
            ),
            *_conditional(run),
            *([section] if (section := probability_section(run)) else []),
            *_scale(run),
            *_shares(run),
        ],
    )


def _conditional(run: FinishedRun) -> list[Block]:
    """Say whether the inputs tell which intervals miss, if that was measured."""
    rows = run.result("coverage").get("rows")
    if not rows:
        return []
    text = html(
        "Can the inputs tell <b>which</b> intervals miss? Gradient-boosted trees tried to, on stars that they "
        "were not trained on. If the coverage is nominal for every kind of star, they find nothing: the excess "
        "risk (mean square error of the nominal share minus theirs) is 0 or negative. Its root is how far the "
        "coverage of stars of one kind deviates from the nominal one, as far as they can tell (arXiv:2512.11779)."
    )
    caption = f"Excess risk of the intervals, {_of_test(run)}."
    table = conditional_table(pl.DataFrame(list(rows))).captioned(caption)
    return [Paragraph(text), table]


def _scale(run: FinishedRun) -> list[Block]:
    """Say by how much labels of another survey are expected to differ."""
    if not (document := mapping(run.result("train").get("label_scale"))):
        return []
    scale = LabelScale.from_document(document)
    caption = "Scale error of every label at the values between which it is interpolated (columns _scale_error)."
    table = scale_table(scale).captioned(caption)
    return [Paragraph(scale_text(scale)), folded(table, "Errors of the scale of the labels")]


def _shares(run: FinishedRun) -> list[Block]:
    """Say which part of the errors is not the noise of the labels."""
    noise = LabelNoise.from_document(mapping(run.result("train").get("label_noise")))
    if noise is None or not noise.shares:
        return []
    caption = "Errors against true values as shares of those against labels (columns _error_truth)."
    return [
        Paragraph(SHARES_TEXT),
        folded(shares_table(noise.shares).captioned(caption), "Errors against true values"),
    ]


def coverage_in_bins(test: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Return figures of merit of the test part by predicted value and by magnitude, for :func:`plots.coverage`."""
    truth = test.select(pl.col(f"{name}_label").alias(name) for name in labels)
    found = []
    for name in labels:
        # `evaluate` bins by one more column than the true labels: here it is the predicted value or the magnitude.
        seen = [("predicted", test[name], BINS[name])]
        if "magnitude" in test.columns:
            seen.append(("magnitude", test["magnitude"], BINS["magnitude"]))
        for by, values, edges in seen:
            bins = evaluate(test, truth, [name], magnitude=values, bins={"magnitude": edges})
            found.append(bins.filter(pl.col("by") == "magnitude").with_columns(pl.lit(by).alias("by")))
    return pl.concat(found)


def _coverage_table(shares: pl.DataFrame) -> ReportTable:
    rows = []
    for row in shares.iter_rows(named=True):
        cells = []
        for share in (row["coverage68"], row["coverage95"]):
            error = binomial_error(share, row["n"])
            cells.append("-" if math.isnan(share) else f"{100 * share:.1f} +- {100 * error:.1f}")
        rows.append([row["label"], row["by"], f"{row['low']:g} to {row['high']:g}", f"{row['n']:,}", *cells])
    return ReportTable(["label", "by", "bin", "n", HEADINGS["coverage68"], HEADINGS["coverage95"]], rows)


def comparisons_section(run: FinishedRun) -> Section:
    """Return the section about errors against external catalogues."""
    blocks = [block for reference in run.metrics.get("compare", ()) for block in _comparison(reference)]
    nothing = Paragraph("The run file names no catalogue to compare with.")
    return Section("comparisons", "Comparisons", blocks or [nothing])


def _comparison(reference: Mapping[str, Any]) -> list[Block]:
    """Errors against one external catalogue."""
    figures, name = _figures(reference.get("figures")), str(reference.get("name", ""))
    against = html(
        "prediction &minus; {name}, {stars} stars in common; {left} more that were used in training or "
        "calibration are left out",
        name=name,
        stars=count(reference.get("stars")),
        left=count(reference.get("left_out", "-")),
    )
    if not reference.get("stars") or figures.is_empty():
        return [Paragraph(f"{name}: no star in common.")]
    whole = figures_table(figures, predicted_error=True)
    blocks: list[Block] = [whole.captioned(html("Errors against {name}: {against}.", name=name, against=against))]
    for by, table in _binned(figures, "the reference's"):
        caption = html("Errors by {by}: {against}.", by=by, against=against)
        blocks.append(folded(table.captioned(caption), f"{name}: errors by {by}"))
    return blocks


def _binned(figures: pl.DataFrame, whose: str) -> list[tuple[str, ReportTable]]:
    """A table for each quantity that the figures of merit are binned by."""
    quantities = [by for by in figures["by"].unique(maintain_order=True) if by != "all"]
    return [
        (f"{whose} {by}" if by in LABELS else by, figures_table(figures, by, predicted_error=True))
        for by in quantities
    ]


def _figures(rows: Any) -> pl.DataFrame:
    """Figures of merit of a record, as a table."""
    table = pl.DataFrame(list(rows or ()), schema=_FIGURES_SCHEMA, strict=False)
    return table.filter(pl.col("label").is_in(list(LABELS)))


def _sample(run: FinishedRun) -> Markup:
    """What the errors are, and of which stars."""
    size, repeats = mapping(run.metrics.get("split")).get("test"), int(run.metrics.get("repeats") or 1)
    spread = ""
    if repeats > 1:
        spread = f"; mean ± standard deviation over {repeats} trainings with other splits, n is a mean as well"
    return html(
        "prediction &minus; spectroscopic value, on the test part ({n} stars that the model never saw){spread}",
        n=count(size),
        spread=spread,
    )


def _of_test(run: FinishedRun) -> str:
    return f"{count(run.test.height)} stars of the first training's test part"
