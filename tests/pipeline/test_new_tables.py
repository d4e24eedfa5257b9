"""Tables of the new kinds through check, clean, match and a run: vectors, fluxes, three-column ids, five HDUs.

The mock sky of the session, in the form of other surveys: J-PLUS (vectors), Legacy Surveys (fluxes, some of them
negative, identifiers of three columns), SkyMapper with a quality of each band, and DESI (five tables of one file).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import fits
from astropy.table import Table

import starscale as ss

#: The band of the mock that stands for each filter of J-PLUS, in the order of its vectors.
PLACES = ("r", "g", "i", "z", "u", "u", "v", "v", "g", "g", "r", "z")
BITS = {"u": 32, "v": 16, "g": 8, "r": 4, "i": 2, "z": 1}


@dataclass(frozen=True)
class Kind:
    """A table of a new kind: its survey, its file, and the column of its identifier."""

    survey: str
    path: Path
    identifier: str
    rows: int


def magnitudes(table: pl.DataFrame, band: str) -> np.ndarray:
    return table[f"{band}_psf"].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def errors(table: pl.DataFrame, band: str) -> np.ndarray:
    return table[f"e_{band}_psf"].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def as_jplus(table: pl.DataFrame, folder: Path) -> Kind:
    """Magnitudes, errors and flags of twelve filters as vectors; 99 where nothing was detected."""
    n = table.height
    vectors = {name: np.full((n, 12), 99.0) for name in ("mag_psfcor", "mag_err_psfcor")}
    for place, band in enumerate(PLACES):
        vectors["mag_psfcor"][:, place] = np.nan_to_num(magnitudes(table, band), nan=99.0)
        vectors["mag_err_psfcor"][:, place] = np.nan_to_num(errors(table, band), nan=99.0)
    flags = np.zeros((n, 12), dtype=np.int32)
    flags[::10, 4] = 1
    position = {"alpha_j2000": table["raj2000"].to_numpy(), "delta_j2000": table["dej2000"].to_numpy()}
    ids = {"tile_id": np.full(n, 85560), "number": np.arange(n)}
    columns = {**ids, **position, "class_star": np.ones(n), **vectors, "mask_flags": flags}
    Table(columns).write(path := folder / "jplus.fits")
    return Kind("jplus_dr3", path, "jplus_id", n)


def as_legacy(table: pl.DataFrame, folder: Path) -> Kind:
    """Fluxes in nanomaggies with inverse variances, some negative; an identifier of three columns."""
    rng, n = np.random.default_rng(4), table.height
    columns = {"release": np.full(n, 9010), "brickid": 330368 + np.arange(n) % 7, "objid": np.arange(n)}
    columns |= {"ra": table["raj2000"].to_numpy(), "dec": table["dej2000"].to_numpy(), "type": np.full(n, "PSF")}
    columns |= {"ra_ivar": np.full(n, 1e14), "dec_ivar": np.full(n, 1e14)}
    columns |= {"brick_primary": np.ones(n, bool), "ebv": table["ebmv_sfd"].to_numpy()}
    for name, band in {"g": "g", "r": "r", "i": "i", "z": "z", "w1": "i", "w2": "z"}.items():
        flux = 10 ** (0.4 * (22.5 - magnitudes(table, band)))
        error = flux * errors(table, band) / 1.0857
        if name == "w2":
            # A shallow band, in which many stars are near the limit.
            sigma = np.nanmedian(flux)
            flux, error = flux + sigma * rng.normal(size=n), np.hypot(error, sigma)
        columns |= {f"flux_{name}": np.nan_to_num(flux), f"flux_ivar_{name}": np.nan_to_num(error**-2.0)}
    Table(columns).write(path := folder / "legacy.fits")
    return Kind("legacy_survey", path, "ls_id", n)


def as_flagged(table: pl.DataFrame, folder: Path) -> Kind:
    """SkyMapper, with a bit of `flags_psf` for each band in the place of a cut."""
    text = (resources.files("starscale.surveys") / "skymapper_dr2.toml").read_text(encoding="utf-8")
    for band, bit in BITS.items():
        old = f'{band} = {{ magnitude = "{band}_psf", error = "e_{band}_psf",'
        assert old in text
        text = text.replace(old, f'{old} keep = "(flags_psf & {bit}) = 0",')
    start = text.index('[[cuts]]\nname = "flags_psf"')
    text = text[:start] + text[text.index("[[cuts]]", start + 1) :]
    survey = folder / "flagged.toml"
    survey.write_text(text.replace('name = "skymapper_dr2"', 'name = "flagged"'), encoding="utf-8")
    flags = np.where(np.arange(table.height) % 4 == 0, BITS["u"] + BITS["z"], 0)
    table.with_columns(flags_psf=pl.Series(flags, dtype=pl.Int32)).write_parquet(
        path := folder / "flagged.parquet"
    )
    return Kind(str(survey), path, "object_id", table.height)


def as_desi(labels: pl.DataFrame, folder: Path) -> Kind:
    """Labels in five tables of one file, whose rows belong together; TEFF, LOGG and FEH stand in two of them."""
    n = labels.height
    values = {
        name: labels[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for name, column in (("TEFF", "teff"), ("LOGG", "logg"), ("FEH", "fe_h"))
    }
    targets = np.arange(n) + 39627000000000000
    rv = {
        "TARGETID": targets,
        "TARGET_RA": labels["ra_dr2"].to_numpy(),
        "TARGET_DEC": labels["dec_dr2"].to_numpy(),
    }
    rv |= {"TARGETID": targets, **values}
    rv |= {f"{name}_ERR": np.full(n, size) for name, size in (("TEFF", 60), ("LOGG", 0.1), ("FEH", 0.05))}
    rv |= {"RVS_WARN": np.zeros(n, int), "RR_SPECTYPE": np.full(n, "STAR"), "PRIMARY": np.ones(n, bool)}
    rv |= {"SN_R": np.full(n, 50.0)}
    # The second pipeline differs by a lot: a mix of both would be seen.
    sp = {"TARGETID": targets, **{name: given + 10 for name, given in values.items()}}
    tables = {
        "RVTAB": rv,
        "SPTAB": sp,
        "FIBERMAP": {"TARGETID": targets, "REF_EPOCH": np.full(n, 2016.0)},
        "SCORES": {"TARGETID": targets},
        "GAIA": {"SOURCE_ID": labels["dr3_source_id"].to_numpy()},
    }
    units = [fits.BinTableHDU(Table(columns), name=name) for name, columns in tables.items()]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(path := folder / "mwsall.fits")
    return Kind("desi_dr1_mws", path, "targetid", n)


@pytest.fixture(scope="module")
def tables(sky: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    """A part of the mock sky in new forms, beside `gaia.parquet` with its stars of Gaia."""
    folder, mock = tmp_path_factory.mktemp("tables"), sky / "mock"
    labels = pl.read_parquet(mock / "galah_dr3.parquet").unique("dr3_source_id", keep="first", maintain_order=True)
    truth = pl.read_parquet(mock / "truth_skymapper.parquet")
    named = labels.select(source_id="dr3_source_id").drop_nulls()
    pl.read_parquet(mock / "gaia_dr3.parquet").join(named, on="source_id", how="semi").write_parquet(
        folder / "gaia.parquet"
    )
    seen = truth.join(named, on="source_id", how="semi")
    stars = pl.read_parquet(mock / "skymapper_dr2.parquet").join(seen, on="object_id", how="semi")
    makers = {"jplus": as_jplus, "legacy": as_legacy, "flagged": as_flagged}
    return {name: make(stars, folder) for name, make in makers.items()} | {"desi": as_desi(labels, folder)}


@pytest.mark.parametrize("kind", ["jplus", "legacy", "flagged", "desi"])
def test_check_clean_and_match(tables: dict[str, Kind], kind: str) -> None:
    one = tables[kind]
    said = "\n".join(ss.check(one.path, survey=one.survey))
    assert f"{one.rows:,} rows" in said
    table = ss.read(one.path, survey=one.survey)
    assert table[one.identifier].n_unique() == one.rows
    cleaned = ss.clean(one.path, survey=one.survey)
    assert cleaned.table is not None
    assert cleaned.attrition.n_in == one.rows
    gaia = one.path.parent / "gaia.parquet"
    matched = ss.match(gaia, cleaned.table, left_survey="gaia_dr3", right_survey=one.survey)
    assert matched.n_pairs > 0.9 * cleaned.table.height


def test_each_kind_is_read_as_what_it_holds(tables: dict[str, Kind]) -> None:
    flagged = ss.clean(tables["flagged"].path, survey=tables["flagged"].survey)
    marked = -(-tables["flagged"].rows // 4)
    assert marked >= flagged.invalid["z_psf"] > 0.9 * marked
    jplus = ss.read(tables["jplus"].path, survey="jplus_dr3")
    original = pl.read_parquet(tables["flagged"].path)
    assert jplus["mag_rSDSS"].equals(original["r_psf"].alias("mag_rSDSS"), null_equal=True)
    assert jplus["mag_uJAVA"][::10].null_count() == len(jplus["mag_uJAVA"][::10])
    legacy = ss.read(tables["legacy"].path, survey="legacy_survey")
    assert legacy.filter(pl.col("flux_w2") < 0, pl.col("asinh_mag_w2").is_null()).height == 0
    assert (legacy["flux_w2"] < 0).sum() > 20
    desi = ss.read(tables["desi"].path, survey="desi_dr1_mws")
    assert desi["teff"].max() < 10_000
    assert desi["gaia_source_id"].null_count() == 0


@pytest.mark.slow  # 15 s; a run with the quality of each band is in test_fluxes
def test_a_run_on_all_kinds_at_once(tables: dict[str, Kind], tmp_path: Path) -> None:
    folder = tables["jplus"].path.parent
    photometry = "".join(
        f'[[photometry]]\nsurvey = "{of.survey}"\npath = "{of.path}"\n'
        for of in (tables["jplus"], tables["legacy"])
    )
    text = f"""mock = true
