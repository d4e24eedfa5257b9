"""Settings of the prediction of a run."""

from __future__ import annotations

from starscale.vocabulary.columns import LabelName
from starscale.vocabulary.strict import Frozen

#: Words for priors: the density of the training stars, and a constant.
TRAINING, FLAT = "training", "flat"


class PredictConfig(Frozen):
    """What the catalogue of a run holds beyond the labels."""

    #: What is known of the labels before: `training`, `flat`, or the path of a table with columns of a label and
    #: `density`; for all labels, or by label.
    prior: str | dict[LabelName, str] = TRAINING
    #: Thresholds, by label, for the probabilities to be below them; by default -1, -2 and -3 for `fe_h`.
    below: dict[LabelName, tuple[float, ...]] | None = None
    #: Whether the slopes of the labels with E(B-V) are computed; otherwise they are null.
    slopes: bool = True

    @property
    def tilts(self) -> bool:
        """Whether a prior is not that of the training stars."""
        given = self.prior.values() if isinstance(self.prior, dict) else (self.prior,)
        return any(prior != TRAINING for prior in given)
