"""Units in descriptions, which every format keeps, and most programs that copy a table.

Where a format has no word for the unit of a column, the description ends with it. Where values were converted
from the `file_unit` of a survey file, it ends with a note, so that they are not converted again.
"""

from __future__ import annotations

_NOTE = "(unit: "
_CONVERTED = " converted to this unit)"
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


def with_converted(description: str, name: str) -> str:
    """Return the description of a column that was converted from the unit of files.

    The note names the column, since astropy returns the descriptions of a FITS file without their columns.
    """
    return f"{description} ({name}{_CONVERTED}".lstrip()


def without_converted(description: str) -> tuple[str, str]:
    """Return a description without the note that a column was converted, and the name in it; empty: no note."""
    text, opened, noted = description.rstrip().rpartition(" (" if " (" in description else "(")
    name = noted.removesuffix(_CONVERTED)
    return (text.rstrip(), name) if opened and name != noted else (description, "")
