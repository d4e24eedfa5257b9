"""A finished run, read back from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.tables.cuts import Attrition
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.provenance import PROVENANCE_FILE


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What stands in the folder of a run: its records, and the predictions of its test part."""

    folder: Path
    provenance: Mapping[str, Any]
    settings: Mapping[str, Any]
    steps: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Any]
    mock: bool
    test: pl.DataFrame
    labels: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> FinishedRun:
        """Read them.

        Raises
        ------
        InputError
            When it is not the folder of a run, or a record is damaged.
        """
        record, metrics = _document(folder / PROVENANCE_FILE), _document(folder / "metrics.json")
        if not record:
            found = f"is not the folder of a run: no {PROVENANCE_FILE} in it"
            raise InputError(Problem(str(folder), found, fix="Name the folder that 'starscale run' wrote."))
        steps = {name: mapping(step) for name, step in mapping(record.get("steps")).items()}
        if "evaluate" not in steps:
            # Files of an earlier run may still lie here; beside the new settings they would mislead.
            fix = "Run 'starscale run' again: what was done is not done twice."
            raise InputError(Problem(str(folder), "holds a run that did not finish", "a finished run", fix))
        mock = bool(record.get("mock") or metrics.get("mock"))
        part = _test_part(folder / "test.parquet")
        return cls(folder, record, mapping(record.get("settings")), steps, metrics, mock, *part)

    def result(self, step: str) -> Mapping[str, Any]:
        """What a step returned; empty when it was not done."""
        return mapping(self.steps.get(step, {}).get("result"))

    def results(self, verb: str) -> dict[str, Mapping[str, Any]]:
        """What the steps "<verb> <survey>" returned, by survey."""
        prefix = f"{verb} "
        return {name.removeprefix(prefix): self.result(name) for name in self.steps if name.startswith(prefix)}

    def attritions(self, verb: str) -> dict[str, Attrition]:
        """The attrition tables of the steps "<verb> <survey>", by survey."""
        found = {name: result["attrition"] for name, result in self.results(verb).items() if "attrition" in result}
        if verb == "labels":
            found |= mapping(self.result("homogenize").get("attritions"))
        try:
            return {survey: Attrition.from_dict(document) for survey, document in found.items()}
        except (KeyError, TypeError) as error:
            raise damaged(self.folder / PROVENANCE_FILE, f"the cuts of a step {verb!r}") from error


def _test_part(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Predictions and labels of the test part, and the labels that stand in it."""
    if not path.exists():
        return pl.DataFrame(), ()
    source = io.open_table(path)
    labels = tuple(name for name in LABELS if f"{name}_label" in source.schema)
    parts = ("", "_label", "_error", "_lower", "_upper", "_lower95", "_upper95")
    wanted = [name + part for name in labels for part in parts]
    return source.read(wanted + [name for name in ("magnitude",) if name in source.schema]), labels


def _document(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is no file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise damaged(path, str(error)) from error
    if not isinstance(document, dict):
        raise damaged(path, "not an object")
    return document


def damaged(path: Path, reason: str) -> InputError:
    """Complain about a record that is not what a run writes."""
    return InputError(Problem(str(path), f"is damaged ({reason})", "the record of a run", "Do the run again."))


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, or nothing where it is of another kind."""
    return value if isinstance(value, Mapping) else {}
