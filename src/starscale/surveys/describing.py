"""A survey in words: roles, bands, labels, cuts with their sources, archives, other names, citation."""

from __future__ import annotations

from collections.abc import Iterator

from starscale.surveys.schema import Survey


def describe_survey(survey: Survey) -> str:
    """Return a text that describes a survey file.

    Parameters
    ----------
    survey : Survey

    Returns
    -------
    str
        Several lines, for a terminal.
    """
    return "\n".join(_lines(survey))


def _lines(survey: Survey) -> Iterator[str]:
    yield f"{survey.name}: {survey.title} ({survey.kind})"
    yield from _roles(survey)
    yield from _measurements(survey)
    yield from _cuts_and_places(survey)
    yield f"{len(survey.columns)} columns"
    for name, spec in survey.columns.items():
        unit = f" [{spec.unit}]" if spec.unit else ""
        yield f"    {name}{unit}: {spec.description}"
    yield from (f"cite {entry}" for entry in survey.citation)
    yield from [f"notes: {' '.join(survey.notes.split())}"] if survey.notes else []


def _measurements(survey: Survey) -> Iterator[str]:
    for key, band in survey.bands.items():
        ratio = "no extinction coefficient" if band.extinction is None else f"R = {band.extinction:g}"
        flux = f", from the flux {band.flux}" if band.flux else ""
        yield f"band {key}: {band.magnitude}, error {band.error or '-'}, {band.wavelength:g} nm, {ratio}{flux}"
    for label, column in survey.labels.items():
        yield f"label {label}: {column.value}, error {column.error or '-'}, at least {column.error_floor:g}"


def _cuts_and_places(survey: Survey) -> Iterator[str]:
    for cut in survey.cuts:
        yield f"cut {cut.name}: {' '.join(cut.keep.split())}"
        yield f"    {cut.description} [{cut.source}]"
    for place in survey.places:
        yield f"archive {place.name}: {place.table} at {place.service}"
    for key, given in survey.names.items():
        yield f"names {key}: {len(given)} columns"


def _roles(survey: Survey) -> Iterator[str]:
    yield f"identifier: {survey.id.column}" + ("" if survey.id.unique else " (a star can have several rows)")
    if survey.position is not None:
        epoch = survey.position.epoch
        when = "" if epoch is None else f", epoch {epoch.column or ''} {epoch.default or ''}".rstrip()
        yield f"position: {survey.position.ra}, {survey.position.dec}{when}"
    if survey.gaia is not None:
        yield f"Gaia identifier: {survey.gaia.column} ({survey.gaia.release})"
    if survey.reddening is not None:
        yield f"reddening: {survey.reddening.column} ({survey.reddening.scale})"
