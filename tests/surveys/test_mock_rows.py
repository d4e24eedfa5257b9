"""A few rows of every packaged survey, made from its file: types, sentinels, and a row that fails each cut."""

from __future__ import annotations

import math
import random
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import starscale as ss
from starscale.surveys import Survey, load_survey, survey_names
from starscale.tables.columns.typed import POLARS_TYPE
from starscale.tables.cuts import apply_cuts, cut_columns

#: Values that the cuts of the packaged surveys tell apart.
POOLS: dict[str, list[Any]] = {
    "bool": [False, True],
    "string": [
        "00",
        "0000",
        "D000",
        "AAA",
        "AAB",
        "nnnnn",
        "nnngn",
        "VARIABLE",
        "CONSTANT",
        "PSF",
        "REX",
        "STAR",
    ],
    "int": [0, 1, 2, 3, 4, 6, 9, 12, 32, 48, 200, 205, 1 << 23, -1],
    "float": [0.0, 0.05, 0.2, 0.4, 0.95, 1.0, 1.2, 1.5, 5.0, 12.0, 15.0, 25.5, 40.0, 60.0, 500.0, 8000.0],
}


def pool(column: str, dtype: str) -> list[Any]:
    if "mag" in column:
        return [14.5, 15.0, 25.5]
    values = POOLS["int" if dtype.startswith("int") else "float" if dtype.startswith("float") else dtype]
    return [v for v in values if v < 1 << 15] if dtype == "int16" else values


def types_of(survey: Survey) -> dict[str, str]:
    """Data type of every column, those of joined surveys too."""
    tables = [*(load_survey(name) for name in survey.joins), survey]
    return {name: spec.dtype for table in tables for name, spec in table.columns.items()}


def sharing(cut: str, used: dict[str, list[str]]) -> set[str]:
    """Return the cuts that share a column with a cut, or with one that does; they decide together."""
    found, size = {cut}, 0
    while len(found) > size:
        size, columns = len(found), {c for name in found for c in used[name]}
        found |= {name for name, given in used.items() if columns & set(given)}
    return found


