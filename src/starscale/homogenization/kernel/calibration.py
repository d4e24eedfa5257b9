"""A calibration: the corrections and error factors of every survey, as a document that applies to new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from starscale.homogenization.kernel.basis import AXES, Basis
from starscale.homogenization.kernel.errors import Factor
from starscale.homogenization.kernel.stored import StoredCalibration
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.strict import validate

FORMAT = "starscale calibration 1"
#: Step of the numerical slope of a correction, in spreads of the labels.
_STEP = 0.05
#: Points along each label at which the slope of a correction is taken.
_POINTS = 33
#: Slopes of a survey against the scale outside these bounds are noise.
_SLOPES = (0.5, 2.0)


@dataclass(frozen=True)
class Correction:
    """Corrections at given places.

    Parameters
    ----------
    value : ndarray, (3, n, S)
        To be subtracted from the labels of the surveys.
    slope : ndarray, (3, 3, n, S)
        Of correction i with label j.
    outside : ndarray of bool, (n, S)
        The star lies outside the range in which the survey overlaps with others: moved to its border.
    """

    value: FloatArray
    slope: FloatArray
    outside: NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """Corrections and error factors that put the labels of every survey on the scale of the anchor.

    Parameters
    ----------
    surveys : tuple of str
        S of them.
    anchor : str
        The survey whose scale is kept.
    own : bool
        Corrections are functions of the survey's own labels (paper mode), not of those on the common scale.
    basis : Basis
    beta : ndarray, (3, S, p)
        Coefficients for teff, logg, fe_h.
    covariance : ndarray, (3, S, p, S, p)
        Of the coefficients.
    factors : tuple of tuple of Factor
        For each label and survey.
    low, high : ndarray, (S, 3)
        Range of teff, logg, fe_h in which each survey overlaps with others.
    snr_bins : tuple of float
        Inner edges of bins in signal-to-noise.
    snr_factors : ndarray, (3, S, n_bins)
        On the quoted errors before `factors`; NaN counts as 1.
    notes : tuple of str
        Warnings.
    information : mapping
        Settings, overlaps, provenance.
    """

    surveys: tuple[str, ...]
    anchor: str
    own: bool
    basis: Basis
    beta: FloatArray
    covariance: FloatArray
    factors: tuple[tuple[Factor, ...], ...]
    low: FloatArray
    high: FloatArray
    snr_bins: tuple[float, ...]
    snr_factors: FloatArray
    notes: tuple[str, ...] = ()
    information: Mapping[str, Any] = field(default_factory=dict)

    def normalised(self, error: FloatArray) -> FloatArray:
        """Normalised errors, shape (3, n, S)."""
        return np.stack(
            [
                np.stack([self.factors[i][s].normalised(error[i, :, s]) for s in range(len(self.surveys))], axis=1)
                for i in range(len(AXES))
            ]
        )

    def scaled_by_snr(self, error: FloatArray, snr: FloatArray, survey: int) -> FloatArray:
        """Quoted errors of one survey's rows times the factor of their bin in signal-to-noise, shape (3, n)."""
        if not self.snr_bins:
            return error
        inside = np.searchsorted(np.asarray(self.snr_bins), snr, side="right")
        factor = self.snr_factors[:, survey, np.minimum(inside, len(self.snr_bins))]
        return np.where(np.isfinite(factor) & np.isfinite(snr), error * factor, error)

    def survey_number(self, name: str) -> int:
        """Return the number of a survey.

        Raises
        ------
        InputError
            The calibration has no survey of that name.
        """
        if name not in self.surveys:
            hint = did_you_mean(name, self.surveys)
            known = f"one of {', '.join(self.surveys)}"
            raise InputError(Problem("calibration", f"has no survey {name!r}", known, hint))
        return self.surveys.index(name)

    def at(self, stars: FloatArray, value: FloatArray, *, slopes: bool = True) -> Correction:
        """Corrections of all surveys.

        Parameters
        ----------
        stars : ndarray, (n, 3)
            Labels on the common scale.
        value : ndarray, (3, n, S)
            Labels of the surveys; in paper mode the corrections are evaluated there.
        slopes : bool
            Compute slopes (three more evaluations); zeros otherwise.
        """
        n, n_surveys = len(stars), len(self.surveys)
        found = np.zeros((3, n, n_surveys))
        slope = np.zeros((3, 3, n, n_surveys))
        outside = np.zeros((n, n_surveys), dtype=bool)
        if self.own:
            for s in range(n_surveys):
                if self.beta[:, s].any():
                    found[:, :, s], outside[:, s] = self.of_survey(value[:, :, s].T, s)
            return Correction(found, slope, outside)
        shared = self._shared(stars)
        beyond = self._beyond(stars, value)
        if slopes:
            for j in range(3):
                step = _STEP * self.basis.scale[j]
                moved = stars.copy()
                moved[:, j] += step
                slope[:, j] = (self._shared(moved) - shared) / step
        for s in range(n_surveys):
            if not self.beta[:, s].any():
                continue
            outside[:, s] = beyond[:, s]
            rows = np.flatnonzero(beyond[:, s])
            if len(rows):
                shared[:, rows, s] = self.of_survey(stars[rows], s)[0]
                slope[:, :, rows, s] = 0.0
        return Correction(shared, slope, outside)

    def _shared(self, stars: FloatArray) -> FloatArray:
        """Corrections of all surveys without their own ranges, shape (3, n, S)."""
        functions = self.basis.evaluate(stars)
        p = functions.shape[1]
        return (functions @ self.beta.reshape(-1, p).T).T.reshape(3, -1, len(stars)).transpose(0, 2, 1)

    def _beyond(self, stars: FloatArray, value: FloatArray) -> NDArray[np.bool_]:
        """Where a star with a measurement lies outside the range of the survey, shape (n, S)."""
        there = np.asarray(np.isfinite(value).any(axis=0))
        # A label that no survey has is missing everywhere, and has no range.
        missing = np.isnan(stars)[:, None, :] & np.isfinite(self.low)
        beyond = (stars[:, None, :] < self.low) | (stars[:, None, :] > self.high) | missing
        return there & np.asarray(beyond.any(axis=2))

    def of_survey(self, labels: FloatArray, survey: int) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Corrections of one survey, moved into its range: (3, n) and where that was needed (n,)."""
        inside = np.clip(labels, self.low[survey], self.high[survey])
        moved = (inside != labels) & np.isfinite(labels)
        moved |= np.isnan(labels) & np.isfinite(self.low[survey])
        return (self.basis.evaluate(inside) @ self.beta[:, survey].T).T, moved.any(axis=1)

    def variances(self, stars: FloatArray, survey: int, other: int) -> FloatArray:
        """Covariance of two surveys' corrections at every star, shape (3, n).

        Beyond the range of the stars that a survey has in common with others its correction stays as at the
        border, and beyond that of the anchor only the others say what the scale is. Nothing was measured there:
        the variance grows by the mean square slope inside times the square of the distance. Not in paper mode.
        """
        inside = np.clip(stars, self.low[survey], self.high[survey])
        functions = self.basis.evaluate(inside)
        found = np.stack([((functions @ c[survey, :, other, :]) * functions).sum(axis=1) for c in self.covariance])
        anchor = self.surveys.index(self.anchor)
        if not self.own and anchor not in (survey, other):
            found += self._steepness[:, anchor] @ self._distance(stars, anchor).T ** 2
            if survey == other:
                found += self._steepness[:, survey] @ self._distance(stars, survey).T ** 2
        return found

    def _distance(self, stars: FloatArray, survey: int) -> FloatArray:
        """Distance of every star from the range of a survey, shape (n, 3)."""
        inside = np.clip(stars, self.low[survey], self.high[survey])
        return np.nan_to_num(np.abs(stars - inside))

    @cached_property
    def _steepness(self) -> FloatArray:
        """Mean square slope of every correction along each label in its range, shape (3, S, 3); anchor: mean."""
        found = np.zeros((3, len(self.surveys), 3))
        low, high = (np.where(np.isfinite(ends), ends, 0.0) for ends in (self.low, self.high))
        for s, j in np.argwhere(high > low):
            along = np.tile(np.clip(self.basis.centre, low[s], high[s]), (_POINTS, 1))
            along[:, j] = np.linspace(low[s, j], high[s, j], _POINTS)
            slopes = np.diff(self.basis.evaluate(along), axis=0) / np.diff(along[:, j])[:, None]
            found[:, s, j] = ((slopes @ self.beta[:, s].T) ** 2).mean(axis=0)
        anchor = self.surveys.index(self.anchor)
        found[:, anchor] = np.delete(found, anchor, axis=1).mean(axis=1)
        return found

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON, from which :meth:`from_document` restores the calibration."""
        free = [s for s in range(len(self.surveys)) if self.covariance[:, s].any()]
        size = len(free) * self.basis.size
        lower = np.tril_indices(size)
        blocks = [c[free][:, :, free].reshape(size, size)[lower] for c in self.covariance]
        return {
            "format": FORMAT,
            "anchor": self.anchor,
            "own": self.own,
            "basis": asdict(self.basis),
            "snr_bins": list(self.snr_bins),
            "notes": list(self.notes),
            "information": dict(self.information),
            "surveys": {name: self._survey_entry(s) for s, name in enumerate(self.surveys)},
            "covariance_of": [self.surveys[s] for s in free],
            "covariance": {axis: _numbers(block) for axis, block in zip(AXES, blocks, strict=True)},
        }

    def _survey_entry(self, s: int) -> dict[str, Any]:
        """Entry of one survey in the document; every item holds one value for each label."""
        ranges = np.stack([self.low[s], self.high[s]], axis=1)
        return {
            "range": {axis: _numbers(ranges[i]) for i, axis in enumerate(AXES)},
            "errors": {axis: _plain(asdict(self.factors[i][s])) for i, axis in enumerate(AXES)},
            "snr_factors": {axis: _numbers(self.snr_factors[i, s]) for i, axis in enumerate(AXES)},
            "coefficients": {axis: _numbers(self.beta[i, s]) for i, axis in enumerate(AXES)},
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str = "calibration") -> Calibration:
        """Restore a calibration from its document.

        Raises
        ------
        InputError
            The document is not a calibration, is of another version, or is damaged.
        """
        if document.get("format") != FORMAT:
            found = f"is not a calibration of this version (format {document.get('format')!r})"
            raise InputError(Problem(where, found, repr(FORMAT)))
        try:
            validate(StoredCalibration, document, where)
        except InputError as error:
            raise InputError(
                replace(item, found=f"is damaged ({item.found})", expected="a calibration")
                for item in error.problems
            ) from None
        try:
            return cls._restored(document)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(Problem(where, f"is damaged ({error!r})", "a calibration")) from error

    @classmethod
    def _restored(cls, document: Mapping[str, Any]) -> Calibration:
        basis = Basis.from_dict(document["basis"])
        names, anchor = tuple(str(name) for name in document["surveys"]), str(document["anchor"])
        entries = list(document["surveys"].values())
        beta = _per_label(entries, "coefficients")
        ranges = _per_label(entries, "range").transpose(1, 0, 2)
        if beta.shape != (3, len(names), basis.size) or anchor not in names or not np.isfinite(beta).all():
            raise ValueError("shapes")
        return cls(
            surveys=names,
            anchor=anchor,
            own=bool(document["own"]),
            basis=basis,
            beta=beta,
            covariance=_covariance(document, names, basis.size),
            factors=tuple(tuple(_factor(e["errors"][axis]) for e in entries) for axis in AXES),
            # None, read as NaN, means "no limit".
            low=np.where(np.isnan(ranges[:, :, 0]), -np.inf, ranges[:, :, 0]),
            high=np.where(np.isnan(ranges[:, :, 1]), np.inf, ranges[:, :, 1]),
            snr_bins=tuple(float(x) for x in document["snr_bins"]),
            snr_factors=_per_label(entries, "snr_factors"),
            notes=tuple(str(n) for n in document["notes"]),
            information=dict(document["information"]),
        )


