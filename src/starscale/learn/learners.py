"""The learners there are, by the `kind` of their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starscale.learn.baselines.forest import RandomForest
from starscale.learn.baselines.knn import Knn
from starscale.learn.baselines.mean import Mean
from starscale.learn.baselines.ridge import Ridge
from starscale.learn.baselines.svr import Svr
from starscale.learn.baselines.unstored import Catboost, Realmlp, Tabicl, Tabm, Unstored, Xrfm
from starscale.learn.baselines.xgboost import Xgboost
from starscale.learn.mixture import Mixture
from starscale.learn.regressor import Regressor
from starscale.learn.turchi import Turchi2024
from starscale.vocabulary.errors import InputError, Problem, did_you_mean

_STORED: tuple[type[Regressor], ...] = (Turchi2024, Mixture, Mean, Ridge, Knn, RandomForest, Svr, Xgboost)
_COMPARED: tuple[type[Unstored], ...] = (Catboost, Tabm, Realmlp, Xrfm, Tabicl)
LEARNERS: Final[Mapping[str, type[Regressor]]] = {learner.kind: learner for learner in (*_STORED, *_COMPARED)}


def learner(kind: str) -> type[Regressor]:
    """Return the class of a kind.

    Raises
    ------
    InputError
        When there is none.
    """
    if kind not in LEARNERS:
        raise InputError(
            Problem("model kind", repr(kind), f"one of {', '.join(LEARNERS)}", did_you_mean(kind, LEARNERS))
        )
    return LEARNERS[kind]
