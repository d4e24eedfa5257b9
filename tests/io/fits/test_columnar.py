"""Column-oriented tables of TOPCAT (colfits): one record that holds whole columns."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits

from starscale import io
from starscale.vocabulary.errors import InputError

RIGHT = {
    "id": [5, None, 7],
    "ra": [1.5, None, 2.5],
    "ok": [True, None, False],
    "s": ["abc", None, "de"],
    "v": [[1.0, 2.0], [3.0, None], [5.0, 6.0]],
    "w": [["a", "bc"], [None, "d"], ["ef", None]],
}


def colfits(path: Path, *, mark: str = "STILCLAS") -> Path:
    """Write the table as STIL 4.1.3 does."""
    columns = [
        fits.Column("id", "3K", dim="(1,3)", array=[[[5], [-1], [7]]], null=-1),
        fits.Column("ra", "3D", dim="(1,3)", unit="deg", array=[[[1.5], [np.nan], [2.5]]]),
        fits.Column("ok", "3L", dim="(1,3)", array=np.array([[[True], [False], [False]]])),
        fits.Column("s", "9A", dim="(3,3)", array=np.array([["abc", "", "de"]])),
        fits.Column("v", "6E", dim="(2,3)", array=np.array([[[1, 2], [3, np.nan], [5, 6]]], np.float32)),
        fits.Column("w", "12A", dim="(2,2,3)", array=np.array([[["a", "bc"], ["", "d"], ["ef", ""]]])),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="stars")
    primary = fits.PrimaryHDU()
    if mark == "STILCLAS":
        table.header["STILCLAS"] = "uk.ac.starlink.fits.ColFitsTableWriter"
    elif mark == "COLFITS":
        primary.header["COLFITS"] = True
    fits.HDUList([primary, table]).writeto(path)
    raw = path.read_bytes()
    assert raw.count(b"TFF") == 1
    path.write_bytes(raw.replace(b"TFF", b"T\0F"))
    return path


@pytest.mark.parametrize("mark", ["STILCLAS", "COLFITS", ""])
@pytest.mark.parametrize("packed", [False, True])
def test_its_rows(tmp_path: Path, mark: str, packed: bool) -> None:
    path = colfits(tmp_path / "t.fits", mark=mark)
    if packed:
        path = tmp_path / "t.fits.gz"
        path.write_bytes(gzip.compress((tmp_path / "t.fits").read_bytes()))
    source = io.open_table(path)
    assert source.n_rows == 3
    assert source.read().to_dict(as_series=False) == RIGHT
    assert source.schema == source.read().schema
    assert source.columns["ra"].unit == "deg"
    assert source.notes == ("a column-oriented table: its one record is read as 3 rows",)
    assert pl.concat(source.batches(2, ["w", "id"])).rows() == source.read(["w", "id"]).rows()
    assert pl.concat(source.batches(2, skip=1)).equals(source.read().slice(1))


def test_pieces_follow_the_width_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The record holds the whole table: its size says nothing about a row, of 32 bytes here.
    monkeypatch.setattr("starscale.io.fits.records._MOST_BYTES", 64)
    source = io.open_table(colfits(tmp_path / "t.fits"))
    assert [frame.height for frame in source.frames(1000, list(source.schema))] == [2, 1]
    assert source.read().to_dict(as_series=False) == RIGHT


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = colfits(tmp_path / "t.fits")
    path.write_bytes(path.read_bytes()[:-2840])
    with pytest.raises(InputError, match="NAXIS2 says 1 rows, the file ends after 0"):
        io.read(path)


@pytest.mark.parametrize("vectors", [[[1, 2, 3]], [[[1], [2]]]])
def test_one_row_of_vectors_stays_one_row(tmp_path: Path, vectors: list[object]) -> None:
    values = np.array(vectors)
    table = pl.DataFrame({"a": values, "b": values})
    io.write(table, tmp_path / "ours.fits")
    assert io.read(tmp_path / "ours.fits").equals(table)
    form, dim = f"{values.size}K", "(3)" if values.ndim == 2 else None
    columns = [fits.Column(name, form, dim=dim, array=values.reshape(1, -1)) for name in "ab"]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "theirs.fits")
    source = io.open_table(tmp_path / "theirs.fits")
    assert source.read()["a"].to_list() == values.reshape(1, -1).tolist()
    assert f"TOPCAT would read {values.size} rows" in source.notes[0]
