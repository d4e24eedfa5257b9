"""The bit masks of starscale's tables.

The number of a published bit never changes. The report and the documentation take the meaning of a bit from here.
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
    INCONSISTENT = 1024
    INPUT_IMPLAUSIBLE = 2048
    LABEL_IMPOSSIBLE = 4096


#: Levels of quality of a predicted star, the best first.
QUALITIES = ("good", "usable", "doubtful", "bad")
#: Level of a star that carries the bit and no worse one: by how its values and intervals held where the truth was
#: known (docs: quality), and, where a bit is rare in mock data, by what it says of the values.
SEVERITY: dict[CatalogueFlag, str] = {
    CatalogueFlag.INPUT_MISSING: "good",
    CatalogueFlag.NOT_PREDICTED: "bad",
    CatalogueFlag.OUT_OF_DOMAIN: "bad",
    CatalogueFlag.LABEL_OUT_OF_RANGE: "doubtful",
    CatalogueFlag.DWARF_OR_GIANT: "usable",
    CatalogueFlag.CUT_FAILED: "doubtful",
    CatalogueFlag.BAD_POSITION: "good",
    CatalogueFlag.OUTSIDE_MAGNITUDES: "doubtful",
    CatalogueFlag.INPUT_IMPUTED: "usable",
    CatalogueFlag.UNCERTAIN: "usable",
    CatalogueFlag.INCONSISTENT: "doubtful",
    CatalogueFlag.INPUT_IMPLAUSIBLE: "usable",
    CatalogueFlag.LABEL_IMPOSSIBLE: "bad",
}


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
    LABEL_IMPOSSIBLE = 64


#: The kind of mask comes first: members of different kinds with the same number are equal and would be one key.
MEANING: dict[type[IntFlag], dict[IntFlag, str]] = {
    CatalogueFlag: {
        CatalogueFlag.INPUT_MISSING: "one or more inputs of the model are missing",
        CatalogueFlag.NOT_PREDICTED: "too few inputs: the labels are null",
        CatalogueFlag.OUT_OF_DOMAIN: "the inputs lie outside the training set (domain_score above 1)",
        CatalogueFlag.LABEL_OUT_OF_RANGE: (
            "the predicted labels lie outside those of the training stars (label_score above 1, or a label "
            "outside its range)"
        ),
        CatalogueFlag.DWARF_OR_GIANT: "the dwarf and the giant solution both have a probability above 0.1",
        CatalogueFlag.CUT_FAILED: "the star fails a quality cut that all training stars passed",
        CatalogueFlag.BAD_POSITION: "the position is missing or invalid",
        CatalogueFlag.OUTSIDE_MAGNITUDES: (
            "the star is fainter or brighter than every training star; its inputs are noisier than those used "
            "to calibrate the intervals"
        ),
        CatalogueFlag.INPUT_IMPUTED: (
            "the combination of missing inputs is unusual; they were replaced by their expected values"
        ),
        CatalogueFlag.UNCERTAIN: (
            "the 95 % interval of a label is unusually wide: 5 % of the held-out training stars have one as wide"
        ),
        CatalogueFlag.INCONSISTENT: (
            "the measurements disagree with each other (consistency_score above 1); odd_measurement names the one "
            "that fits least"
        ),
        CatalogueFlag.INPUT_IMPLAUSIBLE: (
            "a value was outside the plausible range of its column, such as a magnitude of 99, and was read as "
            "missing"
        ),
        CatalogueFlag.LABEL_IMPOSSIBLE: (
            "a predicted label was physically impossible and was removed; the limits are in the documentation"
        ),
    },
    PairFlag: {
        PairFlag.SEVERAL_NEIGHBOURS: "the leading source has more than one good neighbour",
        PairFlag.HAS_MATES: "another leading source has the same best neighbour (dense match)",
        PairFlag.NO_PROPER_MOTION: "the leading source has no proper motion; its position was not propagated",
        PairFlag.NO_EPOCH: "the external source has no epoch; the default of the survey was used",
        PairFlag.TIE: "two neighbours are equally good; the one with the lower identifier was chosen",
        PairFlag.HIGH_PROPER_MOTION: "the star moved farther than the search radius between the two epochs",
        PairFlag.AMBIGUOUS: "the best neighbour is less than ten times as probable as the second",
        PairFlag.EDGE_OF_COVERAGE: "near the edge of the searched catalogue, where its density is uncertain",
        PairFlag.BLENDED: (
            "the separation exceeds the position errors, as for blended sources; no other source is likelier"
        ),
        PairFlag.ERROR_ASSUMED: "a position error is missing; the default of the survey was used",
        PairFlag.ONE_TO_ONE: (
            "another source lost this counterpart, or won the first choice of this source (sparse match)"
        ),
        PairFlag.DUPLICATES: "the external source represents several entries of its catalogue",
    },
    LabelFlag: {
        LabelFlag.REPEATS_DISAGREE: "repeated measurements differ by more than their errors allow (p < 0.001)",
        LabelFlag.ERROR_MISSING: "the error is missing; the error floor of the survey was used",
        LabelFlag.SURVEYS_DISAGREE: (
            "surveys differ by more than their errors allow (p < 0.01); the error was inflated by the Birge ratio"
        ),
        LabelFlag.CORRECTION_CLAMPED: (
            "the star lies outside the range where its survey overlaps with others; the correction at the edge of "
            "that range was used"
        ),
        LabelFlag.CORRECTION_UNCERTAIN: (
            "the correction of the measurement with the largest weight has a larger error than the measurement"
        ),
        LabelFlag.OUTLIER_LEFT_OUT: "a measurement was rejected because two or more others agree and it does not",
        LabelFlag.LABEL_IMPOSSIBLE: (
            "a label on the common scale was outside its physical range, although the measurements were not, and "
            "was removed"
        ),
    },
}


def describe(kind: type[IntFlag]) -> list[tuple[int, str, str]]:
    """Return a row ``(bit, name, meaning)`` for every bit of a mask."""
    return [(int(bit), str(bit.name), meaning) for bit, meaning in MEANING[kind].items()]


def explain(mask: int, kind: type[IntFlag] = CatalogueFlag) -> list[str]:
    """Return the meanings of the bits that are set in `mask`."""
    return [meaning for bit, meaning in MEANING[kind].items() if mask & bit]
