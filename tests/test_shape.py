"""The measures of the source tree keep their limits."""

from __future__ import annotations

import pytest

from support import shape
from support.shape import LIMITS, Measure


@pytest.mark.parametrize("measure", LIMITS, ids=lambda measure: measure.__name__)
def test_a_measure_keeps_its_limit(measure: Measure) -> None:
    value, detail = measure(shape.texts())
    assert value <= LIMITS[measure], detail


def test_the_measures_can_fail() -> None:
    branches = "\n".join(f"    if x == {i}:\n        return {i}" for i in range(11))
    bad = {
        shape.SOURCE / "a.py": f"from starscale import b\nA = NDArray[int]\nclass C: ...\ndef f(x):\n{branches}\n",
        shape.SOURCE / "b.py": "from starscale import a\nB = NDArray[int]\nclass C: ...\n",
    }
    assert shape.fullest_folder(bad) == (2, ".")
    assert shape.repeated_classes(bad) == (1, "C")
    assert shape.complex_functions(bad) == (1, "a.py:f (12)")
    assert shape.array_aliases(bad)[0] == 2
    assert shape.longest_file(bad) == (26, "a.py")
    assert shape.lines(bad)[0] == 29
    assert shape.import_cycles(bad)[0] == 1
