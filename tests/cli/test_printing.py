"""What the command prints: help, quiet, verbose, logs, completion, a reader that goes away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from starscale import io
from starscale.cli import announcing, completion
from starscale.cli.announcing import announce_run, expected
from starscale.cli.help import GROUPS, overview, verb_help
from starscale.cli.verbs import MODULES, as_command
from starscale.surveys import survey_names
from support.command import command as starscale


def commands() -> Iterator[tuple[str, Any]]:
    for verb in MODULES:
        found = as_command(verb)
        yield verb, found
        yield from ((f"{verb} {name}", each) for name, each in getattr(found, "commands", {}).items())


def test_the_overview_fits_a_terminal_and_groups_every_verb() -> None:
    lines = overview().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    grouped = [verb for verbs in GROUPS.values() for verb in verbs]
    assert sorted(grouped) == sorted(MODULES)
    # As wide as its column, or the next word would touch it.
    assert all(len(verb) <= 14 and len(words) <= 18 for verbs in GROUPS.values() for verb, words in verbs.items())
    assert starscale("--help").stdout == overview() + "\n"


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_help_of_a_verb_is_short_and_names_every_option(
    name: str, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = verb_help(command, SimpleNamespace(command_path=f"starscale {name}"))
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) <= 80
    options = [item.opts[0] for item in command.params if item.param_type_name == "option" and not item.hidden]
    missing = [option for option in options if option.removeprefix("--") not in text]
    assert not missing
    assert "-q (quiet)" in text


def test_options_of_every_command(sky: Path, tmp_path: Path) -> None:
    table, out, log = sky / "mock/skymapper_dr2.parquet", tmp_path / "o.fits", tmp_path / "log"
    loud = starscale("convert", table, "-o", out)
    quiet = starscale("convert", table, "-o", out, "-q")
    assert quiet.stdout == loud.stdout
    assert "convert: " in loud.stderr
    assert quiet.stderr == ""
    verbose = starscale("--log", log, "-v", "convert", table, "-o", out)
    assert re.search(r"^\[ +\d+\.\d s\] .*\(100 %\)", verbose.stderr, re.MULTILINE)
    assert re.search(r"^took \d+\.\d s, .* of the processor", verbose.stderr, re.MULTILINE)
    written = log.read_text()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d ", line) for line in written.splitlines())
    assert all(line in written for line in verbose.stdout.splitlines())
    refused = starscale("convert", "absent.fits", "-o", out, "--log", log, "-q")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.strip() in log.read_text()
    assert len(log.read_text()) > len(written)


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    done = starscale("survey", "list", "--log", tmp_path / "absent" / "log")
    assert done.returncode == 2
    assert "--log" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_and_no_colours() -> None:
    call = f"{sys.executable} -m starscale"
    # A help goes the same way; its reader may have gone before the first byte.
    script = f"set -o pipefail; {call} survey list | head -1; {call} --help | true"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("name ")
    assert "\x1b" not in done.stdout


def test_names_are_completed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STARSCALE_MODELS", str(tmp_path))
    assert completion.survey_names("gaia_dr") == [n for n in survey_names() if n.startswith("gaia_dr")]
    assert "segue_colours" in completion.model_names("")
    for words, expected_word in (("survey show sky", "skymapper_dr2"), ("predict segue", "segue_colours")):
        line = f"starscale {words}"
        monkeypatch.setenv("_STARSCALE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
        assert expected_word in starscale().stdout.split()


def test_a_time_is_said_where_it_is_long_and_was_measured(tmp_path: Path, sky: Path) -> None:
    assert expected("predict", 10_000_000) == "; 73 s to 3 minutes by rates measured on two cores"
    assert expected("predict", 1_000) == expected("convert", 10**9) == ""
    assert expected("run", 10_000_000) == "; 2 minutes to 7 minutes by rates measured on two cores"
    table = io.read(sky / "mock/skymapper_dr2.parquet").head(7)
    io.write(table, tmp_path / "few.csv")
    # The rows of a text table would have to be counted.
    assert "rows of" not in starscale("convert", tmp_path / "few.csv", "-o", tmp_path / "few.fits").stderr
    done = starscale("convert", tmp_path / "few.fits", "-o", tmp_path / "few.csv")
    assert f"convert: 7 rows of {tmp_path / 'few.fits'}, to {tmp_path / 'few.csv'}\n" in done.stderr


def test_a_run_says_what_it_reads(
    sky: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {
        name: io.read(sky / f"mock/{name}.parquet").height for name in ("gaia_dr3", "skymapper_dr2", "galah_dr3")
    }
    said = " and ".join(f"{n:,} rows of mock/{name}.parquet" for name, n in rows.items())
    announce_run(sky / "run.toml", Path("out"))
    assert capsys.readouterr().err.endswith(f"run: {said}, to out/\n")
    monkeypatch.setitem(announcing.MICROSECONDS, "run", (1e4, 2e4))
    announce_run(sky / "run.toml", Path("out"))
    assert capsys.readouterr().err.endswith("by rates measured on two cores, besides the training\n")
    # What is wrong with a file is said by the run.
    (tmp_path / "run.toml").write_text("[catalogue")
    for path in (tmp_path / "run.toml", tmp_path / "none.toml"):
        announce_run(path, Path("out"))
    assert capsys.readouterr().err == ""
