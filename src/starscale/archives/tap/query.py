"""Write queries in ADQL, as pure functions of a relation, a selection and a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starscale.archives.tap.names import number_literal
from starscale.archives.tap.relation import Relation
from starscale.surveys import Survey
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.fetch import Selection

#: Names of the uploaded table and of its columns.
UPLOAD, UPLOAD_ID, UPLOAD_RA, UPLOAD_DEC = "stars", "star_id", "star_ra", "star_dec"


@dataclass(frozen=True, slots=True)
class Range:
    """Rows with a value of `column` in ``[low, high)``; None: an open end. With `nulls`: rows without a value."""

    column: str
    low: float | None = None
    high: float | None = None
    nulls: bool = False

    def conditions(self) -> list[str]:
        """Return the range as conditions of a query."""
        if self.nulls:
            return [f"{self.column} IS NULL"]
        if self.low is None and self.high is None:
            return [f"{self.column} IS NOT NULL"]
        ends = ((self.low, ">="), (self.high, "<"))
        return [f"{self.column} {sign} {number_literal(end)}" for end, sign in ends if end is not None]


def select(relation: Relation, conditions: Sequence[str]) -> str:
    """Write the query for rows."""
    columns = ",\n       ".join(
        adql if adql.rpartition(".")[2] == name else f"{adql} AS {name}"
        for name, adql in relation.columns().items()
    )
    return f"SELECT {columns}\nFROM {relation.source}{_where(conditions)}"


def count(relation: Relation, conditions: Sequence[str], *, split: str | None = None) -> str:
    """Write the query for the number of rows and, for a column `split`, its number of values and their range."""
    ends = f", COUNT({split}) AS n_values, MIN({split}) AS lowest, MAX({split}) AS highest" if split else ""
    return f"SELECT COUNT(*) AS n_rows{ends}\nFROM {relation.source}{_where(conditions)}"


def probe(table: str) -> str:
    """Write a query whose answer has one row, which shows the columns of the table."""
    return f"SELECT TOP 1 *\nFROM {table}"


def region(selection: Selection, relation: Relation, inner: Relation) -> list[str]:
    """Write the selection as conditions of a query.

    Parameters
    ----------
    selection : Selection
    relation : Relation
        The tables of the query.
    inner : Relation
        The same tables with other aliases, for the subquery that searches around positions.

    Raises
    ------
    InputError
        If the survey does not have the columns that the selection needs.
    """
    survey = relation.lead.survey
    if selection.whole:
        return []
    if selection.ids is not None:
        key = _column(relation, survey.id.column)
        return [f"{key} IN (SELECT u.{UPLOAD_ID} FROM TAP_UPLOAD.{UPLOAD} AS u)"]  # noqa: S608  names are checked
    if selection.cell is not None:
        return _cell(selection.cell, relation, survey)
    ra, dec = _position(relation, survey)
    if selection.cone is not None:
        centre_ra, centre_dec, radius = (number_literal(value) for value in selection.cone)
        return [f"1 = CONTAINS(POINT('ICRS', {ra}, {dec}), CIRCLE('ICRS', {centre_ra}, {centre_dec}, {radius}))"]
    if selection.box is not None:
        west, east, south, north = (number_literal(value) for value in selection.box)
        between = f"{ra} BETWEEN {west} AND {east}"
        if selection.box[0] > selection.box[1]:
            between = f"({ra} >= {west} OR {ra} <= {east})"
        return [between, f"{dec} BETWEEN {south} AND {north}"]
    inner_ra, inner_dec = _position(inner, survey)
    radius = number_literal(selection.radius / 3600)
    point = f"POINT('ICRS', {inner_ra}, {inner_dec})"
    circle = f"CIRCLE('ICRS', u.{UPLOAD_RA}, u.{UPLOAD_DEC}, {radius})"
    key, inner_key = _column(relation, survey.id.column), _column(inner, survey.id.column)
    # Names come from survey files, whose schema accepts identifiers only.
    near = f"SELECT {inner_key}\n  FROM {inner.source}\n  JOIN TAP_UPLOAD.{UPLOAD} AS u"  # noqa: S608
    return [f"{key} IN ({near} ON 1 = CONTAINS({point}, {circle}))"]


def split_column(relation: Relation) -> str | None:
    """Return the column by whose ranges a large request is divided, as ADQL; None if there is none."""
    survey, place = relation.lead.survey, relation.access
    name = place.split
    if name is None and survey.columns[survey.id.column].dtype.startswith("int"):
        name = survey.id.column
    if name is None and survey.position is not None:
        name = survey.position.dec
    reference = relation.lead.references.get(name) if name is not None else None
    return reference.adql if reference is not None and reference.kind in ("whole", "real") else None


def _cell(cell: tuple[int, int], relation: Relation, survey: Survey) -> list[str]:
    bits, (order, number) = survey.id.healpix, cell
    if bits is None:
        found = "its identifiers contain no HEALPix cell, so that a cell cannot be selected"
        fix = "Select a cone or a box that covers the cell."
        raise InputError(Problem(f"survey {survey.name}", found, fix=fix))
    if order > bits.order:
        found = f"a cell of order {order} is smaller than the cells of its identifiers"
        raise InputError(Problem(f"survey {survey.name}", found, f"order {bits.order} at most"))
    shift = bits.shift + 2 * (bits.order - order)
    key = _column(relation, survey.id.column)
    return Range(key, number << shift, (number + 1) << shift).conditions()


def _position(relation: Relation, survey: Survey) -> tuple[str, str]:
    if survey.position is None:
        fix = "Fetch it together with the survey that it belongs to, or by identifiers."
        raise InputError(Problem(f"survey {survey.name}", "has no positions to select by", fix=fix))
    return _column(relation, survey.position.ra), _column(relation, survey.position.dec)


def _column(relation: Relation, name: str) -> str:
    reference = relation.lead.references.get(name)
    if reference is None:
        found = f"column {name!r} is needed for this selection, and the archive's table does not have it"
        raise InputError(Problem(f"survey {relation.lead.survey.name}", found, fix="Choose another selection."))
    return reference.adql


def _where(conditions: Sequence[str]) -> str:
    return "\nWHERE " + "\n  AND ".join(conditions) if conditions else ""
