"""HATS catalogues written partition by partition, by many workers at the same time.

Each worker writes the data file of its partition with :mod:`starscale.io`, as on one machine; the files that
describe the catalogue as a whole are written once, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hats
import numpy as np
import polars as pl
from hats.catalog import PartitionInfo, TableProperties
from hats.io import file_io, paths
from hats.io.skymap import write_skymap
from hats.pixel_math import HealpixPixel
from numpy.typing import NDArray

from starscale.io import open_writer
from starscale.version import __version__
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import StarscaleError

#: Order of the cells of the index, and of those that the map of the sky counts.
INDEX_ORDER, MAP_ORDER = 29, 8


@dataclass(frozen=True, slots=True)
class Partition:
    """What the files of the whole catalogue need to know of a partition.

    Parameters
    ----------
    order, pixel, rows : int
    cells, counts : ndarray of int, (n,)
        Occupied cells of order :data:`MAP_ORDER` and their rows.
    """

    order: int
    pixel: int
    rows: int
    cells: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def file(self) -> str:
        """Its data file, inside the folder of the catalogue."""
        return data_file((self.order, self.pixel))


def data_file(cell: tuple[int, int]) -> str:
    """Return the data file of a cell (order and number), inside the folder of a catalogue of starscale."""
    order, pixel = cell
    return f"dataset/Norder={order}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"


def write_partition(
    frame: pl.DataFrame,
    index: Column,
    folder: Path,
    cell: tuple[int, int],
    columns: Mapping[str, Column],
    metadata: Mapping[str, str],
) -> Partition:
    """Write the data file of a partition atomically; it may be written again.

    Parameters
    ----------
    frame : polars.DataFrame, (n, any)
        With the column `index`.
    index : Column
        Cell of order 29 of every row.
    folder : Path
        Of the catalogue that is being made.
    cell : (int, int)
        Order and number of the partition's cell.
    columns : mapping of str to Column
    metadata : mapping of str to str

    Raises
    ------
    StarscaleError
        The folder is gone, or the disk refuses.
    """
    found = counted(cell, frame[index.name])
    check_folder(folder)
    if frame.height:
        with open_writer(folder / found.file, frame.schema, columns=columns, metadata=metadata) as writer:
            writer.append(frame)
    return found


def counted(cell: tuple[int, int], index: pl.Series) -> Partition:
    """Return what is known of a partition, given the cells of order 29 of its rows."""
    spots = index.to_numpy() >> (2 * (INDEX_ORDER - MAP_ORDER))
    cells, counts = np.unique(spots, return_counts=True)
    return Partition(*cell, len(index), cells.astype(np.int64), counts.astype(np.int64))


def check_folder(folder: Path) -> None:
    """Refuse to write a partition into a folder that is gone.

    Raises
    ------
    StarscaleError
        There is no such folder.
    """
    # A late worker must not create a folder again that was removed after a failure.
    if not folder.is_dir():
        raise StarscaleError(f"{folder}: does not exist for this worker. Does it share the disk of the output?")


def finish_catalogue(
    folder: Path,
    name: str,
    parts: Sequence[Partition],
    index: Column,
    position: tuple[str, str],
    properties: Mapping[str, str],
) -> None:
    """Write the files that make partitions a catalogue: list, footers, map of the sky, properties.

    Parameters
    ----------
    folder : Path
    name : str
        Of the catalogue.
    parts : sequence of Partition
    index : Column
    position : (str, str)
        Columns of right ascension and declination.
    properties : mapping of str to str
        Further properties.
    """
    filled = [part for part in parts if part.rows]
    info = PartitionInfo([HealpixPixel(part.order, part.pixel) for part in filled])
    info.write_to_file(file_io.get_upath(folder / "partition_info.csv"))
    hats.io.write_parquet_metadata(folder, create_per_partition_stats=True)
    sky = np.zeros(12 * 4**MAP_ORDER, dtype=np.int64)
    for part in filled:
        np.add.at(sky, part.cells, part.counts)
    file_io.write_fits_image(sky, paths.get_point_map_file_pointer(folder))
    write_skymap(histogram=sky, catalog_dir=folder, orders=None)
    TableProperties(
        catalog_name=name,
        catalog_type="object",
        total_rows=sum(part.rows for part in parts),
        ra_column=position[0],
        dec_column=position[1],
        healpix_column=index.name,
        healpix_order=INDEX_ORDER,
        skymap_order=MAP_ORDER,
        hats_max_rows=max(part.rows for part in parts),
        hats_order=info.get_highest_order(),
        moc_sky_fraction=float(f"{info.calculate_fractional_coverage():.5g}"),
        **TableProperties.new_provenance_dict(folder, builder=f"starscale v{__version__}", **properties),
    ).to_properties_file(folder)
