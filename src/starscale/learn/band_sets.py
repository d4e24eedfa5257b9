"""Which inputs a star has, and which networks predict it.

A star without some bands is predicted best by networks that were trained without these bands: filling gaps costs
accuracy, and stars that lack a band differ from the others. Networks for every combination of bands would be too
many, so the common combinations have separate networks, and the others share networks that were trained with
filled gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from starscale.learn.arrays import stored_as
from starscale.learn.regressor import MaskedValidation


@dataclass(frozen=True)
class BandSets:
    """Sets of inputs with separate networks.

    Parameters
    ----------
    used : ndarray of bool, shape (n_sets, n_inputs)
        The first set is all inputs; its networks were trained with the gaps of the training stars.
    shared : bool
        Whether one more group of networks, trained on stars with inputs left out at random, predicts all stars
        that match no set. Without it the first set does.
    """

    used: NDArray[np.bool_] = field(metadata=stored_as(""))
    shared: bool

    @classmethod
    def common(cls, missing: NDArray[np.bool_], *, share: float, most: int, shared: bool) -> BandSets:
        """Find the common sets of a sample.

        Parameters
        ----------
        missing : ndarray of bool, shape (n, n_inputs)
            Inputs that stars lack.
        share : float
            A set is common if at least this share of the stars have it.
        most : int
            Largest number of sets, not counting the first.
        shared : bool
            Whether stars that match no set have a group of networks.
        """
        patterns, counts = np.unique(missing, axis=0, return_counts=True)
        order = np.lexsort((*patterns.T[::-1], -counts))
        common = [
            i for i in order if patterns[i].any() and not patterns[i].all() and counts[i] >= share * len(missing)
        ]
        whole = np.ones((1, missing.shape[1]), dtype=bool)
        return cls(np.concatenate([whole, ~patterns[common[:most]]]), shared)

    def __len__(self) -> int:
        return len(self.used) + self.shared

    def serving(self, missing: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the number of the set whose networks predict each star, shape (n,)."""
        number = np.full(len(missing), len(self.used) if self.shared else 0, dtype=np.intp)
        for i, used in enumerate(self.used):
            number[(missing == ~used).all(axis=1)] = i
        return number

    def exact(self, missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which stars have exactly the inputs of a set, shape (n,)."""
        return np.asarray((missing[:, None, :] == ~self.used).all(axis=2).any(axis=1))

    def inputs_of(self, number: int) -> NDArray[np.bool_]:
        """Return the inputs that the networks of a set use, shape (n_inputs,)."""
        whole: NDArray[np.bool_] = self.used[number if number < len(self.used) else 0]
        return whole

    def masked_validations(self, missing: NDArray[np.bool_]) -> list[MaskedValidation]:
        """For every set but the first: the stars that have its inputs, with all other inputs masked."""
        found = []
        for used in self.used[1:]:
            rows = np.flatnonzero(~missing[:, used].any(axis=1))
            found.append(MaskedValidation(rows, np.broadcast_to(~used, (len(rows), len(used)))))
        return found
