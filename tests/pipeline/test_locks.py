"""Two processes cannot work in one folder: the second one is refused before it changes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

import starscale as ss
from starscale.io.job_folder import FolderLock
from starscale.vocabulary.errors import InputError


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
