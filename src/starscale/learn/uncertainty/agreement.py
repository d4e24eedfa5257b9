"""Whether the measurements of a star agree as they do in stars of its kind.

Dwarfs and giants of one colour differ by magnitudes in brightness, so that relations of all stars together
(:mod:`.consistency`) leave a wrong distance within their scatter. Where there are enough of both, each kind has
relations of its own, and the predicted gravity of a star says which it is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import entry, stored_as
from starscale.learn.uncertainty.checks import Checks
from starscale.learn.uncertainty.consistency import Consistency, Disagreement
from starscale.vocabulary.arrays import FloatArray

#: Fewest stars of each kind, in training and held out: relations have a hundred coefficients and more, and their
#: scale is a 99th percentile.
FEWEST_OF_KIND = (500, 100)

#: Measurements and their errors, shape (n, n_given).
Measured = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Agreement:
    """Relations between measurements, for each kind of star.

    Parameters
    ----------
    common : Consistency
        Of all stars; of all but giants where these have their own.
    giants : Consistency or None
        None where there are too few giants, or too few other stars, and in a bundle of an earlier build.
    checks : Checks or None
        Of the last measurements, where these are no inputs.
    """

    common: Consistency = field(metadata=stored_as(""))
    giants: Consistency | None = None
    checks: Checks | None = None

    @classmethod
    def fit(
        cls,
        training: Measured,
        held_out: Measured,
        kinds: tuple[NDArray[np.bool_], NDArray[np.bool_]],
        seed: int,
        n_checks: int = 0,
    ) -> Agreement | None:
        """Learn the relations from training stars, and their scales from held-out ones.

        Parameters
        ----------
        training, held_out : pair of ndarray, shape (n, n_given)
        kinds : pair of ndarray of bool, shapes (2, n_training), (2, n_held_out)
            Which stars are no giants, and which are; a training star whose gravity is not known is neither.
        seed : int
        n_checks : int
            How many measurements, the last ones, say whether others are right.

        Returns
        -------
        Agreement or None
            None where there are too few stars or measurements.
        """
        if n_checks:
            found = cls.fit(_but(training, n_checks), _but(held_out, n_checks), kinds, seed)
            value, error = (np.concatenate(parts)[:, -n_checks:] for parts in zip(training, held_out, strict=True))
            return None if found is None else replace(found, checks=Checks.fit(value, error))
        if all((of.sum(axis=1) >= fewest).all() for of, fewest in zip(kinds, FEWEST_OF_KIND, strict=True)):
            others, giants = (
                Consistency.fit(_rows(training, own), _rows(held_out, held), seed)
                for own, held in zip(*kinds, strict=True)
            )
            if others is not None and giants is not None:
                return cls(others, giants)
        common = Consistency.fit(training, held_out, seed)
        return None if common is None else cls(common)

    def score(self, value: FloatArray, error: FloatArray, giant: NDArray[np.bool_]) -> Disagreement:
        """Return how far the measurements of each star disagree.

        Parameters
        ----------
        value, error : ndarray, shape (n, n_given)
            As for :meth:`.Consistency.score`.
        giant : ndarray of bool, shape (n,)
            Which stars are predicted to be giants.
        """
        if self.checks is not None:
            n = len(self.common.used)
            found = replace(self, checks=None).score(value[:, :n], error[:, :n], giant)
            checked = self.checks.score(value[:, n:], error[:, n:])
            each = np.concatenate([found.each, checked], axis=1)
            return Disagreement(np.fmax(found.score, np.fmax.reduce(checked, axis=1)), each)
        if self.giants is None:
            return self.common.score(value, error)
        score, each = np.empty(len(value)), np.empty(value.shape)
        for relations, own in ((self.common, ~giant), (self.giants, giant)):
            found = relations.score(value[own], error[own])
            score[own], each[own] = found.score, found.each
        return Disagreement(score, each)

    def widened(self, factor: float) -> Agreement:
        """Return relations whose scores are smaller by a factor."""
        giants = None if self.giants is None else self.giants.widened(factor)
        return Agreement(
            self.common.widened(factor), giants, None if self.checks is None else self.checks.widened(factor)
        )

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`skeleton` needs, JSON-able."""
        return {
            "measurements": len(self.common.used),
            **({} if self.giants is None else {"giants": True}),
            **({} if self.checks is None else {"checks": len(self.checks.center)}),
        }

    @classmethod
    def skeleton(cls, document: Mapping[str, Any]) -> Agreement:
        """Return a part to be filled with stored arrays."""
        n_given = int(entry(document, "measurements", "consistency"))
        giants = Consistency.skeleton(n_given, "measurements of giants") if document.get("giants") else None
        checks = Checks.skeleton(int(document["checks"])) if document.get("checks") else None
        return cls(Consistency.skeleton(n_given), giants, checks)


def _rows(measured: Measured, rows: NDArray[np.bool_]) -> Measured:
    return measured[0][rows], measured[1][rows]


def _but(measured: Measured, n_last: int) -> Measured:
    return measured[0][:, :-n_last], measured[1][:, :-n_last]
