"""Headers: several tables in a file, frames and epochs, names, and headers without an end."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits

from starscale import io
from starscale.vocabulary.errors import InputError


def table(name: str, rows: int = 1, **keywords: object) -> fits.BinTableHDU:
    hdu = fits.BinTableHDU.from_columns([fits.Column(name or "a", "J", array=np.arange(rows))], name=name)
    hdu.header.update(keywords)
    return hdu


@pytest.mark.parametrize("packed", [False, True])
def test_other_tables_are_listed(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "t.fits"
    lines = fits.TableHDU.from_columns([fits.Column("c", "I4", ascii=True, array=np.arange(5))], name="LINES")
    hdus = [fits.PrimaryHDU(np.zeros(5000)), table("STARS", 3), fits.ImageHDU(np.zeros(9)), table("", 7), lines]
    fits.HDUList(hdus).writeto(path)
    if packed:
        path = tmp_path / "t.fits.gz"
        path.write_bytes(gzip.compress((tmp_path / "t.fits").read_bytes()))
    assert io.open_table(path).notes == ("other tables in the file: #3 (7 rows), #4 LINES (5 rows)",)
    assert io.open_table(f"{path}#lines").notes == ("other tables in the file: #1 STARS (3 rows), #3 (7 rows)",)
    assert io.read(f"{path}#lines")["c"].to_list() == list(range(5))
    assert io.read(f"{path}#3").height == 7
    with pytest.raises(InputError, match="no such extension; expected one of: 0 PRIMARY; 1 STARS; 2 IMAGE"):
        io.read(f"{path}#9")


def test_a_long_list_of_tables_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starscale.io.fits.header._MOST_LISTED", 3)
    fits.HDUList([fits.PrimaryHDU(), *(table(f"T{i}") for i in range(9))]).writeto(tmp_path / "t.fits")
    assert io.open_table(tmp_path / "t.fits").notes == ("other tables in the file: #2 T1 (1 rows), ...",)


def test_repeated_names_are_stated(tmp_path: Path) -> None:
    columns = [fits.Column(name, "J", array=[i]) for i, name in enumerate("abc")]
    path = tmp_path / "t.fits"
    fits.BinTableHDU.from_columns(columns).writeto(path)
    path.write_bytes(path.read_bytes().replace(b"TTYPE3  = 'c", b"TTYPE3  = 'a"))
    source = io.open_table(tmp_path / "t.fits")
    assert source.read().rows(named=True) == [{"a": 0, "b": 1, "a_2": 2}]
    assert source.notes == ("the column name 'a' is repeated: its columns are called a, a_2",)


@pytest.mark.parametrize(
    ("keywords", "frame", "epoch"),
    [
        ({}, "", None),
        ({"RADESYS": "ICRS"}, "ICRS", None),
        ({"RADESYS": "icrs", "EQUINOX": 2000.0, "EPOCH": 2015.5}, "ICRS", 2015.5),
        ({"RADECSYS": "FK4", "EQUINOX": 1950.0}, "FK4", None),
        ({"RADESYS": "FK5", "EQUINOX": 1975.0}, "FK5 J1975", None),
        ({"RADESYS": "FK4", "EQUINOX": 1975.0}, "FK4 B1975", None),
        ({"EQUINOX": 1950.0}, "FK4", None),
        ({"EQUINOX": "J2000"}, "FK5", None),
        # EPOCH was the equinox before the keyword EQUINOX.
        ({"EPOCH": 1950.0}, "FK4", None),
        ({"EPOCH": 2000.0}, "FK5", None),
        ({"EPOCH": 2016.0}, "", 2016.0),
        ({"EPOCH": "J2016.0", "RADESYS": "ICRS"}, "ICRS", 2016.0),
        ({"EPOCH": "now"}, "", None),
    ],
)
def test_frame_and_epoch(tmp_path: Path, keywords: dict[str, object], frame: str, epoch: float | None) -> None:
    fits.HDUList([fits.PrimaryHDU(), table("a", **keywords)]).writeto(tmp_path / "t.fits")
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(keywords)), table("a")]).writeto(tmp_path / "primary.fits")
    for name in ("t.fits", "primary.fits"):
        source = io.open_table(tmp_path / name)
        assert (source.frame, source.epoch) == (frame, epoch)


def test_our_own_frame_and_epoch(tmp_path: Path) -> None:
    metadata = {"position_system": "ICRS", "position_epoch": "J2016.0"}
    io.write(pl.DataFrame({"ra": [1.0]}), tmp_path / "t.fits", metadata=metadata)
    source = io.open_table(tmp_path / "t.fits")
    assert (source.frame, source.epoch) == ("ICRS", 2016.0)


def test_headers_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starscale.io.fits.cards._LONGEST", 1 << 20)
    first = fits.PrimaryHDU().header.tostring().encode()
    path = tmp_path / "t.fits"
    comments = [b"COMMENT "] * 40_000
    axes = [f"NAXIS{i:<3}= {1:>20}".encode() for i in range(40_000)]
    for cards in (comments, axes):
        path.write_bytes(first + b"".join(card.ljust(80) for card in [b"XTENSION= 'BINTABLE'", *cards]))
        with pytest.raises(InputError, match="header 1: its first 1 MiB have no END card"):
            io.open_table(path)
    path.write_bytes(first + b"XTENSION= 'BINTABLE'".ljust(2880 * 3))
    with pytest.raises(InputError, match="header 1: it has no END card"):
        io.open_table(path)


@pytest.mark.parametrize(
    ("key", "said"),
    [("TFIELDS", "TFIELDS = 1000000000000, expected at most 999"), ("NAXIS", "NAXIS = 10+, expected 2")],
)
def test_numbers_that_count_things_are_bounded(tmp_path: Path, key: str, said: str) -> None:
    fits.HDUList([fits.PrimaryHDU(), table("a", 3)]).writeto(tmp_path / "t.fits")
    raw = (tmp_path / "t.fits").read_bytes()
    at = raw.index(f"{key:<8}= ".encode(), 2880)
    (tmp_path / "t.fits").write_bytes(raw[: at + 10] + f"{10**12:>20}".encode() + raw[at + 30 :])
    with pytest.raises(InputError, match=said):
        io.read(tmp_path / "t.fits")


def test_a_compressed_table_is_refused_with_the_way_out(tmp_path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), table("a", ZTABLE=True)]).writeto(tmp_path / "t.fits")
    with pytest.raises(InputError, match=r"tile-compressed table.*funpack"):
        io.open_table(tmp_path / "t.fits")


def test_descriptions_under_other_keywords(tmp_path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), table("a", TDESC1="described", TUCD1="meta.id")]).writeto(tmp_path / "t.fits")
    column = io.open_table(tmp_path / "t.fits").columns["a"]
    assert (column.description, column.ucd) == ("described", "meta.id")


def test_frame_and_epoch_survive_a_copy(tmp_path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), table("a", RADESYS="FK4", EQUINOX=1975.0, EPOCH=1991.25)]).writeto(
        tmp_path / "t.fits"
    )
    source = io.open_table(tmp_path / "t.fits")
    io.write(source.read(), tmp_path / "u.fits", metadata=source.metadata)
    copy = io.open_table(tmp_path / "u.fits")
    assert (copy.frame, copy.epoch) == (source.frame, source.epoch) == ("FK4 B1975", 1991.25)


def test_columns_beyond_999_of_topcat(tmp_path: Path) -> None:
    """The last column holds the others, which are described by longer keywords (STIL 4.1.3)."""
    more = np.frombuffer(b"\0\1\3\4a" + b"\0\2\5\6b", np.uint8).reshape(2, 5)
    columns = [fits.Column(f"c{i}", "B", array=np.array([i % 256, 1], np.uint8)) for i in range(1, 999)]
    columns.append(fits.Column("XT_MORECOLS", "5B", array=more))
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["XT_ICOL"], hdu.header["XT_NCOL"] = 999, 1001
    hdu.header["TCOMM999"] = "Extension buffer for columns beyond 999"
    for i, (name, form) in enumerate((("c999", "I"), ("v", "2B"), ("s", "1A")), 999):
        hdu.header[f"HIERARCH XT TTYPE{i}"], hdu.header[f"HIERARCH XT TFORM{i}"] = name, form
    hdu.header["HIERARCH XT TUNIT999"] = "mag"
    hdu.header["HIERARCH XT TNULL999"] = 2
    hdu.writeto(tmp_path / "t.fits")
    source = io.open_table(tmp_path / "t.fits")
    assert source.read(["c1", "c998", "c999", "v", "s"]).rows() == [
        (1, 230, 1, [3, 4], "a"),
        (1, 1, None, [5, 6], "b"),
    ]
    assert (source.columns["c999"].unit, source.columns["c999"].description) == ("mag", "")
    assert not any("XT" in key for key in source.metadata)
