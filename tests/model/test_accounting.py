"""Every row that a verb reads is in its output, or was removed for a reason that is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import starscale as ss
from fuzz.originals import as_toml
from starscale import io
from starscale.tables.api import PROVENANCE_KEY
from starscale.tables.clean import account_of
from starscale.tables.cuts import Attrition
from starscale.vocabulary.accounting import RowAccount, UnaccountedRowsError
from starscale.vocabulary.columns import LABELS
from starscale.vocabulary.strict import validate
from support import homogenize_skies
from support.often import OFTEN
from support.small_model import SURVEY, small_model, small_stars

#: A second catalogue of the same stars, with positions that have errors.
OTHER = validate(
    ss.Survey,
    {
        "name": "other",
        "title": "Another survey",
        "sentinels": [-999.0],
        "kind": "photometric",
        "id": {"column": "object_id"},
        "position": {"ra": "ra", "dec": "dec", "ra_error": "ra_error", "dec_error": "dec_error"}
        | {"epoch": {"default": 2016.0}},
        "columns": {"object_id": {"dtype": "int64"}, "ra": {"unit": "deg"}, "dec": {"unit": "deg"}}
        | {"ra_error": {"unit": "mas"}, "dec_error": {"unit": "mas"}, "z": {"unit": "mag"}},
    },
    "other",
)
MODEL = small_model()


def damaged(seed: int, n: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two catalogues of stars with missing and NaN values, repeated sources and rows in any order."""
    rng = np.random.default_rng(seed)
    stars = small_stars(n, seed).drop("teff")
    odd = [
        pl.when(pl.Series(rng.random(n) < 0.1)).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in zip(
            rng.choice(["ra", "dec", "parallax", "g", "r", "ra_error"], 4, replace=False),
            (None, float("nan"), -999.0, None),
            strict=False,
        )
        if name in stars.columns
    ]
    stars = stars.with_columns(odd).sample(fraction=1.0, shuffle=True, seed=seed)
    many = stars.select("ra", "dec").sample(n, with_replacement=True, seed=seed)
    shift = pl.Series(rng.normal(0, 1e-5, n))
    other = many.with_columns(
        pl.Series("object_id", rng.permutation(n)),
        # What says "missing" stays as it is.
        pl.when(pl.col("dec") == -999).then("dec").otherwise(pl.col("dec") + shift),
        pl.lit(30.0).alias("ra_error"),
        pl.when(pl.Series(rng.random(n) < 0.1)).then(None).otherwise(30.0).alias("dec_error"),
        pl.Series("z", rng.uniform(10, 20, n)),
    )
    return stars, other


def pipeline(seed: int, n: int) -> None:
    """Clean, match and predict, and count the rows of every step by hand."""
    stars, other = damaged(seed, n)
    cleaned = ss.clean(stars, survey=SURVEY)
    assert cleaned.table is not None
    account = cleaned.account
    assert (account.rows_in, account.rows_out) == (n, cleaned.table.height)
    assert account.rows_out == n - sum(account.removed.values())
    if not cleaned.table.height:
        return
    matched = ss.match(cleaned.table, other, left_survey=SURVEY, right_survey=OTHER)
    assert matched.pairs is not None
    assert matched.unmatched is not None
    leading = cleaned.table.height if matched.statistics.mode == "dense" else n
    assert matched.account == RowAccount(leading, matched.pairs.height, matched.losses)
    assert matched.unmatched.height == sum(matched.losses.values())
    predicted = ss.predict(MODEL, cleaned.table)
    assert predicted.table is not None
    assert predicted.account == RowAccount(cleaned.table.height, predicted.table.height)
    assert predicted.table["source_id"].to_list() == cleaned.table["source_id"].to_list()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_every_row_of_a_random_pipeline_is_accounted_for(seed: int, n: int) -> None:
    pipeline(seed, n)


@pytest.mark.slow
def test_every_row_of_many_random_pipelines_is_accounted_for() -> None:
    for seed in range(250 * OFTEN):
        pipeline(seed + 1_000_000, 1 + seed % 300)


