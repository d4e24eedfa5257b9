"""Errors for the user, and collecting problems so that all are reported at once.

A :class:`StarscaleError` has a cause that the user can remove (bad input, a wrong setting, a full disk): the
command prints its text and exits with code 2, without a traceback. Any other exception is a defect of the program;
the exit code is then 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class StarscaleError(Exception):
    """An error that the user can correct; the message says what is wrong, where, and how to correct it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of an input.

    Parameters
    ----------
    where : str
        File, column or configuration key.
    found : str
        What was found.
    expected : str
        What was expected.
    fix : str
        How to correct it.
    """

    where: str
    found: str
    expected: str = ""
    fix: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.found}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.fix:
            text += f". {self.fix}"
        return text


class InputError(StarscaleError):
    """One or more problems of an input; the message lists all of them."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        if len(self.problems) == 1:
            text = str(self.problems[0])
        else:
            lines = "\n".join(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))
            text = f"{len(self.problems)} problems:\n{lines}"
        super().__init__(text)

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        """Keep the problems when the error is pickled and sent to another process."""
        return type(self), (self.problems,)


@dataclass(slots=True)
class Problems:
    """Collects problems, so that all of them are reported together."""

    items: list[Problem] = field(default_factory=list)

    def add(self, where: str, found: str, expected: str = "", fix: str = "") -> None:
        """Add one problem."""
        self.items.append(Problem(where, found, expected, fix))

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Add the problems of an :class:`InputError` raised in the ``with`` block; continue after it."""
        try:
            yield
        except InputError as error:
            self.items.extend(error.problems)

    def raise_if_any(self, note: str = "") -> None:
        """Raise :class:`InputError` if there are any problems; `note` is shown after them."""
        if self.items:
            error = InputError(self.items)
            if note:
                error.add_note(note)
            raise error


def did_you_mean(name: str, choices: Iterable[str], *, hint: str = "") -> str:
    """Return ``'Did you mean ...?'`` for the closest of `choices`, or `hint` if none is close."""
    pool = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(name.lower(), pool, n=2, cutoff=0.6)
    # difflib misses names that contain `name` ('gaia_source_id' for 'source_id').
    near += [low for low in pool if low not in near and len(name) > 3 and name.lower() in low][:2]
    if not near:
        return hint
    return f"Did you mean {' or '.join(repr(pool[low]) for low in near[:2])}?"
