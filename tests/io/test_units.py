"""Units of columns."""

from __future__ import annotations

import polars as pl
import pytest

from starscale.io.units import convert, same_unit
from starscale.vocabulary.columns import catalogue_columns
from starscale.vocabulary.errors import InputError


@pytest.mark.parametrize(
    ("old", "new", "factor"),
    [
        ("deg", "mas", 3.6e6),
        ("arcsec/yr", "mas.yr**-1", 1e3),
        ("mas yr-1", "arcsec.yr**-1", 1e-3),
        ('"', "mas", 1e3),
        ("kpc", "pc", 1e3),
        ("Angstrom", "nm", 0.1),
        ("[m/s2]", "log(m.s**-2)", 1.0),
    ],
)
def test_values_follow_the_units(old: str, new: str, factor: float) -> None:
    values = pl.Series("x", [1.0, None, -2.5])
    turned = convert(values, old, new, "column 'x'")
    assert turned.name == "x"
    assert turned[1] is None
    assert turned[0] == pytest.approx(factor)
    assert turned[2] == pytest.approx(-2.5 * factor)


def test_a_logarithm_is_shifted() -> None:
    turned = convert(pl.Series([2.4378]), "log(m.s**-2)", "log(cm.s**-2)", "logg")
    assert turned[0] == pytest.approx(4.4378)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("mas.yr**-1", "mas/yr"),
        ("mas/yr", "mas yr-1"),
        ("mas.yr-1", "mas.yr**-1"),
        ("log(cm.s**-2)", "dex"),
        ("dex(cm/s2)", "log(cm.s**-2)"),
        ("[cm/s2]", "log(cm.s**-2)"),
        ("dex", ""),
        ("-", ""),
        ("mag(AB)", "mag"),
        ("deg", "degrees"),
        ('"', "arcsec"),
        ("not a unit", "not a unit"),
    ],
)
def test_spellings_of_one_unit(one: str, two: str) -> None:
    assert same_unit(one, two)
    assert same_unit(two, one)
    values = pl.Series([1, 2])
    assert convert(values, one, two, "x") is values


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("mas", "arcsec"),
        ("mag", ""),
        ("mag", "dex"),
        ("K", ""),
        ("log(cm.s**-2)", "log(m.s**-2)"),
        ("furlongs", "m"),
    ],
)
def test_units_that_differ(one: str, two: str) -> None:
    assert not same_unit(one, two)
    assert not same_unit(two, one)


@pytest.mark.parametrize(("old", "new"), [("", "mag"), ("mag", ""), (" ", "deg")])
def test_without_a_unit_nothing_is_done(old: str, new: str) -> None:
    values = pl.Series([1.5])
    assert convert(values, old, new, "x") is values


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("Jy", "mag", "a unit that becomes 'mag'"), ("deg", "K", "'deg'"), ("furlongs", "m", "not known")],
)
def test_units_that_cannot_become_one_another_are_an_error(old: str, new: str, said: str) -> None:
    with pytest.raises(InputError, match=r"stars\.fits, column 'g'") as error:
        convert(pl.Series([1.0]), old, new, "stars.fits, column 'g'")
    assert said in str(error.value)


def test_text_has_no_unit() -> None:
    with pytest.raises(InputError, match="numbers"):
        convert(pl.Series(["1"]), "deg", "mas", "x")


def test_types() -> None:
    assert convert(pl.Series([1, 2]), "kpc", "pc", "x").to_list() == [1000.0, 2000.0]
    assert convert(pl.Series([1.0], dtype=pl.Float32), "kpc", "pc", "x").dtype == pl.Float32


def test_every_unit_of_the_vocabulary_is_known() -> None:
    for column in catalogue_columns().values():
        if column.unit:
            assert same_unit(column.unit, f" {column.unit} ")
            with pytest.raises(InputError, match="becomes"):
                convert(pl.Series([1.0]), column.unit, "Jy", "x")


@pytest.mark.parametrize(
    ("old", "new", "values", "right"),
    [
        ("nJy", "mag(AB)", [3631e9, 0.0, -5.0, None], [0.0, None, None, None]),
        ("nmgy", "mag(AB)", [1.0, -1.0], [22.5, None]),
        ("uJy-2", "nmgy-2", [1.0, None], [13.18257, None]),
        ("1/nmgy^2", "nJy-2", [1.0], [7.585776e-8]),
        ("cm/s**2", "log(cm.s**-2)", [100.0, 0.0, -1.0], [2.0, None, None]),
        ("log(cm.s**-2)", "cm/s**2", [2.0, 400.0], [100.0, None]),
        ("deg_C", "K", [0.0], [273.15]),
        ("h", "deg", [6.5], [97.5]),
        ("mmag", "mag", [1500.0], [1.5]),
        ("mag(AB)", "nJy", [31.4, None], [1.0, None]),
        ("kpc", "pc", [1e307], [None]),
    ],
)
def test_a_value_without_an_image_is_missing(
    old: str, new: str, values: list[float | None], right: list[float | None]
) -> None:
    found = convert(pl.Series("x", values, dtype=pl.Float64), old, new, "x")
    assert found.is_null().to_list() == [value is None for value in right]
    assert found.drop_nulls().to_list() == pytest.approx([v for v in right if v is not None], abs=1e-3)


def test_a_number_too_large_for_its_column_is_missing() -> None:
    assert convert(pl.Series([3e38], dtype=pl.Float32), "km", "m", "x").to_list() == [None]


@pytest.mark.parametrize("unit", ["", "-", "---", "none", "unknown"])
def test_a_unit_that_is_not_stated_changes_nothing(unit: str) -> None:
    values = pl.Series([1.5])
    assert convert(values, unit, "deg", "x") is values


def test_a_difference_keeps_its_logarithm() -> None:
    values = pl.Series([0.1])
    assert convert(values, "log(m.s**-2)", "log(cm.s**-2)", "x", difference=True)[0] == pytest.approx(0.1)
    assert convert(values, "mmag", "mag(AB)", "x", difference=True)[0] == pytest.approx(1e-4)
    assert convert(values, "deg", "mas", "x", difference=True)[0] == pytest.approx(3.6e5)
