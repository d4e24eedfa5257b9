"""Settings of the baselines: what one would use instead, told apart by their `kind`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from starscale.vocabulary.strict import Frozen

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class MeanConfig(Frozen):
    """The mean label of the training part for every star: the floor that every learner must beat."""

    kind: Literal["mean"] = "mean"


class RidgeConfig(Frozen):
    """Linear regression on the inputs and their products, the penalty chosen by cross-validation."""

    kind: Literal["ridge"] = "ridge"
    #: 1: the inputs alone; 2: their squares and products as well.
    degree: int = Field(default=2, ge=1, le=2)
    #: Penalties to choose from, as a share of the variance of a standardised column.
    penalties: tuple[Positive, ...] = Field(
        default=(1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 1.0), min_length=1
    )
    folds: int = Field(default=5, ge=2, le=20)


class KnnConfig(Frozen):
    """Mean of the nearest training stars, weighted by one over their distance."""

    kind: Literal["knn"] = "knn"
    #: Numbers of neighbours to choose from.
    neighbours: tuple[Count, ...] = Field(default=(8, 16, 32, 64), min_length=1)


class RandomForestConfig(Frozen):
    """Random forests (Breiman 2001), one for each label."""

    kind: Literal["random_forest"] = "random_forest"
    trees: int = Field(default=200, ge=1)
    #: Least numbers of stars in a leaf to choose from.
    min_leaf: tuple[Count, ...] = Field(default=(2, 5, 10), min_length=1)
    #: Share of the inputs that a split chooses from.
    max_features: float = Field(default=0.33, gt=0, le=1)


class SvrConfig(Frozen):
    """Support vector regression with a Gaussian kernel, one for each label."""

    kind: Literal["svr"] = "svr"
    #: Penalties of errors to choose from (labels are standardised).
    penalties: tuple[Positive, ...] = Field(default=(1.0, 10.0), min_length=1)
    #: Coefficients of the squared distance to choose from, as multiples of 1 / (number of inputs).
    gammas: tuple[Positive, ...] = Field(default=(0.25, 1.0), min_length=1)
    #: Errors below this, in standard deviations of the label, cost nothing.
    epsilon: float = Field(default=0.1, ge=0)
    #: Training stars at most, drawn at random: the cost grows with their square.
    max_stars: int = Field(default=10_000, ge=20)


class XgboostConfig(Frozen):
    """Gradient-boosted trees: squared error for the mean, quantiles for value and intervals."""

    kind: Literal["xgboost"] = "xgboost"
    rounds: int = Field(default=400, ge=1)
    learning_rate: float = Field(default=0.03, gt=0, le=1)
    #: Of the fit of quantiles, which grows a tree for each of seven quantiles in every round.
    quantile_rounds: int = Field(default=200, ge=1)
    quantile_learning_rate: float = Field(default=0.06, gt=0, le=1)
    max_depth: int = Field(default=6, ge=1)
    min_child_weight: float = Field(default=5.0, ge=0)
    #: Shares of the stars and of the inputs that a tree sees.
    subsample: float = Field(default=0.7, gt=0, le=1)
    colsample: float = Field(default=0.7, gt=0, le=1)
    reg_lambda: float = Field(default=3.0, ge=0)


BaselineConfig = MeanConfig | RidgeConfig | KnnConfig | RandomForestConfig | SvrConfig | XgboostConfig
