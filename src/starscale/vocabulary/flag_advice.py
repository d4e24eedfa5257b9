"""Advice for every flag; the meanings are in :mod:`starscale.vocabulary.flags`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

from starscale.vocabulary.errors import Problems
from starscale.vocabulary.flags import MEANING, CatalogueFlag, LabelFlag, PairFlag

#: By name of the bit: members of different masks with the same number are equal and would be one key.
ADVICE: dict[type[IntFlag], dict[str, str]] = {
    CatalogueFlag: {
        "INPUT_MISSING": "usable, with wider intervals; see which inputs are missing, and exclude the star if you "
        "need one of these bands",
        "NOT_PREDICTED": "no result; match the star with more photometry",
        "OUT_OF_DOMAIN": "exclude the star unless you know why it is unusual: the model extrapolates, and its "
        "intervals are not reliable",
        "LABEL_OUT_OF_RANGE": "treat the value as a limit: no training star has such labels",
        "DWARF_OR_GIANT": "do not use the single value of logg; a good parallax distinguishes dwarfs and giants",
        "CUT_FAILED": "see which cut failed; magnitudes or distances of a blend, binary or variable may be wrong",
        "BAD_POSITION": "correct the position in the input table; it affects the match but not the prediction",
        "OUTSIDE_MAGNITUDES": "assume that the intervals are too narrow, or exclude the star",
        "INPUT_IMPUTED": "usable with its intervals, which are calibrated for all unusual combinations together",
        "UNCERTAIN": "usable with its intervals; exclude the star if your analysis is sensitive to large errors",
        "INCONSISTENT": "look at odd_measurement: a wrong band, counterpart, distance or zero point; exclude the "
        "star unless you know the cause",
        "INPUT_IMPLAUSIBLE": "declare the value as a sentinel if it means missing; if not, correct it",
        "LABEL_IMPOSSIBLE": "do not use the other labels of the star: the model extrapolates",
    },
    PairFlag: {
        "SEVERAL_NEIGHBOURS": "check match_probability, or select strict pairs",
        "HAS_MATES": "the external source may be a blend of several stars; select strict pairs",
        "NO_PROPER_MOTION": "reliable for slow stars; a fast star may have another counterpart",
        "NO_EPOCH": "reliable for slow stars; the position was propagated to a default epoch",
        "TIE": "use either neighbour with caution, or exclude the star",
        "HIGH_PROPER_MOTION": "check angular_distance, which is measured after propagation to the common epoch",
        "AMBIGUOUS": "exclude the pair if your analysis is sensitive to wrong counterparts",
        "EDGE_OF_COVERAGE": "match_probability is approximate here",
        "BLENDED": "the magnitudes may be those of two sources; do not use the colours",
        "ERROR_ASSUMED": "match_probability is approximate here",
        "ONE_TO_ONE": "check the other source, which the table of unmatched sources lists",
        "DUPLICATES": "no action is needed; the table of duplicates lists the other entries",
    },
    LabelFlag: {
        "REPEATS_DISAGREE": "exclude the star if single labels matter: it may be a variable, a binary or an error",
        "ERROR_MISSING": "do not use this error as a weight",
        "SURVEYS_DISAGREE": "usable with its inflated error; exclude the star if single labels matter",
        "CORRECTION_CLAMPED": "expect an offset of the survey's scale that grows with the distance from the range",
        "CORRECTION_UNCERTAIN": "usable with its error, which includes that of the correction",
        "OUTLIER_LEFT_OUT": "no action is needed; the table of measurements shows which one was rejected",
        "LABEL_IMPOSSIBLE": "do not use the other labels of the star: its spectrum was probably misread",
    },
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One bit that is set: its number, name, meaning and advice."""

    bit: int
    name: str
    meaning: str
    advice: str


def reasons(mask: int, kind: type[IntFlag] = CatalogueFlag) -> tuple[Reason, ...]:
    """Return the bits that are set in a mask, lowest first, including bits that are unknown to this version."""
    known = {int(bit): (str(bit.name), meaning) for bit, meaning in MEANING[kind].items()}
    found = []
    for bit in (1 << i for i in range(mask.bit_length()) if mask >> i & 1):
        name, meaning = known.get(
            bit, ("(unknown)", "not a flag of this version of starscale; the table was made by another version")
        )
        found.append(Reason(bit, name, meaning, ADVICE[kind].get(name, "")))
    return tuple(found)


#: Kinds of masks by the name of their table.
MASKS: dict[str, type[IntFlag]] = {"catalogue": CatalogueFlag, "pairs": PairFlag, "labels": LabelFlag}


def flag_sentences(column: str, flags: Sequence[Reason]) -> list[str]:
    """Describe a mask bit by bit, with advice."""
    total = sum(reason.bit for reason in flags)
    if not flags:
        return [f"{column} = 0: no flag is set"]
    sentences = [f"{column} = {total}:"]
    for reason in flags:
        sentences.append(f"  {reason.bit} {reason.name}: {reason.meaning}")
        if reason.advice:
            sentences.append(f"    what to do: {reason.advice}")
    return sentences


def explain_mask(mask: int, kind: str = "catalogue") -> list[str]:
    """Describe a bit mask bit by bit, with advice.

    Parameters
    ----------
    mask : int
        Value of a flag column.
    kind : str
        Table that the mask comes from: ``catalogue``, ``pairs`` or ``labels``.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        If the kind is unknown or the mask is negative.
    """
    problems = Problems()
    if kind not in MASKS:
        problems.add("--kind", repr(kind), f"one of {', '.join(MASKS)}")
    if mask < 0:
        problems.add("--flags", str(mask), "a sum of bits, 0 or more")
    problems.raise_if_any()
    return flag_sentences("flags", reasons(mask, MASKS[kind]))
