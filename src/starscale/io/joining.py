"""Joining two tables that are read piece by piece, whatever their size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from starscale.io.scatter import Scatter

#: Rows of the right table that are held at a time, and of the result.
HELD = 250_000
#: Files into which a table is divided at most: for the largest ones, more rows are held instead.
MOST = 1024
_ROW = "__row"


def join_frames(
    left: Iterable[pl.DataFrame],
    right: Iterable[pl.DataFrame],
    *,
    left_on: str,
    right_on: str,
    how: Literal["inner", "left"],
    n_right: int,
    folder: Path,
    held: int | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield the rows of `left` in order, with the columns of the row of `right` that has the same key.

    A right table of up to `held` rows is kept in memory. Otherwise both are first divided by a hash of the
    key into groups on disk; group by group is joined, and the rows are put back in order.

    Parameters
    ----------
    left, right : iterable of polars.DataFrame
        At least one frame each, perhaps without rows: it tells the columns. A key stands in one row of `right`
        at most.
    left_on, right_on : str
        Columns with the key, of the same type; that of `right` is left out of the result.
    how : {"inner", "left"}
        Whether rows of `left` without a partner are left out, or get nulls.
    n_right : int
        Rows of `right`, or a few more.
    folder : Path
        For the files that are needed on the way; whoever names it removes it. Nothing is put there for a small
        right table.
    held : int, optional
        Rows to hold; default: :data:`HELD`.

    Yields
    ------
    polars.DataFrame
        One at least.
    """
    held = HELD if held is None else held
    if n_right <= held:
        table = pl.concat(list(right))
        for frame in left:
            yield frame.join(table, left_on=left_on, right_on=right_on, how=how, maintain_order="left")
        return
    groups = min(-(-n_right // held), MOST)
    rights, lefts, joined = (Scatter(folder / name) for name in ("right", "left", "joined"))
    for frame in right:
        rights.append(frame, _group(frame[right_on], groups))
    rows = 0
    for frame in left:
        numbered = frame.with_columns(pl.Series(_ROW, np.arange(rows, rows + frame.height)))
        lefts.append(numbered, _group(frame[left_on], groups))
        rows += frame.height
    in_order = max(held, -(-rows // MOST))
    for group in range(groups):
        found = lefts.take(group).join(rights.take(group), left_on=left_on, right_on=right_on, how=how)
        joined.append(found, found[_ROW].to_numpy() // in_order)
    for part in joined.groups or [0]:
        yield joined.take(part).sort(_ROW).drop(_ROW)


def _group(keys: pl.Series, groups: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Group of every key, the same in both tables; those that are missing have one as well."""
    return np.asarray((keys.hash(seed=0) % groups).fill_null(0).cast(pl.Int64).to_numpy())
