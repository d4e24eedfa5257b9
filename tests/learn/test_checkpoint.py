"""A training that was stopped goes on, and ends with the same model."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from starscale.learn import Sample, fit_predictor
from starscale.learn.observations import Measurements, Observations
from starscale.learn.preparation import InputPreparation
from starscale.learn.regressor import FitContext
from starscale.learn.training import checkpoint as module
from starscale.learn.training import lanes
from starscale.learn.training.checkpoint import Checkpoint
from starscale.learn.training.ensemble import train_together
from starscale.vocabulary.errors import StarscaleError
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.settings.models import MixtureConfig, Turchi2024Config
from support.recorded_progress import Killed, RecordedProgress

CONFIGS = {
    "mixture": MixtureConfig(width=8, layers=1, components=2, frequencies=2, batch=64, epochs=6, members=2),
    "turchi2024": Turchi2024Config(widths=(6, 6), batch=64, epochs_mae=5, epochs_smape=4, patience=3),
}


def sample(n: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return Sample(x, np.column_stack([5500 + 300 * x[:, 0] + 50 * rng.normal(size=n), 4 + 0.5 * x[:, 1]]))


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_killed_training_goes_on_and_ends_with_the_same_model(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    labels, parts = ("teff", "logg"), (sample(300, 0), sample(120, 1))
    whole = RecordedProgress()
    undisturbed = fit_predictor(CONFIGS[kind], labels, *parts, seed=2, progress=whole)
    for after in (1, whole.n_units // 2, whole.n_units - 1):
        folder = tmp_path / str(after)
        with pytest.raises(Killed):
            fit_predictor(
                CONFIGS[kind],
                labels,
                *parts,
                seed=2,
                progress=RecordedProgress(stop_after=after),
                checkpoint=Checkpoint(folder, "k"),
            )
        rest = RecordedProgress()
        kept = Checkpoint(folder, "k")
        resumed = fit_predictor(CONFIGS[kind], labels, *parts, seed=2, progress=rest, checkpoint=kept)
        # The epoch during which it was killed is done again, the ones before it are not.
        assert rest.n_units == whole.n_units - after + 1
        assert all(task.ended for task in rest.tasks)
        for name, array in undisturbed.state()[1].items():
            np.testing.assert_array_equal(array, resumed.state()[1][name], err_msg=name)
        kept.done()
        assert not folder.exists()


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_ignored(tmp_path: Path) -> None:
    first = Checkpoint(tmp_path / "c", "one")
    first.save("part", lambda: {"a": np.arange(3)}, now=True)
    np.testing.assert_array_equal(Checkpoint(tmp_path / "c", "one").load("part")["a"], [0, 1, 2])
    assert Checkpoint(tmp_path / "c", "two").load("part") is None
    assert Checkpoint(tmp_path / "c", "two").foreign
    assert not Checkpoint(tmp_path / "c", "one").foreign
    assert not Checkpoint(tmp_path / "none", "one").foreign
    assert not Checkpoint().foreign
    assert Checkpoint(tmp_path / "c", "one").load("other") is None
    (file,) = (tmp_path / "c").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    assert Checkpoint(tmp_path / "c", "one").load("part") is None
    assert Checkpoint().load("part") is None


def test_checkpoints_are_not_written_more_often_than_needed(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "c", "k")
    kept.save("part", lambda: {"a": np.arange(3)})
    assert not (tmp_path / "c").exists()
    kept.save("part", lambda: {"a": np.arange(3)}, now=True)
    assert (tmp_path / "c").exists()


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Checkpoint(tmp_path / "file" / "c", "k")
    with pytest.raises(StarscaleError, match="cannot be written"):
        kept.save("part", lambda: {"a": np.arange(3)}, now=True)


def context(progress: Progress = SILENT, checkpoint: Checkpoint | None = None) -> FitContext:
    stars = sample(30, 0)
    observations = Observations(stars, InputPreparation.fit(stars.x, "robust", 0), Measurements.alone("abc"))
    return FitContext(1, observations, progress, checkpoint=checkpoint or Checkpoint())


def loss(params, statistics, constants, batch, key):
    x, y = batch
    return ((x @ params - y) ** 2).mean(), statistics


def test_networks_trained_at_once_are_those_trained_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(64, 3)), jnp.float32)
    stars = (x, x @ jnp.asarray([1.0, -2.0, 0.5]))
    networks = [jnp.asarray(rng.normal(size=3), jnp.float32) for _ in range(3)]
    options = {
        "loss": loss,
        "optimiser": optax.adam(0.05),
        "batch": 16,
        "epochs": 4,
        "context": context(),
    }
    found = [
        train_together(networks, lambda epoch, group: stars, [[0, 1], [2]], together=together, **options)
        for together in (False, True)
    ]
    assert found[0].shape == (3, 3)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert not np.allclose(found[0][0], found[0][1])


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_number_of_cores_changes_nothing_bit_for_bit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, parts = ("teff", "logg"), (sample(300, 0), sample(120, 1))
    found = []
    for cores in "1", "2":
        monkeypatch.setenv("STARSCALE_CORES", cores)
        lanes._lanes.cache_clear()
        found.append(fit_predictor(CONFIGS[kind], labels, *parts, seed=2).state()[1])
    lanes._lanes.cache_clear()
    assert found[0].keys() == found[1].keys()
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name], err_msg=name)


@pytest.mark.parametrize("together", [False, True])
def test_networks_go_on_from_a_checkpoint_however_they_are_trained(
    together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(64, 3)), jnp.float32)
    stars = (x, x @ jnp.asarray([1.0, -2.0, 0.5]))
    networks = [jnp.asarray(rng.normal(size=3), jnp.float32) for _ in range(3)]

    def trained(progress: Progress, checkpoint: Checkpoint):
        return train_together(
            networks,
            lambda epoch, group: stars,
            [[0, 2], [1]],
            loss=loss,
            optimiser=optax.adam(0.05),
            batch=16,
            epochs=4,
            context=context(progress, checkpoint),
            together=together,
        )

    with pytest.raises(Killed):
        trained(RecordedProgress(stop_after=3), Checkpoint(tmp_path / "c", "k"))
    rest = RecordedProgress()
    resumed = trained(rest, Checkpoint(tmp_path / "c", "k"))
    assert rest.n_units == rest.tasks[0].before == 2
    np.testing.assert_array_equal(resumed, trained(SILENT, Checkpoint()))
