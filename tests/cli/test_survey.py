"""The commands on survey files."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import starscale as ss
from starscale.cli.main import app


def test_surveys_are_listed_shown_and_drafted(tmp_path: Path) -> None:
    run = CliRunner().invoke
    listed = run(app, ["survey", "list"]).output
    assert all(name in listed for name in ss.survey_names())
    assert "cut star" in run(app, ["survey", "show", "skymapper_dr4"]).output
    pl.DataFrame({"id": [1], "ra": [1.0], "dec": [2.0]}).write_csv(tmp_path / "t.csv")
    written = run(app, ["survey", "new", str(tmp_path / "t.csv"), "-o", str(tmp_path / "mine.toml")])
    assert written.exit_code == 0
    assert ss.load_survey(tmp_path / "mine.toml").id.column == "id"


def test_a_survey_file_is_printed_to_be_changed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    for name in ("gaia_dr4", "jplus_dr3"):
        mine.write_text(CliRunner().invoke(app, ["survey", "show", name, "--toml"]).output, encoding="utf-8")
        assert ss.load_survey(mine) == ss.load_survey(name)
        again = CliRunner().invoke(app, ["survey", "show", str(mine), "--toml"]).output
        assert again == mine.read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["survey", "show", "gaia_dr9", "--toml"]).exit_code != 0


@pytest.mark.parametrize(("document", "key"), [("run", "catalogue"), ("survey", "bands"), ("labels", "labels")])
def test_a_schema_is_json_with_the_keys_of_its_file(document: str, key: str) -> None:
    result = CliRunner().invoke(app, ["schema", document])
    assert key in json.loads(result.output)["properties"]


def test_an_unknown_schema_is_refused() -> None:
    with pytest.raises(ss.InputError, match=r"unknown name; expected one of run, survey, labels"):
        CliRunner().invoke(app, ["schema", "runs"], catch_exceptions=False)


def test_rename_is_refused_unless_it_says_new_and_old() -> None:
    for values in (["ra"], ["ra=a", "ra=b"]):
        options = [option for value in values for option in ("--rename", value)]
        with pytest.raises(ss.InputError, match=r"NEW=OLD|given twice"):
            CliRunner().invoke(app, ["check", "t.csv", "--survey", "tmass", *options], catch_exceptions=False)
