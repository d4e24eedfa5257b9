"""ECSV tables: the types of the header hold for every row; what does not fit is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from astropy.table import MaskedColumn, Table
from polars.testing import assert_frame_equal

from starscale import io
from starscale.io.ecsv import EcsvSource
from starscale.vocabulary.errors import InputError

HEADER = """# %ECSV 1.0
# ---
# delimiter: ','
# datatype:
# - {name: source_id, datatype: int64, description: 'key, unique'}
# - {name: t, datatype: string}
# - {name: x, datatype: float32, unit: mas}
# - {name: n, datatype: int16}
# meta: {release: 'DR3', number: 3}
"""


def opened(tmp_path: Path, rows: str) -> tuple[io.Source, dict[str, list[Any]]]:
    # The archive of Gaia calls such files .csv.
    path = tmp_path / "t.csv"
    path.write_text(f"{HEADER}source_id,t,x,n\n{rows}")
    source = io.open_table(path)
    table = source.read()
    assert isinstance(source, EcsvSource)
    assert table.schema == source.schema
    assert source.lazy().collect().equals(table)
    assert pl.concat([table.clear(), *source.batches(1)]).equals(table)
    return source, table.to_dict(as_series=False)


def test_types_units_and_metadata(tmp_path: Path) -> None:
    source, table = opened(tmp_path, f'{2**62},"a, b",1.5,3\n7,,,\n')
    assert table == {"source_id": [2**62, 7], "t": ["a, b", None], "x": [1.5, None], "n": [3, None]}
    assert source.schema["n"] == pl.Int16
    assert (source.columns["x"].unit, source.columns["source_id"].description) == ("mas", "key, unique")
    assert (source.format, source.metadata) == ("ecsv", {"release": "DR3"})
    assert source.with_texts(["n"]).schema == source.schema


def test_null_in_texts_is_missing_where_it_is_in_numbers(tmp_path: Path) -> None:
    assert opened(tmp_path, "1,null,null,3\n2,MARCS,1.5,null\n")[1]["t"] == [None, "MARCS"]
    assert opened(tmp_path, "1,null,1.5,3\n2,MARCS,1.5,3\n")[1]["t"] == ["null", "MARCS"]
    assert opened(tmp_path, "1,007,null,3\n2,NA,1.5,3\n")[1]["t"] == ["007", "NA"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,a,north,3\n", "column 'x' has values that are not of type Float32"),
        ("1,a,1.5,300000\n", "300000"),
        ("1,a,1.5,2.5\n", "column 'n' has values"),
        ("1,a,1.5\n", "line 11 has 3 fields"),
    ],
)
def test_what_does_not_fit_its_type(tmp_path: Path, rows: str, said: str) -> None:
    with pytest.raises(InputError, match=f"damaged ECSV file .*{said}"):
        opened(tmp_path, rows)


def test_tables_of_other_columns_are_read_whole(tmp_path: Path) -> None:
    lengths = np.array([[1.0], [2.0, 3.0]], dtype=object)
    Table({"id": [1, 2], "v": lengths}).write(tmp_path / "t.ecsv")
    source = io.open_table(tmp_path / "t.ecsv")
    assert not isinstance(source, EcsvSource)
    assert source.read()["v"].to_list() == [[1.0], [2.0, 3.0]]


def test_vectors_of_astropy(tmp_path: Path) -> None:
    masked = MaskedColumn([[2**63, 1], [2**64 - 1, 0]], mask=[[False, True], [False, False]], dtype=np.uint64)
    table = Table({"x": np.arange(12.0).reshape(2, 3, 2), "m": masked, "f": np.array([[1.5], [np.nan]], "f4")})
    table["f"].unit = "mag"
    table["t"] = ["a\nb", "c"]
    table.write(tmp_path / "t.ecsv")
    source = io.open_table(tmp_path / "t.ecsv")
    assert isinstance(source, EcsvSource)
    assert source.read().to_dict(as_series=False) == {
        "x": table["x"].tolist(),
        "m": [[2**63, None], [2**64 - 1, 0]],
        "f": [[1.5], [None]],
        "t": ["a\nb", "c"],
    }
    assert (source.schema["m"], source.columns["f"].unit) == (pl.Array(pl.UInt64, 2), "mag")


@pytest.mark.parametrize("cell", ["[1.0]", "[1.0,2.0,3.0]", "[1.0,x]", "[1.0,[2.0]]", "1.0", '["a","b"]'])
def test_a_damaged_vector_is_an_error(tmp_path: Path, cell: str) -> None:
    Table({"v": [[1.0, 2.0]], "i": [1]}).write(tmp_path / "t.ecsv")
    text = (tmp_path / "t.ecsv").read_text()
    (tmp_path / "t.ecsv").write_text(text.replace("[1.0,2.0]", '"' + cell.replace('"', '""') + '"'))
    with pytest.raises(InputError, match="damaged ECSV file"):
        io.read(tmp_path / "t.ecsv")


VECTORS = pl.Series([[1.0, None], [-0.0, 2.5], [None, None]], dtype=pl.Array(pl.Float32, 2))


@pytest.mark.parametrize("text", ["a\nb", "\n", '"\r\n"', "#a\n#b", "[1,\n2]"])
def test_a_line_break_in_a_text_beside_a_vector(tmp_path: Path, text: str) -> None:
    table = pl.DataFrame({"v": VECTORS, "t": [text, "b", None]})
    io.write(table, tmp_path / "t.ecsv")
    assert_frame_equal(io.read(tmp_path / "t.ecsv"), table)


@pytest.mark.parametrize(
    "text", ["#a", "#", "  a  ", "a\tb", "\t", "x\n#y", "a\rb", '"q"', "it's", "a\x1fb", "\ufeffa"]
)
def test_texts_that_look_like_something_else_come_back(tmp_path: Path, text: str) -> None:
    table = pl.DataFrame({"t": [text, "b", None], "i": [1, 2, 3]})
    io.write(table, tmp_path / "t.ecsv")
    assert_frame_equal(io.read(tmp_path / "t.ecsv"), table)
    if text.strip() == text and not {"\n", "\r"} & set(text):
        assert list(Table.read(tmp_path / "t.ecsv")["t"].filled("")) == [text, "b", ""]


@pytest.mark.parametrize("vectors", [False, True])
def test_frame_and_epoch_of_the_positions_are_read(tmp_path: Path, vectors: bool) -> None:
    table = pl.DataFrame({"ra": [1.0], "dec": [2.0]})
    if vectors:
        table = table.with_columns(v=pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float64, 2)))
    stated = {"position_system": "GALACTIC", "position_epoch": "J2015.5"}
    io.write(table, tmp_path / "t.ecsv", metadata=stated)
    source = io.open_table(tmp_path / "t.ecsv")
    assert (source.frame, source.epoch) == ("GALACTIC", 2015.5)
