"""Sphinx settings; `make docs` builds the pages with warnings as errors."""

from __future__ import annotations

import starscale

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
