"""The bias of parallaxes in survey files: a column of the archive, or a published function of other columns."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from starscale.vocabulary.strict import Frozen


class ParallaxBias(Frozen):
    """What is to be subtracted from the parallax of a star.

    Either a column in the unit of the parallax, or the zero point of Lindegren et al. (2021, A&A 649, A4) from the
    columns that its program takes, in its order: G magnitude, effective wavenumber, pseudocolour, ecliptic
    latitude, and the code of the parameters that were solved.
    """

    column: str | None = None
    method: Literal["lindegren2021"] | None = None
    inputs: tuple[str, str, str, str, str] | None = None
    source: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> ParallaxBias:
        if (self.column is None) == (self.method is None):
            raise ValueError("give either column or method")
        if (self.method is None) != (self.inputs is None):
            raise ValueError("method and inputs belong together")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that this section names."""
        return self.inputs or (str(self.column),)
