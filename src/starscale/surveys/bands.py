"""Photometric bands: magnitudes as they are, or asinh magnitudes that are computed from fluxes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import Field, model_validator

from starscale.surveys.derived import Computed, Sql
from starscale.vocabulary.strict import Frozen

#: Magnitudes per unit of the natural logarithm of a flux: 2.5 / ln(10).
_POGSON = 2.5 / math.log(10.0)
#: Units of magnitudes, which are no fluxes.
_MAGNITUDES = ("mag", "abmag", "mag(ab)", "dex")


class Band(Frozen):
    """One photometric band; the bands of a file are in the order of wavelength.

    With `flux`, `magnitude` and `error` are new columns. The magnitude is that of Lupton, Gunn & Szalay (1999, AJ
    118, 1406), which is finite for fluxes that are negative or zero: ``m = zero_point - 2.5 log10(b) - 1.0857
    asinh(flux / (2 b))`` with the softening b, a flux of about the noise of the sky; for fluxes well above b it is
    the usual magnitude.
    """

    magnitude: str
    error: str | None = None
    #: R(b) = A(b) / E(B-V), on the E(B-V) scale given by `extinction_scale` of the survey.
    extinction: float | None = None
    #: Effective wavelength, nm, by which bands of different surveys are ordered.
    wavelength: float = Field(gt=0)
    #: Smallest and largest plausible magnitude; by default those of the kind of survey.
    lower: float | None = None
    upper: float | None = None
    #: Columns of the flux and of its error or inverse variance, which is above 0 where the flux was measured.
    flux: str | None = None
    flux_error: str | None = None
    flux_ivar: str | None = None
    #: Magnitude of a flux of 1 in the unit of the column, and its error, mag.
    zero_point: float | None = None
    zero_point_error: float = Field(default=0.0, ge=0)
    #: Softening of the magnitude, in the unit of the flux, or as the magnitude of that flux.
    softening: float | None = Field(default=None, gt=0)
    softening_magnitude: float | None = None
    #: Column with flux divided by its error, from which `error` of a magnitude is computed.
    flux_over_error: str | None = None
    #: SQL predicate: where it is not true, magnitude and error of this band become missing; the star stays.
    keep: Sql | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Band:
        problems = [*(self._wrong_flux() if self.flux is not None else self._wrong_without_flux())]
        if self.error is None and any((self.flux_error, self.flux_ivar, self.flux_over_error)):
            problems.append("name the column of the magnitude's error that is computed (error = ...)")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _wrong_flux(self) -> Iterator[str]:
        if self.zero_point is None:
            yield "a flux needs its zero_point, the magnitude of flux 1 (31.4 for nJy, 22.5 for nanomaggies)"
        if (self.softening is None) == (self.softening_magnitude is None):
            yield "a flux needs softening (in its unit) or softening_magnitude: about the noise of the sky"
        if self.flux_error is not None and self.flux_ivar is not None:
            yield "give flux_error or flux_ivar"
        if self.flux_over_error is not None:
            yield "flux_over_error is for magnitudes; for a flux give flux_error or flux_ivar"

    def _wrong_without_flux(self) -> Iterator[str]:
        of_flux = ("flux_error", "flux_ivar", "zero_point", "softening", "softening_magnitude")
        given = [name for name in of_flux if getattr(self, name) is not None]
        if self.zero_point_error and self.flux_over_error is None:
            given.append("zero_point_error")
        if given:
            yield f"{', '.join(given)} without a flux"

    def computed(self, name: str) -> Iterator[Computed]:
        """Yield the columns that are computed, or not always valid; `name` is that of the band."""
        measured = self.flux_error or self.flux_ivar
        valid = _all(measured and f"{_quoted(measured)} > 0", self.keep)
        if valid is not None or self.flux is not None:
            about = f"asinh magnitude in {name}, softening {self._softening:g} in the unit of {self.flux}"
            yield Computed(self.magnitude, self._magnitude(), valid, "phot.mag", about)
        if self.error is not None:
            ratio = self.flux_over_error
            valid = _all(ratio and f"{_quoted(ratio)} > 0", valid)
            yield Computed(self.error, self._error(), valid, "stat.error;phot.mag", f"error of {self.magnitude}")

    @property
    def _softening(self) -> float:
        if self.softening is not None:
            return self.softening
        return float(10.0 ** (0.4 * ((self.zero_point or 0.0) - (self.softening_magnitude or 0.0))))

    def _magnitude(self) -> str | None:
        if self.flux is None or self.zero_point is None:
            return None
        b = self._softening
        return f"{self.zero_point - 2.5 * math.log10(b)!r} - {_POGSON!r} * ASINH({_quoted(self.flux)} / {2 * b!r})"

    def _error(self) -> str | None:
        error: str | None = None
        if self.flux_over_error is not None:
            error = f"{_POGSON!r} / {_quoted(self.flux_over_error)}"
        elif self.flux is not None and (self.flux_error or self.flux_ivar):
            # The derivative of the magnitude with respect to the flux.
            width = f"SQRT(POWER({_quoted(self.flux)}, 2) + {4 * self._softening**2!r})"
            given = _quoted(self.flux_error) if self.flux_error else f"1 / SQRT({_quoted(self.flux_ivar or '')})"
            error = f"{_POGSON!r} * {given} / {width}"
        if error is None or not self.zero_point_error:
            return error
        return f"SQRT(POWER({error}, 2) + {self.zero_point_error**2!r})"


def unit_problems(bands: dict[str, Band], units: dict[str, str]) -> Iterator[str]:
    """Say which fluxes and errors have a unit that does not fit; `units` are those of the columns."""
    for name, band in bands.items():
        if band.flux is not None:
            unit = units.get(band.flux, "?")
            yield from (f"bands.{name}: {problem}" for problem in _wrong_units(band, unit, units))


def _wrong_units(band: Band, unit: str, units: dict[str, str]) -> Iterator[str]:
    """Do the same for a band with a flux, whose unit is `unit`."""
    if not unit or unit.lower() in _MAGNITUDES:
        found = f"in {unit!r}, which is no flux" if unit else "without a unit"
        yield f"the flux {band.flux!r} is {found}; a magnitude is named with `magnitude` alone"
    error = units.get(band.flux_error or "", "")
    if error and unit not in ("?", error):
        yield f"the error {band.flux_error!r} is in {error!r}, but the flux in {unit!r}; write one unit"
    # Of other units than a word, the inverse square has no spelling that is sure to be read.
    if band.flux_ivar is not None and not units.get(band.flux_ivar) and not unit.isalpha():
        yield f"the inverse variance {band.flux_ivar!r} is without a unit"


def _all(*conditions: str | None) -> str | None:
    """Return all conditions in one; None without any."""
    given = [condition for condition in conditions if condition]
    return given[0] if len(given) == 1 else " AND ".join(f"({condition})" for condition in given) or None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
