"""Words that the shell completes: names of surveys and of models."""

from __future__ import annotations

import importlib


def survey_names(incomplete: str) -> list[str]:
    """Return the packaged surveys that begin so."""
    names = importlib.import_module("starscale.surveys").survey_names()
    return [name for name in names if name.startswith(incomplete)]


def model_names(incomplete: str) -> list[str]:
    """Return the models with a name that begins so; a damaged registry of the user completes nothing."""
    errors = importlib.import_module("starscale.vocabulary.errors")
    try:
        names = importlib.import_module("starscale").list_models()["name"]
    except errors.StarscaleError:
        return []
    return [name for name in names if name.startswith(incomplete)]
