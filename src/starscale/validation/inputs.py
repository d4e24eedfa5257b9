"""What `validate` is given: settings, tables and columns, checked before the catalogue is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from starscale.io.table import require_columns
from starscale.surveys import Survey
from starscale.tables.api import AnyTable
from starscale.validation.references import (
    KEY,
    PAIR,
    CatalogueStars,
    ReferenceTable,
    read_labels,
    read_reference,
    refuse_unknown_names,
)
from starscale.validation.samples import CLUSTER, Compared
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.errors import Problems

#: Names of the tests, in order.
TESTS = ("clusters", "benchmark", "seismic", "against", "wide binaries")
_BOTH = [name + end for name in LABELS for end in ("", "_error")]
#: Columns that each test reads where they exist.
_WANTED: dict[str, list[str]] = {
    "clusters": ["fe_h", "fe_h_error"],
    "benchmark": _BOTH,
    "seismic": ["logg", "logg_error", "teff", "teff_error"],
    "against": _BOTH,
    "wide binaries": [],
}
#: What each test compares, where it does not depend on the table.
_COMPARED = {"clusters": ["fe_h"], "wide binaries": ["fe_h"], "seismic": ["logg"]}


def check_settings(
    tables: Mapping[str, AnyTable],
    limits: Mapping[str, float],
    level: float,
    survey: str | Path | Survey | None,
    output: str | Path | None,
) -> None:
    """Refuse settings that make no sense.

    Raises
    ------
    InputError
        All of them.
    """
    problems = Problems()
    if not tables:
        problems.add(
            "validate", "no table to compare with", "clusters, benchmark, seismic, against or wide_binaries"
        )
    if survey is not None and "against" not in tables:
        problems.add("survey", "describes no table", "the table of the survey as 'against'")
    if not 0 < level < 1:
        problems.add("level", f"is {level}", "a probability between 0 and 1")
    for name, value in limits.items():
        if not value >= 0:
            problems.add("tolerance", f"{name} = {value}", "zero or a positive number")
    if output is not None and Path(output).suffix and Path(output).suffix.lower() != ".html":
        problems.add("output", f"ends in {Path(output).suffix!r}", "a folder, or a page that ends in .html")
    problems.raise_if_any()


def open_references(
    tables: Mapping[str, AnyTable],
    names: Mapping[str, str],
    identifier: str,
    survey: str | Path | Survey | None,
    there: Sequence[str],
) -> list[ReferenceTable]:
    """Read all other tables; `there` are the columns of the catalogue.

    Raises
    ------
    InputError
        All problems of all tables.
    """
    problems, found = Problems(), []
    for test, table in tables.items():
        with problems.collect():
            if test == "against" and survey is not None:
                found.append(read_labels(test, table, survey))
            else:
                found.append(_opened(test, table, names, identifier, there))
    problems.raise_if_any()
    refuse_unknown_names(names, found)
    return found


def _opened(
    test: str, table: AnyTable, names: Mapping[str, str], identifier: str, there: Sequence[str]
) -> ReferenceTable:
    keys, texts, wanted = {KEY: identifier}, [], _WANTED[test]
    if test == "wide binaries":
        keys = dict(zip(PAIR, (f"{identifier}1", f"{identifier}2"), strict=True))
    elif test == "clusters":
        texts = [CLUSTER]
    elif test == "against":
        asked = [name for name in names if name in there and name not in (identifier, *_BOTH)]
        wanted = [*wanted, *asked, *(f"{name}_error" for name in asked)]
    return read_reference(test, table, keys, wanted, names, texts=texts)


def _labels_of(reference: ReferenceTable, names: Mapping[str, str], there: Sequence[str]) -> list[str]:
    """Return the columns of the catalogue that a test compares."""
    if reference.test in _COMPARED:
        return _COMPARED[reference.test]
    theirs = [name for name in reference.frame.columns if name in LABELS or name in names]
    return [name for name in theirs if name in there and name != KEY and not name.endswith("_error")]


def compared_columns(
    references: Sequence[ReferenceTable], names: Mapping[str, str], where: str, there: Sequence[str]
) -> dict[str, list[str]]:
    """Return the columns of the catalogue that each test compares.

    Raises
    ------
    InputError
        The catalogue does not have them, or the other table has none.
    """
    problems, found = Problems(), {}
    for reference in references:
        wanted = found[reference.test] = _labels_of(reference, names, there)
        with problems.collect():
            require_columns(where, wanted, there)
        if reference.test == "seismic" and "logg" not in reference.frame.columns:
            problems.add(
                reference.where, "has no column 'logg'", "surface gravities", "Name it: columns logg=NAME."
            )
        if not wanted:
            expected = "one or more of teff, logg, fe_h in both tables"
            problems.add(
                reference.where, f"has no column in common with {where}", expected, "Name them: teff=NAME."
            )
    problems.raise_if_any()
    return found


def refuse_strangers(
    compared: Sequence[Compared], references: Sequence[ReferenceTable], where: str, catalogue: CatalogueStars
) -> None:
    """Refuse tables without a star in the catalogue.

    Raises
    ------
    InputError
        All such tables.
    """
    problems = Problems()
    for one, reference in zip(compared, references, strict=True):
        if one.stars.is_empty():
            keys = reference.keys
            first = f" (first identifier: {keys[0]})" if len(keys) else ""
            seen = f"; {catalogue.seen} stars were used in training and are left out" if catalogue.seen else ""
            expected = f"identifiers of {where}{seen}"
            found = f"none of its {reference.frame.height} rows{first} has its stars in the catalogue"
            problems.add(reference.where, found, expected, "Are they of the same catalogue and release?")
    problems.raise_if_any()
