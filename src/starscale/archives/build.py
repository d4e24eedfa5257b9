"""Build the request that is sent to an archive from the survey, the selection and the settings."""

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
from starscale.archives.tap.relation import Relation, find_place, relate, requested
from starscale.archives.tap.request import Request, ask_for, cut_conditions
from starscale.archives.tap.retry import Retry
from starscale.surveys import Survey, load_survey
from starscale.surveys.archive import Copy
from starscale.surveys.derived import with_inputs
from starscale.surveys.names import plain
from starscale.surveys.schema import Cut
from starscale.tables.api import AnyTable, read_in_units
from starscale.tables.cuts import choose_cuts, cut_columns
from starscale.tables.identifiers import identifier_problems
from starscale.tables.standardise import spelling
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.fetch import Selection
from starscale.vocabulary.settings.run import FetchSettings
from starscale.vocabulary.strict import validate

#: The archive's spelling of columns, by survey and by column of the survey file.
Spellings = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Sources:
    """The surveys of a request, each with the archive table that holds it.

    Attributes
    ----------
    lead : (Survey, Copy)
        The leading survey: one row of it is one row of the result.
    companions : tuple of (Survey, Copy)
        Tables with the same identifier (distances).
    partners : tuple of (Survey, Copy)
        Catalogues that the archive has matched with the leading one.
    """

    lead: tuple[Survey, Copy]
    companions: tuple[tuple[Survey, Copy], ...] = ()
    partners: tuple[tuple[Survey, Copy], ...] = ()

    def all(self) -> list[tuple[Survey, Copy]]:
        """Return every survey, the leading one first."""
        return [self.lead, *self.companions, *self.partners]

    def spellings(self, names: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
        """Find the columns of every survey in the tables of the archive, ignoring case and using aliases.

        Parameters
        ----------
        names : mapping of str to sequence of str
            Columns of every table, by the name of the table.

        Returns
        -------
        dict of str to dict of str to str
            The archive's spelling, by survey and by column of the survey file.

        Raises
        ------
        InputError
            If the identifier of a survey is missing.
        """
        found: dict[str, dict[str, str]] = {}
        problems = Problems()
        for survey, place in self.all():
            elsewhere = {column for join in place.joins for column in join.columns}
            own = {
                **spelling(names[place.table], survey),
                **_found(named_there(survey, place), names[place.table]),
            }
            asked = set(requested(survey)) - elsewhere
            found[survey.name] = {c: archive for c, archive in own.items() if c in asked}
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

    def stated(self) -> dict[str, dict[str, str]]:
        """Return the spelling of all columns as the survey files state it, for an archive that is not asked."""
        return {s.name: {c: named_there(s, place).get(c, c) for c in requested(s)} for s, place in self.all()}

    def tables(self) -> list[str]:
        """Return the names of all tables of the request, without repetition."""
        return list(dict.fromkeys(t for _, p in self.all() for t in (p.table, *(j.table for j in p.joins))))

    def moved(self, service: str) -> Sources:
        """Return the same tables at another service (a mirror)."""

        def there(source: tuple[Survey, Copy]) -> tuple[Survey, Copy]:
            return source[0], source[1].model_copy(update={"service": service})

        return Sources(there(self.lead), tuple(map(there, self.companions)), tuple(map(there, self.partners)))


def named_there(survey: Survey, place: Copy) -> dict[str, str]:
    """Return the names of columns that an archive has instead of those of the survey file."""
    return plain(survey.names[place.names]) if place.names is not None else {}


def _found(wanted: Mapping[str, str], there: Sequence[str]) -> dict[str, str]:
    """Return the wanted names that a table has, in its case of letters, by column of the survey."""
    by_lower = {name.lower(): name for name in there}
    return {column: by_lower[name.lower()] for column, name in wanted.items() if name.lower() in by_lower}


def find_sources(survey: str | Path | Survey, settings: FetchSettings, base: Path | None = None) -> Sources:
    """Find the archive tables of the survey, of its companions, and of the catalogues to be joined.

    Raises
    ------
    InputError
        If a survey or an archive is unknown, or the archive has not matched a catalogue with the survey.
    """
    lead = load_survey(survey, base=base)
    place = find_place(lead, settings.at)
    companions = _companions(survey, lead, place, base) if settings.join else []
    problems = Problems()
    partners = []
    for name in settings.match:
        with problems.collect():
            partners.append(_partner(load_survey(name, base=base), lead, place))
    problems.raise_if_any()
    sources = Sources((lead, place), tuple(companions), tuple(partners))
    return sources if settings.service is None else sources.moved(settings.service)


def _companions(
    survey: str | Path | Survey, lead: Survey, place: Copy, base: Path | None
) -> list[tuple[Survey, Copy]]:
    """Return the surveys that extend the rows of the leading one, as far as the same service has them."""
    # A survey file given by its path names other survey files relative to its own folder.
    is_path = not isinstance(survey, Survey) and str(survey).endswith(".toml")
    home = ((base or Path()) / str(survey)).parent if is_path else base
    found: list[tuple[Survey, Copy]] = []
    for name in lead.joins:
        other = load_survey(name, base=home)
        found += [(other, copy) for copy in other.places if copy.service == place.service][:1]
    return found


def _partner(other: Survey, lead: Survey, place: Copy) -> tuple[Survey, Copy]:
    """Return the copy of a catalogue that the archive of the leading survey has matched with it.

    Raises
    ------
    InputError
        If the archive has no such match.
    """
    matched = [copy for copy in other.places if copy.neighbours]
    for copy in matched:
        if copy.service == place.service:
            return other, copy
    able = ", ".join(f"{copy.name} ({copy.service})" for copy in matched)
    fix = f"Its match is at {able}." if able else "Fetch it separately, and match it with 'starscale match'."
    raise InputError(
        Problem(f"survey {other.name}", f"{place.service} has no match of it with {lead.name}", fix=fix)
    )


@dataclass(frozen=True)
class PlannedRequest:
    """A request, and the cuts that must be applied after the download.

    Attributes
    ----------
    request : Request
    sources : Sources
    local : tuple of (int, Cut)
        Cuts that cannot be written in ADQL for this archive, with the index of their member of the relation.
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
        The archive's spelling of the columns; by default that of the survey files.
    upload : polars.DataFrame, optional
        List of identifiers or positions.

    Raises
    ------
    InputError
        If the selection, a column or a cut is not possible for these surveys.
    """
    lead, place = sources.lead
    written = sources.stated() if spellings is None else spellings
    relation = relate(lead, place, companions=sources.companions, partners=sources.partners, spellings=written)
    inner = relate(lead, place, spellings=written, alias="x")
    conditions, local = cut_conditions(relation, _cuts(sources, settings.cuts), lead.name)
    if settings.columns:
        needed = [c for i, cut in local for c in _delivered(relation, i, cut_columns(cut, lead.name))]
        relation = relation.chosen([*_delivered(relation, 0, settings.columns), *needed])
    request = ask_for(place, relation, inner, selection, cuts=conditions, upload=upload)
    return PlannedRequest(request, sources, local, _missing(sources, spellings))


def _delivered(relation: Relation, number: int, columns: Sequence[str]) -> list[str]:
    """Return the columns of the delivered table from which some columns of a member are computed."""
    outputs = {n: output for member in reversed(relation.members) for n, output in member.output.items()}
    outputs |= relation.members[number].output
    specs = relation.members[number].survey.columns
    # A column that does not exist is reported later, but that on which validity depends may be missing.
    asked = [name for name in columns if name not in specs or specs[name].expression is None]
    return [outputs.get(n, n) for n in with_inputs(specs, columns) if n in outputs or n in asked]


def _cuts(sources: Sources, choice: Cuts) -> list[tuple[int, Cut]]:
    """Return the cuts of the leading survey and of its partners, each with the index of its member.

    A name in `choice.without` refers to a cut of any of them; a name that none of them has is reported with the
    leading survey.
    """
    lead, partners = sources.lead[0], [survey for survey, _ in sources.partners]
    foreign = set().union(*map(_cut_names, partners)) - _cut_names(lead)
    cuts = [
        (0, cut) for cut in choose_cuts(lead.cuts, _leaving_out(choice, set(choice.without) - foreign), lead.name)
    ]
    # The user's own cuts use the columns of the leading survey. Members are in the order of `Sources.all`.
    for number, survey in enumerate(partners, 1 + len(sources.companions)):
        chosen = _leaving_out(choice.model_copy(update={"extra": ()}), _cut_names(survey))
        cuts += [(number, cut) for cut in choose_cuts(survey.cuts, chosen, survey.name)]
    # Cuts that remove labels, not stars, are left to those who read the table.
    surveys = [survey for survey, _ in sources.all()]
    return [(number, cut) for number, cut in cuts if not surveys[number].is_of_labels(cut)]


def _cut_names(survey: Survey) -> set[str]:
    return {cut.name for cut in survey.cuts}


def _leaving_out(choice: Cuts, names: set[str]) -> Cuts:
    """Return the choice with `without` restricted to these names."""
    return choice.model_copy(update={"without": tuple(name for name in choice.without if name in names)})


def _missing(sources: Sources, spellings: Spellings | None) -> tuple[str, ...]:
    if spellings is None:
        return ()
    return tuple(
        name for survey, _ in sources.all() for name in requested(survey) if name not in spellings[survey.name]
    )


def listed_ids(ids: AnyTable, survey: Survey) -> pl.DataFrame:
    """Return the table of identifiers to upload, without repetition.

    Parameters
    ----------
    ids : path, table or sequence
        A table with the survey's identifier, or with one column; or the identifiers themselves.
    survey : Survey
        The survey that the identifiers belong to.

    Raises
    ------
    InputError
        If the column is missing, identifiers are damaged, or there is none.
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
            raise InputError(Problem(where, f"has no column {column!r}", "the identifiers to fetch", fix))
        where, values = f"{where}: column {name!r}", table[name]
    # A star may be listed twice, but the identifiers must be undamaged.
    values = values.unique(maintain_order=True).drop_nulls()
    if problems := identifier_problems(values, survey, where):
        raise InputError(problems)
    if not len(values):
        raise InputError(Problem(where, "holds no identifier", "one or more"))
    if survey.columns[column].dtype.startswith("int"):
        values = values.cast(pl.Int64)
    return pl.DataFrame({UPLOAD_ID: values})


def _in_degrees(columns: Sequence[str]) -> dict[str, Column]:
    return {name: Column(name, unit="deg") for name in columns if name.lower() in ("ra", "dec")}


def listed_positions(positions: AnyTable) -> pl.DataFrame:
    """Return the table of positions to upload.

    Raises
    ------
    InputError
        If the columns `ra` and `dec` are missing, or a row has no valid position.
    """
    table = read_in_units(positions, _in_degrees)
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
    """Return the validated selection, and its lists of identifiers or positions (paths or tables in memory)."""
    lists = {name: given[name] for name in ("ids", "positions") if given[name] is not None}
    placed = {name: value if isinstance(value, str | Path) else _IN_MEMORY for name, value in lists.items()}
    return validate(Selection, {**given, **placed}, "fetch"), lists


def uploaded(lists: Mapping[str, AnyTable], survey: Survey) -> pl.DataFrame | None:
    """Return the list to upload, if the selection has one."""
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
    """Query the columns of every table, and build the request with them."""
    with tempfile.TemporaryDirectory() as name:
        few = Retry(attempts=2)
        names = {
            table: few.call(lambda t=table: client.ask(probe(t), Path(name)), stop=client.stop)[0].columns  # type: ignore[misc]
            for table in sources.tables()
        }
    return build(sources, selection, settings, sources.spellings(names), upload)
