"""The type of arrays of floating-point numbers; other dtypes are written out in signatures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
