"""The rules of the house, checked on the source: layers, imports, and names that belong to data files."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import starscale
from starscale.surveys import survey_names

SOURCE = Path(__file__).resolve().parents[1] / "src" / "starscale"
#: A module imports from its own layer and those before it.
LAYERS = (
    "version",
    "vocabulary",
    "surveys",
    "io",
    "tables",
    "dust",
    "learn",
    "cluster",
    "features",
    "archives",
    "publication",
    "mock",
    "crossmatch",
    "registry",
    "model",
    "homogenization",
    "plots",
    "reports",
    "validation",
    "pipeline",
    "",
    "cli",
)
LEARNING = {"jax", "jaxlib", "optax", "sklearn", "xgboost"}
UNSAFE_MODULES = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec"}
#: The mock sky is about concrete surveys, and the demonstration is about the mock sky.
MAY_NAME_SURVEYS = ("starscale.mock", "starscale.pipeline.demo")


def module_name(path: Path) -> str:
    parts = ("starscale", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


def layer(module: str) -> int:
    parts = module.split(".")
    if parts[1:] == ["__main__"]:
        return LAYERS.index("cli")
    return LAYERS.index(parts[1] if parts[1:] else "")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Every imported name, dotted, and whether it is imported within a function; TYPE_CHECKING blocks aside."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield from ((f"{node.module}.{alias.name}", inside) for alias in node.names)
        else:
            within = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, within)


def internal(module: str, tree: ast.AST | None = None) -> set[str]:
    """Modules of starscale that a module imports: ``from a.b import c`` means a.b.c where that is a module."""
    found = set()
    for name, _ in imports(tree if tree is not None else MODULES[module]):
        if name.split(".")[0] == "starscale":
            found.add(name if name in MODULES else name.rpartition(".")[0])
    return found


def misplaced(module: str, imported: set[str]) -> list[str]:
    return sorted(name for name in imported if layer(name) > layer(module))


def test_every_part_is_a_layer() -> None:
    parts = {name.split(".")[1] for name in MODULES if name.count(".")} - {"__main__"}
    assert parts == set(LAYERS) - {""}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_the_layers_below_it(module: str) -> None:
    assert misplaced(module, internal(module)) == []


def test_there_are_no_import_cycles() -> None:
    # A package's __init__ runs before its modules, but `from package import module` does not need its names.
    graph = {name: internal(name) - {name} for name in MODULES}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert set(order) >= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_internal_is_imported_inside_a_function(module: str) -> None:
    assert [name for name, inside in imports(MODULES[module]) if inside and name.startswith("starscale")] == []


@pytest.mark.parametrize("module", MODULES)
def test_only_learn_imports_the_learning_libraries(module: str) -> None:
    packages = {name.split(".")[0] for name, _ in imports(MODULES[module])}
    assert module.startswith("starscale.learn") or not packages & LEARNING


def unsafe(tree: ast.AST) -> list[str]:
    found = [name for name, _ in imports(tree) if name.split(".")[0] in UNSAFE_MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in UNSAFE_CALLS:
                found.append(node.func.id)
            found += [
                f"{k.arg}=True"
                for k in node.keywords
                if k.arg == "allow_pickle" and ast.unparse(k.value) != "False"
            ]
    return found


@pytest.mark.parametrize("module", MODULES)
def test_nothing_runs_code_from_a_file(module: str) -> None:
    assert unsafe(MODULES[module]) == []


def survey_words(tree: ast.AST) -> list[str]:
    """Survey names in code (names, attributes, keywords, texts), docstrings aside."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, survey_names()))})\b", re.IGNORECASE)
    found = []
    for node in ast.walk(tree):
        texts: list[str] = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            texts = [node.value]
        elif isinstance(node, ast.Name):
            texts = [node.id]
        elif isinstance(node, ast.Attribute):
            texts = [node.attr]
        elif isinstance(node, ast.arg | ast.keyword):
            texts = [node.arg or ""]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            texts = [node.name]
        found += [match for text in texts for match in pattern.findall(text)]
    return found


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith(MAY_NAME_SURVEYS)])
def test_no_survey_is_named_in_code(module: str) -> None:
    assert survey_words(MODULES[module]) == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("jax", "matplotlib", "astropy.io", "polars", "scipy", "pyarrow", "pydantic")

    def loaded(statement: str) -> set[str]:
        script = f"import sys, starscale; {statement}; print(*(n for n in {heavy!r} if n in sys.modules))"
        command = [sys.executable, "-c", script]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert loaded("pass") == set()
    # A verb loads what it needs (and so this check can fail), but cleaning a table needs no learning.
    cleaning = loaded("starscale.clean")
    assert "polars" in cleaning
    assert not {"jax", "matplotlib"} & cleaning


