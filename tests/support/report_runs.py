"""Folders of finished runs without a run: what the report reads, made up."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from starscale.model.evaluate import evaluate, summarise
from starscale.tables.cuts import Attrition, AttritionRow
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.flags import CatalogueFlag
from starscale.vocabulary.provenance import record
from support.fakes import predictions

#: Differences of bands from the magnitude of a star, mag.
COLOURS = {"g": 0.0, "bp": 0.4, "rp": -0.5}


def attrition(survey: str, n: int) -> dict[str, Any]:
    rows = (
        AttritionRow("star", f"{survey}_class > 0.8", "stellar image", "a paper", n // 5, n // 5, n - n // 5),
        AttritionRow("flags", "flags = 0 AND\n   x < 1", "", "", n // 10, n // 12, n - n // 5 - n // 12),
    )
    return asdict(Attrition(n, rows))


def matched(stars: pl.DataFrame) -> pl.DataFrame:
    """The table of stars of a run: those of the catalogue, with magnitudes and parallaxes."""
    rng, n = np.random.default_rng(11), stars.height
    bands = {f"phot_{band}_mean_mag": stars["magnitude"] + rng.normal(at, 0.2, n) for band, at in COLOURS.items()}
    parallax = rng.gamma(2.0, 1.0, n)
    return stars.select("source_id", "ra", "dec").with_columns(**bands, parallax=parallax, parallax_error=0.1)


def figures(test: pl.DataFrame, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    truth = test.select(pl.col(f"{name}_label").alias(name) for name in labels)
    one = evaluate(test, truth, labels, magnitude=test["magnitude"])
    two = one.with_columns(pl.col("mean", "std", "mad", "rmse") * 1.1)
    rows: list[dict[str, Any]] = json.loads(summarise([one, two]).write_json())
    return rows


def make_run(
    folder: Path,
    *,
    mock: bool = False,
    title: str = "A run",
    n: int = 6000,
    labels: tuple[str, ...] = tuple(LABELS),
    match: bool = True,
) -> Path:
    """Everything that a run leaves and the report reads."""
    folder.mkdir(parents=True, exist_ok=True)
    catalogue, test = predictions(5 * n, labels), predictions(n, labels, seed=7)
    drop = [c for c in test.columns if c.endswith("_label") or c == "magnitude"]
    catalogue.drop(drop).write_parquet(folder / "catalogue.parquet")
    if "fe_h" in labels:
        # The logistic of the distance from the threshold: about right.
        off = (test["fe_h"] + 1) / 0.15
        test = test.with_columns((1 / (1 + off.exp())).alias("p_fe_h_below_m1"))
    test.write_parquet(folder / "test.parquet")
    matched(catalogue).write_parquet(folder / "matched.parquet")
    survey = "skymapper_dr2"
    steps: dict[str, Any] = {"clean gaia_dr3": {"attrition": attrition("gaia", 123457)}}
    if match:
        rng = np.random.default_rng(3)
        distance = np.abs(np.where(rng.random(n) < 0.98, rng.rayleigh(0.12, n), np.sqrt(rng.random(n))))
        pl.DataFrame({"angular_distance": distance}).write_parquet(folder / f"pairs_{survey}.parquet")
        statistics: dict[str, Any] = {
            "n_lead": 120001,
            "n_external": 98765,
            "n_pairs": 70707,
            "n_matched": 70111,
            "n_strict": 69001,
        }
        statistics |= {"n_loose": 69555, "radius": 1.0, "median_distance": 0.14142, "n_kept": 68999}
        statistics |= {"mode": "dense", "method": "figure_of_merit", "order": "match_first", "pairs": "strict"}
        statistics |= {"model": {"error_scale": 1.23, "blended_share": 0.017}}
        statistics |= {"losses": {"no_candidate": 777, "several_neighbours": 1042}}
        probability = 1 - 10.0 ** rng.uniform(-9, -0.3, n)
        neighbours = pl.DataFrame({"match_probability": probability, "best": rng.random(n) < 0.97})
        neighbours.write_parquet(folder / f"neighbours_{survey}.parquet")
        steps |= {f"clean {survey}": {"attrition": attrition("sky", 98765)}, f"match {survey}": statistics}
    counts = {"rows": 5432, "without_star": 321, "without_labels": 12, "stars": 4999, "repeats": 100}
    steps |= {
        "labels galah_dr3": {"attrition": attrition("galah", 6543), "counts": counts},
        "join": {"stars": 68001},
        "training set": {"stars": 4321},
        "train": {"split": {"train": 3457, "validation": 432, "test": 433}},
        "predict": {
            "rows": 68001,
            "predicted": 67890,
            "flags": {bit.name: 111 * i for i, bit in enumerate(CatalogueFlag)},
        },
        "evaluate": {},
        "coverage": {
            "rows": [
                {
                    "label": name,
                    "interval": 68,
                    "n": 433,
                    "share": 0.7,
                    "excess": 0.0225,
                    "excess_error": 0.004,
                    "deviation": 0.15,
                }
                for name in labels
            ]
        },
    }
    settings = {
        "title": title,
        "catalogue": {
            "survey": "gaia_dr3",
            "path": "tables/gaia.parquet",
            "join": [{"survey": "bailer_jones_edr3", "path": "tables/distances.parquet"}],
        },
        "photometry": [{"survey": survey, "path": "tables/smss.parquet"}] if match else [],
        "labels": [{"survey": "surveys/my_own.toml", "path": None}],
        "model": {"kind": "mixture", "members": 5},
        "compare": [{"name": "clusters", "path": "tables/clusters.csv"}],
    }
    inputs = {"tables/gaia.parquet": {"sha256": "ab" * 32}, "tables/other.fits": {"sha256": "cd" * 32}}
    provenance = record(command="run run.toml", mock=mock, settings=settings, inputs=inputs)
    provenance["steps"] = {
        name: {
            "key": "0f" * 32,
            "reads": {},
            "files": {f"{i}.parquet": "12" * 32},
            "seconds": 1.5 + i,
            "result": r,
        }
        for i, (name, r) in enumerate(steps.items())
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))
    metrics = {
        "title": title,
        "mock": mock,
        "repeats": 2,
        "split": {"train": 3457, "validation": 432, "test": 433},
    }
    metrics["test"] = figures(test, labels)
    metrics["compare"] = [
        {"name": "clusters", "stars": 77, "figures": figures(test.head(77), labels)},
        {"name": "nobody", "stars": 0, "figures": []},
    ]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "MODEL_CARD.md").write_text("# The card\nof <this> model")
    return folder
