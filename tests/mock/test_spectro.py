"""The five spectroscopic surveys of the mock: what rows are made of, repeats, overlaps, marks for missing."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from starscale.mock import MockSky, make_sky
from starscale.mock.labels import LABELS, SPECTROGRAPHS
from starscale.surveys import load_survey

N_STARS = 12_000
NAMES = tuple(SPECTROGRAPHS)


@pytest.fixture(scope="module")
def sky() -> MockSky:
    return make_sky(N_STARS, seed=11)


def rows_with_truth(sky: MockSky, name: str) -> pl.DataFrame:
    """Rows of one survey with values and errors under common names, and the truth about them."""
    labels = load_survey(name).labels
    values = [pl.col(labels[label].value).cast(pl.Float64).alias(f"{label}_value") for label in LABELS]
    errors = [pl.col(str(labels[label].error)).cast(pl.Float64).alias(f"{label}_error") for label in LABELS]
    truth = sky.tables["truth_spectro"].filter(pl.col("survey") == name)
    table = pl.concat([sky.tables[name].select(*values, *errors), truth], how="horizontal")
    return table.join(
        sky.tables["truth"].select("source_id", "ra", "dec", *LABELS), on="source_id", maintain_order="left"
    )


@pytest.mark.parametrize("name", NAMES)
def test_truth_lists_every_row_in_order(sky: MockSky, name: str) -> None:
    truth = sky.tables["truth_spectro"].filter(pl.col("survey") == name)
    assert truth["row"].to_list() == list(range(sky.tables[name].height))


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_truth_plus_systematics_plus_noise(sky: MockSky, name: str) -> None:
    rows = rows_with_truth(sky, name).filter(~pl.col("blank"))
    for label, tolerance in zip(LABELS, (1e-3, 1e-6, 1e-6), strict=True):
        rest = rows[f"{label}_value"] - rows[label] - rows[f"{label}_systematic"] - rows[f"{label}_noise"]
        assert rest.abs().max() < tolerance  # type: ignore[operator]


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_wider_than_quoted(sky: MockSky, name: str) -> None:
    rows = rows_with_truth(sky, name).filter(~pl.col("blank"), ~pl.col("outlier"))
    for label in LABELS:
        assert (rows[f"{label}_noise"] / rows[f"{label}_sigma"]).std() == pytest.approx(1.0, abs=0.12)
        ratio = (rows[f"{label}_sigma"] / rows[f"{label}_error"]).median()
        assert ratio == pytest.approx(SPECTROGRAPHS[name].understated, rel=0.05)
        assert 1.3 <= SPECTROGRAPHS[name].understated <= 2


@pytest.mark.parametrize("name", NAMES)
def test_scales_differ_by_what_real_scales_do(sky: MockSky, name: str) -> None:
    rows = rows_with_truth(sky, name)
    spread = {label: np.ptp(np.percentile(rows[f"{label}_systematic"].to_numpy(), [2, 98])) for label in LABELS}
    assert 50 < spread["teff"] < 250
    assert 0.08 < spread["logg"] < 0.6
    assert 0.08 < spread["fe_h"] < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_quadratic_does_not_describe_the_scale_exactly(sky: MockSky, name: str) -> None:
    rows = rows_with_truth(sky, name)
    x = [(rows[label] - rows[label].mean()) / rows[label].std() for label in LABELS]
    parts = [part.to_numpy() for part in x]
    columns = [
        np.ones(rows.height),
        *parts,
        *(a * b for a, b in itertools.combinations_with_replacement(parts, 2)),
    ]
    design, wanted = np.stack(columns, axis=1), rows["teff_systematic"].to_numpy()
    rest = wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]
    assert rest.std() > 3.0


def test_outliers_and_the_flags_that_catch_some(sky: MockSky) -> None:
    truth = sky.tables["truth_spectro"]
    assert truth["outlier"].mean() == pytest.approx(0.05, abs=0.012)
    for name in NAMES:
        cuts = load_survey(name).cuts
        if not cuts:
            continue
        table = sky.tables[name].with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        kept = table
        for cut in cuts:
            kept = kept.filter(pl.sql_expr(cut.keep))
        outliers = truth.filter(pl.col("survey") == name, pl.col("outlier"))
        good = truth.filter(pl.col("survey") == name, ~pl.col("outlier"))
        caught = outliers.join(kept, on="row", how="anti").height / outliers.height
        lost = good.join(kept, on="row", how="anti").height / good.height
        assert caught > lost + 0.1, name
        assert caught < 0.95, name


def test_every_two_surveys_have_stars_in_common(sky: MockSky) -> None:
    truth = sky.tables["truth_spectro"]
    stars = {name: set(truth.filter(pl.col("survey") == name)["source_id"]) for name in NAMES}
    for first, second in itertools.combinations(NAMES, 2):
        # 200 in a sky of 100,000 stars.
        assert len(stars[first] & stars[second]) >= 200 * N_STARS / 100_000, (first, second)
    assert 0.14 < len(set.union(*stars.values())) / N_STARS < 0.20


@pytest.mark.parametrize("name", NAMES)
def test_some_stars_repeat(sky: MockSky, name: str) -> None:
    counts = sky.tables["truth_spectro"].filter(pl.col("survey") == name)["source_id"].value_counts()["count"]
    assert (counts > 1).mean() == pytest.approx(SPECTROGRAPHS[name].repeats, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_positions_are_those_of_the_epoch(sky: MockSky, name: str) -> None:
    survey = load_survey(name)
    assert survey.position is not None
    assert survey.position.epoch is not None
    assert survey.position.epoch.default is not None
    truth = sky.tables["truth_spectro"].filter(pl.col("survey") == name).select("source_id")
    both = pl.concat([sky.tables[name].select(pl.col(survey.position.dec).alias("own")), truth], how="horizontal")
    both = both.join(sky.tables["truth"], on="source_id")
    moved = both["dec"] + both["pmdec"] * (survey.position.epoch.default - 2016.0) / 3.6e6
    offset = (both["own"] - moved) * 3.6e6
    assert offset.abs().max() < 5 * survey.position.error_floor  # type: ignore[operator]


@pytest.mark.parametrize("name", [name for name in NAMES if load_survey(name).gaia])
def test_own_gaia_identifiers_are_right_or_missing(sky: MockSky, name: str) -> None:
    survey = load_survey(name)
    assert survey.gaia is not None
    own = sky.tables[name][survey.gaia.column]
    true = sky.tables["truth_spectro"].filter(pl.col("survey") == name)["source_id"]
    missing = own <= 0
    assert 0 < missing.sum() < 0.05 * len(own)
    assert (own == true).filter(~missing).all()
    assert set(own.filter(missing)) <= set(survey.columns[survey.gaia.column].sentinels)


def test_missing_labels_look_as_in_the_archives(sky: MockSky) -> None:
    for name in NAMES:
        rows = rows_with_truth(sky, name)
        blank = rows.filter(pl.col("blank"))["teff_value"]
        assert 0 < len(blank) < 0.06 * rows.height
        if name == "lamost_dr5":
            assert (blank == -9999).all()
        elif name == "rave_dr6":
            assert blank.is_null().all()
        else:
            assert blank.is_nan().all()


def test_surveys_choose_different_stars(sky: MockSky) -> None:
    giants, dec = {}, {}
    for name in NAMES:
        rows = rows_with_truth(sky, name)
        giants[name] = (rows["logg"] < 3.5).mean()
        dec[name] = (rows["dec"].min(), rows["dec"].max())
    assert giants["apogee_dr17"] > 1.5 * giants["lamost_dr5"]  # type: ignore[operator]
    assert dec["lamost_dr5"][0] > -10  # type: ignore[operator]
    assert dec["rave_dr6"][1] < 5  # type: ignore[operator]
    assert dec["apogee_dr17"][1] > 30  # type: ignore[operator]


def test_apogee_names_hold_the_position(sky: MockSky) -> None:
    table = sky.tables["apogee_dr17"].head(50)
    for name, ra, dec in table.select("APOGEE_ID", "RA", "DEC").iter_rows():
        assert len(name) == 18
        hours = int(name[2:4]) + int(name[4:6]) / 60 + int(name[6:10]) / 100 / 3600
        degrees = int(name[11:13]) + int(name[13:15]) / 60 + int(name[15:18]) / 10 / 3600
        assert 15 * hours == pytest.approx(ra, abs=1.6e-4 / 3.6 + 1e-9)
        assert (-degrees if name[10] == "-" else degrees) == pytest.approx(dec, abs=0.1 / 3600 + 1e-9)
