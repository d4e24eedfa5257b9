"""The scale of a model's labels, and by how much other label surveys are expected to differ from it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.model.evaluate import BINS
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.later import Later

special, truth = Later("scipy.special"), Later("starscale.learn.uncertainty.truth")

#: Kinds of stars, and the surface gravity between them.
KINDS = ("dwarf", "giant")
GIANT_LOGG = 3.5
#: Fewest stars of a bin, and of a kind of stars whose residuals are looked at.
_FEWEST, _FEWEST_RESIDUALS = 20, 200
#: Least error against the truth, as a share of the error against labels: stated errors of labels are uncertain.
FLOOR = 0.5
#: Least share that residuals can show.
SMALLEST_SHARE = 0.2
#: A model whose residuals of held-out stars are so many times wider than those of training stars remembers labels.
REMEMBERED = 1.4


@dataclass(frozen=True, slots=True)
class ErrorCurve:
    """The error of the scale of a label, for dwarfs, giants or ("any") all stars: linear between points."""

    label: str
    kind: str
    at: tuple[float, ...]
    error: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LabelScale:
    """The scale of labels.

    Attributes
    ----------
    scale : str
        The survey whose scale it is.
    surveys : tuple of str
        The surveys that the labels come from.
    source : str
        Where the errors come from, in words.
    curves : tuple of ErrorCurve
    """

    scale: str
    surveys: tuple[str, ...]
    source: str
    curves: tuple[ErrorCurve, ...]

    @classmethod
    def of(cls, table: pl.DataFrame, labels: Sequence[str], surveys: Sequence[str], scale: str) -> LabelScale:
        """Return the scale of the labels of a training table.

        Parameters
        ----------
        table : polars.DataFrame
            Labels and, from :func:`starscale.homogenize`, their scale errors. Where there are none, as with one
            survey, the packaged values are taken.
        labels : sequence of str
        surveys : sequence of str
            The label surveys.
        scale : str
            The one whose scale it is.
        """
        known = [name for name in labels if _known(table, name)]
        usual = _usual()
        curves = [curve for name in known for curve in error_curves(table, name, f"{name}_scale_error")]
        curves += [ErrorCurve(n, "any", (0.0,), (float(usual["errors"][n]),)) for n in labels if n not in known]
        words = [f"differences between {len(surveys)} surveys ({', '.join(known)})"] if known else []
        words += [f"assumed: {usual['source']}"] if len(known) < len(labels) else []
        return cls(scale, tuple(surveys), "; ".join(words), tuple(curves))

    def errors(self, values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return the scale error of every predicted label; NaN where it was not predicted.

        Parameters
        ----------
        values : mapping of str to ndarray, (n,)
            Predicted labels.
        """
        return interpolated(self.curves, values)

    def document(self) -> dict[str, Any]:
        """Return plain data, from which :meth:`from_document` restores the scale."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LabelScale:
        """Undo :meth:`document`."""
        return cls(
            document["scale"], tuple(document["surveys"]), document["source"], curves_from(document["curves"])
        )


@dataclass(frozen=True, slots=True)
class TruthShare:
    """Error of a label against true values over that against labels, of dwarfs, giants or ("any") all stars."""

    label: str
    kind: str
    share: float
    stars: int


@dataclass(frozen=True, slots=True)
class Residuals:
    """What a model says of stars with known labels, that took part in its training or were held out.

    Parameters
    ----------
    value, error : ndarray, (n, n_labels)
        Predicted labels, and their errors against labels.
    label, label_error : ndarray, (n, n_labels)
        NaN where unknown.
    held_out : ndarray of bool, (n,)
    """

    value: FloatArray
    error: FloatArray
    label: FloatArray
    label_error: FloatArray
    held_out: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """What the errors of labels leave of the errors of a model.

    Attributes
    ----------
    curves : tuple of ErrorCurve
        Typical errors of the labels that it was trained on, by label and kind of star.
    shares : tuple of TruthShare
        From its residuals; of labels and kinds with enough stars.
    """

    curves: tuple[ErrorCurve, ...]
    shares: tuple[TruthShare, ...] = ()

    @classmethod
    def of(cls, table: pl.DataFrame, labels: Sequence[str]) -> LabelNoise:
        """Return the errors of the labels of a training table; labels whose errors are not known have no curve."""
        positive = [pl.when(pl.col(f"{name}_error") > 0).then(f"{name}_error") for name in labels]
        stars = table.with_columns(positive)
        known = [name for name in labels if len(stars[f"{name}_error"].drop_nulls()) >= _FEWEST]
        return cls(tuple(curve for name in known for curve in error_curves(stars, name, f"{name}_error")))

    def with_residuals(self, labels: Sequence[str], stars: Residuals) -> LabelNoise:
        """Return it with the shares that the residuals of a model show (:func:`.truth.truth_share`).

        A model follows the labels that it was trained on: residuals of its training stars are made as wide as
        those of the stars that were held out, as far as their number says by how much these are wider. Of a model
        that remembers labels, only those of the stars that were held out are looked at.
        """
        gravity = stars.value[:, labels.index("logg")] if "logg" in labels else None
        residuals, shares = stars.value - stars.label, []
        for i, name in enumerate(labels):
            known = np.isfinite(residuals[:, i]) & (stars.error[:, i] > 0) & (stars.label_error[:, i] > 0)
            residual, error, noise = (v[known, i] for v in (residuals, stars.error, stars.label_error))
            new = stars.held_out[known]
            factor = truth.wider(residual / error, new)
            usable = new if factor > REMEMBERED else np.ones(len(new), bool)
            residual[~new & usable] *= factor
            kinds = _kinds(None if gravity is None else gravity[known], usable, _FEWEST_RESIDUALS)
            for kind, mine in kinds.items():
                if (n := int(mine.sum())) >= _FEWEST_RESIDUALS:
                    share = truth.truth_share(residual[mine], error[mine], noise[mine])
                    shares.append(TruthShare(name, kind, float(np.clip(share, SMALLEST_SHARE, 1.0)), n))
        return replace(self, shares=tuple(shares))

    def errors(
        self, values: Mapping[str, FloatArray], against_labels: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Return the errors against the true values; NaN where the errors of the labels are not known.

        The share of the kind of star, where residuals showed one. Otherwise, with e the error against labels and
        n the typical error of a label, ``sqrt(max(e^2 - n^2, (f e)^2))`` with the floor f = `FLOOR`: labels and
        predictions err independently.

        Parameters
        ----------
        values, against_labels : mapping of str to ndarray, (n,)
            Predicted labels and their errors.
        """
        noise = interpolated(self.curves, values)
        found = {
            name: np.sqrt(np.maximum(error**2 - noise[name] ** 2, (FLOOR * error) ** 2))
            for name, error in against_labels.items()
        }
        for known in self.shares:
            error = against_labels[known.label]
            rows = _of_kind(values.get("logg"), known.kind, len(error))
            found[known.label] = np.where(rows, known.share * error, found[known.label])
        return found

    def true_below(self, label: str, p: FloatArray) -> FloatArray:
        """Return the probabilities that true values are below a limit, from those of labels, which are noisy.

        With s the larger share of the two kinds of stars and P the probability of a label, ``Phi(Phi^-1(P) / s)``:
        exact where the distribution is a Gaussian, whose width is s times as large without the noise. Without a
        share, the probabilities stay as they are.

        Parameters
        ----------
        label : str
        p : ndarray, (n,)
            NaN where not predicted.
        """
        shares = [known.share for known in self.shares if known.label == label]
        return np.asarray(special.ndtr(special.ndtri(p) / max(shares))) if shares else p

    def document(self) -> dict[str, Any]:
        """Return plain data, from which :meth:`from_document` restores it."""
        shares = {"truth_shares": [asdict(share) for share in self.shares]} if self.shares else {}
        return {"label_noise": [asdict(curve) for curve in self.curves], **shares}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LabelNoise | None:
        """Undo :meth:`document`; None for a bundle of an earlier build."""
        if "label_noise" not in document:
            return None
        shares = (TruthShare(**share) for share in document.get("truth_shares", ()))
        return cls(curves_from(document["label_noise"]), tuple(shares))


