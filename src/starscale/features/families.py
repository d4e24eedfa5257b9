"""Families of features that are made for any set of surveys: colours, absolute magnitudes, errors, ..."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

from starscale.surveys import Survey
from starscale.surveys.dust import ReddeningScale
from starscale.surveys.schema import TRUE_OVER_SFD
from starscale.surveys.spectra import Spectrum
from starscale.vocabulary.errors import InputError, Problem

#: Extinction of a band: one number for all stars, or by the colour of the star where the survey has a relation.
ExtinctionBy = Literal["band", "colour"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model: a name and the SQL expression that computes it from the columns of a star.

    Attributes
    ----------
    name, expression, unit, description : str
    log_error : bool
        Whether the feature is the decimal logarithm of a measurement error.
    """

    name: str
    expression: str
    unit: str = ""
    description: str = ""
    log_error: bool = False


@dataclass(frozen=True, slots=True)
class SurveyColumns:
    """A survey, and the names of its columns in the joined table.

    Attributes
    ----------
    survey : Survey
    names : mapping of str to str
        Name in the joined table of each column; a column that is not listed keeps its name.
    """

    survey: Survey
    names: Mapping[str, str]

    def sql(self, column: str) -> str:
        """Return a column of the survey as an SQL identifier."""
        return quote(self.names.get(column, column))


def quote(name: str) -> str:
    """Return a column name as an SQL identifier.

    Raises
    ------
    InputError
        The name contains a double quote.
    """
    if '"' in name:
        raise InputError(
            Problem(
                f"column {name!r}", "has a double quote in its name", "a name without one", "Rename the column."
            )
        )
    return f'"{name}"'


def _distance(surveys: Sequence[SurveyColumns]) -> str | None:
    return next((m.sql(m.survey.distance.value) for m in surveys if m.survey.distance), None)


def _reddening(surveys: Sequence[SurveyColumns]) -> tuple[str, ReddeningScale] | None:
    """Return the column with E(B-V), and its scale."""
    return next(((m.sql(r.column), r.scale) for m in surveys if (r := m.survey.reddening)), None)


def _extinction(
    catalogue: SurveyColumns, band: str, surveys: Sequence[SurveyColumns], by: ExtinctionBy
) -> str | None:
    """Return the extinction A(b) as an expression; None where the coefficient or E(B-V) is not known."""
    coefficient, reddening = catalogue.survey.bands[band].extinction, _reddening(surveys)
    if reddening is None:
        return None
    column, scale = reddening
    if by == "colour" and (found := _extinction_by_colour(catalogue, band, column, scale)):
        return found
    if coefficient is None:
        return None
    coefficient *= _scaled(catalogue.survey.extinction_scale, scale)
    return f"{coefficient:.6g} * {column}"


def _scaled(wanted: ReddeningScale, given: ReddeningScale) -> float:
    """Return the factor from E(B-V) on one scale to another: true = 0.86 SFD."""
    factor = {("true", "sfd"): TRUE_OVER_SFD, ("sfd", "true"): 1 / TRUE_OVER_SFD}
    return factor.get((wanted, given), 1.0)


def _extinction_by_colour(catalogue: SurveyColumns, band: str, column: str, scale: ReddeningScale) -> str | None:
    """Return A(b) by the relation of the survey; None where it has none for this band."""
    law, bands = catalogue.survey.colour_extinction, catalogue.survey.bands
    if law is None:
        return None
    blue, red = (catalogue.sql(bands[name].magnitude) for name in law.colour)
    reddening = f"{_scaled(law.scale, scale):.6g} * {column}"
    ratio = law.ratio(band, f"({blue} - {red})", reddening)
    return None if ratio is None else f"{ratio} * {reddening}"


def absolute_magnitude(
    catalogue: SurveyColumns,
    band: str,
    surveys: Sequence[SurveyColumns],
    *,
    dereddened: bool,
    by: ExtinctionBy = "band",
) -> str | None:
    """Return the absolute magnitude of a band in SQL; None without distance, E(B-V) or coefficient."""
    distance = _distance(surveys)
    extinction = _extinction(catalogue, band, surveys, by)
    if distance is None or (dereddened and extinction is None):
        return None
    expression = f"{catalogue.sql(catalogue.survey.bands[band].magnitude)} - 5 * LOG10({distance}) + 5"
    return f"{expression} - {extinction}" if dereddened else expression


def _colours(surveys: Sequence[SurveyColumns]) -> list[Feature]:
    features = []
    for catalogue in surveys:
        names = list(catalogue.survey.bands)
        pairs = list(pairwise(names))
        if catalogue.survey.wide_colour and catalogue.survey.wide_colour not in pairs:
            pairs.append(catalogue.survey.wide_colour)
        for blue, red in pairs:
            a, b = (catalogue.sql(catalogue.survey.bands[x].magnitude) for x in (blue, red))
            features.append(Feature(f"{catalogue.survey.name}.{blue}-{red}", f"{a} - {b}", "mag", "colour"))
    return features


