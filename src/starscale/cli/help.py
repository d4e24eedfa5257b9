"""The help of the command: plain text that fits a terminal of 24 lines and 80 columns.

No colours, no boxes, and nothing imported that a verb needs.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

#: Verbs by what they are for, each with two or three words about it.
GROUPS: dict[str, dict[str, str]] = {
    "Prepare": {
        "fetch": "from an archive",
        "mock": "a simulated sky",
        "convert": "to another format",
        "check": "what is wrong",
        "clean": "quality cuts",
        "match": "by position",
        "redden": "add E(B-V)",
        "parallax": "without its bias",
        "homogenize": "labels, one scale",
        "recalibrate": "on a known scale",
    },
    "Learn": {
        "train": "from a run file",
        "distil": "small and fast",
        "evaluate": "against labels",
        "compare-models": "same splits",
        "ablate": "without GSP-Phot",
        "importance": "of every column",
    },
    "Use": {
        "demo": "all, on a mock sky",
        "run": "all of a run file",
        "apply": "a model, whole way",
        "predict": "labels of a table",
        "models": "by name",
        "publish": "for CDS and AAS",
    },
    "Look": {
        "report": "page of a run",
        "plot": "picture of a table",
        "validate": "with known stars",
        "send": "to TOPCAT, Aladin",
        "explain": "one star in words",
        "cite": "what to cite",
        "survey": "list, show, new",
        "schema": "for TOML editors",
    },
}
#: Last line of the help of every verb.
EVERYWHERE = "With every command: -q (quiet), -v (more), --log FILE, -h."


def overview() -> str:
    """Return the list of the verbs by groups, in two columns."""
    lines = [
        "Usage: starscale [-q | -v] [--log FILE] COMMAND ...   (COMMAND -h: its options)",
        "",
        "Stellar parameters for photometric surveys, learnt from spectroscopic ones.",
        "",
    ]
    for group, verbs in GROUPS.items():
        cells = [f"{verb:<14} {words:<19}" for verb, words in verbs.items()]
        half = (len(cells) + 1) // 2
        for i, left in enumerate(cells[:half]):
            right = cells[half + i] if half + i < len(cells) else ""
            lines.append(f"{'' if i else group:<8} {left} {right}".rstrip())
    return "\n".join(
        [
            *lines,
            "",
            "-q, --quiet: results and errors only   -v, --verbose: times, memory, versions",
            "--log FILE: all of it, with times      --version",
            "--install-completion: TAB completes commands, surveys and models in your shell",
        ]
    )


def verb_help(command: Any, context: Any) -> str:
    """Return the help of a verb: usage, what it does, arguments, options, example.

    Parameters
    ----------
    command, context : objects of typer's parser
        Only attributes that all versions of typer and click share are used.
    """
    width = min(max(shutil.get_terminal_size((80, 24)).columns, 60), 100)
    arguments, options = (_shown(command, kind) for kind in ("argument", "option"))
    inner = getattr(command, "commands", {})
    text, _, example = (command.help or "").partition("Example: ")
    usage = [context.command_path, *map(_argument, arguments), *["COMMAND ..."][: len(inner)]]
    blocks = [
        " ".join(["Usage:", *usage, *["[OPTIONS]"][: len(options)]]),
        _filled(text, width),
        *(
            "\n".join(_entries(entries, width))
            for entries in (
                [(name, each.help.partition("\n")[0]) for name, each in inner.items()],
                [(_name(item), item.help or "") for item in arguments],
                [(_typed_option(item), _meaning(item)) for item in options],
            )
        ),
        f"{_example(example.strip().strip('`'), width)}{EVERYWHERE}",
    ]
    return "\n\n".join(block for block in blocks if block)


def _filled(text: str, width: int) -> str:
    return "\n".join(textwrap.fill(" ".join(part.split()), width) for part in text.strip().split("\n\n"))


def _shown(command: Any, kind: str) -> list[Any]:
    """Return the arguments or the options of a command, those of every command aside."""
    found = [item for item in command.params if item.param_type_name == kind and item.name != "help"]
    return [item for item in found if not getattr(item, "hidden", False)]


def _example(example: str, width: int) -> str:
    """Return a command in lines that a shell joins again."""
    if not example:
        return ""
    lines = [""]
    for part in re.split(r" (?=-)", example):
        if lines[-1] and len(lines[-1]) + len(part) > width - 12:
            lines.append(part)
        else:
            lines[-1] = f"{lines[-1]} {part}".strip()
    return "Example: " + " \\\n  ".join(lines) + "\n"


def _name(item: Any) -> str:
    return str(item.metavar or item.name).upper()


def _argument(item: Any) -> str:
    name = _name(item) + (" ..." if item.nargs == -1 else "")
    return name if item.required else f"[{name}]"


def _typed_option(item: Any) -> str:
    """Return an option as it is typed."""
    if item.secondary_opts:
        return f"--[no-]{item.opts[0].removeprefix('--')}"
    names = ", ".join(name for name in sorted(item.opts, key=len) if name != "--out")
    return names if item.is_flag else f"{names} {item.metavar or re.split('[-_]', item.name)[-1].upper()}"


def _meaning(item: Any) -> str:
    """Return what an option means, with its default."""
    text = item.help or ""
    if item.required:
        return f"{text} Required."
    if item.secondary_opts:
        return f"{text} [{'yes' if item.default else 'no'}]"
    return text if item.is_flag or item.default in (None, [], ()) else f"{text} [{item.default}]"


def _entries(entries: list[tuple[str, str]], width: int) -> Iterator[str]:
    """Yield entries in two columns, the second one wrapped."""
    edge = min(max((len(name) for name, _ in entries), default=0) + 4, 26)
    for name, text in entries:
        lines = textwrap.wrap(text, width - edge) or [""]
        if len(name) + 3 > edge:
            yield f"  {name}"
        else:
            yield f"  {name:<{edge - 2}}{lines.pop(0)}".rstrip()
        yield from (" " * edge + line for line in lines)
