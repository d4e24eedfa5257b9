"""The sentences about a star have the values of the table; unusual inputs are found."""

from __future__ import annotations

from enum import IntFlag
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.learn.uncertainty.contributions import contributions
from starscale.model.inspect import inspect_stars
from starscale.model.lookup import find_stars, identifiers
from starscale.vocabulary.errors import InputError
from starscale.vocabulary.flag_advice import ADVICE, explain_mask, reasons
from starscale.vocabulary.flags import MEANING, CatalogueFlag, LabelFlag, PairFlag


@pytest.mark.parametrize("kind", MEANING)
def test_every_bit_has_advice_and_nothing_else_has(kind: type[IntFlag]) -> None:
    assert {str(bit.name) for bit in MEANING[kind]} == set(ADVICE[kind])
    assert all(ADVICE[kind].values())


def test_reasons_are_the_bits_that_are_set() -> None:
    found = reasons(int(CatalogueFlag.OUT_OF_DOMAIN | CatalogueFlag.DWARF_OR_GIANT))
    assert [(r.bit, r.name) for r in found] == [(4, "OUT_OF_DOMAIN"), (16, "DWARF_OR_GIANT")]
    assert found[0].meaning == MEANING[CatalogueFlag][CatalogueFlag.OUT_OF_DOMAIN]
    assert reasons(4, PairFlag)[0].name == "NO_PROPER_MOTION"
    assert reasons(0) == ()
    assert [r.name for r in reasons(1 << 30)] == ["(unknown)"]


def test_a_bare_mask() -> None:
    assert explain_mask(0) == ["flags = 0: no flag is set"]
    text = "\n".join(explain_mask(20))
    assert text.startswith("flags = 20:")
    for bit in (CatalogueFlag.OUT_OF_DOMAIN, CatalogueFlag.DWARF_OR_GIANT):
        assert f"{int(bit)} {bit.name}: {MEANING[CatalogueFlag][bit]}" in text
    assert "REPEATS_DISAGREE" in explain_mask(1, "labels")[1]
    with pytest.raises(InputError) as caught:
        explain_mask(-1, "pear")
    assert len(caught.value.problems) == 2


# ---- finding a star ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "ecsv", "csv"])
def test_a_star_is_found_in_any_format(finished: Path, tmp_path: Path, suffix: str) -> None:
    catalogue = io.read(finished / "catalogue.parquet").head(200)
    ss.write(catalogue, tmp_path / f"c.{suffix}")
    stars = catalogue["source_id"].gather([150, 3]).to_list()
    found = ss.explain(tmp_path / f"c.{suffix}", stars)
    assert [e.star for e in found] == stars
    assert {e.kind for e in found} == {"catalogue"}
    for explanation, row in zip(found, (150, 3), strict=True):
        assert explanation.row["teff"] == pytest.approx(catalogue["teff"][row], rel=1e-6)
        assert sum(reason.bit for reason in explanation.flags) == catalogue["flags"][row]


def test_a_star_that_is_not_there(finished: Path) -> None:
    ids = io.read(finished / "catalogue.parquet")["source_id"].sort()
    path = finished / "catalogue.parquet"
    with pytest.raises(InputError) as caught:
        ss.explain(path, [int(ids[7]) + 1, int(ids[0]) - 1, int(ids[-1]) + 1, int(ids[4])])
    first, second, third = caught.value.problems
    assert f"none of the {len(ids):,} rows has {ids[7] + 1}" in str(first)
    assert f"Nearest identifiers in this table: {ids[7]} and {ids[8]}" in str(first)
    assert str(second).endswith(f"Nearest identifiers in this table: {ids[0]}.")
    assert str(third).endswith(f"Nearest identifiers in this table: {ids[-1]}.")


@pytest.mark.parametrize("typed", ["4.9e18", "abc", "", "12.0", str(2**70)])
def test_what_is_no_identifier(finished: Path, typed: str) -> None:
    with pytest.raises(InputError, match="is not an identifier; expected a whole number with all its digits"):
        ss.explain(finished / "catalogue.parquet", typed)


