"""VOTable in pieces: the same as astropy reads whole, whoever wrote it, and with the system of the positions."""

from __future__ import annotations

import gzip
import io as std
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import votable
from astropy.table import MaskedColumn, Table
from polars.testing import assert_frame_equal

from starscale import io
from starscale.io.astropy_tables import from_astropy
from starscale.io.votable.source import VotableSource
from starscale.vocabulary.columns import DEC, RA, Column
from starscale.vocabulary.errors import InputError

N = 257
KINDS = ("tabledata", "binary", "binary2")


def theirs(*, varying: bool = False) -> Table:
    """A table of every plain type, with nulls, as astropy holds it."""
    rng = np.random.default_rng(3)
    gaps = rng.random(N) < 0.2
    table = Table(
        {
            "id": np.arange(N) + 2**60,
            "short": MaskedColumn(rng.integers(-99, 99, N).astype(np.int16), mask=gaps),
            "byte": rng.integers(0, 255, N).astype(np.uint8),
            "int": MaskedColumn(rng.integers(-(2**31), 2**31, N).astype(np.int32), mask=gaps[::-1]),
            "x": np.where(gaps, np.nan, rng.normal(size=N)),
            "y": MaskedColumn(rng.normal(size=N).astype(np.float32), mask=gaps),
            "on": rng.random(N) < 0.5,
            "name": np.array([f"star <{i}> & co" for i in range(N)]),
            "v": rng.normal(size=(N, 3)),
            "w": rng.integers(0, 9, (N, 2)).astype(np.int16),
        }
    )
    if varying:
        table["text"] = np.array(["é" * (i % 5) for i in range(N)], dtype=object)
    return table


def written(table: Table, kind: str, path: Path) -> Path:
    document = votable.from_table(table)
    document.version = "1.4"
    for field in document.get_first_table().fields:
        if field.name in ("short", "int"):
            # BINARY has no null bits.
            field.values.null = -30000
    votable.writeto(document, str(path), tabledata_format=kind)
    return path


def whole(path: Path) -> pl.DataFrame:
    """The table as astropy reads it in one go."""
    table = votable.parse(std.BytesIO(path.read_bytes())).get_first_table().to_table(use_names_over_ids=True)
    frame, _, _ = from_astropy(table, "table")
    return frame.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)).name.keep())


def same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    # astropy leaves NaN of a masked column as it is; here every NaN is null.
    assert_frame_equal(found.fill_nan(None), expected.fill_nan(None), check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 100, 1000])
