"""Writing Parquet, with units, UCDs and descriptions of the columns.

The file contains them twice: as metadata of the Arrow fields, for pyarrow, polars and starscale, and as the
data-less VOTable of the VOParquet convention, for TOPCAT and astropy (``Table.read(...,
format="parquet.votable")``). File-level metadata are stored under their own keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from starscale.io.parquet.source import VOPARQUET
from starscale.io.table import Sink, WritePlan
from starscale.io.votable.header import CLOSING, OPENING, about_table, field, placed_columns
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problems

#: Rows of a row group: enough to compress well, few enough for one chunk in memory.
ROW_GROUP = 65_536

#: Older versions of pyarrow can neither write nor read vectors of one length where one of them is missing.
WHOLE_VECTORS = int(pa.__version__.split(".")[0]) >= 26

_VOTABLE_TYPES: dict[pl.DataType, str] = {
    pl.Boolean(): "boolean",
    pl.UInt8(): "unsignedByte",
    pl.Int8(): "short",
    pl.Int16(): "short",
    pl.UInt16(): "int",
    pl.Int32(): "int",
    pl.UInt32(): "long",
    pl.Int64(): "long",
    pl.UInt64(): "long",
    pl.Float32(): "float",
    pl.Float64(): "double",
}


class ParquetSink(Sink):
    """Writes row groups as rows arrive."""

    def __init__(self, plan: WritePlan) -> None:
        self._plan = plan
        self._schema = arrow_schema(plan.schema, plan.columns)
        self._file = plan.path.open("wb")
        # Measurements and long numbers, most of which are identifiers, hardly ever repeat: dictionaries of them
        # are made, found to be useless and thrown away.
        repeating = [field.name for field in self._schema if not _hardly_repeats(field.type)]
        self._writer = pq.ParquetWriter(
            self._file, self._schema, compression="zstd", use_dictionary=repeating, write_page_checksum=True
        )
        self._held: list[pl.DataFrame] = []
        # astropy can join its empty table of the VOTable with the rows only where texts have a greatest length.
        self._widths = {name: 1 for name, dtype in plan.schema.items() if dtype == pl.String}
        self._height = 0

    def append(self, frame: pl.DataFrame) -> None:
        """Append rows; a full row group is written."""
        self._held.append(frame)
        self._height += frame.height
        for name in self._widths:
            self._widths[name] = max(
                self._widths[name], cast("int | None", frame[name].str.len_chars().max()) or 0
            )
        if self._height >= ROW_GROUP:
            self._flush()

    def close(self, metadata: Mapping[str, str]) -> None:
        """Write the last row group and the footer."""
        self._flush()
        votable = data_less_votable(self._plan.schema, self._plan.columns, metadata, self._widths)
        self._writer.add_key_value_metadata(
            {**metadata, f"{VOPARQUET}.version": "1.0", f"{VOPARQUET}.content": votable}
        )
        self._writer.close()
        self._file.close()

    def abort(self) -> None:
        """Close the file; pyarrow must not write a footer when its writer is collected later."""
        self._writer.is_open = False
        self._file.close()

    def _flush(self) -> None:
        if not self._height:
            return
        held = pl.concat(self._held)
        if not WHOLE_VECTORS:
            vectors = {
                name: dtype for name, dtype in held.schema.items() if isinstance(dtype, (pl.Array, pl.List))
            }
            held = held.with_columns(_as_lists(pl.col(name), dtype) for name, dtype in vectors.items())
        table = held.to_arrow(compat_level=pl.CompatLevel.oldest())
        # A cast loads all functions of pyarrow, also where it has nothing to do.
        same = table.schema.types == self._schema.types
        table = pa.Table.from_arrays(table.columns, schema=self._schema) if same else table.cast(self._schema)
        self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._held, self._height = [], 0


def open_sink(plan: WritePlan) -> Sink:
    """Open a Parquet file for writing."""
    return ParquetSink(plan)


def arrow_schema(schema: pl.Schema, columns: Mapping[str, Column]) -> pa.Schema:
    """Return the Arrow schema, with unit, UCD and description of each column in the metadata of its field.

    Text is `string` rather than polars's `large_string`, from which astropy before 8 cannot make a column.
    """
    try:
        plain = pl.DataFrame(schema=_storable(schema)).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    except pa.ArrowInvalid:
        raise _not_in_arrow(schema) from None
    fields = []
    for item in plain:
        about = columns.get(item.name)
        pairs = {"unit": about.unit, "ucd": about.ucd, "description": about.description} if about else {}
        if item.type == pa.large_string():
            item = item.with_type(pa.string())
        fields.append(item.with_metadata({key: value for key, value in pairs.items() if value} or None))
    return pa.schema(fields)


def _storable(schema: pl.Schema) -> pl.Schema:
    """Return the types that are stored: where pyarrow is old, vectors of one length as vectors of any length."""
    return schema if WHOLE_VECTORS else pl.Schema({name: _of_any_length(dtype) for name, dtype in schema.items()})


def _of_any_length(dtype: Any) -> Any:
    return pl.List(_of_any_length(dtype.inner)) if isinstance(dtype, pl.Array) else dtype


def _as_lists(vectors: pl.Expr, dtype: Any) -> pl.Expr:
    # A cast refuses missing matrices; a slice is built anew, without the elements that a missing list may have.
    lists = (vectors.arr.to_list() if isinstance(dtype, pl.Array) else vectors).list.slice(0, None)
    nested = isinstance(dtype.inner, (pl.Array, pl.List))
    return lists.list.eval(_as_lists(pl.element(), dtype.inner)) if nested else lists


def _not_in_arrow(schema: pl.Schema) -> InputError:
    """Name the columns of types that Arrow lacks: whole numbers of 128 bits."""
    problems = Problems()
    for name, dtype in schema.items():
        try:
            pl.Series(dtype=dtype).to_arrow()
        except pa.ArrowInvalid:
            problems.add(f"column {name!r}", f"is of type {dtype}, which Parquet lacks", fix="Cast it to text.")
    return InputError(problems.items)


def _hardly_repeats(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_int64(kind) or pa.types.is_uint64(kind))


def data_less_votable(
    schema: pl.Schema, columns: Mapping[str, Column], metadata: Mapping[str, str], widths: Mapping[str, int]
) -> str:
    """Return the VOTable document that describes a Parquet file (IVOA note "Parquet in the VO", version 1.0).

    `widths` holds the length of the longest text of each text column, in characters.
    """
    placed = placed_columns(schema, columns, metadata)
    fields = [
        field(columns.get(name, Column(name)), _kind(dtype, widths.get(name)), placed=name in placed)
        for name, dtype in schema.items()
    ]
    table = ["<TABLE>", *fields, '<PARQUET type="Parquet-local-XML"/>', "</TABLE>"]
    return "\n".join([OPENING, "<RESOURCE>", *about_table(metadata), *table, "</RESOURCE>", CLOSING])


def _kind(dtype: pl.DataType, width: int | None) -> dict[str, str]:
    size = ""
    if isinstance(dtype, (pl.Array, pl.List)):
        # VOTable gives the fastest axis first.
        size = "x".join(str(n) for n in reversed(dtype.shape)) if isinstance(dtype, pl.Array) else "*"
        while isinstance(dtype, (pl.Array, pl.List)):
            dtype = dtype.inner  # type: ignore[assignment]
    datatype = _VOTABLE_TYPES.get(dtype)
    if datatype is None:
        return {"datatype": "unicodeChar", "arraysize": "*" if width is None else f"{width}*"}
    return {"datatype": datatype, "arraysize": size}
