"""Standard names, types, units and nulls for tables from any archive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal

import starscale as ss
from starscale.surveys import Survey
from starscale.tables.columns.typed import POLARS_TYPE, Discarded
from starscale.tables.standardise import require, spelling, standardise
from starscale.vocabulary.columns import Column
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.strict import validate

COLUMNS: dict[str, dict[str, Any]] = {
    "id": {"dtype": "int64", "aliases": ["object", "source"]},
    "ra": {"unit": "deg", "aliases": ["alpha"]},
    "pmra": {"unit": "mas/yr"},
    "e_ra": {"dtype": "float32", "unit": "mas"},
    "mag": {"dtype": "float32", "unit": "mag", "sentinels": [99.0]},
    "n": {"dtype": "int16"},
    "flag": {"dtype": "bool"},
    "kind": {"dtype": "string"},
}
SURVEY = validate(
    Survey,
    {
        "name": "plain",
        "title": "Plain survey",
        "kind": "photometric",
        "id": {"column": "id"},
        "sentinels": [-9999, -9999.99, "null"],
        "columns": COLUMNS,
    },
    "test",
)


def one(column: str, values: Any, **options: Any) -> pl.Series:
    """A column after standardising a table with identifiers."""
    series = values if isinstance(values, pl.Series) else pl.Series(values)
    table = pl.DataFrame({"id": np.arange(1, len(series) + 1), column: series})
    return standardise(table, SURVEY, **options)[column]


def refused(table: pl.DataFrame, **options: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        standardise(table, SURVEY, **options)
    return tuple(str(problem) for problem in caught.value.problems)


# ---- names -------------------------------------------------------------------------------------------


def test_letter_case_and_aliases() -> None:
    assert spelling(["ID", "Alpha", "MAG", "other"], SURVEY) == {"id": "ID", "ra": "Alpha", "mag": "MAG"}
    table = standardise(pl.DataFrame({"MAG": [1.0], "Object": [5], "Alpha": [2.0], "other": ["x"]}), SURVEY)
    assert table.columns == ["mag", "id", "ra", "other"]
    assert table.row(0) == (1.0, 5, 2.0, "x")


def test_an_exact_name_beats_another_case_and_an_alias() -> None:
    table = pl.DataFrame({"id": [1], "alpha": [1.0], "RA": [2.0], "ra": [3.0]})
    assert spelling(table.columns, SURVEY)["ra"] == "ra"
    # Columns that are not described are kept unchanged, without name clashes.
    assert standardise(table, SURVEY).to_dict(as_series=False) == table.to_dict(as_series=False)
    other = standardise(table.drop("ra"), SURVEY)
    assert other.columns == ["id", "alpha", "ra"]
    assert other["ra"].to_list() == [2.0]
    assert spelling(["source", "object"], SURVEY) == {"id": "object"}  # aliases in the order of the file


# ---- missing values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
@pytest.mark.parametrize("column", ["ra", "mag"])
def test_sentinels_in_floats(column: str, dtype: Any) -> None:
    """-9999.99 as float32 differs from the double -9999.99; both are sentinels."""
    values = pl.Series([1.5, -9999, -9999.99, float("nan"), float("inf"), -float("inf"), None, -99.0], dtype=dtype)
    expected = [1.5, None, None, None, None, None, None, -99.0]
    assert one(column, values).to_list() == expected
    assert one(column, values.cast(pl.Float32).cast(pl.Float64)).to_list() == expected
    assert one(column, values).dtype == POLARS_TYPE[SURVEY.columns[column].dtype]


def test_sentinels_of_one_column_do_not_touch_another() -> None:
    assert one("mag", [99.0, 1.0]).to_list() == [None, 1.0]
    assert one("ra", [99.0, 1.0]).to_list() == [99.0, 1.0]


@pytest.mark.parametrize(
    "values",
    [
        [3, -9999, None],
        [3.0, -9999.0, float("nan")],
        [3.0, -9999.99, float("inf")],
        ["3", " -9999 ", ""],
        ["3", "null", "NaN"],
    ],
    ids=["int", "float", "float-fraction", "text", "text-null"],
)
def test_sentinels_in_integers(values: list[Any]) -> None:
    cleaned = one("n", values)
    assert cleaned.to_list() == [3, None, None]
    assert cleaned.dtype == pl.Int16


def test_a_fractional_sentinel_is_no_integer() -> None:
    # -9999.99 must not take -9999's neighbours with it: cut to an integer it would be -9999.
    survey = SURVEY.model_copy(update={"sentinels": (-99.9,)})
    assert standardise(pl.DataFrame({"id": [1, 2], "n": [-99, 5]}), survey)["n"].to_list() == [-99, 5]


@pytest.mark.parametrize(
    ("dtype", "last"), [(pl.Float32, np.finfo(np.float32).min), (pl.Float64, np.finfo(float).min)]
)
def test_a_sentinel_beyond_single_precision(dtype: Any, last: float) -> None:
    survey = SURVEY.model_copy(update={"sentinels": (float(np.finfo(float).min),)})
    table = pl.DataFrame({"id": [1, 2, 3], "pmra": pl.Series([1.5, float("nan"), float(last)], dtype=dtype)})
    # The lowest number of single precision is another one.
    expected = [1.5, None, None if dtype == pl.Float64 else float(last)]
    assert standardise(table, survey)["pmra"].to_list() == expected


def test_sentinels_in_texts() -> None:
    assert one("kind", ["STAR", " null", "", "-9999", None]).to_list() == ["STAR", None, None, "-9999", None]
    assert one("kind", pl.Series(["STAR", "null"], dtype=pl.Categorical)).to_list() == ["STAR", None]


@pytest.mark.parametrize(
    "values",
    [
        ["true", "FALSE", "", "null"],
        ["T", "f", None, "-9999"],
        ["1", "0", "nan", " "],
        ["Yes", "no", None, None],
        [1, 0, -9999, None],
        [1.0, 0.0, float("nan"), -9999.0],
        [True, False, None, None],
        pl.Series(["t", "f", None, "null"], dtype=pl.Categorical),
    ],
    ids=str,
)
def test_truth_values(values: Any) -> None:
    cleaned = one("flag", values)
    assert cleaned.dtype == pl.Boolean
    assert cleaned.to_list() == [True, False, None, None]


@pytest.mark.parametrize(
    ("values", "first"), [([1, 0, 2], "2"), ([1.0, 0.5], "0.5"), (["true", "maybe"], "'maybe'")]
)
def test_what_is_neither_true_nor_false_is_refused(values: list[Any], first: str) -> None:
    (text,) = refused(pl.DataFrame({"id": range(1, len(values) + 1), "flag": values}))
    assert f"1 of {len(values)} values are not of type Boolean (first: {first})" in text
    assert "list it under `sentinels`" in text


# ---- types -------------------------------------------------------------------------------------------


def test_numbers_in_other_types() -> None:
    assert one("n", [5.0, 7.0]).to_list() == [5, 7]
    assert one("ra", ["1.5", " 2e2 ", "nan"]).to_list() == [1.5, 200.0, None]
    assert one("ra", [1, 2]).to_list() == [1.0, 2.0]
    assert one("kind", [1, 2]).to_list() == ["1", "2"]
    table = standardise(pl.DataFrame({"id": ["6000000000000000123", "2"]}), SURVEY)
    assert table["id"].to_list() == [6000000000000000123, 2]
    assert standardise(pl.DataFrame({"id": [1.0, float("nan")]}), SURVEY)["id"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("column", "values", "first"),
    [
        ("n", [1.0, 1.5], "1.5"),
        ("n", [1, 40_000], "40000"),
        ("n", [1.0, 1e30], "1e+30"),
        ("n", ["1", "many"], "'many'"),
        ("ra", ["1", "10h"], "'10h'"),
    ],
)
def test_a_value_of_another_type_is_refused_with_a_sample(column: str, values: list[Any], first: str) -> None:
    (text,) = refused(pl.DataFrame({"id": [1, 2], column: values}), where="stars.csv")
    assert text.startswith(f"stars.csv: column '{column}': 1 of 2 values are not of type ")
    assert f"(first: {first})" in text


def test_several_problems_at_once() -> None:
    table = pl.DataFrame({"ID": [3.0e18, 2.0], "n": ["x", "1"], "flag": ["?", "t"], "ra": [1.0, 2.0]})
    found = refused(table, found_columns={"ra": Column("ra", unit="Jy")})
    assert [
        word in text for word, text in zip(("floating-point", "'n'", "'flag'", "'Jy'"), found, strict=True)
    ] == [True] * 4


def test_a_missing_identifier_column() -> None:
    (text,) = refused(pl.DataFrame({"idd": [1], "ra": [1.0]}))
    assert "column 'id': is missing; expected the identifier of Plain survey. Did you mean 'idd'?" in text


def test_repeated_identifiers_unless_told() -> None:
    table = pl.DataFrame({"id": [1, 1], "ra": [1.0, 2.0]})
    (text,) = refused(table)
    assert "repeat an identifier" in text
    assert standardise(table, SURVEY, whole=False).height == 2


# ---- units -------------------------------------------------------------------------------------------


def test_units_are_converted() -> None:
    arcsec = {"e_ra": Column("e_ra", unit="arcsec"), "pmra": Column("pmra", unit="arcsec/yr")}
    table = pl.DataFrame({"id": [1, 2, 3], "e_ra": [0.5, -9999, None], "pmra": [1.0, None, 2.0]})
    found = standardise(table, SURVEY, found_columns=arcsec)
    assert found["e_ra"].to_list() == [500.0, None, None]  # the sentinel is one in the file's own unit
    assert found["pmra"].to_list() == [pytest.approx(1000.0), None, pytest.approx(2000.0)]
    assert found["e_ra"].dtype == pl.Float32
    radians = one("ra", [np.pi], found_columns={"ra": Column("ra", unit="rad")})
    assert radians[0] == pytest.approx(180)


@pytest.mark.parametrize("unit", ["", "deg", "degree"])
def test_the_same_unit_changes_nothing(unit: str) -> None:
    assert one("ra", [5.0], found_columns={"ra": Column("ra", unit=unit)}).to_list() == [5.0]


@pytest.mark.parametrize("unit", ["Jy", "K", "furlong"])
def test_a_unit_of_another_kind_is_refused(unit: str) -> None:
    (text,) = refused(pl.DataFrame({"id": [1], "mag": [5.0]}), found_columns={"mag": Column("mag", unit=unit)})
    assert f"'{unit}'" in text
    assert "column 'mag'" in text


SLOPPY = ["", "dex", "[-]", "-", "---", "[Fe/H]", "[M/H]", "log(cm/s**2)", "[cm/s2]", "[Sun]", "solar", "1"]


def test_an_abundance_may_have_any_word_for_dex() -> None:
    for unit in (*SLOPPY, "Fe to H"):
        assert gravity([-0.5, None], unit, "fe_h").to_list() == [-0.5, None]
    for unit in SLOPPY:
        assert gravity([-0.5, None], unit, "fe_h", unit="dex").to_list() == [-0.5, None]


@pytest.mark.parametrize("column", ["fe_h", "e_fe_h", "logg", "e_logg", "teff"])
def test_a_label_in_the_unit_of_another_quantity_is_refused(column: str) -> None:
    for unit in ("mag", "mmag", "mag(AB)", "percent", "deg", "km/s", "adu"):
        for changes in ({}, {"unit": ""}):
            with pytest.raises(InputError, match=rf"is in '{re.escape(unit)}'[^~]*a unit that becomes"):
                gravity([0.1, 0.2], unit, column, **changes)


@pytest.mark.parametrize("column", ["r_psf", "e_r_psf"])
@pytest.mark.parametrize("stated", ["mag", "mag(AB)", ""])
def test_a_magnitude_in_the_unit_of_another_quantity_is_refused(column: str, stated: str) -> None:
    survey = ss.load_survey("skymapper_dr2")
    spec = survey.columns[column].model_copy(update={"unit": stated})
    survey = survey.model_copy(update={"columns": {**survey.columns, column: spec}})
    table = pl.DataFrame({"object_id": [1], column: [15.0]})
    for unit in ("dex", "[Fe/H]", "log(cm/s**2)", "percent", "K", "1"):
        with pytest.raises(InputError, match="a unit that becomes 'mag"):
            standardise(table, survey, found_columns={column: Column(column, unit=unit)})


def gravity(values: list[float | None], told: str, column: str = "logg", **changes: Any) -> pl.Series:
    """A column of the GALAH survey file, from a table whose file states a unit."""
    survey = ss.load_survey("galah_dr3")
    spec = survey.columns[column].model_copy(update=changes)
    survey = survey.model_copy(update={"columns": {**survey.columns, column: spec}})
    table = pl.DataFrame(
        {"sobject_id": np.arange(1, len(values) + 1), column: pl.Series(values, dtype=pl.Float64)}
    )
    return standardise(table, survey, found_columns={column: Column(column, unit=told)})[column]


@pytest.mark.parametrize("unit", ["cm/s**2", "cm s-2", "m/s2", "cm.s**-2"])
@pytest.mark.parametrize("values", [[4.5, 2.25], [4.4] * 30 + [99.0], [-0.5, 3.0, None], [4.0]])
def test_logarithms_in_a_linear_unit_are_asked_about(values: list[float | None], unit: str) -> None:
    with pytest.raises(InputError, match="look like logarithms") as caught:
        gravity(values, unit)
    (problem,) = (str(problem) for problem in caught.value.problems)
    assert 'file_unit = "log(cm.s**-2)" if the values are logarithms' in problem
    assert f'file_unit = "{unit}" if they are not' in problem
    assert gravity(values, unit, file_unit="log(cm.s**-2)").drop_nulls().to_list() == pytest.approx(
        [value for value in values if value is not None]
    )


def test_gravities_become_logarithms() -> None:
    found = gravity([27400.0, 1000.0, None, -1.0, 0.0], "cm/s**2")
    assert found.to_list()[:2] == pytest.approx([4.4378, 3.0], abs=1e-4)
    assert found.to_list()[2:] == [None, None, None]
    assert gravity([4.5], "cm/s**2", file_unit="cm/s**2")[0] == pytest.approx(0.6532, abs=1e-4)


def test_errors_of_logarithms_have_no_zero_point() -> None:
    assert gravity([0.1], "log(m.s**-2)", "e_logg")[0] == pytest.approx(0.1)
    assert gravity([2.4], "log(m.s**-2)", "logg")[0] == pytest.approx(4.4)
    with pytest.raises(InputError, match="a unit that becomes"):
        gravity([0.1], "cm/s**2", "e_logg")


def band(values: list[float | None], **limits: float) -> tuple[list[float | None], dict[str, int]]:
    """Magnitudes after standardising, and the numbers of those outside the plausible range."""
    document = {**SURVEY.model_dump(), "bands": {"b": {"magnitude": "mag", "wavelength": 500, **limits}}}
    table = pl.DataFrame({"id": np.arange(1, len(values) + 1), "mag": pl.Series(values, dtype=pl.Float64)})
    discarded = Discarded()
    found = standardise(table, validate(Survey, document, "test"), discarded=discarded)["mag"]
    return found.to_list(), dict(discarded.outside)


@pytest.mark.parametrize(
    ("limits", "kept", "wrong"),
    [
        ({}, [14.5, -1.5, 25.0], 3),
        ({"lower": 0.0}, [14.5, 25.0], 4),
        ({"upper": 20.0}, [14.5, -1.5], 4),
        ({"lower": -20.0, "upper": 150.0}, [14.5, 99.269, -9.73, -1.5, 25.0], 1),
    ],
)
def test_a_dereddened_sentinel_is_missing_and_counted(
    limits: dict[str, float], kept: list[float], wrong: int
) -> None:
    # 99 is a sentinel of the column, and a sentinel is not counted.
    found, outside = band([14.5, 99.0, 99.269, -9.73, None, -1.5, 25.0, 1e30], **limits)
    assert [value for value in found if value is not None] == pytest.approx(kept)
    assert outside == {"mag": wrong}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.floats(-200, 200, width=32), max_size=20), st.floats(-50, 50), st.floats(0, 50))
def test_values_outside_are_missing_for_any_range(values: list[float | None], lower: float, size: float) -> None:
    upper = lower + size
    given_values = [value for value in values if value != 99.0]
    found, outside = band(given_values, lower=lower, upper=upper)
    expected = [v if v is not None and lower <= np.float32(v) <= upper else None for v in given_values]
    assert found == expected
    assert sum(outside.values()) == sum(
        v is not None and e is None for v, e in zip(given_values, expected, strict=True)
    )


def test_the_unit_of_the_survey_file_has_the_last_word(tmp_path: Path) -> None:
    document = SURVEY.model_dump()
    document["columns"]["ra"]["file_unit"] = "rad"
    survey = validate(Survey, document, "test")
    table = pl.DataFrame({"id": [1], "ra": [0.5]})
    assert standardise(table, survey)["ra"][0] == pytest.approx(28.64788976)
    stated = {"ra": Column("ra", unit="deg")}
    assert standardise(table, survey, found_columns=stated)["ra"][0] == pytest.approx(28.64788976)


# ---- the whole table ---------------------------------------------------------------------------------

numbers = st.one_of(st.none(), st.floats(width=32), st.sampled_from([-9999.0, -9999.99, 99.0]))
tables = st.integers(0, 8).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "ID": st.just(pl.Series(np.arange(1, n + 1))),
            "alpha": st.lists(numbers, min_size=n, max_size=n).map(lambda x: pl.Series(x, dtype=pl.Float64)),
            "mag": st.lists(numbers, min_size=n, max_size=n).map(lambda x: pl.Series(x, dtype=pl.Float32)),
            "n": st.lists(st.sampled_from(["", "5", "-9999", "null", None]), min_size=n, max_size=n).map(
                lambda x: pl.Series(x, dtype=pl.String)
            ),
            "flag": st.lists(st.sampled_from([1.0, 0.0, None, -9999.0, float("nan")]), min_size=n, max_size=n).map(
                lambda x: pl.Series(x, dtype=pl.Float64)
            ),
            "kind": st.lists(st.sampled_from([" a", "null", "", None]), min_size=n, max_size=n).map(
                lambda x: pl.Series(x, dtype=pl.String)
            ),
            "own": st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=n, max_size=n).map(
                lambda x: pl.Series(x, dtype=pl.String)
            ),
        }
    )
)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_standardising_twice_is_standardising_once(columns: dict[str, pl.Series]) -> None:
    table = pl.DataFrame(columns)
    copy = table.clone()
    once = standardise(table, SURVEY)
    assert_frame_equal(table, copy)
    assert_frame_equal(standardise(once, SURVEY), once)
    described = {"ID": "id", "alpha": "ra"}
    assert once.columns == [described.get(name, name) for name in table.columns]
    assert once["id"].to_list() == table["ID"].to_list()  # every row, in order
    assert_series_equal(once["own"], table["own"])  # not described: as it was
    for name in ("ra", "mag"):
        assert once[name].drop_nulls().is_finite().all()


def test_require_names_every_missing_column() -> None:
    require(["a", "b"], ["a", "b", "a"], "t", "the test")
    with pytest.raises(InputError) as caught:
        require(["magnitude"], ["magnitudes", "x", "x"], "t.csv", "the test")
    first, second = (str(problem) for problem in caught.value.problems)
    assert "column 'magnitudes': is missing, but needed for the test. Did you mean 'magnitude'?" in first
    assert "'x'" in second


def test_a_misspelt_identifier_in_a_file_is_suggested(tmp_path: Path) -> None:
    """Only the columns that the survey describes are read; the suggestion considers all columns of the file."""
    path = tmp_path / "stars.parquet"
    pl.DataFrame({"sourceid": [1, 2], "ra": [1.0, 2.0], "dec": [1.0, 2.0]}).write_parquet(path)
    with pytest.raises(InputError, match=r"column 'source_id': is missing.*Did you mean 'sourceid'"):
        ss.read(path, survey="gaia_dr3", columns=["source_id", "ra", "dec"])
