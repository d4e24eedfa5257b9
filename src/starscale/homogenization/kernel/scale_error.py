"""What the scales of the surveys say about one that took no part: the error of the common scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from starscale.homogenization.kernel.calibration import Calibration
from starscale.vocabulary.arrays import FloatArray


def scale_error(calibration: Calibration, stars: FloatArray, measured: NDArray[np.bool_]) -> FloatArray:
    """Return the expected difference of a further survey from the common scale.

    Parameters
    ----------
    calibration : Calibration
    stars : ndarray, (n, 3)
        Labels on the common scale.
    measured : ndarray of bool, (3, S)
        Which surveys have which label.

    Returns
    -------
    ndarray, (3, n)
        In the unit of the label; NaN for a label of fewer than two surveys.

    Notes
    -----
    The corrections of the surveys at a star, with 0 for the anchor, are S draws of one distribution (random
    effects: DerSimonian & Laird 1986, Control. Clin. Trials 7, 177). With their mean m and variance v, a further
    draw has the mean square m^2 + v (1 + 1/S) about the anchor (prediction interval of Higgins, Thompson &
    Spiegelhalter 2009, J. R. Stat. Soc. A 172, 137). The mean square of leaving each survey out in turn is
    v (1 + 1/(S - 1)): the same with one survey less.
    """
    each = np.stack([calibration.of_survey(stars, s)[0] for s in range(len(calibration.surveys))], axis=2)
    found = np.full(each.shape[:2], np.nan)
    for i, own in enumerate(measured):
        if (n := int(own.sum())) > 1:
            some = each[i][:, own]
            found[i] = np.sqrt(some.mean(axis=1) ** 2 + some.var(axis=1, ddof=1) * (1 + 1 / n))
    return found
