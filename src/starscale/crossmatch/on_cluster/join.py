"""Stars with their counterparts side by side, partition by partition, on the workers of a Dask cluster.

A pair names its star and its counterpart; this process finds the partitions of both, so that a worker reads no
others. Rows go through :func:`starscale.crossmatch.join.join_on_disk`, as on one machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from dask import delayed

from starscale.cluster.catalogue import HEALPIX, open_hats
from starscale.cluster.cluster import finished
from starscale.cluster.identifiers import PARTITION, store, with_partitions
from starscale.cluster.writing import Partition, check_folder, counted, data_file, finish_catalogue
from starscale.crossmatch.join import Counterparts, join_on_disk
from starscale.io import atomic_directory, work_folder
from starscale.io.scatter import Scatter
from starscale.surveys import Survey
from starscale.tables.stream import rows_of
from starscale.vocabulary.columns import Column

_STAR, _EXTERNAL = "source_id", "original_ext_source_id"
_FROM = "__from"


@dataclass(frozen=True)
class _Pairs:
    """Pairs with one survey by the partition of the star, and the data files of that survey."""

    survey: Survey
    pairs: Scatter
    files: tuple[str, ...]


@dataclass(frozen=True)
class _Joining:
    """What every partition needs to know."""

    lead: Survey
    photometry: tuple[_Pairs, ...]
    folder: str
    columns: Mapping[str, Column]
    metadata: Mapping[str, str]
    absent: Mapping[str, pl.DataType]


def join_sky(
    client: Any,
    lead: Path,
    lead_survey: Survey,
    photometry: Sequence[Counterparts],
    target: Path,
    *,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str],
    absent: Mapping[str, pl.DataType],
) -> int:
    """Write the stars that have a pair in every photometric catalogue: see :func:`join_on_disk`.

    Parameters
    ----------
    client : distributed.Client
    lead : Path
        The clean leading catalogue, which starscale wrote as HATS; those of `photometry` are the same.
    lead_survey : Survey
    photometry : sequence of Counterparts
    target : Path
        Folder of the new catalogue, on a disk that the workers share with this process. It is not made if no
        star is left.
    columns, metadata, absent
        See :func:`join_on_disk`.

    Returns
    -------
    int
        Stars written.
    """
    try:
        return _joined(client, lead, lead_survey, photometry, target, columns, metadata, absent)
    except _NoStarError:
        return 0


class _NoStarError(Exception):
    """No star is left, so there is nothing to write."""


def _joined(
    client: Any,
    lead: Path,
    lead_survey: Survey,
    photometry: Sequence[Counterparts],
    target: Path,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str],
    absent: Mapping[str, pl.DataType],
) -> int:
    sky, position = open_hats(lead), lead_survey.position
    if position is None:
        raise TypeError("a catalogue that was cleaned on a cluster has positions")
    with work_folder(target) as work, atomic_directory(target, marker="hats.properties") as folder:
        stars = work / "stars.parquet"
        _store_ids(lead, lead_survey, stars)
        pairs = [_by_partition(one, stars, work / str(number)) for number, one in enumerate(photometry)]
        known = {**columns, HEALPIX.name: HEALPIX}
        shared = delayed(
            _Joining(lead_survey, tuple(pairs), str(folder.resolve()), known, metadata, absent), traverse=False
        )
        files = _files(lead).items()
        tasks = [delayed(_join_partition)(i, cell, file, shared) for i, (cell, file) in enumerate(files)]
        done = dict(finished(client, tasks, [sky.partition_name(pixel) for pixel in sky.pixels]))
        parts: list[Partition] = [done[i] for i in sorted(done)]
        total = sum(part.rows for part in parts)
        if not total:
            raise _NoStarError
        finish_catalogue(folder, target.stem, parts, HEALPIX, (position.ra, position.dec), metadata)
    return total


def _files(catalogue: Path) -> dict[tuple[int, int], str]:
    """Return the data file of every cell of a catalogue that starscale wrote, in the order of its partitions."""
    cells = [(int(pixel.order), int(pixel.pixel)) for pixel in open_hats(catalogue).pixels]
    return {cell: str((catalogue / data_file(cell)).resolve()) for cell in cells}


def _store_ids(catalogue: Path, survey: Survey, target: Path) -> None:
    """Write the identifiers of a catalogue, with the number of their partition."""
    store(
        (
            pl.read_parquet(file, columns=[survey.id.column]).with_columns(
                pl.lit(i, dtype=pl.Int64).alias(PARTITION)
            )
            for i, file in enumerate(_files(catalogue).values())
        ),
        target,
    )


def _by_partition(one: Counterparts, stars: Path, folder: Path) -> _Pairs:
    """Distribute pairs over the partitions of their stars, each with the partition of the counterpart."""
    folder.mkdir()
    counterparts, pairs = folder / "ids.parquet", Scatter(folder / "pairs")
    _store_ids(one.table, one.survey, counterparts)
    frames = rows_of(one.pairs, [_STAR, _EXTERNAL])
    frames = with_partitions(frames, _EXTERNAL, counterparts, folder / "external", name=_FROM)
    for frame in with_partitions(frames, _STAR, stars, folder / "stars"):
        pairs.append(frame.drop(PARTITION), frame[PARTITION].to_numpy())
    return _Pairs(one.survey, pairs, tuple(_files(one.table).values()))


def _join_partition(number: int, cell: tuple[int, int], lead: str, work: _Joining) -> Partition:
    """Join the stars of a partition with their counterparts, and write its data file; on a worker."""
    folder = Path(work.folder)
    check_folder(folder)
    # A star that occurs in several rows has its pair as often.
    pairs = [one.pairs.read(number).unique() for one in work.photometry]
    if any(some.is_empty() for some in pairs):
        return counted(cell, pl.Series(dtype=pl.Int64))
    target = folder / data_file(cell)
    with tempfile.TemporaryDirectory(prefix="starscale-") as scratch:
        photometry = [
            _counterparts(one, some, Path(scratch) / f"{i}_")
            for i, (one, some) in enumerate(zip(work.photometry, pairs, strict=True))
        ]
        stars = Path(lead)
        join_on_disk(
            stars, work.lead, photometry, target, columns=work.columns, metadata=work.metadata, absent=work.absent
        )
    index = pl.read_parquet(target, columns=[HEALPIX.name])[HEALPIX.name]
    if index.is_empty():
        target.unlink()
    return counted(cell, index)


def _counterparts(one: _Pairs, pairs: pl.DataFrame, path: Path) -> Counterparts:
    """Write pairs, and the rows of the other catalogue that they name, where the join reads them."""
    key = one.survey.id.column
    there = pl.col(key).is_in(pairs[_EXTERNAL].implode())
    rows = [pl.read_parquet(one.files[i]).filter(there) for i in pairs[_FROM].unique().sort()]
    found = Counterparts(
        one.survey, path.with_name(f"{path.name}rows.parquet"), path.with_name(f"{path.name}pairs.parquet")
    )
    pl.concat(rows).write_parquet(found.table)
    pairs.drop(_FROM).write_parquet(found.pairs)
    return found
