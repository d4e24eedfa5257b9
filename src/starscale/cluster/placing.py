"""Tables that are not HATS, put on partitions of the sky as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from starscale.io import open_writer
from starscale.surveys import Survey
from starscale.tables.api import stated_metadata
from starscale.tables.opening import open_for
from starscale.tables.standardise import spelling
from starscale.tables.stream import CHUNK
from starscale.vocabulary.columns import DEC, RA


def place(table: Path, survey: Survey, target: Path) -> None:
    """Write a table of any format as a HATS catalogue: same columns and values, rows in the order of the sky.

    Parameters
    ----------
    table : Path
    survey : Survey
        Names the columns of the position.
    target : Path

    Raises
    ------
    InputError
        A table that cannot be read, or has no positions in degrees.
    """
    source = open_for(table, survey)
    columns, found = dict(source.columns), spelling(source.schema, survey)
    if survey.position is not None:
        # Without a word on them in the file, only columns called ra and dec would be recognised.
        for name, known in ((survey.position.ra, RA), (survey.position.dec, DEC)):
            if name in found:
                columns[found[name]] = replace(columns[found[name]], ucd=known.ucd)
    with open_writer(target, source.schema, columns=columns, metadata=stated_metadata(source)) as writer:
        for frame in source.batches(CHUNK):
            writer.append(frame)