def test_the_account_is_stored_with_the_table(tmp_path: Path) -> None:
    stars, other = damaged(1, 50)
    ss.write(stars, tmp_path / "stars.parquet")
    ss.write(other, tmp_path / "other.parquet")
    cleaned = ss.clean(tmp_path / "stars.parquet", survey=SURVEY, output=tmp_path / "clean.parquet")
    sides = {"left_survey": SURVEY, "right_survey": OTHER}
    tables = (tmp_path / "clean.parquet", tmp_path / "other.parquet")
    matched = ss.match(*tables, output=tmp_path / "pairs.parquet", **sides)
    tiled = ss.match(*tables, output=tmp_path / "tiled.parquet", order=3, **sides)
    predicted = ss.predict(MODEL, tmp_path / "clean.parquet", tmp_path / "catalogue.parquet")
    found = {"clean": cleaned, "pairs": matched, "tiled": tiled, "catalogue": predicted}
    for name, result in found.items():
        stored = json.loads(io.open_table(tmp_path / f"{name}.parquet").metadata[PROVENANCE_KEY])["rows"]
        assert stored == result.account.document(), name
        assert io.open_table(tmp_path / f"{name}.parquet").n_rows == stored["out"], name


def label_table(seed: int, n: int) -> pl.DataFrame:
    """Labels of some of n stars, with missing values, repeats, exact copies and rows in any order."""
    rng = np.random.default_rng(seed)
    truth = homogenize_skies.stars(n, np.random.default_rng(1))
    chosen = np.concatenate([np.arange(n), rng.integers(0, n, n // 5)])
    table = homogenize_skies.observed("x", truth, chosen, rng).table
    table = pl.concat([table, table.sample(n // 10, seed=seed)])
    for name in ("gaia", "snr", "t", "g", "m", "e_t"):
        lost = pl.Series(rng.random(table.height) < 0.05)
        table = table.with_columns(pl.when(~lost).then(name).alias(name))
    nothing = pl.Series(rng.random(table.height) < 0.05)
    table = table.with_columns(pl.when(~nothing).then(name).alias(name) for name in ("t", "g", "m"))
    return table.with_columns(id=pl.Series(rng.permutation(table.height)))


def removed_by_hand(table: pl.DataFrame) -> dict[str, int]:
    """Count, row by row, what `homogenize` leaves out, and why."""
    removed, seen = {"bright": 0, "no star": 0, "no label": 0, "copy of another row": 0}, set()
    for row in table.iter_rows(named=True):
        key = (row["gaia"], row["t"], row["g"], row["m"])
        # A label outside its physical limits is none.
        inside = [(row[column], LABELS[name]) for name, column in homogenize_skies.COLUMNS.items()]
        if row["snr"] is None or row["snr"] <= 30:
            removed["bright"] += 1
        elif row["gaia"] is None:
            removed["no star"] += 1
        elif not any(value is not None and label.lower <= value <= label.upper for value, label in inside):
            removed["no label"] += 1
        elif key in seen:
            removed["copy of another row"] += 1
        else:
            seen.add(key)
    return {reason: n for reason, n in removed.items() if n}


def homogenized(seed: int, n: int, folder: Path) -> None:
    """Homogenize two surveys, put a third table on their scale, and count all rows by hand."""
    tables = {name: label_table(seed + number, n) for number, name in enumerate(("anchor", "second"))}
    surveys = {
        name: homogenize_skies.survey(name, cuts=[{"name": "bright", "keep": "snr > 30"}]) for name in tables
    }
    text = ""
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
        document = surveys[name].model_dump(mode="json", exclude_defaults=True)
        (folder / f"{name}.toml").write_text(as_toml(document))
        text += f'[[labels]]\nsurvey = "{name}.toml"\npath = "{name}.parquet"\n'
    (folder / "labels.toml").write_text(text)
    result = ss.homogenize(folder / "labels.toml", folder / "labels.parquet")
    for name, table in tables.items():
        account = result.accounts[name]
        assert account.rows_in == table.height
        assert account.removed == removed_by_hand(table), name
        assert account.rows_out == (result.measurements["survey"].cast(pl.String) == name).sum()
    again = result.measurements.height - result.labels.height
    removed = {"further measurement of a star": again} if again else {}
    assert result.account == RowAccount(result.measurements.height, result.labels.height, removed)
    stored = io.open_table(folder / "labels.parquet").metadata[PROVENANCE_KEY]
    assert json.loads(stored)["rows"] == result.account.document()
    more = ss.recalibrate(tables["second"], result.calibration, survey=surveys["second"])
    assert more["id"].to_list() == tables["second"]["id"].to_list()


@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 2))
def test_every_row_of_label_surveys_is_accounted_for(tmp_path: Path, seed: int) -> None:
    homogenized(seed, 150, tmp_path)


@pytest.mark.slow
def test_every_row_of_many_label_surveys_is_accounted_for(tmp_path: Path) -> None:
    for seed in range(10 * OFTEN):
        homogenized(seed + 1_000_000, 100 + seed, tmp_path)


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1), st.integers(30, 80))
def test_every_row_of_a_validation_is_accounted_for(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.permutation(n)
    part = rng.choice(["train", "test", ""], n).tolist()
    value = pl.Series(rng.normal(4, 1, n)).set(pl.Series(rng.random(n) < 0.1), None)
    catalogue = pl.DataFrame({"source_id": ids, "logg": value, "teff": 5000.0, "part": part})
    known = pl.DataFrame({"source_id": rng.permutation(2 * n)[:n], "logg": rng.normal(4, 1, n)})
    known = known.with_columns(pl.when(pl.Series(rng.random(n) < 0.9)).then("source_id").alias("source_id"))
    result = ss.validate(catalogue, seismic=known, keep="logg > 3")
    named = catalogue.filter(pl.col("source_id").is_in(known["source_id"].drop_nulls().implode()))
    kept = named.filter(pl.col("logg") > 3)
    fresh = kept.filter(pl.col("part").ne_missing("train"))
    removed = {"in no other table": n - named.height, "keep": named.height - kept.height}
    removed["of the training"] = kept.height - fresh.height
    assert result.accounts["catalogue"] == RowAccount(n, fresh.height, {k: v for k, v in removed.items() if v})
    assert result.accounts["seismic"].rows_in == n
    assert result.accounts["seismic"].rows_out == result.stars["seismic"].height == fresh.height
    assert result.accounts["seismic"].removed.get("no identifier", 0) == known["source_id"].null_count()


def test_accounts_add_up() -> None:
    one, other = RowAccount(5, 3, {"a": 2}), RowAccount(4, 1, {"a": 1, "b": 2})
    assert one + other == RowAccount(9, 4, {"a": 3, "b": 2})
    assert RowAccount.from_document(other.document()) == other


@pytest.mark.parametrize(("rows_in", "rows_out", "removed"), [(3, 2, {}), (3, 2, {"a": 2}), (2, 3, {"a": -1})])
def test_numbers_that_do_not_add_up_are_a_defect_of_ours(rows_in: int, rows_out: int, removed: dict) -> None:
    with pytest.raises(UnaccountedRowsError, match=f"{rows_in} rows were read and {rows_out} are left"):
        RowAccount(rows_in, rows_out, removed)


def test_a_mismatch_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ss.write(small_stars(20), tmp_path / "stars.parquet")
    monkeypatch.setattr(io.Writer, "n_rows", property(lambda self: 7, lambda self, value: None), raising=False)
    for verb in (
        lambda: ss.clean(tmp_path / "stars.parquet", survey=SURVEY, output=tmp_path / "out.parquet"),
        lambda: ss.convert(tmp_path / "stars.parquet", tmp_path / "out.parquet"),
        lambda: ss.predict(MODEL, tmp_path / "stars.parquet", tmp_path / "out.parquet"),
    ):
        with pytest.raises(UnaccountedRowsError):
            verb()
        assert not (tmp_path / "out.parquet").exists()
    with pytest.raises(UnaccountedRowsError):
        account_of(Attrition(5, ()), 6, 5)
