"""JSON that others may have written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str) -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    ValueError
        It is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
