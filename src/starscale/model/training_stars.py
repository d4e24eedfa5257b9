"""The stars that a model was trained, validated and tested on, as hashes of their identifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.features.splits import PARTS
from starscale.tables.hashes import stable_hash
from starscale.vocabulary.errors import InputError, Problem

#: Seed of the hashes: the same in every bundle.
_SEED = 0
#: What is said of a model without the list.
UNKNOWN = "the bundle of the model is of an earlier build and has no list of its training stars"


@dataclass(frozen=True, eq=False)
class TrainingStars:
    """The labelled stars of a training, by part.

    A star takes 8 bytes. Two identifiers have the same hash with a probability of 5e-20: with a million labelled
    stars, a catalogue of a billion has one wrong entry with a probability of 5e-5.

    Attributes
    ----------
    hashes : mapping of str to ndarray of uint64
        For every part (``train``, ``validation``, ``test``), the sorted hashes of the identifiers.
    """

    hashes: Mapping[str, NDArray[np.uint64]]

    @classmethod
    def of(cls, ids: pl.Series, rows: Mapping[str, NDArray[np.intp]], dtype: str) -> TrainingStars:
        """Return the stars of a training table.

        Parameters
        ----------
        ids : polars.Series, (n,)
            Identifiers; a star may have several rows.
        rows : mapping of str to ndarray of int
            Row numbers of each part.
        dtype : str
            Type of the identifiers in a catalogue: whole numbers, or "string".
        """
        same = ids.cast(pl.String if dtype == "string" else pl.Int64, strict=False)
        return cls({name: np.unique(_hashed(same.gather(rows[name]).drop_nulls())) for name in PARTS})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], where: str) -> TrainingStars:
        """Restore the stars from the arrays of a bundle.

        Raises
        ------
        InputError
            An array is missing, or is not one of sorted hashes.
        """
        found = {name: arrays[name] for name in PARTS if name in arrays}
        for name in PARTS:
            array = found.get(name)
            if array is None or array.dtype != np.uint64 or array.ndim != 1 or (array[1:] <= array[:-1]).any():
                expected = "a sorted array of 64-bit hashes for every part"
                raise InputError(Problem(where, f"has no list of the stars of the part {name!r}", expected))
        return cls({name: array.astype(np.uint64) for name, array in found.items()})

    def part_of(self, ids: pl.Series) -> pl.Series:
        """Return the part of every star: ``train``, ``validation``, ``test``, or null for any other star."""
        hashes = _hashed(ids.fill_null("" if ids.dtype == pl.String else 0))
        number = np.full(len(ids), -1, dtype=np.int8)
        for i, name in enumerate(PARTS):
            number[_in(hashes, self.hashes[name])] = i
        number[ids.is_null().to_numpy()] = -1
        return pl.Series("part", [*PARTS, None], dtype=pl.String)[np.where(number < 0, len(PARTS), number)]


def _hashed(ids: pl.Series) -> NDArray[np.uint64]:
    return stable_hash(ids, _SEED)


def _in(values: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether values are among sorted ones."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.asarray(known[place] == values)
