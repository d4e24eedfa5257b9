"""Bundles of earlier builds: the same values as then. Bundles of later versions: refused with advice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import starscale as ss

OLD = Path(__file__).resolve().parents[1] / "data" / "old_bundle"
#: Other processors round single precision differently in the last bits.
TOLERANCE = 1e-4


def test_an_old_bundle_gives_the_predictions_of_its_time() -> None:
    found = ss.load(OLD / "model").predict(ss.read(OLD / "table.parquet"))
    stored = pl.read_parquet(OLD / "predictions.parquet")
    # It has neither a list of its training stars, nor an error of its scale, nor relations between measurements.
    new = found.select(
        "part", pl.selectors.ends_with("_scale_error", "_error_truth"), "consistency_score", "odd_measurement"
    )
    assert set(new.null_count().row(0)) == {found.height}
    assert found["quality"].is_not_null().all()
    below = [name for name in found.columns if "_below_" in name]
    assert below == ["p_fe_h_below_m1", "p_fe_h_below_m2", "p_fe_h_below_m3"]
    assert found[below[1]].is_between(found[below[2]], found[below[0]]).drop_nulls().all()
    found = found.drop(*new.columns, *below, "quality")
    assert stored["teff"].is_not_null().sum() > 20
    # Slopes are differences of nearby predictions, in K or dex per magnitude: their rounding errors are larger.
    slopes = pl.selectors.ends_with("_slope")
    assert_frame_equal(found.drop(slopes), stored.drop(slopes), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    assert_frame_equal(found.select(slopes), stored.select(slopes), rel_tol=TOLERANCE, abs_tol=0.02)


def test_an_old_bundle_is_saved_with_the_same_arrays_and_keys(tmp_path: Path) -> None:
    ss.load(OLD / "model").save(tmp_path / "model", card="")
    folders = (OLD / "model", tmp_path / "model")
    before, after = ((folder / "weights.safetensors").read_bytes() for folder in folders)
    assert after == before
    before, after = (json.loads((folder / "bundle.json").read_text()) for folder in folders)
    assert after["model"] == before["model"]
    assert after["format_version"] == before["format_version"]


def test_an_old_bundle_has_no_other_prior() -> None:
    with pytest.raises(ss.InputError, match=r"the density of the training labels.*Train the model again\."):
        ss.predict(OLD / "model", OLD / "table.parquet", prior="flat")


def test_a_bundle_of_a_newer_version_is_refused_with_advice(tmp_path: Path) -> None:
    shutil.copytree(OLD / "model", tmp_path / "model")
    index = json.loads((tmp_path / "model" / "bundle.json").read_text())
    newer = index | {"format_version": index["format_version"] + 1, "written_by": "starscale 99.0"}
    (tmp_path / "model" / "bundle.json").write_text(json.dumps(newer))
    with pytest.raises(ss.InputError, match=r"written by starscale 99\.0; expected 3, .*\. Update starscale\."):
        ss.load(tmp_path / "model")
