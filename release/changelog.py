"""Move the fragments of changes/ into CHANGELOG.md: `python release/changelog.py 0.2.0 [DATE]`."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Headings by the kind of a fragment, in the order of the page: first what users must act on.
KINDS = {
    "columns": "Columns, options, files and flags",
    "added": "Added",
    "changed": "Changed",
    "fixed": "Fixed",
    "removed": "Removed",
}
#: The place of the next version.
UNRELEASED = "## Unreleased\n\nSee `changes/`.\n"


def fragments(folder: Path) -> dict[str, list[Path]]:
    """Return the fragments by kind.

    Raises
    ------
    ValueError
        A file has an unknown kind, or is empty.
    """
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        kind = path.stem.rpartition(".")[2]
        if kind not in KINDS or not path.read_text(encoding="utf-8").strip():
            raise ValueError(f"{path}: empty, or its kind {kind!r} is none of {', '.join(KINDS)}")
        found[kind].append(path)
    return found


def section(version: str, date: str, found: dict[str, list[Path]]) -> str:
    """Return the text of a version: an item for every fragment."""
    parts = [f"## {version} ({date})\n"]
    for kind, paths in found.items():
        items = "".join(f"- {_item(path)}\n" for path in paths)
        parts += [f"### {KINDS[kind]}\n\n{items}"] if items else []
    return "\n".join(parts)


def _item(path: Path) -> str:
    # Links of a fragment start in changes/, those of the changelog at the root.
    text = path.read_text(encoding="utf-8").strip().replace("](../", "](")
    return re.sub(r"\n+", "\n  ", re.sub(r"^- ", "", text))


def release(root: Path, version: str, date: str) -> None:
    """Write the version into CHANGELOG.md, version.py and the recipe, and remove the fragments."""
    found = fragments(root / "changes")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    if UNRELEASED not in text or f"## {version} " in text:
        raise ValueError(f"{changelog}: has no place for {version}, or has it already")
    changelog.write_text(
        text.replace(UNRELEASED, f"{UNRELEASED}\n{section(version, date, found)}"), encoding="utf-8"
    )
    for name, pattern in (
        ("src/starscale/version.py", r'(__version__ = ")[^"]*(")'),
        ("release/conda/meta.yaml", r'(set version = ")[^"]*(")'),
        ("CITATION.cff", r"(\nversion: )[^\n]*()"),
    ):
        path = root / name
        new = re.sub(pattern, rf"\g<1>{version}\g<2>", path.read_text(encoding="utf-8"), count=1)
        path.write_text(new, encoding="utf-8")
    for paths in found.values():
        for path in paths:
            path.unlink()


if __name__ == "__main__":
    if len(sys.argv) < 2 or not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", sys.argv[1]):
        sys.exit("usage: python release/changelog.py VERSION [DATE], for example 0.2.0")
    release(ROOT, sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else datetime.now(UTC).date().isoformat())
