"""The seeds of settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

#: Learners take seeds of 32 bits: JAX drops further bits without a word, scikit-learn refuses them.
LARGEST_SEED = 2**32 - 1


def within_bits(seed: int) -> int:
    """Return the seed.

    Raises
    ------
    ValueError
        It has more than 32 bits.
    """
    if seed > LARGEST_SEED:
        raise ValueError(f"seeds have 32 bits, because the learners ignore or refuse more: 0 to {LARGEST_SEED}")
    return seed


Seed = Annotated[int, Field(ge=0), AfterValidator(within_bits)]
