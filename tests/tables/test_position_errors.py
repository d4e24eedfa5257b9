"""Error ellipses from the columns of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from starscale.surveys import Survey, load_survey
from starscale.tables.position_errors import motion_errors, position_errors
from starscale.vocabulary.errors import InputError

COLUMNS = {
    "id": {"dtype": "int64"},
    "ra": {"unit": "deg"},
    "dec": {"unit": "deg"},
    "e_ra": {"unit": "arcsec"},
    "e_dec": {"unit": "mas"},
    "rho": {},
    "angle": {"unit": "deg"},
    "pm": {},
    "e_pm": {},
}


def survey(**position: Any) -> Survey:
    return Survey.model_validate(
        {
            "name": "s",
            "title": "S",
            "kind": "photometric",
            "id": {"column": "id"},
            "position": {"ra": "ra", "dec": "dec", **position},
            "motion": {"pmra": "pm", "pmdec": "pm", "pmra_error": "e_pm", "ra_pmra_corr": "rho"},
            "columns": COLUMNS,
        }
    )


def table(**columns: list[float | None]) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    return pl.DataFrame({"id": range(n), "ra": [1.0] * n, "dec": [2.0] * n, **columns})


def test_units_floors_and_correlations() -> None:
    found = position_errors(
        table(e_ra=[0.1, 0.01, 0.2], e_dec=[300.0, 300.0, 10.0], rho=[0.5, None, 1.0]),
        survey(ra_error="e_ra", dec_error="e_dec", ra_dec_corr="rho", error_floor=20.0),
    )
    assert found is not None
    np.testing.assert_allclose(found.east, [100**2, 20**2, 200**2])
    np.testing.assert_allclose(found.north, [300**2, 300**2, 20**2])
    np.testing.assert_allclose(found.cross, [0.5 * 100 * 300, 0, 0.9999 * 200 * 20])
    assert found.stated.all()


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_an_error_that_is_none_is_replaced_and_said(bad: float | None) -> None:
    described = survey(ra_error="e_ra", dec_error="e_dec", error_default=250.0)
    found = position_errors(table(e_ra=[bad, 0.1], e_dec=[50.0, 50.0]), described)
    assert found is not None
    assert found.east.tolist() == [250.0**2, 100.0**2]
    assert found.stated.tolist() == [False, True]
    # A table without the columns at all.
    none = position_errors(table(x=[1.0]), described)
    assert none is not None
    assert (none.east[0], none.north[0], none.stated[0]) == (250.0**2, 250.0**2, False)


def test_absurdly_large_errors_stay_finite() -> None:
    """And leave an ellipse with an area, correlated or not."""
    rows = table(e_ra=[1e30, 1e30, 0.1], e_dec=[1e30, 1e30, 50.0], rho=[0.0, 1.0, 0.0], e_pm=[1e30, 1e30, 1.0])
    described = survey(ra_error="e_ra", dec_error="e_dec", ra_dec_corr="rho")
    found = position_errors(rows, described)
    motion = motion_errors(rows, described, found)
    assert found is not None
    assert motion is not None
    assert found.east.dtype == np.float32
    assert np.isfinite(found.east).all()
    assert found.east[0] > 1e37
    assert np.isfinite([motion.pmra, motion.ra_pmra]).all()
    east, north, cross = (values.astype(np.float64) for values in (found.east, found.north, found.cross))
    assert (east * north > cross**2).all()


def test_an_ellipse_is_turned() -> None:
    """The position angle is from north towards east: at 90 degrees the major axis points east."""
    described = survey(ellipse={"major": "e_ra", "minor": "e_dec", "angle": "angle"})
    found = position_errors(table(e_ra=[0.3] * 4, e_dec=[100.0] * 4, angle=[0.0, 90.0, 45.0, None]), described)
    assert found is not None
    np.testing.assert_allclose(found.east, [100**2, 300**2, 50_000, 300**2])
    np.testing.assert_allclose(found.north, [300**2, 100**2, 50_000, 300**2])
    np.testing.assert_allclose(found.cross, [0, 0, 40_000, 0], atol=1e-6)
    # The area depends on the axes only, not on the angle.
    area = found.east * found.north - found.cross**2
    np.testing.assert_allclose(area[:3], (300.0 * 100.0) ** 2)


def test_an_ellipse_excludes_the_other_description() -> None:
    with pytest.raises(ValidationError, match="either an error ellipse or"):
        survey(ellipse={"major": "e_ra", "minor": "e_dec", "angle": "angle"}, ra_error="e_ra")


def test_errors_of_motions() -> None:
    stars = table(e_ra=[0.1, 0.1], e_dec=[100.0, 100.0], e_pm=[2.0, None], rho=[-0.5, 0.5])
    described = survey(ra_error="e_ra", dec_error="e_dec")
    found = motion_errors(stars, described, position_errors(stars, described))
    assert found is not None
    assert found.pmra.tolist() == [2.0, 0.0]
    assert found.pmdec.tolist() == [0.0, 0.0]
    assert found.ra_pmra.tolist() == [-100.0, 0.0]
    assert not found.dec_pmdec.any()


def test_an_error_in_a_unit_of_something_else() -> None:
    columns = {**COLUMNS, "e_ra": {"unit": "mag"}}
    odd = survey(ra_error="e_ra", dec_error="e_dec").model_dump() | {"columns": columns}
    with pytest.raises(InputError, match=r"e_ra.*mag.*mas"):
        position_errors(table(e_ra=[0.1], e_dec=[1.0]), Survey.model_validate(odd))


def test_surveys_without_positions_have_no_errors() -> None:
    bare = load_survey("bailer_jones_edr3")
    assert position_errors(pl.DataFrame(), bare) is None
    assert motion_errors(pl.DataFrame(), bare, None) is None
