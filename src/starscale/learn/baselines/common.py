"""What several baselines do alike."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem


def label_groups(y: FloatArray) -> Iterator[tuple[NDArray[np.intp], list[int]]]:
    """Yield the rows that have a label and the labels that these rows have, each label once.

    Labels that are known for the same stars share their rows, and with them what is costly.
    """
    present = ~np.isnan(y)
    patterns, number = np.unique(present.T, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        yield np.flatnonzero(pattern), np.flatnonzero(number.ravel() == i).tolist()


def mean_square(t: FloatArray, predicted: FloatArray) -> float:
    """Mean squared error over the stars whose label is known."""
    return float(np.nanmean((t - predicted) ** 2))


#: Package that the training of a kind needs, and what to call it.
NEEDED: Final[Mapping[str, tuple[str, str]]] = {
    "random_forest": ("sklearn", "scikit-learn"),
    "svr": ("sklearn", "scikit-learn"),
    "xgboost": ("xgboost", "XGBoost"),
}


def missing_library(kind: str) -> Problem | None:
    """Say which library the training of a kind lacks; None where it lacks nothing."""
    if kind not in NEEDED or find_spec(NEEDED[kind][0]) is not None:
        return None
    found = f"needs {NEEDED[kind][1]}, which is not installed"
    return Problem(f"model kind {kind!r}", found, "", "Install it: pip install 'starscale[baselines]'.")


def library(kind: str, module: str) -> Any:
    """Import a module of the library that a kind needs.

    Raises
    ------
    InputError
        When the library is not installed; says how to install it.
    """
    problem = missing_library(kind)
    if problem is not None:
        raise InputError(problem)
    return importlib.import_module(module)
