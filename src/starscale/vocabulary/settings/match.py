"""Settings of what links tables: the match by position, and identifiers of two releases."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from starscale.vocabulary.strict import Frozen


class MatchConfig(Frozen):
    """How the leading and the photometric catalogues are cross-matched."""

    #: `figure_of_merit`: by position errors, local density and proper motions, after Marrese et al. (2019);
    #: `nearest`: by separation alone.
    method: Literal["figure_of_merit", "nearest"] = "figure_of_merit"
    #: Leading catalogue: `dense`, a counterpart is searched for every Gaia star, and several stars may have the
    #: same one; `sparse`, a star is searched for every external source, one-to-one. By default that of the survey
    #: file.
    mode: Literal["dense", "sparse"] | None = None
    #: Largest separation of a pair, arcsec, at the epoch of the external source; by default 5 for the figure of
    #: merit, where the errors set a smaller limit, and 1 for the nearest.
    radius: float | None = Field(default=None, gt=0, le=60)
    #: Whether position errors are calibrated with the pairs (a scale, a floor, local offsets, blends) or used as
    #: stated in the catalogues.
    errors: Literal["calibrated", "stated"] = "calibrated"
    #: Fraction of the true pairs that are good neighbours if all errors are Gaussian: 0.9999994 is 5.36 sigma.
    gamma: float = Field(default=0.9999994, gt=0.3, lt=1)
    #: A pair beyond this limit is still a good neighbour (a blended source) if its probability is at least this.
    least_probability: float = Field(default=0.1, gt=0, le=1)
    #: Dispersion of the proper motions assumed for stars without one, mas/yr; it increases their position errors.
    unknown_motion: float = Field(default=20.0, ge=0)
    #: Which pairs are kept: `strict`, one good neighbour on either side; `loose`, one neighbour and no mates;
    #: `best`, the best neighbour of every star.
    pairs: Literal["strict", "loose", "best"] = "strict"
    #: Whether all rows are matched and the cuts are applied afterwards (`match_first`: a blended neighbour that a
    #: cut removes still counts), or only rows that pass the cuts are matched.
    order: Literal["match_first", "clean_first"] = "match_first"
    proper_motion: bool = True
    #: Whether duplicate entries are merged first, by the criterion of the survey file.
    curate: bool = True

    @property
    def search_radius(self) -> float:
        """Largest separation of a pair, arcsec."""
        return self.radius if self.radius is not None else (5.0 if self.method == "figure_of_merit" else 1.0)


class CrosswalkLimits(Frozen):
    """Sources of two releases that are farther apart, or differ more, are not the same star."""

    #: Largest distance, mas.
    distance: float = Field(default=500.0, gt=0)
    #: Largest absolute difference of the magnitudes.
    magnitude_difference: float = Field(default=0.5, gt=0)
    #: Distance, mas, below which the nearest source is the star. Beyond it, the magnitude difference must be known
    #: and no other source may be less than twice as far.
    sure: float = Field(default=100.0, gt=0)


class CrosswalkInput(Frozen):
    """A table of neighbours that links the identifiers of two releases of Gaia, and the survey file of it.

    Labels with identifiers of another release than that of the catalogue are then assigned to stars through it.
    """

    survey: str
    path: Path | None = None
    #: Whether the rows that are needed are fetched from the archive, instead of being read from `path`.
    fetch: bool = False
    limits: CrosswalkLimits = CrosswalkLimits()

    @model_validator(mode="after")
    def _one_source(self) -> CrosswalkInput:
        if (self.path is None) != self.fetch:
            raise ValueError("either `path` (a table on disk) or `fetch = true` must be given")
        return self
