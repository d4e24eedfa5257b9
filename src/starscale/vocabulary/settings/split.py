"""Settings of the split into training, validation (calibration) and test stars."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from starscale.vocabulary.strict import Frozen


class SplitClusters(Frozen):
    """Membership of stars in clusters.

    It is given by a column of the catalogue with the name of the cluster (no `path`), by a table with a row for
    each member (`path` and `source_id`), or by a table with centre and radius of each cluster (`path` alone).
    """

    path: Path | None = None
    #: Column with the name of the cluster; empty for field stars.
    column: str = "cluster"
    #: Column of identifiers, for a table of members.
    source_id: str | None = None
    #: Columns of the centre (ICRS, at the epoch of the catalogue) and the radius, deg, for a table of clusters.
    ra: str = "ra"
    dec: str = "dec"
    radius: str = "radius"

    @model_validator(mode="after")
    def _members_need_a_table(self) -> SplitClusters:
        if self.source_id is not None and self.path is None:
            raise ValueError("source_id is a column of a table of members, whose path is missing")
        return self


class SplitConfig(Frozen):
    """How stars are divided into training, validation and test parts.

    The part of a star is determined by a stable hash of its identifier (or of its cell or cluster) and the seed,
    so it does not depend on the order of rows. Rows of the same star, and stars linked by separations below
    `group_radius` (arcsec), are assigned together to the part of one of them.
    """

    train: float = Field(default=0.8, gt=0, lt=1)
    validation: float = Field(default=0.1, gt=0, lt=1)
    test: float = Field(default=0.1, gt=0, lt=1)
    #: Unit that is not divided: a star, a cell of the sky, or a cluster. With `survey`, the stars measured by the
    #: surveys of `hold_out` are the test part. With `column`, a column gives the part of every row.
    by: Literal["star", "cell", "cluster", "survey", "column"] = "star"
    #: HEALPix order of the cells (nested): 5 is 1.8 deg.
    cell_order: int = Field(default=5, ge=0, le=15)
    clusters: SplitClusters | None = None
    #: Label surveys, or clusters, whose stars are the test part; the others are divided into training and
    #: validation part in the ratio of `train` and `validation`.
    hold_out: tuple[str, ...] = ()
    #: Column with the part of every row, for a split by column.
    column: str = "part"
    group_radius: float = Field(default=1.0, ge=0, le=3600)

    @model_validator(mode="after")
    def _complete(self) -> SplitConfig:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError("train + validation + test must be 1")
        return self

    @model_validator(mode="after")
    def _what_the_kind_needs(self) -> SplitConfig:
        if self.by == "survey" and not self.hold_out:
            raise ValueError('by = "survey" needs hold_out, the label surveys whose stars are the test part')
        if self.by == "cluster" and self.clusters is None:
            raise ValueError('by = "cluster" needs [split.clusters], which defines the clusters')
        return self

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> SplitConfig:
        if self.hold_out and self.by not in ("survey", "cluster"):
            raise ValueError(f'hold_out has no meaning with by = "{self.by}"')
        if self.clusters is not None and self.by != "cluster":
            raise ValueError(f'[split.clusters] has no meaning with by = "{self.by}"')
        return self
