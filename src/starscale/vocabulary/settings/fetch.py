"""Selection of the rows of an archive table: a region of the sky, a list of stars, or the whole table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from starscale.vocabulary.strict import Frozen

_Ra = Annotated[float, Field(ge=0, le=360, allow_inf_nan=False)]
_Dec = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]

KINDS = ("cone", "box", "cell", "ids", "positions", "whole")


class Region(Frozen):
    """Rows of an archive table: a region (angles in deg, ICRS, at the epoch of the catalogue), a list, or all."""

    #: Right ascension, declination and radius, deg.
    cone: tuple[_Ra, _Dec, Annotated[float, Field(gt=0, le=90)]] | None = None
    #: Right ascension from, to (through 0 if from > to) and declination from, to, deg.
    box: tuple[_Ra, _Ra, _Dec, _Dec] | None = None
    #: Order and number of a nested HEALPix cell.
    cell: tuple[Annotated[int, Field(ge=0, le=29)], Annotated[int, Field(ge=0)]] | None = None
    #: Table with the identifiers to download.
    ids: Path | None = None
    #: Table with the columns `ra` and `dec`: all rows within `radius` of any of them are downloaded.
    positions: Path | None = None
    #: Search radius for `positions`, arcsec.
    radius: float = Field(default=1.0, gt=0, le=600)
    #: The whole table.
    whole: bool = False

    @model_validator(mode="after")
    def _at_most_one(self) -> Region:
        if len(chosen := self._chosen()) > 1:
            raise ValueError(f"exactly one of {', '.join(KINDS)} must be given, not {' and '.join(chosen)}")
        return self

    @model_validator(mode="after")
    def _existing_cell(self) -> Region:
        if self.cell is not None and self.cell[1] >= 12 * 4 ** self.cell[0]:
            order, pixel = self.cell
            raise ValueError(f"cell {pixel} does not exist at order {order}: there are {12 * 4**order}, from 0")
        return self

    @model_validator(mode="after")
    def _extended_box(self) -> Region:
        if self.box is None:
            return self
        west, east, south, north = self.box
        if south >= north:
            raise ValueError("a box extends from a lower to a higher declination")
        if west == east:
            raise ValueError("the right ascensions of a box must differ; 0 to 360 is the full circle")
        return self

    def _chosen(self) -> list[str]:
        return [kind for kind in KINDS if getattr(self, kind) not in (None, False)]


class Selection(Region):
    """Rows to download, by exactly one of :data:`KINDS`."""

    @model_validator(mode="after")
    def _not_none(self) -> Selection:
        if not self._chosen():
            raise ValueError(f"exactly one of {', '.join(KINDS)} must be given, not none")
        return self

    @property
    def kind(self) -> str:
        """The kind of selection, one of :data:`KINDS`."""
        return self._chosen()[0]

    def describe(self) -> str:
        """Describe the selection in words."""
        if self.cone is not None:
            return f"cone of {self.cone[2]:g} deg around ({self.cone[0]:g}, {self.cone[1]:g})"
        if self.box is not None:
            return "box of RA {:g} to {:g}, Dec {:g} to {:g} deg".format(*self.box)
        if self.cell is not None:
            return f"HEALPix cell {self.cell[1]} of order {self.cell[0]} (nested)"
        if self.ids is not None:
            return "list of identifiers"
        if self.positions is not None:
            return f'list of positions, {self.radius:g}"'
        return "whole table"
