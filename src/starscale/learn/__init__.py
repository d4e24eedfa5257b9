"""Training of models that predict labels from inputs; start with :func:`fit_predictor`. Only here is jax used."""

from starscale.learn.bundle import load_bundle, save_bundle
from starscale.learn.prediction import Prediction
from starscale.learn.predictor import Predictor, fit_predictor
from starscale.learn.regressor import LEVELS
from starscale.learn.sample import Sample

__all__ = [
    "LEVELS",
    "Prediction",
    "Predictor",
    "Sample",
    "fit_predictor",
    "load_bundle",
    "save_bundle",
]
