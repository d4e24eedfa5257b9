"""Bit masks in sentences; what a bit means, and what to do about it, is said by the vocabulary alone."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag

from starscale.vocabulary.errors import Problems
from starscale.vocabulary.flag_advice import Reason, reasons
from starscale.vocabulary.flags import CatalogueFlag, LabelFlag, PairFlag

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
