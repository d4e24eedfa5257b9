"""Joining tables on disk gives what joining them in memory gives."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from starscale.io.joining import join_frames
from starscale.io.scatter import Scatter

KEYS = st.one_of(st.none(), st.integers(-3, 40))


def pieces(table: pl.DataFrame, rows: int) -> list[pl.DataFrame]:
    """The table in frames; an empty one is one frame."""
    return [table.slice(start, rows) for start in range(0, max(table.height, 1), rows)]


@pytest.mark.parametrize("how", ["inner", "left"])
@settings(deadline=None)
@given(
    left=st.lists(KEYS, max_size=60),
    right=st.lists(st.integers(-3, 40), unique=True, max_size=40),
    rows=st.integers(1, 25),
    held=st.integers(1, 50),
    text=st.booleans(),
)
def test_same_as_in_memory(
    how: Literal["inner", "left"], left: list[int | None], right: list[int], rows: int, held: int, text: bool
) -> None:
    stars = pl.DataFrame({"star": pl.Series(left, dtype=pl.Int64)}).with_row_index("n")
    others = pl.DataFrame({"id": pl.Series(right, dtype=pl.Int64)}).with_columns(g=pl.col("id") / 2)
    if text:
        stars, others = stars.cast({"star": pl.String}), others.cast({"id": pl.String})
    with tempfile.TemporaryDirectory() as folder:
        found = list(
            join_frames(
                pieces(stars, rows),
                pieces(others, rows),
                left_on="star",
                right_on="id",
                how=how,
                n_right=others.height,
                folder=Path(folder),
                held=held,
            )
        )
        assert not [path for path in Path(folder).rglob("*") if path.is_file()], "what was read is removed"
    expected = stars.join(others, left_on="star", right_on="id", how=how, maintain_order="left")
    assert found, "one frame at least tells the columns"
    assert_frame_equal(pl.concat(found), expected)
    assert len(others) <= held or all(frame.height <= held for frame in found)


def test_a_group_is_one_file_and_is_read_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    scatter = Scatter(tmp_path)
    for start in (0, 10, 20):
        frame = pl.DataFrame({"n": range(start, start + 10), "s": [f"{start}"] * 10})
        scatter.append(frame, frame["n"].to_numpy() % 3)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
    assert scatter.read(1)["n"].to_list() == [n for n in range(30) if n % 3 == 1]
    assert scatter.read(1)["s"][-1] == "20"
    assert scatter.take(1).height == 10
    assert scatter.groups == [0, 2]
    assert scatter.read(1).schema == scatter.read(0).schema
