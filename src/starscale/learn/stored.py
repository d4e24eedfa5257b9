"""What a bundle says of a trained model, checked before anything is built from it.

Types are strict, numbers are finite, sizes agree with one another, and networks are not larger than the numbers
that are stored: nothing is allocated that the file does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from starscale.vocabulary.errors import Problem, Problems
from starscale.vocabulary.settings.models import MixtureConfig
from starscale.vocabulary.strict import validate

Size = Annotated[int, Field(ge=1, le=2**40)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
_NO_FIT = "The settings and the weights do not fit together. Copy or train the model again."


class StoredPart(BaseModel):
    """Base of what is read from a document of a stranger; keys that a later build adds are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)
    #: Arrays in which NaN means missing.
    with_gaps: ClassVar[frozenset[str]] = frozenset()


class StoredMean(StoredPart):
    """The mean of the labels."""

    kind: Literal["mean"]
    n_labels: Size


class StoredRidge(StoredPart):
    """A ridge regression."""

    kind: Literal["ridge"]
    n_inputs: Size
    n_labels: Size
    degree: Literal[1, 2]
    penalties: list[float]


class StoredKnn(StoredPart):
    """Nearest neighbours."""

    #: The labels of the training stars.
    with_gaps: ClassVar[frozenset[str]] = frozenset({"regressor.t"})
    kind: Literal["knn"]
    n_stars: Size
    n_inputs: Size
    neighbours: list[Size] = Field(min_length=1)

    @model_validator(mode="after")
    def _enough(self) -> StoredKnn:
        if max(self.neighbours) > self.n_stars:
            raise ValueError(f"{max(self.neighbours)} neighbours of {self.n_stars} stars")
        return self


class StoredForests(StoredPart):
    """A forest for each label."""

    kind: Literal["random_forest"]
    n_inputs: Size
    n_nodes: list[Size] = Field(min_length=1)
    n_trees: list[Size]
    min_leaf: list[int]

    @model_validator(mode="after")
    def _of_all(self) -> StoredForests:
        if not len(self.n_nodes) == len(self.n_trees) == len(self.min_leaf):
            raise ValueError("n_nodes, n_trees and min_leaf have different lengths")
        return self


class StoredMachine(StoredPart):
    """Support vectors of one label."""

    n_vectors: Size
    intercept: float
    gamma: float
    penalty: float


class StoredSvr(StoredPart):
    """Support vectors."""

    kind: Literal["svr"]
    n_inputs: Size
    machines: list[StoredMachine] = Field(min_length=1)


class StoredXgboost(StoredPart):
    """Boosted trees: bytes of the boosters of the mean and of the quantiles of each label."""

    kind: Literal["xgboost"]
    n_inputs: Size
    bytes: list[Annotated[list[Size], Field(min_length=2, max_length=2)]] = Field(min_length=1)


class StoredTurchi(StoredPart):
    """The network of the paper."""

    kind: Literal["turchi2024"]
    n_inputs: Size
    n_labels: Size
    widths: list[Size] = Field(min_length=1)
    slope: float

    @property
    def numbers(self) -> int:
        """Weights of all networks."""
        return self.n_labels * sum(a * b + b for a, b in pairwise((self.n_inputs, *self.widths, 1)))


class StoredMixture(StoredPart):
    """Mixture-density networks."""

    kind: Literal["mixture"]
    config: dict[str, Any]
    n_inputs: Size
    n_labels: Size
    n_sets: Size

    @property
    def numbers(self) -> int:
        """Weights of all networks, at least."""
        config = validate(MixtureConfig, self.config, "regressor.config")
        frequencies = config.frequencies or 0
        values = self.n_inputs * (2 if config.whiten else 1)
        first = values * (4 if frequencies else 1) + self.n_inputs
        one = first * config.width + (config.layers - 1) * config.width**2 + values * frequencies
        one += config.width * config.components * (1 + 2 * self.n_labels)
        members = config.members + config.set_members * (self.n_sets - 1) + config.rare_members
        return one * members + self.n_sets * self.n_inputs


