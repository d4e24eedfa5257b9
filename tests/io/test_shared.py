"""Every real table and the mock sky are read, with the rows that they have."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from starscale import io

pytestmark = pytest.mark.shared

ROWS = {
    "real/m67/gaia_dr2.parquet": 1585,
    "real/m67/sdss_dr14.parquet": None,
    "real/m67/ps1.parquet": None,
    "real/m67/tmass.parquet": None,
    "real/m67/allwise.parquet": None,
    "real/m67/apogee_payne.parquet": 235,
    "real/m67/segue.parquet": 114,
    "real/m67/lamost_dr3.parquet": 6,
    "real/m67/truth.parquet": 1585,
    "real/splus_segue.csv": 10891,
    "real/sdss_colours_feh.csv": 27911,
    "real/gaia_benchmark_stars_v3.fits": 192,
    "real/apogee_allstar_dr12_hipparcos.fits.gz": 3244,
    "real/apogee_dr12_giants.csv": 9618,
    "real/cks_and_koi_labels.csv": 2025,
    "real/gaia_open_cluster_fields.csv": 11980,
    "real/damaged_gaia_ids.csv": 9810,
    "real/archive_schema/2mass.csv": 16,
    "real/archive_schema/distance_gaia_dr3.csv": 16,
    "real/archive_schema/gaia_dr3.csv": 16,
    "real/archive_schema/ps1.csv": 2,
    "real/archive_schema/sdss_dr13.csv": 1,
    "real/archive_schema/skymapper_dr2.csv": 6,
    "real/archive_schema/apogee_allstar_dr17_95rows.fits": 95,
    "mock/gaia_source.parquet": 112187,
    "mock/distances.parquet": 111865,
    "mock/skymapper.parquet": 232628,
    "mock/truth.parquet": 112055,
}


@pytest.mark.parametrize("name", ROWS)
def test_it_is_read_whole_and_in_batches(shared: Path, name: str) -> None:
    source = io.open_table(shared / name)
    expected = ROWS[name]
    if expected is None:
        assert 1501 <= source.n_rows <= 1585
    else:
        assert source.n_rows == expected
    table = source.read()
    assert table.height == source.n_rows
    assert table.schema == source.schema
    some = table.columns[:: max(1, table.width // 8)]
    batches = pl.concat(source.batches(max(1, source.n_rows // 3), some))
    assert batches.equals(table.select(some))


def test_every_table_of_the_folder_is_in_the_list(shared: Path) -> None:
    tables = {
        item.relative_to(shared).as_posix()
        for item in (shared / "real").rglob("*")
        if item.suffix in (".csv", ".parquet", ".fits", ".gz")
    }
    assert tables <= set(ROWS)


def test_the_row_counter_that_pandas_wrote_is_a_column_of_its_own(shared: Path) -> None:
    table = io.read(shared / "real/cks_and_koi_labels.csv")
    assert table.columns[:2] == ["index", "id_starname"]
    assert table["index"].to_list() == list(range(2025))
    assert table["id_starname"][0] == "K00001"
    assert table["id_starname"].n_unique() == 1279
    assert table["cks_steff"].dtype == pl.Float64


def test_repeated_names_and_marked_headers(shared: Path) -> None:
    assert io.open_table(shared / "real/splus_segue.csv").schema.names()[1:3] == ["SURVEY", "SURVEY_2"]
    damaged = io.open_table(shared / "real/damaged_gaia_ids.csv")
    assert damaged.schema.names()[0] == "RA"
    assert damaged.schema["gaia_source_id"] == pl.Float64


def test_archive_rows_have_exact_identifiers_and_booleans(shared: Path) -> None:
    table = io.read(shared / "real/archive_schema/gaia_dr3.csv")
    assert table["source_id"][0] == 6386468454774591744
    assert table["astrometric_primary_flag"].dtype == pl.Boolean


def test_units_and_descriptions_of_real_fits_files(shared: Path) -> None:
    stars = io.open_table(shared / "real/gaia_benchmark_stars_v3.fits")
    names = stars.schema.names()
    assert stars.columns[names[9]].description == "Effective Temperature from Soubiran et al. (2023)"
    stars = io.open_table(shared / "real/apogee_allstar_dr12_hipparcos.fits.gz")
    names = stars.schema.names()
    assert stars.columns[names[11]].unit == "mas/yr"
    assert stars.columns[names[181]].ucd == "pos.angDistance"
    assert any(isinstance(dtype, pl.Array) for dtype in stars.schema.values())
