"""starscale: put every star on one scale.

The verbs of the command, the objects that they return, the settings that they take, flags and errors::

    import starscale as ss

    cleaned = ss.clean("gaia.parquet", survey="gaia_dr3")
    model = ss.load("run/model")
    catalogue = model.predict(ss.read("stars.fits"))

Every public name is listed in ``__init__.pyi`` with the module that holds it, and is imported when it is
first used: ``import starscale`` is quick, and a table is cleaned without loading the learning libraries.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
