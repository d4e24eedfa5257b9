"""Short texts about large objects: their key figures, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from starscale.vocabulary.columns import LABELS

#: Rows of a text, and length of a value, that are shown.
_ROWS, _LENGTH = 13, 88

Figures = tuple[str, list[tuple[str, object]]]


class Summarised:
    """An object that is shown by a title and its key figures, in 15 lines at most."""

    __slots__ = ()

    def _key_figures(self) -> Figures:
        """Return a title, and names with values."""
        raise NotImplementedError

    def __repr__(self) -> str:
        title, rows = _shortened(*self._key_figures())
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join([title, *(f"  {name:<{width}}  {value}".rstrip() for name, value in rows)])

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        """Return a table for a notebook; texts of files are shown as text, whatever they hold."""
        title, rows = _shortened(*self._key_figures())
        cells = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(value)}</td></tr>'
            for name, value in rows
        )
        caption = f'<caption style="text-align:left"><b>{escape(title)}</b></caption>'
        return f"<table>{caption}<tbody>{cells}</tbody></table>"


def _shortened(title: str, rows: Iterable[tuple[str, object]]) -> tuple[str, list[tuple[str, str]]]:
    """Return one line a row, none too long, and not too many rows."""
    lines = [(_line(name), _line(f"{value:,}" if type(value) is int else str(value))) for name, value in rows]
    if len(lines) > _ROWS + 1:
        lines = [*lines[:_ROWS], ("...", f"{len(lines) - _ROWS} more")]
    return _line(title), lines


def _line(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _LENGTH else f"{one[: _LENGTH - 3]}..."


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return the number of names, and the first few of them; "none" for no name."""
    known = list(names)
    return (
        f"{len(known)}: {', '.join([*known[:most], *(['...'] if len(known) > most else [])])}" if known else "none"
    )


def error_rows(figures: Iterable[Mapping[str, Any]]) -> list[tuple[str, object]]:
    """Return the MAD of every label on all stars, from figures of merit."""
    rows: list[tuple[str, object]] = []
    for row in figures:
        label = LABELS.get(str(row.get("label")))
        if row.get("by") == "all" and label is not None and row.get("mad") is not None:
            places = max(label.decimals - (label.unit == "K"), 0)
            rows.append(
                (
                    f"error of {label.name}",
                    f"MAD {row['mad']:.{places}f} {label.unit if label.unit == 'K' else 'dex'}",
                )
            )
    return rows
