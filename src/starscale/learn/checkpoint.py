"""A training that was killed goes on from its last checkpoint.

A checkpoint is a folder with a safetensors file for each part of the training, written whole or not at all, with a
key of everything that the training depends on; one of another training is ignored. The random numbers of an epoch
follow from the seed and the number of the epoch, so a resumed training ends with the model of an undisturbed one.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from starscale.io import atomic
from starscale.learn.arrays import Arrays

#: Seconds between two checkpoints: what a kill costs at most, and far more than writing takes.
EVERY = 20.0


@dataclass
class Checkpoint:
    """Where a training keeps its state.

    Parameters
    ----------
    folder : Path or None
        None: nothing is kept.
    key : str
        Fingerprint of data and settings.

    Attributes
    ----------
    resumed : bool
        Whether anything that was kept has been used.
    """

    folder: Path | None = None
    key: str = ""
    resumed: bool = field(default=False, init=False)
    _last: float = field(default_factory=time.monotonic)

    def load(self, part: str) -> Arrays | None:
        """Return what was saved last of a part, if it belongs to this very training."""
        if self.folder is None or not (path := self._file(part)).exists():
            return None
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                if (file.metadata() or {}) != self._metadata(part):
                    return None
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError):
            # A checkpoint saves time; a damaged one costs that time and nothing else.
            return None
        self.resumed = True
        return arrays

    @property
    def due(self) -> bool:
        """Whether it is some time since something was kept."""
        return time.monotonic() - self._last >= EVERY

    def save(self, part: str, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        """Keep the state of a part, unless something was kept just before."""
        if self.folder is None or not (now or self.due):
            return
        whole = {name: np.asarray(array, order="C") for name, array in arrays().items()}
        with atomic(self._file(part)) as partial:
            safetensors.numpy.save_file(whole, partial, self._metadata(part))
        self._last = time.monotonic()

    def done(self) -> None:
        """Remove the folder: the training is over."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, part: str) -> Path:
        if self.folder is None:
            raise TypeError("this checkpoint keeps nothing")
        return self.folder / f"{re.sub('[^a-z0-9]+', '_', part.lower())}.safetensors"

    def _metadata(self, part: str) -> dict[str, str]:
        return {"key": self.key, "part": part}
