"""One request to one archive: what is read, which rows, and the queries that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from starscale.archives.tap.predicate import NotInAdqlError, translate
from starscale.archives.tap.query import UPLOAD, Range, count, region, select, split_column
from starscale.archives.tap.relation import Relation
from starscale.surveys.archive import Copy
from starscale.surveys.schema import Cut
from starscale.vocabulary.errors import InputError, Problems
from starscale.vocabulary.provenance import fingerprint
from starscale.vocabulary.settings.fetch import Selection


@dataclass(frozen=True)
class Request:
    """Everything that decides which rows and columns come.

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
        The list of identifiers or positions.
    upload_rows : int
        Rows of the list that are uploaded at a time.
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
        """Whether the column that divides the request holds whole numbers."""
        kinds = {r.adql: r.kind for r in self.relation.lead.references.values()}
        return self.split is not None and kinds[self.split] == "whole"

    @property
    def parts(self) -> int:
        """Slices of the uploaded list; 1 where there is none."""
        return 1 if self.upload is None else max(-(-self.upload.height // self.upload_rows), 1)

    def uploads(self, part: int) -> dict[str, pl.DataFrame] | None:
        """What is uploaded with a query."""
        if self.upload is None:
            return None
        return {UPLOAD: self.upload.slice(part * self.upload_rows, self.upload_rows)}

    def rows_query(self, range_: Range | None = None) -> str:
        """The query for rows."""
        return select(self.relation, self._conditions(range_))

    def count_query(self, range_: Range | None = None, *, ends: bool = True, cuts: bool = True) -> str:
        """The query for a count, with the ends of the range where the request can be divided."""
        return count(self.relation, self._conditions(range_, cuts=cuts), split=self.split if ends else None)

    def _conditions(self, range_: Range | None, *, cuts: bool = True) -> Sequence[str]:
        return [*self.region, *(self.cuts if cuts else ()), *(range_.conditions() if range_ is not None else ())]

    def key(self) -> str:
        """What two requests for the same table share."""
        listed = None if self.upload is None else fingerprint(self.upload.to_dict(as_series=False))
        return fingerprint([self.place.service, self.rows_query(), listed, self.upload_rows])


def cut_conditions(
    relation: Relation, cuts: Sequence[tuple[int, Cut]], where: str
) -> tuple[tuple[str, ...], tuple[tuple[int, Cut], ...]]:
    """Write cuts in ADQL.

    Parameters
    ----------
    relation : Relation
    cuts : sequence of (int, Cut)
        With the number of the member of the relation whose column names they use. A cut of the leading survey may
        also look at the columns of tables beside it (distances).
    where : str
        What to call the request in an error.

    Returns
    -------
    conditions : tuple of str
    left : tuple of (int, Cut)
        Cuts that this archive has no words for.

    Raises
    ------
    InputError
        For every cut that is no condition on columns of the request.
    """
    problems = Problems()
    conditions, left = [], []
    for number, cut in cuts:
        columns = {n: r for member in reversed(relation.members) for n, r in member.references.items()}
        columns |= relation.members[number].references
        try:
            text = translate(" ".join(cut.keep.split()), columns, relation.access, f"{where}: cut {cut.name!r}")
            conditions.append(f"({text})")
        except InputError as error:
            problems.items.extend(error.problems)
        except NotInAdqlError:
            left.append((number, cut))
    problems.raise_if_any()
    return tuple(conditions), tuple(left)


def ask_for(
    place: Copy,
    relation: Relation,
    inner: Relation,
    selection: Selection,
    *,
    cuts: Sequence[str] = (),
    upload: pl.DataFrame | None = None,
) -> Request:
    """Build a request; `inner` is the leading survey's relation under other aliases."""
    return Request(place, relation, tuple(region(selection, relation, inner)), tuple(cuts), upload)
