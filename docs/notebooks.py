"""Write the tutorials as Jupyter notebooks, from the same text that the test of the documentation runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_FENCE = re.compile(r"^```(?P<kind>[a-z]*)\n(?P<body>.*?)^```\n?", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`(?P<name>[\w./-]+)`:\s*$")


def notebook(text: str) -> dict[str, Any]:
    """Return a page as a notebook: text, Python, commands (``%%bash``) and files (``%%writefile``) as cells.

    Printed output and blocks that are marked as not run stay text.
    """
    cells: list[dict[str, Any]] = []
    told, end = "", 0
    for block in _FENCE.finditer(text):
        told += text[end : block.start()]
        code = _code(block["kind"], block["body"], told)
        if code is None:
            told += block[0]
        else:
            cells += [_cell("markdown", told), _cell("code", code)]
            told = ""
        end = block.end()
    cells.append(_cell("markdown", told + text[end:]))
    python = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    filled = [{**cell, "id": f"cell{i}"} for i, cell in enumerate(cells) if cell["source"].strip()]
    return {"cells": filled, "metadata": python, "nbformat": 4, "nbformat_minor": 5}


def _code(kind: str, body: str, before: str) -> str | None:
    """Return the cell of a block, or None where it is only shown."""
    if before.rstrip().endswith("<!-- not run -->"):
        return None
    if kind == "toml" and (name := _FILE.search(before)):
        return f"%%writefile {name['name']}\n{body}"
    return {"python": body, "bash": f"%%bash -e\n{body}"}.get(kind)


def _cell(kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": source.strip("\n")}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def write(pages: Path, folder: Path) -> None:
    """Write a notebook for every page of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in sorted(pages.glob("*.md")):
        text = json.dumps(notebook(page.read_text(encoding="utf-8")), indent=1)
        (folder / f"{page.stem}.ipynb").write_text(text + "\n", encoding="utf-8")
