"""A progress display that hands every message to a function."""

from __future__ import annotations

from collections.abc import Callable

from starscale.vocabulary.progress import SilentProgress


class Recorder(SilentProgress):
    """Receives messages, and counts nothing."""

    def __init__(self, receive: Callable[[str], object]) -> None:
        self.receive = receive

    def message(self, text: str) -> None:
        self.receive(text)
