"""What a long command says before it begins: rows, and the time that they took elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starscale import io
from starscale.cli.printing import say
from starscale.vocabulary.errors import StarscaleError
from starscale.vocabulary.later import Later

if TYPE_CHECKING:
    from starscale.vocabulary.settings.run import InputTable, LabelsInput

#: Needed for a run alone.
files, settings = Later("starscale.pipeline.runfile"), Later("starscale.vocabulary.settings.run")

#: Microseconds a row on two cores, least and most seen (docs/large.md, docs/measurements.md); match: of both
#: tables together, in memory and in tiles; predict: a small model and the default; run: of the leading
#: table, all steps, a third of its stars predicted by a small network and by the default's.
MICROSECONDS = {"clean": (0.7, 8.7), "match": (1.0, 2.8), "predict": (7.3, 15.9), "run": (13.2, 44.5)}
#: Formats that state their number of rows.
_COUNTED = (".parquet", ".fits")
#: Seconds below which a time is not worth a word.
_LONG = 20.0


def announce(verb: str, output: str | Path, *tables: str | Path) -> None:
    """Say which rows a command works on, and about how long where that was measured.

    Says nothing of tables that cannot be opened, or whose rows would have to be counted first.
    """
    rows = {table: _rows(Path(table)) for table in tables}
    if all(rows.values()):
        say(f"{verb}: {_counted(rows)}, to {output}{expected(verb, sum(rows.values()))}")


def announce_run(run_file: Path, output: Path) -> None:
    """Say which tables a run reads, and about how long its steps take where that was measured.

    Says nothing of a run file with mistakes, which the run itself names, nor of tables that it will fetch.
    """
    try:
        config, base = files.load_any_run(run_file)
    except StarscaleError:
        return
    labels = config.labels if isinstance(config, settings.RunConfig) else ()
    inputs: list[InputTable | LabelsInput] = [config.catalogue, *config.photometry, *labels]
    rows = {table.path: n for table in inputs if table.path and (n := _rows(base / table.path))}
    time = expected("run", rows.get(config.catalogue.path or Path(), 0))
    if rows:
        say(f"run: {_counted(rows)}, to {output}/{time and f'{time}, besides the training'}")


def _counted(rows: Mapping[Any, int]) -> str:
    return " and ".join(f"{n:,} rows of {table}" for table, n in rows.items())


def expected(verb: str, rows: int) -> str:
    """Return the time that so many rows take, or nothing where it is short or was never measured."""
    if verb not in MICROSECONDS:
        return ""
    low, high = (rows * each / 1e6 for each in MICROSECONDS[verb])
    return f"; {_time(low)} to {_time(high)} by rates measured on two cores" if high >= _LONG else ""


def _time(seconds: float) -> str:
    for size, name in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 1):.0f} s"


def _rows(table: Path) -> int:
    """Return the rows that a file states; 0 where it states none."""
    if table.suffix.lower() not in _COUNTED or not table.is_file():
        return 0
    try:
        return io.open_table(table).n_rows
    except StarscaleError:
        return 0
