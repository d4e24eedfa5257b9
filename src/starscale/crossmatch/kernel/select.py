"""Selection from scored candidates: good neighbours of each source, its best one, and the clean pairs."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import NEIGHBOUR_COLUMNS, PAIR_COLUMNS
from starscale.vocabulary.flags import PairFlag

Mode = Literal["dense", "sparse"]
PairChoice = Literal["strict", "loose", "best"]

#: Neighbours whose scores differ by less are ambiguous: a factor of ten.
_AMBIGUOUS = 2.302585092994046


def count_neighbours(neighbours: pl.DataFrame) -> pl.DataFrame:
    """Count the good neighbours of every leading source.

    Parameters
    ----------
    neighbours : polars.DataFrame
        One row a good pair, those of a leading source together, best first: `leading` (row number), `score`,
        `match_probability`, `xm_flag`.

    Returns
    -------
    polars.DataFrame
        With `number_of_neighbours` and `best`, and the flags that follow from the neighbours.
    """
    leading, score = neighbours["leading"].to_numpy(), neighbours["score"].to_numpy()
    n = len(leading)
    best = np.ones(n, dtype=bool)
    best[1:] = leading[1:] != leading[:-1]
    first = np.flatnonzero(best)
    number = np.diff(first, append=n).astype(np.int32)
    flag = neighbours["xm_flag"].to_numpy().copy()
    beside = np.repeat(number, number)
    flag |= (beside > 1) * np.int32(PairFlag.SEVERAL_NEIGHBOURS)
    # Only a source with several neighbours has a second one to compare with.
    contested = first[number > 1]
    gap = score[contested] - score[contested + 1]
    flag[contested[gap == 0]] |= PairFlag.TIE
    # By separation alone there is no probability.
    known = neighbours["match_probability"][contested].is_not_null().to_numpy()
    flag[contested[(gap < _AMBIGUOUS) & known]] |= PairFlag.AMBIGUOUS
    return neighbours.with_columns(
        pl.Series("xm_flag", flag),
        pl.Series("number_of_neighbours", beside),
        pl.Series("best", best),
    )


def best_first(
    leading: NDArray[np.intp],
    score: FloatArray,
    searched_id: pl.Series,
    searched: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """Order of pairs by leading source, best first; the lower identifier decides, so that row order never does.

    Parameters
    ----------
    leading : ndarray of int, (n,)
    score : ndarray, (n,)
    searched_id : polars.Series, (n,)
    searched : ndarray of int, (n,), optional
        Where `searched_id` are those of a catalogue: its row in each pair.

    Returns
    -------
    ndarray of int, (n,)
    """
    order = np.argsort(leading, kind="stable")
    again = leading[order][1:] == leading[order][:-1]
    # Most sources have one neighbour and need not be sorted.
    several = np.zeros(len(order), dtype=bool)
    several[1:] |= again
    several[:-1] |= again
    rows = order[several]
    if not len(rows):
        return order
    ids = searched_id[rows if searched is None else searched[rows]]
    keys = pl.DataFrame({"leading": leading[rows], "score": score[rows], "searched_id": ids, "row": rows})
    keys = keys.sort("leading", "score", "searched_id", descending=[False, True, False])
    order[several] = keys["row"].to_numpy()
    return order


def in_leading_order(table: pl.DataFrame) -> pl.DataFrame:
    """Sort the rows of several pieces by leading source.

    Rows of one leading source come from one piece and keep their order, best first.
    """
    return table if table["leading"].is_sorted() else table.sort("leading", maintain_order=True)


def nearest_of(candidates: pl.DataFrame) -> pl.DataFrame:
    """Nearest candidate of every leading source; of equally near ones the one with the lower identifier."""
    return candidates.sort("leading", "angular_distance", "searched_id").unique(
        "leading", keep="first", maintain_order=True
    )


def add_mates(neighbours: pl.DataFrame, degree: NDArray[np.number], chosen: NDArray[np.number]) -> pl.DataFrame:
    """Add `degree`, and the mates of every best pair, from how often its searched source was `chosen`."""
    mates = np.where(neighbours["best"].to_numpy(), chosen - 1, 0).astype(np.int32)
    flag = neighbours["xm_flag"].to_numpy().copy()
    flag |= (mates > 0) * np.int32(PairFlag.HAS_MATES)
    return neighbours.with_columns(
        pl.Series("xm_flag", flag),
        pl.Series("degree", degree.astype(np.int32)),
        pl.Series("number_of_mates", mates),
    )


def one_to_one(neighbours: pl.DataFrame) -> pl.DataFrame:
    """Give every source at most one partner: the best pair first, then the best of what is left (sparse match).

    The result is the stable one: no two sources would both rather have each other.

    Returns
    -------
    polars.DataFrame
        With `best` anew, `number_of_mates` (always 0) and `degree`.
    """
    key = ["score", "leading_id", "searched_id"]
    left = neighbours.sort(key, descending=[True, False, False]).select("leading", "searched", "best")
    chosen = [left.clear().select("leading", "searched")]
    while left.height:
        mutual = left.filter(pl.col("leading").is_first_distinct() & pl.col("searched").is_first_distinct())
        chosen.append(mutual.select("leading", "searched"))
        left = left.join(mutual, on="leading", how="anti", maintain_order="left").join(
            mutual, on="searched", how="anti", maintain_order="left"
        )
    pairs = pl.concat(chosen).with_columns(pl.lit(True).alias("given"))
    wanted = pl.col("best").sum().over("searched")
    return (
        neighbours.join(pairs, on=["leading", "searched"], how="left", maintain_order="left")
        .with_columns(
            pl.len().over("searched").cast(pl.Int32).alias("degree"),
            pl.lit(0, dtype=pl.Int32).alias("number_of_mates"),
            pl.col("given").fill_null(False),
        )
        .with_columns(
            (
                pl.col("xm_flag")
                | pl.when(pl.col("given") & ((wanted > 1) | ~pl.col("best")))
                .then(int(PairFlag.ONE_TO_ONE))
                .otherwise(0)
                .cast(pl.Int32)
            ).alias("xm_flag"),
            pl.col("given").alias("best"),
        )
        .drop("given")
    )


def best_pairs(neighbours: pl.DataFrame) -> pl.DataFrame:
    """The best pair of every leading source that has one: columns of :data:`PAIR_COLUMNS`, and `degree`."""
    return neighbours.select(*PAIR_COLUMNS, "degree", "best").filter("best").drop("best")


def neighbour_columns(neighbours: pl.DataFrame) -> pl.DataFrame:
    """All good neighbours: the columns of :data:`NEIGHBOUR_COLUMNS`."""
    return neighbours.select(*NEIGHBOUR_COLUMNS)


def is_clean(choice: PairChoice) -> pl.Expr:
    """Whether a best pair is kept.

    `strict`: exactly one good neighbour on either side; `loose`: one neighbour and no mates;
    `best`: every best pair.
    """
    alone = pl.col("number_of_neighbours") == 1
    return {
        "strict": alone & (pl.col("degree") == 1),
        "loose": alone & (pl.col("number_of_mates") == 0),
        "best": pl.lit(True),
    }[choice]


def choose_pairs(best: pl.DataFrame, choice: PairChoice) -> pl.DataFrame:
    """Keep the clean pairs (:func:`is_clean`): the columns of :data:`PAIR_COLUMNS`."""
    return best.filter(is_clean(choice)).select(*PAIR_COLUMNS)


def count_clean(best: pl.DataFrame, choice: PairChoice) -> int:
    """Count the pairs that :func:`choose_pairs` keeps."""
    return best.height if choice == "best" else int(best.select(is_clean(choice).sum()).item())
