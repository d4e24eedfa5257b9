"""The verb `publish`: a catalogue as CDS and the AAS journals take it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

import polars as pl

from starscale import io
from starscale.io.hats.catalogue import INDEX
from starscale.io.sky_columns import position_columns
from starscale.io.table import CHUNK_ROWS, Source, require_columns
from starscale.publication.cds import CdsLayout, Extent, checked, data_lines, layout, readable, widest
from starscale.publication.cds_readme import DataFile, Publication, mrt_head, readme
from starscale.tables.api import PROVENANCE_KEY, described, refuse_same, says_mock
from starscale.vocabulary.columns import LABELS, POSITION_EPOCH, POSITION_SYSTEM, Column
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flags import CatalogueFlag, LabelFlag, PairFlag, describe

#: A single file with one of these suffixes is a machine-readable table; anything else is a folder.
MRT_SUFFIXES = (".mrt", ".txt")
README = "ReadMe"
#: Decimals of positions in degrees: 4 microarcseconds.
_POSITION_DECIMALS = 9
#: Notes on columns that are bit masks: the column, what else a table has that it belongs to, the bits.
_MASKS: tuple[tuple[str, str, type[IntFlag]], ...] = (
    ("flags", "domain_score", CatalogueFlag),
    ("flags", "n_surveys", LabelFlag),
    ("xm_flag", "angular_distance", PairFlag),
)


@dataclass(frozen=True, slots=True)
class Published:
    """Result of :func:`publish`.

    Attributes
    ----------
    files : tuple of Path
        What was written.
    rows : int
        Rows of the table.
    missing : tuple of str
        What only the author can say and was not given; it is marked ``[TO BE FILLED IN: ...]``.
    mock : bool
        Whether the catalogue says that its stars are simulated.
    """

    files: tuple[Path, ...]
    rows: int
    missing: tuple[str, ...]
    mock: bool


def publish(
    catalogue: str | Path,
    target: str | Path,
    *,
    title: str = "",
    authors: Sequence[str] = (),
    bibcode: str = "",
    keywords: Sequence[str] = (),
    abstract: str = "",
    columns: Sequence[str] | None = None,
    decimals: Mapping[str, int] | None = None,
    report: Callable[[int], None] | None = None,
) -> Published:
    """Write a catalogue for publication: a table of fixed width and its byte-by-byte description.

    The catalogue is read twice, some rows at a time; memory does not grow with it.

    Parameters
    ----------
    catalogue : path
        Any table that :func:`read` reads; units and descriptions are those of the file, else starscale's own.
    target : path
        A folder, for CDS: `ReadMe` and the table, called as the catalogue with the suffix ``.dat``. Or a file that
        ends in ``.mrt`` or ``.txt``: one machine-readable table of the AAS journals.
    title, bibcode, abstract : str
    authors, keywords : sequence of str
        What only the author can say. What is not given is marked as to be filled in.
    columns : sequence of str, optional
        Columns to publish, in order; default: all, but for the index of a HATS catalogue.
    decimals : mapping of str to int, optional
        Decimals of columns. By default labels have those that mean something, positions in degrees nine, other
        numbers six digits or more; very large and very small ones an exponent.
    report : callable, optional
        Told the number of rows after every piece of either pass.

    Returns
    -------
    Published

    Raises
    ------
    InputError
        Columns that such a table cannot hold (vectors, lists), or that are not there; a folder of other things.
    StarscaleError
        When the disk refuses.
    """
    refuse_same(target, catalogue)
    target, source = Path(target).expanduser(), io.open_table(catalogue)
    chosen = source.choose([name for name in source.schema if name != INDEX] if columns is None else columns)
    schema = checked(pl.Schema({name: source.schema[name] for name in chosen}), str(catalogue))
    known = _known(source, chosen)
    wanted = _decimals(schema, known, decimals or {}, str(catalogue))
    told = report or _silent
    extents = {name: Extent() for name in schema}
    for piece in _pieces(source, chosen, told):
        widest(extents, piece)
    about = Publication(title, tuple(authors), bibcode, tuple(keywords), abstract)
    single = target.suffix.lower() in MRT_SUFFIXES
    name = target.name if single else f"{Path(catalogue).name.split('.')[0]}.dat"
    data = DataFile(name, source.n_rows, layout(schema, extents, known, wanted), _notes(chosen))
    mock = says_mock(source.metadata)
    head = mrt_head if single else readme
    text = head(about, data, _description(source, mock))
    with io.atomic(target) if single else io.atomic_directory(target) as partial:
        if not single:
            (partial / README).write_text(text, encoding="ascii")
        with (partial if single else partial / name).open("wb") as file:
            file.write(text.encode("ascii") if single else b"")
            _write(file.write, _pieces(source, chosen, told), data.layouts)
    missing = tuple(item for item in about.missing if not single or item in ("title", "authors"))
    files = (target,) if single else (target / README, target / name)
    return Published(files, source.n_rows, missing, mock)


def _silent(_: int) -> None:
    pass


def _pieces(source: Source, columns: Sequence[str], told: Callable[[int], None]) -> Iterator[pl.DataFrame]:
    for frame in source.batches(CHUNK_ROWS, columns):
        yield readable(frame)
        told(frame.height)


def _write(write: Callable[[bytes], object], frames: Iterator[pl.DataFrame], layouts: Sequence[CdsLayout]) -> None:
    for frame in frames:
        write(data_lines(frame, layouts))


def _known(source: Source, columns: Sequence[str]) -> dict[str, Column]:
    """Descriptions of the columns: the file's own, else those of starscale's tables."""
    ours = described()
    found = {}
    for name in columns:
        theirs = source.columns[name]
        bare = not (theirs.unit or theirs.ucd or theirs.description)
        found[name] = ours[name] if bare and name in ours else theirs
    return found


def _decimals(
    schema: pl.Schema, columns: Mapping[str, Column], given: Mapping[str, int], where: str
) -> dict[str, int]:
    """Decimals of the columns for which some are wanted, or mean something."""
    require_columns(where, list(given), list(schema))
    bad = {name: places for name, places in given.items() if not 0 <= places <= 15 or not schema[name].is_float()}
    if bad:
        found = ", ".join(f"{name}={places}" for name, places in bad.items())
        raise InputError(Problem("decimals", found, "0 to 15, for a column of floating-point numbers"))
    wanted = {}
    positions = position_columns(schema, columns) or ()
    for name, dtype in schema.items():
        about = columns[name]
        label = next((item for item in LABELS.values() if item.ucd in about.ucd.split(";")), None)
        if not dtype.is_float():
            continue
        if label is not None and about.unit == label.unit and "arith" not in about.ucd:
            wanted[name] = label.decimals
        elif name in positions:
            wanted[name] = _POSITION_DECIMALS
    return {**wanted, **given}


def _notes(columns: Sequence[str]) -> dict[str, list[str]]:
    return {
        name: [f"{bit} = {meaning}" for bit, _, meaning in describe(kind)]
        for name, beside, kind in _MASKS
        if name in columns and beside in columns
    }


def _description(source: Source, mock: bool) -> list[str]:
    """Paragraphs on what the catalogue is and how it was made, as far as the file says so."""
    said = ["MOCK DATA: these stars are simulated, this is not a catalogue of the sky."] if mock else []
    system, epoch = source.metadata.get(POSITION_SYSTEM), source.metadata.get(POSITION_EPOCH)
    if system:
        said.append(f"Positions are in the system {system}" + (f" at epoch {epoch}." if epoch else "."))
    try:
        record = json.loads(source.metadata[PROVENANCE_KEY])
        versions = record["versions"]
        said.append(f"Made with starscale {versions['starscale']}. Method: {record['citation']}.")
    except (KeyError, TypeError, ValueError):
        # A table that starscale did not make says nothing of its making.
        pass
    if set(LABELS) & set(source.schema):
        said.append(
            "Intervals of 68 and 95 per cent are calibrated on held-out stars; the error is half of the former. "
            "A blank means that nothing could be predicted, and the flags say why."
        )
    return said or [f"Table of {source.n_rows} rows."]
