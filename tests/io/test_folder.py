"""Folders and patterns of files of any format as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

import starscale as ss
from starscale import io
from starscale.cli.main import app
from starscale.io.csv.source import CsvSource
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError
from support.often import OFTEN

TABLE = pl.DataFrame(
    {"source_id": range(10), "g": [float(i) for i in range(10)], "name": [f"s{i}" for i in range(10)]}
)
COLUMNS = {"g": Column("g", "float64", "mag", "phot.mag", "brightness")}
SUFFIXES = (".parquet", ".fits", ".fits.gz", ".vot", ".ecsv", ".csv", ".tsv")


def folder(path: Path, suffix: str, tables: list[pl.DataFrame] | None = None) -> Path:
    """Write tables, three pieces by default, as files of a folder."""
    for number, table in enumerate([TABLE[:4], TABLE[4:5], TABLE[5:]] if tables is None else tables):
        io.write(table, path / f"part_{number:02}{suffix}", columns=COLUMNS)
    (path / "README").write_text("no table")
    (path / "_MD5SUM.csv").write_text("no table")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_is_one_table(tmp_path: Path, suffix: str) -> None:
    source = io.open_table(folder(tmp_path, suffix))
    assert source.n_rows == 10
    assert_frame_equal(source.read(), TABLE)
    assert_frame_equal(pl.concat(source.batches(3, ["name", "g"], skip=2)), TABLE.select("name", "g")[2:])
    assert source.rows_with("source_id", pl.Series([4, 9]), ["g"])["g"].to_list() == [4.0, 9.0]
    assert source.columns["g"].unit == ("" if suffix in (".csv", ".tsv") else "mag")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pattern_is_one_table(tmp_path: Path, suffix: str) -> None:
    folder(tmp_path, suffix)
    io.write(TABLE, tmp_path / f"other{suffix}")
    assert_frame_equal(io.read(tmp_path / f"part_*{suffix}"), TABLE)
    assert_frame_equal(io.read(f"{tmp_path}/part_0[12]{suffix}"), TABLE[4:])
    assert_frame_equal(io.read(tmp_path / f"part_00*{suffix}"), TABLE[:4])


def test_a_pattern_in_commands_and_verbs(tmp_path: Path) -> None:
    folder(tmp_path / "in", ".csv")
    pattern = f"{tmp_path}/in/part_*.csv"
    result = CliRunner().invoke(app, ["convert", pattern, "-o", str(tmp_path / "all.parquet")])
    assert result.exit_code == 0, result.output
    assert_frame_equal(io.read(tmp_path / "all.parquet"), TABLE)
    assert CliRunner().invoke(app, ["check", pattern]).exit_code == 0
    assert io.checksum(pattern) != io.checksum(f"{tmp_path}/in/part_0[01].csv")
    assert len(io.state_of(pattern)) == 3


def test_a_pattern_that_matches_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="matches no file"):
        io.open_table(tmp_path / "*.csv")


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    io.write(TABLE, tmp_path / "stars[1].csv")
    assert io.read(tmp_path / "stars[1].csv").height == 10


def test_a_folder_of_several_formats_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, ".csv")
    io.write(TABLE, tmp_path / "t.fits")
    with pytest.raises(InputError, match=r"several formats \(3 CSV, 1 FITS\)"):
        io.open_table(tmp_path)
    assert io.read(tmp_path / "part_*").height == 10


def test_every_file_that_differs_is_named_in_one_error(tmp_path: Path) -> None:
    tables = [TABLE, *[TABLE.rename({"g": "G"})] * 12, TABLE]
    with pytest.raises(InputError) as error:
        io.open_table(folder(tmp_path, ".fits", tables))
    text = str(error.value)
    assert "lacks g; adds G" in text
    assert all(f"part_{number:02}.fits" in text for number in range(1, 13))
    assert "part_13" not in text


def test_files_that_cannot_be_read_are_named_in_one_error(tmp_path: Path) -> None:
    folder(tmp_path, ".fits")
    for number in (1, 2):
        (tmp_path / f"part_{number:02}.fits").write_bytes(b"")
    with pytest.raises(InputError) as error:
        io.open_table(tmp_path)
    assert "2 problems" in str(error.value)


def test_a_column_that_is_empty_or_whole_in_one_csv_file(tmp_path: Path) -> None:
    texts = ["id,x,flag,none\n1,,000,\n", "id,x,flag,none\n2,3,AAA,\n", "id,x,flag,none\n3,2.5,,\n"]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.csv").write_text(text)
    table = io.read(tmp_path)
    assert table.schema == {"id": pl.Int64, "x": pl.Float64, "flag": pl.String, "none": pl.String}
    assert table["x"].to_list() == [None, 3.0, 2.5]
    assert table["flag"].to_list()[1:] == ["AAA", None]
    assert [batch["x"].to_list() for batch in io.open_table(tmp_path).batches(2, ["x"])] == [[None, 3.0], [2.5]]


def test_whole_numbers_in_one_csv_file_and_texts_in_another(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name,version\n1,12,1.10\n")
    (tmp_path / "b.csv").write_text("id,name,version\n2,12A,1.b\n")
    assert io.read(tmp_path).to_dict(as_series=False) == {
        "id": [1, 2],
        "name": ["12", "12A"],
        "version": ["1.10", "1.b"],
    }


def test_a_survey_reads_its_texts_as_they_are_written(tmp_path: Path) -> None:
    source = io.open_table(folder(tmp_path, ".csv", [TABLE[:3], TABLE[3:]])).with_texts({"g"})
    assert source.read()["g"].to_list()[:2] == ["0.0", "1.0"]
    assert source.columns["g"].dtype == "string"


@pytest.mark.parametrize("suffix", [".fits", ".parquet", ".vot"])
def test_files_in_different_units_are_refused(tmp_path: Path, suffix: str) -> None:
    for name, unit in (("a", "mas"), ("b", "arcsec")):
        io.write(TABLE, tmp_path / f"{name}{suffix}", columns={"g": Column("g", "float64", unit)})
    with pytest.raises(InputError, match="g is in arcsec, not mas"):
        io.open_table(tmp_path)


def test_one_file_is_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = io.open_table(folder(tmp_path, ".csv"))
    read: list[str] = []
    frames = CsvSource.frames

    def recorded(self: CsvSource, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        read.append(self.path.name)
        yield from frames(self, rows, columns)

    monkeypatch.setattr(CsvSource, "frames", recorded)
    next(source.batches(1))
    assert read == ["part_00.csv"]


def test_the_bulk_files_of_gaia(tmp_path: Path) -> None:
    header = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: source_id, datatype: int64}\n"
    header += (
        "# - {name: ra, unit: deg, datatype: float64}\n# delimiter: ','\n# schema: astropy-2.0\nsource_id,ra\n"
    )
    for number in range(3):
        rows = "".join(f"{number * 10 + i},{'null' if i else 1.5}\n" for i in range(2))
        (tmp_path / f"GaiaSource_{number:06}.csv").write_text(header + rows)
    table = io.read(tmp_path / "GaiaSource_*.csv")
    assert table["source_id"].to_list() == [0, 1, 10, 11, 20, 21]
    assert table["ra"].to_list() == [1.5, None] * 3
    assert io.open_table(tmp_path / "GaiaSource_*.csv").columns["ra"].unit == "deg"


def test_a_folder_with_a_survey(tmp_path: Path) -> None:
    ids = np.array([4295806720, 34361129088, 38655544960])
    for number, name in enumerate(("a", "b", "c")):
        one = pl.DataFrame({"source_id": ids[number : number + 1], "ra": [10.0 + number], "dec": [1.0]})
        io.write(one, tmp_path / f"{name}.csv")
    assert ss.read(f"{tmp_path}/*.csv", survey="gaia_dr3")["source_id"].to_list() == ids.tolist()


@st.composite
def pieces(draw: st.DrawFn) -> list[pl.DataFrame]:
    """A random table in pieces; a piece may be empty, and a column may have no value in it."""
    rows = draw(st.integers(0, 3))
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    cells = {
        "source_id": (pl.Int64, st.integers(-(2**62), 2**62)),
        "x": (pl.Float64, st.floats(allow_nan=False, allow_infinity=False)),
        "text": (pl.String, st.text("abc ω", min_size=1).map(lambda text: f"x{text}x")),
        "good": (pl.Boolean, st.booleans()),
    }
    return [
        pl.DataFrame(
            {
                name: pl.Series(draw(st.lists(st.none() | cell, min_size=n, max_size=n)), dtype=kind)
                for name, (kind, cell) in cells.items()
            }
        )
        for n in (*sizes, rows)
    ]


def compare(tables: list[pl.DataFrame], suffix: str, path: Path) -> None:
    """Compare a folder with the tables that it was made of; a CSV column without any value has no type."""
    whole = pl.concat(tables)
    source = io.open_table(folder(path, suffix, tables))
    found = source.read()
    assert found.to_dict(as_series=False) == whole.to_dict(as_series=False)
    if suffix != ".csv":
        assert found.schema == whole.schema
    assert_frame_equal(pl.concat([found.clear(), *source.batches(2)]), found)


@settings(max_examples=15, deadline=None)
@given(tables=pieces(), suffix=st.sampled_from([".fits", ".vot", ".ecsv", ".csv", ".parquet"]))
def test_the_pieces_of_a_table(
    tmp_path_factory: pytest.TempPathFactory, tables: list[pl.DataFrame], suffix: str
) -> None:
    compare(tables, suffix, tmp_path_factory.mktemp("folder"))


@pytest.mark.slow
@settings(max_examples=100 * OFTEN, deadline=None)
@given(tables=pieces(), suffix=st.sampled_from([".fits", ".vot", ".ecsv", ".csv", ".parquet"]))
def test_many_tables_in_pieces(
    tmp_path_factory: pytest.TempPathFactory, tables: list[pl.DataFrame], suffix: str
) -> None:
    compare(tables, suffix, tmp_path_factory.mktemp("folder"))


def test_values_in_names_of_folders_are_said_to_be_left_out(tmp_path: Path) -> None:
    for band in "gr":
        (tmp_path / f"band={band}").mkdir()
        (tmp_path / f"band={band}" / "a.csv").write_text("id,x\n1,2\n")
    assert io.open_table(tmp_path).notes == (
        "values that only names of folders hold (band=g, band=r, ...) are left out",
    )
