"""The command `plot`: files of every kind, arguments, and everything that can be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from starscale.cli.plot import kinds
from support.command import command as starscale
from support.fakes import predictions

STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plot") / "stars.parquet"
    predictions(60).rename({"teff": "T"}).write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", STARTS)
def test_a_picture_is_written(table: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"kiel{suffix}"
    done = starscale("plot", "kiel", table, "-o", output, "--set", "teff=T", "--set", "colour=fe_h")
    assert done.returncode == 0, done.stderr
    assert output.read_bytes().startswith(STARTS[suffix])
    # Texts of a vector file are texts.
    if suffix == ".svg":
        assert "[Fe/H]" in output.read_text()


def test_the_list_names_every_kind_with_its_arguments() -> None:
    done = starscale("plot", "--list")
    assert all(f"{kind.replace('_', '-')}: Draw " in done.stdout for kind in kinds())
    assert "--set teff, logg, colour" in done.stdout


def test_the_file_of_importance_is_read(tmp_path: Path) -> None:
    row = {"group": "u", "label": "teff", "columns": ["u"], "rmse": 90.0, "rmse_increase": 9.0}
    (tmp_path / "importance.json").write_text(json.dumps([row | {"rmse_increase_spread": 1.0}]))
    assert starscale("plot", "importance", tmp_path / "importance.json", "-o", tmp_path / "a.svg").returncode == 0
    (tmp_path / "bad.json").write_text("[1")
    done = starscale("plot", "importance", tmp_path / "bad.json", "-o", tmp_path / "b.svg")
    assert done.returncode == 2
    assert "bad.json: cannot be read" in done.stderr
    assert not (tmp_path / "b.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["no kind", "--output: was not given"]),
        (("keil", "TABLE", "-o", "a.txt"), ["Did you mean 'kiel'?", "ends in '.txt'"]),
        (("one-to-one", "TABLE", "-o", "a.pdf"), ["has no column 'teff'"]),
        (("kiel", "TABLE", "-o", "a.pdf", "--set", "tef=T", "--set", "x=1"), ["Did you mean 'teff'?", "--set x"]),
        (("sky", "TABLE", "-o", "a.pdf", "--set", "weight=many"), ["--set weight: 'many'; expected a number"]),
        (("sky", "TABLE", "-o", "a.pdf", "--set", "weight"), ["NAME=VALUE"]),
        (("sky", "nothing.fits", "-o", "a.pdf"), ["nothing.fits: no such file"]),
    ],
)
def test_what_is_wrong_is_said_at_once(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = starscale("plot", *(str(table) if word == "TABLE" else word for word in arguments))
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr
    assert list(tmp_path.iterdir()) == []
