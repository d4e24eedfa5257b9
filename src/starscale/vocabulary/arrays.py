"""The one alias for arrays of numbers; other kinds are written out, so that a signature says what they hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
