"""Prediction of files: the catalogue does not depend on chunks and interruptions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import starscale as ss
from starscale import io
from starscale.model.model import Model
from starscale.model.predict import SLICE, _slices
from starscale.tables.repeated import RepeatedIds
from starscale.vocabulary.errors import InputError, StarscaleError
from starscale.vocabulary.flags import CatalogueFlag

CHUNK = 200


@pytest.fixture
def stars(finished: Path, tmp_path: Path) -> Path:
    io.write(io.read(finished / "matched.parquet").head(1100), tmp_path / "stars.parquet")
    return tmp_path / "stars.parquet"


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make predictions fail at a chunk; without an argument, make them work again."""
    right = Model.predict

    def arrange(chunk: int | None = None, error: BaseException | None = None) -> None:
        begun = []

        def failing(self: Model, table: pl.DataFrame, **named: object) -> pl.DataFrame:
            begun.extend([1] * bool(table.height))
            if len(begun) == chunk:
                raise error or KeyboardInterrupt
            return right(self, table, **named)

        monkeypatch.setattr(Model, "predict", failing)

    return arrange


def names(folder: Path) -> set[str]:
    return {item.name for item in folder.iterdir()}


@pytest.mark.parametrize(
    ("suffix", "stops"),
    [("parquet", (1,)), ("parquet", (2, 1, 2)), ("fits", (6,)), ("fits", (2, 1, 2)), ("csv", (3,))],
)
def test_a_stopped_prediction_goes_on_to_the_same_bytes(
    finished: Path, stars: Path, tmp_path: Path, stop: Callable[..., None], suffix: str, stops: tuple[int, ...]
) -> None:
    whole, target = tmp_path / "whole" / f"out.{suffix}", tmp_path / f"out.{suffix}"
    counts = ss.predict(finished / "model", stars, whole, chunk=CHUNK)
    for chunk in stops:
        stop(chunk)
        with pytest.raises(KeyboardInterrupt):
            ss.predict(finished / "model", stars, target, chunk=CHUNK)
        assert not target.exists()
    stop()
    assert ss.predict(finished / "model", stars, target, chunk=CHUNK) == counts
    assert target.read_bytes() == whole.read_bytes()
    assert names(tmp_path) == {"stars.parquet", "whole", target.name}


