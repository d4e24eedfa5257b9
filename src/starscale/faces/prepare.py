"""From the tables that a run file names to the table that a model is trained on."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from starscale.catalogue.crossmatch.losses import counterpart_cut
from starscale.catalogue.cuts import Attrition, apply_cuts, choose_cuts, cut_columns
from starscale.catalogue.feature_families import Feature, Member
from starscale.catalogue.features import FeatureSet, build_features, feature_columns, load_feature_set
from starscale.catalogue.homogenize.whole import anchor_of
from starscale.catalogue.joins import join_pairs, names_in
from starscale.catalogue.labels import label_table
from starscale.catalogue.split_table import SURVEYS, refuse_useless, split_table
from starscale.catalogue.sql import rename_columns
from starscale.catalogue.standardise import POLARS_TYPE, require
from starscale.faces.homogenize import LabelsPlan, homogenize_parts, reference_survey, survey_rows
from starscale.faces.linking import LeadingTable, link
from starscale.faces.splitting import check_split, with_clusters
from starscale.faces.tables import Cleaned, Matched, clean, is_mock, match, read
from starscale.surveys import Survey, load_survey
from starscale.surveys.schema import ColumnSpec, Cut
from starscale.vocabulary.columns import DType
from starscale.vocabulary.config import LabelsInput, PhotometryInput, RunConfig, Table
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean

#: Name of a column type in a survey file, by the type in a table.
_DTYPE: dict[pl.DataType, DType] = {kind(): name for name, kind in POLARS_TYPE.items()}


@dataclass(frozen=True, slots=True)
class Labelled:
    """Result of :func:`label_stars`: the table of labels, what the cuts removed, and counts."""

    labels: pl.DataFrame
    attrition: Attrition
    counts: dict[str, int]


@dataclass(frozen=True)
class Plan:
    """A run file with everything it names loaded and checked, before anything expensive starts."""

    config: RunConfig
    base: Path
    lead: Survey
    joins: tuple[Survey, ...]
    photometry: tuple[Survey, ...]
    label_surveys: tuple[Survey, ...]
    feature_set: FeatureSet

    def path(self, relative: Path | None) -> Path:
        """A path of the run file, from the folder of that file.

        Raises
        ------
        InputError
            For None: a table that is to be fetched, and has not been.
        """
        if relative is None:
            fix = "'starscale run' fetches it; other commands need the `path` of a table."
            raise InputError(Problem("run file", "a table is still to be fetched", "a table", fix))
        return self.base / relative

    @property
    def label_names(self) -> str:
        """Names of the label surveys, for sentences."""
        return ", ".join(survey.name for survey in self.label_surveys)

    @property
    def leading_table(self) -> LeadingTable:
        """The whole leading catalogue, in which the rows of label surveys find their stars."""
        return LeadingTable(self.path(self.config.catalogue.path), self.lead, self.config.match)

    @property
    def surveys(self) -> tuple[Survey, ...]:
        """All surveys that describe columns of the joined table."""
        return (self.lead, *self.joins, *self.photometry)

    @property
    def joined_tables(self) -> list[tuple[Path, Survey]]:
        """Tables that share the identifier of the leading one."""
        return [(self.path(t.path), s) for t, s in zip(self.config.catalogue.join, self.joins, strict=True)]


def plan(config: RunConfig, base: Path, *, coming: Collection[Path] = ()) -> Plan:
    """Load every survey and feature set of a run and check that the files are there.

    Parameters
    ----------
    config : RunConfig
    base : Path
        Folder that its paths start from.
    coming : collection of Path
        Tables that will be fetched.

    Raises
    ------
    InputError
        Everything that is wrong, at once.
    """
    problems = Problems()
    loaded: dict[str, Survey] = {}
    tables: list[Table | LabelsInput] = [
        config.catalogue,
        *config.catalogue.join,
        *config.photometry,
        *config.labels,
    ]
    for table in tables:
        try:
            loaded[table.survey] = load_survey(table.survey, base=base)
        except InputError as error:
            problems.items.extend(error.problems)
        if table.fetch is not None:
            fix = "'starscale run' fetches it; other commands need a `path`."
            problems.add(f"survey {table.survey}", "is still to be fetched", "a table", fix)
        if table.path is not None and table.path not in coming and not (base / table.path).exists():
            path = base / table.path
            near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            problems.add(str(path), "no such file or directory", "a table", did_you_mean(path.name, near))
    for reference in config.compare:
        if not (base / reference.path).exists():
            problems.add(str(base / reference.path), f"no such file (compare {reference.name!r})")
    try:
        feature_set = load_feature_set(config.features.set, base=base)
    except InputError as error:
        raise InputError([*problems.items, *error.problems]) from None
    problems.raise_if_any()
    label_surveys = tuple(loaded[entry.survey] for entry in config.labels)
    _check_labels(config, base, loaded[config.catalogue.survey], label_surveys, problems)
    check_split(
        config.split, base, loaded[config.catalogue.survey], [survey.name for survey in label_surveys], problems
    )
    names = [loaded[t.survey].name for t in (config.catalogue, *config.catalogue.join, *config.photometry)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add("run file", f"survey {name!r} takes part twice")
    problems.raise_if_any()
    paths = [base / t.path for t in tables if t.path is not None and (base / t.path).exists()]
    ready = Plan(
        config if config.mock else config.model_copy(update={"mock": is_mock(*paths)}),
        base,
        loaded[config.catalogue.survey],
        tuple(loaded[t.survey] for t in config.catalogue.join),
        tuple(loaded[t.survey] for t in config.photometry),
        label_surveys,
        feature_set,
    )
    # Built here only to be checked: the names of columns in the joined table are not known yet.
    features_of(ready, members_in(ready, ()))
    return ready


def clean_lead(run: Plan) -> Cleaned:
    """The leading catalogue with its joined tables, after its cuts."""
    table = run.config.catalogue
    cleaned = clean(run.path(table.path), survey=run.lead, join=run.joined_tables, cuts=table.cuts)
    _require_magnitudes(cleaned, run.lead, table)
    return cleaned


def clean_photometry(run: Plan, table: PhotometryInput, survey: Survey) -> Cleaned:
    """One photometric catalogue after its cuts."""
    cleaned = clean(run.path(table.path), survey=survey, cuts=table.cuts)
    _require_magnitudes(cleaned, survey, table)
    return cleaned


def _require_magnitudes(cleaned: Cleaned, survey: Survey, table: Table) -> None:
    """Refuse a table without a band of its survey: a column of another survey might stand in unnoticed."""
    needed = [band.magnitude for band in survey.bands.values()]
    if survey.reddening is not None:
        needed.append(survey.reddening.column)
    purpose = f"a band or E(B-V) of survey {survey.name} (a copy of its survey file may leave it out)"
    require(cleaned.table.columns, needed, str(table.path), purpose)


def match_photometry(
    run: Plan, lead: pl.DataFrame, table: PhotometryInput, cleaned: pl.DataFrame, survey: Survey
) -> Matched:
    """Pairs of the leading and one photometric catalogue, in the order that the run file asks for.

    With ``match_first`` the whole catalogues are matched and the pairs of rows that the cuts
    removed are dropped afterwards.
    """
    if run.config.match.order == "clean_first":
        return match(lead, cleaned, left_survey=run.lead, right_survey=survey, settings=run.config.match)
    found = match(
        run.path(run.config.catalogue.path),
        run.path(table.path),
        left_survey=run.lead,
        right_survey=survey,
        settings=run.config.match,
    )
    clean_star = pl.col("source_id").is_in(lead[run.lead.id.column].implode())
    clean_counterpart = pl.col("original_ext_source_id").is_in(cleaned[survey.id.column].implode())
    if found.statistics.mode == "dense":
        leading, own, other = lead[run.lead.id.column], clean_star, clean_counterpart
    else:
        leading, own, other = cleaned[survey.id.column], clean_counterpart, clean_star
    lost = found.unmatched.filter(pl.col("leading_id").is_in(leading.implode()))
    cut = counterpart_cut(found.pairs.filter(own & ~other), found.statistics.mode, lost.schema)
    return replace(
        found, pairs=found.pairs.filter(clean_star & clean_counterpart), unmatched=pl.concat([lost, cut])
    )


def join_all(
    run: Plan, lead: pl.DataFrame, photometry: Sequence[tuple[pl.DataFrame, pl.DataFrame, Survey]]
) -> pl.DataFrame:
    """Stars with a pair in every photometric catalogue, all columns side by side.

    Parameters
    ----------
    run : Plan
    lead : polars.DataFrame
        The clean leading catalogue.
    photometry : sequence of (pairs, table, survey)
    """
    for pairs, table, survey in photometry:
        useful = [name for name in survey.columns if name in table.columns]
        lead = join_pairs(lead, pairs, table.select(useful), lead=run.lead, survey=survey)
    return lead


def members_in(run: Plan, columns: Sequence[str]) -> tuple[Member, ...]:
    """The surveys of a run, and what their columns are called in the joined table."""
    own = {name: name for name in run.lead.columns}
    joins = [{**names_in(columns, s), s.id.column: run.lead.id.column} for s in run.joins]
    photometry = [names_in(columns, s) for s in run.photometry]
    return tuple(Member(s, names) for s, names in zip(run.surveys, [own, *joins, *photometry], strict=True))


def _check_labels(
    config: RunConfig, base: Path, lead: Survey, label_surveys: Sequence[Survey], problems: Problems
) -> None:
    """Whether the label surveys have what is to be predicted, and a table each."""
    known = sorted({name for survey in label_surveys for name in survey.labels})
    who = f"survey{'s' * (len(label_surveys) > 1)} {', '.join(survey.name for survey in label_surveys)}"
    for target in config.target:
        if target not in known:
            problems.add(
                who,
                f"has no label {target!r}" if len(label_surveys) == 1 else f"have no label {target!r}",
                f"one of {', '.join(known)}",
                f"Name what it has: target = {json.dumps(known)}.",
            )
    for entry, survey in zip(config.labels, label_surveys, strict=True):
        if entry.path is None and survey.name != lead.name:
            problems.add("labels.path", "is missing", "the table of the label survey")
    names = [survey.name for survey in label_surveys]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add("labels", f"survey {name!r} takes part twice", "each survey once")
    if len(label_surveys) > 1:
        reference_survey(config.homogenize, base, problems)
        _check_anchor([survey.name for survey in label_surveys], config, problems)


def _check_anchor(names: Sequence[str], config: RunConfig, problems: Problems) -> None:
    try:
        anchor_of(names, config.homogenize)
    except InputError as error:
        problems.items.extend(error.problems)


def labels_plan_of(run: Plan) -> LabelsPlan:
    """The part of a run that `homogenize` does, where several surveys have labels."""
    reference = reference_survey(run.config.homogenize, run.base, Problems())
    return LabelsPlan(
        run.config.homogenize,
        run.base,
        run.config.labels,
        run.label_surveys,
        run.leading_table,
        reference,
        run.config.mock,
    )


def label_stars(run: Plan, lead: pl.DataFrame) -> Labelled:
    """The table of labels of the run's one label survey, a row a star."""
    entry, survey = run.config.labels[0], run.label_surveys[0]
    path = run.config.catalogue.path if entry.path is None else entry.path
    where = str(run.path(path))
    table = lead if entry.path is None else read(where, survey=survey)
    # Labels in the leading table have passed its cuts already, as far as the user wanted them.
    own_cuts = () if entry.path is None else survey.cuts
    mask, attrition = apply_cuts(table, choose_cuts(own_cuts, entry.cuts, where), where=where)
    table = table.filter(mask)
    if entry.path is None:
        links = table.select(pl.col(run.lead.id.column).alias("source_id")).with_row_index("row")
    else:
        links = link(table, survey, entry.radius, run.leading_table, where)
    labels, counts = label_table(table, links, survey)
    return Labelled(labels, attrition, counts)


