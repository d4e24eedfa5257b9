"""A catalogue for publication: astropy reads back what was written, from ReadMe and table or from one file."""

from __future__ import annotations

import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.io import ascii as tables
from astropy.table import Table
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import starscale as ss
from starscale import io
from starscale.cli.main import app
from starscale.learn.learners import LEARNERS
from starscale.vocabulary.columns import Column, catalogue_columns
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.provenance import METHODS
from support.versions import whole_vectors

N = 500
COLUMNS = {**catalogue_columns(), "name": Column("name", "string", "", "meta.id", "name; null: has none")}
ABOUT = {
    "title": "Stellar parameters of many stars",
    "authors": ["Doe J.", "Müller Ä."],
    "bibcode": "2026A&A...700A...1D",
    "keywords": ["Effective temperatures", "Surveys"],
    "abstract": "We put every star on one scale. " * 12,
}


def catalogue(n: int = N) -> pl.DataFrame:
    """MOCK: a catalogue with nulls in it."""
    rng = np.random.default_rng(2)
    types = {"int64": pl.Int64, "int32": pl.Int32, "float32": pl.Float32, "float64": pl.Float64}
    types["string"] = pl.String
    columns = {}
    for name, about in catalogue_columns().items():
        values = rng.normal(size=n) * (5000 if about.unit == "K" else 1)
        if name == "source_id":
            values = rng.integers(2**40, 2**62, n)
        elif name == "flags":
            values = rng.integers(0, 512, n)
        elif name in ("ra", "dec"):
            values = rng.uniform(0, 360 if name == "ra" else 90, n)
        elif name == "part":
            values = rng.choice(["train", "validation", "test"], n)
        series = pl.Series(name, values).cast(types[about.dtype])
        gone = pl.Series(rng.random(n) < 0.1)
        columns[name] = series if name in ("source_id", "flags") else series.zip_with(~gone, series.clear(n))
    names = [f"étoile {i}" if i % 7 else None for i in range(n)]
    return pl.DataFrame({**columns, "name": pl.Series(names, dtype=pl.String)})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "stars.parquet"
    provenance = {"mock": True, "versions": {"starscale": "1"}, "citation": "x", "model": {"method": "Doe 2026"}}
    metadata = {
        "starscale.provenance": json.dumps(provenance),
        "position_system": "ICRS",
        "position_epoch": "J2016.0",
    }
    io.write(catalogue(), path, columns=COLUMNS, metadata=metadata)
    return path


def by_astropy(data: Path, readme: Path | None) -> Table:
    with warnings.catch_warnings():
        # The unit dex of an iron abundance and the like.
        warnings.simplefilter("error")
        if readme is None:
            return tables.read(data, format="mrt")
        return tables.read(data, format="cds", readme=str(readme))


def compare(table: Table, frame: pl.DataFrame) -> None:
    assert table.colnames == frame.columns
    assert len(table) == frame.height
    for series in frame:
        found = table[series.name]
        hidden = np.ma.getmaskarray(np.ma.asarray(found))
        assert hidden.tolist() == series.is_null().to_list(), series.name
        there = ~hidden
        values = np.asarray(np.ma.getdata(found))[there]
        expected = series.drop_nulls().to_numpy()
        if series.dtype == pl.String:
            assert values.tolist() == [text.replace("é", "e") for text in expected.tolist()]
        elif series.dtype.is_integer():
            assert values.tolist() == expected.tolist()
        else:
            label = next((x for x in ("teff", "logg", "fe_h") if series.name.startswith(x)), "")
            exact = series.name.endswith(("_corr", "_slope")) or not label
            places = {"teff": 1, "logg": 3, "fe_h": 3}.get(label, 0)
            tolerance = 6e-6 * np.abs(expected).max() if exact else 0.5001 * 10.0**-places
            if series.name in ("ra", "dec"):
                tolerance = 6e-10
            np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance)


