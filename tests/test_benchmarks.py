"""The benchmarks, which no fast test runs, import names that exist."""

from __future__ import annotations

import argparse
import ast
import importlib
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).resolve().parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_every_imported_name_exists(path: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if node.module is None or not node.module.startswith("starscale"):
            continue
        module = importlib.import_module(node.module)
        for alias in node.names:
            if not hasattr(module, alias.name):
                importlib.import_module(f"{node.module}.{alias.name}")


def test_a_benchmark_of_tables_measures_all_unless_it_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS[0].parent))
    parser = argparse.ArgumentParser()
    importlib.import_module("distil").add_tables(parser)
    assert parser.parse_args([]).tables == []
    assert parser.parse_args(["sdss", "splus"]).tables == ["sdss", "splus"]
    with pytest.raises(SystemExit):
        parser.parse_args(["nothing"])
