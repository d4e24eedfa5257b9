"""Fluxes beside magnitudes on a mock sky: the same stars as both, and stars near the limit in u.

    python benchmarks/fluxes.py

Trainings that differ in the photometric table only. "The same stars": the magnitudes of the mock, and fluxes in
nJy with the same errors. "Noise in u": noise is added to the fluxes in u, so that many stars with labels are below
a signal-to-noise ratio of 5 and some are negative; beside them the table of magnitudes that follows, in which
these are missing.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl

import starscale as ss
from starscale.reports.table import ReportTable

OUT = Path(__file__).resolve().parent.parent / "build" / "fluxes"
FILTERS = ("u", "v", "g", "r", "i", "z")
ZERO_POINT = 31.4
#: Magnitude of the softening, mag: that of the noise of a source at the limit of the mock, by filter.
SOFTENING = {"u": 21.4, "v": 21.6, "g": 23.5, "r": 23.3, "i": 22.4, "z": 21.6}
LABELS = {"teff": 1, "logg": 3, "fe_h": 3}
_POGSON = 2.5 / np.log(10)

RUN_FILE = """\
title = "{name}"
mock = true
seed = {seed}
catalogue = {{ survey = "gaia_dr3", path = "mock/gaia_dr3.parquet", join = [
    {{ survey = "bailer_jones_edr3", path = "mock/bailer_jones_edr3.parquet" }}] }}
photometry = [{{ survey = "{survey}", path = "{name}.parquet" }}]
labels = [{{ survey = "galah_dr3", path = "mock/galah_dr3.parquet" }}]

