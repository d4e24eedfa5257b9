"""Differences between a catalogue and other tables, test by test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from starscale.tables.arrays import as_floats
from starscale.validation.checks import FEWEST, OFFSET, SCALE, TREND, DifferenceSample, ValidationCheck
from starscale.validation.references import KEY, PAIR, CatalogueStars, ReferenceTable
from starscale.validation.robust import robust_fit
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import LABELS

ALL = "all"
CLUSTER = "cluster"
#: Ends of the columns of a table of compared stars.
REFERENCE, ERROR = "_label", "_difference_error"


@dataclass(frozen=True, slots=True)
class Compared:
    """Stars of one test.

    Attributes
    ----------
    test : str
    samples : sequence of (DifferenceSample, tuple of str)
        Samples, with the quantities to check.
    stars : polars.DataFrame
        Values of the catalogue (``<label>``), of the reference (``<label>_label``), and the stated error of the
        difference (``<label>_difference_error``), for tables and pictures.
    """

    test: str
    samples: Sequence[tuple[DifferenceSample, tuple[str, ...]]]
    stars: pl.DataFrame


def _unit(label: str) -> str:
    return "" if label not in LABELS else "K" if LABELS[label].unit == "K" else "dex"


def _own_error(stars: pl.DataFrame, label: str, *, truth: bool) -> pl.Series | None:
    """Return the stated error of a label; None where the catalogue states none.

    With `truth` that against the true value, where it is known: the reference has no errors, or states its own.
    """
    names = ([f"{label}_error_truth"] if truth else []) + [f"{label}_error"]
    there = [pl.col(name) for name in names if name in stars.columns]
    if not there:
        return None
    found = stars.select(pl.coalesce(there).alias("error"))["error"]
    found = found.set(~(found > 0), None)
    return found if found.null_count() < len(found) else None


def _median(stars: pl.DataFrame, name: str) -> float:
    value = stars[name].median() if name in stars.columns else None
    return float(value) if isinstance(value, int | float) else 0.0


def _shared(stars: pl.DataFrame, label: str, end: str = "") -> FloatArray:
    """Covariance of the errors of a label and the temperature of the catalogue; 0 where it is unknown."""
    names = [f"{label}_error{end}", f"teff_error{end}"]
    if not {*names} <= set(stars.columns):
        return np.zeros(stars.height)
    errors = [as_floats(stars[name]) for name in names]
    pair = f"teff_{label}_corr{end}"
    corr = np.ones(stars.height) if label == "teff" else np.zeros(stars.height)
    if pair in stars.columns:
        corr = as_floats(stars[pair])
    return np.nan_to_num(corr * errors[0] * errors[1])


def compared_clusters(reference: ReferenceTable, catalogue: CatalogueStars) -> Compared:
    """Compare the metallicities of the members of every cluster, with each other and with a known value."""
    label = "fe_h"
    stars = reference.frame.rename({label: f"{label}{REFERENCE}"}, strict=False)
    stars = stars.rename({f"{label}_error": "_known_error"}, strict=False)
    stars = stars.join(catalogue.frame, on=KEY, how="inner").filter(pl.col(label).is_not_null())
    known = f"{label}{REFERENCE}" in stars.columns
    error = _own_error(stars, label, truth=True)
    if error is not None:
        stars = stars.with_columns(error.alias(f"{label}{ERROR}")).filter(pl.col(f"{label}{ERROR}").is_not_null())
    samples, centred = [], []
    for (name,), members in stars.sort(CLUSTER, KEY).group_by([CLUSTER], maintain_order=True):
        value = as_floats(members[label])
        if known:
            value = value - as_floats(members[f"{label}{REFERENCE}"])
        good = np.isfinite(value)
        common = float(np.hypot(_median(members, "_known_error"), _median(members, f"{label}_scale_error")))
        sample = _sample("clusters", str(name), label, members, value, good, ("catalogue", common))
        samples.append((sample, (*((OFFSET,) if known else ()), SCALE, TREND)))
        if len(sample.difference) >= FEWEST:
            errors = np.ones(len(sample.difference)) if sample.error is None else sample.error
            mean = robust_fit(sample.difference, errors, np.ones((len(errors), 1))).coefficients[0]
            centred.append(members.filter(good).with_columns(pl.Series("_centred", sample.difference - mean)))
    if len(centred) > 1:
        together = pl.concat(centred)
        value = as_floats(together["_centred"])
        every = _sample("clusters", ALL, label, together, value, np.isfinite(value), ("catalogue", 0.0))
        samples.append((every, (SCALE, TREND)))
    return Compared("clusters", samples, stars)


def _sample(
    test: str,
    group: str,
    label: str,
    stars: pl.DataFrame,
    value: FloatArray,
    good: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    about: tuple[str, float],
) -> DifferenceSample:
    """Return the sample of some differences.

    `about` says whose temperature is used ("catalogue", "reference" or "pair"), and the error that all stars
    share.
    """
    whose, common = about
    column = {"catalogue": "teff", "reference": f"teff{REFERENCE}", "pair": "teff_difference"}[whose]
    teff = as_floats(stars[column])[good] if column in stars.columns else None
    shared = _shared(stars, label)
    if whose == "pair":
        shared = shared + _shared(stars, label, "_b")
    elif whose == "reference":
        # Predictions tend to the mean: against a known value the difference falls, by what the errors allow.
        own = as_floats(stars[f"teff{REFERENCE}_error"]) if f"teff{REFERENCE}_error" in stars.columns else 0.0
        shared = -shared - (np.nan_to_num(own) ** 2 if label == "teff" else 0.0)
    error = f"{label}{ERROR}"
    errors = as_floats(stars[error])[good] if error in stars.columns else None
    return DifferenceSample(
        test, group, label, _unit(label), value[good], errors, teff, common, shared[good], centred=whose == "pair"
    )


def compared_labels(reference: ReferenceTable, catalogue: CatalogueStars, labels: list[str]) -> Compared:
    """Compare columns of the catalogue with those of the same name in another table, star by star."""
    theirs = [name for name in reference.frame.columns if name != KEY]
    renamed = {name: f"{name.removesuffix('_error')}{REFERENCE}{_end(name)}" for name in theirs}
    stars = reference.frame.rename(renamed).join(catalogue.frame, on=KEY, how="inner").sort(KEY)
    samples = []
    for label in labels:
        known = f"{label}{REFERENCE}"
        stated = f"{known}_error" in stars.columns and stars[f"{known}_error"].null_count() < stars.height
        own = _own_error(stars, label, truth=stated)
        if own is not None:
            # A star without an error in the other table has the mean error there.
            error = (own**2 + stars[f"{known}_error"].fill_null(strategy="mean") ** 2).sqrt() if stated else own
            stars = stars.with_columns(error.alias(f"{label}{ERROR}"))
        value = as_floats(stars[label]) - as_floats(stars[known])
        good = np.isfinite(value)
        if own is not None:
            good &= np.isfinite(as_floats(stars[f"{label}{ERROR}"]))
        whose = "reference" if f"teff{REFERENCE}" in stars.columns else "catalogue"
        about = whose, _median(stars, f"{label}_scale_error")
        samples.append((_sample(reference.test, ALL, label, stars, value, good, about), (OFFSET, SCALE, TREND)))
    return Compared(reference.test, samples, stars)


def _end(name: str) -> str:
    return "_error" if name.endswith("_error") else ""


def compared_pairs(reference: ReferenceTable, catalogue: CatalogueStars) -> Compared:
    """Compare the metallicities of the two stars of wide binaries, which were born with the same."""
    label, (first, second) = "fe_h", PAIR
    other = catalogue.frame.rename({name: f"{name}_b" for name in catalogue.frame.columns})
    stars = reference.frame.join(catalogue.frame, left_on=first, right_on=KEY, how="inner")
    stars = stars.join(other, left_on=second, right_on=f"{KEY}_b", how="inner").sort(first, second)
    stars = stars.rename({f"{label}_b": f"{label}{REFERENCE}"})
    if {"teff", "teff_b"} <= set(stars.columns):
        stars = stars.with_columns((pl.col("teff") - pl.col("teff_b")).alias("teff_difference"))
    one, two = _own_error(stars, label, truth=True), _error_of_second(stars, label)
    if one is not None and two is not None:
        stars = stars.with_columns((one**2 + two**2).sqrt().alias(f"{label}{ERROR}"))
    value = as_floats(stars[label]) - as_floats(stars[f"{label}{REFERENCE}"])
    good = np.isfinite(value)
    if f"{label}{ERROR}" in stars.columns:
        good &= np.isfinite(as_floats(stars[f"{label}{ERROR}"]))
    sample = _sample(reference.test, ALL, label, stars, value, good, ("pair", 0.0))
    return Compared(reference.test, [(sample, (SCALE, TREND))], stars)


def _error_of_second(stars: pl.DataFrame, label: str) -> pl.Series | None:
    """Return the stated error of the second star of every pair."""
    ends = [f"{label}_error_truth", f"{label}_error"]
    there = [name for name in ends if f"{name}_b" in stars.columns]
    return _own_error(stars.select(pl.col(f"{name}_b").alias(name) for name in there), label, truth=True)


def compare(reference: ReferenceTable, catalogue: CatalogueStars, labels: list[str]) -> Compared:
    """Compare the catalogue with one table; `labels` are the columns that both have."""
    if reference.test == "clusters":
        return compared_clusters(reference, catalogue)
    if reference.test == "wide binaries":
        return compared_pairs(reference, catalogue)
    return compared_labels(reference, catalogue, labels)


def all_checks(compared: Sequence[Compared], limits: Mapping[str, float]) -> list[ValidationCheck]:
    """Check all quantities of all samples; `limits` are the tolerances, 0 for columns without one."""
    return [
        check
        for one in compared
        for sample, quantities in one.samples
        for check in sample.checks(quantities, limits.get(sample.label, 0.0), limits["errors"])
    ]