def test_cds_reads_back(stored: Path, tmp_path: Path) -> None:
    done = ss.publish(stored, tmp_path / "cds", **ABOUT)
    assert done.files == (tmp_path / "cds" / "ReadMe", tmp_path / "cds" / "stars.dat")
    assert (done.rows, done.missing, done.mock) == (N, (), True)
    table = by_astropy(tmp_path / "cds" / "stars.dat", tmp_path / "cds" / "ReadMe")
    compare(table, catalogue())
    assert str(table["teff"].unit) == "K"
    assert str(table["ra"].unit) == "deg"
    assert table["fe_h"].unit is None
    assert table["teff"].description.startswith("predicted effective temperature")
    text = (tmp_path / "cds" / "ReadMe").read_text("ascii")
    assert max(map(len, text.splitlines())) <= 80
    for said in (
        "MOCK DATA",
        "Muller A.",
        "=2026A&A...700A...1D",
        "ICRS at epoch J2016.0",
        "(Doe+, 2026)",
        "Method: Doe 2026.",
    ):
        assert said in text
    assert "32 = the star fails a quality cut" in text
    assert "TO BE FILLED IN" not in text
    lines = (tmp_path / "cds" / "stars.dat").read_text("ascii").splitlines()
    assert {len(line) for line in lines} == {int(text.split("stars.dat")[1].split()[0])}


def test_one_file_reads_back(stored: Path, tmp_path: Path) -> None:
    done = ss.publish(stored, tmp_path / "stars.mrt", title="Stars")
    assert done.missing == ("authors",)
    compare(by_astropy(tmp_path / "stars.mrt", None), catalogue())
    text = (tmp_path / "stars.mrt").read_text("ascii")
    assert text.startswith("Title: Stars\nAuthors: [TO BE FILLED IN: authors]\nTable: MOCK DATA")


def test_what_only_the_author_can_say_is_marked(stored: Path, tmp_path: Path) -> None:
    done = ss.publish(stored, tmp_path / "cds")
    assert done.missing == ("title", "authors", "bibcode", "keywords", "abstract")
    text = (tmp_path / "cds" / "ReadMe").read_text("ascii")
    assert all(f"[TO BE FILLED IN: {name}]" in text for name in done.missing)


def test_columns_and_decimals_are_chosen(stored: Path, tmp_path: Path) -> None:
    ss.publish(stored, tmp_path / "cds", columns=["teff", "source_id"], decimals={"teff": 4})
    text = (tmp_path / "cds" / "ReadMe").read_text("ascii")
    table = by_astropy(tmp_path / "cds" / "stars.dat", tmp_path / "cds" / "ReadMe")
    assert table.colnames == ["teff", "source_id"]
    np.testing.assert_allclose(np.ma.compressed(table["teff"]), catalogue()["teff"].drop_nulls(), atol=5.1e-5)
    assert ".4 " in text
    with pytest.raises(InputError, match="Did you mean 'teff'"):
        ss.publish(stored, tmp_path / "cds", decimals={"tef": 1})
    with pytest.raises(InputError, match="source_id=3"):
        ss.publish(stored, tmp_path / "cds", decimals={"source_id": 3})


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_and_one_row(tmp_path: Path, n: int) -> None:
    io.write(catalogue(1).head(n), tmp_path / "few.parquet", columns=COLUMNS)
    ss.publish(tmp_path / "few.parquet", tmp_path / "cds")
    lines = (tmp_path / "cds" / "few.dat").read_text("ascii").splitlines()
    assert len(lines) == n
    if n:
        table = by_astropy(tmp_path / "cds" / "few.dat", tmp_path / "cds" / "ReadMe")
        assert table.colnames == catalogue(1).columns


