"""Settings of the learners, distinguished by `kind`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from starscale.vocabulary.strict import Frozen

Count = Annotated[int, Field(ge=1)]


Positive = Annotated[float, Field(gt=0)]


#: Factors of the matrix products in hidden layers; sums have single precision.
Precision = Literal["bfloat16", "float32"]


class LearnerConfig(Frozen):
    """Settings of a learner."""

    #: Whether it predicts a density, to which another prior can be given.
    density: ClassVar[bool] = False
    #: Whether it can be kept in a bundle; what cannot is only compared with other models.
    stored: ClassVar[bool] = True

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that it needs."""
        return ()

    @property
    def teaches_slopes(self) -> bool:
        """Whether a small network learns the slopes of the labels with E(B-V) after the training."""
        return False

    def placed(self, base: Path) -> Self:  # noqa: ARG002
        """Return the settings with the files where they are, seen from a folder."""
        return self


class MeanConfig(LearnerConfig):
    """The mean label of the training part for every star, as a lower bound for other learners."""

    kind: Literal["mean"] = "mean"


class RidgeConfig(LearnerConfig):
    """Ridge regression on the inputs and their products, with the penalty chosen by cross-validation."""

    kind: Literal["ridge"] = "ridge"
    #: 1: the inputs alone; 2: their squares and products as well.
    degree: int = Field(default=2, ge=1, le=2)
    #: Penalties to choose from, as a fraction of the variance of a standardised column.
    penalties: tuple[Positive, ...] = Field(
        default=(1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 1.0), min_length=1
    )
    folds: int = Field(default=5, ge=2, le=20)


class KnnConfig(LearnerConfig):
    """Mean of the nearest training stars, weighted by one over their distance."""

    kind: Literal["knn"] = "knn"
    #: Numbers of neighbours to choose from.
    neighbours: tuple[Count, ...] = Field(default=(8, 16, 32, 64), min_length=1)


class RandomForestConfig(LearnerConfig):
    """Random forests (Breiman 2001), one for each label."""

    kind: Literal["random_forest"] = "random_forest"
    trees: int = Field(default=200, ge=1)
    #: Minimum numbers of stars in a leaf to choose from.
    min_leaf: tuple[Count, ...] = Field(default=(2, 5, 10), min_length=1)
    #: Fraction of the inputs considered at each split.
    max_features: float = Field(default=0.33, gt=0, le=1)


class SvrConfig(LearnerConfig):
    """Support vector regression with a Gaussian kernel, one for each label."""

    kind: Literal["svr"] = "svr"
    #: Penalties of errors to choose from (labels are standardised).
    penalties: tuple[Positive, ...] = Field(default=(1.0, 10.0), min_length=1)
    #: Coefficients of the squared distance to choose from, as multiples of 1 / (number of inputs).
    gammas: tuple[Positive, ...] = Field(default=(0.25, 1.0), min_length=1)
    #: Errors below this, in standard deviations of the label, have no cost.
    epsilon: float = Field(default=0.1, ge=0)
    #: Largest number of training stars, chosen at random: the cost grows with its square.
    max_stars: int = Field(default=10_000, ge=20)


class XgboostConfig(LearnerConfig):
    """Gradient-boosted trees: squared error for the mean, quantile loss for value and intervals."""

    kind: Literal["xgboost"] = "xgboost"
    rounds: int = Field(default=400, ge=1)
    learning_rate: float = Field(default=0.03, gt=0, le=1)
    #: Rounds and learning rate for the quantiles; every round has a tree for each of seven quantiles.
    quantile_rounds: int = Field(default=200, ge=1)
    quantile_learning_rate: float = Field(default=0.06, gt=0, le=1)
    max_depth: int = Field(default=6, ge=1)
    min_child_weight: float = Field(default=5.0, ge=0)
    #: Fractions of the stars and of the inputs used by a tree.
    subsample: float = Field(default=0.7, gt=0, le=1)
    colsample: float = Field(default=0.7, gt=0, le=1)
    reg_lambda: float = Field(default=3.0, ge=0)


class ComparedConfig(LearnerConfig):
    """A learner of another library, which stores its models as pickles: only to be compared with."""

    stored: ClassVar[bool] = False


class CatboostConfig(ComparedConfig):
    """Gradient-boosted symmetric trees (Prokhorenkova et al. 2018) for the mean of each label."""

    kind: Literal["catboost"] = "catboost"
    #: Most trees; the validation part decides how many are kept.
    rounds: int = Field(default=1000, ge=1)


class TabmConfig(ComparedConfig):
    """TabM (Gorishniy, Kotelnikov & Babenko 2025): networks that share most of their weights, one set a label."""

    kind: Literal["tabm"] = "tabm"
    #: Networks that share weights.
    members: int = Field(default=32, ge=1)
    width: int = Field(default=512, ge=1)
    #: Epochs without a smaller validation error after which the training ends.
    patience: int = Field(default=16, ge=1)


class RealmlpConfig(ComparedConfig):
    """RealMLP (Holzmueller, Grinsztajn & Steinwart 2024): a perceptron with tuned defaults for each label."""

    kind: Literal["realmlp"] = "realmlp"
    epochs: int = Field(default=256, ge=1)
    #: Networks whose predictions are averaged.
    members: int = Field(default=1, ge=1)


