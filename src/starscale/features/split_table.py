"""Divide a training table into parts by star, cell, cluster, survey or column, and check for leaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.features.leaks import SAME_STAR, refuse_leaks
from starscale.features.splits import PARTS, assign_parts, chained, near_pairs, same_pairs
from starscale.surveys import Survey
from starscale.tables.healpix import cells
from starscale.tables.positions import Positions, positions
from starscale.tables.standardise import require
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.settings.split import SplitConfig

#: Columns of a training table: bit mask of the surveys that observed the star, and the name of its cluster.
SURVEYS, CLUSTER = "surveys", "split_cluster"
#: Remedies for an empty part.
_FILL = {
    "cell": "Take a higher cell_order (smaller cells), larger shares, or another seed.",
    "cluster": "Name clusters in hold_out, take larger shares, or another seed.",
    "survey": "Name surveys in hold_out that observed some, but not all, of the stars.",
    "column": "Use all three names in the column {column!r}.",
}


def split_table(
    table: pl.DataFrame,
    lead: Survey,
    config: SplitConfig,
    seed: int,
    *,
    label_surveys: Sequence[str] = (),
    where: str = "training table",
) -> pl.Series:
    """Assign every row of a training table to a part, and refuse a split with the same star in two parts.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
        Has the identifier of the leading catalogue, and its positions if there are any. A split by survey
        needs the column `surveys`, a split by cluster the column `split_cluster`
        (see :func:`starscale.features.cluster_names.name_clusters`).
    lead : Survey
        The leading catalogue.
    config : SplitConfig
    seed : int
    label_surveys : sequence of str
        Names of the label surveys, in the order of the bits of `surveys`.
    where : str
        Name of the table in error messages.

    Returns
    -------
    polars.Series of str, (n,)
        ``train``, ``validation`` or ``test``.

    Raises
    ------
    InputError
        A column that the split needs is missing or has unsuitable values; the same star is in two parts.
    """
    key = lead.id.column
    require(table.columns, [key], where, "the split")
    ids, places = table[key], star_positions(table, lead, where)
    if config.by == "column":
        parts = _own_parts(table, config.column, where)
    else:
        parts = _hashed_parts(table, ids, places, config, seed, label_surveys, where)
    fix = (
        f"Give all rows of a star, and stars so close, the same part in the column {config.column!r}."
        if config.by == "column"
        else f"Set split.group_radius to {SAME_STAR:g} or more: such stars then go to the same part."
    )
    refuse_leaks(ids, parts, places, where=where, fix=fix)
    return parts


def star_positions(table: pl.DataFrame, lead: Survey, where: str) -> Positions | None:
    """Return the positions of the leading catalogue; None if the catalogue or the table has none."""
    role = lead.position
    if role is None or not {role.ra, role.dec} <= set(table.columns):
        return None
    return positions(table, lead, where, whole=False)


def _hashed_parts(
    table: pl.DataFrame,
    ids: pl.Series,
    places: Positions | None,
    config: SplitConfig,
    seed: int,
    label_surveys: Sequence[str],
    where: str,
) -> pl.Series:
    ties = [same_pairs(ids)]
    if places is not None and config.group_radius > 0:
        ties.append(near_pairs(places, config.group_radius))
    blocks = held_out = None
    if config.by == "cell":
        blocks = _cells(places, config.cell_order, where)
    elif config.by == "cluster":
        blocks = _clusters(table, config, where)
        # A whole cluster goes to one part, together with stars close to its members.
        ties.append(same_pairs(blocks))
        held_out = _named(blocks, config.hold_out) if config.hold_out else None
    elif config.by == "survey":
        held_out = _of_surveys(table, config.hold_out, label_surveys, where)
    groups = chained(table.height, *ties)
    return assign_parts(ids, config, seed, groups, blocks=blocks, held_out=held_out)


def _cells(places: Positions | None, order: int, where: str) -> pl.Series:
    if places is None:
        raise InputError(Problem(where, "has no positions", "positions, for a split by cell of the sky"))
    found = np.full(len(places), -1)
    found[places.valid] = cells(places.ra[places.valid], places.dec[places.valid], order)
    return pl.Series("cell", found).set(pl.Series(~places.valid), None)


def _clusters(table: pl.DataFrame, config: SplitConfig, where: str) -> pl.Series:
    """Names of the clusters; null: a field star."""
    own = config.clusters is not None and config.clusters.path is None
    column = config.clusters.column if config.clusters is not None and own else CLUSTER
    require(table.columns, [column], where, "a split by cluster (training tables of `run` have it)")
    names = table[column].cast(pl.String).str.strip_chars()
    return names.set(names == "", None)


def _named(blocks: pl.Series, wanted: Sequence[str]) -> NDArray[np.bool_]:
    return blocks.is_in(list(wanted)).fill_null(False).to_numpy()


def _of_surveys(
    table: pl.DataFrame, wanted: Sequence[str], label_surveys: Sequence[str], where: str
) -> NDArray[np.bool_]:
    require(table.columns, [SURVEYS], where, "a split by survey (training tables of `run` have it)")
    bits = sum(1 << label_surveys.index(name) for name in wanted)
    return (table[SURVEYS].cast(pl.Int64) & bits).fill_null(0).to_numpy() > 0


def _own_parts(table: pl.DataFrame, column: str, where: str) -> pl.Series:
    require(table.columns, [column], where, "a split by column")
    parts = table[column].cast(pl.String)
    wrong = parts.filter(~parts.is_in(PARTS).fill_null(False))
    if len(wrong):
        found = ", ".join(repr(value) for value in wrong.unique(maintain_order=True).head(3))
        raise InputError(
            Problem(
                f"{where}: column {column!r}",
                f"{len(wrong):,} of {len(parts):,} values are not the name of a part ({found})",
                f"one of {', '.join(PARTS)} in every row",
            )
        )
    return parts.alias("part")


def refuse_useless(
    table: pl.DataFrame, parts: pl.Series, config: SplitConfig, where: str = "training table"
) -> None:
    """Refuse a split of blocks in which a part is empty.

    An empty part of a random split, possible with very few stars, is reported by the training instead.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
        The training table.
    parts : polars.Series of str, (n,)
        Result of :func:`split_table`.
    config : SplitConfig
    where : str
        Name of the table in error messages.

    Raises
    ------
    InputError
        A part is empty, or a held-out cluster has no star.
    """
    problems = Problems()
    if config.by == "cluster" and config.hold_out:
        known = _clusters(table, config, where).drop_nulls().unique().sort().to_list()
        for name in config.hold_out:
            if name not in known:
                found = f"no star of the {where} belongs to a cluster {name!r}"
                problems.add("split.hold_out", found, f"one of {_first(known)}", did_you_mean(name, known))
    empty = [name for name in PARTS if not (parts == name).any()]
    if config.by != "star" and empty:
        counts = ", ".join(f"{name} {int((parts == name).sum()):,}" for name in PARTS)
        found = f"the split by {config.by} leaves no stars for {' and '.join(empty)} ({counts} rows)"
        problems.add(where, found, "stars in every part", _FILL[config.by].format(column=config.column))
    problems.raise_if_any()


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