@cache
def rows_for_cuts(name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return values that pass every cut, and for every cut some that fail it, and only it if that is possible."""
    survey = load_survey(name)
    types = types_of(survey)
    used = {cut.name: [c for c in cut_columns(cut, name) if c in types] for cut in survey.cuts}
    draw = random.Random(1)
    columns = list(dict.fromkeys(c for given in used.values() for c in given))
    passing: dict[str, Any] = {}
    failing: dict[str, dict[str, Any]] = {}
    for cut in survey.cuts:
        together = sharing(cut.name, used)
        mine = list(dict.fromkeys(c for other in together for c in used[other]))
        tried = [{c: draw.choice([*pool(c, types[c]), None]) for c in mine} for _ in range(4000)]
        table = pl.DataFrame(tried, schema={c: POLARS_TYPE[types[c]] for c in mine})  # type: ignore[index]
        masks = {
            other.name: apply_cuts(table, [other])[0].to_list() for other in survey.cuts if other.name in together
        }
        good = next(i for i in range(len(tried)) if all(mask[i] for mask in masks.values()))
        fails = [i for i in range(len(tried)) if not masks[cut.name][i]]
        # One that passes the other cuts, where there is such a row.
        bad = next((i for i in fails if all(m[i] for n, m in masks.items() if n != cut.name)), fails[0])
        passing |= {c: passing.get(c, tried[good][c]) for c in mine}
        failing[cut.name] = tried[bad]
    assert set(passing) == set(columns)
    return passing, failing


def plain(survey: Survey, column: str, number: int) -> Any:
    """Return a value that its column can have; identifiers and positions differ from row to row."""
    spec, position = survey.limited()[column], survey.position
    if column == survey.id.column and spec.dtype != "string":
        return (survey.id.lower or 1) + number
    if position is not None and column in (position.ra, position.dec):
        return 10.0 + number
    if spec.dtype == "string":
        return f"star {number}"
    if spec.dtype == "bool":
        return False
    low, high = (-math.inf if spec.lower is None else spec.lower), (math.inf if spec.upper is None else spec.upper)
    value = 15.0 if low < 15.0 < high else (low if math.isfinite(low) else high)
    return value if spec.dtype.startswith("float") else int(value)


def mock_rows(name: str) -> tuple[pl.DataFrame, list[str]]:
    """Return a table: a good row, one row for each cut, and the names of these cuts in order."""
    survey, types = load_survey(name), types_of(load_survey(name))
    passing, failing = rows_for_cuts(name)
    cuts = list(failing)
    values = [passing, *({**passing, **failing[cut]} for cut in cuts)]
    rows = [
        {**{c: plain(survey, c, number) for c in survey.columns}, **given} for number, given in enumerate(values)
    ]
    schema = {c: POLARS_TYPE[types[c]] for c in rows[0]}  # type: ignore[index]
    return pl.DataFrame(rows, schema=schema), cuts


# Array columns have their own tests (tests/pipeline/test_xp.py).
@pytest.mark.parametrize("name", [name for name in survey_names() if not load_survey(name).spectra])
def test_a_mock_table_is_read_and_cleaned(name: str, tmp_path: Path) -> None:
    survey = load_survey(name)
    table, cuts = mock_rows(name)
    if survey.id.column in rows_for_cuts(name)[0]:
        table = table.with_columns(pl.Series(survey.id.column, [1, *range(2, table.height + 1)]))
    path = tmp_path / "mock.parquet"
    table.write_parquet(path)
    read = ss.read(path, survey=survey)
    assert {c: read[c].dtype for c in survey.columns} == {
        c: POLARS_TYPE[spec.dtype] for c, spec in survey.columns.items()
    }
    cleaned = ss.clean(path, survey=survey)
    assert cleaned.table is not None
    assert cleaned.table[survey.id.column].to_list() == read[survey.id.column].to_list()[:1]
    removed = {row.name: row.alone for row in cleaned.attrition.rows}
    assert [removed[cut] >= 1 for cut in cuts] == [True] * len(cuts)


@pytest.mark.parametrize("name", [name for name in survey_names() if load_survey(name).sentinels])
def test_sentinels_of_a_mock_table_become_null(name: str) -> None:
    survey = load_survey(name)
    table, _ = mock_rows(name)
    numbers = [s for s in survey.sentinels if not isinstance(s, str)]
    texts = [s for s in survey.sentinels if isinstance(s, str)]
    missing: dict[str, Any] = {}
    for column, spec in survey.columns.items():
        if column != survey.id.column:
            if spec.dtype.startswith("float") and numbers:
                missing[column] = float(numbers[0])
            elif spec.dtype == "string" and texts:
                missing[column] = texts[0]
    assert missing
    changed = table.with_columns(pl.lit(value, dtype=table[c].dtype).alias(c) for c, value in missing.items())
    read = ss.read(changed, survey=survey)
    assert [c for c in missing if read[c].null_count() != read.height] == []


SIGNS = [(name, release) for name in survey_names() for release in load_survey(name).other_releases]


@pytest.mark.parametrize(("name", "release"), SIGNS)
def test_a_column_of_another_release_betrays_it(name: str, release: str) -> None:
    table, _ = mock_rows(name)
    for sign in load_survey(name).other_releases[release]:
        with pytest.raises(ss.InputError, match=f"has columns of {release}"):
            ss.read(table.with_columns(pl.lit(1).alias(sign)), survey=name)


@pytest.mark.parametrize(("name", "release"), [pair for pair in SIGNS if pair[1] in survey_names()])
def test_a_table_with_all_columns_of_another_release_is_refused(name: str, release: str) -> None:
    """Where the file of the other release describes one of the signs, its whole table is recognised."""
    described = set(load_survey(release).columns) & set(load_survey(name).other_releases[release])
    if described:
        with pytest.raises(ss.InputError, match=f"has columns of {release}"):
            ss.read(mock_rows(release)[0], survey=name)
