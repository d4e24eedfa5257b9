"""Sphinx settings; `make docs` builds the pages with warnings as errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import starscale

os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent))

project = "starscale"
author = "The starscale developers"
project_copyright = author
version = release = starscale.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"starscale {release}"

myst_enable_extensions = ["dollarmath"]
# Sections can be linked to as page.md#section, as on the pages of a repository.
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False


def setup(app: Any) -> None:
    """Draw the pictures of the pages before they are read."""
    from pictures import draw

    app.connect("builder-inited", lambda _: draw(Path(__file__).parent / "_build" / "pictures"))
