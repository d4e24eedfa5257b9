"""Settings of permutation importance."""

from __future__ import annotations

from pydantic import Field

from starscale.vocabulary.strict import Frozen


class ImportanceConfig(Frozen):
    """How much worse predictions become when columns of the test part are shuffled among its stars."""

    #: Whether a run does it.
    apply: bool = True
    #: Shuffles of every column and group; their scatter is the error.
    repeats: int = Field(default=5, ge=2, le=1000)
    #: Columns whose rank correlation (absolute) is above this, on average over a group, are shuffled together.
    correlation: float = Field(default=0.9, gt=0, lt=1)
    #: Stars that are looked at, at most, drawn at random.
    max_stars: int = Field(default=2000, ge=20)
    seed: int = Field(default=0, ge=0)
