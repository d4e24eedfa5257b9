"""Bad input is refused by name; nothing is lost; a calibration applies to new rows as it did to the old ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import starscale as ss
from starscale.cli.main import app
from starscale.homogenization.api import load_calibration
from starscale.homogenization.kernel.apply import on_scale
from starscale.homogenization.kernel.basis import AXES
from starscale.homogenization.kernel.calibration import Calibration
from starscale.homogenization.kernel.consensus import consensus
from starscale.homogenization.kernel.rows import SurveyRows, gather, list_of_stars, merge_repeats
from starscale.homogenization.kernel.whole import Homogenized, homogenize_tables
from starscale.homogenization.saving import companion_paths
from starscale.reports.homogenize_text import homogenize_tables as homogenize_tables_of
from starscale.vocabulary.columns import LABEL_TABLE_COLUMNS, MEASUREMENT_COLUMNS
from starscale.vocabulary.errors import InputError, StarscaleError
from starscale.vocabulary.flags import LabelFlag
from starscale.vocabulary.settings.homogenize import HomogenizeConfig
from support.homogenize_skies import observed, rows_of, sky, stars, survey
from support.recorded_progress import RecordedProgress

QUICK = HomogenizeConfig(basis="polynomial", degree=1, leave_out=False)


@pytest.fixture(scope="module")
def parts() -> list[SurveyRows]:
    return sky(700, 1)[0]


@pytest.fixture(scope="module")
def result(parts: list[SurveyRows]) -> Homogenized:
    return homogenize_tables(parts, QUICK)


def changed(part: SurveyRows, *columns: pl.Expr, **survey_changes: Any) -> SurveyRows:
    description = survey(part.survey.name, **survey_changes) if survey_changes else part.survey
    return replace(part, table=part.table.with_columns(*columns), survey=description)


def test_every_row_and_every_star_is_there(parts: list[SurveyRows], result: Homogenized) -> None:
    assert result.measurements.height == sum(part.table.height for part in parts)
    assert result.measurements.columns == list(MEASUREMENT_COLUMNS)
    assert result.labels.columns == list(LABEL_TABLE_COLUMNS)
    assert result.labels["source_id"].n_unique() == result.labels.height
    for k, part in enumerate(parts):
        mine = result.measurements.filter(pl.col("survey") == part.survey.name)
        raw = part.table[mine["row"].to_numpy()]
        assert mine["teff_raw"].to_numpy() == pytest.approx(raw["t"].to_numpy(), rel=1e-6)
        assert mine["source_id"].to_list() == raw["gaia"].to_list()
        seen = result.labels.filter(pl.col("source_id").is_in(raw["gaia"].implode()))
        assert (seen["surveys"] & (1 << k) > 0).all()
    assert (result.labels["n_surveys"] == result.labels["surveys"].bitwise_count_ones().cast(pl.Int32)).all()


def test_measurements_add_up_to_the_labels(result: Homogenized) -> None:
    """Raw value less correction, weighted, is the label."""
    table = result.measurements
    for name in AXES:
        assert table[name].to_numpy() == pytest.approx(
            (table[f"{name}_raw"] - table[f"{name}_correction"]).to_numpy(), abs=1e-2
        )
        summed = table.group_by("source_id").agg(
            mean=(pl.col(name) * pl.col(f"{name}_weight")).sum(), weight=pl.col(f"{name}_weight").sum()
        )
        both = summed.join(result.labels, on="source_id")
        assert both["weight"].to_numpy() == pytest.approx(1.0, abs=1e-5)
        assert both["mean"].to_numpy() == pytest.approx(both[name].to_numpy(), rel=1e-4, abs=1e-3)


def test_the_anchor_is_not_corrected(result: Homogenized) -> None:
    mine = result.measurements.filter(pl.col("survey") == "anchor")
    assert mine["teff_correction"].abs().max() < 0.01
    assert mine["teff_correction_error"].max() == 0


def test_order_of_rows_does_not_matter(parts: list[SurveyRows], result: Homogenized) -> None:
    rng = np.random.default_rng(0)
    shuffled = [rows_of(p.survey, p.table[rng.permutation(p.table.height)]) for p in parts]
    again = homogenize_tables(shuffled, QUICK)
    for name in AXES:
        assert again.labels[name].to_numpy() == pytest.approx(result.labels[name].to_numpy(), rel=1e-6)


def test_repeats_are_merged_by_hand() -> None:
    table = pl.DataFrame(
        {"id": [1, 2], "gaia": [7, 7], "snr": [50.0, 60.0], "t": [5000.0, 5300.0], "e_t": [100.0, 200.0]}
        | {"g": [4.0, None], "e_g": [0.1, 0.1], "m": [0.0, 0.2], "e_m": [0.1, 0.1]}
    )
    (star,) = merge_repeats(gather([rows_of(survey("one"), table)]).table).rows(named=True)
    assert star["teff"] == pytest.approx(5060.0)
    assert star["teff_error"] == pytest.approx((1 / 100**2 + 1 / 200**2) ** -0.5)
    assert star["teff_chi2"] == pytest.approx((60 / 100) ** 2 + (240 / 200) ** 2)
    assert (star["logg"], star["logg_rows"], star["fe_h_rows"]) == (4.0, 1, 2)


def test_exact_copies_count_once(parts: list[SurveyRows]) -> None:
    doubled = rows_of(parts[1].survey, pl.concat([parts[1].table, parts[1].table]))
    found = gather([parts[0], doubled, parts[2]])
    assert found.counts["second"]["copies"] == parts[1].table.height
    assert found.table.height == sum(p.table.height for p in parts)


def refused(bad: list[SurveyRows], *words: str) -> None:
    with pytest.raises(InputError) as caught:
        homogenize_tables(bad, QUICK)
    for word in words:
        assert word in str(caught.value)


def test_a_survey_without_overlap_is_named(parts: list[SurveyRows]) -> None:
    rng = np.random.default_rng(2)
    truth = stars(5000, rng)
    island = observed("island", truth, np.arange(4000, 4500), rng)
    refused([*parts, island], "survey island", "no chain of overlaps", "anchor 0, second 0, third 0")


def test_a_chain_of_overlaps_is_enough(parts: list[SurveyRows]) -> None:
    def cut(part: SurveyRows, low: int, high: int) -> SurveyRows:
        return rows_of(part.survey, part.table.filter(pl.col("gaia").is_between(low, high)))

    chain = [cut(parts[0], 0, 300), cut(parts[1], 200, 500), cut(parts[2], 400, 700)]
    assert homogenize_tables(chain, QUICK).calibration.beta[:, 2].any()
    with pytest.raises(InputError, match='mode = "joint"'):
        homogenize_tables(chain, QUICK.model_copy(update={"mode": "paper"}))


def test_swapped_labels_are_found(parts: list[SurveyRows]) -> None:
    """logg and fe_h have values in common: only the other surveys tell."""
    swapped = changed(parts[1], pl.col("m").alias("g"), pl.col("g").alias("m"))
    swapped = changed(swapped, (pl.col("m") / 10).alias("m"), (pl.col("g") + 2).alias("g"))
    refused([parts[0], swapped, parts[2]], "survey second: logg", "It follows their fe_h", "swapped")


def test_a_label_in_log_units_is_found(parts: list[SurveyRows]) -> None:
    refused([parts[0], changed(parts[1], pl.col("t").log10())], "second: column 't'", "median 3.7", "log")


@pytest.mark.parametrize("value", [0.0, -5.0, None])
def test_errors_that_are_no_errors(parts: list[SurveyRows], value: float | None) -> None:
    none = changed(parts[1], pl.lit(value, dtype=pl.Float64).alias("e_t"))
    refused([parts[0], none, parts[2]], "column 'e_t'", "none of its", "error_floor")
    labels = none.survey.labels["teff"].model_copy(update={"error_floor": 72.0})
    floored = replace(
        none, survey=none.survey.model_copy(update={"labels": {**none.survey.labels, "teff": labels}})
    )
    done = homogenize_tables([parts[0], floored, parts[2]], QUICK)
    mine = done.measurements.filter(pl.col("survey") == "second")
    assert (mine["flags"] & int(LabelFlag.ERROR_MISSING) > 0).all()
    assert (mine["teff_raw_error"] == 72.0).all()


def test_one_survey_under_two_names(parts: list[SurveyRows]) -> None:
    refused([*parts, rows_of(survey("copy"), parts[1].table)], "second and copy", "to the last digit")
    refused([*parts, parts[1]], "'second' is named twice")


def test_a_constant_label(parts: list[SurveyRows]) -> None:
    refused([parts[0], changed(parts[1], pl.lit(0.1).alias("m"))], "second: column 'm'", "all", "are 0.1")


def test_all_problems_at_once(parts: list[SurveyRows]) -> None:
    bad = changed(parts[1], pl.col("t").log10(), pl.lit(0.1).alias("m"))
    refused([parts[0], bad], "2 problems", "column 't'", "column 'm'")


def test_a_missing_label_stays_missing(parts: list[SurveyRows]) -> None:
    labels = {k: v for k, v in parts[2].survey.labels.items() if k != "logg"}
    third = replace(parts[2], survey=parts[2].survey.model_copy(update={"labels": labels}))
    done = homogenize_tables([parts[0], parts[1], third], QUICK)
    alone = done.labels.filter(pl.col("surveys") == 4)
    assert alone.height > 20
    assert alone["logg"].null_count() == alone.height
    assert alone["teff"].null_count() == 0
    for name in AXES:
        assert done.labels.filter(pl.col(name).is_nan())[name].len() == 0
    document = json.loads(json.dumps(done.calibration.document(), allow_nan=False))
    assert Calibration.from_document(document).low == pytest.approx(done.calibration.low, rel=1e-8)
    paper = homogenize_tables([parts[0], parts[1], third], QUICK.model_copy(update={"mode": "paper"}))
    assert paper.labels.filter(pl.col("surveys") == 4)["logg"].null_count() > 20


def test_outside_the_overlap_the_correction_is_that_of_the_border(result: Homogenized) -> None:
    calibration = result.calibration
    border = calibration.high[1].copy()
    far = border + np.array([1500.0, 0.0, 0.0])
    places = np.stack([border, far])
    value = np.repeat(places.T[:, :, None], 3, axis=2)
    found = calibration.at(places, value)
    assert found.value[:, 0, 1] == pytest.approx(found.value[:, 1, 1])
    assert found.outside[:, 1].tolist() == [False, True]
    flagged = result.labels.filter(pl.col("flags") & int(LabelFlag.CORRECTION_CLAMPED) > 0)
    assert 0 < flagged.height < 0.2 * result.labels.height


def test_the_document_is_readable_and_applies_as_before(parts: list[SurveyRows], result: Homogenized) -> None:
    document = json.loads(json.dumps(result.calibration.document(), allow_nan=False))
    again = Calibration.from_document(document)
    assert again.beta == pytest.approx(result.calibration.beta, rel=1e-8)
    assert again.factors[0][1].k == pytest.approx(result.calibration.factors[0][1].k)
    # Rows of stars that no other survey has, and that have no repeats: their label is this row alone.
    table = parts[1].table
    labels = on_scale(again, table, parts[1].survey).with_columns(source_id=table["gaia"])
    alone = result.labels.filter(pl.col("surveys") == 2)
    once = labels.filter(pl.len().over("source_id") == 1).join(alone, on="source_id", suffix="_run")
    assert once.height > 30
    for name in AXES:
        assert once[name].to_numpy() == pytest.approx(once[f"{name}_run"].to_numpy(), rel=1e-6)
        assert once[f"{name}_error"].to_numpy() == pytest.approx(once[f"{name}_error_run"].to_numpy(), rel=1e-5)
    assert labels.height == table.height


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "not a calibration of this version"),
        ({"basis": {}}, "basis"),
        ({"covariance": {}}, "damaged"),
        ({"anchor": "nobody"}, "damaged"),
        ({"own": "yes"}, "own"),
        ({"snr_bins": [2.0, 1.0]}, "damaged"),
        ({"covariance_of": ["second", "second"]}, "damaged"),
        ({"notes": None}, "notes"),
    ],
)
def test_a_damaged_document_is_refused(result: Homogenized, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Calibration.from_document({**result.calibration.document(), **change})


def test_an_unknown_survey_is_refused(parts: list[SurveyRows], result: Homogenized) -> None:
    with pytest.raises(InputError, match=r"has no survey 'secnd'.*Did you mean 'second'"):
        on_scale(result.calibration, parts[1].table, survey("secnd"))


@pytest.fixture(scope="module")
def smooth(parts: list[SurveyRows]) -> Homogenized:
    return homogenize_tables(parts, HomogenizeConfig(leave_out=False))


def test_beyond_its_range_a_correction_stays_and_its_error_grows(smooth: Homogenized) -> None:
    calibration = smooth.calibration
    border = np.array([[5200.0, calibration.high[1, 1], -0.3]])
    step = np.array([[0.0, 1.0, 0.0]])
    beyond = border + step
    assert calibration.of_survey(beyond, 1)[0] == pytest.approx(calibration.of_survey(border, 1)[0])
    near, far = (calibration.variances(place, 1, 1) for place in (border, beyond))
    # logg of the second survey bends with logg: by 0.15 over the range or so.
    assert np.sqrt(far - near)[1, 0] > 0.03
    assert (far >= near).all()
    # Beyond the anchor's range too two surveys do not know the scale, and err alike.
    common = calibration.variances(beyond, 1, 2) - calibration.variances(border, 1, 2)
    assert 0 < common[1, 0] < (far - near)[1, 0]
    further = calibration.variances(border + 2 * step, 1, 1)
    assert np.sqrt(further - near)[1] == pytest.approx(2 * np.sqrt(far - near)[1], rel=0.1)
    paper = replace(calibration, own=True)
    assert paper.variances(beyond, 1, 1) == pytest.approx(paper.variances(border, 1, 1))


@pytest.mark.parametrize("seen", [[1], [0, 1], [0, 1, 2]])
def test_the_error_of_a_correction_contains_that_of_the_star(smooth: Homogenized, seen: list[int]) -> None:
    """One star, measured again and again: its correction scatters as the labels that it is taken at."""
    calibration, rng = smooth.calibration, np.random.default_rng(5)
    star, n = np.array([[5300.0, 3.6, -0.4]]), 4000
    value, error = np.full((3, n, 3), np.nan), np.full((3, n, 3), np.nan)
    for s in seen:
        sigma = np.array([40, 0.08, 0.05])[:, None] * (1 + 0.3 * s)
        value[:, :, s] = star.T + calibration.of_survey(star, s)[0] + sigma * rng.normal(size=(3, n))
        error[:, :, s] = sigma
    found = consensus(calibration, value, error)
    for i in range(3):
        scatter = (value - found.calibrated)[i, :, 1].std()
        assert np.sqrt((found.placement[i, :, 1] ** 2).mean()) == pytest.approx(scatter, rel=0.15)


def test_errors_of_the_table_are_both(smooth: Homogenized) -> None:
    mine = smooth.measurements.filter(pl.col("survey") == "second").unique("source_id", keep="first")
    at = mine.select("source_id", "logg_correction_error").join(smooth.labels, on="source_id")
    function = np.sqrt(smooth.calibration.variances(at.select(AXES).to_numpy(), 1, 1)[1])
    assert np.median(at["logg_correction_error"].to_numpy() / function) > 1.01


def test_a_list_moves_the_zero_point(parts: list[SurveyRows]) -> None:
    _, truth = sky(700, 1)
    ids = np.arange(1, 700, 4)
    wanted = pl.DataFrame(
        {"source_id": ids} | {n: truth[ids - 1, i] + (100, 0.2, 0.1)[i] for i, n in enumerate(AXES)}
    )
    wanted = wanted.with_columns(teff_error=pl.lit(10.0), logg_error=pl.lit(0.01), fe_h_error=pl.lit(0.01))
    entry = {"survey": "list", "path": "list.parquet", "use": "zero_point"}
    config = HomogenizeConfig.model_validate({**QUICK.model_dump(), "reference": entry})
    done = homogenize_tables(parts, config, reference=wanted)
    true = truth[done.labels["source_id"].to_numpy() - 1]
    for i, name in enumerate(AXES):
        offset = np.median(done.labels[name].to_numpy() - true[:, i])
        assert offset == pytest.approx((100, 0.2, 0.1)[i], abs=(8, 0.02, 0.012)[i])
    last = [r for r in done.diagnostics["reference"] if r["sample"].endswith("moved")]
    assert len(last) == 3
    assert abs(last[0]["median"]) < 8
    moved = done.diagnostics["zero_point"]
    assert moved["teff"]["moved"] == pytest.approx(-100, abs=15)
    assert moved["teff"]["n"] == next(r["n"] for r in done.diagnostics["reference"])
    table = next(t for t in homogenize_tables_of(done.diagnostics) if t.caption.startswith("Zero point"))
    assert [row[0] for row in table.rows] == ["teff (K)", "logg (dex)", "fe_h (dex)"]
    assert f"{moved['teff']['moved']:.1f} +- {moved['teff']['error']:.1f}" in table.rows[0][2]


@pytest.fixture(scope="module")
def short_list() -> pl.DataFrame:
    """Twelve stars of a list 100 K too hot, two of which have a logg."""
    _, truth = sky(700, 1)
    ids = np.arange(1, 700, 55)[:12]
    few = np.where(np.arange(12) < 2, truth[ids - 1, 1], np.nan)
    return pl.DataFrame({"source_id": ids, "teff": truth[ids - 1, 0] + 100, "logg": few}, nan_to_null=True)


def test_a_label_with_few_stars_of_the_list_is_not_moved(
    parts: list[SurveyRows], result: Homogenized, short_list: pl.DataFrame
) -> None:
    errors = short_list.with_columns(teff_error=pl.lit(200.0), logg_error=pl.lit(0.1))
    entry = {"survey": "list", "path": "list.parquet", "use": "zero_point"}
    config = HomogenizeConfig.model_validate({**QUICK.model_dump(), "reference": entry})
    done = homogenize_tables(parts, config, reference=errors)
    at = np.array([done.calibration.basis.centre])
    for s in range(3):
        change = done.calibration.of_survey(at, s)[0] - result.calibration.of_survey(at, s)[0]
        assert change[1:] == pytest.approx(0, abs=1e-9)
        assert change[0] == pytest.approx(done.diagnostics["zero_point"]["teff"]["moved"])
    moved = done.diagnostics["zero_point"]
    assert moved["logg"]["n"] < 5
    assert moved["logg"]["moved"] is None
    assert "fe_h" not in moved
    # The scatter is far below the errors of the list: they say how well a median of so few stars is known.
    n = moved["teff"]["n"]
    assert 1.2533 * 200 / n**0.5 < moved["teff"]["error"] < 1.2533 * 220 / n**0.5
    both = done.labels.join(result.labels, on="source_id")
    wider = np.sqrt(both["teff_error"] ** 2 - both["teff_error_right"] ** 2)
    assert wider.median() == pytest.approx(moved["teff"]["error"], rel=0.02)
    assert "fewer than 5 common stars with logg: not moved" in done.diagnostics["notes"][-1]
    table = next(t for t in homogenize_tables_of(done.diagnostics) if t.caption.startswith("Zero point"))
    assert table.rows[1][2] == "nothing: too few stars"
    with pytest.raises(InputError, match="shares fewer than 5 stars"):
        homogenize_tables(parts, config, reference=errors.head(4))


@pytest.mark.parametrize("n", [200, pytest.param(20_000, marks=pytest.mark.slow)])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_determinations_of_one_star_give_their_median(n: int, seed: int) -> None:
    """As in a bibliography: a star has one row or several, some with a label missing or impossible."""
    rng = np.random.default_rng(seed)
    truth = stars(n // 3, rng)
    part = observed("list", truth, rng.integers(0, len(truth), n), rng)
    table = part.table.with_columns(
        pl.when(pl.Series(rng.random(n) < 0.2)).then(rng.choice([None, np.nan, -999.0])).otherwise("g").alias("g"),
        e_m=pl.Series(rng.uniform(0.01, 0.2, n)),
    )
    found = list_of_stars(rows_of(survey("list"), table)).sort("source_id")
    assert found.columns == ["source_id", *(n + e for n in AXES for e in ("", "_error"))]
    frame = table.to_pandas().astype({"g": float})
    frame.loc[frame["g"] < -10, "g"] = np.nan
    wanted = frame.groupby("gaia").median()
    assert found["source_id"].to_list() == wanted.index.to_list()
    for name, column in (("teff", "t"), ("logg", "g"), ("fe_h", "m"), ("fe_h_error", "e_m")):
        assert found[name].to_numpy() == pytest.approx(wanted[column].to_numpy(), nan_ok=True)


def test_a_list_with_swapped_or_unknown_columns_is_refused() -> None:
    rng = np.random.default_rng(0)
    part = observed("list", stars(50, rng), np.arange(50), rng)
    swapped = replace(part, table=part.table.with_columns(t=pl.col("g"), g=pl.col("t")))
    with pytest.raises(InputError) as caught:
        list_of_stars(swapped)
    assert "list: column 't': 50 of 50 values lie outside" in str(caught.value)
    assert "list: column 'g'" in str(caught.value)
    with pytest.raises(InputError, match="column 'm': is missing"):
        list_of_stars(replace(part, table=part.table.drop("m")))


def test_bins_in_signal_to_noise_get_factors_of_their_own() -> None:
    rng = np.random.default_rng(20)
    truth = stars(3000, rng)
    every = np.sort(np.tile(np.arange(3000), 2))
    parts = [observed(name, truth, every, rng) for name in ("anchor", "second", "third")]
    low = parts[1].table["snr"].to_numpy() < 80
    noise = rng.normal(size=len(low)) * 60 * np.sqrt(3) * low
    parts[1] = changed(parts[1], pl.Series("t", parts[1].table["t"].to_numpy() + noise))
    config = QUICK.model_copy(update={"snr_bins": (80.0,)})
    calibration = homogenize_tables(parts, config).calibration
    factor = calibration.snr_factors[0, 1] * calibration.factors[0][1].k
    assert factor == pytest.approx([2.0, 1.0], rel=0.1)


LABELS_FILE = """\
mock = true

