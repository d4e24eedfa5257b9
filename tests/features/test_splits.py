"""The part of a star never changes; groups stay together; fractions are as requested."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.features.splits import PARTS, assign_parts, chained, near_pairs, position_groups, same_pairs
from starscale.tables.hashes import stable_hash
from starscale.tables.positions import Positions
from starscale.vocabulary.settings.split import SplitConfig

CONFIG = SplitConfig(train=0.7, validation=0.2, test=0.1)
MASK = 2**64 - 1


def splitmix(z: int) -> int:
    """SplitMix64 in Python's own integers."""
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_known_values() -> None:
    """These may never change: published splits depend on them."""
    assert stable_hash(pl.Series([1, 2, 5853498713190525696, -1]), 0).tolist() == [
        15204172177749531820,
        15319343049838170038,
        4911743206562817125,
        4007111439069458218,
    ]
    assert stable_hash(pl.Series([1]), 7).tolist() == [3804069750978119562]
    assert stable_hash(pl.Series(["2M0001", "b"]), 0).tolist() == [8640975449363723808, 4331950110004284906]
    parts = assign_parts(pl.Series(range(1, 13)), SplitConfig(), 0)
    assert parts.to_list() == [
        "validation",
        "validation",
        "train",
        "train",
        "test",
        "train",
        "train",
        "train",
        "test",
        "train",
        "train",
        "train",
    ]
    # The first output of the published generator with seed 0.
    assert splitmix(0) == 0xE220A8397B1DCDAF


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**31))
def test_the_hash_of_integers_is_splitmix(identifier: int, seed: int) -> None:
    expected = splitmix(splitmix(identifier & MASK) ^ splitmix(seed))
    assert stable_hash(pl.Series([identifier], dtype=pl.Int64), seed).tolist() == [expected]


@given(st.text(max_size=20), st.integers(0, 2**31))
def test_the_hash_of_texts_is_sha256(text: str, seed: int) -> None:
    start = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    assert stable_hash(pl.Series([text]), seed).tolist() == [splitmix(splitmix(start) ^ splitmix(seed))]


def test_the_type_of_the_column_does_not_matter() -> None:
    small = pl.Series([1, 5, 77])
    for dtype in (pl.Int32, pl.UInt64, pl.Int16):
        assert stable_hash(small.cast(dtype), 3).tolist() == stable_hash(small, 3).tolist()


@pytest.mark.parametrize("kind", ["integer", "text"])
def test_order_and_company_do_not_matter(kind: str) -> None:
    ids = pl.Series(np.random.default_rng(0).integers(1, 2**62, 3000)).unique(maintain_order=True)
    ids = ids.cast(pl.String) if kind == "text" else ids
    whole = dict(zip(ids, assign_parts(ids, CONFIG, 5), strict=True))
    assert set(whole.values()) == set(PARTS)
    some = ids.sample(500, shuffle=True, seed=1)
    assert assign_parts(some, CONFIG, 5).to_list() == [whole[i] for i in some]
    twice = pl.concat([some, some])
    assert assign_parts(twice, CONFIG, 5).to_list() == [whole[i] for i in twice]


@pytest.mark.parametrize(
    "ids",
    [np.arange(40_000), np.arange(40_000) * 128 * 2**35, np.random.default_rng(2).integers(0, 2**62, 40_000)],
)
@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_shares_are_as_asked(ids: np.ndarray, seed: int) -> None:
    """Also for identifiers that follow one another or end in zero bits."""
    parts = assign_parts(pl.Series(ids), CONFIG, seed)
    for part, share in zip(PARTS, (0.7, 0.2, 0.1), strict=True):
        assert (parts == part).mean() == pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / 40_000))


def test_another_seed_gives_an_independent_split() -> None:
    ids = pl.Series(np.arange(40_000))
    a, b = (assign_parts(ids, CONFIG, seed) == "test" for seed in (1, 2))
    assert (a & b).mean() == pytest.approx(0.01, abs=4.5 * np.sqrt(0.01 / 40_000))


def test_no_rows() -> None:
    empty = pl.Series([], dtype=pl.Int64)
    assert assign_parts(empty, CONFIG, 0).to_list() == []
    assert assign_parts(empty, CONFIG, 0, np.empty(0, dtype=np.intp)).to_list() == []
    nowhere = Positions(*(np.empty(0) for _ in range(3)), None, None, np.empty(0, dtype=bool))
    assert len(position_groups(nowhere, 1.0)) == 0


def test_rows_with_the_same_key_are_connected_and_those_without_one_are_not() -> None:
    assert same_pairs(pl.Series(["a", None, "b", "a", "a", None])).tolist() == [[0, 3], [0, 4]]
    assert same_pairs(pl.Series([1, 2, None])).shape == (0, 2)
    assert near_pairs(sky([], []), 1.0).shape == (0, 2)
    assert chained(3).tolist() == [0, 1, 2]
    # A chain of pairs is one group, in whatever direction they are given.
    assert chained(5, np.array([[3, 0]]), np.array([[3, 4], [1, 2]])).tolist() == [0, 1, 1, 0, 0]


