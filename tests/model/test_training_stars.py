"""The stars of a training: the same parts as in the table they came from, by identifiers of any kind."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale import io
from starscale.features.splits import PARTS
from starscale.model.training_stars import TrainingStars
from starscale.vocabulary.bundle import STARS
from support.recorded_progress import RecordedProgress
from support.small_model import small_model, small_stars

NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=8)


def stars_of(parts: dict[object, str], dtype: str) -> TrainingStars:
    """The list of a training table with these stars, every star twice."""
    ids = pl.Series([*parts, *parts], dtype=pl.String if dtype == "string" else pl.Int64, strict=True)
    found = np.array([*parts.values(), *parts.values()])
    return TrainingStars.of(ids, {name: np.flatnonzero(found == name) for name in PARTS}, dtype)


@pytest.mark.parametrize(("dtype", "kind"), [("int64", NUMBERS), ("string", TEXTS)])
@settings(max_examples=25)
@given(data=st.data())
def test_every_star_has_the_part_of_its_table(data: st.DataObject, dtype: str, kind: st.SearchStrategy) -> None:
    parts = data.draw(st.dictionaries(kind, st.sampled_from(PARTS), max_size=20))
    asked = data.draw(st.lists(st.one_of(st.none(), kind, *([st.sampled_from([*parts])] if parts else []))))
    found = stars_of(parts, dtype).part_of(
        pl.Series(asked, dtype=pl.String if dtype == "string" else pl.Int64, strict=True)
    )
    assert found.dtype == pl.String
    assert found.to_list() == [parts.get(star) for star in asked]


def test_the_hashes_are_those_of_every_version() -> None:
    """Stored in bundles: they may never change."""
    numbers = stars_of({4295806720: "train", -1: "test"}, "int64").hashes
    assert numbers["train"].tolist() == [3855656972196077147]
    assert numbers["validation"].tolist() == []
    assert stars_of({"HD 1": "validation"}, "string").hashes["validation"].tolist() == [17560730434694395061]


def with_stars(rows: int) -> ss.Model:
    """The small model with the first rows of `small_stars` as its own: train, validation, test in turn."""
    ids = small_stars(rows)["source_id"]
    order = {name: np.arange(i, rows, 3) for i, name in enumerate(PARTS)}
    return replace(small_model(), stars=TrainingStars.of(ids, order, "int64"))


def test_a_bundle_keeps_its_stars(tmp_path: Path) -> None:
    model, table = with_stars(30), small_stars(40)
    model.save(tmp_path / "model", card="")
    loaded = ss.load(tmp_path / "model")
    expected = [PARTS[i % 3] if i < 30 else None for i in range(40)]
    assert loaded.predict(table)["part"].to_list() == expected
    assert loaded.digest() == model.digest() != small_model().digest()
    assert (tmp_path / "model" / STARS).stat().st_size < 300 + 8 * 30
    flags = small_model().predict(table)["flags"]
    assert loaded.predict(table)["flags"].equals(flags)


def test_a_damaged_list_is_found(tmp_path: Path) -> None:
    with_stars(30).save(tmp_path / "model", card="")
    data = bytearray((tmp_path / "model" / STARS).read_bytes())
    data[-1] ^= 1
    (tmp_path / "model" / STARS).write_bytes(bytes(data))
    with pytest.raises(ss.InputError, match=rf"{STARS}: was altered"):
        ss.load(tmp_path / "model")
    (tmp_path / "model" / STARS).unlink()
    with pytest.raises(ss.InputError, match=rf"{STARS}: is missing"):
        ss.load(tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    unsorted = TrainingStars({name: np.array([2, 1], dtype=np.uint64) for name in PARTS})
    replace(small_model(), stars=unsorted).save(tmp_path / "model", card="")
    with pytest.raises(ss.InputError, match="has no list of the stars of the part 'train'"):
        ss.load(tmp_path / "model")


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot", ".ecsv", ".csv"])
def test_every_format_keeps_the_part(tmp_path: Path, suffix: str) -> None:
    small_stars(40).write_parquet(tmp_path / "stars.parquet")
    ss.predict(with_stars(30), tmp_path / "stars.parquet", tmp_path / f"catalogue{suffix}")
    found = io.open_table(tmp_path / f"catalogue{suffix}")
    assert found.read()["part"].to_list() == [PARTS[i % 3] if i < 30 else None for i in range(40)]
    if suffix != ".csv":
        assert found.columns["part"].description.startswith("part of the model's training")
    if suffix in (".parquet", ".vot"):
        assert found.columns["part"].ucd == "meta.code.class"


def test_evaluate_leaves_the_training_out_and_says_how_many() -> None:
    model, table, said = with_stars(30), small_stars(40), RecordedProgress()

    def rows(**options: bool) -> int:
        return int(ss.evaluate(model, table, progress=said, **options).filter(by="all")["n"][0])

    assert rows() == 20  # ten of the test part, and ten that are not in the list
    assert said.messages == [
        "note: table: 20 of 40 rows left out, since the model was trained or calibrated on them "
        "(10 train and 10 validation)"
    ]
    assert rows(include_training=True) == 40
    with pytest.raises(ss.InputError, match=r"no rows to compare.*neither trained nor calibrated on"):
        ss.evaluate(model, table[:2])


def test_an_old_bundle_says_that_it_does_not_know() -> None:
    said, table = RecordedProgress(), small_stars(40)
    found = ss.predict(small_model(), table, progress=said)
    assert found.table is not None
    assert found.table["part"].null_count() == 40
    (note,) = [text for text in said.messages if "null columns" in text]
    names = note.rpartition(": ")[2].split(", ")
    assert names[:2] == ["*_scale_error", "*_error_truth"]
    for name in names:
        for column in [c for c in found.table.columns if c.endswith(name.lstrip("*"))]:
            assert found.table[column].null_count() == 40
    assert int(ss.evaluate(small_model(), table, progress=said).filter(by="all")["n"][0]) == 40
    assert [text for text in said.messages if "training stars" in text] == [
        "note: the bundle of the model is of an earlier build and has no list of its training stars: "
        "the column part is null",
        "note: table: the bundle of the model is of an earlier build and has no list of its training stars; "
        "stars of the training are not left out",
    ]


def test_a_run_knows_its_own_stars(finished: Path) -> None:
    training, catalogue = io.read(finished / "training.parquet"), io.read(finished / "catalogue.parquet")
    known = dict(training.select("source_id", "part").iter_rows())
    assert catalogue["part"].to_list() == [known.get(star) for star in catalogue["source_id"]]
    assert catalogue["part"].null_count() == catalogue.height - training.height
