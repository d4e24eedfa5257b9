"""DATASUM and CHECKSUM: written, verified, and not in the way of a user who knows better."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale import io
from starscale.io.fits.sums import ONES, ByteSum, encoded, same
from starscale.vocabulary.errors import InputError

TABLE = pl.DataFrame({"id": range(5000), "x": np.random.default_rng(1).random(5000), "s": ["ab"] * 5000})


def astropy_agrees(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, checksum=True) as file:
            for hdu in file:
                assert hdu.verify_checksum() == hdu.verify_datasum() == 1
                assert hdu.data is None or len(hdu.data) == TABLE.height


def written(folder: Path, kind: str) -> Path:
    """Write a table with sums."""
    path = folder / f"{kind}.fits"
    if kind in ("ours", "gzip"):
        path = folder / f"{kind}.fits{'.gz' if kind == 'gzip' else ''}"
        io.write(TABLE, path, metadata={"key": "text"})
        return path
    ragged = np.empty(TABLE.height, dtype=object)
    ragged[:] = [np.arange(i % 4, dtype=np.int32) for i in range(TABLE.height)]
    columns = [fits.Column("id", "K", array=TABLE["id"].to_numpy())]
    if kind == "heap":
        columns.append(fits.Column("p", "PJ()", array=ragged))
    hdu = fits.BinTableHDU.from_columns(columns)
    if kind == "ascii":
        hdu = fits.TableHDU.from_columns([fits.Column("id", "I7", ascii=True, array=TABLE["id"].to_numpy())])
    elif kind == "columnar":
        columns = [
            fits.Column(name, "5000K", dim="(1,5000)", array=TABLE["id"].to_numpy().reshape(1, -1, 1))
            for name in ("id", "n")
        ]
        hdu = fits.BinTableHDU.from_columns(columns)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, checksum=True)
    return path


KINDS = ("ours", "gzip", "theirs", "heap", "ascii", "columnar")


@pytest.mark.parametrize("kind", ["ours", "gzip"])
def test_astropy_verifies_what_is_written(tmp_path: Path, kind: str) -> None:
    astropy_agrees(written(tmp_path, kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0.6, 0.9, 0.999])
def test_a_changed_byte_is_an_error(tmp_path: Path, kind: str, place: float) -> None:
    path = written(tmp_path, kind)
    assert io.read(path)["id"].to_list() == TABLE["id"].to_list()
    raw = bytearray(gzip.decompress(path.read_bytes()) if kind == "gzip" else path.read_bytes())
    size = 8640 if kind != "ours" and kind != "gzip" else 5760
    # A byte of the data; the last block holds padding too.
    at = size + int(place * (len(raw) - size - 2880))
    raw[at] ^= 1
    path.write_bytes(gzip.compress(raw) if kind == "gzip" else raw)
    source = io.open_table(path)
    with pytest.raises(InputError, match=r"#1: fails its checksum \(DATASUM is \d+, the data give \d+\)") as error:
        source.read(["id"])
    assert "starscale convert --ignore-checksum" in str(error.value)
    # Also where reading begins behind it.
    with pytest.raises(InputError, match="fails its checksum"):
        list(io.open_table(path).batches(1000, ["id"], skip=4999))
    assert io.open_table(path, verify=False).read(["id"]).height == TABLE.height


def test_a_changed_header_is_an_error(tmp_path: Path) -> None:
    for kind in ("ours", "gzip"):
        path = written(tmp_path, kind)
        raw = gzip.decompress(path.read_bytes()) if kind == "gzip" else path.read_bytes()
        raw = raw.replace(b"'text", b"'tex7")
        path.write_bytes(gzip.compress(raw) if kind == "gzip" else raw)
        with pytest.raises(InputError, match=r"fails its checksum \(.*header.* CHECKSUM"):
            io.read(path)
        assert io.open_table(path, verify=False).metadata["key"] == "tex7"


@pytest.mark.parametrize("kind", ["ours", "theirs"])
def test_sums_that_astropy_copied_from_another_file_are_not_verified(tmp_path: Path, kind: str) -> None:
    """A table of astropy keeps them with its metadata, and writes them although its rows are others."""
    whole = written(tmp_path, kind)
    assert not any("copied" in note for note in io.open_table(whole).notes)
    chosen = Table.read(whole)[10:20]
    assert "CHECKSUM" in chosen.meta
    chosen.write(tmp_path / "chosen.fits")
    source = io.open_table(tmp_path / "chosen.fits")
    assert source.read()["id"].to_list() == list(range(10, 20))
    assert any("were copied from another file" in note for note in source.notes)


@pytest.mark.parametrize("left", ["DATASUM", "CHECKSUM"])
def test_one_sum_is_enough(tmp_path: Path, left: str) -> None:
    path = written(tmp_path, "ours")
    raw = path.read_bytes()
    gone = "CHECKSUM" if left == "DATASUM" else "DATASUM"
    if left == "DATASUM":
        raw = raw.replace(b"CHECKSUM=", b"OTHERSUM=")
    else:
        with fits.open(path, mode="update", checksum=False) as file:
            del file[1].header[gone]
            file[1].header["CHECKSUM"] = "0" * 16
        raw = path.read_bytes()
        whole = ByteSum()
        whole.add(raw[2880:])
        raw = raw.replace(b"'" + b"0" * 16, b"'" + encoded(whole.value).encode())
    path.write_bytes(raw)
    assert io.read(path).equals(TABLE)
    path.write_bytes(raw[:-4000] + b"?" + raw[-3999:])
    with pytest.raises(InputError, match="fails its checksum"):
        io.read(path)


@pytest.mark.parametrize("value", ["", "0000000000000000"])
def test_a_checksum_that_is_not_known_yet(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, "theirs")
    raw = bytearray(path.read_bytes())
    for key, text in (("CHECKSUM", value), ("DATASUM", "")):
        at = raw.index(f"{key:<8}= '".encode(), 2880) + 10
        raw[at : at + 18] = f"'{text}'".ljust(18).encode()
    path.write_bytes(raw)
    assert fits.getheader(path, 1)["CHECKSUM"] == value
    assert io.read(path).height == TABLE.height


def test_a_sum_that_is_no_number(tmp_path: Path) -> None:
    path = written(tmp_path, "theirs")
    raw = bytearray(path.read_bytes())
    at = raw.index(b"DATASUM = '", 2880) + 10
    raw[at : at + 20] = b"'unknown'".ljust(20)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="DATASUM is unknown"):
        io.read(path)


def test_nothing_is_verified_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = io.open_table(written(tmp_path, "ours"))
    source.read(["x"])
    monkeypatch.setattr(ByteSum, "add", lambda *_: pytest.fail("summed again"))
    assert source.read(["id"]).height == TABLE.height


@settings(max_examples=30, deadline=None)
@given(blocks=st.lists(st.binary(max_size=9)))
def test_sums_are_those_of_the_standard(blocks: list[bytes]) -> None:
    found = ByteSum()
    for block in blocks:
        found.add(block)
    whole = b"".join(blocks)
    whole += b"\0" * (-len(whole) % 4)
    # Ones' complement: overflow is added at the other end.
    right = 0
    for start in range(0, len(whole), 4):
        right += int.from_bytes(whole[start : start + 4], "big")
        right = (right & ONES) + (right >> 32)
    assert same(found.value, right)
    # The text at its place in a card adds up to the complement.
    card = f"CHECKSUM= '{encoded(found.value)}'".ljust(80).encode()
    before, after = ByteSum(), ByteSum()
    before.add(card.replace(encoded(found.value).encode(), b"0" * 16))
    after.add(card)
    assert encoded(found.value).isalnum()
    assert same(found.value + after.value - before.value, 0)
