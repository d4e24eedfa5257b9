"""What several baselines do alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from starscale.vocabulary.arrays import FloatArray


def label_groups(y: FloatArray) -> Iterator[tuple[NDArray[np.intp], list[int]]]:
    """Yield the rows that have a label and the labels that these rows have, each label once.

    Labels that are known for the same stars share their rows, and with them what is costly.
    """
    present = ~np.isnan(y)
    patterns, number = np.unique(present.T, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        yield np.flatnonzero(pattern), np.flatnonzero(number.ravel() == i).tolist()


def mean_square(t: FloatArray, predicted: FloatArray) -> float:
    """Mean squared error over the stars whose label is known."""
    return float(np.nanmean((t - predicted) ** 2))
