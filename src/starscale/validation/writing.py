"""The result of `validate` as an object, and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.tables.api import PROVENANCE_KEY
from starscale.validation.checks import DifferenceSample, ValidationCheck
from starscale.validation.page import validation_page
from starscale.validation.references import KEY, PAIR, CatalogueStars, ReferenceTable
from starscale.validation.result import CHECK_COLUMNS, Validated
from starscale.validation.samples import Compared
from starscale.vocabulary.accounting import RowAccount, removed_for
from starscale.vocabulary.provenance import record

PAGE, CHECKS = "validation.html", "checks"
_KINDS = {"int64": pl.Int64, "string": pl.String, "float64": pl.Float64}


def result_of(
    checks: Sequence[ValidationCheck],
    level: float,
    compared: Sequence[Compared],
    references: Sequence[ReferenceTable],
    catalogue: CatalogueStars,
) -> Validated:
    """Return the result of some checks, with notes on what was left out."""
    rows = [{**asdict(check), "sigma": check.sigma} for check in checks]
    schema = {name: _KINDS[about.dtype] for name, about in CHECK_COLUMNS.items()}
    table = pl.DataFrame(rows, schema=schema).with_columns(pl.col(pl.Float64).fill_nan(None))
    notes = [*_left_out(references, catalogue), *(note for one in compared for note in _untested(one))]
    stars = {one.test: one.stars.rename({KEY: "source_id"}, strict=False) for one in compared}
    mock = catalogue.mock or any(reference.mock for reference in references)
    sentences, accounts = tuple(check.sentence for check in checks), {"catalogue": catalogue.account}
    for one, reference in zip(compared, references, strict=True):
        accounts[one.test] = _account(one, reference, catalogue)
    return Validated(table, stars, sentences, level, tuple(notes), mock, accounts)


def _account(one: Compared, reference: ReferenceTable, catalogue: CatalogueStars) -> RowAccount:
    """Return what became of the rows of another table."""
    keys = [name for name in (KEY, *PAIR) if name in reference.frame.columns]
    known = catalogue.frame[KEY].implode()
    found = reference.frame.filter(pl.all_horizontal(pl.col(name).is_in(known) for name in keys)).height
    removed = removed_for(
        ("no identifier", reference.without_id),
        ("not among the tested stars of the catalogue", reference.frame.height - found),
        ("no value or no error", found - one.stars.height),
    )
    return RowAccount(reference.frame.height + reference.without_id, one.stars.height, removed)


def _left_out(references: Sequence[ReferenceTable], catalogue: CatalogueStars) -> list[str]:
    """Say which rows were left out."""
    notes = [
        f"{reference.where}: {reference.without_id} rows without an identifier are left out"
        for reference in references
        if reference.without_id
    ]
    if catalogue.seen:
        notes.append(f"{catalogue.seen} stars that the model was trained or calibrated on are left out")
    return notes


def _untested(one: Compared) -> list[str]:
    """Say what a test could not check because columns are missing."""
    by_label: dict[str, list[DifferenceSample]] = {}
    for sample, _ in one.samples:
        by_label.setdefault(sample.label, []).append(sample)
    notes = []
    for label, samples in by_label.items():
        if all(sample.error is None for sample in samples):
            notes.append(f"{one.test}: no errors of {label} are stated: their scale is not tested")
        if all(sample.teff is None for sample in samples):
            notes.append(f"{one.test}: no temperatures: trends of {label} are not tested")
    if one.test == "clusters" and "fe_h_label" not in one.stars.columns:
        notes.append("clusters: the table states no metallicities (fe_h): offsets are not tested")
    return notes


def write_result(result: Validated, output: Path, where: str, settings: Mapping[str, Any]) -> None:
    """Write the page, or the page and the tables."""
    page = validation_page(result, where)
    if output.suffix.lower() == ".html":
        io.atomic_text(output, page)
        return
    provenance = record(command="validate", mock=result.mock, settings={"level": result.level, **settings})
    provenance["rows"] = {name: account.document() for name, account in result.accounts.items()}
    metadata = {PROVENANCE_KEY: json.dumps(provenance, default=str)}
    document = {
        "mock": result.mock,
        "passed": result.passed,
        "level": result.level,
        **settings,
        "notes": result.notes,
        "checks": [
            {**row, "sentence": text}
            for row, text in zip(result.checks.iter_rows(named=True), result.sentences, strict=True)
        ],
        "provenance": provenance,
    }
    with io.atomic_directory(output, marker=PAGE) as folder:
        (folder / PAGE).write_text(page, encoding="utf-8")
        (folder / f"{CHECKS}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        for suffix in ("parquet", "csv"):
            io.write(result.checks, folder / f"{CHECKS}.{suffix}", columns=CHECK_COLUMNS, metadata=metadata)
        for test, stars in result.stars.items():
            io.write(stars, folder / f"{test.replace(' ', '_')}_stars.parquet", metadata=metadata)
