"""Epochs, early stopping, repeatability, and what happens when training fails."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from starscale.learn import Sample, fit_predictor
from starscale.learn.compilation import seeded
from starscale.learn.mixture import n_epochs, n_frequencies
from starscale.learn.observations import Measurements, Observations
from starscale.learn.preparation import InputPreparation
from starscale.learn.regressor import FitContext, LabelTargets
from starscale.learn.training import epochs as training
from starscale.learn.training.epochs import (
    EarlyStopping,
    EpochStars,
    TrainState,
    mean_loss,
    n_steps,
    run_epoch,
    shuffled,
)
from starscale.learn.turchi import Turchi2024, batch_size
from starscale.vocabulary.errors import StarscaleError
from starscale.vocabulary.settings.models import MixtureConfig, Turchi2024Config
from support.recorded_progress import RecordedProgress, exact_notes

MIXTURE = MixtureConfig(width=16, layers=1, components=2, frequencies=4, batch=32, epochs=8, members=2)
TURCHI = Turchi2024Config(
    widths=(8, 12, 8), batch=32, epochs_mae=12, epochs_smape=4, patience=4, learning_rate=0.01
)


def sample(n: int, seed: int) -> Sample:
    """Two labels that follow from three inputs, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    teff = 5500 + 400 * x[:, 0] + 150 * x[:, 1] ** 2 + 50 * rng.normal(size=n)
    logg = 3.8 + 0.5 * np.tanh(x[:, 1] + x[:, 2]) + 0.05 * rng.normal(size=n)
    return Sample(x, np.column_stack([teff, logg]))


def visits(params, statistics, constants, batch, key):
    """A loss whose gradient counts which stars were drawn."""
    return (params * batch).sum() / constants, statistics + batch.sum()


OPTIMISER = optax.sgd(1.0)


@pytest.mark.parametrize(("n", "batch", "steps", "used"), [(100, 32, 3, 96), (20, 32, 1, 20), (64, 32, 2, 64)])
def test_an_epoch_visits_every_star_at_most_once_and_whole_batches_only(
    n: int, batch: int, steps: int, used: int
) -> None:
    assert n_steps(n, batch) == steps
    stars = jnp.eye(n)
    state = TrainState(jnp.zeros(n), jnp.float32(0), OPTIMISER.init(jnp.zeros(n)))
    drawn = []
    for seed in range(2):
        done, losses = run_epoch(
            state,
            EpochStars.of(stars),
            jnp.float32(1),
            seeded(seed),
            loss=visits,
            optimiser=OPTIMISER,
            batch=batch,
        )
        count = -np.asarray(done.params)
        assert losses.shape == (steps,)
        assert set(count) <= {0.0, 1.0}
        assert count.sum() == float(done.statistics) == used
        drawn.append(count)
    if used < n:
        assert (drawn[0] != drawn[1]).any()


def test_samples_of_about_the_same_size_share_a_compiled_program() -> None:
    state = TrainState(jnp.zeros(2), jnp.float32(0), OPTIMISER.init(jnp.zeros(2)))
    before = training._trained._cache_size()
    for n in (1001, 1020):
        stars = EpochStars.of(jnp.ones((n, 2)))
        run_epoch(state, stars, jnp.float32(1), seeded(0), loss=visits, optimiser=OPTIMISER, batch=100)
    assert training._trained._cache_size() == before + 1


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 31, 33, 100, 1001, 2999])
def test_stars_are_followed_by_few_rows_of_zeros(n: int) -> None:
    stars = EpochStars.of((jnp.ones((n, 2)), jnp.ones(n)))
    assert stars.n == n
    for array in stars.data:
        assert n <= len(array) <= max(1.125 * n, n + 1)
        np.testing.assert_array_equal(array[n:], 0)
        np.testing.assert_array_equal(array[:n], 1)


