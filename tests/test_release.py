"""What a release needs: recipe, container, citation and changelog agree with the package."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest

import starscale as ss

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Packages that have another name on conda-forge.
CONDA = {"matplotlib": "matplotlib-base"}


def script(name: str) -> Any:
    found = importlib.util.spec_from_file_location(name, ROOT / "release" / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_recipe_has_the_dependencies_of_the_package() -> None:
    recipe = (ROOT / "release/conda/meta.yaml").read_text(encoding="utf-8")
    run = re.search(r"  run:\n((?:    - .*\n)+)", recipe)
    assert run is not None
    listed = [line.removeprefix("    - ").replace(" ", "") for line in run[1].splitlines()]
    wanted = [re.match(r"([\w-]+)(.*)", item) for item in PROJECT["dependencies"]]
    expected = [f"{CONDA.get(item[1], item[1])}{item[2]}" for item in wanted if item]
    assert listed[0] == f"python{PROJECT['requires-python']}"
    assert sorted(listed[1:]) == sorted(expected)
    assert f'summary: "{PROJECT["description"]}"' in recipe
    assert f"starscale = {PROJECT['scripts']['starscale']}" in recipe


def test_one_version_everywhere() -> None:
    for name in ("release/conda/meta.yaml", "CITATION.cff"):
        assert re.search(rf"version( =|:) \"?{re.escape(ss.__version__)}\b", (ROOT / name).read_text()), name


def test_zenodo_says_what_the_package_says() -> None:
    zenodo = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert zenodo["license"] == PROJECT["license"]
    assert zenodo["description"].rstrip(".") == PROJECT["description"]
    assert zenodo["keywords"] == PROJECT["keywords"]
    assert [each["name"] for each in zenodo["creators"]] == [each["name"] for each in PROJECT["authors"]]


def test_a_release_gathers_the_fragments(tmp_path: Path) -> None:
    changelog = script("changelog")
    for name in ("changes", "src/starscale", "release/conda"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("src/starscale/version.py", "release/conda/meta.yaml", "CITATION.cff", "CHANGELOG.md"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "changes/README.md").write_text("how to")
    (tmp_path / "changes/a.fixed.md").write_text("A fault\nis gone: [page](../docs/trust.md).\n")
    (tmp_path / "changes/b.columns.md").write_text("A column.\n")
    changelog.release(tmp_path, "9.8.7", "2030-01-02")
    text = (tmp_path / "CHANGELOG.md").read_text()
    assert "## Unreleased" in text
    assert "## 9.8.7 (2030-01-02)" in text
    assert text.index("A column.") < text.index("- A fault\n  is gone: [page](docs/trust.md).")
    assert [path.name for path in (tmp_path / "changes").iterdir()] == ["README.md"]
    for name in ("src/starscale/version.py", "release/conda/meta.yaml", "CITATION.cff"):
        assert "9.8.7" in (tmp_path / name).read_text(), name
    with pytest.raises(ValueError, match="already"):
        changelog.release(tmp_path, "9.8.7", "2030-01-02")
    (tmp_path / "changes/c.odd.md").write_text("x")
    with pytest.raises(ValueError, match="odd"):
        changelog.fragments(tmp_path / "changes")


def test_the_fragments_of_the_repository_can_be_gathered() -> None:
    changelog = script("changelog")
    text = changelog.section("1.0.0", "2030-01-02", changelog.fragments(ROOT / "changes"))
    assert text.count("\n### ") >= 1


def test_links_of_the_readme_survive_a_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    # The build has hatchling; the tests need nothing of it.
    interface = types.SimpleNamespace(MetadataHookInterface=object)
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", interface)
    metadata = script("metadata")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    relative = r"\]\((?![a-z]+:|#)"
    assert re.search(relative, text)
    assert not re.search(relative, metadata.readme(text))
    linked = metadata.readme(text, "https://host/starscale")
    assert not re.search(relative, linked)
    assert "](https://host/starscale/blob/main/docs/tutorial.md)" in linked


def test_the_container_is_made_of_what_is_there() -> None:
    rehearse = script("rehearse")
    found = rehearse.instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert [word for word, _ in found] == ["FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "ENTRYPOINT", "CMD"]
    told = dict(found)
    python = re.fullmatch(r"python:(3\.\d+)-slim", told["FROM"])
    assert python is not None
    assert f"Programming Language :: Python :: {python[1]}" in PROJECT["classifiers"]
    assert json.loads(told["ENTRYPOINT"])[0] in PROJECT["scripts"]
    assert told["USER"] in told["RUN"]
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    names = [".git", ".venv", ".venv-lsdb", "src", "pyproject.toml", "README.md", "release", "LICENSE"]
    assert rehearse.ignored(names, patterns) == {".git", ".venv", ".venv-lsdb"}
    build, commands = rehearse.recipe_commands((ROOT / "release/conda/meta.yaml").read_text(encoding="utf-8"))
    assert build.startswith("{{ PYTHON }} -m pip install . ")
    assert all(command.split()[0] in PROJECT["scripts"] for command in commands)
