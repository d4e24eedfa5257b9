"""Cells of every type, in text and in binary: the values, and what marks a missing one."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from starscale import io
from starscale.vocabulary.errors import InputError
from support.votable_documents import column, document, field, save, stream

INF = math.inf
UCS = "utf-16-be"


def described(about: str) -> str:
    """A FIELD from its datatype, arraysize and null value: ``float 3 null -1``."""
    kind, _, null = about.partition(" null ")
    datatype, _, size = kind.partition(" ")
    return field("x", datatype, null=null or None, **({"arraysize": size} if size else {}))


def values(path: Path, about: str, data: str) -> list[Any]:
    # Not to_list: polars 1.37 fails on lists of lists of texts.
    return io.read(save(path, document(about, data)))["x"].to_arrow().to_pylist()


@pytest.mark.parametrize(
    ("about", "texts", "expected"),
    [
        ("boolean", ["T", "t", "1", "true", "TRUE", "F", "f", "0", "false"], [True] * 5 + [False] * 4),
        ("boolean", ["?", " ", "", "\n?\n"], [None] * 4),
        ("boolean 3", ["T F ?", "", "1 0 1"], [[True, False, None], [None] * 3, [True, False, True]]),
        ("boolean *", ["T F", ""], [[True, False], []]),
        ("bit", ["1", "0", ""], [True, False, None]),
        ("bit 4", ["1 1 0 1", "0010"], [[True, True, False, True], [False, False, True, False]]),
        ("bit *", ["101", ""], [[True, False, True], []]),
        ("unsignedByte null 255", ["0", "255", " 7\n", "0xFE", ""], [0, None, 7, 254, None]),
        ("unsignedByte null -1", ["0", "-1"], [0, None]),
        ("short null -32768", ["32767", "-32768", "+5", "NaN"], [32767, None, 5, None]),
        ("int", ["-2147483648", "0x7fffffff"], [-(2**31), 2**31 - 1]),
        ("long null -9223372036854775808", [str(2**63 - 1), str(-(2**63))], [2**63 - 1, None]),
        ("long 2 null -9", ["1 -9", ""], [[1, None], [None, None]]),
        ("int 3x2", ["1 2 3 4 5 6"], [[[1, 2, 3], [4, 5, 6]]]),
        ("int 2x*", ["1 2 3 4", "", "5,6"], [[[1, 2], [3, 4]], [], [[5, 6]]]),
        ("float null -99.9", ["-99.9", "1.5", "-99.90000153"], [None, 1.5, None]),
        ("double null -99", ["-99.0", "1e5", "\n-99\n"], [None, 1e5, None]),
        ("double", ["NaN", "Inf", "+Inf", "-Infinity", "", ".5", "+1."], [None, INF, INF, -INF, None, 0.5, 1.0]),
        ("float", ["3.4028235e+38", "3.4028235677973362e38"], [3.4028234663852886e38] * 2),
        ("float null 1e40", ["1e40", "inf"], [None, INF]),
        ("int null -99.0", ["-99", "-99.0", "5"], [None, None, 5]),
        ("short null N/A", ["N/A", "5"], [None, 5]),
        ("boolean null U", ["U", "T"], [None, True]),
        ("int null 99999999999999999999", ["99999999999999999999", "5"], [None, 5]),
        ("double *", ["1 NaN", ""], [[1.0, None], []]),
        ("doubleComplex", ["1 2", "3,-4", "", "NaN NaN"], [[1.0, 2.0], [3.0, -4.0], [None, None], [None, None]]),
        ("floatComplex 2", ["1 2 3 4"], [[[1.0, 2.0], [3.0, 4.0]]]),
        ("floatComplex *", ["1 2 3 4", ""], [[[1.0, 2.0], [3.0, 4.0]], []]),
        ("char *", [" a b", "", "  ", "\n  M31\n ", "é"], [" a b", None, None, "M31", "é"]),
        ("char 4*", ["abc", "toolong"], ["abc", "toolong"]),
        ("char 4", ["ab  ", "ab ", "toolong"], ["ab", "ab ", "toolong"]),
        ("char", ["a", " ", "ab"], ["a", None, "ab"]),
        ("char * null N/A", ["N/A", "x"], [None, "x"]),
        ("char *", ["2016-01-01T00:00:00"], ["2016-01-01T00:00:00"]),
        ("char 4x3", ["ab  cd  ef", "abcdefghij", ""], [["ab", "cd", "ef"], ["abcd", "efgh", "ij"], [None] * 3]),
        ("unicodeChar 2x*", ["é ωω", ""], [["é", "ωω"], []]),
        ("string", ["word"], ["word"]),
    ],
)  # fmt: skip
def test_texts_of_cells(tmp_path: Path, about: str, texts: list[str], expected: list[Any]) -> None:
    found = values(tmp_path / "t.vot", described(about), column(*texts))
    assert found == expected


@pytest.mark.parametrize(
    ("about", "raw", "expected"),
    [
        ("boolean", b"Tt1Ff0? \0X", [True] * 3 + [False] * 3 + [None] * 4),
        ("boolean *", struct.pack(">i2si", 2, b"T?", 0), [[True, None], []]),
        ("bit", b"\x80\x00\x08", [True, False, True]),
        ("bit 10", bytes([0b11010000, 0b01111111]), [[True, True, False, True] + [False] * 5 + [True]]),
        ("bit *", struct.pack(">iBi", 3, 0b10111111, 0), [[True, False, True], []]),
        ("unsignedByte null 255", b"\0\xff", [0, None]),
        ("short null -1", struct.pack(">hh", -1, 5), [None, 5]),
        ("long null -9223372036854775808", struct.pack(">qq", -(2**63), 2**63 - 1), [None, 2**63 - 1]),
        ("float null -99.9", struct.pack(">fff", -99.9, 0.25, math.nan), [None, 0.25, None]),
        ("double null -99", struct.pack(">dd", -99, 15.5), [None, 15.5]),
        ("double 2 null -99", struct.pack(">dd", -99, 15.5), [[None, 15.5]]),
        ("int null -99.0", struct.pack(">ii", -99, 5), [None, 5]),
        ("float null 1e40", struct.pack(">ff", INF, 5), [INF, 5.0]),
        ("unsignedByte null 99999999999999999999", b"\0\xff", [0, 255]),
        ("float * null -1", struct.pack(">iff", 2, -1, 3), [[None, 3.0]]),
        ("int 3x2", struct.pack(">6i", *range(6)), [[[0, 1, 2], [3, 4, 5]]]),
        ("doubleComplex", struct.pack(">dd", 1, -2), [[1.0, -2.0]]),
        ("floatComplex *", struct.pack(">iff", 1, 1, 2), [[[1.0, 2.0]]]),
        ("char 4", b"ab  ab \0\0xyz", ["ab", "ab ", None]),
        ("char *", struct.pack(">i3si", 3, "aé".encode(), 0), ["aé", None]),
        ("char *", struct.pack(">i2s", 2, "aé".encode("latin-1")), ["aé"]),
        ("char 0", b"", []),
        ("char * null N/A", struct.pack(">i3s", 3, b"N/A"), [None]),
        ("char 4x3", b"ab  cd\0\0efgh", [["ab", "cd", "efgh"]]),
        ("unicodeChar 3", "é\0xωω ".encode(UCS), ["é", "ωω"]),
        ("unicodeChar *", struct.pack(">i", 2) + "𝛼".encode(UCS), ["𝛼"]),
    ],
)  # fmt: skip
def test_bytes_of_cells(tmp_path: Path, about: str, raw: bytes, expected: list[Any]) -> None:
    found = values(tmp_path / "t.vot", described(about), stream("BINARY", raw))
    assert found == expected


@pytest.mark.parametrize(("count", "text"), [(4, "elements"), (2, "items")])
def test_two_ways_to_count_matrices_of_varying_length(tmp_path: Path, count: int, text: str) -> None:
    del text
    raw = struct.pack(">i4ii", count, 1, 2, 3, 4, 0)
    about = field("x", "int", arraysize="2x*")
    assert values(tmp_path / "t.vot", about, stream("BINARY", raw)) == [[[1, 2], [3, 4]], []]


def test_null_bits(tmp_path: Path) -> None:
    fields = field("x", "int", arraysize="*") + field("y", "short") + field("z", "int", arraysize="2")
    rows = struct.pack(">Biiihii", 0, 2, 5, 6, 3, 7, 8) + struct.pack(">Bihii", 0b11100000, 0, 0, 0, 0)
    path = save(tmp_path / "t.vot", document(fields, stream("BINARY2", rows)))
    assert io.read(path).to_dict(as_series=False) == {
        "x": [[5, 6], None],
        "y": [3, None],
        "z": [[7, 8], [None, None]],
    }


@pytest.mark.parametrize(
    ("about", "text", "expected"),
    [
        ("unsignedByte", "256", "a whole number from 0 to 255"),
        ("short", "40000", "a whole number from -32768 to 32767"),
        ("long", str(2**63), "a whole number"),
        ("int", "1.5", "a whole number"),
        ("int", "1_000", "a whole number"),
        ("float", "1e39", "a number"),
        ("float", "3.40282357e38", "a number"),
        ("double", "1e400", "a number"),
        ("double", "12:30:00", "a number"),
        ("double 2", "1 x", "a number"),
        ("double 2", "1 2 3", "2 values"),
        ("double 2x*", "1 2 3", "a multiple of 2 values"),
        ("boolean", "yes", "a truth value"),
        ("bit", "2", "a bit"),
    ],
)
def test_cells_that_are_no_values(tmp_path: Path, about: str, text: str, expected: str) -> None:
    with pytest.raises(InputError) as error:
        values(tmp_path / "t.vot", described(about), column("", "", text))
    (problem,) = error.value.problems
    assert "in row 3 of column 'x'" in problem.found
    assert problem.expected.startswith(expected)


def test_a_cell_is_found_in_later_chunks(tmp_path: Path) -> None:
    path = save(tmp_path / "t.vot", document(field("x", "int"), column(*["1"] * 5000, "x")))
    with pytest.raises(InputError, match="row 5,001 of column 'x'"):
        list(io.open_table(path).batches(100))


def test_schemas_of_arrays(tmp_path: Path) -> None:
    fields = (
        field("a", "float", arraysize="3x2")
        + field("b", "short", arraysize="*")
        + field("c", "char", arraysize="8x3")
    )
    source = io.open_table(save(tmp_path / "t.vot", document(fields)))
    assert source.schema == pl.Schema(
        {"a": pl.Array(pl.Float32, (2, 3)), "b": pl.List(pl.Int16), "c": pl.Array(pl.String, 3)}
    )
    assert source.read().schema == source.schema
