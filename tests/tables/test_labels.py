"""One row of labels per star: inverse-variance means, floors, flags and counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import starscale as ss
from starscale.surveys import Survey
from starscale.tables.labels import label_table, link_by_id
from starscale.vocabulary.columns import LABEL_TABLE_COLUMNS
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.flags import LabelFlag
from starscale.vocabulary.strict import validate

TEFF = {"value": "t", "error": "e_t"}
LOGG = {"value": "g", "error": "e_g"}


def survey(**labels: dict[str, Any]) -> Survey:
    return validate(
        Survey,
        {
            "name": "spectra",
            "title": "Spectra",
            "kind": "spectroscopic",
            "id": {"column": "id", "unique": False},
            "labels": labels or {"teff": TEFF, "logg": LOGG},
            "columns": {name: {} for name in ("id", "t", "e_t", "g", "e_g", "gaia")},
            "gaia": {"column": "gaia", "release": "dr3"},
        },
        "test",
    )


def links(*stars: int) -> pl.DataFrame:
    """Row k of the table belongs to the k-th star."""
    return pl.DataFrame({"source_id": stars, "row": np.arange(len(stars), dtype=np.uint32)})


def merge(
    stars: list[int], of: Survey | None = None, **columns: list[Any]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Float64))
    labels, counts = label_table(table, links(*stars), of or survey(teff=TEFF))
    assert labels.columns == list(LABEL_TABLE_COLUMNS)
    return labels.rows(named=True), counts


def test_the_mean_by_hand() -> None:
    (star,), counts = merge([7, 7], t=[5000.0, 5300.0], e_t=[100.0, 200.0])
    # Weights 1/1e4 and 1/4e4: 0.8 and 0.2.
    assert star["source_id"] == 7
    assert star["teff"] == pytest.approx(5060.0)
    assert star["teff_error"] == pytest.approx((1 / 100**2 + 1 / 200**2) ** -0.5)
    assert star["chi2"] == pytest.approx((60 / 100) ** 2 + (240 / 200) ** 2)
    assert (star["logg"], star["logg_error"], star["fe_h"]) == (None, None, None)
    assert (star["n_surveys"], star["surveys"], star["flags"]) == (1, 1, 0)
    assert counts == {"rows": 2, "without_star": 0, "without_labels": 0, "stars": 1, "repeats": 1}


def test_one_measurement_has_no_spread() -> None:
    (star,), _ = merge([7], t=[5000.0], e_t=[100.0])
    assert (star["teff"], star["teff_error"], star["chi2"], star["flags"]) == (5000.0, 100.0, None, 0)


def test_floors() -> None:
    floored = survey(teff={**TEFF, "error_floor": 100.0})
    stars, _ = merge([1, 2, 3, 4], floored, t=[5000.0] * 4, e_t=[20.0, 0.0, None, 150.0])
    assert [s["teff_error"] for s in stars] == [100.0, 100.0, 100.0, 150.0]
    assert [s["flags"] for s in stars] == [0, 0, LabelFlag.ERROR_MISSING, 0]
    # The floor holds for every measurement, so two of them are better than one.
    (star,), _ = merge([1, 1], floored, t=[5000.0, 5100.0], e_t=[1.0, None])
    assert star["teff"] == pytest.approx(5050.0)
    assert star["teff_error"] == pytest.approx(100 / np.sqrt(2))
    assert star["flags"] == LabelFlag.ERROR_MISSING


def test_without_any_error_the_mean_is_plain() -> None:
    (star,), _ = merge([1, 1], t=[5000.0, 5100.0], e_t=[None, 0.0])
    assert (star["teff"], star["teff_error"], star["chi2"]) == (5050.0, None, None)
    assert star["flags"] == LabelFlag.ERROR_MISSING
    (star,), _ = merge([1], survey(teff={"value": "t"}), t=[5000.0])
    assert (star["teff"], star["teff_error"], star["flags"]) == (5000.0, None, LabelFlag.ERROR_MISSING)


def test_a_measurement_without_error_and_floor_has_no_weight_and_no_degree_of_freedom() -> None:
    stars, _ = merge([1, 1, 2, 2, 2], t=[5000.0, 9000.0, 5000.0, 5330.0, 9000.0], e_t=[70.0, 0.0, 70.0, 70.0, 0.0])
    assert stars[0]["teff"] == 5000.0
    assert stars[0]["chi2"] is None
    # 330 K apart, errors 70 K: p = 0.0009 with one degree of freedom, 0.004 with two.
    assert stars[1]["flags"] & LabelFlag.REPEATS_DISAGREE


@pytest.mark.parametrize("bad", [-9999.0, 0.0, 999.0, 100001.0, float("nan"), None])
def test_a_label_that_no_star_can_have_is_missing(bad: float | None) -> None:
    stars, counts = merge([1, 1, 2], t=[5000.0, bad, bad], e_t=[10.0, 10.0, 10.0])
    assert [(s["source_id"], s["teff"], s["chi2"]) for s in stars] == [(1, 5000.0, None)]
    assert counts == {"rows": 3, "without_star": 0, "without_labels": 2, "stars": 1, "repeats": 0}


def test_a_missing_number_of_either_kind_as_error() -> None:
    floored = survey(teff={**TEFF, "error_floor": 50.0})
    stars, _ = merge([1, 2], floored, t=[5000.0, 5000.0], e_t=[float("nan"), None])
    assert [(s["teff_error"], s["flags"]) for s in stars] == [(50.0, LabelFlag.ERROR_MISSING)] * 2


def test_one_label_of_two_missing() -> None:
    """A label without measurements must not hide that repeats of the other label disagree."""
    stars, counts = merge(
        [1, 1, 2, 3],
        survey(),
        t=[5000.0, 5500.0, None, 6000.0],
        e_t=[50.0, 50.0, None, 50.0],
        g=[None, None, 4.0, 4.5],
        e_g=[None, 0.1, 0.1, 0.2],
    )
    assert [s["teff"] for s in stars] == [pytest.approx(5250.0), None, pytest.approx(6000.0)]
    assert [s["logg"] for s in stars] == [None, pytest.approx(4.0), pytest.approx(4.5)]
    assert [(s["teff_error"] is None, s["logg_error"] is None) for s in stars] == [
        (False, True),
        (True, False),
        (False, False),
    ]
    assert stars[0]["chi2"] == pytest.approx(50.0)
    assert [s["flags"] for s in stars] == [LabelFlag.REPEATS_DISAGREE, 0, 0]
    assert counts["without_labels"] == 0


def repeats(sigma: float, *, n: int = 20_000, per_star: int = 3, seed: int = 1) -> float:
    """Fraction of stars with the flag REPEATS_DISAGREE when the scatter is `sigma` times the errors."""
    rng = np.random.default_rng(seed)
    rows = n * per_star
    e_t, e_g = rng.uniform(20, 100, rows), rng.uniform(0.05, 0.2, rows)
    table = pl.DataFrame(
        {
            "t": 5000 + sigma * e_t * rng.normal(size=rows),
            "e_t": e_t,
            # Every second star has no gravity: the test must know the degrees of freedom of each.
            "g": np.where(np.arange(rows) // per_star % 2, np.nan, 3 + sigma * e_g * rng.normal(size=rows)),
            "e_g": e_g,
        }
    )
    labels, counts = label_table(table, links(*np.repeat(np.arange(n), per_star)), survey())
    assert counts["stars"] == n
    flagged = (labels["flags"] & int(LabelFlag.REPEATS_DISAGREE)) > 0
    halves = flagged.to_numpy()[::2].mean(), flagged.to_numpy()[1::2].mean()
    if sigma == 1:
        # 10,000 stars, 10 expected: beyond 22 or below 1 by chance once in some thousand.
        assert all(0.0001 <= half <= 0.0022 for half in halves), halves
    return float(flagged.mean())


def test_false_alarms_and_power() -> None:
    assert repeats(1.0) == pytest.approx(0.001, abs=0.0007)
    # Half of the stars have two degrees of freedom, half four.
    power = np.mean([chi2.sf(chi2.isf(1e-3, free) / 3**2, free) for free in (2, 4)])
    assert repeats(3.0) == pytest.approx(power, abs=0.02)
    assert repeats(0.5) == 0.0


def test_errors_are_those_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    n = 20_000
    e_t = rng.uniform(20, 200, 3 * n)
    table = pl.DataFrame({"t": 5000 + e_t * rng.normal(size=3 * n), "e_t": e_t})
    labels, _ = label_table(table, links(*np.repeat(np.arange(n), 3)), survey(teff=TEFF))
    pull = ((labels["teff"] - 5000) / labels["teff_error"]).to_numpy()
    assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * n))
    assert pull.mean() == pytest.approx(0, abs=4 / np.sqrt(n))


measurement = st.tuples(
    st.integers(1, 4),
    st.one_of(st.none(), st.sampled_from([-9999.0, 5000.0, 5100.0, 7000.0])),
    st.one_of(st.none(), st.sampled_from([0.0, 10.0, 100.0])),
    st.one_of(st.none(), st.floats(-3, 8)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(measurement, max_size=12), st.randoms(use_true_random=False))
def test_counts_add_up_and_order_does_not_matter(rows: list[tuple[Any, ...]], random: Any) -> None:
    table = pl.DataFrame(
        rows, schema={"star": pl.Int64, "t": pl.Float64, "e_t": pl.Float64, "g": pl.Float64}, orient="row"
    ).with_columns(e_g=0.1)
    own = table.select(pl.col("star").alias("source_id")).with_row_index("row")
    some = own.filter(pl.col("source_id") > 1)
    copy = table.clone()
    labels, counts = label_table(table, some, survey())
    assert table.equals(copy)
    assert counts["rows"] == table.height
    assert counts["rows"] == sum(counts[k] for k in ("without_star", "without_labels", "stars", "repeats"))
    assert counts["without_star"] == table.filter(star=1).height
    assert labels["source_id"].is_unique().all()
    assert labels.height == counts["stars"]
    assert labels.select(pl.any_horizontal(pl.col("teff", "logg").is_not_null()).all()).item()
    order = list(range(table.height))
    random.shuffle(order)
    again_own = table[order].select(pl.col("star").alias("source_id")).with_row_index("row")
    shuffled, again = label_table(table[order], again_own.filter(pl.col("source_id") > 1), survey())
    assert again == counts
    left, right = (x.sort("source_id") for x in (labels, shuffled))
    assert left["flags"].equals(right["flags"])
    for name in ("teff", "teff_error", "logg", "chi2"):
        np.testing.assert_allclose(
            left[name].cast(pl.Float64).fill_null(-1).to_numpy(),
            right[name].cast(pl.Float64).fill_null(-1).to_numpy(),
            rtol=1e-9,
            atol=1e-9,
        )


def test_columns_of_the_table_may_be_called_anything() -> None:
    table = pl.DataFrame({"row": [5, 6], "source_id": [1, 2], "t": [5000.0, 6000.0], "e_t": [1.0, 1.0]})
    labels, _ = label_table(table, links(8, 9), survey(teff=TEFF))
    assert labels["source_id"].to_list() == [8, 9]


def test_stars_come_in_the_order_of_the_links() -> None:
    table = pl.DataFrame({"t": [5000.0, 5100.0, 5200.0, 5300.0], "e_t": [10.0] * 4})
    order = pl.DataFrame({"source_id": [3, 1, 2, 1], "row": pl.Series([2, 3, 0, 1], dtype=pl.UInt32)})
    labels, _ = label_table(table, order, survey(teff=TEFF))
    assert labels["source_id"].to_list() == [3, 1, 2]
    assert labels["teff"].to_list() == [5200.0, 5200.0, 5000.0]


def test_links_by_identifier() -> None:
    table = pl.DataFrame({"id": [1, 2, 3, 4], "gaia": [50, 0, None, 50]})
    assert link_by_id(table, survey()).sort("row").to_dict(as_series=False) == {
        "row": [0, 3],
        "source_id": [50, 50],
    }
    with pytest.raises(InputError, match="has no Gaia identifier"):
        link_by_id(table, survey().model_copy(update={"gaia": None}))


def stars_with_labels(**cut: object) -> Survey:
    """A survey of stars with photometry, some with labels, and cuts of both."""
    columns = {"id": {"dtype": "int64"}, "g": {"unit": "mag"}, "feh": {}, "e_feh": {}, "snr": {}}
    document = {
        "name": "both",
        "title": "photometry with labels",
        "kind": "photometric",
        "id": {"column": "id"},
        "columns": columns,
        "bands": {"g": {"magnitude": "g", "wavelength": 480}},
        "labels": {"fe_h": {"value": "feh", "error": "e_feh"}},
        "cuts": [{"name": "bright", "keep": "g < 20"}, {"name": "signal", "keep": "snr >= 10", **cut}],
    }
    return validate(Survey, document, "both.toml")


@pytest.mark.parametrize("stored", [False, True])
def test_a_cut_of_labels_keeps_the_star(stored: bool, tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "id": [1, 2, 3, 4, 5],
            "g": [15.0, 16.0, 17.0, 21.0, 18.0],
            "feh": [-1.0, -2.0, None, -0.5, 0.1],
            "e_feh": [0.1] * 5,
            "snr": [50.0, 5.0, None, 5.0, None],
        }
    )
    path = tmp_path / "both.parquet"
    table.write_parquet(path)
    output = tmp_path / "clean.parquet" if stored else None
    cleaned = ss.clean(path, survey=stars_with_labels(of="labels"), output=output)
    rows = ss.read(output) if output is not None else cleaned.table
    assert rows is not None
    assert rows["id"].to_list() == [1, 2, 3, 5]
    assert rows["feh"].to_list() == [-1.0, None, None, None]
    assert rows["e_feh"].to_list() == [0.1, None, None, None]
    found = cleaned.attrition
    assert (found.n_in, found.n_out) == (5, 4)
    last = found.rows[-1]
    assert (last.name, last.of, last.alone, last.in_sequence, last.remaining) == ("signal", "labels", 3, 2, 1)
    as_before = ss.clean(path, survey=stars_with_labels()).table
    assert as_before is not None
    assert as_before["id"].to_list() == [1]


def test_rows_of_spectra_are_removed_by_every_cut() -> None:
    of = stars_with_labels(of="labels").model_copy(update={"kind": "spectroscopic", "bands": {}})
    assert not any(of.is_of_labels(cut) for cut in of.cuts)
    with_bands = stars_with_labels().model_copy(update={"kind": "spectroscopic"})
    assert [with_bands.is_of_labels(cut) for cut in with_bands.cuts] == [True, True], "cuts of spectra by default"


def test_a_table_of_the_survey_without_labels_has_none_to_lose() -> None:
    table = pl.DataFrame({"id": [1, 2], "g": [15.0, 25.0]})
    cleaned = ss.clean(table, survey=stars_with_labels(of="labels"))
    assert cleaned.attrition.n_out == 1
