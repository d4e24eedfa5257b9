"""Joining two tables of any size that are read in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from starscale.io.scatter import Scatter

#: Most rows of the right table, and of the result, in memory at a time.
HELD = 250_000
#: Most files that a table is divided into; beyond it, files hold more rows instead.
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
    """Yield the rows of `left` in order, joined with the row of `right` that has the same key.

    A right table of up to `held` rows is kept in memory. Otherwise both are first divided by a hash of the
    key into groups on disk; group by group is joined, and the rows are put back in order.

    Parameters
    ----------
    left, right : iterable of polars.DataFrame
        At least one frame each, possibly without rows, which states the columns. Keys of `right` are unique.
    left_on, right_on : str
        Key columns, of the same type; that of `right` is not in the result.
    how : {"inner", "left"}
        Whether rows of `left` without a partner are dropped, or get nulls.
    n_right : int
        Number of rows of `right`, or an upper estimate.
    folder : Path
        Folder for temporary files, removed by the caller; unused for a small right table.
    held : int, optional
        Most rows in memory; default: :data:`HELD`.

    Yields
    ------
    polars.DataFrame
        At least one.
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
    """Return the group of every key, the same in both tables; missing keys are in group 0."""
    return np.asarray((keys.hash(seed=0) % groups).fill_null(0).cast(pl.Int64).to_numpy())
