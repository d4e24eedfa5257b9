"""Recompute a random sample of a catalogue from its provenance, and compare."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale import io
from starscale.io import Source
from starscale.model.asked import asked_again
from starscale.model.model import Model
from starscale.surveys.spelling import with_rename
from starscale.tables.api import PROVENANCE_KEY
from starscale.tables.arrays import as_floats
from starscale.tables.opening import open_for
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.paths import exists
from starscale.vocabulary.provenance import processor, versions

#: Rows that are recomputed, and those that are read at a time.
SAMPLE, CHUNK = 1000, 100_000
#: Numbers may differ by this share of the value, and by this much: libraries of other versions round otherwise.
#: With the same versions on the same machine they are the same.
SHARE, LEAST = 1e-5, 1e-6
#: What numbers may differ by on another processor, whose last digits decide how factors are rounded: this share of
#: the error of their label; other numbers by this much.
OF_ERROR, OTHERS = 0.05, 0.005


def verify_catalogue(path: Path, *, rows: int = SAMPLE, seed: int | None = None) -> list[str]:
    """Predict rows of a catalogue again, and compare every column.

    Parameters
    ----------
    path : Path
        A catalogue of `predict`, `apply` or `run`.
    rows : int
        Rows to recompute, drawn at random.
    seed : int, optional
        Of the draw. Default: another one each time.

    Returns
    -------
    list of str
        What was compared.

    Raises
    ------
    InputError
        No provenance, a model or table that is missing or has another checksum, or values that differ.
    """
    catalogue = io.open_table(path)
    record = _record(catalogue, path)
    bundle = _unchanged(path, record["model"], "the model")
    table = _unchanged(path, record["inputs"]["stars"], "the table of stars")
    model = Model.load(bundle)
    stated = record.get("settings", {})
    wanted = asked_again(model.labels, stated)
    model = replace(model, inputs=with_rename(model.inputs, stated.get("rename")), asked=wanted)
    source = open_for(table, model.inputs)
    if source.n_rows != catalogue.n_rows:
        raise InputError(Problem(str(path), f"has {catalogue.n_rows:,} rows", f"the {source.n_rows:,} of {table}"))
    seed = int.from_bytes(os.urandom(4), "little") if seed is None else seed
    drawn = np.sort(np.random.default_rng(seed).choice(source.n_rows, min(rows, source.n_rows), replace=False))
    stars = _rows_at(source, drawn, model.input_columns(list(source.schema)))
    again = model.predict(stars, where=str(table), found_columns=source.columns)
    known = _rows_at(catalogue, drawn, list(catalogue.schema))
    made_on = record.get("processor", processor())
    elsewhere = made_on != processor()
    allowed = _rounding(again, model.labels) if elsewhere else {}
    largest = _compare(again, known, drawn, path, allowed)
    other = _other_versions(record.get("versions", {}))
    return [
        f"verified: {len(drawn):,} of {source.n_rows:,} rows, drawn at random (seed {seed}), are predicted again "
        f"from {bundle} and {table}, whose checksums are those of the provenance",
        f"verified: {again.width} columns agree to {SHARE:g} of the value + {LEAST:g}; "
        f"the largest difference is {largest:.2g} of that",
        *([f"note: made on another processor ({made_on}): last digits may differ"] if elsewhere else []),
        *([f"note: made with {other}"] if other else []),
    ]


def _record(catalogue: Source, path: Path) -> dict[str, Any]:
    """Return the provenance of a prediction."""
    try:
        record = parse_json(catalogue.metadata[PROVENANCE_KEY])
        if all(isinstance(item["sha256"], str) for item in (record["model"], record["inputs"]["stars"])):
            return dict(record)
    except (KeyError, TypeError, ValueError):
        pass
    fix = "Predict from file to file with the bundle of a model, to a format that keeps metadata, such as Parquet."
    found = "does not say from which model and table it was made"
    raise InputError(Problem(str(path), found, "a catalogue with its provenance", fix))


def _unchanged(path: Path, item: Mapping[str, Any], what: str) -> Path:
    """Return where an input is, as the provenance names it or beside the catalogue; refuse another one."""
    stated = Path(str(item.get("path", "")))
    places = [stated, path.parent / stated, path.parent / stated.name, Path(f"{path}.run") / stated.name]
    there = [place for place in places if exists(place)]
    if not there:
        fix = "Bring it back to that place, or put it beside the catalogue."
        raise InputError(Problem(str(path), f"was made from {stated}, {what}, which is not there", fix=fix))
    for place in there:
        if io.checksum(place) == item["sha256"]:
            return place
    raise InputError(Problem(str(there[0]), "was changed after the catalogue was made", f"{what} as it was"))


def _rows_at(source: Source, numbers: NDArray[np.int64], columns: list[str]) -> pl.DataFrame:
    """Return rows by their numbers, which ascend."""
    found, start = [], 0
    for frame in source.batches(CHUNK, columns):
        first, last = np.searchsorted(numbers, (start, start + frame.height))
        found.append(frame[numbers[first:last] - start])
        start += frame.height
    return pl.concat(found, rechunk=True)


def _rounding(again: pl.DataFrame, labels: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return what each column of predicted numbers may differ by on another processor, by its name."""
    errors = {name: OF_ERROR * as_floats(again[f"{name}_error"]) for name in labels}
    allowed = {}
    for name in (name for name, dtype in again.schema.items() if dtype == pl.Float32):
        label = next((label for label in labels if name == label or name.startswith(f"{label}_")), None)
        of_label = label is not None and not name.endswith("_corr")
        allowed[name] = errors[str(label)] if of_label else np.full(again.height, OTHERS)
    return allowed


def _compare(
    again: pl.DataFrame,
    known: pl.DataFrame,
    numbers: NDArray[np.int64],
    path: Path,
    allowed: Mapping[str, NDArray[np.float64]],
) -> float:
    """Return the largest difference, in units of what is allowed; raise where it is larger."""
    problems, largest = Problems(), 0.0
    for name in again.columns:
        if name not in known.columns:
            problems.add(f"{path}: column {name!r}", "is missing", "every column that the model predicts")
            continue
        off = _difference(again[name], known[name], allowed.get(name, 0.0))
        bad = np.flatnonzero(off > 1)
        largest = max(largest, float(off.max(initial=0.0)))
        if len(bad):
            at = int(bad[0])
            found = (
                f"differs in {len(bad):,} of {len(off):,} rows (row {numbers[at] + 1:,} holds {known[name][at]!r})"
            )
            problems.add(f"{path}: column {name!r}", found, f"{again[name][at]!r} there, as the model predicts")
    problems.raise_if_any()
    return largest


def _difference(again: pl.Series, known: pl.Series, rounding: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return how much values differ, in units of what is allowed; infinity where only one is missing."""
    if not again.dtype.is_float():
        same = again.eq_missing(known.cast(again.dtype, strict=False))
        return np.where(same.to_numpy(), 0.0, np.inf)
    a, b = (s.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy() for s in (again, known))
    off = np.abs(a - b) / (SHARE * np.abs(a) + LEAST + np.nan_to_num(rounding))
    one_missing = np.isnan(a) != np.isnan(b)
    return np.where(one_missing, np.inf, np.where(np.isnan(a), 0.0, off))


def _other_versions(then: Mapping[str, str]) -> str:
    """Name the libraries whose versions differ from those of a catalogue."""
    now = versions()
    return ", ".join(f"{name} {old} (now {now.get(name)})" for name, old in then.items() if now.get(name) != old)
