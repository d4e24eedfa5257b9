"""The pictures: any table, odd tables, right values, nothing global changed."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pytest
from astropy import units as u
from astropy.coordinates import Galactocentric, SkyCoord
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from matplotlib.text import Text
from numpy.typing import NDArray
from scipy.stats import norm

import starscale as ss
from starscale.plots.drawing import binned
from starscale.plots.style import blank
from starscale.tables.cuts import Attrition, AttritionRow
from support.fakes import predictions

PLOTS = ss.plots
KINDS = [name for name in PLOTS.__all__ if name.islower()]


def axes_of(projection: str | None = None) -> Axes:
    return blank(4, 3).add_subplot(projection=projection)


def stars(n: int) -> pl.DataFrame:
    """A table with the columns of every picture."""
    rng = np.random.default_rng(7)
    more = {
        "distance": rng.gamma(3, 300, n),
        "phot_bp_mean_mag": rng.uniform(10, 15, n),
        "phot_rp_mean_mag": rng.uniform(9, 14, n),
        "phot_g_mean_mag": rng.uniform(9.5, 14.5, n),
        "angular_distance": rng.rayleigh(0.1, n),
        "p_fe_h_below_m2": rng.uniform(0, 1, n),
        "match_probability": rng.uniform(0, 1, n),
        "epoch": np.arange(n),
        "loss": rng.uniform(0, 1, n),
        "rmse": rng.uniform(1, 2, n),
        "rmse_increase": rng.uniform(0, 2, n),
        "rmse_increase_spread": rng.uniform(0, 0.1, n),
        "ratio": rng.uniform(1, 2, n),
        "n": np.full(n, 7),
        "remaining": np.arange(n)[::-1],
    }
    texts = {name: [f"{name} {i % 9}" for i in range(n)] for name in ("group", "missing", "cut", "survey")}
    return predictions(n).with_columns(
        *(pl.Series(name, values, dtype=pl.Float64) for name, values in more.items()),
        *(pl.Series(name, values, dtype=pl.String) for name, values in texts.items()),
        pl.lit("teff").alias("label"),
    )


#: Arguments without which a picture of `stars` cannot be drawn.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "metallicity_rz": {"distance": "distance"},
    "training_curves": {"curves": ["loss"]},
}


def odd(table: pl.DataFrame) -> dict[str, pl.DataFrame]:
    numeric = [name for name, kind in table.schema.items() if kind.is_numeric()]
    return {
        "no row": table.head(0),
        "one row": table.head(1),
        "all null": table.with_columns(pl.lit(None, table.schema[name]).alias(name) for name in numeric),
        "of the type null": table.with_columns(pl.lit(None).alias(name) for name in numeric),
        "infinite": table.with_columns(pl.lit(float("inf")).alias(name) for name in numeric),
        "equal rows": pl.concat([table.head(1)] * 30),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_of_every_odd_table(kind: str) -> None:
    draw, before = getattr(PLOTS, kind), dict(mpl.rcParams)
    for name, table in odd(stars(25)).items():
        copy, axes = table.clone(), axes_of()
        assert draw(table, ax=axes, **ARGUMENTS.get(kind, {})) is axes, name
        # What the picture shows can be drawn: no warning, no error in a locator or a formatter.
        if name in ("no row", "one row"):
            axes.figure.draw_without_rendering()
        assert table.equals(copy)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_says_which_columns_it_misses(kind: str) -> None:
    draw = getattr(PLOTS, kind)
    with pytest.raises(ss.InputError, match=r"table: (has no column|has only|has no predicted|has no interval)"):
        draw(pl.DataFrame({"something": [1.0]}), ax=axes_of(), **ARGUMENTS.get(kind, {}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_a_title_on_both_axes(kind: str) -> None:
    axes = getattr(PLOTS, kind)(stars(40), ax=axes_of(), **ARGUMENTS.get(kind, {}))
    if kind == "sky":
        return
    named = [text.get_text() for text in axes.get_yticklabels()] if not axes.get_ylabel() else [axes.get_ylabel()]
    assert axes.get_xlabel()
    assert any(named)


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_documents_its_arguments(kind: str) -> None:
    draw = getattr(PLOTS, kind)
    text = inspect.getdoc(draw) or ""
    assert text.partition("\n")[0].startswith("Draw ")
    described = text.partition("Parameters\n----------")[2]
    assert [name for name in inspect.signature(draw).parameters if name not in described] == []
    assert list(inspect.signature(draw).parameters)[-1] == "ax"


def test_a_column_of_texts_is_refused() -> None:
    table = pl.DataFrame({"teff": ["hot"], "logg": [4.0]})
    with pytest.raises(ss.InputError, match=r"column 'teff': holds String; expected numbers"):
        PLOTS.kiel(table, ax=axes_of())


def test_any_table_gives_the_same_picture(tmp_path: Path) -> None:
    frame = predictions(50).select("teff", "logg").cast(pl.Float64)
    frame.write_parquet(tmp_path / "stars.parquet")
    tables: list[Any] = [
        frame,
        pd.DataFrame(frame.to_dict(as_series=False)),
        Table(frame.to_dict(as_series=False)),
        str(tmp_path / "stars.parquet"),
        tmp_path / "stars.parquet",
    ]
    drawn = [PLOTS.kiel(table, ax=axes_of()).lines[0].get_xydata() for table in tables]
    assert all(np.array_equal(points, drawn[0]) for points in drawn)
    other = frame.rename({"teff": "T", "logg": "g"})
    assert np.array_equal(PLOTS.kiel(other, teff="T", logg="g", ax=axes_of()).lines[0].get_xydata(), drawn[0])


def test_the_unit_of_the_table_is_on_the_axis() -> None:
    table = Table({"sep": [1.0, 2.0]})
    table["sep"].unit = "mas"
    assert PLOTS.separations(table, distance="sep", ax=axes_of()).get_xlabel() == "separation (mas)"
    table["sep"].unit = "km / s"
    assert PLOTS.distribution(table, "sep", ax=axes_of()).get_xlabel() == "sep ($\\mathrm{km\\,s^{-1}}$)"


def test_without_axes_pyplot_has_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    try:
        axes = PLOTS.sky(stars(40))
        assert axes.name == "aitoff"
        assert isinstance(axes.figure, Figure)
        assert pyplot.gcf() is axes.figure
    finally:
        pyplot.close("all")


@settings(max_examples=20)
@given(st.data())
def test_cells_count_as_numpy_does(data: st.DataObject) -> None:
    number = st.floats(-3, 3) | st.sampled_from([float("nan"), 0.0, 1.0, -1.0, 0.5])
    rows = data.draw(st.lists(st.tuples(number, number, st.floats(-5, 5)), max_size=40))
    x, y, z = np.array(rows, dtype=float).reshape(-1, 3).T
    limits = (-1.0, data.draw(st.floats(-0.5, 2))), (-1.0, 1.0)
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    counts, sums = binned(x, y, limits, shape, z)
    known = np.isfinite(x) & np.isfinite(y)
    expected = np.histogram2d(x[known], y[known], bins=shape, range=limits)[0]
    weighted = np.histogram2d(x[known], y[known], bins=shape, range=limits, weights=z[known])[0]
    assert np.array_equal(counts, expected)
    assert sums is not None
    assert np.allclose(sums, weighted, atol=1e-9)


def test_statistics_are_those_of_the_difference() -> None:
    table = predictions(900)
    difference = (table["fe_h"] - table["fe_h_label"]).to_numpy()
    mad = 1.4826 * np.median(np.abs(difference - np.median(difference)))
    axes = PLOTS.one_to_one(table, "fe_h", ax=axes_of())
    text = axes.texts[0].get_text()
    assert text.startswith("900 stars")
    assert f"MAD {mad:.3f} dex" in text
    assert f"std {np.std(difference):.3f} dex" in text
    # Few stars are points, not cells.
    assert not axes.collections
    assert len(axes.lines[0].get_xdata()) == 900


@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_reliability_of_errors_with_a_known_fault(factor: float) -> None:
    rng = np.random.default_rng(3)
    n = 20_000
    truth = rng.normal(0, 1, n)
    table = pl.DataFrame({"x": np.zeros(n), "x_label": truth, "x_error": np.full(n, factor)})
    ends = {"lower95": -1.95996, "lower": -1.0, "upper": 1.0, "upper95": 1.95996}
    intervals = table.with_columns(pl.lit(factor * z).alias(f"x_{end}") for end, z in ends.items())
    for given_table in (table, intervals):
        axes = PLOTS.reliability(given_table, "x", ax=axes_of())
        nominal, observed = axes.lines[-1].get_data()
        expected = norm.cdf(factor * norm.ppf(np.asarray(nominal) / 100))
        assert np.allclose(observed, 100 * expected, atol=1.5)
    heights = PLOTS.pit(table, "x", ax=axes_of()).patches[-1].get_data().values
    assert heights.mean() == pytest.approx(1)
    assert (heights[0] > 1.5) == (factor == 0.5)


def test_coverage_is_the_share_in_the_interval() -> None:
    table = predictions(4000)
    axes = PLOTS.coverage(table, "teff", ax=axes_of())
    shares = next(line.get_ydata() for line in axes.lines if line.get_marker() == "o")
    inside = table.select(pl.col("teff_label").is_between("teff_lower", "teff_upper").mean()).item()
    assert np.mean(shares) == pytest.approx(100 * inside, abs=0.2)
    assert axes.get_ylim()[0] == 0


def test_places_in_the_galaxy_are_those_of_astropy() -> None:
    table = stars(60)
    where = SkyCoord(
        table["ra"].to_numpy(), table["dec"].to_numpy(), table["distance"].to_numpy(), unit=("deg", "deg", "pc")
    )
    there = where.transform_to(Galactocentric()).cartesian.xyz.to_value("kpc")
    direct = table.with_columns(r=np.hypot(there[0], there[1]), z=there[2])
    one = PLOTS.metallicity_rz(table, distance="distance", ax=axes_of()).collections[0]
    two = PLOTS.metallicity_rz(direct, r="r", z="z", ax=axes_of()).collections[0]
    assert np.allclose(np.ma.filled(one.get_array(), -9), np.ma.filled(two.get_array(), -9), atol=1e-6)
    with pytest.raises(ss.InputError, match="distance, or parallax, or r and z"):
        PLOTS.metallicity_rz(table, ax=axes_of())


def test_absolute_magnitudes() -> None:
    table = stars(10).with_columns(pl.lit(10.0).alias("parallax"))
    points = PLOTS.colour_magnitude(table, parallax="parallax", ax=axes_of()).lines[0].get_ydata()
    assert np.allclose(np.sort(points), np.sort(table["phot_g_mean_mag"].to_numpy() - 5))


@pytest.mark.parametrize("dec", [-88.0, 40.0, 89.9])
def test_a_cone_is_a_field_wherever_it_is(dec: float) -> None:
    rng = np.random.default_rng(5)
    n = 4000
    east, north = rng.uniform(-3, 3, (2, n))
    places = SkyCoord(10.0, dec, unit="deg").spherical_offsets_by(east * u.deg, north * u.deg)
    table = pl.DataFrame({"ra": places.ra.deg, "dec": places.dec.deg})
    axes = PLOTS.sky(table, ax=axes_of())
    width, height = np.abs(np.ptp(axes.get_xlim())), np.abs(np.ptp(axes.get_ylim()))
    stretch = np.cos(np.radians(dec)) if abs(dec) < 80 else 1.0
    assert width * stretch < 9
    assert height < 8
    density = axes.collections[0].get_array()
    assert np.ma.median(density) == pytest.approx(n / 36, rel=0.4)


def test_whole_sky_in_degrees_where_the_axes_have_no_projection() -> None:
    assert PLOTS.sky(stars(100), ax=axes_of()).get_xlim() == (180, -180)
    assert PLOTS.sky(stars(100), ax=axes_of("mollweide")).name == "mollweide"


def test_common_stars_are_counted_once() -> None:
    table = pl.DataFrame({"source_id": [1, 1, 1, 2, 2, 3], "survey": ["a", "a", "b", "a", "b", "b"]})
    axes = PLOTS.overlap(table, ax=axes_of())
    assert [text.get_text() for text in axes.texts] == ["2", "2", "2", "3"]


def test_attrition_of_a_table_and_of_its_cuts() -> None:
    rows = (AttritionRow("bright", "g < 15", "", "", 4, 4, 6), AttritionRow("single", "s", "", "", 3, 1, 5))
    cuts = Attrition(10, rows)
    axes = PLOTS.attrition(cuts, ax=axes_of())
    assert [text.get_text() for text in axes.get_yticklabels()] == ["(rows read)", "bright", "single"]
    assert [bar.get_width() for bar in axes.containers[0]] == [10, 6, 5]
    assert [bar.get_width() for bar in PLOTS.attrition(cuts.frame(), ax=axes_of()).containers[0]] == [6, 5]


def test_probabilities_against_what_happened() -> None:
    p, share = np.repeat([0.1, 0.6], 40), np.r_[np.full(4, -3.0), np.zeros(36), np.full(24, -3.0), np.zeros(16)]
    table = pl.DataFrame({"p_fe_h_below_m2": p, "fe_h_label": share})
    axes = PLOTS.probability_calibration(table, ax=axes_of())
    points = axes.containers[0].lines[0].get_xydata()
    assert sorted({(round(x), round(y)) for x, y in points}) != []
    weights = [np.mean([y for x, y in points if round(x) == at]) for at in (10, 60)]
    assert weights == pytest.approx([10, 60])
    curve = PLOTS.purity_completeness(table, ax=axes_of()).lines[0].get_xydata()
    assert curve.tolist() == [pytest.approx([100 * 24 / 28, 60]), pytest.approx([100, 35])]
    other = table.rename({"p_fe_h_below_m2": "poor", "fe_h_label": "feh"})
    again = PLOTS.purity_completeness(other, "poor", reference="feh", threshold=-2, ax=axes_of())
    assert np.array_equal(again.lines[0].get_xydata(), curve)


def test_many_probabilities_are_counted_in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    p = rng.uniform(0, 1, 20_000)
    p[:2] = 0, 1
    table = pl.DataFrame({"p_fe_h_below_m2": p, "fe_h_label": np.where(rng.uniform(0, 1, len(p)) < p, -3.0, 0.0)})
    exact = PLOTS.purity_completeness(table, ax=axes_of()).lines[0].get_xydata()
    monkeypatch.setattr("starscale.plots.probabilities._EXACT", 100)
    counted = PLOTS.purity_completeness(table, ax=axes_of()).lines[0].get_xydata()
    at = np.linspace(5, 100, 40)
    purities = [np.interp(at, curve[:, 0], curve[:, 1]) for curve in (exact, counted)]
    assert purities[1] == pytest.approx(purities[0], abs=0.5)


def test_a_probability_must_say_of_what_and_be_one() -> None:
    table = pl.DataFrame({"poor": [0.1], "fe_h_label": [-1.0], "p_fe_h_below_m2": [12.0]})
    for draw in (PLOTS.probability_calibration, PLOTS.purity_completeness):
        with pytest.raises(ss.InputError, match="'poor' does not name its threshold"):
            draw(table, "poor", reference="fe_h_label", ax=axes_of())
        with pytest.raises(ss.InputError, match="holds values from 12 to 12; expected probabilities from 0 to 1"):
            draw(table, ax=axes_of())


def test_purity_against_known_pairs() -> None:
    table = pl.DataFrame({"match_probability": [0.9, 0.8, 0.5, 0.2], "is_true": [True, True, False, True]})
    axes = PLOTS.purity(table, truth="is_true", ax=axes_of())
    lost, wrong = (np.interp(0.6, line.get_xdata(), line.get_ydata()) for line in axes.lines)
    assert lost == pytest.approx(100 / 3, rel=0.01)
    assert wrong == pytest.approx(100 / 3, rel=0.01)


#: Pictures that are compared with a stored one; without texts, which differ between versions of the font library.
STORED = {"kiel": {"colour": "fe_h"}, "one_to_one": {}, "sky": {}}
PICTURES = Path(__file__).resolve().parents[1] / "data" / "pictures"


def without_texts(kind: str) -> NDArray[np.uint8]:
    figure = blank(3, 2.4)
    axes = figure.add_subplot(projection="aitoff" if kind == "sky" else None)
    getattr(PLOTS, kind)(predictions(5000), ax=axes, **STORED[kind])
    for text in figure.findobj(Text):
        text.set_visible(False)
    canvas = FigureCanvasAgg(figure)
    figure.dpi = 50
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@pytest.mark.parametrize("kind", STORED)
def test_the_picture_is_the_stored_one(kind: str) -> None:
    stored = (imread(PICTURES / f"{kind}.png")[..., :3] * 255).round()
    drawn = without_texts(kind)
    assert drawn.shape == stored.shape
    difference = np.sqrt(np.mean((drawn.astype(float) - stored) ** 2))
    assert difference < 4, f"{kind}: {difference:.1f}"
    # Another picture of the same stars is farther away.
    other = next(name for name in STORED if name != kind)
    assert np.sqrt(np.mean((without_texts(other).astype(float) - stored) ** 2)) > 20


def test_labels_of_a_table_of_importances() -> None:
    with pytest.raises(ss.InputError, match=r"has no row with label 'fe_h'; expected one of teff"):
        PLOTS.importance(stars(9), "fe_h", ax=axes_of())
    with pytest.raises(ss.InputError, match="expected 1 or more"):
        PLOTS.importance(stars(9), most=0, ax=axes_of())


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for kind in STORED:
        imsave(PICTURES / f"{kind}.png", without_texts(kind))
