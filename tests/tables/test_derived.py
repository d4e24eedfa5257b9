"""Computed columns and the validity of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale.surveys import Survey
from starscale.tables.columns.typed import Discarded
from starscale.tables.standardise import standardise
from starscale.tables.stream import columns_of, pieces
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.strict import validate


def survey(columns: dict[str, Any], **more: Any) -> Survey:
    document = {
        "name": "mine",
        "title": "my survey",
        "kind": "spectroscopic",
        "id": {"column": "id"},
        "columns": {"id": {"dtype": "int64"}, **columns},
        **more,
    }
    return validate(Survey, document, "mine.toml")


#: The polynomial of DESI DR1 (RVS, low gravity) with its range of validity.
DESI = survey(
    {
        "teff": {"unit": "K"},
        "logg": {},
        "feh": {"lower": -6.0, "upper": 2.0},
        "x": {"expression": "LOG10(teff / 5000) / 0.1"},
        "feh_corrected": {
            "expression": "feh - (0.197 - 0.809 * x + 0.441 * x * x)",
            "valid": "teff BETWEEN 4200 AND 6600 AND logg BETWEEN 1.8 AND 4.3",
            "lower": -5.0,
            "upper": 1.0,
        },
    },
    labels={"fe_h": {"value": "feh_corrected"}},
)
NUMBERS = st.floats(3000, 8000) | st.none()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(NUMBERS, st.floats(0, 5) | st.none(), st.floats(-7, 3) | st.none()), min_size=1))
def test_a_label_is_corrected_within_its_range(rows: list[tuple[float | None, ...]]) -> None:
    teff, logg, feh = zip(*rows, strict=True)
    numbers = {"teff": teff, "logg": logg, "feh": feh}
    typed = {name: pl.Series(values, dtype=pl.Float64) for name, values in numbers.items()}
    table = pl.DataFrame({"id": range(len(rows)), **typed})
    discarded = Discarded()
    found = standardise(table, DESI, discarded=discarded)
    invalid = outside = 0
    for (t, g, z), got, kept in zip(rows, found["feh_corrected"], found["feh"], strict=True):
        z = None if z is None or not -6 <= z <= 2 else z
        assert kept == z, "the value of the catalogue stays beside"
        if t is None or z is None:
            assert got is None
            continue
        x = np.log10(t / 5000) / 0.1
        value = z - (0.197 - 0.809 * x + 0.441 * x * x)
        if not -5 <= value <= 1:
            outside += 1
            assert got is None
        elif g is None or not (4200 <= t <= 6600 and 1.8 <= g <= 4.3):
            invalid += 1
            assert got is None
        else:
            assert got == pytest.approx(value, abs=1e-9)
    assert (discarded.invalid["feh_corrected"], discarded.outside["feh_corrected"]) == (invalid, outside)
    again = standardise(found, DESI)
    assert again.equals(found), "a table that was read before does not change"


def test_identifiers_of_several_columns() -> None:
    columns = {
        "id": {"dtype": "int64", "expression": "release * 1099511627776 + brickid * 65536 + objid"},
        "release": {"dtype": "int32"},
        "brickid": {"dtype": "int32"},
        "objid": {"dtype": "int32"},
    }
    table = pl.DataFrame({"release": [9010, 9010], "brickid": [330368, 662174], "objid": [7, 65535]})
    found = standardise(table, survey(columns))
    assert found["id"].to_list() == [r * 2**40 + b * 2**16 + o for r, b, o in table.iter_rows()]
    assert found["id"].dtype == pl.Int64
    with pytest.raises(InputError, match="repeat an identifier"):
        standardise(table[[0, 0]], survey(columns))
    with pytest.raises(InputError, match="lacks objid"):
        standardise(table.drop("objid"), survey(columns))
    columns["id"] = {"dtype": "string", "expression": "CAST(brickid AS VARCHAR) || '-' || CAST(objid AS VARCHAR)"}
    assert standardise(table, survey(columns))["id"].to_list() == ["330368-7", "662174-65535"]


def test_epochs_and_parallaxes() -> None:
    columns = {
        "ra": {"unit": "deg"},
        "dec": {"unit": "deg"},
        "g_epoch": {"unit": "d"},
        "r_epoch": {"unit": "d"},
        "epoch": {"unit": "d", "expression": "(COALESCE(g_epoch, r_epoch) + COALESCE(r_epoch, g_epoch)) / 2"},
        "parallax": {"unit": "mas"},
        "bias": {"unit": "mas"},
        "parallax_unbiased": {"unit": "mas", "expression": "parallax - bias"},
    }
    where = {"ra": "ra", "dec": "dec", "epoch": {"column": "epoch", "format": "mjd"}}
    table = pl.DataFrame(
        {
            "id": [1, 2],
            "ra": [10.0, 11.0],
            "dec": [1.0, 2.0],
            "g_epoch": [60000.0, None],
            "r_epoch": [60010.0, 60020.0],
            "parallax": [1.0, 2.0],
            "bias": [-0.03, None],
        }
    )
    found = standardise(table, survey(columns, position=where))
    assert found["epoch"].to_list() == [60005.0, 60020.0]
    assert found["parallax_unbiased"].to_list() == [1.03, None]


def test_readers_read_what_a_column_is_computed_from(tmp_path: Path) -> None:
    path = tmp_path / "desi.csv"
    pl.DataFrame({"id": [1, 2], "TEFF": [5000.0, 4000.0], "logg": [2.0, 2.0], "feh": [0.0, 0.0]}).write_csv(path)
    (whole,) = pieces(path, DESI, ["id", "feh_corrected"])
    assert whole.columns == ["id", "feh_corrected"]
    assert whole["feh_corrected"].to_list() == [pytest.approx(-0.197), None]
    assert ss.read(path, survey=DESI, columns=["feh_corrected", "id"]).equals(whole.select("feh_corrected", "id"))
    assert columns_of(path, DESI) == ["id", "teff", "logg", "feh", "x", "feh_corrected"]


def test_values_of_a_column_are_missing_where_they_are_not_valid(tmp_path: Path) -> None:
    of = survey({"k": {"valid": "(flags & 1) = 0 AND k < 20"}, "flags": {"dtype": "int32"}})
    table = pl.DataFrame({"id": [1, 2, 3, 4], "k": [1.0, 2.0, 30.0, 4.0], "flags": [0, 1, 0, None]})
    cleaned = ss.clean(table, survey=of)
    assert cleaned.table is not None
    assert cleaned.table["k"].to_list() == [1.0, None, None, None]
    assert cleaned.invalid == {"k": 3}
    assert standardise(table.drop("flags"), of)["k"].null_count() == 0, "nothing is known about the values"
    table.write_csv(tmp_path / "t.csv")
    on_disk = ss.clean(tmp_path / "t.csv", survey=of, output=tmp_path / "o.parquet")
    assert on_disk.invalid == {"k": 3}
    assert ss.read(tmp_path / "o.parquet").equals(cleaned.table)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": {"expression": "b +"}}, "mine.toml: columns.a.expression: is not an SQL expression .*character"),
        ({"a": {"valid": "b == 1"}}, "mine.toml: columns.a.valid: is not an SQL expression .*write ="),
        ({"aa": {}, "a": {"expression": "aaa * 2"}}, "columns.a.expression: 'aaa' is not described.*'aa'"),
        ({"a": {"expression": "a * 2"}}, "columns.a.expression: the column is computed from itself"),
        (
            {"a": {"expression": "b"}, "b": {"expression": "c"}, "c": {"expression": "a"}},
            "columns that are computed from one another",
        ),
    ],
)
def test_bad_expressions_are_refused_when_the_file_is_read(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        survey(columns)


@pytest.mark.parametrize(
    ("expression", "dtype", "words"),
    [("b || 'x'", "float64", "cannot be evaluated"), ("b / 3", "int64", "not of type Int64")],
)
def test_an_expression_that_does_not_fit_its_columns(expression: str, dtype: str, words: str) -> None:
    of = survey({"b": {"dtype": "int32"}, "a": {"dtype": dtype, "expression": expression}})
    with pytest.raises(InputError, match=f"table: column 'a'.*{words}"):
        standardise(pl.DataFrame({"id": [1], "b": [2]}), of)
