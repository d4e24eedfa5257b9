"""Numbers with decimal commas and with exponents of Fortran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale import io
from starscale.io.table import Doubt


def opened(tmp_path: Path, content: str) -> tuple[io.Source, dict[str, list[Any]]]:
    (tmp_path / "t.csv").write_text(content)
    source = io.open_table(tmp_path / "t.csv")
    table = source.read()
    assert source.lazy().collect().equals(table)
    assert pl.concat([table.clear(), *source.batches(1)]).equals(table)
    return source, table.to_dict(as_series=False)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_decimal_commas_are_read_where_something_else_divides_the_fields(tmp_path: Path, mark: str) -> None:
    rows = [["Größe", "n", "t"], ["1,5", "2", "a,5"], ["-0,25", "3", "1,5"], ["", "4", ""], ["1,5E+03", "5", "x"]]
    source, table = opened(tmp_path, "".join(mark.join(row) + "\n" for row in rows))
    assert table == {"Größe": [1.5, -0.25, None, 1500.0], "n": [2, 3, 4, 5], "t": ["a,5", "1,5", None, "x"]}
    assert source.notes == ("numbers with a decimal comma, as in 1,5: Größe (3 of 3 values)",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('a,b\n"1,5",2\n"3",4\n', "a (1 of 2 values)"),
        # Thousands, or decimals?
        ("a;b\n1,234;5,678\n", "a (1 of 1 values), b (1 of 1 values)"),
        ("a;b\n1,5;5.5\n", "a (1 of 1 values)"),
        ("a;b\n1,5;1\nnorth;2\n2,5;3\n", "a (2 of 3 values)"),
    ],
)
def test_commas_that_are_not_clear_are_said(tmp_path: Path, content: str, said: str) -> None:
    source, table = opened(tmp_path, content)
    assert [str(note) for note in source.notes] == [f"numbers with a comma, as in 1,5, are read as texts: {said}"]
    assert isinstance(source.notes[0], Doubt)
    assert isinstance(table["a"][0], str)
    assert any(line == f"warning: {source.notes[0]}" for line in ss.check(tmp_path / "t.csv"))


def test_commas_that_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starscale.io.csv.source.CHUNK_ROWS", 3)
    values = ["1", "2", "3", "4", "5,5", "6", "7", "8", "9,25", "10"]
    table = opened(tmp_path, "k;x;y\n" + "".join(f"a;{value};z{value}\n" for value in values))[1]
    assert table["x"] == [float(value.replace(",", ".")) for value in values]
    assert table["y"] == [f"z{value}" for value in values]
    late = opened(tmp_path, "k;x\n" + "".join(f"a;{value}\n" for value in [*values, "south"]))
    assert late[1]["x"] == [*values, "south"]
    (note,) = late[0].notes
    assert "x (2 of 8 values)" in note


@pytest.mark.parametrize("mark", [",", ";", " ", "\t"])
def test_exponents_of_fortran(tmp_path: Path, mark: str) -> None:
    rows = [["a", "b", "c"], ["1D+02", "1.5d-3", "12D3"], ["-3.25D0", "2", "12D4"], ["7", ".5E1", "12D5"]]
    (tmp_path / "t.txt").write_text("".join(mark.join(row) + "\n" for row in rows))
    found = io.read(tmp_path / "t.txt").to_dict(as_series=False)
    # 12D3 may be a code.
    assert found == {"a": [100.0, -3.25, 7.0], "b": [0.0015, 2.0, 5.0], "c": ["12D3", "12D4", "12D5"]}


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(numbers, numbers), max_size=8), st.sampled_from(";\t"), st.sampled_from("eEdD"))
def test_any_numbers_come_back(tmp_path: Path, rows: list[tuple[Any, Any]], mark: str, letter: str) -> None:
    def written(value: float | None) -> str:
        return (
            "" if value is None else repr(value).replace(".", ",").replace("e", letter if letter in "eE" else "E")
        )

    content = f"k{mark}a{mark}b\nx{mark}0,5{mark}-1,25\n"
    content += "".join(f"y{mark}{written(one)}{mark}{written(two)}\n" for one, two in rows)
    table = opened(tmp_path, content)[1]
    assert table["a"] == [0.5, *(row[0] for row in rows)]
    assert table["b"] == [-1.25, *(row[1] for row in rows)]
    fortran = "k a\nx 1D+00\n" + "".join(f"y {one!r}\n".replace("e", letter) for one, _ in rows if one is not None)
    (tmp_path / "t.txt").write_text(fortran)
    assert io.read(tmp_path / "t.txt")["a"].to_list() == [1.0, *(one for one, _ in rows if one is not None)]
