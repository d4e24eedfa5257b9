"""The table formats: suffixes, and the modules that read and write them.

These modules are imported by name when a file of their format is opened: importing astropy and pyarrow takes about
a second, which ``starscale --help``, or a run that reads only CSV, does not need.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from starscale.io.table import Sink, Source, WritePlan
from starscale.vocabulary.errors import InputError, Problem, did_you_mean


class SourceModule(Protocol):
    """A module that reads a format."""

    def open_source(self, path: Path, part: str | None) -> Source:
        """Open a file; `part` selects one of its tables where the format can hold several."""

    def tables(self, path: Path) -> Iterable[tuple[str, str]]:
        """Yield number and name of every table; only formats that can hold `several` have this function."""


class SinkModule(Protocol):
    """A module that writes a format."""

    def open_sink(self, plan: WritePlan) -> Sink:
        """Open a file for writing."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its suffixes (lower case, the usual one first) and the modules that read and write it."""

    name: str
    title: str
    suffixes: tuple[str, ...]
    source: str
    sink: str
    #: Suffixes that can be written.
    written: tuple[str, ...]
    #: For a format of directories, a file that every such directory contains; empty for a format of files.
    marker: str = ""
    #: Whether texts may hold NUL, which ends a text in formats of fixed width and makes a text file binary data.
    any_text: bool = False
    #: Whether a file can hold several tables.
    several: bool = False

    def reader(self) -> SourceModule:
        """Import the module that reads the format."""
        return cast("SourceModule", importlib.import_module(self.source))

    def writer(self) -> SinkModule:
        """Import the module that writes the format."""
        return cast("SinkModule", importlib.import_module(self.sink))


FORMATS: dict[str, Format] = {
    item.name: item
    for item in (
        Format(
            "parquet",
            "Parquet",
            (".parquet", ".parq", ".pq"),
            "starscale.io.parquet.source",
            "starscale.io.parquet.sink",
            (".parquet", ".parq", ".pq"),
            any_text=True,
        ),
        Format(
            "hats",
            "HATS",
            (".hats",),
            "starscale.io.parquet.source",
            "starscale.io.hats.sink",
            (".hats",),
            marker="hats.properties",
            any_text=True,
        ),
        Format(
            "fits",
            "FITS",
            (".fits", ".fit", ".fits.gz", ".fit.gz"),
            "starscale.io.fits.source",
            "starscale.io.fits.sink",
            (".fits", ".fit", ".fits.gz", ".fit.gz"),
            several=True,
        ),
        Format(
            "votable",
            "VOTable",
            (".vot", ".votable", ".xml", ".vot.gz", ".xml.gz"),
            "starscale.io.votable.source",
            "starscale.io.votable.sink",
            (".vot", ".votable", ".xml"),
            several=True,
        ),
        Format("ecsv", "ECSV", (".ecsv", ".ecsv.gz"), "starscale.io.ecsv", "starscale.io.ecsv", (".ecsv",)),
        Format(
            "csv",
            "CSV",
            (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
            "starscale.io.csv.source",
            "starscale.io.csv.sink",
            (".csv", ".tsv"),
        ),
        # Read only. Names such as table.txt and table.dat promise no format.
        Format("ascii", "text with columns divided by blanks", (), "starscale.io.csv.source", "", ()),
        Format("mrt", "MRT or CDS", (".mrt", ".mrt.gz"), "starscale.io.ascii.source", "", ()),
        Format("ipac", "IPAC", (".tbl", ".tbl.gz"), "starscale.io.ascii.source", "", ()),
    )
}


#: Formats of text tables: the first lines decide which of them a file is, whatever its name says.
TEXTS = frozenset({"csv", "ascii", "mrt", "ipac"})


def by_suffix(name: str) -> Format | None:
    """Return the format of a file name by its suffix, or None."""
    low = name.lower()
    return next((item for item in FORMATS.values() if low.endswith(item.suffixes)), None)


def to_write(path: Path) -> Format:
    """Return the format to write `path` in.

    Raises
    ------
    InputError
        No format with this suffix can be written.
    """
    low = path.name.lower()
    for item in FORMATS.values():
        if low.endswith(item.written):
            return item
    known = [suffix for item in FORMATS.values() for suffix in item.written]
    suffix = "".join(path.suffixes[-2:]) if low.endswith(".gz") else path.suffix
    found = f"cannot be written: suffix {suffix!r}" if suffix else "cannot be written: the name has no suffix"
    raise InputError(
        Problem(str(path), found, f"one of {', '.join(known)}", did_you_mean(suffix, known) if suffix else "")
    )
