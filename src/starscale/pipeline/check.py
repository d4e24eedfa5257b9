"""The verb `check`: what is wrong with a table, a bundle, or a survey, run or labels file, in one go."""

from __future__ import annotations

from pathlib import Path

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
from starscale.vocabulary.errors import InputError, Problems
from starscale.vocabulary.settings.labels import LabelsConfig
from starscale.vocabulary.strict import load_toml, validate


def check(path: str | Path, *, survey: str | Path | Survey | None = None) -> list[str]:
    """Say what a file is, and raise if something is wrong with it.

    Parameters
    ----------
    path : path
        A table, a model bundle, a survey file, a run file or a labels file.
    survey : str, Path or Survey, optional
        For a table: the catalogue that it should be.

    Returns
    -------
    list of str
        Sentences about what was found; nothing in them is an error.

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
        f"{path}: a model bundle, whole and unaltered",
        f"predicts {', '.join(model.labels)} from {len(model.features)} inputs"
        + (" (trained on MOCK stars)" if model.mock else ""),
        *(f"note: {warning}" for warning in model.information.get("warnings", ())),
        f"needs the columns {', '.join([model.inputs.id.column, *feature_columns(model.features)])}",
    ]


def _settings(path: Path) -> list[str]:
    data = load_toml(path)
    if "columns" in data or "id" in data:
        survey = load_survey(path)
        return [
            f"{path}: a valid survey file",
            f"{survey.title}: {len(survey.columns)} columns, bands {', '.join(survey.bands) or 'none'}, "
            f"labels {', '.join(survey.labels) or 'none'}, {len(survey.cuts)} cuts",
        ]
    if is_labels_file(data):
        labels = labels_plan(validate(LabelsConfig, data, str(path)), path.parent)
        return [
            f"{path}: a valid labels file; every table that it names is there",
            f"labels of {', '.join(survey.name for survey in labels.surveys)}; mode {labels.config.mode}",
        ]
    config, base = load_run(path)
    fetching = resolve(config, base, base / "run")
    ready = plan(fetching.config, base, coming=fetching.files)
    models = [entry.name for entry in entries_of(ready)[1:]]
    rest = " or will be fetched" if fetching.jobs else ""
    return [
        f"{path}: a valid run file; every table that it names is there{rest}",
        f"surveys: {', '.join(s.name for s in ready.surveys)}; labels of {ready.label_names}; "
        f"features {ready.feature_set.name}; model {config.model.kind}, {config.repeats} training(s)",
        *([f"compared with the models {', '.join(models)}"] if models else []),
    ]


def _table(path: Path, survey: Survey | None) -> list[str]:
    opened = io.open_table(path)
    found = [f"{path}: a {opened.format} table of {opened.n_rows:,} rows and {len(opened.schema)} columns"]
    if survey is None:
        # Read it all: a file that is cut short shows only then.
        for _ in opened.batches(100_000):
            pass
        return [*found, "every row can be read; give --survey to check what the columns hold"]
    problems = Problems()
    try:
        table = read(path, survey=survey)
        if table.height == 0:
            problems.add(str(path), "has no rows", "one or more")
        elif survey.position is not None:
            positions(table, survey, str(path))
    except InputError as error:
        problems.items.extend(error.problems)
    problems.raise_if_any()
    present = spelling(opened.schema, survey)
    missing = [name for name in survey.columns if name not in present]
    found.append(f"{len(present)} of the {len(survey.columns)} columns of {survey.name} are there")
    if missing:
        found.append(f"not there: {', '.join(missing)}")
    empty = [name for name in present if table[name].null_count() == table.height]
    if empty:
        found.append(f"there, but without any value: {', '.join(empty)}")
    needed = {
        cut.name: [c for c in cut_columns(cut, survey.name) if c not in table.columns] for cut in survey.cuts
    }
    unusable = {name: columns for name, columns in needed.items() if columns}
    found += [f"cut {name!r} cannot be applied without {', '.join(columns)}" for name, columns in unusable.items()]
    return found
