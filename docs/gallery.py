"""Run the scripts of examples/gallery and keep their pictures; conf.py calls it when the pages are built."""

from __future__ import annotations

import contextlib
import runpy
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

SCRIPTS = Path(__file__).parents[1] / "examples" / "gallery"


def draw(folder: Path) -> None:
    """Write the pictures of all scripts into a folder, where they are not there yet."""
    scripts = sorted(SCRIPTS.glob("*.py"))
    missing = [script for script in scripts if not (folder / f"{script.stem}.png").exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    # One folder for all: the first script makes the mock sky.
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        for script in missing:
            runpy.run_path(str(script))
            picture = Path(f"{script.stem}.png")
            (folder / picture).write_bytes(picture.read_bytes())
            plt.close("all")
