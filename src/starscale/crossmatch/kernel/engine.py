"""The cross-match of two catalogues in memory: :mod:`.driver` with all rows in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.driver import MatchJob
from starscale.crossmatch.kernel.inputs import Curation, SkyRows
from starscale.crossmatch.kernel.matcher import Found
from starscale.crossmatch.kernel.model import PairModel
from starscale.crossmatch.kernel.pieces import Side, SkyPiece
from starscale.crossmatch.kernel.select import Mode
from starscale.crossmatch.kernel.stores import PieceResult, Results, Step, T
from starscale.crossmatch.kernel.tally import MatchedRows, MatchStatistics
from starscale.surveys import Survey
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.progress import Task
from starscale.vocabulary.settings.match import MatchConfig


class CatalogueInMemory:
    """A catalogue in memory: one piece.

    Parameters
    ----------
    content : SkyRows
    survey : Survey, optional
        Needed for curation.
    """

    undivided = True

    def __init__(self, content: SkyRows, survey: Survey | None = None) -> None:
        self._content, self.survey = content, survey

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._content.side)

    def read(self, task: Task) -> None:
        """Do nothing: the rows are in memory."""

    def each(
        self,
        step: Step[T],
        near: CatalogueInMemory | None = None,
        margin: Callable[[int], float] | None = None,  # noqa: ARG002
    ) -> Iterator[PieceResult[T]]:
        """Apply a step to all rows."""
        around = None if near is None else near._content
        yield PieceResult(0, self.rows, step(self._content, around))

    def curate(self, curation: Curation) -> None:
        """Apply the curation, and release the columns that only it needs."""
        if self.survey is not None:
            self._content = curation.applied(self._content.side, self.survey)

    def share(self, density: DensityMap) -> DensityMap:
        """Return the density map itself."""
        return density


class TableInMemory:
    """A result table of one group in memory."""

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []

    @property
    def groups(self) -> list[int]:
        """The only group."""
        return [0] if self._frames else []

    def append(self, frame: pl.DataFrame) -> None:
        """Add rows."""
        self._frames.append(frame)

    def read(self, group: int) -> pl.DataFrame:  # noqa: ARG002
        """Return all rows."""
        return pl.concat(self._frames) if len(self._frames) > 1 else self._frames[0]

    def take(self, group: int) -> pl.DataFrame:
        """Return all rows and remove them."""
        frame = self.read(group)
        self._frames.clear()
        return frame


class CandidatesInMemory:
    """The candidates of the only piece."""

    def __init__(self) -> None:
        self._found: list[Found] | None = None

    def put(self, piece: SkyPiece, found: list[Found]) -> None:  # noqa: ARG002
        """Keep the candidates."""
        self._found = found

    def take(self, piece: SkyPiece) -> list[Found] | None:  # noqa: ARG002
        """Return the candidates, and keep them no longer."""
        found, self._found = self._found, None
        return found


@dataclass(frozen=True, slots=True)
class Match:
    """Result of a match in memory.

    Attributes
    ----------
    best : polars.DataFrame
        Best pair of every leading source: columns of :data:`PAIR_COLUMNS`, and `degree`.
    neighbours : polars.DataFrame
        All good pairs.
    unmatched : polars.DataFrame
        Leading sources without a kept pair, with the reason.
    duplicates : polars.DataFrame
        Rows of the external catalogue that repeat another, and the row that represents them.
    model : PairModel
    statistics : MatchStatistics
    losses : dict of str to int
        Leading sources without a pair, by reason.
    account : RowAccount
        Leading sources, those with a kept pair, and the others by reason.
    """

    best: pl.DataFrame
    neighbours: pl.DataFrame
    unmatched: pl.DataFrame
    duplicates: pl.DataFrame
    model: PairModel
    statistics: MatchStatistics
    losses: dict[str, int]
    account: RowAccount


def match_in_memory(
    moving: CatalogueInMemory,
    standing: CatalogueInMemory,
    config: MatchConfig,
    mode: Mode,
    *,
    curate: bool = False,
    density: DensityMap | None = None,
    task: Task | None = None,
) -> Match:
    """Match two catalogues in memory; the parameters are those of :class:`.driver.MatchJob`."""
    results = Results(TableInMemory(), TableInMemory(), TableInMemory(), CandidatesInMemory())
    job = MatchJob(moving, standing, config, mode, results, curate=curate, density=density, task=task)
    rows: MatchedRows
    (rows,) = job.run()
    tables = (rows.best, rows.neighbours, rows.unmatched, job.duplicates)
    return Match(*tables, job.model, job.statistics, job.tally.losses, job.account)


def crossmatch(
    moving: Side,
    standing: Side,
    config: MatchConfig,
    mode: Mode,
    *,
    duplicate: NDArray[np.bool_] | None = None,
    density: DensityMap | None = None,
) -> Match:
    """Match two catalogues in memory, given as arrays.

    Parameters
    ----------
    moving, standing : Side
        Gaia, and the external catalogue after curation.
    config : MatchConfig
    mode : {"dense", "sparse"}
        Leading catalogue: Gaia, or the external one.
    duplicate : ndarray of bool, (n_standing,), optional
        Rows that curation removed as repeated; reported in `unmatched` where the external catalogue leads.
    density : DensityMap, optional
        Density of the whole searched catalogue, where only the part within reach is given.

    Returns
    -------
    Match
    """
    external = CatalogueInMemory(SkyRows(standing, duplicate))
    return match_in_memory(CatalogueInMemory(SkyRows(moving)), external, config, mode, density=density)
