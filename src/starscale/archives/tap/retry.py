"""Another attempt, later: pauses that double and differ, so that many clients do not come back at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starscale.archives.tap.trouble import CancelledError, TransientError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when.

    `attempts` in all; before the second one a pause of about `first` seconds, which doubles each time up to
    `longest`. The pause is drawn between half of that and all of it.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0

    def pause(self, failures: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait after so many failures."""
        return min(self.first * 2.0 ** (failures - 1), self.longest) * (0.5 + 0.5 * chance())

    def call(
        self, work: Callable[[], Result], *, stop: threading.Event, told: Callable[[str], None] = lambda _: None
    ) -> tuple[Result, int]:
        """Do `work`, again where it fails in a way that may pass; returns its result and the number of attempts.

        Raises
        ------
        TransientError
            Of the last attempt.
        CancelledError
            When `stop` is set meanwhile.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return work(), attempt
            except TransientError as error:
                if attempt == self.attempts:
                    raise TransientError(f"{error} (after {attempt} attempts)") from error
                pause = self.pause(attempt)
                told(f"{error}; attempt {attempt + 1} of {self.attempts} in {pause:.0f} s")
                if stop.wait(pause):
                    raise CancelledError("stopped") from error
        raise ValueError("a retry has at least one attempt")
