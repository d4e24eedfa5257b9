"""The section of a report about compared models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from starscale import io
from starscale.reports.compare_text import compared_rows, cost_rows, ratio_rows
from starscale.reports.finished import FinishedRun
from starscale.vocabulary.comparison_columns import COMPARED, STEP

MakeTable = Callable[[Sequence[str], Sequence[Sequence[str]]], Any]


def models_section(run: FinishedRun, make_table: MakeTable) -> dict[str, Any] | None:
    """What the template ``report_models.html`` shows; None where no models were compared.

    Parameters
    ----------
    run : FinishedRun
    make_table : callable
        Makes a table of the page from headings and rows.
    """
    result, path = run.result(STEP), run.folder / COMPARED
    if not result or not path.exists():
        return None
    figures, reference = io.read(path), str(result["reference"])

    def table(cells: tuple[Sequence[str], Sequence[Sequence[str]]]) -> Any:
        return make_table(cells[0], [[cell.replace("+-", "±") for cell in row] for row in cells[1]])

    repeats = max(int(row["repeats"]) for row in result["costs"])
    return {
        "reference": reference,
        "all": table(compared_rows(figures)),
        "ratios": table(ratio_rows(figures)),
        "costs": table(cost_rows(pl.DataFrame(result["costs"], infer_schema_length=None))),
        "bins": [
            (by, table(compared_rows(figures, by)))
            for by in figures["by"].unique(maintain_order=True)
            if by != "all"
        ],
        "sample": "on the test parts" + (f" (mean ± standard deviation over {repeats} repeats)" * (repeats > 1)),
    }


def fetched_tables(run: FinishedRun) -> tuple[list[str], list[list[str]], list[tuple[str, str]]]:
    """Headings and cells of the table of fetches, and the query of each."""
    headings = ["survey", "service", "table", "selection", "rows", "queries", "cuts there", "fetched"]
    rows, queries = [], []
    for survey, result in run.results("fetch").items():
        rows.append(
            [
                survey,
                str(result.get("service", "")),
                ", ".join([str(result.get("table", "")), *(str(name) for name in result.get("joined", ()))]),
                str(result.get("selection", "")),
                _count(result.get("rows")),
                _count(result.get("queries")),
                _count(len(result.get("cuts_of_the_archive", ()))),
                str(result.get("fetched_to", "")),
            ]
        )
        queries.append((survey, str(result.get("adql", ""))))
    return headings, rows, queries


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"
