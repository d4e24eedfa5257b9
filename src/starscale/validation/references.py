"""Tables that a catalogue is compared with, in common names and units, and the rows of the catalogue they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import polars as pl

from starscale import io
from starscale.io.table import require_columns
from starscale.io.units import convert
from starscale.surveys import Survey, load_survey
from starscale.tables.api import AnyTable, name_of, read, says_mock
from starscale.tables.identifiers import repeated_identifiers
from starscale.tables.labels import cut_rows, label_table, link_by_id
from starscale.tables.sql import RowExpression, row_expression
from starscale.vocabulary.accounting import RowAccount, removed_for
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.progress import Task

#: Name of the identifier in the tables here; ``first`` and ``second`` of pairs.
KEY = "_key"
PAIR = ("_first", "_second")
#: Parts of a catalogue whose stars the model has seen.
PART, _SEEN = "part", ("train", "validation")
#: Beyond this a double does not represent every integer.
_EXACT = 2**53
_CHUNK = 250_000


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """A table that the catalogue is compared with.

    Attributes
    ----------
    test : str
        Name of the test.
    where : str
        Name of the table in messages.
    frame : polars.DataFrame
        Identifiers (``_key``, or ``_first`` and ``_second``), and columns by their names in the catalogue.
    columns : mapping of str to str
        Names in the table, by the name here.
    without_id : int
        Rows left out because they have no identifier.
    mock : bool
    """

    test: str
    where: str
    frame: pl.DataFrame
    columns: Mapping[str, str]
    without_id: int
    mock: bool

    @property
    def keys(self) -> pl.Series:
        """All identifiers of the table."""
        names = PAIR if PAIR[0] in self.frame.columns else (KEY,)
        return pl.concat([self.frame[name].alias(KEY) for name in names])


def read_reference(
    test: str,
    table: AnyTable,
    identifiers: Mapping[str, str],
    wanted: Sequence[str],
    names: Mapping[str, str],
    *,
    texts: Sequence[str] = (),
) -> ReferenceTable:
    """Read a table that the catalogue is compared with.

    Parameters
    ----------
    test : str
    table : path or table
    identifiers : mapping of str to str
        Column of every identifier, by its name here.
    wanted : sequence of str
        Columns to read where they exist, by their names in the catalogue.
    names : mapping of str to str
        Names in the table, by name in the catalogue, where they differ.
    texts : sequence of str
        Columns of texts that must exist.

    Raises
    ------
    InputError
        A column is missing, or has the unit of another quantity; an identifier is repeated, or was rounded.
    """
    where = name_of(table, f"table of {test}")
    source = io.open_table(table, name=where)
    there = list(source.schema)
    places = {name: names.get(column, column) for name, column in identifiers.items()}
    places |= {name: names.get(name, name) for name in texts}
    require_columns(where, list(places.values()), there)
    places |= {name: place for name in wanted if (place := _spelled(name, names, there)) is not None}
    frame = source.read(list(dict.fromkeys(places.values())))
    problems, columns = Problems(), []
    for name, place in places.items():
        label = f"{where}: column {place!r}"
        with problems.collect():
            if name in identifiers:
                columns.append(as_keys(frame[place], label).alias(name))
            elif name in texts:
                columns.append(frame[place].cast(pl.String).alias(name))
            else:
                columns.append(_in_unit(frame[place], source.columns[place].unit, name, label))
    problems.raise_if_any()
    found = pl.DataFrame(columns).filter(pl.all_horizontal(pl.col(list(identifiers)).is_not_null()))
    _refuse_repeated(found, list(identifiers), where)
    missing = frame.height - found.height
    return ReferenceTable(test, where, found, places, missing, says_mock(source.metadata))


def read_labels(test: str, table: AnyTable, survey: str | Path | Survey) -> ReferenceTable:
    """Read the labels of a spectroscopic survey: its cuts are applied, and repeated measurements merged.

    Raises
    ------
    InputError
        The survey has no labels or no identifiers of the leading catalogue, or the table cannot be read.
    """
    description, where = load_survey(survey), name_of(table, f"table of {test}")
    if not description.labels:
        raise InputError(Problem(f"survey {description.name}", "has no labels", "a spectroscopic survey"))
    rows, _ = cut_rows(read(table, survey=description), description.cuts, description, where)
    labels, _ = label_table(rows, link_by_id(rows, description), description)
    kept = [name + end for name in description.labels for end in ("", "_error")]
    frame = labels.select(pl.col("source_id").alias(KEY), *kept)
    mock = says_mock(io.open_table(table, name=where).metadata)
    return ReferenceTable(test, where, frame, {name: name for name in kept}, 0, mock)


def _spelled(name: str, names: Mapping[str, str], there: Sequence[str]) -> str | None:
    """Return how a column is called in a table: as the user says, by its name, or as CDS names errors."""
    ways = [names.get(name), name, f"e_{name.removesuffix('_error')}" if name.endswith("_error") else None]
    return next((way for way in ways if way in there), None)


def _in_unit(values: pl.Series, stated: str, name: str, label: str) -> pl.Series:
    """Return a column in the unit of the catalogue; a label outside its physical limits is missing."""
    if not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise InputError(Problem(label, f"is of type {values.dtype}", "numbers"))
    about = LABELS.get(name.removesuffix("_error"))
    found = values.cast(pl.Float64).alias(name)
    if about is None:
        return found
    found = convert(found, stated, about.scale, label, difference=name.endswith("_error")).alias(name)
    inside = found > 0 if name.endswith("_error") else found.is_between(about.lower, about.upper)
    return pl.select(pl.when(inside).then(found)).to_series().alias(name)


def as_keys(values: pl.Series, where: str) -> pl.Series:
    """Return identifiers as integers or texts; null where there is none.

    Raises
    ------
    InputError
        They are floating-point numbers that have lost digits, or neither numbers nor texts.
    """
    if values.dtype == pl.String:
        texts = values.str.strip_chars()
        return texts.set(texts == "", None)
    if values.dtype.is_integer() or values.dtype == pl.Null:
        return values.cast(pl.Int64, strict=False)
    if values.dtype.is_float():
        present = values.fill_nan(None).drop_nulls()
        if not len(present) or (
            float(str(present.abs().max())) < _EXACT and bool((present == present.round()).all())
        ):
            return values.fill_nan(None).cast(pl.Int64)
        found = f"holds floating-point numbers (first: {present[0]:.17g}), whose last digits are lost"
        raise InputError(Problem(where, found, "64-bit integers", "Export the table again with integers."))
    raise InputError(Problem(where, f"is of type {values.dtype}", "identifiers: integers or texts"))


def _refuse_repeated(frame: pl.DataFrame, identifiers: Sequence[str], where: str) -> None:
    """Refuse a star, or a pair in any order, that stands in more than one row; or a pair of one star."""
    if len(identifiers) == 1:
        keys = frame[identifiers[0]]
        if twice := len(keys) - keys.n_unique():
            raise InputError(repeated_identifiers(twice, keys.filter(keys.is_duplicated())[0], where))
        return
    one, two = frame[identifiers[0]], frame[identifiers[1]]
    if (same := int((one == two).sum())) > 0:
        raise InputError(Problem(where, f"{same} pairs are a star and itself", "two stars in every row"))
    ordered = frame.select(pl.min_horizontal(identifiers).alias("a"), pl.max_horizontal(identifiers).alias("b"))
    if twice := ordered.height - ordered.n_unique():
        first = ordered.filter(ordered.is_duplicated()).row(0)
        raise InputError(Problem(where, f"{twice} pairs are repeated (first: {first})", "every pair once"))


@dataclass(frozen=True, slots=True)
class CatalogueStars:
    """Stars of the catalogue that the tests need.

    Attributes
    ----------
    frame : polars.DataFrame
        ``_key`` and columns of the catalogue.
    seen : int
        Stars left out because the model was trained or calibrated on them.
    mock : bool
    account : RowAccount
        Rows of the catalogue: those in `frame`, and the others by reason.
    """

    frame: pl.DataFrame
    seen: int
    mock: bool
    account: RowAccount


def catalogue_columns_of(labels: Iterable[str]) -> list[str]:
    """Return the columns of a catalogue that the tests of some of its columns use."""
    known = list(dict.fromkeys([*labels, "teff"]))
    ends = ("", "_error", "_error_truth", "_scale_error")
    return [name + end for name in known for end in ends] + [f"{a}_{b}_corr" for a, b in combinations(LABELS, 2)]


@dataclass(frozen=True, slots=True)
class WantedRows:
    """Rows and columns of the catalogue that the tests need.

    Attributes
    ----------
    identifier : str
    references : sequence of ReferenceTable
        Tables that name the stars.
    labels : tuple of str
    keep : str or None
        SQL predicate.
    include_training : bool
    """

    identifier: str
    references: Sequence[ReferenceTable]
    labels: tuple[str, ...]
    keep: str | None
    include_training: bool


def read_catalogue(source: io.Source, where: str, rows: WantedRows, task: Task) -> CatalogueStars:
    """Read the rows of the catalogue that the other tables name, in chunks.

    Raises
    ------
    InputError
        A column is missing, or a star stands there twice.
    """
    names = list(source.schema)
    rule = None if rows.keep is None else row_expression(rows.keep, "keep", "a predicate")
    predicate = rule.columns if rule else ()
    require_columns(where, list(dict.fromkeys([rows.identifier, *predicate])), names)
    used = [name for name in catalogue_columns_of(rows.labels) if name in names]
    part = [PART] if PART in names and not rows.include_training else []
    chosen = list(dict.fromkeys([rows.identifier, *used, *part, *predicate]))
    stars, removed = _matched(source, f"{where}: column {rows.identifier!r}", chosen, rows, rule, task)
    if twice := stars.height - stars[KEY].n_unique():
        raise InputError(repeated_identifiers(twice, stars.filter(stars[KEY].is_duplicated())[KEY][0], where))
    fresh = stars.filter(~pl.col(PART).is_in(_SEEN).fill_null(value=False)) if part else stars
    frame = fresh.select(KEY, *(_label_column(source, fresh[name], where) for name in used))
    seen = stars.height - fresh.height
    account = RowAccount(source.n_rows, frame.height, removed_for(*removed.items(), ("of the training", seen)))
    return CatalogueStars(frame, seen, says_mock(source.metadata), account)


def _matched(
    source: io.Source,
    label: str,
    chosen: Sequence[str],
    rows: WantedRows,
    rule: RowExpression | None,
    task: Task,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Read the rows with wanted identifiers that fulfil the predicate; count the others by reason."""
    empty = pl.DataFrame(schema={rows.identifier: source.schema[rows.identifier]})
    wanted = _wanted(rows.references, as_keys(empty[rows.identifier], label).dtype, label)
    pieces = [pl.DataFrame(schema={**{name: source.schema[name] for name in chosen}, KEY: wanted.dtype})]
    removed = {"in no other table": 0, "keep": 0}
    for frame in source.batches(_CHUNK, chosen):
        task.advance(frame.height)
        piece = frame.with_columns(as_keys(frame[rows.identifier], label).alias(KEY))
        named = piece.filter(pl.col(KEY).is_in(wanted.implode()))
        kept = named.filter(rule.mask(named)) if rule else named
        removed["in no other table"] += frame.height - named.height
        removed["keep"] += named.height - kept.height
        pieces.append(kept)
    return pl.concat(pieces, how="vertical_relaxed"), removed


