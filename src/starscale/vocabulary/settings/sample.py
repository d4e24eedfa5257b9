"""Settings of a sample of the stars with labels, where they are too many."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from starscale.vocabulary.settings.seed import Seed
from starscale.vocabulary.strict import Frozen


class SampleConfig(Frozen):
    """Which of the stars with labels are used, if they are more than `max_stars`.

    Stars are chosen by a stable hash of their identifier and the seed, so the choice does not depend on the order
    or the division of the tables.
    """

    #: Largest number of stars; by default all are used.
    max_stars: int | None = Field(default=None, ge=1)
    #: Groups that get the same number of stars, as far as they have so many: cells of the sky, surveys that
    #: measured the labels, or cells in the space of the labels. With `star`, there are no groups.
    by: Literal["star", "cell", "survey", "label"] = "star"
    #: HEALPix order of the cells of the sky (nested): 5 is 1.8 deg.
    cell_order: int = Field(default=5, ge=0, le=15)
    seed: Seed = 0
