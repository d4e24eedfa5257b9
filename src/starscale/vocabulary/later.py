"""Libraries that are slow to import, imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """A module that is imported when an attribute of it is first asked for.

    Parameters
    ----------
    name : str
        Of the module; its package is not imported before either.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
