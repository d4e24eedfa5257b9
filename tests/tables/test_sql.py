"""SQL of survey files, run files and feature sets uses one row at a time, and columns only."""

from __future__ import annotations

import polars as pl
import pytest

from starscale.tables.sql import rename_columns, row_expression
from starscale.vocabulary.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "a > AVG(a)",
        "MAX(a) > 1",
        "a - median (a) < 3",
        "COUNT(*) > 2",
        "a > sum(b)",
        "STDDEV(a) < 1",
        "RANK() OVER (ORDER BY a) = 1",
        "a = (SELECT a FROM read_csv('/etc/passwd'))",
        "a >",
        "",
    ],
)
def test_what_is_not_an_expression_of_one_row_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="here"):
        row_expression(text, "here")


@pytest.mark.parametrize(
    "text",
    ["a <= 1.4 OR a IS NULL", "b LIKE 'MAX(%'", '"max" > 1', "maximum > 2", "GREATEST(a, c) > 0", "a IN (1, 2)"],
)
def test_expressions_of_one_row_pass(text: str) -> None:
    table = pl.DataFrame({"a": [1.0, 3.0], "b": ["MAX(x", "y"], "c": [0.0, 1.0], "max": [2, 0], "maximum": [3, 1]})
    expression = row_expression(text, "here")
    rows = [expression.on(table[i : i + 1])[0] for i in range(2)]
    assert expression.on(table).to_list() == rows
    assert set(expression.columns) <= set(table.columns)


def test_renaming_columns_leaves_texts_and_other_words_alone() -> None:
    text = "flags = 0 AND name <> 'flags' AND \"flags\" IN (1, 2) AND flags_psf = 0 AND ABS(u) < 1"
    renamed = rename_columns(text, {"flags": "mine", "u": "u", "other": "x"})
    expected = '"mine" = 0 AND name <> \'flags\' AND "mine" IN (1, 2) AND flags_psf = 0 AND ABS(u) < 1'
    assert renamed == expected
