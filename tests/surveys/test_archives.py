"""The survey files against the tables that the archives really deliver."""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path

import polars as pl
import pytest
from astropy import units
from astropy.io import fits

from starscale.surveys import Survey, load_survey, survey_names
from starscale.surveys.names import plain
from starscale.tables.cuts import apply_cuts
from support.places import EXAMPLES, ROOT

#: Packaged survey, a table of the archive, columns that we describe and that table does not have.
ARCHIVE_TABLES = [
    ("gaia_dr3", "archive_schema/gaia_dr3.csv", set()),
    ("gaia_dr3_calibration", "archive_schema/gaia_dr3.csv", set()),
    ("bailer_jones_edr3", "archive_schema/distance_gaia_dr3.csv", set()),
    ("skymapper_dr2", "archive_schema/skymapper_dr2.csv", set()),
    ("sdss_dr13", "archive_schema/sdss_dr13.csv", set()),
    # The Gaia archive's copy of 2MASS leaves the contamination flag out.
    ("tmass", "archive_schema/2mass.csv", {"cc_flg"}),
    ("tmass", "m67/tmass.parquet", {"designation", "err_maj", "err_min", "err_ang", "ext_key", "j_date"}),
    ("panstarrs1", "archive_schema/ps1.csv", set()),
    ("apogee_dr17", "archive_schema/apogee_allstar_dr17_95rows.fits", set()),
    # The demo table of brutus leaves some columns of DR2 out.
    ("gaia_dr2", "m67/gaia_dr2.parquet", {"ra_error", "dec_error", "bp_rp", "duplicated_source"}),
    ("allwise", "m67/allwise.parquet", {"sigra", "sigdec"}),
    ("segue", "m67/segue.parquet", {"plate", "mjd", "fiberid", "scienceprimary", "snr", "elodiervfinal"}),
]
EXAMPLE_TABLES = [
    ("splus_segue", "real/splus_segue.csv", set()),
    ("gaia_benchmark", "real/gaia_benchmark_stars_v3.fits", set()),
    *(
        (f"mock_{name}", f"mock/{name}.parquet", set())
        for name in ("apogee", "galah", "gaia_eso", "lamost", "rave")
    ),
]


#: Lists of columns that archives publish, with their sources.
PUBLISHED = tomllib.loads((ROOT / "tests" / "data" / "archive_columns.toml").read_text())


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_columns_are_in_the_published_list(name: str) -> None:
    assert PUBLISHED[name]["source"]
    published = PUBLISHED[name]["columns"].split()
    survey, _, copy = name.partition(".")
    if copy:
        assert set(plain(load_survey(survey).names[copy]).values()) <= set(published)
    else:
        assert missing_columns(load_survey(survey), published) == set()


#: Named column sets of which no list could be read: the survey files say that they are not verified.
UNREAD = {"tmass.irsa", "panstarrs1.vizier", "galah_dr3.data_central"}


@pytest.mark.parametrize("name", survey_names())
def test_every_set_of_names_has_a_published_list(name: str) -> None:
    assert {f"{name}.{key}" for key in load_survey(name).names} <= set(PUBLISHED) | UNREAD


def column_names(path: Path) -> list[str]:
    if path.suffix == ".fits":
        with warnings.catch_warnings(), fits.open(path) as file:
            # Units such as 'log(cm.s**-2)' are not FITS units; only names matter here.
            warnings.simplefilter("ignore", units.UnitsWarning)
            return list(file[1].columns.names)
    if path.suffix == ".parquet":
        return pl.read_parquet_schema(path).names()
    return path.read_text().splitlines()[0].split(",")


def missing_columns(survey: Survey, names: list[str]) -> set[str]:
    present = {name.lower() for name in names}
    return {
        name
        for name, spec in survey.columns.items()
        if spec.expression is None and not present & {name.lower(), *(a.lower() for a in spec.aliases)}
    }


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "table", "exceptions"), ARCHIVE_TABLES, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_names_are_those_of_the_archive(shared: Path, name: str, table: str, exceptions: set[str]) -> None:
    assert missing_columns(load_survey(name), column_names(shared / "real" / table)) == exceptions


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "table", "exceptions"), EXAMPLE_TABLES, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_example_surveys_fit_their_tables(shared: Path, name: str, table: str, exceptions: set[str]) -> None:
    assert missing_columns(load_survey(EXAMPLES / f"{name}.toml"), column_names(shared / table)) == exceptions


@pytest.mark.shared
@pytest.mark.parametrize("name", ["apogee", "galah", "gaia_eso", "lamost", "rave"])
def test_example_cuts_work_on_the_mock_tables(shared: Path, name: str) -> None:
    survey = load_survey(EXAMPLES / f"mock_{name}.toml")
    table = pl.read_parquet(shared / "mock" / f"{name}.parquet")
    mask, _ = apply_cuts(table, survey.cuts)
    assert mask.sum() == (table["flag"] == 0).sum() < table.height
    assert survey.id.unique is (table[survey.id.column].n_unique() == table.height)


@pytest.mark.shared
def test_apogee_cuts_on_real_rows(shared: Path) -> None:
    """Of 95 seismic targets, all with good S/N, most pass."""
    survey = load_survey("apogee_dr17")
    with (
        warnings.catch_warnings(),
        fits.open(shared / "real/archive_schema/apogee_allstar_dr17_95rows.fits") as file,
    ):
        warnings.simplefilter("ignore", units.UnitsWarning)
        columns = ("ASPCAPFLAG", "STARFLAG", "FE_H_FLAG", "SNR")
        table = pl.DataFrame({name: file[1].data[name].tolist() for name in columns})
    mask, attrition = apply_cuts(table, survey.cuts)
    assert 80 <= mask.sum() <= 95
    assert attrition.n_out == mask.sum()


@pytest.mark.shared
def test_dr2_cuts_on_the_m67_field(shared: Path) -> None:
    """Most of a clean, uncrowded field passes; what is removed is removed for its colours."""
    table = pl.read_parquet(shared / "real/m67/gaia_dr2.parquet")
    mask, attrition = apply_cuts(table, load_survey("gaia_dr2").cuts)
    assert 0.7 < mask.mean() < 0.99
    worst = max(attrition.rows, key=lambda row: row.alone)
    assert worst.name == "flux_excess"