def test_only_what_is_missing_is_predicted(
    finished: Path, stars: Path, tmp_path: Path, stop: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    stop(4)
    with pytest.raises(KeyboardInterrupt):
        ss.predict(finished / "model", stars, tmp_path / "out.parquet", chunk=CHUNK)
    kept = names(tmp_path / "out.parquet.unfinished")
    assert {f"part-{number:08d}.arrow" for number in range(3)} <= kept | {"part-00000002.arrow"}
    # 1,100 stars are six chunks, of which fewer than five are left, so that this stop has no effect.
    stop(5)
    ss.predict(finished / "model", stars, tmp_path / "out.parquet", chunk=CHUNK, progress=True)
    assert "rows were done before; resuming there" in capsys.readouterr().err


def test_a_table_in_memory_and_a_file_give_the_same_values(
    finished: Path, stars: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = ss.load(finished / "model")
    written = ss.predict(model, stars, tmp_path / "out.parquet", chunk=CHUNK)
    assert written.table is None
    expected = io.read(tmp_path / "out.parquet")
    for table in (stars, io.read(stars)):
        found = ss.predict(model, table, chunk=CHUNK)
        assert found == written
        assert found.table is not None
        assert found.table.equals(expected)
    assert ss.predict(model, io.read(stars), tmp_path / "memory.parquet", chunk=CHUNK) == written
    assert io.read(tmp_path / "memory.parquet").equals(expected)
    nothing = ss.predict(model, io.read(stars).head(0))
    assert nothing.rows == 0
    assert nothing.table is not None
    assert nothing.table.schema == found.table.schema
    assert capfd.readouterr() == ("", "")


def test_an_older_catalogue_stays_until_the_new_one_is_whole(
    finished: Path, stars: Path, tmp_path: Path, stop: Callable[..., None]
) -> None:
    target = tmp_path / "out.parquet"
    target.write_bytes(b"older")
    stop(3)
    with pytest.raises(KeyboardInterrupt):
        ss.predict(finished / "model", stars, target, chunk=CHUNK)
    assert target.read_bytes() == b"older"


def test_other_input_model_or_settings_are_refused(
    finished: Path, stars: Path, tmp_path: Path, stop: Callable[..., None]
) -> None:
    target = tmp_path / "out.parquet"
    stop(3)
    with pytest.raises(KeyboardInterrupt):
        ss.predict(finished / "model", stars, target, chunk=CHUNK)
    stop()
    with pytest.raises(InputError, match="chunk was 200 and is 300"):
        ss.predict(finished / "model", stars, target, chunk=300)
    model = ss.load(finished / "model")
    with pytest.raises(InputError, match="model changed"):
        ss.predict(replace(model, magnitude_range=(0.0, 1.0)), stars, target, chunk=CHUNK)
    # A model in memory is the same as its bundle.
    shutil.copytree(tmp_path / "out.parquet.unfinished", tmp_path / "again.parquet.unfinished")
    ss.predict(model, stars, tmp_path / "again.parquet", chunk=CHUNK)
    os.utime(stars)
    with pytest.raises(InputError, match=r"input changed \(stars.parquet\)"):
        ss.predict(finished / "model", stars, target, chunk=CHUNK)
    assert not target.exists()
    ss.predict(finished / "model", stars, target, chunk=CHUNK, restart=True)
    assert "out.parquet.unfinished" not in names(tmp_path)


def test_input_that_changes_while_it_is_read(
    finished: Path, stars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Model.predict

    def slow(self: Model, table: pl.DataFrame, **named: object) -> pl.DataFrame:
        if table.height:
            os.utime(stars, ns=(7, 7))
        return right(self, table, **named)

    monkeypatch.setattr(Model, "predict", slow)
    before = names(tmp_path)
    os.utime(stars, ns=(5, 5))
    with pytest.raises(InputError, match="was changed while it was read"):
        ss.predict(finished / "model", stars, tmp_path / "out.parquet", chunk=CHUNK)
    assert names(tmp_path) == before


def test_bad_rows_far_down_leave_nothing(finished: Path, stars: Path, tmp_path: Path) -> None:
    damaged = io.read(stars).with_columns(
        pl.when(pl.int_range(pl.len()) == 900)
        .then(pl.lit("many"))
        .otherwise(pl.col("phot_g_mean_mag").cast(pl.String))
        .alias("phot_g_mean_mag")
    )
    io.write(damaged, stars)
    with pytest.raises(InputError, match=r"phot_g_mean_mag.*many"):
        ss.predict(finished / "model", stars, tmp_path / "out.parquet", chunk=CHUNK)
    assert names(tmp_path) == {"stars.parquet"}


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("suffix", ["parquet", "fits"])
def test_hardly_any_rows(finished: Path, stars: Path, tmp_path: Path, rows: int, suffix: str) -> None:
    io.write(io.read(stars).head(rows), tmp_path / f"few.{suffix}")
    counts = ss.predict(finished / "model", tmp_path / f"few.{suffix}", tmp_path / f"out.{suffix}")
    assert counts.rows == io.open_table(tmp_path / f"out.{suffix}").n_rows == rows


def test_a_chunk_in_which_every_row_is_bad(finished: Path, stars: Path, tmp_path: Path) -> None:
    table = io.read(stars)
    inputs = [name for name in ss.load(finished / "model").inputs.columns if name in table.columns]
    blank = [name for name in inputs if name != "source_id" and table[name].dtype.is_numeric()]
    middle = pl.int_range(pl.len()).is_between(CHUNK, 2 * CHUNK, closed="left")
    io.write(table.with_columns(pl.when(~middle).then(pl.col(name)).alias(name) for name in blank), stars)
    counts = ss.predict(finished / "model", stars, tmp_path / "out.parquet", chunk=CHUNK)
    catalogue = io.read(tmp_path / "out.parquet")
    assert catalogue["source_id"].to_list() == table["source_id"].to_list()
    assert catalogue["teff"][CHUNK : 2 * CHUNK].null_count() == CHUNK
    assert (catalogue["flags"][CHUNK : 2 * CHUNK] & int(CatalogueFlag.NOT_PREDICTED) > 0).all()
    assert counts.flags["NOT_PREDICTED"] >= CHUNK
    assert counts.predicted <= table.height - CHUNK


def test_repeated_identifiers_are_counted_and_kept(finished: Path, stars: Path, tmp_path: Path) -> None:
    table = io.read(stars)
    twice = table["source_id"][5]
    (tmp_path / "parts").mkdir()
    io.write(table, tmp_path / "parts" / "a.parquet")
    io.write(pl.concat([table[5:6], table[5:6], table[1000:1001]]), tmp_path / "parts" / "b.parquet")
    counts = ss.predict(finished / "model", tmp_path / "parts", tmp_path / "out.parquet", chunk=CHUNK)
    assert counts.rows == table.height + 3
    assert counts.repeated is not None
    assert (counts.repeated.ids, counts.repeated.rows) == (2, 5)
    assert counts.repeated.example in {str(twice), str(table["source_id"][1000])}
    assert ss.predict(finished / "model", stars, tmp_path / "once.parquet").repeated is None


def test_one_of_several_tables_in_a_file(finished: Path, stars: Path, tmp_path: Path) -> None:
    io.write(io.read(stars), tmp_path / "stars.fits")
    counts = ss.predict(finished / "model", f"{tmp_path}/stars.fits#1", tmp_path / "out.parquet")
    assert counts.rows == 1100


@given(
    st.lists(st.lists(st.integers(0, 12) | st.none(), max_size=30), max_size=5),
    st.booleans(),
    st.sampled_from([0, 20, 1_000_000]),
)
@settings(deadline=None, max_examples=20)
def test_counting_repeated_identifiers(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[list[int | None]], texts: bool, held: int
) -> None:
    folder = tmp_path_factory.mktemp("ids") / "identifiers"
    flat = [value for chunk in chunks for value in chunk if value is not None]
    with patch("starscale.tables.repeated.HELD", held):
        ids = RepeatedIds(folder)
        for chunk in chunks:
            ids.add(pl.Series(chunk, dtype=pl.Int64).cast(pl.String if texts else pl.Int64))
        assert folder.exists() == (len(flat) > held)
        n_ids, n_rows, example = ids.count()
    counts = [flat.count(value) for value in set(flat)]
    assert n_ids == sum(count > 1 for count in counts)
    assert n_rows == sum(count for count in counts if count > 1)
    assert (example is None) == (n_ids == 0)
    assert not folder.exists() or not list(folder.iterdir())


def test_slices_for_threads_change_nothing(finished: Path, stars: Path, tmp_path: Path, monkeypatch) -> None:
    ss.predict(finished / "model", stars, tmp_path / "whole.parquet")
    monkeypatch.setattr("starscale.model.predict.SLICE", 128)
    ss.predict(finished / "model", stars, tmp_path / "sliced.parquet")
    whole, sliced = io.read(tmp_path / "whole.parquet"), io.read(tmp_path / "sliced.parquet")
    assert sliced["source_id"].equals(whole["source_id"])
    for label in ("teff", "logg", "fe_h"):
        assert np.allclose(sliced[label], whole[label], rtol=1e-5, atol=1e-5, equal_nan=True)


@given(st.lists(st.integers(0, 70_000), max_size=4), st.sampled_from([1, 2, 4]))
@settings(deadline=None, max_examples=30)
def test_slices_are_the_batches_cut_for_all_threads(heights: list[int], threads: int) -> None:
    batches = [pl.DataFrame({"x": pl.int_range(height, eager=True)}) for height in heights]
    with (
        patch("starscale.io.threads.cores", lambda: threads),
        patch("starscale.model.predict.cores", lambda: threads),
    ):
        slices = list(_slices(batches))
    assert [last for _, last in slices].count(True) == sum(height > 0 for height in heights)
    joined = pl.concat([batch.head(0) for batch in batches] + [part for part, _ in slices]) if heights else None
    assert joined is None or joined.equals(pl.concat(batches))
    assert all(part.height <= SLICE for part, _ in slices)


def test_the_file_says_what_it_was_made_from(finished: Path, stars: Path, tmp_path: Path) -> None:
    ss.predict(finished / "model", stars, tmp_path / "out.parquet")
    record = json.loads(io.open_table(tmp_path / "out.parquet").metadata["starscale.provenance"])
    assert record["inputs"]["stars"]["sha256"] == io.checksum(stars)
    assert record["model"]["sha256"] == io.checksum(finished / "model")


def command(finished: Path, stars: Path, target: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "starscale", "predict", str(finished / "model"), str(stars)),
        *("-o", str(target), "--chunk", str(CHUNK)),
    ]


@pytest.mark.slow
def test_a_polite_stop_by_the_system(finished: Path, tmp_path: Path) -> None:
    stars, target = tmp_path / "stars.parquet", tmp_path / "out.parquet"
    io.write(pl.concat([io.read(finished / "matched.parquet")] * 20), stars)
    process = subprocess.Popen(command(finished, stars, target), stderr=subprocess.PIPE, text=True)
    first = tmp_path / "out.parquet.unfinished" / "part-00000001.arrow"
    while not first.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[1]
    assert process.returncode == 143, said
    assert "stopped" in said
    assert "the same command resumes there" in said
    assert names(tmp_path) == {"stars.parquet", "out.parquet.unfinished"}
    done = subprocess.run(command(finished, stars, target), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rows were done before" in done.stderr
    assert "identifiers occur more than once" in done.stderr
    assert io.open_table(target).n_rows == io.open_table(stars).n_rows


@pytest.mark.slow
def test_a_full_disk_says_so_and_keeps_what_was_done(finished: Path, stars: Path, tmp_path: Path) -> None:
    """A limit on the size of a file simulates a full disk."""
    target = tmp_path / "out.fits"
    limited = ["bash", "-c", 'ulimit -f 150; exec "$@"', "bash", *command(finished, stars, target)]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert "the same command resumes there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.exists()
    ss.predict(finished / "model", stars, target, chunk=CHUNK)
    whole = tmp_path / "whole" / "out.fits"
    ss.predict(finished / "model", stars, whole, chunk=CHUNK)
    assert target.read_bytes() == whole.read_bytes()


def test_a_folder_that_cannot_be_written(finished: Path, stars: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StarscaleError, match="cannot be written"):
        ss.predict(finished / "model", stars, tmp_path / "file" / "out.parquet")
    with pytest.raises(InputError, match="no suffix"):
        ss.predict(finished / "model", stars, tmp_path / "out")
    assert names(tmp_path) == {"stars.parquet", "file"}
