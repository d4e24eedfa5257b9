"""Texts, vectors and cells of varying length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits

from starscale import io
from starscale.vocabulary.errors import InputError


def records(path: Path, data: bytes, rows: int, *, heap: bytes = b"", gap: int = 0, **keywords: object) -> Path:
    """Write bytes as a binary table; columns are described by the keywords."""
    header = fits.Header(
        [
            ("XTENSION", "BINTABLE"),
            ("BITPIX", 8),
            ("NAXIS", 2),
            ("NAXIS1", len(data) // rows if rows else 0),
            ("NAXIS2", rows),
            ("PCOUNT", gap + len(heap)),
            ("GCOUNT", 1),
            ("TFIELDS", sum(key.startswith("TFORM") for key in keywords)),
        ]
    )
    header.update(keywords)
    if gap:
        header["THEAP"] = len(data) + gap
    data += b"\xff" * gap + heap
    primary = fits.PrimaryHDU().header.tostring().encode()
    path.write_bytes(primary + header.tostring().encode() + data + b"\0" * (-len(data) % 2880))
    return path


def test_padded_texts(tmp_path: Path) -> None:
    data = b"ab  " + b"ab\0\0" + b"\0xyz" + b"    " + b" ab " + b"a\0b\xff" + b"caf\xe9" + b"\xc3\xa9t\xc3"
    path = records(tmp_path / "t.fits", data, 8, TTYPE1="s", TFORM1="4A")
    assert io.read(path)["s"].to_list() == ["ab", "ab", None, None, " ab", "a", "café", "Ã©tÃ"]
    # The decoding of a cell does not depend on the others.
    assert pl.concat(io.open_table(path).batches(1))["s"].to_list() == io.read(path)["s"].to_list()


@pytest.mark.parametrize(
    ("form", "dim", "right"),
    [
        ("6A", "(3,2)", ["abc", "def"]),
        ("6A3", "", ["abc", "def"]),
        ("6A", "(2,2)", ["ab", "cd"]),
        ("6A", "(6)", "abcdef"),
        ("6A", "(4,4)", "abcdef"),
        ("6A", "(2,1,3)", [["ab"], ["cd"], ["ef"]]),
        ("6B", "(2,2)", [[97, 98], [99, 100]]),
        ("6B", "(6)", list(b"abcdef")),
        ("6B", "(7)", list(b"abcdef")),
    ],
)
def test_vectors(tmp_path: Path, form: str, dim: str, right: object) -> None:
    path = records(tmp_path / "t.fits", b"abcdef", 1, TTYPE1="s", TFORM1=form, TDIM1=dim)
    assert io.read(path)["s"].to_list() == [right]


def test_bits(tmp_path: Path) -> None:
    path = records(
        tmp_path / "t.fits",
        bytes([0b10100000, 0b01000000, 0b10000000]),
        1,
        TFORM1="X",
        TFORM2="10X",
        TTYPE1="one",
        TTYPE2="ten",
    )
    assert io.read(path).row(0) == (True, [False, True] + [False] * 6 + [True, False])


@pytest.mark.parametrize("gap", [0, 13])
@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
def test_cells_of_varying_length(tmp_path: Path, gap: int, suffix: str) -> None:
    heap = np.array([1, 2, 3, 4], ">i2").tobytes() + b"abc  \0" + bytes([0b10110000, 0b01000000]) + b"TF\0"
    heap += np.array([1.5, np.nan], ">f4").tobytes()
    pointers = [
        # Cells may share bytes, in any order.
        [(3, 2), (6, 8), (9, 14), (3, 16), (1, 19)],
        [(0, 999), (0, 0), (0, 0), (0, 0), (0, 0)],
        [(1, 0), (1, 10), (3, 14), (1, 17), (0, 0)],
    ]
    data = np.array(pointers, ">i4").tobytes()
    forms = {"TFORM1": "PI(3)", "TFORM2": "1PA(6)", "TFORM3": "PX", "TFORM4": "1PL", "TFORM5": "PC(1)"}
    path = records(tmp_path / "t.fits", data, 3, heap=heap, gap=gap, TNULL1=3, **forms)
    if suffix == ".fits.gz":
        import gzip

        packed = tmp_path / "t.fits.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    bits = [True, False, True, True, False, False, False, False, False]
    assert io.read(path).rows() == [
        ([2, None, 4], "abc", bits, [True, False, None], [[1.5, None]]),
        ([], None, [], [], []),
        ([1], "c", bits[:3], [False], []),
    ]
    assert io.read(path).schema == io.open_table(path).schema


def test_64_bit_pointers_with_offsets(tmp_path: Path) -> None:
    heap = np.array([-(2**63), 2**63 - 1], ">i8").tobytes()
    data = np.array([[2, 0], [1, 8]], ">i8").tobytes()
    path = records(tmp_path / "t.fits", data, 2, heap=heap, TFORM1="QK", TZERO1=2**63)
    assert io.read(path)["column_1"].to_list() == [[0, 2**64 - 1], [2**64 - 1]]


@pytest.mark.parametrize("pointer", [(5, 0), (1, 9), (-1, 0), (1, -2), (2**31 - 1, 0)])
def test_pointers_beyond_the_heap(tmp_path: Path, pointer: tuple[int, int]) -> None:
    data = np.array([pointer], ">i4").tobytes()
    path = records(tmp_path / "t.fits", data, 1, heap=b"\0" * 8, TFORM1="PI")
    with pytest.raises(InputError, match="points beyond the end of the heap"):
        io.read(path)


def test_columns_without_width_and_tables_without_columns(tmp_path: Path) -> None:
    forms = {"TFORM1": "0J", "TFORM2": "B", "TFORM3": "0A", "TFORM4": "0PJ"}
    path = records(tmp_path / "t.fits", b"\1\2", 2, **forms)
    table = io.read(path)
    assert table["column_2"].to_list() == [1, 2]
    assert [table[name].null_count() for name in ("column_1", "column_3", "column_4")] == [2, 2, 2]
    nothing = io.open_table(records(tmp_path / "u.fits", b"", 0))
    assert (nothing.n_rows, nothing.read().shape) == (0, (0, 0))


def test_wide_rows_are_read_in_small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starscale.io.fits.records._MOST_BYTES", 10_000)
    io.write(pl.DataFrame({"v": np.arange(20_000.0).reshape(10, 2000)}), tmp_path / "t.fits")
    source = io.open_table(tmp_path / "t.fits")
    assert [frame.height for frame in source.frames(1000, ["v"])] == [1] * 10
    assert source.read()["v"].to_list()[9][-1] == 19_999
