"""The result of the verb `validate`."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from starscale.validation.checks import FAILS, PASSES
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.columns import Column
from starscale.vocabulary.summary import Figures, Summarised

#: Columns of the table of checks.
CHECK_COLUMNS = {
    "test": Column("test", "string", description="what the catalogue is compared with"),
    "group": Column("group", "string", description="name of the cluster; all: all stars of the test"),
    "label": Column("label", "string", description="column of the catalogue"),
    "quantity": Column(
        "quantity",
        "string",
        description="offset (catalogue - reference), errors (scatter over stated error), trend (per 1000 K)",
    ),
    "unit": Column("unit", "string", description="unit of value, error, low and high"),
    "n": Column("n", "int64", ucd="meta.number", description="stars"),
    "outliers": Column("outliers", "int64", description="of these farther than three times the scatter"),
    "value": Column("value", description="measured value"),
    "error": Column("error", description="its standard error"),
    "low": Column("low", description="lower end of the range that is no fault"),
    "high": Column("high", description="upper end of that range"),
    "p": Column("p", description="probability of a value so far outside the range without a fault"),
    "p_holm": Column("p_holm", description="the same, corrected for the number of checks (Holm 1979)"),
    "verdict": Column("verdict", "string", description="passes, fails, or too few stars"),
    "sigma": Column("sigma", description="distance outside the range over the error"),
}


@dataclass(frozen=True, slots=True, repr=False)
class Validated(Summarised):
    """Result of :func:`validate`.

    Attributes
    ----------
    checks : polars.DataFrame
        One row for each quantity of each sample: value, error, range without fault, probability, verdict.
    stars : dict of str to polars.DataFrame
        Compared stars of every test.
    sentences : tuple of str
        The verdicts in words, in the order of `checks`.
    level : float
        Chance that a fault is found in a catalogue without any.
    notes : tuple of str
        What could not be tested, and rows that were left out.
    mock : bool
        Whether the stars are simulated, according to the tables.
    accounts : dict of str to RowAccount
        Rows of the catalogue, and of the other table of every test: those that were compared, and the others by
        reason.
    """

    checks: pl.DataFrame
    stars: dict[str, pl.DataFrame] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    level: float = float("nan")
    notes: tuple[str, ...] = ()
    mock: bool = False
    accounts: dict[str, RowAccount] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether something was tested and no check fails."""
        return bool((self.checks["verdict"] == PASSES).any()) and not bool((self.checks["verdict"] == FAILS).any())

    @property
    def faults(self) -> pl.DataFrame:
        """The checks that fail."""
        return self.checks.filter(pl.col("verdict") == FAILS)

    @property
    def fault_sentences(self) -> list[str]:
        """The same in words."""
        return [text for text, word in zip(self.sentences, self.checks["verdict"], strict=True) if word == FAILS]

    def _key_figures(self) -> Figures:
        title = "MOCK: " if self.mock else ""
        rows: list[tuple[str, object]] = list(self.checks["verdict"].value_counts(sort=True).iter_rows())
        rows += [("fault", text) for text in self.fault_sentences]
        return f"{title}{self.checks.height} checks of a catalogue", rows
