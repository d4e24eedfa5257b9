"""Assign labels to the stars of a run, and make the training table of stars with labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.crossmatch.linking import link
from starscale.features.sampling import label_groups, sampled, sky_groups
from starscale.features.split_rule import with_clusters
from starscale.features.split_table import SURVEYS, refuse_useless, split_table
from starscale.pipeline.plan import RunPlan
from starscale.tables.api import read
from starscale.tables.cuts import Attrition, apply_cuts, choose_cuts
from starscale.tables.labels import has_label, label_columns, label_table
from starscale.tables.stream import rows_of
from starscale.vocabulary.accounting import RowAccount, removed_for
from starscale.vocabulary.errors import InputError, Problem, Problems


@dataclass(frozen=True, slots=True)
class LabelledTable:
    """Result of :func:`label_stars`: the table of labels, what the cuts removed, counts, crosswalks by survey."""

    labels: pl.DataFrame
    attrition: Attrition
    counts: dict[str, int]
    account: RowAccount
    crosswalks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def label_stars(run: RunPlan, lead: Path) -> LabelledTable:
    """Return the labels of the only label survey, one row per star; `lead` is the cleaned leading catalogue."""
    entry, survey = run.config.labels[0], run.label_surveys[0]
    if entry.path is None:
        return _labels_of_lead(run, lead)
    where = str(run.path(entry.path))
    table = read(where, survey=survey)
    mask, attrition = apply_cuts(table, choose_cuts(survey.cuts, entry.cuts, where), where=where)
    table = table.filter(mask)
    linked = link(table, survey, entry.radius, run.leading_table, where, run.crosswalks)
    labels, counts = label_table(table, linked.links, survey)
    account = _account(attrition, counts, labels.height)
    crosswalks = {survey.name: linked.crosswalk} if linked.crosswalk else {}
    return LabelledTable(labels, attrition, counts, account, crosswalks)


def _account(attrition: Attrition, counts: Mapping[str, int], stars: int) -> RowAccount:
    """Return what became of the rows of a label survey: every star has one row afterwards."""
    removed = removed_for(
        *((row.name, row.in_sequence) for row in attrition.rows),
        ("no star", counts["without_star"]),
        ("no label", counts["without_labels"]),
        ("further measurement of a star", counts["repeats"]),
    )
    return RowAccount(attrition.n_in, stars, removed)


def _labels_of_lead(run: RunPlan, lead: Path) -> LabelledTable:
    """Return the labels of the leading table itself; rows without labels are counted and left out."""
    survey, key = run.label_surveys[0], run.lead.id.column
    where = str(run.path(run.config.catalogue.path))
    # The rows have already passed the cuts of the leading table.
    cuts = choose_cuts((), run.config.labels[0].cuts, where)
    labelled, attritions = [], []
    for frame in rows_of(lead):
        mask, attrition = apply_cuts(frame, cuts, where=where)
        attritions.append(attrition)
        chosen = frame.filter(mask).filter(has_label(survey))
        labelled.append(chosen.select(pl.col(key).alias("source_id"), *label_columns(survey, frame.columns)))
    attrition, table = reduce(add, attritions), pl.concat(labelled)
    labels, counts = label_table(table, table.select("source_id").with_row_index("row"), survey)
    counts |= {"rows": attrition.n_out, "without_labels": attrition.n_out - table.height}
    return LabelledTable(labels, attrition, counts, _account(attrition, counts, labels.height))


def training_table(run: RunPlan, matched: Path, labels: pl.DataFrame) -> pl.DataFrame:
    """Make the table of stars with labels: inputs, labels, and the part in the split of the first repeat.

    Parameters
    ----------
    run : RunPlan
    matched : Path
        The joined table; only stars with a label are held in memory.
    labels : polars.DataFrame
        One row per star.

    Raises
    ------
    InputError
        When no star has a label.
    """
    target = [name + part for name in run.config.target for part in ("", "_error", "_scale_error")]
    key = run.lead.id.column
    chosen = labels.select(pl.col("source_id").alias(key), *target, SURVEYS).filter(_has_target(run))
    # A catalogue column with the name of a label is replaced: it is not an input (checked in `features_of`).
    source = io.open_table(matched)
    chosen = _sample(run, source, chosen)
    stars = source.rows_with(key, chosen[key])
    table = stars.drop([name for name in (*target, SURVEYS) if name in stars.columns]).join(
        chosen, on=key, how="inner", maintain_order="left"
    )
    problems = Problems()
    if table.height == 0:
        problems.add(
            f"survey {run.label_names}",
            f"none of its {labels.height} labelled stars is among the {source.n_rows} that passed cuts and match",
            "common stars",
            "Do the catalogues cover the same sky, and is the match radius large enough?",
        )
    problems.raise_if_any()
    table = with_clusters(table, run.lead, run.config.split, run.base)
    return table.with_columns(parts(run, table, run.config.seed))


def training_account(run: RunPlan, labels: pl.DataFrame, training: pl.DataFrame) -> RowAccount:
    """Return what became of the labelled stars on the way to the training table."""
    labelled = labels.filter(_has_target(run)).height
    # Where a sample is drawn, it is drawn from stars of the catalogue.
    lost = "not in the catalogue, or not in the sample"
    removed = removed_for(("no label of the run", labels.height - labelled), (lost, labelled - training.height))
    return RowAccount(labels.height, training.height, removed)


def _has_target(run: RunPlan) -> pl.Expr:
    return pl.any_horizontal(*(pl.col(name).is_not_null() for name in run.config.target))


def _sample(run: RunPlan, source: io.Source, labels: pl.DataFrame) -> pl.DataFrame:
    """Return the labels of the stars to be used; of all others, only identifier and position are in memory."""
    rule, key = run.config.sample, run.lead.id.column
    if rule.max_stars is None or labels.height <= rule.max_stars:
        return labels
    place = run.lead.position
    if rule.by == "cell" and place is None:
        raise InputError(Problem(f"survey {run.lead.name}", "has no positions for a sample by cell of the sky"))
    position = [place.ra, place.dec] if place is not None and rule.by == "cell" else []
    known = source.rows_with(key, labels[key], [key, *position]).unique(key, keep="first", maintain_order=True)
    stars = known.join(labels, on=key, how="inner", maintain_order="left")
    groups = None
    if rule.by == "cell":
        groups = sky_groups(stars[position[0]], stars[position[1]], rule.cell_order)
    elif rule.by == "survey":
        groups = stars[SURVEYS]
    elif rule.by == "label":
        groups = label_groups(stars, run.config.target)
    return stars.filter(sampled(stars[key], groups, rule)).select(labels.columns)


def parts(run: RunPlan, table: pl.DataFrame, seed: int) -> pl.Series:
    """Return the part (train, validation, test) of every row of a training table; leaking splits are refused."""
    names = [survey.name for survey in run.label_surveys]
    found = split_table(table, run.lead, run.config.split, seed, label_surveys=names)
    refuse_useless(table, found, run.config.split)
    return found
