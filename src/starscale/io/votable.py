"""VOTable files, through astropy: every serialisation is read, BINARY2 is written, always whole."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from astropy.io import votable
from astropy.io.votable.exceptions import VOTableSpecError
from astropy.io.votable.tree import Info, TableElement
from astropy.utils.exceptions import AstropyWarning

from starscale.io.astropy_tables import from_astropy, to_astropy, unit_text
from starscale.io.fits_text import from_card, to_card
from starscale.io.portable import flat, int_range
from starscale.io.table import Plan, Sink, Source, describe, nearest_dtype, unique_names
from starscale.io.whole import WholeSink, WholeSource
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError, Problem, Problems

#: VOTable knows no signed byte and no unsigned integer of more than one byte.
_STORED: dict[pl.DataType, pl.DataType] = {
    pl.Int8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    pl.UInt64(): pl.Int64(),
}
_LARGEST = 2**63 - 1


def open_source(path: Path, part: str | None) -> Source:
    """Read the first table of a VOTable file.

    Raises
    ------
    InputError
        When the XML is damaged, the service answered with an error, or there is no table.
    """
    if part is not None:
        raise InputError(
            Problem(f"{path}#{part}", "only the first table of a VOTable is read", fix=f"Leave out '#{part}'.")
        )
    try:
        with warnings.catch_warnings():
            # Small departures from the standard, which most archives allow themselves.
            warnings.simplefilter("ignore", AstropyWarning)
            document = votable.parse(str(path), verify="ignore")
    except (VOTableSpecError, OSError, EOFError, ValueError, TypeError, IndexError) as error:
        reason = str(error).strip().splitlines()
        fix = "It was probably cut short: download it again."
        found = f"is a damaged VOTable ({reason[0] if reason else type(error).__name__})"
        raise InputError(Problem(str(path), found, fix=fix)) from error
    _refuse_error(path, document)
    tables = [table for table in document.iter_tables() if not table.is_empty() or table.fields]
    if not tables:
        raise InputError(Problem(str(path), "is a VOTable document without a table", "a TABLE element"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        frame, _, _ = from_astropy(tables[0].to_table(use_names_over_ids=True))
    frame = frame.with_columns(pl.when(pl.col(pl.String) != "").then(pl.col(pl.String)).name.keep())
    columns = describe(frame.schema, _known(tables[0]))
    metadata = {
        str(info.name): from_card(str(info.value))
        for home in (document, *document.resources, tables[0])
        for info in home.infos
        if info.name
    }
    return WholeSource(path, "votable", frame, columns, metadata)


def described_fields(document: str) -> dict[str, dict[str, str]]:
    """Return unit, UCD and description by column name from a VOTable without data; nothing when it is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            return _known(votable.parse(io.BytesIO(document.encode()), verify="ignore").get_first_table())
    except (VOTableSpecError, ValueError, TypeError, IndexError):
        return {}


def _known(table: TableElement) -> dict[str, dict[str, str]]:
    names = unique_names(str(field.name or field.ID or "") for field in table.fields)
    return {
        name: {
            "unit": unit_text(field.unit),
            "ucd": str(field.ucd or ""),
            "description": " ".join(str(field.description or "").split()),
        }
        for name, field in zip(names, table.fields, strict=True)
    }


def _refuse_error(path: Path, document: votable.tree.VOTableFile) -> None:
    """Services report failures as a VOTable with QUERY_STATUS = ERROR (DALI 1.1, section 4.4)."""
    for resource in document.resources:
        for info in resource.infos:
            if info.name == "QUERY_STATUS" and str(info.value).upper() == "ERROR":
                said = " ".join(str(info.content or "no reason given").split())
                fix = "Mend the query and ask again."
                raise InputError(Problem(str(path), f"is an error message of the archive: {said}", "a table", fix))


class VotableSink(WholeSink):
    """Writes one table as BINARY2, which keeps nulls of every type."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        problems = Problems()
        for name, dtype in self.schema.items():
            # A matrix would be possible, but astropy reads it back with its axes exchanged.
            if isinstance(dtype, pl.Array) and (nearest_dtype(dtype) == "string" or len(dtype.shape) > 1):
                found = f"a VOTable cannot hold the column {name!r}, a matrix or a vector of texts"
                problems.add(str(plan.target), found, fix="Write Parquet, or a column for each element.")
        problems.raise_if_any()

    def write(self, frame: pl.DataFrame, metadata: Mapping[str, str]) -> None:
        """Build the document and write it."""
        frame = self._with_votable_types(frame)
        # Texts of one width are miscounted by astropy when they hold characters beyond U+FFFF; with
        # no rows it cannot tell what an object column holds.
        kind = np.object_ if frame.height else np.str_
        document = votable.from_table(to_astropy(frame, {}, {}, text=kind))
        resource = document.resources[0]
        for key, text in metadata.items():
            # A line break in an XML attribute would be read back as a blank.
            value = to_card(text) if any(char < " " for char in text) else text
            resource.infos.append(Info(name=key, value=value))
        with warnings.catch_warnings():
            # Units of the VOUnit standard that astropy does not know are written all the same.
            warnings.simplefilter("ignore", AstropyWarning)
            for field in resource.tables[0].fields:
                about = self.plan.columns.get(field.name, Column(field.name))
                field.unit = about.unit or None
                field.ucd = about.ucd or None
                field.description = about.description or None
                field.values.null = self._null_of(frame[field.name])
            votable.writeto(document, str(self.plan.path), tabledata_format="binary2")

    def _with_votable_types(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Turn integers that VOTable lacks into larger ones."""
        casts = []
        for name, dtype in frame.schema.items():
            inner = flat(pl.Series([], dtype=dtype)).dtype
            if inner not in _STORED:
                continue
            if inner == pl.UInt64 and (flat(frame[name]) > _LARGEST).any():
                found = f"column {name!r} holds unsigned numbers above {_LARGEST}, which VOTable lacks"
                raise InputError(Problem(str(self.plan.target), found, fix="Write Parquet or FITS."))
            stored = _STORED[inner]
            casts.append(
                pl.col(name).cast(pl.Array(stored, dtype.shape) if isinstance(dtype, pl.Array) else stored)
            )
        return frame.with_columns(casts)

    def _null_of(self, series: pl.Series) -> int | None:
        """Choose the number that stands for null inside integer vectors: BINARY2 has one null bit a cell."""
        values = flat(series)
        if series.dtype == values.dtype or not values.dtype.is_integer() or not values.null_count():
            return None
        free = [end for end in int_range(values.dtype) if not (values == end).any()]
        if not free:
            found = f"no number is left to stand for null in column {series.name!r}"
            raise InputError(Problem(str(self.plan.target), found, fix="Write Parquet, which needs none."))
        return free[0]


def open_sink(plan: Plan) -> Sink:
    """Start a VOTable file."""
    return VotableSink(plan)