@cache
def _usual() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _known(table: pl.DataFrame, name: str) -> bool:
    column = f"{name}_scale_error"
    return column in table.columns and len(table.filter(pl.col(column).is_not_null())) >= _FEWEST


def interpolated(curves: Sequence[ErrorCurve], values: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the error of every predicted label by its curves; NaN where it was not predicted or has no curve."""
    found = {}
    for name, value in values.items():
        error = np.full(len(value), np.nan)
        for curve in curves:
            if curve.label == name:
                rows = np.isfinite(value) & _of_kind(values.get("logg"), curve.kind, len(value))
                error[rows] = np.interp(value[rows], curve.at, curve.error)
        found[name] = error
    return found


def curves_from(document: Sequence[Mapping[str, Any]]) -> tuple[ErrorCurve, ...]:
    """Return curves from plain data."""
    return tuple(ErrorCurve(c["label"], c["kind"], tuple(c["at"]), tuple(c["error"])) for c in document)


def error_curves(table: pl.DataFrame, name: str, column: str) -> list[ErrorCurve]:
    """Return the errors of a label, of dwarfs and giants, or of all stars if one kind has too few."""
    value, error = as_floats(table[name]), as_floats(table[column])
    known = np.isfinite(value) & np.isfinite(error)
    gravity = as_floats(table["logg"]) if "logg" in table.columns else None
    rows = _kinds(gravity, known, _FEWEST)
    return [ErrorCurve(name, kind, *_binned(name, value[chosen], error[chosen])) for kind, chosen in rows.items()]


def _binned(name: str, value: FloatArray, error: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean label, and root mean square of the scale error, of the stars in bins of the label."""
    number = np.digitize(value, BINS[name][1:-1])
    bins = [number == n for n in range(len(BINS[name]) - 1) if (number == n).sum() >= _FEWEST]
    bins = bins or [np.ones(len(value), dtype=bool)]
    at = tuple(float(value[rows].mean()) for rows in bins)
    return at, tuple(float(np.sqrt((error[rows] ** 2).mean())) for rows in bins)


def _kinds(gravity: FloatArray | None, known: NDArray[np.bool_], fewest: int) -> dict[str, NDArray[np.bool_]]:
    """Which of the known stars are dwarfs and giants; all are one kind if there are too few of the two."""
    rows = {kind: known & _of_kind(gravity, kind, len(known)) for kind in KINDS}
    return {"any": known} if min(int(chosen.sum()) for chosen in rows.values()) < fewest else rows


def _of_kind(gravity: FloatArray | None, kind: str, n: int) -> NDArray[np.bool_]:
    """Where stars are of a kind; without a gravity, no star is known to be a giant. Shape (n,)."""
    if kind == "any":
        return np.ones(n, dtype=bool)
    giant = np.zeros(n, dtype=bool) if gravity is None else np.nan_to_num(gravity, nan=np.inf) < GIANT_LOGG
    return giant if kind == "giant" else ~giant
