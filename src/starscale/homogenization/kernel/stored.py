"""The document of a calibration, checked before anything is built from it: types, numbers, lengths, sizes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from starscale.vocabulary.columns import LabelName

#: Surveys times functions; the covariance has three times the square of it, in 8 bytes each.
_MOST = 4000

Three = Annotated[list[float], Field(min_length=3, max_length=3)]
Ends = Annotated[list[float | None], Field(min_length=2, max_length=2)]


class CalibrationPart(BaseModel):
    """Base of the parts; keys that a later build adds are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class StoredBasis(CalibrationPart):
    """The functions that corrections are made of."""

    kind: Literal["smooth", "polynomial"]
    centre: Three
    scale: Three
    low: Three
    high: Three
    segments: int = Field(ge=3, le=50)
    join_logg: float
    join_width: float = Field(gt=0)


class StoredFactor(CalibrationPart):
    """The factor on the errors of a label; null: not a number."""

    k: float | None = None
    extra: float | None = None
    k_error: float | None = None
    method: str = ""
    repeats: float | None = None
    repeats_error: float | None = None
    hat: float | None = None
    hat_error: float | None = None
    pairs: int = 0
    note: str = ""


class StoredSurvey(CalibrationPart):
    """What belongs to a survey, for each label."""

    range: dict[LabelName, Ends]
    errors: dict[LabelName, StoredFactor]
    snr_factors: dict[LabelName, list[float | None]]
    coefficients: dict[LabelName, list[float]]


class StoredCalibration(CalibrationPart):
    """A calibration."""

    anchor: str
    own: bool
    basis: StoredBasis
    snr_bins: list[float]
    notes: list[str]
    information: dict[str, Any]
    surveys: dict[str, StoredSurvey] = Field(min_length=1)
    covariance_of: list[str]
    covariance: dict[LabelName, list[float]]

    @model_validator(mode="after")
    def _sizes(self) -> StoredCalibration:
        functions = {len(c) for survey in self.surveys.values() for c in survey.coefficients.values()}
        if len(functions) != 1 or max(functions) * len(self.surveys) > _MOST:
            raise ValueError("the surveys have different numbers of coefficients, or far too many")
        size = len(self.covariance_of) * max(functions)
        if any(len(block) != size * (size + 1) // 2 for block in self.covariance.values()):
            raise ValueError("the covariance does not belong to the coefficients")
        if any(len(f) != len(self.snr_bins) + 1 for s in self.surveys.values() for f in s.snr_factors.values()):
            raise ValueError("snr_factors do not belong to snr_bins")
        return self

    @model_validator(mode="after")
    def _names(self) -> StoredCalibration:
        known = set(self.surveys)
        if self.anchor not in known or not set(self.covariance_of) <= known:
            raise ValueError("anchor or covariance_of names a survey that is not there")
        if len(set(self.covariance_of)) != len(self.covariance_of) or sorted(set(self.snr_bins)) != self.snr_bins:
            raise ValueError("covariance_of repeats a survey, or snr_bins do not increase")
        return self
