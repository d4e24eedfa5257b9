"""A run file with everything that it names, and the columns, features and cuts of its joined table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from starscale.crossmatch.linking import LeadingTable
from starscale.crossmatch.neighbourhood import Neighbourhood
from starscale.features.checks import find_checks
from starscale.features.families import Feature, SurveyColumns
from starscale.features.features import FeatureSet, build_features, feature_columns
from starscale.features.measurements import error_columns, find_measurements
from starscale.features.split_table import SURVEYS
from starscale.model.recipe import Recipe, RecipeTable
from starscale.surveys import Survey
from starscale.surveys.derived import with_inputs, with_sources
from starscale.surveys.schema import ColumnSpec, Cut
from starscale.surveys.spectra import Spectrum
from starscale.tables.columns.typed import POLARS_TYPE
from starscale.tables.cuts import choose_cuts, cut_columns
from starscale.tables.joins import names_in
from starscale.tables.sql import rename_columns
from starscale.vocabulary.columns import DType
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.run import (
    CatalogueInput,
    InputTable,
    LabelsInput,
    PhotometryInput,
    RunConfig,
    TablesConfig,
)

#: Name of a column type in a survey file, by the type in a table.
_DTYPE: dict[pl.DataType, DType] = {kind(): name for name, kind in POLARS_TYPE.items()}


@dataclass(frozen=True)
class TablesPlan:
    """The tables that become one table of stars, with their surveys loaded and checked.

    Attributes
    ----------
    config : TablesConfig
    base : Path
        Folder that its paths start from.
    lead : Survey
    joins, photometry : tuple of Survey
        In the order of the tables of `config`.
    """

    config: TablesConfig
    base: Path
    lead: Survey
    joins: tuple[Survey, ...]
    photometry: tuple[Survey, ...]

    def path(self, relative: Path | None) -> Path:
        """Return the location of a path of the run file, which starts from the folder of that file.

        Raises
        ------
        InputError
            For None: a table that has not been fetched yet.
        """
        if relative is None:
            fix = "'starscale run' fetches it; other commands need the `path` of a table."
            raise InputError(Problem("run file", "a table is still to be fetched", "a table", fix))
        return self.base / relative

    @property
    def surveys(self) -> tuple[Survey, ...]:
        """The surveys that describe the columns of the joined table."""
        return (self.lead, *self.joins, *self.photometry)

    @property
    def joined_tables(self) -> list[tuple[Path, Survey]]:
        """The tables that share the identifier of the leading table, with their surveys."""
        return [(self.path(t.path), s) for t, s in zip(self.config.catalogue.join, self.joins, strict=True)]


@dataclass(frozen=True)
class RunPlan(TablesPlan):
    """A run file with everything that it names loaded and checked: tables, labels, inputs of the model."""

    config: RunConfig
    label_surveys: tuple[Survey, ...]
    feature_set: FeatureSet
    crosswalks: tuple[Neighbourhood, ...] = ()

    @property
    def label_names(self) -> str:
        """The names of the label surveys, for messages."""
        return ", ".join(survey.name for survey in self.label_surveys)

    @property
    def leading_table(self) -> LeadingTable:
        """The whole leading catalogue, to which the rows of label surveys are linked."""
        return LeadingTable(self.path(self.config.catalogue.path), self.lead, self.config.match)


def tables_of(config: TablesConfig) -> list[InputTable | LabelsInput]:
    """Return all tables of a run file: the leading one, its joins, photometry and labels."""
    labels = config.labels if isinstance(config, RunConfig) else ()
    return [config.catalogue, *config.catalogue.join, *config.photometry, *labels]


def members_in(run: TablesPlan, columns: Sequence[str]) -> tuple[SurveyColumns, ...]:
    """Return the surveys of a run with the names of their columns in the joined table."""
    own = {name: name for name in run.lead.columns}
    joins = [{**names_in(columns, s), s.id.column: run.lead.id.column} for s in run.joins]
    photometry = [names_in(columns, s) for s in run.photometry]
    return tuple(SurveyColumns(s, names) for s, names in zip(run.surveys, [own, *joins, *photometry], strict=True))


def features_of(run: RunPlan, members: Sequence[SurveyColumns]) -> tuple[Feature, ...]:
    """Return the features of the run.

    Raises
    ------
    InputError
        When a feature uses a label.
    """
    features = build_features(run.feature_set, members, run.config.features)
    problems = Problems()
    own_labels = {
        member.names.get(column, column)
        for member in members
        if _holds_labels(run, member)
        for label_survey in run.label_surveys
        for column in _label_values(label_survey)
    }
    for column in feature_columns(features):
        if column in own_labels or column in (*run.config.target, SURVEYS):
            problems.add(f"column {column!r}", "is a label and an input at once", "inputs other than the labels")
    problems.raise_if_any()
    return features


def _label_values(survey: Survey) -> set[str]:
    """Return the columns with labels, and those that differ from them by an expression only."""
    photometry = [name for band in survey.bands.values() for name in (band.magnitude, band.error) if name]
    photometry += [survey.reddening.column] if survey.reddening else []
    labels = with_sources(survey.columns, (spec.value for spec in survey.labels.values()))
    # A correction may depend on a colour, which stays an input.
    known = set(labels) - set(with_sources(survey.columns, photometry))
    # A column that is computed from a label says as much as the label.
    return known | {name for name in survey.columns if known & set(with_sources(survey.columns, [name]))}


def _holds_labels(run: RunPlan, member: SurveyColumns) -> bool:
    """Return whether the table of a survey holds the labels."""
    config = run.config
    if config.labels[0].path is None:
        return member.survey is run.lead
    labels = {run.path(entry.path).resolve() for entry in config.labels if entry.path is not None}
    tables = zip([config.catalogue, *config.catalogue.join, *config.photometry], run.surveys, strict=True)
    return member.survey.name in {survey.name for survey in run.label_surveys} or any(
        survey is member.survey and run.path(table.path).resolve() in labels for table, survey in tables
    )


def recipe_of(run: RunPlan, members: Sequence[SurveyColumns]) -> Recipe:
    """Return how the tables of a run become the table of its model."""
    config = run.config
    tables = (config.catalogue, *config.catalogue.join, *config.photometry)
    entries = [
        RecipeTable(
            survey=member.survey,
            cuts=table.cuts if isinstance(table, CatalogueInput | PhotometryInput) else Cuts(),
            names={column: name for column, name in member.names.items() if name != column},
        )
        for table, member in zip(tables, members, strict=True)
    ]
    lead, joins = entries[0], tuple(entries[1 : 1 + len(run.joins)])
    return Recipe(
        lead=lead,
        joins=joins,
        photometry=tuple(entries[1 + len(run.joins) :]),
        match=config.match,
        feature_set=run.feature_set,
        features=config.features,
    )


def inputs_survey(
    run: RunPlan,
    members: Sequence[SurveyColumns],
    features: Sequence[Feature],
    cuts: Sequence[Cut],
    table: pl.DataFrame,
) -> Survey:
    """Describe the input table of the model as a survey, so that it is read like any other table."""
    required = [*feature_columns(features), *(c for m in members for c in _reference_magnitude(m))]
    required += [c for cut in cuts for c in cut_columns(cut, "cuts")]
    required += _telling(members, features, table)
    columns = _described(members, [*run.lead.columns, *required])
    for name in dict.fromkeys(required):
        columns.setdefault(name, ColumnSpec(dtype=_DTYPE.get(table.schema.get(name, pl.Float64()), "float64")))
    columns |= {c: run.lead.columns[c] for c in run.lead.used_columns()}
    return _like_lead(run.lead, columns, _spectra(members, required))


def joined_survey(run: TablesPlan, members: Sequence[SurveyColumns]) -> Survey:
    """Describe all columns of a joined table of a run as a survey."""
    names = [member.names.get(column, column) for member in members for column in member.survey.columns]
    return _like_lead(run.lead, _described(members, names), _spectra(members, names))


def _like_lead(lead: Survey, columns: dict[str, ColumnSpec], spectra: dict[str, Spectrum]) -> Survey:
    """Return a survey with the identifiers and positions of the leading one, and other columns."""
    return Survey(
        name=lead.name,
        title=lead.title,
        kind=lead.kind,
        id=lead.id,
        position=lead.position,
        motion=lead.motion,
        columns=columns,
        spectra=spectra,
        gaia_release=lead.gaia_release,
        names={key: {c: n for c, n in given.items() if c in columns} for key, given in lead.names.items()},
    )


def _telling(members: Sequence[SurveyColumns], features: Sequence[Feature], table: pl.DataFrame) -> list[str]:
    """Return the columns of errors and of checks: they need not be inputs, but tell whether measurements agree.

    Errors of spectra do not: no element of a spectrum is compared with the others.
    """
    known = error_columns(find_measurements(features, members))
    known += [name for check in find_checks(features, members) for name in (check.column, check.error)]
    return [name for name in known if name in table.columns and not table.schema[name].is_nested()]


def _spectra(members: Sequence[SurveyColumns], needed: Sequence[str]) -> dict[str, Spectrum]:
    """Return the spectra among the inputs; a prediction does not need their errors."""
    named = {
        f"{member.survey.name}.{key}": (member.names.get(one.coefficients, one.coefficients), one.length)
        for member in members
        for key, one in member.survey.spectra.items()
    }
    return {key: Spectrum(coefficients=c, length=length) for key, (c, length) in named.items() if c in needed}


def _described(members: Sequence[SurveyColumns], wanted: Sequence[str]) -> dict[str, ColumnSpec]:
    """Return the wanted columns, and those that they are computed from, in the names of the joined table."""
    columns: dict[str, ColumnSpec] = {}
    for member in members:
        for column, spec in member.survey.limited().items():
            changed = {
                "sentinels": (*member.survey.sentinels, *spec.sentinels),
                "expression": spec.expression and rename_columns(spec.expression, member.names),
                "valid": spec.valid and rename_columns(spec.valid, member.names),
            }
            columns.setdefault(member.names.get(column, column), spec.model_copy(update=changed))
    needed = set(with_inputs(columns, wanted))
    return {name: spec for name, spec in columns.items() if name in needed}


def _reference_magnitude(member: SurveyColumns) -> list[str]:
    band = member.survey.reference_band
    return [member.names.get(m, m) for m in ([member.survey.bands[band].magnitude] if band else [])]


def magnitude_column(members: Sequence[SurveyColumns], available: Sequence[str]) -> str | None:
    """Return the column of the reference magnitude of the first survey that has one."""
    return next((name for m in members for name in _reference_magnitude(m) if name in available), None)


def all_cuts(run: RunPlan, members: Sequence[SurveyColumns]) -> tuple[Cut, ...]:
    """Return the cuts that the training stars passed, on the columns of the joined table."""
    config = run.config
    cuts_of_lead = choose_cuts(run.lead.cuts, config.catalogue.cuts, "catalogue")
    chosen = [cut for cut in cuts_of_lead if not run.lead.is_of_labels(cut)]
    names = {member.survey.name: member.names for member in members}
    for table, survey in zip(config.photometry, run.photometry, strict=True):
        for cut in choose_cuts(survey.cuts, table.cuts, survey.name):
            if survey.is_of_labels(cut):
                continue
            # Two surveys may use the same name for a cut or a column.
            keep = rename_columns(cut.keep, names[survey.name], f"survey {survey.name}: cut {cut.name!r}")
            chosen.append(cut.model_copy(update={"name": f"{survey.name}_{cut.name}", "keep": keep}))
    return tuple(chosen)