def _all_colours(surveys: Sequence[SurveyColumns]) -> list[Feature]:
    # A colour of bands of two surveys does not depend on the distance of the star either.
    bands = [(catalogue, band) for catalogue in surveys for band in catalogue.survey.bands]
    features = []
    for (first, blue), (second, red) in combinations(bands, 2):
        a, b = (c.sql(c.survey.bands[x].magnitude) for c, x in ((first, blue), (second, red)))
        end = red if first is second else f"{second.survey.name}.{red}"
        features.append(Feature(f"{first.survey.name}.{blue}-{end}", f"{a} - {b}", "mag", "colour"))
    return features


def absolute_magnitudes(surveys: Sequence[SurveyColumns], by: ExtinctionBy = "band") -> list[Feature]:
    """Return the absolute magnitudes of all bands, dereddened where E(B-V) and the extinction are known."""
    features = []
    for catalogue in surveys:
        for band in catalogue.survey.bands:
            # Without E(B-V) the magnitude is still useful for nearby stars.
            corrected = absolute_magnitude(catalogue, band, surveys, dereddened=True, by=by)
            plain = absolute_magnitude(catalogue, band, surveys, dereddened=False)
            if plain is not None:
                text = "absolute magnitude" + (", dereddened" if corrected else ", not dereddened")
                features.append(Feature(f"{catalogue.survey.name}.M_{band}", corrected or plain, "mag", text))
    return features


def _reference_magnitudes(surveys: Sequence[SurveyColumns]) -> list[Feature]:
    if _distance(surveys) is not None:
        return []
    return [
        Feature(f"{m.survey.name}.{ref}", m.sql(m.survey.bands[ref].magnitude), "mag", "apparent magnitude")
        for m in surveys
        if (ref := m.survey.reference_band)
    ]


def _magnitude_errors(surveys: Sequence[SurveyColumns]) -> list[Feature]:
    return [
        Feature(
            f"{m.survey.name}.{name}_log_error",
            # + 0.001 mag: archives round small errors to 0, which has no logarithm.
            f"LOG10({m.sql(band.error)} + 0.001)",
            "",
            f"log10 of the error of {name}",
            log_error=True,
        )
        for m in surveys
        for name, band in m.survey.bands.items()
        if band.error
    ]


def _log_distance(surveys: Sequence[SurveyColumns]) -> list[Feature]:
    column = _distance(surveys)
    return (
        [] if column is None else [Feature("log_distance", f"LOG10({column})", "", "log10 of the distance in pc")]
    )


def _log_reddening(surveys: Sequence[SurveyColumns]) -> list[Feature]:
    reddening = _reddening(surveys)
    if reddening is None:
        return []
    # + 0.02 mag, about the error of E(B-V): below it the logarithm would be dominated by noise.
    return [Feature("log_reddening", f"LOG10({reddening[0]} + 0.02)", "", "log10 of E(B-V) + 0.02")]


def _estimates(surveys: Sequence[SurveyColumns]) -> list[Feature]:
    features = []
    for catalogue in surveys:
        for label, estimate in catalogue.survey.estimates.items():
            name = f"{catalogue.survey.name}.{label}"
            features.append(
                Feature(name, catalogue.sql(estimate.value), "", f"the survey's own estimate of {label}")
            )
            if estimate.lower and estimate.upper:
                width = f"({catalogue.sql(estimate.upper)} - {catalogue.sql(estimate.lower)}) / 2"
                features.append(
                    Feature(
                        f"{name}_log_error", f"LOG10({width} + 0.0001)", "", f"log10 of the error of {name}", True
                    )
                )
    return features


def _spectra(surveys: Sequence[SurveyColumns]) -> list[Feature]:
    """Return the coefficients of all spectra, divided by the flux of a band."""
    return [
        feature
        for catalogue in surveys
        for key, spectrum in catalogue.survey.spectra.items()
        for feature in _coefficients(catalogue, key, spectrum, surveys)
    ]


def _coefficients(
    catalogue: SurveyColumns, key: str, spectrum: Spectrum, surveys: Sequence[SurveyColumns]
) -> Iterator[Feature]:
    where, band = f"spectrum {catalogue.survey.name}.{key}", spectrum.band
    owner = next((m for m in surveys if band in m.survey.bands), None)
    if owner is None:
        found = f"is divided by the flux in {band}, a band that no survey of this run has"
        raise InputError(Problem(where, found, "a survey with this band, or another `band`"))
    if spectrum.length is None:
        fix = "State `length` in the survey file, or give the path of a table that exists."
        raise InputError(Problem(where, "has an unknown number of coefficients", "a table of them", fix))
    # Relative to the flux of a star of magnitude 15, so that the numbers are neither tiny nor huge.
    flux = f"POWER(10, 0.4 * ({owner.sql(owner.survey.bands[band].magnitude)} - 15))"
    for place in range(spectrum.length):
        expression = f"ELEMENT({catalogue.sql(spectrum.coefficients)}, {place}) * {flux}"
        description = f"coefficient {place} of {key}, divided by the flux in {band}"
        yield Feature(f"{catalogue.survey.name}.{key}_{place}", expression, "", description)


FAMILIES = {
    "colours": _colours,
    "all_colours": _all_colours,
    "absolute_magnitudes": absolute_magnitudes,
    "reference_magnitudes": _reference_magnitudes,
    "magnitude_errors": _magnitude_errors,
    "log_distance": _log_distance,
    "log_reddening": _log_reddening,
    "estimates": _estimates,
    "spectra": _spectra,
}
