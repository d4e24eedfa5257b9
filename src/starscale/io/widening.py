"""One schema for the files of one table: columns by name, types widened where no value changes.

Files of one table differ in harmless ways: the order of the columns, a column that is empty in one file (of type
null there), integers of another width, whole numbers in a file in which no value of the column has a fraction.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from starscale.io.table import picked
from starscale.vocabulary.errors import InputError, Problem, Problems

#: Most files whose differences are listed column by column.
_DETAILED = 5
#: Whole numbers up to this size are exact in double precision.
EXACT = 2**53
#: Name of an identifier: id, source_id, objID, sourceId.
_IDENTIFIER = re.compile(r"(?:^|[^A-Za-z])[iI]d$|ID$|[a-z]Id$|^(?:obj|object|source|star)id$")
_BITS: dict[pl.DataType, tuple[bool, int]] = {
    **{kind(): (True, bits) for kind, bits in ((pl.Int8, 8), (pl.Int16, 16), (pl.Int32, 32), (pl.Int64, 64))},
    **{kind(): (False, bits) for kind, bits in ((pl.UInt8, 8), (pl.UInt16, 16), (pl.UInt32, 32), (pl.UInt64, 64))},
}
_SIGNED: dict[int, pl.DataType] = {bits: kind for kind, (signed, bits) in _BITS.items() if signed}
_TEXTS = (pl.String, pl.Categorical, pl.Enum)


def common_schema(
    path: Path, files: Sequence[Path], schemas: Sequence[pl.Schema], *, texts: bool = False
) -> pl.Schema:
    """Return the columns of a table that consists of several files, in the order of the first file.

    A whole number and a floating-point number become floating point, except in an identifier: its floating-point
    values may have lost digits.

    Parameters
    ----------
    path : Path
        Folder or pattern that names the files, for the error.
    files : sequence of Path
        At least one.
    schemas : sequence of polars.Schema
        Columns of each file.
    texts : bool
        The files are texts, whose types follow from their values: numbers in one file and texts in another are
        texts.

    Raises
    ------
    InputError
        Columns are missing or additional in a file, or have a type that cannot be widened; one error names every
        such file.
    """
    common = dict(schemas[0])
    problems, others = Problems(), []
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        kinds = {n: widened(n, kind, schema[n], texts=texts) for n, kind in common.items() if n in schema}
        known = {name: kind for name, kind in kinds.items() if kind is not None}
        if schema.keys() == common.keys() == known.keys():
            common = known
        elif len(problems.items) < _DETAILED:
            found = f"differs from {files[0].name}: {'; '.join(_differences(common, schema, kinds))}"
            fix = f"Are several tables in {path}? Name one file, or move the others away."
            problems.add(str(file), found, "the same columns in every file", fix)
        else:
            others.append(file.name)
    if others:
        problems.add(str(path), f"{len(others)} more files differ from {files[0].name}: {', '.join(others)}")
    problems.raise_if_any()
    return pl.Schema(common)


def _differences(
    first: dict[str, pl.DataType], other: pl.Schema, kinds: dict[str, pl.DataType | None]
) -> list[str]:
    """Say in what the columns of a file differ from those of the first."""
    lacking = [name for name in first if name not in other]
    added = [name for name in other if name not in first]
    changed = [f"{name} is {other[name]}, not {first[name]}" for name, kind in kinds.items() if kind is None]
    said = [f"{verb} {', '.join(names[:5])}" for verb, names in (("lacks", lacking), ("adds", added)) if names]
    return said + changed[:5]


def widened(name: str, one: pl.DataType, two: pl.DataType, *, texts: bool = False) -> pl.DataType | None:
    """Return a type that holds every value of both types; None if there is none."""
    if one == two or two == pl.Null:
        return one
    if one == pl.Null:
        return two
    if isinstance(one, _TEXTS) and isinstance(two, _TEXTS):
        return pl.String()
    if one.is_numeric() and two.is_numeric():
        return _number(name, one, two)
    return pl.String() if texts and pl.String in (one, two) else _nested(name, one, two)


def same_units(path: Path, files: Sequence[Path], units: Sequence[Mapping[str, str]]) -> None:
    """Refuse files in which a column has another unit than in the first file.

    Parameters
    ----------
    path : Path
        Folder or pattern, for the error.
    files : sequence of Path
    units : sequence of mapping of str to str
        Units by column, of each file.

    Raises
    ------
    InputError
        Names every such file.
    """
    problems, first = Problems(), units[0]
    for file, other in zip(files[1:], units[1:], strict=True):
        if other == first:
            continue
        changed = [
            f"{name} is in {other[name] or 'no unit'}, not {unit or 'no unit'}"
            for name, unit in first.items()
            if not _same(unit, other.get(name, unit))
        ]
        if changed:
            fix = f"Are several tables in {path}? Convert the values, or read the files one by one."
            problems.add(str(file), f"differs from {files[0].name}: {'; '.join(changed[:5])}", "one unit", fix)
    problems.raise_if_any()


def _same(one: str, two: str) -> bool:
    """Whether two units are the same; a unit and none are not."""
    if one == two or not (one and two):
        return one == two
    # Units need astropy, which takes half a second to import.
    return bool(importlib.import_module("starscale.io.units").same_unit(one, two))


def _integer(one: tuple[bool, int] | None, two: tuple[bool, int] | None) -> pl.DataType | None:
    """Return the narrowest integer type that holds two others, each as (signed, bits)."""
    if one is None or two is None:
        return None
    if one[0] == two[0]:
        wider = max(one, two)
        return next(kind for kind, bits in _BITS.items() if bits == wider)
    unsigned, signed = sorted((one, two))
    return _SIGNED.get(max(2 * unsigned[1], signed[1]))


def _number(name: str, one: pl.DataType, two: pl.DataType) -> pl.DataType | None:
    """Return the narrowest type of numbers that holds two others."""
    if one.is_integer() and two.is_integer():
        return _integer(_BITS.get(one), _BITS.get(two))
    if one.is_float() and two.is_float():
        return pl.Float64()
    whole, floating = (one, two) if two.is_float() else (two, one)
    if not floating.is_float() or whole not in _BITS or _IDENTIFIER.search(name):
        return None
    return floating if _BITS[whole][1] <= 16 else pl.Float64()


def _nested(name: str, one: pl.DataType, two: pl.DataType) -> pl.DataType | None:
    """Return the common type of two lists, or of two vectors of the same shape."""
    if isinstance(one, pl.List) and isinstance(two, pl.List):
        inner = widened(name, _inner(one), _inner(two))
        return None if inner is None else pl.List(inner)
    if isinstance(one, pl.Array) and isinstance(two, pl.Array) and one.size == two.size:
        inner = widened(name, _inner(one), _inner(two))
        return None if inner is None else pl.Array(inner, one.size)
    return None


def _inner(kind: pl.List | pl.Array) -> pl.DataType:
    return kind.inner if isinstance(kind.inner, pl.DataType) else kind.inner()


def fitted(frame: pl.DataFrame, schema: pl.Schema, where: Path) -> pl.DataFrame:
    """Return the columns of `schema` in its order and types.

    Raises
    ------
    InputError
        A whole number is not exact in floating point.
    """
    chosen = picked(frame, schema)
    if chosen.schema == schema:
        return chosen
    problems = Problems()
    for name, kind in schema.items():
        if kind == pl.Float64 and _BITS.get(chosen.schema[name], (True, 0))[1] == 64:
            large = chosen[name].filter(~chosen[name].cast(pl.Int128).is_between(-EXACT, EXACT))
            if len(large):
                found = f"holds the whole number {large[0]}, which is not exact as a floating-point number"
                fix = "Write whole numbers into every file of the folder, or texts."
                problems.add(f"{where}: column {name!r}", found, "one type in every file", fix)
    problems.raise_if_any()
    try:
        return chosen.cast(schema)
    except pl.exceptions.PolarsError as error:
        raise InputError(Problem(str(where), f"cannot be read as the other files ({error})")) from error