repeats = 1
model = {{ kind = "ridge", degree = 1, folds = 2 }}
importance.apply = false
features.only = ["gaia_dr3.BP-RP", "jplus_dr3.g-i", "legacy_survey.z-W1", "legacy_survey.W1-W2"]
catalogue = {{ survey = "gaia_dr3", path = "{folder / "gaia.parquet"}", cuts = {{ without = ["distance"] }} }}
labels = [{{ survey = "desi_dr1_mws", path = "{tables["desi"].path}" }}]
{photometry}"""
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    assert any("jplus_dr3" in line for line in ss.check(tmp_path / "run.toml"))
    ss.run(tmp_path / "run.toml", tmp_path / "out")
    training = pl.read_parquet(tmp_path / "out" / "training.parquet")
    negative = training.filter(pl.col("flux_w2") < 0)
    assert negative.height > 5
    assert negative["asinh_mag_w2"].null_count() == 0
    # Each star has the label of its own row.
    truth = ss.read(tables["desi"].path, survey="desi_dr1_mws").select(pl.col("gaia_source_id"), "feh_corrected")
    joined = training.join(truth, left_on="source_id", right_on="gaia_source_id", how="left")
    np.testing.assert_allclose(joined["fe_h"], joined["feh_corrected"], rtol=1e-12)
    catalogue = pl.read_parquet(tmp_path / "out" / "catalogue.parquet")
    assert catalogue["teff"].is_finite().sum() > 0.5 * catalogue.height
