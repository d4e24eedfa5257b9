"""Settings of `homogenize`: several spectroscopic surveys' labels on one scale."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from starscale.vocabulary.strict import Frozen


class ReferenceList(Frozen):
    """An external list of stars with trusted labels (benchmark stars, a high-resolution sample).

    With ``use = "zero_point"`` the common scale is shifted so that it agrees with the list; with
    ``"check"`` the list takes no part and is only compared with.
    """

    survey: str
    path: Path
    use: Literal["zero_point", "check"] = "check"
    radius: float = Field(default=1.0, gt=0, le=60)


class ClusterTable(Frozen):
    """Which stars belong to which cluster: a table with an identifier and the name of the cluster."""

    path: Path
    source_id: str = "source_id"
    column: str = "cluster"


class HomogenizeConfig(Frozen):
    """How several surveys' labels are put on one scale.

    The scale that all labels are put on is that of the anchor: differences between surveys cannot
    tell which of them is right, so one is taken as it is.
    """

    #: Survey whose scale is kept; by default the first of [[labels]].
    anchor: str | None = None
    #: `joint`: all surveys together over the graph of their overlaps, robustly. `paper`: each survey
    #: against the anchor alone, a quadratic in its own labels.
    mode: Literal["joint", "paper"] = "joint"
    #: Whether quoted errors are normalised (from repeats and the N-cornered hat) or believed.
    errors: Literal["normalise", "quoted"] = "normalise"
    #: Inner edges of bins in signal-to-noise, in each of which a survey gets an error factor of its own.
    snr_bins: tuple[float, ...] = ()
    #: Form of the corrections: `smooth` curves of every label, or a `polynomial`.
    basis: Literal["smooth", "polynomial"] = "smooth"
    #: Degree of the polynomial; by default chosen by cross-validation.
    degree: int | None = Field(default=None, ge=0, le=2)
    #: Segments of every smooth curve over the range of the overlaps.
    segments: int = Field(default=10, ge=3, le=50)
    #: Surface gravity at which dwarf and giant corrections join, and the width of the join, dex.
    join_logg: float = 3.5
    join_width: float = Field(default=0.25, gt=0)
    #: Residual, in errors, beyond which a measurement loses weight (Huber) in the first guess of the corrections.
    huber: float = Field(default=1.5, gt=0)
    #: Groups of stars for cross-validation.
    folds: int = Field(default=5, ge=2, le=20)
    #: Common stars that tie two surveys together.
    fewest: int = Field(default=10, ge=3)
    #: Stars of two or more surveys that the corrections are fitted to, at most; drawn at random.
    max_stars: int = Field(default=30_000, ge=1000)
    #: Whether every survey is left out once, and predicted from the others.
    leave_out: bool = True
    seed: int = Field(default=0, ge=0)
    reference: ReferenceList | None = None
    clusters: ClusterTable | None = None

    @model_validator(mode="after")
    def _ordered(self) -> HomogenizeConfig:
        if list(self.snr_bins) != sorted(set(self.snr_bins)):
            raise ValueError("snr_bins must rise")
        return self
