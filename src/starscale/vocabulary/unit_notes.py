"""Units in descriptions: where a format has no word for the unit of a column, the description ends with it."""

from __future__ import annotations

_NOTE = "(unit: "
#: Units of a ReadMe that say nothing about a unit, or only that it is a logarithm.
_NO_WORD = ("---", "[-]")


def with_note(description: str, unit: str) -> str:
    """Return a description that ends with a unit."""
    return f"{description} {_NOTE}{unit})".lstrip()


def restored(unit: str, description: str) -> tuple[str, str]:
    """Return unit and description of a column whose description may end with its unit.

    A unit that is part of the noted one (mag of mag(AB)) gives way; any other stays, with the description.
    """
    text, note, noted = description.rpartition(_NOTE)
    if note and noted.endswith(")") and (unit in _NO_WORD or unit.lower() in noted.lower()):
        return noted[:-1], text.rstrip()
    return unit, description