class StoredScaler(StoredPart):
    """Settings of the scaling of the inputs."""

    squash: float = Field(ge=0)


class StoredPreparation(StoredPart):
    """Settings of the preparation of the inputs."""

    n_features: Size
    scaler: StoredScaler


class StoredConsistency(StoredPart):
    """Predictions of every measurement from the others; bundles of earlier builds have none."""

    measurements: Annotated[int, Field(ge=0, le=10_000)]
    giants: bool = False
    checks: Annotated[int, Field(ge=0, le=10_000)] = 0


class StoredSlopes(StoredPart):
    """A network of slopes: lengths of its inputs and layers; most bundles have none."""

    sizes: Annotated[list[Size], Field(min_length=1, max_length=100)]


class StoredKind(StoredPart):
    """A part that is known by its kind."""

    kind: Name


Learner = Annotated[
    StoredMean
    | StoredRidge
    | StoredKnn
    | StoredForests
    | StoredSvr
    | StoredXgboost
    | StoredTurchi
    | StoredMixture,
    Field(discriminator="kind"),
]


class StoredPredictor(StoredPart):
    """The settings of a predictor."""

    labels: list[Name] = Field(min_length=1, max_length=100)
    features: list[Name] = Field(min_length=1, max_length=10_000)
    giant_logg: float
    min_present: float = Field(ge=0, le=1)
    warnings: list[str]
    preparation: StoredPreparation
    regressor: Learner
    calibration: StoredKind
    consistency: StoredConsistency | None = None
    slopes: StoredSlopes | None = None

    @model_validator(mode="after")
    def _fit(self) -> StoredPredictor:
        for what, names in (("label", self.labels), ("feature", self.features)):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what} {twice[0]!r} stands twice")
        if self.preparation.n_features != len(self.features):
            raise ValueError(f"{self.preparation.n_features} features are prepared, {len(self.features)} named")
        if getattr(self.regressor, "n_labels", len(self.labels)) != len(self.labels):
            raise ValueError("the regressor has another number of labels")
        if getattr(self.regressor, "n_inputs", 1) > len(self.features):
            raise ValueError("the regressor has more inputs than there are features")
        return self


def check_stored(model: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], where: str) -> None:
    """Check the settings of a predictor against its arrays, and that these are finite.

    Raises
    ------
    InputError
        A setting is missing, of another type, not finite or does not fit; or an array holds NaN or infinity.
    """
    stored = validate(StoredPredictor, model, where)
    problems = Problems()
    held = sum(array.size for array in arrays.values())
    if isinstance(stored.regressor, StoredTurchi | StoredMixture) and stored.regressor.numbers > held:
        found = f"states networks of {stored.regressor.numbers:,} numbers, and {held:,} are stored"
        problems.add(f"{where}.regressor", found, "", _NO_FIT)
    scaled = arrays.get("preparation.scaler.center")
    inputs = getattr(stored.regressor, "n_inputs", None)
    if scaled is not None and inputs is not None and scaled.size != inputs:
        problems.add(f"{where}.regressor", f"has {inputs} inputs, and {scaled.size} are scaled", "", _NO_FIT)
    problems.items += not_finite(arrays, stored.regressor.with_gaps)
    problems.raise_if_any()


def not_finite(arrays: Mapping[str, NDArray[Any]], with_gaps: frozenset[str]) -> list[Problem]:
    """Return a problem for every array that holds infinity, or NaN where that does not mean missing."""
    found = []
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            continue
        wrong = np.isinf(array) if name in with_gaps else ~np.isfinite(array)
        if bad := int(wrong.sum()):
            held = f"holds {bad} numbers that are NaN or infinite"
            found.append(Problem(f"array {name}", held, "finite numbers", _NO_FIT))
    return found
