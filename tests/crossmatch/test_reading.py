"""A catalogue read in pieces for a match in memory is the one read at once."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.crossmatch import reading
from starscale.crossmatch.kernel.inputs import match_columns, side_of
from starscale.crossmatch.kernel.pieces import Side
from starscale.surveys import load_survey
from starscale.tables.api import read
from starscale.tables.positions import Positions
from starscale.vocabulary.errors import InputError

SURVEYS = ("gaia_dr3", "skymapper_dr2")


def assert_same(one: Any, other: Any) -> None:
    """Same values, to the last bit, in all arrays of two objects."""
    if is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, pl.Series):
        assert one.equals(other, check_names=True)
    elif one is None:
        assert other is None
    else:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", SURVEYS)
@pytest.mark.parametrize("chunk", [700, 10**6])
def test_in_pieces_and_at_once(sky: Path, name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    survey, path = load_survey(name), sky / "mock" / f"{name}.parquet"
    monkeypatch.setattr(reading, "CHUNK", chunk)
    whole = side_of(read(path, survey=survey, columns=match_columns(survey)), survey, "whole")
    # The step that `each` calls gets the rows of the catalogue.
    catalogue = reading.catalogue_in_memory(path, survey, curated=True)
    ((_, rows, found),) = catalogue.each(lambda own, near: own)
    assert rows == len(whole)
    assert_same(found.side, whole)
    assert found.table.height == rows
    in_memory = reading.catalogue_in_memory(pl.read_parquet(path), survey, curated=False)
    ((_, _, other),) = in_memory.each(lambda own, near: own)
    assert_same(other.side, whole)


def test_the_whole_catalogue_is_examined(sky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 300)
    table, survey = pl.read_parquet(sky / "mock" / "skymapper_dr2.parquet").head(900), load_survey("skymapper_dr2")
    # The row that is repeated is in another piece.
    cases = {
        "1 rows repeat": pl.concat([table, table.head(1)]),
        "none of the 900 rows has a finite position": table.with_columns(
            pl.lit(None, pl.Float64).alias("dej2000")
        ),
    }
    for message, wrong in cases.items():
        wrong.write_parquet(tmp_path / "wrong.parquet")
        with pytest.raises(InputError, match=message):
            reading.catalogue_in_memory(tmp_path / "wrong.parquet", survey, curated=True)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6), rows=st.integers(0, 30)
)
def test_stacked_parts_are_the_whole(seed: int, sizes: list[int], rows: int) -> None:
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    where = Positions(rng.random(n), rng.random(n), np.broadcast_to(2016.0, n), None, None, rng.random(n) < 0.5)
    whole = Side.of(where, pl.Series("id", rng.integers(0, 99, n)))
    stacked, start = reading.Stacked(rows), 0
    for size in sizes:
        stacked.append(whole.take(slice(start, start + size)))
        start += size
    assert_same(stacked.result(), whole)
