"""Learning labels from inputs: start with :func:`fit_predictor`. The only layer that imports jax."""

from starscale.learn.bundle import load_bundle, save_bundle
from starscale.learn.predictor import Prediction, Predictor, fit_predictor
from starscale.learn.regressor import LEVELS, Progress
from starscale.learn.sample import Sample

__all__ = [
    "LEVELS",
    "Prediction",
    "Predictor",
    "Progress",
    "Sample",
    "fit_predictor",
    "load_bundle",
    "save_bundle",
]
