"""A short run that starts from an example: its region and service are replaced, and its model is small."""

from __future__ import annotations

from pathlib import Path

SHORT = """extends = "{example}"
mock = true
repeats = 1

[fetch]
box = {box}
service = "{service}"

[model]
kind = "ridge"

[homogenize]
leave_out = false

[importance]
apply = false
"""

#: The mock sky is scattered over the whole sky.
EVERYWHERE = "[0.0, 360.0, -90.0, 90.0]"


def short_run(path: Path, example: Path, service: str, box: str = EVERYWHERE) -> Path:
    """Write the run file, and return its path."""
    path.write_text(SHORT.format(example=example, service=service, box=box), encoding="utf-8")
    return path
