"""Two processes cannot work in one folder: the second one is refused before it changes anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import starscale as ss
from starscale.io.job_folder import FolderLock
from starscale.learn.training.checkpoint import Checkpoint
from starscale.pipeline.learnable import TrainingArrays
from starscale.vocabulary.errors import InputError
from support.recorded_progress import RecordedProgress


@pytest.mark.parametrize("verb", ["run", "compare_models"])
def test_a_second_run_in_one_folder_is_refused(sky: Path, tmp_path: Path, verb: str) -> None:
    options = {"ablation": True} if verb == "compare_models" else {}
    with (
        FolderLock(tmp_path, tmp_path, temporary=False),
        pytest.raises(InputError, match=r"another process.*Wait until it has finished, or give another folder"),
    ):
        getattr(ss, verb)(sky / "run.toml", tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_second_training_with_the_same_checkpoints_is_refused(sky: Path, finished: Path, tmp_path: Path) -> None:
    training = finished / "training.parquet"
    with (
        FolderLock(tmp_path / ".model.checkpoints", tmp_path),
        pytest.raises(InputError, match=r"another process.*another folder for the checkpoints"),
    ):
        ss.train(sky / "run.toml", table=training, output=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    assert not (finished / "lock").exists()


def test_the_state_of_another_training_is_not_discarded_in_silence(
    sky: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Checkpoint(tmp_path / ".model.checkpoints" / "repeat0", "another").save(
        "part", lambda: {"a": np.arange(3)}, now=True
    )

    def stopped(*_: object) -> None:
        raise RuntimeError("the training begins")

    monkeypatch.setattr(TrainingArrays, "fit", stopped)
    seen = RecordedProgress()
    with pytest.raises(RuntimeError, match="begins"):
        ss.train(sky / "run.toml", table=finished / "training.parquet", output=tmp_path / "model", progress=seen)
    assert [text for text in seen.messages if "training starts anew" in text and ".model.checkpoints" in text]
