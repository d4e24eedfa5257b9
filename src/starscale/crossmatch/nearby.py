"""The stars of a large catalogue that can be counterparts of a small one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.crossmatch.kernel.density import DensityMap, DensitySum
from starscale.crossmatch.kernel.inputs import match_columns, side_of
from starscale.crossmatch.kernel.pieces import NARROWEST, Epochs, Side
from starscale.surveys import Survey
from starscale.tables.healpix import cell_area, neighbourhoods, placed_cells
from starscale.tables.positions import Positions, positions
from starscale.tables.stream import pieces

#: Finest order of the cells that are searched.
_FINEST = 18


@dataclass(frozen=True, slots=True)
class Nearby:
    """Result of :func:`stars_near`.

    Attributes
    ----------
    side : Side
        The stars, in the order of their catalogue.
    density : DensityMap
        Of the whole catalogue.
    """

    side: Side
    density: DensityMap


def stars_near(path: Path, survey: Survey, around: Positions, radius: float) -> Nearby:
    """Read a catalogue of any size and keep the stars that can come near some positions.

    Parameters
    ----------
    path : Path
    survey : Survey
    around : Positions
        Positions with their epochs, of a catalogue that fits in memory.
    radius : float
        arcsec. Stars that are within it of one of the positions, at the epoch of that one, are all kept; most of
        the others are not.

    Returns
    -------
    Nearby

    Raises
    ------
    InputError
        As for the whole catalogue in memory.
    """
    order = _FINEST
    while order > 0 and NARROWEST * np.sqrt(cell_area(order)) < 2 * radius + 1:
        order -= 1
    reach = NARROWEST * np.sqrt(cell_area(order))
    occupied = _with_neighbours(placed_cells(around.ra, around.dec, order), order)
    epochs, counts, kept = Epochs.of(around), DensitySum(), []
    for table in pieces(path, survey, match_columns(survey)):
        where = positions(table, survey, str(path), whole=False)
        counts.add(DensityMap.of(where))
        # The few stars that move farther than the neighbouring cells are kept wherever they are.
        far = 1.001 * radius + 1.1e-3 * epochs.ways(where) > reach
        near = np.isin(placed_cells(where.ra, where.dec, order), occupied)
        kept.append(table.filter(pl.Series(where.valid & (far | near), dtype=pl.Boolean)))
    return Nearby(side_of(pl.concat(kept), survey, str(path), whole=False), counts.total())


def _with_neighbours(cells: NDArray[np.signedinteger], order: int) -> NDArray[np.signedinteger]:
    """Return cells and their neighbours, sorted; -1 is no cell."""
    found = np.unique(neighbourhoods(np.unique(cells[cells >= 0]), order))
    return found[found >= 0]