def _per_label(entries: Sequence[Mapping[str, Any]], item: str) -> FloatArray:
    """Numbers of all surveys from a document, shape (3, S, any)."""
    return np.array([[entry[item][axis] for entry in entries] for axis in AXES], dtype=float)


def _covariance(document: Mapping[str, Any], names: Sequence[str], p: int) -> FloatArray:
    """Covariance of the coefficients from its lower triangles in a document, shape (3, S, p, S, p)."""
    free = [names.index(name) for name in document["covariance_of"]]
    covariance = np.zeros((3, len(names), p, len(names), p))
    size = len(free) * p
    for i, axis in enumerate(AXES):
        block = np.zeros((size, size))
        block[np.tril_indices(size)] = np.array(document["covariance"][axis], dtype=float)
        block += np.tril(block, -1).T
        covariance[np.ix_([i], free, range(p), free, range(p))] = block.reshape(1, len(free), p, len(free), p)
    return covariance


def _factor(plain: Mapping[str, Any]) -> Factor:
    known: dict[str, Any] = {name: np.nan if value is None else value for name, value in plain.items()}
    return Factor(**known)


def _short(value: float) -> float:
    return float(f"{value:.9g}")


def _numbers(values: FloatArray) -> list[float | None]:
    return [_short(v) if np.isfinite(v) else None for v in values.tolist()]


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}


def bounded(slope: FloatArray) -> FloatArray:
    """Return the slope of a survey's label against the label on the scale, ``1 + df/dx``, kept away from 0."""
    return np.clip(1 + slope, *_SLOPES)