def test_the_order_of_the_stars_follows_from_the_key() -> None:
    first, again, other = (shuffled(seeded(seed), 1000, 100) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    np.testing.assert_array_equal(np.sort(first.ravel()), np.arange(1000))


def test_early_stopping_keeps_the_best_and_waits_for_patience() -> None:
    stopping = EarlyStopping(patience=2)
    stops = [stopping.update(loss, name) for loss, name in zip([3.0, 1.0, 2.0, 1.0], "abcd", strict=True)]
    assert stops == [False, False, False, True]
    assert (stopping.best, stopping.best_loss) == ("b", 1.0)


def test_the_papers_network_ends_with_the_weights_of_its_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    exact_notes(monkeypatch)
    train, validation = sample(300, 0), sample(150, 1)
    config = Turchi2024Config(
        widths=(8,),
        batch=32,
        epochs_mae=30,
        epochs_smape=0,
        patience=3,
        learning_rate=0.05,
        dropout=0.0,
        precision="float32",
    )
    preparation = InputPreparation.fit(train.x, "standard", 0)
    inputs, held_out = preparation.apply(train.x), preparation.apply(validation.x)
    record = RecordedProgress()
    labels = ("teff", "logg")
    model = Turchi2024.fit(
        config,
        (inputs, LabelTargets(labels, train.y)),
        (held_out, LabelTargets(labels, validation.y)),
        FitContext(0, Observations(train, preparation, Measurements.alone(("a", "b", "c"))), record),
    )
    error = np.abs(model.predict(held_out).value - validation.y).mean(axis=0) / train.y.std(axis=0)
    for column, label in enumerate(labels):
        (task,) = [task for task in record.tasks if task.phase.startswith(label)]
        losses = [figures["validation"] for figures in task.figures]
        assert losses[-1] > min(losses)
        assert error[column] == pytest.approx(min(losses), rel=1e-4)
        assert len(losses) < 30
        assert len(losses) - 1 - int(np.argmin(losses)) == config.patience


def test_the_second_phase_does_not_end_worse_than_it_began() -> None:
    train, validation = sample(300, 0), sample(150, 1)
    record = RecordedProgress()
    one = TURCHI.model_copy(update={"epochs_smape": 1})
    both = fit_predictor(one, ("teff", "logg"), train, validation, seed=0, progress=record)
    first = fit_predictor(one.model_copy(update={"epochs_smape": 0}), ("teff", "logg"), train, validation, seed=0)

    def loss(model) -> np.ndarray:
        p, y = model.predict(validation.x).value, validation.y
        return (2 * np.abs(y - p) / (np.abs(y) + np.abs(p) + 1e-3)).mean(axis=0)

    assert (loss(both) <= loss(first) * (1 + 1e-5)).all()
    assert {task.title for task in record.tasks} == {
        f"training: {label}, {kind}" for label in ("teff", "logg") for kind in ("absolute error", "SMAPE")
    }
    assert all(task.ended and task.unit == "epochs" for task in record.tasks)


@pytest.mark.parametrize("config", [MIXTURE, TURCHI], ids=lambda config: config.kind)
def test_same_seed_same_model_bit_for_bit(config) -> None:
    train, validation = sample(300, 0), sample(150, 1)

    def arrays(seed: int) -> dict[str, np.ndarray]:
        return fit_predictor(config, ("teff", "logg"), train, validation, seed=seed).state()[1]

    first, again, other = arrays(3), arrays(3), arrays(4)
    assert first.keys() == again.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)
    assert any((array != other[name]).any() for name, array in first.items() if array.dtype == np.float32)


@pytest.mark.parametrize("config", [MIXTURE, TURCHI], ids=lambda config: config.kind)
def test_training_learns(config, monkeypatch: pytest.MonkeyPatch) -> None:
    exact_notes(monkeypatch)
    train, validation, test = sample(1500, 0), sample(300, 1), sample(300, 2)
    record = RecordedProgress()
    model = fit_predictor(config, ("teff", "logg"), train, validation, seed=0, progress=record)
    error = np.abs(model.predict(test.x).value - test.y).mean(axis=0)
    trivial = np.abs(test.y - np.median(train.y, axis=0)).mean(axis=0)
    assert (error < 0.5 * trivial).all()
    assert all(1 <= len(task.notes) <= task.total for task in record.tasks)
    losses = [figures["training"] for figures in record.tasks[0].figures]
    assert losses[0] > losses[1]


