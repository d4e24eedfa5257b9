"""Features: the inputs of a model, as SQL expressions on the columns of a table.

A feature set (TOML) states which features to make from the available surveys; :func:`build_features` turns it into
a list of named expressions. The list is stored with the model, and training and prediction both compute their
inputs by :func:`evaluate_features`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from starscale.features.families import (
    FAMILIES,
    ExtinctionBy,
    Feature,
    SurveyColumns,
    absolute_magnitude,
    absolute_magnitudes,
    quote,
)
from starscale.surveys import Survey, load_survey
from starscale.tables.sql import RowExpression, row_expression
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.settings.run import FeaturesConfig
from starscale.vocabulary.strict import Frozen, load_toml, validate

#: Step of E(B-V), mag, for the derivative of the labels: small compared with the scale of every feature, large
#: compared with rounding errors.
REDDER = 0.01
#: Types of columns, besides numbers, from which a feature can be computed.
_POSSIBLE = (pl.Boolean, pl.Null, pl.List, pl.Array)
_FOLDER = resources.files("starscale.features.feature_sets")


class ColumnFeature(Frozen):
    """A column, unchanged."""

    kind: Literal["column"]
    name: str
    column: str
    unit: str = ""
    description: str = ""


class HalfWidth(Frozen):
    """Half of the width of an interval: an error for a quantity that has only an interval."""

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
    #: ``colour``: extinction by the colour of the star, where the survey has a relation; ``band``: one number.
    extinction: ExtinctionBy = "band"
    description: str = ""


class Expression(Frozen):
    """Any SQL expression."""

    kind: Literal["expression"]
    name: str
    expression: str
    unit: str = ""
    description: str = ""


class Family(Frozen):
    """Features that are made for any set of surveys.

    ``colours``: colours of adjacent bands, and the wide colour of each survey;
    ``all_colours``: colours of all pairs of bands, including bands of two surveys;
    ``absolute_magnitudes``: of every band if there is a distance, dereddened if there is E(B-V);
    ``reference_magnitudes``: apparent magnitude of each survey's reference band if there is no distance;
    ``magnitude_errors``: decimal logarithm of (error + 0.001 mag) of every band;
    ``log_distance``, ``log_reddening``: decimal logarithms of the distance in pc, and of E(B-V) + 0.02;
    ``estimates``: estimates of labels that a survey gives, and the logarithms of their errors;
    ``spectra``: coefficients of spectra, divided by the flux of a band.
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
        "spectra",
    ]
    #: Of absolute magnitudes: ``colour`` for extinction by the colour of the star, where a survey has a relation.
    extinction: ExtinctionBy = "band"

    @model_validator(mode="after")
    def _of_magnitudes(self) -> Family:
        if self.extinction != "band" and self.kind != "absolute_magnitudes":
            raise ValueError(f"extinction is a setting of absolute_magnitudes, not of {self.kind}")
        return self


Entry = Annotated[ColumnFeature | HalfWidth | AbsoluteMagnitude | Expression | Family, Field(discriminator="kind")]


class FeatureSet(Frozen):
    """A feature set, as a TOML file describes it."""

    name: str
    title: str
    citation: tuple[str, ...] = ()
    #: Surveys that the set needs; empty for a set that works with any surveys.
    surveys: tuple[str, ...] = ()
    features: tuple[Entry, ...]


def feature_set_names() -> list[str]:
    """Return the names of the packaged feature sets."""
    return sorted(item.name.removesuffix(".toml") for item in _FOLDER.iterdir() if item.name.endswith(".toml"))


