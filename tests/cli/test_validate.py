"""The command `validate`: verdicts on the terminal, files, and wrong options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from support.command import command as starscale


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    draw, ids = np.random.default_rng(2), np.arange(1, 101)
    logg = draw.uniform(1, 4, 100)
    place = {"ra": np.linspace(10, 20, 100), "dec": np.linspace(-5, 5, 100)}
    table = pl.DataFrame({"source_id": ids, **place, "logg": logg + draw.normal(0.3, 0.1, 100)})
    table.with_columns(logg_error=pl.lit(0.1)).write_parquet(tmp_path / "catalogue.parquet")
    pl.DataFrame({"source_id": ids, "g": logg}).write_csv(tmp_path / "seismic.csv")
    return tmp_path


def test_verdicts_are_printed_and_files_written(tables: Path) -> None:
    words = ("validate", tables / "catalogue.parquet", "-o", tables / "out")
    columns = ("--columns", "logg=g")
    done = starscale(
        *words, "--seismic", tables / "seismic.csv", *columns, "--parent", tables / "catalogue.parquet",
        "--selection", "healpix=1", "--selection", "logg=0,5,1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "seismic: offset of logg fails: +0.298" in done.stdout
    assert "2 checks: 1 " in done.stdout
    assert sorted(path.name for path in (tables / "out").iterdir()) == [
        "checks.csv", "checks.json", "checks.parquet", "seismic_stars.parquet", "selection", "validation.html",
    ]  # fmt: skip
    done = starscale(*words[:2], "--seismic", tables / "seismic.csv", *columns, "--tolerance", "logg=0.5")
    assert "2 checks: 2 passes" in done.stdout
    done = starscale(*words[:2], "-o", tables / "only", "--selection", "healpix=1")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tables / "only" / "selection").iterdir()] == ["moc.fits"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "no table to compare with"),
        (("--selection", "healpix=1"), "a folder, for the selection function"),
        (("--selection", "5", "-o", "x"), "healpix=ORDER or COLUMN=LOW,HIGH,STEP"),
        (("--tolerance", "logg=x"), "NAME=VALUE, a number"),
    ],
)
def test_wrong_options_are_one_clear_error(tables: Path, options: tuple[str, ...], expected: str) -> None:
    done = starscale("validate", tables / "catalogue.parquet", *options)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
