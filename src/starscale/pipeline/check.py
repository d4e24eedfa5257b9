"""The verb `check`: find all problems of a table, a bundle, or a survey, run or labels file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.features.features import feature_columns
from starscale.homogenization.api import is_labels_file, labels_plan
from starscale.io.formats import FORMATS
from starscale.model.api import load
from starscale.model.verify import verify_catalogue
from starscale.pipeline.apply import ApplyRun
from starscale.pipeline.apply_plan import recipe_of_model
from starscale.pipeline.comparing import entries_of
from starscale.pipeline.fetch_step import resolve
from starscale.pipeline.plan import RunPlan
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare import require_magnitudes
from starscale.pipeline.runfile import load_any_run
from starscale.reports.finished import FinishedRun
from starscale.surveys import Survey, load_survey
from starscale.surveys.derived import derivable, underivable, unjudged
from starscale.surveys.spelling import find_spelling, with_rename
from starscale.tables.api import PROVENANCE_KEY, read_counted, says_mock
from starscale.tables.columns.typed import Discarded
from starscale.tables.cuts import choose_cuts, cut_columns, require_cut_columns
from starscale.tables.inspect import Remarks, about_file, about_values, vector_lines
from starscale.tables.opening import open_for
from starscale.tables.own import own_kind
from starscale.tables.positions import positions
from starscale.tables.standardise import require
from starscale.tables.stream import columns_of
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.paths import exists
from starscale.vocabulary.provenance import PROVENANCE_FILE
from starscale.vocabulary.run_record import read_record
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.labels import LabelsConfig
from starscale.vocabulary.settings.run import ApplyConfig
from starscale.vocabulary.strict import load_toml, validate

#: Bytes of a table that is read whole to know its columns.
_SMALL = 100_000_000


@dataclass
class Findings:
    """What `check` finds: what a file is, what is good to know, and what is wrong or doubtful.

    Attributes
    ----------
    lines : list of str
        What the file is, and what it contains.
    notes, warnings : list of str
        What is good to know; reasons to doubt results.
    problems : Problems
        Errors: other commands refuse the file.
    """

    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    def add(self, remarks: Remarks) -> None:
        """Add what was found in a table."""
        self.notes += remarks.notes
        self.warnings += remarks.warnings


def check(
    path: str | Path,
    *,
    survey: str | Path | Survey | None = None,
    rename: Mapping[str, str] | None = None,
    verify: bool = False,
) -> list[str]:
    """Describe a file, and raise an error if something is wrong with it.

    Parameters
    ----------
    path : path
        A table, a folder or pattern of files of one table, a model bundle, a run folder, a survey file, a run file
        or a labels file.
    survey : str, Path or Survey, optional
        For a table: the survey that it should belong to.
    rename : mapping of str to str, optional
        Names in the table, by column of the survey, where the table has names that the survey file does not know.
    verify : bool
        For a catalogue, or the folder of a run: predict 1,000 rows, drawn at random, again from the model and the
        table that its provenance names, and compare all columns.

    Returns
    -------
    list of str
        Sentences that describe the file. A sentence that begins with ``warning:`` is a reason to doubt results.

    Raises
    ------
    InputError
        Everything that is wrong, at once; the sentences are its notes.
    """
    found = _examine(path, with_rename(load_survey(survey), rename) if survey is not None else None)
    if verify:
        with found.problems.collect():
            catalogue = Path(path)
            if (catalogue / PROVENANCE_FILE).exists():
                catalogue = FinishedRun.load(catalogue).catalogue
            found.lines += verify_catalogue(catalogue)
    notes, warnings = (f"note: {text}" for text in found.notes), (f"warning: {text}" for text in found.warnings)
    said = [*found.lines, *notes, *warnings]
    found.problems.raise_if_any("\n".join(said))
    return said


def _examine(path: str | Path, survey: Survey | None) -> Findings:
    """Do the work of :func:`check`; a file that cannot be read at all is an error."""
    path = Path(path)
    if (path / "bundle.json").exists():
        return Findings(_bundle(path))
    if (path / PROVENANCE_FILE).exists():
        return _run_folder(path)
    if path.suffix == ".toml":
        return Findings(_settings(path))
    return _table(path, survey)


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
    config, base = load_any_run(path)
    if isinstance(config, ApplyConfig):
        return _apply_file(path, config, base)
    fetching = resolve(config, base, base / "run")
    ready = plan(fetching.config, base, coming=fetching.files)
    models = [entry.name for entry in entries_of(ready)[1:]]
    _tables_of_run(ready, fetching.files)
    rest = ", or will be fetched" if fetching.jobs else ""
    return [
        f"{path}: a valid run file; every table that it names exists and has the columns that are needed{rest}",
        f"surveys: {', '.join(s.name for s in ready.surveys)}; labels of {ready.label_names}; "
        f"features {ready.feature_set.name}; model {config.model.kind}, {config.repeats} training(s)",
        *([f"compared with the models {', '.join(models)}"] if models else []),
    ]


def _tables_of_run(ready: RunPlan, coming: Collection[Path]) -> None:
    """Refuse tables without columns that their steps need: these could only fail, perhaps after hours."""
    config, problems = ready.config, Problems()
    of_lead = zip((config.catalogue, *config.catalogue.join), (ready.lead, *ready.joins), strict=True)
    stars = [([(table.path, survey) for table, survey in of_lead], config.catalogue.cuts)]
    stars += [([(t.path, survey)], t.cuts) for t, survey in zip(config.photometry, ready.photometry, strict=True)]
    labels = [([(t.path, survey)], t.cuts) for t, survey in zip(config.labels, ready.label_surveys, strict=True)]
    for tables, cuts in (*stars, *labels):
        with problems.collect():
            found = [_columns_of(ready, path, survey, coming) for path, survey in tables]
            if all(found):
                _columns_needed(tables[0], list(chain(*found)), cuts, (tables, cuts) in stars, problems)
    problems.raise_if_any()


def _columns_of(ready: RunPlan, path: Path | None, survey: Survey, coming: Collection[Path]) -> list[str]:
    """Return the columns of a table, if it is there and they are known at once; else none.

    A large text is read whole for it, and a folder may hold anything.
    """
    if path is None or path in coming or not exists(place := ready.path(path)) or not place.is_file():
        return []
    quick = place.suffix in (".parquet", ".fits") or place.stat().st_size <= _SMALL
    return columns_of(place, survey) if quick else []


def _columns_needed(
    table: tuple[Path | None, Survey], found: list[str], cuts: Cuts, of_stars: bool, problems: Problems
) -> None:
    """Note what a table lacks for its cuts and, if each row is a star, for its inputs."""
    where, survey = str(table[0]), table[1]
    if of_stars:
        with problems.collect():
            require(found, [survey.id.column], where, "the identifier of a star")
        with problems.collect():
            require_magnitudes(found, survey, where)
        # Said once, not for every cut that uses them.
        found = [*found, survey.id.column, *(band.magnitude for band in survey.bands.values())]
    with problems.collect():
        require_cut_columns(choose_cuts(survey.cuts, cuts, where), found, where)


def _apply_file(path: Path, config: ApplyConfig, base: Path) -> list[str]:
    applied = ApplyRun.of(config, base, base / "run")
    model, plan = applied.model, applied.checked
    rest = "every table that it names suits it" if plan else "its tables exist or will be fetched"
    recipe = recipe_of_model(model, None)
    surveys = plan.tables.surveys if plan else [table.survey for table in recipe.tables]
    return [
        f"{path}: a valid run file, which applies the model {config.model.bundle}; {rest}",
        f"surveys: {', '.join(survey.name for survey in surveys)}; predicts {', '.join(model.labels)}"
        + (" (trained on MOCK stars)" if model.mock else ""),
        *(f"note: {text}" for text in (plan.notes if plan else ())),
        *(f"warning: {text}" for text in (plan.warnings if plan else ())),
    ]


def _table(path: Path, survey: Survey | None) -> Findings:
    opened = io.open_table(path) if survey is None else open_for(path, survey)
    size = f"{_number(opened.n_rows, 'row')} and {_number(len(opened.schema), 'column')}"
    found = Findings([f"{path}: {_kind(opened)} of {size}"])
    found.lines += _written_by(opened.metadata)
    found.lines += vector_lines(io.open_table(path, tables=survey.tables if survey is not None else ()))
    if opened.frame or opened.epoch is not None:
        epoch = f", epoch J{opened.epoch:g}" if opened.epoch is not None else ""
        found.lines.append(f"positions: {opened.frame or 'frame not stated'}{epoch}")
    if survey is None:
        # Only reading all rows shows that a file is truncated.
        for _ in opened.batches(100_000):
            pass
        found.add(about_file(opened))
        found.lines.append("every row can be read")
        if not own_kind(opened.schema):
            found.lines.append("give --survey to check the values of the columns")
        return found
    with found.problems.collect():
        _against_survey(path, opened, survey, found)
    return found


def _against_survey(path: Path, opened: io.Source, survey: Survey, found: Findings) -> None:
    """Read a table as one of a survey, and enter what is found."""
    discarded = Discarded()
    table = read_counted(path, survey, discarded=discarded)
    if table.height == 0:
        raise InputError(Problem(str(path), "has no rows", "one or more"))
    spelled = find_spelling(opened.schema, survey)
    found.lines += _columns_found(table, spelled.columns, survey)
    if spelled.chosen:
        found.lines.append(f"named as in {spelled.chosen}: names.{spelled.chosen} of the survey file")
    found.notes += _unusable_cuts(table, survey)
    found.add(about_values(opened, table, survey, discarded))
    _bands_without_values(path, table, survey, discarded, found.problems)
    if survey.position is not None:
        positions(table, survey, str(path))


def _bands_without_values(
    path: Path, table: pl.DataFrame, survey: Survey, discarded: Discarded, problems: Problems
) -> None:
    """Add the bands that have values in the table, none of which is valid: the survey file misunderstands it."""
    for name, band in survey.bands.items():
        column = band.magnitude
        if column in table.columns and discarded.invalid[column] and not table[column].is_not_null().any():
            held = f"{discarded.invalid[column]:,} values, none of them valid"
            expected = "errors or inverse variances above 0, and a `keep` that is true somewhere"
            fix = "See which columns the band names in the survey file, and whether the table fills them."
            problems.add(f"{path}: band {name!r} ({column})", held, expected, fix)


def _kind(opened: io.Source) -> str:
    """Return what a table is: one of starscale's own, or a table of its format."""
    title = next((item.title for item in FORMATS.values() if item.name == opened.format), opened.format)
    own = own_kind(opened.schema)
    return f"a {own} ({title})" if own else f"a {title} table"


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _written_by(metadata: Mapping[str, str]) -> list[str]:
    """Return which program wrote a table, and whether its stars are simulated."""
    if PROVENANCE_KEY not in metadata:
        return []
    return ["written by starscale" + (" from MOCK (simulated) data" if says_mock(metadata) else "")]


