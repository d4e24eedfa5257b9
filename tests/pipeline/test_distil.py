"""The verb `distil` on the run of the session."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from support.command import command


def test_the_command_writes_a_model_that_predicts(sky: Path, finished: Path, tmp_path: Path) -> None:
    done = command(
        "distil",
        sky / "run.toml",
        finished / "model",
        "--table",
        finished / "training.parquet",
        "--limit",
        "1",
        "-o",
        tmp_path / "small",
    )
    assert done.returncode == 0, done.stderr
    small = ss.load(tmp_path / "small")
    about = small.information["distilled"]
    assert about["model"] == ss.load(finished / "model").digest()
    assert set(about["crps_ratio"]) == {"teff", "logg", "fe_h"}
    assert "CRPS over that of the ensemble" in (tmp_path / "small" / "MODEL_CARD.md").read_text()
    assert not list(tmp_path.glob(".*"))
    stars = pl.read_parquet(finished / "training.parquet").head(50)
    assert small.predict(stars)["teff"].null_count() == 0


def test_what_was_not_trained_alike_is_refused(sky: Path, finished: Path, tmp_path: Path) -> None:
    text = (sky / "run.toml").read_text().replace('"mock/', f'"{sky}/mock/')
    other = tmp_path / "other.toml"
    other.write_text(text.replace("seed = 3", 'seed = 4\ntarget = ["teff", "logg"]'))
    with pytest.raises(ss.InputError, match="labels") as caught:
        ss.distil(other, finished / "model", table=finished / "training.parquet")
    assert "in another part than in the training" in str(caught.value)
    with pytest.raises(ss.InputError, match="limit"):
        ss.distil(sky / "run.toml", finished / "model", limit=-1)


def test_a_model_that_loses_too_much_is_not_written(
    sky: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starscale.pipeline.distil._crps_ratio", lambda *_: {"teff": 1.02, "logg": 0.99})
    with pytest.raises(ss.InputError, match=r"teff: has a CRPS 1\.0200 times .* Nothing is written"):
        ss.distil(
            sky / "run.toml", finished / "model", table=finished / "training.parquet", output=tmp_path / "small"
        )
    assert not list(tmp_path.iterdir())
