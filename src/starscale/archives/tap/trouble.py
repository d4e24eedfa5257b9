"""What can go wrong between a query and its table, by what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from starscale.vocabulary.errors import StarscaleError


class TransientError(StarscaleError):
    """Worth another attempt: no connection, silence, HTTP 5xx, an answer that was cut off."""


class QueryError(StarscaleError):
    """The archive understood the request and refused it: a wrong column, a wrong table, no rights."""


class CancelledError(StarscaleError):
    """The user, or another piece that failed, stopped this one."""


@dataclass
class TruncatedError(StarscaleError):
    """An answer has fewer rows than it should, or the query took too long: smaller pieces may help.

    Attributes
    ----------
    received : int
        Rows that came; 0 where the query was stopped before any did.
    reason : str
    silent : bool
        The service did not say that it cut the answer off.
    """

    received: int
    reason: str
    silent: bool = False

    def __str__(self) -> str:
        return self.reason