def test_text_identifiers(tmp_path: Path) -> None:
    columns = {"source_id": ["2M01", "2M02", "2M02"], "domain_score": [0.1, 0.2, 0.3], "flags": [0, 4, 0]}
    table = pl.DataFrame(columns)
    table.write_parquet(tmp_path / "c.parquet")
    assert [e.row["domain_score"] for e in ss.explain(tmp_path / "c.parquet", "2M02")] == [0.2, 0.3]
    with pytest.raises(InputError, match=r"Did you mean .*'2M01'"):
        ss.explain(tmp_path / "c.parquet", "2M0l")
    source = io.open_table(tmp_path / "c.parquet")
    stars = identifiers(["2M02", "2M01", "2M02"], source.schema["source_id"], "c")
    rows = find_stars(source, "source_id", stars, ["flags"])
    assert rows.columns == ["source_id", "flags"]
    assert rows["flags"].to_list() == [4, 0, 0]


# ---- sentences --------------------------------------------------------------------------------------


def test_the_sentences_of_a_catalogue_hold_its_values(finished: Path) -> None:
    catalogue = io.read(finished / "catalogue.parquet").filter(pl.col("teff").is_not_null())
    row = catalogue.row(5, named=True)
    text = str(ss.explain(finished / "catalogue.parquet", row["source_id"])[0])
    assert f"source_id {row['source_id']}" in text
    assert "MOCK" in text
    assert f"teff = {row['teff']:.1f} K +- {row['teff_error']:.1f}" in text
    assert f"68 % interval {row['logg_lower']:.3f} to {row['logg_upper']:.3f}" in text
    assert f"95 % interval {row['fe_h_lower95']:.3f} to {row['fe_h_upper95']:.3f}" in text
    assert f"P(giant) = {row['p_giant']:.3f}" in text
    assert f"domain_score = {row['domain_score']:.2f}" in text


def test_a_star_that_was_not_predicted_says_so(finished: Path, tmp_path: Path) -> None:
    table = io.read(finished / "catalogue.parquet").head(1)
    empty = [name for name in table.columns if name not in ("source_id", "ra", "dec", "flags")]
    table = table.with_columns(*(pl.lit(None, pl.Float32).alias(name) for name in empty), pl.lit(2).alias("flags"))
    table.write_parquet(tmp_path / "c.parquet")
    text = str(ss.explain(tmp_path / "c.parquet", table["source_id"][0])[0])
    assert "teff: not predicted" in text
    assert MEANING[CatalogueFlag][CatalogueFlag.NOT_PREDICTED] in text


def test_columns_that_nobody_knows_here_are_said_as_they_describe_themselves(tmp_path: Path) -> None:
    from starscale.vocabulary.columns import Column

    table = pl.DataFrame({"source_id": [1], "domain_score": [0.5], "flags": [0], "slope": [12.5], "plain": [1]})
    columns = {"slope": Column("slope", "float64", "K", "", "change of teff with E(B-V)")}
    io.write(table, tmp_path / "c.parquet", columns=columns)
    text = str(ss.explain(tmp_path / "c.parquet", 1)[0])
    assert "slope = 12.5 K (change of teff with E(B-V))" in text
    assert "plain" not in text


def test_other_tables_are_recognised(finished: Path, tmp_path: Path) -> None:
    pairs = io.read(finished / "pairs_skymapper_dr2.parquet").row(0, named=True)
    (pair,) = ss.explain(finished / "pairs_skymapper_dr2.parquet", pairs["source_id"])
    assert pair.kind == "pairs"
    assert f"counterpart {pairs['original_ext_source_id']}, {pairs['angular_distance']:.3f} arcsec" in str(pair)
    labels = io.read(finished / "labels.parquet").row(0, named=True)
    (label,) = ss.explain(finished / "labels.parquet", labels["source_id"])
    assert label.kind == "labels"
    assert f"teff = {labels['teff']:.1f} K +- {labels['teff_error']:.1f}" in str(label)
    assert "measured by 1 survey (number 1 of the [[labels]])" in str(label)
    rows = {
        "source_id": [5, 5],
        "survey": ["a", "b"],
        "row": [3, 4],
        "flags": [0, int(LabelFlag.OUTLIER_LEFT_OUT)],
    }
    values = {"teff_raw": [5010.0, 6000.0], "teff": [5000.0, 5900.0], "teff_weight": [1.0, 0.0]}
    pl.DataFrame({**rows, **values}).write_parquet(tmp_path / "m.parquet")
    first, second = ss.explain(tmp_path / "m.parquet", 5)
    assert "teff: 5010.0 K in the survey, 5000.0 K on the common scale, weight 100 %" in str(first)
    assert MEANING[LabelFlag][LabelFlag.OUTLIER_LEFT_OUT] in str(second)
    with pytest.raises(InputError, match="is none of starscale's tables with flags"):
        ss.explain(finished / "training.parquet", 1)


