"""Sphinx settings; `make docs` builds the pages with warnings as errors."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import starscale

_HERE = Path(__file__).parent
os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(_HERE))

project = "starscale"
author = "The starscale developers"
project_copyright = author
version = release = starscale.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "mathml", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"starscale {release}"
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath"]
# Sections can be linked to as page.md#section, as on the pages of a repository.
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
# Defaults as they are written; settings would show the functions that make them.
autodoc_preserve_defaults = True
numpydoc_show_class_members = False


def _readable(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, signature: Any, back: Any) -> Any:
    """Leave out of a signature what only the machine can read."""
    if signature is None:
        return None
    return re.sub(
        r"<function <lambda>[^>]*>|<factory>|<object object at [^>]*>|PydanticUndefined", "...", signature
    ), back


def _prepare(_app: Any) -> None:
    """Draw the pictures, and write the pages that are made, before pages are read."""
    import notebooks
    import pictures
    import reference

    import gallery

    made = _HERE / "_build" / "pictures"
    pictures.draw(made)
    gallery.draw(made / "gallery")
    notebooks.write(_HERE / "tutorials", _HERE / "_build" / "notebooks")
    reference.write(_HERE / "reference")


def _reachable(_app: Any, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Give captions their level, and let keys scroll what is wider than the page."""
    for part in ("body", "furo_navigation_tree"):
        text = context.get(part) or ""
        text = text.replace('class="caption" role="heading"', 'class="caption" role="heading" aria-level="2"')
        context[part] = re.sub(r'<(pre|div class="table-wrapper[^>]*)>', r'<\1 tabindex="0">', text)


def setup(app: Any) -> None:
    """Connect what the pages need."""
    app.connect("html-page-context", _reachable, priority=900)
    app.connect("builder-inited", _prepare)
    app.connect("autodoc-process-signature", _readable)
