"""Settings of the split: which stars a model learns from, is calibrated with, and is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from starscale.vocabulary.strict import Frozen


class SplitClusters(Frozen):
    """Which stars belong to a cluster.

    A column of the catalogue itself that names the cluster (no `path`); a table with a row for each member
    (`path` and `source_id`); or a table with a row for each cluster, its centre and its radius (`path` alone).
    """

    path: Path | None = None
    #: Column with the name of the cluster; empty: a star of the field.
    column: str = "cluster"
    #: Of a table of members: its column of identifiers.
    source_id: str | None = None
    #: Of a table of clusters: its columns of centre (ICRS, at the epoch of the catalogue) and radius, degrees.
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

    The part of a star follows from a stable hash of its identifier (or of its cell or cluster) and the seed,
    so it does not depend on the order of rows. Rows of one star, and stars closer than `group_radius`
    (arcsec), through any chain, go together to the part where one of them would go alone.
    """

    train: float = Field(default=0.8, gt=0, lt=1)
    validation: float = Field(default=0.1, gt=0, lt=1)
    test: float = Field(default=0.1, gt=0, lt=1)
    #: What goes together: a star; all stars of a cell of the sky; of a cluster. By survey, the stars that the
    #: surveys of `hold_out` measured are the test part. By column, a column says the part of every row.
    by: Literal["star", "cell", "cluster", "survey", "column"] = "star"
    #: HEALPix order of the cells (nested): 5 is 1.8 degrees.
    cell_order: int = Field(default=5, ge=0, le=15)
    clusters: SplitClusters | None = None
    #: Label surveys, or clusters, whose stars are the test part; `train` and `validation` then share the others.
    hold_out: tuple[str, ...] = ()
    #: The column with the parts, for a split by column.
    column: str = "part"
    group_radius: float = Field(default=1.0, ge=0, le=3600)

    @model_validator(mode="after")
    def _whole(self) -> SplitConfig:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError("train + validation + test must be 1")
        if self.by == "survey" and not self.hold_out:
            raise ValueError('by = "survey" needs hold_out, the label surveys whose stars are the test part')
        if self.by == "cluster" and self.clusters is None:
            raise ValueError('by = "cluster" needs [split.clusters], which says what the clusters are')
        if self.hold_out and self.by not in ("survey", "cluster"):
            raise ValueError(f'hold_out has no meaning with by = "{self.by}"')
        if self.clusters is not None and self.by != "cluster":
            raise ValueError(f'[split.clusters] has no meaning with by = "{self.by}"')
        return self
