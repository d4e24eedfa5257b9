"""Files that are written, in the eyes of the programs that astronomers use: STILTS (TOPCAT's library) and LSDB."""

from __future__ import annotations

import csv
import io as std
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import starscale as ss
from starscale import io
from starscale.io.hats import sink as hats_sink
from starscale.vocabulary.columns import Column, catalogue_columns
from support.places import SUPPORT

pytestmark = pytest.mark.service

N = 3000
COLUMNS = {**catalogue_columns(), "name": Column("name", "string", "", "meta.id", "name of the star")}
METADATA = {
    "starscale.provenance": json.dumps({"mock": True, "text": "ω & <b>\n"}),
    "position_system": "ICRS",
    "position_epoch": "J2016.0",
}


@pytest.fixture(scope="module")
def stilts() -> str:
    found = shutil.which("stilts")
    if found is None:
        pytest.skip("STILTS cannot be had here")
    return found


def table() -> pl.DataFrame:
    """MOCK: a catalogue with nulls of every type."""
    rng = np.random.default_rng(4)
    types = {"int64": pl.Int64, "int32": pl.Int32, "float32": pl.Float32, "float64": pl.Float64}
    types["string"] = pl.String
    columns = {}
    for name, about in catalogue_columns().items():
        values = rng.normal(size=N) * 1000
        if name in ("ra", "dec"):
            values = rng.uniform(0, 360, N) if name == "ra" else np.degrees(np.arcsin(rng.uniform(-1, 1, N)))
        if name == "source_id":
            values = np.arange(N) + 2**61
        if name == "part":
            values = rng.choice(["train", "validation", "test"], N)
        gone = pl.Series(rng.random(N) < (0.0 if name in ("source_id", "ra", "dec") else 0.1))
        series = pl.Series(name, values).cast(types[about.dtype])
        columns[name] = series.zip_with(~gone, series.clear(N))
    names = [f"HD {i}, é" if i % 5 else None for i in range(N)]
    return pl.DataFrame({**columns, "name": pl.Series(names, dtype=pl.String)})


def ask(stilts: str, *arguments: str) -> str:
    done = subprocess.run([stilts, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_votlint_has_nothing_to_say(stilts: str, tmp_path: Path) -> None:
    io.write(table(), tmp_path / "t.vot", columns=COLUMNS, metadata=METADATA)
    done = subprocess.run(
        [stilts, "votlint", str(tmp_path / "t.vot")], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, "", "")


@pytest.mark.parametrize("suffix", [".vot", ".fits", ".parquet", ".mrt"])
def test_stilts_reads_the_same_table(stilts: str, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet" and "parquet" not in ask(stilts, "-help", "tpipe", "ifmt").lower():
        pytest.skip("this STILTS reads no Parquet: Debian packages it without the libraries for that")
    if suffix == ".mrt":
        io.write(table(), tmp_path / "t.parquet", columns=COLUMNS, metadata=METADATA)
        ss.publish(tmp_path / "t.parquet", path, title="Stars", authors=["Doe J."])
    else:
        io.write(table(), path, columns=COLUMNS, metadata=METADATA)
    kind = "mrt" if suffix == ".mrt" else "(auto)"
    counted = ask(stilts, "tpipe", f"in={path}", f"ifmt={kind}", "omode=count")
    assert re.findall(r"\d+", counted) == [str(len(COLUMNS)), str(N)]
    meta = ["tpipe", f"in={path}", f"ifmt={kind}", "cmd=meta name class units ucd description", "ofmt=csv"]
    seen = list(csv.DictReader(std.StringIO(ask(stilts, *meta))))
    assert [row["Name"] for row in seen] == list(COLUMNS)
    if suffix != ".mrt":
        assert [row["Units"] for row in seen] == [about.unit for about in COLUMNS.values()]
        assert [row["Description"] for row in seen] == [about.description for about in COLUMNS.values()]
        assert {row["Name"]: row["Class"] for row in seen} | {"name": "String"} == {
            name: {
                "int64": "Long",
                "int32": "Integer",
                "float32": "Float",
                "float64": "Double",
                "string": "String",
            }[about.dtype]
            for name, about in COLUMNS.items()
        }
    sums = [f"in={path}", f"ifmt={kind}", "cmd=stats name sum nGood", "ofmt=csv"]
    found = {row["Name"]: row for row in csv.DictReader(std.StringIO(ask(stilts, "tpipe", *sums)))}
    for series in table():
        good = int(found[series.name]["NGood"])
        assert good == N - series.null_count(), series.name
        if series.dtype.is_float() and suffix != ".mrt":
            assert np.isclose(float(found[series.name]["Sum"]), series.cast(pl.Float64).sum(), rtol=1e-9)


def test_lsdb_opens_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = os.environ.get("STARSCALE_LSDB_PYTHON")
    if not python:
        pytest.skip("LSDB cannot be had here, or make service-tests was not used")
    monkeypatch.setattr(hats_sink, "PARTITION_ROWS", 200)
    stars = table()
    lost = stars.head(5).with_columns(pl.lit(None, pl.Float64).alias("dec"))
    io.write(pl.concat([stars, lost]), tmp_path / "sky.hats", columns=COLUMNS, metadata=METADATA)
    ra, dec = float(stars["ra"][0]), float(stars["dec"][0])
    client = SUPPORT / "hats_reader.py"
    command = [python, str(client), str(tmp_path / "sky.hats"), str(ra), str(dec), "36000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.partition("JSON")[2])
    assert seen["valid"]
    assert seen["partitions"] >= 24
    assert seen["columns"] == stars.columns
    assert seen["total"] == N
    assert seen["extra"] == "J2016.0"
    found = pl.DataFrame(
        {"source_id": seen["ids"], "teff": pl.Series(seen["teff"], dtype=pl.Float64).cast(pl.Float32)}
    )
    assert found.sort("source_id").equals(stars.select("source_id", "teff"))
    a, d = np.radians(stars["ra"].to_numpy()), np.radians(stars["dec"].to_numpy())
    half = np.sin((d - d[0]) / 2) ** 2 + np.cos(d) * np.cos(d[0]) * np.sin((a - a[0]) / 2) ** 2
    near = np.degrees(2 * np.arcsin(np.sqrt(half))) <= 10
    assert seen["cone"] == sorted(stars["source_id"].filter(pl.Series(near)).to_list())
    assert io.open_table(tmp_path / "sky.hats").n_rows == N + 5
