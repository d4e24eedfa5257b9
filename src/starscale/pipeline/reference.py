"""Compare the catalogue of a run with an external catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.model.evaluate import evaluate
from starscale.pipeline.folder import RunFolder
from starscale.pipeline.plan import RunPlan, magnitude_column, members_in
from starscale.tables.labels import within_limits
from starscale.tables.sql import row_expression
from starscale.vocabulary.errors import Problems, did_you_mean
from starscale.vocabulary.settings.run import Reference


def compare_with_reference(
    plan: RunPlan, folder: RunFolder, catalogue: str, matched: str, reference: Reference
) -> list[dict[str, Any]]:
    """Compare stars that were not used in training with a reference: all of them, and those without a flag.

    Only the common stars of the two catalogues are held in memory.

    Parameters
    ----------
    plan : RunPlan
    folder : RunFolder
    catalogue, matched : str
        Names of the catalogue and of the table of stars in the folder of the run.
    reference : Reference

    Returns
    -------
    list of dict
        Plain data: `name`, `stars`, `left_out` (stars of the training), and the rows of
        :func:`starscale.model.evaluate.evaluate` as `figures`.
    """
    stars = io.open_table(folder.file(catalogue))
    known = reference_table(plan.path(reference.path), reference, stars.schema["source_id"])
    labels = [name for name in plan.config.target if name in reference.columns]
    wanted = [
        f"{name}{part}" for name in labels for part in ("", "_error", "_lower", "_upper", "_lower95", "_upper95")
    ]
    found = stars.rows_with("source_id", known["source_id"], ["source_id", "flags", "quality", "part", *wanted])
    used = pl.col("part").is_in(["train", "validation"]).fill_null(False)
    left_out = found.filter(used)["flags"]
    found = found.filter(~used)
    both = found.join(known, on="source_id", how="inner", suffix="_reference", maintain_order="left")
    truth = both.select(pl.col(f"{name}_reference").alias(name) for name in labels)
    brightness = _brightness(plan, folder.file(matched), both["source_id"])
    tables = []
    for name, mask, left in (
        (reference.name, pl.repeat(True, both.height, eager=True), len(left_out)),
        (f"{reference.name}, without a flag", both["flags"] == 0, int((left_out == 0).sum())),
    ):
        chosen = brightness.filter(mask) if brightness is not None else None
        figures = evaluate(both.filter(mask), truth.filter(mask), labels, magnitude=chosen)
        rows = json.loads(figures.with_columns(pl.col(pl.Float64).fill_nan(None)).write_json())
        tables.append({"name": name, "stars": int(mask.sum()), "left_out": left, "figures": rows})
    return tables


def _brightness(plan: RunPlan, table: Path, stars: pl.Series) -> pl.Series | None:
    """Return the magnitudes of stars, null where unknown; None without a magnitude column."""
    key, matched = plan.lead.id.column, io.open_table(table)
    magnitude = magnitude_column(members_in(plan, list(matched.schema)), list(matched.schema))
    if magnitude is None:
        return None
    sizes = matched.rows_with(key, stars, [key, magnitude]).select(source_id=key, magnitude=magnitude)
    return stars.to_frame("source_id").join(sizes, on="source_id", how="left", maintain_order="left")["magnitude"]


def reference_table(path: Path, reference: Reference, id_type: pl.DataType) -> pl.DataFrame:
    """Read `source_id` and the labels of an external catalogue; values outside the physical limits become null.

    Raises
    ------
    InputError
        A column is missing, or the predicate `where` cannot be evaluated.
    """
    schema = io.open_table(path).schema
    needed = [reference.source_id, *reference.columns.values()]
    chosen = None
    if reference.where is not None:
        chosen = row_expression(reference.where, f"compare {reference.name!r}: where", "an SQL predicate")
        needed += chosen.columns
    needed, problems = list(dict.fromkeys(needed)), Problems()
    for name in needed:
        if name not in schema:
            problems.add(f"{path}: column {name!r}", "is missing", "", did_you_mean(name, list(schema)))
    problems.raise_if_any()
    for name in reference.columns.values():
        if not schema[name].is_numeric():
            problems.add(f"{path}: column {name!r}", f"is of type {schema[name]}", "numbers")
    if schema[reference.source_id] != id_type:
        kind = schema[reference.source_id]
        problems.add(
            f"{path}: column {reference.source_id!r}", f"is of type {kind}", f"identifiers of type {id_type}"
        )
    problems.raise_if_any()
    table = io.read(path, columns=needed)
    if chosen is not None:
        table = table.filter(chosen.mask(table))
    return (
        table.select(
            pl.col(reference.source_id).alias("source_id"),
            *(pl.col(column).cast(pl.Float64).alias(label) for label, column in reference.columns.items()),
        )
        .with_columns(within_limits(list(reference.columns)))
        .filter(pl.col("source_id").is_not_null())
        .unique("source_id", keep="first", maintain_order=True)
    )
