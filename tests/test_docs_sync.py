"""The documentation says what the program does: keys, options, columns, flags, names, suffixes, links.

A failing test prints the row that the page should have.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from enum import IntFlag
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import starscale as ss
from starscale.cli.verbs import MODULES, as_command
from starscale.io.formats import FORMATS
from starscale.surveys import survey_names
from starscale.vocabulary.columns import (
    DUPLICATE_COLUMNS,
    LABEL_TABLE_COLUMNS,
    MEASUREMENT_COLUMNS,
    NEIGHBOUR_COLUMNS,
    PAIR_COLUMNS,
    UNMATCHED_COLUMNS,
    Column,
    catalogue_columns,
)
from starscale.vocabulary.comparison_columns import COMPARISON_COLUMNS
from starscale.vocabulary.flags import CatalogueFlag, LabelFlag, PairFlag, describe
from starscale.vocabulary.settings import models as baseline_config
from starscale.vocabulary.settings import models as model_config
from starscale.vocabulary.settings import run as config
from starscale.vocabulary.settings.cuts import Cuts, ExtraCut
from starscale.vocabulary.settings.homogenize import ClusterTable, HomogenizeConfig, ReferenceList
from starscale.vocabulary.settings.match import CrosswalkInput, CrosswalkLimits, MatchConfig
from starscale.vocabulary.settings.predict import PredictConfig
from starscale.vocabulary.settings.run import ImportanceConfig
from starscale.vocabulary.settings.sample import SampleConfig
from starscale.vocabulary.settings.split import SplitClusters, SplitConfig

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.glob("*.md")),
    *sorted(DOCS.glob("tutorials/*.md")),
    *sorted((ROOT / "changes").glob("*.md")),
]

SETTINGS: dict[str, type[BaseModel]] = {
    "Top level": config.RunConfig,
    "catalogue": config.CatalogueInput,
    "catalogue.join": config.InputTable,
    "photometry": config.PhotometryInput,
    "fetch": config.Fetch,
    "fetch for all tables": config.FetchDefaults,
    "cuts": Cuts,
    "cuts.extra": ExtraCut,
    "match": MatchConfig,
    "labels": config.LabelsInput,
    "homogenize": HomogenizeConfig,
    "homogenize.reference": ReferenceList,
    "homogenize.clusters": ClusterTable,
    "crosswalk": CrosswalkInput,
    "crosswalk.limits": CrosswalkLimits,
    "features": config.FeaturesConfig,
    "sample": SampleConfig,
    "split": SplitConfig,
    "split.clusters": SplitClusters,
    "bundle": config.BundleConfig,
    'kind = "mixture"': model_config.MixtureConfig,
    'kind = "turchi2024"': model_config.Turchi2024Config,
    'kind = "mean"': baseline_config.MeanConfig,
    'kind = "ridge"': baseline_config.RidgeConfig,
    'kind = "knn"': baseline_config.KnnConfig,
    'kind = "random_forest"': baseline_config.RandomForestConfig,
    'kind = "svr"': baseline_config.SvrConfig,
    'kind = "xgboost"': baseline_config.XgboostConfig,
    'kind = "catboost"': baseline_config.CatboostConfig,
    'kind = "tabm"': baseline_config.TabmConfig,
    'kind = "realmlp"': baseline_config.RealmlpConfig,
    'kind = "xrfm"': baseline_config.XrfmConfig,
    'kind = "tabicl"': baseline_config.TabiclConfig,
    "models": config.ModelEntry,
    "compare": config.Reference,
    "predict": PredictConfig,
    "importance": ImportanceConfig,
}
COLUMNS: dict[str, Mapping[str, Column]] = {
    "Catalogue": catalogue_columns(),
    "Pairs": PAIR_COLUMNS,
    "Neighbours": NEIGHBOUR_COLUMNS,
    "Unmatched": UNMATCHED_COLUMNS,
    "Duplicates": DUPLICATE_COLUMNS,
    "Labels": LABEL_TABLE_COLUMNS,
    "Measurements of labels": MEASUREMENT_COLUMNS,
    "Compared models": COMPARISON_COLUMNS,
}
FLAGS: dict[str, type[IntFlag]] = {
    "Flags of the catalogue": CatalogueFlag,
    "Flags of pairs": PairFlag,
    "Flags of labels": LabelFlag,
}


def commands() -> dict[str, Any]:
    """All commands by name; those of a group with the name of the group before theirs."""
    found: dict[str, Any] = {}
    for name, command in ((verb, as_command(verb)) for verb in MODULES):
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {each}": c for each, c in inner.items()}
    return found


COMMANDS = commands()


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """The text under a heading, up to the next heading."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page(name), re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/{name} has no section {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Cells of the first table in a text, without its heading."""
    found = re.search(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    lines = found[0].splitlines() if found else []
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def default_text(value: Any) -> str:
    """A default as the tables of run_file.md write it; empty where they say it in words."""
    if value is PydanticUndefined:
        return "*required*"
    if value is None:
        return "-"
    if isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value)}`"


@pytest.mark.parametrize("heading", SETTINGS)
def test_every_key_of_the_run_file_is_described_with_its_default(heading: str) -> None:
    fields = SETTINGS[heading].model_fields
    described = {row[0].strip("`"): row for row in rows(section("run_file.md", heading))}
    assert list(described) == list(fields)
    for name, field in fields.items():
        if expected := default_text(field.default):
            assert described[name][1] == expected, name
        else:
            assert described[name][1].startswith("all ") or "all defaults" in described[name][1]
        assert described[name][2] or name == "kind", f"{name}: no meaning"


