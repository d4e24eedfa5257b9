"""Tables of one file with the same rows in the same order, read as one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from starscale.io.table import OtherTables, Source, picked
from starscale.vocabulary.errors import InputError, Problem, Problems

#: Between the names of tables in a path: ``file.fits#RVTAB+SPTAB``.
PLUS = "+"


class RowMatchedSource(Source):
    """Tables whose rows belong together, one after the other; columns are named ``RVTAB.TEFF``.

    All tables are read at the same pace, one chunk of each at a time; those without a wanted column are not read.

    Parameters
    ----------
    path : Path
    parts : sequence of str
        Names or numbers of the tables, in order.
    opener : callable
        Opens the table with a name or number.

    Raises
    ------
    InputError
        Tables that cannot be read, are named twice, or have different numbers of rows; all problems in one error.
    """

    def __init__(self, path: Path, parts: Sequence[str], opener: Callable[[str], Source]) -> None:
        self.path = path
        problems, sources = Problems(), list[Source]()
        for part in parts:
            with problems.collect():
                sources.append(opener(part))
        problems.raise_if_any()
        names = [source.part or part for source, part in zip(sources, parts, strict=True)]
        _compare(f"{path}#{PLUS.join(parts)}", parts, names, sources)
        # Where two tables have one name, they are called as the user does.
        self._sources = dict(zip(names if len(set(names)) == len(names) else parts, sources, strict=True))
        self._places = {
            f"{label}.{name}": (label, name) for label, one in self._sources.items() for name in one.schema
        }
        places = {name: (self._sources[label], there) for name, (label, there) in self._places.items()}
        self.schema = pl.Schema({name: source.schema[there] for name, (source, there) in places.items()})
        self.columns = {name: replace(one.columns[there], name=name) for name, (one, there) in places.items()}
        self._describe(sources)

    def _describe(self, sources: Sequence[Source]) -> None:
        """Take over what the tables state as a whole; the first that states something goes before."""
        self.format = sources[0].format
        self.metadata = {key: text for source in reversed(sources) for key, text in source.metadata.items()}
        self.frame = next((source.frame for source in sources if source.frame), "")
        self.epoch = next((source.epoch for source in sources if source.epoch is not None), None)

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a user must know about each table."""
        return tuple(
            type(note)(f"{label}: {note}")
            for label, source in self._sources.items()
            for note in source.notes
            if not isinstance(note, OtherTables)
        )

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return next(iter(self._sources.values())).n_rows

    def frames(self, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read about `rows` rows of every table at a time."""
        return self.frames_after(0, rows, columns)

    def frames_after(self, skip: int, rows: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read the rows after the first `skip`."""
        wanted: dict[str, dict[str, str]] = {}
        for name in columns:
            label, there = self._places[name]
            wanted.setdefault(label, {})[there] = name
        streams = [self._stream(label, skip, rows, names) for label, names in wanted.items()]
        for frames in zip(*streams, strict=True):
            yield picked(pl.concat(frames, how="horizontal"), columns)

    def _stream(self, label: str, skip: int, rows: int, names: Mapping[str, str]) -> Iterator[pl.DataFrame]:
        """Yield frames of exactly `rows` rows of one table, with columns under their new names."""
        source = self._sources[label]
        source.verify = self.verify
        for frame in source.batches(rows, list(names), skip=skip):
            yield frame.rename(names)


def _compare(where: str, parts: Sequence[str], names: Sequence[str], sources: Sequence[Source]) -> None:
    """Refuse tables that are named twice or have different numbers of rows."""
    twice = [part for part, times in Counter(parts).items() if times > 1]
    if twice:
        raise InputError(Problem(where, f"names a table twice ({', '.join(twice)})", "every table once"))
    if len({source.n_rows for source in sources}) > 1:
        found = ", ".join(f"{name} {source.n_rows:,}" for name, source in zip(names, sources, strict=True))
        fix = "Only tables whose rows belong together, one after the other, can be read as one."
        raise InputError(Problem(where, f"has tables of different length (rows: {found})", "equal lengths", fix))
