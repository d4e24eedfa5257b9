"""Random tables: what astropy writes is read with the values it was made from, and the other way round."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
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
from starscale.io.portable import flat

#: astropy (up to 8.0) writes int8 as logicals, so it is left out there.
KINDS = ("u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "bool", "str", "c8", "c16")
#: What astropy cannot state.
UNSTATED = {("bool", "null_value"), ("c8", "null_value"), ("c16", "null_value")}
SHAPES: tuple[tuple[int, ...], ...] = ((), (), (), (1,), (2,), (2, 3), (3, 1, 2))
POLARS: dict[str, Any] = {
    "i1": pl.Int8,
    "i2": pl.Int16,
    "i4": pl.Int32,
    "i8": pl.Int64,
    "u1": pl.UInt8,
    "u2": pl.UInt16,
    "u4": pl.UInt32,
    "u8": pl.UInt64,
    "f4": pl.Float32,
    "f8": pl.Float64,
    "bool": pl.Boolean,
    "str": pl.String,
}
ANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(ANY, max_examples=400)


@dataclass(frozen=True)
class Drawn:
    """A column to make: its type, the shape of a cell, whether it has nulls and how astropy stores them."""

    kind: str
    shape: tuple[int, ...]
    nulls: bool
    method: str


columns = st.lists(
    st.builds(
        Drawn,
        st.sampled_from(KINDS),
        st.sampled_from(SHAPES),
        st.booleans(),
        st.sampled_from(["null_value", "data_mask"]),
    ),
    min_size=1,
    max_size=6,
)


def numbers_of(kind: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Random values: whole ranges of integers, any bits for floats, texts with blanks inside."""
    size = int(np.prod(shape))
    if kind == "str":
        return np.array(["".join(random.choice(list("ab c'"), 4)).strip() or "x" for _ in range(size)]).reshape(
            shape
        )
    if kind == "bool":
        return random.random(shape) < 0.5
    dtype = np.dtype(kind)
    return np.frombuffer(random.bytes(size * dtype.itemsize), dtype).reshape(shape).copy()


def right_of(values: np.ndarray[Any, Any], hidden: np.ndarray[Any, Any]) -> Any:
    """Return the values as lists, with None for what is missing and pairs for complex numbers."""
    if values.dtype.kind == "c":
        parts = right_of(np.stack([values.real, values.imag], -1), np.repeat(hidden[..., None], 2, -1))
        # One number is missing as a whole.
        return (
            parts if values.ndim > 1 else [None if gone else two for two, gone in zip(parts, hidden, strict=True)]
        )
    flat = [
        None if gone or value != value else value
        for value, gone in zip(values.reshape(-1).tolist(), hidden.reshape(-1).tolist(), strict=True)
    ]
    found = np.empty(len(flat), object)
    found[:] = flat
    return found.reshape(values.shape).tolist()


def of_astropy(folder: Path, drawn: list[Drawn], rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    table, right = Table(), {}
    for i, column in enumerate(drawn):
        values = numbers_of(column.kind, (rows, *column.shape), random)
        hidden = random.random(values.shape) < 0.4
        if not column.nulls or (column.kind, column.method) in UNSTATED:
            hidden[...] = False
        table[f"c{i}"] = values
        if hidden.any():
            if values.dtype.kind in "iu":
                # astropy declares this number as null: 999999 in the type of the column, 63 for bytes.
                declared = np.asarray(MaskedColumn(values).fill_value).astype(values.dtype)
                values[values == declared] = 1
            table[f"c{i}"] = MaskedColumn(values, mask=hidden)
            table[f"c{i}"].info.serialize_method["fits"] = column.method
        right[f"c{i}"] = right_of(values, hidden)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.write(folder / "t.fits", overwrite=True)
        with fits.open(folder / "t.fits") as file:
            file.writeto(folder / "sums.fits", checksum=True, overwrite=True)
    for name in ("t.fits", "sums.fits"):
        back = io.read(folder / name)
        assert back.to_dict(as_series=False) == right
        assert back.schema == io.open_table(folder / name).schema
    pieces = list(io.open_table(folder / "t.fits").batches(2))
    assert_frame_equal(pl.concat(pieces), back)


@ANY
@given(drawn=columns, rows=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_tables_of_astropy(tmp_path: Path, drawn: list[Drawn], rows: int, seed: int) -> None:
    of_astropy(tmp_path, drawn, rows, seed)


@pytest.mark.slow
@MANY
@given(drawn=columns, rows=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_many_tables_of_astropy(tmp_path: Path, drawn: list[Drawn], rows: int, seed: int) -> None:
    of_astropy(tmp_path, drawn, rows, seed)


ours = st.lists(st.tuples(st.sampled_from(sorted(POLARS)), st.sampled_from(SHAPES)), min_size=1, max_size=6)


def of_ours(folder: Path, drawn: list[tuple[str, tuple[int, ...]]], rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    series = []
    for i, (kind, shape) in enumerate(drawn):
        values = numbers_of(kind, (rows, *shape), random)
        hidden = random.random(values.shape) < random.choice([0, 0.4])
        dtype = pl.Array(POLARS[kind], shape) if shape else POLARS[kind]
        series.append(pl.Series(f"c{i}", right_of(values, hidden), dtype=dtype))
    table = pl.DataFrame(series)
    io.write(table, folder / "t.fits")
    assert_frame_equal(io.read(folder / "t.fits"), table, check_exact=True)
    with warnings.catch_warnings():
        # astropy has no unknown logicals, and says so.
        warnings.simplefilter("ignore")
        with fits.open(folder / "t.fits", checksum=True) as file:
            assert [hdu.verify_checksum() for hdu in file] == [1, 1]
        theirs = Table.read(folder / "t.fits")
    for column, (kind, _) in zip(table, drawn, strict=True):
        # Nulls among 64-bit unsigned numbers that need all 64 bits are beyond astropy.
        if kind != "u8" or not flat(column).null_count():
            assert as_lists(theirs[column.name]) == (known(column) if kind == "bool" else column.to_list())


def as_lists(column: Any) -> Any:
    """Return the values of an astropy column, None for masked ones."""
    values = np.asarray(np.ma.getdata(column))
    values = np.char.decode(values) if values.dtype.kind == "S" else values
    return right_of(values, np.broadcast_to(np.ma.getmaskarray(column), values.shape))


def known(column: pl.Series) -> list[Any]:
    """Return logicals with False for unknown ones."""
    filled = flat(column).fill_null(False)
    return (filled.reshape((-1, *column.dtype.shape)) if isinstance(column.dtype, pl.Array) else filled).to_list()


@ANY
@given(drawn=ours, rows=st.integers(0, 6), seed=st.integers(0, 2**32))
def test_tables_of_ours(tmp_path: Path, drawn: list[tuple[str, tuple[int, ...]]], rows: int, seed: int) -> None:
    of_ours(tmp_path, drawn, rows, seed)


@pytest.mark.slow
@MANY
@given(drawn=ours, rows=st.integers(0, 6), seed=st.integers(0, 2**32))
def test_many_tables_of_ours(
    tmp_path: Path, drawn: list[tuple[str, tuple[int, ...]]], rows: int, seed: int
) -> None:
    of_ours(tmp_path, drawn, rows, seed)
