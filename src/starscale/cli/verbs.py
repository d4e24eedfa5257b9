"""The verbs of the command, each in a module that is imported when it is called.

What a verb needs takes seconds to import, so the list in ``starscale --help`` is read from the source.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MethodType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from starscale.cli import printing
from starscale.cli.help import overview, verb_help
from starscale.version import __version__

#: Modules of this folder, by verb, in the order of use.
MODULES = {
    "demo": "run",
    "mock": "run",
    "fetch": "fetch",
    "convert": "tables",
    "clean": "tables",
    "redden": "dust",
    "parallax": "dust",
    "match": "tables",
    "homogenize": "scales",
    "recalibrate": "scales",
    "train": "model",
    "distil": "model",
    "evaluate": "model",
    "compare-models": "compare",
    "ablate": "compare",
    "predict": "model",
    "apply": "model",
    "explain": "explain",
    "importance": "explain",
    "plot": "plot",
    "validate": "validate",
    "send": "send",
    "publish": "publish",
    "report": "run",
    "cite": "cite",
    "run": "run",
    "check": "run",
    "schema": "survey",
    "survey": "survey",
    "models": "models",
}
#: Settings of the command and of every verb.
STYLE: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


# When the shell completes a line, options are only looked at: nothing is opened then.
def _quiet(context: typer.Context, value: bool) -> bool:
    printing.session.quiet |= value and not context.resilient_parsing
    return value


def _verbose(context: typer.Context, value: bool) -> bool:
    if value and not context.resilient_parsing and not printing.session.verbose:
        printing.session.verbose = True
        printing.introduce(__version__)
    return value


def _log(context: typer.Context, value: Path | None) -> Path | None:
    if value is not None and not context.resilient_parsing:
        printing.session.open_log(value)
        printing.introduce(__version__)
    return value


Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_quiet, expose_value=False, hidden=True)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", callback=_verbose, expose_value=False, hidden=True)]
Log = Annotated[Path | None, typer.Option("--log", callback=_log, expose_value=False, hidden=True)]


def everywhere(quiet: Quiet = False, verbose: Verbose = False, log: Log = None) -> None:
    """Take the options of every command; their callbacks set what is printed."""
    del quiet, verbose, log


def load(verb: str) -> Any:
    """Import a verb: a function, or the Typer of a group."""
    return getattr(importlib.import_module(f"starscale.cli.{MODULES[verb]}"), verb.replace("-", "_"))


class _Named(TyperCommand):
    """A verb that is not imported: its name and help."""


class Verbs(TyperGroup):
    """Lists the verbs without importing them, and imports the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for verb in MODULES:
            self.add_command(_Named(name=verb, help=help_of(verb)))

    def get_help(self, ctx: Any) -> str:  # noqa: ARG002
        """Return the list of the verbs."""
        return overview()

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the verb that the first argument names."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, as_command(name) if isinstance(command, _Named) and name else command, rest


def as_command(verb: str) -> Any:
    """Return a verb as a command of Typer."""
    alone, what = typer.Typer(add_completion=False, **STYLE), load(verb)
    # With a callback it is a group, whatever it contains.
    alone.callback()(everywhere)
    if isinstance(what, typer.Typer):
        alone.add_typer(what, name=verb)
    else:
        alone.command(verb)(what)
    group: Any = typer.main.get_command(alone)
    return _dressed(group.commands[verb], group.params)


def _dressed(command: Any, shared: list[Any]) -> Any:
    """Give a command, and those inside it, our help and the options of every command."""
    command.get_help = MethodType(verb_help, command)
    inner = getattr(command, "commands", None)
    if inner is None:
        command.params = [*command.params, *(item for item in shared if getattr(item, "hidden", False))]
    for each in (inner or {}).values():
        _dressed(each, shared)
    return command


@lru_cache
def _tree(module: str) -> ast.Module:
    return ast.parse(resources.files("starscale.cli").joinpath(f"{module}.py").read_text(encoding="utf-8"))


def help_of(verb: str) -> str:
    """Return the docstring of the function, or the `help` of the Typer, that has the name of the verb."""
    name = verb.replace("-", "_")
    return next(_help(item) for item in _tree(MODULES[verb]).body if name in _names(item))


def _names(item: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(item, ast.FunctionDef):
        return [item.name]
    return [ast.unparse(target) for target in item.targets] if isinstance(item, ast.Assign) else []


def _help(item: ast.stmt) -> str:
    if isinstance(item, ast.FunctionDef):
        return inspect.cleandoc(ast.get_docstring(item) or "")
    keywords = [word for word in ast.walk(item) if isinstance(word, ast.keyword) and word.arg == "help"]
    return str(ast.literal_eval(keywords[0].value))
