"""Folders of Parquet files whose columns differ in order, or in types that can be widened."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from starscale import io
from starscale.io.widening import EXACT, widened
from starscale.vocabulary.errors import InputError
from support.often import OFTEN

INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)
LIMITS = {kind: pl.select(low=kind().min(), high=kind().max()).row(0) for kind in INTEGERS}
NUMBERS = (*INTEGERS, pl.Float32, pl.Float64)


def folder(path: Path, *tables: pa.Table) -> Path:
    path.mkdir()
    for number, table in enumerate(tables):
        pq.write_table(table, path / f"{number:03}.parquet")
    return path


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = folder(tmp_path / "t", pa.table({"id": [1], "x": [1.5]}), pa.table({"x": [2.5], "id": [2]}))
    assert io.read(path).to_dict(as_series=False) == {"id": [1, 2], "x": [1.5, 2.5]}
    assert io.open_table(path).lazy().collect().columns == ["id", "x"]
    assert [b.to_dicts() for b in io.open_table(path).batches(1, ["x"])] == [[{"x": 1.5}], [{"x": 2.5}]]


def test_a_column_of_type_null_takes_the_type_of_the_others(tmp_path: Path) -> None:
    empty = pa.table({"id": [1], "s": pa.nulls(1), "v": pa.nulls(1)})
    full = pa.table({"id": [2], "s": ["VARIABLE"], "v": pa.array([[1.0]], pa.list_(pa.float64()))})
    for name, tables in (("first", (empty, full)), ("last", (full, empty)), ("between", (full, empty, full))):
        table = io.read(folder(tmp_path / name, *tables))
        assert table.schema == {"id": pl.Int64, "s": pl.String, "v": pl.List(pl.Float64)}
        assert table.filter(id=1)["s"].to_list() == [None]
        assert set(table.filter(id=2)["s"]) == {"VARIABLE"}


def test_whole_and_floating_point_numbers_become_floating_point(tmp_path: Path) -> None:
    path = folder(tmp_path / "t", pa.table({"id": [1], "x": [1]}), pa.table({"id": [2], "x": [2.5]}))
    source = io.open_table(path)
    assert source.schema["x"] == pl.Float64
    assert source.read()["x"].to_list() == [1.0, 2.5]
    assert source.rows_with("id", pl.Series([1])).to_dicts() == [{"id": 1, "x": 1.0}]


def test_a_whole_number_that_is_not_exact_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "t", pa.table({"x": [EXACT + 1]}), pa.table({"x": [2.5]}))
    with pytest.raises(InputError, match=r"000\.parquet: column 'x'.*9007199254740993.*not exact"):
        io.read(path)
    path = folder(tmp_path / "exact", pa.table({"x": [-EXACT]}), pa.table({"x": [2.5]}))
    assert io.read(path)["x"].to_list() == [-EXACT, 2.5]


@pytest.mark.parametrize("name", ["source_id", "id", "objID", "object_id", "starId", "specObjID"])
def test_an_identifier_is_never_widened_to_floating_point(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path / "t", pa.table({name: [1]}), pa.table({name: [2.0]}))
    with pytest.raises(InputError, match=f"{name} is Float64, not Int64"):
        io.open_table(path)


@pytest.mark.parametrize("name", ["grid", "valid", "x_void"])
def test_a_name_that_ends_like_one_is_no_identifier(name: str) -> None:
    assert widened(name, pl.Int64(), pl.Float64()) == pl.Float64()


def test_every_file_that_differs_is_named(tmp_path: Path) -> None:
    tables = [pa.table({"a": [1.0]}), *(pa.table({"a": ["text"]}) for _ in range(9)), pa.table({"b": [1.0]})]
    with pytest.raises(InputError) as error:
        io.open_table(folder(tmp_path / "t", *tables))
    text = str(error.value)
    assert all(f"{number:03}.parquet" in text for number in range(11))
    assert "a is String, not Float64" in text


def test_a_part_that_is_gone_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path / "t", pa.table({"a": [1.0]}), pa.table({"a": [2.0]}))
    source = io.open_table(path)
    (path / "001.parquet").unlink()
    for read in (source.read, lambda: list(source.batches(5)), lambda: source.rows_with("a", pl.Series([2.0]))):
        with pytest.raises(InputError, match=r"001\.parquet: is missing"):
            read()
    (path / "001.parquet").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"001\.parquet: is missing"):
        io.open_table(path)


def values_of(kind: type[pl.DataType]) -> st.SearchStrategy[object]:
    if kind in (pl.Float32, pl.Float64):
        return st.floats(width=32 if kind == pl.Float32 else 64, allow_nan=False)
    low, high = LIMITS[kind]
    return st.one_of(st.integers(low, high), st.sampled_from([0, 1, low, high]))


@st.composite
def tables(draw: st.DrawFn) -> list[pl.DataFrame]:
    """Two to four files of a table; every column has a type of its own in each file."""
    names = draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=3, unique=True))
    files = []
    for _ in range(draw(st.integers(2, 4))):
        rows = draw(st.integers(0, 4))
        series = []
        for name in draw(st.permutations(names)):
            kind = draw(st.sampled_from([*NUMBERS, pl.Null, pl.String]))
            cell = values_of(kind) if kind in NUMBERS else st.none() if kind == pl.Null else st.text(max_size=3)
            cells = draw(st.lists(st.one_of(st.none(), cell), min_size=rows, max_size=rows))
            series.append(pl.Series(name, cells, dtype=kind))
        files.append(pl.DataFrame(series))
    return files


def kind_of(name: str, files: list[pl.DataFrame]) -> pl.DataType | None:
    kind: pl.DataType | None = pl.Null()
    for file in files:
        kind = None if kind is None else widened(name, kind, file.schema[name])
    return kind


def check(files: list[pl.DataFrame], tmp: Path) -> None:
    """Compare a folder with the files that it was made of: no value may change, or it is refused."""
    for number, file in enumerate(files):
        file.write_parquet(tmp / f"{number}.parquet")
    names = files[0].columns
    kinds = {name: kind_of(name, files) for name in names}
    if None in kinds.values():
        with pytest.raises(InputError, match="differs from"):
            io.open_table(tmp)
        return
    given = {name: [value for file in files for value in file[name].to_list()] for name in names}
    source = io.open_table(tmp)
    assert source.schema == kinds
    whole = [value for name, kind in kinds.items() if kind == pl.Float64 for value in given[name]]
    if any(isinstance(value, int) and abs(value) > EXACT for value in whole):
        with pytest.raises(InputError, match="not exact"):
            source.read()
        return
    # Python compares numbers of different types exactly.
    assert source.read().to_dict(as_series=False) == given
    assert_frame_equal(pl.concat([source.read().clear(), *source.batches(2)]), source.read())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=tables())
def test_no_value_changes_in_a_folder(tmp_path_factory: pytest.TempPathFactory, files: list[pl.DataFrame]) -> None:
    check(files, tmp_path_factory.mktemp("folder"))


@pytest.mark.slow
@settings(max_examples=4_000 * OFTEN, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.tuples(*[st.sampled_from(NUMBERS)] * 2), data=st.data())
def test_a_wider_type_holds_every_value(kinds: tuple[type[pl.DataType], ...], data: st.DataObject) -> None:
    one, two = kinds
    wide = widened("x", one(), two())
    assert wide == widened("x", two(), one())
    if wide is None:
        assert pl.UInt64 in kinds
        return
    value = data.draw(values_of(one))
    assume_exact = wide.is_integer() or not isinstance(value, int) or abs(value) <= EXACT
    if assume_exact:
        assert pl.Series([value], dtype=one).cast(wide)[0] == value
