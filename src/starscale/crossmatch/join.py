"""What a match is for, on catalogues of any size: columns side by side, and pairs of rows that passed cuts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl

from starscale.crossmatch.kernel.losses import counterpart_cut
from starscale.crossmatch.kernel.select import Mode
from starscale.io import Writer, open_table, open_writer, work_folder
from starscale.io.joining import join_frames
from starscale.surveys import Survey
from starscale.tables.joins import new_names
from starscale.tables.stream import rows_of
from starscale.vocabulary.columns import Column

_STAR, _EXTERNAL = "source_id", "original_ext_source_id"


@dataclass(frozen=True, slots=True)
class Counterparts:
    """A clean photometric catalogue and its pairs with the leading one."""

    survey: Survey
    table: Path
    pairs: Path


def join_on_disk(
    lead: Path,
    lead_survey: Survey,
    photometry: Sequence[Counterparts],
    target: Path,
    *,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str],
    absent: Mapping[str, pl.DataType] | None = None,
) -> int:
    """Write the stars that have a pair in every photometric catalogue, all columns side by side.

    Rows come in the order of the leading catalogue; :func:`starscale.tables.joins.names_in` says what the
    columns are called.

    Parameters
    ----------
    lead : Path
        The clean leading catalogue.
    lead_survey : Survey
    photometry : sequence of Counterparts
    target : Path
    columns : mapping of str to Column
        Descriptions of the columns that are written.
    metadata : mapping of str to str
        Texts for the file.
    absent : mapping of str to polars.DataType, optional
        Further columns, which have no values.

    Returns
    -------
    int
        Stars written.
    """
    with work_folder(target) as folder, ExitStack() as stack:
        stars = rows_of(lead)
        for number, one in enumerate(photometry):
            stars = _beside(stars, one, lead_survey, folder / str(number))
        empty = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in (absent or {}).items()]
        writer: Writer | None = None
        for frame in (part.with_columns(empty) for part in stars):
            if writer is None:
                writer = stack.enter_context(open_writer(target, frame.schema, columns=columns, metadata=metadata))
            writer.append(frame)
        return 0 if writer is None else writer.n_rows


def _beside(
    stars: Iterator[pl.DataFrame], one: Counterparts, lead: Survey, folder: Path
) -> Iterator[pl.DataFrame]:
    """Append an external catalogue's columns to the stars that have a pair; the other stars are left out."""
    first = next(stars)
    external, pairs = open_table(one.table), open_table(one.pairs)
    names = new_names(first.columns, one.survey, (c for c in one.survey.columns if c in external.schema))
    on, key = lead.id.column, names[one.survey.id.column]
    linked = join_frames(
        (frame.select(**{on: _STAR, key: _EXTERNAL}) for frame in rows_of(one.pairs, [_STAR, _EXTERNAL])),
        (frame.rename(names) for frame in rows_of(one.table, list(names))),
        left_on=key,
        right_on=key,
        how="inner",
        n_right=external.n_rows,
        folder=folder / "external",
    )
    yield from join_frames(
        chain([first], stars),
        linked,
        left_on=on,
        right_on=on,
        how="inner",
        n_right=pairs.n_rows,
        folder=folder / "pairs",
    )


@dataclass(frozen=True, slots=True)
class CleanSides:
    """The two clean catalogues, and the columns with their identifiers."""

    lead: Path
    lead_id: str
    external: Path
    external_id: str


def keep_clean_pairs(
    found: Mapping[str, Path],
    sides: CleanSides,
    mode: Mode,
    targets: Mapping[str, Path],
    *,
    columns: Mapping[str, Column],
    metadata: Mapping[str, str],
) -> tuple[int, dict[str, int]]:
    """Of a match of whole catalogues, keep what belongs to rows that passed the cuts of their catalogue.

    Parameters
    ----------
    found : mapping of str to Path
        `pairs` and `unmatched` of the match.
    sides : CleanSides
    mode : {"dense", "sparse"}
    targets : mapping of str to Path
        Where to write the two.
    columns : mapping of str to Column
    metadata : mapping of str to str
        Texts for the two files.

    Returns
    -------
    pairs : int
        Pairs kept.
    losses : dict of str to int
        Leading sources without a pair, by reason.
    """
    losses: dict[str, int] = {}
    with work_folder(targets["pairs"]) as folder, ExitStack() as stack:
        schemas = {name: open_table(path).schema for name, path in found.items()}
        pairs, lost = (
            stack.enter_context(open_writer(targets[name], schemas[name], columns=columns, metadata=metadata))
            for name in ("pairs", "unmatched")
        )

        def lose(frame: pl.DataFrame) -> None:
            lost.append(frame)
            for reason, n in frame["reason"].value_counts().iter_rows():
                losses[reason] = losses.get(reason, 0) + n

        leading = (sides.lead, sides.lead_id) if mode == "dense" else (sides.external, sides.external_id)
        for frame in _marked(rows_of(found["unmatched"]), "leading_id", *leading, folder / "lost"):
            lose(frame.filter("__clean").drop("__clean"))
        marked = _marked(rows_of(found["pairs"]), _STAR, sides.lead, sides.lead_id, folder / "lead")
        marked = (frame.rename({"__clean": "__star"}) for frame in marked)
        marked = _marked(marked, _EXTERNAL, sides.external, sides.external_id, folder / "external")
        own, other = ("__star", "__clean") if mode == "dense" else ("__clean", "__star")
        for frame in marked:
            pairs.append(frame.filter(pl.col(own) & pl.col(other)).drop("__star", "__clean"))
            lose(counterpart_cut(frame.filter(pl.col(own) & ~pl.col(other)), mode, schemas["unmatched"]))
        return pairs.n_rows, losses


def _marked(
    frames: Iterator[pl.DataFrame], key: str, clean: Path, identifier: str, folder: Path
) -> Iterator[pl.DataFrame]:
    """Add a column ``__clean``: whether the row of a clean catalogue is still there."""
    ids = (
        frame.rename({identifier: key}).with_columns(pl.lit(True).alias("__clean"))
        for frame in rows_of(clean, [identifier])
    )
    rows = open_table(clean).n_rows
    found = join_frames(frames, ids, left_on=key, right_on=key, how="left", n_right=rows, folder=folder)
    return (frame.with_columns(pl.col("__clean").fill_null(False)) for frame in found)
