"""Reddening in survey files: the column with E(B-V), and extinction that depends on the colour of the star."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starscale.vocabulary.strict import Frozen

#: Scale of E(B-V): as Schlegel, Finkbeiner & Davis (1998) published it, or true.
ReddeningScale = Literal["sfd", "true"]


class Reddening(Frozen):
    """Column with E(B-V) along the line of sight, its scale, and the column with its error."""

    column: str
    scale: ReddeningScale = "sfd"
    error: str | None = None


class ColourExtinction(Frozen):
    """R(b) = A(b) / E(B-V) of wide bands as polynomials in an intrinsic colour C0.

    C0 is the observed colour less `excess` E(B-V). Outside `lower` to `upper`, the values of the ends are used.
    """

    colour: tuple[str, str]
    excess: float
    lower: float
    upper: float
    scale: ReddeningScale = "sfd"
    #: Constant term first, by band.
    coefficients: dict[str, Annotated[tuple[float, ...], Field(min_length=1, max_length=6)]]
    source: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> ColourExtinction:
        if self.lower >= self.upper:
            raise ValueError("lower must be below upper")
        return self

    def ratio(self, band: str, colour: str, reddening: str) -> str | None:
        """Return R(b) in SQL; None for a band without coefficients.

        Parameters
        ----------
        band : str
        colour, reddening : str
            The observed colour and E(B-V), in SQL, on the scale of this relation.
        """
        if band not in self.coefficients:
            return None
        *rest, result = (f"{value:.6g}" for value in self.coefficients[band])
        intrinsic = f"({colour} - {self.excess:.6g} * {reddening})"
        # A missing colour is neither below nor above.
        limited = (
            f"CASE WHEN {intrinsic} < {self.lower:.6g} THEN {self.lower:.6g} "
            f"WHEN {intrinsic} > {self.upper:.6g} THEN {self.upper:.6g} ELSE {intrinsic} END"
        )
        for value in reversed(rest):
            result = f"({value} + ({limited}) * {result})"
        return result
