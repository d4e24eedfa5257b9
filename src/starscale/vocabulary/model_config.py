"""Settings of the learners, told apart by their `kind`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starscale.vocabulary.baseline_config import BaselineConfig
from starscale.vocabulary.strict import Frozen


class Turchi2024Config(Frozen):
    """The network of Turchi et al. 2024: one multilayer perceptron for each label.

    Widths, blocks and losses are the paper's; slope, dropout, optimiser, batch, epochs and scaling
    are not stated there and are ours.
    """

    kind: Literal["turchi2024"] = "turchi2024"
    widths: tuple[int, ...] = (*range(80, 161, 10), *range(160, 79, -10))
    slope: float = Field(default=0.3, ge=0, lt=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    #: Stars in a batch; by default the power of two below a fiftieth of the training stars, 32 to 256.
    #: Batch normalisation remembers some hundred batches: with few in an epoch it lags behind the network.
    batch: int | None = Field(default=None, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    #: Longest number of epochs of the two phases: mean absolute error, then SMAPE.
    epochs_mae: int = Field(default=120, ge=0)
    epochs_smape: int = Field(default=60, ge=0)
    #: Epochs without a better validation loss after which a phase ends.
    patience: int = Field(default=20, ge=1)

    @model_validator(mode="after")
    def _some_training(self) -> Turchi2024Config:
        if self.epochs_mae + self.epochs_smape == 0:
            raise ValueError("epochs_mae and epochs_smape cannot both be 0")
        if not self.widths or min(self.widths) < 1:
            raise ValueError("widths must be one or more positive numbers")
        return self


class MixtureConfig(Frozen):
    """The default: one network that predicts the joint density of all labels as a mixture of Gaussians."""

    kind: Literal["mixture"] = "mixture"
    width: int = Field(default=256, ge=1)
    layers: int = Field(default=3, ge=1)
    components: int = Field(default=3, ge=1)
    #: Periodic embedding of every input: number of frequencies and their spread; 0 turns it off.
    frequencies: int = Field(default=16, ge=0)
    frequency_scale: float = Field(default=0.05, gt=0)
    #: Append a whitened copy of the inputs.
    whiten: bool = True
    batch: int = Field(default=128, ge=2)
    #: By default 20, and of few stars more, 40 at most, as far as that is 2,600 steps or less.
    epochs: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    #: Networks in the ensemble.
    members: int = Field(default=5, ge=1)
    #: Networks for every common set of bands: one that this share of the training stars have, the commonest first.
    set_members: int = Field(default=2, ge=0)
    set_share: float = Field(default=0.02, gt=0, le=1)
    most_sets: int = Field(default=6, ge=0)
    #: Networks for stars with any other set of bands; with 0 those of the whole set serve them.
    rare_members: int = Field(default=2, ge=0)
    #: Add noise to half of the stars in training, as their own measurement errors have it where these are known.
    noise: bool = True
    #: Stars count by the density of their labels to minus this power: 0 all the same, 0.5 favours rare stars.
    rare_power: float = Field(default=0.0, ge=0, le=1)


ModelConfig = Annotated[Turchi2024Config | MixtureConfig | BaselineConfig, Field(discriminator="kind")]
