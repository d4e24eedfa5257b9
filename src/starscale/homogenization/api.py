"""The verbs `homogenize` and `recalibrate`: labels of several surveys on one scale, and further rows on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.crossmatch.linking import (
    LeadingTable,
    Linked,
    crosswalk_messages,
    has_own_identifiers,
    link,
    link_by_crosswalk,
    load_crosswalks,
    refuse_unused,
    release_of_stars,
)
from starscale.crossmatch.neighbourhood import Neighbourhood, route
from starscale.homogenization.kernel.apply import on_scale
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.rows import SurveyRows, list_of_stars
from starscale.homogenization.kernel.whole import Homogenized, anchor_of, homogenize_tables
from starscale.homogenization.saving import save_labels
from starscale.io.progress import progress_of
from starscale.surveys import Survey, load_survey
from starscale.surveys.spelling import with_rename
from starscale.tables.api import AnyTable, is_mock, read, write
from starscale.tables.cuts import Attrition, apply_cuts, choose_cuts
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.columns import LABEL_TABLE_COLUMNS
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.paths import must_exist
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.homogenize import ClusterTable, HomogenizeConfig, ReferenceList
from starscale.vocabulary.settings.labels import LabelsConfig
from starscale.vocabulary.settings.match import CrosswalkInput, MatchConfig
from starscale.vocabulary.settings.run import InputTable, LabelsInput
from starscale.vocabulary.strict import load_toml, validate

#: Advice where stars cannot be found by their identifiers.
_NAME_CATALOGUE = "Name the catalogue in [catalogue]: stars are then found by position."


@dataclass(frozen=True)
class LabelsPlan:
    """Surveys whose labels are homogenized, loaded and checked before any table is read.

    Parameters
    ----------
    config : HomogenizeConfig
    base : Path
        Folder that relative paths start from.
    entries : sequence of LabelsInput
    surveys : sequence of Survey
        One for each entry.
    lead : LeadingTable or None
        None if every survey has identifiers of one release, or of releases that crosswalks join.
    reference : Survey or None
        Survey of the external list.
    mock : bool
        The stars are simulated.
    crosswalks : sequence of Neighbourhood
        For surveys with identifiers of another release of Gaia.
    """

    config: HomogenizeConfig
    base: Path
    entries: tuple[LabelsInput, ...]
    surveys: tuple[Survey, ...]
    lead: LeadingTable | None
    reference: Survey | None
    mock: bool
    crosswalks: tuple[Neighbourhood, ...] = ()

    @property
    def release(self) -> str | None:
        """Release of Gaia of the stars' identifiers."""
        return release_of_stars(self.surveys, self.lead.survey if self.lead is not None else None)

    @property
    def paths(self) -> list[Path]:
        """All input tables, as the labels file writes them."""
        extra = [*self.crosswalks, self.config.reference, self.config.clusters]
        return [entry.path for entry in self.entries if entry.path] + [
            e.path for e in extra if e is not None and e.path
        ]


