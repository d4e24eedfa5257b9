"""The selection function and the coverage against counts by hand and against astropy."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from cdshealpix import nested
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import starscale as ss
from starscale.validation.moc import merged_cells, write_moc

BINS: dict[str, Any] = {"healpix": 2, "g": (8, 18, 2), "g - r AS colour": (0, 1, 0.25)}


def parent(n: int, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    g = draw.uniform(7, 19, n)
    return pl.DataFrame(
        {
            "source_id": 10**18 + np.arange(n),
            "ra": draw.uniform(0, 360, n),
            "dec": np.degrees(np.arcsin(draw.uniform(-0.3, 1, n))),
            "g": g,
            "r": g - draw.uniform(-0.1, 1.1, n),
        }
    )


def test_counts_are_those_of_a_loop(tmp_path: Path) -> None:
    stars = parent(800).with_columns(
        ra=pl.when(pl.col("source_id") % 50 == 0).then(None).otherwise("ra"),
        g=pl.when(pl.col("source_id") % 70 == 0).then(None).otherwise("g"),
    )
    kept = stars.filter((pl.col("g") < 14) & (pl.col("source_id") % 3 > 0))
    made = ss.selection_function(kept, tmp_path / "out", parent=stars, bins=BINS)
    expected: dict[tuple[int, int, int], list[int]] = {}
    inside, ids = 0, set(kept["source_id"])
    for row in stars.iter_rows(named=True):
        if row["ra"] is None or row["g"] is None:
            continue
        place = int((row["g"] - 8) // 2), int((row["g"] - row["r"]) // 0.25)
        if not (0 <= place[0] < 5 and 0 <= place[1] < 4):
            continue
        cell = int(nested.lonlat_to_healpix(Longitude(row["ra"], u.deg), Latitude(row["dec"], u.deg), 2)[0])
        count = expected.setdefault((cell, *place), [0, 0])
        count[0] += 1
        count[1] += row["source_id"] in ids
        inside += 1
    found = {
        (row["healpix_"], row["g_"], row["colour_"]): [row["n"], row["k"]]
        for row in made.table.iter_rows(named=True)
    }
    assert found == expected
    assert made.outside == stars.height - inside
    n, k = (made.table[name].to_numpy() for name in "nk")
    beta = stats.beta(k + 1, n - k + 1)
    np.testing.assert_allclose(made.table["p"], beta.mean())
    np.testing.assert_allclose(made.table["p_error"], beta.std())


def test_the_files_say_the_same_and_that_of_gaiaunlimited_has_every_cell(tmp_path: Path) -> None:
    stars = parent(2000).filter(pl.col("g") > 10)
    made = ss.selection_function(stars.head(500), tmp_path / "out", parent=stars, bins=BINS)
    assert [path.name for path in made.files] == [
        "selection.fits",
        "selection.parquet",
        "selection.csv",
        "moc.fits",
    ]
    names = made.table.columns
    for path in made.files[:2]:
        table = ss.read(path)
        assert table.select(names).equals(made.table)
        assert table["g"].to_list() == [9 + 2 * i for i in table["g_"]]
    with fits.open(made.files[0], checksum=True) as file:
        header = file[1].header
    assert (header["ORDERING"], header["COORDSYS"], int(header["NSIDE"])) == ("NESTED", "C", 4)
    first, *rest = made.files[2].read_text().splitlines()
    assert (
        ast.literal_eval(first.strip("#"))
        == made.settings
        == {
            "healpix": 2,
            "g": [8.0, 18.0, 2.0],
            "colour": [0.0, 1.0, 0.25],
        }
    )
    rows = pl.read_csv("\n".join(rest).encode())
    assert rows.columns == ["healpix_", "g_", "colour_", "n", "k"]
    # It takes the number of different values for the size of every axis, and an index that is unique.
    assert [rows[name].n_unique() for name in rows.columns[:3]] == [12 * 4**2, 5, 4]
    assert rows.select("healpix_", "g_", "colour_").is_unique().all()
    both = rows.filter(pl.col("n") > 0)
    assert both.equals(made.table.select(rows.columns))


@settings(max_examples=25)
@given(order=st.integers(0, 4), seed=st.integers(0, 10**6), share=st.floats(0, 1))
def test_merged_cells_cover_the_same_sky(order: int, seed: int, share: float) -> None:
    everything = np.arange(12 * 4**order)
    pixels = everything[np.random.default_rng(seed).random(len(everything)) < share]
    merged = merged_cells(pixels, order)
    covered = [
        (cell << 2 * (order - level)) + i
        for level, cells in merged.items()
        for cell in cells
        for i in range(4 ** (order - level))
    ]
    assert sorted(covered) == pixels.tolist()
    for level, cells in merged.items():
        _, siblings = np.unique(cells >> 2, return_counts=True)
        assert level == 0 or siblings.max() < 4


def test_a_moc_is_as_the_standard_wants_it(tmp_path: Path) -> None:
    share = write_moc(tmp_path / "moc.fits", np.array([0, 1, 2, 3, 7, 7]), 2)
    with fits.open(tmp_path / "moc.fits") as file:
        header, values = file[1].header, file[1].data["UNIQ"].tolist()
    # Cell 0 of order 1 (4 * 4 + 0), and cell 7 of order 2 (4 * 16 + 7).
    assert values == [16, 71]
    named = ("MOCVERS", "MOCDIM", "ORDERING", "COORDSYS", "MOCORD_S", "TFORM1")
    assert [header[key] for key in named] == ["2.0", "SPACE", "NUNIQ", "C", 2, "K"]
    assert share == pytest.approx(5 / (12 * 16))


def test_without_a_parent_table_only_the_coverage_is_written(tmp_path: Path) -> None:
    stars = parent(100)
    made = ss.selection_function(stars, tmp_path / "out", keep="dec > 0")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["moc.fits"]
    assert made.table.is_empty()
    assert 0 < made.sky <= stars.filter(pl.col("dec") > 0).height / (12 * 4**8)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"bins": {"healpix": 99}}, "0 to 8"),
    ({"bins": {"g": (8, 8, 1)}}, "low end, high end and width"),
    ({"bins": {"g": 5}}, "low end, high end and width"),
    ({"bins": {"g - r": (0, 1, 0.5)}}, "has no name"),
    ({"bins": {"x": (0, 1, 0.5)}}, "no column 'x'"),
    ({"identifier": "objid"}, "no column 'objid'"),
    ({"keep": "g <"}, "not a predicate"),
]


@pytest.mark.parametrize(("arguments", "expected"), BAD)
def test_bad_settings_are_one_clear_error(tmp_path: Path, arguments: dict[str, Any], expected: str) -> None:
    stars = parent(50)
    with pytest.raises(ss.InputError, match=expected):
        ss.selection_function(stars, tmp_path / "out", parent=stars, **arguments)
    assert not (tmp_path / "out").exists()


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    stars = parent(50)
    other = stars.with_columns(pl.col("source_id") + 1000)
    with pytest.raises(ss.InputError, match="holds no star of the catalogue"):
        ss.selection_function(stars, tmp_path / "out", parent=other)
    with pytest.raises(ss.InputError, match="identifiers are String"):
        ss.selection_function(stars, tmp_path / "out", parent=stars.cast({"source_id": pl.String}))
    with pytest.raises(ss.InputError, match="has no position"):
        ss.selection_function(stars, tmp_path / "out", parent=stars.drop("ra"))
