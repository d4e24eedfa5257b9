"""The first screen of a report: how good, for how many, can I trust it, what to cite."""

from __future__ import annotations

import polars as pl

from starscale.reports.finished import FinishedRun, count, mapping
from starscale.vocabulary.columns import LABELS


def answers(run: FinishedRun, figures: pl.DataFrame) -> list[tuple[str, str]]:
    """Return the four questions with their answers.

    Parameters
    ----------
    run : FinishedRun
    figures : polars.DataFrame
        Figures of merit on the test part; may have no rows.
    """
    whole = figures.filter(pl.col("by") == "all").to_dicts()
    return [
        ("How good is it?", _how_good(whole, run.mock)),
        ("For how many stars?", _how_many(run)),
        ("Can I trust it?", _trust(whole, run)),
        ("What do I cite?", _cite(run)),
    ]


def _how_good(whole: list[dict[str, object]], mock: bool) -> str:
    """Return the typical error of every label."""
    if not whole:
        return "Not known: the run has no test part."
    told = "; ".join(f"{_name(row)} {_figure(row, 'mad')}" for row in whole)
    number = max(round(float(str(row["n"]))) for row in whole)
    stars = "simulated stars, which say nothing about real ones" if mock else "stars"
    return f"{told} is the MAD of the errors against the labels, from {number:,} {stars} kept out of the training."


def _name(row: dict[str, object]) -> str:
    return LABELS[str(row["label"])].name


def _figure(row: dict[str, object], name: str) -> str:
    column = LABELS[str(row["label"])]
    value = row[name]
    return (
        "-"
        if not isinstance(value, float)
        else f"{value:.{column.decimals}f} {'K' if column.unit == 'K' else 'dex'}"
    )


def _how_many(run: FinishedRun) -> str:
    """Return the numbers of rows, predictions and stars without a flag."""
    done = run.result("predict")
    if not done.get("rows"):
        return "The run has no catalogue yet."
    return f"{count(done.get('predicted'))} of {count(done.get('rows'))} stars of the catalogue have values."


def _trust(whole: list[dict[str, object]], run: FinishedRun) -> str:
    """Return what intervals hold, and the flag that most stars carry."""
    told = []
    shares = [
        f"{_name(row)} {100 * row['coverage68']:.0f} %" for row in whole if isinstance(row["coverage68"], float)
    ]
    if shares:
        told.append(f"The 68 % intervals hold {', '.join(shares)} of the labels kept out of the training.")
    done = run.result("predict")
    flags, rows = mapping(done.get("flags")), int(done.get("rows") or 0)
    most = max(flags.items(), key=lambda item: int(item[1] or 0), default=("", 0))
    if rows and most[1]:
        told.append(
            f"The commonest reason for doubt is {most[0]} ({100 * int(most[1]) / rows:.0f} % of the stars)."
        )
    told.append("Intervals hold labels of stars like the labelled ones; flags say which are not.")
    return " ".join(told)


def _cite(run: FinishedRun) -> str:
    surveys = ", ".join(run.attritions("clean"))
    asked = f"starscale cite {run.folder.name} --bibtex prints the entries."
    return f"starscale, its paper, and the surveys ({surveys or 'see Provenance'}): {asked}"
