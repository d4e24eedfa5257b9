"""Changed files of every kind end in a result or in one clear error.

Each file is made from a number, which a failure names; ``python tests/fuzz/campaign.py --one KIND:NUMBER`` repeats
it, and ``make fuzz`` tries many more. Inputs that make an outside library crash or hang are not kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from fuzz.campaign import campaign
from fuzz.kinds import KINDS

#: Numbers of the fast and of the slow test; STARSCALE_NEW_EXAMPLES=1 tries others.
FAST, SLOW = 8, 200
#: Cheap ones (below 3 ms, below 10 ms) more often: all kinds together take two minutes of one core.
CHEAP = ("votable_binary", "parquet", "packed_bundle", "registry", "provenance")
MIDDLE = ("votable_binary2", "job", "run", "survey", "bundle", "fits_gz", "votable", "votable_fits")
COUNTS = dict.fromkeys(CHEAP, 2000) | dict.fromkeys(MIDDLE, 700)
FIRST = int.from_bytes(os.urandom(4), "little") if os.environ.get("STARSCALE_NEW_EXAMPLES") else 0


def failures(first: int, counts: Mapping[str, int]) -> list[str]:
    # All in one child process: what costs most is to start it.
    cases = [(kind, seed) for kind, count in counts.items() for seed in range(first, first + count)]
    return [str(failure) for failure in campaign(cases)]


def test_a_few_changed_files_of_every_kind() -> None:
    assert failures(FIRST, dict.fromkeys(KINDS, FAST)) == []


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_more_changed_files_of_every_kind(half: int) -> None:
    """In two halves, of about as many files, for two processes."""
    counts = dict.fromkeys(KINDS, SLOW) | COUNTS
    kinds = sorted(counts, key=lambda kind: counts[kind])[half::2]
    assert failures(FIRST + FAST, {kind: counts[kind] for kind in kinds}) == []