# ---- inputs of the model ------------------------------------------------------------------------------


def test_contributions_add_up_to_the_domain_score(finished: Path) -> None:
    """The single distance is the largest of `alone`; leaving an input out lowers d^2 by `given_others`^2."""
    model = ss.load(finished / "model")
    rng = np.random.default_rng(0)
    n = len(model.features)
    x = np.where(rng.random((50, n)) < 0.1, np.nan, rng.normal(1.0, 2.0, (50, n)))
    far = contributions(model.predictor, x)
    domain, usable = model.predictor.domain, model.predictor.preparation.usable
    inputs = model.predictor.preparation.apply(x)
    both = domain._distances(x[:, usable], inputs)
    assert np.allclose(np.nanmax(far.alone, axis=1), both[:, 1])
    deviation = (inputs.values - domain.center)[0]
    precision = domain.whitening @ domain.whitening.T
    for j in np.flatnonzero(~far.missing[0])[:4]:
        rest = np.arange(usable.sum()) != j
        covariance = np.linalg.inv(precision)[np.ix_(rest, rest)]
        without = deviation[rest] @ np.linalg.solve(covariance, deviation[rest])
        assert both[0, 0] ** 2 - without == pytest.approx(far.given_others[0, j] ** 2, rel=1e-3, abs=1e-3)
    assert np.isnan(far.alone[far.missing]).all()
    assert np.isnan(far.given_others[far.missing]).all()


def test_missing_unusual_and_cut_inputs_are_named(finished: Path) -> None:
    model = ss.load(finished / "model")
    stars = io.read(finished / "matched.parquet").drop_nulls(["u_psf", "v_psf", "ebmv_sfd"]).head(3)
    row = pl.int_range(pl.len())
    stars = stars.with_columns(
        pl.when(row == 1).then(None).otherwise("u_psf").alias("u_psf"),
        pl.when(row == 1).then(9.0).otherwise(1.0).alias("ruwe"),
        pl.when(row == 2).then(30.0).otherwise("ebmv_sfd").alias("ebmv_sfd"),
    ).drop("vbroad")
    plain, gap, wild = inspect_stars(model, stars)
    users = {f.name for f in model.features if '"u_psf"' in f.expression}
    assert {m.name for m in gap.missing} == users
    assert {m.columns for m in gap.missing} == {("u_psf",)}
    assert not plain.missing
    assert len(gap.inputs) + len(gap.missing) == len(plain.inputs)
    # E(B-V) of 30 mag is unusual itself, as a logarithm, and in every dereddened magnitude.
    assert {far.name for far in wild.inputs if far.alone > 1} >= {"log_reddening", "skymapper_dr2.M_g"}
    assert wild.inputs[0].alone > 5 > plain.inputs[0].alone
    assert [cut.name for cut in gap.failed] == ["ruwe"]
    assert gap.failed[0].values == {"ruwe": 9.0}
    assert not plain.failed
    assert plain.unchecked == ("slow_rotator",)


def test_explain_with_the_model(finished: Path, tmp_path: Path) -> None:
    catalogue = io.read(finished / "catalogue.parquet")
    outside = catalogue.sort("domain_score", descending=True, nulls_last=True)["source_id"][0]
    missing = catalogue.filter((pl.col("flags") & 1) > 0)["source_id"][0]
    found = ss.explain(
        finished / "catalogue.parquet",
        [outside, missing],
        model=finished / "model",
        inputs=finished / "matched.parquet",
    )
    assert "inputs farthest from the training stars" in str(found[0])
    assert "missing: " in str(found[1])
    with pytest.raises(InputError, match="only one of the model and its table of inputs was given; expected both"):
        ss.explain(finished / "catalogue.parquet", outside, model=finished / "model")
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(
        InputError, match=r"other.parquet: has no column 'source_id'; expected the table that the model"
    ):
        ss.explain(
            finished / "catalogue.parquet", outside, model=finished / "model", inputs=tmp_path / "other.parquet"
        )
