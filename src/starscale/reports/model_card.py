"""The model card: use, training data, accuracy and limits of a model, in Markdown."""

from __future__ import annotations

import polars as pl

from starscale.model.model import Model
from starscale.model.probabilities import score_probabilities
from starscale.reports.table import ReportTable
from starscale.reports.text import (
    EXPLAINED,
    SHARES_TEXT,
    figures_table,
    missing_table,
    probability_table,
    scale_table,
    scale_text,
    shares_table,
)
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.provenance import CITATION


def model_card(model: Model, figures: pl.DataFrame, test: pl.DataFrame) -> str:
    """Write the card of a model as Markdown.

    Parameters
    ----------
    model : Model
    figures : polars.DataFrame
        Figures of merit on the test parts.
    test : polars.DataFrame
        Predictions of the first test part, with ``<label>_label``.
    """
    information = model.information
    split = information.get("split", {})
    kind = (
        "**MOCK (simulated) stars: no figure here says anything about real ones**" if model.mock else "real stars"
    )
    notes = information.get("warnings", [])
    ranges = [
        [name, LABELS[name].unit or "dex", f"{low:.2f}", f"{high:.2f}"]
        for name, (low, high) in model.label_ranges.items()
    ]
    features = [[f.name, f"`{f.expression}`", f.unit, f.description] for f in model.features]
    sections = [
        f"# {information.get('title', 'starscale model')}",
        f"A starscale model that predicts {', '.join(model.labels)} from photometry. Trained on {kind}.",
        "## Intended use\nStars like those of the training set, measured by the same surveys and cleaned by the "
        "same cuts. A star whose `domain_score` is above 1 is unlike the training set. Intervals are calibrated "
        "on held-out stars as a whole: their coverage holds in bins of predicted value and of magnitude, not at "
        "fixed true value, where predictions of every regression tend to the mean, most for metal-poor stars.",
        f"## Data\nTraining {split.get('train', '?')}, validation {split.get('validation', '?')}, test "
        f"{split.get('test', '?')} stars.\n\n"
        + ReportTable(["label", "unit", "lowest", "highest"], ranges).markdown(),
        *_distilled(model),
        *_slopes(model),
        *scale_section(model),
        *_shares(model),
        f"## Figures on the test part ({information.get('repeats', 1)} repeats; mean +- spread)\n"
        + figures_table(figures).markdown(),
        "## Bias at fixed true value\nMean and other figures of prediction - label by the **known** label: what "
        "is rare in the training is drawn to what is common. Where that matters, ask for another prior "
        "(`--prior`), or select by probability.\n\n" + _by_label(model, figures).markdown(),
        *_probabilities(model, test),
        "## Without a band\nMeasured on test stars that have it.\n\n"
        + missing_table(information.get("missing_bands", [])).markdown(),
        "## Inputs\n" + ReportTable(["name", "expression", "unit", "description"], features).markdown(),
        *(["## Notes on the training\n" + "\n".join(f"- {text}" for text in notes)] if notes else []),
        "## Cuts\n"
        + (ReportTable(["name", "keeps rows where"], _cuts(model)).markdown() if model.cuts else "None."),
        f"## Citation\n{CITATION}",
    ]
    return "\n\n".join(sections) + "\n"


def _by_label(model: Model, figures: pl.DataFrame) -> ReportTable:
    """Return the errors of every label in bins of its own known value."""
    tables = [figures_table(figures.filter(pl.col("label") == name), name) for name in model.labels]
    rows = [row for table in tables for row in table.rows]
    return ReportTable(["label", "known value", *tables[0].headings[2:]], rows)


def _probabilities(model: Model, test: pl.DataFrame) -> list[str]:
    """Return the section about probabilities to be below thresholds; nothing for a model that has none."""
    known = test.select(pl.col(f"{name}_label").alias(name) for name in model.labels)
    scores = score_probabilities(test, known)
    if scores.is_empty():
        return []
    return [f"## Probabilities of rare labels\n{EXPLAINED}\n\n{probability_table(scores).markdown()}"]


def _distilled(model: Model) -> list[str]:
    """Return the section about the ensemble that taught a small model; nothing for any other."""
    about = model.information.get("distilled")
    if about is None:
        return []
    rows = [[name, f"{ratio:.4f}"] for name, ratio in about["crps_ratio"].items()]
    text = f"Trained on the predictions of the ensemble {about['model'][:16]}, and calibrated by itself."
    table = ReportTable(["label", "CRPS over that of the ensemble, validation stars"], rows).markdown()
    return [f"## A small model of an ensemble\n{text}\n\n{table}"]


def _slopes(model: Model) -> list[str]:
    """Return the section about slopes that were learnt; nothing for a model that computes them."""
    learnt = model.predictor.slopes
    if learnt is None:
        return []
    rows = [[name, f"{value:.2f}"] for name, value in zip(model.labels, learnt.difference.tolist(), strict=True)]
    text = (
        "The slopes with E(B-V) come from a small network that learnt the derivative of the model. Root mean "
        "square of the difference from it, over that of the derivative, for stars that it did not learn from:"
    )
    return [f"## Slopes with E(B-V)\n{text}\n\n{ReportTable(['label', 'difference'], rows).markdown()}"]


def scale_section(model: Model) -> list[str]:
    """Return the section about the scale of the labels; nothing for a model that does not know it."""
    scale = model.label_scale
    if scale is None:
        return []
    return [f"## Scale of the labels\n{scale_text(scale)}\n\n" + scale_table(scale).markdown()]


def _shares(model: Model) -> list[str]:
    """Return the section about errors against true values; nothing where residuals do not show them."""
    shares = model.label_noise.shares if model.label_noise else ()
    return [f"## Errors against true values\n{SHARES_TEXT}\n\n{shares_table(shares).markdown()}"] if shares else []


def _cuts(model: Model) -> list[list[str]]:
    return [[cut.name, f"`{' '.join(cut.keep.split())}`"] for cut in model.cuts]
