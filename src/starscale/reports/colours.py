"""The colour-magnitude diagram of a report, in the bands that the survey files choose."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from starscale.reports import plots
from starscale.reports.blocks import Picture
from starscale.reports.finished import FinishedRun, spread_sample
from starscale.reports.inputs import named_tables
from starscale.surveys import Survey, load_survey
from starscale.vocabulary.errors import InputError

#: Parallaxes above this many errors give an absolute magnitude (to 0.2 mag).
_PARALLAX_OVER_ERROR = 10


def colour_magnitude(run: FinishedRun, stars: pl.DataFrame, of: str) -> Picture | None:
    """Draw the stars by colour and magnitude; None where no survey of the run has the bands.

    Parameters
    ----------
    run : FinishedRun
    stars : polars.DataFrame
        The sample of the catalogue, for the colours of the cells.
    of : str
        Which stars these are, for the caption.
    """
    for survey in _surveys(run):
        bands, wanted = _columns(survey)
        table, _ = spread_sample(run.matched, ("ra", *wanted))
        if set(bands) <= set(table.columns) and table.select(bands).drop_nulls().height:
            return _picture(run, survey, _with_metallicity(table, stars), of)
    return None


def _surveys(run: FinishedRun) -> Iterator[Survey]:
    """Yield the surveys of the stars that name a wide colour and a band of reference."""
    for role, name, _ in named_tables(run.settings):
        if role in ("leading", "photometry"):
            try:
                survey = load_survey(name)
            except InputError:
                continue  # A survey file of the user that has moved.
            if survey.wide_colour and survey.reference_band:
                yield survey


def _columns(survey: Survey) -> tuple[list[str], list[str]]:
    """Return the columns of the diagram, and those with the ones of the parallax."""
    keys = (*(survey.wide_colour or ()), survey.reference_band or "")
    bands = [survey.bands[key].magnitude for key in keys]
    motion = survey.motion
    parallax = [name for name in (motion.parallax, motion.parallax_error) if name] if motion else []
    return bands, [*bands, *parallax]


def _with_metallicity(table: pl.DataFrame, stars: pl.DataFrame) -> pl.DataFrame:
    """Append [Fe/H] where the rows of both samples are the same stars."""
    if not {"ra", "fe_h"} <= set(stars.columns) or "ra" not in table.columns:
        return table
    return table.with_columns(stars["fe_h"]) if table["ra"].equals(stars["ra"]) else table


def _picture(run: FinishedRun, survey: Survey, table: pl.DataFrame, of: str) -> Picture:
    bands, wanted = _columns(survey)
    parallax = wanted[3:]
    coloured = ", by mean predicted [Fe/H]" if "fe_h" in table.columns else ""
    near = ""
    if len(parallax) == 2 and set(parallax) <= set(table.columns):
        value, error = map(pl.col, parallax)
        table = table.with_columns(pl.when(value > _PARALLAX_OVER_ERROR * error).then(value))
        if table[parallax[0]].count():
            near = f", and of absolute magnitudes of stars with parallaxes above {_PARALLAX_OVER_ERROR} errors"
    figure = plots.colour_magnitude(table, bands, parallax[0] if near else None)
    caption = (
        f"Colour-magnitude diagram in the bands of {survey.name}, not corrected for extinction, {of}: by "
        f"density{coloured}{near}."
    )
    return run.picture(figure, "Colour-magnitude diagram of the catalogue", caption, hover=True)