def homogenize(
    labels_file: str | Path,
    output: str | Path | None = None,
    *,
    reference: ReferenceList | None = None,
    crosswalk: Sequence[CrosswalkInput] = (),
    progress: Progress | bool | None = None,
) -> Homogenized:
    """Put the labels of several spectroscopic surveys on one scale.

    Parameters
    ----------
    labels_file : path
        TOML file with the surveys, their tables and the settings.
    output : path, optional
        Table of labels to write; ``<name>_measurements``, ``<name>_calibration.json`` and
        ``<name>_diagnostics.json`` are written next to it.
    reference : ReferenceList, optional
        External list of trusted stars, in place of that of the file; its paths start from the folder of the file.
    crosswalk : sequence of CrosswalkInput, optional
        Tables between releases of Gaia, in addition to those of the file; their paths start from its folder.
    progress : Progress or bool, optional
        Receives a message for every step; True displays them. Silent by default.

    Returns
    -------
    Homogenized
        `labels`, `measurements`, `calibration`, `diagnostics`, `counts`.

    Raises
    ------
    InputError
        Bad settings, bad tables, surveys without enough common stars; all problems at once.
    """
    shown = progress_of(progress)
    path = Path(labels_file)
    config = validate(LabelsConfig, load_toml(path), str(path))
    config = config.model_copy(update={"crosswalk": (*config.crosswalk, *crosswalk)})
    if reference is not None:
        own = config.homogenize.model_copy(update={"reference": reference})
        config = config.model_copy(update={"homogenize": own})
    plan = labels_plan(config, path.parent)
    if output is not None:
        io.check_target(output)
    result = homogenize_parts(plan, survey_rows(plan, shown), shown)
    if output is not None:
        sums = {str(p): {"sha256": io.checksum(path.parent / p)} for p in dict.fromkeys(plan.paths)}
        provenance = record(
            command=f"homogenize {path}", mock=plan.mock, settings=config.model_dump(mode="json"), inputs=sums
        )
        save_labels(result, output, provenance)
    return result


def is_labels_file(data: Mapping[str, Any]) -> bool:
    """Whether settings are those of `homogenize`: several label surveys, and no key that only a run file has."""
    several = isinstance(data.get("labels"), list) and len(data["labels"]) > 1
    return several and not set(data) - set(LabelsConfig.model_fields)


def labels_plan(config: LabelsConfig, base: Path) -> LabelsPlan:
    """Load every survey of a labels file and check that its tables exist.

    Parameters
    ----------
    config : LabelsConfig
    base : Path
        Folder that relative paths start from.

    Raises
    ------
    InputError
        All problems at once.
    """
    problems = Problems()
    entries: list[LabelsInput | InputTable] = [*config.labels]
    if config.catalogue is not None:
        entries.append(config.catalogue)
    tables = [base / entry.path for entry in entries if entry.path is not None]
    loaded = [_loaded(entry.survey, base, problems, entry.rename) for entry in entries]
    _must_exist(tables, problems)
    reference = reference_survey(config.homogenize, base, problems)
    problems.raise_if_any()
    surveys = tuple(survey for survey in loaded if survey is not None)
    # The catalogue comes last.
    own = surveys[: len(config.labels)]
    _no_survey_twice(own, problems)
    lead = _leading_table(config, base, surveys[-1])
    crosswalks = _crosswalks(config, base, own, lead, reference, problems)
    problems.raise_if_any()
    anchor_of([survey.name for survey in own], config.homogenize)
    mock = config.mock or is_mock(*tables)
    return LabelsPlan(config.homogenize, base, config.labels, own, lead, reference, mock, crosswalks)


def _crosswalks(
    config: LabelsConfig,
    base: Path,
    surveys: Sequence[Survey],
    lead: LeadingTable | None,
    reference: Survey | None,
    problems: Problems,
) -> tuple[Neighbourhood, ...]:
    """Load the crosswalks, and check that they and the catalogue lead every survey to one release."""
    crosswalks: tuple[Neighbourhood, ...] = ()
    with problems.collect():
        crosswalks = load_crosswalks(config.crosswalk, base)
    release = release_of_stars(surveys, lead.survey if lead is not None else None)
    refuse_unused(crosswalks, [*surveys, *([reference] if reference else [])], release, problems)
    if lead is None:
        _one_release(surveys, release, crosswalks, problems)
    return crosswalks


def _must_exist(paths: Sequence[Path], problems: Problems) -> None:
    for path in paths:
        with problems.collect():
            must_exist(path)


def _loaded(survey: str, base: Path, problems: Problems, rename: Mapping[str, str] | None = None) -> Survey | None:
    """Load a survey; None if that fails, with the problems noted."""
    with problems.collect():
        return with_rename(load_survey(survey, base=base), rename)
    return None


def _leading_table(config: LabelsConfig, base: Path, survey: Survey) -> LeadingTable | None:
    """Catalogue in which stars are found by position; None if the labels file names no table for it."""
    if config.catalogue is None or config.catalogue.path is None:
        return None
    return LeadingTable(base / config.catalogue.path, survey, MatchConfig(proper_motion=config.proper_motion))


