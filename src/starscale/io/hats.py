"""Which files make up a table that is a directory: plain Parquet files, or a HATS catalogue.

HATS (an IVOA note) cuts the sky into HEALPix cells and keeps one Parquet file, or one folder of
them, a cell: ``dataset/Norder=k/Dir=m/Npix=n.parquet``. The order and number of the cell stand in
the path only and are not made into columns.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path

from starscale.vocabulary.errors import InputError, Problem, Problems

_CELL = re.compile(r"Norder=(\d+)/Dir=\d+/Npix=(\d+)(?:\.parquet$|/)")
_HIGHEST_ORDER = 29
_PROPERTIES = ("hats.properties", "properties")


@dataclass(frozen=True, slots=True)
class Files:
    """Parquet files in the order of their rows, and what the directory says about them."""

    paths: tuple[Path, ...]
    metadata: dict[str, str] = field(default_factory=dict)


def parquet_files(path: Path) -> Files:
    """Find the Parquet files of a directory.

    Raises
    ------
    InputError
        When there are none, or a HATS collection names a table that is not there.
    """
    if (path / "collection.properties").is_file():
        return _collection(path)
    properties = next((path / name for name in _PROPERTIES if (path / name).is_file()), None)
    if properties is not None and (path / "dataset").is_dir():
        return _catalogue(path, _read_properties(properties))
    found = sorted(
        item
        for item in path.rglob("*.parquet")
        if item.is_file() and not any(part.startswith(("_", ".")) for part in item.relative_to(path).parts)
    )
    if found:
        return Files(tuple(found))
    there = sorted(item.name for item in path.iterdir() if not item.name.startswith("."))
    shown = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
    fix = f"It holds {shown}: name one file of it." if there else ""
    raise InputError(
        Problem(
            str(path),
            "is a directory without Parquet files" if there else "is an empty directory",
            "Parquet files or a HATS catalogue",
            fix,
        )
    )


def _collection(path: Path) -> Files:
    file = path / "collection.properties"
    name = _read_properties(file).get("hats_primary_table_url", "")
    if not name:
        raise InputError(Problem(str(file), "has no hats_primary_table_url", "the folder of the main table"))
    primary = path / name
    if not primary.is_dir():
        fix = "The collection was not copied whole, or it lies on a server: get that folder too."
        raise InputError(Problem(str(primary), "no such folder", f"the main table that {file.name} names", fix))
    return parquet_files(primary)


def _catalogue(path: Path, metadata: dict[str, str]) -> Files:
    cells = []
    for file in (path / "dataset").rglob("*.parquet"):
        cell = _CELL.search(file.as_posix())
        if cell is not None and file.is_file():
            order, pixel = int(cell[1]), int(cell[2])
            # Number of the cell's first pixel at the highest order: the order of _healpix_29.
            cells.append((pixel << 2 * (_HIGHEST_ORDER - order), file))
    if not cells:
        fix = "The catalogue was not copied whole."
        raise InputError(
            Problem(
                str(path), "is a HATS catalogue without data files", "dataset/Norder=*/Dir=*/Npix=*.parquet", fix
            )
        )
    return Files(tuple(file for _, file in sorted(cells)), metadata)


def check_partitions(path: Path) -> None:
    """Compare the data files of a HATS catalogue or collection with its list of partitions.

    Raises
    ------
    InputError
        For files that the list does not name, and partitions without a file; all of them at once.
    """
    if (path / "collection.properties").is_file():
        name = _read_properties(path / "collection.properties").get("hats_primary_table_url", "")
        path = path / name
    listed = path / "partition_info.csv"
    if not listed.is_file():
        return
    with listed.open(encoding="utf-8", newline="") as file:
        expected = {(int(row["Norder"]), int(row["Npix"])) for row in csv.DictReader(file)}
    there = {
        (int(cell[1]), int(cell[2]))
        for file in (path / "dataset").rglob("*.parquet")
        if (cell := _CELL.search(file.as_posix())) is not None
    }
    problems = Problems()
    for cells, found, fix in (
        (expected - there, "listed, but without a data file", "The catalogue was not copied whole: get it again."),
        (there - expected, "not listed, but with a data file", "Was it copied here? Move it away."),
    ):
        if cells:
            names = [f"Norder={order}/Npix={pixel}" for order, pixel in sorted(cells)]
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            found = f"{len(cells)} of {len(expected)} partitions are {found}: {shown}"
            problems.add(str(listed), found, "the partitions that lie in dataset/", fix)
    problems.raise_if_any()


def _read_properties(path: Path) -> dict[str, str]:
    pairs = (
        line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "!")
    )
    return {key.strip(): value.strip() for key, mark, value in pairs if mark}