@whole_vectors
def test_what_such_a_table_cannot_hold(tmp_path: Path) -> None:
    table = pl.DataFrame({"v": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float64, 2)), "a b": [1]})
    io.write(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="2 problems") as error:
        ss.publish(tmp_path / "t.parquet", tmp_path / "cds")
    assert "vector column 'v'" in str(error.value)
    assert "'a b' cannot be a label" in str(error.value)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    io.write(table.select(pl.col("a b").alias("a")), tmp_path / "u.parquet")
    with pytest.raises(InputError, match="holds other things"):
        ss.publish(tmp_path / "u.parquet", tmp_path / "full")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["full", "t.parquet", "u.parquet"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.floats(),
            st.none() | st.floats(-9e4, 9e4, width=32),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
@example(rows=[(1.7976931348623155e308, None, None, None), (-1e-300, None, None, None)])
def test_any_number_survives_as_far_as_its_decimals(tmp_path: Path, rows: list[tuple[object, ...]]) -> None:
    schema = {"x": pl.Float64, "y": pl.Float32, "i": pl.Int64, "b": pl.Boolean}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    io.write(frame, tmp_path / "t.parquet")
    ss.publish(tmp_path / "t.parquet", tmp_path / "cds")
    text = (tmp_path / "cds" / "t.dat").read_text("ascii").splitlines()
    described = (tmp_path / "cds" / "ReadMe").read_text("ascii")
    assert len({len(line) for line in text}) == 1
    places = {}
    for line in described.splitlines():
        words = line.replace("- ", "-").split()
        if len(words) > 3 and words[3] in schema:
            start, _, end = words[0].partition("-")
            places[words[3]] = slice(int(start) - 1, int(end or start))
    for name in schema:
        for line, value in zip(text, frame[name].to_list(), strict=True):
            cell = line[places[name]].strip()
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                assert cell == ""
            elif isinstance(value, float):
                largest = max(abs(v) for v in frame[name].to_list() if v is not None and math.isfinite(v))
                assert math.isclose(float(cell), value, rel_tol=1e-6, abs_tol=1e-4 * min(1.0, largest))
            else:
                assert int(cell) == value


def test_the_command(stored: Path, tmp_path: Path) -> None:
    command = ["publish", str(stored), "-o", str(tmp_path / "cds"), "--title", "T", "--author", "Doe J."]
    done = CliRunner().invoke(app, [*command, "--column", "teff", "--decimals", "teff=2"])
    assert done.exit_code == 0, done.output
    assert "500 rows of MOCK data written to" in done.output
    assert "marked in the file, to be filled in by you: bibcode, keywords, abstract" in done.output
    wrong = CliRunner().invoke(app, [*command, "--decimals", "teff"])
    assert isinstance(wrong.exception, InputError)


def test_other_files_in_the_folder_are_safe_and_the_index_of_hats_stays_out(stored: Path, tmp_path: Path) -> None:
    table = catalogue(20).drop_nulls(["ra", "dec"])
    io.write(table, tmp_path / "sky.hats", columns=COLUMNS)
    ss.publish(tmp_path / "sky.hats", tmp_path / "cds")
    assert by_astropy(tmp_path / "cds" / "sky.dat", tmp_path / "cds" / "ReadMe").colnames == table.columns
    ss.publish(tmp_path / "sky.hats", tmp_path / "cds", columns=["teff"])
    (tmp_path / "cds" / "other.dat").write_text("1\n")
    with pytest.raises(InputError, match=r"holds other things \(other\.dat\)"):
        ss.publish(tmp_path / "sky.hats", tmp_path / "cds")
    assert (tmp_path / "cds" / "other.dat").read_text() == "1\n"


UNITS = {
    "dex": "[-]",
    "mag(AB)": "mag",
    "adu": "---",
    "DN": "---",
    "electron/s": "---",
    "nmgy": "---",
    "dB": "---",
    "dex(cm/s2)": "[cm.s-2]",
    "days": "d",
    "furlongs": "---",
    "%": "%",
    "": "---",
}


@pytest.mark.parametrize(("unit", "printed"), UNITS.items())
def test_every_unit_is_printed_or_said(tmp_path: Path, unit: str, printed: str) -> None:
    io.write(pl.DataFrame({"x": [1.5]}), tmp_path / "t.parquet", columns={"x": Column("x", unit=unit)})
    ss.publish(tmp_path / "t.parquet", tmp_path / "cds")
    text = (tmp_path / "cds" / "ReadMe").read_text("ascii")
    (found,) = re.findall(r"^ *1-\s*\d+ F\S+ +(\S+)", text, re.MULTILINE)
    assert found == printed
    lost = unit and printed in ("---", "mag")
    assert (f"(unit: {unit})" in text) == bool(lost)
    assert np.asarray(by_astropy(tmp_path / "cds" / "t.dat", tmp_path / "cds" / "ReadMe")["x"]).tolist() == [1.5]


def test_a_selection_of_columns_keeps_the_meaning_of_the_bits(tmp_path: Path) -> None:
    stars = catalogue(5).select("source_id", "teff", "teff_lower", "flags")
    ss.write(stars, tmp_path / "stars.vot")
    ss.publish(tmp_path / "stars.vot", tmp_path / "cds", columns=["source_id", "teff", "flags"])
    text = (tmp_path / "cds" / "ReadMe").read_text("ascii")
    assert "32 = the star fails a quality cut" in text
    assert "predicted effective temperature" in text


def test_every_learner_has_a_method() -> None:
    assert set(METHODS) == set(LEARNERS)
