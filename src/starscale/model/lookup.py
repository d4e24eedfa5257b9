"""Find single stars in a table of any size; for a star that is not in it, suggest the nearest identifiers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from starscale.io import Source
from starscale.vocabulary.errors import Problems, did_you_mean

#: Rows of identifiers that are read at a time.
_CHUNK = 1_000_000
#: Largest table in which text identifiers of similar spelling are searched for.
_COMPARED = 100_000


def identifiers(stars: Iterable[int | str], dtype: pl.DataType, where: str) -> pl.Series:
    """Convert identifiers as a user types them to the type of a column.

    Parameters
    ----------
    stars : iterable of int or str
    dtype : polars.DataType
        Type of the column.
    where : str
        Name of the table in error messages.

    Returns
    -------
    polars.Series
        Every identifier once.

    Raises
    ------
    InputError
        Names every text that is not an identifier.
    """
    problems, found = Problems(), []
    for star in stars:
        text = str(star).strip()
        if not dtype.is_integer():
            found.append(text)
        elif text.lstrip("+-").isdecimal() and -(2**63) <= int(text) < 2**64:
            found.append(int(text))  # type: ignore[arg-type]
        else:
            problems.add(
                f"star {text!r}",
                "is not an identifier",
                f"a whole number with all its digits, as in {where}",
                "A number in scientific notation has lost its last digits." if "e" in text.lower() else "",
            )
    problems.raise_if_any()
    return pl.Series("id", list(dict.fromkeys(found)), dtype=dtype)


def find_stars(source: Source, column: str, stars: pl.Series, columns: list[str] | None = None) -> pl.DataFrame:
    """Return the rows of some stars, in the order of `stars`.

    Parameters
    ----------
    source : Source
        A table on disk. It is read in pieces, except ECSV.
    column : str
        Column of the identifiers.
    stars : polars.Series
        Result of :func:`identifiers`.
    columns : list of str, optional
        Columns to read; default: all.

    Raises
    ------
    InputError
        Names every star that is not in the table, with the nearest identifiers that are.
    """
    wanted = None if columns is None else list(dict.fromkeys([column, *columns]))
    rows = source.rows_with(column, stars, wanted)
    lost = stars.filter(~stars.is_in(rows[column].implode()))
    problems = Problems()
    if len(lost):
        near = _nearest(source, column, lost)
        for star in lost:
            found = f"none of the {source.n_rows:,} rows has {star}"
            problems.add(f"{source.path}: column {column!r}", found, "an identifier of this table", near[star])
    problems.raise_if_any()
    order = pl.DataFrame({column: stars}).with_row_index("_order")
    return (
        rows.join(order, on=column, how="left", maintain_order="left")
        .sort("_order", maintain_order=True)
        .drop("_order")
    )


def _nearest(source: Source, column: str, lost: pl.Series) -> dict[int | str, str]:
    """Return a hint for every lost star: the next numbers below and above, or texts of similar spelling."""
    if lost.dtype.is_integer():
        return _nearest_numbers(source, column, lost)
    known = source.read([column])[column].drop_nulls().to_list() if source.n_rows <= _COMPARED else []
    return {star: did_you_mean(star, known) for star in lost}


def _nearest_numbers(source: Source, column: str, lost: pl.Series) -> dict[int | str, str]:
    targets = np.sort(lost.to_numpy())
    # The next identifiers below and above each target, of every batch that has one.
    below: list[list[int]] = [[] for _ in targets]
    above: list[list[int]] = [[] for _ in targets]
    for batch in source.batches(_CHUNK, [column]):
        ids = np.sort(batch[column].drop_nulls().to_numpy())
        for i, at in enumerate(np.searchsorted(ids, targets).tolist()):
            below[i] += ids[max(at - 1, 0) : at].tolist()
            above[i] += ids[at : at + 1].tolist()
    return {
        star: _nearest_hint(max(low, default=None), min(high, default=None))
        for star, low, high in zip(targets.tolist(), below, above, strict=True)
    }


def _nearest_hint(below: int | None, above: int | None) -> str:
    ends = [str(end) for end in (below, above) if end is not None]
    return f"Nearest identifiers in this table: {' and '.join(ends)}." if ends else ""
