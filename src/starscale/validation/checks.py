"""Offset, scale of the errors and trend of a sample of differences, each with its error and its verdict.

A quantity has a range that is no fault: the tolerance, for an offset; for a trend also what the stated errors
alone make. A check measures how far outside the range the value lies, in units of its error (Student's t
distribution). All checks of a catalogue are judged together, by the rule of Holm (1979, Scand. J. Statist. 6, 65):
the chance that any fault is found in a catalogue without one stays below the level, however many checks there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from starscale.validation.robust import RobustFit, robust_fit
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

stats = Later("scipy.stats")

#: Fewest stars of a check.
FEWEST = 15
PASSES, FAILS, TOO_FEW = "passes", "fails", "too few stars"
OFFSET, SCALE, TREND = "offset", "errors", "trend"
#: Trends are changes per so many kelvin.
PER_KELVIN = 1000.0


@dataclass(frozen=True, slots=True)
class ValidationCheck:
    """One quantity of one sample.

    Attributes
    ----------
    test : str
        What the catalogue is compared with: ``clusters``, ``benchmark``, ...
    group : str
        Name of the cluster; ``all`` for all stars of a test.
    label : str
        Column of the catalogue.
    quantity : str
        ``offset`` (catalogue - reference), ``errors`` (scatter over stated error), ``trend`` (change of the
        difference per 1000 K).
    unit : str
    n, outliers : int
        Stars, and those of them that are farther than three times the scatter.
    value, error : float
        NaN where there are too few stars.
    low, high : float
        Range that is no fault.
    p : float
        Probability of a value so far outside the range, if there is no fault.
    p_holm : float
        The same after the correction for the number of checks.
    verdict : str
        ``passes``, ``fails`` or ``too few stars``.
    """

    test: str
    group: str
    label: str
    quantity: str
    unit: str
    n: int
    outliers: int = 0
    value: float = float("nan")
    error: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")
    p_holm: float = float("nan")
    verdict: str = TOO_FEW

    @property
    def sigma(self) -> float:
        """Distance outside the range over the error; 0 inside it."""
        distance, error = max(self.low - self.value, self.value - self.high, 0.0), self.error
        if self.quantity == SCALE and distance > 0 and self.value > 0:
            # The error of a scale is a share of it.
            distance, error = (
                abs(np.log(self.value / (self.high if self.value > 1 else self.low))),
                error / self.value,
            )
        if not distance > 0:
            return 0.0 if np.isfinite(self.value) else float("nan")
        return float(distance / error) if error > 0 else float("inf")

    @property
    def sentence(self) -> str:
        """The verdict in words, with the figure and its significance."""
        name = f"{self.test}: {self.quantity} of {self.label}" + (
            f" in {self.group}" if self.group != "all" else ""
        )
        if self.verdict == TOO_FEW:
            return f"{name}: {TOO_FEW} ({self.n}; {FEWEST} are needed)"
        figure = f"{self.value:+.3g} +- {self.error:.2g} {self.unit}".rstrip()
        if self.quantity == SCALE:
            figure = f"scatter is {self.value:.2f} +- {self.error:.2f} times the stated errors"
        allowed = f"no fault from {self.low:.3g} to {self.high:.3g}"
        return f"{name} {self.verdict}: {figure}, {self.n} stars ({allowed}; {self.sigma:.1f} sigma outside)"


@dataclass(frozen=True, slots=True)
class DifferenceSample:
    """Differences of one label.

    Attributes
    ----------
    test, group, label, unit : str
        As in :class:`ValidationCheck`.
    difference : ndarray, (n,)
    error : ndarray, (n,), or None
        Stated errors of the differences; None: none are stated.
    teff : ndarray, (n,), or None
        Temperature against which a trend is looked for, K; NaN where unknown.
    common : float
        Error that all stars share: of the reference's mean, of the scale of the labels.
    shared : ndarray, (n,), or float
        Covariance of the errors of difference and temperature, which makes a trend by itself.
    centred : bool
        The differences have no mean to be tested, and their line goes through zero.
    """

    test: str
    group: str
    label: str
    unit: str
    difference: FloatArray
    error: FloatArray | None
    teff: FloatArray | None = None
    common: float = 0.0
    shared: FloatArray | float = 0.0
    centred: bool = False

    def checks(self, quantities: Sequence[str], tolerance: float, errors: float) -> list[ValidationCheck]:
        """Check quantities.

        Parameters
        ----------
        quantities : sequence of str
            Of ``offset``, ``errors`` and ``trend``; without stated errors, or temperatures, that one is left out.
        tolerance : float
            Offset, and trend per 1000 K, that is no fault.
        errors : float
            Relative deviation of the errors that is no fault.
        """
        found = []
        if OFFSET in quantities and not self.centred:
            found.append(self._offset(tolerance))
        if SCALE in quantities and self.error is not None:
            found.append(self._scale(errors))
        if TREND in quantities and self.teff is not None:
            found.append(self._trend(tolerance))
        return found

    def _check(self, quantity: str, n: int, unit: str) -> ValidationCheck:
        return ValidationCheck(self.test, self.group, self.label, quantity, unit, n)

    def _errors(self) -> FloatArray:
        return np.ones(len(self.difference)) if self.error is None else self.error

    def _offset(self, tolerance: float) -> ValidationCheck:
        n = len(self.difference)
        check = self._check(OFFSET, n, self.unit)
        if n < FEWEST:
            return check
        fit = robust_fit(self.difference, self._errors(), np.ones((n, 1)))
        error = float(np.hypot(fit.errors[0], self.common))
        return _judged(check, fit, float(fit.coefficients[0]), error, (-tolerance, tolerance), n - 1)

    def _scale(self, errors: float) -> ValidationCheck:
        n = len(self.difference)
        check = self._check(SCALE, n, "")
        if n < FEWEST:
            return check
        # About the line, where there is one: a trend is a fault of its own.
        line = self.teff is not None and np.isfinite(self.teff).all() and np.ptp(self.teff) > 0
        design = self._line(np.asarray(self.teff) / PER_KELVIN) if line else np.ones((n, 1))
        fit = robust_fit(self.difference, self._errors(), design)
        return _judged(check, fit, fit.ratio, fit.ratio_error, (1 / (1 + errors), 1 + errors), n - design.shape[1])

    def _line(self, x: FloatArray) -> FloatArray:
        """Return the design of a line through zero, or with an offset at the median; the slope comes first."""
        return x[:, None] if self.centred else np.column_stack([x - np.median(x), np.ones(len(x))])

    def _trend(self, tolerance: float) -> ValidationCheck:
        teff = np.asarray(self.teff)
        known = np.isfinite(teff)
        n = int(known.sum())
        check = self._check(TREND, n, f"{self.unit}/{PER_KELVIN:g} K")
        if n < FEWEST or not np.ptp(teff[known]) > 0:
            return check
        x = teff[known] / PER_KELVIN
        design = self._line(x)
        fit = robust_fit(self.difference[known], self._errors()[known], design)
        shared = np.broadcast_to(np.asarray(self.shared, dtype=np.float64), teff.shape)[known]
        made = float(np.nanmean(shared)) / PER_KELVIN / float(np.mean(x**2) if self.centred else np.var(x))
        low, high = min(made, 0.0) - tolerance, max(made, 0.0) + tolerance
        slope, error = float(fit.coefficients[0]), float(fit.errors[0])
        return _judged(check, fit, slope, error, (low, high), n - design.shape[1])


def _judged(
    check: ValidationCheck, fit: RobustFit, value: float, error: float, allowed: tuple[float, float], freedom: int
) -> ValidationCheck:
    measured = replace(
        check, value=value, error=error, low=allowed[0], high=allowed[1], outliers=int((~fit.kept).sum())
    )
    return replace(measured, p=float(min(1.0, 2 * stats.t.sf(measured.sigma, freedom))) if measured.sigma else 1.0)


def holm(checks: Sequence[ValidationCheck], level: float) -> list[ValidationCheck]:
    """Judge all checks together; those with too few stars stay as they are."""
    judged = list(checks)
    measured = sorted((i for i, c in enumerate(checks) if np.isfinite(c.p)), key=lambda i: checks[i].p)
    worst = 0.0
    for rank, i in enumerate(measured):
        worst = max(worst, min(1.0, (len(measured) - rank) * checks[i].p))
        judged[i] = replace(checks[i], p_holm=worst, verdict=FAILS if worst <= level else PASSES)
    return judged
