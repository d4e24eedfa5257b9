"""Seeds of settings."""

from __future__ import annotations

import pytest

from starscale.vocabulary.errors import InputError
from starscale.vocabulary.settings.homogenize import HomogenizeConfig
from starscale.vocabulary.settings.run import ImportanceConfig, RunConfig
from starscale.vocabulary.settings.seed import LARGEST_SEED
from starscale.vocabulary.strict import validate

RUN = {"catalogue": {"survey": "gaia_dr3", "path": "a"}, "labels": [{"survey": "galah_dr3", "path": "b"}]}


@pytest.mark.parametrize("settings", [ImportanceConfig, HomogenizeConfig])
def test_a_seed_has_32_bits(settings: type) -> None:
    assert validate(settings, {"seed": LARGEST_SEED}, "x").seed == LARGEST_SEED
    with pytest.raises(InputError, match="seeds have 32 bits"):
        validate(settings, {"seed": LARGEST_SEED + 1}, "x")
    with pytest.raises(InputError, match="greater than or equal to 0"):
        validate(settings, {"seed": -1}, "x")


def test_every_repeat_has_a_seed() -> None:
    assert validate(RunConfig, {**RUN, "seed": LARGEST_SEED}, "x").seed == LARGEST_SEED
    with pytest.raises(InputError, match="seeds have 32 bits"):
        validate(RunConfig, {**RUN, "seed": LARGEST_SEED, "repeats": 2}, "x")
    with pytest.raises(InputError, match="seeds have 32 bits"):
        validate(RunConfig, {**RUN, "seed": 2**64}, "x")
