"""Checkpoints: a training that was interrupted resumes at its last checkpoint.

The folder of a training is a job folder (:mod:`starscale.io.job_folder`) with a safetensors file for each part of
the training; its key is the fingerprint of data and settings, and checkpoints of another training are ignored. The
random numbers of an epoch follow from the seed and the number of the epoch, so a resumed training gives the same
model.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from starscale.io.atomic import atomic
from starscale.io.job_folder import JobFolder
from starscale.learn.arrays import Arrays

#: Seconds between two checkpoints: the most that an interruption costs, and far more than writing takes.
EVERY = 20.0

_NAMES = ("checkpoint-*.safetensors", "checkpoint-*.safetensors.partial-*")


@dataclass
class Checkpoint:
    """Stores the state of a training.

    Parameters
    ----------
    folder : Path or None
        None: nothing is stored. The caller sees to it that one process at a time uses the folder.
    key : str
        Fingerprint of data and settings.

    Attributes
    ----------
    resumed : bool
        Whether a stored state has been used.
    """

    folder: Path | None = None
    key: str = ""
    resumed: bool = field(default=False, init=False)
    _job: JobFolder | None = field(default=None, init=False, repr=False)
    _last: float = field(default_factory=time.monotonic)

    def load(self, part: str) -> Arrays | None:
        """Return the last stored state of a part, or None; a damaged file costs time and nothing else."""
        if self.folder is None:
            return None
        job = self._job or JobFolder(self.folder, _NAMES)
        stored = [entry for entry in job.parts if entry.get("part") == part]
        if not job.is_of(self._key) or not stored or not job.intact(stored[-1]):
            return None
        if len(stored[-1]["files"]) != 1:
            return None
        (name,) = stored[-1]["files"]
        try:
            arrays = safetensors.numpy.load_file(job.file(name))
        except (OSError, safetensors.SafetensorError):
            return None
        self.resumed = True
        return arrays

    @property
    def foreign(self) -> bool:
        """Whether the folder holds states of another training, which will be discarded."""
        if self.folder is None:
            return False
        job = JobFolder(self.folder, _NAMES)
        return bool(job.parts) and not job.is_of(self._key)

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is :data:`EVERY` seconds old."""
        return time.monotonic() - self._last >= EVERY

    def save(self, part: str, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        """Store the state of a part if a checkpoint is due, or `now`."""
        if self.folder is None or not (now or self.due):
            return
        if self._job is None:
            self._job = JobFolder(self.folder, _NAMES)
            self._job.begin(self._key)
        job = self._job
        whole = {name: np.asarray(array, order="C") for name, array in arrays().items()}
        before = {name for entry in job.parts if entry.get("part") == part for name in entry["files"]}
        # A new name each time: the state before stays valid until the new one is recorded.
        name = f"checkpoint-{re.sub('[^a-z0-9]+', '_', part.lower())}-{len(job.parts)}.safetensors"
        with atomic(job.file(name)) as partial:
            safetensors.numpy.save_file(whole, partial)
        job.complete([name], part=part)
        for old in before:
            job.file(old).unlink(missing_ok=True)
        self._last = time.monotonic()

    def done(self) -> None:
        """Remove the stored states, and the folder unless it holds other files."""
        if self.folder is not None:
            with suppress(OSError):
                (self._job or JobFolder(self.folder, _NAMES)).clear()
                self.folder.rmdir()

    @property
    def _key(self) -> dict[str, str]:
        return {"training": self.key}
