"""Where on the sky a catalogue holds stars: a multi-order coverage map (IVOA MOC 2.0) as FITS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from starscale import io
from starscale.version import __version__
from starscale.vocabulary.later import Later

fits = Later("astropy.io.fits")

#: Cells of the coarsest order.
_BASE = 12


def merged_cells(pixels: NDArray[np.integer], order: int) -> dict[int, NDArray[np.int64]]:
    """Replace every four cells that fill a coarser one by that one.

    Parameters
    ----------
    pixels : ndarray, (n,)
        Nested HEALPix cells of one order.
    order : int

    Returns
    -------
    dict of int to ndarray
        Cells by order, without repetition; together they cover what `pixels` do.
    """
    found, cells = {}, np.unique(pixels).astype(np.int64)
    for level in range(order, 0, -1):
        parents, counts = np.unique(cells >> 2, return_counts=True)
        whole = parents[counts == 4]
        found[level] = cells[~np.isin(cells >> 2, whole)]
        cells = whole
    found[0] = cells
    return {level: of for level, of in found.items() if len(of)}


def write_moc(output: Path, pixels: NDArray[np.integer], order: int) -> float:
    """Write the coverage of some cells (ICRS); return the share of the sky that it covers."""
    cells = merged_cells(pixels, order)
    # The NUNIQ number of a cell: 4 * 4^order + cell.
    unique = [np.sort((4 << 2 * level) + of) for level, of in sorted(cells.items())]
    column = fits.Column(
        name="UNIQ", format="K", array=np.concatenate(unique) if unique else np.empty(0, np.int64)
    )
    table = fits.BinTableHDU.from_columns([column])
    for key, value in {
        "MOCVERS": "2.0",
        "MOCDIM": "SPACE",
        "ORDERING": "NUNIQ",
        "COORDSYS": "C",
        "MOCORD_S": order,
        "MOCORDER": order,
        "MOCTOOL": f"starscale {__version__}",
    }.items():
        table.header[key] = value
    with io.atomic(output) as partial:
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(partial)
    return float(sum(len(of) / (_BASE * 4.0**level) for level, of in cells.items()))
