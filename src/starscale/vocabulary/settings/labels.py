"""The file that `starscale homogenize` reads: the surveys whose labels are put on one scale."""

from __future__ import annotations

from pydantic import Field, model_validator

from starscale.vocabulary.settings.homogenize import HomogenizeConfig
from starscale.vocabulary.settings.run import InputTable, LabelsInput
from starscale.vocabulary.strict import Frozen


class LabelsConfig(Frozen):
    """Several label surveys, and how they are homogenized."""

    title: str = "starscale homogenize"
    #: The data are simulated; said wherever a figure is shown.
    mock: bool = False
    #: The catalogue whose identifiers the stars get; needed where a survey has none, or another release's.
    catalogue: InputTable | None = None
    #: Whether stars of the catalogue are moved to the epoch of a survey's rows.
    proper_motion: bool = True
    labels: tuple[LabelsInput, ...] = Field(min_length=2)
    homogenize: HomogenizeConfig = HomogenizeConfig()

    @model_validator(mode="after")
    def _paths(self) -> LabelsConfig:
        if without := [entry.survey for entry in self.labels if entry.path is None]:
            raise ValueError(f"[[labels]] without a path: {', '.join(without)} ('starscale fetch' brings tables)")
        if self.catalogue is not None and self.catalogue.path is None:
            raise ValueError("[catalogue] without a path ('starscale fetch' brings tables)")
        return self
