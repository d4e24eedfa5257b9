"""A run that uses a sample of its stars with labels."""

from __future__ import annotations

from pathlib import Path

import pytest

import starscale as ss
from starscale import io
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.pipeline.training_set import training_table


@pytest.mark.parametrize("by", ["star", "cell", "survey", "label"])
def test_the_training_table_is_a_sample_of_the_whole(sky: Path, finished: Path, by: str) -> None:
    config, base = load_run(sky / "run.toml")
    whole = io.read(finished / "training.parquet")
    sample = ss.SampleConfig(max_stars=60, by=by)
    run = plan(config.model_copy(update={"sample": sample}), base)
    table = training_table(run, finished / "matched.parquet", io.read(finished / "labels.parquet"))
    assert table.height == 60 < whole.height
    kept = whole.filter(whole["source_id"].is_in(table["source_id"].implode()))
    assert table.select("source_id", "teff", "part").equals(kept.select("source_id", "teff", "part"))
