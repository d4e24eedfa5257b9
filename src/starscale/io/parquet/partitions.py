"""Columns that only the names of folders hold: ``band=g/part-0.parquet`` (Hive, Spark, pyarrow, polars)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import polars as pl

#: Folders of HATS, which say where rows lie on the sky.
_PLACES = ("Norder", "Dir", "Npix")
#: Value that stands for "missing".
_MISSING = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")


def folder_columns(path: Path, files: Sequence[Path]) -> list[dict[str, pl.Series]]:
    """Return for every file the columns that its folders name, each with its one value.

    Parameters
    ----------
    path : Path
        Folder or pattern of the files.
    files : sequence of Path

    Returns
    -------
    list of dict of str to polars.Series
        Whole numbers if all files have such in a column, else texts; each series has length one.
    """
    root = _root(path)
    found = [_pairs(file.parent, root) for file in files]
    texts: dict[str, set[str]] = {}
    for pairs in found:
        for name, text in pairs.items():
            texts.setdefault(name, set()).add(text)
    numbers = {name for name, values in texts.items() if all(map(_WHOLE.fullmatch, values - {_MISSING}))}
    return [{name: _series(name, text, number=name in numbers) for name, text in pairs.items()} for pairs in found]


def _root(path: Path) -> Path:
    """Return the folder, or that part of a pattern that is before the first wildcard."""
    if path.is_dir():
        return path
    return next((part for part in path.parents if not re.search(r"[*?\[]", str(part))), path.parent)


def _pairs(folder: Path, root: Path) -> dict[str, str]:
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
    pairs = dict(part.split("=", 1) for part in parts if "=" in part)
    return {unquote(name): unquote(text) for name, text in pairs.items() if name and name not in _PLACES}


def _series(name: str, text: str, *, number: bool) -> pl.Series:
    value = None if text == _MISSING else int(text) if number else text
    return pl.Series(name, [value], dtype=pl.Int64 if number else pl.String)
