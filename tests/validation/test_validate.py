"""Catalogues with planted faults and without, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

import starscale as ss
from starscale.validation.checks import FAILS, PASSES, TOO_FEW, ValidationCheck, holm

#: Members of each of three clusters; other stars.
MEMBERS, OTHERS = 120, 600
FIRST_ID = 3 * 10**18


def simulated(
    seed: int, *, offset: float = 0.0, trend: float = 0.0, wider: float = 1.0
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """A catalogue with Gaussian errors and one star in twelve of the clusters a stranger, and what is known of it.

    The faults: an offset of one cluster (dex), a trend (K per 1000 K), errors larger than stated by a factor.
    """
    draw = np.random.default_rng(seed)
    n = 3 * MEMBERS + OTHERS
    ids = FIRST_ID + np.arange(n)
    teff, logg, fe_h = draw.uniform(4200, 6800, n), draw.uniform(1, 5, n), draw.normal(-0.2, 0.3, n)
    cluster = np.repeat(["a", "b", "c"], MEMBERS)
    fe_h[: 3 * MEMBERS] = np.repeat([-0.4, -0.1, 0.1], MEMBERS)
    # The second star of a pair has the metallicity of the first.
    fe_h[-200:] = fe_h[-400:-200]
    errors = {
        "teff": draw.uniform(50, 110, n),
        "logg": draw.uniform(0.08, 0.2, n),
        "fe_h": draw.uniform(0.07, 0.14, n),
    }
    truth = {"teff": teff, "logg": logg, "fe_h": fe_h}
    values = {name: truth[name] + wider * draw.normal(0, errors[name]) for name in truth}
    values["teff"] = values["teff"] + trend * (teff - 5500) / 1000
    values["fe_h"][MEMBERS : 2 * MEMBERS] += offset
    strangers = np.flatnonzero(draw.random(3 * MEMBERS) < 1 / 12)
    values["fe_h"][strangers] += draw.normal(0, 0.5, len(strangers))
    catalogue = pl.DataFrame(
        {"source_id": ids, **values, **{f"{name}_error": errors[name] for name in errors}}
    ).sample(fraction=1.0, shuffle=True, seed=seed)
    known = np.repeat([-0.4, -0.1, 0.1], MEMBERS)

    def measured(rows: slice, **error: float) -> pl.DataFrame:
        m = len(ids[rows])
        found: dict[str, Any] = {"source_id": ids[rows]}
        for name, one in error.items():
            found |= {name: truth[name][rows] + draw.normal(0, one, m), f"{name}_error": np.full(m, one)}
        return pl.DataFrame(found)

    start = 3 * MEMBERS
    return catalogue, {
        "clusters": pl.DataFrame({"source_id": ids[: len(cluster)], "cluster": cluster, "fe_h": known}),
        "benchmark": measured(slice(start, start + 100), teff=40.0, logg=0.04, fe_h=0.04),
        "seismic": measured(slice(start + 100, start + 300), logg=0.02),
        "against": measured(slice(start, n), teff=70.0, logg=0.1, fe_h=0.07),
        "wide_binaries": pl.DataFrame({"source_id1": ids[-400:-200], "source_id2": ids[-200:]}),
    }


def faults(result: ss.Validated) -> set[tuple[str, str, str, str]]:
    names = ("test", "group", "label", "quantity")
    return set(result.faults.select(names).iter_rows())


#: What must be found for each planted fault; nothing of another quantity may be.
PLANTED: list[tuple[dict[str, float], set[tuple[str, str, str, str]]]] = [
    ({"offset": 0.1}, {("clusters", "b", "fe_h", "offset")}),
    ({"trend": 100.0}, {("against", "all", "teff", "trend")}),
    ({"wider": 1.5}, {("clusters", "all", "fe_h", "errors"), ("seismic", "all", "logg", "errors")}),
]


def catalogues(numbers: range) -> None:
    """The faults of these catalogues are found, and none in the same catalogues without."""
    for seed in numbers:
        clean, known = simulated(seed)
        assert faults(ss.validate(clean, **known)) == set(), seed
        for fault, expected in PLANTED:
            tables = {test: known[test] for test, *_ in expected}
            found = faults(ss.validate(simulated(seed, **fault)[0], **tables))
            assert expected <= found, (seed, fault)
            assert {kind for *_, kind in found} == {kind for *_, kind in expected}, (seed, fault)


def test_planted_faults_are_found_and_no_others() -> None:
    catalogues(range(2))


@pytest.mark.slow
def test_planted_faults_are_found_in_fifty_catalogues_and_no_others() -> None:
    catalogues(range(50))


def test_the_rule_of_holm_is_that_of_a_loop() -> None:
    """The smallest probability is compared with level / m, the next with level / (m - 1), to the first above."""
    draw = np.random.default_rng(3)
    for _ in range(30):
        p = draw.uniform(0, 0.05, draw.integers(1, 12))
        judged = holm([ValidationCheck("t", "g", "x", "offset", "", 99, p=float(q)) for q in p], 0.05)
        failing, going = set(), True
        for rank, i in enumerate(np.argsort(p)):
            going = going and p[i] <= 0.05 / (len(p) - rank)
            failing |= {int(i)} if going else set()
        assert {i for i, check in enumerate(judged) if check.verdict == FAILS} == failing
    assert holm([ValidationCheck("t", "g", "x", "offset", "", 3)], 0.05)[0].verdict == TOO_FEW


def test_offset_and_scatter_are_those_of_plain_statistics_without_outliers() -> None:
    draw = np.random.default_rng(8)
    n = 4000
    ids, known = np.arange(1, n + 1), draw.uniform(0, 5, n)
    table = pl.DataFrame(
        {"source_id": ids, "logg": known + draw.normal(0.2, 0.1, n), "logg_error": np.full(n, 0.05)}
    )
    result = ss.validate(table, seismic=pl.DataFrame({"source_id": ids, "logg": known}))
    offset, scatter = result.checks.sort("quantity", descending=True).iter_rows(named=True)
    difference = (table["logg"] - known).to_numpy()
    assert offset["value"] == pytest.approx(difference.mean(), abs=0.001)
    assert offset["error"] == pytest.approx(difference.std() / np.sqrt(n), rel=0.05)
    assert scatter["value"] == pytest.approx(difference.std() / 0.05, rel=0.02)
    assert scatter["error"] == pytest.approx(scatter["value"] / np.sqrt(2 * n), rel=0.2)
    distance = (offset["value"] - 0.05) / offset["error"]
    assert offset["sigma"] == pytest.approx(distance)
    assert offset["p"] == pytest.approx(2 * stats.t.sf(distance, n - 1))
    assert result.faults.height == 2
    assert not result.passed


def test_predictions_that_tend_to_the_mean_are_no_fault() -> None:
    """Errors that hold at the predicted value make a slope against the true one; the stated errors explain it."""
    draw = np.random.default_rng(4)
    n = 3000
    predicted = draw.uniform(4500, 6500, n)
    ids, error = np.arange(1, n + 1), np.full(n, 250.0)
    known = pl.DataFrame({"source_id": ids, "teff": predicted + draw.normal(0, 250, n)})
    table = pl.DataFrame({"source_id": ids, "teff": predicted, "teff_error": error})
    result = ss.validate(table, benchmark=known)
    trend = result.checks.row(by_predicate=pl.col("quantity") == "trend", named=True)
    assert trend["value"] < -100
    assert result.passed
    stated = table.with_columns(teff_error=pl.lit(25.0))
    assert {kind for *_, kind in faults(ss.validate(stated, benchmark=known))} == {"errors", "trend"}


def test_the_error_of_the_scale_is_part_of_the_error_of_an_offset() -> None:
    catalogue, known = simulated(1, offset=0.1)
    members = {"clusters": known["clusters"]}
    alone = ss.validate(catalogue, **members)
    scaled = ss.validate(catalogue.with_columns(fe_h_scale_error=pl.lit(0.2)), **members)
    assert ("clusters", "b", "fe_h", "offset") in faults(alone)
    assert faults(scaled) == set()
    assert scaled.checks.filter(quantity="offset")["error"].min() > 0.2  # type: ignore[operator]
    # The true error of the catalogue is smaller than its error against the labels.
    truth = catalogue.with_columns(fe_h_error=3 * pl.col("fe_h_error"), fe_h_error_truth=pl.col("fe_h_error"))
    assert ss.validate(truth, **members).checks["value"].to_list() == alone.checks["value"].to_list()


def test_stars_of_the_training_are_left_out_and_few_stars_are_no_verdict() -> None:
    catalogue, known = simulated(2)
    part = np.where(catalogue["source_id"] < FIRST_ID + MEMBERS, "train", "test")
    result = ss.validate(catalogue.with_columns(pl.Series("part", part)), clusters=known["clusters"])
    assert set(result.checks["group"]) == {"b", "c", "all"}
    assert any(f"{MEMBERS} stars that the model was trained" in note for note in result.notes)
    whole = ss.validate(
        catalogue.with_columns(pl.Series("part", part)), clusters=known["clusters"], include_training=True
    )
    assert set(whole.checks["group"]) == {"a", "b", "c", "all"}
    few = ss.validate(catalogue, seismic=known["seismic"].head(5))
    assert set(few.checks["verdict"]) == {TOO_FEW}
    assert not few.passed
    assert "too few stars (5; 15 are needed)" in few.sentences[0]


def test_any_column_of_any_table_is_compared(tmp_path: Path) -> None:
    ids = np.arange(100)
    table = pl.DataFrame({"id": ids, "age": ids / 10.0, "Teff": 5000.0 + ids, "ok": ids > 9})
    other = pl.DataFrame({"ID": ids[::-1], "tau": ids[::-1] / 10 + 1.0, "T": 5000.0 + ids[::-1]})
    table.write_csv(tmp_path / "mine.csv")
    names = {"id": "ID", "age": "tau", "Teff": "T"}
    result = ss.validate(tmp_path / "mine.csv", against=other, columns=names, identifier="id", keep="ok")
    assert result.checks.filter(label="age", quantity="offset")["value"].item() == pytest.approx(-1)
    assert result.checks.filter(label="Teff", quantity="offset")["verdict"].item() == PASSES
    assert result.stars["against"].height == 90
    assert "no errors of age are stated" in " ".join(result.notes)


BAD: dict[str, tuple[Callable[[pl.DataFrame, dict[str, pl.DataFrame]], dict[str, Any]], list[str]]] = {
    "nothing to compare": (lambda c, k: {}, ["no table to compare with"]),
    "no common star": (
        lambda c, k: {"seismic": k["seismic"].with_columns(pl.col("source_id") + 10**9)},
        ["table of seismic: none of its 200 rows", "first identifier: 3000000001000000460"],
    ),
    "missing columns": (
        lambda c, k: {"clusters": k["clusters"].drop("cluster"), "seismic": k["seismic"].drop("source_id")},
        ["2 problems", "no column 'cluster'", "no column 'source_id'"],
    ),
    "no gravity": (lambda c, k: {"seismic": k["seismic"].drop("logg")}, ["has no column 'logg'"]),
    "a repeated star": (
        lambda c, k: {"benchmark": pl.concat([k["benchmark"], k["benchmark"].head(1)])},
        ["1 rows repeat an identifier of another row (first: 3000000000000000360)"],
    ),
    "a repeated pair": (
        lambda c, k: {
            "wide_binaries": pl.concat(
                [
                    k["wide_binaries"],
                    k["wide_binaries"].head(1).select(source_id1="source_id2", source_id2="source_id1"),
                ]
            )
        },
        ["1 pairs are repeated"],
    ),
    "rounded identifiers": (
        lambda c, k: {"seismic": k["seismic"].cast({"source_id": pl.Float64})},
        ["floating-point numbers", "last digits are lost"],
    ),
    "texts for numbers": (
        lambda c, k: {"seismic": k["seismic"].cast({"source_id": pl.String})},
        ["its identifiers are texts", "integers"],
    ),
    "another quantity": (lambda c, k: {"seismic": k["seismic"].cast({"logg": pl.String})}, ["expected numbers"]),
    "an unknown name": (
        lambda c, k: {"seismic": k["seismic"], "columns": {"logg": "LOGG_X"}},
        ["no table has the column 'LOGG_X' (for logg)"],
    ),
    "no common column": (
        lambda c, k: {"against": k["seismic"].select("source_id", x="logg")},
        ["has no column in common"],
    ),
    "a level": (lambda c, k: {"seismic": k["seismic"], "level": 2.0}, ["level: is 2.0"]),
    "a file of another kind": (
        lambda c, k: {"seismic": k["seismic"], "output": "page.pdf"},
        ["ends in '.pdf'", "a folder, or a page that ends in .html"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_error(name: str) -> None:
    catalogue, known = simulated(0)
    arguments, expected = BAD[name]
    with pytest.raises(ss.InputError) as error:
        ss.validate(catalogue, **arguments(catalogue, known))
    for text in expected:
        assert text in str(error.value)


def test_a_star_twice_in_the_catalogue_is_refused() -> None:
    catalogue, known = simulated(0)
    with pytest.raises(ss.InputError, match="repeat an identifier"):
        ss.validate(pl.concat([catalogue, catalogue.head(3)]), **known)


def test_a_folder_holds_page_tables_and_document(tmp_path: Path) -> None:
    catalogue, known = simulated(1, offset=0.1)
    mock = tmp_path / "catalogue.parquet"
    ss.write(catalogue, mock, provenance={"mock": True})
    result = ss.validate(mock, tmp_path / "out", clusters=known["clusters"], wide_binaries=known["wide_binaries"])
    page = (tmp_path / "out" / "validation.html").read_text()
    assert "MOCK DATA" in page
    assert all(text.split(":")[1].split(",")[0].strip() in page for text in result.fault_sentences)
    assert "http" not in page.replace("http://www.w3.org", "")
    assert ss.read(tmp_path / "out" / "checks.parquet").equals(result.checks)
    assert ss.read(tmp_path / "out" / "checks.csv").height == result.checks.height
    document = json.loads((tmp_path / "out" / "checks.json").read_text())
    assert (document["mock"], document["passed"]) == (True, False)
    assert [row["verdict"] for row in document["checks"]] == result.checks["verdict"].to_list()
    assert ss.read(tmp_path / "out" / "clusters_stars.parquet").height == 3 * MEMBERS
    # Again, in place of the first.
    ss.validate(catalogue, tmp_path / "out", clusters=known["clusters"])
    assert not (tmp_path / "out" / "wide_binaries_stars.parquet").exists()
    assert "clusters: offset of fe_h in b fails" in repr(result)


def test_a_survey_describes_the_other_catalogue() -> None:
    """Its cuts are applied, repeated measurements merged, and stars found by its Gaia identifiers."""
    sky = ss.make_sky(2000, seed=4).tables
    truth, rows = sky["truth"].select("source_id", "teff", "logg", "fe_h"), sky["galah_dr3"]
    survey = ss.load_survey("galah_dr3")
    result = ss.validate(truth, against=rows, survey=survey)
    stars = result.stars["against"]
    cut = ss.clean(rows, survey=survey).table
    assert cut is not None
    assert survey.gaia is not None
    assert 20 < stars.height == stars["source_id"].n_unique() < rows.height
    assert set(stars["source_id"]) <= set(cut[survey.gaia.column])
    assert set(result.checks["label"]) == {"teff", "logg", "fe_h"}
    with pytest.raises(ss.InputError, match="has no labels"):
        ss.validate(truth, against=rows, survey="gaia_dr3")
