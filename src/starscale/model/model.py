"""A trained model, which turns a table of stars into a catalogue."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from starscale.features.checks import Check, observed, observed_names
from starscale.features.families import Feature
from starscale.features.features import REDDER, evaluate_features, redder_features
from starscale.features.measurements import Measurement
from starscale.model.asked import Asked, tilt_of
from starscale.model.flagging import Limits, ambiguous, catalogue_flags, odd_measurement, quality
from starscale.model.label_scale import LabelNoise, LabelScale
from starscale.model.recipe import Recipe
from starscale.model.training_stars import TrainingStars
from starscale.surveys.schema import Cut, Survey
from starscale.surveys.spectra import array_lengths
from starscale.tables.columns.typed import Discarded
from starscale.tables.opening import open_for
from starscale.tables.standardise import spelling, standardise
from starscale.vocabulary.arrays import FloatArray
from starscale.vocabulary.columns import Column, catalogue_columns
from starscale.vocabulary.errors import Problems, StarscaleError
from starscale.vocabulary.later import Later
from starscale.vocabulary.strict import validate
from starscale.vocabulary.summary import Figures, Summarised, error_rows, listed

if TYPE_CHECKING:
    from starscale.learn.prediction import Prediction
    from starscale.learn.predictor import Predictor

#: Loads the learning libraries, which a list or a check of models does not need.
bundles, documents = Later("starscale.learn.bundle"), Later("starscale.learn.stored_document")


@dataclass(frozen=True, repr=False)
class Model(Summarised):
    """A trained model, with everything that is needed for a prediction.

    Attributes
    ----------
    predictor : Predictor
        Scaling, networks, calibration of the intervals, domain of the training set.
    features : tuple of Feature
        The inputs, as expressions on columns.
    inputs : Survey
        The columns of a table of stars (names, units, sentinels), in the form of a survey file.
    labels : tuple of str
        The predicted labels, in the order of the predictor.
    cuts : tuple of Cut
        The quality cuts that the training stars passed.
    label_ranges : mapping of str to (float, float)
        Smallest and largest training label.
    magnitude : str or None
        Column of the apparent magnitude; a table may lack it.
    magnitude_range : (float, float)
        Magnitudes of the brightest and the faintest training star.
    measurements : tuple of Measurement
        Columns that are missing together.
    reddening : str or None
        Column with E(B-V).
    mock : bool
        Whether the training data were simulated.
    information : mapping
        Title, metrics and provenance of the bundle.
    recipe : Recipe or None
        How its table of stars is made from catalogues; None for a model that was trained on a joined table.
    stars : TrainingStars or None
        The stars that it was trained, validated and tested on; None in a bundle of an earlier build.
    label_scale, label_noise : LabelScale or None, LabelNoise or None
        The scale of its labels with its error, and their typical errors; None in a bundle of an earlier build.
    checks : tuple of Check
        Columns that say whether measurements are right.
    asked : Asked
        Thresholds, priors and slopes of its catalogues; not part of the bundle.
    """

    predictor: Predictor
    features: tuple[Feature, ...]
    inputs: Survey
    labels: tuple[str, ...]
    cuts: tuple[Cut, ...] = ()
    label_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    magnitude: str | None = None
    magnitude_range: tuple[float, float] = (-math.inf, math.inf)
    measurements: tuple[Measurement, ...] = ()
    reddening: str | None = None
    mock: bool = False
    information: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    stars: TrainingStars | None = None
    label_scale: LabelScale | None = None
    label_noise: LabelNoise | None = None
    checks: tuple[Check, ...] = ()
    asked: Asked = field(default_factory=Asked, repr=False)
    #: Bundle that the model was loaded from.
    _origin: str | None = field(default=None, init=False, repr=False, compare=False)

    def _key_figures(self) -> Figures:
        about = self.information
        split = dict(about.get("split") or {})
        rows: list[tuple[str, object]] = [("labels", ", ".join(self.labels))]
        rows += [("stars", ", ".join(f"{n:,} {part}" for part, n in split.items()))] if split else []
        rows += error_rows(about.get("figures") or ())
        rows += [
            (f"range of {name}", f"{low:.5g} to {high:.5g}") for name, (low, high) in self.label_ranges.items()
        ]
        rows += [("inputs", listed(feature.name for feature in self.features))]
        rows += [("cuts", listed(cut.name for cut in self.cuts))]
        rows += [("bundle", self._origin)] if self._origin else []
        return f"Model {about.get('title') or 'without a title'}{' (MOCK stars)' * self.mock}", rows

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Go to another process as the path of the bundle, if there is one; with all weights otherwise."""
        if self._origin is None or not Path(self._origin).is_dir():
            return super().__reduce_ex__(protocol)
        return loaded_once, (self._origin, self._digest)

    @cached_property
    def _digest(self) -> str:
        return str(bundles.digest(self.predictor, self._document(), self._hashes))

    @property
    def columns(self) -> dict[str, Column]:
        """Columns of the catalogue that :meth:`predict` returns."""
        columns = catalogue_columns(self.labels, self.asked.below)
        id_type = self.inputs.columns[self.inputs.id.column].dtype
        columns["source_id"] = Column(
            "source_id",
            id_type,
            "",
            "meta.id;meta.main",
            f"identifier ({self.inputs.id.column}) in {self.inputs.title}",
        )
        return columns

    def input_columns(self, available: Sequence[str]) -> list[str]:
        """Return those of the available columns that a prediction reads."""
        return list(spelling(available, self.inputs).values())

    def predict(
        self, table: Any, *, where: str = "table", found_columns: Mapping[str, Column] | None = None
    ) -> pl.DataFrame:
        """Predict the labels of every row.

        Parameters
        ----------
        table : path or table, (n_stars, any)
            Anything that :func:`starscale.read` takes, with columns named as in the archives; :attr:`inputs` lists
            them. Other columns are not looked at.
        where : str
            Name of a table in memory in error messages.
        found_columns : mapping of str to Column, optional
            Units of the columns, where `table` does not state them itself.

        Returns
        -------
        polars.DataFrame, (n_stars, n_columns)
            Same rows and order, for a table of every library (``.to_pandas()`` turns it into a pandas DataFrame).
            Where nothing can be predicted, labels are null and `flags` gives the reason.

        Raises
        ------
        InputError
            Missing columns, damaged identifiers; all problems in one error.
        """
        if not isinstance(table, pl.DataFrame) or any(kind.is_nested() for kind in table.dtypes):
            source = open_for(table, self.inputs, choose=self.input_columns, name=where)
            stated = {name: column for name, column in source.columns.items() if column.unit}
            where, found_columns = str(source.path), {**(found_columns or {}), **stated}
            table = source.read(self.input_columns(list(source.schema)))
        discarded = Discarded()
        clean = self.standardised(table, where=where, found_columns=found_columns, discarded=discarded)
        x = evaluate_features(clean, self.features, where=where)
        known = observed(clean, self.measurements, self.checks) if self.predictor.consistency else None
        below, tilt = self.asked.thresholds(self.labels), tilt_of(self.predictor, self.asked)
        slopes = self._slopes(clean, x, where)
        prediction = self.predictor.predict(x, measured=known, below=below, tilt=tilt, **slopes)
        if not slopes:
            prediction.change[:] = np.nan
        if self.label_noise is not None:
            prediction.p_giant[:] = self.label_noise.true_below("logg", prediction.p_giant)
        flags = catalogue_flags(prediction, clean, discarded.rows, self._limits, where)
        return self._catalogue(clean, prediction, flags)

    def without_slopes(self) -> Model:
        """Return the model with catalogues in which the slopes with E(B-V) are null, which takes less time."""
        return replace(self, asked=replace(self.asked, slopes=False))

    def standardised(
        self,
        table: pl.DataFrame,
        *,
        where: str = "table",
        found_columns: Mapping[str, Column] | None = None,
        discarded: Discarded | None = None,
    ) -> pl.DataFrame:
        """Return the inputs of a table in names, types and units of the model.

        In a table without spectra no star has one. `discarded` receives what became missing because it is
        outside the plausible range of its column.
        """
        clean = standardise(
            table, self.inputs, where=where, found_columns=found_columns, whole=False, discarded=discarded
        )
        empty = pl.lit(None, dtype=pl.List(pl.Float32))
        return clean.with_columns_seq(empty.alias(name) for name in self.absent_spectra(clean.columns))

    def absent_spectra(self, columns: Sequence[str]) -> list[str]:
        """Return the array columns of the inputs that a table with these columns lacks."""
        there = spelling(columns, self.inputs)
        return [name for name in array_lengths(self.inputs.spectra) if name not in there]

    def _slopes(self, clean: pl.DataFrame, x: FloatArray, where: str) -> dict[str, Any]:
        """Return the arguments by which a prediction has the slopes of the labels; none: they are not wanted."""
        if self.reddening is None or not self.asked.slopes:
            return {}
        if self.predictor.slopes is not None:
            return {"learnt_change": True}
        return {"moved": redder_features(clean, self.features, x, self.reddening, where=where)}

    def _catalogue(self, clean: pl.DataFrame, prediction: Prediction, flags: NDArray[np.int32]) -> pl.DataFrame:
        position = self.inputs.position
        empty = pl.lit(None, dtype=pl.Float64)
        ra, dec = (
            pl.col(name).cast(pl.Float64) if position and name in clean.columns else empty
            for name in ((position.ra, position.dec) if position else ("", ""))
        )
        catalogue = clean.select_seq(
            pl.col(self.inputs.id.column).alias("source_id"), ra.alias("ra"), dec.alias("dec")
        )
        values = self._label_values(prediction)
        for (i, a), (j, b) in combinations(enumerate(self.labels), 2):
            values[f"{a}_{b}_corr"] = prediction.correlation[:, i, j]
        values["p_giant"] = prediction.p_giant
        values |= dict(zip(self.asked.columns(self.labels), prediction.p_below.T, strict=True))
        possible_twice, slopes = ambiguous(prediction), prediction.change / REDDER
        if self.reddening is not None:
            slopes[clean[self.reddening].is_null().to_numpy()] = np.nan
        for i, label in enumerate(self.labels):
            values[f"{label}_giant"] = np.where(possible_twice, prediction.giant_solution[:, i], np.nan)
            values[f"{label}_dwarf"] = np.where(possible_twice, prediction.dwarf_solution[:, i], np.nan)
            values[f"{label}_ebv_slope"] = slopes[:, i]
        values["domain_score"] = prediction.domain_score
        values["label_score"] = prediction.label_score
        values["consistency_score"] = prediction.consistency_score
        # Of the whole table at once: every query of polars has a price of its own.
        found = pl.DataFrame({name: np.asarray(value, dtype=np.float32) for name, value in values.items()})
        catalogue = pl.concat([catalogue, found.select_seq(pl.all().fill_nan(None))], how="horizontal")
        return catalogue.with_columns_seq(
            odd_measurement(prediction, observed_names(self.measurements, self.checks)),
            pl.Series("flags", flags, dtype=pl.Int32),
            quality(flags),
            self.part_of(catalogue["source_id"]),
        ).select_seq(*self.columns)

    @cached_property
    def _limits(self) -> Limits:
        position = self.inputs.position
        return Limits(
            label_ranges=[self.label_ranges.get(label, (-math.inf, math.inf)) for label in self.labels],
            cuts=self.cuts,
            magnitude=self.magnitude,
            magnitude_range=self.magnitude_range,
            position=(position.ra, position.dec) if position else (),
        )

    def _label_values(self, prediction: Prediction) -> dict[str, FloatArray]:
        """Return the values, errors, intervals and scale errors of the labels, by the name of the column."""
        values = {}
        for i, label in enumerate(self.labels):
            values[label] = prediction.value[:, i]
            for part in ("error", "lower", "upper", "lower95", "upper95"):
                values[f"{label}_{part}"] = getattr(prediction, part)[:, i]
        known, unknown = {label: values[label] for label in self.labels}, np.full(len(prediction.value), np.nan)
        errors = self.label_scale.errors(known) if self.label_scale else dict.fromkeys(self.labels, unknown)
        values |= {f"{label}_scale_error": error for label, error in errors.items()}
        against = {label: values[f"{label}_error"] for label in self.labels}
        truth = (
            self.label_noise.errors(known, against) if self.label_noise else dict.fromkeys(self.labels, unknown)
        )
        return values | {f"{label}_error_truth": error for label, error in truth.items()}

    def part_of(self, ids: pl.Series) -> pl.Series:
        """Return the part of the training that stars belong to; null: none, or the model does not know.

        Parameters
        ----------
        ids : polars.Series, (n_stars,)
            Identifiers, of the type that the model expects.

        Returns
        -------
        polars.Series of str, (n_stars,)
            ``train``, ``validation`` or ``test``.
        """
        if self.stars is None:
            return pl.Series("part", [None] * len(ids), dtype=pl.String)
        return self.stars.part_of(ids)

    def save(self, path: str | Path, *, card: str) -> None:
        """Write the model as a bundle: a directory of safetensors and JSON, and `card` as its README.

        Raises
        ------
        StarscaleError
            The directory cannot be written.
        """
        bundles.save_bundle(Path(path), self.predictor, self._document(), card, self._hashes)

    def digest(self) -> str:
        """Return the SHA-256 of everything that a prediction depends on."""
        return self._digest

    @property
    def _hashes(self) -> Mapping[str, Any] | None:
        return None if self.stars is None else self.stars.hashes

    def _document(self) -> dict[str, Any]:
        return {
            "features": [asdict(feature) for feature in self.features],
            "inputs": self.inputs.model_dump(mode="json", exclude_defaults=True),
            "labels": list(self.labels),
            "cuts": [cut.model_dump(exclude_defaults=True) for cut in self.cuts],
            "label_ranges": {name: list(ends) for name, ends in self.label_ranges.items()},
            "magnitude": self.magnitude,
            # JSON has no infinity; without magnitudes in the training table there is no limit.
            "magnitude_range": [end if math.isfinite(end) else None for end in self.magnitude_range],
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "reddening": self.reddening,
            "mock": self.mock,
            "information": dict(self.information),
            **self._optional(),
        }

    def _optional(self) -> dict[str, Any]:
        """Return the parts of the document that earlier bundles lack."""
        noise, scale, recipe = self.label_noise, self.label_scale, self.recipe
        return {
            **({"checks": [asdict(check) for check in self.checks]} if self.checks else {}),
            **(noise.document() if noise else {}),
            **({"label_scale": scale.document()} if scale else {}),
            **({"recipe": recipe.model_dump(mode="json", exclude_defaults=True)} if recipe else {}),
        }

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Open a bundle.

        Parameters
        ----------
        path : str or Path
            Folder of the bundle.

        Raises
        ------
        InputError
            Not a bundle, or a file of it is missing, altered or of a newer version.
        """
        predictor, document, hashes = bundles.load_bundle(Path(path))
        with bundles.named(Path(path)):
            stored = documents.check_document(document, f"{path}/bundle.json: document")
            _same_names(document, predictor)
            model = cls(
                predictor=predictor,
                features=tuple(Feature(**item.model_dump()) for item in stored.features),
                inputs=validate(Survey, document["inputs"], f"{path}/bundle.json: inputs"),
                labels=tuple(document["labels"]),
                cuts=tuple(validate(Cut, item, f"{path}/bundle.json: cuts") for item in document["cuts"]),
                label_ranges={name: (low, high) for name, (low, high) in document["label_ranges"].items()},
                magnitude=document["magnitude"],
                magnitude_range=_limits(*document["magnitude_range"]),
                measurements=tuple(Measurement.from_document(item.model_dump()) for item in stored.measurements),
                checks=tuple(Check(**item.model_dump()) for item in stored.checks),
                reddening=document["reddening"],
                mock=bool(document["mock"]),
                information=document["information"],
                recipe=validate(Recipe, document["recipe"], f"{path}/bundle.json: recipe")
                if document.get("recipe") is not None
                else None,
                label_scale=LabelScale.from_document(document["label_scale"])
                if document.get("label_scale") is not None
                else None,
                label_noise=LabelNoise.from_document(document),
                stars=None if hashes is None else TrainingStars.from_arrays(hashes, str(path)),
            )
        object.__setattr__(model, "_origin", str(Path(path).resolve()))
        return model


_KEPT: dict[str, Model] = {}
_LOADING = Lock()


def loaded_once(path: str, sha256: str) -> Model:
    """Load a bundle in this process, unless it holds the model already.

    Workers of a cluster receive the same model with every task, and may have several threads.

    Parameters
    ----------
    path : str
        A bundle, on a disk that this process can read.
    sha256 : str
        The digest that its model has (:meth:`Model.digest`).

    Raises
    ------
    StarscaleError
        No bundle there, or one of another model.
    """
    with _LOADING:
        if sha256 not in _KEPT:
            model = Model.load(path)
            if model.digest() != sha256:
                raise StarscaleError(f"{path}: holds another model than when it was loaded first. Load it again.")
            # A process that goes from model to model holds two of them.
            for oldest in list(_KEPT)[:-1]:
                del _KEPT[oldest]
            _KEPT[sha256] = model
        return _KEPT[sha256]


def _same_names(document: Mapping[str, Any], predictor: Predictor) -> None:
    """Refuse a document with other labels or features than the predictor has."""
    problems = Problems()
    features = [item["name"] for item in document["features"]]
    for what, found, known in (
        ("labels", document["labels"], predictor.labels),
        ("features", features, predictor.features),
    ):
        if tuple(found) != known:
            problems.add(f"document: {what}", f"are not those of the model ({', '.join(found[:5])}, ...)")
    problems.raise_if_any()


def _limits(low: float | None, high: float | None) -> tuple[float, float]:
    return -math.inf if low is None else low, math.inf if high is None else high
