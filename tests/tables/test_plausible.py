"""Cleaning counts implausible values, and keeps what a file states about its other columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.io.units import parse_unit
from starscale.tables import stream
from starscale.vocabulary.columns import Column
from support.recorded_progress import RecordedProgress

KEEP_ALL = ss.Cuts(apply=False)
OWN = Column("own", "float64", "nmgy", "phot.flux", "a flux")
SCORE = Column("score", "float64", "electron/s", "", "a name that starscale uses too")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Five stars, two of them with a magnitude that was 99 before it was dereddened."""
    rows = pl.DataFrame(
        {
            "object_id": [1, 2, 3, 4, 5],
            "raj2000": [0.1, 0.2, 0.3, 0.4, 0.5],
            "dej2000": [0.0] * 5,
            "g_psf": [14.0, 98.935, 15.0, None, 99.269],
            "r_psf": [13.0, 13.5, -9.93, 14.5, 12.0],
            "own": [1.0] * 5,
            "score": [2.0] * 5,
        }
    )
    known = {"own": OWN, "score": SCORE, "raj2000": Column("raj2000", unit="radians")}
    io.write(rows, tmp_path / "stars.parquet", columns=known)
    return tmp_path / "stars.parquet"


@pytest.mark.parametrize("chunk", [2, 100])
@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "ecsv"])
def test_clean_counts_and_keeps(
    table: Path, tmp_path: Path, suffix: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "CHUNK", chunk)
    output, progress = tmp_path / f"clean.{suffix}", RecordedProgress()
    cleaned = ss.clean(table, survey="skymapper_dr2", cuts=KEEP_ALL, output=output, progress=progress)
    assert cleaned.outside == {"g_psf": 2, "r_psf": 1}
    assert "note: g_psf: 2 outside the plausible range, read as missing" in progress.messages
    assert "note: r_psf: 1 outside the plausible range, read as missing" in progress.messages
    found = io.open_table(output)
    assert found.read()["g_psf"].to_list() == [14.0, None, 15.0, None, None]
    assert found.read()["raj2000"].to_list()[1] == pytest.approx(11.4591559)
    assert found.columns["raj2000"].unit == "deg"
    for about in (OWN, SCORE):
        there = found.columns[about.name]
        assert parse_unit(there.unit) == parse_unit(about.unit)
        assert (there.ucd, there.description) == (about.ucd, about.description)


def test_the_same_in_memory(table: Path) -> None:
    cleaned = ss.clean(table, survey="skymapper_dr2", cuts=KEEP_ALL)
    assert cleaned.outside == {"g_psf": 2, "r_psf": 1}
    assert cleaned.table is not None
    assert cleaned.table["g_psf"].null_count() == 3
    assert ss.read(table, survey="skymapper_dr2")["g_psf"].null_count() == 3
