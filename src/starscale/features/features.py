"""Features: what the model sees, as SQL expressions on a table's columns.

A feature set (TOML) says which features to make from whatever surveys take part;
:func:`build_features` turns it into a list of named expressions. That list is stored with the
model, readable and complete, and :func:`evaluate_features` is the one path by which training and
prediction compute their inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from polars.exceptions import PolarsError
from pydantic import Field

from starscale.features.families import FAMILIES, Feature, SurveyColumns, absolute_magnitude, quote
from starscale.tables.sql import columns_of, row_expression
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.settings.run import FeaturesConfig
from starscale.vocabulary.strict import Frozen, load_toml, validate

_FOLDER = resources.files("starscale.features.feature_sets")


class ColumnFeature(Frozen):
    """A column as it is."""

    kind: Literal["column"]
    name: str
    column: str
    unit: str = ""
    description: str = ""


class HalfWidth(Frozen):
    """Half of an interval: the error that an archive does not give."""

    kind: Literal["half_width"]
    name: str
    lower: str
    upper: str
    unit: str = ""
    description: str = ""


class AbsoluteMagnitude(Frozen):
    """``m - 5 log10(D / pc) + 5 - R(b) E(B-V)``; without the last term when `dereddened` is false."""

    kind: Literal["absolute_magnitude"]
    name: str
    #: ``survey.band``
    band: str = Field(pattern=r"^[^.]+\.[^.]+$")
    dereddened: bool = True
    description: str = ""


class Expression(Frozen):
    """Any SQL expression."""

    kind: Literal["expression"]
    name: str
    expression: str
    unit: str = ""
    description: str = ""


class Family(Frozen):
    """Features that follow from the surveys that take part.

    ``colours``: colours of bands next to each other in wavelength, and each survey's wide colour;
    ``all_colours``: the colour of every pair of bands, those of two different surveys as well;
    ``absolute_magnitudes``: of every band, dereddened where E(B-V) is known, if a distance is;
    ``reference_magnitudes``: apparent magnitude of each survey's reference band, if no distance is;
    ``magnitude_errors``: decimal logarithms of the errors of the magnitudes, + 0.001 mag;
    ``log_distance``, ``log_reddening``: decimal logarithms of distance and of E(B-V) + 0.02;
    ``estimates``: a survey's own estimates of labels, and the logarithms of their errors.
    """

    kind: Literal[
        "colours",
        "all_colours",
        "absolute_magnitudes",
        "reference_magnitudes",
        "magnitude_errors",
        "log_distance",
        "log_reddening",
        "estimates",
    ]


Entry = Annotated[ColumnFeature | HalfWidth | AbsoluteMagnitude | Expression | Family, Field(discriminator="kind")]


class FeatureSet(Frozen):
    """A feature set as data."""

    name: str
    title: str
    citation: tuple[str, ...] = ()
    #: Surveys that must take part; empty for a set that serves any.
    surveys: tuple[str, ...] = ()
    features: tuple[Entry, ...]


def feature_set_names() -> list[str]:
    """Names of the packaged feature sets."""
    return sorted(item.name.removesuffix(".toml") for item in _FOLDER.iterdir() if item.name.endswith(".toml"))


def load_feature_set(name: str, *, base: Path | None = None) -> FeatureSet:
    """Load a feature set by packaged name or by the path of a TOML file.

    Raises
    ------
    InputError
        Unknown name, or not a valid feature set.
    """
    if name.endswith(".toml"):
        path = Path(name) if base is None else base / name
        return validate(FeatureSet, load_toml(path), str(path))
    if name not in feature_set_names():
        raise InputError(
            Problem(
                f"feature set {name!r}",
                "unknown name",
                f"one of {', '.join(feature_set_names())}, or the path of a .toml file",
                did_you_mean(name, feature_set_names()),
            )
        )
    with resources.as_file(_FOLDER / f"{name}.toml") as path:
        return validate(FeatureSet, load_toml(path), f"packaged feature set {name}")


def build_features(
    feature_set: FeatureSet, members: Sequence[SurveyColumns], config: FeaturesConfig
) -> tuple[Feature, ...]:
    """Turn a feature set into concrete features for the surveys that take part.

    Parameters
    ----------
    feature_set : FeatureSet
    members : sequence of SurveyColumns
        The leading survey first, then those joined to it.
    config : FeaturesConfig
        Patterns of features to leave out.

    Raises
    ------
    InputError
        A survey or band that the set needs is not there; a name twice; nothing left.
    """
    problems = Problems()
    present = {member.survey.name: member for member in members}
    for name in feature_set.surveys:
        if name not in present:
            problems.add(
                f"feature set {feature_set.name}",
                f"survey {name!r} takes no part",
                f"it among {', '.join(present)}",
            )
    problems.raise_if_any()
    features: list[Feature] = []
    for entry in feature_set.features:
        features += _expand(entry, members, present)
    names = [f.name for f in features]
    for setting, patterns in (("only", config.only), ("without", config.without)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                problems.add(
                    f"features.{setting}", f"{pattern!r} fits no feature", "", did_you_mean(pattern, names)
                )
    features = [
        f
        for f in features
        if (not config.only or any(fnmatchcase(f.name, pattern) for pattern in config.only))
        and not any(fnmatchcase(f.name, pattern) for pattern in config.without)
    ]
    names = [f.name for f in features]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        problems.add(f"feature set {feature_set.name}", f"two features are called {twice!r}")
    if not features:
        problems.add(
            f"feature set {feature_set.name}",
            "makes no features from " + ", ".join(present),
            "one or more surveys with two or more bands",
        )
    problems.raise_if_any()
    return tuple(features)


def feature_columns(features: Sequence[Feature]) -> list[str]:
    """Columns that the expressions look at, each once, in order of first use."""
    return list(dict.fromkeys(name for f in features for name in columns_in(f)))


def columns_in(feature: Feature) -> list[str]:
    """Columns that the expression of one feature looks at."""
    return columns_of(_parse(feature))


def evaluate_features(table: pl.DataFrame, features: Sequence[Feature], *, where: str = "table") -> FloatArray:
    """Compute the inputs of a model.

    Parameters
    ----------
    table : polars.DataFrame, (n_stars, any)
        Standardised.
    features : sequence of Feature
    where : str
        What to call the table in an error.

    Returns
    -------
    ndarray, (n_stars, n_features)
        float64, C order; NaN where a feature cannot be computed (an input missing, the logarithm
        of a negative number).

    Raises
    ------
    InputError
        Columns that are missing, expressions that cannot be evaluated; all of them at once.
    """
    columns = feature_columns(features)
    problems = Problems()
    for name in columns:
        if name not in table.columns:
            users = [f.name for f in features if name in columns_in(f)]
            problems.add(
                f"{where}: column {name!r}",
                f"is missing, but needed for the model's input {users[0]!r}"
                + (f" and {len(users) - 1} more" if users[1:] else ""),
                fix=did_you_mean(name, table.columns),
            )
        elif not (table[name].dtype.is_numeric() or table[name].dtype in (pl.Boolean, pl.Null)):
            problems.add(f"{where}: column {name!r}", f"is of type {table[name].dtype}", "numbers")
    problems.raise_if_any()
    # One type for all: a float32 column in FITS and a float64 one in CSV must give the same features.
    numbers = table.select(pl.col(columns).cast(pl.Float64))
    expressions = [_parse(feature).cast(pl.Float64).alias(str(i)) for i, feature in enumerate(features)]
    try:
        values = numbers.select(expressions)
    except PolarsError:
        # One by one: which of them are they, and why?
        for feature, expression in zip(features, expressions, strict=True):
            try:
                numbers.select(expression)
            except PolarsError as error:
                problems.add(f"feature {feature.name!r}", f"{feature.expression} cannot be evaluated ({error})")
        problems.raise_if_any()
        raise
    result = np.empty((table.height, len(features)), order="C")
    for i, column in enumerate(values):
        result[:, i] = column.fill_null(np.nan).to_numpy()
    result[~np.isfinite(result)] = np.nan
    return result


def _parse(feature: Feature) -> pl.Expr:
    return row_expression(feature.expression, f"feature {feature.name!r}")


def _expand(entry: Entry, members: Sequence[SurveyColumns], present: Mapping[str, SurveyColumns]) -> list[Feature]:
    match entry:
        case ColumnFeature():
            return [Feature(entry.name, quote(entry.column), entry.unit, entry.description)]
        case HalfWidth():
            width = f"({quote(entry.upper)} - {quote(entry.lower)}) / 2"
            return [Feature(entry.name, width, entry.unit, entry.description)]
        case AbsoluteMagnitude():
            return [_named_absolute_magnitude(entry, members, present)]
        case Expression():
            return [Feature(entry.name, entry.expression, entry.unit, entry.description)]
        case Family():
            return FAMILIES[entry.kind](members)


def _named_absolute_magnitude(
    entry: AbsoluteMagnitude, members: Sequence[SurveyColumns], present: Mapping[str, SurveyColumns]
) -> Feature:
    survey, band = entry.band.split(".")
    member = present.get(survey)
    if member is None or band not in member.survey.bands:
        raise InputError(Problem(f"feature {entry.name!r}", f"there is no band {entry.band!r}"))
    expression = absolute_magnitude(member, band, members, dereddened=entry.dereddened)
    if expression is None:
        raise InputError(
            Problem(
                f"feature {entry.name!r}",
                "no survey that takes part gives what it needs",
                "a distance" + (", E(B-V) and an extinction coefficient" if entry.dereddened else ""),
            )
        )
    return Feature(entry.name, expression, "mag", entry.description)