def _run_folder(path: Path) -> Findings:
    """Check the files of a run against its record: present, unchanged, every row readable."""
    record = read_record(path / PROVENANCE_FILE)
    steps = {name: step.files for name, step in record.steps.items()}
    mock = record.mock
    found = Findings(
        [f"{path}: the folder of a run, {len(steps)} steps" + (", MOCK (simulated) data" if mock else "")]
    )
    for name, files in steps.items():
        for file, recorded in files.items():
            with found.problems.collect():
                _unchanged(path / file, recorded)
        found.lines.append(f"{name}: {', '.join(files) or 'no files'}")
    return found


def _unchanged(path: Path, recorded: str) -> None:
    """Refuse a file of a run that is missing or was changed, and one that cannot be read."""
    if io.checksum(path) != recorded:
        fix = "`starscale run` makes it again."
        raise InputError(Problem(str(path), "was changed after the run", "the file that the run wrote", fix))
    if (path / "bundle.json").exists():
        load(path)
    elif path.suffix in (".parquet", ".fits"):
        for _ in io.open_table(path).batches(100_000):
            pass


def _columns_found(table: pl.DataFrame, present: Collection[str], survey: Survey) -> list[str]:
    """Tell which columns of the survey are in the table, and which of these are empty."""
    found = [f"{len(present)} of the {len(survey.columns)} columns of {survey.name} are in the table"]
    unknown = underivable(survey.columns, present)
    done = derivable(survey.columns, present)
    missing = [name for name in survey.columns if name not in (*present, *done, *unknown)]
    empty = [name for name in present if table[name].null_count() == table.height]
    if done:
        found.append(f"computed: {', '.join(done)}")
    if unknown:
        why = (f"{name} (without {', '.join(columns)})" for name, columns in unknown.items())
        found.append(f"cannot be computed: {', '.join(why)}")
    if missing:
        found.append(f"missing: {', '.join(missing)}")
    if empty:
        found.append(f"without any value: {', '.join(empty)}")
    return found


def _unusable_cuts(table: pl.DataFrame, survey: Survey) -> list[str]:
    """Tell which cuts and conditions of the survey need columns that the table lacks."""
    needed = {
        cut.name: [c for c in cut_columns(cut, survey.name) if c not in table.columns] for cut in survey.cuts
    }
    notes = []
    for found, what in ((needed, "cuts"), (unjudged(survey.columns, table.columns), "conditions of valid values")):
        lacking = [f"{name} (without {', '.join(columns)})" for name, columns in found.items() if columns]
        if lacking:
            notes.append(f"{what} that cannot be applied: {', '.join(lacking)}")
    return notes
