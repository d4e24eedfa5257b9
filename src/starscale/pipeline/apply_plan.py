"""Turn a model and some tables into a plan: which survey of its recipe each table is, and whether it suits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from starscale import io
from starscale.model.model import Model
from starscale.model.needs import can_go_without, cost_without, features_with, needed_columns
from starscale.model.recipe import Recipe, RecipeTable
from starscale.model.recognise import foreign_problems, recognise
from starscale.pipeline.plan import TablesPlan, members_in, tables_of
from starscale.surveys import Survey, load_survey
from starscale.surveys.schema import Cut
from starscale.surveys.spectra import array_lengths
from starscale.surveys.spelling import with_rename
from starscale.tables.api import is_mock
from starscale.tables.columns.typed import POLARS_TYPE
from starscale.tables.cuts import choose_cuts, cut_columns
from starscale.tables.joins import new_names
from starscale.tables.standardise import spelling
from starscale.tables.stream import columns_of
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.paths import missing_path, present
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.run import CatalogueInput, InputTable, PhotometryInput, TablesConfig


@dataclass(frozen=True)
class GivenTable:
    """A table that a model is applied to: its path, its survey if the user names it, and names of its columns."""

    path: Path
    survey: str | Path | Survey | None = None
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundTable:
    """A table, and its survey with the names that its columns have there."""

    given: GivenTable
    survey: Survey


@dataclass(frozen=True)
class ApplyPlan:
    """A model, the tables that it is applied to, and what the user should know.

    Attributes
    ----------
    model : Model
        Its inputs are found under the names that they have in the joined table of this plan.
    bundle : Path or None
        Where it was loaded from.
    tables : TablesPlan
    clean : bool
        Whether cuts remove rows.
    absent : mapping of str to polars.DataType
        Columns of the joined table that have no values, because their survey is not given.
    notes, warnings : tuple of str
        What is good to know; reasons to expect worse results.
    """

    model: Model
    bundle: Path | None
    tables: TablesPlan
    clean: bool
    absent: Mapping[str, pl.DataType]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def recipe_of_model(model: Model, bundle: Path | None) -> Recipe:
    """Return the recipe of a model.

    Raises
    ------
    InputError
        It has none.
    """
    if model.recipe is None:
        fix = "Match and join the catalogues first, and use 'starscale predict' on the joined table."
        found = "was trained on a table that was already joined: it does not say how to make it from catalogues"
        raise InputError(Problem(str(bundle or "model"), found, "a bundle with a recipe (a run writes one)", fix))
    return model.recipe


def given_in(config: TablesConfig) -> list[GivenTable]:
    """Return the tables of a run file."""
    return [GivenTable(t.path, t.survey, t.rename) for t in tables_of(config) if t.path is not None]


def plan_apply(
    model: Model,
    bundle: Path | None,
    given: Sequence[GivenTable],
    base: Path,
    *,
    title: str,
    mock: bool = False,
    clean: bool = False,
    rename: Mapping[str, Mapping[str, str]] | None = None,
) -> ApplyPlan:
    """Plan how a model is applied to tables.

    Parameters
    ----------
    model : Model
    bundle : Path or None
        Where it was loaded from.
    given : sequence of GivenTable
    base : Path
        Folder that their paths start from.
    title : str
    mock : bool
        The data are known to be simulated.
    clean : bool
        Whether the cuts of the recipe remove rows; otherwise the catalogue flags the stars that fail one.
    rename : mapping of str to mapping, optional
        By survey: names in the table, by column of the survey.

    Raises
    ------
    InputError
        A model without a recipe, or everything that is wrong with the tables, at once.
    """
    recipe = recipe_of_model(model, bundle)
    found = _recognised(_Recognition(model, recipe, base, rename or {}), given)
    tables = _tables_plan(recipe, found, base, title, clean=clean)
    simulated = mock or model.mock or is_mock(*(base / table.path for table in given))
    tables = replace(tables, config=tables.config.model_copy(update={"mock": simulated}))
    suits = _Suitability(model, recipe, tables)
    return suits.plan(bundle, clean=clean)


def check_given(
    model: Model, bundle: Path | None, given: Sequence[GivenTable], base: Path, coming: Collection[Path]
) -> None:
    """Check before tables are fetched that they exist or will, and are of the model's surveys.

    Raises
    ------
    InputError
        Everything that is wrong, at once.
    """
    recipe, problems = recipe_of_model(model, bundle), Problems()
    for table in given:
        if table.path not in coming and not present(base / table.path):
            problems.items.append(missing_path(base / table.path))
        if table.survey is not None:
            with problems.collect():
                _named(table.survey, recipe, base)
    problems.raise_if_any()


class _Recognition:
    """Finds the table of each survey of a recipe."""

    def __init__(self, model: Model, recipe: Recipe, base: Path, rename: Mapping[str, Mapping[str, str]]) -> None:
        self.recipe, self.base, self.rename = recipe, base, rename
        self.needed = needed_columns(model, recipe)
        self.found: dict[str, FoundTable] = {}

    def add(self, table: GivenTable) -> None:
        """Find the survey of one more table."""
        path = self.base / table.path
        if not present(path):
            raise InputError(missing_path(path))
        source = io.open_table(path)
        if table.survey is None:
            surveys = [self._survey(name, table, source) for name in self.recipe.by_name]
            name = recognise(source, surveys, self.needed, str(path)) if surveys[1:] else surveys[0].name
        else:
            name = _named(table.survey, self.recipe, self.base)
        if name in self.found:
            found = f"is a table of {name}, as {self.found[name].given.path} is"
            raise InputError(Problem(str(path), found, "one of each survey"))
        survey = self._survey(name, table, source)
        self.found[name] = FoundTable(table, survey)
        if signs := list(foreign_problems(source, survey, list(self.recipe.by_name), str(path))):
            raise InputError(signs)

    def _survey(self, name: str, table: GivenTable, source: io.Source) -> Survey:
        """Return a survey with the names that the user gives, and those of the training that the table has."""
        survey, names = self.recipe.by_name[name].survey, {**self.rename.get(name, {}), **table.rename}
        kept = {column: there for column, there in survey.rename.items() if there in source.schema}
        return with_rename(
            survey.model_copy(update={"rename": {c: kept[c] for c in kept if c not in names}}), names
        )


def _recognised(recognition: _Recognition, given: Sequence[GivenTable]) -> dict[str, FoundTable]:
    """Return the table of each survey.

    Raises
    ------
    InputError
        Everything that is wrong, at once.
    """
    problems = Problems()
    for table in given:
        with problems.collect():
            recognition.add(table)
    lead = recognition.recipe.lead.survey
    if lead.name not in recognition.found and not problems.items:
        expected = f"the leading catalogue, {lead.name} ({lead.title})"
        problems.add("tables", "no table of the leading catalogue is given", expected)
    problems.raise_if_any()
    return recognition.found


def _named(survey: str | Path | Survey, recipe: Recipe, base: Path) -> str:
    """Return the name of a survey of the recipe that the user names, also by its file."""
    by_file = not isinstance(survey, str) or survey.endswith(".toml")
    given = load_survey(survey, base=base) if by_file else None
    name, names = given.name if given else str(survey), list(recipe.by_name)
    if name not in names:
        raise InputError(_unknown(name, recipe))
    stored = recipe.by_name[name].survey
    if given is not None and given.model_copy(update={"rename": stored.rename}) != stored:
        fix = f"Give {name!r}, and --rename for columns with other names."
        found = f"differs from the survey {name} that the model was trained on"
        raise InputError(Problem(f"survey {survey}", found, "the description in the bundle", fix))
    return name


def _unknown(name: str, recipe: Recipe) -> Problem:
    """Return the error for a survey that a model was not trained on."""
    fix, expected = "A model can only be applied to the surveys that it was trained on.", ", ".join(recipe.by_name)
    for other, table in recipe.by_name.items():
        if name in table.survey.other_releases:
            return Problem(f"survey {name!r}", f"is another release than {other}", f"one of {expected}", fix)
    fix = did_you_mean(name, recipe.by_name) or fix
    return Problem(f"survey {name!r}", "is no survey of the model", f"one of {expected}", fix)


def _tables_plan(
    recipe: Recipe, found: Mapping[str, FoundTable], base: Path, title: str, *, clean: bool
) -> TablesPlan:
    """Return the tables in the places that they have in the recipe."""

    def entry(table: RecipeTable) -> dict[str, object]:
        one = found[table.survey.name]
        return {"survey": table.survey.name, "path": one.given.path, "rename": dict(one.survey.rename)}

    def cuts(table: RecipeTable) -> Cuts:
        return table.cuts if clean else Cuts(apply=False)

    joins = [table for table in recipe.joins if table.survey.name in found]
    photometry = [table for table in recipe.photometry if table.survey.name in found]
    config = TablesConfig(
        title=title,
        catalogue=CatalogueInput.model_validate(
            {
                **entry(recipe.lead),
                "join": tuple(InputTable.model_validate(entry(table)) for table in joins),
                "cuts": cuts(recipe.lead),
            }
        ),
        photometry=tuple(PhotometryInput.model_validate({**entry(t), "cuts": cuts(t)}) for t in photometry),
        match=recipe.match,
    )
    lead, *others = (found[table.survey.name].survey for table in (recipe.lead, *joins, *photometry))
    return TablesPlan(config, base, lead, tuple(others[: len(joins)]), tuple(others[len(joins) :]))


class _Suitability:
    """Compares tables with what a model needs; problems, notes and warnings are collected."""

    def __init__(self, model: Model, recipe: Recipe, tables: TablesPlan) -> None:
        self.model, self.recipe, self.tables = model, recipe, tables
        self.needed = needed_columns(model, recipe)
        config = tables.config
        paths = [t.path for t in (config.catalogue, *config.catalogue.join, *config.photometry)]
        self.paths = {s.name: tables.path(path) for s, path in zip(tables.surveys, paths, strict=True)}
        #: Columns of every table once it is standardised.
        self.columns = {s.name: columns_of(self.paths[s.name], s) for s in tables.surveys}
        self.problems = Problems()
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def plan(self, bundle: Path | None, *, clean: bool) -> ApplyPlan:
        """Return the plan, or raise every problem."""
        for survey in self.tables.surveys:
            self._lacking_columns(survey)
        joined = self._joined_columns()
        absent = self._absent(joined)
        rename = self._renamed(joined)
        cuts = self._cuts(joined, clean=clean)
        self.problems.raise_if_any()
        return ApplyPlan(
            replace(self.model, inputs=with_rename(self.model.inputs, rename), cuts=cuts),
            bundle,
            self.tables,
            clean,
            absent,
            tuple(self.notes),
            tuple(self.warnings),
        )

    def _lacking_columns(self, survey: Survey) -> None:
        """Note every column of a table that a feature needs and that is not there."""
        own, where = self.needed[survey.name], str(self.paths[survey.name])
        for column in [survey.id.column, *own]:
            if column in self.columns[survey.name] or column in array_lengths(survey.spectra):
                continue
            if column == survey.id.column:
                self.problems.add(f"{where}: column {column!r}", "is missing", f"the identifier of {survey.name}")
                continue
            users = [feature.name for feature in features_with(self.model, [own[column]])]
            more = f" and {len(users) - 1} more" if users[1:] else ""
            cost = cost_without(self.model, [own[column]])
            fix = "Add it, or read it under another name (rename)."
            if cost:
                fix += f" A column without values lets the model go without it; {cost}."
            self.problems.add(
                f"{where}: column {column!r}", f"is missing, but needed for the input {users[0]!r}{more}", "", fix
            )

    def _joined_columns(self) -> list[str]:
        """Return the columns of the joined table, as the join will name them."""
        lead, *others = self.tables.surveys
        columns = list(self.columns[lead.name])
        for number, survey in enumerate(others):
            key = survey.id.column if number < len(self.tables.joins) else None
            own = [c for c in survey.columns if c in self.columns[survey.name] and c != key]
            columns += new_names(columns, survey, own).values()
        return columns

    def _absent(self, joined: Sequence[str]) -> dict[str, pl.DataType]:
        """Return the columns of surveys that are not given, and say what going without them costs."""
        lost = self._lost(joined)
        for name, own in lost.items():
            cost = cost_without(self.model, own)
            self.warnings.append(f"no table of {name} is given{f': {cost}' if cost else ''}")
        columns = [column for own in lost.values() for column in own]
        if not can_go_without(self.model, columns):
            users = features_with(self.model, columns)
            self.problems.add(
                "tables",
                f"no table of {' and '.join(lost)}, on which {len(users)} of the {len(self.model.features)} "
                "inputs of the model depend: no star could be predicted",
                "a table of each survey of the model",
            )
        return {column: POLARS_TYPE[self.model.inputs.columns[column].dtype]() for column in columns}

    def _lost(self, joined: Sequence[str]) -> dict[str, list[str]]:
        """Return the needed columns of the surveys that are not given, where no other table has them."""
        there = {*joined, *spelling(joined, self.model.inputs), *array_lengths(self.model.inputs.spectra)}
        lost = {
            name: [column for column in columns.values() if column not in there]
            for name, columns in self.needed.items()
            if name not in self.columns
        }
        return {name: columns for name, columns in lost.items() if columns}

    def _renamed(self, joined: Sequence[str]) -> dict[str, str]:
        """Return where the joined table has a column of the model under another name than in the training."""
        changed: dict[str, str] = {}
        for member in members_in(self.tables, joined):
            name = member.survey.name
            for column, trained in self.needed[name].items():
                actual = member.names.get(column, column)
                if actual == trained or column not in self.columns[name]:
                    continue
                changed[trained] = actual
                if trained in joined:
                    where = f"{self.paths[self.tables.lead.name]}: column {trained!r}"
                    found = f"has the name of a column that the model takes from {name}"
                    self.problems.add(where, found, "", "Rename or remove it.")
        return changed

    def _cuts(self, joined: Sequence[str], *, clean: bool) -> tuple[Cut, ...]:
        """Return the cuts that can flag a star; one whose columns are missing can neither flag nor remove any."""
        if clean:
            for name, cut, lacking in self._unusable_cuts():
                self.problems.add(
                    str(self.paths[name]),
                    f"has no column {', '.join(lacking)}, which the cut {cut!r} needs",
                    "",
                    "Add it, or leave out --clean: then cuts set a flag, and this one none.",
                )
        there = {*joined, *spelling(joined, self.model.inputs)}
        usable = tuple(cut for cut in self.model.cuts if set(cut_columns(cut, "bundle")) <= there)
        if not clean and (unjudged := [cut.name for cut in self.model.cuts if cut not in usable]):
            self.notes.append(f"cuts that set no flag, because their columns are missing: {', '.join(unjudged)}")
        return usable

    def _unusable_cuts(self) -> Iterator[tuple[str, str, list[str]]]:
        """Yield survey, cut and missing columns of the cuts that are to remove rows."""
        config, tables = self.tables.config, self.tables
        lead = [column for survey in (tables.lead, *tables.joins) for column in self.columns[survey.name]]
        there = [lead, *(self.columns[survey.name] for survey in tables.photometry)]
        cuts = [config.catalogue.cuts, *(table.cuts for table in config.photometry)]
        for survey, columns, chosen in zip((tables.lead, *tables.photometry), there, cuts, strict=True):
            for cut in choose_cuts(survey.cuts, chosen, survey.name):
                lacking = sorted(set(cut_columns(cut, survey.name)) - set(columns))
                if lacking and not survey.is_of_labels(cut):
                    yield survey.name, cut.name, lacking
