"""A later release of a mock catalogue: identifiers renumbered, sources split and dropped.

The table of neighbours has what the real ones have: further candidates at larger distances and with other
magnitudes, missing magnitude differences, sources of the older release that were merged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

SAME, RENUMBERED, SPLIT, DROPPED = range(4)


@dataclass(frozen=True)
class Renumbered:
    """The truth (`old`, `new`: null if dropped), the identifiers of the newer release, and the neighbours."""

    truth: pl.DataFrame
    neighbours: pl.DataFrame
    kind: np.ndarray


def renumber(ids: pl.Series, rng: np.random.Generator) -> Renumbered:
    """Make the next release of sources with these identifiers."""
    old, n = ids.to_numpy(), len(ids)
    kind = rng.choice(4, n, p=[0.55, 0.37, 0.05, 0.03])
    # Identifiers of a release share their cells: new ones are near the old ones, and none is in use.
    fresh = np.setdiff1d(np.unique(old + rng.integers(1, 50_000, n)), old)
    rng.shuffle(fresh)
    new = np.where(kind == SAME, old, np.resize(fresh, n))
    second = np.setdiff1d(new + 100_001, np.concatenate([old, fresh]))
    there = kind != DROPPED
    # A few have no proper motion, so that their position could not be moved to the other epoch (stars with labels
    # are bright, and nearly all have one).
    mas = np.where(rng.random(n) < 0.003, rng.uniform(20, 300, n), rng.exponential(3.0, n))
    mag = rng.normal(0, 0.03, n)
    rows = [(old[there], new[there], mas[there], mag[there])]
    # The second component of a split source: farther, and of another or the same magnitude.
    split = np.flatnonzero(kind == SPLIT)
    rows.append(
        (old[split], second[: len(split)], rng.uniform(100, 450, len(split)), rng.uniform(-0.3, 3, len(split)))
    )
    # Other sources of the neighbourhood, for sources that are there, and for every dropped one.
    left = np.concatenate([rng.choice(n, n // 2), np.flatnonzero(kind == DROPPED)])
    right = rng.choice(np.flatnonzero(there), len(left))
    left, right = left[left != right], right[left != right]
    rows.append((old[left], new[right], rng.uniform(60, 2000, len(left)), rng.normal(0, 0.8, len(left))))
    # Sources of the older release that were merged into one of these.
    merged = rng.choice(np.flatnonzero(there), n // 50, replace=False)
    ghosts = old.max() + 7 + 3 * np.arange(len(merged))
    rows.append((ghosts, new[merged], rng.uniform(60, 400, len(merged)), rng.normal(0, 0.2, len(merged))))
    columns = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    table = pl.DataFrame(dict(zip(("old", "new", "distance", "difference"), columns, strict=True)))
    unknown = rng.random(table.height) < 0.05
    table = table.with_columns(table["difference"].set(pl.Series(unknown), None))
    table = table.unique(["old", "new"], keep="first", maintain_order=True).sample(
        fraction=1, shuffle=True, seed=1
    )
    truth = pl.DataFrame({"old": old, "new": pl.Series(new).set(pl.Series(~there), None)})
    return Renumbered(truth, table, kind)


def as_dr3_neighbourhood(table: pl.DataFrame) -> pl.DataFrame:
    """Return the neighbours with the names of the archive (the newer release is DR4)."""
    return table.select(
        pl.col("new").alias("source_id"),
        pl.col("old").alias("dr3_source_id"),
        pl.col("distance").cast(pl.Float32).alias("angular_distance"),
        pl.col("difference").cast(pl.Float32).alias("magnitude_difference"),
        (pl.col("distance") < 50).alias("probable_match"),
    )


def as_dr2_neighbourhood(table: pl.DataFrame) -> pl.DataFrame:
    """Return the neighbours with the names of the archive (the newer release is DR3)."""
    return table.select(
        pl.col("old").alias("dr2_source_id"),
        pl.col("new").alias("dr3_source_id"),
        pl.col("distance").cast(pl.Float32).alias("angular_distance"),
        pl.col("difference").cast(pl.Float32).alias("magnitude_difference"),
    )
