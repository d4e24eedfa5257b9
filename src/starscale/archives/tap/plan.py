"""Divide a request into pieces that a service can deliver completely, by counting rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from starscale.archives.tap.query import Range
from starscale.vocabulary.errors import InputError, Problem

#: Largest number of parts that a range is divided into at once, and the allowance for an uneven distribution.
_PARTS, _ALLOWANCE = 16, 1.3


@dataclass(frozen=True, slots=True)
class Count:
    """Number of rows of a range, how many have a value in the dividing column, and its extreme values."""

    rows: int
    valued: int = 0
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True, slots=True)
class DownloadPiece:
    """The rows that one query downloads: a range, and a slice of the uploaded list if there is one.

    Attributes
    ----------
    rows : int
        Number of rows that the service counted.
    range : Range, optional
        None: all rows.
    part : int
        Index of the slice of the uploaded list; 0 without a list.
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
    """Divide the rows of a request, or of a range of it, into pieces.

    Parameters
    ----------
    count : callable
        Counts the rows of a range, or of the whole request for None.
    column : str, optional
        The dividing column, as in the query; None: the request cannot be divided.
    most : int
        Largest number of rows of a piece.
    part : int
        Index of the slice of the uploaded list that is counted.
    whole : bool
        Whether the column contains integers.
    within : Range, optional
        Divide this range only.

    Returns
    -------
    list of DownloadPiece
        In the order of the column; their rows add up to the total.

    Raises
    ------
    InputError
        If more than `most` rows share one value, or the counts of the parts do not add up.
    """
    total = count(within)
    if total.rows <= most:
        return [DownloadPiece(total.rows, within, part)] if total.rows else []
    if column is None:
        raise InputError(_too_many(total.rows, most, "the survey has no column to divide it by"))
    # Rows without a value are in no range; they form a separate piece.
    nulls = total.rows - total.valued
    if nulls > most:
        raise InputError(_too_many(nulls, most, f"they have no {column}"))
    valued = replace(total, rows=total.valued)
    pieces = [DownloadPiece(n, r, part) for r, n in _divided(within or Range(column), valued, count, most, whole)]
    if nulls:
        pieces.append(DownloadPiece(nulls, Range(column, nulls=True), part))
    if missing := total.rows - sum(piece.rows for piece in pieces):
        differ = f"the counts of its parts differ from that of the whole by {missing:,}"
        raise InputError(Problem("the archive's table", differ, fix="The table may be changing; try again later."))
    return merge(pieces, most)


def _divided(range_: Range, counted: Count, count: Counter, most: int, whole: bool) -> Iterator[tuple[Range, int]]:
    if not counted.rows:
        return
    if counted.rows <= most:
        yield range_, counted.rows
        return
    for part in split(range_, counted, most, whole):
        yield from _divided(part, count(part), count, most, whole)


def split(range_: Range, counted: Count, most: int, whole: bool) -> list[Range]:
    """Divide a range into parts of equal width between its lowest and highest value.

    Raises
    ------
    InputError
        If all rows share one value.
    """
    low, high = counted.lowest, counted.highest
    if low is None or high is None or not low < high:
        raise InputError(_too_many(counted.rows, most, f"all of them have {range_.column} = {low}"))
    parts = min(max(math.ceil(_ALLOWANCE * counted.rows / most), 2), _PARTS)
    inside = sorted({point for point in _points(low, high, parts, whole) if low < point <= high})
    if not inside:
        raise InputError(_too_many(counted.rows, most, f"{range_.column} cannot be divided further at {low}"))
    ends = [range_.low, *inside, range_.high]
    return [Range(range_.column, a, b) for a, b in pairwise(ends)]


def _points(low: float, high: float, parts: int, whole: bool) -> list[float]:
    """Return the points that divide ``[low, high]`` into parts of equal width."""
    if whole:
        # Integer arithmetic: a 64-bit identifier has more digits than a double.
        first, last = int(low), int(high)
        return [first + (last - first + 1) * i // parts for i in range(1, parts)]
    return [low + (high - low) * i / parts for i in range(1, parts)]


def merge(pieces: list[DownloadPiece], most: int) -> list[DownloadPiece]:
    """Merge neighbouring ranges whose rows fit into one piece, to save queries."""
    merged: list[DownloadPiece] = []
    for piece in pieces:
        joined = _joined(merged[-1], piece, most) if merged else None
        if joined is None:
            merged.append(piece)
        else:
            merged[-1] = joined
    return merged


def _joined(first: DownloadPiece, second: DownloadPiece, most: int) -> DownloadPiece | None:
    """Return two neighbouring pieces as one; None if they are too large together, or not ranges of values."""
    if first.range is None or second.range is None or second.range.nulls or first.range.high is None:
        return None
    rows = first.rows + second.rows
    if rows > most:
        return None
    return replace(first, rows=rows, range=replace(first.range, high=second.range.high))


def _too_many(rows: int, most: int, why: str) -> Problem:
    fix = "Make the selection smaller, or use a service with a larger limit."
    return Problem("the request", f"{rows:,} rows cannot be divided into pieces of {most:,}: {why}", fix=fix)
