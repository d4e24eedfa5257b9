"""Numbers with offsets, factors and nulls: whole numbers stay whole, and what the header calls null is null."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from starscale import io
from starscale.vocabulary.errors import InputError
from support.often import OFTEN
from support.versions import masks_of_astropy


def stored(path: Path, form: str, values: Any, **keywords: object) -> Path:
    """Write one column ``n`` of stored numbers, with keywords that say what they mean."""
    hdu = fits.BinTableHDU.from_columns([fits.Column("n", form, array=np.array(values))])
    hdu.writeto(path)
    with fits.open(path, mode="update", disable_image_compression=True) as file:
        for key, value in keywords.items():
            file[1].header[f"{key}1"] = value
        # A comment of astropy says that astropy wrote the file.
        file[1].header.comments["NAXIS1"] = str(keywords.get("comment", ""))
    return path


@pytest.mark.parametrize(
    ("form", "values", "keywords", "right", "dtype"),
    [
        ("J", [1, 2], {"TZERO": 1000000}, [1000001, 1000002], pl.Int64),
        ("J", [1, 2], {"TZERO": 1e6}, [1000001, 1000002], pl.Int64),
        ("K", [1, -5], {"TZERO": 2**62 + 1}, [2**62 + 2, 2**62 - 4], pl.Int64),
        ("K", [2**62, 3], {"TSCAL": 1, "TZERO": 7}, [2**62 + 7, 10], pl.Int64),
        ("K", [-1, 0], {"TZERO": 2**63 + 5}, [2**63 + 4, 2**63 + 5], pl.UInt64),
        ("I", [3, -4], {"TSCAL": 10}, [30, -40], pl.Int64),
        ("I", [3, -4], {"TSCAL": -10.0, "TZERO": 32768}, [32738, 32808], pl.Int64),
        ("B", [0, 255], {"TZERO": -1000}, [-1000, -745], pl.Int64),
        ("B", [0, 255], {"TZERO": -128}, [-128, 127], pl.Int8),
        ("I", [-32768, 32767], {"TZERO": 32768.0}, [0, 65535], pl.UInt16),
        ("I", [1, 2], {"TSCAL": 0.5, "TZERO": 10.0}, [10.5, 11.0], pl.Float64),
        ("I", [1, 2], {"TSCAL": 1e300}, [1e300, 2e300], pl.Float64),
        ("E", [1, 2], {"TZERO": 1000000}, [1000001.0, 1000002.0], pl.Float64),
        ("J", [1, -9], {"TZERO": 1000, "TNULL": -9}, [1001, None], pl.Int64),
        ("K", [-(2**63), 1], {"TZERO": -5, "TNULL": -(2**63)}, [None, -4], pl.Int64),
        ("D", [-99.0, 1.5], {"TNULL": -99}, [None, 1.5], pl.Float64),
        ("E", [-99.9, 1.5], {"TNULL": "-99.9"}, [None, 1.5], pl.Float32),
        ("2J", [[1, 2], [3, 4]], {"TZERO": 10, "TNULL": 4}, [[11, 12], [13, None]], pl.Array(pl.Int64, 2)),
        ("C", [1 + 2j, 3j], {"TSCAL": 2, "TZERO": 10}, [[12.0, 4.0], [10.0, 6.0]], pl.Array(pl.Float64, 2)),
    ],
)
def test_offsets_and_factors(
    tmp_path: Path, form: str, values: list[Any], keywords: dict[str, object], right: list[Any], dtype: pl.DataType
) -> None:
    path = stored(tmp_path / "t.fits", form, values, **keywords)
    assert_frame_equal(io.read(path), pl.DataFrame({"n": pl.Series(right, dtype=dtype)}), check_exact=True)
    assert io.open_table(path).schema == {"n": dtype}


def test_a_number_beyond_64_bits_is_an_error(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.fits", "K", [2**63 - 1], TZERO=1)
    with pytest.raises(InputError, match="'n' with TSCAL 1 and TZERO 1 holds a number beyond 64 bits"):
        io.read(path)


def test_an_infinite_offset_is_an_error(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.fits", "K", [1], TZERO=1e100, TNULL=1)
    raw = path.read_bytes()
    assert raw.count(b"1E+100") == 1
    path.write_bytes(raw.replace(b"1E+100", b"1E+999"))
    with pytest.raises(InputError, match="TZERO is inf, expected a finite number"):
        io.open_table(path)


@pytest.mark.parametrize(
    ("null", "comment", "right"),
    [
        # The stored number, as the standard means it: 5 + 32768.
        (5, "", [5, None, 32773 + 1]),
        (-32763, "", [None, 32773, 32774]),
        # No stored number: only astropy can have meant it so.
        (32773, "", [5, None, 32774]),
        # As astropy writes it.
        (5, "length of dimension 1", [None, 32773, 32774]),
    ],
)
def test_the_null_of_an_unsigned_column(tmp_path: Path, null: int, comment: str, right: list[int | None]) -> None:
    path = stored(tmp_path / "t.fits", "I", [-32763, 5, 6], TZERO=32768, TNULL=null, comment=comment)
    assert io.read(path)["n"].to_list() == right


KINDS = ("u1", "i2", "u2", "i4", "u4", "i8", "u8")


@masks_of_astropy
def test_masked_numbers_of_astropy(tmp_path: Path) -> None:
    mask = [False, True, False]
    table = Table({kind: MaskedColumn(np.array([1, 2, 3], kind), mask=mask) for kind in KINDS})
    table["f"] = MaskedColumn([1.5, 2.5, 3.5], mask=mask)
    table["v"] = MaskedColumn(np.arange(6).reshape(3, 2), mask=[[0, 1], [0, 0], [1, 1]])
    table["s"] = MaskedColumn(["a", "b", "c"], mask=mask)
    table.write(tmp_path / "t.fits")
    back = io.read(tmp_path / "t.fits").to_dict(as_series=False)
    assert {kind: back[kind] for kind in KINDS} == {kind: [1, None, 3] for kind in KINDS}
    assert (back["f"], back["v"], back["s"]) == (
        [1.5, None, 3.5],
        [[0, None], [2, 3], [None, None]],
        ["a", None, "c"],
    )


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Int64])
def test_nulls_of_any_integers_are_read_by_astropy(tmp_path: Path, dtype: pl.DataType) -> None:
    ends = pl.select(low=dtype.min(), high=dtype.max()).row(0)  # type: ignore[attr-defined]
    for values in ([0, None, 7], [int(ends[0]), None, 0], [int(ends[1]), None, 1], [None, None]):
        table = pl.DataFrame({"n": pl.Series(values, dtype=dtype)})
        io.write(table, tmp_path / "t.fits")
        assert_frame_equal(io.read(tmp_path / "t.fits"), table)
        # Next to the largest number of all, only a stored null is left that astropy does not understand.
        if not (dtype == pl.UInt64 and ends[1] in values):
            assert Table.read(tmp_path / "t.fits")["n"].tolist() == values


def test_a_logical_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    hdu = fits.BinTableHDU.from_columns([fits.Column("a", "L", array=np.ones(5, bool))])
    hdu.writeto(path)
    raw = bytearray(path.read_bytes())
    raw[-2880:-2875] = b"TF\0 T"
    path.write_bytes(bytes(raw))
    assert io.read(path)["a"].to_list() == [True, False, None, None, True]
    raw[-2880] = 1
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError, match="column 'a' of logical values holds the byte 1, expected T, F or 0"):
        io.read(path)


LIMITS = {"B": (0, 2**8 - 1), "I": (-(2**15), 2**15 - 1), "J": (-(2**31), 2**31 - 1), "K": (-(2**63), 2**63 - 1)}
offsets = st.sampled_from(sorted(LIMITS)).flatmap(
    lambda code: st.tuples(
        st.just(code),
        st.lists(st.integers(*LIMITS[code]), min_size=1, max_size=6),
        st.sampled_from([1, 1, 1, 2, -3, 1000]),
        st.integers(-(2**63), 2**64 - 1) | st.integers(-99, 99) | st.sampled_from([-128, 2**15, 2**31, 2**63]),
        st.none() | st.integers(0, 5),
    )
)


def in_exact_numbers(folder: Path, drawn: tuple[str, list[int], int, int, int | None]) -> None:
    """Compare with Python's integers, which have no limit."""
    code, values, scale, zero, place = drawn
    null = None if place is None else values[place % len(values)]
    raw = np.array(values, {"B": "u1", "I": "i2", "J": "i4", "K": "i8"}[code])
    (folder / "t.fits").unlink(missing_ok=True)
    keywords = {"TSCAL": scale, "TZERO": zero} | ({} if null is None else {"TNULL": null})
    path = stored(folder / "t.fits", code, raw, **keywords)
    right = [None if value == null else zero + scale * value for value in values]
    known = [value for value in right if value is not None]
    ends = (0, 2**64 - 1) if io.open_table(path).schema["n"] in (pl.UInt64, pl.UInt16, pl.UInt32) else None
    low, high = ends or (-(2**63), 2**63 - 1)
    if io.open_table(path).schema["n"] == pl.Float64:
        # No integer type holds all that could be stored.
        assert io.read(path)["n"].to_list() == pytest.approx(right)
    elif known and (min(known) < low or max(known) > high):
        with pytest.raises(InputError, match="beyond 64 bits"):
            io.read(path)
    else:
        assert io.read(path)["n"].to_list() == right


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=offsets)
def test_any_offset_is_exact(tmp_path: Path, drawn: tuple[str, list[int], int, int, int | None]) -> None:
    in_exact_numbers(tmp_path, drawn)


@pytest.mark.slow
@settings(max_examples=400 * OFTEN, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=offsets)
def test_many_offsets_are_exact(tmp_path: Path, drawn: tuple[str, list[int], int, int, int | None]) -> None:
    in_exact_numbers(tmp_path, drawn)
