"""What to do about a flag: one sentence for every bit, beside its meaning in :mod:`starscale.vocabulary.flags`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag

from starscale.vocabulary.errors import Problems
from starscale.vocabulary.flags import MEANING, CatalogueFlag, LabelFlag, PairFlag

#: By name of the bit: members of different masks with the same number are equal, and would be one key.
ADVICE: dict[type[IntFlag], dict[str, str]] = {
    CatalogueFlag: {
        "INPUT_MISSING": "usable, with wider intervals; see which inputs are missing, and leave the star out "
        "where a band that matters to you is one of them",
        "NOT_PREDICTED": "nothing to use; match the star with more photometry",
        "OUT_OF_DOMAIN": "leave it out, unless you know why the star is unusual: the model extrapolates, and its "
        "intervals promise nothing here",
        "LABEL_OUT_OF_RANGE": "take the value as a limit at most: no training star says what lies out there",
        "DWARF_OR_GIANT": "do not use the single value of logg; a good parallax tells the two apart",
        "CUT_FAILED": "look which cut it is; a blend, binary or variable may have wrong magnitudes or distance",
        "BAD_POSITION": "correct the position in the input table; predictions do not depend on it, matches do",
        "OUTSIDE_MAGNITUDES": "take the intervals as too narrow, or leave the star out",
        "INPUT_IMPUTED": "usable with its intervals, which are calibrated for all unusual combinations together",
        "UNCERTAIN": "usable with its intervals; leave the star out where the most extreme errors would hurt",
    },
    PairFlag: {
        "SEVERAL_NEIGHBOURS": "look at match_probability, or ask for strict pairs",
        "HAS_MATES": "one source may stand for several stars: its magnitudes may be blended; ask for strict pairs",
        "NO_PROPER_MOTION": "trust it as far as the star is slow: a fast one may have another counterpart",
        "NO_EPOCH": "trust it as far as the star is slow: it was moved to a default epoch",
        "TIE": "take either with care, or leave the star out",
        "HIGH_PROPER_MOTION": "look at angular_distance: it is measured after the motion",
        "AMBIGUOUS": "leave it out where a wrong counterpart would hurt",
        "EDGE_OF_COVERAGE": "take match_probability as rough here",
        "BLENDED": "expect magnitudes of two sources in one; leave it out for colours",
        "ERROR_ASSUMED": "take match_probability as rough here",
        "ONE_TO_ONE": "look at the other source (the table of unmatched sources names it)",
        "DUPLICATES": "nothing to do; the table of duplicates names the other entries",
    },
    LabelFlag: {
        "REPEATS_DISAGREE": "leave it out where single labels matter: a variable, a binary, or a wrong value",
        "ERROR_MISSING": "do not weight by this error",
        "SURVEYS_DISAGREE": "usable with its inflated error; leave it out where single labels matter",
        "CORRECTION_CLAMPED": "expect an offset of the survey's own scale, larger the farther out the star lies",
        "CORRECTION_UNCERTAIN": "usable with its error, which allows for it",
        "OUTLIER_LEFT_OUT": "nothing to do; the table of measurements says which one it was",
    },
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One bit that is set: number, name, what it means, what to do about it."""

    bit: int
    name: str
    meaning: str
    advice: str


def reasons(mask: int, kind: type[IntFlag] = CatalogueFlag) -> tuple[Reason, ...]:
    """The bits that are set in a mask, lowest first; a bit that is not known says so."""
    known = {int(bit): (str(bit.name), meaning) for bit, meaning in MEANING[kind].items()}
    found = []
    for bit in (1 << i for i in range(mask.bit_length()) if mask >> i & 1):
        name, meaning = known.get(bit, ("(unknown)", "not a flag of this version: the table is of another one"))
        found.append(Reason(bit, name, meaning, ADVICE[kind].get(name, "")))
    return tuple(found)


#: Masks by the name of their table, for a bare number.
MASKS: dict[str, type[IntFlag]] = {"catalogue": CatalogueFlag, "pairs": PairFlag, "labels": LabelFlag}


def flag_sentences(column: str, flags: Sequence[Reason]) -> list[str]:
    """A mask, bit by bit."""
    total = sum(reason.bit for reason in flags)
    if not flags:
        return [f"{column} = 0: nothing to say"]
    sentences = [f"{column} = {total}:"]
    for reason in flags:
        sentences.append(f"  {reason.bit} {reason.name}: {reason.meaning}")
        if reason.advice:
            sentences.append(f"    what to do: {reason.advice}")
    return sentences


def explain_mask(mask: int, kind: str = "catalogue") -> list[str]:
    """Sentences for a bare bit mask.

    Parameters
    ----------
    mask : int
    kind : str
        Whose flags they are: ``catalogue``, ``pairs`` or ``labels``.

    Raises
    ------
    InputError
        Another kind, or a negative number.
    """
    problems = Problems()
    if kind not in MASKS:
        problems.add("--kind", repr(kind), f"one of {', '.join(MASKS)}")
    if mask < 0:
        problems.add("--flags", str(mask), "a sum of bits, 0 or more")
    problems.raise_if_any()
    return flag_sentences("flags", reasons(mask, MASKS[kind]))
