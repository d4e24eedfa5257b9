"""Learners to compare with: CatBoost, TabM, RealMLP and xRFM, by pytabkit, and TabICL.

Their libraries keep models as pickles, which starscale neither writes nor reads: these learners are trained and
scored in a comparison, and then forgotten. Each predicts the mean of one label; the validation part decides when
the fit stops. They predict a point, so that their intervals are quantiles of the residuals of validation stars.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from starscale.io.threads import cores
from starscale.learn.preparation import Inputs, Scaling
from starscale.learn.regressor import FitContext, LabelTargets, PointRegressor, RawPrediction, Threshold, note_of
from starscale.learn.scaling import LabelScaler
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import StarscaleError
from starscale.vocabulary.libraries import library


class Estimator(NamedTuple):
    """Where a kind comes from: module, class, its settings from ours and the seed, whether validation stops it."""

    module: str
    name: str
    settings: Callable[[Any, int], dict[str, Any]]
    stopped: bool = True


def _pytabkit(name: str, settings: Callable[[Any], dict[str, Any]]) -> Estimator:
    return Estimator("pytabkit", name, lambda c, seed: {"random_state": seed, "n_threads": cores(), **settings(c)})


ESTIMATORS: Final[Mapping[str, Estimator]] = {
    "catboost": _pytabkit("CatBoost_TD_Regressor", lambda c: {"n_estimators": c.rounds}),
    "tabm": _pytabkit(
        "TabM_D_Regressor", lambda c: {"tabm_k": c.members, "d_block": c.width, "patience": c.patience}
    ),
    "realmlp": _pytabkit("RealMLP_TD_Regressor", lambda c: {"n_epochs": c.epochs, "n_ens": c.members}),
    "xrfm": _pytabkit("XRFM_D_Regressor", lambda c: {"max_leaf_samples": c.leaf}),
    # Nothing is downloaded: the file is the user's.
    "tabicl": Estimator(
        "tabicl",
        "TabICLRegressor",
        lambda c, seed: {
            "random_state": seed,
            "n_jobs": cores(),
            "n_estimators": c.members,
            "model_path": str(c.checkpoint),
            "allow_auto_download": False,
        },
        stopped=False,
    ),
}


@dataclass(frozen=True)
class Unstored(PointRegressor):
    """One fitted estimator for each label; it cannot be stored."""

    kind: ClassVar[str] = "unstored"
    scaling: ClassVar[Scaling] = "standard"

    labels: LabelScaler
    estimators: tuple[Any, ...]

    @classmethod
    def fit(
        cls,
        config: Any,
        train: tuple[Inputs, LabelTargets],
        validation: tuple[Inputs, LabelTargets],
        context: FitContext,
    ) -> Unstored:
        """Fit one estimator for each label, until the error on the validation part no longer falls."""
        known = ESTIMATORS[cls.kind]
        with _quiet():
            estimator = getattr(library(cls.kind, known.module), known.name)
        scaler, fitted = LabelScaler.fit(train[1].y), []
        parts = [(inputs.values, scaler.transform(targets.y)) for inputs, targets in (train, validation)]
        with context.task("labels", len(train[1].labels), "labels") as task:
            for column, label in enumerate(train[1].labels):
                (x, t), held_out = (_with_label(*part, column) for part in parts)
                with _quiet():
                    new = estimator(device="cpu", **known.settings(config, context.seed))
                    new.fit(x, t, *held_out) if known.stopped else new.fit(x, t)
                    error = np.sqrt(np.mean((_predicted(new, held_out[0]) - held_out[1]) ** 2))
                fitted.append(new)
                task.advance(1, note_of({f"{label}, validation": float(error)}))
        return cls(scaler, tuple(fitted))

    def predict(self, inputs: Inputs, threshold: Threshold | None = None) -> RawPrediction:  # noqa: ARG002
        """Predict the labels; value and mean are the same, there are no intervals."""
        with _quiet():
            columns = [_predicted(estimator, inputs.values) for estimator in self.estimators]
        value = self.labels.restore(np.stack(columns, axis=1))
        return RawPrediction(value, value)

    def settings(self) -> dict[str, Any]:
        """Refuse: there is nothing that could be stored."""
        raise _not_stored(self.kind)

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Unstored:  # noqa: ARG003
        """Refuse: nothing is stored."""
        raise _not_stored(cls.kind)


class Catboost(Unstored):
    """Gradient-boosted symmetric trees (Prokhorenkova et al. 2018)."""

    kind: ClassVar[str] = "catboost"


class Tabm(Unstored):
    """Networks that share most of their weights (Gorishniy, Kotelnikov & Babenko 2025)."""

    kind: ClassVar[str] = "tabm"


class Realmlp(Unstored):
    """A perceptron with tuned defaults (Holzmueller, Grinsztajn & Steinwart 2024)."""

    kind: ClassVar[str] = "realmlp"


class Xrfm(Unstored):
    """Kernel machines that learn their features, in the leaves of a tree (Beaglehole et al. 2025)."""

    kind: ClassVar[str] = "xrfm"


class Tabicl(Unstored):
    """A transformer that reads the training stars as it predicts (Qu et al. 2025)."""

    kind: ClassVar[str] = "tabicl"


def _with_label(x: Any, t: FloatArray, column: int) -> tuple[FloatArray, FloatArray]:
    """Return inputs and label of the stars that have the label, in single precision."""
    known = ~np.isnan(t[:, column])
    return np.asarray(x[known], dtype=np.float32), np.asarray(t[known, column], dtype=np.float32)


def _predicted(estimator: Any, x: Any) -> FloatArray:
    """Return the standardised label: shape (n,)."""
    return np.asarray(estimator.predict(np.asarray(x, dtype=np.float32)), dtype=np.float64)


@contextlib.contextmanager
def _quiet() -> Any:
    """Hold back what these libraries print, and warnings about one another."""
    held = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(held), contextlib.redirect_stderr(held):
        warnings.simplefilter("ignore")
        yield


def _not_stored(kind: str) -> StarscaleError:
    return StarscaleError(f"a model of the kind {kind!r} cannot be kept in a bundle, only compared with others")
