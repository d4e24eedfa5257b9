"""`check --verify` predicts rows of a catalogue again, from what its provenance names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.model.verify import verify_catalogue
from starscale.tables.api import PROVENANCE_KEY
from support.command import command
from support.small_model import small_model, small_stars

ROWS = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, stars and catalogues of them; tests change copies."""
    folder = tmp_path_factory.mktemp("verify")
    small_model().save(folder / "model", card="# A small model\n")
    ss.write(small_stars(ROWS, 5).drop("teff"), folder / "stars.parquet")
    for suffix in ("parquet", "fits", "vot", "ecsv"):
        ss.predict(folder / "model", folder / "stars.parquet", folder / f"c.{suffix}")
    return folder


@pytest.mark.parametrize("suffix", ["parquet", "fits", "vot", "ecsv"])
def test_a_catalogue_is_as_its_model_predicts(made: Path, suffix: str) -> None:
    said = ss.check(made / f"c.{suffix}", verify=True)
    assert [text for text in said if f"verified: {ROWS} of {ROWS} rows" in text]
    (width,) = {io.open_table(made / "c.parquet").read().width}
    assert [text for text in said if f"verified: {width} columns agree" in text]


@pytest.mark.parametrize("threads", ["1", "2", "4"])
def test_threads_chunks_and_the_order_of_rows_change_no_value(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.setenv("STARSCALE_CORES", threads)
    ss.predict(made / "model", made / "stars.parquet", tmp_path / "same.parquet")
    assert io.checksum(tmp_path / "same.parquet") == io.checksum(made / "c.parquet")
    ss.write(ss.read(made / "stars.parquet").sample(fraction=1.0, shuffle=True, seed=1), tmp_path / "s.parquet")
    ss.predict(made / "model", tmp_path / "s.parquet", tmp_path / "c.parquet", chunk=7)
    whole, other = (ss.read(path).sort("source_id") for path in (made / "c.parquet", tmp_path / "c.parquet"))
    assert whole.equals(other)


def altered(frame: pl.DataFrame, name: str, change: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    """The catalogue with another value in its row 12."""
    here = pl.int_range(pl.len()) == 11
    return frame.with_columns(pl.when(here).then(change(pl.col(name))).otherwise(pl.col(name)).alias(name))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("teff", lambda x: x * 1.0001),
        ("teff", lambda x: pl.lit(None, pl.Float64)),
        ("flags", lambda x: x + 1),
        ("source_id", lambda x: x + 1),
    ],
)
def test_a_value_that_was_changed_is_found(
    made: Path, tmp_path: Path, name: str, change: Callable[[pl.Expr], pl.Expr]
) -> None:
    source = io.open_table(made / "c.parquet")
    changed = altered(source.read(), name, change).cast(dict(source.schema))
    io.write(changed, tmp_path / "c.parquet", columns=source.columns, metadata=source.metadata)
    with pytest.raises(ss.InputError, match=rf"column '{name}'.*differs in 1 of {ROWS} rows \(row 12 holds"):
        ss.check(tmp_path / "c.parquet", verify=True)


@pytest.mark.parametrize(("share", "passes"), [(0.02, True), (0.2, False)])
@pytest.mark.parametrize("name", ["teff", "teff_lower95", "teff_error"])
def test_on_another_processor_last_digits_may_differ(
    made: Path, tmp_path: Path, name: str, share: float, passes: bool
) -> None:
    source = io.open_table(made / "c.parquet")
    error = pl.col(f"{name.partition('_')[0]}_error")
    changed = altered(source.read(), name, lambda x: x + share * error).cast(dict(source.schema))
    record = json.loads(source.metadata[PROVENANCE_KEY])
    metadata = dict(source.metadata) | {PROVENANCE_KEY: json.dumps(record | {"processor": "another"})}
    io.write(changed, tmp_path / "c.parquet", columns=source.columns, metadata=metadata)
    for file in ("model", "stars.parquet"):
        (tmp_path / file).symlink_to(made / file)
    if passes:
        said = ss.check(tmp_path / "c.parquet", verify=True)
        assert [text for text in said if "made on another processor (another)" in text]
    else:
        with pytest.raises(ss.InputError, match=rf"column '{name}'.*differs in 1 of {ROWS} rows"):
            ss.check(tmp_path / "c.parquet", verify=True)


def test_a_model_or_table_that_was_changed_or_is_gone_is_named(made: Path, tmp_path: Path) -> None:
    small_model().save(tmp_path / "model", card="# A small model\n")
    ss.write(small_stars(ROWS, 5).drop("teff"), tmp_path / "stars.parquet")
    ss.predict(tmp_path / "model", tmp_path / "stars.parquet", tmp_path / "c.parquet")
    ss.write(small_stars(ROWS, 6).drop("teff"), tmp_path / "stars.parquet")
    with pytest.raises(ss.InputError, match=r"stars\.parquet: was changed after the catalogue"):
        verify_catalogue(tmp_path / "c.parquet")
    (tmp_path / "stars.parquet").unlink()
    with pytest.raises(ss.InputError, match=r"stars\.parquet, the table of stars, which is not there"):
        verify_catalogue(tmp_path / "c.parquet")
    with pytest.raises(ss.InputError, match="does not say from which model"):
        ss.check(made / "stars.parquet", verify=True)


def test_renamed_columns_a_moved_folder_and_the_command(made: Path, tmp_path: Path) -> None:
    small_model().save(tmp_path / "first" / "model", card="# A small model\n")
    ss.write(small_stars(ROWS, 5).drop("teff").rename({"g": "gmag"}), tmp_path / "first" / "stars.parquet")
    files = [tmp_path / "first" / name for name in ("model", "stars.parquet", "c.parquet")]
    ss.predict(*files, rename={"g": "gmag"})
    (tmp_path / "first").rename(tmp_path / "second")
    done = command("check", tmp_path / "second" / "c.parquet", "--verify")
    assert done.returncode == 0, done.stderr
    assert f"{ROWS} of {ROWS} rows" in done.stdout
