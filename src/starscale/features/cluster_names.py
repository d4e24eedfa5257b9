"""Assign stars to clusters, from a table of members, or of centres and radii."""

from __future__ import annotations

import numpy as np
import polars as pl

from starscale.features.split_table import CLUSTER, star_positions
from starscale.surveys import Survey
from starscale.tables.arrays import as_floats
from starscale.tables.positions import Positions
from starscale.tables.standardise import require
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.later import Later
from starscale.vocabulary.settings.split import SplitClusters

spatial = Later("scipy.spatial")


def name_clusters(
    table: pl.DataFrame, lead: Survey, clusters: pl.DataFrame, config: SplitClusters, where: str
) -> pl.DataFrame:
    """Append the column `split_cluster`: the name of the cluster of each star, null for a field star.

    Parameters
    ----------
    table : polars.DataFrame, (n, any)
        The training table.
    lead : Survey
        The leading catalogue.
    clusters : polars.DataFrame
        One row for each member, or for each cluster with centre and radius (deg). A star inside several
        circles belongs to the cluster whose centre is nearest in units of its radius.
    config : SplitClusters
        Names of the columns.
    where : str
        Name of the table of clusters in error messages.

    Raises
    ------
    InputError
        A column of the clusters is missing or not numeric, a star is in two clusters, no star is in any.
    """
    needed = [config.source_id] if config.source_id is not None else [config.ra, config.dec, config.radius]
    require(clusters.columns, [config.column, *needed], where, "a split by cluster")
    clusters = clusters.filter(pl.col(config.column).is_not_null())
    find = _of_members if config.source_id is not None else _in_circles
    names = find(table, lead, clusters, config, where)
    if names.null_count() == table.height:
        found = f"none of the {table.height:,} labelled stars belongs to one of the {clusters.height:,} rows"
        raise InputError(
            Problem(where, found, "clusters with labelled stars", "Are identifiers and units (degrees) right?")
        )
    return table.with_columns(names.alias(CLUSTER))


def _of_members(
    table: pl.DataFrame, lead: Survey, members: pl.DataFrame, config: SplitClusters, where: str
) -> pl.Series:
    key, column = lead.id.column, config.source_id or ""
    if members[column].dtype != table[key].dtype:
        raise InputError(
            Problem(
                f"{where}: column {column!r}",
                f"is of type {members[column].dtype}",
                f"identifiers of type {table[key].dtype}, as {lead.name} has",
            )
        )
    known = members.select(pl.col(column).alias(key), pl.col(config.column).cast(pl.String).alias(CLUSTER))
    known = known.drop_nulls().unique(maintain_order=True)
    twice = known.filter(pl.col(key).is_duplicated())
    if twice.height:
        star = twice[key][0]
        names = " and ".join(twice.filter(pl.col(key) == star)[CLUSTER])
        found = f"{twice[key].n_unique():,} stars are members of several clusters (first: {star} of {names})"
        raise InputError(Problem(where, found, "one cluster per star"))
    return table.select(key).join(known, on=key, how="left", maintain_order="left")[CLUSTER]


def _in_circles(
    table: pl.DataFrame, lead: Survey, clusters: pl.DataFrame, config: SplitClusters, where: str
) -> pl.Series:
    ra, dec, radius = (_degrees(clusters, name, where) for name in (config.ra, config.dec, config.radius))
    wrong = ~(np.isfinite(ra) & (np.abs(dec) <= 90) & (radius > 0) & (radius <= 90))
    if wrong.any():
        found = f"{int(wrong.sum()):,} of {len(ra):,} rows have no valid centre, or no radius between 0 and 90 deg"
        raise InputError(Problem(where, found, "centre and radius in degrees, in every row"))
    places = star_positions(table, lead, "training table")
    if places is None:
        raise InputError(Problem("training table", "has no positions", "positions, for clusters with centres"))
    centres = Positions(ra, dec, np.full(len(ra), np.nan), None, None, np.zeros(len(ra), dtype=bool))
    towards = centres.triads(np.arange(len(ra)))[0]
    rows = np.flatnonzero(places.valid)
    stars = places.triads(rows)[0]
    best, name = np.full(len(places), np.inf), np.full(len(places), -1)
    tree = spatial.cKDTree(stars)
    for i, (centre, reach) in enumerate(zip(towards, np.radians(radius), strict=True)):
        # Chord of an angle a on the unit sphere: 2 sin(a / 2).
        inside = np.asarray(tree.query_ball_point(centre, 2 * np.sin(reach / 2)), dtype=np.intp)
        relative = np.linalg.norm(stars[inside] - centre, axis=1) / reach
        nearer = relative < best[rows[inside]]
        best[rows[inside][nearer]], name[rows[inside][nearer]] = relative[nearer], i
    names = clusters[config.column].cast(pl.String).to_list()
    return pl.Series(CLUSTER, [names[i] if i >= 0 else None for i in name.tolist()], dtype=pl.String)


def _degrees(clusters: pl.DataFrame, name: str, where: str) -> FloatArray:
    if not clusters[name].dtype.is_numeric():
        raise InputError(Problem(f"{where}: column {name!r}", f"is of type {clusters[name].dtype}", "degrees"))
    return as_floats(clusters[name])
