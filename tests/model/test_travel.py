"""A model on its way to another process: its address where it has one, and one copy of it in every process."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import starscale as ss
from starscale.vocabulary.errors import StarscaleError
from support.small_model import small_model, small_stars


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("travel") / "model"
    small_model().save(folder, card="")
    return folder


def test_a_loaded_model_is_sent_as_its_address_and_loaded_once(bundle: Path, tmp_path: Path) -> None:
    model, stars = ss.load(bundle), small_stars(40)
    sent = pickle.dumps(model)
    assert len(sent) < 1000
    first = pickle.loads(sent)
    assert pickle.loads(sent) is first
    assert first.predict(stars).equals(model.predict(stars))
    # A copy elsewhere is the same model, which is known by what it holds.
    shutil.copytree(bundle, tmp_path / "copy")
    assert pickle.loads(pickle.dumps(ss.load(tmp_path / "copy"))) is first


def test_what_has_no_bundle_travels_whole(bundle: Path, tmp_path: Path) -> None:
    stars = small_stars(40)
    renamed = replace(ss.load(bundle), magnitude=None)
    assert pickle.loads(pickle.dumps(renamed)).magnitude is None
    shutil.copytree(bundle, tmp_path / "gone")
    model = ss.load(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    assert pickle.loads(pickle.dumps(model)).predict(stars).equals(model.predict(stars))


def test_a_bundle_that_became_another_one_is_refused(bundle: Path, tmp_path: Path) -> None:
    replace(small_model(), magnitude=None).save(tmp_path / "model", card="")
    sent = pickle.dumps(ss.load(tmp_path / "model"))
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(bundle, tmp_path / "model")
    with pytest.raises(StarscaleError, match="holds another model"):
        pickle.loads(sent)
