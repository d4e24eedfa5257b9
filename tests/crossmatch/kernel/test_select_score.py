"""Selection and scores of single tables of candidates, against plain loops and the formulas."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.crossmatch.kernel.score import limit, score_by_distance, score_pairs
from starscale.crossmatch.kernel.select import (
    add_mates,
    best_first,
    choose_pairs,
    count_clean,
    count_neighbours,
    in_leading_order,
    is_clean,
    nearest_of,
    one_to_one,
)
from starscale.vocabulary.columns import PAIR_COLUMNS
from starscale.vocabulary.flags import PairFlag

FACTOR_TEN = np.log(10)


def neighbours(seed: int, n: int, *, probabilities: bool = True) -> pl.DataFrame:
    """Good pairs of few sources, best first, with ties and near ties."""
    rng = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "leading": rng.integers(0, max(n // 2, 1), n),
            "searched": rng.integers(0, max(n // 2, 1), n),
            "score": rng.choice([0.0, 1.0, 2.0, 5.0, 20.0], n),
            "match_probability": rng.random(n) if probabilities else np.full(n, np.nan),
            "xm_flag": rng.choice([0, int(PairFlag.BLENDED)], n).astype(np.int32),
        }
    ).unique(["leading", "searched"], maintain_order=True)
    table = table.with_columns(
        pl.col("match_probability").fill_nan(None),
        (pl.col("leading") + 100).alias("leading_id"),
        (pl.col("searched") * 7 % 31 + 1000).alias("searched_id"),
    )
    return table.sort("leading", "score", "searched_id", descending=[False, True, False])


def groups(table: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
    for _, rows in table.group_by("leading", maintain_order=True):
        yield list(rows.iter_rows(named=True))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(0, 25), st.booleans())
def test_neighbours_are_counted_and_flagged(seed: int, n: int, probabilities: bool) -> None:
    table = neighbours(seed, n, probabilities=probabilities)
    found = count_neighbours(table)
    assert found.drop("number_of_neighbours", "best", "xm_flag").equals(table.drop("xm_flag"))
    for rows, before in zip(groups(found), groups(table), strict=True):
        for place, (row, old) in enumerate(zip(rows, before, strict=True)):
            flag = old["xm_flag"]
            if len(rows) > 1:
                flag |= PairFlag.SEVERAL_NEIGHBOURS
                gap = rows[0]["score"] - rows[1]["score"]
                if place == 0 and gap == 0:
                    flag |= PairFlag.TIE
                if place == 0 and gap < FACTOR_TEN and probabilities:
                    flag |= PairFlag.AMBIGUOUS
            assert (row["number_of_neighbours"], row["best"]) == (len(rows), place == 0)
            assert row["xm_flag"] == flag


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(0, 25))
def test_the_best_come_first_whatever_the_order_of_rows(seed: int, n: int) -> None:
    table = neighbours(seed, n)
    mixed = table.sample(fraction=1.0, shuffle=True, seed=seed % 1000)
    leading, score, ids = (mixed[name] for name in ("leading", "score", "searched_id"))
    order = best_first(leading.to_numpy(), score.to_numpy(), ids)
    wanted = sorted(range(len(mixed)), key=lambda i: (leading[i], -score[i], ids[i]))
    assert order.tolist() == wanted
    # The identifiers may be those of a catalogue.
    catalogue = pl.Series([number * 7 % 31 + 1000 for number in range(max(n, 1))])
    again = best_first(leading.to_numpy(), score.to_numpy(), catalogue, mixed["searched"].to_numpy())
    assert again.tolist() == wanted
    assert in_leading_order(mixed)["leading"].to_list() == sorted(leading)
    assert in_leading_order(table).equals(table)


def test_the_nearest_of_equal_distance_has_the_lower_identifier() -> None:
    table = pl.DataFrame(
        {
            "leading": [2, 1, 1, 1, 2],
            "angular_distance": [0.3, 0.2, 0.1, 0.1, 0.4],
            "searched_id": [1, 2, 9, 4, 0],
        }
    )
    assert nearest_of(table).rows() == [(1, 0.1, 4), (2, 0.3, 1)]
    many = pl.DataFrame({"leading": np.arange(999) % 333, "angular_distance": 0.5, "searched_id": np.arange(999)})
    assert nearest_of(many)["searched_id"].to_list() == list(range(333))


def test_mates_are_the_others_that_chose_the_same() -> None:
    table = pl.DataFrame({"best": [True, False, True, True], "xm_flag": np.zeros(4, np.int32)})
    found = add_mates(table, np.array([3, 3, 1, 2]), np.array([3, 3, 1, 2]))
    assert found["number_of_mates"].to_list() == [2, 0, 0, 1]
    assert found["degree"].to_list() == [3, 3, 1, 2]
    assert [flag == PairFlag.HAS_MATES for flag in found["xm_flag"]] == [True, False, False, True]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 25))
def test_every_source_gets_one_partner_the_best_pair_first(seed: int, n: int) -> None:
    table = count_neighbours(neighbours(seed, n))
    found = one_to_one(table)
    leading: dict[int, int] = {}
    rows = sorted(table.iter_rows(named=True), key=lambda r: (-r["score"], r["leading_id"], r["searched_id"]))
    for row in rows:
        if row["leading"] not in leading and row["searched"] not in leading.values():
            leading[row["leading"]] = row["searched"]
    wishes = [row["searched"] for row in rows if row["best"]]
    assert found.select("leading", "searched").equals(table.select("leading", "searched"))
    for row, before in zip(found.iter_rows(named=True), table.iter_rows(named=True), strict=True):
        given_one = leading.get(row["leading"]) == row["searched"]
        assert row["best"] == given_one
        assert row["number_of_mates"] == 0
        assert row["degree"] == sum(other["searched"] == row["searched"] for other in rows)
        contested = given_one and (wishes.count(row["searched"]) > 1 or not before["best"])
        assert row["xm_flag"] == before["xm_flag"] | (PairFlag.ONE_TO_ONE if contested else 0)


def test_what_a_clean_pair_is() -> None:
    cases = [(n, degree, mates) for n in (1, 2) for degree in (1, 2) for mates in (0, 1)]
    best = pl.DataFrame(cases, schema=["number_of_neighbours", "degree", "number_of_mates"], orient="row")
    others = [pl.lit(0).alias(name) for name in PAIR_COLUMNS if name not in best.columns]
    best = best.with_columns(others).with_columns(source_id=pl.Series(range(len(cases))))
    kept = {
        "strict": [n == 1 and degree == 1 for n, degree, _ in cases],
        "loose": [n == 1 and mates == 0 for n, _, mates in cases],
        "best": [True] * len(cases),
    }
    for choice, wanted in kept.items():
        assert best.filter(is_clean(choice)).height == sum(wanted)
        assert count_clean(best, choice) == sum(wanted)
        chosen = choose_pairs(best, choice)
        assert chosen.columns == list(PAIR_COLUMNS)
        assert chosen["source_id"].to_list() == [number for number, keep in enumerate(wanted) if keep]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.sampled_from([0.0, 0.2]))
def test_scores_and_probabilities_are_those_of_the_formula(seed: int, n: int, wide: float) -> None:
    rng = np.random.default_rng(seed)
    log_p, chi2 = rng.uniform(-30, 0, n), rng.choice([0.5, 25.0, 28.0, 29.0, 60.0], n)
    model = SimpleNamespace(log_likelihood=lambda *_: (log_p, chi2), wide_fraction=wide)
    leading, density = rng.integers(0, 4, n), rng.uniform(1e-4, 1e-1, n)
    complete = rng.uniform(0.3, 0.99, 4)[leading]
    scored = score_pairs(
        cast("Any", None),
        (np.zeros(n), np.zeros(n)),
        cast("Any", model),
        leading=leading,
        density=density,
        completeness=complete,
        gamma=0.9999994,
        least_probability=0.5,
    )
    ratio = np.exp(log_p) / (density / 1e6)
    for i in range(n):
        q, others = complete[i], ratio[leading == leading[i]]
        probability = q * ratio[i] / (1 - q + q * others.sum())
        narrow = chi2[i] < -2 * np.log(1 - 0.9999994)
        likely = probability >= 0.5 and wide > 0
        assert scored.score[i] == pytest.approx(np.log(ratio[i]))
        assert scored.probability[i] == pytest.approx(probability)
        assert scored.distance_sigma[i] ** 2 == pytest.approx(chi2[i])
        assert scored.good[i] == (narrow or likely)
        assert scored.blended[i] == (likely and not narrow)


def test_a_pair_is_likely_from_the_least_probability_on() -> None:
    """At a distance that fails the test: one in two, exactly."""
    model = SimpleNamespace(log_likelihood=lambda *_: (np.zeros(1), np.array([100.0])), wide_fraction=0.1)
    pair = cast("Any", (None, (np.zeros(1), np.zeros(1)), model))
    some = {"leading": np.zeros(1, np.intp), "density": np.full(1, 1e6), "completeness": np.full(1, 0.5)}
    for least, good in ((0.5, True), (np.nextafter(0.5, 1), False)):
        scored = score_pairs(*pair, **some, gamma=0.99, least_probability=float(least))
        assert scored.probability.tolist() == [0.5]
        assert scored.good.tolist() == scored.blended.tolist() == [good]


def test_extreme_scores_do_not_overflow() -> None:
    log_p = np.array([900.0, -900.0, 0.0])
    model = SimpleNamespace(log_likelihood=lambda *_: (log_p, np.ones(3)), wide_fraction=0.1)
    pair = cast("Any", (None, (np.zeros(3), np.zeros(3)), model))
    some = {"density": np.full(3, 1e6), "completeness": np.full(3, 0.5), "gamma": 0.99, "least_probability": 0.9}
    scored = score_pairs(*pair, leading=np.arange(3), **some)
    np.testing.assert_allclose(scored.probability, [1.0, 0.0, 0.5], atol=1e-12)


def test_by_distance_alone_the_nearest_is_best_and_all_are_good() -> None:
    class Pairs(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.distance)

    scored = score_by_distance(cast("Any", Pairs(distance=np.array([0.5, 0.1]))))
    assert scored.score.tolist() == [-0.5, -0.1]
    assert scored.good.all()
    assert not scored.blended.any()
    assert np.isnan(scored.distance_sigma).all()
    assert np.isnan(scored.probability).all()
    # Rayleigh: exp(-k^2/2) = 1 - gamma.
    assert np.exp(-(limit(0.9) ** 2) / 2) == pytest.approx(0.1)
