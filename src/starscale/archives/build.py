"""From what a user asks for to the request that goes to an archive."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.archives.tap.client import Client
from starscale.archives.tap.query import UPLOAD_DEC, UPLOAD_ID, UPLOAD_RA, probe
from starscale.archives.tap.relation import find_place, relate
from starscale.archives.tap.request import Request, ask_for, cut_conditions
from starscale.archives.tap.retry import Retry
from starscale.surveys import Survey, load_survey
from starscale.surveys.archive import Copy
from starscale.surveys.schema import Cut
from starscale.tables.api import AnyTable
from starscale.tables.cuts import choose_cuts, cut_columns
from starscale.tables.identifiers import identifier_problems
from starscale.tables.standardise import spelling
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.settings.fetch import Selection
from starscale.vocabulary.settings.run import Cuts, FetchSettings
from starscale.vocabulary.strict import validate

#: The archive's spelling of columns, by survey and by column of the survey file.
Spellings = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Sources:
    """The surveys of a request, and where they are.

    Attributes
    ----------
    lead : (Survey, Copy)
    beside : tuple of (Survey, Copy)
        Tables that share the identifier.
    partners : tuple of (Survey, Copy)
        Catalogues that the archive has matched with the leading one.
    """

    lead: tuple[Survey, Copy]
    beside: tuple[tuple[Survey, Copy], ...] = ()
    partners: tuple[tuple[Survey, Copy], ...] = ()

    def all(self) -> list[tuple[Survey, Copy]]:
        """Every survey, the leading one first."""
        return [self.lead, *self.beside, *self.partners]

    def spellings(self, names: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
        """Find the columns of every survey among those that its tables have.

        Parameters
        ----------
        names : mapping of str to sequence of str
            Columns of every table, by the name of the table.

        Raises
        ------
        InputError
            When an identifier is not there.
        """
        found: dict[str, dict[str, str]] = {}
        problems = Problems()
        for survey, place in self.all():
            elsewhere = {column for join in place.joins for column in join.columns}
            own = spelling(names[place.table], survey)
            found[survey.name] = {c: archive for c, archive in own.items() if c not in elsewhere}
            for join in place.joins:
                there = spelling(names[join.table], survey)
                found[survey.name] |= {c: archive for c, archive in there.items() if c in join.columns}
            if survey.id.column not in found[survey.name]:
                problems.add(
                    f"{place.service}: table {place.table}",
                    f"has no column {survey.id.column!r}",
                    f"the identifier of {survey.title}",
                    did_you_mean(survey.id.column, names[place.table]),
                )
        problems.raise_if_any()
        return found

    def tables(self) -> list[str]:
        """Every table whose columns are asked for."""
        return list(dict.fromkeys(t for _, p in self.all() for t in (p.table, *(j.table for j in p.joins))))


def find_sources(survey: str | Path | Survey, settings: FetchSettings, base: Path | None = None) -> Sources:
    """Find the archives of everything that is asked for.

    Raises
    ------
    InputError
        Unknown surveys or archives, catalogues that the archive has not matched.
    """
    lead = load_survey(survey, base=base)
    place = find_place(lead, settings.at)
    beside, partners = [], []
    if settings.join:
        # A survey file names the others of its folder.
        file = str(survey).endswith(".toml") and not isinstance(survey, Survey)
        home = ((base or Path()) / str(survey)).parent if file else base
        for name in lead.joins:
            other = load_survey(name, base=home)
            beside += [(other, there) for there in other.places if there.service == place.service][:1]
    problems = Problems()
    for name in settings.match:
        other = load_survey(name, base=base)
        there = next((c for c in other.places if c.service == place.service and c.neighbours), None)
        if there is None:
            able = [f"{c.name} ({c.service})" for c in other.places if c.neighbours]
            fix = f"Its match is at {', '.join(able)}." if able else "Fetch it by itself, and match it here."
            problems.add(f"survey {other.name}", f"{place.service} has no match of it with {lead.name}", fix=fix)
        else:
            partners.append((other, there))
    problems.raise_if_any()
    if settings.service is not None:
        moved = {"service": settings.service}
        place = place.model_copy(update=moved)
        beside = [(s, c.model_copy(update=moved)) for s, c in beside]
        partners = [(s, c.model_copy(update=moved)) for s, c in partners]
    return Sources((lead, place), tuple(beside), tuple(partners))


@dataclass(frozen=True)
class PlannedRequest:
    """A request, and the cuts that remain to be applied to what comes.

    Attributes
    ----------
    request : Request
    sources : Sources
    local : tuple of (int, Cut)
        Cuts that the archive has no words for, with the number of the member they belong to.
    missing : tuple of str
        Columns of the survey files that the archive does not have.
    """

    request: Request
    sources: Sources
    local: tuple[tuple[int, Cut], ...]
    missing: tuple[str, ...]


def build(
    sources: Sources,
    selection: Selection,
    settings: FetchSettings,
    spellings: Spellings | None,
    upload: pl.DataFrame | None,
) -> PlannedRequest:
    """Build the request.

    Parameters
    ----------
    sources : Sources
    selection : Selection
    settings : FetchSettings
    spellings : mapping, optional
        Left out: the columns are spelled as in the survey files (nobody was asked).
    upload : polars.DataFrame, optional
        List of identifiers or positions.

    Raises
    ------
    InputError
        Everything that cannot be asked.
    """
    lead, place = sources.lead
    relation = relate(lead, place, beside=sources.beside, partners=sources.partners, spellings=spellings)
    inner = relate(lead, place, spellings=spellings, alias="x")
    conditions, local = cut_conditions(relation, _cuts(sources, settings.cuts), lead.name)
    if settings.columns:
        needed = [relation.members[i].output[c] for i, cut in local for c in cut_columns(cut, lead.name)]
        relation = relation.chosen([*settings.columns, *needed])
    request = ask_for(place, relation, inner, selection, cuts=conditions, upload=upload)
    return PlannedRequest(request, sources, local, _missing(sources, spellings))


def _cuts(sources: Sources, choice: Cuts) -> list[tuple[int, Cut]]:
    """The cuts of the leading survey, and of those that it is matched with."""
    lead = sources.lead[0]
    own = {cut.name for cut in lead.cuts}
    partners = [survey for survey, _ in sources.partners]
    others = {cut.name for survey in partners for cut in survey.cuts}
    mine = Cuts(apply=choice.apply, without=tuple(n for n in choice.without if n in own or n not in others),
                extra=choice.extra)  # fmt: skip
    cuts = [(0, cut) for cut in choose_cuts(lead.cuts, mine, lead.name)]
    first = 1 + len(sources.beside)
    for number, survey in enumerate(partners, first):
        theirs = tuple(n for n in choice.without if n in {cut.name for cut in survey.cuts})
        cuts += [
            (number, cut)
            for cut in choose_cuts(survey.cuts, Cuts(apply=choice.apply, without=theirs), survey.name)
        ]
    return cuts


def _missing(sources: Sources, spellings: Spellings | None) -> tuple[str, ...]:
    if spellings is None:
        return ()
    return tuple(
        name for survey, _ in sources.all() for name in survey.columns if name not in spellings[survey.name]
    )


def listed_ids(ids: AnyTable, survey: Survey) -> pl.DataFrame:
    """A list of identifiers, each once, ready to be uploaded.

    Parameters
    ----------
    ids : path, table or sequence
        A table with the survey's identifier, or with one column; or the identifiers themselves.

    Raises
    ------
    InputError
        No such column, damaged identifiers, none.
    """
    column = survey.id.column
    if isinstance(ids, list | tuple | pl.Series):
        where, values = "ids", pl.Series(column, ids)
    else:
        table = io.read(ids)
        where = str(ids) if isinstance(ids, str | Path) else "ids"
        name = spelling(table.columns, survey).get(column) or (table.columns[0] if table.width == 1 else None)
        if name is None:
            fix = did_you_mean(column, table.columns)
            raise InputError(Problem(where, f"has no column {column!r}", "the identifiers that are wanted", fix))
        where, values = f"{where}: column {name!r}", table[name]
    # A star may be listed twice; whether the identifiers are whole matters.
    values = values.unique(maintain_order=True).drop_nulls()
    if problems := identifier_problems(values, survey, where):
        raise InputError(problems)
    if not len(values):
        raise InputError(Problem(where, "holds no identifier", "one or more"))
    if survey.columns[column].dtype.startswith("int"):
        values = values.cast(pl.Int64)
    return pl.DataFrame({UPLOAD_ID: values})


def listed_positions(positions: AnyTable) -> pl.DataFrame:
    """A list of positions, ready to be uploaded.

    Raises
    ------
    InputError
        Columns `ra` and `dec` are missing, or no positions on the sphere.
    """
    table = io.read(positions)
    where = str(positions) if isinstance(positions, str | Path) else "positions"
    by_lower = {name.lower(): name for name in table.columns}
    problems = Problems()
    for name in ("ra", "dec"):
        if name not in by_lower:
            fix = did_you_mean(name, table.columns, hint="Rename its column, in degrees.")
            problems.add(where, f"has no column {name!r}", "right ascension and declination, in degrees", fix)
    problems.raise_if_any()
    values = table.select(
        pl.col(by_lower["ra"]).cast(pl.Float64, strict=False).alias(UPLOAD_RA),
        pl.col(by_lower["dec"]).cast(pl.Float64, strict=False).alias(UPLOAD_DEC),
    )
    good = values.filter(pl.col(UPLOAD_RA).is_between(0, 360), pl.col(UPLOAD_DEC).is_between(-90, 90))
    if bad := values.height - good.height:
        found = f"{bad} of {values.height} positions are missing or not on the sphere"
        raise InputError(Problem(where, found, "degrees, ICRS", "Remove these rows first."))
    if not good.height:
        raise InputError(Problem(where, "holds no position", "one or more"))
    return good


_IN_MEMORY = Path("in memory")


def selected(**given: Any) -> tuple[Selection, dict[str, AnyTable]]:
    """The selection, and its lists, which may be tables in memory."""
    lists = {name: given[name] for name in ("ids", "positions") if given[name] is not None}
    placed = {name: value if isinstance(value, str | Path) else _IN_MEMORY for name, value in lists.items()}
    return validate(Selection, {**given, **placed}, "fetch"), lists


def uploaded(lists: Mapping[str, AnyTable], survey: Survey) -> pl.DataFrame | None:
    """The list that goes to the archive, if the selection has one."""
    if "ids" in lists:
        return listed_ids(lists["ids"], survey)
    return listed_positions(lists["positions"]) if "positions" in lists else None


def ask_and_build(
    client: Client,
    sources: Sources,
    selection: Selection,
    settings: FetchSettings,
    upload: pl.DataFrame | None,
) -> PlannedRequest:
    """Ask which columns there are, and build the request."""
    with tempfile.TemporaryDirectory() as name:
        few = Retry(attempts=2)
        names = {
            table: few.call(lambda t=table: client.ask(probe(t), Path(name)), stop=client.stop)[0].columns  # type: ignore[misc]
            for table in sources.tables()
        }
    return build(sources, selection, settings, sources.spellings(names), upload)
