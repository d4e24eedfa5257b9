"""Errors of a query, classified by what can be done about them."""

from __future__ import annotations

from dataclasses import dataclass

from starscale.vocabulary.errors import StarscaleError


class TransientError(StarscaleError):
    """Another attempt may succeed: no connection, a timeout, HTTP 5xx, an incomplete answer."""


class QueryError(StarscaleError):
    """The archive refused the query: a wrong column, a wrong table, missing rights."""


class CancelledError(StarscaleError):
    """The work was cancelled by the user, or because another piece failed."""


@dataclass
class TruncatedError(StarscaleError):
    """The answer has another number of rows than counted, or the query took too long; smaller pieces may help.

    Attributes
    ----------
    received : int
        Number of rows received; 0 if the query was stopped before it delivered any.
    reason : str
    silent : bool
        True if the service did not report that it truncated the answer.
    """

    received: int
    reason: str
    silent: bool = False

    def __str__(self) -> str:
        return self.reason
