"""FITS binary tables of every kind that the standard knows, as astropy writes them."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits

from starscale import io
from starscale.io.fits.text import from_card, to_card
from starscale.vocabulary.errors import InputError


def made(path: Path, *columns: fits.Column, name: str = "STARS") -> Path:
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def test_every_kind_of_column(tmp_path: Path) -> None:
    ragged = np.empty(3, dtype=object)
    ragged[:] = [np.array([1, 2], np.int32), np.array([], np.int32), np.array([3], np.int32)]
    path = made(
        tmp_path / "t.fits",
        fits.Column("b", "B", array=np.array([0, 7, 255], np.uint8), null=7),
        fits.Column("i", "I", array=np.array([-32768, 2, 3], np.int16), null=-32768),
        fits.Column("k", "K", array=np.array([2**63 - 1, -(2**63) + 1, 5])),
        fits.Column("i1", "B", bzero=-128, array=np.array([-128, 0, 127], np.int8)),
        fits.Column("u2", "I", bzero=2**15, array=np.array([0, 1, 2**16 - 1], np.uint16)),
        fits.Column("u4", "J", bzero=2**31, array=np.array([0, 1, 2**32 - 1], np.uint32)),
        fits.Column("u8", "K", bzero=2**63, array=np.array([0, 1, 2**64 - 1], np.uint64)),
        fits.Column("e", "E", array=np.array([1.5, np.nan, -np.inf], np.float32)),
        fits.Column("d", "D", array=np.array([1.5, np.nan, 0.1])),
        fits.Column("l", "L", array=np.array([True, False, True])),
        fits.Column("a", "6A", array=np.array(["ab  ", "", "c d"])),
        fits.Column("x", "3X", array=np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]], bool)),
        fits.Column("c", "C", array=np.array([1 + 2j, 0, -1j], np.complex64)),
        fits.Column("v", "2E", array=np.array([[1, 2], [3, np.nan], [5, 6]], np.float32)),
        fits.Column("m", "6J", dim="(3,2)", array=np.arange(18, dtype=np.int32).reshape(3, 2, 3)),
        fits.Column("p", "PJ()", array=ragged),
        fits.Column("w", "6A", dim="(3,2)", array=np.array([["abc", "d"], ["", "e"], ["f", "g"]])),
    )
    table = io.read(path)
    assert table.to_dict(as_series=False) == {
        "b": [0, None, 255],
        "i": [None, 2, 3],
        "k": [2**63 - 1, -(2**63) + 1, 5],
        "i1": [-128, 0, 127],
        "u2": [0, 1, 2**16 - 1],
        "u4": [0, 1, 2**32 - 1],
        "u8": [0, 1, 2**64 - 1],
        "e": [1.5, None, -np.inf],
        "d": [1.5, None, 0.1],
        "l": [True, False, True],
        "a": ["ab", None, "c d"],
        "x": [[True, False, True], [False] * 3, [True] * 3],
        "c": [[1.0, 2.0], [0.0, 0.0], [0.0, -1.0]],
        "v": [[1.0, 2.0], [3.0, None], [5.0, 6.0]],
        "m": np.arange(18).reshape(3, 2, 3).tolist(),
        "p": [[1, 2], [], [3]],
        "w": [["abc", "d"], [None, "e"], ["f", "g"]],
    }
    assert table.schema == io.open_table(path).schema
    assert pl.concat(io.open_table(path).batches(2)).equals(table)


def test_scaled_numbers(tmp_path: Path) -> None:
    path = made(tmp_path / "t.fits", fits.Column("s", "I", array=np.array([1, 2, -9], np.int16), null=-9))
    fits.setval(path, "TSCAL1", value=0.5, ext=1)
    fits.setval(path, "TZERO1", value=10.0, ext=1)
    assert io.read(path)["s"].to_list() == [10.5, 11.0, None]


def test_units_and_keywords(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    hdu = fits.BinTableHDU.from_columns([fits.Column("pm", "D", unit="mas/yr", array=[1.0])])
    hdu.header["TUCD1"] = "pos.pm"
    hdu.header["TCOMM1"] = "a long comment " * 12
    hdu.header["ORIGIN"] = "an observatory"
    hdu.header["HIERARCH ESO long key"] = 5
    hdu.header.add_history("first")
    hdu.header.add_history("second")
    hdu.writeto(path)
    source = io.open_table(path)
    column = source.columns["pm"]
    assert (column.unit, column.ucd, column.description) == ("mas/yr", "pos.pm", ("a long comment " * 12).strip())
    assert source.metadata["ORIGIN"] == "an observatory"
    assert source.metadata["HISTORY"] == "first\nsecond"
    assert "5" in source.metadata.values()
    assert not any(key.startswith(("TTYPE", "TFORM", "NAXIS")) for key in source.metadata)


def test_extensions_are_chosen_by_number_or_name(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    tables = [
        fits.BinTableHDU.from_columns([fits.Column(name, "J", array=[i])], name=f"PART_{name}")
        for i, name in enumerate("ab", 1)
    ]
    image = fits.ImageHDU(np.zeros((30, 50)), name="MAP")
    fits.HDUList([fits.PrimaryHDU(np.zeros(10)), image, *tables]).writeto(path)
    assert io.read(path).columns == ["a"]
    assert io.read(f"{path}#3").columns == ["b"]
    assert io.read(f"{path}#part_b").columns == ["b"]
    with pytest.raises(InputError, match="Did you mean 'PART_A'"):
        io.read(f"{path}#PARTA")
    with pytest.raises(InputError, match="extension of kind IMAGE"):
        io.read(f"{path}#MAP")
    path.rename(tmp_path / "t#1.fits")
    assert io.read(tmp_path / "t#1.fits").columns == ["a"]


def test_repeated_names(tmp_path: Path) -> None:
    path = made(tmp_path / "t.fits", fits.Column("a", "J", array=[1]), fits.Column("b", "J", array=[2]))
    content = path.read_bytes().replace(b"TTYPE2  = 'b       '", b"TTYPE2  = 'a       '")
    path.write_bytes(content)
    assert io.read(path).to_dict(as_series=False) == {"a": [1], "a_2": [2]}


def test_texts_that_are_not_ascii(tmp_path: Path) -> None:
    path = made(tmp_path / "t.fits", fits.Column("a", "4A", array=np.array([b"caf\xe9", b"abc"])))
    assert io.read(path)["a"].to_list() == ["café", "abc"]


def test_an_image_is_no_table(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((5, 5))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match=r"has no table \(it holds: 0 PRIMARY\)"):
        io.read(tmp_path / "image.fits")


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_short_says_how_many_rows_are_there(tmp_path: Path, packed: bool) -> None:
    path = made(tmp_path / "t.fits", fits.Column("a", "K", array=np.arange(5000)))
    content = path.read_bytes()[: -(5000 * 8 // 2)]
    path = tmp_path / "cut.fits.gz"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match=r"NAXIS2 says 5000 rows, the file ends after \d+.*cut short"):
        io.read(path)


def test_a_header_that_contradicts_itself(tmp_path: Path) -> None:
    path = made(tmp_path / "t.fits", fits.Column("a", "K", array=np.arange(5)))
    good = path.read_bytes()
    path.write_bytes(good.replace(b"NAXIS2  =                    5", b"NAXIS2  =              5000000"))
    with pytest.raises(InputError, match="NAXIS2 says 5000000 rows"):
        io.open_table(path)
    path.write_bytes(good.replace(b"NAXIS1  =                    8", b"NAXIS1  =                    9"))
    with pytest.raises(InputError, match="columns take 8 bytes of a row, NAXIS1 says 9"):
        io.open_table(path)
    path.write_bytes(good.replace(b"TFORM1  = 'K       '", b"TFORM1  = 'Z       '"))
    with pytest.raises(InputError, match="TFORM1 = 'Z'"):
        io.open_table(path)
    path.write_bytes(good[:4000])
    with pytest.raises(InputError, match="damaged FITS file"):
        io.open_table(path)


def test_more_columns_than_fits_allows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at most 999"):
        io.write(pl.DataFrame({f"c{i}": [0] for i in range(1000)}), tmp_path / "t.fits")


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
def test_batches_hold_a_small_part_of_the_file(tmp_path: Path, suffix: str) -> None:
    rows = 200_000
    path = tmp_path / f"t{suffix}"
    io.write(pl.DataFrame({f"c{i}": np.zeros(rows) for i in range(10)}), path)
    source = io.open_table(path)
    tracemalloc.start()
    total = sum(batch.height for batch in source.batches(5_000, ["c3"]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == rows
    # The table takes 16 MB, a batch 0.4 MB.
    assert peak < 3e6


def test_the_same_table_gives_the_same_file(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1, None], "s": ["x", "y"]})
    for suffix in (".fits", ".fits.gz", ".parquet", ".csv"):
        io.write(table, tmp_path / f"a{suffix}", metadata={"k": "v"})
        io.write(table, tmp_path / f"b{suffix}", metadata={"k": "v"})
        assert io.checksum(tmp_path / f"a{suffix}") == io.checksum(tmp_path / f"b{suffix}")


@pytest.mark.parametrize("text", ["plain", "é ω 𝛼", "line\nbreak", "blank ", "\\u00e9 \\alpha \\u", "it's &", ""])
def test_header_texts(text: str) -> None:
    card = to_card(text)
    assert card.isascii()
    assert card == card.rstrip()
    assert from_card(card) == text


@pytest.mark.parametrize(
    ("key", "value"),
    [("NAXIS2", "-3"), ("PCOUNT", "'7 x'"), ("NAXIS", "T T"), ("TFIELDS", "1E999"), ("THEAP", "-1")],
)
def test_a_header_whose_numbers_make_no_sense_is_refused_with_the_keyword(
    tmp_path: Path, key: str, value: str
) -> None:
    path = tmp_path / "t.fits"
    io.write(pl.DataFrame({"a": [1, 2]}), path)
    raw = bytearray(path.read_bytes())
    # The header of the table is the second one; an unused card receives a keyword that is not there.
    place = raw.find(f"{key:<8}=".encode(), 2880)
    place = raw.find(b"END     ", 2880) if place < 0 else place
    if raw[place : place + 3] == b"END":
        raw[place + 80 : place + 160] = b"END".ljust(80)
    raw[place : place + 80] = f"{key:<8}= {value:>20}".encode().ljust(80)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=rf"damaged FITS file \((header 1: .*)?{key}|header 1"):
        io.open_table(path)