def _no_survey_twice(surveys: Sequence[Survey], problems: Problems) -> None:
    names = [survey.name for survey in surveys]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add("labels", f"survey {name!r} is named twice", "each survey once")


def reference_survey(config: HomogenizeConfig, base: Path, problems: Problems) -> Survey | None:
    """Load the survey of the external list, and check that the tables in the settings exist."""
    extra = (config.clusters, config.reference)
    _must_exist([base / entry.path for entry in extra if entry is not None], problems)
    return None if config.reference is None else _loaded(config.reference.survey, base, problems)


def _one_release(
    surveys: Sequence[Survey], goal: str | None, crosswalks: Sequence[Neighbourhood], problems: Problems
) -> None:
    """Check, for surveys without a catalogue, that all have Gaia identifiers that become those of `goal`."""
    for survey in surveys:
        if survey.gaia is None:
            problems.add(f"survey {survey.name}", "has no Gaia identifier", "a [gaia] section", _NAME_CATALOGUE)
    releases = {survey.gaia.release for survey in surveys if survey.gaia}
    if goal is not None and any(route(crosswalks, release, goal) is None for release in releases):
        found = f"have identifiers of different releases: {', '.join(sorted(releases))}"
        problems.add(
            "label surveys", found, "", f"{_NAME_CATALOGUE} Or name a [[crosswalk]] between the releases."
        )


@dataclass(frozen=True)
class ReadLabels:
    """The rows of the label surveys.

    Attributes
    ----------
    parts : list of SurveyRows
    attritions : dict of str to Attrition
        Rows that the cuts removed, by survey.
    crosswalks : dict of str to list of dict
        Identifiers that went through a crosswalk, by survey; see :class:`~starscale.crossmatch.linking.Linked`.
    """

    parts: list[SurveyRows] = field(default_factory=list)
    attritions: dict[str, Attrition] = field(default_factory=dict)
    crosswalks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def survey_rows(plan: LabelsPlan, progress: Progress = SILENT) -> ReadLabels:
    """Read every survey, apply its cuts and find the star of every row."""
    read_rows = ReadLabels()
    for entry, survey in zip(plan.entries, plan.surveys, strict=True):
        progress.message(f"reading {survey.name} ...")
        part, attrition, walked = _one_survey(plan, survey, entry.path, entry.cuts, entry.radius)
        read_rows.parts.append(part)
        read_rows.attritions[survey.name] = attrition
        if walked:
            read_rows.crosswalks[survey.name] = walked
    for text in crosswalk_messages(read_rows.crosswalks):
        progress.message(text)
    return read_rows


def _one_survey(
    plan: LabelsPlan, survey: Survey, path: Path | None, cuts: Cuts, radius: float
) -> tuple[SurveyRows, Attrition, list[dict[str, Any]]]:
    where = str(plan.base / path) if path is not None else survey.name
    table = read(where, survey=survey)
    if table.height == 0:
        raise InputError(Problem(where, "has no rows", "one or more"))
    mask, attrition = apply_cuts(table, choose_cuts(survey.cuts, cuts, where), where=where)
    original = pl.arange(0, table.height, eager=True, dtype=pl.Int32).filter(mask)
    table = table.filter(mask)
    linked = _stars(plan, survey, table, radius, where)
    return SurveyRows(survey, table, linked.links, original, where, attrition), attrition, linked.crosswalk


def _stars(plan: LabelsPlan, survey: Survey, table: pl.DataFrame, radius: float, where: str) -> Linked:
    """Find the star of every row."""
    if plan.lead is not None:
        return link(table, survey, radius, plan.lead, where, plan.crosswalks)
    linked = link_by_crosswalk(table, survey, plan.release, plan.crosswalks)
    if linked is None:
        column = survey.gaia.column if survey.gaia else "source_id"
        found = "is missing" if not has_own_identifiers(table, survey) else "is of another release"
        raise InputError(Problem(f"{where}: column {column!r}", found, "the Gaia identifier", _NAME_CATALOGUE))
    return linked


