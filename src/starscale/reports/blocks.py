"""The parts of an HTML report, and the page made of them.

A section is a heading with blocks: paragraphs, tables, figures, folded parts and further sections. One template
shows every block, so a new section of the report is one function that returns a :class:`Section`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from starscale.reports import pictured
from starscale.reports.table import ReportTable
from starscale.version import __version__
from starscale.vocabulary.later import Later

if TYPE_CHECKING:
    from matplotlib.figure import Figure

jinja2, style = Later("jinja2"), Later("starscale.plots.style")

#: Pixels of a page for an inch of a figure: its letters have the size of those of a table.
_PIXELS = 110


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; only :func:`html` gives it marks, any other text is escaped."""

    body: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure on a page.

    Parameters
    ----------
    image : str
        PNG in base64.
    pdf : str
        The same figure as PDF in base64.
    alt, caption : str
        For screen readers; below the figure.
    width : int
        Pixels of the page.
    data : str
        Numbers of the figure: CSV, gzipped, in base64.
    places : str
        Cells and points that the page names under the pointer; empty for none.
    sky : str
        Address where the same place of the sky is looked at; nothing of it is loaded before a reader follows it.
    """

    image: str
    pdf: str
    alt: str
    caption: str
    width: int = 0
    data: str = ""
    places: str = ""
    sky: str = ""

    @classmethod
    def of(cls, figure: Figure, alt: str, caption: str, *, mock: bool, hover: bool = False) -> Picture:
        """Draw a matplotlib figure; that of simulated stars says so itself."""
        image, pdf = (
            base64.b64encode(drawn).decode("ascii") for drawn in (style.png(figure, mock=mock), style.pdf(figure))
        )
        # After the drawing, which decides where the panels lie.
        places = pictured.places(figure) if hover else ""
        width = round(_PIXELS * figure.get_figwidth())
        return cls(image, pdf, alt, caption, width, pictured.table(figure), places)


@dataclass(frozen=True, slots=True)
class Facts:
    """A few numbers in large type, each with its meaning."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answers:
    """Questions that every reader has, each with its answer."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Listing:
    """Preformatted text."""

    listing: str


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that the reader unfolds."""

    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading; inside another section the heading is smaller, and none is shown for an empty one.

    Parameters
    ----------
    name : str
        Anchor of the section on the page.
    heading : str
    blocks : sequence of Block
    """

    name: str
    heading: str
    blocks: Sequence[Block]


Block = Paragraph | ReportTable | Picture | Facts | Answers | Listing | Details | Section


def html(text: str, **values: object) -> Markup:
    """Return text with HTML marks; the values put in its braces are escaped."""
    return Markup(text).format(**values)  # noqa: S704


def folded(table: ReportTable, summary: str = "") -> Details:
    """Return a table that the reader unfolds, under its caption or a summary of it."""
    return Details(summary or table.caption, (table,))


def render(title: str, subtitle: str, sections: Sequence[Section], *, mock: bool) -> str:
    """Return a page that needs no other file and no network; its script works on what is in it.

    Parameters
    ----------
    title, subtitle : str
    sections : sequence of Section
        Two or more are numbered and listed at the top.
    mock : bool
        The stars are simulated: a banner and every caption say so.
    """
    loader = jinja2.PackageLoader("starscale.reports")
    layout = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    layout.filters["kind"] = lambda block: type(block).__name__
    page = layout.get_template("page.html")
    return str(page.render(title=title, subtitle=subtitle, sections=sections, mock=mock, version=__version__))
