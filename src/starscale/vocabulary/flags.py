"""The bit masks of starscale's tables, in one place.

Every bit has a number that never changes once published, and a sentence that
the report and the documentation all print from here.
"""

from __future__ import annotations

from enum import IntFlag


class CatalogueFlag(IntFlag):
    """Bits of `flags` in a predicted catalogue."""

    INPUT_MISSING = 1
    NOT_PREDICTED = 2
    OUT_OF_DOMAIN = 4
    LABEL_OUT_OF_RANGE = 8
    DWARF_OR_GIANT = 16
    CUT_FAILED = 32
    BAD_POSITION = 64
    OUTSIDE_MAGNITUDES = 128
    INPUT_IMPUTED = 256
    UNCERTAIN = 512


class PairFlag(IntFlag):
    """Bits of `xm_flag` in a table of pairs."""

    SEVERAL_NEIGHBOURS = 1
    HAS_MATES = 2
    NO_PROPER_MOTION = 4
    NO_EPOCH = 8
    TIE = 16
    HIGH_PROPER_MOTION = 32
    AMBIGUOUS = 64
    EDGE_OF_COVERAGE = 128
    BLENDED = 256
    ERROR_ASSUMED = 512
    ONE_TO_ONE = 1024
    DUPLICATES = 2048


class LabelFlag(IntFlag):
    """Bits of `flags` in a table of labels."""

    REPEATS_DISAGREE = 1
    ERROR_MISSING = 2
    SURVEYS_DISAGREE = 4
    CORRECTION_CLAMPED = 8
    CORRECTION_UNCERTAIN = 16
    OUTLIER_LEFT_OUT = 32


#: By kind of mask first: members of different kinds with the same number are equal, and would be one key.
MEANING: dict[type[IntFlag], dict[IntFlag, str]] = {
    CatalogueFlag: {
        CatalogueFlag.INPUT_MISSING: "one or more inputs of the model are missing",
        CatalogueFlag.NOT_PREDICTED: "too few inputs: the labels are null",
        CatalogueFlag.OUT_OF_DOMAIN: "the inputs lie outside the training set (domain_score above 1)",
        CatalogueFlag.LABEL_OUT_OF_RANGE: (
            "the predicted labels lie outside those of the training stars (label_score above 1, or one of them "
            "beyond its range)"
        ),
        CatalogueFlag.DWARF_OR_GIANT: "dwarf and giant solutions both have a probability above 0.1",
        CatalogueFlag.CUT_FAILED: "the star fails a quality cut that the training stars passed",
        CatalogueFlag.BAD_POSITION: "the position is missing or not on the sphere",
        CatalogueFlag.OUTSIDE_MAGNITUDES: (
            "fainter or brighter than every training star: its inputs are noisier than those that the intervals "
            "were calibrated on"
        ),
        CatalogueFlag.INPUT_IMPUTED: (
            "what is missing is an unusual combination: the gaps were filled with expected values"
        ),
        CatalogueFlag.UNCERTAIN: (
            "the 95 % interval of a label is far wider than usual: 5 in 100 of the stars kept aside in training "
            "have one as wide"
        ),
    },
    PairFlag: {
        PairFlag.SEVERAL_NEIGHBOURS: "more than one good neighbour",
        PairFlag.HAS_MATES: "another leading source has the same best neighbour (dense match)",
        PairFlag.NO_PROPER_MOTION: "the leading source has no proper motion and was not moved",
        PairFlag.NO_EPOCH: "the external source has no epoch of its own; the survey's default was used",
        PairFlag.TIE: "two neighbours are equally good; the lower identifier was taken",
        PairFlag.HIGH_PROPER_MOTION: "the star moved farther than the search radius between the two epochs",
        PairFlag.AMBIGUOUS: "the best neighbour is less than ten times as probable as the next",
        PairFlag.EDGE_OF_COVERAGE: "near the edge of the searched catalogue: its density is uncertain here",
        PairFlag.BLENDED: (
            "farther apart than position errors allow, as blended sources are; nothing likelier is there"
        ),
        PairFlag.ERROR_ASSUMED: "a position has no error of its own; the survey's default was used",
        PairFlag.ONE_TO_ONE: "another source lost this partner, or took this one's first choice (sparse match)",
        PairFlag.DUPLICATES: "the external source stands for several entries of its catalogue",
    },
    LabelFlag: {
        LabelFlag.REPEATS_DISAGREE: "repeated measurements differ by more than their errors allow (p < 0.001)",
        LabelFlag.ERROR_MISSING: "no error was given; the survey's floor was used",
        LabelFlag.SURVEYS_DISAGREE: (
            "surveys differ by more than their errors allow (p < 0.01); the error was inflated by the Birge ratio"
        ),
        LabelFlag.CORRECTION_CLAMPED: (
            "the star lies outside the range in which its survey overlaps with others: the correction of the "
            "border was used"
        ),
        LabelFlag.CORRECTION_UNCERTAIN: (
            "the correction of the measurement that counts most is less certain than the measurement"
        ),
        LabelFlag.OUTLIER_LEFT_OUT: "a measurement far from two or more others that agree was left out",
    },
}


def describe(kind: type[IntFlag]) -> list[tuple[int, str, str]]:
    """Rows ``(bit, name, meaning)`` for every bit of one mask."""
    return [(int(bit), str(bit.name), meaning) for bit, meaning in MEANING[kind].items()]


def explain(mask: int, kind: type[IntFlag] = CatalogueFlag) -> list[str]:
    """Sentences for the bits that are set in `mask`."""
    return [meaning for bit, meaning in MEANING[kind].items() if mask & bit]
