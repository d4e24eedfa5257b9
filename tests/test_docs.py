"""Run what README and the documentation show: commands, run files and Python, page by page.

Each page is read from top to bottom, in a folder of its own that starts empty:

- ```` ```toml ```` after a line that ends in `` `name.toml`: `` is written to that file;
- ```` ```bash ```` runs with ``bash -e`` and must succeed, or, after ``<!-- exit code 2 -->``, must fail so;
- ```` ```python ```` is executed, all blocks of a page in one namespace, warnings being errors;
- ```` ```text ```` after one of these is compared with its output, loosely: every line must be among what was
  printed when numbers, rules and white space are left out of account; ``...`` stands for anything.
  Figures are therefore NOT checked; they differ from machine to machine.

``<!-- not run -->`` before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs").glob("tutorials/*.md")),
]

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<kind>[a-z{}-]*)\s*$")
_FILE = re.compile(r"`(?P<name>[\w./-]+)`:$")
_NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    line: int
    #: The last line before it that is not blank.
    before: str


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    lines = page.splitlines()
    before, i = "", 0
    while i < len(lines):
        opening = _FENCE.match(lines[i])
        if opening is None:
            before = lines[i].strip() or before
            i += 1
            continue
        start = i + 1
        while lines[i := i + 1].rstrip() != opening["fence"]:
            pass
        yield Block(opening["kind"], "\n".join(lines[start:i]) + "\n", start + 1, before)
        before, i = "", i + 1


def shape(line: str) -> str:
    """A line without its figures, rules and white space."""
    return re.sub(r"[\s─-]+", " ", _NUMBER.sub("#", line)).strip()


class Page:
    """What a reader does who follows one page."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder, self.namespace, self.printed = path, folder, {"__name__": path.stem}, ""

    def follow(self) -> int:
        """Do every block; returns how many were done."""
        doers = {"bash": self._bash, "python": self._python, "toml": self._toml, "text": self._text}
        done = 0
        for block in blocks(self.path.read_text(encoding="utf-8")):
            work = doers.get(block.kind)
            if work is not None and block.before != "<!-- not run -->":
                work(block, f"{self.path.name}:{block.line}")
                done += 1
        return done

    def _bash(self, block: Block, where: str) -> None:
        expected = 2 if block.before == "<!-- exit code 2 -->" else 0
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        result = subprocess.run(
            ["bash", "-e", "-c", block.text],
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.printed = result.stdout
        assert result.returncode == expected, f"{where}: exit code {result.returncode}\n{self.printed}"
        assert "Traceback" not in self.printed, f"{where}\n{self.printed}"

    def _python(self, block: Block, where: str) -> None:
        output = io.StringIO()
        code: Any = compile("\n" * (block.line - 1) + block.text, str(self.path), "exec")
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(output):
            exec(code, self.namespace)
        self.printed = output.getvalue()

    def _toml(self, block: Block, where: str) -> None:
        if name := _FILE.search(block.before):
            target = self.folder / name["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")

    def _text(self, block: Block, where: str) -> None:
        printed = [shape(line) for line in self.printed.splitlines()]
        for line in block.text.splitlines():
            pattern = re.escape(shape(line)).replace(r"\.\.\.", ".*")
            found = any(re.fullmatch(pattern, candidate) for candidate in printed)
            assert found or not pattern, f"{where}: {line!r} is not among what was printed:\n{self.printed}"


@pytest.mark.docs
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_reader_can_follow_the_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every reader has models of their own.
    monkeypatch.setenv("STARSCALE_MODELS", str(tmp_path / "models-of-the-reader"))
    Page(path, tmp_path).follow()


def test_the_check_can_fail(tmp_path: Path) -> None:
    """The runner itself: a wrong command, code, or output is noticed; what is marked is left out."""
    fence = "`" * 3

    def follow(*parts: tuple[str, str, str]) -> int:
        page = tmp_path / "page.md"
        page.write_text("\n".join(f"{before}\n\n{fence}{kind}\n{text}\n{fence}\n" for before, kind, text in parts))
        return Page(page, tmp_path).follow()

    hello = ("", "bash", "echo rows  12")
    assert follow(hello, ("", "text", "rows 7")) == 2
    assert follow(hello, ("", "text", "ro...\n...")) == 2
    with pytest.raises(AssertionError, match="not among"):
        follow(hello, ("", "text", "columns 12"))
    with pytest.raises(AssertionError, match="exit code 1"):
        follow(("", "bash", "false\necho more"))
    assert follow(("<!-- not run -->", "bash", "false")) == 0
    assert follow(("<!-- exit code 2 -->", "bash", "exit 2")) == 1
    with pytest.raises(AssertionError, match="exit code 0"):
        follow(("<!-- exit code 2 -->", "bash", "true"))
    assert follow(("This is `a.toml`:", "toml", "x = 1"), ("", "bash", "grep 'x = 1' a.toml")) == 2
    assert follow(("", "python", "x = 1"), ("", "python", "assert x == 1")) == 2
    with pytest.raises(ZeroDivisionError):
        follow(("", "python", "1 / 0"))