def homogenize_parts(plan: LabelsPlan, found: ReadLabels, progress: Progress = SILENT) -> Homogenized:
    """Homogenize the rows of the surveys, with the external list and the clusters of the settings."""
    parts = found.parts
    reference = clusters = None
    if plan.config.reference is not None and plan.reference is not None:
        entry = plan.config.reference
        reference = list_of_stars(_one_survey(plan, plan.reference, entry.path, Cuts(), entry.radius)[0])
    if plan.config.clusters is not None:
        clusters = _clusters(plan, plan.config.clusters)
    anchor = anchor_of([part.survey.name for part in parts], plan.config)
    progress.message(f"calibrating {len(parts)} surveys on the scale of {anchor} ...")
    result = homogenize_tables(parts, plan.config, reference=reference, clusters=clusters)
    result.diagnostics["crosswalks"] = found.crosswalks
    for note in result.calibration.notes:
        progress.message(f"warning: {note}")
    return result


def _clusters(plan: LabelsPlan, entry: ClusterTable) -> pl.DataFrame:
    """Read the members of clusters: `source_id` and `cluster`."""
    path, problems = plan.base / entry.path, Problems()
    table = io.read(path)
    for name in (entry.source_id, entry.column):
        if name not in table.columns:
            problems.add(f"{path}: column {name!r}", "is missing", "", did_you_mean(name, table.columns))
    problems.raise_if_any()
    return (
        table.select(source_id=entry.source_id, cluster=pl.col(entry.column).cast(pl.String))
        .filter(pl.col("source_id").is_not_null())
        .unique("source_id", keep="first", maintain_order=True)
    )


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration that `homogenize` wrote.

    Raises
    ------
    InputError
        The file cannot be read, or is not a calibration.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read ({error.strerror})", "a calibration")) from None
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(str(path), f"is not JSON ({error})", "a calibration")) from None
    if not isinstance(document, dict):
        raise InputError(Problem(str(path), "is not a JSON object", "a calibration"))
    return Calibration.from_document(document, str(path))


def recalibrate(
    table: AnyTable,
    calibration: str | Path | Calibration,
    *,
    survey: str | Path | Survey,
    output: str | Path | None = None,
) -> pl.DataFrame:
    """Put further rows of a survey on an existing scale, without a new fit.

    Parameters
    ----------
    table : path or table
        Rows of the survey.
    calibration : path or Calibration
        Calibration of `homogenize`.
    survey : str, Path or Survey
        One of the calibration's surveys.
    output : path, optional
        Where to write the result.

    Returns
    -------
    polars.DataFrame
        Identifier, labels and errors on the scale, and flags, in the order of the rows of `table`.

    Raises
    ------
    InputError
        The calibration does not contain the survey, or the table is not one of that survey.
    """
    known = calibration if isinstance(calibration, Calibration) else load_calibration(calibration)
    description = load_survey(survey)
    where = str(table) if isinstance(table, str | Path) else f"table of {description.name}"
    rows = read(table, survey=description)
    labels = on_scale(known, rows, description, where)
    result = pl.concat([rows.select(description.id.column), labels], how="horizontal")
    account = RowAccount(rows.height, labels.height)
    if output is not None:
        sources = [Path(p) for p in (table, calibration) if isinstance(p, str | Path)]
        sums = {str(p): {"sha256": io.checksum(p)} for p in sources}
        made_of_mock = is_mock(*sources) or bool(dict(known.information.get("provenance", {})).get("mock"))
        provenance = record(
            command="recalibrate", mock=made_of_mock, settings={"survey": description.name}, inputs=sums
        )
        about = {**provenance, "rows": account.document()}
        write(result, output, surveys=[description], columns=LABEL_TABLE_COLUMNS, provenance=about)
    return result
