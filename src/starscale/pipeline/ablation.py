"""Compare a model with and without the surveys' own estimates of labels (GSP-Phot), and with these alone."""

from __future__ import annotations

from dataclasses import replace

from starscale.features.measurements import estimate_features
from starscale.pipeline.plan import RunPlan, features_of, members_in
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.models import RidgeConfig
from starscale.vocabulary.settings.run import ESTIMATES_ALONE, WITHOUT_ESTIMATES, ModelEntry


def with_ablation(run: RunPlan) -> RunPlan:
    """Add the two models of an ablation to the compared models, if the run file requests it.

    The model of the run without the estimates measures the information in the photometry alone; a quadratic ridge
    regression on the estimates alone (their recalibration) measures the information in the estimates.

    Raises
    ------
    InputError
        When no feature is a survey's own estimate of a label, or every feature is.
    """
    config = run.config
    if not config.ablation:
        return run
    members = members_in(run, ())
    features = features_of(run, members)
    estimates = estimate_features(features, members)
    if not 0 < len(estimates) < len(features):
        found = f"{len(estimates)} of the {len(features)} features are a survey's own estimates of labels"
        fix = "Remove the key ablation."
        raise InputError(Problem("ablation", found, "some, but not all", fix))
    own = config.features
    entries = (
        ModelEntry(
            name=WITHOUT_ESTIMATES,
            model=config.model,
            features=own.model_copy(update={"without": (*own.without, *estimates)}),
        ),
        ModelEntry(name=ESTIMATES_ALONE, model=RidgeConfig(), features=own.model_copy(update={"only": estimates})),
    )
    kept = tuple(entry for entry in config.models if entry.name not in (WITHOUT_ESTIMATES, ESTIMATES_ALONE))
    return replace(run, config=config.model_copy(update={"models": (*kept, *entries)}))
