"""Every row that a verb reads is in its output, or was removed for a reason that is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class UnaccountedRowsError(RuntimeError):
    """Rows were lost or made without a reason: a defect of the program, so that nothing is published."""


@dataclass(frozen=True, slots=True)
class RowAccount:
    """Rows of a table, and where they are afterwards.

    Attributes
    ----------
    rows_in, rows_out : int
        Rows that were read, and those of the output.
    removed : mapping of str to int
        Rows that are not in the output, by reason.

    Raises
    ------
    UnaccountedRowsError
        The numbers do not add up.
    """

    rows_in: int
    rows_out: int
    removed: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compare the numbers."""
        numbers = (self.rows_in, self.rows_out, *self.removed.values())
        if min(numbers) < 0 or self.rows_in != self.rows_out + sum(self.removed.values()):
            reasons = ", ".join(f"{reason} {n:,}" for reason, n in self.removed.items()) or "none removed"
            raise UnaccountedRowsError(
                f"{self.rows_in:,} rows were read and {self.rows_out:,} are left ({reasons})"
            )

    def document(self) -> dict[str, Any]:
        """Return the account as plain data."""
        return {"in": self.rows_in, "out": self.rows_out, "removed": dict(self.removed)}
