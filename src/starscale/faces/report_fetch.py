"""What the report says about tables that came from archives."""

from __future__ import annotations

from typing import Any

from starscale.faces.finished import FinishedRun


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
