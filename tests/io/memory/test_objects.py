"""Tables in memory, of whatever library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import FK5, EarthLocation, SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked

import starscale as ss
from starscale import io
from starscale.io.units import same_unit
from starscale.vocabulary.errors import InputError

BIG = 2**63 - 1


def test_polars() -> None:
    table = pl.DataFrame({"a": [1, None]})
    assert io.read(table) is table
    assert io.read(table.lazy().filter(pl.col("a") == 1)).height == 1
    assert io.read(pl.DataFrame({"a": [1], "b": [2]}), columns=["b"]).columns == ["b"]


def test_arrow() -> None:
    table = io.read(pa.table({"a": pa.array([BIG, None]), "b": ["x", None]}))
    assert table.to_dict(as_series=False) == {"a": [BIG, None], "b": ["x", None]}


def test_pandas() -> None:
    frame = pd.DataFrame(
        {"a": pd.array([BIG, None], dtype="Int64"), "f": [1.5, np.nan], "s": ["x", None]}, index=[7, 8]
    )
    table = io.read(frame)
    assert table.to_dict(as_series=False) == {"a": [BIG, None], "f": [1.5, None], "s": ["x", None]}
    with pytest.raises(InputError, match="pandas DataFrame"):
        io.read(pd.DataFrame({"a": [1, "x", object()]}))


def test_astropy() -> None:
    table = Table(
        {
            "id": MaskedColumn([BIG, 5], mask=[False, True]),
            "swapped": np.array([1.5, -2.0], dtype=">f8"),
            "small": np.array([1, 2], dtype=">i2"),
            "bytes": np.array([b"abc", "é".encode()]),
            "text": MaskedColumn(["x", "y"], mask=[True, False]),
            "flag": MaskedColumn([True, False], mask=[False, True]),
            "vector": np.arange(6.0).reshape(2, 3),
            "ragged": np.array([np.array([1, 2]), np.array([3])], dtype=object),
            "complex": np.array([1 + 2j, 3 - 1j]),
        }
    )
    got = io.read(table)
    assert got.to_dict(as_series=False) == {
        "id": [BIG, None],
        "swapped": [1.5, -2.0],
        "small": [1, 2],
        "bytes": ["abc", "é"],
        "text": [None, "y"],
        "flag": [True, None],
        "vector": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        "ragged": [[1, 2], [3]],
        "complex": [[1.0, 2.0], [3.0, -1.0]],
    }
    assert got["small"].dtype == pl.Int16
    assert io.read(table[:0]).shape == (0, 9)


def test_quantities_become_bare_numbers() -> None:
    table = QTable({"pm": [1.0, 2.0] * u.mas / u.yr, "d": Masked([1.0, 2.0] * u.kpc, mask=[True, False])})
    assert io.read(table).to_dict(as_series=False) == {"pm": [1.0, 2.0], "d": [None, 2.0]}


def test_what_no_column_can_hold_is_refused_by_name() -> None:
    table = QTable({"a": [1.0], "where": EarthLocation.from_geodetic([1.0], [2.0])})
    with pytest.raises(InputError, match="column 'where': cannot be converted"):
        io.read(table)


@pytest.mark.parametrize("thing", [[1, 2], {"a": [1]}, None, 5, b"x.csv"])
def test_what_is_no_table_is_refused(thing: object) -> None:
    with pytest.raises(InputError, match="is not a table"):
        io.read(thing)


def test_objects_that_become_tables_are_refused_with_the_way() -> None:
    for thing, way in ((pl.Series([1]), "to_frame"), (pd.Series([1]), "to_frame")):
        with pytest.raises(InputError, match=way):
            io.read(thing)
    for array in (np.zeros((2, 2)), np.zeros((2, 2), dtype=[("a", "f8")]), Table({"a": [1]})[0]):
        with pytest.raises(InputError, match="is not a table"):
            io.read(array)


def test_pandas_of_fits_records_is_big_endian() -> None:
    frame = pd.DataFrame(
        {"id": np.array([5000000000000000001, 2], dtype=">i8"), "x": np.array([1.5, np.nan], dtype=">f8")}
    )
    assert io.read(frame).to_dict(as_series=False) == {"id": [5000000000000000001, 2], "x": [1.5, None]}


def test_the_index_of_pandas() -> None:
    """A level that has a name is a column; a nameless one numbers the rows."""
    frame = pd.DataFrame({"x": [1.5, 2.5]}, index=pd.Index([BIG, 8], name="source_id"))
    assert io.read(frame).to_dict(as_series=False) == {"source_id": [BIG, 8], "x": [1.5, 2.5]}
    levels = pd.MultiIndex.from_tuples([(BIG, "a"), (8, "b")], names=["source_id", None])
    assert io.read(frame.set_axis(levels)).columns == ["source_id", "x"]
    assert io.read(pd.DataFrame({"x": [1]}, index=[7])).columns == ["x"]
    assert io.read(frame.reset_index().set_index("source_id", drop=False)).columns == ["source_id", "x"]
    with pytest.raises(InputError, match="an index and a column called 'x'"):
        io.read(frame.rename_axis("x"))


def test_names_of_pandas() -> None:
    with pytest.raises(InputError, match="2 columns called 'a'"):
        io.read(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(InputError, match="2 problems"):
        io.read(pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])))
    assert io.read(pd.DataFrame([[1, 2]])).columns == ["0", "1"]
    assert io.read(pd.DataFrame()).shape == (0, 0)


def test_types_of_pandas() -> None:
    frame = pd.DataFrame(
        {
            "category": pd.Categorical(["a", None, "b"]),
            "number": pd.Categorical([5, None, 7]),
            "mixed": [b"a", None, "x"],
            "flag": np.array([True, None, np.nan], dtype=object),
            "large": np.array([2**63 + 5, None, pd.NA], dtype=object),
            "sparse": pd.arrays.SparseArray([0.0, 0.0, 1.0]),
            "vector": [np.array([1.0, np.nan]), None, np.array([])],
            "none": [None, None, None],
            "float": pd.array([1.5, None, np.nan], dtype="Float32"),
            "arrow": pd.array([BIG, None, 1], dtype=pd.ArrowDtype(pa.int64())),
            "day": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
        }
    )
    got = io.read(frame)
    day = got["day"].dt.to_string("%Y").to_list()
    assert got.drop("day").to_dict(as_series=False) | {"day": day} == {
        "category": ["a", None, "b"],
        "number": [5, None, 7],
        "mixed": ["a", None, "x"],
        "flag": [True, None, None],
        "large": [2**63 + 5, None, None],
        "sparse": [0.0, 0.0, 1.0],
        "vector": [[1.0, None], None, []],
        "none": [None, None, None],
        "float": [1.5, None, None],
        "arrow": [BIG, None, 1],
        "day": ["2020", None, "2021"],
    }
    assert io.read(frame.iloc[:0]).shape == (0, 11)


def test_columns_of_pandas_that_no_column_can_hold_are_all_named() -> None:
    frame = pd.DataFrame(
        {
            "fine": [1, 2],
            "rounded": np.array([2**60 + 1, 1.5], dtype=object),
            "mixed": ["a", 1],
            "beyond": np.array([2**64, 1], dtype=object),
            "period": pd.period_range("2020", periods=2),
        }
    )
    with pytest.raises(InputError) as error:
        io.read(frame)
    assert [problem.where for problem in error.value.problems] == [
        f"table (pandas DataFrame): column '{name}'" for name in ("rounded", "mixed", "beyond", "period")
    ]
    assert io.read(frame, columns=["fine"])["fine"].to_list() == [1, 2]


def test_tables_of_an_open_fits_file(tmp_path: Path) -> None:
    """Records know their scales, missing values and units, whether they come alone or with their header."""
    fits.BinTableHDU.from_columns(
        [
            fits.Column("id", "K", null=2, array=[BIG, 2]),
            fits.Column("x", "E", unit="mas", array=[1.5, np.nan]),
            fits.Column("unsigned", "J", bzero=2**31, array=np.array([1, 2**32 - 1], dtype=np.uint32)),
            fits.Column("flag", "L", array=[True, False]),
            fits.Column("name", "5A", array=["ab", ""]),
            fits.Column("pair", "2D", array=[[1.0, 2.0], [3.0, np.nan]]),
        ]
    ).writeto(tmp_path / "t.fits")
    with fits.open(tmp_path / "t.fits") as file:
        for table in (file[1], file[1].data, file[1].data[[True, True]]):
            source = io.open_table(table)
            assert source.columns["x"].unit == "mas"
            assert source.read().to_dict(as_series=False) == {
                "id": [BIG, None],
                "x": [1.5, None],
                "unsigned": [1, 2**32 - 1],
                "flag": [True, False],
                "name": ["ab", None],
                "pair": [[1.0, 2.0], [3.0, None]],
            }
        assert io.read(file[1].data[:0]).height == 0


def test_structured_arrays() -> None:
    array = np.array([(BIG, 1.5, b"ab", (1.0, 2.0), 0.5)], dtype=">i8,>f4,S3,(2,)>f8,<f2")
    for table in (array, array.view(np.recarray)):
        assert io.read(table).row(0) == (BIG, 1.5, "ab", [1.0, 2.0], 0.5)
    with pytest.raises(InputError, match="column 'f0': cannot be converted: it holds values of type"):
        io.read(np.zeros(2, dtype=[("f0", [("x", "f8")])]))


def test_units_masks_and_descriptions_of_astropy_tables() -> None:
    table = QTable(
        {
            "angle": Masked([0.5, 0.7] * u.rad, mask=[False, True]),
            "logg": u.Dex([4.5, 3.0], u.dex(u.cm / u.s**2)),
            "day": [1.0, 2.0] * u.day,
            "vector": MaskedColumn([[1, 2], [3, 4]], mask=[[False, True], [True, True]]),
            "empty": np.zeros((2, 0)),
            "long": np.array([1, 2], dtype=np.longdouble),
            "second": np.array(["2020-01-01T00:00:01", "NaT"], dtype="M8[s]"),
        }
    )
    table["angle"].info.description = "an angle"
    source = io.open_table(table)
    for name, unit in {"angle": "rad", "logg": "dex(cm.s**-2)", "day": "d", "vector": ""}.items():
        assert same_unit(source.columns[name].unit, unit)
    assert source.columns["angle"].description == "an angle"
    got = source.read()
    assert got["second"].dt.to_string("%S").to_list() == ["01", None]
    assert got.drop("second").to_dict(as_series=False) == {
        "angle": [0.5, None],
        "logg": [4.5, 3.0],
        "day": [1.0, 2.0],
        "vector": [[1, None], [None, None]],
        "empty": [[], []],
        "long": [1.0, 2.0],
    }


@pytest.mark.parametrize(
    ("frame", "parts", "stated"),
    [
        ("icrs", ["ra", "dec"], "ICRS"),
        ("fk4", ["ra", "dec"], "FK4"),
        (FK5(equinox="J1975"), ["ra", "dec"], "FK5 J1975"),
        ("galactic", ["l", "b"], ""),
    ],
)
def test_positions_of_astropy_become_angles(frame: Any, parts: list[str], stated: str) -> None:
    sky = SkyCoord([1.0, 2.0] * u.hourangle, [-3.0, 4.0] * u.deg, frame=frame)
    table = QTable({"sky": sky, "n": [1, 2]})
    source = io.open_table(table)
    assert source.read().to_dict(as_series=False) == {
        parts[0]: pytest.approx([15.0, 30.0]),
        parts[1]: [-3.0, 4.0],
        "n": [1, 2],
    }
    assert (source.columns[parts[0]].unit, source.frame) == ("deg", stated)
    # Names that are taken are another position, whose frame is not known.
    table[parts[1].upper()] = [7.0, 8.0]
    source = io.open_table(table)
    assert list(source.schema) == [f"sky.{parts[0]}", f"sky.{parts[1]}", "n", parts[1].upper()]
    assert source.frame == ""


def test_motions_and_times_of_astropy_become_numbers() -> None:
    motion = {"pm_ra_cosdec": [1, 2] * u.mas / u.yr, "pm_dec": [3, 4] * u.mas / u.yr}
    sky = SkyCoord([1.0, 2.0] * u.deg, [3.0, 4.0] * u.deg, distance=[5, 6] * u.pc, **motion)
    days = Time(["2016-01-01", "2017-01-01"])
    days[1] = np.ma.masked
    years = Time([2016.0, 2017.0], format="jyear")
    table = QTable(
        {"sky": sky, "t": days, "year": years, "jd": Time(years, format="jd"), "span": years - years[0]}
    )
    source = io.open_table(table)
    found = source.read().to_dict(as_series=False)
    assert found["distance"] == [5, 6]
    assert [found["pm_ra_cosdec"], found["pm_dec"]] == [pytest.approx([1, 2]), pytest.approx([3, 4])]
    assert found["t"] == [57388.0, None]
    assert found["year"] == [2016.0, 2017.0]
    assert found["jd"] == years.jd.tolist()
    assert found["span"] == [0.0, pytest.approx(365.25)]
    units = {name: source.columns[name].unit for name in ("pm_dec", "t", "year", "jd", "span")}
    assert units == {"pm_dec": "mas.yr**-1", "t": "d", "year": "yr", "jd": "d", "span": "d"}
    assert source.columns["t"].description == "modified Julian date, UTC"


def test_objects_of_astropy_in_an_ecsv_file(tmp_path: Path) -> None:
    table = QTable({"sky": SkyCoord([1.0], [2.0], unit="deg"), "t": Time([59000.0], format="mjd")})
    table.write(tmp_path / "t.ecsv")
    source = io.open_table(tmp_path / "t.ecsv")
    assert source.read().to_dict(as_series=False) == {"ra": [1.0], "dec": [2.0], "t": [59000.0]}
    assert source.frame == "ICRS"


def test_types_of_arrow() -> None:
    plain = pa.table(
        {"half": pa.array([np.float16(0.5), None], pa.float16()), "code": pa.array([5, 5]).dictionary_encode()}
    )
    assert io.read(plain).to_dict(as_series=False) == {"half": [0.5, None], "code": [5, 5]}
    odd = pa.table({"a": pa.array([None], pa.decimal256(50, 2)), "b": pa.array([None], pa.uuid())})
    with pytest.raises(InputError, match="2 problems"):
        io.read(odd)
    with pytest.raises(InputError, match="2 columns called 'a'"):
        io.read(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))


class Interchange:
    """A table of a library that has only the older DataFrame interchange protocol."""

    def __dataframe__(self, *args: object, **named: object) -> object:
        return pa.table({"a": [1, None], "s": ["x", "y"]}).__dataframe__()


def test_the_dataframe_interchange_protocol() -> None:
    assert io.read(Interchange()).to_dict(as_series=False) == {"a": [1, None], "s": ["x", "y"]}


def test_objects_and_errors_of_polars() -> None:
    assert io.read(pl.DataFrame({"o": pl.Series(["a", None], dtype=pl.Object)}))["o"].to_list() == ["a", None]
    with pytest.raises(InputError, match="cannot be computed"):
        io.read(pl.LazyFrame({"a": ["x"]}).with_columns(pl.col("a").cast(pl.Int64)))


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(InputError) as error:
        io.read(pl.DataFrame({"source_id": [1], "ra": [1.0]}), columns=["sourceid", "ra", "teff"])
    assert "2 problems" in str(error.value)
    assert "Did you mean 'source_id'?" in str(error.value)
    assert "The columns are: source_id, ra." in str(error.value)
    with pytest.raises(InputError, match="twice"):
        io.read(pl.DataFrame({"ra": [1.0]}), columns=["ra", "ra"])


def test_importing_the_layer_loads_no_heavy_library() -> None:
    code = (
        "import sys, starscale.io; "
        "print([name for name in ('astropy', 'pyarrow', 'pandas', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_arrow_tables_that_astropy_or_pandas_wrote(tmp_path: Path) -> None:
    """Masks of astropy and the index of pandas stand in the metadata, which a table read from the file keeps."""
    table = QTable({"id": MaskedColumn([BIG, 5], mask=[False, True]), "angle": [0.5, 0.7] * u.rad})
    table.write(tmp_path / "t.parquet")
    for arrow in (pq.read_table(tmp_path / "t.parquet"), pyarrow.dataset.dataset(tmp_path / "t.parquet")):
        source = io.open_table(arrow)
        assert source.read().to_dict(as_series=False) == {"id": [BIG, None], "angle": [0.5, 0.7]}
        assert source.columns["angle"].unit == "rad"
        assert source.metadata == {}
    frame = pd.DataFrame({"x": [1.5, 2.5]}, index=[7, 8])
    assert io.read(pa.Table.from_pandas(frame)).columns == ["x"]
    frame.index = pd.RangeIndex(5, 7, name="source_id")
    assert io.read(pa.Table.from_pandas(frame)).to_dict(as_series=False) == {"source_id": [5, 6], "x": [1.5, 2.5]}


@pytest.mark.parametrize(
    ("meta", "frame"),
    [
        ({"position_system": "GALACTIC"}, "GALACTIC"),
        ({"RADESYS": "FK4", "EQUINOX": 1950.0}, "FK4"),
        ({"RADESYS": "FK5", "EQUINOX": 1975.0}, "FK5 J1975"),
        ({"EQUINOX": 1950}, "FK4"),
    ],
)
def test_positions_of_another_frame_in_memory_are_not_taken_for_icrs(meta: dict, frame: str) -> None:
    stars = {"source_id": [5], "ra": [1.0], "dec": [2.0]}
    with pytest.raises(InputError, match=f"has positions in the frame {frame}"):
        ss.read(Table(stars, meta=meta), survey="gaia_dr3")
    assert ss.read(Table(stars, meta={"RADESYS": "ICRS", "EXTNAME": "STARS"}), survey="gaia_dr3").height == 1