def load_feature_set(name: str, *, base: Path | None = None) -> FeatureSet:
    """Load a feature set by its packaged name, or from a TOML file.

    Parameters
    ----------
    name : str
        Name of a packaged set, or path of a ``.toml`` file.
    base : Path, optional
        Folder that a relative path refers to; default: the working directory.

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


def feature_list(
    feature_set: str | Path,
    surveys: Sequence[str | Path | Survey],
    *,
    settings: FeaturesConfig = FeaturesConfig(),  # noqa: B008  frozen
) -> tuple[Feature, ...]:
    """List the features that a feature set makes from some surveys.

    Parameters
    ----------
    feature_set : str or Path
        Name of a packaged set, or path of a ``.toml`` file.
    surveys : sequence of str, Path or Survey
        The leading survey first, then the surveys that are joined to it.
    settings : FeaturesConfig
        Name patterns of the features to select or leave out.

    Returns
    -------
    tuple of Feature
        Name, SQL expression, unit and description of every feature.

    Raises
    ------
    InputError
        Unknown feature set or survey; a survey or band that the set needs is missing; no feature is left.
    """
    columns = [SurveyColumns(load_survey(survey), {}) for survey in surveys]
    return build_features(load_feature_set(str(feature_set)), columns, settings)


def build_features(
    feature_set: FeatureSet, surveys: Sequence[SurveyColumns], config: FeaturesConfig
) -> tuple[Feature, ...]:
    """Turn a feature set into a list of features for the given surveys.

    Parameters
    ----------
    feature_set : FeatureSet
    surveys : sequence of SurveyColumns
        The leading survey first, then the surveys that are joined to it.
    config : FeaturesConfig
        Name patterns of the features to select or leave out.

    Raises
    ------
    InputError
        A survey or band that the set needs is missing; two features have one name; no feature is left.
    """
    present = {entry.survey.name: entry for entry in surveys}
    problems = Problems()
    for name in feature_set.surveys:
        if name in present:
            continue
        problems.add(
            f"feature set {feature_set.name}",
            f"needs survey {name!r}, which is not in this run ({', '.join(present)})",
        )
    problems.raise_if_any()
    features = [feature for entry in feature_set.features for feature in _expand(entry, surveys, present)]
    _check_patterns(features, config, problems)
    features = [feature for feature in features if _selected(feature.name, config)]
    _check_names(features, feature_set, present, problems)
    problems.raise_if_any()
    return tuple(features)


def _check_names(
    features: Sequence[Feature], feature_set: FeatureSet, surveys: Iterable[str], problems: Problems
) -> None:
    """Note repeated names, and an empty list of features."""
    where = f"feature set {feature_set.name}"
    for name, n in sorted(Counter(feature.name for feature in features).items()):
        if n > 1:
            problems.add(where, f"two features are called {name!r}")
    if not features:
        expected = "one or more surveys with two or more bands"
        problems.add(where, "makes no features from " + ", ".join(surveys), expected)


def _check_patterns(features: Sequence[Feature], config: FeaturesConfig, problems: Problems) -> None:
    """Note every pattern that matches no feature."""
    names = [feature.name for feature in features]
    for setting, patterns in (("only", config.only), ("without", config.without)):
        for pattern in patterns:
            if not _matches(pattern, names):
                problems.add(
                    f"features.{setting}", f"{pattern!r} matches no feature", "", did_you_mean(pattern, names)
                )


def _matches(pattern: str, names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)


def _selected(name: str, config: FeaturesConfig) -> bool:
    """Whether the patterns of a run file keep a feature."""
    kept = not config.only or any(fnmatchcase(name, pattern) for pattern in config.only)
    return kept and not any(fnmatchcase(name, pattern) for pattern in config.without)


def feature_columns(features: Sequence[Feature]) -> list[str]:
    """Return the columns that the expressions use, each once, in order of first use."""
    return list(dict.fromkeys(name for f in features for name in columns_in(f)))


def columns_in(feature: Feature) -> list[str]:
    """Return the columns that the expression of one feature uses."""
    return list(_parse(feature).columns)


def evaluate_features(table: pl.DataFrame, features: Sequence[Feature], *, where: str = "table") -> FloatArray:
    """Compute the inputs of a model.

    Parameters
    ----------
    table : polars.DataFrame, (n_stars, any)
        Standardised.
    features : sequence of Feature
    where : str
        Name of the table in error messages.

    Returns
    -------
    ndarray, (n_stars, n_features)
        float64, C order; NaN where a feature cannot be computed (a missing value, the logarithm of a negative
        number).

    Raises
    ------
    InputError
        Names every missing column, and every expression that cannot be evaluated.
    """
    columns = feature_columns(features)
    _check_columns(table, columns, features, where)
    # One type for all: a float32 column in FITS and a float64 one in CSV must give the same features.
    used = table.select_seq(columns).with_columns_seq(pl.col(pl.Float32).cast(pl.Float64))
    schema, problems, expressions = used.schema, Problems(), []
    for i, feature in enumerate(features):
        with problems.collect():
            value = _parse(feature).value(schema, columns)
            if value.kind in ("text", "other"):
                problems.add(f"feature {feature.name!r}", f"{feature.expression} is {value.word}", "a number")
            expressions.append(value.expr.cast(pl.Float64).alias(str(i)))
    problems.raise_if_any()
    values = used.select_seq(expressions)
    result = np.empty((table.height, len(features)), order="C")
    for i, column in enumerate(values):
        result[:, i] = column.to_numpy()
    result[~np.isfinite(result)] = np.nan
    return result


def redder_features(
    table: pl.DataFrame, features: Sequence[Feature], x: FloatArray, column: str, *, where: str = "table"
) -> FloatArray:
    """Compute the inputs of a model for stars that are redder by `REDDER`.

    Parameters
    ----------
    table, features, where
        As for :func:`evaluate_features`.
    x : ndarray, (n_stars, n_features)
        The features of the table as it is; those that do not use the column are taken from it.
    column : str
        Of E(B-V).

    Returns
    -------
    ndarray, (n_stars, n_features)
    """
    using = [i for i, feature in enumerate(features) if column in columns_in(feature)]
    moved, larger = x.copy(), table.with_columns_seq(pl.col(column) + REDDER)
    moved[:, using] = evaluate_features(larger, [features[i] for i in using], where=where)
    return moved


def _check_columns(table: pl.DataFrame, columns: Sequence[str], features: Sequence[Feature], where: str) -> None:
    """Refuse a table in which a column is missing or does not hold numbers."""
    problems = Problems()
    for name in columns:
        if name not in table.columns:
            users = [f.name for f in features if name in columns_in(f)]
            more = f" and {len(users) - 1} more" if users[1:] else ""
            problems.add(
                f"{where}: column {name!r}",
                f"is missing, but needed for the model's input {users[0]!r}{more}",
                fix=did_you_mean(name, table.columns),
            )
        elif not (table[name].dtype.is_numeric() or isinstance(table[name].dtype, _POSSIBLE)):
            problems.add(f"{where}: column {name!r}", f"is of type {table[name].dtype}", "numbers")
    problems.raise_if_any()


def _parse(feature: Feature) -> RowExpression:
    return row_expression(feature.expression, f"feature {feature.name!r}")


def _expand(entry: Entry, surveys: Sequence[SurveyColumns], present: Mapping[str, SurveyColumns]) -> list[Feature]:
    """Return the features of one entry of a feature set."""
    match entry:
        case ColumnFeature():
            return [Feature(entry.name, quote(entry.column), entry.unit, entry.description)]
        case HalfWidth():
            width = f"({quote(entry.upper)} - {quote(entry.lower)}) / 2"
            return [Feature(entry.name, width, entry.unit, entry.description)]
        case AbsoluteMagnitude():
            return [_named_absolute_magnitude(entry, surveys, present)]
        case Expression():
            return [Feature(entry.name, entry.expression, entry.unit, entry.description)]
        case Family(kind="absolute_magnitudes"):
            return absolute_magnitudes(surveys, entry.extinction)
        case Family():
            return FAMILIES[entry.kind](surveys)


def _named_absolute_magnitude(
    entry: AbsoluteMagnitude, surveys: Sequence[SurveyColumns], present: Mapping[str, SurveyColumns]
) -> Feature:
    survey, band = entry.band.split(".")
    catalogue = present.get(survey)
    if catalogue is None or band not in catalogue.survey.bands:
        raise InputError(Problem(f"feature {entry.name!r}", f"there is no band {entry.band!r}"))
    expression = absolute_magnitude(catalogue, band, surveys, dereddened=entry.dereddened, by=entry.extinction)
    if expression is None:
        needed = "a distance" + (", E(B-V) and an extinction coefficient" if entry.dereddened else "")
        raise InputError(Problem(f"feature {entry.name!r}", "no survey of this run gives what it needs", needed))
    return Feature(entry.name, expression, "mag", entry.description)
