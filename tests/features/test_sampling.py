"""A sample by rule: its size, its independence of the order of rows, and what its groups promise."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.features.sampling import label_groups, sampled, sky_groups
from starscale.features.splits import assign_parts
from starscale.vocabulary.settings.sample import SampleConfig
from starscale.vocabulary.settings.split import SplitConfig

IDS = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=60)


@settings(max_examples=30)
@given(ids=IDS, most=st.integers(1, 70), grouped=st.booleans(), data=st.data())
def test_any_order_of_rows_gives_the_same_stars(
    ids: list[int], most: int, grouped: bool, data: st.DataObject
) -> None:
    config = SampleConfig(max_stars=most, by="cell" if grouped else "star", seed=data.draw(st.integers(0, 9)))
    number = data.draw(st.lists(st.sampled_from([None, 1, 2, 3]), min_size=len(ids), max_size=len(ids)))
    order = data.draw(st.permutations(range(len(ids))))

    def chosen(rows: list[int]) -> set[int]:
        own, groups = (
            pl.Series([ids[i] for i in rows], dtype=pl.Int64),
            pl.Series([number[i] for i in rows], dtype=pl.Int64),
        )
        return set(own.filter(pl.Series(sampled(own, groups if grouped else None, config), dtype=pl.Boolean)))

    found = chosen([*range(len(ids))])
    assert len(found) == min(most, len(ids))
    assert chosen([*order]) == found
    if grouped and len(ids) > most:
        taken = {g: sum(ids[i] in found for i in range(len(ids)) if number[i] == g) for g in set(number)}
        left = {g: number.count(g) - n for g, n in taken.items()}
        # No group has two stars more than one that could have given another.
        assert all(n <= taken[g] + 1 for g in taken if left[g] for n in taken.values())


def test_a_larger_sample_holds_the_smaller_one() -> None:
    ids = pl.Series(np.arange(3000))
    small, large = (sampled(ids, ids % 7, SampleConfig(max_stars=n, by="cell")) for n in (200, 900))
    assert large[small].all()


def test_a_sample_says_nothing_of_the_split() -> None:
    ids = pl.Series(np.arange(20_000))
    chosen = ids.filter(pl.Series(sampled(ids, None, SampleConfig(max_stars=4000))))
    parts = assign_parts(chosen, SplitConfig(), 0)
    # 0.8, 0.1, 0.1 within four standard deviations.
    for part, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert (parts == part).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 4000))


def test_groups_of_sky_and_labels() -> None:
    cells = sky_groups(pl.Series([0.0, 360.0, 180.0, None, 1.0]), pl.Series([0.0, 0.0, 0.0, 1.0, float("nan")]), 3)
    assert cells[0] == cells[1] != cells[2]
    assert cells[3] is None
    assert cells[4] is None
    table = pl.DataFrame({"teff": [5001.0, 5249.0, 5251.0, None], "logg": [4.1, 4.4, 4.4, 4.0]})
    groups = label_groups(table, ("teff", "logg"))
    assert groups[0] == groups[1] != groups[2]
    assert groups[3] not in set(groups[:3])