def test_members_of_the_ensemble_differ() -> None:
    _, arrays = fit_predictor(MIXTURE, ("teff", "logg"), sample(300, 0), sample(150, 1), seed=0).state()
    heads = arrays["regressor.networks.head.weight"]
    assert heads.shape[0] == 4, "two for all stars, two for those with gaps"
    assert not any(np.allclose(heads[i], heads[j]) for i in range(4) for j in range(i))


def test_mixture_does_not_look_at_the_validation_part() -> None:
    train = sample(300, 0)
    states = [
        fit_predictor(MIXTURE, ("teff", "logg"), train, sample(150, seed), seed=0).state()[1] for seed in (1, 2)
    ]
    for name, array in states[0].items():
        if name.startswith(("preparation.", "regressor.")):
            np.testing.assert_array_equal(array, states[1][name], err_msg=name)


def test_missing_labels_are_learnt_around() -> None:
    train, validation, test = sample(1500, 0), sample(300, 1), sample(300, 2)
    # One star in three lacks the first label, one the second, none both.
    gaps = np.arange(1500)[:, None] % 3 == np.arange(2)
    train = Sample(train.x, np.where(gaps, np.nan, train.y))
    for config in (MIXTURE, TURCHI):
        model = fit_predictor(config, ("teff", "logg"), train, validation, seed=0)
        error = np.abs(model.predict(test.x).value - test.y).mean(axis=0)
        assert (error < 0.6 * np.abs(test.y - test.y.mean(axis=0)).mean(axis=0)).all()


def test_a_loss_that_is_no_number_is_reported_with_its_step() -> None:
    losses = jnp.asarray([1.0, np.inf, np.nan])
    with pytest.raises(
        StarscaleError, match=r"member 1 of 2: the loss is inf at step 5 \(epoch 2\).*learning_rate"
    ):
        mean_loss(losses, "member 1 of 2", 2)
    assert mean_loss(jnp.asarray([1.0, 2.0]), "x", 1) == 1.5


def test_a_diverging_training_is_an_error_of_the_settings() -> None:
    wild = TURCHI.model_copy(update={"learning_rate": 1e38})
    with pytest.raises(StarscaleError, match=r"^(teff|logg), .*learning_rate"):
        fit_predictor(wild, ("teff", "logg"), sample(300, 0), sample(150, 1), seed=0)


@pytest.mark.parametrize(("n_stars", "batch"), [(20, 32), (3_200, 64), (6_399, 64), (6_400, 128), (600_000, 256)])
def test_the_papers_network_has_some_fifty_batches_in_an_epoch(n_stars: int, batch: int) -> None:
    """With few, the running statistics of the batch normalisation lag behind the network."""
    assert batch_size(Turchi2024Config(), n_stars) == batch
    assert batch_size(Turchi2024Config(batch=77), n_stars) == 77


@pytest.mark.parametrize(("n_stars", "epochs"), [(100, 40), (8_000, 40), (12_800, 26), (16_640, 20), (10**6, 20)])
def test_small_samples_are_trained_on_for_longer(n_stars: int, epochs: int) -> None:
    assert n_epochs(MixtureConfig(), n_stars) == epochs
    assert n_epochs(MixtureConfig(epochs=7), n_stars) == 7


@pytest.mark.parametrize(("n_inputs", "frequencies"), [(1, 16), (8, 16), (10, 12), (16, 8), (40, 8)])
def test_few_inputs_have_more_frequencies(n_inputs: int, frequencies: int) -> None:
    assert n_frequencies(MixtureConfig(), n_inputs) == frequencies
    assert n_frequencies(MixtureConfig(frequencies=0), n_inputs) == 0


def test_a_model_states_its_frequencies() -> None:
    config = MixtureConfig(width=8, layers=1, epochs=1, members=1)
    found = fit_predictor(config, ("teff", "logg"), sample(300, 0), sample(150, 1), seed=0)
    n_inputs = found.regressor.views[0].used.size
    assert found.regressor.settings()["config"]["frequencies"] == n_frequencies(config, n_inputs) > 8
