"""The model card: what a model is for, what it learnt from, how good it is, where it ends."""

from __future__ import annotations

import polars as pl

from starscale.model.model import Model
from starscale.reports.text import figures_rows, markdown, missing_rows
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.provenance import CITATION


def model_card(model: Model, figures: pl.DataFrame) -> str:
    """Write the card of a model as Markdown.

    Parameters
    ----------
    model : Model
    figures : polars.DataFrame
        Figures of merit on the test parts.
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
        "## Intended use\n"
        "Stars like those of the training set, measured by the same surveys and cleaned by the same cuts. A star "
        "whose `domain_score` is above 1 is unlike them. Intervals are calibrated on held-out stars as a whole: "
        "their coverage holds for what a user sees (predictions, magnitudes), not at fixed true value, where "
        "every regression is drawn towards the mean, most for metal-poor stars.",
        f"## Data\nTraining {split.get('train', '?')}, validation {split.get('validation', '?')}, test "
        f"{split.get('test', '?')} stars.\n\n" + markdown(["label", "unit", "lowest", "highest"], ranges),
        f"## Figures on the test part ({information.get('repeats', 1)} repeats; mean +- spread)\n"
        + markdown(*figures_rows(figures)),
        "## Without a band\nMeasured on test stars that have it.\n\n"
        + markdown(*missing_rows(information.get("missing_bands", []))),
        "## Inputs\n" + markdown(["name", "expression", "unit", "description"], features),
        *(["## Notes on the training\n" + "\n".join(f"- {text}" for text in notes)] if notes else []),
        "## Cuts\n" + (markdown(["name", "keeps rows where"], _cuts(model)) if model.cuts else "None."),
        f"## Citation\n{CITATION}",
    ]
    return "\n\n".join(sections) + "\n"


def _cuts(model: Model) -> list[list[str]]:
    return [[cut.name, f"`{' '.join(cut.keep.split())}`"] for cut in model.cuts]
