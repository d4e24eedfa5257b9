"""One request to one archive: its tables, its rows, and the queries for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from starscale.archives.tap.predicate import NotInAdqlError, translate
from starscale.archives.tap.query import UPLOAD, Range, count, region, select, split_column
from starscale.archives.tap.relation import Relation
from starscale.surveys.archive import Copy
from starscale.surveys.schema import Cut
from starscale.tables.cuts import cut_columns
from starscale.vocabulary.errors import Problems
from starscale.vocabulary.provenance import fingerprint
from starscale.vocabulary.settings.fetch import Selection


@dataclass(frozen=True)
class Request:
    """Everything that determines the rows and columns that are downloaded.

    Attributes
    ----------
    place : Copy
        Service and main table.
    relation : Relation
    region : tuple of str
        Conditions of the selection.
    cuts : tuple of str
        Conditions of the cuts that the archive applies.
    upload : polars.DataFrame, optional
        List of identifiers or positions.
    upload_rows : int
        Largest number of rows of the list that are uploaded with one query.
    split : str, optional
        Column by whose ranges the request is divided, as ADQL.
    """

    place: Copy
    relation: Relation
    region: tuple[str, ...]
    cuts: tuple[str, ...] = ()
    upload: pl.DataFrame | None = None
    upload_rows: int = 20_000
    split: str | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "split", split_column(self.relation))

    @property
    def whole_numbers(self) -> bool:
        """Whether the dividing column contains integers."""
        kinds = {r.adql: r.kind for r in self.relation.lead.references.values()}
        return self.split is not None and kinds[self.split] == "whole"

    @property
    def parts(self) -> int:
        """Number of slices of the uploaded list; 1 without a list."""
        return 1 if self.upload is None else max(-(-self.upload.height // self.upload_rows), 1)

    def uploads(self, part: int) -> dict[str, pl.DataFrame] | None:
        """Return the tables that are uploaded with a query."""
        if self.upload is None:
            return None
        return {UPLOAD: self.upload.slice(part * self.upload_rows, self.upload_rows)}

    def rows_query(self, range_: Range | None = None) -> str:
        """Write the query for rows."""
        return select(self.relation, self._conditions(range_))

    def count_query(self, range_: Range | None = None, *, ends: bool = True, cuts: bool = True) -> str:
        """Write the query for the count, with the range of the dividing column if there is one."""
        return count(self.relation, self._conditions(range_, cuts=cuts), split=self.split if ends else None)

    def _conditions(self, range_: Range | None, *, cuts: bool = True) -> Sequence[str]:
        return [*self.region, *(self.cuts if cuts else ()), *(range_.conditions() if range_ is not None else ())]

    def key(self) -> str:
        """Return a digest that is the same for two requests for the same table."""
        listed = None if self.upload is None else fingerprint(self.upload.to_dict(as_series=False))
        return fingerprint([self.place.service, self.rows_query(), listed, self.upload_rows])


def cut_conditions(
    relation: Relation, cuts: Sequence[tuple[int, Cut]], where: str
) -> tuple[tuple[str, ...], tuple[tuple[int, Cut], ...]]:
    """Translate cuts to ADQL.

    Parameters
    ----------
    relation : Relation
    cuts : sequence of (int, Cut)
        Cuts with the index of the member of the relation whose column names they use. A cut of the leading survey
        may also use the columns of its companions (distances).
    where : str
        Name of the request in error messages.

    Returns
    -------
    conditions : tuple of str
    left : tuple of (int, Cut)
        Cuts that cannot be written in ADQL for this archive, and those of computed columns.

    Raises
    ------
    InputError
        If a cut is not a condition on columns of the request; all of them are reported.
    """
    problems = Problems()
    conditions, left = [], []
    for number, cut in cuts:
        columns = {n: r for member in reversed(relation.members) for n, r in member.references.items()}
        columns |= relation.members[number].references
        try:
            with problems.collect():
                _refuse_computed(cut, relation, f"{where}: cut {cut.name!r}")
                text = translate(cut.keep, columns, relation.access, f"{where}: cut {cut.name!r}")
                conditions.append(f"({text})")
        except NotInAdqlError:
            left.append((number, cut))
    problems.raise_if_any()
    return tuple(conditions), tuple(left)


def _refuse_computed(cut: Cut, relation: Relation, where: str) -> None:
    """Refuse columns whose values are known after the download only: they are computed, or not always valid."""
    used = cut_columns(cut, where)
    specs = [m.survey.columns[name] for m in relation.members for name in used if name in m.survey.columns]
    if any(spec.expression is not None or spec.valid is not None for spec in specs):
        raise NotInAdqlError(cut.keep)


def ask_for(
    place: Copy,
    relation: Relation,
    inner: Relation,
    selection: Selection,
    *,
    cuts: Sequence[str] = (),
    upload: pl.DataFrame | None = None,
) -> Request:
    """Build a request; `inner` is the relation of the leading survey with other aliases."""
    return Request(place, relation, tuple(region(selection, relation, inner)), tuple(cuts), upload)
