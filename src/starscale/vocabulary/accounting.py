"""Every row that a verb reads is in its output, or was removed for a reason that is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Key of the account in the recorded result of a step.
ACCOUNT = "account"


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

    def __add__(self, other: RowAccount) -> RowAccount:
        """Return the account of both tables together."""
        return RowAccount(
            self.rows_in + other.rows_in,
            self.rows_out + other.rows_out,
            removed_for(*self.removed.items(), *other.removed.items()),
        )

    def document(self) -> dict[str, Any]:
        """Return the account as plain data."""
        return {"in": self.rows_in, "out": self.rows_out, "removed": dict(self.removed)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> RowAccount:
        """Restore the result of :meth:`document`."""
        return cls(document["in"], document["out"], document["removed"])


def removed_for(*reasons: tuple[str, int]) -> dict[str, int]:
    """Return rows removed by reason, without reasons that removed none; those of one name are added."""
    removed: dict[str, int] = {}
    for reason, rows in reasons:
        if rows:
            removed[reason] = removed.get(reason, 0) + rows
    return removed


def accounts_of(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, RowAccount]:
    """Return the accounts that the steps of a run recorded, by step."""
    return {
        name: RowAccount.from_document(step["result"][ACCOUNT])
        for name, step in steps.items()
        if ACCOUNT in step["result"]
    }
