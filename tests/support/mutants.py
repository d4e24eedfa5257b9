"""Small faults put into a module, one at a time, and whether its tests find them.

``python tests/support/mutants.py src/starscale/features/splits.py tests/features/test_splits.py --most 50`` makes
faults (another comparison, sign, constant, condition or result), runs the tests with each, and prints those that
they did not find and the share that they did.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
}  # fmt: skip


def _faults(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield the attribute of a node and its wrong value, for every fault."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        yield "ops", [_COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        yield "op", _OPERATORS[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        yield "op", ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "value", node.value + 1
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "test", ast.UnaryOp(ast.Not(), node.test)


def _nodes(tree: ast.Module) -> list[ast.AST]:
    """Return the nodes of functions; annotations, texts and what is done on import apart."""
    found: list[ast.AST] = []
    types: list[ast.expr | None] = []
    for part in ast.walk(tree):
        if isinstance(part, ast.FunctionDef):
            found += [node for line in part.body for node in ast.walk(line)]
            types.append(part.returns)
        elif isinstance(part, ast.AnnAssign | ast.arg):
            types.append(part.annotation)
    apart = {node for annotation in types if annotation for node in ast.walk(annotation)}
    return [node for node in dict.fromkeys(found) if node not in apart]


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, text and whole source of every fault of a module."""
    tree = ast.parse(source)
    for node in _nodes(tree):
        for name, wrong in _faults(node):
            right, before = getattr(node, name), ast.unparse(node)
            setattr(node, name, wrong)
            text = ast.unparse(ast.fix_missing_locations(tree))
            yield getattr(node, "lineno", 0), f"{before}  ->  {ast.unparse(node)}".splitlines()[0][:150], text
            setattr(node, name, right)


#: Libraries are imported before pytest can rewrite their asserts.
_OPTIONS = ["-q", "-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]


def _load_libraries() -> None:
    """Import what all tests import, so that every fault takes its tests only; nothing of starscale."""
    for name in (
        "polars",
        "pyarrow.parquet",
        "pytest",
        "hypothesis",
        "scipy.stats",
        "astropy.table",
        "matplotlib.figure",
    ):
        importlib.import_module(name)


def _passes(tests: list[str], folder: Path, seconds: float = 1e9) -> bool:
    """Whether the tests pass with the sources in a folder, in a copy of this process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            sys.path.insert(0, str(folder))
            sys.dont_write_bytecode = True
            os.chdir(ROOT)
            code = int(importlib.import_module("pytest").main([*_OPTIONS, *tests]))
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


def main() -> None:
    """Try the faults of one module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--most", type=int, default=100, help="faults to try, drawn with the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=300, help="for the tests, with each fault")
    given = parser.parse_args()
    every = list(mutants(given.module.read_text()))
    drawn = sorted(random.Random(given.seed).sample(every, min(given.most, len(every))))
    _load_libraries()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "src" / "starscale", Path(folder) / "starscale")
        if not _passes(given.tests, Path(folder)):
            sys.exit("the tests fail without a fault")
        target = Path(folder) / given.module.resolve().relative_to(ROOT / "src")
        found = 0
        for line, what, text in drawn:
            target.write_text(text)
            if _passes(given.tests, Path(folder), given.seconds):
                print(f"not found: {given.module.name}:{line}: {what}", flush=True)
            else:
                found += 1
    print(f"{given.module}: {found} of {len(drawn)} faults found ({100 * found / max(len(drawn), 1):.0f} %)")


if __name__ == "__main__":
    main()
