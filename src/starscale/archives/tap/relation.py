"""The joined tables of one archive that a query reads, and the names of their columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlparse

from starscale.archives.tap.names import identifier
from starscale.archives.tap.predicate import ColumnReference, Kind
from starscale.surveys import Survey, load_survey, survey_names
from starscale.surveys.archive import Access, Copy
from starscale.vocabulary.columns import DType
from starscale.vocabulary.errors import InputError, Problem, did_you_mean

_KIND: dict[DType, Kind] = {
    "int16": "whole",
    "int32": "whole",
    "int64": "whole",
    "float32": "real",
    "float64": "real",
    "bool": "truth",
    "string": "text",
}
_BYTES: dict[DType, int] = {
    "bool": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float32": 4,
    "float64": 8,
    "string": 16,
}


@dataclass(frozen=True, slots=True)
class RelationMember:
    """One survey of a request, with its columns in the query and in the delivered table.

    Attributes
    ----------
    survey : Survey
    references : dict of str to ColumnReference
        Columns in the query, by their names in the survey file.
    output : dict of str to str
        Names in the delivered table, by the names in the survey file; only of the columns to be delivered.
    """

    survey: Survey
    references: Mapping[str, ColumnReference]
    output: Mapping[str, str]


@dataclass(frozen=True)
class Relation:
    """Joined tables.

    Attributes
    ----------
    access : Access
        Limits and dialect of the archive.
    main : str
        The main table with its alias.
    joins : tuple of str
        JOIN clauses.
    members : tuple of RelationMember
        The leading survey first.
    extra : dict of str to str
        Further columns (of the archive's own match): ADQL by output name.
    """

    access: Access
    main: str
    joins: tuple[str, ...]
    members: tuple[RelationMember, ...]
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def lead(self) -> RelationMember:
        """Return the member of the leading survey."""
        return self.members[0]

    @property
    def source(self) -> str:
        """Return the text after FROM."""
        return "\n".join((self.main, *self.joins))

    def columns(self) -> dict[str, str]:
        """Return every delivered column: ADQL by output name."""
        named = {
            output: member.references[name].adql
            for member in self.members
            for name, output in member.output.items()
        }
        return {**named, **self.extra}

    def row_bytes(self) -> int:
        """Return the approximate size of a row in bytes."""
        described = [m.survey.columns[name].dtype for m in self.members for name in m.output]
        return sum(_BYTES[dtype] for dtype in described) + 8 * len(self.extra)

    def chosen(self, wanted: Sequence[str]) -> Relation:
        """Return the relation with these columns only, by output name; the identifier is always included.

        Raises
        ------
        InputError
            If a name is not a column of the request; all of them are reported.
        """
        available = self.columns()
        unknown = [name for name in dict.fromkeys(wanted) if name not in available]
        if unknown:
            raise InputError(
                Problem(f"column {name!r}", "is not in this request", fix=did_you_mean(name, available))
                for name in unknown
            )
        keep = {*wanted, self.lead.output[self.lead.survey.id.column]}
        members = tuple(
            replace(m, output={name: output for name, output in m.output.items() if output in keep})
            for m in self.members
        )
        return replace(self, members=members, extra={k: v for k, v in self.extra.items() if k in keep})


def find_place(survey: Survey, name: str | None) -> Copy:
    """Return the archive of a survey by name; the main one for None.

    Raises
    ------
    InputError
        If the survey has no archive of this name.
    """
    places = survey.places
    if not places:
        fix = "Give `service` and `table` in a copy of the survey file, or download the file that its notes name. "
        fix += f"Surveys of this kind with an archive: {_with_archive(survey.kind)}."
        raise InputError(Problem(f"survey {survey.name}", "names no TAP service", "a service and a table", fix))
    for place in places:
        if name in (None, place.name):
            return place
    names = [place.name for place in places]
    fix = did_you_mean(str(name), names)
    raise InputError(Problem(f"survey {survey.name}", f"has no archive {name!r}", ", ".join(names), fix))


def _with_archive(kind: str) -> str:
    """Return the packaged surveys of a kind that can be fetched, with the hosts of their archives."""
    named = [survey for survey in map(load_survey, survey_names()) if survey.kind == kind and survey.places]
    return ", ".join(f"{s.name} ({', '.join(str(urlparse(p.service).hostname) for p in s.places)})" for s in named)


def relate(
    survey: Survey,
    place: Copy,
    *,
    companions: Sequence[tuple[Survey, Copy]] = (),
    partners: Sequence[tuple[Survey, Copy]] = (),
    spellings: Mapping[str, Mapping[str, str]] | None = None,
    alias: str = "t",
) -> Relation:
    """Join the tables of a survey, of its companions, and of the catalogues that the archive has matched with it.

    Parameters
    ----------
    survey, place : Survey, Copy
        The leading survey and its archive table.
    companions : sequence of (Survey, Copy)
        Tables on the same service with the same identifier (distances): outer joins, which keep all rows.
    partners : sequence of (Survey, Copy)
        Catalogues that the archive has matched with the leading one: inner joins through its table of best
        neighbours.
    spellings : mapping, optional
        The archive's spelling of each column, by survey and column; other columns are not requested.
        By default all columns are requested, as the survey files spell them.
    alias : str
        Alias of the main table; the others are derived from it.

    Raises
    ------
    InputError
        If a name is not valid in ADQL, or the archive has not matched a partner.
    """
    builder = _Builder(spellings, alias)
    main = builder.add(survey, place, alias)
    lead_id = builder.members[0].references[survey.id.column].adql
    for i, (other, where) in enumerate(companions, 1):
        name = f"{alias}_d{i}"
        key = builder.spelled(other, other.id.column)
        builder.joins.append(f"LEFT OUTER JOIN {where.table} AS {name} ON {lead_id} = {name}.{key}")
        builder.add(other, where, name, without=(other.id.column,))
    for i, (other, where) in enumerate(partners, 1):
        builder.match(survey, lead_id, other, where, f"{alias}_n{i}", f"{alias}_s{i}")
    return Relation(place, main, tuple(builder.joins), tuple(builder.members), builder.extra)


def requested(survey: Survey) -> list[str]:
    """Return the columns that an archive has: all but those that are computed; its identifier in any case."""
    return [n for n, spec in survey.columns.items() if spec.expression is None or n == survey.id.column]


class _Builder:
    def __init__(self, spellings: Mapping[str, Mapping[str, str]] | None, alias: str) -> None:
        self.spellings, self.alias = spellings, alias
        self.joins: list[str] = []
        self.members: list[RelationMember] = []
        self.extra: dict[str, str] = {}
        self.taken: set[str] = set()

    def spelled(self, survey: Survey, column: str) -> str:
        """Return a column of a survey as it is written in a query."""
        known = self.spellings[survey.name] if self.spellings is not None else {}
        return identifier(known.get(column, column), f"survey {survey.name}: column {column!r}")

    def add(self, survey: Survey, place: Copy, alias: str, *, without: Iterable[str] = ()) -> str:
        """Add the columns of a table and of its further tables; return the FROM item."""
        columns = list(requested(survey) if self.spellings is None else self.spellings[survey.name])
        owners = {column: f"{alias}_j{i}" for i, join in enumerate(place.joins, 1) for column in join.columns}
        references = {
            column: ColumnReference(
                f"{owners.get(column, alias)}.{self.spelled(survey, column)}", _KIND[survey.columns[column].dtype]
            )
            for column in columns
        }
        output = {column: self.name(column, survey) for column in columns if column not in without}
        self.members.append(RelationMember(survey, references, output))
        for i, join in enumerate(place.joins, 1):
            self.joins.append(
                f"LEFT OUTER JOIN {join.table} AS {alias}_j{i} ON {alias}.{join.on} = {alias}_j{i}.{join.on}"
            )
        return f"{place.table} AS {alias}"

    def name(self, column: str, survey: Survey) -> str:
        """Return the output name of a column; if the name is taken, the name of the survey is appended."""
        chosen = f"{column}_{survey.name}" if column in self.taken else column
        self.taken.add(chosen)
        return chosen

    def match(self, lead: Survey, lead_id: str, other: Survey, place: Copy, link: str, alias: str) -> None:
        """Join a catalogue through the archive's table of best neighbours."""
        table = next((n for n in place.neighbours if n.release == lead.gaia_release), None)
        if table is None:
            found = f"{place.name} has no table of its best neighbours in {lead.title}"
            raise InputError(Problem(f"survey {other.name}", found, "a `neighbours` entry for that release"))
        row = table.row_id if table.row_id is not None else self.spelled(other, other.id.column)
        known = self.members[0].survey.name
        if known == other.name:
            raise InputError(Problem(f"survey {known}", "cannot be matched with itself"))
        self.joins.append(f"JOIN {table.table} AS {link} ON {lead_id} = {link}.{table.lead_id}")
        external = f"{link}.{table.external_id}"
        if (bridge := table.bridge) is not None:
            external = f"{link}_b.{bridge.external_id}"
            self.joins.append(f"JOIN {bridge.table} AS {link}_b ON {link}.{bridge.on} = {link}_b.{bridge.on}")
        self.joins.append(f"JOIN {place.table} AS {alias} ON {external} = {alias}.{row}")
        self.add(other, place, alias)
        for column in table.columns:
            self.extra[self.name(column, other)] = f"{link}.{column}"
