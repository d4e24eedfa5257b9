"""Which inputs a star has, and which networks serve it.

A star without some bands is best served by networks that never saw these bands: filling gaps costs accuracy, and
stars that lack a band are not like the others. Networks for every combination of bands would be too many, so the
common ones have their own, and the others share networks that learnt from filled gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from starscale.learn.regressor import MaskedValidation


@dataclass(frozen=True)
class BandSets:
    """Sets of inputs that have networks of their own.

    Parameters
    ----------
    used : ndarray of bool, shape (n_sets, n_inputs)
        The first set is all inputs; its networks learnt from gaps as the training stars have them.
    rare : bool
        Whether one more group of networks, that learnt from stars with inputs left out at random, serves all stars
        that have no set. Without it the first set does.
    """

    used: NDArray[np.bool_]
    rare: bool

    @classmethod
    def common(cls, missing: NDArray[np.bool_], *, share: float, most: int, rare: bool) -> BandSets:
        """Find the common sets of a sample.

        Parameters
        ----------
        missing : ndarray of bool, shape (n, n_inputs)
            Inputs that stars lack.
        share : float
            A set is common when this share of the stars have it.
        most : int
            Sets at most, besides the first.
        rare : bool
            Whether stars without a set have networks of their own.
        """
        patterns, counts = np.unique(missing, axis=0, return_counts=True)
        order = np.lexsort((*patterns.T[::-1], -counts))
        own = [
            i for i in order if patterns[i].any() and not patterns[i].all() and counts[i] >= share * len(missing)
        ]
        whole = np.ones((1, missing.shape[1]), dtype=bool)
        return cls(np.concatenate([whole, ~patterns[own[:most]]]), rare)

    def __len__(self) -> int:
        return len(self.used) + self.rare

    def serving(self, missing: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the number of the set that serves each star, shape (n,)."""
        number = np.full(len(missing), len(self.used) if self.rare else 0, dtype=np.intp)
        for i, used in enumerate(self.used):
            number[(missing == ~used).all(axis=1)] = i
        return number

    def exact(self, missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which stars have just the inputs of a set, shape (n,)."""
        return np.asarray((missing[:, None, :] == ~self.used).all(axis=2).any(axis=1))

    def inputs_of(self, number: int) -> NDArray[np.bool_]:
        """Return which inputs the networks of a set see."""
        whole: NDArray[np.bool_] = self.used[number if number < len(self.used) else 0]
        return whole

    def rehearsals(self, missing: NDArray[np.bool_]) -> list[MaskedValidation]:
        """For every set but the first, stars that have its inputs, as if they had no others."""
        found = []
        for used in self.used[1:]:
            rows = np.flatnonzero(~missing[:, used].any(axis=1))
            found.append(MaskedValidation(rows, np.broadcast_to(~used, (len(rows), len(used)))))
        return found
