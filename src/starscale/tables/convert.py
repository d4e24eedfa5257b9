"""The verb `convert`: a table in another format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from starscale import io
from starscale.io.progress import progress_of
from starscale.tables.api import AnyTable, name_of, refuse_same, stated_metadata
from starscale.tables.losses import SAMPLE, losses
from starscale.tables.renaming import new_names
from starscale.vocabulary.accounting import RowAccount
from starscale.vocabulary.columns import Column
from starscale.vocabulary.progress import Progress, Task

#: Rows in memory.
CHUNK = 250_000


@dataclass(frozen=True, slots=True)
class Converted:
    """A table that was converted.

    Attributes
    ----------
    output : Path
        The file that was written.
    n_rows : int
    lost : tuple of str
        What its format does not keep, judged on the first 1,000 rows; empty: everything is kept.
    """

    output: Path
    n_rows: int
    lost: tuple[str, ...]

    @property
    def account(self) -> RowAccount:
        """Rows that were read, all of which were written."""
        return RowAccount(self.n_rows, self.n_rows)


def convert(
    table: AnyTable,
    output: str | Path,
    *,
    columns: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    verify: bool = True,
    progress: Progress | bool | None = None,
) -> Converted:
    """Write a table in another format, with units, UCDs, descriptions, missing values and metadata.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.read` takes. A file is read in chunks, whatever its size.
    output : str or Path
        The suffix selects the format.
    columns : sequence of str, optional
        Columns to write, in this order, by their present names; default: all.
    rename : mapping of str to str, optional
        Present names of columns, by new name.
    verify : bool
        Verify the checksums that a file states; False copies a file whose checksums are wrong.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Converted

    Raises
    ------
    InputError
        The table cannot be read, a column is missing, a new name is taken, or the format cannot hold a column.
    StarscaleError
        `output` cannot be written; an older file is unchanged.
    """
    refuse_same(output, table)
    target, shown = Path(output).expanduser(), progress_of(progress)
    schema, about, metadata, frames, rows = _opened(table, columns, rename, verify)
    sample: list[pl.DataFrame] = []
    with (
        shown.task(f"converting to {target.name}", rows) as task,
        io.open_writer(target, schema, columns=about, metadata=metadata, n_rows=rows) as writer,
    ):
        for frame in _counted(frames, task):
            if not sample:
                sample.append(frame.head(SAMPLE))
            writer.append(frame)
        RowAccount(rows, writer.n_rows)
    first = sample[0] if sample else pl.DataFrame(schema=schema)
    return Converted(target, rows, losses(first, about, metadata, target.name))


def _opened(
    table: AnyTable, columns: Sequence[str] | None, rename: Mapping[str, str] | None, verify: bool
) -> tuple[pl.Schema, Mapping[str, Column], dict[str, str], Iterator[pl.DataFrame], int]:
    """Return schema, descriptions, metadata, rows and number of rows of a table."""
    source = io.open_table(table, verify=verify)
    chosen = source.choose(columns)
    new = new_names(chosen, rename, name_of(table))
    schema = pl.Schema({new[name]: source.schema[name] for name in chosen})
    metadata = stated_metadata(source)
    about = {new[name]: replace(source.columns[name], name=new[name]) for name in chosen}
    frames = (frame.rename(new) for frame in source.batches(CHUNK, chosen))
    return schema, about, metadata, frames, source.n_rows


def _counted(frames: Iterator[pl.DataFrame], task: Task) -> Iterator[pl.DataFrame]:
    for frame in frames:
        yield frame
        task.advance(frame.height)
