"""How a model's table of stars is made from catalogues; stored in its bundle, so that it can be made again."""

from __future__ import annotations

from collections.abc import Mapping

from starscale.features.features import FeatureSet
from starscale.surveys import Survey
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.match import MatchConfig
from starscale.vocabulary.settings.run import FeaturesConfig
from starscale.vocabulary.strict import Frozen


class RecipeTable(Frozen):
    """A catalogue: its survey, the cuts that the training stars passed, and names in the joined table."""

    survey: Survey
    cuts: Cuts = Cuts()
    #: Names in the joined table, by column of the survey, where they differ.
    names: dict[str, str] = {}  # noqa: RUF012  pydantic copies it


class Recipe(Frozen):
    """The tables that a model was trained on, and how they became one table.

    Labels are not part of it: they are not needed for a prediction.
    """

    #: The leading catalogue: each of its rows is one star.
    lead: RecipeTable
    #: Tables with the identifiers of the leading one (distances).
    joins: tuple[RecipeTable, ...] = ()
    #: Catalogues that are matched with the leading one.
    photometry: tuple[RecipeTable, ...] = ()
    match: MatchConfig = MatchConfig()
    feature_set: FeatureSet
    features: FeaturesConfig = FeaturesConfig()

    @property
    def tables(self) -> tuple[RecipeTable, ...]:
        """All tables: the leading one, its joins, photometry."""
        return (self.lead, *self.joins, *self.photometry)

    @property
    def by_name(self) -> Mapping[str, RecipeTable]:
        """All tables, by the name of their survey."""
        return {table.survey.name: table for table in self.tables}
