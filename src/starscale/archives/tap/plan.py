"""Cut a request into pieces that a service delivers whole, by counting first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from starscale.archives.tap.query import Range
from starscale.vocabulary.errors import InputError, Problem

#: Most parts that a range is cut into at once, and the room for an uneven sky.
_PARTS, _ROOM = 16, 1.3


@dataclass(frozen=True, slots=True)
class Count:
    """Rows of a range; of these with a value in the column that divides it, and the lowest and highest one."""

    rows: int
    valued: int = 0
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True, slots=True)
class DownloadPiece:
    """What one query fetches: a slice of the uploaded list, if any, and a range.

    Attributes
    ----------
    rows : int
        As the service counted them.
    range : Range, optional
        None: everything.
    part : int
        Number of the slice of the uploaded list; 0 where there is none.
    """

    rows: int
    range: Range | None = None
    part: int = 0


Counter = Callable[[Range | None], Count]


def divide(
    count: Counter,
    column: str | None,
    most: int,
    *,
    part: int = 0,
    whole: bool = True,
    within: Range | None = None,
) -> list[DownloadPiece]:
    """Cut everything that a request selects, or a range of it, into pieces.

    Parameters
    ----------
    count : callable
        Asks the service for a range, or for everything.
    column : str, optional
        The column to divide by, as in the query; None: it cannot be divided.
    most : int
        Rows of a piece, at most.
    part : int
        Number of the slice of the uploaded list that is counted.
    whole : bool
        Whether the column holds whole numbers.
    within : Range, optional
        Cut this range only.

    Returns
    -------
    list of DownloadPiece
        In the order of the column; their rows add up to the rows of everything.

    Raises
    ------
    InputError
        When more rows than `most` share one value, or the counts of parts do not add up.
    """
    total = count(within)
    if total.rows <= most:
        return [DownloadPiece(total.rows, within, part)] if total.rows else []
    if column is None:
        raise InputError(_too_many(total.rows, most, "the survey has no column to divide it by"))
    # Rows without a value lie in no range; they are a piece of their own.
    nulls = total.rows - total.valued
    if nulls > most:
        raise InputError(_too_many(nulls, most, f"they have no {column}"))
    valued = replace(total, rows=total.valued)
    pieces = [DownloadPiece(n, r, part) for r, n in _cut(within or Range(column), valued, count, most, whole)]
    if nulls:
        pieces.append(DownloadPiece(nulls, Range(column, nulls=True), part))
    if missing := total.rows - sum(piece.rows for piece in pieces):
        differ = f"the counts of its parts differ from that of the whole by {missing:,}"
        raise InputError(Problem("the archive's table", differ, fix="Is it being written to? Ask again later."))
    return merge(pieces, most)


def _cut(range_: Range, counted: Count, count: Counter, most: int, whole: bool) -> Iterator[tuple[Range, int]]:
    if not counted.rows:
        return
    if counted.rows <= most:
        yield range_, counted.rows
        return
    for part in split(range_, counted, most, whole):
        yield from _cut(part, count(part), count, most, whole)


def split(range_: Range, counted: Count, most: int, whole: bool) -> list[Range]:
    """Cut a range in parts of equal width between its lowest and highest value.

    Raises
    ------
    InputError
        When all of it shares one value.
    """
    low, high = counted.lowest, counted.highest
    if low is None or high is None or not low < high:
        raise InputError(_too_many(counted.rows, most, f"all of them have {range_.column} = {low}"))
    parts = min(max(math.ceil(_ROOM * counted.rows / most), 2), _PARTS)
    if whole:
        first, last = int(low), int(high)
        points: list[float] = [first + (last - first + 1) * i // parts for i in range(1, parts)]
    else:
        points = [low + (high - low) * i / parts for i in range(1, parts)]
    inside = sorted({point for point in points if low < point <= high})
    if not inside:
        raise InputError(_too_many(counted.rows, most, f"{range_.column} cannot be divided further at {low}"))
    ends = [range_.low, *inside, range_.high]
    return [Range(range_.column, a, b) for a, b in pairwise(ends)]


def merge(pieces: list[DownloadPiece], most: int) -> list[DownloadPiece]:
    """Join neighbouring ranges that are small together: fewer queries."""
    merged: list[DownloadPiece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.range is not None
            and piece.range is not None
            and not piece.range.nulls
            and last.range.high is not None
            and last.rows + piece.rows <= most
        ):
            joined = replace(last.range, high=piece.range.high)
            merged[-1] = replace(last, rows=last.rows + piece.rows, range=joined)
        else:
            merged.append(piece)
    return merged


def _too_many(rows: int, most: int, why: str) -> Problem:
    fix = "Select less, or ask a service that delivers more at a time."
    return Problem("the request", f"{rows:,} rows cannot be divided into pieces of {most:,}: {why}", fix=fix)
