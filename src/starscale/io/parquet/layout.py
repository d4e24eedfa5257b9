"""The columns that a Parquet file means, which are not always those that it stores.

astropy (``Table.write``) stores units in ``table_meta_yaml``, and a masked column as values next to a column of
booleans ``NAME.mask``. pandas stores its index as a column, or, where it is a range, in the metadata only.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from starscale.io.masks import masked, masks_of
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem, Problems

ASTROPY = "table_meta_yaml"
PANDAS = "pandas"
#: Time zones of whole hours.
_OFFSET = re.compile(r"(?:[+-](?:0\d|1[0-2])|\+1[34]):?00")


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of one Parquet file.

    Attributes
    ----------
    schema : polars.Schema
        The columns that the file means.
    masks : dict of str to str
        Stored column of the mask of a column; true means missing.
    ranges : dict of str to (int, int)
        Start and step of an index that is not stored.
    folders : dict of str to polars.Series
        Columns with one value, which the names of the folders hold.
    """

    schema: pl.Schema
    masks: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    folders: dict[str, pl.Series] = field(default_factory=dict)

    def within(self, folders: Mapping[str, pl.Series]) -> Layout:
        """Return the layout with the columns that the names of the folders hold; those of the file come first."""
        added = {name: value for name, value in folders.items() if name not in self.schema}
        if not added:
            return self
        types = {name: value.dtype for name, value in added.items()}
        return replace(self, schema=pl.Schema({**self.schema, **types}), folders=added)

    def stored(self, columns: Sequence[str]) -> list[str]:
        """Return the stored columns that `columns` are made of."""
        kept = [name for name in columns if name not in self.ranges and name not in self.folders]
        return [*kept, *(self.masks[name] for name in kept if name in self.masks)]

    def meant(self, stored: pl.DataFrame, columns: Sequence[str], first: int, height: int) -> pl.DataFrame:
        """Return `columns` of a piece of the file, which begins with row `first` and has `height` rows."""
        series = []
        for name in columns:
            if name in self.ranges:
                start, step = self.ranges[name]
                series.append(pl.Series(name, np.arange(first, first + height, dtype=np.int64) * step + start))
            elif name in self.folders:
                series.append(self.folders[name].new_from_index(0, height))
            elif name in self.masks:
                series.append(masked(stored[name], stored[self.masks[name]]))
            else:
                series.append(stored[name])
        return named(pl.DataFrame(series), columns)


def layout_of(path: Path, schema: pa.Schema) -> Layout:
    """Return the columns that a file means.

    Raises
    ------
    InputError
        The metadata of astropy cannot be understood: masked values would be read as values. Or columns have types
        that polars does not hold.
    """
    problems = Problems()
    for item in schema:
        if unheld(item.type):
            fix = "Leave the column out, or write it as numbers, texts or times in UTC."
            problems.add(f"{path}: column {item.name!r}", f"is of type {item.type}", "a type of polars", fix)
    problems.raise_if_any()
    # Not empty_table(): its arrays import pandas.
    stored = frame_of(pa.Table.from_batches([], schema)).schema
    metadata = texts(schema.metadata)
    masks = astropy_masks(path, metadata, stored)
    hidden = {*masks.values(), *_unnamed_index(metadata)}
    ranges = _ranges(metadata, stored)
    names = [*ranges, *(name for name in stored if name not in hidden)]
    return Layout(pl.Schema({name: stored.get(name, pl.Int64()) for name in names}), masks, ranges)


def unheld(kind: pa.DataType) -> bool:
    """Whether polars holds no values of a type: it ends in a panic on some of them."""
    if pa.types.is_timestamp(kind):
        return kind.tz is not None and not _is_zone(kind.tz)
    if pa.types.is_dictionary(kind):
        return unheld(kind.value_type)
    if pa.types.is_fixed_size_list(kind) and kind.list_size == 0:
        return True
    found = any(is_one(kind) for is_one in (pa.types.is_decimal256, pa.types.is_interval, pa.types.is_union))
    return found or any(unheld(kind.field(number).type) for number in range(kind.num_fields))


def _is_zone(name: str) -> bool:
    """Whether polars knows a time zone; it gives whole hours another name."""
    try:
        pl.Series([None], dtype=pl.Datetime("us", _OFFSET.sub("UTC", name)))
    except pl.exceptions.PolarsError:
        return False
    return True


def texts(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Return the metadata of a file as texts."""
    return {
        key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in (metadata or {}).items()
    }


def bare(schema: pa.Schema) -> pa.Schema:
    """Remove the metadata of the fields: polars fails on metadata that are not UTF-8."""
    return pa.schema([pa.field(item.name, item.type) for item in schema])


def frame_of(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """Return rows of a file."""
    return named(pl.DataFrame(table.from_arrays(table.columns, schema=bare(table.schema))), table.schema.names)


def named(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Give columns their names back; a new frame has others in the place of an empty name."""
    if "" in names:
        frame.columns = list(names)
    return frame


def astropy_header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the header that astropy stores as YAML; empty without one.

    Raises
    ------
    InputError
        It cannot be understood.
    """
    if ASTROPY not in metadata:
        return {}
    # Parsing it needs astropy, which most files do not.
    parse = importlib.import_module("astropy.table.meta").get_header_from_yaml
    try:
        return dict(parse(metadata[ASTROPY].split("\n")))
    except Exception as error:  # the YAML may name any class of astropy, each with errors of its own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        fix = "Write the file again with astropy."
        raise InputError(
            Problem(str(path), f"has {ASTROPY} that cannot be understood ({reason[0]})", fix=fix)
        ) from error


def astropy_masks(path: Path, metadata: Mapping[str, str], stored: pl.Schema) -> dict[str, str]:
    """Return the stored column of the mask of every column that astropy wrote with one."""
    masks = masks_of(astropy_header(path, metadata))
    return {name: mask for name, mask in masks.items() if name in stored and mask in stored}


def _unnamed_index(metadata: Mapping[str, str]) -> list[str]:
    """Return the stored columns of a pandas index without a name, which is no column there either."""
    return [name for name in _index(metadata) if isinstance(name, str) and name.startswith("__index_level_")]


def _ranges(metadata: Mapping[str, str], stored: pl.Schema) -> dict[str, tuple[int, int]]:
    """Return start and step of a pandas index that has a name and is a range of numbers."""
    return {
        str(item["name"]): (int(item["start"]), int(item["step"]))
        for item in _index(metadata)
        if isinstance(item, Mapping) and item.get("kind") == "range" and item.get("name") not in (None, *stored)
    }


def _index(metadata: Mapping[str, str]) -> list[Any]:
    """Return how pandas says that it stored its index."""
    try:
        found = parse_json(metadata.get(PANDAS, "{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        return []
    return found if isinstance(found, list) else []
