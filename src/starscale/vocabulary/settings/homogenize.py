"""Settings of `homogenize`: labels of several spectroscopic surveys on one scale."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from starscale.vocabulary.settings.seed import Seed
from starscale.vocabulary.strict import Frozen


class ReferenceList(Frozen):
    """An external list of stars with trusted labels (benchmark stars, a high-resolution sample).

    With ``use = "zero_point"`` the common scale is shifted to agree with the list; with ``"check"`` the list is
    only compared with the result.
    """

    survey: str
    path: Path
    use: Literal["zero_point", "check"] = "check"
    radius: float = Field(default=1.0, gt=0, le=60)


class ClusterTable(Frozen):
    """Members of clusters: a table with an identifier and the name of the cluster."""

    path: Path
    source_id: str = "source_id"
    column: str = "cluster"


class HomogenizeConfig(Frozen):
    """How the labels of several surveys are put on one scale.

    The common scale is that of the anchor survey: differences between surveys do not show which of them is right,
    so the labels of one survey are left unchanged.
    """

    #: Anchor survey, whose scale is kept; by default the first of [[labels]].
    anchor: str | None = None
    #: `joint`: a robust fit of all surveys together, through all their overlaps. `paper`: each survey is compared
    #: with the anchor alone, by a quadratic function of its labels.
    mode: Literal["joint", "paper"] = "joint"
    #: Whether quoted errors are normalised (by repeated measurements and the N-cornered hat) or used unchanged.
    errors: Literal["normalise", "quoted"] = "normalise"
    #: Inner edges of bins in signal-to-noise ratio; a survey has a separate error factor in each bin.
    snr_bins: tuple[float, ...] = ()
    #: Form of the corrections: a `smooth` curve in every label, or a `polynomial`.
    basis: Literal["smooth", "polynomial"] = "smooth"
    #: Degree of the polynomial; by default chosen by cross-validation.
    degree: int | None = Field(default=None, ge=0, le=2)
    #: Number of segments of every smooth curve over the range of the overlaps.
    segments: int = Field(default=10, ge=3, le=50)
    #: Surface gravity where the corrections of dwarfs and giants meet, and the width of the transition, dex.
    join_logg: float = 3.5
    join_width: float = Field(default=0.25, gt=0)
    #: Residual, in units of the error, beyond which a measurement is down-weighted (Huber) in the first fit.
    huber: float = Field(default=1.5, gt=0)
    #: Number of groups of stars for cross-validation.
    folds: int = Field(default=5, ge=2, le=20)
    #: Smallest number of common stars for which two surveys count as overlapping.
    fewest: int = Field(default=10, ge=3)
    #: Largest number of stars of two or more surveys used to fit the corrections; chosen at random.
    max_stars: int = Field(default=30_000, ge=1000)
    #: Whether every survey is left out once and predicted from the others.
    leave_out: bool = True
    seed: Seed = 0
    reference: ReferenceList | None = None
    clusters: ClusterTable | None = None

    @model_validator(mode="after")
    def _ordered(self) -> HomogenizeConfig:
        if list(self.snr_bins) != sorted(set(self.snr_bins)):
            raise ValueError("snr_bins must increase")
        return self
