"""Pictures of stars, labels, errors and surveys: each draws on an Axes of matplotlib, and returns it.

Every function takes a table as :func:`starscale.read` does (a path, or a table of polars, pandas or astropy), and
the names of its columns, so that it works on any catalogue::

    import starscale as ss

    axes = ss.plots.kiel("stars.fits", teff="TEFF", logg="LOGG")
    axes.figure.savefig("kiel.pdf")

matplotlib is loaded when the first picture is asked for. Large tables are drawn as counts in cells.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
