"""What a match learns of its errors, on simulated fields of which the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from starscale.crossmatch.kernel import fit_errors
from starscale.crossmatch.kernel.calibrate import FEWEST, fit_offsets
from starscale.crossmatch.kernel.candidates import Candidates
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.ellipses import Ellipses, PairEllipses
from starscale.crossmatch.kernel.engine import Match, crossmatch
from starscale.crossmatch.kernel.fit_errors import Likelihood, most_likely
from starscale.crossmatch.kernel.matcher import Matcher
from starscale.crossmatch.kernel.model import NO_OFFSETS, OFFSET_ORDER, PairModel
from starscale.crossmatch.kernel.pieces import Side, SkyPiece
from starscale.crossmatch.kernel.quality import expected_quality
from starscale.crossmatch.kernel.sample import OffsetSample, SampleSum, StarSample
from starscale.tables.position_errors import PositionErrors
from starscale.tables.positions import Positions
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.settings.match import MatchConfig
from support.skies import field_of
from support.tiled import tiled_match

CALIBRATED = MatchConfig(pairs="best")


def right(match: Match) -> pl.DataFrame:
    """Best pairs with whether each is the true one."""
    return match.best.with_columns(
        (pl.col("original_ext_source_id") - 1_000_000 == pl.col("source_id")).alias("right")
    )


@pytest.mark.parametrize(("scale", "floor"), [(1.0, 0.0), (2.0, 0.0), (0.5, 120.0), (1.5, 80.0)])
def test_the_width_of_the_errors_is_found(scale: float, floor: float) -> None:
    """Scale and floor are nearly exchangeable for errors of 60 to 140 mas; the width that they give is not."""
    moving, standing = field_of(np.random.default_rng(1), 6000, scale=scale, floor=floor, unrelated=3000)
    model = crossmatch(moving, standing, CALIBRATED, "dense").model
    for stated in (70.0, 100.0, 130.0):
        found, true = np.hypot(model.scale * stated, model.floor), np.hypot(scale * stated, floor)
        assert found == pytest.approx(true, rel=0.04)
    assert model.wide_fraction < 2e-3


def test_chi_squares_are_those_of_two_degrees_of_freedom_after_calibration() -> None:
    moving, standing = field_of(np.random.default_rng(2), 8000, scale=1.7, floor=60, offset=(90, -50))
    found = crossmatch(moving, standing, CALIBRATED, "dense")
    d = np.sort(found.neighbours.filter("best")["normalised_distance"].to_numpy())
    # Kolmogorov-Smirnov distance to the Rayleigh distribution; 1.36 / sqrt(n) is the 5 % limit without fitting.
    distance = np.abs(1 - np.exp(-(d**2) / 2) - np.arange(1, len(d) + 1) / len(d)).max()
    assert distance < 1.36 / np.sqrt(len(d))
    stated = crossmatch(moving, standing, CALIBRATED.model_copy(update={"errors": "stated"}), "dense")
    assert stated.best.height < 0.98 * found.best.height  # what the calibration is for


def test_local_offsets_are_found_and_removed() -> None:
    moving, standing = field_of(np.random.default_rng(3), 6000, offset=(150.0, -80.0))
    model = crossmatch(moving, standing, CALIBRATED, "dense").model
    assert model.offsets.typical() == pytest.approx(170.0, rel=0.03)
    assert np.hypot(model.scale * 100, model.floor) == pytest.approx(100, rel=0.04)


def test_offsets_work_at_the_pole() -> None:
    """A frame turned by a tenth of an arcsecond about an axis in the equator: at the pole, all directions."""
    rng = np.random.default_rng(4)
    n = 5000
    vectors = np.stack([*rng.uniform(-0.008, 0.008, (2, n)), np.ones(n)], axis=1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    moved = vectors + np.array([100.0, 0, 0]) / 2.0626e8 + rng.normal(0, 80, (n, 3)) / 2.0626e8

    def side(where: FloatArray, error: float) -> Side:
        errors = PositionErrors(*(np.full(n, v) for v in (error**2, error**2, 0.0)), np.ones(n, dtype=bool))
        where = where / np.linalg.norm(where, axis=1, keepdims=True)
        ra, dec = np.degrees(np.arctan2(where[:, 1], where[:, 0])) % 360, np.degrees(np.arcsin(where[:, 2]))
        place = Positions(ra, dec, np.full(n, 2016.0), None, None, np.ones(n, dtype=bool), errors)
        return Side.of(place, pl.Series(np.arange(n)))

    model = crossmatch(side(vectors, 0.1), side(moved, 100.0), CALIBRATED, "dense").model
    assert model.offsets.typical() == pytest.approx(100.0, rel=0.06)
    assert np.hypot(model.scale * 100, model.floor) == pytest.approx(80, rel=0.05)


def test_blends_are_kept_and_counted() -> None:
    moving, standing = field_of(np.random.default_rng(5), 8000, blended=0.05, wide=900.0, unrelated=4000)
    found = crossmatch(moving, standing, CALIBRATED, "dense")
    assert found.model.wide_fraction == pytest.approx(0.05, rel=0.25)
    assert found.model.wide == pytest.approx(900, rel=0.15)
    best = right(found)
    assert best["right"].sum() > 0.995 * len(moving)
    stated = right(crossmatch(moving, standing, CALIBRATED.model_copy(update={"errors": "stated"}), "dense"))
    assert stated["right"].sum() < 0.975 * len(moving)


def test_probabilities_mean_what_they_say() -> None:
    """In a crowded field with incomplete counterparts: the share of right pairs in every bin of probability."""
    rng = np.random.default_rng(6)
    moving, standing = field_of(
        rng, 20_000, blended=0.1, wide=1200.0, unrelated=60_000, complete=0.8, size=0.7, scale=1.3
    )
    found = crossmatch(moving, standing, CALIBRATED.model_copy(update={"least_probability": 0.02}), "dense")
    assert found.model.completeness[-1] == pytest.approx(0.8, abs=0.015)
    best = right(found)
    probability, good = best["match_probability"].to_numpy(), best["right"].to_numpy()
    for low, high in ((0.0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 0.95), (0.95, 0.99), (0.99, 1.01)):
        chosen = (probability >= low) & (probability < high)
        n, expected = chosen.sum(), probability[chosen].sum()
        spread = np.sqrt((probability[chosen] * (1 - probability[chosen])).sum())
        assert n > 30
        # Three and a half standard deviations, and two per cent for what the model does not know of itself.
        assert abs(good[chosen].sum() - expected) < 3.5 * spread + 0.02 * n
    curve = expected_quality(probability)
    for row in curve.iter_rows(named=True):
        kept = probability >= row["threshold"]
        assert row["n"] == kept.sum()
        assert row["contamination"] == pytest.approx(1 - good[kept].mean(), abs=0.006)
        assert row["completeness"] == pytest.approx(good[kept].sum() / good.sum(), abs=0.01)


def test_completeness_follows_the_magnitude() -> None:
    rng = np.random.default_rng(7)
    moving, standing = field_of(rng, 12_000, unrelated=2000)
    magnitude = rng.uniform(12, 20, len(moving))
    # Of the faint half only a third is in the other catalogue.
    star = standing.ids.to_numpy() - 1_000_000
    keep = np.ones(len(standing), dtype=bool)
    mine = star < len(moving)
    keep[mine] = (magnitude[star[mine]] < 16) | (rng.random(mine.sum()) < 1 / 3)
    standing = standing.take(np.flatnonzero(keep))
    standing = replace(standing, rows=np.arange(len(standing)))
    model = crossmatch(replace(moving, brightness=magnitude), standing, CALIBRATED, "dense").model
    assert model.completeness_of(np.array([13.0]), [0])[0] == pytest.approx(1.0, abs=0.02)
    assert model.completeness_of(np.array([19.0]), [0])[0] == pytest.approx(1 / 3, abs=0.05)
    assert model.completeness_of(np.array([np.nan]), [0])[0] == pytest.approx(2 / 3, abs=0.05)


def test_with_few_stars_errors_are_as_stated() -> None:
    moving, standing = field_of(np.random.default_rng(8), FEWEST - 1, scale=3.0)
    model = crossmatch(moving, standing, CALIBRATED, "dense").model
    assert (model.stars, model.scale, model.floor, model.wide_fraction) == (0, 1.0, 0.0, 0.0)


@pytest.mark.parametrize("order", [2, 5, 7])
def test_the_learnt_model_does_not_depend_on_the_tiling(order: int) -> None:
    moving, standing = field_of(
        np.random.default_rng(9), 3000, scale=1.4, offset=(60, 10), blended=0.03, unrelated=2000, size=3.0
    )
    straight, tiled = (tiled_match(moving, standing, CALIBRATED, "dense", o) for o in (None, order))
    assert straight.model.summary() == tiled.model.summary()
    assert straight.best.equals(tiled.best)
    assert straight.neighbours.equals(tiled.neighbours)


def test_samples_that_wait_are_gathered_in_the_end() -> None:
    moving, standing = field_of(np.random.default_rng(9), 3000, unrelated=2000, size=3.0)
    matcher = Matcher(CALIBRATED, "dense", DensityMap.of(standing.positions))
    parts = np.array_split(np.arange(len(moving)), 23)
    samples = [
        matcher.sample(matcher.candidates(SkyPiece(moving.take(part), standing, "dense"))) for part in parts
    ]
    waiting = SampleSum()
    for sample in samples:
        waiting.add(sample)
    # A few times, not once for each piece, and no more than a few wait.
    assert len(waiting.parts) < len(parts) / 2
    assert matcher.learn(waiting.parts).summary() == matcher.learn(samples).summary()


def test_few_stars_of_a_cell_are_drawn_to_their_surroundings() -> None:
    rng = np.random.default_rng(10)
    cells = np.repeat([4000, 4001], [5000, 10])
    vectors = np.where(cells[:, None] == 4000, [100.0, 0, 0], [300.0, 0, 0]) + rng.normal(0, 1, (5010, 3))
    found = fit_offsets(OffsetSample(np.arange(5010, dtype=np.uint64), cells, vectors).lowest())
    assert found.pixels.tolist() == [4000, 4001]
    assert found.vectors[0, 0] == pytest.approx(100, abs=2)
    assert 101 < found.vectors[1, 0] < 200
    assert OFFSET_ORDER == 6


def test_nothing_is_said_of_offsets_where_nothing_is_known() -> None:
    assert not np.any(NO_OFFSETS.at(np.array([1, 2])))
    assert NO_OFFSETS.typical() == 0.0


def test_the_likelihood_knows_its_slopes() -> None:
    """Against differences, for pairs of which some share a star and some stars have none."""
    rng = np.random.default_rng(21)
    n_stars, n = 200, 260
    star = np.sort(rng.integers(0, n_stars, n))

    def ellipses(size: float) -> Ellipses:
        a, b = size * rng.uniform(0.5, 2, n), size * rng.uniform(0.5, 2, n)
        return Ellipses(a, b, rng.uniform(-0.9, 0.9, n) * np.sqrt(a * b))

    pairs = Candidates.empty(n)
    both = PairEllipses(ellipses(1.0), ellipses(1e4))
    stars = StarSample(
        np.arange(n_stars, dtype=np.uint64),
        np.full(n_stars, np.nan),
        star,
        pairs,
        both,
        rng.uniform(-16, -12, n),
        np.zeros(n, dtype=np.int64),
    )
    likelihood = Likelihood(stars, rng.normal(0, 150, n), rng.normal(0, 150, n))
    for first in (n_stars // 2, n_stars):
        for x in ([0.1, 3.0, -1.0, 6.0, 0.7], [-0.5, 4.5, -4.0, 5.0, 3.0]):
            _, slopes = likelihood.scores(np.array(x), first)
            steps = 1e-5 * np.eye(5)
            differences = [
                (likelihood.scores(x + step, first)[0] - likelihood.scores(x - step, first)[0]) / 2e-5
                for step in steps
            ]
            assert slopes.mean(axis=1) == pytest.approx(differences, rel=1e-5, abs=1e-8)
    # The same density as that by which pairs are scored.
    scale, floor, wide = np.exp([0.1, 3.0, 6.0])
    share, complete = 1 / (1 + np.exp([1.0, -0.7]))
    model = PairModel(scale=scale, floor=floor, wide=wide, wide_fraction=share)
    log_p, _ = model.log_likelihood(both, likelihood.east, likelihood.north)
    evidence = np.bincount(star, np.exp(log_p - stars.log_density), minlength=n_stars)
    expected = np.log(1 - complete + complete * evidence).mean()
    assert likelihood.scores(np.array([0.1, 3.0, -1.0, 6.0, 0.7]), n_stars)[0] == pytest.approx(
        expected, rel=1e-10
    )


@pytest.mark.parametrize("sky", [{"scale": 1.5, "floor": 80.0}, {"blended": 0.05, "wide": 900.0}, {}])
def test_nothing_more_likely_is_found_by_scipy(sky: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same start, with errors of which all, some and none of the numbers are known well."""
    searched = []

    def search(likelihood: Likelihood, x: FloatArray, low: FloatArray, high: FloatArray, first: int) -> FloatArray:
        searched.append((likelihood, x, low, high, first, most_likely(likelihood, x, low, high, first)))
        return searched[-1][-1]

    monkeypatch.setattr(fit_errors, "most_likely", search)
    moving, standing = field_of(np.random.default_rng(8), 6000, unrelated=3000, **sky)
    crossmatch(moving, standing, CALIBRATED, "dense")
    assert len(searched) == 2
    for likelihood, start, low, high, first, found in searched:

        def loss(
            x: FloatArray, likelihood: Likelihood = likelihood, first: int = first
        ) -> tuple[float, FloatArray]:
            value, slopes = likelihood.scores(x, first)
            return -value, -slopes.mean(axis=1)

        bounds = list(zip(low, high, strict=True))
        other = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12})
        assert ((low <= found) & (found <= high)).all()
        # A thousandth of what one star says at most.
        assert loss(found)[0] <= other.fun + 1e-3 / first
