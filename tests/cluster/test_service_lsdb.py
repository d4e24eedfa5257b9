"""The distributed engine gives the rows and values of the path on one machine. Needs an environment with LSDB."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import starscale as ss
from starscale.io import open_table
from support.places import SOURCE, SUPPORT

pytestmark = pytest.mark.service

CLIENT = SUPPORT / "lsdb_client.py"

OWN = """
name = "own"
title = "A survey whose files hold degrees"
kind = "photometric"
id = { column = "object" }
[position]
ra = "ra"
dec = "dec"
ra_error = "e_ra"
dec_error = "e_ra"
[columns]
object = { dtype = "int64" }
ra = { unit = "deg" }
dec = { unit = "deg" }
e_ra = { unit = "mas", file_unit = "deg", description = "error of the position" }
"""


@pytest.fixture(scope="module")
def python() -> Path:
    found = os.environ.get("STARSCALE_LSDB_PYTHON")
    if not found:
        pytest.skip("LSDB cannot be had here, or make service-tests was not used")
    return Path(found)


def started(python: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    # The engine must be of this very checkout, whatever is installed beside LSDB.
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [str(python), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)


def work(python: Path, *arguments: object) -> Any:
    done = started(python, CLIENT, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def stars(python: Path, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The matched stars of a run as a HATS catalogue of many partitions."""
    folder = tmp_path_factory.mktemp("hats") / "stars.hats"
    made = work(python, "make", finished / "matched.parquet", "ra", "dec", 300, folder)
    assert made["partitions"] >= 24
    return folder


