"""CSV files as archives and other programs really write them."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from starscale import io
from starscale.io.csv import source as csv_source
from starscale.vocabulary.errors import InputError

BIG = 2**63 - 1


def made(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def columns(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> dict[str, list[object]]:
    source = io.open_table(made(tmp_path, content, name))
    table = source.read()
    assert table.schema == source.schema
    assert table.height == source.n_rows
    assert source.lazy().collect().equals(table)
    assert pl.concat([table.clear(), *source.batches(2)]).equals(table)
    return table.to_dict(as_series=False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("#RA,DEC\n1,2\n", {"RA": [1], "DEC": [2]}),
        ("# RA , DEC\n1,2\n", {"RA": [1], "DEC": [2]}),
        ("# made by hand\n# on a Monday\na,b\n1,2\n", {"a": [1], "b": [2]}),
        ("# made by hand\n#a,b\n1,2\n", {"a": [1], "b": [2]}),
        ("a,a,a_2,\n1,2,3,4\n", {"a": [1], "a_3": [2], "a_2": [3], "column_4": [4]}),
        (",a\n0,5\n1,6\n", {"index": [0, 1], "a": [5, 6]}),
        ("a,b\n0,5,1\n1,6,2\n4,7,3\n", {"index": [0, 1, 4], "a": [5, 6, 7], "b": [1, 2, 3]}),
        ("a,b\n5,1,\n5,2,\n", {"a": [5, 5], "b": [1, 2]}),
        ("\ufeffa,b\r\n1,x\r\n2,y\r\n", {"a": [1, 2], "b": ["x", "y"]}),
        ("a,b\n1,2\n\n3,4\n\n", {"a": [1, 3], "b": [2, 4]}),
        ("a\n1\n\n3\n", {"a": [1, None, 3]}),
        ("a;b\n1;2\n", {"a": [1], "b": [2]}),
        ("a, b\n1, 2.5\n3, 4 \n", {"a": [1, 3], "b": [2.5, 4.0]}),
        ('a,b\n"x\n\ny",1\n"p,""q""",2\n', {"a": ["x\n\ny", 'p,"q"'], "b": [1, 2]}),
        ("a,b\n1,2", {"a": [1], "b": [2]}),
        ("a,b\n", {"a": [], "b": []}),
    ],
)
def test_layouts(tmp_path: Path, content: str, expected: dict[str, list[object]]) -> None:
    assert columns(tmp_path, content) == expected


@pytest.mark.parametrize(
    ("values", "expected", "dtype"),
    [
        ([str(BIG), "-5"], [BIG, -5], pl.Int64),
        ([str(BIG), ""], [BIG, None], pl.Int64),
        ([str(BIG), "null"], [BIG, None], pl.Int64),
        ([str(BIG), "NaN"], [BIG, None], pl.Int64),
        ([str(BIG + 1), "1"], [BIG + 1, 1], pl.UInt64),
        ([str(2**64), "1"], [str(2**64), "1"], pl.String),
        (["3.949039e+18", "1"], [3.949039e18, 1.0], pl.Float64),
        (["1", "2.5"], [1.0, 2.5], pl.Float64),
        (["1.5", "--"], [1.5, None], pl.Float64),
        (["NaN", ""], [None, None], pl.Float64),
        (["inf", "-Infinity"], [float("inf"), float("-inf")], pl.Float64),
        (["True", "False"], [True, False], pl.Boolean),
        (["true", ""], [True, None], pl.Boolean),
        (["TRUE", "0"], ["TRUE", "0"], pl.String),
        (["T", "F"], ["T", "F"], pl.String),
        (["", ""], [None, None], pl.String),
        (["null", "x"], ["null", "x"], pl.String),
        (["2M0001", " b "], ["2M0001", " b "], pl.String),
        (["1_000", "2"], ["1_000", "2"], pl.String),
    ],
)
def test_types(tmp_path: Path, values: list[str], expected: list[object], dtype: pl.DataType) -> None:
    content = "k,x\n" + "".join(f"a,{value}\n" for value in values)
    got = columns(tmp_path, content)["x"]
    assert got == expected
    assert io.open_table(tmp_path / "t.csv").schema["x"] == dtype


