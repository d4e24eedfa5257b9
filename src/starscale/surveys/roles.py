"""Units that follow from the role of a column, where a survey file states none."""

from __future__ import annotations

from collections.abc import Iterator

from starscale.surveys.schema import Survey
from starscale.vocabulary.columns import LABELS


def units_of_roles(survey: Survey) -> dict[str, str]:
    """Return the units of columns with labels, estimates, magnitudes and their errors, and of links, by column.

    An error or an inverse variance of a flux is in the unit of that flux.
    """
    labels: list[tuple[str, tuple[str | None, ...]]] = []
    labels += [(LABELS[name].scale, (of.value, of.error)) for name, of in survey.labels.items()]
    labels += [(LABELS[name].scale, (of.value, of.lower, of.upper)) for name, of in survey.estimates.items()]
    bands = [("mag", (band.magnitude, band.error)) for band in survey.bands.values()]
    walk = survey.crosswalk
    links = [("mas", (walk.distance,)), ("mag", (walk.magnitude_difference,))] if walk is not None else []
    return {
        name: unit
        for unit, names in (*labels, *bands, *_of_fluxes(survey), *links)
        for name in names
        if name is not None
    }


def _of_fluxes(survey: Survey) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    for band in survey.bands.values():
        if band.flux is not None:
            unit = survey.columns[band.flux].unit
            yield unit, (band.flux_error,)
            yield f"({unit})**-2", (band.flux_ivar,)
