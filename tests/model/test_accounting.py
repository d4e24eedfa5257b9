"""Every row that a verb reads is in its output, or was removed for a reason that is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale import io
from starscale.tables.api import PROVENANCE_KEY
from starscale.tables.clean import account_of
from starscale.tables.cuts import Attrition
from starscale.vocabulary.accounting import RowAccount, UnaccountedRowsError
from starscale.vocabulary.strict import validate
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