def test_the_last_row_counts_for_the_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "CHUNK_ROWS", 100)
    content = "id,x,b\n" + "".join(f"{BIG - i},{i},true\n" for i in range(1000)) + f"{BIG},0.5,perhaps\n"
    table = io.read(made(tmp_path, content))
    assert table.schema == pl.Schema({"id": pl.Int64, "x": pl.Float64, "b": pl.String})
    assert table["id"].to_list() == [*(BIG - i for i in range(1000)), BIG]


def test_packed_and_tab_separated_files(tmp_path: Path) -> None:
    expected = {"a": [1, 2], "b": ["x,y", None]}
    assert columns(tmp_path, "a\tb\n1\tx,y\n2\t\n", "t.tsv") == expected
    packed = gzip.compress(b'a,b\n1,"x,y"\n2,\n')
    assert columns(tmp_path, packed, "t.csv.gz") == expected
    assert columns(tmp_path, packed, "t.csv") == expected


def test_texts_that_could_mean_missing_are_kept(tmp_path: Path) -> None:
    table = pl.DataFrame({"s": ["null", None, "x", "NA"], "t": ["NaN"] * 4, "x": [1.5, 2.5, None, 3.5]})
    for name in ("t.csv", "t.tsv"):
        io.write(table, tmp_path / name)
        assert io.read(tmp_path / name).equals(table)
    assert (tmp_path / "t.csv").read_text().splitlines()[1:3] == ['"null","NaN",1.5', ',"NaN",2.5']


def test_null_and_empty_text_stay_apart(tmp_path: Path) -> None:
    table = pl.DataFrame({"s": ["", None, "x"], "n": [1, 2, 3]})
    io.write(table, tmp_path / "t.csv")
    assert io.read(tmp_path / "t.csv").equals(table)
    io.write(table.select("s"), tmp_path / "one.csv")
    assert io.read(tmp_path / "one.csv").equals(table.select("s"))


@pytest.mark.parametrize(
    ("content", "line", "fields"),
    [
        ("a,b\n1,2\n3,4\n5\n", 4, 1),
        ("a,b\n1,2\n3,4,5\n", 3, 3),
        ("a,b\n1,2\n\n3,4,5\n", 4, 3),
        ('a,b\n1,"x\ny"\n3,"4",5\n', 4, 3),
        ("# note\na,b\n1,2\n3,4\n5\n", 5, 1),
    ],
)
def test_a_ragged_file_is_refused_with_the_line(tmp_path: Path, content: str, line: int, fields: int) -> None:
    with pytest.raises(InputError, match=rf"t\.csv, line {line}: has {fields} field.*expected 2"):
        io.read(made(tmp_path, content))


@pytest.mark.parametrize("content", ["a,b\nx,1,2\ny,3,4\n", "a,b\n5,1,2\n5,3,4\n", "a,b\n0,1,\n1,3,\n"])
def test_one_field_more_is_not_guessed_at(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="has 3 fields where the header has 2 names"):
        io.read(made(tmp_path, content))


def test_text_in_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 3: is not UTF-8 text.*iconv"):
        io.read(made(tmp_path, b"a,b\n1,x\n2,\xe9\n" + b"3,z\n" * 300))
    with pytest.raises(InputError, match="not UTF-8"):
        io.read(made(tmp_path, b"\xe9,b\n1,x\n"))


def test_stray_quotation_marks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.csv"):
        io.read(made(tmp_path, 'a,b\n1,"x"y\n2,z\n'))
    with pytest.raises(InputError, match=r"t\.csv"):
        io.read(made(tmp_path, 'a,b\n1,"never closed\n2,z\n'))


def test_a_cut_gzip_file(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n" + "".join(f"{i},{i * 7919 % 1013}\n" for i in range(9000)).encode())
    with pytest.raises(InputError, match="damaged gzip"):
        io.read(made(tmp_path, packed[: len(packed) // 2], "t.csv.gz"))


def test_a_file_without_a_header(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no header"):
        io.read(made(tmp_path, "\n\n"))
    with pytest.raises(InputError, match="without columns"):
        io.write(pl.DataFrame(), tmp_path / "none.csv")
