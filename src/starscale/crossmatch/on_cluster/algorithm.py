"""The cross-match as an algorithm of LSDB, and the data that the workers share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from lsdb.core.crossmatch.abstract_crossmatch_algorithm import AbstractCrossmatchAlgorithm
from lsdb.core.crossmatch.crossmatch_args import CrossmatchArgs
from numpy.typing import NDArray

from starscale.cluster.catalogue import table_of
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.inputs import Curation, SkyRows
from starscale.crossmatch.kernel.matcher import Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import SkyPiece
from starscale.crossmatch.kernel.select import Mode
from starscale.crossmatch.tiles import side_with_rows
from starscale.surveys import Survey
from starscale.tables.standardise import standardise
from starscale.vocabulary.columns import Column
from starscale.vocabulary.settings.match import MatchConfig

#: Column with the row number in the whole catalogue, which the engine adds to every partition.
ROW = "__row"
_EXTRA = (
    "angular_distance",
    "normalised_distance",
    "score",
    "match_probability",
    "xm_flag",
    "number_of_neighbours",
)


@dataclass(frozen=True)
class Reader:
    """Converts a partition of a catalogue to the rows of a match.

    Parameters
    ----------
    where : str
        Name of the catalogue in error messages.
    survey : Survey
    columns : tuple of str
        Columns that a match needs, as the catalogue spells them.
    found : mapping of str to Column
        Descriptions of the columns in the files.
    curation : Curation or None
        Applied where it is known.
    """

    where: str
    survey: Survey
    columns: tuple[str, ...]
    found: dict[str, Column]
    curation: Curation | None = None

    def rows(self, partition: Any) -> SkyRows:
        """Convert a partition with row numbers."""
        whole = table_of(partition, [*self.columns, ROW])
        table = standardise(whole, self.survey, where=self.where, found_columns=self.found, whole=False)
        return side_with_rows(table, self.survey, self.where, ROW, self.curation)


class StarscaleCrossmatch(AbstractCrossmatchAlgorithm):  # type: ignore[misc]
    """Good neighbours of the sources of a partition, by errors, motions and local density.

    The left catalogue leads. The right partition needs a margin that is wide enough for the search radius and the
    fastest star. Density and model describe the whole catalogues and do not depend on the partitions.

    Parameters
    ----------
    leading, searched : Reader
    config : MatchConfig
    mode : {"dense", "sparse"}
    density : str
        File with the density of the searched catalogue (:func:`save_density`).
    model : PairModel
    """

    extra_columns = pd.DataFrame(
        {
            name: pd.Series(dtype=pd.ArrowDtype(pa.int32() if name in _EXTRA[-2:] else pa.float64()))
            for name in _EXTRA
        }
    )

    def __init__(
        self,
        leading: Reader,
        searched: Reader,
        config: MatchConfig,
        mode: Mode,
        density: str,
        model: PairModel | None = None,
    ) -> None:
        super().__init__()
        self.leading, self.searched, self.config, self.mode = leading, searched, config, mode
        self.density, self.model = density, model or PairModel()

    def perform_crossmatch(
        self, crossmatch_args: CrossmatchArgs
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], pd.DataFrame]:
        """Return the indices of the good pairs in both partitions, and the columns of each pair."""
        left, right = crossmatch_args.left_df, crossmatch_args.right_df
        own, near = self.leading.rows(left).side, self.searched.rows(right).side
        piece = SkyPiece(own, near, self.mode) if self.mode == "dense" else SkyPiece(near, own, self.mode)
        matcher = Matcher(self.config, self.mode, load_density(self.density))
        good, _ = matcher.neighbours(matcher.candidates(piece), self.model)
        columns = {
            name: pd.Series(good[name].to_arrow().to_pandas(types_mapper=pd.ArrowDtype), dtype=dtype)
            for name, dtype in self.extra_columns.dtypes.items()
        }
        return _at(left, good["leading"]), _at(right, good["searched"]), pd.DataFrame(columns)


def _at(partition: Any, rows: pl.Series) -> NDArray[np.int64]:
    """Positions, in a partition, of rows given by their number in the whole catalogue. Shape (n,)."""
    numbers = partition[ROW].to_numpy(dtype=np.int64)
    order = np.argsort(numbers, kind="stable")
    return np.asarray(order[np.searchsorted(numbers[order], rows.to_numpy())], dtype=np.int64)


class SharedDensity(DensityMap):
    """A density map that is sent to a worker as the path of its file."""

    def __init__(self, density: DensityMap, path: Path) -> None:
        super().__init__(density.pixels, density.counts)
        save_density(path, density)
        object.__setattr__(self, "_path", str(path.resolve()))

    def __reduce__(self) -> tuple[Any, ...]:
        return load_density, (self._path,)  # type: ignore[attr-defined]


class SharedCuration(Curation):
    """The result of a curation that is sent to a worker as the path of its file."""

    def __init__(self, curation: Curation, path: Path) -> None:
        super().__init__(curation.repeats, curation.representatives)
        np.savez(path, repeats=self.repeats, representatives=self.representatives)
        object.__setattr__(self, "_path", str(path.resolve()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_curation, (self._path,)  # type: ignore[attr-defined]


def save_density(path: Path, density: DensityMap) -> None:
    """Write the density of a catalogue to a file that every worker can read."""
    np.savez(path, pixels=density.pixels, counts=density.counts)


@lru_cache(maxsize=2)
def load_density(path: str) -> DensityMap:
    """Read a file of :func:`save_density`, once in every worker."""
    with np.load(path, allow_pickle=False) as file:
        return DensityMap(file["pixels"], file["counts"])


@lru_cache(maxsize=2)
def _load_curation(path: str) -> Curation:
    with np.load(path, allow_pickle=False) as file:
        return Curation(file["repeats"], file["representatives"])