[[labels]]
survey = "anchor.toml"
path = "anchor.parquet"

[[labels]]
survey = "second.toml"
path = "second.parquet"

[[labels]]
survey = "third.toml"
path = "third.parquet"

[homogenize]
basis = "polynomial"
degree = 1
clusters = { path = "clusters.parquet" }
"""


@pytest.fixture
def folder(tmp_path: Path, parts: list[SurveyRows]) -> Path:
    for part in parts:
        part.table.write_parquet(tmp_path / f"{part.survey.name}.parquet")
        columns = "\n".join(f'{n} = {{ dtype = "{c.dtype}" }}' for n, c in part.survey.columns.items())
        labels = "\n".join(
            f'{n} = {{ value = "{s.value}", error = "{s.error}" }}' for n, s in part.survey.labels.items()
        )
        (tmp_path / f"{part.survey.name}.toml").write_text(
            f'name = "{part.survey.name}"\ntitle = "made up"\nkind = "spectroscopic"\nsnr = "snr"\n'
            f'[id]\ncolumn = "id"\n[gaia]\ncolumn = "gaia"\nrelease = "dr3"\n[labels]\n{labels}\n'
            f"[columns]\n{columns}\n"
        )
    members = pl.DataFrame({"source_id": np.arange(1, 61), "cluster": ["one"] * 30 + ["two"] * 30})
    members.write_parquet(tmp_path / "clusters.parquet")
    (tmp_path / "labels.toml").write_text(LABELS_FILE)
    return tmp_path


def test_a_report_that_cannot_be_written_is_said_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ss, "homogenize", lambda *_, **__: pytest.fail("the work was begun"))
    for report, words in (
        ("labels.toml/page.html", "is a file, not a folder"),
        ("x.parquet", "and a file of the labels"),
        ("x_diagnostics.json", "and a file of the labels"),
    ):
        settings, output = str(folder / "labels.toml"), str(folder / "x.parquet")
        done = CliRunner().invoke(app, ["homogenize", settings, "-o", output, "--report", str(folder / report)])
        assert isinstance(done.exception, StarscaleError)
        assert words in str(done.exception)


def test_the_command_writes_all_of_it(folder: Path, result: Homogenized) -> None:
    output, page = folder / "labels.parquet", folder / "labels.html"
    runner = CliRunner()
    listed = ["--reference", f"{folder / 'third.toml'}={folder / 'third.parquet'}", "--use", "zero_point"]
    done = runner.invoke(
        app, ["homogenize", str(folder / "labels.toml"), "-o", str(output), "--report", str(page), *listed]
    )
    assert done.exit_code == 0, done.output
    assert "Zero point of the external list" in done.output
    for words in (
        "Stars in common",
        "(MOCK data)",
        "Normalised errors",
        "held-out",
        "predicted from the others",
        "two",
    ):
        assert words in done.output
    labels = ss.read(output)
    assert labels.height == result.labels.height
    files = companion_paths(output)
    assert all(path.exists() for path in files.values())
    assert "MOCK DATA" in page.read_text()
    assert page.read_text().count("<img") == 5
    calibration = load_calibration(files["calibration"])
    assert calibration.anchor == "anchor"
    assert calibration.information["provenance"]["mock"]
    again = runner.invoke(
        app,
        [
            *("recalibrate", str(folder / "second.parquet"), "--calibration", str(files["calibration"])),
            *("--survey", str(folder / "second.toml"), "-o", str(folder / "again.parquet")),
        ],
    )
    assert again.exit_code == 0, again.output
    assert ss.read(folder / "again.parquet").columns == [
        "id",
        *(n + e for n in AXES for e in ("", "_error")),
        "flags",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--use", "zero_point"], "without --reference"),
        (["--reference", "third.toml"], "SURVEY=PATH"),
        (["--reference", "third.toml=nothing.parquet"], "nothing.parquet: no such file"),
        (["--reference", "third.toml=third.parquet", "--use", "zeropoint"], "zero_point"),
    ],
)
def test_a_bad_list_is_said_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["homogenize", "labels.toml", "-o", "labels.parquet", *options])
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)
    assert not (folder / "labels.parquet").exists()


def test_check_knows_a_labels_file(folder: Path) -> None:
    assert "a valid labels file" in ss.check(folder / "labels.toml")[0]
    text = (folder / "labels.toml").read_text().replace('"third.parquet"', '"thrid.parquet"')
    (folder / "labels.toml").write_text(text.replace("[homogenize]", '[homogenize]\nanchor = "ancor"'))
    with pytest.raises(InputError, match=r"thrid.parquet: no such file.*Did you mean 'third.parquet'"):
        ss.check(folder / "labels.toml")


def test_an_unknown_anchor_is_refused(folder: Path) -> None:
    text = (folder / "labels.toml").read_text()
    (folder / "labels.toml").write_text(text.replace("[homogenize]", '[homogenize]\nanchor = "ancor"'))
    with pytest.raises(InputError, match=r"unknown survey 'ancor'.*Did you mean 'anchor'"):
        ss.homogenize(folder / "labels.toml")


def test_an_output_without_a_place_is_said_before_the_work(folder: Path) -> None:
    said: list[str] = []
    for name, words in (("x.cvs", "suffix '.cvs'"), ("labels.toml/x.parquet", "is a file, not a folder")):
        with pytest.raises(StarscaleError, match=words):
            ss.homogenize(folder / "labels.toml", folder / name, progress=RecordedProgress(said))
    assert not said


def test_identifiers_of_two_releases_need_a_catalogue(folder: Path) -> None:
    text = (folder / "second.toml").read_text()
    (folder / "second.toml").write_text(text.replace('release = "dr3"', 'release = "dr2"'))
    with pytest.raises(InputError, match=r"different releases: dr2, dr3.*\[catalogue\]"):
        ss.homogenize(folder / "labels.toml")


def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path) -> None:
    for name, text, words in (
        ("a", "{", "not JSON"),
        ("b", "[]", "not a JSON object"),
        ("c", "{}", "this version"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=words):
            load_calibration(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        load_calibration(tmp_path / "nothing")


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("there", [("teff",), ("teff", "fe_h"), ("logg", "fe_h")])
@pytest.mark.parametrize(
    "config", [HomogenizeConfig(leave_out=False), QUICK, HomogenizeConfig(mode="paper", leave_out=False)]
)
def test_labels_that_no_survey_has(tmp_path: Path, there: tuple[str, ...], config: HomogenizeConfig) -> None:
    rng, n = np.random.default_rng(5), 300
    size = {"teff": (4000, 7000, 50.0), "logg": (1, 5, 0.05), "fe_h": (-2, 0.4, 0.05)}
    truth = {name: rng.uniform(*size[name][:2], n) for name in there}
    parts = []
    for number, name in enumerate(("first", "second")):
        table = {"id": np.arange(n) + 1, "gaia": (np.arange(n) + 1) * 2**40}
        text = f'name = "{name}"\ntitle = "{name}"\nkind = "spectroscopic"\nid = {{ column = "id" }}\n'
        text += 'gaia = { column = "gaia", release = "dr3" }\n[columns]\nid = { dtype = "int64" }\n'
        text += 'gaia = { dtype = "int64" }\n'
        labels = "[labels]\n"
        for label in there:
            error = size[label][2]
            table[label] = truth[label] + 2 * number * error + rng.normal(0, error, n)
            table[f"e_{label}"] = np.full(n, error)
            unit = 'unit = "K"' if label == "teff" else 'unit = "dex"'
            text += f"{label} = {{ {unit} }}\ne_{label} = {{ {unit} }}\n"
            labels += f'{label} = {{ value = "{label}", error = "e_{label}" }}\n'
        (tmp_path / f"{name}.toml").write_text(text + labels)
        ss.write(pl.DataFrame(table), tmp_path / f"{name}.parquet")
        parts.append(f'[[labels]]\nsurvey = "{name}.toml"\npath = "{name}.parquet"\n')
    settings = "\n".join(
        f"{key} = {json.dumps(value)}" for key, value in config.model_dump(exclude_unset=True).items()
    )
    (tmp_path / "labels.toml").write_text("\n".join(parts) + f"[homogenize]\n{settings}\n")
    ss.homogenize(tmp_path / "labels.toml", tmp_path / "out.parquet")
    found = ss.read(tmp_path / "out.parquet")
    assert found.height == n
    for label in there:
        # Without a correction the mean of both surveys would be off by one error.
        assert abs(np.median(found[label].to_numpy() - truth[label])) < 0.3 * size[label][2]
    assert (found["flags"] & int(LabelFlag.CORRECTION_CLAMPED) > 0).mean() < 0.2


@pytest.mark.parametrize("mode", ["joint", "paper"])
def test_a_label_that_a_correction_makes_impossible_is_removed_and_flagged(
    parts: list[SurveyRows], mode: str
) -> None:
    """A survey that is too low by 0.5: its stars are moved up, one of them beyond what a gravity can be."""
    alone = set(parts[1].table["gaia"]) - set(parts[0].table["gaia"]) - set(parts[2].table["gaia"])
    star = min(alone)
    low = pl.when(pl.col("gaia") == star).then(6.9).otherwise(pl.col("g") - 0.5).alias("g")
    moved = replace(parts[1], table=parts[1].table.with_columns(low))
    done = homogenize_tables([parts[0], moved, parts[2]], QUICK.model_copy(update={"mode": mode}))
    impossible = done.labels.filter(pl.col("flags") & int(LabelFlag.LABEL_IMPOSSIBLE) > 0)
    assert impossible["source_id"].to_list() == [star]
    assert impossible.select("logg", "logg_error", "logg_scale_error").row(0) == (None, None, None)
    assert impossible["teff"].null_count() == 0
    assert done.labels["logg"].max() <= 7
    (weight,) = done.measurements.filter(pl.col("source_id") == star)["logg_weight"].unique()
    assert weight == 0
    # The calibration says the same of new rows.
    new = on_scale(done.calibration, moved.table, moved.survey).with_columns(source_id=moved.table["gaia"])
    mine = new.filter(pl.col("source_id") == star)
    assert (mine["flags"] & int(LabelFlag.LABEL_IMPOSSIBLE) > 0).all()
    assert mine["logg"].null_count() == mine.height