def test_a_match_and_a_check_load_no_library_of_other_verbs() -> None:
    heavy = ("jax", "matplotlib", "jinja2", "scipy", "pandas", "astropy")

    def loaded(verb: str, module: str) -> set[str]:
        script = f"import sys, {module}; from starscale.cli.verbs import load; load({verb!r}); "
        script += f"print(*(n for n in {heavy!r} if n in sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    assert loaded("match", "starscale.crossmatch.api") == set()
    assert loaded("check", "starscale.pipeline.check, starscale.pipeline.pipeline") == set()
    # And so the check can fail.
    assert {"jax", "matplotlib"} <= loaded("train", "starscale.learn, starscale.reports.plots")


#: Import all verbs of the command.
COMMAND = "from starscale.cli.verbs import MODULES, load; [load(verb) for verb in MODULES]"


def test_the_extra_of_the_baselines_is_loaded_by_a_baseline_alone() -> None:
    extra = ("sklearn", "xgboost")

    def loaded(statement: str) -> set[str]:
        script = f"import sys; {statement}; print(*(n for n in {extra!r} if n in sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    learners = "import starscale.learn.learners"
    assert loaded(f"{learners}, starscale.pipeline.compare_models; {COMMAND}") == set()
    libraries = "from starscale.vocabulary.libraries import library"
    assert loaded(f"{libraries}; library('xgboost', 'xgboost')") >= {"xgboost"}


def test_a_prediction_does_not_load_the_libraries_of_the_training() -> None:
    training = ("optax", "scipy.optimize", "scipy.ndimage")

    def loaded(statement: str) -> set[str]:
        script = f"import sys; {statement}; print(*(n for n in {training!r} if n in sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    assert loaded("import starscale.model.predict, starscale.learn.predictor") == set()
    one_cycle = "from starscale.learn.mixture import one_cycle; one_cycle(0.1, 0.1, 10)"
    assert loaded(one_cycle) >= {"optax"}


def test_only_fetch_loads_the_network_libraries() -> None:
    network = ("pyvo", "requests", "urllib3")

    def loaded(statement: str) -> set[str]:
        script = f"import sys, starscale; {statement}; print(*(n for n in {network!r} if n in sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    def home(name: str) -> str:
        return str(getattr(getattr(starscale, name), "__module__", ""))

    others = [name for name in starscale.__all__ if not home(name).startswith("starscale.archives")]
    assert "fetch" not in others
    verbs = "; ".join(f"starscale.{name}" for name in others)
    assert loaded(f"{verbs}; {COMMAND}") == set()
    assert loaded("starscale.fetch") == set(network)


def test_the_checks_can_fail() -> None:
    bad = ast.parse(
        '"""About segue."""\n'
        "import pickle\n"
        "from starscale.tables.api import clean\n"
        "if TYPE_CHECKING:\n    from starscale.model.model import Model\n"
        "def f():\n"
        '    """Of segue."""\n'
        "    from starscale import io\n"
        "    import starscale.tables.cuts\n"
        '    return eval("gaia_dr3") or np.load(x, allow_pickle=True) or segue.x\n'
    )
    assert misplaced("starscale.io.fake", internal("fake", bad)) == [
        "starscale.tables.api",
        "starscale.tables.cuts",
    ]
    assert [name for name, inside in imports(bad) if inside] == ["starscale.io", "starscale.tables.cuts"]
    assert unsafe(bad) == ["pickle", "eval", "allow_pickle=True"]
    assert sorted(survey_words(bad)) == ["gaia_dr3", "segue"]
    assert misplaced("starscale.reports.plots", {"starscale"}) == ["starscale"]
    assert misplaced("starscale.cli.main", {"starscale"}) == []


def test_no_public_name_is_that_of_a_subpackage() -> None:
    """Importing the subpackage would put it in the place of the function; a subpackage may be public itself."""
    subpackages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    shared = subpackages & set(starscale.__all__)
    assert {name for name in shared if not inspect.ismodule(getattr(starscale, name))} == set()
    assert shared == {"plots"}
