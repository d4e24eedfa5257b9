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

import starscale as ss
from starscale.crossmatch import reading
from starscale.crossmatch.kernel.inputs import match_columns, side_of
from starscale.crossmatch.kernel.pieces import Side
from starscale.crossmatch.kernel.zones import Zones
from starscale.surveys import load_survey
from starscale.tables.api import read
from starscale.tables.positions import Positions
from starscale.vocabulary.errors import InputError

SURVEYS = ("gaia_dr3", "skymapper_dr2")


def assert_same(one: Any, other: Any) -> None:
    """Same values, to the last bit, in all arrays of two objects."""
    if is_dataclass(one):
        for field in fields(one):
            if field.compare:
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


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.sampled_from([0.0, -0.0, 2016.0, np.nan, -np.nan]), max_size=5), min_size=1, max_size=5
    ),
    rows=st.integers(0, 30),
    kind=st.sampled_from([np.float64, np.float32, np.bool_, np.int32]),
)
def test_a_number_for_all_rows_needs_memory_once(parts: list[list[float]], rows: int, kind: type) -> None:
    with np.errstate(invalid="ignore"):
        arrays = [np.array(part).astype(kind) for part in parts]
    whole = np.concatenate(arrays)
    column = reading._Column(rows, arrays[0])
    for part in arrays:
        column.append(part)
    found = column.result()
    assert found.dtype == whole.dtype
    # Bit for bit: 0 and -0, and one NaN and another, are not the same.
    assert found.tobytes() == whole.tobytes()
    if len(arrays[0]) and len({number.tobytes() for number in whole}) == 1:
        assert found.strides == (0,)


def test_the_external_catalogue_is_sorted_once(sky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [sky / "mock" / f"{name}.parquet" for name in SURVEYS]
    surveys = dict(zip(("left_survey", "right_survey"), SURVEYS, strict=True))
    usual, sort, sorted_for = ss.match(*tables, **surveys), Zones.of, list[float]()

    def counted(ra: Any, dec: Any, reach: float, rows: Any) -> Zones:
        sorted_for.append(reach)
        return sort(ra, dec, reach, rows)

    monkeypatch.setattr(Zones, "of", counted)
    found = ss.match(*tables, **surveys)
    assert len(sorted_for) == 1
    assert found.duplicates is not None
    assert found.duplicates.height > 0
    # What was sorted for the search serves the curation, and without the curation the search sorts by itself.
    for kind in ("pairs", "neighbours", "unmatched", "duplicates"):
        assert getattr(found, kind).equals(getattr(usual, kind))
    ss.match(*tables, **surveys, settings=ss.MatchConfig(curate=False))
    assert len(sorted_for) == 2
