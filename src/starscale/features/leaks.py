"""Check that no star is in two parts of a split, under one identifier or under two at the same position."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.features.splits import EPOCH, near_pairs
from starscale.tables.positions import Positions, separation
from starscale.vocabulary.errors import Problems

#: Two rows closer than this, in arcsec, may be the same star.
SAME_STAR = 1.0
_EXAMPLES = 3


def refuse_leaks(
    ids: pl.Series, parts: pl.Series, positions: Positions | None, *, where: str, fix: str = ""
) -> None:
    """Refuse a split in which the same star is in two parts.

    Parameters
    ----------
    ids : polars.Series, (n,)
        Identifiers; rows without one are compared by position only.
    parts : polars.Series of str, (n,)
    positions : Positions or None, (n,)
        Moved to a common epoch for the comparison. None: only identifiers are compared.
    where : str
        Name of the table in error messages.
    fix : str
        Remedy, for the message.

    Raises
    ------
    InputError
        With counts and examples of identifiers and of pairs closer than `SAME_STAR` in different parts.
    """
    problems = Problems()
    _repeated(problems, ids, parts, where, fix)
    if positions is not None:
        _near(problems, ids, parts, positions, where, fix)
    problems.raise_if_any()


def _repeated(problems: Problems, ids: pl.Series, parts: pl.Series, where: str, fix: str) -> None:
    table = pl.DataFrame({"id": ids, "part": parts}).drop_nulls("id")
    split = (
        table.group_by("id", maintain_order=True)
        .agg(pl.col("part").unique(maintain_order=True), pl.len().alias("rows"))
        .filter(pl.col("part").list.len() > 1)
    )
    if split.height:
        examples = [f"{row['id']} in {' and '.join(row['part'])}" for row in split.head(_EXAMPLES).to_dicts()]
        problems.add(
            where,
            f"{split.height:,} of {table['id'].n_unique():,} identifiers are in several parts of the split, in "
            f"{split['rows'].sum():,} rows ({_listed(examples, split.height)})",
            "every star in one part",
            fix,
        )


def _near(problems: Problems, ids: pl.Series, parts: pl.Series, places: Positions, where: str, fix: str) -> None:
    pairs = near_pairs(places, SAME_STAR)
    # Rows with the same identifier have been reported as such.
    part = parts.to_numpy()
    same = (ids.gather(pairs[:, 0]) == ids.gather(pairs[:, 1])).fill_null(False).to_numpy()
    pairs = pairs[(part[pairs[:, 0]] != part[pairs[:, 1]]) & ~same]
    if not len(pairs):
        return
    vectors = places.vectors(pairs.ravel(), np.full(pairs.size, EPOCH)).reshape(-1, 2, 3)
    distance = separation(vectors[:, 0], vectors[:, 1])
    nearest = np.argsort(distance, kind="stable")[:_EXAMPLES]
    examples = [
        f"{ids[int(a)]} in {part[a]} and {ids[int(b)]} in {part[b]}, {distance[i]:.2f} arcsec"
        for i, (a, b) in zip(nearest, pairs[nearest], strict=True)
    ]
    problems.add(
        where,
        f"{len(pairs):,} pairs of rows closer than {SAME_STAR:g} arcsec are in different parts of the split "
        f"({_listed(examples, len(pairs))})",
        "every star in one part: two rows so close may be the same star",
        fix,
    )


def _listed(examples: list[str], n: int) -> str:
    """The examples, and an ellipsis if there are more."""
    return "; ".join(examples) + ("; ..." if n > len(examples) else "")
