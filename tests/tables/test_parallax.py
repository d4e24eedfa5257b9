"""Parallaxes without their bias: a column of the archive, or the published zero point (by a stand-in for it)."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import starscale as ss
from starscale import io
from starscale.cli.main import app

INPUTS = ["phot_g_mean_mag", "nu_eff_used_in_astrometry", "pseudocolour", "ecl_lat", "astrometric_params_solved"]
NUMBER = st.one_of(st.none(), st.floats(1.1, 20.0))


def get_zpt(g: Any, nu: Any, colour: Any, latitude: Any, solved: Any, _warnings: bool = True) -> Any:
    """What the package is expected to do, with another formula."""
    if not np.isin(solved, (31, 95)).all():
        raise ValueError("Some of the sources have an invalid number of the astrometric_params_solved")
    assert _warnings is False
    value = g + 100 * np.where(solved == 31, nu, colour) + 1000 * latitude
    return np.where(g > 19, np.nan, value)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    outer, inner = ModuleType("zero_point"), ModuleType("zero_point.zpt")
    outer.__spec__ = ModuleSpec("zero_point", None)
    inner.get_zpt, inner.load_tables = get_zpt, lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zero_point", outer)
    monkeypatch.setitem(sys.modules, "zero_point.zpt", inner)


@pytest.mark.usefixtures("package")
@settings(max_examples=25)
@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER, st.sampled_from([None, 3, 31, 95])), max_size=6))
def test_the_zero_point_of_every_star(rows: list[tuple[float | None, ...]]) -> None:
    kinds = dict.fromkeys(INPUTS, pl.Float64()) | {INPUTS[4]: pl.Int64()}
    table = pl.DataFrame(rows, schema=kinds, orient="row").with_columns(
        parallax=pl.lit(5.0), source_id=(pl.int_range(pl.len()) + 1) * 2**40
    )
    found = ss.correct_parallax(table, survey="gaia_dr3_calibration")
    assert found.table is not None
    assert found.table.drop("parallax_bias", "parallax_corrected").equals(table)
    for row, bias, corrected in zip(
        rows, found.table["parallax_bias"], found.table["parallax_corrected"], strict=True
    ):
        g, nu, colour, latitude, solved = row
        used = nu if solved == 31 else colour
        if solved in (31, 95) and None not in (g, used, latitude) and np.float32(g) <= 19:
            assert bias == pytest.approx(g + 100 * used + 1000 * latitude, rel=1e-6)  # type: ignore[operator]
            assert corrected == pytest.approx(5.0 - bias)
        else:
            assert bias is None
            assert corrected is None
    assert (found.n_rows, found.n_values) == (len(rows), len(rows) - found.table["parallax_bias"].null_count())


def test_the_package_itself() -> None:
    zpt = pytest.importorskip("zero_point.zpt", reason="gaiadr3-zeropoint is not installed")
    stars = [[15.0, 10.0], [1.5, np.nan], [np.nan, 1.5], [30.0, -20.0], [31, 95]]
    table = pl.DataFrame(dict(zip(INPUTS, stars, strict=True))).with_columns(parallax=1.0, source_id=2**40)
    zpt.load_tables()
    known = zpt.get_zpt(*(np.array(values) for values in stars), _warnings=False)
    found = ss.correct_parallax(table, survey="gaia_dr3_calibration").table
    assert found is not None
    np.testing.assert_allclose(found["parallax_bias"], known, atol=1e-6)


def test_a_column_of_the_archive_from_file_to_file(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"source_id": [1, 2, 3], "PARALLAX": [10.0, 0.4, -0.1], "tentative_parallax_bias": [-0.02, None, 0.01]}
    )
    table.write_parquet(tmp_path / "gaia.parquet")
    arguments = ["parallax", str(tmp_path / "gaia.parquet"), "--survey", "gaia_dr4"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "new.fits")], catch_exceptions=False)
    assert "2 of 3 rows with a corrected parallax" in result.output
    source = io.open_table(tmp_path / "new.fits")
    assert source.columns["parallax_corrected"].unit == "mas"
    found = source.read()
    assert found["parallax_corrected"].to_list() == pytest.approx([10.02, None, -0.11], abs=1e-6)
    assert found["PARALLAX"].to_list() == table["PARALLAX"].to_list()
    with pytest.raises(ss.InputError, match=r"has columns called parallax_bias, parallax_corrected already"):
        ss.correct_parallax(tmp_path / "new.fits", survey="gaia_dr4")
    with pytest.raises(ss.InputError, match=r"is the input and the output"):
        ss.correct_parallax(tmp_path / "gaia.parquet", survey="gaia_dr4", output=tmp_path / "gaia.parquet")


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stars = pl.DataFrame({"source_id": [1], "parallax": [1.0]})
    with pytest.raises(ss.InputError, match=r"survey tmass describes no bias of parallaxes"):
        ss.correct_parallax(stars, survey="tmass")
    with pytest.raises(ss.InputError, match=r"tentative_parallax_bias"):
        ss.correct_parallax(stars, survey="gaia_dr4")
    monkeypatch.setitem(sys.modules, "zero_point", None)
    whole = stars.with_columns([pl.lit(31 if name == INPUTS[4] else 1.0).alias(name) for name in INPUTS])
    with pytest.raises(ss.InputError, match=r"needs the package gaiadr3-zeropoint, not installed here"):
        ss.correct_parallax(whole, survey="gaia_dr3_calibration")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('column = "b"\nmethod = "lindegren2021"', "give either column or method"),
        ("", "give either column or method"),
        ('method = "lindegren2021"', "method and inputs belong together"),
        ('column = "elsewhere"', "used but not described under .columns.: elsewhere"),
    ],
)
def test_a_wrong_section(section: str, message: str, tmp_path: Path) -> None:
    text = 'name = "own"\ntitle = "own"\nkind = "astrometric"\nid = { column = "id" }\n'
    (tmp_path / "own.toml").write_text(
        f"{text}[columns]\nid = {{ dtype = 'int64' }}\n[parallax_bias]\n{section}\n"
    )
    with pytest.raises(ss.InputError, match=message):
        ss.load_survey(tmp_path / "own.toml")
