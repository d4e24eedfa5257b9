"""Write the API reference: one page for every public name of `starscale`, and lists by groups.

The groups are those of ``src/starscale/__init__.pyi``, so the reference needs no list of its own.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import starscale as ss

_STUB = Path(ss.__file__).with_name("__init__.pyi")


def groups() -> dict[str, list[str]]:
    """Return the public names by the comment above them in the stub."""
    found: dict[str, list[str]] = {}
    text = _STUB.read_text(encoding="utf-8")
    for block in re.split(r"\n(?=# )", text)[1:]:
        title, _, body = block.partition("\n")
        names = [
            alias.name for item in ast.parse(body).body if isinstance(item, ast.ImportFrom) for alias in item.names
        ]
        found[title.removeprefix("# ")] = [name for name in names if name != "__version__"]
    return {title: names for title, names in found.items() if names}


def pictures() -> list[str]:
    """Return the functions of `starscale.plots`."""
    return [name for name in ss.plots.__all__ if name.islower()]


def pages() -> dict[str, str]:
    """Return every page of the reference, reStructuredText by name."""
    found = {"index": _index()}
    for names in groups().values():
        found |= {name: _page(f"starscale.{name}", getattr(ss, name)) for name in names if name != "plots"}
    found["plots"] = _title("starscale.plots") + _overview([f"plots.{name}" for name in pictures()])
    return found | {
        f"plots.{name}": _page(f"starscale.plots.{name}", getattr(ss.plots, name)) for name in pictures()
    }


def write(folder: Path) -> None:
    """Write the pages that have changed, and remove those whose name is gone."""
    folder.mkdir(exist_ok=True)
    wanted = {f"{name}.rst": text for name, text in pages().items()}
    for name, text in wanted.items():
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            (folder / name).write_text(text, encoding="utf-8")
    for path in folder.glob("*.rst"):
        if path.name not in wanted:
            path.unlink()


def _title(text: str, rule: str = "=") -> str:
    return f"{text}\n{rule * len(text)}\n\n"


def _index() -> str:
    text = _title("Reference") + "Every public name of ``starscale``, and nothing else, is a contract.\n\n"
    return text + "".join(_title(title, "-") + _overview(names) for title, names in groups().items())


def _overview(names: list[str]) -> str:
    """Return a table of contents with the first sentence of every object."""
    rows = "".join(f"   * - :doc:`{name}`\n     - {_summary(name)}\n" for name in names)
    listed = "".join(f"   {name}\n" for name in names)
    return f".. list-table::\n   :widths: 30 70\n\n{rows}\n.. toctree::\n   :hidden:\n\n{listed}\n"


def _summary(name: str) -> str:
    what = ss
    for part in name.split("."):
        what = getattr(what, part)
    first = (inspect.getdoc(what) or "").partition("\n\n")[0]
    return " ".join(first.split()).replace("`", "``").replace("````", "``")


def _page(full: str, what: object) -> str:
    name = full.removeprefix("starscale.")
    return f"{_title(name)}{_directive(full, what)}"


def _directive(full: str, what: object) -> str:
    if not isinstance(what, type):
        return f".. autofunction:: {full}\n"
    if issubclass(what, Exception):
        return f".. autoexception:: {full}()\n"
    # Its fields are in the text of the class; what it does is below.
    methods = [name for name, item in vars(what).items() if not name.startswith("_") and _is_method(item)]
    members = f"   :members: {', '.join(methods)}\n   :undoc-members:\n" if methods else ""
    return f".. autoclass:: {full}()\n{members}{_fields(what)}"


def _fields(what: type) -> str:
    """Return the settings of a table of the run file, with types and defaults; other classes have none."""
    if not issubclass(what, BaseModel):
        return ""
    rows = "".join(
        f"   * - ``{name}``\n     - ``{_type(field.annotation)}``\n     - {_default(field)}\n"
        for name, field in what.model_fields.items()
    )
    heading = "   * - field\n     - type\n     - default\n"
    text = "Fields; what they mean is under :doc:`run file <../run_file>` or :doc:`surveys <../surveys>`.\n\n"
    return f"\n{text}.. list-table::\n   :header-rows: 1\n\n{heading}{rows}"


def _type(annotation: object) -> str:
    text = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    return re.sub(r"\b(?:\w+\.)+", "", text)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "all defaults" if isinstance(value, BaseModel) else f"``{value!r}``"


def _is_method(item: object) -> bool:
    return isinstance(item, property | classmethod | staticmethod) or inspect.isfunction(item)
