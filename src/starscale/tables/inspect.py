"""What to know about the values of a table before it is used: epochs, single precision, infinite values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from starscale.io import Source
from starscale.io.parts.elements import Element, axes_of, shape_text
from starscale.io.table import Doubt
from starscale.surveys import Survey
from starscale.surveys.derived import columns_of_sql
from starscale.tables.columns.typed import Discarded
from starscale.tables.frames import notes_on_frame, other_epoch
from starscale.tables.standardise import spelling

#: Plausible times of observations, from 1880 to 2100, in the formats of epochs.
_RANGES = {"jyear": (1880.0, 2100.0), "jd": (2407715.0, 2488069.5), "mjd": (7714.5, 88069.0)}
_NAMES = {"jyear": "a Julian year", "jd": "a Julian date (JD)", "mjd": "a modified Julian date (MJD)"}
CHUNK = 250_000


@dataclass
class Remarks:
    """What was found: `warnings` are reasons to doubt results, `notes` are good to know."""

    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def about_file(source: Source) -> Remarks:
    """Return what the reader of a file noted: it is cut off, it holds other tables, names are repeated."""
    found = Remarks()
    for note in source.notes:
        (found.warnings if isinstance(note, Doubt) else found.notes).append(note)
    return found


def vector_lines(source: Source) -> list[str]:
    """Return a line with the vector columns of a table and their lengths, if it has any."""
    said = {name: shape_text(kind) for name, kind in source.schema.items() if axes_of(kind)}
    if not said:
        return []
    said |= _lengths(source, [name for name in said if isinstance(source.schema[name], pl.List)])
    first = next(iter(said))
    element = Element(first, (0,) * len(axes_of(source.schema[first])))
    shown = ", ".join(f"{name} ({text})" for name, text in said.items())
    return [f"vector columns: {shown}; a survey file names an element as {element}"]


def _lengths(source: Source, names: list[str]) -> dict[str, str]:
    """Return the lengths that vectors of varying length have, by column."""
    lengths: dict[str, set[int]] = {name: set() for name in names}
    for frame in source.batches(CHUNK, names) if names else ():
        for name in names:
            lengths[name].update(frame[name].list.len().drop_nulls().unique())
    return {
        name: f"length {min(found)}" if len(found) == 1 else f"lengths {min(found)} to {max(found)}"
        for name, found in lengths.items()
        if found
    }


def about_values(source: Source, table: pl.DataFrame, survey: Survey, discarded: Discarded) -> Remarks:
    """Return what is remarkable about a table of a survey.

    Parameters
    ----------
    source : Source
        The table, whose rows are read once more, as the file has them.
    table : polars.DataFrame
        The same, standardised.
    survey : Survey
    discarded : Discarded
        Numbers of values that became missing.
    """
    found = about_file(source)
    found.notes += notes_on_frame(source, survey)
    if said := other_epoch(source, survey):
        found.warnings.append(said)
    present = spelling(source.schema, survey)
    found.warnings += _single_precision(source, survey, present)
    found.warnings += _epochs(table, survey)
    found.warnings += _texts_of_numbers(source, survey, present)
    infinite = _infinite(source, present)
    found.notes += [f"{name}: {n:,} infinite, read as missing" for name, n in infinite.items() if n]
    found.notes += discarded.sentences()
    return found


def _single_precision(source: Source, survey: Survey, present: Mapping[str, str]) -> Iterator[str]:
    if survey.position is None:
        return
    wanted = [survey.position.ra, survey.position.dec]
    names = [present[name] for name in wanted if name in present and source.schema[present[name]] == pl.Float32]
    if names:
        step = float(np.spacing(np.float32(300.0))) * 3600
        yield f"{', '.join(names)}: single precision, steps of {step:.1f} arcsec at right ascension 300 degrees"


def _texts_of_numbers(source: Source, survey: Survey, present: Mapping[str, str]) -> Iterator[str]:
    """Say which texts of digits are numbers in the table, without zeros at the start: 0 for the flags 000."""
    judged = {name for cut in survey.cuts for name in columns_of_sql(cut.keep)}
    for name, there in present.items():
        if name in judged and survey.columns[name].dtype == "string" and source.schema[there].is_numeric():
            yield f"{there}: numbers, but cuts compare them as texts; zeros at the start (000) are lost"


def _infinite(source: Source, present: Mapping[str, str]) -> dict[str, int]:
    """Return the number of infinite values of every column of the survey."""
    floats = {name: there for name, there in present.items() if source.schema[there].is_float()}
    found = dict.fromkeys(floats, 0)
    for frame in source.batches(CHUNK, list(floats.values())) if floats else ():
        for name, there in floats.items():
            found[name] += int(frame[there].is_infinite().sum())
    return found


def _epochs(table: pl.DataFrame, survey: Survey) -> Iterator[str]:
    """Say which times are in another format than the survey says, or at no plausible time."""
    epoch = survey.position.epoch if survey.position is not None else None
    formats = {name: spec.time for name, spec in survey.columns.items() if spec.time}
    if epoch is not None and epoch.column is not None:
        formats[epoch.column] = epoch.format
    for name, kind in formats.items():
        values = table[name].drop_nulls() if name in table.columns else pl.Series()
        if len(values) and values.dtype.is_numeric():
            yield from _times(name, kind, float(values.min()), float(values.max()))  # type: ignore[arg-type]


def _times(name: str, kind: str, low: float, high: float) -> Iterator[str]:
    start, end = _RANGES[kind]
    if said := _misplaced(kind, high):
        yield f"{name}: largest value {high:.10g}, {said}"
    elif low < start or high > end:
        wanted = f"{_NAMES[kind]} between {_RANGES['jyear'][0]:g} and {_RANGES['jyear'][1]:g}"
        yield f"{name}: times from {low:.10g} to {high:.10g}, expected {wanted}"


def _misplaced(kind: str, value: float) -> str:
    """Say that a time is in another format than the column should have."""
    for other, low in (("jd", _RANGES["jd"][0]), ("mjd", 15_000.0), ("jyear", _RANGES["jyear"][0])):
        if other != kind and low <= value <= _RANGES[other][1]:
            return f"which is {_NAMES[other]}, not {_NAMES[kind]}"
    return ""
