"""The numbers that a figure shows: as a table to download, and as places that a page names under the pointer.

Read from what matplotlib drew, so no picture keeps a second list of its data.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from starscale.vocabulary.arrays import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A map of more cells is thinned: its cells repeat those of a coarser grid.
_CELLS = 20_000
_COLUMNS = ("panel", "x_axis", "y_axis", "series", "x", "y", "value")


@dataclass(frozen=True)
class _Series:
    """What one artist shows: places in the coordinates of its panel, and values where it has some."""

    name: str
    x: FloatArray
    y: FloatArray
    value: FloatArray | None = None
    value_title: str = ""


def table(figure: Figure) -> str:
    """Return the numbers of all panels as CSV, gzipped, in base64; the same figure gives the same text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for number, axes in enumerate(_panels(figure), 1):
        names = _plain(axes.get_xlabel()), _plain(axes.get_ylabel())
        for series in _drawn(axes):
            value = [""] * len(series.x) if series.value is None else _numbers(series.value)
            name = series.name or series.value_title
            x, y = _stated(axes, series)
            for row in zip(_numbers(x), _numbers(y), value, strict=True):
                writer.writerow((number, *names, name, *row))
    return _packed(text.getvalue())


def places(figure: Figure) -> str:
    """Return where cells and points lie on the drawn figure, with their numbers: JSON, gzipped, in base64."""
    width, height = figure.bbox.width, figure.bbox.height
    panels = []
    for axes in _panels(figure):
        for series in (item for item in _drawn(axes) if item.value is not None or item.name == ""):
            pixel = axes.transData.transform(np.column_stack([series.x, series.y]))
            x, y = _stated(axes, series)
            value = np.full(len(x), np.nan) if series.value is None else series.value
            at = np.rint(np.column_stack([pixel[:, 0] / width, 1 - pixel[:, 1] / height]) * 1e4).astype(int)
            rows = [
                [*place, *words] for place, *words in zip(at.tolist(), *map(_numbers, (x, y, value)), strict=True)
            ]
            names = _titles(axes)
            panels.append({"x": names[0], "y": names[1], "value": series.value_title, "rows": rows})
    return _packed(json.dumps(panels, separators=(",", ":")))


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")


def _panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def _drawn(axes: Axes) -> Iterator[_Series]:
    """Yield what the artists of a panel show in its coordinates; decoration aside."""
    for line in axes.lines:
        x, y = (np.asarray(part, dtype=np.float64) for part in (line.get_xdata(), line.get_ydata()))
        if line.get_transform() == axes.transData and len(x) and len(x) == len(y):
            yield _Series(_plain(line.get_label()), x, y)
    for patch in axes.patches:
        yield from _patch(patch)
    for collection in axes.collections:
        if hasattr(collection, "get_coordinates"):
            yield _cells(collection)


def _patch(patch: Any) -> Iterator[_Series]:
    """Yield a histogram or a bar."""
    if hasattr(patch, "get_data"):
        values, edges, _ = patch.get_data()
        if not patch.get_fill():
            yield _Series(_plain(patch.get_label()), (edges[1:] + edges[:-1]) / 2, np.asarray(values))
    elif hasattr(patch, "get_width"):
        end = np.array([patch.get_x() + patch.get_width()]), np.array([patch.get_y() + patch.get_height()])
        yield _Series(_plain(patch.get_label()), *end)


def _cells(mesh: Any) -> _Series:
    """Return the centres of the filled cells of a map."""
    corners = np.asarray(mesh.get_coordinates(), dtype=np.float64)
    centres = (corners[1:, 1:] + corners[:-1, 1:] + corners[1:, :-1] + corners[:-1, :-1]) / 4
    values = np.ma.filled(np.ma.asarray(mesh.get_array(), dtype=np.float64), np.nan).reshape(centres.shape[:2])
    step = int(np.ceil(np.sqrt(values.size / _CELLS)))
    centres, values = centres[step // 2 :: step, step // 2 :: step], values[step // 2 :: step, step // 2 :: step]
    full = np.isfinite(values)
    bar = mesh.colorbar
    title = _plain(bar.ax.get_ylabel()) if bar is not None else ""
    return _Series("", centres[full][:, 0], centres[full][:, 1], values[full], title)


def _stated(axes: Axes, series: _Series) -> tuple[FloatArray, FloatArray]:
    """Return coordinates as a reader knows them: those of a sky in projection are in degrees, east to the left."""
    if axes.name == "rectilinear":
        return series.x, series.y
    return -np.degrees(series.x) % 360, np.degrees(series.y)


def _titles(axes: Axes) -> tuple[str, str]:
    if axes.name != "rectilinear":
        return "RA (deg)", "Dec (deg)"
    return _plain(axes.get_xlabel()), _plain(axes.get_ylabel())


def _plain(text: object) -> str:
    """Return a title without the marks of formulas; names that matplotlib makes itself are none."""
    written = re.sub(r"\\mathrm|\\|[${}_]", "", str(text)) if "$" in str(text) else str(text)
    return "" if written.startswith("_") else " ".join(written.split())


def _numbers(values: FloatArray) -> list[str]:
    return ["" if not np.isfinite(value) else f"{value:.6g}" for value in np.asarray(values, dtype=np.float64)]
