"""Read a table on disk piece by piece, standardised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from starscale.io import open_table, read_ahead
from starscale.surveys import Survey
from starscale.surveys.derived import derivable
from starscale.tables.columns.typed import Discarded
from starscale.tables.frames import refuse_frame
from starscale.tables.identifiers import all_missing, repeated_identifiers
from starscale.tables.opening import open_for
from starscale.tables.repeated import RepeatedIds, hashed
from starscale.tables.standardise import only, spelling, standardise, to_read
from starscale.vocabulary.errors import InputError

#: Rows per piece.
CHUNK = 250_000


def pieces(
    path: Path,
    survey: Survey,
    columns: Sequence[str] | None = None,
    *,
    rows: int | None = None,
    discarded: Discarded | None = None,
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a table in order, standardised; conditions on the whole table are not checked.

    Parameters
    ----------
    path : Path
    survey : Survey
    columns : sequence of str, optional
        Columns of the survey, of which those that exist or can be computed are returned; default: all columns.
    rows : int, optional
        Rows per piece; default: :data:`CHUNK`.
    discarded : Discarded, optional
        Receives the numbers of values that became missing.

    Yields
    ------
    polars.DataFrame
        At least one; without rows if the table has none.

    Raises
    ------
    InputError
        See :func:`starscale.tables.standardise.standardise`.
    """
    source = open_for(path, survey)
    refuse_frame(source, survey, str(path))
    # The identifier is examined, also where it is not asked for.
    asked = None if columns is None else [*columns, survey.id.column]
    wanted = list(source.schema) if asked is None else to_read(source.schema, survey, asked)
    empty = pl.DataFrame(schema={name: source.schema[name] for name in wanted})
    # Without any of the columns there is nothing to read, and standardising says what is missing.
    some = source.n_rows and wanted
    batches = read_ahead(source.batches(rows or CHUNK, wanted)) if some else iter([empty])
    for batch in batches:
        frame = standardise(
            batch, survey, where=str(path), found_columns=source.columns, whole=False, discarded=discarded
        )
        yield frame if columns is None else only(frame, columns)


def rows_of(path: Path, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield the rows of a table that starscale wrote, in order; at least one frame, which has the columns."""
    source = open_table(path)
    if source.n_rows:
        yield from read_ahead(source.batches(CHUNK, columns))
    else:
        yield source.read(columns)


def columns_of(path: Path, survey: Survey) -> list[str]:
    """Return the columns of a table once it is standardised."""
    names = list(open_for(path, survey).schema)
    described = {there: name for name, there in spelling(names, survey).items()}
    own = [described.get(name, name) for name in names]
    return own + derivable(survey.columns, own)


def checked_ids(
    frames: Iterable[pl.DataFrame], path: Path, survey: Survey, folder: Path, *, unique: bool
) -> Iterator[pl.DataFrame]:
    """Pass frames on, and raise an error at the end if all identifiers are missing, or some are repeated.

    Parameters
    ----------
    frames : iterable of polars.DataFrame
        The rows of a table, standardised.
    path : Path
        The table, for the message and to look up a repeated identifier.
    survey : Survey
    folder : Path
        For temporary files; the caller removes it.
    unique : bool
        Refuse repeated identifiers.

    Raises
    ------
    InputError
        After the last frame.
    """
    column, label = survey.id.column, f"{path}: column {survey.id.column!r}"
    rows = known = 0
    ids = RepeatedIds(folder) if unique else None
    try:
        for frame in frames:
            rows += frame.height
            known += frame.height - frame[column].null_count()
            if ids is not None:
                ids.add(frame[column])
            yield frame
        if rows and not known:
            raise InputError(all_missing(label))
        if ids is None:
            return
        n_ids, n_rows, example = ids.count()
    finally:
        if ids is not None:
            ids.close()
    if n_ids:
        raise InputError(repeated_identifiers(n_rows - n_ids, _named(path, survey, example), label))


def _named(path: Path, survey: Survey, example: int | None) -> object:
    """Return an identifier with the given hash."""
    for frame in pieces(path, survey, [survey.id.column]):
        ids = frame[survey.id.column].drop_nulls()
        found = ids.filter(pl.Series(hashed(ids) == example))
        if len(found):
            return found[0]
    return ""
