"""The files of a table that is a directory: plain Parquet files, or a HATS catalogue.

HATS (an IVOA note) divides the sky into HEALPix cells, with one Parquet file, or one folder of them, for each
cell: ``dataset/Norder=k/Dir=m/Npix=n.parquet``. Order and number of the cell are only in the path and do not
become columns.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starscale.vocabulary.errors import InputError, Problem, Problems

#: Order and number of a cell in the path of its file, or of a file in its folder; some writers leave out Dir.
_CELL = re.compile(r"Norder=?(\d+)/(?:.*/)?Npix=?(\d+)(?P<rest>[^/\d][^/]*|/.+)?$")
HIGHEST_ORDER = 29
#: Column with the cell at this order.
INDEX = "_healpix_29"
#: The same text under two names: early readers look for the second one only.
PROPERTIES = ("hats.properties", "properties")
COLLECTION = "collection.properties"
#: Suffixes of Parquet files.
_SUFFIXES = (".parquet", ".parq", ".pq")
#: File of the rows without a position, in catalogues that starscale writes.
UNPLACED = "unplaced.parquet"


_SPECIAL = re.compile(r"[\\=:#!]|[^ -~]|^ | $")
_PAIR = re.compile(r"\s*((?:\\.|[^=:\\])+?)\s*[=:]\s*(.*)")
_ESCAPED = re.compile(r"((?:\\u[0-9a-fA-F]{4})+)|\\(.)")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Files:
    """Parquet files in the order of their rows, and the metadata of the directory.

    `stated` gives numbers of rows that the directory states: who states it, the files that hold them, the number.
    """

    paths: tuple[Path, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    stated: tuple[tuple[Path, tuple[Path, ...], int], ...] = ()


def holds_parquet(path: Path) -> bool:
    """Whether a directory is a HATS catalogue or collection, or holds Parquet files."""
    if any((path / name).is_file() for name in (COLLECTION, *PROPERTIES)):
        return True
    return any(is_data(item, path) for suffix in _SUFFIXES for item in path.rglob(f"*{suffix}"))


def parquet_files(path: Path) -> Files:
    """Find the Parquet files of a directory.

    Raises
    ------
    InputError
        There are none, or the main table of a HATS collection is missing.
    """
    if (path / COLLECTION).is_file():
        return _collection(path)
    properties = next((path / name for name in PROPERTIES if (path / name).is_file()), None)
    if properties is not None and any((*path.glob("dataset"), *path.glob("Norder*"))):
        return _catalogue(path, properties)
    found = sorted(item for suffix in _SUFFIXES for item in path.rglob(f"*{suffix}") if is_data(item, path))
    if not found:
        raise _nothing_there(path)
    return Files(tuple(found))


def is_data(item: Path, folder: Path) -> bool:
    """Whether a path is a file, or a link to a file that is gone, and not hidden."""
    return not item.is_dir() and not _hidden(item, folder)


def _hidden(item: Path, folder: Path) -> bool:
    """Whether a file, or a folder that holds it, is not data by its name, as Spark and Dask have it."""
    return any(part.startswith(("_", ".")) for part in item.relative_to(folder).parts)


def _nothing_there(path: Path) -> InputError:
    there = sorted(item.name for item in path.iterdir() if not item.name.startswith("."))
    found = "is a directory without Parquet files" if there else "is an empty directory"
    shown = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
    fix = f"It holds {shown}: name one file of it." if there else ""
    return InputError(Problem(str(path), found, "Parquet files or a HATS catalogue", fix))


def _collection(path: Path) -> Files:
    file = path / COLLECTION
    name = read_properties(file).get("hats_primary_table_url", "")
    if not name:
        raise InputError(Problem(str(file), "has no hats_primary_table_url", "the folder of the main table"))
    primary = path / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        found = f"names the main table {name!r}, which lies outside the collection"
        raise InputError(Problem(str(file), found, "the name of a folder in it"))
    if not primary.is_dir():
        fix = "The collection was not copied whole, or it lies on a server: get that folder too."
        raise InputError(Problem(str(primary), "no such folder", f"the main table that {file.name} names", fix))
    return parquet_files(primary)


def _catalogue(path: Path, properties: Path) -> Files:
    metadata = read_properties(properties)
    dataset = path / "dataset" if (path / "dataset").is_dir() else path
    found = _partitions(dataset, metadata.get("hats_npix_suffix", ".parquet"))
    info = path / "partition_info.csv"
    listed = _listed(info)
    _compare(path, found if listed is None else listed, found)
    files = _in_order(found)
    stated = [(info, tuple(found[cell]), rows) for cell, rows in (listed or {}).items() if rows is not None]
    if metadata.get("hats_nrows", "").isdecimal():
        stated.append((properties, tuple(files), int(metadata["hats_nrows"])))
    if (path / UNPLACED).is_file():
        files.append(path / UNPLACED)
    return Files(tuple(files or _empty(path, dataset, listed)), metadata, tuple(stated))


def _in_order(found: Mapping[tuple[int, int], Sequence[Path]]) -> list[Path]:
    """Return the files in the order of _healpix_29: by the first pixel of their cells at the highest order."""
    order = sorted(found, key=lambda cell: (cell[1] << 2 * (HIGHEST_ORDER - cell[0]), cell[0]))
    return [file for cell in order for file in found[cell]]


def _empty(path: Path, dataset: Path, listed: Mapping[tuple[int, int], object] | None) -> list[Path]:
    """Return the file with the columns of a catalogue without rows."""
    columns = dataset / "_common_metadata"
    if listed is None or not columns.is_file():
        found, fix = "is a HATS catalogue without data files", "The catalogue was not copied whole."
        raise InputError(Problem(str(path), found, "dataset/Norder=*/Dir=*/Npix=*.parquet", fix))
    return [columns]


def _partitions(dataset: Path, suffix: str) -> dict[tuple[int, int], list[Path]]:
    """Data files of every cell, by order and pixel.

    A cell is a file with the suffix of the catalogue, or a folder of files.
    """
    found: dict[tuple[int, int], list[Path]] = {}
    for file in sorted(dataset.rglob("*")):
        cell = _CELL.search(file.relative_to(dataset).as_posix())
        if cell is None or not is_data(file, dataset):
            continue
        if int(cell[1]) > HIGHEST_ORDER:
            found_here = f"is a cell of order {int(cell[1])}"
            raise InputError(Problem(str(file), found_here, f"an order from 0 to {HIGHEST_ORDER}"))
        if (cell["rest"] or "").startswith("/") or file.name.endswith(suffix.strip("/")):
            found.setdefault((int(cell[1]), int(cell[2])), []).append(file)
    return found


def _listed(path: Path) -> dict[tuple[int, int], int | None] | None:
    """Return the cells in partition_info.csv, with their rows where stated; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
            return {(int(row["Norder"]), int(row["Npix"])): _number(row.get("num_rows")) for row in rows}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        fix = "The catalogue was not copied whole, or another program changed it."
        raise InputError(
            Problem(str(path), f"cannot be understood ({error})", "columns Norder, Npix", fix)
        ) from None


