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
from itertools import pairwise
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
{model}
"""
#: Learners, with their settings: the default's network, smaller, and one whose trainings differ less.
MODELS = {"mixture": 'kind = "mixture"\nmembers = 2\nepochs = 20', "xgboost": 'kind = "xgboost"'}


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


def training_table(name: str, survey: str, table: pl.DataFrame) -> Path:
    """Run on one photometric table; returns the folder of the run."""
    table.write_parquet(OUT / f"{name}.parquet")
    ss.run(run_file(name, survey, "mixture", 1), OUT / name, progress=True)
    return OUT / name


def run_file(name: str, survey: str, model: str, seed: int) -> Path:
    """Write the run file of one training."""
    path = OUT / f"{name}_{model}_{seed}.toml"
    text = RUN_FILE.format(name=name, survey=survey, seed=seed, model=MODELS[model])
    path.write_text(text, encoding="utf-8")
    return path


def trained(name: str, survey: str, repeats: int) -> dict[str, list[ss.Model]]:
    """Return the models of every learner, one for each seed."""
    table = OUT / name / "training.parquet"
    return {
        learner: [
            ss.load(OUT / name / "model")
            if (learner, seed) == ("mixture", 1)
            else ss.train(run_file(name, survey, learner, seed), table=table).model
            for seed in range(1, repeats + 1)
        ]
        for learner in MODELS
    }


#: For each column of a table of figures: the name of a training table, and the models that predict it.
Cases = dict[str, tuple[str, dict[str, list[ss.Model]]]]


def figures(title: str, cases: Cases, objects: pl.DataFrame) -> None:
    """Print the MAD on the test stars among some objects, mean over the seeds, and its ratio to the first case."""
    rows = []
    for learner in next(iter(cases.values()))[1]:
        means: dict[str, dict[str, float]] = {}
        for case, (name, models) in cases.items():
            chosen = pl.read_parquet(OUT / name / "training.parquet").join(objects, on="object_id", how="semi")
            found = pl.concat(ss.evaluate(model, chosen).filter(by="all") for model in models[learner])
            means[case] = dict(found.group_by("label").agg(pl.col("mad").mean()).iter_rows())
            number, repeats = round(float(found["n"].mean() or 0)), len(models[learner])
        first, *others = means.values()
        for label, digits in LABELS.items():
            cells = [f"{mad[label]:.{digits}f} ({mad[label] / first[label]:.3f})" for mad in others]
            rows.append([learner, label, f"{first[label]:.{digits}f}", *cells])
    print(f"\nMOCK: {title}; MAD on {number:,} test stars, mean of {repeats} trainings (ratio to the first)")
    print(ReportTable(["learner", "label", *cases], rows).text())


#: Other inputs beside u, for the largest gain that u can give.
OTHERS = {"all": "vgriz", "g, r, i, z": "griz", "g, i": "gi", "g": "g"}
GAIA = ("phot_bp_mean_mag", "phot_rp_mean_mag", "teff_gspphot", "logg_gspphot", "mh_gspphot")


def limits(same: pl.DataFrame, deep: pl.DataFrame) -> None:
    """Print the largest gain that u can give to the stars below 5 in u, in per cent of the error of a label.

    The true u is that of the table without added noise. A cubic of the other inputs is fitted to it and to the
    labels; of the residuals, those of u with their noise explain a share of those of the label.
    """
    near = deep.filter(pl.col("u_flux") < 5 * pl.col("u_flux_error"))
    near = near.join(same.select("source_id", true="u_psf"), on="source_id")
    needed = [*(f"{name}_psf" for name in FILTERS), "true", "e_u_psf", "r_med_geo", *GAIA, *LABELS]
    near = near.drop_nulls(needed).filter(pl.all_horizontal(pl.col(*LABELS).is_finite()))
    noise, rows = float(near["e_u_psf"].median() or 0.0), []  # type: ignore[arg-type]
    for name, bands in OTHERS.items():
        given = [near[f"{band}_psf"].to_numpy() for band in bands]
        colours = [a - b for a, b in pairwise(given)]
        inputs = [*near.select(*GAIA).to_numpy().T, near["g_psf"].to_numpy() - 5 * np.log10(near["r_med_geo"])]
        design = _cubic([*colours, *inputs] if name == "all" else colours or given)
        u = _residual(design, near["true"].to_numpy() - near["g_psf"].to_numpy())
        cells = []
        for label in LABELS:
            y = _residual(design, near[label].to_numpy())
            whole = (np.abs(u) < 4 * _width(u)) & (np.abs(y) < 4 * _width(y))
            share, scatter = np.corrcoef(u[whole], y[whole])[0, 1] ** 2, u[whole].std()
            cells += [f"{100 * (1 - np.sqrt(1 - share * scatter**2 / (scatter**2 + noise**2))):.1f}"]
        rows.append([name, f"{_width(u):.2f}", *cells])
    print(f"\nlargest gain of u below 5, error {noise:.2f} mag, per cent")
    print(ReportTable(["other inputs", "scatter of u (mag)", *LABELS], rows).text())


def _cubic(inputs: list[np.ndarray]) -> np.ndarray:
    """Return a constant, the inputs, their squares, products and cubes."""
    x = np.column_stack([(values - values.mean()) / values.std() for values in inputs])
    products = [x[:, i] * x[:, j] for i in range(x.shape[1]) for j in range(i, x.shape[1])]
    return np.column_stack([np.ones(len(x)), x, *products, x**3])


def _width(values: np.ndarray) -> float:
    low, high = np.percentile(values, [16, 84])
    return float(high - low) / 2


def _residual(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def main() -> None:
    stars, repeats = int((sys.argv[1:] or ["150000"])[0]), int((sys.argv[2:] or ["3"])[0])
    OUT.mkdir(parents=True, exist_ok=True)
    ss.make_mock(OUT / "mock", stars=stars, seed=21)
    magnitudes = pl.read_parquet(OUT / "mock" / "skymapper_dr2.parquet")
    fluxes = as_fluxes(magnitudes)
    (OUT / "flux.toml").write_text(flux_survey(SOFTENING), encoding="utf-8")
    training_table("magnitudes", "skymapper_dr2", magnitudes)
    labelled = pl.read_parquet(training_table("fluxes", "flux.toml", fluxes) / "training.parquet")
    same = {n: trained(n, s, repeats) for n, s in (("magnitudes", "skymapper_dr2"), ("fluxes", "flux.toml"))}
    cases: Cases = {name: (name, models) for name, models in same.items()}
    figures("the same stars", cases, magnitudes)
    # Trainings on two tables differ by chance; one model on both tables does not.
    one = {"mixture": same["magnitudes"]["mixture"][:1]}
    figures("one model", {"magnitudes": ("magnitudes", one), "fluxes": ("fluxes", one)}, magnitudes)
    sigma = float(labelled["u_flux"].median() or 0.0) / 4
    deep = noisy(fluxes, sigma)
    limit = round(ZERO_POINT - 2.5 * float(np.log10(sigma)), 2)
    (OUT / "deep.toml").write_text(flux_survey({**SOFTENING, "u": limit}), encoding="utf-8")
    training_table("missing", "skymapper_dr2", faint_missing(magnitudes, deep))
    labelled = pl.read_parquet(training_table("deep", "deep.toml", deep) / "training.parquet")
    near: Cases = {
        "missing": ("missing", trained("missing", "skymapper_dr2", repeats)),
        "fluxes": ("deep", trained("deep", "deep.toml", repeats)),
    }
    seen = deep.join(labelled, on="object_id", how="semi")
    faint = seen.filter(pl.col("u_flux") < 5 * pl.col("u_flux_error"))
    negative = faint.filter(pl.col("u_flux") < 0).height
    print(f"\n{faint.height:,} of {seen.height:,} stars with labels are below 5 in u, {negative:,} negative")
    limits(pl.read_parquet(OUT / "fluxes" / "training.parquet"), labelled)
    figures("noise in u, stars below 5 in u", near, faint)
    figures("noise in u, all stars", near, deep)


if __name__ == "__main__":
    main()
