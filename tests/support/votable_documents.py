"""Small VOTable documents, written out as services write them."""

from __future__ import annotations

import base64
from pathlib import Path

NAMESPACE = 'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"'


def field(name: str, datatype: str, *, null: str | None = None, **others: str) -> str:
    """A FIELD; `null` becomes its VALUES."""
    pairs = "".join(f' {key}="{text}"' for key, text in {"name": name, "datatype": datatype, **others}.items())
    values = "" if null is None else f'<VALUES null="{null}"/>'
    return f"<FIELD{pairs}>{values}</FIELD>"


def cells(*rows: tuple[str, ...]) -> str:
    """Rows of TABLEDATA."""
    text = "".join(f"<TR>{''.join(f'<TD>{cell}</TD>' for cell in row)}</TR>" for row in rows)
    return f"<DATA><TABLEDATA>{text}</TABLEDATA></DATA>"


def column(*values: str) -> str:
    """Rows of TABLEDATA with one cell each."""
    return cells(*((value,) for value in values))


def stream(kind: str, raw: bytes, encoding: str = "base64", attributes: str = "") -> str:
    """Rows of BINARY, BINARY2 or FITS."""
    text = base64.b64encode(raw).decode()
    return f'<DATA><{kind}{attributes}><STREAM encoding="{encoding}">{text}</STREAM></{kind}></DATA>'


def document(
    fields: str, data: str = "", *, before: str = "", after: str = "", version: str = "1.4", table: str = ""
) -> str:
    """A document with one table, and texts in its resource before and after it."""
    return (
        f'<?xml version="1.0"?>\n<VOTABLE version="{version}" {NAMESPACE}><RESOURCE type="results">{before}'
        f"<TABLE {table}>{fields}{data}</TABLE>{after}</RESOURCE></VOTABLE>"
    )


def save(path: Path, text: str | bytes) -> Path:
    """Write a document to a file."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