[model]
kind = "mixture"
members = 2
epochs = 20
"""


def flux_survey(softening: dict[str, float]) -> str:
    """Return the packaged survey file with fluxes in the place of magnitudes."""
    text = (resources.files("starscale.surveys") / "skymapper_dr2.toml").read_text(encoding="utf-8")
    for name in FILTERS:
        old = f'{name} = {{ magnitude = "{name}_psf", error = "e_{name}_psf",'
        new = f'{old} flux = "{name}_flux", flux_error = "{name}_flux_error", zero_point = {ZERO_POINT},'
        assert old in text
        text = text.replace(old, f"{new} softening_magnitude = {softening[name]},")
        text += f'{name}_flux = {{ unit = "nJy" }}\n{name}_flux_error = {{ unit = "nJy" }}\n'
    return text


def as_fluxes(table: pl.DataFrame) -> pl.DataFrame:
    """Return magnitudes and errors as fluxes in nJy; a missing magnitude is a missing flux."""
    fluxes = {}
    for name in FILTERS:
        flux = 10 ** (0.4 * (ZERO_POINT - table[f"{name}_psf"].cast(pl.Float64)))
        fluxes[f"{name}_flux"] = flux
        fluxes[f"{name}_flux_error"] = flux * table[f"e_{name}_psf"].cast(pl.Float64) / _POGSON
    return table.drop(f"{e}{name}_psf" for name in FILTERS for e in ("", "e_")).with_columns(**fluxes)


def noisy(table: pl.DataFrame, sigma: float) -> pl.DataFrame:
    """Add noise of `sigma` nJy to the fluxes in u."""
    rng = np.random.default_rng(11)
    return table.with_columns(
        u_flux=table["u_flux"] + sigma * rng.normal(size=table.height),
        u_flux_error=(table["u_flux_error"] ** 2 + sigma**2).sqrt(),
    )


def faint_missing(magnitudes: pl.DataFrame, fluxes: pl.DataFrame) -> pl.DataFrame:
    """Return magnitudes of the noisy fluxes in u, missing where the signal-to-noise ratio is below 5."""
    flux, error = fluxes["u_flux"], fluxes["u_flux_error"]
    seen = pl.select(pl.when(flux / error >= 5).then(flux)).to_series()
    u, error = ZERO_POINT - _POGSON * seen.log(), _POGSON * error / seen
    return magnitudes.with_columns(u_psf=u.cast(pl.Float32), e_u_psf=error.cast(pl.Float32))


def train(name: str, survey: str, table: pl.DataFrame, repeats: int) -> tuple[list[ss.Model], pl.DataFrame]:
    """Run on one photometric table; returns a model for each seed, and the training table."""
    table.write_parquet(OUT / f"{name}.parquet")
    models = []
    for seed in range(1, repeats + 1):
        file = OUT / f"{name}_{seed}.toml"
        file.write_text(RUN_FILE.format(name=name, survey=survey, seed=seed), encoding="utf-8")
        if seed == 1:
            ss.run(file, OUT / name, progress=True)
            models.append(ss.load(OUT / name / "model"))
        else:
            models.append(ss.train(file, table=OUT / name / "training.parquet").model)
    return models, pl.read_parquet(OUT / name / "training.parquet")


Trained = tuple[list[ss.Model], pl.DataFrame]


def figures(title: str, trained: dict[str, Trained], objects: pl.DataFrame) -> ReportTable:
    """Return the MAD on the test stars among some objects, mean over the seeds, by label and table."""
    means: dict[str, dict[str, float]] = {}
    for name, (models, table) in trained.items():
        chosen = table.join(objects, on="object_id", how="semi")
        found = pl.concat(
            ss.evaluate(model, chosen).filter(by="all").select("label", "mad", "n") for model in models
        )
        means[name] = dict(found.group_by("label").agg(pl.col("mad").mean()).iter_rows())
        number = round(float(found["n"].mean() or 0))
    first, second = means.values()
    rows = [
        [label, f"{first[label]:.{d}f}", f"{second[label]:.{d}f}", f"{second[label] / first[label]:.3f}"]
        for label, d in LABELS.items()
    ]
    print(f"\nMOCK: {title}; MAD on {number:,} test stars, mean of {len(models)} trainings")
    return ReportTable(["label", *means, "ratio"], rows)


def main() -> None:
    stars, repeats = int((sys.argv[1:] or ["100000"])[0]), int((sys.argv[2:] or ["3"])[0])
    OUT.mkdir(parents=True, exist_ok=True)
    ss.make_mock(OUT / "mock", stars=stars, seed=21)
    magnitudes = pl.read_parquet(OUT / "mock" / "skymapper_dr2.parquet")
    fluxes = as_fluxes(magnitudes)
    (OUT / "flux.toml").write_text(flux_survey(SOFTENING), encoding="utf-8")
    same = {
        "magnitudes": train("magnitudes", "skymapper_dr2", magnitudes, repeats),
        "fluxes": train("fluxes", "flux.toml", fluxes, repeats),
    }
    print(figures("the same stars", same, magnitudes).text())
    labelled = same["fluxes"][1]["u_flux"]
    sigma = float(labelled.median() or 0.0) / 4
    deep = noisy(fluxes, sigma)
    limit = round(ZERO_POINT - 2.5 * float(np.log10(sigma)), 2)
    (OUT / "deep.toml").write_text(flux_survey({**SOFTENING, "u": limit}), encoding="utf-8")
    near = {
        "missing": train("missing", "skymapper_dr2", faint_missing(magnitudes, deep), repeats),
        "fluxes": train("deep", "deep.toml", deep, repeats),
    }
    stars_of = deep.join(near["fluxes"][1], on="object_id", how="semi")
    faint = stars_of.filter(pl.col("u_flux") < 5 * pl.col("u_flux_error"))
    negative = faint.filter(pl.col("u_flux") < 0).height
    print(
        f"\n{faint.height:,} of {stars_of.height:,} stars with labels are below 5 in u, {negative:,} are negative"
    )
    print(figures("noise in u, stars below 5 in u", near, faint).text())
    print(figures("noise in u, all stars", near, deep).text())


if __name__ == "__main__":
    main()
