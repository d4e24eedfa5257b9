"""A match from files to files, in memory and through tiles on disk: the same rows."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import starscale as ss
from starscale import io
from starscale.crossmatch import api, free_memory, kept, on_disk, tiles
from starscale.crossmatch.kernel.matcher import Matcher
from starscale.io.scatter import Scatter
from starscale.pipeline.engines.engine import MATCH_MEMORY
from starscale.vocabulary.errors import InputError, StarscaleError
from starscale.vocabulary.settings.match import MatchConfig
from support.recorded_progress import RecordedProgress

TABLES = ("neighbours", "unmatched", "duplicates")


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small mock sky, its rows in no order, some of them damaged in ways that a match must live with."""
    folder = tmp_path_factory.mktemp("sky")
    ss.make_mock(folder, stars=2500, seed=3)
    rng = np.random.default_rng(1)
    gaia = pl.read_parquet(folder / "gaia_dr3.parquet")
    gaia = gaia.with_columns(
        pl.when(pl.int_range(pl.len()) % 97 == 0).then(None).otherwise(pl.col("ra")).alias("ra"),
        pl.when(pl.int_range(pl.len()) % 31 == 0).then(None).otherwise(pl.col("pmra")).alias("pmra"),
        pl.when(pl.int_range(pl.len()) == 50).then(9000.0).otherwise(pl.col("pmdec")).alias("pmdec"),
    )
    gaia[rng.permutation(gaia.height)].write_parquet(folder / "gaia_dr3.parquet")
    other = pl.read_parquet(folder / "skymapper_dr2.parquet")
    other = other.with_columns(
        pl.when(pl.int_range(pl.len()) % 53 == 0).then(5000.0).otherwise(pl.col("e_raj2000")).alias("e_raj2000"),
        pl.when(pl.int_range(pl.len()) % 41 == 0).then(None).otherwise(pl.col("mean_epoch")).alias("mean_epoch"),
        pl.when(pl.int_range(pl.len()) % 89 == 0).then(None).otherwise(pl.col("dej2000")).alias("dej2000"),
    )
    other[rng.permutation(other.height)].write_parquet(folder / "skymapper_dr2.parquet")
    return folder


def run(sky: Path, out: Path, **more: Any) -> Any:
    return ss.match(
        sky / "gaia_dr3.parquet",
        sky / "skymapper_dr2.parquet",
        output=out / "pairs.parquet",
        left_survey="gaia_dr3",
        right_survey="skymapper_dr2",
        **{**{name: out / f"{name}.parquet" for name in TABLES}, **more},
    )


@pytest.mark.parametrize(
    ("settings", "order"),
    [
        ({}, 4),
        ({}, 6),
        ({"mode": "sparse"}, 3),
        ({"method": "nearest", "pairs": "best"}, 4),
        ({"curate": False}, 0),
    ],
)
def test_tiles_give_the_rows_of_the_match_in_memory(
    sky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], order: int
) -> None:
    # Chunks much smaller than the tables, so that every loop goes round.
    monkeypatch.setattr(on_disk, "CHUNK", 700)
    monkeypatch.setattr(tiles, "CHUNK", 900)
    config = MatchConfig.model_validate(settings)
    whole = run(sky, tmp_path / "whole", settings=config)
    tiled = run(sky, tmp_path / "tiled", settings=config, order=order)
    for name in ("pairs", *TABLES):
        one, two = (io.read(tmp_path / way / f"{name}.parquet") for way in ("whole", "tiled"))
        assert_frame_equal(one, two, check_exact=True)
        assert one.height > 0 or (name == "duplicates" and not config.curate)
    assert tiled.model == whole.model
    assert tiled.losses == whole.losses
    assert tiled.n_pairs == whole.n_pairs
    assert abs(tiled.statistics.median_distance - whole.statistics.median_distance) < 2e-4
    same = ("n_lead", "n_external", "n_imprecise", "n_duplicates", "n_pairs", "n_matched", "n_strict", "n_loose")
    assert [getattr(tiled.statistics, n) for n in same] == [getattr(whole.statistics, n) for n in same]
    # Nothing is left of the tiles.
    assert sorted(path.name for path in (tmp_path / "tiled").iterdir()) == sorted(
        f"{name}.parquet" for name in ("pairs", *TABLES)
    )


