"""The files of `homogenize`: labels, measurements, calibration and diagnostics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.homogenization.kernel.whole import Homogenized
from starscale.tables.api import write
from starscale.vocabulary.columns import LABEL_TABLE_COLUMNS, MEASUREMENT_COLUMNS


def companion_paths(output: str | Path) -> dict[str, Path]:
    """Return the paths of the files that are written next to a table of labels."""
    path = Path(output)
    return {
        "measurements": path.with_name(f"{path.stem}_measurements{path.suffix}"),
        "calibration": path.with_name(f"{path.stem}_calibration.json"),
        "diagnostics": path.with_name(f"{path.stem}_diagnostics.json"),
    }


def save_labels(result: Homogenized, output: str | Path, provenance: Mapping[str, Any]) -> None:
    """Write labels, measurements, calibration and diagnostics; each file is complete or absent."""
    files = companion_paths(output)
    # Before anything is written: rows that are not accounted for are a defect.
    read_rows = {name: account.document() for name, account in result.accounts.items()}
    about = {**provenance, "table": "labels", "rows": result.account.document(), "rows_of_surveys": read_rows}
    write(result.labels, output, columns=LABEL_TABLE_COLUMNS, provenance=about)
    measurements = result.measurements.with_columns(pl.col("survey").cast(pl.String))
    write(
        measurements,
        files["measurements"],
        columns=MEASUREMENT_COLUMNS,
        provenance={
            **provenance,
            "table": "measurements",
            "rows": reduce(add, result.accounts.values()).document(),
        },
    )
    document = result.calibration.document()
    document["information"] = {**document["information"], "provenance": dict(provenance)}
    io.atomic_text(files["calibration"], json.dumps(document, default=str, allow_nan=False) + "\n")
    diagnostics = {"mock": bool(provenance.get("mock")), **result.diagnostics}
    io.atomic_text(files["diagnostics"], json.dumps(diagnostics, indent=1, allow_nan=False) + "\n")
