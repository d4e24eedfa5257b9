"""The settings file of `starscale homogenize`: the surveys whose labels are put on one scale."""

from __future__ import annotations

from pydantic import Field, model_validator

from starscale.vocabulary.settings.homogenize import HomogenizeConfig
from starscale.vocabulary.settings.match import CrosswalkInput
from starscale.vocabulary.settings.run import InputTable, LabelsInput
from starscale.vocabulary.strict import Frozen


class LabelsConfig(Frozen):
    """The label surveys and how they are homogenized."""

    title: str = "starscale homogenize"
    #: The data are simulated; stated wherever a result is shown.
    mock: bool = False
    #: Catalogue that provides the identifiers of the stars; needed if a survey has none, or those of another
    #: release.
    catalogue: InputTable | None = None
    #: Whether positions of the catalogue are propagated to the epoch of the survey.
    proper_motion: bool = True
    labels: tuple[LabelsInput, ...] = Field(min_length=2)
    #: Tables that link the identifiers of releases of Gaia.
    crosswalk: tuple[CrosswalkInput, ...] = ()
    homogenize: HomogenizeConfig = HomogenizeConfig()

    @model_validator(mode="after")
    def _paths(self) -> LabelsConfig:
        if without := [entry.survey for entry in self.labels if entry.path is None]:
            raise ValueError(
                f"[[labels]] without a path: {', '.join(without)} (download tables with 'starscale fetch')"
            )
        if self.catalogue is not None and self.catalogue.path is None:
            raise ValueError("[catalogue] without a path (download tables with 'starscale fetch')")
        return self