def test_two_workers_give_the_rows_of_one_machine(
    python: Path, finished: Path, stars: Path, tmp_path: Path
) -> None:
    bundle, target = finished / "model", tmp_path / "catalogue.hats"
    counts = ss.predict(bundle, stars, tmp_path / "catalogue.parquet")
    options = ["--engine", "lsdb", "--workers", 2]
    done = started(python, "-m", "starscale", "predict", bundle, stars, "-o", target, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{counts.predicted:,} of {counts.rows:,} stars predicted" in done.stdout
    local, spread = ss.read(tmp_path / "catalogue.parquet"), ss.read(target)
    # To the last bit, in the same order; the index of HATS comes on top.
    assert spread.columns == ["_healpix_29", *local.columns]
    assert spread["_healpix_29"].equals(ss.read(stars)["_healpix_29"])
    assert spread.select(local.columns).equals(local)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalogue.hats", "catalogue.parquet"]
    columns = open_table(target).columns
    assert columns["_healpix_29"].ucd == "pos.healpix"
    described = open_table(tmp_path / "catalogue.parquet").columns
    assert {name: columns[name] for name in described} == described
    provenance = json.loads(open_table(target).metadata["starscale.provenance"])
    assert provenance["mock"]
    assert provenance["model"]["sha256"]
    assert provenance["inputs"]["stars"]["partitions"] >= 24
    # Values that were converted from the unit of files say so to LSDB as well, and are not converted again.
    survey, other = tmp_path / "own.toml", tmp_path / "own.hats"
    survey.write_text(OWN)
    raw = {"object": [1, 2], "ra": [1.0, 2.0], "dec": [1.0, 2.0], "e_ra": [1e-5, None]}
    ss.clean(pl.DataFrame(raw), survey=survey, output=other)
    found = work(python, "opened", target, other, survey)
    assert found["error"] == [pytest.approx(36.0), None]
    assert found["noted"]
    assert found["rows"] == found["computed"] == found["near"] == local.height
    assert found["unit"] == "K"
    assert found["valid"]
    assert found["position"] == ["ra", "dec"]


def test_a_model_is_a_function_of_partitions(python: Path, finished: Path, stars: Path) -> None:
    found = work(python, "partitions", finished / "model", stars)
    assert found["rows"] == ss.read(stars).height
    assert found["same"]
    assert found["indices"] == ["_healpix_29", "_healpix_29"]
    # Not the weights travel with every task, but their address; and they are read and compiled once a worker.
    assert found["sent"] < 1000
    assert found["loads"] == [[1, found["programs"]]] * 2


def test_a_worker_that_is_killed_loses_no_rows(python: Path, finished: Path, stars: Path, tmp_path: Path) -> None:
    target = tmp_path / "catalogue.hats"
    done = work(python, "kill", finished / "model", stars, target)
    assert done["killed"] == 1
    # The client was the user's own and is left open.
    assert done["client"] == "running"
    ss.predict(finished / "model", stars, tmp_path / "catalogue.parquet")
    local = ss.read(tmp_path / "catalogue.parquet")
    assert ss.read(target).select(local.columns).equals(local)
    assert done["rows"] == local.height


def test_what_is_wrong_with_a_catalogue_is_said_and_nothing_is_left(
    python: Path, finished: Path, stars: Path, tmp_path: Path
) -> None:
    files = sorted((stars / "dataset").rglob("Npix=*.parquet"))
    extra, without, damaged = (tmp_path / name for name in ("extra", "without", "damaged"))
    for folder in (extra, without, damaged):
        shutil.copytree(stars, folder)
    inside = [files[7].relative_to(stars), files[9].relative_to(stars)]
    shutil.copy(files[7], (extra / inside[0]).with_name("Npix=999.parquet"))
    (without / inside[0]).unlink()
    (damaged / inside[1]).write_bytes(files[9].read_bytes()[:-300])

    def predicted(source: Path, *options: object) -> str:
        target = tmp_path / "out.hats"
        arguments = ["predict", finished / "model", source, "-o", target, "--engine", "lsdb", *options]
        done = started(python, "-m", "starscale", *arguments)
        assert done.returncode == 2, done.stderr[-3000:]
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "is not in partition_info.csv" in predicted(extra)
    assert "lacks 1 partition: Norder=" in predicted(without)
    message = predicted(damaged, "--workers", 2)
    assert f"partition Norder={inside[1].parts[1][7:]}, {inside[1].stem}: cannot be read" in message
    assert "does not answer" in predicted(stars, "--scheduler", "tcp://127.0.0.1:9")
    assert "given together" in predicted(stars, "--scheduler", "tcp://127.0.0.1:9", "--workers", 2)
    assert {path.name for path in tmp_path.iterdir()} == {"extra", "without", "damaged"}


@pytest.fixture(scope="module")
def skies(python: Path, sky: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The mock Gaia and SkyMapper as HATS catalogues."""
    folder = tmp_path_factory.mktemp("skies")
    found = []
    for name, ra, dec, rows in (("gaia_dr3", "ra", "dec", 1200), ("skymapper_dr2", "raj2000", "dej2000", 1300)):
        found.append(folder / f"{name}.hats")
        made = work(python, "make", sky / "mock" / f"{name}.parquet", ra, dec, rows, found[-1])
        assert made["partitions"] >= 24
    return found


@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_two_workers_find_the_pairs_of_one_machine(
    python: Path, skies: list[Path], tmp_path: Path, mode: str
) -> None:
    folder = tmp_path / "match"
    assert work(python, "match", *skies, mode, folder)["same"]
    for table in ("pairs", "neighbours", "unmatched", "duplicates"):
        local, spread = (ss.read(folder / f"{name}_{table}.parquet") for name in ("local", "lsdb"))
        assert local.height > 0, table
        assert spread.equals(local), table
    assert len(list(folder.iterdir())) == 8


def test_the_crossmatch_of_lsdb_takes_our_algorithm(python: Path, sky: Path) -> None:
    tables = [sky / "mock" / f"{name}.parquet" for name in ("gaia_dr3", "skymapper_dr2")]
    done = work(python, "algorithm", *tables)
    assert done["same"]
    assert done["pairs"] > 1000


@pytest.fixture(scope="module")
def catalogues(skies: list[Path], sky: Path) -> list[Path]:
    """Catalogues that are neither cleaned nor matched, and distances, which have no partitions."""
    return [skies[0], sky / "mock" / "bailer_jones_edr3.parquet", skies[1]]


@pytest.fixture(scope="module")
def applied(finished: Path, catalogues: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the path on one machine makes of them."""
    output = tmp_path_factory.mktemp("applied") / "local.parquet"
    ss.apply(finished / "model", catalogues, output, clean=True)
    return output


def compare_applied(local: Path, spread: Path) -> None:
    """All tables of an applied model: values, columns, and order of the rows."""
    there = {path.stem: path for path in Path(f"{spread}.run").iterdir()}
    names = [f"{kind}_skymapper_dr2" for kind in ("clean", "pairs", "neighbours", "unmatched", "duplicates")]
    for name in ("clean_gaia_dr3", "matched", *names):
        assert ss.read(there[name]).equals(ss.read(f"{local}.run/{name}.parquet")), name
    assert there["matched"].suffix == ".hats"
    assert ss.read(spread).drop("_healpix_29").equals(ss.read(local))
    records = [json.loads(Path(f"{path}.run", "provenance.json").read_text()) for path in (local, spread)]
    counts = [{name: step["result"] for name, step in record["steps"].items()} for record in records]
    assert counts[0] == counts[1]
    assert records[1]["engine"]["name"] == "lsdb"


def apply_command(finished: Path, tables: list[Path], output: Path, workers: int) -> list[object]:
    given = [word for table in tables for word in ("--table", table)]
    options = ["--clean", "--engine", "lsdb", "--workers", workers]
    return ["-m", "starscale", "apply", finished / "model", *given, "-o", output, *options]


def test_a_model_is_applied_on_partitions(
    python: Path, finished: Path, catalogues: list[Path], applied: Path, tmp_path: Path
) -> None:
    """A worker is killed in the middle; and the same catalogue computed on demand."""
    output = tmp_path / "spread.hats"
    found = work(python, "apply", finished / "model", output, *catalogues)
    compare_applied(applied, output)
    assert found["killed"] == 1
    assert found["rows"] == ss.read(applied).height
    assert found["same"]
    assert found["asked"], "slopes of what is computed on demand"
    assert 0 < found["near"] < found["rows"]
    assert found["partitions"] >= 20


def test_apply_resumes_with_one_worker_when_its_process_was_killed(
    python: Path, finished: Path, catalogues: list[Path], applied: Path, tmp_path: Path
) -> None:
    output = tmp_path / "spread.hats"
    command = [str(word) for word in (python, *apply_command(finished, catalogues, output, 1))]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    record = Path(f"{output}.run") / "provenance.json"
    while "clean gaia_dr3" not in (json.loads(record.read_text())["steps"] if record.exists() else {}):
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = started(python, *apply_command(finished, catalogues, output, 1))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "clean gaia_dr3: unchanged" in done.stderr
    compare_applied(applied, output)
    assert not list(tmp_path.rglob("*.partial-*"))


RUN_FILE = """\
mock = true
catalogue.survey = "gaia_dr3"
catalogue.path = "{gaia}"
catalogue.join = [{{ survey = "bailer_jones_edr3", path = "{mock}/bailer_jones_edr3.parquet" }}]
photometry = [{{ survey = "skymapper_dr2", path = "{mock}/skymapper_dr2.parquet" }}]
labels = [{{ survey = "galah_dr3", path = "{mock}/galah_dr3.parquet" }}]
sample.max_stars = 200
importance.apply = false
model.kind = "mean"

[[compare]]
name = "truth (mock)"
path = "{mock}/truth.parquet"
columns = {{ teff = "teff" }}
"""


def test_a_training_run_with_four_workers_and_a_table_that_is_not_hats(
    python: Path, skies: list[Path], sky: Path, tmp_path: Path
) -> None:
    """Photometry comes in the order of its stars, so that even the sample of the training is the same."""
    run_file = tmp_path / "run.toml"
    run_file.write_text(RUN_FILE.format(gaia=skies[0], mock=sky / "mock"))
    local, spread = tmp_path / "local", tmp_path / "spread"
    ss.run(run_file, local)
    done = started(python, "-m", "starscale", "run", run_file, "-o", spread, "--engine", "lsdb", "--workers", 4)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ss.read(spread / "training.parquet").equals(ss.read(local / "training.parquet"))
    assert ss.read(spread / "matched.hats").equals(ss.read(local / "matched.parquet"))
    assert ss.read(spread / "catalogue.hats").drop("_healpix_29").equals(ss.read(local / "catalogue.parquet"))
    assert (spread / "metrics.json").read_text() == (local / "metrics.json").read_text()
    assert str(spread / "catalogue.hats") in done.stdout
