"""Libraries that only some kinds of model need."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

from starscale.vocabulary.errors import InputError, Problem

#: Package that the training of a kind, or a measurement, needs, and what to call it.
NEEDED: Final[Mapping[str, tuple[str, str]]] = {
    "random_forest": ("sklearn", "scikit-learn"),
    "svr": ("sklearn", "scikit-learn"),
    "xgboost": ("xgboost", "XGBoost"),
    "conditional coverage": ("sklearn", "scikit-learn"),
}


def missing_library(kind: str) -> Problem | None:
    """Say which library a kind of model or a measurement lacks; None where it lacks nothing."""
    if kind not in NEEDED or find_spec(NEEDED[kind][0]) is not None:
        return None
    found = f"needs {NEEDED[kind][1]}, which is not installed"
    where = kind if " " in kind else f"model kind {kind!r}"
    return Problem(where, found, "", "Install it: pip install 'starscale[baselines]'.")


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
