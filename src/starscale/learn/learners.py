"""The learners there are, by the `kind` of their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starscale.learn.mixture import Mixture
from starscale.learn.regressor import Regressor
from starscale.learn.turchi import Turchi2024
from starscale.vocabulary.errors import InputError, Problem, did_you_mean

LEARNERS: Final[Mapping[str, type[Regressor]]] = {learner.kind: learner for learner in (Turchi2024, Mixture)}


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
