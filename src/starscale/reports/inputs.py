"""Sections of a report about its origin: input tables, fetched tables, cuts, provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starscale.reports.blocks import Block, Details, Listing, Paragraph, Section, html
from starscale.reports.finished import FinishedRun, count, mapping
from starscale.reports.table import ReportTable
from starscale.reports.text import attrition_table
from starscale.surveys import load_survey
from starscale.vocabulary.errors import InputError


def inputs_section(run: FinishedRun) -> Section:
    """Return the section about the tables that the run read, and their surveys."""
    files, surveys = _files(run), _surveys(run)
    blocks: list[Block] = [
        files if files.rows else Paragraph("The record does not say which tables the run read."),
    ]
    if fetched := fetched_section(run):
        blocks.append(fetched)
    if surveys.rows:
        blocks.append(surveys)
    return Section("inputs", "What went in", blocks)


def _files(run: FinishedRun) -> ReportTable:
    inputs = mapping(run.provenance.get("inputs"))
    sums = {path: str(mapping(entry).get("sha256") or "-") for path, entry in inputs.items()}
    attritions = {"labels": run.attritions("labels")}
    attritions["leading"] = attritions["photometry"] = run.attritions("clean")
    rows = []
    for role, survey, path in named_tables(run.settings):
        name = survey if role == "compare" else _described(survey)[0]
        known = attritions.get(role, {}).get(name)
        n = count(known.n_in if known else None)
        rows.append([role, name, path or "(in the leading table)", n, sums.get(path, "-")])
    named = {row[2] for row in rows}
    rows += [["", "", path, "-", digest] for path, digest in sums.items() if path not in named]
    table = ReportTable(["role", "survey", "file", "rows", "SHA-256"], rows)
    return table.captioned("Tables that the run read.", code=(2, 4))


def _surveys(run: FinishedRun) -> ReportTable:
    found = [_described(survey) for role, survey, _ in named_tables(run.settings) if role != "compare"]
    rows = list({row[0]: row for row in found}.values())
    caption = "Surveys, as their survey files describe them."
    return ReportTable(["survey", "title", "to cite"], rows, caption=caption, result=False)


def named_tables(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Role, survey (or name) and path of every table that a run file names."""
    lead = mapping(settings.get("catalogue"))
    tables = [*([("leading", lead)] if lead else []), *(("joined", table) for table in lead.get("join", ()))]
    tables += [(key, table) for key in ("photometry", "labels", "compare") for table in settings.get(key, ())]
    for role, table in tables:
        yield role, str(table.get("survey") or table.get("name") or ""), str(table.get("path") or "")


def _described(survey: str) -> tuple[str, str, str]:
    """Name, title and citation of a survey; the name alone if its file no longer exists."""
    try:
        known = load_survey(survey)
    except InputError:
        return Path(survey).name.removesuffix(".toml"), "", ""
    return known.name, known.title, "; ".join(known.citation)


def fetched_section(run: FinishedRun) -> Section | None:
    """Return the table of fetches and the query of each; None if the run fetched nothing."""
    headings = ["survey", "service", "table", "selection", "rows", "queries", "cuts there", "fetched"]
    rows: list[list[str]] = []
    queries: list[Block] = []
    for survey, result in run.results("fetch").items():
        tables = ", ".join([str(result.get("table", "")), *(str(name) for name in result.get("joined", ()))])
        numbers = [count(result.get("rows")), count(result.get("queries"))]
        cuts, fetched = count(len(result.get("cuts_of_the_archive", ()))), str(result.get("fetched_to", ""))
        service, selection = str(result.get("service", "")), str(result.get("selection", ""))
        rows.append([survey, service, tables, selection, *numbers, cuts, fetched])
        queries += [Paragraph(survey), Listing(str(result.get("adql", "")))]
    if not rows:
        return None
    caption = "Tables that were fetched from archives; times in UTC. Rows: as counted by the archive and received."
    table = ReportTable(headings, rows, code=(1, 2), caption=caption)
    return Section("fetched", "", [table, Details("The queries, without the ranges that divide them", queries)])


#: Why values became missing, by the names of :meth:`starscale.tables.columns.typed.Discarded.document`.
_DISCARDED = {
    "outside": "outside the plausible range",
    "invalid": "not valid: the quality of a band, or the range of an expression",
}


def cuts_section(run: FinishedRun) -> Section:
    """Return the section about the rows that every cut removed."""
    cuts = run.attritions("clean")
    text = (
        "A row is kept when every predicate is true; a missing value makes a predicate false unless it says "
        "otherwise. “Removes alone” counts the rows that fail this cut, whatever the other cuts do; “removes in "
        "sequence” counts those that the cuts above it had left. Cuts of labels remove the labels "
        "of a star, not the star; they count rows with labels."
    )
    tables = [
        attrition_table(attrition).captioned(f"Cuts of {survey}.", code=(1,)) for survey, attrition in cuts.items()
    ]
    rows = [
        [survey, column, count(number), why]
        for survey, result in run.results("clean").items()
        for kind, why in _DISCARDED.items()
        for column, number in mapping(mapping(result.get("discarded")).get(kind)).items()
    ]
    caption = "Values that became missing; their stars stay."
    if rows:
        tables.append(ReportTable(["survey", "column", "values", "why"], rows, caption=caption))
    return Section("cuts", "Cuts", [Paragraph(text if cuts else "No cuts were applied in this run."), *tables])


def provenance_section(run: FinishedRun) -> Section:
    """Return the section about the command, the steps, the versions and the settings of the run."""
    record = run.provenance
    made = html(
        "Made by <code>starscale {command}</code>. Please cite: {citation}; and the surveys under “What went in”.",
        command=str(record.get("command", "")),
        citation=str(record.get("citation", "")),
    )
    versions = [[name, str(version)] for name, version in mapping(record.get("versions")).items()]
    tables = [_steps(run), ReportTable(["package", "version"], versions, caption="Versions.", result=False)]
    settings = json.dumps(run.settings, indent=2, ensure_ascii=False)
    summary = f"Settings in force (SHA-256 {record.get('settings_sha256', '-')})"
    card = run.folder / "model" / "MODEL_CARD.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    return Section(
        "provenance",
        "Provenance",
        [
            Paragraph(made),
            *(table for table in tables if table.rows),
            Details(summary, [Listing(settings)]),
            *([Details("Model card", [Listing(text)])] if text else []),
        ],
    )


def _steps(run: FinishedRun) -> ReportTable:
    rows = []
    for name, step in run.steps.items():
        files = [f"{file} {str(digest)[:12]}" for file, digest in mapping(step.get("files")).items()]
        seconds = f"{float(step.get('seconds') or 0):,.1f}"
        rows.append([name, seconds, ", ".join(files), str(step.get("key"))[:12]])
    caption = html("Steps. Checksums and keys are shortened; <code>provenance.json</code> has them in full.")
    table = ReportTable(["step", "seconds", "files", "key"], rows)
    return table.captioned(caption, code=(2, 3), result=False)
