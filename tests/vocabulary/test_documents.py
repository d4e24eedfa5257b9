"""JSON that others may have written."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import starscale as ss
from starscale.reports.finished import FinishedRun
from starscale.vocabulary.documents import parse_json

DEEP = "[" * 100_000


def test_json_that_is_nested_too_deeply_is_a_value_error() -> None:
    assert parse_json('{"a": [1]}') == {"a": [1]}
    for text in (DEEP, "", "{", "9" * 5000):
        with pytest.raises(ValueError, match=r"nested|Expecting|digits"):
            parse_json(text)


def test_a_table_and_a_record_with_such_a_provenance_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"source_id": [1], "logg": [4.0]}).write_parquet(path, metadata={"starscale.provenance": DEEP})
    assert ss.read(path).height == 1
    assert not ss.validate(path, seismic=path).mock
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "provenance.json").write_text(DEEP)
    with pytest.raises(ss.InputError, match="nested too deeply"):
        FinishedRun.load(tmp_path / "run")
    registry = tmp_path / "registry.toml"
    registry.write_text(f"a = {DEEP}")
    with pytest.raises(ss.InputError, match="not a registry file"):
        ss.list_models(registry=registry)
