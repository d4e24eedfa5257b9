"""Array columns of spectra, from values and texts of any form."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from starscale import InputError
from starscale.io import open_table
from starscale.surveys import Survey
from starscale.tables.columns.spectra import with_lengths
from starscale.tables.columns.vectors import standard_array
from starscale.tables.standardise import standardise

DOCUMENT = {
    "name": "xp",
    "title": "spectra",
    "kind": "photometric",
    "id": {"column": "source_id"},
    "spectra": {"bp": {"coefficients": "bp", "errors": "bp_error"}},
    "columns": {"source_id": {"dtype": "int64"}, "bp": {"dtype": "float32"}, "bp_error": {"dtype": "float32"}},
}
SURVEY = Survey.model_validate(DOCUMENT)
FORMS = [
    pl.Series(["(1.0, 2.5)", "[3,4.0]", "5 6"]),
    pl.Series([[1.0, 2.5], [3.0, 4.0], [5.0, 6.0]], dtype=pl.Array(pl.Float32, 2)),
    pl.Series([[1.0, 2.5], [3.0, 4.0], [5.0, 6.0]]),
]


@pytest.mark.parametrize("values", FORMS, ids=["text", "array", "list"])
def test_forms_of_arrays_agree(values: pl.Series) -> None:
    found = standard_array(values, pl.Float32(), 2, "t")
    assert found.dtype == pl.List(pl.Float32)
    assert found.to_list() == [[1.0, 2.5], [3.0, 4.0], [5.0, 6.0]]


def test_an_array_without_a_number_is_missing_as_a_whole() -> None:
    texts = pl.Series(["(1, nan)", "()", "", None, "(null, 2)", "(1, 2)", "--"])
    assert standard_array(texts, pl.Float64(), 2, "t").to_list() == [None] * 5 + [[1.0, 2.0], None]
    values = pl.Series([[1.0, np.inf], [np.nan, 1.0], [1.0, None], [], None])
    assert standard_array(values, pl.Float64(), 2, "t").null_count() == 5
    assert standard_array(pl.Series([None, None]), pl.Float64(), 2, "t").null_count() == 2


@pytest.mark.parametrize(
    ("values", "length", "message"),
    [
        (pl.Series([1.0, 2.0]), None, "is of type Float64; expected an array of numbers"),
        (
            pl.Series(["(1, 2)", "a spectrum"]),
            None,
            r"1 of 2 values are no array of numbers \(first: 'a spectrum'\)",
        ),
        (
            pl.Series([[1.0], [1.0, 2.0]]),
            None,
            r"has arrays of . numbers \(1 of 2 rows\) and . numbers .*expected the same",
        ),
        (
            pl.Series([[1.0] * 51]),
            55,
            r"has arrays of 51 numbers \(1 of 1 rows\); expected 55.*release",
        ),
        (pl.Series([["a"], ["b"]]), None, "is of type List"),
    ],
)
def test_what_is_no_array_of_the_length_is_refused(values: pl.Series, length: int | None, message: str) -> None:
    with pytest.raises(InputError, match=f"(?s)t: {message}"):
        standard_array(values, pl.Float64(), length, "t")


def test_a_star_has_all_arrays_of_a_survey_or_none() -> None:
    table = pl.DataFrame({"source_id": [1, 2, 3], "bp": [[1.0], None, [2.0]], "bp_error": [[0.1], [0.1], [0.2]]})
    found = standardise(table, SURVEY)
    assert found["bp"].to_list() == [[1.0], None, [2.0]]
    assert found["bp_error"].null_count() == 1
    bare = table.with_columns(pl.Series("bp_error", [[0.1], [0.1], None]))
    with pytest.raises(InputError, match="'bp_error': 1 of 3 rows have bp without errors"):
        standardise(bare, SURVEY)


def test_the_first_spectrum_of_a_table_gives_the_length(tmp_path) -> None:
    path = tmp_path / "xp.parquet"
    table = pl.DataFrame({"source_id": [1, 2], "bp": [None, [1.0, 2.0, 3.0]], "bp_error": [None, [1.0, 1.0, 1.0]]})
    table.write_parquet(path)
    assert with_lengths(SURVEY, path).spectra["bp"].length == 3
    table.drop("bp_error").write_parquet(path)
    with pytest.raises(InputError, match="'bp_error': is missing, but needed for the spectra of xp"):
        with_lengths(SURVEY, path)
    table.with_columns(bp=pl.lit(None, pl.List(pl.Float64))).write_parquet(path)
    with pytest.raises(InputError, match="'bp': has no value in any row"):
        with_lengths(SURVEY, path)


arrays = st.integers(2, 5).flatmap(
    lambda n: st.lists(st.lists(st.floats(-1e6, 1e6), min_size=n, max_size=n), min_size=1, max_size=6)
)


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "vot", "parquet", "csv"])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=arrays)
def test_random_arrays_come_back_from_files_of_astropy(rows: list[list[float]], suffix: str, tmp_path) -> None:
    path = tmp_path / f"xp.{suffix}"
    columns = {"source_id": np.arange(1, len(rows) + 1), "bp": np.array(rows)}
    if suffix == "csv":
        columns["bp"] = np.array([str(tuple(row)) for row in rows])
    if suffix == "parquet":
        pl.DataFrame({"source_id": columns["source_id"], "bp": rows}).write_parquet(path)
    else:
        kind = {"vot": {"format": "votable"}, "ecsv": {"format": "ascii.ecsv"}, "csv": {"format": "ascii.csv"}}
        Table(columns).write(path, overwrite=True, **kind.get(suffix, {}))
    survey = Survey.model_validate(DOCUMENT | {"spectra": {"bp": {"coefficients": "bp"}}})
    source = open_table(path)
    found = standardise(source.read(), survey)
    expected = np.array(rows, dtype=np.float32)
    np.testing.assert_array_equal(np.array(found["bp"].to_list(), dtype=np.float32), expected)
