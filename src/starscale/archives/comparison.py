"""The verb `check_archive`: compare a survey file with what the archive says of its own tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starscale.archives.published import ArchiveColumns, published
from starscale.archives.tap.client import Client, Patience, quiet
from starscale.archives.tap.relation import find_place, requested
from starscale.archives.tap.retry import Retry
from starscale.io.units import parse_unit, same_unit
from starscale.io.units.conversion import is_stated
from starscale.surveys import Survey, load_survey
from starscale.surveys.archive import Copy
from starscale.surveys.schema import ColumnSpec
from starscale.tables.cuts import cut_columns
from starscale.tables.standardise import spelling
from starscale.vocabulary.columns import DType
from starscale.vocabulary.errors import Problem, Problems, did_you_mean

#: Kind and bytes of the types of VOTable and ADQL, in lower case and without length; texts have no bytes.
_TYPES = {
    "boolean": ("truth", 1),
    "bit": ("truth", 1),
    "unsignedbyte": ("whole", 1),
    "short": ("whole", 2),
    "smallint": ("whole", 2),
    "int": ("whole", 4),
    "integer": ("whole", 4),
    "long": ("whole", 8),
    "bigint": ("whole", 8),
    "float": ("real", 4),
    "real": ("real", 4),
    "double": ("real", 8),
    "double precision": ("real", 8),
    "char": ("text", 0),
    "varchar": ("text", 0),
    "unicodechar": ("text", 0),
    "string": ("text", 0),
    "clob": ("text", 0),
}
_OURS: dict[DType, tuple[str, int]] = {
    "bool": ("truth", 1),
    "int16": ("whole", 2),
    "int32": ("whole", 4),
    "int64": ("whole", 8),
    "float32": ("real", 4),
    "float64": ("real", 8),
    "string": ("text", 0),
}


@dataclass
class _Compared:
    """What is found: sentences, and problems because of which the survey could not work."""

    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)


def check_archive(
    survey: str | Path | Survey,
    *,
    at: str | None = None,
    service: str | None = None,
    retry: Retry = Retry(attempts=3),  # noqa: B008  frozen
    patience: Patience = Patience(),  # noqa: B008  frozen
) -> list[str]:
    """Compare a survey file with the description that the archive gives of its tables (TAP_SCHEMA).

    Compared are the columns of the survey's table, of the tables that are joined to it and of its tables of
    neighbours: missing tables and columns, other types, other units.

    Parameters
    ----------
    survey : str, Path or Survey
    at : str, optional
        Name of one of the survey's archives; by default the main one.
    service : str, optional
        Another TAP service with the same tables (a mirror).
    retry : Retry
        Number of attempts and pauses between them.
    patience : Patience
        Time limits.

    Returns
    -------
    list of str
        Sentences, those that begin with ``note:`` about differences that do no harm: columns that no role, band or
        cut uses, types and units that are converted.

    Raises
    ------
    InputError
        Differences because of which the survey could not work, all at once; the sentences are its notes.
    StarscaleError
        The archive cannot be reached.
    """
    described = load_survey(survey)
    place = find_place(described, at)
    place = place if service is None else place.model_copy(update={"service": service})
    with quiet(), Client(place, patience=patience) as client:
        theirs = published(client, _tables(place), retry)
    found = _Compared([f"{described.name}: {described.title}", f"compared with {place.service}"])
    _compare(described, place, theirs, found)
    said = [*found.lines, *(f"note: {text}" for text in found.notes)]
    found.problems.raise_if_any("\n".join(said))
    return said


def _tables(place: Copy) -> list[str]:
    named = [place.table, *(join.table for join in place.joins), *(other.table for other in place.neighbours)]
    named += [other.bridge.table for other in place.neighbours if other.bridge is not None]
    return list(dict.fromkeys(named))


def _compare(survey: Survey, place: Copy, theirs: ArchiveColumns, found: _Compared) -> None:
    for table in _tables(place):
        if table not in theirs.columns:
            where = f"{place.service}: table {table}"
            found.problems.add(where, "does not exist", fix=did_you_mean(table.replace('"', ""), theirs.others))
    uses, elsewhere = _uses(survey), {column for join in place.joins for column in join.columns}
    own = [name for name in requested(survey) if name not in elsewhere]
    described = [(place.table, own), *((join.table, list(join.columns)) for join in place.joins)]
    for table, names in described:
        _table(survey, table, names, uses, theirs, found)
    for table, names, purpose in _keys(place):
        _exist(table, names, purpose, theirs, found)


def _keys(place: Copy) -> Iterator[tuple[str, list[str], str]]:
    """Yield the columns by which tables are joined, with their table and purpose."""
    for join in place.joins:
        for table in (place.table, join.table):
            yield table, [join.on], f"the join of {join.table}"
    for other in place.neighbours:
        purpose = "the archive's own match"
        bridge = other.bridge
        external = other.external_id if bridge is None else bridge.on
        yield other.table, [other.lead_id, external, *other.columns], purpose
        if bridge is not None:
            yield bridge.table, [bridge.on, bridge.external_id], purpose
        if other.row_id is not None:
            yield place.table, [other.row_id], purpose


def _uses(survey: Survey) -> dict[str, str]:
    """Return what the survey needs its columns for, by column; columns that nothing needs are left out."""
    uses = dict.fromkeys(survey.used_columns(), "a role of the survey")
    for cut in survey.cuts:
        for name in cut_columns(cut, survey.name):
            uses.setdefault(name, f"the cut {cut.name}")
    return uses


def _exist(table: str, names: Iterable[str], purpose: str, theirs: ArchiveColumns, found: _Compared) -> None:
    """Note the columns that a table lacks and that have no description in the survey file."""
    there = theirs.columns.get(table)
    if there is None:
        return
    lower = {name.lower() for name in there}
    for name in names:
        if name.lower() not in lower:
            fix = did_you_mean(name, there)
            _report(found, f"{table}: column {name!r}", "does not exist", purpose, fix)


def _table(
    survey: Survey,
    table: str,
    names: Sequence[str],
    uses: Mapping[str, str],
    theirs: ArchiveColumns,
    found: _Compared,
) -> None:
    """Compare the described columns of one table."""
    there = theirs.columns.get(table)
    if there is None:
        return
    spelled = spelling(there, survey)
    free = [name for name in there if name not in spelled.values()]
    n = sum(name in spelled for name in names)
    found.lines.append(f"{table}: {n} of {len(names)} columns found, {len(free)} others not used")
    for name in names:
        where, purpose = f"{table}: column {name!r}", uses.get(name, "")
        if name not in spelled:
            _report(found, where, "does not exist", purpose, did_you_mean(name, free))
            continue
        kind, unit = there[spelled[name]]
        for text, harmful in _differences(survey.columns[name], kind, unit):
            _report(found, where, text, purpose if harmful else "", "")
        if spelled[name].lower() != name.lower():
            found.notes.append(f"{where} is named {spelled[name]!r} there, which the survey file knows")


def _differences(spec: ColumnSpec, kind: str, unit: str) -> list[tuple[str, bool]]:
    """Return what differs in type and unit, each with whether values could not be used."""
    return [(text, harmful) for text, harmful in (_other_type(spec, kind), _other_unit(spec, unit)) if text]


def _report(found: _Compared, where: str, what: str, purpose: str, fix: str) -> None:
    """Enter a difference: as a problem if something needs the column for `purpose`, as a note if nothing does."""
    if purpose:
        found.problems.items.append(Problem(where, f"{what} (needed for {purpose})", fix=fix))
    else:
        found.notes.append(f"{where} {what}" + (f". {fix}" if fix else ""))


def _other_type(spec: ColumnSpec, kind: str) -> tuple[str, bool]:
    """Return how the archive's type differs, if it does, and whether values could not be read."""
    plain = kind.lower().removeprefix("adql:").removeprefix("vot:").partition("(")[0].strip()
    theirs, ours = _TYPES.get(plain), _OURS[spec.dtype]
    if theirs is None:
        return (f"is of type {kind!r}, expected {spec.dtype}" if plain else ""), False
    if theirs[0] == ours[0] and theirs[1] <= ours[1]:
        return "", False
    # Texts, truth values and small whole numbers become one another on reading; a fraction does not become whole.
    return f"is of type {kind!r}, expected {spec.dtype}", theirs[0] == "real" and ours[0] == "whole"


def _other_unit(spec: ColumnSpec, unit: str) -> tuple[str, bool]:
    """Return how the archive's unit differs, if it does, and whether it is that of another quantity."""
    wanted = spec.file_unit or spec.unit
    if not is_stated(unit) or not is_stated(wanted) or same_unit(unit, wanted):
        return "", False
    theirs, ours = parse_unit(unit), parse_unit(wanted)
    if theirs is None or ours is None:
        return f"has the unit {unit!r}, which is not known; expected {wanted!r}", False
    if theirs.is_equivalent(ours):
        return f"has the unit {unit!r}, expected {wanted!r}; values are converted", False
    return f"has the unit {unit!r}, expected {wanted!r}", True
