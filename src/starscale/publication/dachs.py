"""A resource descriptor of GAVO DaCHS, with which a data centre publishes a table by TAP.

Elements as in the reference documentation of DaCHS: a ``resource`` with its metadata, a ``table`` in the database
and open to ADQL, and a ``data`` element that fills it from the VOTable next to the descriptor.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import polars as pl

from starscale import io
from starscale.io.table import CHUNK_ROWS, Source
from starscale.publication.cds_readme import Publication
from starscale.tables.api import stated_metadata
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import Problems
from starscale.vocabulary.progress import Task

SUFFIX = ".rd"
#: Types of columns in the database, and what stands for null in answers, where a number must.
_TYPES = {
    "int64": "bigint",
    "int32": "integer",
    "int16": "smallint",
    "float64": "double precision",
    "float32": "real",
    "bool": "boolean",
    "string": "text",
}
_NULLS = {"int64": -(2**63), "int32": -(2**31), "int16": -(2**15)}
_MAIN_ID, _POSITION = "meta.id;meta.main", ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main")


def check_names(columns: Sequence[str], where: str) -> None:
    """Refuse columns whose names DaCHS cannot take: it makes variables of Python of them.

    Raises
    ------
    InputError
        All of them.
    """
    problems = Problems()
    for name in columns:
        if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name) or name.startswith("_"):
            fix = f"Rename it first: starscale convert --rename NEW={name}"
            problems.add(f"{where}: column {name!r}", "is no name of a database", "letters, digits and _", fix)
    problems.raise_if_any()


def write_descriptor(
    source: Source,
    columns: Mapping[str, Column],
    target: Path,
    about: Publication,
    description: Sequence[str],
    task: Task,
) -> tuple[Path, Path]:
    """Write a descriptor, and the data next to it in ``data/``.

    Parameters
    ----------
    source : Source
    columns : mapping of str to Column
        Descriptions of the columns to publish, in order.
    target : Path
        The descriptor, such as ``stars/q.rd``; the folder gives the name of the schema.
    about : Publication
    description : sequence of str
        Paragraphs about the table.
    task : Task
        Receives the rows written.

    Returns
    -------
    tuple of Path
        Descriptor and data.
    """
    name = "main"
    data = target.parent / "data" / f"{name}.vot"
    data.parent.mkdir(parents=True, exist_ok=True)
    truths = [one for one in columns if source.schema[one] == pl.Boolean]
    schema = pl.Schema({one: pl.Int16() if one in truths else source.schema[one] for one in columns})
    with io.open_writer(data, schema, columns=columns, metadata=stated_metadata(source)) as writer:
        for frame in source.batches(CHUNK_ROWS, list(columns)):
            # DaCHS reads truth values as numbers only.
            writer.append(frame.with_columns(pl.col(truths).cast(pl.Int16)))
            task.advance(frame.height)
    schema_name = re.sub(r"\W", "_", target.absolute().parent.name.lower(), flags=re.ASCII)
    text = _resource(schema_name, about, description, _table(name, columns, source.schema), _data(name, truths))
    io.atomic_text(target, text)
    return target, data


def _resource(schema: str, about: Publication, description: Sequence[str], *parts: str) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metas = [
        ("creationDate", now),
        ("title", about.title or "[TO BE FILLED IN: title]"),
        ("description", about.abstract or " ".join(description)),
        *(("creator.name", author) for author in about.authors or ("[TO BE FILLED IN: authors]",)),
        *(("subject", word) for word in about.keywords or ("fundamental-parameters-of-stars",)),
        *([("source", about.bibcode)] if about.bibcode else []),
        ("content.type", "Catalog"),
        ("coverage.waveband", "Optical"),
    ]
    lines = [f"  <meta name={quoteattr(name)}>{_text(text)}</meta>" for name, text in metas]
    head = f'<?xml version="1.0" encoding="utf-8"?>\n<resource schema={quoteattr(schema)} resdir=".">'
    return "\n".join([head, *lines, *parts, "</resource>", ""])


def _text(text: str) -> str:
    """Return text for an element; a backslash would begin a macro of DaCHS."""
    return escape(text.replace("\\", "\\\\"))


def _table(name: str, columns: Mapping[str, Column], schema: pl.Schema) -> str:
    ucds = [column.ucd for column in columns.values()]
    # The index for cones needs exactly one main position.
    mixin = ' mixin="//scs#q3cindex"' if all(ucds.count(ucd) == 1 for ucd in _POSITION) else ""
    main = [f'    <index columns="{one}"/>' for one, column in columns.items() if column.ucd == _MAIN_ID][:1]
    lines = [_column(one, column, schema[one]) for one, column in columns.items()]
    return "\n".join([f'  <table id="{name}" onDisk="True" adql="True"{mixin}>', *main, *lines, "  </table>"])


def _column(name: str, about: Column, dtype: pl.DataType) -> str:
    words = {
        "name": name,
        "type": _TYPES[about.dtype],
        "unit": about.unit,
        "ucd": about.ucd,
        "description": about.description,
    }
    shown = " ".join(f"{key}={quoteattr(text)}" for key, text in words.items() if text)
    null = _NULLS.get(about.dtype) if dtype.is_integer() else None
    inner = f"><values nullLiteral='{null}'/></column>" if null is not None else "/>"
    return f"    <column {shown}{inner}"


def _data(name: str, truths: Sequence[str]) -> str:
    maps = "".join(f'<map dest="{one}">None if @{one} is None else bool(@{one})</map>' for one in truths)
    return "\n".join(
        [
            '  <data id="import">',
            f"    <sources>data/{name}.vot</sources>",
            "    <voTableGrammar/>",
            f'    <make table="{name}"><rowmaker idmaps="*">{maps}</rowmaker></make>',
            "  </data>",
        ]
    )
