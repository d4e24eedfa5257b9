"""Identifiers of another release of Gaia than that of a model, replaced through a crosswalk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from starscale.crossmatch.kernel.crosswalk import NEW, OLD
from starscale.crossmatch.linking import load_crosswalks
from starscale.crossmatch.neighbourhood import Neighbourhood, route
from starscale.model.model import Model
from starscale.surveys import Survey, load_survey, survey_names
from starscale.surveys.releases import release_names
from starscale.tables.releases import release_problems
from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.settings.match import CrosswalkInput

_FIX = (
    "Say the release, and give the table of neighbours that links it: --release RELEASE --crosswalk SURVEY=FILE."
)


@dataclass(frozen=True, slots=True)
class OtherRelease:
    """Release of the identifiers of a table, and the tables that lead from it to that of a model.

    Attributes
    ----------
    release : str
        The name of a release; empty: that of the model.
    crosswalk : sequence of CrosswalkInput
    """

    release: str = ""
    crosswalk: Sequence[CrosswalkInput] = ()

    def chain(self, model: Model, names: Sequence[str], where: str) -> list[Neighbourhood]:
        """Return the steps from the identifiers of a table to those of a model; none if they are the same.

        Parameters
        ----------
        model : Model
        names : sequence of str
            The columns of the table, which may betray another release.
        where : str
            Name of the table in error messages.

        Raises
        ------
        InputError
            The table is of another release and nothing leads to that of the model.
        """
        if not self.release:
            self._refuse_signs(model, names, where)
            return []
        known, goal = release_names(), model.inputs.gaia_release
        if self.release not in known:
            fix = did_you_mean(self.release, list(known))
            raise InputError(Problem(f"release {self.release!r}", "unknown", f"one of {', '.join(known)}", fix))
        start = known[self.release]
        chain = route(load_crosswalks(self.crosswalk, Path()), start, goal) if goal is not None else None
        if chain is None:
            found = f"has identifiers of {start}, and the model those of {goal or 'no release of Gaia'}"
            raise InputError(Problem(where, found, "a crosswalk that links them", _FIX))
        return chain

    def _refuse_signs(self, model: Model, names: Sequence[str], where: str) -> None:
        """Refuse a table whose columns are those of another release, and a crosswalk without a release."""
        goal, lead = model.inputs.gaia_release, _lead(model)
        signs = release_problems(names, lead, where) if goal is not None and lead is not None else []
        if signs:
            raise InputError([Problem(one.where, one.found, f"identifiers of {goal}", _FIX) for one in signs])
        if self.crosswalk:
            fix = "Say the release of the identifiers in the table (release, --release)."
            raise InputError(Problem(where, "has a crosswalk and no release of Gaia", "both", fix))


def renumbered(ids: pl.Series, chain: Sequence[Neighbourhood]) -> pl.Series:
    """Return the identifiers at the end of a chain; null where a star is lost on the way.

    Parameters
    ----------
    ids : polars.Series, (n,)
    chain : sequence of Neighbourhood

    Raises
    ------
    InputError
        A table of the chain is not what its survey says, or has none of the identifiers.
    """
    found = ids.cast(pl.Int64)
    for step in chain:
        pairs, _ = step.walk(found.drop_nulls().unique(maintain_order=True))
        known = pairs.drop_nulls(NEW).select(OLD, NEW)
        found = found.to_frame(OLD).join(known, on=OLD, how="left", maintain_order="left")[NEW]
    return found.alias(ids.name)


def _lead(model: Model) -> Survey | None:
    """Return the survey of the leading catalogue of a model, as far as it is known."""
    if model.recipe is not None:
        return model.recipe.lead.survey
    return load_survey(model.inputs.name) if model.inputs.name in survey_names() else None
