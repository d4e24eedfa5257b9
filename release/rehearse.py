"""Carry out Dockerfile and conda recipe without Docker or conda: `python release/rehearse.py`.

A virtual environment takes the place of the image and of the environment of conda, a folder that of the root. What
is not tested: the base image, and the packages of conda-forge.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with their arguments; continued lines are joined."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def ignored(names: list[str], patterns: list[str]) -> set[str]:
    """Return the names of a folder that `.dockerignore` leaves out."""
    return {name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)}


def recipe_commands(text: str) -> tuple[str, list[str]]:
    """Return how a conda recipe builds, and what it runs afterwards."""
    build = re.search(r"^  script: (.*)$", text, re.MULTILINE)
    tests = re.search(r"^  commands:\n((?:    - .*\n)+)", text, re.MULTILINE)
    if build is None or tests is None:
        raise ValueError("the recipe has no script or no commands")
    return build[1], [line.removeprefix("    - ") for line in tests[1].splitlines()]


def run(command: str, folder: Path, environment: Path, home: Path) -> None:
    """Run a command of a shell with the programs of an environment first."""
    print(f"+ {command}", flush=True)
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    variables = {"PATH": path, "HOME": str(home), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "PYENV_"))}
    subprocess.run(["bash", "-e", "-c", command], cwd=folder, env={**kept, **variables}, check=True)


def docker(work: Path, environment: Path) -> None:
    """Carry out the Dockerfile: copies and commands in a folder, then the entry point without arguments."""
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    here, entry = work, []
    for word, rest in instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        if word == "COPY":
            source, target = rest.split()
            there = work / target.lstrip("/")
            shutil.copytree(ROOT / source, there, ignore=lambda _, names: ignored(names, patterns))
        elif word == "RUN":
            # No user is added to this machine.
            command = rest.replace("/source", str(work / "source")).replace(
                "useradd", "command -v useradd && true"
            )
            run(command, work, environment, work)
        elif word == "WORKDIR":
            here = work / rest.lstrip("/")
            here.mkdir(exist_ok=True)
        elif word in ("ENTRYPOINT", "CMD"):
            entry += json.loads(rest)
    run(" ".join(entry), here, environment, work)
    run(f"{entry[0]} mock -o mock --stars 500", here, environment, work)


def conda(work: Path, environment: Path) -> None:
    """Build as the recipe does, without dependencies and isolation, and run its tests."""
    build, tests = recipe_commands((ROOT / "release/conda/meta.yaml").read_text(encoding="utf-8"))
    source = work / "recipe"
    shutil.copytree(ROOT, source, ignore=lambda _, names: ignored(names, [".git", ".venv*", "docs", "build"]))
    run("pip uninstall --quiet --yes starscale && pip install --quiet 'hatchling>=1.27'", work, environment, work)
    run(f"{build.replace('{{ PYTHON }}', 'python')} --quiet --quiet", source, environment, work)
    for command in ("python -c 'import starscale'", *tests):
        run(command, work, environment, work)


def main() -> None:
    """Carry out both in one environment."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        subprocess.run([sys.executable, "-m", "venv", str(work / "environment")], check=True)
        docker(work, work / "environment")
        conda(work, work / "environment")
    print("Dockerfile and recipe: their commands work")


if __name__ == "__main__":
    main()
