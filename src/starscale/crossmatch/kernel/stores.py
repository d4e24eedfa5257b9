"""Interface of a store: a catalogue divided into pieces, and tables of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import polars as pl

from starscale.crossmatch.kernel.density import DensityMap
from starscale.crossmatch.kernel.inputs import Curation, SkyRows
from starscale.crossmatch.kernel.matcher import Found
from starscale.crossmatch.kernel.pieces import SkyPiece
from starscale.surveys import Survey
from starscale.vocabulary.progress import Task

T = TypeVar("T")


T_co = TypeVar("T_co", covariant=True)


class PieceResult(NamedTuple, Generic[T]):
    """Result of a step for one piece of a catalogue: number of the piece, number of its rows, result."""

    piece: int
    rows: int
    result: T


class Step(Protocol[T_co]):
    """A function of the rows of a piece and of the rows around it; None if no rows can be around it."""

    def __call__(self, own: SkyRows, near: SkyRows | None) -> T_co:
        """Apply the step."""


class Catalogue(Protocol):
    """One catalogue of a match, divided into pieces of the sky.

    Attributes
    ----------
    survey : Survey or None
        Describes the columns; needed for curation only.
    rows : int
        Number of rows; known after :meth:`read`.
    undivided : bool
        All rows are one piece, so no margin is needed.
    """

    @property
    def survey(self) -> Survey | None:
        """Survey of the catalogue."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def undivided(self) -> bool:
        """Whether all rows are one piece."""

    def read(self, task: Task) -> None:
        """Read the catalogue once: count its rows and divide them into pieces."""

    def each(
        self, step: Step[T], near: Self | None = None, margin: Callable[[int], float] | None = None
    ) -> Iterator[PieceResult[T]]:
        """Apply a step to every piece.

        Parameters
        ----------
        step : callable
            Receives the rows of the piece and, with `near`, those around it. Rows without a position form a piece
            with a negative number and nothing around it, or belong to the only piece.
        near : Catalogue, optional
            Catalogue of which the rows around the piece are passed to the step.
        margin : callable, optional
            Width (arcsec) of the margin around a piece, given its number.
        """

    def curate(self, curation: Curation) -> None:
        """Apply the result of the curation to all rows passed to later steps."""

    def share(self, density: DensityMap) -> DensityMap:
        """Return the density map in a form that can be part of a step."""


class ResultTable(Protocol):
    """A table in groups of consecutive leading rows, which is filled piece by piece."""

    @property
    def groups(self) -> list[int]:
        """Groups that have rows, in order."""

    def append(self, frame: pl.DataFrame) -> None:
        """Add rows; their column `leading` determines the group."""

    def read(self, group: int) -> pl.DataFrame:
        """Return the rows of a group in the order in which they were added."""

    def take(self, group: int) -> pl.DataFrame:
        """Return the rows of a group and remove them from the table."""


class KeptCandidates(Protocol):
    """Candidates of pieces, each given away once."""

    def put(self, piece: SkyPiece, found: list[Found]) -> None:
        """Keep the candidates of a piece, or not."""

    def take(self, piece: SkyPiece) -> list[Found] | None:
        """Return the candidates of a piece, and keep them no longer; None where they were not kept."""


@dataclass(frozen=True, slots=True)
class Results:
    """Results of all pieces.

    Parameters
    ----------
    found, nearest, sources : ResultTable
        Good neighbours, nearest candidates of sources without any, and leading sources.
    candidates : KeptCandidates, optional
        Where candidates wait between two steps; None: they are searched twice.
    """

    found: ResultTable
    nearest: ResultTable
    sources: ResultTable
    candidates: KeptCandidates | None = None
