"""Parquet files of astropy and pandas: units, masks and indices that they do not store as plain columns."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale import io
from starscale.io.units import same_unit
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError
from support.often import OFTEN


def of_astropy(path: Path, table: Table) -> Path:
    table.write(path, format="parquet", overwrite=True)
    return path


def test_units_descriptions_and_ucds_of_astropy(tmp_path: Path) -> None:
    table = QTable({"source_id": [1, 2], "parallax": [0.005, 0.01] * u.arcsec, "logg": [1.0, 2.0]})
    table["logg"] = u.Dex(table["logg"] * u.dex(u.cm / u.s**2))
    table["parallax"].info.description = "parallax"
    table["parallax"].info.meta = {"ucd": "pos.parallax"}
    source = io.open_table(of_astropy(tmp_path / "t.parquet", table))
    assert source.columns["parallax"].unit == "arcsec"
    assert source.columns["parallax"].ucd == "pos.parallax"
    assert source.columns["parallax"].description == "parallax"
    assert same_unit(source.columns["logg"].unit, "dex(cm.s**-2)")
    assert "table_meta_yaml" not in source.metadata


def test_a_survey_converts_units_of_astropy(tmp_path: Path) -> None:
    table = QTable(
        {
            "source_id": [4295806720, 34361129088],
            "ra": [0.1, 0.2] * u.rad,
            "dec": [0.3, 0.4] * u.rad,
            "parallax": [0.005, 0.01] * u.arcsec,
        }
    )
    found = ss.read(of_astropy(tmp_path / "t.parquet", table), survey="gaia_dr3")
    assert found["parallax"].to_list() == pytest.approx([5.0, 10.0])
    assert found["ra"].to_list() == pytest.approx(np.degrees([0.1, 0.2]).tolist())


def test_masked_columns_of_astropy(tmp_path: Path) -> None:
    table = QTable(
        {
            "source_id": MaskedColumn([1, 2, 3], mask=[False, False, True]),
            "flag": MaskedColumn([False, True, False], mask=[True, False, False]),
            "name": MaskedColumn(["a", "b", "c"], mask=[False, True, False]),
            "mag": Masked([1.0, 2.0, 3.0] * u.mag, mask=[True, False, False]),
            "pair": MaskedColumn([[1, 2], [3, 4], [5, 6]], mask=[[True, False], [False, False], [True, True]]),
        }
    )
    source = io.open_table(of_astropy(tmp_path / "t.parquet", table))
    assert source.read().to_dict(as_series=False) == {
        "source_id": [1, 2, None],
        "flag": [None, True, False],
        "name": ["a", None, "c"],
        "mag": [None, 2.0, 3.0],
        "pair": [[None, 2], [3, 4], [None, None]],
    }
    assert source.columns["mag"].unit == "mag"
    assert source.read(["name"])["name"].to_list() == ["a", None, "c"]
    assert pl.concat(source.batches(1, ["mag"]))["mag"].to_list() == [None, 2.0, 3.0]
    assert source.rows_with("source_id", pl.Series([1]), ["flag"])["flag"].to_list() == [None]


def test_a_mask_in_one_file_of_a_folder(tmp_path: Path) -> None:
    of_astropy(tmp_path / "a.parquet", Table({"x": [1.5, 2.5]}))
    of_astropy(tmp_path / "b.parquet", Table({"x": MaskedColumn([3.5, 4.5], mask=[True, False])}))
    assert io.read(tmp_path)["x"].to_list() == [1.5, 2.5, None, 4.5]


def test_coordinates_and_times_of_astropy_are_read_as_their_parts(tmp_path: Path) -> None:
    times = Time([2457000.5, 2457001.5], format="jd")
    table = QTable({"at": SkyCoord([1, 2] * u.deg, [3, 4] * u.deg), "when": times})
    source = io.open_table(of_astropy(tmp_path / "t.parquet", table))
    found = source.read()
    assert found.columns == ["at.ra", "at.dec", "when.jd1", "when.jd2"]
    assert found["at.ra"].to_list() == [1.0, 2.0]
    assert (found["when.jd1"] + found["when.jd2"]).to_list() == [2457000.5, 2457001.5]
    assert source.columns["at.ra"].unit == "deg"


def test_a_column_called_mask_of_another_writer_stays(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0], "x.mask": [True]}), tmp_path / "t.parquet")
    assert io.read(tmp_path / "t.parquet").columns == ["x", "x.mask"]


def test_a_header_of_astropy_that_is_damaged_is_refused(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0]}).replace_schema_metadata({"table_meta_yaml": "datatype: [{name: "})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="table_meta_yaml that cannot be understood"):
        io.read(tmp_path / "t.parquet")


def test_voparquet_of_astropy(tmp_path: Path) -> None:
    table = Table({"source_id": [1, 2], "g": [10.0, 11.0] * u.mag})
    table["g"].description = "brightness"
    fields = {"source_id": {"ucd": "meta.id"}, "g": {"ucd": "phot.mag", "unit": "mag"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.write(tmp_path / "t.parquet", format="parquet.votable", metadata=fields)
    about = io.open_table(tmp_path / "t.parquet").columns
    assert (about["g"].unit, about["g"].ucd, about["source_id"].ucd) == ("mag", "phot.mag", "meta.id")


@pytest.mark.parametrize("index", [[4295806720, 34361129088], range(7, 21, 7)])
def test_an_index_of_pandas_with_a_name_is_a_column(tmp_path: Path, index: list[int] | range) -> None:
    kept = pd.RangeIndex(index.start, index.stop, index.step) if isinstance(index, range) else pd.Index(index)
    frame = pd.DataFrame({"g": [10.0, 11.0]}, index=kept.rename("source_id"))
    frame.to_parquet(tmp_path / "t.parquet")
    source = io.open_table(tmp_path / "t.parquet")
    assert source.read(["source_id", "g"]).to_dict(as_series=False) == {
        "source_id": list(index),
        "g": [10.0, 11.0],
    }
    assert [b["source_id"].to_list() for b in source.batches(1, ["source_id"], skip=1)] == [[index[1]]]
    assert source.rows_with("source_id", pl.Series([index[1]]))["g"].to_list() == [11.0]


def test_a_nameless_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    whole = pd.DataFrame({"g": [10.0, 11.0, 12.0]})
    whole.to_parquet(tmp_path / "a.parquet")
    whole[whole["g"] > 10].to_parquet(tmp_path / "b.parquet")
    assert io.read(tmp_path).to_dict(as_series=False) == {"g": [10.0, 11.0, 12.0, 11.0, 12.0]}


@st.composite
def masked_tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 5))
    table = QTable()
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["i8", "i4", "u1", "f4", "f8", "b1", "U3"]))
        cell = {"b": st.booleans(), "U": st.text("abc", min_size=1, max_size=3)}.get(kind[0], st.integers(0, 100))
        values = np.array(draw(st.lists(cell, min_size=rows, max_size=rows)), dtype=kind)
        mask = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
        unit = draw(st.sampled_from([None, u.mag, u.mas / u.yr, u.deg])) if kind[0] == "f" else None
        if unit is not None:
            table[f"c{number}"] = Masked(values, mask=mask) * unit if any(mask) else values * unit
        else:
            table[f"c{number}"] = MaskedColumn(values, mask=mask) if any(mask) else values
    return table


def compare(table: Table, path: Path) -> None:
    """Compare what is read with the astropy table that was written."""
    source = io.open_table(of_astropy(path, table))
    found = source.read()
    assert found.columns == table.colnames
    for name in table.colnames:
        column = table[name]
        mask = np.asarray(getattr(column, "mask", np.zeros(len(table), bool)))
        bare = np.asarray(getattr(getattr(column, "unmasked", column), "value", np.ma.getdata(column)))
        wanted = [None if hidden else value for value, hidden in zip(bare.tolist(), mask, strict=True)]
        assert found[name].to_list() == wanted
        unit = getattr(column, "unit", None)
        assert (u.Unit(source.columns[name].unit) == unit) if unit else source.columns[name].unit == ""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=masked_tables())
def test_tables_of_astropy(tmp_path: Path, table: Table) -> None:
    compare(table, tmp_path / "t.parquet")


@pytest.mark.slow
@settings(max_examples=150 * OFTEN, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=masked_tables())
def test_many_tables_of_astropy(tmp_path: Path, table: Table) -> None:
    compare(table, tmp_path / "t.parquet")


@pytest.mark.filterwarnings("ignore:No table..len")
def test_astropy_reads_our_parquet_unless_a_text_is_missing(tmp_path: Path) -> None:
    frame = pl.DataFrame({"source_id": [1, 2], "name": ["a", "bc"], "x": [1.5, None]})
    io.write(frame, tmp_path / "t.parquet", columns={"x": Column("x", "float64", "mag")})
    back = Table.read(tmp_path / "t.parquet", format="parquet.votable")
    assert back["name"].tolist() == ["a", "bc"]
    assert back["x"].unit == u.mag
    # The limit of astropy that docs/formats.md names; once this no longer fails, remove it there.
    io.write(frame.with_columns(name=pl.Series(["a", None])), tmp_path / "gap.parquet")
    with pytest.raises(TypeError, match="NoneType"):
        Table.read(tmp_path / "gap.parquet", format="parquet.votable")


def test_a_column_without_a_name(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array([1, 2]), pa.array(["a", None])], names=["", "s"]), tmp_path / "t.parquet")
    table = ss.read(tmp_path / "t.parquet")
    assert table.to_dict(as_series=False) == {"": [1, 2], "s": ["a", None]}
    assert ss.read(tmp_path / "t.parquet", columns=["s"])["s"].to_list() == ["a", None]
    io.write(table, tmp_path / "own.parquet")
    assert ss.read(tmp_path / "own.parquet").equals(table)


@pytest.mark.parametrize("suffix", ["parquet", "hats", "fits", "vot", "ecsv", "csv"])
def test_whole_numbers_of_128_bits_are_refused(tmp_path: Path, suffix: str) -> None:
    table = pl.DataFrame({"n": pl.Series([2**100], dtype=pl.Int128), "ra": [1.0], "dec": [2.0]})
    with pytest.raises(InputError, match=r"column 'n'.* of type Int128.*Cast it to text"):
        io.write(table, tmp_path / f"t.{suffix}")
    assert not list(tmp_path.iterdir())
    io.write(table.cast({"n": pl.String}), tmp_path / f"t.{suffix}")
    assert str(ss.read(tmp_path / f"t.{suffix}")["n"][0]) == str(2**100)
