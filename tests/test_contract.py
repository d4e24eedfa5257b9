"""The public contract: names, arguments and docstrings of everything that users import.

``tests/data/contract.txt`` holds the contract as text, so that a change of it is seen in review. After a change
that is meant: ``python tests/test_contract.py`` writes the file anew; name the change in ``changes/``.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import starscale as ss

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = Path(__file__).resolve().parent / "data" / "contract.txt"
STUB = ROOT / "src" / "starscale" / "__init__.pyi"
VERBS = sorted(name for name in ss.__all__ if inspect.isfunction(getattr(ss, name)))
CLASSES = sorted(name for name in ss.__all__ if inspect.isclass(getattr(ss, name)))

#: What an argument would be called that has another name in the contract, with that name.
OTHER_WORDS = {
    "source": "table",
    "catalogue": "table",
    "target": "output",
    "out": "output",
    "out_file": "output",
    "say": "progress",
    "report": "progress",
    "callback": "progress",
}


def first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def arguments(function: Any) -> str:
    """Names of the arguments, as in a signature without types; ``=`` after those that may be left out."""
    shown, keyword_only = [], False
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            shown.append("*")
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        shown.append(stars + name + ("" if parameter.default is parameter.empty else "="))
    return ", ".join(shown)


def members(kind: type) -> Iterator[str]:
    """Public fields and methods of a class."""
    if issubclass(kind, enum.Enum):
        yield from (f"{member.name} = {member.value}" for member in kind)
        return
    if issubclass(kind, BaseModel):
        yield from (f"{name}{'' if field.is_required() else '='}" for name, field in kind.model_fields.items())
    elif dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            if not field.name.startswith("_"):
                yield f"{field.name}{'=' if optional else ''}"
    for name, value in sorted(vars(kind).items()):
        is_field = name in getattr(kind, "__dataclass_fields__", ())
        if name.startswith("_") or issubclass(kind, BaseModel) or is_field:
            continue
        function = getattr(value, "__func__", value)
        if inspect.isfunction(function):
            yield f"{name}({arguments(function)})"
        elif isinstance(value, property):
            yield name


def described(thing: Any) -> str:
    """Arguments and first line of a function; nothing of anything else."""
    return f"({arguments(thing)})\n    {first_line(thing)}" if inspect.isfunction(thing) else ""


def contract() -> str:
    """The whole contract as text."""
    lines = []
    for name in sorted(ss.__all__):
        thing = getattr(ss, name)
        if inspect.isfunction(thing):
            lines.append(f"{name}({arguments(thing)})\n    {first_line(thing)}")
        elif inspect.isclass(thing):
            body = "".join(f"\n    .{member}" for member in members(thing))
            lines.append(f"class {name}\n    {first_line(thing)}{body}")
        elif inspect.ismodule(thing):
            lines += [f"{name}.{part}{described(getattr(thing, part))}" for part in sorted(thing.__all__)]
        else:
            lines.append(name)
    return "\n".join(lines) + "\n"


def test_the_contract_is_the_stored_one() -> None:
    assert contract().splitlines() == CONTRACT.read_text(encoding="utf-8").splitlines()


def test_the_stub_lists_every_name_once() -> None:
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    names = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    (exported,) = (ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
    assert sorted(names) == exported == sorted(ss.__all__)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", VERBS)
def test_one_word_for_one_thing(name: str) -> None:
    words = inspect.signature(getattr(ss, name)).parameters
    wrong = {word: OTHER_WORDS[word] for word in words if word in OTHER_WORDS}
    assert wrong == {}


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_documents_every_argument(name: str) -> None:
    verb = getattr(ss, name)
    text = inspect.getdoc(verb) or ""
    parameters = list(inspect.signature(verb).parameters)
    if parameters:
        assert "Parameters\n----------" in text
    documented = text.partition("Parameters\n----------")[2]
    assert [p for p in parameters if not re.search(rf"(^|[ ,*]){p}\b[^\n]*( :|$)", documented, re.MULTILINE)] == []
    if inspect.signature(verb).return_annotation not in (None, "None"):
        assert "Returns\n-------" in text


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_what_it_is(name: str) -> None:
    kind = getattr(ss, name)
    assert first_line(kind).rstrip().endswith((".", ":"))
    assert kind.__doc__ != getattr(kind.__mro__[1], "__doc__", None)


def test_documentation_imports_from_the_root_only() -> None:
    below = re.compile(r"(from starscale\.\w|import starscale\.\w|starscale\.[a-z_]+\.[A-Za-z_.]+)")
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [
        f"{page.name}: {match[0]}"
        for page in pages
        for match in below.finditer(page.read_text(encoding="utf-8"))
        # The algorithm of LSDB cannot be a public name: its module imports LSDB, which is optional.
        if not match[0].startswith(("starscale.provenance", "starscale.crossmatch.on_cluster.algorithm"))
    ]
    assert found == []


if __name__ == "__main__":
    CONTRACT.parent.mkdir(exist_ok=True)
    CONTRACT.write_text(contract(), encoding="utf-8")