def test_pieces_are_what_astropy_reads_whole(tmp_path: Path, kind: str, rows: int) -> None:
    path = written(theirs(), kind, tmp_path / "t.vot")
    source = io.open_table(path)
    assert isinstance(source, VotableSource)
    assert source.n_rows == N
    expected = whole(path)
    assert source.schema == expected.schema
    pieces = list(source.batches(rows))
    assert [piece.height for piece in pieces] == [rows] * (N // rows) + [N % rows] * (N % rows > 0)
    same(pl.concat(pieces), expected)
    same(source.read(["name", "x", "v"]), expected.select("name", "x", "v"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 100, 1000])
def test_texts_of_varying_length(tmp_path: Path, kind: str, rows: int) -> None:
    path = written(theirs(varying=True), kind, tmp_path / "t.vot")
    source = io.open_table(path)
    assert isinstance(source, VotableSource)
    assert source.n_rows == N
    same(pl.concat(source.batches(rows)), whole(path))
    same(source.read(["w", "text", "id"]), whole(path).select("w", "text", "id"))


def test_vectors_of_varying_length(tmp_path: Path) -> None:
    table = Table({"v": np.array([np.arange(i % 4, dtype=float) for i in range(8)], dtype=object)})
    source = io.open_table(written(table, "tabledata", tmp_path / "t.vot"))
    assert source.read()["v"].to_list()[3] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_file_and_tags_with_blanks(tmp_path: Path, kind: str) -> None:
    path = written(theirs(), kind, tmp_path / "t.vot")
    expected = whole(path)
    text = path.read_bytes()
    packed = tmp_path / "t.vot.gz"
    packed.write_bytes(gzip.compress(text))
    same(io.read(packed), expected)
    (tmp_path / "blanks.vot").write_bytes(text.replace(b"</TR>", b"</TR >").replace(b"</STREAM>", b"</STREAM\n>"))
    same(io.read(tmp_path / "blanks.vot"), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_within_its_rows_is_damaged(tmp_path: Path, kind: str) -> None:
    path = written(theirs(), kind, tmp_path / "t.vot")
    text = path.read_bytes()
    start = text.index(b"<TABLEDATA" if kind == "tabledata" else b"<STREAM")
    for keep in (start + 5, start + 500, len(text) - 60):
        path.write_bytes(text[:keep])
        with pytest.raises(InputError, match=r"t\.vot: is a damaged VOTable") as error:
            io.read(path)
        assert "cut short" in str(error.value)


def test_rows_of_the_wrong_size_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.vot"
    io.write(pl.DataFrame({"x": range(300)}), path)
    lines = path.read_text().splitlines()
    long = [i for i, line in enumerate(lines) if len(line) == 76]
    path.write_text("\n".join(lines[: long[1]] + lines[long[2] :]))
    with pytest.raises(InputError, match=r"damaged VOTable.*9 bytes each"):
        io.read(path)
    lines[long[1]] = "!" * 76
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="damaged VOTable"):
        io.read(path)


def test_every_number_of_columns_has_its_null_bits(tmp_path: Path) -> None:
    for width in (1, 7, 8, 9, 17):
        names = [f"c{i}" for i in range(width)]
        table = pl.DataFrame({name: [1, None, i] for i, name in enumerate(names)}).with_columns(
            pl.col("c0").cast(pl.Int16)
        )
        io.write(table, tmp_path / "t.vot")
        assert_frame_equal(io.read(tmp_path / "t.vot"), table)


def test_what_is_written_keeps_to_the_standard(tmp_path: Path) -> None:
    path = tmp_path / "t.vot"
    table = pl.DataFrame({"ra": [1.0, None], "dec": [2.0, 3.0], "name": ["a<b&c", "ω 𝛼"], "ok": [True, None]})
    metadata = {"position_system": "ICRS", "position_epoch": "J2016.0", "title": "a & b"}
    io.write(table, path, columns={"ra": RA, "dec": DEC}, metadata=metadata)
    document = votable.parse(std.BytesIO(path.read_bytes()), verify="exception")
    (system,) = document.resources[0].coordinate_systems
    assert (system.system, system.epoch) == ("ICRS", "J2016.0")
    found = document.get_first_table()
    assert [field.ref for field in found.fields] == [system.ID, system.ID, None, None]
    assert [field.datatype for field in found.fields] == ["double", "double", "unicodeChar", "boolean"]
    assert (found.fields[0].ucd, str(found.fields[0].unit)) == (RA.ucd, "deg")
    assert found.nrows == 2
    assert np.ma.getmaskarray(found.array["ok"]).tolist() == [False, True]
    source = io.open_table(path)
    assert source.metadata == metadata
    assert_frame_equal(source.read(), table)


def test_the_system_of_the_positions_survives_every_format_that_has_room(tmp_path: Path) -> None:
    table = pl.DataFrame({"ra": [1.0], "dec": [2.0]})
    metadata = {"position_system": "ICRS", "position_epoch": "J2016.0"}
    for suffix in (".parquet", ".fits", ".vot", ".ecsv", ".hats"):
        io.write(table, tmp_path / f"t{suffix}", columns={"ra": RA, "dec": DEC}, metadata=metadata)
        found = io.open_table(tmp_path / f"t{suffix}").metadata
        assert {key: found[key] for key in metadata} == metadata


def test_pieces_leave_no_trace_in_the_file(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "i": pl.Series([None, *range(499)], dtype=pl.UInt16),
            "t": [f"{'é' * (i % 3)}{i}" for i in range(500)],
            "f": [math.pi * i for i in range(500)],
        }
    )
    io.write(table, tmp_path / "a.vot", columns={"f": Column("f", "float64", "mag")})
    for rows in (1, 33):
        with io.open_writer(tmp_path / "b.vot", table.schema, columns={"f": Column("f", unit="mag")}) as writer:
            for piece in table.iter_slices(rows):
                writer.append(piece)
        assert (tmp_path / "a.vot").read_bytes() == (tmp_path / "b.vot").read_bytes()
    assert_frame_equal(io.read(tmp_path / "a.vot").cast({"i": pl.UInt16}), table)
