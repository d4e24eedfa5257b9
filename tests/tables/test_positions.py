"""Positions and epochs from the columns of a table, and refused tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from starscale.surveys import Survey
from starscale.tables.positions import Positions, positions, separation
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.strict import validate


def survey(epoch: dict[str, Any] | None = None, *, motion: bool = True, position: bool = True) -> Survey:
    role = {"ra": "ra", "dec": "dec"} | ({"epoch": epoch} if epoch else {})
    return validate(
        Survey,
        {
            "name": "plain",
            "title": "Plain",
            "kind": "astrometric",
            "id": {"column": "id"},
            "columns": {name: {} for name in ("id", "ra", "dec", "t", "pmra", "pmdec")},
            **({"position": role} if position else {}),
            **({"motion": {"pmra": "pmra", "pmdec": "pmdec"}} if motion else {}),
        },
        "test",
    )


def table(**columns: object) -> pl.DataFrame:
    return pl.DataFrame({"id": [1, 2, 3], "ra": [10.0, 20.0, 30.0], "dec": [0.0, 45.0, -90.0], **columns})


MOMENTS = Time(["1953-04-11T07:00", "2000-01-01T12:00", "2029-12-31T23:00"], scale="tt")


@pytest.mark.parametrize("form", ["mjd", "jd", "jyear"])
def test_epoch_formats_are_those_of_astropy(form: str) -> None:
    found = positions(table(t=getattr(MOMENTS, form)), survey({"column": "t", "format": form, "default": 1999.0}))
    np.testing.assert_allclose(found.epoch, MOMENTS.jyear, atol=1e-7)
    assert found.own_epoch.all()


@pytest.mark.parametrize("form", ["mjd", "jd", "jyear"])
@pytest.mark.parametrize("nothing", [0.0, -1.0, None, float("nan"), 1e9, -9999.0])
def test_what_is_no_epoch_becomes_the_default(form: str, nothing: float | None) -> None:
    good = float(getattr(MOMENTS[1], form))
    column = pl.Series([good, nothing, good], dtype=pl.Float64)
    found = positions(table(t=column), survey({"column": "t", "format": form, "default": 2003.5}))
    assert found.epoch[1] == 2003.5
    assert found.own_epoch.tolist() == [True, False, True]
    found = positions(table(t=column), survey({"column": "t", "format": form}))
    assert np.isnan(found.epoch[1])
    assert found.valid.all()


def test_an_epoch_by_default_alone_or_none_at_all() -> None:
    found = positions(table(), survey({"default": 2016.0}))
    assert found.epoch.tolist() == [2016.0] * 3
    assert not found.own_epoch.any()
    found = positions(table(), survey({"column": "t", "default": 1998.0}))
    assert found.epoch.tolist() == [1998.0] * 3
    assert np.isnan(positions(table(), survey()).epoch).all()


@pytest.mark.parametrize(
    ("column", "bad"), [("dec", 90.001), ("dec", -91.0), ("ra", 720.5), ("ra", -361.0), ("ra", np.inf)]
)
def test_a_position_off_the_sphere_is_refused(column: str, bad: float) -> None:
    values = table()[column].to_list()
    values[1] = bad
    with pytest.raises(
        InputError, match=rf"stars.csv: column '{column}': 1 of 3 values are out of range"
    ) as caught:
        positions(table(**{column: values}), survey(), "stars.csv")
    assert "degrees" in str(caught.value)


def test_swapped_columns_are_noticed() -> None:
    with pytest.raises(InputError, match=r"column 'dec'.*Are the columns swapped"):
        positions(table(ra=[0.0, 45.0, -90.0], dec=[10.0, 120.0, 330.0]), survey())


def test_both_columns_are_complained_about_at_once() -> None:
    with pytest.raises(InputError) as caught:
        positions(table(ra=[1e4, 0.0, 0.0], dec=[1e4, 0.0, 0.0]), survey())
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError) as caught:
        positions(table().drop("ra", "dec").with_columns(dec_icrs=0.0, dec_=0.0), survey())
    assert [p.where for p in caught.value.problems] == ["table: column 'ra'", "table: column 'dec'"]
    assert "'dec_'" in caught.value.problems[1].fix


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_rows_without_a_position(nothing: float | None) -> None:
    some = pl.Series([nothing, 20.0, 30.0], dtype=pl.Float64)
    assert positions(table(ra=some), survey()).valid.tolist() == [False, True, True]
    with pytest.raises(InputError, match="none of the 3 rows has a finite position"):
        positions(table(ra=pl.Series([nothing] * 3, dtype=pl.Float64)), survey())
    assert len(positions(table().clear(), survey())) == 0


def test_a_survey_without_positions_is_refused() -> None:
    with pytest.raises(InputError, match="survey plain describes no positions"):
        positions(table(), survey(position=False, motion=False))


def test_proper_motions() -> None:
    moving = table(pmra=[3.0, None, 0.0], pmdec=[4.0, 1.0, float("nan")])
    found = positions(moving, survey({"default": 2016.0}))
    assert found.moving.tolist() == [True, False, False]
    assert found.speed().tolist() == [5.0, 0.0, 0.0]
    assert found.without_motion().speed().tolist() == [0.0] * 3
    for still in (moving.drop("pmdec"), moving.drop("pmra", "pmdec")):
        assert positions(still, survey({"default": 2016.0})).pmra is None
    assert not positions(moving, survey()).moving.any()  # no epoch: nowhere to move from
    assert positions(moving, survey(motion=False)).pmra is None


angles = st.tuples(st.floats(0, 360), st.floats(-90, 90))


@given(angles, angles)
def test_separation_is_that_of_the_haversine(a: tuple[float, float], b: tuple[float, float]) -> None:
    nothing = np.full(2, np.nan)
    ra, dec = np.array([a[0], b[0]]), np.array([a[1], b[1]])
    both = Positions(ra, dec, nothing, None, None, np.zeros(2, dtype=bool)).vectors(np.arange(2), nothing)
    (ra1, ra2), (dec1, dec2) = np.radians(ra), np.radians(dec)
    h = np.sin((dec2 - dec1) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra2 - ra1) / 2) ** 2
    expected = np.degrees(2 * np.arcsin(min(np.sqrt(h), 1.0))) * 3600
    # Both lose digits near the antipode, where half the chord approaches one.
    tolerance = 1e-9 + 2e-11 * expected if expected < 1e5 else 5e-3
    assert separation(both[:1], both[1:])[0] == pytest.approx(expected, abs=tolerance)


def test_the_table_is_not_modified() -> None:
    before = table(t=[0.0, 2000.0, None], pmra=1.0, pmdec=[None, 1.0, 2.0])
    copy = before.clone()
    found = positions(before, survey({"column": "t", "default": 2016.0}))
    found.ra[0] = 99.0
    assert before.equals(copy)
