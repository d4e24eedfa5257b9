"""The type of arrays of floating-point numbers."""

from __future__ import annotations

from typing import get_type_hints

import numpy as np
from numpy.typing import NDArray

from starscale.vocabulary.arrays import FloatArray


def double(values: FloatArray) -> FloatArray:
    """A function as the kernels declare theirs."""
    result: FloatArray = 2 * values
    return result


def test_arrays_hold_doubles() -> None:
    assert FloatArray == NDArray[np.float64]
    assert get_type_hints(double) == {"values": FloatArray, "return": FloatArray}
    assert double(np.arange(3.0)).dtype == np.float64
