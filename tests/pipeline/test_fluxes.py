"""A mock survey of fluxes, some negative, with a quality of each band, through check, clean, match and run."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import starscale as ss
from conftest import RUN_FILE

FILTERS = ("u", "v", "g", "r", "i", "z")


def survey_file(folder: Path) -> Path:
    """The packaged file of SkyMapper with fluxes, and a bit of `flags_psf` for each band in the place of a cut."""
    text = (resources.files("starscale.surveys") / "skymapper_dr2.toml").read_text(encoding="utf-8")
    for name in FILTERS:
        old = f'{name} = {{ magnitude = "{name}_psf", error = "e_{name}_psf",'
        assert old in text
        bit = 1 << (5 - FILTERS.index(name))
        flux = f'flux = "{name}_flux", flux_ivar = "{name}_weight", zero_point = 31.4, softening_magnitude = 22.0'
        text = text.replace(old, f'{old} {flux}, keep = "(flags_psf & {bit}) = 0",')
        text += f'{name}_flux = {{ unit = "nJy" }}\n{name}_weight = {{ unit = "nJy-2" }}\n'
    start = text.index('[[cuts]]\nname = "flags_psf"')
    text = text[:start] + text[text.index("[[cuts]]", start + 1) :]
    path = folder / "fluxes.toml"
    path.write_text(text.replace('name = "skymapper_dr2"', 'name = "fluxes"'), encoding="utf-8")
    return path


def flux_table(magnitudes: pl.DataFrame) -> pl.DataFrame:
    """The stars of the mock as fluxes, with noise in u that makes some negative."""
    rng, columns = np.random.default_rng(1), {}
    for name in FILTERS:
        flux = 10 ** (0.4 * (31.4 - magnitudes[f"{name}_psf"].cast(pl.Float64)))
        error = flux * magnitudes[f"e_{name}_psf"].cast(pl.Float64) / 1.0857
        if name == "u":
            sigma = 0.5 * flux.median()
            flux, error = flux + sigma * rng.normal(size=len(flux)), (error**2 + sigma**2).sqrt()
        columns |= {f"{name}_flux": flux, f"{name}_weight": error**-2.0}
    flags = rng.choice([0, 0, 0, 32, 1], magnitudes.height).astype(np.int32)
    return magnitudes.drop(f"{e}{n}_psf" for n in FILTERS for e in ("", "e_")).with_columns(
        **columns, flags_psf=flags
    )


@pytest.mark.slow
def test_fluxes_go_through_every_verb(sky: Path, tmp_path: Path) -> None:
    of = survey_file(tmp_path)
    table = flux_table(pl.read_parquet(sky / "mock" / "skymapper_dr2.parquet"))
    table.write_parquet(tmp_path / "fluxes.parquet")
    negative = table.filter((pl.col("u_flux") < 0) & (pl.col("flags_psf") & 32 == 0)).height
    assert negative > 100
    said = "\n".join(ss.check(tmp_path / "fluxes.parquet", survey=of))
    assert "computed: " in said
    assert "u_psf: " in said
    assert "not valid, read as missing" in said
    cleaned = ss.clean(tmp_path / "fluxes.parquet", survey=of)
    assert cleaned.table is not None
    marked = table.filter(pl.col("u_flux").is_not_null() & (pl.col("flags_psf") & 32 > 0)).height
    assert cleaned.invalid["u_psf"] == marked
    kept = cleaned.table.filter(pl.col("u_flux") < 0, pl.col("flags_psf") & 32 == 0)
    assert kept.height > 50
    assert kept["u_psf"].is_between(22.0, 25.0).all(), "measured, and fainter than the softening"
    matched = ss.match(sky / "mock" / "gaia_dr3.parquet", cleaned.table, left_survey="gaia_dr3", right_survey=of)
    assert matched.n_pairs > 500
    (tmp_path / "mock").symlink_to(sky / "mock")
    run_file = tmp_path / "run.toml"
    run_file.write_text(
        RUN_FILE.replace('survey = "skymapper_dr2"', 'survey = "fluxes.toml"').replace(
            "mock/skymapper_dr2", "fluxes"
        )
    )
    ss.run(run_file, tmp_path / "run")
    training = pl.read_parquet(tmp_path / "run" / "training.parquet")
    assert training.filter(pl.col("u_flux") < 0)["u_psf"].drop_nulls().len() > 0
    result = json.loads((tmp_path / "run" / "provenance.json").read_text())["steps"]["clean fluxes"]["result"]
    assert result["discarded"]["invalid"]["u_psf"] == marked
    assert "Values that became missing" in (tmp_path / "run" / "report.html").read_text()
    # The model reads fluxes, applies the quality of the bands, and gives the catalogue of the run.
    matched_table = pl.read_parquet(tmp_path / "run" / "matched.parquet")
    model = ss.load(tmp_path / "run" / "model")
    again = model.predict(matched_table.drop(f"{n}_psf" for n in FILTERS))
    catalogue = pl.read_parquet(tmp_path / "run" / "catalogue.parquet")
    assert again["fe_h"].equals(catalogue["fe_h"])
    assert "u_flux" in model.input_columns(matched_table.columns)
