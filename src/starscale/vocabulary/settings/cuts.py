"""Settings of cuts: which of a survey file are applied, and those of the user."""

from __future__ import annotations

from pydantic import Field

from starscale.vocabulary.strict import Frozen


class ExtraCut(Frozen):
    """A cut of the user: rows for which the SQL predicate `keep` is true are kept."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    keep: str


class Cuts(Frozen):
    """Which cuts of the survey file are applied, and further cuts of the user."""

    apply: bool = True
    without: tuple[str, ...] = ()
    extra: tuple[ExtraCut, ...] = ()
