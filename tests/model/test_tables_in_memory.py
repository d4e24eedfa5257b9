"""Every verb takes the table of every library, and gives the same result for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import starscale as ss
from starscale import io
from starscale.archives.build import listed_positions
from starscale.io.units import same_unit
from starscale.tables.api import read_in_units
from support.kinds_of_tables import KINDS, Stated, astropy_table, quantities
from support.often import OFTEN
from support.small_model import SURVEY, small_model, small_stars

#: Units that a table may have, with the unit of the survey last.
UNITS = {"ra": ("rad", "arcmin", "deg"), "dec": ("rad", "deg"), "parallax": ("arcsec", "mas"), "g": ("mag",)}


def stated(stars: pl.DataFrame, units: dict[str, str], order: str = ">") -> Stated:
    """Stars of the survey in other units."""
    changed = []
    for name, unit in units.items():
        values = stars[name].fill_null(np.nan).to_numpy() * u.Unit(UNITS[name][-1])
        changed.append(pl.Series(name, values.to_value(unit)).fill_nan(None))
    return Stated(stars.with_columns(changed), dict.fromkeys(stars.columns, "") | units, order)


@st.composite
def star_tables(draw: st.DrawFn) -> tuple[pl.DataFrame, str, Stated]:
    """Stars with missing values in the units of the survey, and the same in another library and other units."""
    stars = small_stars(draw(st.integers(1, 12)), draw(st.integers(0, 99)))
    hidden = draw(
        st.lists(st.sampled_from(["ra", "parallax", "g", "r", "good", "ra_error"]), unique=True, max_size=3)
    )
    for name in hidden:
        keep = draw(st.lists(st.booleans(), min_size=stars.height, max_size=stars.height))
        stars = stars.with_columns(pl.when(pl.Series(keep)).then(pl.col(name)).alias(name))
    kind = draw(st.sampled_from(list(KINDS)))
    units = {name: draw(st.sampled_from(choice)) for name, choice in UNITS.items()} if KINDS[kind][1] else {}
    return stars, kind, stated(stars, units, draw(st.sampled_from("<>")))


def same(got: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert_frame_equal(got, expected, rel_tol=1e-5, abs_tol=1e-9)


def agrees(drawn: tuple[pl.DataFrame, str, Stated]) -> None:
    stars, kind, table = drawn
    make = KINDS[kind][0]
    same(ss.read(make(table), survey=SURVEY), ss.read(stars, survey=SURVEY))
    same(small_model().predict(make(table)), small_model().predict(stars))
    same(ss.predict(small_model(), make(table)).table, ss.predict(small_model(), stars).table)
    got, expected = (ss.clean(t, survey=SURVEY) for t in (make(table), stars))
    same(got.table, expected.table)
    assert got.attrition == expected.attrition


@given(drawn=star_tables())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_read_predict_and_clean(drawn: tuple[pl.DataFrame, str, Stated]) -> None:
    agrees(drawn)


@pytest.mark.slow
@given(drawn=star_tables())
@settings(max_examples=100 * OFTEN, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_read_predict_and_clean_often(drawn: tuple[pl.DataFrame, str, Stated]) -> None:
    """250 examples, since each of them predicts four times."""
    agrees(drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_match_evaluate_importance_and_explain(kind: str) -> None:
    make, keeps_units = KINDS[kind]
    stars = small_stars(60)
    other = small_stars(60).with_columns(pl.col("source_id") + 1, pl.col("dec") + 1e-5)
    units = {"ra": "rad", "dec": "rad", "parallax": "arcsec"} if keeps_units else {}
    tables = [stated(t, units) for t in (stars, other)]
    setting = ss.MatchConfig(method="nearest", radius=1.0)

    def matched(*pair: Any) -> ss.Matched:
        return ss.match(*pair, left_survey=SURVEY, right_survey=SURVEY, settings=setting)

    got, expected = matched(*map(make, tables)), matched(stars, other)
    assert got.n_pairs == expected.n_pairs == 60
    same(got.pairs.drop("angular_distance"), expected.pairs.drop("angular_distance"))
    model = small_model()
    same(ss.evaluate(model, make(tables[0])), ss.evaluate(model, stars))
    few = ss.ImportanceConfig(repeats=2)
    same(
        ss.importance(model, make(tables[0]), settings=few).drop("group"),
        ss.importance(model, stars, settings=few).drop("group"),
    )
    catalogue = model.predict(stars)
    star = int(catalogue["source_id"][3])
    told, known = (
        ss.explain(c, star, model=model, inputs=i)
        for c, i in ((make(stated(catalogue, {})), make(tables[0])), (catalogue, stars))
    )
    assert [str(line) for line in told] == [str(line) for line in known]


def test_labels_have_units_too() -> None:
    """An effective temperature in kilokelvin is compared in kelvin."""
    stars = small_stars(40)
    table = QTable.from_pandas(stars.to_pandas())
    table["teff"] = (table["teff"] * u.K).to(u.kK)
    same(ss.evaluate(small_model(), table), ss.evaluate(small_model(), stars))


def test_a_table_in_radians_gives_what_its_file_gives(tmp_path: Path) -> None:
    table = quantities(stated(small_stars(5), {"ra": "rad", "dec": "rad", "parallax": "arcsec"}))
    table.write(tmp_path / "t.ecsv")
    expected = ss.read(tmp_path / "t.ecsv", survey=SURVEY)
    assert expected["ra"].max() > 7
    assert_frame_equal(ss.read(table, survey=SURVEY), expected)


@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "ecsv"])
def test_write_keeps_units_masks_and_descriptions(suffix: str, tmp_path: Path) -> None:
    stars = small_stars(5).with_columns(pl.when(pl.col("g") > 12).then("parallax").alias("parallax"))
    table = astropy_table(stated(stars, {"ra": "rad", "dec": "rad", "parallax": "arcsec"}))
    table["parallax"].description = "about the parallax"
    ss.write(table, tmp_path / f"t.{suffix}", surveys=[SURVEY])
    same(ss.read(tmp_path / f"t.{suffix}", survey=SURVEY).select(stars.columns), ss.read(stars, survey=SURVEY))
    columns = io.open_table(tmp_path / f"t.{suffix}").columns
    assert columns["ra"].unit == "rad"
    assert columns["parallax"].description == "about the parallax"


@pytest.mark.parametrize("in_memory", [True, False])
def test_clean_keeps_what_is_stated_of_columns_that_the_survey_does_not_describe(
    in_memory: bool, tmp_path: Path
) -> None:
    table = quantities(stated(small_stars(9), {"ra": "rad"}))
    table["extra"] = np.arange(9.0) * u.km / u.s
    table["extra"].info.description = "another quantity"
    table.write(tmp_path / "t.ecsv")
    ss.clean(table if in_memory else tmp_path / "t.ecsv", survey=SURVEY, output=tmp_path / "clean.parquet")
    columns = io.open_table(tmp_path / "clean.parquet").columns
    assert same_unit(columns["extra"].unit, "km/s")
    assert columns["extra"].description == "another quantity"
    assert columns["ra"].unit == "deg"


def test_convert_and_publish_tables_in_memory(tmp_path: Path) -> None:
    table = quantities(stated(small_stars(3), {"ra": "rad"}))
    ss.convert(table, tmp_path / "t.fits")
    assert io.open_table(tmp_path / "t.fits").columns["ra"].unit == "rad"
    ss.publish(table, tmp_path / "published")
    assert " rad " in (tmp_path / "published" / "ReadMe").read_text()
    assert (tmp_path / "published" / "table.dat").exists()


def test_parts_of_a_pandas_table_in_map_partitions() -> None:
    """LSDB calls a function with pandas partitions of Arrow types, first with one that has no rows."""
    stars = small_stars(4)
    part = stars.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)
    curve = pa.array([[{"t": 1.0}], [], None, []], pa.list_(pa.struct({"t": pa.float64()})))
    part["lightcurve"] = pd.Series(pd.array(curve, dtype=pd.ArrowDtype(curve.type)), index=part.index)
    part.index = pd.Index([10, 11, 12, 13], name="_healpix_29")
    expected = small_model().predict(stars)
    for frame in (part, part.set_index("source_id")):
        assert_frame_equal(small_model().predict(frame), expected)
        meta = small_model().predict(frame.iloc[:0])
        assert meta.schema == expected.schema
        assert meta.height == 0
    untyped = pd.DataFrame({name: pd.Series([], dtype=object) for name in stars.columns})
    assert small_model().predict(untyped).schema == expected.schema


def test_columns_that_a_verb_does_not_use_may_be_anything() -> None:
    stars = small_stars(3)
    table = QTable.from_pandas(stars.to_pandas())
    table["where"] = SkyCoord([1, 2, 3], [1, 2, 3], unit="deg")
    assert_frame_equal(small_model().predict(table), small_model().predict(stars))
    assert ss.read(table, survey=SURVEY, columns=["g", "source_id"]).columns == ["g", "source_id"]
    assert ss.read(table).columns[-2:] == ["where.ra", "where.dec"]


@pytest.mark.parametrize("thing", [[1], {"a": [1]}, None, 5, pl.Series([1])])
def test_what_is_no_table_is_refused_by_every_verb(thing: Any, tmp_path: Path) -> None:
    for verb in (
        lambda: ss.read(thing, survey=SURVEY),
        lambda: ss.write(thing, tmp_path / "t.fits"),
        lambda: ss.clean(thing, survey=SURVEY),
        lambda: ss.match(thing, thing, left_survey=SURVEY, right_survey=SURVEY),
        lambda: small_model().predict(thing),
        lambda: ss.predict(small_model(), thing),
        lambda: ss.evaluate(small_model(), thing),
        lambda: ss.importance(small_model(), thing),
        lambda: ss.explain(thing, 1),
        lambda: ss.publish(thing, tmp_path / "t.mrt"),
        lambda: ss.convert(thing, tmp_path / "t.fits"),
    ):
        with pytest.raises(ss.InputError, match="is not a table"):
            verb()
    assert not list(tmp_path.iterdir())


def test_lists_of_positions_and_training_tables_are_converted() -> None:
    table = QTable({"RA": [0.5, 0.75] * u.rad, "Dec": [30.0, -60.0] * u.arcmin})
    assert listed_positions(table).to_numpy() == pytest.approx(np.array([[28.6478898, 0.5], [42.9718346, -1.0]]))
    with pytest.raises(ss.InputError, match="is in 'km'"):
        listed_positions(QTable({"RA": [5.0] * u.km, "Dec": [1.0] * u.deg}))
    wanted = {"teff": ss.Column("teff", unit="K")}
    assert read_in_units(QTable({"teff": [5.0] * u.kK}), lambda names: wanted)["teff"].to_list() == [5000.0]


def test_nan_is_missing_without_a_survey() -> None:
    frame = pl.DataFrame({"x": [1.0, float("nan")], "n": [1, 2]})
    assert ss.read(frame)["x"].to_list() == ss.read(frame.to_pandas())["x"].to_list() == [1.0, None]


def test_a_filtered_catalogue_keeps_its_meaning(tmp_path: Path) -> None:
    """Catalogues share column names with tables of labels; other columns, or `like`, tell which it is."""
    path = tmp_path / "catalogue.parquet"
    ss.predict(small_model(), small_stars(20), path)
    catalogue = ss.read(path).filter(pl.col("teff") > 5000)
    stated_in = {}
    for name, table, named in (
        ("signs.parquet", catalogue, {}),
        ("like.parquet", catalogue.select("source_id", "teff", "teff_error", "flags"), {"like": path}),
        ("bare.parquet", catalogue.select("source_id", "teff", "teff_error", "flags"), {}),
    ):
        ss.write(table, tmp_path / name, **named)
        about = io.open_table(tmp_path / name).columns
        stated_in[name] = {column: about[column].description for column in ("teff", "flags")}
    assert stated_in["signs.parquet"] == stated_in["like.parquet"]
    assert stated_in["like.parquet"]["teff"].startswith("predicted effective temperature")
    assert stated_in["bare.parquet"]["teff"] == "effective temperature"
    assert "label" not in stated_in["bare.parquet"]["flags"]
