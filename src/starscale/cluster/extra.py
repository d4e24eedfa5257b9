"""Import of the modules of the distributed engine, which need LSDB, when they are used."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType

from starscale.vocabulary.errors import InputError, Problem

#: Packages that the engine imports; the extra installs all of them.
NEEDED = ("lsdb", "hats", "dask", "distributed", "nested_pandas")


def engine_module(name: str) -> ModuleType:
    """Import a module that needs LSDB, by its name below the package (``cluster.catalogue``).

    Raises
    ------
    InputError
        When LSDB is not installed; says how to install it.
    """
    lacking = [package for package in NEEDED if find_spec(package) is None]
    if lacking:
        fix = "Install it: pip install 'starscale[lsdb]'."
        raise InputError(Problem("engine 'lsdb'", f"needs {', '.join(lacking)}, not installed here", fix=fix))
    return importlib.import_module(f"starscale.{name}")
