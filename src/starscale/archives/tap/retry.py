"""Repeat failed requests after randomised pauses that double (exponential backoff with jitter)."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starscale.archives.tap.trouble import CancelledError, TransientError
from starscale.vocabulary.progress import SILENT, Progress

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Retry:
    """Number of attempts and the pauses between them.

    The pause after the n-th failure is ``min(first * 2^(n-1), longest)`` seconds, times a random factor between
    0.5 and 1, so that many clients do not return at the same moment.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0

    def pause(self, failures: int, chance: Callable[[], float] = random.random) -> float:
        """Return the seconds to wait after this number of failures."""
        return min(self.first * 2.0 ** (failures - 1), self.longest) * (0.5 + 0.5 * chance())

    def call(
        self, work: Callable[[], Result], *, stop: threading.Event, progress: Progress = SILENT
    ) -> tuple[Result, int]:
        """Call `work` until it succeeds, fails for good, or the attempts are used up.

        Returns
        -------
        result : any
            What `work` returned.
        attempts : int
            Number of calls.

        Raises
        ------
        TransientError
            The error of the last attempt.
        CancelledError
            If `stop` was set during a pause.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return work(), attempt
            except TransientError as error:
                if attempt == self.attempts:
                    raise TransientError(f"{error} (after {attempt} attempts)") from error
                pause = self.pause(attempt)
                progress.message(f"{error}; attempt {attempt + 1} of {self.attempts} in {pause:.0f} s")
                if stop.wait(pause):
                    raise CancelledError("stopped") from error
        raise ValueError("a retry has at least one attempt")
