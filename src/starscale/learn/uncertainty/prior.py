"""Another prior of the labels, for the same likelihood.

A trained learner gives the density of a label t of a star with inputs x under the density of the training stars,
its prior: p(t | x) = L(x | t) p(t). Divided by p(t) it is the likelihood, and times another density the answer
under that prior. A flat one undoes the shrinkage towards labels that are common in the training, at the
price of more scatter. The labels are those of the training with their noise: so is the p(t) that it is divided by.

Every label has a prior of its own, under which only its own marginal density changes: the other labels stay those
that the training stars have at its value. (A flat prior of all labels at the same time would fill the space of
labels with stars that do not exist.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from starscale.learn.arrays import expected
from starscale.learn.regressor import Tilt
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.later import Later

#: Needed in training alone.
ndimage = Later("scipy.ndimage")

#: Bins over the range of the training labels.
N_BINS = 240
#: Silverman's (1986) width of the kernel: this times the standard deviation times n^-0.2.
KERNEL = 0.9
#: Least density, as a share of the largest: no label weighs more than 1 / this times the most common one.
FLOOR = 1e-3


@dataclass(frozen=True)
class LabelDensity:
    """The smoothed densities of the labels of the training stars.

    Parameters
    ----------
    edges : ndarray, shape (n_labels, N_BINS + 1)
        Equal bins from the smallest to the largest label.
    density : ndarray, shape (n_labels, N_BINS)
        Relative to the largest of the label, at least `FLOOR`.
    """

    edges: FloatArray
    density: FloatArray

    @classmethod
    def fit(cls, y: FloatArray) -> LabelDensity:
        """Estimate the densities from training labels, shape (n, n_labels), NaN where missing."""
        edges, density = [], []
        for column in y.T:
            known = column[~np.isnan(column)]
            low, high = known.min(), known.max()
            bins = np.linspace(low, high if high > low else low + 1.0, N_BINS + 1)
            # In bins; labels that are all equal have no width.
            width = max(KERNEL * known.std() * len(known) ** -0.2 / (bins[1] - bins[0]), 0.5)
            smooth = ndimage.gaussian_filter1d(
                np.histogram(known, bins)[0].astype(np.float64), width, mode="nearest"
            )
            edges.append(bins)
            density.append(np.maximum(smooth / smooth.max(), FLOOR))
        return cls(np.stack(edges), np.stack(density))

    def tilt(self, priors: Mapping[int, tuple[FloatArray, FloatArray] | None]) -> Tilt:
        """Return the factors for new priors.

        Parameters
        ----------
        priors : mapping
            By the number of the label: values and densities of the new prior, linear in between and 0 outside; or
            None: a flat one, over the range of the training labels.
        """
        weight = np.ones(self.density.shape)
        for label, prior in priors.items():
            center = 0.5 * (self.edges[label, 1:] + self.edges[label, :-1])
            new = np.ones(N_BINS) if prior is None else np.interp(center, *prior, left=0.0, right=0.0)
            if not new.max() > 0:
                low, high = self.edges[label, [0, -1]]
                wanted = f"a density between {low:.5g} and {high:.5g}"
                raise InputError(Problem("prior", "is 0 for all labels of the training", wanted))
            # Bounded from below too, so that a star always has an answer.
            weight[label] = np.maximum(new / new.max(), FLOOR**2) / self.density[label]
        return Tilt(self.edges, weight, tuple(sorted(priors)))

    @classmethod
    def skeleton(cls) -> LabelDensity:
        """Return densities to be filled with stored arrays."""
        return cls(expected("labels", N_BINS + 1), expected("labels", N_BINS))

    def check(self, where: str) -> None:
        """Check the values of stored arrays.

        Raises
        ------
        InputError
            Edges that do not increase, or densities that are not positive.
        """
        if not ((np.diff(self.edges, axis=1) > 0).all() and (self.density > 0).all()):
            raise InputError(Problem(where, "has edges that do not increase, or a density that is not positive"))
