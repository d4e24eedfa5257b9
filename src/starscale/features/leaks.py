"""The guard of every split: no star stands in two parts, under one identifier or under two at one place."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.features.splits import EPOCH, near_pairs
from starscale.tables.positions import Positions, separation
from starscale.vocabulary.errors import Problems

#: Two entries closer than this, in arcsec, may be one star.
SAME_STAR = 1.0
_EXAMPLES = 3


def refuse_leaks(
    ids: pl.Series, parts: pl.Series, positions: Positions | None, *, where: str, fix: str = ""
) -> None:
    """Refuse a split in which the same star stands in two parts.

    Parameters
    ----------
    ids : polars.Series, (n,)
        Identifiers; rows without one are told apart by their positions alone.
    parts : polars.Series of str, (n,)
    positions : Positions or None, (n,)
        They are moved to one epoch. None: the table has none, and identifiers alone decide.
    where : str
        What to call the table in an error.
    fix : str
        What to do about it.

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
            f"{split.height:,} of {table['id'].n_unique():,} identifiers stand in several parts of the split, in "
            f"{split['rows'].sum():,} rows ({_listed(examples, split.height)})",
            "every star in one part",
            fix,
        )


def _near(problems: Problems, ids: pl.Series, parts: pl.Series, places: Positions, where: str, fix: str) -> None:
    pairs = near_pairs(places, SAME_STAR)
    # Rows of one identifier are complained about as such.
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
        f"{len(pairs):,} pairs of rows closer than {SAME_STAR:g} arcsec stand in different parts of the split "
        f"({_listed(examples, len(pairs))})",
        "every star in one part: two entries so close may be one star",
        fix,
    )


def _listed(examples: list[str], n: int) -> str:
    """The examples, and a mark where there are more."""
    return "; ".join(examples) + ("; ..." if n > len(examples) else "")
