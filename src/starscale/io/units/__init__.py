"""Units of columns: the spellings of archives, conversion, and the notation of each format."""

from starscale.io.units.conversion import convert, is_logarithm_of, same_unit
from starscale.io.units.parsing import parse_unit
from starscale.io.units.printing import as_cds, as_fits, as_generic, as_vounit, unit_text

__all__ = [
    "as_cds",
    "as_fits",
    "as_generic",
    "as_vounit",
    "convert",
    "is_logarithm_of",
    "parse_unit",
    "same_unit",
    "unit_text",
]
