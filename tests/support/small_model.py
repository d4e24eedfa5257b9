"""A survey of a few columns, stars of it, and a model that is trained in a moment."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl

from starscale.features.families import Feature
from starscale.features.features import evaluate_features
from starscale.learn.predictor import fit_predictor
from starscale.learn.sample import Sample
from starscale.model.model import Model
from starscale.surveys import Survey
from starscale.vocabulary.settings.models import RidgeConfig
from starscale.vocabulary.strict import validate

SURVEY = validate(
    Survey,
    {
        "name": "small",
        "title": "A small survey",
        "kind": "photometric",
        "sentinels": [-999.0],
        "id": {"column": "source_id"},
        "position": {
            "ra": "ra",
            "dec": "dec",
            "ra_error": "ra_error",
            "dec_error": "dec_error",
            "epoch": {"default": 2016.0},
        },
        "columns": {
            "source_id": {"dtype": "int64"},
            "ra": {"unit": "deg"},
            "dec": {"unit": "deg"},
            "ra_error": {"unit": "mas"},
            "dec_error": {"unit": "mas"},
            "parallax": {"unit": "mas"},
            "g": {"unit": "mag"},
            "r": {"unit": "mag", "dtype": "float32"},
            "good": {"dtype": "bool"},
        },
        "cuts": [
            {"name": "good", "keep": "good", "description": "good"},
            {"name": "near", "keep": "parallax > 1"},
        ],
    },
    "small",
)
FEATURES = (Feature("g_r", "g - r"), Feature("distance", "LN(parallax)"))


def small_stars(n: int, seed: int = 1) -> pl.DataFrame:
    """Stars of the survey in its units, with the label `teff`."""
    rng = np.random.default_rng(seed)
    colour = rng.uniform(0.2, 1.2, n)
    g = rng.uniform(10, 16, n)
    return pl.DataFrame(
        {
            "source_id": (np.arange(n) + 1) * 2**40,
            "ra": rng.uniform(0, 360, n),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
            "ra_error": rng.uniform(0.02, 0.1, n),
            "dec_error": rng.uniform(0.02, 0.1, n),
            "parallax": rng.uniform(0.5, 10, n),
            "g": g,
            "r": pl.Series(g - colour, dtype=pl.Float32),
            "good": rng.random(n) < 0.8,
            "teff": 7000 - 2000 * colour + rng.normal(0, 50, n),
        }
    )


@cache
def small_model() -> Model:
    """A ridge regression of `teff`."""
    samples = []
    for seed in (1, 2):
        stars = small_stars(80, seed)
        y = stars.select("teff").to_numpy()
        samples.append(Sample(evaluate_features(stars, FEATURES), y, np.full_like(y, 50.0)))
    names = [feature.name for feature in FEATURES]
    predictor = fit_predictor(RidgeConfig(), ("teff",), *samples, seed=1, features=names)
    return Model(predictor, FEATURES, SURVEY, ("teff",), cuts=SURVEY.cuts, magnitude="g", magnitude_range=(10, 16))
