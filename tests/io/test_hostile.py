"""Small files that ask for much, or contradict themselves, end in one error at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

import starscale as ss
from starscale import io
from starscale.io import table as tables
from starscale.io.csv import kinds
from starscale.io.csv.kinds import cast_text
from starscale.io.hats.catalogue import read_properties
from starscale.io.table import unique_names
from support.votable_documents import cells, document, field, save


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """Each test takes a moment."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 5


def refused(path: Path, said: str) -> None:
    with pytest.raises(ss.InputError, match=said) as caught:
        io.open_table(path).read()
    assert str(path) in str(caught.value)


def table_of(path: Path, *columns: fits.Column, changes: dict[str, object] | None = None) -> Path:
    """A FITS file in which cards of the table have other values."""
    unit = fits.BinTableHDU.from_columns(columns)
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(path)
    data = bytearray(path.read_bytes())
    for key, value in (changes or {}).items():
        at = data.index(key.ljust(8).encode(), 2880)
        data[at : at + 80] = f"{key:8}= {value!s:>20}".ljust(80).encode()
    path.write_bytes(data)
    return path


NUMBERS = fits.Column("a", "J", array=np.arange(3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TTYPE1": "'a" + "x" * 70}, "damaged FITS file"),
        ({"BITPIX": "'8'"}, "BITPIX"),
        ({"BITPIX": "1E999"}, "BITPIX"),
        ({"NAXIS2": 10**18}, "NAXIS2|bytes of data"),
        ({"NAXIS2": 10**40}, "more than any file has"),
        ({"NAXIS": 10**15}, "NAXIS = "),
        ({"GCOUNT": 2**62}, "more than any file has"),
    ],
    ids=str,
)
def test_fits_headers(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    refused(table_of(tmp_path / "t.fits", NUMBERS, changes=changes), said)


def test_fits_cards_that_cannot_be_parsed(tmp_path: Path) -> None:
    path = table_of(tmp_path / "t.fits", NUMBERS)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"TTYPE1  = 'a", b"CONTINUE  1.a"))
    refused(path, "damaged FITS file")


def test_fits_rows_of_no_byte(tmp_path: Path) -> None:
    changes = {"NAXIS1": 0, "NAXIS2": 10**12, "TFORM1": "'0J'"}
    refused(table_of(tmp_path / "t.fits", NUMBERS, changes=changes), "without a byte")


@pytest.mark.parametrize(
    "axes", ["'(0,99999999,99999999)'", "'" + "1,0,9," * 10 + "'", "'(1,1,1,1,1,1,1,1,1,1,1)'"]
)
def test_fits_axes_that_no_cell_has_are_left_out(tmp_path: Path, axes: str) -> None:
    path = table_of(
        tmp_path / "t.fits", fits.Column("a", "J", dim="(1)", array=np.arange(3)), changes={"TDIM1": axes}
    )
    assert io.read(path)["a"].to_list() == [0, 1, 2]


def test_fits_cells_that_all_point_to_the_same_heap(tmp_path: Path) -> None:
    rows, size = 2000, 100_000
    lists = np.empty(rows, dtype=object)
    lists[:] = [np.zeros(size if i == 0 else 0, np.uint8) for i in range(rows)]
    path = table_of(tmp_path / "t.fits", fits.Column("p", "PB()", array=lists))
    data, begin = bytearray(path.read_bytes()), 2 * 2880
    assert int.from_bytes(data[begin : begin + 4], "big") == size
    data[begin : begin + 8 * rows] = data[begin : begin + 8] * rows
    path.write_bytes(data)
    refused(path, "many times the bytes of the heap")


def test_votable_depth_and_number_of_tables(tmp_path: Path) -> None:
    deep = document(field("a", "int"), cells(("1",)), before="<RESOURCE>" * 5000)
    refused(save(tmp_path / "deep.vot", deep), "nested more than")
    many = document(field("a", "int"), cells(("1",)), after='</TABLE><TABLE name="x" ref="x">' * 20_000)
    refused(save(tmp_path / "many.vot", many), "tables|damaged")


