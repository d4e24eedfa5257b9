# The pictures, by the module that draws them; __init__.py imports from here what is used.

from .accuracy import error_distribution, one_to_one, pulls, residuals
from .diagrams import colour_magnitude, kiel, kiel_difference, metallicity_rz
from .distributions import distribution
from .learning import importance, missing_bands, training_curves
from .matching import match_probabilities, purity, separations
from .probabilities import probability_calibration, purity_completeness
from .skymap import sky
from .style import STYLE
from .surveys import attrition, overlap
from .uncertainty import coverage, pit, reliability

__all__ = [
    "STYLE",
    "attrition",
    "colour_magnitude",
    "coverage",
    "distribution",
    "error_distribution",
    "importance",
    "kiel",
    "kiel_difference",
    "match_probabilities",
    "metallicity_rz",
    "missing_bands",
    "one_to_one",
    "overlap",
    "pit",
    "probability_calibration",
    "pulls",
    "purity",
    "purity_completeness",
    "reliability",
    "residuals",
    "separations",
    "sky",
    "training_curves",
]