@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_candidates_wait_on_disk_unless_there_are_too_many(
    sky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    searches, search = [], Matcher.candidates
    monkeypatch.setattr(Matcher, "candidates", lambda self, piece: searches.append(1) or search(self, piece))
    config = MatchConfig.model_validate({"mode": mode})
    run(sky, tmp_path / "once", settings=config, order=3)
    once = len(searches)
    monkeypatch.setattr(kept, "_WORTH", 0.01)
    run(sky, tmp_path / "twice", settings=config, order=3)
    # Pieces without any candidate are kept at any limit.
    assert 1.2 * once < len(searches) - once <= 2 * once
    for name in ("pairs", *TABLES):
        one, two = (io.read(tmp_path / way / f"{name}.parquet") for way in ("once", "twice"))
        assert_frame_equal(one, two, check_exact=True)


def test_large_tables_go_through_tiles_by_themselves(
    sky: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = on_disk.match_on_disk
    monkeypatch.setattr(api, "IN_MEMORY", 100)
    monkeypatch.setattr(api, "free_memory", lambda: 1000)
    # 192 tiles of the whole sky.
    monkeypatch.setattr("starscale.crossmatch.api.TILE", (30, 30))
    monkeypatch.setattr(
        "starscale.crossmatch.api.match_on_disk", lambda *a, **k: seen.append(k["order"]) or real(*a, **k)
    )
    run(sky, tmp_path)
    assert seen == [2]


@pytest.mark.parametrize(
    ("rows", "free", "order", "said"),
    [
        (2_000_000, 0, None, []),
        (20_000_000, 16e9, None, ["match in memory: 20,000,000 rows need about 8.0 GB, and 16.0 GB are free"]),
        (20_000_000, 15e9, 2, ["match in tiles of HEALPix order 2, on disk: 20,000,000 rows"]),
        (20_000_000, 0.7e9, 3, ["match in tiles of HEALPix order 3, on disk: 20,000,000 rows"]),
        (20_000_000, None, 3, ["what is free is not known"]),
    ],
)
def test_the_free_memory_decides_on_tiles(
    rows: int, free: float | None, order: int | None, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "free_memory", lambda: free)
    heard: list[str] = []
    assert api._tiles_of(rows, RecordedProgress(heard)) == order
    assert len(heard) == len(said)
    assert all(text in line for text, line in zip(said, heard, strict=True))


def test_free_memory_is_that_of_the_machine_or_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free_memory, "_MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(free_memory, "_CONTAINER", tmp_path)
    assert free_memory.free_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:  5000 kB\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.free_memory() == 5000 * 1024
    for name, text in {"max": "1000\n", "current": "700\n", "stat": "anon 5\ninactive_file 300\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_memory.free_memory() == 600
    (tmp_path / "meminfo").write_text("nothing")
    assert free_memory.free_memory() == 600


def test_a_run_bounds_the_memory_of_its_match(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "free_memory", lambda: 64e9)
    heard: list[str] = []
    rows = int(MATCH_MEMORY / api.ROW_BYTES)
    assert api._tiles_of(rows, RecordedProgress(heard), MATCH_MEMORY) is None
    assert api._tiles_of(rows + 1, RecordedProgress(heard), MATCH_MEMORY) == api.order_for(rows + 1, MATCH_MEMORY)
    assert heard[1].endswith("64.0 GB are free, of which it may take 1.5")


@given(rows=st.integers(1, 10**10), memory=st.floats(0, 1e11))
def test_tiles_have_about_as_many_rows_as_they_should(rows: int, memory: float) -> None:
    order = api.order_for(rows, memory)
    assert 0 <= order <= 10
    if order:
        least, most = api.TILE
        assert least / 2.1 < rows / (12 * 4**order) < most * 2.1
        # With more memory no tile is smaller.
        assert api.order_for(rows, 2 * memory) <= order
    # One fifty times as full as the average fits, where tiles can be so small.
    if order and memory > api.FULL * least * api.ROW_BYTES:
        assert rows / (12 * 4**order) * api.FULL * api.ROW_BYTES < 2.1 * memory


@pytest.mark.parametrize("order", [None, 3])
def test_bad_input_writes_nothing(sky: Path, tmp_path: Path, order: int | None) -> None:
    table = pl.read_parquet(sky / "skymapper_dr2.parquet")
    cases = {
        "has no rows": table.head(0),
        "rows repeat": pl.concat([table.head(50), table.head(1)]),
        "finite position": table.head(30).with_columns(pl.lit(None, dtype=pl.Float64).alias("raj2000")),
        "out of range": table.head(30).with_columns(pl.lit(99.0).alias("dej2000")),
        "is missing": table.drop("raj2000"),
    }
    for said, bad in cases.items():
        folder = tmp_path / said.replace(" ", "_")
        folder.mkdir()
        bad.write_parquet(folder / "bad.parquet")
        with pytest.raises(InputError, match=said) as caught:
            ss.match(
                sky / "gaia_dr3.parquet",
                folder / "bad.parquet",
                output=folder / "pairs.parquet",
                left_survey="gaia_dr3",
                right_survey="skymapper_dr2",
                order=order,
            )
        assert "bad.parquet" in str(caught.value)
        assert [path.name for path in folder.iterdir()] == ["bad.parquet"]


def test_outputs_must_differ_and_spare_the_inputs(sky: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the same file"):
        run(sky, tmp_path, neighbours=tmp_path / "pairs.parquet")
    with pytest.raises(InputError, match="is the input and the output"):
        run(sky, tmp_path, unmatched=sky / "gaia_dr3.parquet")
    with pytest.raises(InputError, match="HEALPix order"):
        run(sky, tmp_path, order=11)


@pytest.mark.parametrize("last", [1005, 50_000_000_000])
def test_scattered_rows_come_back_group_by_group(tmp_path: Path, last: int) -> None:
    scatter = Scatter(tmp_path)
    first = pl.DataFrame({"x": [1, 2, 3, 4]})
    scatter.append(first, np.array([7, -1, 7, last]))
    scatter.append(pl.DataFrame({"x": [5]}), 7)
    scatter.append(first.head(0), np.empty(0, dtype=np.int64))
    assert scatter.groups == [-1, 7, last]
    assert scatter.read(last)["x"].to_list() == [4]
    assert scatter.read(7)["x"].to_list() == [1, 3, 5]
    assert scatter.read(-1)["x"].to_list() == [2]
    assert scatter.read(3).schema == first.schema
    assert scatter.read(3).is_empty()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what is mapped")
@pytest.mark.parametrize("parts", [1, 2])
def test_tables_do_not_hold_on_to_their_files(tmp_path: Path, parts: int) -> None:
    """A file system over a network keeps a removed file that is in use, and its folder cannot be removed."""
    scatter = Scatter(tmp_path)
    frame = pl.DataFrame({"x": np.arange(9.0), "id": [f"an identifier of some length {i}" for i in range(9)]})
    for _ in range(parts):
        scatter.append(frame, 3)
    found = scatter.take(3)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert_frame_equal(found, pl.concat([frame] * parts))


@pytest.mark.parametrize("order", [None, 3])
def test_an_output_that_cannot_be_written_is_said(sky: Path, tmp_path: Path, order: int | None) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StarscaleError, match="cannot be written"):
        run(sky, tmp_path / "file" / "deeper", order=order, neighbours=None, unmatched=None, duplicates=None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_free_memory_is_at_most_what_the_user_and_the_system_grant(monkeypatch: pytest.MonkeyPatch) -> None:
    free = free_memory.free_memory()
    assert free is not None
    for granted, size in (("1000", 1000), ("2k", 2000), ("1.5 MB", 1_500_000), ("1MiB", 1024**2), ("900T", free)):
        monkeypatch.setenv("STARSCALE_MEMORY", granted)
        assert abs(free_memory.free_memory() - size) <= 0.2 * free * (size == free)
    monkeypatch.setenv("STARSCALE_MEMORY", "much")
    with pytest.raises(InputError, match=r"STARSCALE_MEMORY: 'much'; expected a size in bytes, such as 4G"):
        free_memory.free_memory()
    monkeypatch.delenv("STARSCALE_MEMORY")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + 10**6, resource.RLIM_INFINITY))
    assert 0 <= free_memory.free_memory() <= 10**6 + 10**5
