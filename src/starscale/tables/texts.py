"""Columns that a survey calls texts, from files that have no types."""

from __future__ import annotations

from starscale.io import Source
from starscale.surveys import Survey
from starscale.tables.standardise import spelling


def as_written(source: Source, survey: Survey) -> Source:
    """Return a table whose columns that `survey` calls texts are read as they are written: 000, 1.10, 1E5."""
    found = spelling(source.schema, survey)
    return source.with_texts({there for name, there in found.items() if survey.columns[name].dtype == "string"})
