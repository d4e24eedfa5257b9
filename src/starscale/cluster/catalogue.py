"""HATS catalogues as LSDB opens them, checked before anything is computed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lsdb
import numpy as np
import polars as pl
import pyarrow as pa
from hats.pixel_math.spatial_index import SPATIAL_INDEX_COLUMN, compute_spatial_index

from starscale.io.hats.catalogue import UNPLACED, parquet_files
from starscale.io.parquet.source import described
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.paths import must_exist

#: The column by which HATS sorts the sky.
HEALPIX = Column(
    SPATIAL_INDEX_COLUMN,
    "int64",
    "",
    "pos.healpix",
    "spatial index of HATS: HEALPix cell of order 29, nested scheme",
)


@dataclass(frozen=True)
class HatsCatalogue:
    """A HATS catalogue.

    Attributes
    ----------
    name : str
        Its path, for error messages.
    catalogue : lsdb.catalog.Catalog
    schema : polars.Schema
        Of all its columns.
    columns : dict of str to Column
        Unit, UCD and description of every column, as far as the files state them.
    opened : bool
        Whether `name` is the path or URL that it was opened from.
    """

    name: str
    catalogue: Any
    schema: pl.Schema
    columns: dict[str, Column]
    opened: bool = False

    @property
    def pixels(self) -> list[Any]:
        """Cells of the partitions, in the order of :meth:`lsdb.catalog.Catalog.to_delayed`."""
        return list(self.catalogue.get_healpix_pixels())

    @property
    def rows(self) -> int | None:
        """Rows, as far as the catalogue knows."""
        found = self.catalogue.hc_structure.catalog_info.total_rows
        return None if found is None else int(found)

    @property
    def position(self) -> tuple[str, str]:
        """Its columns of right ascension and declination."""
        info = self.catalogue.hc_structure.catalog_info
        return info.ra_column, info.dec_column

    def partition_name(self, pixel: Any) -> str:
        """What to call a partition in an error."""
        return f"{self.name}: partition Norder={pixel.order}, Npix={pixel.pixel}"

    def choose(self, columns: Sequence[str]) -> HatsCatalogue:
        """The same catalogue, of which partitions hold some of the columns only."""
        # A selection of an opened catalogue reads all columns first.
        chosen = _open(self.name, list(columns)) if self.opened else self.catalogue[list(columns)]
        return replace(self, catalogue=chosen)


def _check(path: Path) -> None:
    """Refuse a catalogue whose rows LSDB would not all see."""
    # Finding the files compares them with the list of partitions.
    unplaced = [file for file in parquet_files(path).paths if file.name == UNPLACED]
    if unplaced:
        fix = "Leave out --engine: the engine 'local' reads them as well."
        raise InputError(
            Problem(str(unplaced[0]), "holds rows without a position", "rows that have a place on the sky", fix)
        )


def open_hats(source: Any) -> HatsCatalogue:
    """Open a HATS catalogue, or take one that LSDB has opened.

    Parameters
    ----------
    source : path, URL, or lsdb.catalog.Catalog
        A catalogue of LSDB may be the outcome of searches and joins: it is computed partition by partition.

    Raises
    ------
    InputError
        No HATS catalogue there, partitions that its list does not know or that are missing, no rows.
    """
    if hasattr(source, "hc_structure"):
        return _described(f"catalogue {source.name!r}", source)
    if "://" not in str(source):
        path = Path(source).expanduser()
        must_exist(path)
        if path.is_dir():
            _check(path)
        source = path
    return replace(_described(str(source), _open(str(source), "all")), opened=True)


def _open(source: str, columns: str | list[str]) -> Any:
    try:
        return lsdb.open_catalog(source, columns=columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            Problem(
                source,
                f"cannot be opened as a HATS catalogue ({error})",
                "a folder or URL with a file hats.properties",
                "Other tables need no engine: leave out --engine.",
            )
        ) from error


def _described(name: str, catalogue: Any) -> HatsCatalogue:
    if not len(catalogue.get_healpix_pixels()):
        raise InputError(Problem(name, "has no partitions", "one or more"))
    # The meta holds what partitions will have, searches and joins included.
    empty = table_of(catalogue.meta, list(catalogue.columns)).schema
    # Units are those of the files that it was opened from, if there are any.
    files = catalogue.hc_structure.original_schema
    known = {} if files is None else described(empty, files)
    return HatsCatalogue(name, catalogue, empty, known)


def table_of(partition: Any, columns: Sequence[str]) -> pl.DataFrame:
    """Return columns of a partition (a NestedFrame of pandas) as a table."""
    table = pa.Table.from_pandas(partition[list(columns)], preserve_index=False)
    frame = pl.from_arrow(table.replace_schema_metadata(None))
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"a partition is a table, not {type(frame)}")
    return frame


def spatial_index(partition: Any, position: tuple[str, str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """HEALPix cell of order 29 of every row of a partition. Shape (n,)."""
    if partition.index.name == SPATIAL_INDEX_COLUMN:
        return partition.index.to_numpy(dtype=np.int64)  # type: ignore[no-any-return]
    ra, dec = (partition[name].to_numpy(dtype=np.float64) for name in position)
    return np.asarray(compute_spatial_index(ra, dec), dtype=np.int64)


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries of this engine, for provenance."""
    return {name: str(importlib.import_module(name).__version__) for name in ("lsdb", "hats", "dask")}