def training_table(run: Plan, stars: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Stars that have a label, with the labels beside the inputs and the part of the first repeat.

    Raises
    ------
    InputError
        When no star has a label.
    """
    target = [c for name in run.config.target for c in (name, f"{name}_error")]
    key = run.lead.id.column
    chosen = labels.select(pl.col("source_id").alias(key), *target, SURVEYS).filter(
        pl.any_horizontal(*(pl.col(name).is_not_null() for name in run.config.target))
    )
    # A column of the catalogue that is called like a label gives way: it is no input (checked in `inputs`).
    table = stars.drop([name for name in (*target, SURVEYS) if name in stars.columns]).join(
        chosen, on=key, how="inner", maintain_order="left"
    )
    problems = Problems()
    if table.height == 0:
        problems.add(
            f"survey {run.label_names}",
            f"none of its {labels.height} labelled stars is among the {stars.height} that passed cuts and match",
            "common stars",
            "Do the catalogues cover the same sky, and is the match radius large enough?",
        )
    problems.raise_if_any()
    table = with_clusters(table, run.lead, run.config.split, run.base)
    return table.with_columns(parts(run, table, run.config.seed))


def prepare(run: Plan) -> pl.DataFrame:
    """Do every step up to the training table, in memory."""
    lead = clean_lead(run).table
    photometry = []
    for entry, survey in zip(run.config.photometry, run.photometry, strict=True):
        table = clean_photometry(run, entry, survey).table
        photometry.append((match_photometry(run, lead, entry, table, survey).pairs, table, survey))
    if len(run.label_surveys) > 1:
        labels_plan = labels_plan_of(run)
        labels = homogenize_parts(labels_plan, survey_rows(labels_plan)[0]).labels
    else:
        labels = label_stars(run, lead).labels
    return training_table(run, join_all(run, lead, photometry), labels)


def parts(run: Plan, table: pl.DataFrame, seed: int) -> pl.Series:
    """Training, validation or test, for every row of the training table; a split that leaks is refused."""
    names = [survey.name for survey in run.label_surveys]
    found = split_table(table, run.lead, run.config.split, seed, label_surveys=names)
    refuse_useless(table, found, run.config.split)
    return found


def features_of(run: Plan, members: Sequence[Member]) -> tuple[Feature, ...]:
    """The features of the run.

    Raises
    ------
    InputError
        When a feature would look at a label.
    """
    features = build_features(run.feature_set, members, run.config.features)
    problems = Problems()
    own_labels = {
        member.names.get(spec.value, spec.value)
        for member in members
        if _holds_labels(run, member)
        for label_survey in run.label_surveys
        for spec in label_survey.labels.values()
    }
    for column in feature_columns(features):
        if column in own_labels or column in (*run.config.target, SURVEYS):
            problems.add(f"column {column!r}", "is a label and an input at once", "inputs that are not the answer")
    problems.raise_if_any()
    return features


def _holds_labels(run: Plan, member: Member) -> bool:
    """Whether labels stand in the table of a survey that takes part."""
    config = run.config
    if config.labels[0].path is None:
        return member.survey is run.lead
    labels = {run.path(entry.path).resolve() for entry in config.labels if entry.path is not None}
    tables = zip([config.catalogue, *config.catalogue.join, *config.photometry], run.surveys, strict=True)
    return member.survey.name in {survey.name for survey in run.label_surveys} or any(
        survey is member.survey and run.path(table.path).resolve() in labels for table, survey in tables
    )


def inputs_survey(
    run: Plan, members: Sequence[Member], features: Sequence[Feature], cuts: Sequence[Cut], table: pl.DataFrame
) -> Survey:
    """Describe the table that the model expects: as a survey, so that it is read like any other."""
    required = [*feature_columns(features), *(c for m in members for c in _reference_magnitude(m))]
    looked_at = [c for cut in cuts for c in cut_columns(cut, "cuts")]
    needed = list(dict.fromkeys([*required, *looked_at]))
    columns: dict[str, ColumnSpec] = {}
    for member in members:
        for column, spec in member.survey.columns.items():
            name = member.names.get(column, column)
            if name in needed or member.survey is run.lead:
                sentinels = (*member.survey.sentinels, *spec.sentinels)
                columns.setdefault(name, spec.model_copy(update={"sentinels": sentinels}))
    for name in needed:
        columns.setdefault(name, ColumnSpec(dtype=_DTYPE.get(table.schema[name], "float64")))
    lead = run.lead
    return Survey(
        name=lead.name,
        title=lead.title,
        kind=lead.kind,
        id=lead.id,
        position=lead.position,
        motion=lead.motion,
        columns=columns | {c: lead.columns[c] for c in lead.used_columns()},
        gaia_release=lead.gaia_release,
    )


def _reference_magnitude(member: Member) -> list[str]:
    band = member.survey.reference_band
    return [member.names.get(m, m) for m in ([member.survey.bands[band].magnitude] if band else [])]


def magnitude_column(members: Sequence[Member], available: Sequence[str]) -> str | None:
    """The magnitude that stands for the brightness of a star: the first survey's that has one."""
    return next((name for m in members for name in _reference_magnitude(m) if name in available), None)


def all_cuts(run: Plan, members: Sequence[Member]) -> tuple[Cut, ...]:
    """The cuts that the training stars passed, on the columns of the joined table."""
    config = run.config
    chosen = list(choose_cuts(run.lead.cuts, config.catalogue.cuts, "catalogue"))
    names = {member.survey.name: member.names for member in members}
    for table, survey in zip(config.photometry, run.photometry, strict=True):
        for cut in choose_cuts(survey.cuts, table.cuts, survey.name):
            # One name, of a cut or of a column, may stand in two surveys: say whose it is.
            keep = rename_columns(cut.keep, names[survey.name])
            chosen.append(cut.model_copy(update={"name": f"{survey.name}_{cut.name}", "keep": keep}))
    return tuple(chosen)
