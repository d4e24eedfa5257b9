"""`convert`: what goes in comes out, and what a format does not keep is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

import starscale as ss
from starscale import io
from starscale.cli.main import app
from starscale.vocabulary.columns import Column
from support.often import OFTEN
from support.recorded_progress import RecordedProgress

KEEPING = (".parquet", ".fits", ".vot", ".ecsv")
COLUMNS = {
    "source_id": Column("source_id", "int64", "", "meta.id;meta.main", "identifier"),
    "ra": Column("ra", "float64", "deg", "pos.eq.ra;meta.main", "right ascension"),
    "dec": Column("dec", "float64", "deg", "pos.eq.dec;meta.main", "declination"),
    "pm": Column("pm", "float32", "mas.yr**-1", "pos.pm", "proper motion"),
    "name": Column("name", "string", "", "meta.id", "name"),
    "good": Column("good", "bool", "", "meta.code", "whether it is good"),
}
METADATA = {"position_system": "ICRS", "position_epoch": "J2016.0", "title": "MOCK stars"}
TABLE = pl.DataFrame(
    {
        "source_id": [4295806720, 2**63 - 1, None],
        "ra": [10.5, None, 0.1],
        "dec": [-5.5, 1.0, None],
        "pm": pl.Series([1.1, None, -2.5], dtype=pl.Float32),
        "name": ["a", None, "ω Cen"],
        "good": [True, None, False],
    }
)


def first(tmp_path: Path, suffix: str = ".parquet") -> Path:
    io.write(TABLE, path := tmp_path / f"first{suffix}", columns=COLUMNS, metadata=METADATA)
    return path


@pytest.mark.parametrize("target", KEEPING)
@pytest.mark.parametrize("source", KEEPING)
def test_units_ucds_descriptions_nulls_and_metadata_are_kept(tmp_path: Path, source: str, target: str) -> None:
    done = ss.convert(first(tmp_path, source), tmp_path / f"second{target}")
    assert (done.n_rows, done.lost) == (3, ())
    back = io.open_table(done.output)
    assert_frame_equal(back.read(), TABLE)
    assert back.columns == COLUMNS
    assert back.metadata["title"] == "MOCK stars"
    third = ss.convert(done.output, tmp_path / "third.parquet").output
    found = io.open_table(third)
    assert (found.frame, found.epoch) == ("ICRS", 2016.0)


def test_a_hats_catalogue_and_back(tmp_path: Path) -> None:
    done = ss.convert(first(tmp_path), tmp_path / "sky.hats")
    assert done.lost == ()
    back = ss.convert(done.output, tmp_path / "back.parquet", columns=list(COLUMNS))
    source = io.open_table(back.output)
    assert_frame_equal(source.read().sort("source_id"), TABLE.sort("source_id"))
    assert source.columns == COLUMNS
    assert not [key for key in source.metadata if key.startswith("hats_")]


def test_what_csv_does_not_keep_is_said(tmp_path: Path) -> None:
    done = ss.convert(first(tmp_path), tmp_path / "t.csv")
    assert done.lost == (
        "units: ra, dec, pm",
        "UCDs: source_id, ra, dec, pm and 2 more",
        "descriptions: source_id, ra, dec, pm and 2 more",
        "types: pm (Float32, read as Float64)",
        "metadata: title, position_epoch, position_system",
    )


def test_columns_are_chosen_in_order(tmp_path: Path) -> None:
    done = ss.convert(first(tmp_path), tmp_path / "t.csv", columns=["name", "ra"])
    assert io.read(done.output).columns == ["name", "ra"]
    with pytest.raises(ss.InputError, match="has no column 'rra'"):
        ss.convert(first(tmp_path), tmp_path / "u.csv", columns=["rra"])
    assert not (tmp_path / "u.csv").exists()


def test_a_table_in_memory_is_converted(tmp_path: Path) -> None:
    assert ss.convert(TABLE, tmp_path / "t.parquet").n_rows == 3
    assert_frame_equal(io.read(tmp_path / "t.parquet"), TABLE)


def test_a_table_without_rows(tmp_path: Path) -> None:
    io.write(TABLE.clear(), tmp_path / "t.parquet", columns=COLUMNS)
    done = ss.convert(tmp_path / "t.parquet", tmp_path / "t.fits")
    assert (done.n_rows, done.lost) == (0, ())


def test_a_table_is_not_converted_onto_itself(tmp_path: Path) -> None:
    with pytest.raises(ss.InputError, match="is the input and the output"):
        ss.convert(first(tmp_path), tmp_path / "first.parquet")


def test_progress_counts_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starscale.tables.convert.CHUNK", 2)
    progress = RecordedProgress()
    ss.convert(first(tmp_path), tmp_path / "t.csv", progress=progress)
    (task,) = progress.tasks
    assert (task.total, task.done) == (3, 3)


def test_the_command_says_what_is_lost(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["convert", str(first(tmp_path)), "-o", str(tmp_path / "t.csv")])
    assert result.exit_code == 0
    assert "3 rows written to" in result.stdout
    assert "  units: ra, dec, pm" in result.stdout
    result = CliRunner().invoke(app, ["convert", str(first(tmp_path)), "-o", str(tmp_path / "t.fits")])
    assert "everything is kept" in result.stdout


KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int64": (pl.Int64, st.integers(-(2**63) + 1, 2**63 - 1)),
    "int32": (pl.Int32, st.integers(-(2**31) + 1, 2**31 - 1)),
    "int16": (pl.Int16, st.integers(-(2**15) + 1, 2**15 - 1)),
    "float64": (pl.Float64, st.floats(allow_nan=False)),
    "float32": (pl.Float32, st.floats(allow_nan=False, width=32)),
    "bool": (pl.Boolean, st.booleans()),
    "string": (pl.String, st.text("abc ωé", min_size=1, max_size=5).map(lambda t: f"x{t}x")),
}
UNITS = ("", "deg", "mag", "mas.yr**-1", "K", "km.s**-1")


@st.composite
def described_tables(draw: st.DrawFn) -> tuple[pl.DataFrame, dict[str, Column]]:
    rows = draw(st.integers(1, 4))
    series, columns = [], {}
    for number in range(draw(st.integers(1, 4))):
        kind: Any = draw(st.sampled_from(list(KINDS)))
        dtype, cell = KINDS[kind]
        cells = draw(st.lists(st.none() | cell, min_size=rows, max_size=rows))
        unit = draw(st.sampled_from(UNITS)) if kind.startswith("float") else ""
        series.append(pl.Series(name := f"c{number}", cells, dtype=dtype))
        columns[name] = Column(name, kind, unit, draw(st.sampled_from(["", "meta.id"])), f"column {number}")
    return pl.DataFrame(series), columns


def compare(table: tuple[pl.DataFrame, dict[str, Column]], suffixes: list[str], folder: Path) -> None:
    """Compare the end of a chain of formats with the table at its beginning."""
    frame, columns = table
    path = folder / "0.parquet"
    io.write(frame, path, columns=columns)
    for number, suffix in enumerate(suffixes, 1):
        done = ss.convert(path, folder / f"{number}{suffix}")
        assert done.lost == ()
        path = done.output
    source = io.open_table(path)
    assert_frame_equal(source.read(), frame)
    assert source.columns == columns


CHAINS = st.lists(st.sampled_from(KEEPING), min_size=1, max_size=3)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=described_tables(), suffixes=CHAINS)
def test_a_chain_of_formats_keeps_everything(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[pl.DataFrame, dict[str, Column]], suffixes: list[str]
) -> None:
    compare(table, suffixes, tmp_path_factory.mktemp("chain"))


@pytest.mark.slow
@settings(max_examples=80 * OFTEN, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=described_tables(), suffixes=CHAINS)
def test_many_chains_of_formats(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[pl.DataFrame, dict[str, Column]], suffixes: list[str]
) -> None:
    compare(table, suffixes, tmp_path_factory.mktemp("chain"))


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heights = []
    write = io.Writer.append
    monkeypatch.setattr(
        io.Writer, "append", lambda self, frame: (heights.append(frame.height), write(self, frame))
    )
    monkeypatch.setattr("starscale.tables.convert.CHUNK", 1000)
    io.write(pl.DataFrame({"x": np.arange(10_500)}), tmp_path / "t.parquet")
    heights.clear()
    ss.convert(tmp_path / "t.parquet", tmp_path / "t.csv")
    # The last one is the sample on which losses are judged.
    assert heights == [1000] * 10 + [500, 1000]


def test_a_file_with_wrong_checksums_can_be_copied(tmp_path: Path) -> None:
    data = bytearray(first(tmp_path, ".fits").read_bytes())
    place = data.index("ω".encode())
    data[place - 1 : place] = b"x"
    (tmp_path / "bad.fits").write_bytes(data)
    with pytest.raises(ss.InputError, match="ignore-checksum"):
        ss.convert(tmp_path / "bad.fits", tmp_path / "t.csv")
    arguments = ["convert", str(tmp_path / "bad.fits"), "-o", str(tmp_path / "t.csv"), "--ignore-checksum"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert io.read(tmp_path / "t.csv").height == 3
