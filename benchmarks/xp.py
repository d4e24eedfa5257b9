"""The gain of BP and RP spectra on the mock sky: the MAD of [Fe/H] with them, relative to that without.

    python benchmarks/xp.py --stars 150000 --learner mixture

Both models are trained on the same stars, and compared on the same test stars (those with spectra) with the truth
on the scale of the labels: what the survey would measure without noise. Its offset from the truth differs from
star to star and would be a floor under both models.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import polars as pl

import starscale as ss

_RUN = """
extends = "default"
mock = true
seed = {seed}

[catalogue]
survey = "gaia_dr3"
path = "gaia_dr3.parquet"

[[catalogue.join]]
survey = "bailer_jones_edr3"
path = "bailer_jones_edr3.parquet"
{join}
[[labels]]
survey = "galah_dr3"
path = "galah_dr3.parquet"

[model]
kind = "{learner}"
{photometry}
"""
_XP = """
[[catalogue.join]]
survey = "gaia_dr3_xp"
path = "gaia_dr3_xp.parquet"
"""
_SKYMAPPER = """
[[photometry]]
survey = "skymapper_dr2"
path = "skymapper_dr2.parquet"
"""


def mad(differences: pl.Series) -> float:
    """Return 1.4826 times the median absolute deviation from the median."""
    return 1.4826 * float((differences - differences.median()).abs().median())  # type: ignore[operator,arg-type]


def errors(folder: Path, settings: argparse.Namespace, photometry: str, join: str) -> pl.DataFrame:
    """Train a model; return identifier and error of [Fe/H] of its test stars, and the number of inputs."""
    run = folder / "run.toml"
    run.write_text(_RUN.format(seed=settings.seed, learner=settings.learner, join=join, photometry=photometry))
    trained = ss.train(run)
    truth = pl.read_parquet(folder / "truth.parquet", columns=["source_id", "fe_h"])
    scale = pl.read_parquet(folder / "truth_spectro.parquet").filter(pl.col("survey") == "galah_dr3")
    truth = truth.join(scale.unique("source_id"), on="source_id").select(
        "source_id", fe_h_true=pl.col("fe_h") + pl.col("fe_h_systematic")
    )
    found = trained.test.join(truth, on="source_id").drop_nulls("fe_h")
    inputs = len(trained.model.features)
    return found.select("source_id", (pl.col("fe_h") - pl.col("fe_h_true")).alias("error"), inputs=inputs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learner", default="svr")
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ss.make_mock(folder, stars=settings.stars, seed=settings.seed, spectra=True)
        spectra = pl.read_parquet(folder / "gaia_dr3_xp.parquet", columns=["source_id"])
        print("MOCK stars. photometry  test stars  inputs without, with  MAD of [Fe/H] without, with  ratio")
        for label, photometry in (("Gaia", ""), ("Gaia and SkyMapper", _SKYMAPPER)):
            without, having = (errors(folder, settings, photometry, join) for join in ("", _XP))
            both = without.join(having, on="source_id", suffix="_xp").join(spectra, on="source_id")
            a, b = mad(both["error"]), mad(both["error_xp"])
            counts = f"{both['inputs'][0]}, {both['inputs_xp'][0]}"
            print(f"{label}  {both.height}  {counts}  {a:.3f}, {b:.3f} dex  {b / a:.2f}")


if __name__ == "__main__":
    main()
