"""A finished run, read back from its folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from starscale import io
from starscale.reports.blocks import Picture
from starscale.tables.cuts import Attrition
from starscale.vocabulary.columns import LABELS, below_columns
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.provenance import PROVENANCE_FILE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Name of the page in the folder of a run.
REPORT_FILE = "report.html"

#: Rows of the catalogue, or of the pairs, that a figure is drawn from; they are spread evenly over the table.
SAMPLE = 200_000


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run folder: its records, and the predictions of its test part.

    Parameters
    ----------
    folder : Path
    provenance : mapping
        Content of ``provenance.json``.
    settings : mapping
        Settings of the run file.
    steps : mapping of str to mapping
        Record of each step, by its name.
    metrics : mapping
        Content of ``metrics.json``.
    mock : bool
        The stars are simulated.
    test : polars.DataFrame
        Predictions and spectroscopic labels of the test part of the first training; perhaps without rows.
    labels : tuple of str
        Labels in `test`.
    """

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
        """Read the folder of a run.

        Raises
        ------
        InputError
            The folder is not that of a finished run, or a record is damaged.
        """
        record = _document(folder / PROVENANCE_FILE)
        # Figures of an earlier run in the folder are not those of a model that was trained elsewhere.
        metrics = {} if record.get("applied") else _document(folder / "metrics.json")
        if not record:
            found = f"is not the folder of a run: no {PROVENANCE_FILE} in it"
            raise InputError(Problem(str(folder), found, fix="Name the folder that 'starscale run' wrote."))
        steps = {name: mapping(step) for name, step in mapping(record.get("steps")).items()}
        applied = mapping(record.get("applied"))
        if ("predict" if applied else "evaluate") not in steps:
            # Files of an earlier run may still be here; a report of them with the new settings would mislead.
            fix = "Run 'starscale run' again: finished steps are not repeated."
            raise InputError(Problem(str(folder), "holds a run that did not finish", "a finished run", fix))
        mock = bool(record.get("mock") or metrics.get("mock"))
        part = (pl.DataFrame(), ()) if applied else _test_part(folder / _test_file(steps))
        return cls(folder, record, mapping(record.get("settings")), steps, metrics, mock, *part)

    @property
    def applied(self) -> Mapping[str, Any]:
        """What a run that applied a trained model recorded about it; empty for a run that trained its own."""
        return mapping(self.provenance.get("applied"))

    @property
    def catalogue(self) -> Path:
        """The catalogue of the run."""
        # That of an applied model has the name that the user chose.
        files = mapping(self.steps.get("predict", {}).get("files")) if self.applied else {}
        return self.folder / next(iter(files)) if files else self._written("predict", "catalogue")

    @property
    def matched(self) -> Path:
        """The table of stars of the run, before the prediction."""
        return self._written("join", "matched")

    def _written(self, step: str, stem: str) -> Path:
        """Return the file of a step, whose suffix depends on the engine."""
        files = mapping(self.steps.get(step, {}).get("files"))
        return self.folder / next((name for name in files if Path(name).stem == stem), f"{stem}.parquet")

    @property
    def untested(self) -> bool:
        """Whether there are no predictions of a test part."""
        return self.test.is_empty() or not self.labels

    def picture(self, figure: Figure, alt: str, caption: str, *, hover: bool = False) -> Picture:
        """Draw a figure for the report of this run."""
        return Picture.of(figure, alt, caption, mock=self.mock, hover=hover)

    def result(self, step: str) -> Mapping[str, Any]:
        """Return the recorded result of a step; empty if the step was not done."""
        return mapping(self.steps.get(step, {}).get("result"))

    def results(self, verb: str) -> dict[str, Mapping[str, Any]]:
        """Return the results of the steps "<verb> <survey>", by survey."""
        prefix = f"{verb} "
        return {name.removeprefix(prefix): self.result(name) for name in self.steps if name.startswith(prefix)}

    def attritions(self, verb: str) -> dict[str, Attrition]:
        """Return the attrition tables of the steps "<verb> <survey>", by survey."""
        found = {name: result["attrition"] for name, result in self.results(verb).items() if "attrition" in result}
        if verb == "labels":
            found |= mapping(self.result("homogenize").get("attritions"))
        try:
            return {survey: Attrition.from_dict(document) for survey, document in found.items()}
        except (KeyError, TypeError) as error:
            raise damaged(self.folder / PROVENANCE_FILE, f"the cuts of a step {verb!r}") from error


def _test_file(steps: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the file of the test part: that of the step `test`, if there is one, predicted as the catalogue."""
    return next(iter(mapping(steps.get("test", {}).get("files"))), "test.parquet")


def _test_part(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read predictions and labels of the test part, and which labels it has."""
    if not path.exists():
        return pl.DataFrame(), ()
    source = io.open_table(path)
    labels = tuple(name for name in LABELS if f"{name}_label" in source.schema)
    parts = ("", "_label", "_error", "_lower", "_upper", "_lower95", "_upper95")
    wanted = [name + part for name in labels for part in parts]
    wanted += [column for _, _, column in below_columns(source.schema)]
    return source.read(wanted + [name for name in ("magnitude",) if name in source.schema]), labels


def _document(path: Path) -> dict[str, Any]:
    """Read a JSON object; a missing file gives an empty one."""
    try:
        document = parse_json(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise damaged(path, str(error)) from error
    if not isinstance(document, dict):
        raise damaged(path, "not an object")
    return document


def damaged(path: Path, reason: str) -> InputError:
    """Return the error for a record that a run cannot have written."""
    return InputError(Problem(str(path), f"is damaged ({reason})", "the record of a run", "Do the run again."))


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def count(value: Any) -> str:
    """Format a number of a record; a missing one is a dash."""
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else "-"
    return f"{value:,}" if isinstance(value, int) else "-"


def spread_sample(path: Path, columns: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """Read about :data:`SAMPLE` rows, evenly spread over a table of any size.

    Parameters
    ----------
    path : Path
        A missing table has no rows.
    columns : sequence of str
        Missing columns are left out.

    Returns
    -------
    rows : polars.DataFrame
    step : int
        Number of rows of the table that each row represents.
    """
    source = io.open_table(path) if path.exists() else None
    wanted = [name for name in columns if source is not None and name in source.schema]
    if source is None or not wanted or not source.n_rows:
        return pl.DataFrame(), 1
    step = -(-source.n_rows // SAMPLE)
    # Batches of a multiple of the step: the same rows are taken however the file is divided.
    batches = source.batches(step * max(1, SAMPLE // step), wanted)
    return pl.concat(batch.gather_every(step) for batch in batches), step