def _label_column(source: io.Source, values: pl.Series, where: str) -> pl.Series:
    """Return a column of the catalogue as numbers, in the unit of its label."""
    label = f"{where}: column {values.name!r}"
    if not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise InputError(Problem(label, f"is of type {values.dtype}", "numbers"))
    ends = ("_scale_error", "_error_truth", "_error", "")
    end = next(end for end in ends if values.name.endswith(end))
    about, found = LABELS.get(values.name.removesuffix(end)), values.cast(pl.Float64)
    if about is None:
        return found
    return convert(found, source.columns[values.name].unit, about.scale, label, difference=bool(end))


def _wanted(references: Sequence[ReferenceTable], kind: pl.DataType, where: str) -> pl.Series:
    """Return all identifiers of the other tables, in the type of the catalogue's.

    Raises
    ------
    InputError
        Identifiers are texts where those of the catalogue are numbers, or the other way round.
    """
    problems, keys = Problems(), []
    for reference in references:
        if reference.keys.dtype != kind and len(reference.keys):
            theirs, ours = ("texts" if one == pl.String else "integers" for one in (reference.keys.dtype, kind))
            found, expected = f"its identifiers are {theirs}", f"{ours}, as in {where}"
            problems.add(reference.where, found, expected, "Name the columns of the same identifier in both.")
        else:
            keys.append(reference.keys.cast(kind))
    problems.raise_if_any()
    return pl.concat(keys).unique() if keys else pl.Series(KEY, [], dtype=kind)


def refuse_unknown_names(names: Mapping[str, str], references: Sequence[ReferenceTable]) -> None:
    """Refuse names of columns that the user gave and that no table has."""
    used = {column for reference in references for column in reference.columns.values()}
    problems = Problems()
    for name, column in names.items():
        if column not in used:
            where = ", ".join(reference.where for reference in references) or "columns"
            problems.add(where, f"no table has the column {column!r} (for {name})", fix=did_you_mean(column, used))
    problems.raise_if_any()
