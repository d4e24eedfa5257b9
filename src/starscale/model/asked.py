"""What is asked of a model beyond its labels: probabilities to be below thresholds, other priors, slopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from starscale.tables.api import AnyTable, name_of
from starscale.tables.api import read as read_table
from starscale.tables.arrays import as_floats
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import BELOW, LABELS, LabelName, below_column
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.later import Later
from starscale.vocabulary.settings.predict import FLAT, TRAINING, PredictConfig

if TYPE_CHECKING:
    from starscale.learn.predictor import Predictor
    from starscale.learn.regressor import Threshold, Tilt

learnt = Later("starscale.learn.regressor")

#: Column of a table of a prior, beside that of the label.
DENSITY = "density"
#: Largest number of thresholds of a label.
MOST = 20
Prior = str | Path | AnyTable | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LabelPrior:
    """The prior of a label: a density, linear between values and 0 outside them; without values, a constant."""

    value: tuple[float, ...] = ()
    density: tuple[float, ...] = ()

    @property
    def arrays(self) -> tuple[FloatArray, FloatArray] | None:
        """Values and densities; None for a constant."""
        return (np.array(self.value), np.array(self.density)) if self.value else None


@dataclass(frozen=True)
class Asked:
    """What a catalogue is to hold.

    Attributes
    ----------
    below : mapping of str to tuple of float
        Thresholds by label.
    prior : mapping of str to LabelPrior
        Labels whose prior is not that of the training stars.
    slopes : bool
        Whether the slopes of the labels with E(B-V) are computed; otherwise they are null.
    """

    below: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: dict(BELOW))
    prior: Mapping[str, LabelPrior] = field(default_factory=dict)
    slopes: bool = True

    def thresholds(self, labels: Sequence[str]) -> list[Threshold]:
        """Return the thresholds for a model with these labels."""
        numbered = enumerate(labels)
        return [learnt.Threshold(i, value) for i, label in numbered for value in self.below.get(label, ())]

    def columns(self, labels: Sequence[str]) -> list[str]:
        """Return the names of the columns of the probabilities, in the same order."""
        return [below_column(LABELS[name], value).name for name in labels for value in self.below.get(name, ())]

    def document(self) -> dict[str, Any]:
        """Return it as plain data, for the provenance and for the name of a job; empty for what is usual."""
        return {**self.values(), **({} if self.slopes else {"slopes": False})}

    def values(self) -> dict[str, Any]:
        """Return the part of :meth:`document` that figures of merit depend on."""
        usual = {name: list(values) for name, values in BELOW.items()}
        below = {name: list(values) for name, values in self.below.items()}
        priors = {
            name: {"value": list(prior.value), DENSITY: list(prior.density)} if prior.value else FLAT
            for name, prior in self.prior.items()
        }
        return {**({"below": below} if below != usual else {}), **({"prior": priors} if priors else {})}


def asked(
    labels: Sequence[str],
    below: Mapping[str, Sequence[float]] | None = None,
    prior: Prior = TRAINING,
    *,
    slopes: bool = True,
) -> Asked:
    """Check what a user asks of a model with these labels.

    Parameters
    ----------
    labels : sequence of str
        Those of the model.
    below : mapping of str to sequence of float, optional
        Thresholds by label; default: those of :data:`starscale.vocabulary.columns.BELOW`.
    prior : str, path, table or mapping
    slopes : bool
        See :func:`starscale.predict`.

    Raises
    ------
    InputError
        Another label, a threshold outside the physical limits, a density that is none; all problems at once.
    """
    problems = Problems()
    thresholds = {name: _thresholds(name, values, labels, problems) for name, values in (below or {}).items()}
    priors = {name: _prior(name, given, problems) for name, given in _by_label(labels, prior, problems).items()}
    problems.raise_if_any()
    known = {name: values for name, values in BELOW.items() if below is None} | thresholds
    return Asked(known, {name: found for name, found in priors.items() if found}, slopes)


def asked_in(settings: PredictConfig, labels: Sequence[str], base: Path) -> Asked:
    """Check what a run file asks of a model with these labels; its paths start from the folder `base`.

    Raises
    ------
    InputError
        As for :func:`asked`.
    """

    def located(prior: str) -> str:
        return prior if prior in (TRAINING, FLAT) else str(base / Path(prior).expanduser())

    prior = settings.prior
    found = {name: located(given) for name, given in prior.items()} if isinstance(prior, dict) else located(prior)
    return asked(labels, _plain(settings.below), found, slopes=settings.slopes)


def _plain(below: Mapping[LabelName, tuple[float, ...]] | None) -> dict[str, Sequence[float]] | None:
    return None if below is None else {str(name): values for name, values in below.items()}


def asked_again(labels: Sequence[str], document: Any) -> Asked:
    """Return what was asked, from the settings of a provenance that hold :meth:`Asked.document`.

    Raises
    ------
    InputError
        The settings are damaged, or are not for a model with these labels.
    """
    try:
        prior, slopes = document.get("prior", TRAINING), document.get("slopes", True)
        if not isinstance(slopes, bool):
            raise TypeError
        if not isinstance(prior, str):
            prior = {
                name: pl.DataFrame({name: given["value"], DENSITY: given[DENSITY]})
                if isinstance(given, Mapping)
                else given
                for name, given in prior.items()
            }
        return asked(labels, document.get("below"), prior, slopes=slopes)
    except (AttributeError, KeyError, TypeError, pl.exceptions.PolarsError):
        raise InputError(Problem("provenance: settings", "are damaged", "those of a prediction")) from None


def _thresholds(name: str, values: Any, labels: Sequence[str], problems: Problems) -> tuple[float, ...]:
    """Return the thresholds of a label, in the order given, each once."""
    where = f"below: {name}"
    if not _known(name, labels, where, problems):
        return ()
    label = LABELS[name]
    try:
        numbers = tuple(dict.fromkeys(float(value) for value in values))
    except (TypeError, ValueError):
        problems.add(where, repr(values), "a list of numbers")
        return ()
    if wrong := [value for value in numbers if not label.lower <= value <= label.upper]:
        problems.add(where, f"{wrong[0]:g}", f"between {label.lower:g} and {label.upper:g} {label.scale}")
    if len(numbers) > MOST:
        problems.add(where, f"{len(numbers)} thresholds", f"at most {MOST}")
    return numbers


def _by_label(labels: Sequence[str], prior: Prior, problems: Problems) -> dict[str, Any]:
    """Return what is given for each label."""
    if isinstance(prior, str) and prior in (TRAINING, FLAT):
        return dict.fromkeys(labels, prior)
    if isinstance(prior, Mapping):
        return {name: given for name, given in prior.items() if _known(name, labels, "prior", problems)}
    table = _table(prior)
    found = [name for name in labels if name in table.columns]
    if len(found) != 1:
        held = f"has columns {', '.join(table.columns[:5])}"
        problems.add(f"prior: {name_of(prior)}", held, f"one of {', '.join(labels)}, and {DENSITY!r}")
        return {}
    return {found[0]: table}


def _table(given: Any) -> pl.DataFrame:
    """Read a table; say what else is possible where a word was meant."""
    if isinstance(given, str) and not Path(given).expanduser().exists():
        words = (TRAINING, FLAT)
        raise InputError(
            Problem(
                "prior",
                f"{given!r}: no such table",
                f"{TRAINING!r}, {FLAT!r} or a table",
                did_you_mean(given, words),
            )
        )
    return given if isinstance(given, pl.DataFrame) else read_table(given)


def _known(name: str, labels: Sequence[str], where: str, problems: Problems) -> bool:
    if name in labels:
        return True
    problems.add(where, f"{name!r} is no label of the model", ", ".join(labels), did_you_mean(name, labels))
    return False


def _prior(name: str, given: Any, problems: Problems) -> LabelPrior | None:
    """Return the prior of a label; None: that of the training."""
    if isinstance(given, str) and given in (TRAINING, FLAT):
        return None if given == TRAINING else LabelPrior()
    table = _table(given)
    where = f"prior of {name}"
    if missing := [column for column in (name, DENSITY) if column not in table.columns]:
        problems.add(where, f"has no column {missing[0]!r}", f"columns {name} and {DENSITY}")
        return None
    table = table.sort(name)
    value, density = as_floats(table[name]), as_floats(table[DENSITY])
    _check_density(where, value, density, problems)
    return LabelPrior(tuple(value.tolist()), tuple(density.tolist()))


def _check_density(where: str, value: FloatArray, density: FloatArray, problems: Problems) -> None:
    if len(value) < 2 or not (np.isfinite(value).all() and (np.diff(value) > 0).all()):
        problems.add(where, f"has {len(value)} values", "two or more different, finite values")
    elif not (np.isfinite(density).all() and density.min() >= 0 and density.max() > 0):
        problems.add(where, "has a density that is missing, negative or all 0", "numbers of 0 or more")


def tilt_of(predictor: Predictor, wanted: Asked) -> Tilt | None:
    """Return the factors of other priors; None if all are those of the training.

    Raises
    ------
    InputError
        A learner without a density, a bundle of an earlier build, or a prior that excludes all training labels.
    """
    if not wanted.prior:
        return None
    if predictor.density is None:
        kind = predictor.regressor.kind
        found = f"needs the density of the training labels, which the model ({kind}) does not have"
        fix = "Train the model again." if kind == "mixture" else ""
        raise InputError(Problem("prior", found, "a 'mixture' of this build or a later one", fix))
    return predictor.density.tilt(
        {predictor.labels.index(name): prior.arrays for name, prior in wanted.prior.items()}
    )
