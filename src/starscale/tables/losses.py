"""What a format does not keep of a table, found by writing a few rows and reading them back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from starscale import io
from starscale.io.units import same_unit
from starscale.vocabulary.columns import POSITION_EPOCH, POSITION_SYSTEM, Column

#: Rows that are written and read back.
SAMPLE = 1000
#: Columns named in a sentence.
_NAMED = 4


def losses(
    sample: pl.DataFrame, columns: Mapping[str, Column], metadata: Mapping[str, str], target: str
) -> tuple[str, ...]:
    """Say what is not read back of a table that is written as `target`.

    Parameters
    ----------
    sample : polars.DataFrame
        The first rows.
    columns : mapping of str to Column
        Units, UCDs and descriptions.
    metadata : mapping of str to str
    target : str
        Name of the file; its suffix selects the format.

    Returns
    -------
    tuple of str
        One sentence for each kind of loss; none if all is kept.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / target
        io.write(sample, path, columns=columns, metadata=metadata)
        back = io.open_table(path)
        names = [name for name in sample.columns if name in back.schema]
        return (
            *_missing("columns", [name for name in sample.columns if name not in back.schema]),
            *_descriptions(columns, back.columns, names),
            *_types(sample.schema, back.schema, names),
            *_values(sample, back.read(names)),
            *_metadata(metadata, back),
        )


def _missing(what: str, names: list[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"{what}: {', '.join(names[:_NAMED])}{more}"


def _descriptions(wanted: Mapping[str, Column], found: Mapping[str, Column], names: list[str]) -> Iterator[str]:
    both = [(wanted[name], found[name]) for name in names if name in wanted]
    yield from _missing("units", [old.name for old, new in both if not _kept(old.unit, new.unit)])
    yield from _missing("UCDs", [old.name for old, new in both if old.ucd != new.ucd])
    changed = [o.name for o, n in both if " ".join(o.description.split()) != " ".join(n.description.split())]
    yield from _missing("descriptions", changed)


def _kept(old: str, new: str) -> bool:
    return old == new or (bool(old and new) and same_unit(old, new))


def _types(wanted: pl.Schema, found: pl.Schema, names: list[str]) -> Iterator[str]:
    changed = [f"{name} ({wanted[name]}, read as {found[name]})" for name in names if wanted[name] != found[name]]
    yield from _missing("types", changed)


def _values(sample: pl.DataFrame, back: pl.DataFrame) -> Iterator[str]:
    """Compare the values as far as the order of the rows is kept."""
    known = io.read(sample)
    emptied = [name for name in back.columns if back[name].null_count() > known[name].null_count()]
    yield from _missing("empty texts or vectors, which are read as missing", emptied)
    others = [name for name in back.columns if name not in emptied]
    changed = [name for name in others if not _equal(known[name], back[name])]
    if changed and all(_equal(known[name].sort(), back[name].sort()) for name in changed):
        yield "order of the rows"
    else:
        yield from _missing("exact values", changed)


def _equal(old: pl.Series, new: pl.Series) -> bool:
    """Whether values are the same, in the type that they had; texts of dates count as the dates."""
    if old.dtype == new.dtype:
        return old.equals(new, null_equal=True)
    try:
        if new.dtype == pl.String and old.dtype.is_temporal():
            return old.dt.to_string("iso:strict").equals(new)
        return old.equals(new.cast(old.dtype))
    except pl.exceptions.PolarsError:
        return False


def _metadata(wanted: Mapping[str, str], back: io.Source) -> Iterator[str]:
    found = dict(back.metadata)
    # A VOTable has an element of its own for these two.
    if back.frame:
        found.setdefault(POSITION_SYSTEM, back.frame)
    if back.epoch is not None:
        found.setdefault(POSITION_EPOCH, f"J{back.epoch}")
    yield from _missing("metadata", [key for key, text in wanted.items() if found.get(key) != text])