def _number(text: str | None) -> int | None:
    """Return a number of rows; None where it is not stated."""
    return int(text) if text else None


def _compare(
    path: Path, listed: Mapping[tuple[int, int], object], found: Mapping[tuple[int, int], Sequence[Path]]
) -> None:
    """Refuse a catalogue whose files are not those that it lists: rows would be missing, or repeated."""
    problems = Problems()
    missing, added = sorted(set(listed) - set(found)), sorted(set(found) - set(listed))
    if missing:
        fix = "The catalogue was not copied whole: copy it again."
        problems.add(str(path), f"lacks {_cells(missing)} of partition_info.csv", "a file for every cell", fix)
    if added:
        fix = (
            "Another catalogue was copied over it, or a writer was interrupted: make it again, or remove the file."
        )
        problems.add(
            str(found[added[0]][0]),
            f"is not in partition_info.csv ({_cells(added)} too many)",
            "the files that the catalogue lists",
            fix,
        )
    problems.raise_if_any()


def _cells(cells: Sequence[tuple[int, int]]) -> str:
    shown = ", ".join(f"Norder={order}/Npix={pixel}" for order, pixel in cells[:3])
    count = f"{len(cells)} partition{'s' * (len(cells) > 1)}"
    return f"{count}: {shown}{', ...' if len(cells) > 3 else ''}"


def properties_text(pairs: Mapping[str, str]) -> str:
    """Return the text of a Java properties file in ASCII, as readers of HATS expect it."""
    return "".join(f"{_escape(key)}={_escape(value)}\n" for key, value in pairs.items())


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda match: _escaped(match[0]), text)


def _escaped(char: str) -> str:
    if "!" <= char <= "~":
        return f"\\{char}"
    code = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[i : i + 4]}" for i in range(0, len(code), 4))


def read_properties(path: Path) -> dict[str, str]:
    """Read a Java properties file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fix = "The catalogue was not copied whole, or another program changed it."
        found = f"cannot be read ({error})"
        raise InputError(Problem(str(path), found, "a properties file in UTF-8", fix)) from None
    pairs = {}
    for line in text.splitlines():
        if line[:1] not in ("#", "!") and (match := _PAIR.match(line)):
            pairs[_plain(match[1])] = _plain(match[2])
    return pairs


def _plain(text: str) -> str:
    """Undo the escapes of a properties file: UTF-16 units, and characters with a special meaning."""
    return _ESCAPED.sub(_unescaped, text.strip())


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return bytes.fromhex(match[1].replace("\\u", "")).decode("utf-16-be", "replace")
    return _CONTROLS.get(match[2], match[2])
