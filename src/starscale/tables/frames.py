"""The reference frame and the epoch that a table states for its positions, against those of its survey."""

from __future__ import annotations

import re

from starscale.io import Source
from starscale.surveys import Survey
from starscale.tables.standardise import spelling
from starscale.vocabulary.errors import InputError, Problem

#: Frames whose axes differ from those of ICRS, by what their name contains.
_OTHER = re.compile(r"FK4|B1950|GALACTIC|ECL|SUPER|^GAL$|^AZ|GCRS|CIRS", re.IGNORECASE)
_FK5 = re.compile(r"FK5", re.IGNORECASE)
#: Difference of epochs, in years, that is no rounding.
_SAME_EPOCH = 0.1


def refuse_frame(source: Source, survey: Survey, where: str) -> None:
    """Refuse a table that states another frame than ICRS for the positions of its survey.

    Positions of FK4 (B1950) are off by half a degree, galactic and ecliptic ones are elsewhere on the sky. FK5 of
    equinox J2000 agrees with ICRS to 0.03 arcsec.

    Raises
    ------
    InputError
        With the frame, and what to do.
    """
    if not _placed(source, survey) or not _differs(source.frame):
        return
    fix = (
        "Transform them first (astropy: SkyCoord(...).transform_to('icrs')), or correct the frame that the file "
        "states if it is wrong."
    )
    raise InputError(Problem(where, f"has positions in the frame {source.frame}", "ICRS, as the survey has", fix))


def notes_on_frame(source: Source, survey: Survey) -> list[str]:
    """Say that a frame agrees with ICRS only nearly, or is not known."""
    if not source.frame or source.frame.upper() == "ICRS" or not _placed(source, survey) or _differs(source.frame):
        return []
    if _FK5.search(source.frame):
        return [f"positions in the frame {source.frame} are used as ICRS, with which they agree to 0.03 arcsec"]
    return [f"positions are stated in the frame {source.frame}, which is not known here; they are used as ICRS"]


def other_epoch(source: Source, survey: Survey) -> str:
    """Say that a table states another epoch than its survey; empty if it does not."""
    epoch = survey.position.epoch if survey.position is not None else None
    if source.epoch is None or epoch is None or epoch.default is None or not _placed(source, survey):
        return ""
    if abs(source.epoch - epoch.default) < _SAME_EPOCH:
        return ""
    rows = " for rows without one of their own" if epoch.column else ""
    return (
        f"the file states the epoch J{source.epoch:g} for its positions; the epoch J{epoch.default:g} of "
        f"{survey.name} is used{rows}"
    )


def _differs(frame: str) -> bool:
    """Whether the axes of a frame are not those of ICRS: another frame, or FK5 of another equinox than J2000."""
    if _OTHER.search(frame):
        return True
    equinox = re.search(r"[JB]?(\d{4}(?:\.\d+)?)", frame.replace("FK5", "")) if _FK5.search(frame) else None
    return equinox is not None and float(equinox[1]) != 2000.0


def _placed(source: Source, survey: Survey) -> bool:
    """Whether a table has the position columns of its survey."""
    if survey.position is None:
        return False
    return {survey.position.ra, survey.position.dec} <= spelling(source.schema, survey).keys()