def test_votable_rows_that_hold_other_elements(tmp_path: Path) -> None:
    text = document(field("a", "int"), cells(("1",)))
    for inside in ("<TABLEDATA></TABLEDATA>", "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>"):
        refused(save(tmp_path / "t.vot", text.replace("</TR>", f"</TR>{inside}")), "hold other elements")


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("us", "Mars/Utopia"),
        pa.timestamp("us", "-03:30"),
        pa.decimal256(30, 5),
        pa.list_(pa.float32(), 0),
        pa.list_(pa.timestamp("ns", "x")),
        pa.struct([("a", pa.decimal256(50, 2))]),
    ],
    ids=str,
)
def test_parquet_types_that_polars_does_not_hold(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.nulls(2, kind)], ["when"]), path)
    refused(path, "column 'when': is of type")


@pytest.mark.parametrize("zone", ["UTC", "+05:00", "-12:00", "+14:00", "US/Pacific", None])
def test_parquet_times_with_a_known_zone_are_read(tmp_path: Path, zone: str | None) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([0, None], pa.timestamp("us", zone))], ["when"]), path)
    assert io.read(path)["when"].dt.epoch("s").to_list() == [0, None]


def test_thousands_of_columns_take_a_moment() -> None:
    """Within the processor time of all tests here; a schema for every column took a minute."""
    wide = pl.DataFrame({f"c{number}": [1.0] for number in range(4000)})
    assert ss.read(wide).width == 4000


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("txt", " ")])
def test_columns_of_a_text_table_share_what_is_asked_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, separator: str
) -> None:
    """Ten times the columns: no expression more. Each was made for every column once, two milliseconds of work."""
    casts: list[pl.DataType] = []

    def counted(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        casts.append(dtype)
        return cast_text(text, dtype)

    monkeypatch.setattr(kinds, "cast_text", counted)
    made, cells = [], ("7", "1.5", "007", "2e308", "north", "true", "9007199254740993", '"-"')
    for copies in (1, 10):
        path = tmp_path / f"{copies}.{suffix}"
        names = [f"c{number}" for number in range(len(cells) * copies)]
        rows = [separator.join(names), separator.join(cells * copies), separator.join(cells * copies)]
        path.write_text("\n".join(rows) + "\n")
        casts.clear()
        found = io.open_table(path).schema.dtypes()
        made.append((len(casts), found[: len(cells)]))
        assert found == made[0][1] * copies
    assert made[0] == made[1]


def many_columns(folder: Path, n: int) -> Iterator[Path]:
    """Text tables of n columns: CSV, both spellings of an ECSV header, IPAC and VOTable."""
    names = [f"c{number}" for number in range(n)]
    flow = "".join(f"# - {{name: {name}, datatype: float64}}\n" for name in names)
    block = "".join(f"# -\n#   name: {name}\n#   datatype: float64\n" for name in names)
    for number, header in enumerate((flow, block)):
        text = f"# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n{header}# schema: astropy-2.0\n"
        path = folder / f"{number}.ecsv"
        path.write_text(text + ",".join(names) + "\n" + ",".join(["1.5"] * n) + "\n")
        yield path
    (folder / "t.csv").write_text(",".join(names) + "\n" + ",".join(["1.5"] * n) + "\n")
    yield folder / "t.csv"
    lines = [names, ["double"] * n]
    text = "".join("|" + "|".join(word.rjust(8) for word in line) + "|\n" for line in lines)
    (folder / "t.tbl").write_text(text + " " + " ".join("     1.5" for _ in names) + " \n")
    yield folder / "t.tbl"
    yield save(folder / "t.vot", document("".join(field(name, "double") for name in names), cells(("1.5",) * n)))


def test_text_tables_of_too_many_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_COLUMNS", 30)
    for path in many_columns(tmp_path, 30):
        assert io.read(path).rows() == [(1.5,) * 30], path
    for path in many_columns(tmp_path, 31):
        refused(path, "has 31 columns.*at most 30")


def test_vectors_that_are_longer_than_can_be_counted(tmp_path: Path) -> None:
    """Of tables without rows, so that nothing in the file contradicts the length."""
    path = tmp_path / "t.ecsv"
    column = "# - {name: v, datatype: string, subtype: 'float64[2147483648]'}\n"
    path.write_text(f"# %ECSV 1.0\n# ---\n# datatype:\n{column}# schema: astropy-2.0\nv\n")
    refused(path, "column 'v': has vectors of 2,147,483,648 numbers")
    document_ = document(field("v", "double", arraysize="65536x65536"), cells())
    refused(save(tmp_path / "t.vot", document_), "4,294,967,296 elements in a row")


def test_a_nul_in_a_name(tmp_path: Path) -> None:
    assert unique_names(["a\0", "a", "\0"]) == ["a", "a_2", "column_3"]
    with pytest.raises(ss.InputError, match="NUL in its name"):
        ss.write(pl.DataFrame({"a\0": [1]}), tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


def ecsv(path: Path, name: str, kind: str) -> Path:
    header = f"# %ECSV 1.0\n# ---\n# datatype:\n# - {{name: {name}, datatype: {kind}}}\n# schema: astropy-2.0\n"
    path.write_text(f"{header}{name}\n7\n")
    return path


def test_ecsv_types_that_only_numpy_knows_and_names_that_are_numbers(tmp_path: Path) -> None:
    refused(ecsv(tmp_path / "a.ecsv", "a", "[]"), "column 'a'")
    assert io.read(ecsv(tmp_path / "b.ecsv", "a", "T")).to_dicts() == [{"a": "7"}]
    assert io.read(ecsv(tmp_path / "c.ecsv", "1", "int16")).to_dicts() == [{"1": 7}]


@pytest.mark.parametrize("encoding", ["base64", "rot13", "hex", "undefined", "no-such"])
def test_votable_encodings_that_are_no_encodings_of_text(tmp_path: Path, encoding: str) -> None:
    text = document(field("a", "int"), cells(("1",))).replace(
        'version="1.0"', f'version="1.0" encoding="{encoding}"'
    )
    refused(save(tmp_path / "t.vot", text), "encoding")


@pytest.mark.parametrize("size", ["1000000", "9223372036854775807", "10000x10000"])
def test_votable_vectors_that_the_file_does_not_hold(tmp_path: Path, size: str) -> None:
    text = document(field("a", "int", arraysize=size), cells(*[("",)] * 1000))
    refused(save(tmp_path / "t.vot", text), "far more than the file holds")


def test_names_that_are_all_the_same() -> None:
    names = unique_names(["a"] * 30_000)
    assert names[:3] == ["a", "a_2", "a_3"]
    assert len(set(names)) == 30_000


def test_properties_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "properties").write_bytes(b"a = \xff\xfe")
    with pytest.raises(ss.InputError, match="cannot be read"):
        read_properties(tmp_path / "properties")


@pytest.mark.parametrize("name", ["../other", "/etc", "a/../../b"])
def test_a_collection_that_names_a_table_outside_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "collection.properties").write_text(f"hats_primary_table_url={name}\n")
    refused(tmp_path / "c", "outside the collection")


