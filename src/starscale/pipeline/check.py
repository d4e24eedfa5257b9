"""The verb `check`: find all problems of a table, a bundle, or a survey, run or labels file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.features.features import feature_columns
from starscale.homogenization.api import is_labels_file, labels_plan
from starscale.model.api import load
from starscale.pipeline.comparing import entries_of
from starscale.pipeline.fetch_step import resolve
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.surveys import Survey, load_survey
from starscale.tables.api import read
from starscale.tables.cuts import cut_columns
from starscale.tables.positions import positions
from starscale.tables.standardise import spelling
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.labels import LabelsConfig
from starscale.vocabulary.strict import load_toml, validate


def check(path: str | Path, *, survey: str | Path | Survey | None = None) -> list[str]:
    """Describe a file, and raise an error if something is wrong with it.

    Parameters
    ----------
    path : path
        A table, a model bundle, a survey file, a run file or a labels file.
    survey : str, Path or Survey, optional
        For a table: the survey that it should belong to.

    Returns
    -------
    list of str
        Sentences that describe the file; none of them is an error.

    Raises
    ------
    InputError
        Everything that is wrong, at once.
    """
    path = Path(path)
    if (path / "bundle.json").exists():
        return _bundle(path)
    if path.suffix == ".toml":
        return _settings(path)
    return _table(path, load_survey(survey) if survey is not None else None)


def _bundle(path: Path) -> list[str]:
    model = load(path)
    return [
        f"{path}: a model bundle, complete and unaltered",
        f"predicts {', '.join(model.labels)} from {len(model.features)} inputs"
        + (" (trained on MOCK stars)" if model.mock else ""),
        *(f"note: {warning}" for warning in model.information.get("warnings", ())),
        f"needs the columns {', '.join([model.inputs.id.column, *feature_columns(model.features)])}",
    ]


def _settings(path: Path) -> list[str]:
    data = load_toml(path)
    if "columns" in data or "id" in data:
        return _survey_file(path)
    return _labels_file(path, data) if is_labels_file(data) else _run_file(path)


def _survey_file(path: Path) -> list[str]:
    survey = load_survey(path)
    return [
        f"{path}: a valid survey file",
        f"{survey.title}: {len(survey.columns)} columns, bands {', '.join(survey.bands) or 'none'}, "
        f"labels {', '.join(survey.labels) or 'none'}, {len(survey.cuts)} cuts",
    ]


def _labels_file(path: Path, data: Mapping[str, Any]) -> list[str]:
    labels = labels_plan(validate(LabelsConfig, data, str(path)), path.parent)
    return [
        f"{path}: a valid labels file; every table that it names exists",
        f"labels of {', '.join(survey.name for survey in labels.surveys)}; mode {labels.config.mode}",
    ]


def _run_file(path: Path) -> list[str]:
    config, base = load_run(path)
    fetching = resolve(config, base, base / "run")
    ready = plan(fetching.config, base, coming=fetching.files)
    models = [entry.name for entry in entries_of(ready)[1:]]
    rest = " or will be fetched" if fetching.jobs else ""
    return [
        f"{path}: a valid run file; every table that it names exists{rest}",
        f"surveys: {', '.join(s.name for s in ready.surveys)}; labels of {ready.label_names}; "
        f"features {ready.feature_set.name}; model {config.model.kind}, {config.repeats} training(s)",
        *([f"compared with the models {', '.join(models)}"] if models else []),
    ]


def _table(path: Path, survey: Survey | None) -> list[str]:
    opened = io.open_table(path)
    summary = f"{path}: a {opened.format} table of {opened.n_rows:,} rows and {len(opened.schema)} columns"
    if survey is None:
        # Only reading all rows shows that a file is truncated.
        for _ in opened.batches(100_000):
            pass
        return [summary, "every row can be read; give --survey to check the values of the columns"]
    table = read(path, survey=survey)
    if table.height == 0:
        raise InputError(Problem(str(path), "has no rows", "one or more"))
    if survey.position is not None:
        positions(table, survey, str(path))
    return [
        summary,
        *_columns_found(table, spelling(opened.schema, survey), survey),
        *_unusable_cuts(table, survey),
    ]


def _columns_found(table: pl.DataFrame, present: Collection[str], survey: Survey) -> list[str]:
    """Tell which columns of the survey are in the table, and which of these are empty."""
    found = [f"{len(present)} of the {len(survey.columns)} columns of {survey.name} are in the table"]
    missing = [name for name in survey.columns if name not in present]
    empty = [name for name in present if table[name].null_count() == table.height]
    if missing:
        found.append(f"missing: {', '.join(missing)}")
    if empty:
        found.append(f"without any value: {', '.join(empty)}")
    return found


def _unusable_cuts(table: pl.DataFrame, survey: Survey) -> list[str]:
    """Tell which cuts of the survey need columns that the table lacks."""
    needed = {
        cut.name: [c for c in cut_columns(cut, survey.name) if c not in table.columns] for cut in survey.cuts
    }
    return [
        f"cut {name!r} cannot be applied without {', '.join(columns)}"
        for name, columns in needed.items()
        if columns
    ]
