"""Families of features that follow from the surveys that take part: colours, absolute magnitudes, errors, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from starscale.surveys import Survey
from starscale.surveys.schema import TRUE_OVER_SFD
from starscale.vocabulary.errors import InputError, Problem


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model: a name and the SQL expression that computes it.

    `log_error` says that it is the decimal logarithm of a measurement error.
    """

    name: str
    expression: str
    unit: str = ""
    description: str = ""
    log_error: bool = False


@dataclass(frozen=True, slots=True)
class SurveyColumns:
    """A survey that takes part, and what its columns are called in the joined table."""

    survey: Survey
    names: Mapping[str, str]

    def sql(self, column: str) -> str:
        """The column as an SQL identifier."""
        return quote(self.names.get(column, column))


def quote(name: str) -> str:
    """A column name as an SQL identifier."""
    if '"' in name:
        raise InputError(Problem(f"column {name!r}", "has a double quote in its name", "", "Rename the column."))
    return f'"{name}"'


def _distance(members: Sequence[SurveyColumns]) -> str | None:
    return next((m.sql(m.survey.distance.value) for m in members if m.survey.distance), None)


def _reddening(members: Sequence[SurveyColumns]) -> tuple[str, str] | None:
    """Column with E(B-V), and its scale."""
    return next(((m.sql(r.column), r.scale) for m in members if (r := m.survey.reddening)), None)


def _extinction(member: SurveyColumns, band: str, members: Sequence[SurveyColumns]) -> str | None:
    """A(b) as an expression; None where the coefficient or E(B-V) is not known."""
    coefficient, reddening = member.survey.bands[band].extinction, _reddening(members)
    if coefficient is None or reddening is None:
        return None
    column, scale = reddening
    # R(b) per true E(B-V) shrinks where the E(B-V) at hand is that of the map, and grows the other way.
    factor = {("true", "sfd"): TRUE_OVER_SFD, ("sfd", "true"): 1 / TRUE_OVER_SFD}
    coefficient *= factor.get((member.survey.extinction_scale, scale), 1.0)
    return f"{coefficient:.6g} * {column}"


def absolute_magnitude(
    member: SurveyColumns, band: str, members: Sequence[SurveyColumns], *, dereddened: bool
) -> str | None:
    """SQL of the absolute magnitude of a band; None where no survey gives what it needs."""
    distance = _distance(members)
    extinction = _extinction(member, band, members)
    if distance is None or (dereddened and extinction is None):
        return None
    expression = f"{member.sql(member.survey.bands[band].magnitude)} - 5 * LOG10({distance}) + 5"
    return f"{expression} - {extinction}" if dereddened else expression


def _colours(members: Sequence[SurveyColumns]) -> list[Feature]:
    features = []
    for member in members:
        names = list(member.survey.bands)
        pairs = list(pairwise(names))
        if member.survey.wide_colour and member.survey.wide_colour not in pairs:
            pairs.append(member.survey.wide_colour)
        for blue, red in pairs:
            a, b = (member.sql(member.survey.bands[x].magnitude) for x in (blue, red))
            features.append(Feature(f"{member.survey.name}.{blue}-{red}", f"{a} - {b}", "mag", "colour"))
    return features


def _all_colours(members: Sequence[SurveyColumns]) -> list[Feature]:
    # Bands of two surveys see the same star: their difference does not depend on its distance either.
    bands = [(member, band) for member in members for band in member.survey.bands]
    features = []
    for (one, blue), (other, red) in combinations(bands, 2):
        a, b = (m.sql(m.survey.bands[x].magnitude) for m, x in ((one, blue), (other, red)))
        end = red if one is other else f"{other.survey.name}.{red}"
        features.append(Feature(f"{one.survey.name}.{blue}-{end}", f"{a} - {b}", "mag", "colour"))
    return features


def _absolute_magnitudes(members: Sequence[SurveyColumns]) -> list[Feature]:
    features = []
    for member in members:
        for band in member.survey.bands:
            # Without E(B-V) the magnitude is only as good as the star is near, but better than nothing.
            corrected = absolute_magnitude(member, band, members, dereddened=True)
            plain = absolute_magnitude(member, band, members, dereddened=False)
            if plain is not None:
                text = "absolute magnitude" + (", dereddened" if corrected else ", not dereddened")
                features.append(Feature(f"{member.survey.name}.M_{band}", corrected or plain, "mag", text))
    return features


def _reference_magnitudes(members: Sequence[SurveyColumns]) -> list[Feature]:
    if _distance(members) is not None:
        return []
    return [
        Feature(f"{m.survey.name}.{ref}", m.sql(m.survey.bands[ref].magnitude), "mag", "apparent magnitude")
        for m in members
        if (ref := m.survey.reference_band)
    ]


def _magnitude_errors(members: Sequence[SurveyColumns]) -> list[Feature]:
    return [
        Feature(
            f"{m.survey.name}.{name}_log_error",
            # 0.001 mag: archives round, and an error of 0 is one that was not measured.
            f"LOG10({m.sql(band.error)} + 0.001)",
            "",
            f"log10 of the error of {name}",
            log_error=True,
        )
        for m in members
        for name, band in m.survey.bands.items()
        if band.error
    ]


def _log_distance(members: Sequence[SurveyColumns]) -> list[Feature]:
    column = _distance(members)
    return (
        [] if column is None else [Feature("log_distance", f"LOG10({column})", "", "log10 of the distance in pc")]
    )


def _log_reddening(members: Sequence[SurveyColumns]) -> list[Feature]:
    reddening = _reddening(members)
    if reddening is None:
        return []
    # 0.02 mag is about the error of E(B-V): below it the logarithm would only show noise.
    return [Feature("log_reddening", f"LOG10({reddening[0]} + 0.02)", "", "log10 of E(B-V) + 0.02")]


def _estimates(members: Sequence[SurveyColumns]) -> list[Feature]:
    features = []
    for member in members:
        for label, estimate in member.survey.estimates.items():
            name = f"{member.survey.name}.{label}"
            features.append(Feature(name, member.sql(estimate.value), "", f"the survey's own estimate of {label}"))
            if estimate.lower and estimate.upper:
                width = f"({member.sql(estimate.upper)} - {member.sql(estimate.lower)}) / 2"
                features.append(
                    Feature(
                        f"{name}_log_error", f"LOG10({width} + 0.0001)", "", f"log10 of the error of {name}", True
                    )
                )
    return features


FAMILIES = {
    "colours": _colours,
    "all_colours": _all_colours,
    "absolute_magnitudes": _absolute_magnitudes,
    "reference_magnitudes": _reference_magnitudes,
    "magnitude_errors": _magnitude_errors,
    "log_distance": _log_distance,
    "log_reddening": _log_reddening,
    "estimates": _estimates,
}
