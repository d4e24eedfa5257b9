"""Units that follow from the role of a column, where a survey file states none."""

from __future__ import annotations

from starscale.surveys.schema import Survey
from starscale.vocabulary.columns import LABELS


def units_of_roles(survey: Survey) -> dict[str, str]:
    """Return the units of columns with labels, estimates, magnitudes and their errors, and of links, by column."""
    labels: list[tuple[str, tuple[str | None, ...]]] = []
    labels += [(LABELS[name].scale, (of.value, of.error)) for name, of in survey.labels.items()]
    labels += [(LABELS[name].scale, (of.value, of.lower, of.upper)) for name, of in survey.estimates.items()]
    bands = [("mag", (band.magnitude, band.error)) for band in survey.bands.values()]
    walk = survey.crosswalk
    links = [("mas", (walk.distance,)), ("mag", (walk.magnitude_difference,))] if walk is not None else []
    return {name: unit for unit, names in (*labels, *bands, *links) for name in names if name is not None}
