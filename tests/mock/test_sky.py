"""The tables of the mock sky: columns, identifiers, noise as stated, and the truth behind them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from starscale.mock import MockSky, make_sky
from starscale.mock.archive import archive_table
from starscale.mock.fields import CLUSTERS, FIELDS
from starscale.mock.galaxy import galactic
from starscale.surveys import load_survey
from starscale.tables.healpix import cells as nested_cell
from starscale.vocabulary.errors import InputError

N_STARS = 8000
SURVEYS = (
    "gaia_dr3",
    "bailer_jones_edr3",
    "skymapper_dr2",
    "apogee_dr17",
    "galah_dr3",
    "gaia_eso_dr3",
    "rave_dr6",
    "lamost_dr5",
)
DTYPES = {
    "int64": pl.Int64,
    "int32": pl.Int32,
    "int16": pl.Int16,
    "float64": pl.Float64,
    "float32": pl.Float32,
    "bool": pl.Boolean,
    "string": pl.String,
}


@pytest.fixture(scope="module")
def sky() -> MockSky:
    return make_sky(N_STARS, seed=7)


@pytest.fixture(scope="module")
def joined(sky: MockSky) -> pl.DataFrame:
    """Gaia rows of the stars with their truth (suffix ``_true``)."""
    return sky.tables["gaia_dr3"].join(sky.tables["truth"], on="source_id", suffix="_true")


def robust_width(values: pl.Series) -> float:
    deviation = (values - values.median()).abs().median()
    assert isinstance(deviation, float)
    return 1.4826 * deviation


@pytest.mark.parametrize("name", SURVEYS)
def test_columns_and_types_are_those_of_the_survey_file(sky: MockSky, name: str) -> None:
    wanted = {column: DTYPES[spec.dtype] for column, spec in load_survey(name).columns.items()}
    assert dict(sky.tables[name].schema) == wanted


@pytest.mark.parametrize("name", [name for name in SURVEYS if load_survey(name).id.unique])
def test_identifiers_are_unique_and_possible(sky: MockSky, name: str) -> None:
    rule = load_survey(name).id
    identifiers = sky.tables[name][rule.column]
    assert identifiers.null_count() == 0
    assert identifiers.is_unique().all()
    if rule.lower is not None:
        assert (identifiers >= rule.lower).all()
    if rule.upper is not None:
        assert (identifiers <= rule.upper).all()


@pytest.mark.parametrize("name", SURVEYS[:1] + SURVEYS[2:])
def test_cuts_of_the_survey_file_remove_some_rows_and_keep_most(sky: MockSky, name: str) -> None:
    table = sky.tables[name]
    if name == "gaia_dr3":
        table = table.join(sky.tables["bailer_jones_edr3"], on="source_id", how="left")
    faint = {"bright", "parallax_error", "sigma5d"}
    for cut in load_survey(name).cuts:
        kept = table.filter(pl.sql_expr(cut.keep)).height / table.height
        assert kept > (0.3 if cut.name in faint else 0.75), cut.name


def test_truth_has_one_row_for_each_star_and_joins(sky: MockSky, joined: pl.DataFrame) -> None:
    truth, gaia = sky.tables["truth"], sky.tables["gaia_dr3"]
    assert truth.height == N_STARS == joined.height
    assert truth["source_id"].is_unique().all()
    others = gaia.join(truth, on="source_id", how="anti")
    assert 0 < others.height < 0.01 * N_STARS
    assert (others["in_qso_candidates"] | others["in_galaxy_candidates"]).all()
    distances = sky.tables["bailer_jones_edr3"]
    assert distances.join(gaia, on="source_id", how="anti").is_empty()
    assert (
        distances.filter(pl.col("r_lo_geo") < pl.col("r_med_geo"), pl.col("r_med_geo") < pl.col("r_hi_geo")).height
        == distances.height
    )
    assert truth["object_id"].drop_nulls().is_in(sky.tables["skymapper_dr2"]["object_id"].implode()).all()


def test_source_id_holds_the_healpix_cell(sky: MockSky) -> None:
    gaia = sky.tables["gaia_dr3"]
    cells = nested_cell(gaia["ra"].to_numpy(), gaia["dec"].to_numpy(), 12)
    assert (gaia["source_id"].to_numpy() >> 35 == cells).all()


def test_same_seed_same_sky_and_other_seed_other_sky() -> None:
    first, again, other = make_sky(600, seed=4), make_sky(600, seed=4), make_sky(600, seed=5)
    for name, table in first.tables.items():
        assert table.equals(again.tables[name]), name
    assert not first.tables["truth"].equals(other.tables["truth"])


@pytest.mark.parametrize(("n_stars", "seed"), [(10, 1), (1000, -1)])
def test_settings_without_sense_are_refused(n_stars: int, seed: int) -> None:
    with pytest.raises(InputError, match=r"n_stars|seed"):
        make_sky(n_stars, seed)


def test_a_column_that_the_archive_does_not_have_is_a_defect() -> None:
    with pytest.raises(KeyError, match="no columns colour"):
        archive_table("bailer_jones_edr3", {"colour": [1.0]})


@pytest.mark.parametrize("name", ["parallax", "pmra", "pmdec"])
def test_astrometric_noise_is_as_stated(joined: pl.DataFrame, name: str) -> None:
    true = 1000 / joined["distance"] if name == "parallax" else joined[f"{name}_true"]
    pull = (joined[name] - true) / joined[f"{name}_error"]
    assert abs(pull.mean()) < 4 / np.sqrt(N_STARS)  # type: ignore[arg-type, operator]
    assert pull.std() == pytest.approx(1.0, abs=0.03)


def test_astrometric_noise_is_correlated_as_stated(joined: pl.DataFrame) -> None:
    parallax = (joined["parallax"] - 1000 / joined["distance"]) / joined["parallax_error"]
    motion = (joined["pmra"] - joined["pmra_true"]) / joined["pmra_error"]
    stated = joined["parallax_pmra_corr"].to_numpy()
    product = (parallax * motion).to_numpy()
    # The slope of the products of pulls against the stated correlation is one.
    assert (product * stated).sum() / (stated**2).sum() == pytest.approx(1.0, abs=0.25)


def test_astrometric_covariance_is_positive_definite(sky: MockSky) -> None:
    gaia = sky.tables["gaia_dr3"]
    names = ("ra", "dec", "parallax", "pmra", "pmdec")
    matrix = np.ones((gaia.height, 5, 5))
    for i, first in enumerate(names):
        for j in range(i + 1, 5):
            matrix[:, i, j] = matrix[:, j, i] = gaia[f"{first}_{names[j]}_corr"].to_numpy()
    assert np.linalg.eigvalsh(matrix).min() > 0
    assert (gaia["astrometric_sigma5d_max"] > gaia["parallax_error"]).all()


def test_parallax_errors_grow_as_in_the_archive(joined: pl.DataFrame) -> None:
    for low, high, wanted in ((10.0, 13.0, 0.011), (17.8, 18.2, 0.11)):
        errors = joined.filter(pl.col("phot_g_mean_mag").is_between(low, high))["parallax_error"]
        assert errors.median() == pytest.approx(wanted, rel=0.2)


def test_geometric_distances_cover_the_truth(sky: MockSky) -> None:
    both = sky.tables["bailer_jones_edr3"].join(sky.tables["truth"], on="source_id")
    inside = both.select(pl.col("distance").is_between("r_lo_geo", "r_hi_geo").mean()).item()
    assert inside == pytest.approx(0.68, abs=0.04)


def test_gspphot_is_biased_and_overconfident(joined: pl.DataFrame) -> None:
    stars = joined.filter(pl.col("teff_gspphot").is_not_null())
    assert stars.height / joined.height == pytest.approx(0.9, abs=0.03)
    error = stars["teff_gspphot"] - stars["teff"]
    quoted = (stars["teff_gspphot_upper"] - stars["teff_gspphot_lower"]) / 2
    assert robust_width(error / quoted) > 2
    extinction = stars["azero_gspphot"] - 3.1 * stars["ebv"]
    assert np.corrcoef(error.to_numpy(), extinction.to_numpy())[0, 1] > 0.3
    poor = stars.filter(pl.col("fe_h") < -1.5)
    assert (poor["mh_gspphot"] - poor["fe_h"]).median() > 0.1  # type: ignore[operator]


def test_skymapper_noise_is_as_stated(sky: MockSky) -> None:
    """Duplicate entries of single stars are two measurements of the same magnitudes."""
    kinds, table = sky.tables["truth_skymapper"], sky.tables["skymapper_dr2"]
    twins = kinds.filter(pl.col("kind") == "duplicate", pl.col("companion_source_id").is_null())
    mains = kinds.filter(pl.col("kind") == "star").select("source_id", pl.col("object_id").alias("main"))
    pairs = twins.join(mains, on="source_id").join(table, on="object_id")
    pairs = pairs.join(table, left_on="main", right_on="object_id", suffix="_main")
    assert pairs.height > 60
    pulls = pl.concat(
        (pairs[f"{b}_psf"] - pairs[f"{b}_psf_main"])
        / (pairs[f"e_{b}_psf"] ** 2 + pairs[f"e_{b}_psf_main"] ** 2).sqrt()
        for b in "uvgriz"
    ).drop_nulls()
    assert robust_width(pulls) == pytest.approx(1.0, abs=0.2)


def test_skymapper_positions_are_those_of_the_moved_star(sky: MockSky) -> None:
    single = sky.tables["truth_skymapper"].filter(pl.col("kind") == "star")
    both = single.join(sky.tables["skymapper_dr2"], on="object_id").join(sky.tables["truth"], on="source_id")
    years = (both["mean_epoch"] - 57388.5) / 365.25
    shift = (both["dej2000"] - both["dec"]) * 3.6e6
    pull = (shift - both["pmdec"] * years) / both["e_dej2000"]
    assert pull.std() == pytest.approx(1.0, abs=0.06)
    moved = (both["pmdec"] * years).to_numpy()
    slope = (shift.to_numpy() * moved).sum() / (moved**2).sum()
    assert slope == pytest.approx(1.0, abs=0.15)


def test_skymapper_has_the_blemishes_of_a_survey(sky: MockSky) -> None:
    table, kinds, truth = (sky.tables[name] for name in ("skymapper_dr2", "truth_skymapper", "truth"))
    share = {kind: n / table.height for kind, n in kinds["kind"].value_counts().iter_rows()}
    assert 0.008 < share["duplicate"] < 0.025
    assert share["blend"] > 0.002
    assert share["galaxy"] > 0.02
    assert share["unrelated"] > 0.02
    assert kinds.filter(pl.col("kind").is_in(["galaxy", "unrelated"]))["source_id"].is_null().all()
    assert kinds.filter(pl.col("kind") == "blend")["companion_source_id"].is_not_null().all()
    assert truth.filter(pl.col("dec") > 3)["object_id"].is_null().all()
    missing = {band: table[f"{band}_psf"].is_null().mean() for band in "uvgriz"}
    assert 0.4 < missing["u"] < 0.75  # type: ignore[operator]
    assert 0.2 < missing["v"] < missing["u"]  # type: ignore[operator]
    assert missing["r"] < 0.03  # type: ignore[operator]
    faint = table.select(pl.max_horizontal(f"{band}_psf" for band in "uvgriz").alias("m")).filter(pl.col("m") > 25)
    assert 0 < faint.height < 0.01 * table.height


def test_both_entries_of_a_blend_lead_to_one_object(sky: MockSky) -> None:
    truth = sky.tables["truth"].select("source_id", "object_id")
    blends = sky.tables["truth_skymapper"].filter(pl.col("kind") == "blend")
    for column in ("source_id", "companion_source_id"):
        found = blends.join(truth, left_on=column, right_on="source_id", suffix="_truth")
        assert found.height == blends.height
        assert (found["object_id"] == found["object_id_truth"]).all()


def test_map_reddening_is_the_whole_column_on_its_own_scale(sky: MockSky) -> None:
    both = sky.tables["skymapper_dr2"].join(sky.tables["truth"], on="object_id")
    assert (both["ebmv_sfd"] / both["ebv_column"]).median() == pytest.approx(1 / 0.86, rel=0.01)
    near = both.filter(pl.col("distance") < 300)
    assert (near["ebv"] / near["ebv_column"]).median() < 0.8  # type: ignore[operator]
    far = both.filter(pl.col("distance") > 6000)
    assert (far["ebv"] / far["ebv_column"]).median() > 0.9  # type: ignore[operator]


def test_populations(sky: MockSky) -> None:
    truth = sky.tables["truth"].filter(pl.col("cluster").is_null())
    middle = {name: part["fe_h"].median() for (name,), part in truth.group_by("population")}
    assert middle["thin disc"] == pytest.approx(-0.03, abs=0.08)
    assert middle["thick disc"] == pytest.approx(-0.6, abs=0.1)
    assert middle["halo"] == pytest.approx(-1.6, abs=0.15)
    assert truth["fe_h"].min() < -2.3  # type: ignore[operator]
    assert truth["fe_h"].max() <= 0.5  # type: ignore[operator]
    # A sample limited in magnitude holds more binaries than a volume does (35 %), for they are brighter.
    assert truth["binary"].mean() == pytest.approx(0.38, abs=0.03)
    assert 0.05 < truth.select((pl.col("logg") < 3.5).mean()).item() < 0.2


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.name)
def test_members_share_what_a_cluster_shares(sky: MockSky, cluster: object) -> None:
    spec = next(item for item in CLUSTERS if item is cluster)
    members = sky.tables["truth"].filter(pl.col("cluster") == spec.name)
    assert members.height == round(spec.share * N_STARS)
    assert members["fe_h"].mean() == pytest.approx(spec.fe_h, abs=0.02)
    assert members["distance"].mean() == pytest.approx(spec.distance, rel=0.01)
    assert members["pmra"].median() == pytest.approx(spec.pmra, abs=0.5)
    assert members["field"].unique().to_list() == [spec.field]


def test_fields_have_the_density_of_the_sky(sky: MockSky) -> None:
    truth = sky.tables["truth"].filter(pl.col("cluster").is_null())
    density = {}
    for field in FIELDS:
        here = truth.filter(pl.col("field") == field.name)
        apart = np.hypot(
            (here["ra"].to_numpy() - field.ra) * np.cos(np.radians(field.dec)), here["dec"].to_numpy() - field.dec
        )
        density[field.name] = 0.9 * len(apart) / (np.pi * np.percentile(apart, 90) ** 2)
    lat = np.abs(galactic(np.array([f.ra for f in FIELDS]), np.array([f.dec for f in FIELDS]))[1])
    for field, b in zip(FIELDS, lat, strict=True):
        low, high = (900, 5500) if b > 35 else (2000, 40_000) if b > 8 else (6000, 250_000)
        assert low < density[field.name] < high, field.name


def test_some_stars_move_fast(sky: MockSky) -> None:
    moves = sky.tables["truth"].select((pl.col("pmra") ** 2 + pl.col("pmdec") ** 2).sqrt().alias("pm"))["pm"]
    assert moves.max() > 150  # type: ignore[operator]
    assert 3 < moves.median() < 15  # type: ignore[operator]


def test_violet_bands_carry_the_metallicity(sky: MockSky) -> None:
    """A quadratic fit of [Fe/H] must be at least a fifth worse without u and v."""
    both = sky.tables["skymapper_dr2"].join(sky.tables["truth"], on="object_id")
    bright = both.filter(
        pl.col("g_psf") < 16, pl.col("teff").is_between(4300, 6800), pl.col("logg") > 1
    ).drop_nulls([f"{band}_psf" for band in "uvgriz"])
    modulus = 5 * np.log10(bright["distance"].to_numpy() / 10)
    clear = {
        band: (bright[f"{band}_psf"] - (spec.extinction or 0.0) / 0.86 * bright["ebv"]).to_numpy()
        for band, spec in load_survey("skymapper_dr2").bands.items()
    }

    def scatter(bands: str) -> float:
        parts = [clear[a] - clear[b] for a, b in pairwise(bands)] + [clear["i"] - modulus]
        columns = [np.ones(len(modulus)), *parts]
        columns += [a * b for i, a in enumerate(parts) for b in parts[i:]]
        design, wanted = np.stack(columns, axis=1), bright["fe_h"].to_numpy()
        error = pl.Series(wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0])
        return robust_width(error)

    assert len(modulus) > 500
    assert scatter("griz") > 1.2 * scatter("uvgriz")
