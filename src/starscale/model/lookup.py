"""Find single stars in a table of any size, and say what is near where one is not there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from starscale.io import Source
from starscale.vocabulary.errors import Problems, did_you_mean

#: Rows of identifiers at a time.
_CHUNK = 1_000_000
#: Text identifiers are compared with a misspelt one in tables up to this size.
_COMPARED = 100_000


def identifiers(stars: Iterable[int | str], dtype: pl.DataType, where: str) -> pl.Series:
    """Identifiers as a user types them, in the type of the column that holds them.

    Raises
    ------
    InputError
        For every one that is none.
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
                "is no identifier",
                f"a whole number with all its digits, as in {where}",
                "A number in scientific notation has lost its last digits." if "e" in text.lower() else "",
            )
    problems.raise_if_any()
    return pl.Series("id", list(dict.fromkeys(found)), dtype=dtype)


def find_stars(source: Source, column: str, stars: pl.Series, columns: list[str] | None = None) -> pl.DataFrame:
    """The rows of some stars, star by star in the order asked for.

    Parameters
    ----------
    source : Source
        A table on disk; it is never whole in memory (ECSV aside, which is read whole).
    column : str
        Its identifiers.
    stars : polars.Series
        Of :func:`identifiers`.
    columns : list of str, optional
        Columns to read; default: all.

    Raises
    ------
    InputError
        For every star that is not there, with the nearest identifiers that are.
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
    """A hint for every star: for numbers the next ones below and above, for texts one of similar spelling."""
    if not lost.dtype.is_integer():
        known = source.read([column])[column].drop_nulls().to_list() if source.n_rows <= _COMPARED else []
        return {star: did_you_mean(star, known) for star in lost}
    targets = np.sort(lost.to_numpy())
    below: list[list[int]] = [[] for _ in targets]
    above: list[list[int]] = [[] for _ in targets]
    for batch in source.batches(_CHUNK, [column]):
        ids = np.sort(batch[column].drop_nulls().to_numpy())
        for i, at in enumerate(np.searchsorted(ids, targets).tolist()):
            below[i] += ids[at - 1 : at].tolist() if at else []
            above[i] += ids[at : at + 1].tolist()
    hints = {}
    for star, low, high in zip(targets.tolist(), below, above, strict=True):
        ends = [str(end) for end in (max(low, default=None), min(high, default=None)) if end is not None]
        hints[star] = f"The nearest there: {' and '.join(ends)}." if ends else ""
    return hints