class XrfmConfig(ComparedConfig):
    """xRFM (Beaglehole et al. 2025): kernel machines that learn their features, in the leaves of a tree."""

    kind: Literal["xrfm"] = "xrfm"
    #: Most training stars in a leaf.
    leaf: int = Field(default=60_000, ge=20)


BaselineConfig = MeanConfig | RidgeConfig | KnnConfig | RandomForestConfig | SvrConfig | XgboostConfig


class Turchi2024Config(LearnerConfig):
    """The network of Turchi et al. 2024: one multilayer perceptron for each label.

    Widths, blocks and losses are those of the paper, which does not state slope, dropout, optimiser, batch size,
    epochs and scaling; these are our choice.
    """

    kind: Literal["turchi2024"] = "turchi2024"
    widths: tuple[int, ...] = (*range(80, 161, 10), *range(160, 79, -10))
    slope: float = Field(default=0.3, ge=0, lt=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    #: Stars in a batch; by default the power of two below 1/50 of the training stars, 32 to 256. The running
    #: averages of batch normalisation extend over about a hundred batches: with few in an epoch they lag behind.
    batch: int | None = Field(default=None, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    #: Largest number of epochs of the two phases: mean absolute error, then SMAPE.
    epochs_mae: int = Field(default=120, ge=0)
    epochs_smape: int = Field(default=60, ge=0)
    #: Number of epochs without a better validation loss after which a phase ends.
    patience: int = Field(default=20, ge=1)
    #: As for the mixture.
    precision: Precision = "bfloat16"
    #: Whether the slopes of the labels with E(B-V) come from a small network that learnt them; false: from the
    #: derivative of the networks, for which a star takes half as long again.
    learnt_slopes: bool = True

    @property
    def teaches_slopes(self) -> bool:
        """As chosen."""
        return self.learnt_slopes

    @model_validator(mode="after")
    def _some_training(self) -> Turchi2024Config:
        if self.epochs_mae + self.epochs_smape == 0:
            raise ValueError("epochs_mae and epochs_smape cannot both be 0")
        if not self.widths or min(self.widths) < 1:
            raise ValueError("widths must be one or more positive numbers")
        return self


class MixtureConfig(LearnerConfig):
    """The default: a network that predicts the joint density of all labels as a mixture of Gaussians."""

    density: ClassVar[bool] = True
    kind: Literal["mixture"] = "mixture"
    width: int = Field(default=192, ge=1)
    layers: int = Field(default=3, ge=1)
    components: int = Field(default=3, ge=1)
    #: Periodic embedding of every input: number of frequencies (0: no embedding; by default 8, with few inputs up
    #: to 16, as long as that is at most 128 in all) and their standard deviation.
    frequencies: int | None = Field(default=None, ge=0)
    frequency_scale: float = Field(default=0.05, gt=0)
    #: Append a whitened copy of the inputs.
    whiten: bool = True
    batch: int = Field(default=128, ge=2)
    #: By default 20; for small training sets up to 40, as long as that is at most 2,600 steps.
    epochs: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=2.7e-3, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    #: Number of networks in the ensemble.
    members: int = Field(default=5, ge=1)
    #: Networks for each common set of bands, which at least the fraction `set_share` of the training stars have;
    #: at most `most_sets` sets, the most common first.
    set_members: int = Field(default=2, ge=0)
    set_share: float = Field(default=0.02, gt=0, le=1)
    most_sets: int = Field(default=6, ge=0)
    #: Networks for stars with any other set of bands; 0: the networks of the full set predict them.
    rare_members: int = Field(default=2, ge=0)
    #: Whether noise is added to half of the stars in training, according to their measurement errors where known.
    noise: bool = True
    #: Training weight: density of the labels to the power of minus this; 0: equal weights, 0.5: favours rare
    #: stars.
    rare_power: float = Field(default=0.0, ge=0, le=1)
    #: What the factors of products in hidden layers are rounded to: eight binary digits, which moves a value by a
    #: thousandth of its error, or single precision.
    precision: Precision = "bfloat16"


class TabiclConfig(ComparedConfig):
    """TabICL (Qu et al. 2025): a transformer that reads the training stars as it predicts; nothing is trained."""

    kind: Literal["tabicl"] = "tabicl"
    #: File of the weights for regression, relative to the run file; nothing is downloaded.
    checkpoint: Path
    #: Orders and scalings of the inputs whose predictions are averaged.
    members: int = Field(default=8, ge=1)

    @property
    def files(self) -> tuple[Path, ...]:
        """The weights."""
        return (self.checkpoint,)

    def placed(self, base: Path) -> TabiclConfig:
        """Return the settings with the weights where they are, seen from a folder."""
        return self.model_copy(update={"checkpoint": base / self.checkpoint})


OtherConfig = CatboostConfig | TabmConfig | RealmlpConfig | XrfmConfig | TabiclConfig
AnyConfig = Turchi2024Config | MixtureConfig | BaselineConfig | OtherConfig
ModelConfig = Annotated[AnyConfig, Field(discriminator="kind")]
