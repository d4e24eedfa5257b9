"""The functions of (teff, logg, fe_h) that a correction is made of.

Smooth corrections are sums of penalised cubic B-splines (Eilers & Marx 1996, Stat. Sci. 11, 89) in the form of
a mixed model (Wand & Ormerod 2008, Aust. N. Z. J. Stat. 50, 179): every column has coefficient 0 as its prior
mean and a standard deviation that belongs to its group, so that "how smooth" is one number a group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LabelName
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.later import Later
from starscale.vocabulary.settings.homogenize import HomogenizeConfig

interpolate = Later("scipy.interpolate")

AXES: tuple[LabelName, ...] = ("teff", "logg", "fe_h")
_TEFF, _LOGG, _FE_H = (AXES.index(name) for name in ("teff", "logg", "fe_h"))
#: Points of the table that a curve is looked up in; linear in between, relative error below 1e-4.
_GRID = 1025
_DEGREE = 3


@dataclass(frozen=True)
class Basis:
    """Functions of the labels, shape (n, 3) -> (n, p).

    Labels outside `low` to `high` are moved to the border before anything is evaluated, so that a correction
    never extrapolates; a missing label (NaN) counts as `centre`.

    Parameters
    ----------
    kind : str
        `smooth`: constant, linear terms and products, curves of each label, and the difference between dwarfs
        and giants of all that. `polynomial`: monomials up to degree 2, for dwarfs and giants.
    centre, scale, low, high : tuple of 3 floats
        Of teff, logg, fe_h: middle and robust spread of the stars of the overlaps, and their range.
    segments : int
        Segments of every curve.
    join_logg, join_width : float
        Transition between dwarfs and giants, dex.
    """

    kind: Literal["smooth", "polynomial"]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    segments: int
    join_logg: float
    join_width: float

    @classmethod
    def of(cls, stars: FloatArray, config: HomogenizeConfig) -> Basis:
        """Place the basis on the stars of the overlaps, shape (n, 3)."""
        # A label that no star has takes no part: a constant.
        stars = np.where(np.isnan(stars).all(axis=0), 0.0, stars)
        low, high = np.nanpercentile(stars, [0.5, 99.5], axis=0)
        quarter, centre, three = np.nanpercentile(stars, [25, 50, 75], axis=0)
        # Never zero: a label that hardly varies has a constant correction.
        scale = np.maximum((three - quarter) / 1.349, 1e-6 + (high - low) / 20)
        return cls(
            "polynomial" if config.mode == "paper" else config.basis,
            tuple(centre.tolist()),
            tuple(scale.tolist()),
            tuple(low.tolist()),
            tuple(np.maximum(high, low + 1e-6).tolist()),
            config.segments,
            config.join_logg,
            config.join_width,
        )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Basis:
        """Undo `dataclasses.asdict`."""
        try:
            numbers = {k: tuple(float(x) for x in document[k]) for k in ("centre", "scale", "low", "high")}
            if any(len(v) != len(AXES) for v in numbers.values()) or document["kind"] not in (
                "smooth",
                "polynomial",
            ):
                raise ValueError("basis")
            return cls(
                document["kind"],
                segments=int(document["segments"]),
                join_logg=float(document["join_logg"]),
                join_width=float(document["join_width"]),
                **numbers,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(Problem("calibration: basis", f"cannot be read ({error!r})")) from error

    @property
    def size(self) -> int:
        """Number of functions, p."""
        return len(self.groups)

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """Group of every function, shape (p,).

        0: the constant; 1: linear terms and products; then, for a polynomial, 2: squares and products; else
        2, 3, 4: curves in teff, logg, fe_h; 5, 6: differences of those in teff and fe_h between dwarfs and giants.
        """
        if self.kind == "polynomial":
            return np.array([0, *([1] * 7), *([2] * 12)])
        curves = [2 + k for k, (table, _, _) in enumerate(self._curves) for _ in range(table.shape[1])]
        return np.array([0, *([1] * 9), *curves])

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups after the constant."""
        if self.kind == "polynomial":
            return ("linear", "squares")
        curves = (f"{'dwarf_giant' if reverse else 'curve'}_{AXES[axis]}" for _, axis, reverse in self._curves)
        return ("linear", *curves)

    def evaluate(self, labels: FloatArray) -> FloatArray:
        """Evaluate the functions.

        Parameters
        ----------
        labels : ndarray, (n, 3)
            teff (K), logg (dex), fe_h (dex).

        Returns
        -------
        ndarray, (n, p)
        """
        inside = np.clip(np.where(np.isnan(labels), self.centre, labels), self.low, self.high)
        x = (inside - self.centre) / self.scale
        giant = self._giant(inside[:, _LOGG])[:, None]
        products = np.stack([x[:, i] * x[:, j] for i, j in combinations(range(3), 2)], axis=1)
        one = np.ones((len(x), 1))
        if self.kind == "polynomial":
            squares = np.concatenate([x**2, products], axis=1)
            return np.concatenate([one, giant, x, giant * x, squares, giant * squares], axis=1)
        linear = [one, x, giant, giant * x[:, [_TEFF, _FE_H]], products]
        return np.concatenate([*linear, *self._curve_values(inside, giant)], axis=1)

    def _giant(self, logg: FloatArray) -> FloatArray:
        """+1 for giants, -1 for dwarfs, with a smooth transition."""
        return np.tanh((self.join_logg - logg) / (2 * self.join_width))

    @cached_property
    def _curves(self) -> list[tuple[FloatArray, int, bool]]:
        """Table of every set of curves, its axis, and whether its sign changes from dwarfs to giants."""
        few = max(3, self.segments // 2)
        sets = [(axis, False, self.segments) for axis in range(3)]
        sets += [(axis, True, few) for axis in (_TEFF, _FE_H)]
        return [(curve_table(n), axis, reverse) for axis, reverse, n in sets]

    def _curve_values(self, inside: FloatArray, giant: FloatArray) -> list[FloatArray]:
        width = np.asarray(self.high) - self.low
        place = (inside - self.low) / width * (_GRID - 1)
        cell = np.minimum(place.astype(np.intp), _GRID - 2)
        part = place - cell
        values = []
        for table, axis, reverse in self._curves:
            below, step = table, np.diff(table, axis=0)
            found = below[cell[:, axis]] + part[:, axis, None] * step[cell[:, axis]]
            values.append(giant * found if reverse else found)
        return values


def curve_table(segments: int) -> FloatArray:
    """Curves on a grid over 0 to 1: cubic B-splines less their linear part, rotated so that their penalty is one.

    The rows span all splines without their straight lines, which are functions of their own; the second-difference
    penalty of Eilers & Marx becomes the sum of squared coefficients. Scaled so that with coefficients of
    standard deviation 1 the curve has a variance of 1 on average.

    Returns
    -------
    ndarray, (1025, segments + 1)
    """
    inner = np.linspace(0, 1, segments + 1)
    step = 1 / segments
    knots = np.concatenate([-step * np.arange(_DEGREE, 0, -1), inner, 1 + step * np.arange(1, _DEGREE + 1)])
    splines = interpolate.BSpline.design_matrix(np.linspace(0, 1, _GRID), knots, _DEGREE).toarray()
    second = np.diff(np.eye(splines.shape[1]), n=2, axis=0)
    values, vectors = np.linalg.eigh(second.T @ second)
    table = splines @ (vectors[:, 2:] / np.sqrt(values[2:]))
    line = np.stack([np.ones(_GRID), np.linspace(-1, 1, _GRID)], axis=1)
    table -= line @ np.linalg.lstsq(line, table, rcond=None)[0]
    return np.asarray(table / np.sqrt((table**2).sum(axis=1).mean()))
