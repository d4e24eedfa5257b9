"""What came out, in a few lines for the terminal: after a run, an applied model or a prediction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starscale.model.predict import Predicted
from starscale.reports.finished import REPORT_FILE, FinishedRun, mapping

#: Cuts and flags that are named; the others are counted.
_NAMED = 5


@dataclass(frozen=True)
class Outcome:
    """What a verb read, removed, predicted and flagged, and where its files are.

    Attributes
    ----------
    rows_in : mapping of str to int
        Rows of every table.
    removed : mapping of str to int
        Rows that were removed, by what removed them.
    rows, predicted : int
        Rows of the catalogue, and those with a prediction.
    flags : mapping of str to int
        Rows that carry each flag.
    files : mapping of str to path
        By what they are.
    mock : bool
        The data, or the stars of the training, are simulated.
    """

    rows_in: Mapping[str, int]
    removed: Mapping[str, int]
    rows: int
    predicted: int
    flags: Mapping[str, int]
    files: Mapping[str, str | Path] = field(default_factory=dict)
    mock: bool = False

    @classmethod
    def of_run(cls, folder: Path) -> Outcome:
        """Return the outcome of the run in a folder."""
        run = FinishedRun.load(folder)
        cuts, predicted = run.attritions("clean"), run.result("predict")
        removed = {
            f"{survey}.{row.name}": row.in_sequence
            for survey, attrition in cuts.items()
            for row in attrition.rows
            if row.of == "star"
        }
        if run.results("match"):
            lead = next(iter(cuts.values()))
            removed["no counterpart"] = lead.n_out - int(run.result("join")["stars"])
        return cls(
            {survey: attrition.n_in for survey, attrition in cuts.items()},
            removed,
            int(predicted["rows"]),
            int(predicted["predicted"]),
            mapping(predicted.get("flags")),
            {"catalogue": os.path.normpath(run.catalogue), "report": folder / REPORT_FILE},
            run.mock,
        )

    @classmethod
    def of_prediction(cls, found: Predicted, table: str, output: str | Path, *, mock: bool) -> Outcome:
        """Return the outcome of a prediction, which keeps every row."""
        return cls({table: found.rows}, {}, found.rows, found.predicted, found.flags, {"catalogue": output}, mock)


def closing(outcome: Outcome) -> str:
    """Say what came out, a line for each question: rows in, removed, out and predicted, flagged, files.

    What removed or flagged most rows comes first.
    """
    predicted = f"{outcome.predicted:,} of {outcome.rows:,} stars predicted"
    lines = [
        f"rows in:   {', '.join(f'{name} {n:,}' for name, n in outcome.rows_in.items())}",
        f"removed:   {_most(outcome.removed)}",
        f"rows out:  {outcome.rows:,}; {predicted}{' (MOCK: simulated stars)' if outcome.mock else ''}",
        f"flagged:   {_most(outcome.flags, outcome.rows)}",
        f"files:     {', '.join(f'{what} {path}' for what, path in outcome.files.items())}",
    ]
    return "\n".join(lines)


def _most(counts: Mapping[str, int], of: int = 0) -> str:
    """Return counts, the largest first, as shares of a number if one is given."""
    there = sorted(((n, name) for name, n in counts.items() if n), key=lambda item: -item[0])
    told = [f"{name} {n:,}" + (f" ({100 * n / of:.0f} %)" if of else "") for n, name in there[:_NAMED]]
    told += [f"{len(there) - _NAMED} more"] if there[_NAMED:] else []
    return ", ".join(told) or "none"
