"""Dust maps of the package dustmaps, which is optional."""

from __future__ import annotations

import contextlib
import importlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from starscale.dust.description import DustmapsQuery
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem

_INSTALL = "Install it: pip install 'starscale[dust]'."


class DustmapsMap:
    """A map that dustmaps has read; see :class:`starscale.dust.healpix_map.HealpixMap` for its methods.

    Raises
    ------
    InputError
        dustmaps is not installed, has no such map, or its data were not downloaded.
    """

    def __init__(self, about: DustmapsQuery) -> None:
        self._about = about
        self._where = f"{about.module}.{about.query}"
        if find_spec("dustmaps") is None:
            raise InputError(Problem(self._where, "needs the package dustmaps, not installed here", fix=_INSTALL))
        try:
            kind = getattr(importlib.import_module(about.module), about.query)
        except (ImportError, AttributeError) as error:
            raise InputError(Problem(self._where, f"cannot be imported ({error})", fix=_INSTALL)) from error
        self._query = self._quietly(kind, **about.arguments)
        self.distances = self._reach() if about.needs_distance else np.array([])

    def at(
        self, ra: FloatArray, dec: FloatArray, distance: FloatArray | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return values and errors at positions (deg) and distances (pc); NaN outside the map. Shape (n,)."""
        far = {} if distance is None else {"distance": distance * u.pc}
        there = SkyCoord(ra * u.deg, dec * u.deg, frame="icrs", **far)
        values = np.asarray(self._quietly(self._query, there, **self._about.call), dtype=np.float64)
        if self._about.error_call is None:
            return values, None
        return values, np.asarray(self._quietly(self._query, there, **self._about.error_call), dtype=np.float64)

    def _reach(self) -> FloatArray:
        """Return the distances of the map, pc."""
        try:
            found = np.sort(np.atleast_1d(self._query.distances.to_value(u.pc)).astype(np.float64))
        except AttributeError as error:
            found_text = f"does not say how far it reaches ({error})"
            fix = "Use a newer version of dustmaps, or needs_distance = false in the description."
            raise InputError(Problem(self._where, found_text, "a property `distances`", fix)) from error
        # Some maps have no value at their first distance itself.
        found[0] = np.nextafter(found[0], np.inf)
        return found

    def _quietly(self, call: Any, *arguments: Any, **named: Any) -> Any:
        """Call dustmaps, which prints what it does; an error of it becomes one of the user."""
        try:
            with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
                return call(*arguments, **named)
        except (OSError, KeyError, TypeError, ValueError) as error:
            fix = f"Its data are downloaded with: python -c 'import {self._about.module} as m; m.fetch()'."
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(Problem(self._where, f"cannot be used ({reason})", fix=fix)) from error