def test_every_section_of_the_run_file_is_compared() -> None:
    headings = set(re.findall(r"^##+ (.+)$", page("run_file.md"), re.MULTILINE))
    # [model] has a table for each kind.
    assert headings - {"model"} == set(SETTINGS)
    reached = {config.RunConfig, config.BundleConfig} | {
        model for field in config.RunConfig.model_fields.values() for model in within(field)
    }
    assert reached == set(SETTINGS.values())


def within(field: Any) -> Iterator[type[BaseModel]]:
    """Settings classes inside the type of a field, and inside those."""
    pending = [field.annotation]
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
            pending += [inner.annotation for inner in annotation.model_fields.values()]
        pending += getattr(annotation, "__args__", ())


def test_defaults_of_the_packaged_run_files_are_as_described() -> None:
    text = section("run_file.md", "Top level")
    for name in ("default", "turchi2024"):
        preset = (ROOT / "src/starscale/pipeline/presets" / f"{name}.toml").read_text(encoding="utf-8")
        repeats = re.search(r"^repeats = (\d+)", preset, re.MULTILINE)
        assert repeats is not None
        assert re.search(rf"`{name}` (has )?{repeats[1]}\b", text), f"`{name}` has {repeats[1]} repeats"


@pytest.mark.parametrize("heading", COLUMNS)
def test_every_column_is_listed(heading: str) -> None:
    expected = [
        f"| `{c.name}` | {c.dtype} | {code(c.unit)}| {code(c.ucd)}| {c.description} |"
        for c in COLUMNS[heading].values()
    ]
    assert table_lines("tables.md", heading) == expected


@pytest.mark.parametrize("heading", FLAGS)
def test_every_flag_is_listed(heading: str) -> None:
    expected = [f"| {bit} | `{name}` | {meaning} |" for bit, name, meaning in describe(FLAGS[heading])]
    assert table_lines("tables.md", heading) == expected


def code(text: str) -> str:
    return f"`{text}` " if text else ""


def table_lines(name: str, heading: str) -> list[str]:
    return [" ".join(line.split()) for line in section(name, heading).splitlines() if line.startswith("|")][2:]


