"""The style of the pictures, the Axes that they are drawn on, and the files that they are saved in."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

#: Style file of matplotlib with which every picture is drawn.
STYLE = Path(__file__).parent / "starscale.mplstyle"
#: Blue and orange of Okabe and Ito: distinct for every kind of colour vision.
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#555555"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
#: Markers that go with the colours, so that lines differ in black and white too.
MARKERS = "osD^vPX"
#: Dots per inch of a picture of pixels.
DPI = 200
_MOCK = "MOCK DATA (simulated stars)"
_ALARM = "#b00020"


@lru_cache
def _settings() -> Any:
    return mpl.rc_params_from_file(STYLE, use_default_template=False)


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of starscale; what is set in matplotlib is as before afterwards."""
    with mpl.rc_context(_settings()):
        yield


@contextmanager
def canvas(ax: Axes | None, *, mock: bool = False, projection: str | None = None) -> Iterator[Axes]:
    """Draw on an Axes, or on that of a new figure of pyplot, in the style of starscale.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    mock : bool
        The table says that its stars are simulated: the picture says so too, as pictures are copied.
    projection : str, optional
        Projection of a new Axes.
    """
    with styled():
        if ax is None:
            # pyplot shows a figure in a notebook; it is loaded for users without an Axes alone.
            pyplot = importlib.import_module("matplotlib.pyplot")
            size = (7.6, 4.0) if projection else None
            ax = pyplot.figure(figsize=size).add_subplot(projection=projection)
        yield ax
        if mock:
            ax.set_title(_MOCK, loc="right", fontsize=7, color=_ALARM, fontweight="bold")


def blank(width: float, height: float) -> Figure:
    """Make a figure without panels, outside pyplot; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def grid(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure with a grid of axes, at least one; `size` of one panel in inches."""
    rows, columns = max(rows, 1), max(columns, 1)
    with styled():
        figure = blank(columns * size[0], rows * size[1])
        panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    return figure, panels.tolist()


def png(figure: Figure, *, mock: bool = False) -> bytes:
    """Draw a figure as PNG; a title marks mock data, because figures are copied out of pages."""
    if mock:
        figure.suptitle(_MOCK, fontsize=9, color=_ALARM, fontweight="bold")
    figure.dpi = DPI
    canvas_ = FigureCanvasAgg(figure)
    # savefig would draw everything once more, and throw it away, to find the layout.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    buffer = io.BytesIO()
    # Without the name of the software the same run gives the same bytes.
    with styled():
        canvas_.print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def pdf(figure: Figure) -> bytes:
    """Draw a figure that :func:`png` has drawn as PDF: lines and text are vectors, dense cells are pixels."""
    buffer = io.BytesIO()
    resolution = figure.dpi
    # Without dates and the name of the software the same run gives the same bytes.
    unsaid = {"Creator": None, "Producer": None, "CreationDate": None}
    # Outlines of the letters as they are drawn: subsets of TrueType fonts take longer than all else.
    with styled(), mpl.rc_context({"pdf.fonttype": 3}):
        FigureCanvasPdf(figure).print_pdf(buffer, metadata=unsaid)  # type: ignore[no-untyped-call]
    figure.dpi = resolution
    return buffer.getvalue()
