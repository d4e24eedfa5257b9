"""A table of text cells, shown in a terminal, in Markdown or on an HTML page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

#: A number, a number with its spread, or a range; a dash or an empty cell stands for a missing number.
_NUMBER = re.compile(r"-?|[-+]?\d[\d.,e+-]*( (±|\+-|to) -?\d[\d.,e+-]*)?( %)?")
_SPREAD = re.compile(r"(?<=\d) \+- (?=[\d-])")


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Headings and cells, with a caption.

    Parameters
    ----------
    headings : sequence of str
    rows : sequence of sequence of str
        One cell for each heading.
    code : sequence of int
        Columns in typewriter type on an HTML page.
    caption : str
        Title of the table. Text with a method ``__html__`` is inserted as it is, other text is escaped.
    result : bool
        The table shows results, so its caption on an HTML page says whether the stars are simulated.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    code: Sequence[int] = ()
    caption: str = ""
    result: bool = True

    def captioned(self, caption: str, *, code: Sequence[int] = (), result: bool = True) -> ReportTable:
        """Return the same table with a caption."""
        return replace(self, caption=caption, code=code, result=result)

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers only, shape (n_columns,)."""
        return [all(_NUMBER.fullmatch(row[i]) for row in self.rows) for i in range(len(self.headings))]

    @property
    def cells(self) -> list[list[str]]:
        """Cells for an HTML page: a spread follows a plus-minus sign."""
        return [[_SPREAD.sub(" ± ", cell) for cell in row] for row in self.rows]

    def text(self, *, width: int = 60) -> str:
        """Return aligned columns for a terminal: numbers to the right, texts longer than `width` shortened."""
        lines = [[_shortened(cell, width) for cell in row] for row in [self.headings, *self.rows]]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        sides = [str.rjust if numeric else str.ljust for numeric in self.numeric]
        head, *body = [
            "  ".join(side(cell, w) for cell, w, side in zip(line, widths, sides, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join([head, "-" * len(head), *body])

    def markdown(self) -> str:
        """Return a Markdown table."""
        lines = ["| " + " | ".join(row) + " |" for row in [self.headings, *self.rows]]
        return "\n".join([lines[0], "|" + "---|" * len(self.headings), *lines[1:]])


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
