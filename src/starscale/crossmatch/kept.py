"""Candidates on disk, where they wait between the two steps of a match."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from starscale.crossmatch.kernel.candidates import Candidates
from starscale.crossmatch.kernel.matcher import Found
from starscale.crossmatch.kernel.pieces import SkyPiece

#: Candidates of a leading source, on average, that are worth their space on disk: each takes some 50 bytes.
_WORTH = 4


class CandidatesOnDisk:
    """Candidates in temporary files, one for each piece: they are read in a fraction of the time of a search.

    Those of a crowded piece are not kept, since they would take several times the space of the catalogues.

    Parameters
    ----------
    folder : Path
        Removed by the caller.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, piece: SkyPiece, found: list[Found]) -> None:
        """Write the candidates, unless there are too many."""
        if sum(len(run.pairs) for run in found) > _WORTH * len(piece.leading):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(piece).open("wb") as file:
            for run in found:
                for values in (*_columns(run.pairs), run.covered, run.edge):
                    np.save(file, values, allow_pickle=False)

    def take(self, piece: SkyPiece) -> list[Found] | None:
        """Read the candidates of a piece, and delete their file."""
        path = self._path(piece)
        if not path.exists():
            return None
        with path.open("rb") as file:
            found = [Found(run, _candidates(file), _array(file), _array(file)) for run in piece.runs()]
        path.unlink()
        return found

    def _path(self, piece: SkyPiece) -> Path:
        # The rows of a piece belong to no other one.
        return self._folder / f"{piece.leading.rows[0]}.npy"


def _columns(pairs: Candidates) -> list[NDArray[Any]]:
    return [getattr(pairs, field.name) for field in fields(pairs)]


def _candidates(file: BinaryIO) -> Candidates:
    return Candidates(*(_array(file) for _ in fields(Candidates)))


def _array(file: BinaryIO) -> NDArray[Any]:
    values: NDArray[Any] = np.load(file, allow_pickle=False)
    return values
