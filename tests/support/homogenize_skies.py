"""Small made-up skies for the tests of `homogenize`: stars, surveys, and what is true of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from starscale.homogenization.kernel.rows import SurveyRows
from starscale.surveys import Survey

COLUMNS = {"teff": "t", "logg": "g", "fe_h": "m"}
#: Noise of a survey that is as good as its errors say.
SIGMA = np.array([60.0, 0.10, 0.06])
Shift = Callable[[np.ndarray], np.ndarray]


def survey(name: str, **changes: Any) -> Survey:
    """A survey file for :func:`observed`."""
    labels = {label: {"value": c, "error": f"e_{c}"} for label, c in COLUMNS.items()}
    names = ("id", "snr", "gaia", *COLUMNS.values(), *(f"e_{c}" for c in COLUMNS.values()))
    document = {
        "name": name,
        "title": name,
        "kind": "spectroscopic",
        "id": {"column": "id"},
        "snr": "snr",
        "gaia": {"column": "gaia", "release": "dr3"},
        "labels": labels,
        "columns": {column: {"dtype": "int64" if column in ("id", "gaia") else "float64"} for column in names},
    }
    return Survey.model_validate({**document, **changes})


def stars(n: int, rng: np.random.Generator) -> np.ndarray:
    """True teff, logg, fe_h of dwarfs and giants, shape (n, 3)."""
    giant = rng.random(n) < 0.4
    teff = np.where(giant, rng.normal(4800, 250, n), rng.normal(5800, 450, n))
    logg = np.where(giant, rng.normal(2.5, 0.5, n), rng.normal(4.3, 0.25, n))
    return np.stack([teff, logg, rng.normal(-0.3, 0.4, n)], axis=1)


def nothing(x: np.ndarray) -> np.ndarray:
    """No systematics."""
    return np.zeros_like(x)


def bent(x: np.ndarray) -> np.ndarray:
    """Smooth systematics of up to 100 K, 0.2 dex, 0.15 dex that are no polynomials."""
    t, g, m = (x[:, 0] - 5300) / 700, x[:, 1], x[:, 2]
    return np.stack([80 * np.tanh(t) + 20, 0.15 * np.tanh(g - 3.4), 0.12 * np.tanh(2 * (m + 0.4)) - 0.03], axis=1)


def observed(
    name: str,
    truth: np.ndarray,
    chosen: Sequence[int] | np.ndarray,
    rng: np.random.Generator,
    *,
    shift: Shift = nothing,
    understated: float = 1.0,
    sigma: np.ndarray = SIGMA,
    outliers: float = 0.0,
) -> SurveyRows:
    """What a survey says about some stars; a star that is chosen twice has two rows."""
    chosen = np.asarray(chosen)
    noise = rng.normal(size=(len(chosen), 3)) * sigma
    wild = rng.random(len(chosen)) < outliers
    noise[wild] += rng.normal(size=(int(wild.sum()), 3)) * sigma * 10
    value = truth[chosen] + shift(truth[chosen]) + noise
    columns: dict[str, Any] = {
        "id": np.arange(len(chosen)),
        "gaia": chosen + 1,
        "snr": rng.uniform(20, 200, len(chosen)),
    }
    for i, c in enumerate(COLUMNS.values()):
        columns[c], columns[f"e_{c}"] = value[:, i], np.full(len(chosen), sigma[i] / understated)
    return rows_of(survey(name), pl.DataFrame(columns))


def rows_of(description: Survey, table: pl.DataFrame) -> SurveyRows:
    """A table with its stars: those of the column `gaia`."""
    links = table.select(source_id="gaia").with_row_index("row").select("source_id", "row")
    return SurveyRows(description, table, links, pl.Series(np.arange(table.height)), description.name)


def sky(
    n: int,
    seed: int,
    *,
    shift: Shift = bent,
    understated: float = 1.0,
    outliers: float = 0.0,
    repeats: bool = True,
) -> tuple[list[SurveyRows], np.ndarray]:
    """Three surveys of the same sky, each of which saw 60 % of the stars; the first is on the true scale."""
    rng = np.random.default_rng(seed)
    truth = stars(n, rng)
    parts = []
    for k, name in enumerate(("anchor", "second", "third")):
        chosen = np.flatnonzero(rng.random(n) < 0.6)
        if repeats:
            chosen = np.sort(np.concatenate([chosen, rng.choice(chosen, len(chosen) // 5, replace=False)]))
        sign = (0.0, 1.0, -0.7)[k]
        kind = {"shift": lambda x, sign=sign: sign * shift(x), "understated": understated, "outliers": outliers}
        parts.append(observed(name, truth, chosen, rng, sigma=SIGMA * (1.0, 1.2, 1.5)[k], **kind))
    return parts, truth