def test_every_command_has_a_section_and_a_row() -> None:
    names = re.findall(r"^## ([\w -]+)$", page("command.md"), re.MULTILINE)
    assert names == list(COMMANDS)
    listed = [row[0] for row in rows(page("command.md"))]
    assert listed == [f"[`{name}`](#{name.replace(' ', '-')})" for name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described_with_its_default(name: str) -> None:
    text = section("command.md", name)
    described = {row[0]: row[1] for row in rows(text)}
    expected = {}
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            assert parameter.name.upper() in text
        elif "--help" not in parameter.opts and not parameter.hidden:
            names = [*sorted(parameter.opts, key=len), *parameter.secondary_opts]
            if parameter.required:
                default = "*required*"
            elif parameter.secondary_opts:
                default = f"`{names[0 if parameter.default else 1]}`"
            else:
                default = "-" if parameter.default in (None, []) else f"`{parameter.default}`"
            expected[", ".join(f"`{option}`" for option in names)] = default
    assert described == expected


def test_every_public_name_has_a_page_of_the_reference() -> None:
    pages = docs_module("reference").pages()
    names = {name for name in ss.__all__ if name not in ("__version__", "plots")}
    pictures = {f"plots.{name}" for name in ss.plots.__all__ if name.islower()}
    assert set(pages) == names | pictures | {"index", "plots"}
    for name in names | pictures:
        assert re.search(
            rf"auto(function|class|exception):: starscale\.{re.escape(name)}(\(\))?$", pages[name], re.M
        )
        assert f":doc:`{name}`" in pages["plots" if name in pictures else "index"]
    # Verbs are also listed by what they are for.
    assert {"predict", "clean", "run"} <= {name for name in ss.__all__ if f"`{name}`" in page("python.md")}


def docs_module(name: str) -> Any:
    """A module of the folder docs, which is no package."""
    found = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_script_of_the_gallery_is_shown_with_its_picture() -> None:
    scripts = {path.stem for path in (ROOT / "examples/gallery").glob("*.py")}
    assert len(scripts) >= 10
    text = page("gallery.md")
    assert set(re.findall(r"literalinclude\} \.\./examples/gallery/(\w+)\.py", text)) == scripts
    assert set(re.findall(r"figure\} _build/pictures/gallery/(\w+)\.png", text)) == scripts
    for name in scripts:
        assert f'"{name}.png"' in (ROOT / f"examples/gallery/{name}.py").read_text()


TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))


def test_a_tutorial_becomes_a_notebook() -> None:
    fence = "`" * 3
    text = f"# T\n\nSave `a.toml`:\n\n{fence}toml\nx = 1\n{fence}\n\n{fence}python\ny = 2\n{fence}\n\n"
    text += "<!-- not run -->\n"
    text += f"{fence}bash\nstop\n{fence}\n\n{fence}bash\ngo\n{fence}\n\n{fence}text\nout\n{fence}\n"
    cells = docs_module("notebooks").notebook(text)["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert code == ["%%writefile a.toml\nx = 1", "y = 2", "%%bash -e\ngo"]
    shown = "".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    assert shown.startswith("# T")
    assert "stop" in shown
    assert "out" in shown


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_can_be_downloaded_and_is_listed(path: Path) -> None:
    assert f"{{download}}`notebook <../_build/notebooks/{path.stem}.ipynb>`" in path.read_text(encoding="utf-8")
    assert f"tutorials/{path.stem}\n" in page("index.md")
    cells = docs_module("notebooks").notebook(path.read_text(encoding="utf-8"))["cells"]
    assert any(cell["cell_type"] == "code" for cell in cells)


def test_every_suffix_is_on_the_formats_page() -> None:
    table = rows(page("formats.md"))
    for item in FORMATS.values():
        row = next(row for row in table if row[0].startswith(item.title))
        for suffix in item.suffixes:
            assert f"`{suffix}`" in row[1], f"{item.title}: {suffix}"
        if set(item.written) != set(item.suffixes):
            assert set(re.findall(r"`(\.[\w.]+)`", row[2])) == set(item.written), item.title
        else:
            assert row[2].startswith("the same") or set(re.findall(r"`(\.[\w.]+)`", row[2])) == set(item.written)


def test_every_packaged_survey_is_listed() -> None:
    listed = {row[0].strip("`") for row in rows(section("surveys.md", "Packaged surveys"))}
    assert listed == set(survey_names())


def test_the_paper_features_are_listed_and_the_default_is_counted() -> None:
    surveys = ["gaia_dr3", "bailer_jones_edr3", "skymapper_dr2"]
    made = {name: ss.feature_list(name, surveys) for name in ("default", "pairwise", "turchi2024")}
    listed = {
        name
        for row in rows(section("features.md", "`turchi2024`: the paper's"))
        for name in re.findall(r"`(\w+)`", row[0])
    }
    assert listed == {feature.name for feature in made["turchi2024"]}
    for name in ("default", "pairwise"):
        assert f"these are {len(made[name])} features" in page("features.md")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = path if not file else path.parent / file
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert not broken


def anchors(path: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = {line.strip() for line in page("index.md").splitlines()}
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= listed
