"""Which files make up a table that is a directory: plain Parquet files, or a HATS catalogue.

HATS (an IVOA note) cuts the sky into HEALPix cells and keeps one Parquet file, or one folder of
them, a cell: ``dataset/Norder=k/Dir=m/Npix=n.parquet``. The order and number of the cell stand in
the path only and are not made into columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from starscale.vocabulary.errors import InputError, Problem

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


def _read_properties(path: Path) -> dict[str, str]:
    pairs = (
        line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "!")
    )
    return {key.strip(): value.strip() for key, mark, value in pairs if mark}
