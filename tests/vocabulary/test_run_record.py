"""The record of a run: what is not one is refused with the place of the mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import starscale as ss
from starscale.vocabulary.run_record import read_record

STEP = {"key": "k", "files": {"a.parquet": "0"}, "result": {}, "reads": {}}


def saved(folder: Path, document: Any) -> Path:
    (folder / "provenance.json").write_text(json.dumps(document))
    return folder / "provenance.json"


def test_a_record_is_read_with_all_that_it_holds(tmp_path: Path) -> None:
    found = read_record(saved(tmp_path, {"mock": True, "seed": 3, "steps": {"clean": STEP}}))
    assert found.mock
    assert found.model_dump() == {"mock": True, "seed": 3, "steps": {"clean": STEP}}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "steps: Field required"),
        ({"steps": []}, "steps: "),
        ({"steps": {"clean": {**STEP, "files": ["a"]}}}, "steps.clean.files"),
        ({"steps": {"clean": {**STEP, "files": {"../a": "0"}}}}, "is not the name of a file in the folder"),
        ({"steps": {"predict": {**STEP, "files": {"../a": "0"}}}}, "is not the name of a file in the folder"),
        (
            {"applied": {"kind": "mean"}, "steps": {"join": {**STEP, "files": {"../a": "0"}}}},
            "is not the name of a file in the folder",
        ),
        ({"steps": {"clean": {**STEP, "files": {"/etc/passwd": "0"}}}}, "is not the name of a file in the folder"),
        ({"steps": {"clean": {**STEP, "result": 3}}}, "steps.clean.result"),
        ({"mock": "yes", "steps": {}}, "mock: "),
        ([], "cannot be understood"),
    ],
)
def test_something_else_is_refused(tmp_path: Path, document: Any, said: str) -> None:
    with pytest.raises(ss.InputError, match=said) as caught:
        read_record(saved(tmp_path, document))
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(ss.InputError):
        ss.check(tmp_path)


def test_the_catalogue_of_an_applied_model_may_be_outside_its_folder(tmp_path: Path) -> None:
    """It is where the user wants it; without it no step of an applied model would be recognised again."""
    document = {"applied": {"kind": "mean"}, "steps": {"predict": {**STEP, "files": {"../out.parquet": "0"}}}}
    assert list(read_record(saved(tmp_path, document)).steps["predict"].files) == ["../out.parquet"]
