"""The section of a report about compared models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from starscale import io
from starscale.faces.compare_files import COMPARED, STEP
from starscale.faces.compare_text import compared_rows, cost_rows, ratio_rows
from starscale.faces.finished import FinishedRun

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
