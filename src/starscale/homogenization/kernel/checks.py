"""Checks before the fit that the label surveys measure the same quantities independently."""

from __future__ import annotations

import numpy as np

from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.measured import Measured
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import Problems
from starscale.vocabulary.later import Later

stats = Later("scipy.stats")

_FEWEST = 30
#: Share of identical values above which two surveys count as one.
_SAME = 0.5
#: Rank correlations with the labels of other surveys: below the first a label counts as another quantity, above
#: the second as that label.
_UNRELATED, _RELATED = 0.3, 0.6
_SAMPLE = 20_000


def check_surveys(measured: Measured) -> None:
    """Refuse one survey under two names, and labels that do not correlate with those of the other surveys.

    Raises
    ------
    InputError
        All problems at once.
    """
    problems = Problems()
    some = measured.take(np.arange(min(len(measured), _SAMPLE)))
    n_surveys = len(measured.surveys)
    for s in range(n_surveys):
        for t in range(s + 1, n_surveys):
            _same(some, s, t, problems)
    for s in range(n_surveys):
        for i in range(len(AXES)):
            _unrelated(some, i, s, problems)
    problems.raise_if_any()


def _same(measured: Measured, s: int, t: int, problems: Problems) -> None:
    both = measured.there[:, :, s] & measured.there[:, :, t]
    equal = both & (measured.value[:, :, s] == measured.value[:, :, t])
    n = int(both.any(axis=0).sum())
    if n >= _FEWEST and (equal == both)[:, both.any(axis=0)].all(axis=0).mean() > _SAME:
        problems.add(
            f"surveys {measured.surveys[s]} and {measured.surveys[t]}",
            f"most of their {n} common stars have the same labels to the last digit",
            "independent surveys",
            "Is one table named twice, or a compilation of the other?",
        )


def _unrelated(measured: Measured, label: int, s: int, problems: Problems) -> None:
    own = measured.value[label, :, s]
    others = np.stack([_others(measured, i, s) for i in range(len(AXES))])
    both = np.isfinite(own) & np.isfinite(others[label])
    if both.sum() < _FEWEST or np.ptp(own[both]) == 0:
        return
    known = measured.error[label, both]
    spread, error = np.std(others[label, both]), np.nanmedian(known)
    # Labels that vary less than their errors have no rank correlation.
    if not spread > 3 * error or float(stats.spearmanr(own[both], others[label, both])[0]) > _UNRELATED:
        return
    found = (
        f"does not follow the other surveys' {AXES[label]} "
        f"(rank correlation below {_UNRELATED:g}, {both.sum()} stars)"
    )
    fix = "Does the survey file name the right columns?"
    for i, name in enumerate(AXES):
        common = np.isfinite(own) & np.isfinite(others[i])
        if (
            i != label
            and common.sum() >= _FEWEST
            and abs(stats.spearmanr(own[common], others[i, common])[0]) > _RELATED
        ):
            fix = f"It follows their {name}: are two columns swapped in the survey file?"
    problems.add(f"survey {measured.surveys[s]}: {AXES[label]}", found, f"{AXES[label]} of the same stars", fix)


def _others(measured: Measured, label: int, s: int) -> FloatArray:
    """Mean of a label over the other surveys, shape (n,)."""
    rest = measured.without(s).value[label]
    there = np.isfinite(rest)
    count = there.sum(axis=1)
    found = np.divide(
        np.where(there, rest, 0.0).sum(axis=1), count, out=np.full(len(rest), np.nan), where=count > 0
    )
    return np.asarray(found)
