"""What a bundle says of the use of its model: inputs, cuts, figures, provenance; checked where it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from starscale.learn.stored import Name, StoredPart
from starscale.vocabulary.columns import LabelName
from starscale.vocabulary.strict import validate

Plain = str | int | float | bool | None
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class StoredFeature(StoredPart):
    """An input of the model."""

    name: Name
    expression: str = Field(max_length=100_000)
    unit: str = ""
    description: str = ""
    log_error: bool = False


class StoredMeasurement(StoredPart):
    """Columns that are missing together."""

    name: Name
    columns: list[Name]
    errors: dict[Name, Annotated[list[Name], Field(min_length=1, max_length=2)]]
    logarithmic: bool = False


class StoredCheck(StoredPart):
    """A measurement that says whether an input is right."""

    name: Name
    column: Name
    error: Name
    times: Name


class StoredCurve(StoredPart):
    """The error of the scale of a label."""

    label: Name
    kind: Literal["dwarf", "giant", "any"]
    at: list[float] = Field(min_length=1)
    error: list[float]

    @model_validator(mode="after")
    def _curve(self) -> StoredCurve:
        if len(self.at) != len(self.error) or sorted(self.at) != self.at:
            raise ValueError("at and error are no curve: as many numbers, at in rising order")
        return self


class StoredShare(StoredPart):
    """The error of a label against true values over that against labels."""

    label: Name
    kind: Literal["dwarf", "giant", "any"]
    share: Annotated[float, Field(gt=0, le=1)]
    stars: int


class StoredScale(StoredPart):
    """The scale of the labels."""

    scale: str
    surveys: list[str]
    source: str
    curves: list[StoredCurve]


class StoredTable(StoredPart):
    """A table of a run, as far as its survey is concerned."""

    survey: str = ""


class StoredCatalogue(StoredTable):
    """The leading table."""

    join: list[StoredTable] = Field(default_factory=list)


class StoredSettings(StoredPart):
    """The settings of the run, as far as they are read again."""

    catalogue: StoredCatalogue = StoredCatalogue()
    photometry: list[StoredTable] = Field(default_factory=list)
    labels: list[StoredTable] = Field(default_factory=list)


class StoredProvenance(StoredPart):
    """Where the model comes from, as far as it is read again."""

    settings: StoredSettings = StoredSettings()


class StoredFigures(StoredPart):
    """Figures of merit of one label; the other figures are numbers, too."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Plain] = Field(init=False)

    label: LabelName
    by: str = "all"
    n: float | None = None


class StoredCost(StoredPart):
    """What a missing band costs."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Plain] = Field(init=False)

    missing: str
    label: LabelName


class StoredInformation(StoredPart):
    """Title, figures and provenance."""

    title: str | None = None
    split: dict[str, Plain] = Field(default_factory=dict)
    split_rule: dict[str, Any] = Field(default_factory=dict)
    repeats: int = 1
    figures: list[StoredFigures] = Field(default_factory=list)
    missing_bands: list[StoredCost] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    provenance: StoredProvenance = StoredProvenance()


class StoredDocument(StoredPart):
    """The document of a model."""

    features: list[StoredFeature] = Field(min_length=1)
    inputs: dict[str, Any]
    labels: list[LabelName] = Field(min_length=1)
    cuts: list[dict[str, Any]]
    label_ranges: dict[str, Pair]
    magnitude: Name | None
    magnitude_range: Annotated[list[float | None], Field(min_length=2, max_length=2)]
    measurements: list[StoredMeasurement]
    reddening: Name | None
    mock: bool
    information: StoredInformation
    recipe: dict[str, Any] | None = None
    checks: list[StoredCheck] = Field(default_factory=list)
    label_scale: StoredScale | None = None
    label_noise: list[StoredCurve] | None = None
    truth_shares: list[StoredShare] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fit(self) -> StoredDocument:
        if unknown := sorted(set(self.label_ranges) - set(self.labels)):
            raise ValueError(f"label_ranges has {unknown[0]!r}, which is not predicted")
        if unknown := sorted({share.label for share in self.truth_shares} - set(self.labels)):
            raise ValueError(f"truth_shares has {unknown[0]!r}, which is not predicted")
        columns = self.inputs.get("columns")
        if self.reddening is not None and not (isinstance(columns, dict) and self.reddening in columns):
            raise ValueError(f"reddening is {self.reddening!r}, which is not among the inputs")
        return self


def check_document(document: Mapping[str, Any], where: str) -> StoredDocument:
    """Check what a model says of its use, and return it.

    Raises
    ------
    InputError
        A key is missing, of another type, or contradicts another one.
    """
    return validate(StoredDocument, document, where)
