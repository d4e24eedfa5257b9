"""The steps up to the training table are the same, row for row, however small the pieces that they work in."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import starscale as ss
from starscale import io
from starscale.crossmatch import api, linking
from starscale.io import joining
from starscale.pipeline.pipeline import RunSteps
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.tables import stream
from starscale.vocabulary.progress import SILENT

TABLES = (
    "clean_gaia_dr3",
    "clean_skymapper_dr2",
    "pairs_skymapper_dr2",
    "neighbours_skymapper_dr2",
    "unmatched_skymapper_dr2",
    "duplicates_skymapper_dr2",
    "labels",
    "matched",
    "training",
)


def prepared(run_file: Path, output: Path) -> dict[str, pl.DataFrame]:
    config, base = load_run(run_file)
    steps = RunSteps(plan(config, base), output, "run.toml", SILENT)
    steps.training_set()
    tables = {name: io.read(output / f"{name}.parquet") for name in TABLES}
    match = steps.folder.record["steps"]["match skymapper_dr2"]["result"]
    assert match["n_kept"] == tables["pairs_skymapper_dr2"].height
    lost = tables["unmatched_skymapper_dr2"]["reason"].value_counts()
    assert match["losses"] == dict(lost.iter_rows())
    assert steps.folder.record["steps"]["join"]["result"]["stars"] == tables["matched"].height
    assert sorted(path.stem for path in output.iterdir()) == sorted([*TABLES, "provenance"])
    return tables


@pytest.mark.parametrize(("order", "mode"), [("clean_first", "sparse"), ("match_first", "dense")])
def test_in_pieces_and_at_once(
    sky: Path, tmp_path: Path, order: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_file = sky / f"{order}_{mode}.toml"
    text = (sky / "run.toml").read_text().replace("galah_dr3", "lamost_dr5")
    run_file.write_text(text.replace("[model]", f'[match]\norder = "{order}"\nmode = "{mode}"\n\n[model]'))
    whole = prepared(run_file, tmp_path / "whole")
    monkeypatch.setattr(stream, "CHUNK", 900)
    monkeypatch.setattr(joining, "HELD", 700)
    monkeypatch.setattr(api, "IN_MEMORY", 0)
    monkeypatch.setattr(api, "free_memory", lambda: 0)
    monkeypatch.setattr(api, "TILE", (50, 50))
    monkeypatch.setattr(linking, "HELD", 0)
    pieces = prepared(run_file, tmp_path / "pieces")
    assert whole["training"].height > 50
    assert whole["pairs_skymapper_dr2"].height > 1000
    if order == "match_first":
        assert "counterpart_cut" in whole["unmatched_skymapper_dr2"]["reason"]
    for name, table in whole.items():
        assert_frame_equal(pieces[name], table)


def test_pairs_of_rows_that_were_cut_are_left_out(sky: Path, tmp_path: Path) -> None:
    run_file = sky / "cut_after.toml"
    text = (sky / "run.toml").read_text()
    run_file.write_text(text.replace("[model]", '[match]\norder = "match_first"\n\n[model]'))
    tables = prepared(run_file, tmp_path / "run")
    gaia, skymapper = (sky / "mock" / f"{name}.parquet" for name in ("gaia_dr3", "skymapper_dr2"))
    found = ss.match(gaia, skymapper, left_survey="gaia_dr3", right_survey="skymapper_dr2")
    own = pl.col("source_id").is_in(tables["clean_gaia_dr3"]["source_id"].implode())
    other = pl.col("original_ext_source_id").is_in(tables["clean_skymapper_dr2"]["object_id"].implode())
    assert_frame_equal(tables["pairs_skymapper_dr2"], found.pairs.filter(own & other))
    lost = tables["unmatched_skymapper_dr2"]
    assert (lost["reason"] == "counterpart_cut").sum() == found.pairs.filter(own & ~other).height > 0
    assert lost.height + tables["pairs_skymapper_dr2"].height == tables["clean_gaia_dr3"].height
    assert_frame_equal(tables["neighbours_skymapper_dr2"], found.neighbours)
