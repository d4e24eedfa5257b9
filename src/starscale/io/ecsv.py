"""ECSV files (text with a header of names, units and descriptions), read and written whole by astropy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from starscale.io.astropy_tables import from_astropy, to_astropy
from starscale.io.table import Sink, Source, WritePlan
from starscale.io.whole import WholeSink, WholeSource
from starscale.vocabulary.errors import InputError, Problem


def open_source(path: Path, part: str | None) -> Source:
    """Read an ECSV file.

    Raises
    ------
    InputError
        Header and rows do not agree.
    """
    if part is not None:
        raise InputError(
            Problem(f"{path}#{part}", "an ECSV file holds one table only", fix=f"Leave out '#{part}'.")
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            # The bulk files of the Gaia archive are ECSV with "null" for missing values.
            table = Table.read(path, format="ascii.ecsv", fill_values=[("", "0"), ("null", "0")])
    except (ValueError, TypeError, OSError, EOFError, IndexError, KeyError) as error:
        reason = str(error).strip().splitlines()
        found = f"is a damaged ECSV file ({reason[0] if reason else type(error).__name__})"
        raise InputError(Problem(str(path), found, fix="It was probably cut short: make it again.")) from error
    frame, columns, metadata = from_astropy(table)
    return WholeSource(path, "ecsv", frame, columns, metadata)


class EcsvSink(WholeSink):
    """Writes one ECSV table."""

    def write(self, frame: pl.DataFrame, metadata: Mapping[str, str]) -> None:
        """Write header and rows."""
        table = to_astropy(frame, self.plan.columns, metadata)
        table.write(self.plan.path, format="ascii.ecsv", overwrite=True)


def open_sink(plan: WritePlan) -> Sink:
    """Open an ECSV file for writing."""
    return EcsvSink(plan)
