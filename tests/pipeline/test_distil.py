"""The verb `distil` on the run of the session."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale.learn.taught.slopes import SlopeNetwork
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
    found = small.predict(stars)
    assert found["teff"].null_count() == 0
    # Its slopes are those that a small network has learnt; nobody else's are.
    assert small.predictor.slopes is not None
    assert ss.load(finished / "model").predictor.slopes is None
    np.testing.assert_allclose(found["teff_ebv_slope"], slopes_by_derivative(small, stars), rtol=0.5, atol=300)
    assert small.without_slopes().predict(stars)["teff_ebv_slope"].null_count() == 50
    card = (tmp_path / "small" / "MODEL_CARD.md").read_text()
    assert f"| teff | {small.predictor.slopes.difference[0]:.2f} |" in card
    assert "learnt the derivative" in card
    assert "learnt the derivative" not in (finished / "model" / "MODEL_CARD.md").read_text()
    profile = ss.profile_prediction(small, stars)
    assert "slopes with E(B-V)" in profile["stage"].to_list()
    without = ss.profile_prediction(small.without_slopes(), stars)
    assert "slopes with E(B-V)" not in without["stage"].to_list()


def slopes_by_derivative(model: ss.Model, stars: pl.DataFrame) -> pl.Series:
    """The slopes of the temperature without the network that has learnt them."""
    return replace(model, predictor=replace(model.predictor, slopes=None)).predict(stars)["teff_ebv_slope"]


def test_the_papers_networks_have_learnt_slopes_unless_not_wanted(
    sky: Path, finished: Path, tmp_path: Path
) -> None:
    text = (sky / "run.toml").read_text().replace('"mock/', f'"{sky}/mock/').partition("[model]")[0]
    kind = '[model]\nkind = "turchi2024"\nwidths = [16, 16]\nepochs_mae = 2\nepochs_smape = 1\n'
    stars, found = pl.read_parquet(finished / "training.parquet"), {}
    for choice in ("true", "false"):
        run = tmp_path / "run.toml"
        run.write_text(f"{text}{kind}learnt_slopes = {choice}\n")
        model = ss.train(run, table=stars).model
        assert (model.predictor.slopes is not None) == (choice == "true")
        found[choice] = model.predict(stars.head(200))
    values, derived = (each.drop(pl.selectors.ends_with("_ebv_slope")) for each in found.values())
    assert values.equals(derived)
    learnt, exact = (each["teff_ebv_slope"] for each in found.values())
    assert learnt.null_count() == exact.null_count()
    assert not learnt.equals(exact)


def test_models_of_further_repeats_learn_no_slopes(
    sky: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are measured, no more, and their slopes are not."""
    text = (sky / "run.toml").read_text().replace('"mock/', f'"{sky}/mock/').partition("[model]")[0]
    kind = '[model]\nkind = "turchi2024"\nwidths = [16, 16]\nepochs_mae = 2\nepochs_smape = 1\n'
    run = tmp_path / "run.toml"
    run.write_text("repeats = 3\n" + re.sub(r"(?m)^repeats = .*\n", "", text) + kind)
    taught = []
    fit = SlopeNetwork.fit
    monkeypatch.setattr(SlopeNetwork, "fit", lambda *given, **named: taught.append(1) or fit(*given, **named))
    trained = ss.train(run, table=pl.read_parquet(finished / "training.parquet"))
    assert trained.model.predictor.slopes is not None
    assert len(taught) == 1


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
