"""Made-up stars, predictions and surveys."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from starscale.surveys import Survey
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.strict import validate

RNG_SEED = 20240501
NOISE = {"teff": 85.0, "logg": 0.12, "fe_h": 0.13}


def stars(n: int, seed: int = RNG_SEED) -> pl.DataFrame:
    """Labels that look like a main sequence and a giant branch."""
    rng = np.random.default_rng(seed)
    giant = rng.random(n) < 0.35
    logg = np.where(giant, rng.normal(2.3, 0.6, n), rng.normal(4.35, 0.22, n))
    teff = np.where(giant, 4300 + 320 * logg - 100, rng.normal(5750, 500, n)) + rng.normal(0, 120, n)
    return pl.DataFrame(
        {
            "source_id": rng.permutation(np.arange(1, n + 1)) * 4096,
            "ra": rng.uniform(0, 360, n),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 0.05, n))),
            "teff": teff,
            "logg": logg,
            "fe_h": -0.2 - rng.gamma(1.2, 0.35, n) + rng.normal(0.25, 0.12, n),
            "magnitude": 18 - rng.gamma(2.0, 1.4, n),
        }
    )


def predictions(n: int, labels: tuple[str, ...] = tuple(LABELS), seed: int = RNG_SEED) -> pl.DataFrame:
    """A catalogue with its spectroscopic labels beside it, errors a Gaussian with a few outliers."""
    truth, rng = stars(n, seed), np.random.default_rng(seed + 1)
    table = truth.select("source_id", "ra", "dec")
    for name in labels:
        error = NOISE[name] * rng.lognormal(0, 0.25, n)
        shift = error * np.where(rng.random(n) < 0.03, rng.standard_t(2, n) * 2, rng.standard_normal(n))
        value = 0.93 * truth[name].to_numpy() + 0.07 * truth[name].mean() + shift
        ends = {"": value, "_error": error, "_lower": value - error, "_upper": value + error}
        ends |= {"_lower95": value - 2 * error, "_upper95": value + 2 * error}
        table = table.with_columns(pl.Series(name + end, v.astype(np.float32)) for end, v in ends.items())
    table = table.with_columns(
        pl.lit(0.2).alias("p_giant"), pl.lit(0.5).alias("domain_score"), pl.lit(0, pl.Int32).alias("flags")
    )
    return table.hstack(truth.select(pl.col(name).alias(f"{name}_label") for name in labels)).with_columns(
        truth["magnitude"]
    )


def survey(name: str, identifier: str, *columns: str) -> Survey:
    """A photometric survey with an identifier and columns of numbers."""
    document: dict[str, Any] = {
        "name": name,
        "title": name,
        "kind": "photometric",
        "id": {"column": identifier},
        "columns": {c: {} for c in (identifier, *columns)},
    }
    return validate(Survey, document, "test")