def test_all_stars_held_out_of_training_and_validation_are_the_test_part() -> None:
    ids = pl.Series(np.arange(2000))
    held = np.arange(2000) % 4 == 0
    parts = assign_parts(ids, CONFIG, 1, held_out=held)
    assert ((parts == "test").to_numpy() == held).all()
    # The others in proportion: 0.7 and 0.2.
    assert (parts == "train").sum() / (~held).sum() == pytest.approx(7 / 9, abs=0.03)
    # The whole group of a star that is held out is.
    grouped = assign_parts(ids, CONFIG, 1, np.arange(2000) // 3, held_out=held).to_numpy()
    with_held = np.isin(np.arange(2000) // 3, np.arange(2000)[held] // 3)
    assert ((grouped == "test") == with_held).all()
    assert not (with_held == held).all()


# ---- groups ------------------------------------------------------------------------------------------


def sky(ra: list[float] | np.ndarray, dec: list[float] | np.ndarray) -> Positions:
    ra = np.asarray(ra, dtype=float)
    n = len(ra)
    return Positions(ra, np.asarray(dec, dtype=float), np.full(n, 2016.0), None, None, np.ones(n, dtype=bool))


def test_groups_are_chains() -> None:
    second = 1 / 3600
    groups = position_groups(sky([0.0, 0.0, 0.0, 0.0], [0.0, 0.9 * second, 1.8 * second, 3.0 * second]), 1.0)
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_groups_cross_right_ascension_zero_and_the_poles() -> None:
    second = 1 / 3600
    ra = [359.9999, 0.0001, 10.0, 100.0, 250.0, 0.0, 180.0]
    dec = [0.0, 0.0, 90 - 0.4 * second, 90.0, 90 - 0.4 * second, -90.0, -90 + 0.5 * second]
    groups = position_groups(sky(ra, dec), 1.0)
    assert groups[0] == groups[1]
    assert groups[2] == groups[3] == groups[4]
    assert groups[5] == groups[6]
    assert len(set(groups.tolist())) == 3


def test_rows_without_a_position_are_alone() -> None:
    groups = position_groups(sky([np.nan, np.nan, 5.0, 5.0], [0.0, 0.0, 1.0, 1.0]), 1.0)
    assert groups[2] == groups[3]
    assert len(set(groups.tolist())) == 3


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([(0.0, 0.0), (359.9999, 10.0), (123.0, 90.0), (7.0, -90.0), (200.0, 60.0)]),
    st.sampled_from([0.5, 2.0, 10.0]),
)
def test_groups_never_straddle(seed: int, centre: tuple[float, float], radius: float) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    towards = np.radians([centre[0], centre[1]])
    vector = np.array(
        [np.cos(towards[1]) * np.cos(towards[0]), np.cos(towards[1]) * np.sin(towards[0]), np.sin(towards[1])]
    )
    vectors = vector + rng.normal(0, 1e-4, (n, 3)) * rng.choice([1.0, 0.1], (n, 1))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ra = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360
    dec = np.degrees(np.arcsin(np.clip(vectors[:, 2], -1, 1)))
    groups = position_groups(sky(ra, dec), radius)
    parts = assign_parts(
        pl.Series(rng.permutation(n)), SplitConfig(train=0.4, validation=0.3, test=0.3), 1, groups
    )
    close = np.degrees(np.arccos(np.clip(vectors @ vectors.T, -1, 1))) * 3600 < radius - 0.1
    part = parts.to_numpy()
    assert (part[:, None] == part[None, :])[close].all()
    assert (groups[:, None] == groups[None, :])[close].all()
    # And no more than chains: every group of two or more is held together by neighbours.
    chord = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    near = np.degrees(2 * np.arcsin(chord / 2)) * 3600 <= radius + 1e-3
    for number in np.unique(groups):
        inside = groups == number
        if inside.sum() > 1:
            assert (near[inside][:, inside].sum(axis=1) > 1).all()


@pytest.mark.parametrize("size", [1, 2, 20])
def test_groups_of_any_size_have_the_same_shares(size: int) -> None:
    """A crowded field is as likely to be in the test part as an isolated star."""
    n = 10_000
    parts = assign_parts(pl.Series(np.arange(n * size)), CONFIG, 3, np.repeat(np.arange(n), size))
    part = parts.to_numpy().reshape(n, size)
    assert (part == part[:, :1]).all()
    for name, share in zip(PARTS, (0.7, 0.2, 0.1), strict=True):
        assert (part[:, 0] == name).mean() == pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / n))
