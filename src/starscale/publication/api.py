"""The verb `publish`: a catalogue in the formats of CDS, the AAS journals and GAVO DaCHS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

import polars as pl

from starscale import io
from starscale.io.hats.catalogue import INDEX
from starscale.io.progress import progress_of
from starscale.io.sky_columns import position_columns
from starscale.io.table import CHUNK_ROWS, Source, require_columns
from starscale.io.units import same_unit
from starscale.publication.cds import CdsLayout, Extent, checked, data_lines, layout, readable, widest
from starscale.publication.cds_readme import DataFile, Publication, mrt_head, readme
from starscale.publication.dachs import SUFFIX, check_names, write_descriptor
from starscale.tables.api import PROVENANCE_KEY, AnyTable, name_of, refuse_same, says_mock
from starscale.tables.own import own_columns_of
from starscale.vocabulary.columns import (
    LABEL_TABLE_COLUMNS,
    LABELS,
    MEASUREMENT_COLUMNS,
    PAIR_COLUMNS,
    POSITION_EPOCH,
    POSITION_SYSTEM,
    Column,
    catalogue_columns,
)
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.flags import CatalogueFlag, LabelFlag, PairFlag, describe
from starscale.vocabulary.progress import Progress, Task

#: An output with one of these suffixes is a machine-readable table, any other a folder.
MRT_SUFFIXES = (".mrt", ".txt")
README = "ReadMe"
#: Decimals of positions in degrees: 4 microarcseconds.
_POSITION_DECIMALS = 9
#: Columns of starscale's tables that are bit masks, and the bits.
_MASKS: tuple[tuple[Column, type[IntFlag]], ...] = (
    (catalogue_columns()["flags"], CatalogueFlag),
    (LABEL_TABLE_COLUMNS["flags"], LabelFlag),
    (MEASUREMENT_COLUMNS["flags"], LabelFlag),
    (PAIR_COLUMNS["xm_flag"], PairFlag),
)


@dataclass(frozen=True, slots=True)
class Published:
    """Result of :func:`publish`.

    Attributes
    ----------
    files : tuple of Path
        Files written.
    rows : int
        Rows of the table.
    missing : tuple of str
        Information that only the author has and that was not given; it is marked ``[TO BE FILLED IN: ...]``.
    mock : bool
        Whether the stars are simulated, according to the provenance of the catalogue.
    """

    files: tuple[Path, ...]
    rows: int
    missing: tuple[str, ...]
    mock: bool


def publish(
    table: AnyTable,
    output: str | Path,
    *,
    title: str = "",
    authors: Sequence[str] = (),
    bibcode: str = "",
    keywords: Sequence[str] = (),
    abstract: str = "",
    columns: Sequence[str] | None = None,
    decimals: Mapping[str, int] | None = None,
    progress: Progress | bool | None = None,
) -> Published:
    """Write a catalogue for publication: a table of fixed width and its byte-by-byte description.

    The catalogue is read twice, in chunks: the memory needed does not depend on its number of rows.

    Parameters
    ----------
    table : path or table
        Anything that :func:`read` takes. Units and descriptions are those of the table; columns without any get
        those of starscale's own tables.
    output : path
        A folder, for CDS: it receives `ReadMe` and the table, named as the catalogue with the suffix ``.dat``.
        Or a file that ends in ``.mrt`` or ``.txt``: one machine-readable table of the AAS journals.
        Or a file that ends in ``.rd``: a resource descriptor of GAVO DaCHS, to publish the table by TAP, with the
        data as VOTable in ``data/`` next to it.
    title, bibcode, abstract : str
    authors, keywords : sequence of str
        Information that only the author has. What is not given is marked ``[TO BE FILLED IN: ...]``.
    columns : sequence of str, optional
        Columns to publish, in order; default: all except the index of a HATS catalogue.
    decimals : mapping of str to int, optional
        Decimals of columns. By default labels have their significant decimals, positions in degrees nine, and
        other numbers at least six significant digits; very large and very small ones are written with an exponent.
    progress : Progress or bool, optional
        Receives the number of rows read in both passes; default: silent.

    Returns
    -------
    Published

    Raises
    ------
    InputError
        Columns that such a table cannot hold (vectors, lists) or that do not exist; an output folder that holds
        other files.
    StarscaleError
        The files cannot be written.
    """
    refuse_same(output, table)
    target, source = Path(output).expanduser(), io.open_table(table)
    chosen = source.choose(_publishable(source) if columns is None else columns)
    about = Publication(title, tuple(authors), bibcode, tuple(keywords), abstract)
    if target.suffix.lower() == SUFFIX:
        return _publish_descriptor(source, chosen, target, about, progress)
    single = target.suffix.lower() in MRT_SUFFIXES
    name = target.name if single else f"{Path(name_of(table)).name.split('.')[0]}.dat"
    mock = says_mock(source.metadata)
    with progress_of(progress).task("publishing", 2 * source.n_rows) as task:
        layouts = _layouts(source, chosen, decimals or {}, name_of(table), task)
        data = DataFile(name, source.n_rows, layouts, _notes(source, chosen))
        description = _description(source, mock)
        rows = (data_lines(frame, layouts) for frame in _pieces(source, chosen, task))
        if single:
            _write_file(target, mrt_head(about, data, description), rows)
            return Published((target,), source.n_rows, about.missing_in_mrt, mock)
        _write_folder(target, readme(about, data, description), name, rows)
    return Published((target / README, target / name), source.n_rows, about.missing, mock)


def _publish_descriptor(
    source: Source, columns: Sequence[str], target: Path, about: Publication, progress: Progress | bool | None
) -> Published:
    """Write a resource descriptor of DaCHS with the data."""
    check_names(columns, str(source.path))
    checked(pl.Schema({name: source.schema[name] for name in columns}), str(source.path))
    mock = says_mock(source.metadata)
    with progress_of(progress).task("publishing", source.n_rows) as task:
        files = write_descriptor(source, _known(source, columns), target, about, _description(source, mock), task)
    missing = [name for name, given in (("title", about.title), ("authors", about.authors)) if not given]
    return Published(files, source.n_rows, tuple(missing), mock)


def _publishable(source: Source) -> list[str]:
    return [name for name in source.schema if name != INDEX]


def _layouts(
    source: Source, columns: Sequence[str], decimals: Mapping[str, int], where: str, task: Task
) -> list[CdsLayout]:
    """Choose the layout of every column from a first pass over the rows; `where` names the table in errors."""
    schema = checked(pl.Schema({name: source.schema[name] for name in columns}), where)
    known = _known(source, columns)
    _check_decimals(schema, decimals, where)
    wanted = {**_default_decimals(schema, known), **decimals}
    extents = {name: Extent() for name in schema}
    for frame in _pieces(source, columns, task):
        widest(extents, frame)
    return layout(schema, extents, known, wanted)


def _pieces(source: Source, columns: Sequence[str], task: Task) -> Iterator[pl.DataFrame]:
    for frame in source.batches(CHUNK_ROWS, columns):
        yield readable(frame)
        task.advance(frame.height)


def _write_file(target: Path, head: str, rows: Iterable[bytes]) -> None:
    with io.atomic(target) as partial, partial.open("wb") as file:
        file.write(head.encode("ascii"))
        file.writelines(rows)


def _write_folder(target: Path, head: str, name: str, rows: Iterable[bytes]) -> None:
    with io.atomic_directory(target) as partial:
        (partial / README).write_text(head, encoding="ascii")
        with (partial / name).open("wb") as file:
            file.writelines(rows)


def _known(source: Source, columns: Sequence[str]) -> dict[str, Column]:
    """Return the descriptions of the columns: those of the file, else those of starscale's tables."""
    ours = own_columns_of(list(source.schema))
    found = {}
    for name in columns:
        theirs = source.columns[name]
        bare = not (theirs.unit or theirs.ucd or theirs.description)
        found[name] = ours[name] if bare and name in ours else theirs
    return found


