"""Units that a survey file states for fluxes, their errors and inverse variances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starscale.io.units import parse_unit, same_unit
from starscale.surveys import Survey
from starscale.surveys.bands import Band
from starscale.vocabulary.errors import Problem
from starscale.vocabulary.later import Later

u = Later("astropy.units")

_FLUX = "a unit of flux (nJy, uJy, nmgy, mgy, ct/s)"


def flux_unit_problems(survey: Survey, where: str) -> Iterator[Problem]:
    """Say which fluxes have no unit of flux, and which errors and inverse variances another unit than their flux.

    Parameters
    ----------
    survey : Survey
    where : str
        Name of the table in error messages.
    """
    for name, band in survey.bands.items():
        if band.flux is None:
            continue
        unit = survey.columns[band.flux].unit
        about = f"{where}: survey {survey.name}, bands.{name}"
        if not _is_flux(parse_unit(unit)):
            yield Problem(
                about, f"the flux {band.flux!r} is in {unit!r}", _FLUX, "Correct `unit` under [columns]."
            )
        else:
            yield from _of_errors(survey, band, unit, about)


def _of_errors(survey: Survey, band: Band, unit: str, about: str) -> Iterator[Problem]:
    """Do the same for the error or inverse variance of a flux in `unit`."""
    for column, wanted in ((band.flux_error, unit), (band.flux_ivar, f"({unit})**-2")):
        stated = survey.columns[column].unit if column is not None else ""
        if stated and not same_unit(stated, wanted):
            word = "the error" if wanted == unit else "the inverse variance"
            fix = "Values that files hold in another unit have `file_unit`."
            yield Problem(about, f"{word} {column!r} is in {stated!r}", f"{wanted}, after that of its flux", fix)


def _is_flux(unit: Any) -> bool:
    """Whether a unit can be that of a flux: no logarithm, and not dimensionless."""
    return not (unit is None or isinstance(unit, u.function.FunctionUnitBase) or _is_number(unit))


def _is_number(unit: Any) -> bool:
    return bool(unit.is_equivalent(u.dimensionless_unscaled) or unit in (u.mag, u.dex))
