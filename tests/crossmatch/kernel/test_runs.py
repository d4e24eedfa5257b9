"""A match is done run by run in threads: nothing of the result depends on it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from starscale.crossmatch.kernel import runs as runs_module
from starscale.crossmatch.kernel import sample
from starscale.crossmatch.kernel.runs import drained, runs, stacked
from starscale.crossmatch.kernel.sample import highest_hash, highest_keys
from starscale.crossmatch.kernel.select import Mode, best_first, nearest_of
from starscale.crossmatch.kernel.zones import Zones, _window
from starscale.io.threads import in_threads
from starscale.vocabulary.settings.match import MatchConfig
from support.skies import field_of, random_sky, sides
from support.tiled import tiled_match


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 95])
def test_runs_make_up_all_rows(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "RUN", 10)
    rows = [list(range(n))[run] for run in runs(n)]
    assert [row for run in rows for row in run] == list(range(n))
    assert max(map(len, rows)) <= 10
    assert len(rows) == max(1, -(-n // 10))


def test_results_of_threads_keep_their_order_and_errors_are_raised() -> None:
    items = list(range(50))
    assert in_threads(lambda x: x * x, drained(items)) == [x * x for x in range(50)]
    assert items == []
    assert in_threads(str, []) == []
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda x: 1 // x, [1, 0, 2])


def test_columns_are_stacked_and_taken_out_of_their_tables() -> None:
    tables: list[runs_module.Columns] = [
        {"number": np.arange(2), "name": pl.Series(["a", "b"])},
        {"number": np.arange(1), "name": pl.Series(["c"])},
    ]
    assert stacked(tables).rows() == [(0, "a"), (1, "b"), (0, "c")]
    assert tables == [{}, {}]


@pytest.mark.parametrize("mode", ["dense", "sparse"])
@pytest.mark.parametrize("order", [None, 5])
def test_the_length_of_runs_does_not_matter(
    mode: Mode, order: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for what is learnt from a large field, to the last bit, nor for odd small skies."""
    big = field_of(np.random.default_rng(1), 3000, blended=0.05, unrelated=1500, complete=0.9, offset=(20.0, 5.0))
    settings = [(big, MatchConfig())] + [
        (sides(*random_sky(9000 + seed, most=30)), MatchConfig(errors="stated", radius=3.0)) for seed in range(4)
    ]
    # Samples that leave most of the field out.
    monkeypatch.setattr(sample, "SAMPLE", 700)
    monkeypatch.setattr(sample, "CELL_SAMPLE", 60)
    whole = [tiled_match(*catalogues, config, mode, order) for catalogues, config in settings]
    assert 300 < whole[0].model.stars <= 700
    monkeypatch.setattr(runs_module, "RUN", 13)
    for (catalogues, config), one in zip(settings, whole, strict=True):
        other = tiled_match(*catalogues, config, mode, order)
        assert one.best.equals(other.best)
        assert one.neighbours.equals(other.neighbours)
        assert one.unmatched.equals(other.unmatched)


def test_the_limit_of_hashes_leaves_the_sample() -> None:
    rng = np.random.default_rng(2)
    hashes = rng.integers(0, 2**63, 3 * sample.SAMPLE).astype(np.uint64)
    limit = highest_hash([hashes[:5000], hashes[5000:]])
    assert (hashes <= limit).sum() == sample.SAMPLE
    assert (hashes[:100] <= highest_hash([hashes[:100]])).all()


def test_the_limits_of_keys_leave_the_lowest_of_every_cell() -> None:
    rng = np.random.default_rng(3)
    cells = rng.choice([0, 7, 8, 49151], 5000, p=[0.6, 0.3, 0.09, 0.01])
    hashes = rng.integers(0, 2**63, 5000).astype(np.uint64)
    keys = (cells.astype(np.uint64) << np.uint64(48)) | (hashes >> np.uint64(16))
    limits = highest_keys([keys[:10], keys[10:]])
    expected = [np.sort(keys[cells == cell])[: sample.CELL_SAMPLE].max() for cell in np.unique(cells)]
    assert limits[np.unique(cells)].tolist() == expected
    assert (limits > 0).sum() == len(expected)
    assert not highest_keys([keys[:0]]).any()


@pytest.mark.parametrize("text", [False, True])
def test_the_best_comes_first(text: bool) -> None:
    rng = np.random.default_rng(4)
    leading, score = rng.integers(0, 40, 200), rng.choice([1.0, 2.0, 3.5], 200)
    ids = pl.Series(rng.permutation(200))
    ids = ids.cast(pl.String) if text else ids
    expected = sorted(range(200), key=lambda i: (leading[i], -score[i], ids[i]))
    assert best_first(leading, score, ids).tolist() == expected
    alone = np.array([3, 1, 2])
    assert best_first(alone, np.ones(3), ids[:3]).tolist() == [1, 2, 0]


def test_the_nearest_of_equally_near_ones_has_the_lower_identifier() -> None:
    table = pl.DataFrame(
        {"leading": [1, 0, 1, 0], "searched_id": [9, 5, 8, 6], "angular_distance": [2.0, 1.0, 2.0, 0.5]}
    )
    assert nearest_of(table).rows() == [(0, 6, 0.5), (1, 8, 2.0)]


@pytest.mark.parametrize("crowd", [1, 200])
def test_zones_find_all_of_a_window_and_nothing_beyond_its_declination(crowd: int) -> None:
    """Windows with more sources than are looked at one after the other are searched."""
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(10, 10.02, 50 * crowd), rng.uniform(-0.01, 0.01, 50 * crowd)
    zones = Zones.of(ra, dec, 0.001, np.arange(len(ra)))
    reach = np.full(50, 0.001)
    first, second = zones.near(ra[:50], dec[:50], reach)
    found = set(zip(first.tolist(), second.tolist(), strict=True))
    apart = np.hypot((ra[:50, None] - ra) * np.cos(np.radians(dec)), dec[:50, None] - dec)
    assert found >= set(zip(*(x.tolist() for x in np.nonzero(apart <= 0.00099)), strict=True))
    assert np.abs(dec[first] - dec[second]).max() <= 0.001 + 1e-6
    assert len(found) == len(first)


@pytest.mark.parametrize("n", [0, 1, 5000])
def test_sources_are_searched_in_about_the_order_of_the_zones(n: int) -> None:
    rng = np.random.default_rng(7)
    ra, dec = rng.uniform(-20, 380, n), rng.uniform(-90, 90, n)
    zones = Zones.of(ra, dec, 5 / 3600, np.arange(n))
    rows = rng.permutation(n) + 10
    ordered = zones.order(ra, dec, rows)
    assert sorted(ordered.tolist()) == sorted(rows.tolist())
    place = np.empty(n + 10, dtype=np.intp)
    place[rows] = np.arange(n)
    low = np.floor((dec + 90) / zones.height)[place[ordered]]
    assert (np.diff(low) >= 0).all()


def test_windows_hold_their_circles() -> None:
    rng = np.random.default_rng(8)
    dec = np.concatenate([rng.uniform(-90, 90, 2000), 90 - rng.uniform(0, 0.1, 2000)])
    reach = 10 ** rng.uniform(-5, 1.9, 4000)
    window = _window(dec, reach)
    ratio = np.sin(np.radians(reach)) / np.cos(np.radians(dec))
    beyond = np.abs(dec) + reach >= 90
    assert (window[beyond] == 180).all()
    assert (window[~beyond] >= np.degrees(np.arcsin(np.minimum(ratio[~beyond], 1.0)))).all()
