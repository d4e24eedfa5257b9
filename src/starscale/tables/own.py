"""Descriptions of the columns of starscale's own tables, by the kind of table that a set of columns belongs to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from starscale.vocabulary.columns import (
    DUPLICATE_COLUMNS,
    LABEL_TABLE_COLUMNS,
    LABELS,
    MEASUREMENT_COLUMNS,
    NEIGHBOUR_COLUMNS,
    PAIR_COLUMNS,
    UNMATCHED_COLUMNS,
    Column,
    catalogue_columns,
)

#: Columns that only one kind of table has.
_SIGNS = {
    "catalogue of predictions": {"domain_score", "label_score", "flags"},
    "table of pairs": {"original_ext_source_id", "number_of_neighbours", "number_of_mates"},
    "table of neighbours": {"original_ext_source_id", "normalised_distance", "best"},
    "table of sources without a pair": {"leading_id", "reason", "rival_id"},
    "table of duplicated entries": {"original_ext_source_id", "clean_ext_source_id"},
    "table of measurements": {"survey", "row", "teff_raw", "teff_correction"},
    "table of labels": {"source_id", "n_surveys", "surveys", "chi2"},
}


def own_columns() -> dict[str, Column]:
    """Return the columns of catalogues, of matches and of label tables; labels are those of a label table."""
    return {**catalogue_columns(), **_match_columns(), **LABEL_TABLE_COLUMNS}


def own_columns_of(names: Collection[str]) -> dict[str, Column]:
    """Return descriptions of starscale's columns as they are meant in a table with these column names.

    A predicted catalogue, a table of labels and a table of measurements share the names of labels, errors and
    flags, with different meanings. The columns that only one kind has tell the kind of the table; where there are
    none, a shared name gets the description that holds in all of them.
    """
    kinds = (catalogue_columns(), _match_columns(), MEASUREMENT_COLUMNS, LABEL_TABLE_COLUMNS)
    found = own_columns() | _neutral()
    signs = [len(_only_in(kind, kinds) & set(names)) for kind in kinds]
    for n, kind in sorted(zip(signs, kinds, strict=True), key=lambda item: item[0]):
        if n:
            found |= kind
    return found


def _match_columns() -> dict[str, Column]:
    return {**DUPLICATE_COLUMNS, **UNMATCHED_COLUMNS, **NEIGHBOUR_COLUMNS, **PAIR_COLUMNS}


def _only_in(kind: Mapping[str, Column], kinds: Collection[Mapping[str, Column]]) -> set[str]:
    return set(kind).difference(*(other for other in kinds if other is not kind))


def _neutral() -> dict[str, Column]:
    """Descriptions of the names that several kinds of tables share, true in every one of them."""
    found = {"flags": replace(LABEL_TABLE_COLUMNS["flags"], description="bit mask; 0: none (docs: flags)")}
    for name, label in LABELS.items():
        value, error = LABEL_TABLE_COLUMNS[name], LABEL_TABLE_COLUMNS[f"{name}_error"]
        found[name] = replace(value, description=label.description)
        found[error.name] = replace(error, description=f"error of the {label.description}")
    return found


def own_kind(names: Collection[str]) -> str:
    """Return which of starscale's own tables has these columns; empty for any other table."""
    there = set(names)
    return next((kind for kind, signs in _SIGNS.items() if signs <= there), "")
