"""Tables of the diagnostics of a calibration, for the terminal, the report and the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starscale.reports.table import ReportTable
from starscale.reports.text import number
from starscale.vocabulary.columns import LABELS

Record = Mapping[str, Any]


def homogenize_tables(data: Mapping[str, Any]) -> list[ReportTable]:
    """Return the tables of a calibration; those without rows are left out.

    Parameters
    ----------
    data : mapping
        Diagnostics, as `homogenize` writes them.
    """
    tables = [
        _counts(data),
        crosswalk_table(data.get("crosswalks") or {}),
        _overlap(data),
        _errors(data.get("errors", ())),
        _pairs(data.get("pairs", ())),
        _leave_out(data.get("leave_out", ())),
        _reference(data.get("reference", ())),
        _zero_point(data.get("zero_point") or {}),
        _clusters(data.get("clusters", ())),
    ]
    return [table for table in tables if table.rows]


def _name(label: str) -> str:
    return f"{label} ({'K' if LABELS[label].unit == 'K' else 'dex'})"


def _figure(row: Record, key: str, label: str) -> str:
    return number(row.get(key), LABELS[label].decimals)


def _counts(data: Mapping[str, Any]) -> ReportTable:
    columns = {
        "rows": "rows after cuts",
        "without_star": "without a star",
        "without_labels": "without labels",
        "copies": "exact copies",
        "repeats": "repeats",
        "stars": "stars",
    }
    rows = [
        [survey, *(f"{counts.get(key, 0):,}" for key in columns)]
        for survey, counts in data.get("counts", {}).items()
    ]
    return ReportTable(["survey", *columns.values()], rows, caption="Rows of the surveys")


def crosswalk_table(walked: Mapping[str, Sequence[Record]]) -> ReportTable:
    """Return what became of identifiers of another release of Gaia, by reason; without rows if there were none.

    Parameters
    ----------
    walked : mapping of str to sequence of mapping
        By survey, one entry for each table of a crosswalk.
    """
    rows = []
    for survey, steps in walked.items():
        for step in steps:
            way = f"{step['from']} to {step['to']}"
            rows += [[survey, way, "identifiers", f"{step['identifiers']:,}"]]
            rows += [[survey, way, "with a counterpart", f"{step['kept']:,}"]]
            rows += [[survey, way, reason, f"{n:,}"] for reason, n in step["lost"].items()]
            if step.get("improbable"):
                rows += [[survey, way, "kept, but improbable for the archive", f"{step['improbable']:,}"]]
    title = "Labels that went through a crosswalk between releases of Gaia"
    return ReportTable(["survey", "releases", "what", "count"], rows, caption=title)


def _overlap(data: Mapping[str, Any]) -> ReportTable:
    surveys = data.get("surveys", [])
    rows = [
        [name, *(f"{n:,}" for n in line)] for name, line in zip(surveys, data.get("overlap", []), strict=False)
    ]
    title = "Stars in common (diagonal: stars in common with any other survey)"
    return ReportTable(["survey", *surveys], rows, caption=title)


def _errors(found: Sequence[Record]) -> ReportTable:
    rows = [
        [
            _name(row["label"]),
            row["survey"],
            f"{number(row['k'], 2)} +- {number(row['k_error'], 2)}",
            _figure(row, "extra", row["label"]),
            row["method"],
            f"{number(row['repeats'], 2)} +- {number(row['repeats_error'], 2)}"
            if row["repeats"] is not None
            else "-",
            f"{row['pairs']:,}",
            f"{number(row['hat'], 2)} +- {number(row['hat_error'], 2)}" if row["hat"] is not None else "-",
        ]
        for row in found
    ]
    headings = ["label", "survey", "factor on errors", "added", "from", "repeats", "pairs", "hat"]
    return ReportTable(headings, rows, caption="Normalised errors")


def _pairs(found: Sequence[Record]) -> ReportTable:
    rows = []
    for row in found:
        label = row["label"]
        cells = [_name(label), f"{row['first']} - {row['second']}", f"{row['n']:,}"]
        for key in ("median", "width"):
            cells += [_figure(row, f"{key}_{when}", label) for when in ("before", "after")]
        cells += [number(row[f"pull_{when}"], 2) for when in ("before", "after")]
        # Slopes in the unit of the label per 1000 K and per dex.
        for axis, scale in (("teff", 1000.0), ("logg", 1.0), ("fe_h", 1.0)):
            for when in ("before", "after"):
                slope = row.get(f"slope_{axis}_{when}")
                cells.append(number(None if slope is None else slope * scale, LABELS[label].decimals))
        rows.append(cells)
    headings = ["label", "surveys", "n", "offset before", "after", "width before", "after"]
    headings += ["width about 0, in errors, before", "after"]
    headings += ["slope /1000 K before", "after", "/dex logg before", "after", "/dex fe_h before", "after"]
    title = "Differences between surveys, before and after (held-out stars)"
    return ReportTable(headings, rows, caption=title)


def _leave_out(found: Sequence[Record]) -> ReportTable:
    rows = []
    for row in found:
        if not row["n"]:
            rows.append(["all", row["survey"], "0", "the other surveys are not connected without it", ""])
            continue
        label = row["label"]
        rows.append(
            [
                _name(label),
                row["survey"],
                f"{row['n']:,}",
                _figure(row, "median", label),
                _figure(row, "width", label),
            ]
        )
    headings = ["label", "survey", "n", "median", "width"]
    return ReportTable(headings, rows, caption="Each survey predicted from the others alone")


def _reference(found: Sequence[Record]) -> ReportTable:
    rows = [
        [
            _name(row["label"]),
            row["sample"],
            f"{row['n']:,}",
            f"{_figure(row, 'median', row['label'])} +- {_figure(row, 'median_error', row['label'])}",
            _figure(row, "width", row["label"]),
            number(row["pull"], 2),
        ]
        for row in found
    ]
    headings = ["label", "labels", "n", "median", "width", "pull width"]
    return ReportTable(headings, rows, caption="Labels - external list")


def _zero_point(moved: Mapping[str, Record]) -> ReportTable:
    rows = []
    for label, row in moved.items():
        subtracted = f"{_figure(row, 'moved', label)} +- {_figure(row, 'error', label)}"
        known = row["moved"] is not None
        rows.append([_name(label), f"{row['n']:,}", subtracted if known else "nothing: too few stars"])
    headings = ["label", "stars of the list", "subtracted from all labels"]
    return ReportTable(headings, rows, caption="Zero point of the external list")


def _clusters(found: Sequence[Record]) -> ReportTable:
    decimals = LABELS["fe_h"].decimals
    rows = [
        [
            row["cluster"],
            f"{row['n_merged']:,}",
            *(number(row[f"mad_{key}"], decimals) for key in ("raw", "mean", "merged")),
            number(row["median_merged"], decimals),
        ]
        for row in found
    ]
    headings = ["cluster", "stars", "all raw values", "plain mean", "homogenized", "median fe_h"]
    return ReportTable(headings, rows, caption="Scatter (MAD, dex) of fe_h in clusters")
