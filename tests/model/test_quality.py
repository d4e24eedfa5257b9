"""Levels of quality: the worst of the flags, with figures of their own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from starscale.model.evaluate import evaluate
from starscale.model.flagging import quality
from starscale.reports.text import figures_table
from starscale.vocabulary.flags import QUALITIES, SEVERITY, CatalogueFlag

TABLES = Path(__file__).resolve().parents[2] / "docs" / "tables.md"


@given(st.lists(st.integers(0, 2 * int(max(CatalogueFlag)) - 1), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_a_star_has_the_worst_level_of_its_bits(masks: list[int]) -> None:
    levels = [
        max((QUALITIES.index(SEVERITY[bit]) for bit in CatalogueFlag if mask & bit), default=0) for mask in masks
    ]
    assert quality(np.array(masks, dtype=np.int32)).to_list() == [QUALITIES[level] for level in levels]


def test_every_bit_has_a_level_and_the_page_says_which() -> None:
    assert list(SEVERITY) == list(CatalogueFlag)
    assert set(SEVERITY.values()) == set(QUALITIES)
    section = TABLES.read_text(encoding="utf-8").split("\n## Quality\n")[1].split("\n## ")[0]
    for level in QUALITIES:
        row = next(line for line in section.splitlines() if line.startswith(f"| `{level}`"))
        said = set(re.findall(r"`([A-Z_]+)`", row))
        assert said == {bit.name for bit, severity in SEVERITY.items() if severity == level}


def test_figures_of_every_level() -> None:
    n = 8
    levels = ["good"] * 5 + ["bad"] * 2 + ["usable"]
    catalogue = pl.DataFrame({"teff": [5000.0] * n, "teff_error": [50.0] * n, "quality": levels}).with_columns(
        pl.lit(4950.0).alias("teff_lower"),
        pl.lit(5050.0).alias("teff_upper"),
        pl.lit(4900.0).alias("teff_lower95"),
        pl.lit(5100.0).alias("teff_upper95"),
    )
    reference = pl.DataFrame({"teff": [5000.0, 5010.0, 5020.0, 5060.0, 5070.0, 5200.0, None, 4990.0]})
    found = evaluate(catalogue, reference, ["teff"])
    rows = found.filter(pl.col("by") == "quality").select("low", "high", "n", "coverage68").rows()
    assert rows == [(0.0, 0.0, 5, 0.6), (1.0, 1.0, 1, 1.0), (3.0, 3.0, 1, 0.0)]
    assert [row[1] for row in figures_table(found, "quality").rows] == ["good", "usable", "bad"]
    assert evaluate(catalogue.drop("quality"), reference, ["teff"]).filter(pl.col("by") == "quality").is_empty()
