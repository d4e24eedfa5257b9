"""Spectra given as coefficients: array columns of a survey that are inputs of a model."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from starscale.vocabulary.strict import Frozen


class Spectrum(Frozen):
    """The array columns of one spectrum, such as the coefficients of Gaia's BP spectra.

    Coefficients of two releases belong to different bases, so that their number must not change between training
    and prediction. Where the survey file does not state it, the table decides.
    """

    coefficients: str
    #: Standard deviations of the coefficients.
    errors: str | None = None
    #: Band, of any survey of the run, by whose flux the coefficients are divided.
    band: str = "G"
    #: Number of coefficients.
    length: int | None = Field(default=None, ge=1, le=1000)

    @property
    def columns(self) -> tuple[str, ...]:
        """The array columns: the coefficients and, if there are any, their errors."""
        return (self.coefficients, self.errors) if self.errors else (self.coefficients,)


def array_lengths(spectra: Mapping[str, Spectrum]) -> dict[str, int | None]:
    """Return the array columns, each with the number of its elements as far as it is known."""
    return {column: spectrum.length for spectrum in spectra.values() for column in spectrum.columns}
