"""Our cross-match as an algorithm of LSDB: what it does with a partition and its margin."""

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
from starscale.crossmatch.kernel.curate import is_imprecise, take_out
from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.engine import leading_sources
from starscale.crossmatch.kernel.inputs import error_ceiling, side_of
from starscale.crossmatch.kernel.matcher import Matcher
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import Side, SkyPiece, among
from starscale.crossmatch.kernel.sample import Sample
from starscale.crossmatch.kernel.select import Mode
from starscale.surveys import Survey
from starscale.tables.standardise import standardise
from starscale.vocabulary.columns import Column
from starscale.vocabulary.settings.run import MatchConfig

#: Number of a row in the whole catalogue, which the engine adds to every partition.
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
    """From a partition of a catalogue to a side of a match.

    Parameters
    ----------
    where : str
        What to call the catalogue in an error.
    survey : Survey
    columns : tuple of str
        Those that a match looks at, as the catalogue spells them.
    found : mapping of str to Column
        What its files say of them.
    curated : str or None
        File with the rows that curation took out, and those that others were collapsed into (:func:`curation`).
    """

    where: str
    survey: Survey
    columns: tuple[str, ...]
    found: dict[str, Column]
    curated: str | None = None

    def table(self, partition: Any) -> pl.DataFrame:
        """A partition as the kernels expect it, with the numbers of its rows."""
        whole = table_of(partition, [*self.columns, ROW])
        return standardise(whole, self.survey, where=self.where, found_columns=self.found, whole=False)

    def side(self, table: pl.DataFrame) -> Side:
        """Its positions, after curation where there was one."""
        side = side_of(table, self.survey, self.where, whole=False)
        rows = table[ROW].to_numpy()
        if self.curated is None:
            return Side(side.positions, side.ids, rows, side.several, side.brightness)
        repeats, stand_ins = curation(self.curated)
        out = is_imprecise(side.positions, error_ceiling(self.survey)) | among(rows, repeats)
        several = among(rows, stand_ins)
        return Side(take_out(side.positions, out), side.ids, rows, several, side.brightness)


class StarscaleCrossmatch(AbstractCrossmatchAlgorithm):  # type: ignore[misc]
    """Good neighbours of the sources of a partition, by errors, motions and local density.

    The left catalogue leads. The right partition must come with a margin that is wide enough for the search
    radius and the fastest star; :mod:`.match` gives it one. Density and model are of the whole catalogues, and
    do not depend on partitions.

    Parameters
    ----------
    leading, searched : Reader
    config : MatchConfig
    mode : {"dense", "sparse"}
    density : str
        File with the density of the searched catalogue (:func:`density`).
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

    @property
    def matcher(self) -> Matcher:
        """The steps that see one piece of the sky."""
        return Matcher(self.config, self.mode, density(self.density))

    def piece(self, left: Any, right: Any) -> SkyPiece:
        """The piece of the sky that a partition and its surroundings are."""
        own, near = self.leading.side(self.leading.table(left)), self.searched.side(self.searched.table(right))
        return SkyPiece(own, near, self.mode) if self.mode == "dense" else SkyPiece(near, own, self.mode)

    def sample(self, left: Any, right: Any) -> Sample:
        """Stars of a partition that the model may be learnt from."""
        matcher = self.matcher
        return matcher.sample(matcher.candidates(self.piece(left, right)))

    def match(self, left: Any, right: Any) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Leading sources of a partition, their good neighbours, and the nearest candidates of those without."""
        piece, matcher = self.piece(left, right), self.matcher
        found = matcher.candidates(piece)
        covered = np.concatenate([run.covered for run in found])
        repeated = None
        if self.mode == "sparse" and self.leading.curated is not None:
            repeated = np.isin(piece.leading.rows, curation(self.leading.curated)[0])
        sources = leading_sources(piece.leading, covered, duplicate=repeated)
        return (sources, *matcher.neighbours(found, self.model))

    def perform_crossmatch(
        self, crossmatch_args: CrossmatchArgs
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], pd.DataFrame]:
        """Positions of the good pairs in both partitions, and what is known of each pair."""
        left, right = crossmatch_args.left_df, crossmatch_args.right_df
        matcher = self.matcher
        good, _ = matcher.neighbours(matcher.candidates(self.piece(left, right)), self.model)
        columns = {
            name: pd.Series(good[name].to_arrow().to_pandas(types_mapper=pd.ArrowDtype), dtype=dtype)
            for name, dtype in self.extra_columns.dtypes.items()
        }
        return _at(left, good["leading"]), _at(right, good["searched"]), pd.DataFrame(columns)


def _at(partition: Any, rows: pl.Series) -> NDArray[np.int64]:
    """Where rows of the whole catalogue stand in a partition. Shape (n,)."""
    numbers = partition[ROW].to_numpy(dtype=np.int64)
    order = np.argsort(numbers, kind="stable")
    return np.asarray(order[np.searchsorted(numbers[order], rows.to_numpy())], dtype=np.int64)


def save_density(path: Path, map_: DensityMap) -> None:
    """Keep the density of a catalogue where every worker can read it."""
    np.savez(path, pixels=map_.pixels, counts=map_.counts)


@lru_cache(maxsize=2)
def density(path: str) -> DensityMap:
    """Read what :func:`save_density` kept, once in every worker."""
    with np.load(path, allow_pickle=False) as file:
        return DensityMap(file["pixels"], file["counts"])


def save_curation(path: Path, repeats: NDArray[np.int64], stand_ins: NDArray[np.int64]) -> None:
    """Keep what curation found where every worker can read it."""
    np.savez(path, repeats=repeats, stand_ins=stand_ins)


@lru_cache(maxsize=2)
def curation(path: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Read what :func:`save_curation` kept, once in every worker."""
    with np.load(path, allow_pickle=False) as file:
        return file["repeats"], file["stand_ins"]