def test_a_cell_beyond_the_highest_order(tmp_path: Path) -> None:
    sky = pl.DataFrame({"source_id": [1, 2], "ra": [1.0, 2.0], "dec": [1.0, 2.0]})
    io.write(sky, tmp_path / "s.hats")
    file = next((tmp_path / "s.hats" / "dataset").rglob("Npix*.parquet"))
    target = tmp_path / "s.hats" / "dataset" / "Norder=99" / "Dir=0"
    target.mkdir(parents=True)
    file.rename(target / file.name)
    with pytest.raises(ss.InputError, match="order from 0 to 29"):
        io.open_table(tmp_path / "s.hats")


def test_pages_of_parquet_files_are_looked_at_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": range(100), "b": ["x"] * 100}).write_parquet(path)
    data = bytearray(path.read_bytes())
    data[4:24] = b"\xff" * 20
    path.write_bytes(data)
    assert io.open_table(path).n_rows == 100
    refused(path, "header of a page|a page of column 'a'|over 64 bits")


@pytest.mark.parametrize("name", ["a" * 5000, "x\\u0000y", "[[[", "**/**x"])
def test_run_files_with_names_that_no_file_has(tmp_path: Path, name: str) -> None:
    tables = f'[catalogue]\nsurvey = "gaia_dr3"\npath = "{name}"\n'
    tables += f'[[labels]]\nsurvey = "galah_dr3"\npath = "{name}"\n'
    (tmp_path / "run.toml").write_text(tables)
    with pytest.raises(ss.InputError, match=r"no such file|matches no file"):
        ss.check(tmp_path / "run.toml")


def test_a_run_file_that_is_nested_too_deeply(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(ss.InputError, match="nested too deeply"):
        ss.check(tmp_path / "run.toml")
