"""The error of the scale of a model's labels, from the training table into the catalogue."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale import io
from starscale.model.label_scale import (
    FLOOR,
    SMALLEST_SHARE,
    ErrorCurve,
    LabelNoise,
    LabelScale,
    Residuals,
    TruthShare,
    curves_from,
)
from starscale.vocabulary.flags import CatalogueFlag
from support.small_model import small_model, small_stars

NAMES = ("one", "two", "three")


def labelled(n: int, seed: int, error: float | None = None) -> pl.DataFrame:
    """Stars with labels whose scale error is 10 K for giants and 20 K for dwarfs, and 1 % of teff more."""
    rng = np.random.default_rng(seed)
    teff, logg = rng.uniform(3500, 7500, n), rng.uniform(0, 5, n)
    kind = np.where(logg < 3.5, 10.0, 20.0)
    own = kind + 0.01 * teff if error is None else np.full(n, error)
    return pl.DataFrame({"teff": teff, "logg": logg, "teff_scale_error": own})


def test_the_errors_of_the_table_come_back() -> None:
    scale = LabelScale.of(labelled(5000, 1), ["teff", "logg"], NAMES, "one")
    assert (scale.scale, scale.surveys) == ("one", NAMES)
    teff, logg = np.array([4200.0, 4200.0, 6000.0, np.nan]), np.array([2.0, 4.5, 4.0, 2.0])
    found = scale.errors({"teff": teff, "logg": logg})
    assert found["teff"][:3] == pytest.approx([52, 62, 80], abs=1.5)
    assert np.isnan(found["teff"][3])
    # For gravity the table has none: the packaged value, and the words say so.
    assert found["logg"].tolist() == [0.1] * 4
    assert "differences between 3 surveys (teff); assumed: typical uncertainty" in scale.source


@settings(max_examples=20)
@given(error=st.floats(1, 500), n=st.integers(1, 300), seed=st.integers(0, 100))
def test_a_constant_stays_one(error: float, n: int, seed: int) -> None:
    table = labelled(n, seed, error)
    found = LabelScale.of(table, ["teff", "logg"], NAMES, "one").errors(
        {name: table[name].to_numpy() for name in ("teff", "logg")}
    )
    # Fewer stars than a bin needs tell nothing.
    assert np.allclose(found["teff"], error if n >= 20 else 100.0)


def test_a_model_of_one_label_needs_no_gravity() -> None:
    scale = LabelScale.of(labelled(500, 2).drop("logg"), ["teff"], NAMES, "one")
    assert {curve.kind for curve in scale.curves} == {"any"}
    assert np.isfinite(scale.errors({"teff": np.array([1000.0, 5000.0, 50_000.0])})["teff"]).all()


def test_labels_of_one_survey_have_the_packaged_errors(finished: Path) -> None:
    catalogue = io.read(finished / "catalogue.parquet")
    model = ss.load(finished / "model")
    assert model.label_scale is not None
    assert model.label_scale.surveys == ("galah_dr3",)
    for name, error in (("teff", 100.0), ("logg", 0.1), ("fe_h", 0.1)):
        own = catalogue.filter(pl.col(name).is_not_null())[f"{name}_scale_error"]
        assert set(own) == {np.float32(error)}
        assert catalogue.filter(pl.col(name).is_null())[f"{name}_scale_error"].null_count() == sum(
            catalogue[name].is_null()
        )
    card = (finished / "model" / "MODEL_CARD.md").read_text()
    assert "The labels are on the scale of galah_dr3" in card
    assert "another label survey are expected to differ" in (finished / "report.html").read_text()


def test_a_bundle_keeps_its_scale(tmp_path: Path) -> None:
    scale = LabelScale("one", NAMES, "test", (ErrorCurve("teff", "any", (4000.0, 6000.0), (10.0, 30.0)),))
    model = replace(small_model(), label_scale=scale)
    model.save(tmp_path / "model", card="")
    assert ss.load(tmp_path / "model").label_scale == scale
    assert LabelScale.from_document(json.loads(json.dumps(scale.document()))) == scale
    found = model.predict(small_stars(20))
    expected = np.interp(found["teff"].to_numpy(), (4000, 6000), (10, 30))
    assert np.allclose(found["teff_scale_error"].to_numpy(), expected, rtol=1e-5)
    assert small_model().predict(small_stars(20))["teff_scale_error"].null_count() == 20


@given(st.floats(10, 200), st.floats(1, 300))
@settings(max_examples=20, deadline=None)
def test_the_errors_of_labels_are_taken_out_in_quadrature_down_to_a_floor(noise: float, error: float) -> None:
    n = 60
    stars = pl.DataFrame({"teff": np.linspace(4000, 7000, n), "teff_error": np.full(n, noise)})
    found = LabelNoise.of(stars, ["teff"])
    stored = LabelNoise(curves_from([asdict(curve) for curve in found.curves]))
    assert stored == found
    values, errors = {"teff": np.array([5000.0, np.nan])}, {"teff": np.array([error, np.nan])}
    expected = max(error**2 - noise**2, (FLOOR * error) ** 2) ** 0.5
    np.testing.assert_allclose(found.errors(values, errors)["teff"], [expected, np.nan], rtol=1e-9)


def test_errors_of_labels_differ_between_dwarfs_and_giants_and_may_be_unknown() -> None:
    n = 200
    giant = np.arange(n) % 2 == 0
    stars = pl.DataFrame(
        {
            "teff": np.full(n, 4800.0),
            "teff_error": np.where(giant, 30.0, 60.0),
            "logg": np.where(giant, 2.0, 4.5),
            "logg_error": np.zeros(n),
        }
    )
    noise = LabelNoise.of(stars, ["teff", "logg"])
    values = {"teff": np.array([4800.0, 4800.0]), "logg": np.array([2.0, 4.5])}
    found = noise.errors(values, {"teff": np.array([100.0, 100.0]), "logg": np.array([0.2, 0.2])})
    np.testing.assert_allclose(found["teff"], np.sqrt([100.0**2 - 30.0**2, 100.0**2 - 60.0**2]))
    # An error of 0 is no error that a survey states.
    assert np.isnan(found["logg"]).all()


def residuals_of(n: int, *, followed: float = 0.0, gravity: float | None = None) -> tuple[Residuals, np.ndarray]:
    """Stars with noisy labels, which a model follows where it was trained on them (1: repeats). Also the truth."""
    rng = np.random.default_rng(5)
    true = np.stack([rng.uniform(4000, 7000, n), np.where(rng.random(n) < 0.3, 2.0, 4.5)], axis=1)
    if gravity is not None:
        true[:, 1] = gravity
    size = np.where(true[:, 1] < 3.5, 0.8, 0.4)[:, None]
    error, held_out = np.tile([100.0, 0.2], (n, 1)), rng.random(n) < 0.5
    noise = np.sqrt(1 - size**2) * error * rng.uniform(0.5, 1.4, (n, 1))
    wing = np.where(rng.random((n, 2)) < 0.15, 2.0, 1.0)
    wrong = size * error * wing * rng.normal(size=(n, 2)) / 1.13
    value, label = true + wrong, true + noise * rng.normal(size=(n, 2))
    value = np.where(held_out[:, None], value, value + followed * (label - value))
    # Where a gravity is ambiguous the kinds would be mixed.
    value[:, 1] = np.where(true[:, 1] < 3.5, np.minimum(value[:, 1], 3.4), np.maximum(value[:, 1], 3.6))
    return Residuals(value, error, label, noise, held_out), true


@pytest.mark.parametrize("followed", [0.0, 0.1, 0.9, 1.0])
def test_residuals_show_which_part_of_an_error_is_the_models(followed: float) -> None:
    stars, true = residuals_of(40_000, followed=followed)
    noise = LabelNoise(()).with_residuals(["teff", "logg"], stars)
    assert [(s.label, s.kind) for s in noise.shares] == [
        ("teff", "dwarf"),
        ("teff", "giant"),
        ("logg", "dwarf"),
        ("logg", "giant"),
    ]
    new = stars.held_out
    values, errors = ({"teff": a[new, 0], "logg": a[new, 1]} for a in (stars.value, stars.error))
    found = noise.errors(values, errors)
    for i, name in enumerate(values):
        for giant in (False, True):
            rows = (values["logg"] < 3.5) == giant
            within = np.abs(values[name] - true[new, i]) < found[name]
            assert within[rows].mean() == pytest.approx(0.683, abs=0.05)
    assert json.loads(json.dumps(noise.document()))["truth_shares"][0]["stars"] > 1000
    assert LabelNoise.from_document(json.loads(json.dumps(noise.document()))) == noise


def test_too_few_residuals_leave_the_typical_errors_of_the_labels() -> None:
    curves = (ErrorCurve("teff", "any", (5000.0,), (60.0,)),)
    few, _ = residuals_of(150)
    assert LabelNoise(curves).with_residuals(["teff", "logg"], few) == LabelNoise(curves)
    dwarfs, _ = residuals_of(400, gravity=4.5)
    (teff, logg) = LabelNoise(curves).with_residuals(["teff", "logg"], dwarfs).shares
    assert (teff.kind, teff.stars, logg.kind) == ("any", 400, "any")
    # Without a label, or with none whose error is known, nothing is said; a model of one label has no gravity.
    unknown = replace(few, label=np.full_like(few.label, np.nan))
    assert LabelNoise(curves).with_residuals(["teff", "logg"], unknown).shares == ()
    parts = (getattr(dwarfs, name)[:, :1] for name in ("value", "error", "label", "label_error"))
    (alone,) = LabelNoise(curves).with_residuals(["teff"], Residuals(*parts, dwarfs.held_out)).shares
    assert (alone.kind, alone.share) == ("any", teff.share)
    # Labels that are met exactly leave no error to measure: the least share.
    exact = replace(dwarfs, label=dwarfs.value)
    assert {s.share for s in LabelNoise(curves).with_residuals(["teff", "logg"], exact).shares} == {SMALLEST_SHARE}


def test_probabilities_are_sharper_without_the_noise_of_the_labels() -> None:
    shares = (TruthShare("logg", "dwarf", 0.4, 300), TruthShare("logg", "giant", 0.6, 300))
    noise = LabelNoise((), (*shares, TruthShare("teff", "any", 0.2, 300)))
    z = np.linspace(-4, 4, 9)
    # A Gaussian that is 0.6 times as wide: the larger of the shares of this label.
    found = noise.true_below("logg", np.array([*map(NormalDist().cdf, z), 0.0, 1.0, np.nan]))
    np.testing.assert_allclose(found[:9], [*map(NormalDist().cdf, z / 0.6)], rtol=1e-6)
    np.testing.assert_array_equal(found[9:], [0, 1, np.nan])
    np.testing.assert_array_equal(noise.true_below("fe_h", found), found)


def test_a_model_that_knows_the_noise_of_its_labels_is_surer_of_giants(finished: Path) -> None:
    model, stars = (
        replace(ss.load(finished / "model"), label_noise=None),
        io.read(finished / "matched.parquet")[:500],
    )
    noise = LabelNoise((), (TruthShare("logg", "any", 0.5, 300),))
    after = replace(model, label_noise=noise).predict(stars)
    before = after["source_id"].to_frame().join(model.predict(stars), on="source_id", how="left")["p_giant"]
    # Printed with the digits of single precision: of the smallest, z has too few.
    sure = (before > 1e-3) & (before < 0.999)
    expected = [NormalDist().cdf(NormalDist().inv_cdf(p) / 0.5) for p in before.filter(sure)]
    assert len(expected) > 20
    assert after["p_giant"].filter(sure).to_list() == pytest.approx(expected, abs=1e-4)
    ambiguous = after["flags"] & int(CatalogueFlag.DWARF_OR_GIANT) > 0
    assert (ambiguous == after["p_giant"].is_between(0.1, 0.9).fill_null(False)).all()
    assert (after["teff_giant"].is_not_null() == ambiguous).all()
