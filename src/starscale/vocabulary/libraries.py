"""Libraries that only some kinds of model need."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from starscale.vocabulary.errors import InputError, Problem


class Needed(NamedTuple):
    """Modules that something needs, what their packages are called, and the extra that has them."""

    modules: tuple[str, ...]
    packages: str
    extra: str = "baselines"


_TABULAR = "pytabkit (with PyTorch)"
#: What the training of a kind, or a measurement, needs.
NEEDED: Final[Mapping[str, Needed]] = {
    "random_forest": Needed(("sklearn",), "scikit-learn"),
    "svr": Needed(("sklearn",), "scikit-learn"),
    "xgboost": Needed(("xgboost",), "XGBoost"),
    "catboost": Needed(("pytabkit", "catboost"), f"{_TABULAR} and CatBoost", "tabular"),
    "tabm": Needed(("pytabkit",), _TABULAR, "tabular"),
    "realmlp": Needed(("pytabkit",), _TABULAR, "tabular"),
    "xrfm": Needed(("pytabkit", "xrfm"), f"{_TABULAR} and xrfm", "tabular"),
    "tabicl": Needed(("tabicl",), "TabICL (with PyTorch)", "tabular"),
    "conditional coverage": Needed(("sklearn",), "scikit-learn"),
}


def missing_library(kind: str) -> Problem | None:
    """Say which library a kind of model or a measurement lacks; None where it lacks nothing."""
    needed = NEEDED.get(kind)
    if needed is None or all(find_spec(module) is not None for module in needed.modules):
        return None
    found = f"needs {needed.packages}, which is not installed"
    where = kind if " " in kind else f"model kind {kind!r}"
    return Problem(where, found, "", f"Install it: pip install 'starscale[{needed.extra}]'.")


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
