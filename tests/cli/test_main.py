"""The command as a stranger meets it: help, exit codes, messages; every kind of bad input."""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer import Typer

import starscale as ss
from starscale import io
from starscale.cli.verbs import MODULES, help_of, load
from starscale.model.model import Model
from support.command import command as starscale
from support.quick_run import quick


def process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command as users do; most tests use `starscale`, which is the same without the imports."""
    return subprocess.run(
        [sys.executable, "-m", "starscale", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """A user's mistake: exit code 2, no traceback, and a message with these words."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.fixture
def stars(sky: Path, tmp_path: Path) -> Path:
    """A writable copy of the mock tables."""
    shutil.copytree(sky / "mock", tmp_path / "mock")
    return tmp_path / "mock"


def clean(table: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    join = f"bailer_jones_edr3={table.parent / 'bailer_jones_edr3.parquet'}"
    return starscale("clean", table, "--survey", "gaia_dr3", "--join", join, "-o", out, *more)


@pytest.mark.parametrize(("chosen", "expected"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_a_command_has_one_thread_for_products_unless_the_user_chose(
    chosen: dict[str, str], expected: str, tmp_path: Path
) -> None:
    program = (
        "import atexit, gc, os, sys\n"
        "from starscale.cli.main import main\n"
        "atexit.register(lambda: print(os.environ['OPENBLAS_NUM_THREADS'], gc.get_threshold()[0]))\n"
        "assert 'numpy' not in sys.modules\n"
        "main()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | chosen
    done = subprocess.run(
        [sys.executable, "-c", program, "info", str(tmp_path / "none.parquet")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    threads, threshold = done.stdout.split()
    assert threads == expected
    assert int(threshold) > 700


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="a matter of the GNU C library")
@pytest.mark.parametrize("chosen", [None, "5"])
def test_threads_of_a_command_share_their_memory(chosen: str | None, tmp_path: Path) -> None:
    program = (
        "import atexit, ctypes, sys, threading\n"
        "from starscale.cli.main import main\n"
        "def report():\n"
        "    libc, barrier = ctypes.CDLL(None), threading.Barrier(40)\n"
        "    libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p\n"
        "    libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]\n"
        "    libc.fclose.argtypes = [ctypes.c_void_p]\n"
        "    threads = [threading.Thread(target=lambda: (libc.malloc(100), barrier.wait())) for _ in range(40)]\n"
        "    [t.start() for t in threads], [t.join() for t in threads]\n"
        "    file = libc.fopen(sys.argv[2].encode(), b'w')\n"
        "    libc.malloc_info(0, file), libc.fclose(file)\n"
        "atexit.register(report)\n"
        "main()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    if chosen:
        environment["MALLOC_ARENA_MAX"] = chosen
    told = tmp_path / "memory.xml"
    command = [sys.executable, "-c", program, "info", str(told)]
    subprocess.run(command, capture_output=True, check=False, env=environment)
    arenas = told.read_text(encoding="ascii").count("<heap nr=")
    # Without a limit, 40 threads have 16 arenas on two cores.
    assert 1 <= arenas <= int(chosen or max(os.cpu_count() or 1, 2))


def test_version() -> None:
    done = process("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"starscale {ss.__version__}")


def test_every_command_has_help_with_an_example() -> None:
    assert {"demo", "mock", "clean", "match", "train", "evaluate", "predict", "report", "run", "check"} <= set(
        MODULES
    )
    for verb in MODULES:
        found = load(verb)
        text = found.info.help if isinstance(found, Typer) else inspect.getdoc(found)
        # The list of verbs is made without importing them.
        assert help_of(verb) == text
        assert isinstance(found, Typer) or "Example: `starscale" in text, verb


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_no_library_that_a_verb_needs(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom starscale.cli.main import app\n"
        f"try:\n    app({arguments})\nexcept SystemExit:\n    pass\n"
        "assert not {'jax', 'matplotlib', 'polars', 'astropy', 'numpy', 'pydantic'} & set(sys.modules), 'loaded'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if arguments == ["--help"]:
        assert all(verb in done.stdout for verb in MODULES)


def test_clean_prints_the_attrition_and_writes_the_table(stars: Path) -> None:
    done = clean(stars / "gaia_dr3.parquet", stars / "clean.fits")
    assert done.returncode == 0, done.stderr
    assert "ruwe <= 1.4" in done.stdout
    cleaned = ss.read(stars / "clean.fits")
    assert f"{cleaned.height:,} of" in done.stdout
    assert cleaned["ruwe"].max() <= 1.4


def test_cuts_from_the_command_line(stars: Path) -> None:
    done = clean(
        stars / "gaia_dr3.parquet", stars / "a.parquet", "--without", "ruwe", "--cut", "near=r_med_geo < 900"
    )
    assert done.returncode == 0, done.stderr
    cleaned = ss.read(stars / "a.parquet")
    assert cleaned["r_med_geo"].max() < 900
    assert cleaned["ruwe"].max() > 1.4
    refused(clean(stars / "gaia_dr3.parquet", stars / "b.parquet", "--without", "rwe"), "Did you mean 'ruwe'")
    refused(clean(stars / "gaia_dr3.parquet", stars / "b.parquet", "--cut", "near"), "NAME=SQL")


def test_match_writes_pairs(stars: Path) -> None:
    done = starscale(
        "match",
        stars / "gaia_dr3.parquet",
        stars / "skymapper_dr2.parquet",
        "--left",
        "gaia_dr3",
        "--right",
        "skymapper_dr2",
        "-o",
        stars / "pairs.parquet",
    )
    assert done.returncode == 0, done.stderr
    pairs = ss.read(stars / "pairs.parquet")
    truth = ss.read(stars / "truth.parquet").select("source_id", "object_id").drop_nulls()
    both = pairs.join(truth, on="source_id")
    assert (both["original_ext_source_id"] == both["object_id"]).mean() > 0.98


def test_train_predict_evaluate_check_report(sky: Path, finished: Path, tmp_path: Path) -> None:
    assert process("train", sky / "run.toml", "-o", tmp_path / "model").returncode == 0
    done = process("predict", tmp_path / "model", finished / "matched.parquet", "-o", tmp_path / "c.fits")
    assert done.returncode == 0, done.stderr
    assert "stars predicted" in done.stdout
    done = starscale("evaluate", tmp_path / "model", finished / "training.parquet", "-o", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    assert {row["label"] for row in json.loads((tmp_path / "m.json").read_text())} == {"teff", "logg", "fe_h"}
    for path in (tmp_path / "model", sky / "run.toml", finished / "catalogue.parquet"):
        done = starscale("check", path)
        assert (done.returncode, "nothing wrong" in done.stdout) == (0, True), done.stderr
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    assert starscale("report", tmp_path / "run").returncode == 0
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_evaluate_predicts_once_for_all_that_it_writes(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = []
    predict = Model.predict
    monkeypatch.setattr(Model, "predict", lambda self, *a, **k: predictions.append(1) or predict(self, *a, **k))
    files = [tmp_path / f"{name}.json" for name in ("figures", "scores", "coverage")]
    training = finished / "training.parquet"
    asked = ["--include-training", "-o", files[0], "--probabilities", files[1], "--coverage", files[2]]
    done = starscale("evaluate", finished / "model", training, *asked, "--below", "fe_h=-0.5")
    assert done.returncode == 0, done.stderr
    assert len(predictions) == 1
    figures, scores, coverage = (json.loads(path.read_text()) for path in files)
    alone = {"include_training": True}
    model = finished / "model"
    assert figures == written(ss.evaluate(model, training, **alone))
    assert scores == written(ss.evaluate_probabilities(model, training, below={"fe_h": [-0.5]}, **alone))
    assert len(coverage) == ss.evaluate_coverage(model, training, **alone).height


def written(rows: pl.DataFrame) -> list[dict[str, object]]:
    """Rows as a JSON file has them."""
    return json.loads(rows.with_columns(pl.col(pl.Float64).fill_nan(None)).write_json())


class TestBadInput:
    def test_usage(self) -> None:
        assert starscale("clean").returncode == 2
        assert process("predicct").returncode == 2

    def test_missing_file(self, stars: Path) -> None:
        refused(clean(stars / "gaia_dr33.parquet", stars / "o.parquet"), "gaia_dr33.parquet", "Did you mean")

    def test_wrong_format(self, stars: Path) -> None:
        (stars / "page.fits").write_text("<html><body>503 Service unavailable</body></html>")
        refused(clean(stars / "page.fits", stars / "o.parquet"), "page.fits")

    def test_unknown_survey(self, stars: Path) -> None:
        done = starscale("check", stars / "gaia_dr3.parquet", "--survey", "gaia_dr33")
        refused(done, "gaia_dr33", "Did you mean 'gaia_dr3'")

    def test_empty_table(self, stars: Path) -> None:
        table = io.read(stars / "gaia_dr3.parquet").head(0)
        io.write(table, stars / "empty.parquet")
        refused(clean(stars / "empty.parquet", stars / "o.parquet"), "no rows")
        refused(starscale("check", stars / "empty.parquet", "--survey", "gaia_dr3"), "no rows")

    def test_missing_columns_all_at_once(self, stars: Path) -> None:
        table = io.read(stars / "gaia_dr3.parquet").rename({"ruwe": "ruw"}).drop("phot_variable_flag")
        io.write(table, stars / "less.parquet")
        done = clean(stars / "less.parquet", stars / "o.parquet")
        refused(done, "'ruwe'", "Did you mean 'ruw'", "phot_variable_flag")
        assert not (stars / "o.parquet").exists()

    def test_wrong_unit(self, stars: Path) -> None:
        from starscale.vocabulary.columns import Column

        table = io.read(stars / "gaia_dr3.parquet")
        io.write(
            table, stars / "unit.fits", columns={"phot_g_mean_mag": Column("phot_g_mean_mag", "float32", "Jy")}
        )
        refused(clean(stars / "unit.fits", stars / "o.parquet"), "phot_g_mean_mag", "Jy", "mag")

    def test_band_without_values(self, sky: Path, stars: Path) -> None:
        table = io.read(stars / "skymapper_dr2.parquet").with_columns(pl.lit(float("nan")).alias("u_psf"))
        io.write(table, stars / "skymapper_dr2.parquet")
        done = starscale("check", stars / "skymapper_dr2.parquet", "--survey", "skymapper_dr2")
        assert done.returncode == 0
        assert "without any value: u_psf" in done.stdout
        # A run goes on without the band and says so.
        run_file = stars.parent / "run.toml"
        run_file.write_text(quick((sky / "run.toml").read_text()))
        done = starscale("train", run_file, "-o", stars.parent / "model")
        assert done.returncode == 0, done.stderr
        assert "skymapper_dr2.M_u" in done.stderr

    def test_duplicate_ids(self, stars: Path) -> None:
        table = io.read(stars / "gaia_dr3.parquet")
        io.write(pl.concat([table, table.head(3)]), stars / "twice.parquet")
        refused(clean(stars / "twice.parquet", stars / "o.parquet"), "3 rows repeat an identifier")

    def test_damaged_ids(self, stars: Path) -> None:
        table = io.read(stars / "gaia_dr3.parquet").with_columns(pl.col("source_id").cast(pl.Float64))
        io.write(table, stars / "damaged.csv")
        done = starscale("check", stars / "damaged.csv", "--survey", "gaia_dr3")
        refused(done, "source_id", "64-bit integers", "cannot be matched")

    def test_positions_off_the_sphere(self, stars: Path) -> None:
        table = io.read(stars / "gaia_dr3.parquet").with_columns(pl.col("dec") + 100)
        io.write(table, stars / "off.parquet")
        done = starscale("check", stars / "off.parquet", "--survey", "gaia_dr3")
        refused(done, "'dec'", "-90 to 90")

    def test_positions_not_finite(self, stars: Path) -> None:
        table = io.read(stars / "gaia_dr3.parquet").with_columns(pl.lit(float("inf")).alias("ra"))
        io.write(table, stars / "inf.parquet")
        done = starscale("check", stars / "inf.parquet", "--survey", "gaia_dr3")
        refused(done, "finite position")

    def test_too_few_stars(self, sky: Path, stars: Path) -> None:
        labels = io.read(stars / "galah_dr3.parquet").head(12)
        io.write(labels, stars / "galah_dr3.parquet")
        run_file = stars.parent / "run.toml"
        run_file.write_text((sky / "run.toml").read_text())
        refused(starscale("train", run_file, "-o", stars.parent / "model"), "training")
        assert not (stars.parent / "model").exists()

    def test_unknown_key_in_the_run_file(self, sky: Path, tmp_path: Path) -> None:
        run_file = tmp_path / "run.toml"
        run_file.write_text((sky / "run.toml").read_text() + "\n[modl]\nkind = 'x'\n")
        refused(starscale("run", run_file, "-o", tmp_path / "run"), "modl", "Did you mean 'model'")

    def test_output_not_writable(self, stars: Path) -> None:
        (stars / "a_file").write_text("not a folder")
        done = clean(stars / "gaia_dr3.parquet", stars / "a_file" / "o.parquet")
        refused(done, "a_file")
        assert (stars / "a_file").read_text() == "not a folder"

    def test_unknown_output_format(self, stars: Path) -> None:
        refused(clean(stars / "gaia_dr3.parquet", stars / "o.hdf5"), "o.hdf5")

    def test_disk_full_leaves_nothing(self, finished: Path, tmp_path: Path) -> None:
        out = tmp_path / "catalogue.parquet"
        out.write_bytes(b"an older catalogue")
        # Files may not grow beyond 20 kB: to a program this looks as a full disk does.
        command = [
            sys.executable,
            "-m",
            "starscale",
            "predict",
            finished / "model",
            finished / "matched.parquet",
            "-o",
            out,
        ]
        limited = "trap '' XFSZ; ulimit -f 20; exec " + " ".join(shlex.quote(str(word)) for word in command)
        done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False)
        refused(done, "catalogue.parquet")
        assert out.read_bytes() == b"an older catalogue"
        assert [path.name for path in tmp_path.iterdir()] == ["catalogue.parquet"]

    def test_bundle_with_missing_or_altered_files(self, finished: Path, tmp_path: Path) -> None:
        stars = finished / "matched.parquet"
        for name, damage in {"missing": None, "altered": b"\0"}.items():
            bundle = tmp_path / name
            shutil.copytree(finished / "model", bundle)
            weights = bundle / "weights.safetensors"
            if damage is None:
                weights.unlink()
            else:
                weights.write_bytes(weights.read_bytes()[:-1] + damage)
            refused(starscale("predict", bundle, stars, "-o", tmp_path / "o.parquet"), "weights.safetensors")
        refused(starscale("predict", tmp_path, stars, "-o", tmp_path / "o.parquet"), str(tmp_path))
        assert not (tmp_path / "o.parquet").exists()

    def test_table_without_the_inputs_of_the_model(self, finished: Path, tmp_path: Path) -> None:
        stars = io.read(finished / "matched.parquet").drop("g_psf").rename({"r_med_geo": "dist"})
        io.write(stars, tmp_path / "stars.parquet")
        done = starscale("predict", finished / "model", tmp_path / "stars.parquet", "-o", tmp_path / "o.parquet")
        refused(done, "'g_psf'", "'r_med_geo'", "stars.parquet")

    def test_a_defect_of_the_program_is_not_the_users_fault(self, tmp_path: Path) -> None:
        code = (
            "import sys, starscale.cli.main as cli, starscale as ss\n"
            "def broken(*a, **k): raise ZeroDivisionError('a defect')\n"
            "ss.__dict__['check'] = broken\n"
            "sys.argv = ['starscale', 'check', 'x']\ncli.main()\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "a defect" in done.stderr


def test_what_comes_from_a_mock_sky_says_so(stars: Path) -> None:
    """Through a clean table too: the word travels from file to file."""
    clean(stars / "gaia_dr3.parquet", stars / "clean.parquet")
    skymapper = ["skymapper_dr2.parquet", "--left", "gaia_dr3", "--right", "skymapper_dr2", "-o", "pairs.fits"]
    done = process("match", "clean.parquet", *skymapper, cwd=stars)
    assert done.returncode == 0, done.stderr
    for name in ("clean.parquet", "pairs.fits"):
        assert json.loads(io.open_table(stars / name).metadata["starscale.provenance"])["mock"] is True
