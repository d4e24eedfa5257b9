"""Speed and memory of `homogenize`: made-up surveys of up to 5.5 million rows, each size in its own process.

Run by ``make bench``. The bar of the largest size is 2 minutes and 4 GB on two cores.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
import polars as pl

from starscale.homogenization.kernel.rows import SurveyRows
from starscale.homogenization.kernel.whole import homogenize_tables
from starscale.reports.table import ReportTable
from starscale.surveys import Survey
from starscale.vocabulary.settings.homogenize import HomogenizeConfig

SIZES = (100_000, 1_000_000, 5_500_000)
SURVEYS = 5
#: Share of a survey's stars that all surveys draw from.
OVERLAP = 0.10


def made_up(rows: int) -> list[SurveyRows]:
    """Five surveys of equal size; a tenth of each is drawn from a common pool of stars."""
    rng = np.random.default_rng(1)
    each = rows // SURVEYS
    common = int(each * OVERLAP)
    pool = np.arange(int(common * 1.5))
    parts = []
    for s in range(SURVEYS):
        own = 10**8 * (s + 1) + np.arange(each - common)
        star = np.concatenate([rng.choice(pool, common, replace=False), own])
        truth = np.random.default_rng(2).normal(size=(len(pool), 3))
        x = np.concatenate([truth[star[:common]], rng.normal(size=(each - common, 3))])
        labels = x * [700, 0.9, 0.4] + [5500, 3.8, -0.3]
        shift = np.stack([20 * s * np.tanh(x[:, 0]), 0.03 * s * np.sin(x[:, 1]), 0.02 * s * x[:, 2]], axis=1)
        value = labels + shift + rng.normal(size=(each, 3)) * [60, 0.1, 0.06]
        table = pl.DataFrame({"id": np.arange(each)} | {n: value[:, i] for i, n in enumerate("tgm")})
        table = table.with_columns(pl.lit(30.0).alias("e_t"), pl.lit(0.05).alias("e_g"), pl.lit(0.03).alias("e_m"))
        links = pl.DataFrame({"source_id": star.astype(np.int64), "row": np.arange(each, dtype=np.uint32)})
        survey = Survey.model_validate(
            {
                "name": f"survey_{s}",
                "title": "made up",
                "kind": "spectroscopic",
                "id": {"column": "id"},
                "columns": {n: {} for n in ("id", "t", "g", "m", "e_t", "e_g", "e_m")},
                "labels": {
                    "teff": {"value": "t", "error": "e_t"},
                    "logg": {"value": "g", "error": "e_g"},
                    "fe_h": {"value": "m", "error": "e_m"},
                },
            }
        )
        parts.append(SurveyRows(survey, table, links, pl.Series(np.arange(each, dtype=np.int32)), survey.name))
    return parts


def one(rows: int) -> None:
    """Measure one size and print it as JSON."""
    parts = made_up(rows)
    started = time.perf_counter()
    result = homogenize_tables(parts, HomogenizeConfig())
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    overlaps = result.diagnostics["stars_in_overlaps"]
    print(
        json.dumps({"rows": rows, "stars": result.labels.height, "overlaps": overlaps, "s": seconds, "gb": peak})
    )


def main() -> int:
    """Measure every size."""
    if len(sys.argv) > 1:
        one(int(sys.argv[1]))
        return 0
    found = []
    for rows in SIZES:
        done = subprocess.run([sys.executable, __file__, str(rows)], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    cells = [
        [
            f"{f['rows']:,}",
            f"{f['stars']:,}",
            f"{f['overlaps']:,}",
            f"{f['s']:.1f}",
            f"{f['gb']:.2f}",
            f"{f['rows'] / found[0]['rows']:.0f}",
            f"{f['s'] / found[0]['s']:.1f}",
        ]
        for f in found
    ]
    print("homogenize: five made-up surveys, a tenth of their stars in common")
    headings = ["rows", "stars", "stars fitted", "seconds", "peak GB", "rows, ratio", "seconds, ratio"]
    print(ReportTable(headings, cells).text())
    good = found[-1]["s"] < 120 and found[-1]["gb"] < 4
    print("bar of 2 minutes and 4 GB: " + ("reached" if good else "MISSED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
