"""Which rows of an archive are wanted: part of the sky, a list of stars, or everything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from starscale.vocabulary.strict import Frozen

_Ra = Annotated[float, Field(ge=0, le=360, allow_inf_nan=False)]
_Dec = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]

KINDS = ("cone", "box", "cell", "ids", "positions", "whole")


class Selection(Frozen):
    """Exactly one of the kinds of :data:`KINDS`; angles in degrees, ICRS, at the epoch of the catalogue."""

    #: Right ascension, declination, radius.
    cone: tuple[_Ra, _Dec, Annotated[float, Field(gt=0, le=90)]] | None = None
    #: Right ascension from, to (through 0 where from > to), declination from, to.
    box: tuple[_Ra, _Ra, _Dec, _Dec] | None = None
    #: HEALPix order and number of a nested cell.
    cell: tuple[Annotated[int, Field(ge=0, le=29)], Annotated[int, Field(ge=0)]] | None = None
    #: A table with the identifiers that are wanted.
    ids: Path | None = None
    #: A table with columns `ra` and `dec`: everything within `radius` of any of them.
    positions: Path | None = None
    #: Arcsec, for `positions`.
    radius: float = Field(default=1.0, gt=0, le=600)
    #: The whole table.
    whole: bool = False

    @model_validator(mode="after")
    def _one(self) -> Selection:
        chosen = [kind for kind in KINDS if getattr(self, kind) not in (None, False)]
        if len(chosen) != 1:
            found = " and ".join(chosen) if chosen else "none"
            raise ValueError(f"exactly one of {', '.join(KINDS)} selects the rows, not {found}")
        if self.cell is not None:
            order, pixel = self.cell
            if pixel >= 12 * 4**order:
                raise ValueError(
                    f"cell {pixel} does not exist at order {order}: there are {12 * 4**order}, from 0"
                )
        if self.box is not None:
            ra1, ra2, dec1, dec2 = self.box
            if dec1 >= dec2:
                raise ValueError("a box goes from a lower to a higher declination")
            if ra1 == ra2:
                raise ValueError("a box goes from one right ascension to another; 0 to 360 is the whole circle")
        return self

    @property
    def kind(self) -> str:
        """Which of the kinds it is."""
        return next(kind for kind in KINDS if getattr(self, kind) not in (None, False))

    def describe(self) -> str:
        """The selection in words."""
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
