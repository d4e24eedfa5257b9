"""Formulas as MathML, which browsers draw themselves: no script, no network. An extension of Sphinx."""

from __future__ import annotations

from typing import Any

from latex2mathml.converter import convert


def _inline(writer: Any, node: Any) -> None:
    _write(writer, node, "inline")


def _block(writer: Any, node: Any) -> None:
    writer.body.append('<div class="math" style="overflow-x: auto" tabindex="0">')
    _write(writer, node, "block")
    writer.body.append("</div>")


def _write(writer: Any, node: Any, display: str) -> None:
    # A reader who copies or hears the formula gets the text that was written.
    formula = convert(node.astext(), display=display)
    label = writer.attval(node.astext())
    writer.body.append(formula.replace("<math ", f'<math aria-label="{label}" ', 1))
    from docutils import nodes

    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Enter the renderer."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True}