def _check_decimals(schema: pl.Schema, given: Mapping[str, int], where: str) -> None:
    require_columns(where, list(given), list(schema))
    bad = {name: places for name, places in given.items() if not 0 <= places <= 15 or not schema[name].is_float()}
    if bad:
        found = ", ".join(f"{name}={places}" for name, places in bad.items())
        raise InputError(Problem("decimals", found, "0 to 15, for a column of floating-point numbers"))


def _default_decimals(schema: pl.Schema, columns: Mapping[str, Column]) -> dict[str, int]:
    """Return the decimals of labels and positions; those of other columns depend on their values."""
    positions = position_columns(schema, columns) or ()
    wanted = {}
    for name, dtype in schema.items():
        if not dtype.is_float():
            continue
        if (places := _label_decimals(columns[name])) is not None:
            wanted[name] = places
        elif name in positions:
            wanted[name] = _POSITION_DECIMALS
    return wanted


def _label_decimals(about: Column) -> int | None:
    """Return the significant decimals of a label (by UCD and unit); None for other columns and for differences."""
    words = about.ucd.split(";")
    label = next((item for item in LABELS.values() if item.ucd in words), None)
    if label is None or not same_unit(about.unit, label.unit) or "arith" in about.ucd:
        return None
    return label.decimals


def _notes(source: Source, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the meanings of the bits of every bit mask, by column.

    The description of a column says which mask it is; where a file has none, the columns of the whole table do.
    """
    ours = own_columns_of(list(source.schema))
    notes: dict[str, list[str]] = {}
    for name in columns:
        said = {source.columns[name].description, ours[name].description if name in ours else ""}
        for mask, kind in _MASKS:
            if mask.name == name and mask.description in said:
                notes[name] = [f"{bit} = {meaning}" for bit, _, meaning in describe(kind)]
    return notes


def _description(source: Source, mock: bool) -> list[str]:
    """Return paragraphs on the contents and the origin of the catalogue, from the metadata of the file."""
    said = ["MOCK DATA: these stars are simulated, this is not a catalogue of the sky."] if mock else []
    system, epoch = source.metadata.get(POSITION_SYSTEM), source.metadata.get(POSITION_EPOCH)
    if system:
        said.append(f"Positions are in the system {system}" + (f" at epoch {epoch}." if epoch else "."))
    try:
        record = parse_json(source.metadata[PROVENANCE_KEY])
        said.append(f"Made with starscale {record['versions']['starscale']}.")
        # Only a prediction has a method.
        said[-1] += f" Method: {record['model']['method']}."
    except (KeyError, TypeError, ValueError):
        # A table of another program has no provenance.
        pass
    if {f"{name}_lower95" for name in LABELS} & set(source.schema):
        said.append(
            "Intervals of 68 and 95 per cent are calibrated on held-out stars; the error is half of the former. "
            "A blank means that nothing could be predicted, and the flags say why."
        )
    return said or [f"Table of {source.n_rows} rows."]
