"""Settings of a run file.

A run file is TOML. ``extends = "turchi2024"`` (a packaged run file, or a path) starts from another run file; the
keys of the file itself override it, table by table.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from starscale.vocabulary.columns import LabelName
from starscale.vocabulary.settings.cuts import Cuts
from starscale.vocabulary.settings.fetch import KINDS, Region, Selection
from starscale.vocabulary.settings.homogenize import HomogenizeConfig
from starscale.vocabulary.settings.match import CrosswalkInput, MatchConfig
from starscale.vocabulary.settings.models import MixtureConfig, ModelConfig
from starscale.vocabulary.settings.predict import PredictConfig
from starscale.vocabulary.settings.sample import SampleConfig
from starscale.vocabulary.settings.seed import Seed, within_bits
from starscale.vocabulary.settings.split import SplitConfig
from starscale.vocabulary.strict import Frozen


class ImportanceConfig(Frozen):
    """Permutation importance: loss of accuracy when columns are shuffled among the stars of the test part."""

    #: Whether a run computes it.
    apply: bool = True
    #: Number of shuffles of every column and group; their scatter gives the error.
    repeats: int = Field(default=5, ge=2, le=1000)
    #: Columns whose mean absolute rank correlation in a group is above this are shuffled together.
    correlation: float = Field(default=0.9, gt=0, lt=1)
    #: Largest number of stars used, chosen at random.
    max_stars: int = Field(default=2000, ge=20)
    seed: Seed = 0


class Transfer(Frozen):
    """How tables are downloaded, whatever they are."""

    #: Another TAP service with the same tables (a mirror).
    service: str | None = Field(default=None, pattern=r"^https?://")
    #: Largest number of rows of one query, and number of simultaneous queries.
    chunk: int = Field(default=200_000, ge=1)
    jobs: int = Field(default=3, ge=1, le=8)
    #: Whether to log in, with name and password or token from the environment or ~/.netrc.
    login: bool = False


class FetchSettings(Transfer):
    """Settings of a download, except for the selection of rows."""

    #: Name of one of the survey's archives; by default the main one.
    at: str | None = None
    #: Columns to download; by default all columns of the survey file.
    columns: tuple[str, ...] = ()
    #: Cuts that the archive applies; by default none, since a match needs the stars that the cuts remove.
    cuts: Cuts = Cuts(apply=False)
    #: Whether tables with the same identifier (distances) are joined, if the archive has them.
    join: bool = True
    #: Catalogues to join at the archive through its own match with this one.
    match: tuple[str, ...] = ()


class Fetch(Selection, FetchSettings):
    """A table that is downloaded from an archive in the first step of a run."""


class FetchDefaults(Region, Transfer):
    """What every `fetch` of a run file starts from: the region, and how it is downloaded."""


def _with_defaults(given: Any, defaults: Mapping[str, Any]) -> Any:
    """Return an entry of a run file whose `fetch` has the keys of `defaults` that it does not state itself.

    ``fetch = true`` states nothing. A selection of the entry replaces that of the defaults, of whatever kind.
    """
    if not isinstance(given, Mapping) or not isinstance(own := given.get("fetch"), Mapping | bool) or own is False:
        return given
    own = {} if own is True else own
    selects = any(own.get(kind) not in (None, False) for kind in KINDS)
    below = {
        key: value
        for key, value in defaults.items()
        if key in FetchDefaults.model_fields and not (selects and key in KINDS)
    }
    return {**given, "fetch": {**below, **own}}


class InputTable(Frozen):
    """A table on disk or to be downloaded, and the survey file that describes it."""

    survey: str
    path: Path | None = None
    fetch: Fetch | None = None
    #: Names in the table, by column of the survey.
    rename: dict[str, str] = {}  # noqa: RUF012  pydantic copies it

    @model_validator(mode="after")
    def _one_source(self) -> InputTable:
        if (self.path is None) == (self.fetch is None):
            raise ValueError("either `path` (a table on disk) or `fetch` (a table to download) must be given")
        return self


class CatalogueInput(InputTable):
    """The leading catalogue: one row of it is one star of the result."""

    join: tuple[InputTable, ...] = ()
    cuts: Cuts = Cuts()


class PhotometryInput(InputTable):
    """A photometric catalogue, to be matched with the leading one."""

    cuts: Cuts = Cuts()


class LabelsInput(Frozen):
    """A spectroscopic catalogue; without `path` and `fetch` the labels are columns of the leading table.

    Its rows are assigned to stars by the Gaia identifier of the survey or, if it has none, by position within
    `radius` (arcsec) as far as the position errors allow.
    """

    survey: str
    path: Path | None = None
    fetch: Fetch | None = None
    #: Names in the table, by column of the survey.
    rename: dict[str, str] = {}  # noqa: RUF012  pydantic copies it
    cuts: Cuts = Cuts()
    radius: float = Field(default=2.0, gt=0, le=60)


class FeaturesConfig(Frozen):
    """Inputs of the model."""

    #: A packaged feature set, or the path of a feature set.
    set: str = "default"
    #: Features to keep (shell-style patterns); by default all.
    only: tuple[str, ...] = ()
    #: Features to exclude (shell-style patterns).
    without: tuple[str, ...] = ()


class Reference(Frozen):
    """A catalogue to compare the predictions with, joined on `source_id`; it is not used for training."""

    name: str
    path: Path
    source_id: str = "source_id"
    #: Columns of the reference, by label.
    columns: dict[LabelName, str]
    #: An SQL predicate on the columns of the reference.
    where: str | None = None


class ModelEntry(Frozen):
    """A model to compare with the model of the run, on the same splits and seeds; it is scored but not saved."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    model: ModelConfig
    #: Its inputs; by default those of the run.
    features: FeaturesConfig | None = None
    #: Number of trainings; by default that of the model of the run.
    repeats: int | None = Field(default=None, ge=1, le=100)
    #: Whether the others are compared with this model; by default they are compared with the model of the run.
    reference: bool = False


#: Name of the model of the run in a comparison.
OWN_MODEL = "model"


#: Names of the two models that an ablation adds.
WITHOUT_ESTIMATES, ESTIMATES_ALONE = "without-estimates", "estimates-alone"


class AnyRunConfig(Frozen):
    """What the run file of every kind says."""

    title: str = "starscale run"
    extends: str | None = None
    #: The data are simulated; stated wherever a result is shown.
    mock: bool = False
    #: Region and settings of every `fetch` below that does not state its own.
    fetch: FetchDefaults = FetchDefaults()
    #: What the catalogue holds beyond the labels.
    predict: PredictConfig = PredictConfig()

    @model_validator(mode="before")
    @classmethod
    def _fetch_defaults(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        defaults = data.get("fetch")
        defaults = defaults if isinstance(defaults, Mapping) else {}
        changed = {
            key: [_with_defaults(entry, defaults) for entry in data[key]]
            for key in ("photometry", "labels")
            if isinstance(data.get(key), list)
        }
        if isinstance(lead := data.get("catalogue"), Mapping):
            changed["catalogue"] = _with_defaults(lead, defaults)
        return {**data, **changed}


class TablesConfig(AnyRunConfig):
    """The tables of a run that make one table of stars: a leading catalogue, and those that are joined to it."""

    catalogue: CatalogueInput
    photometry: tuple[PhotometryInput, ...] = ()
    match: MatchConfig = MatchConfig()


class RunConfig(TablesConfig):
    """Settings of a run."""

    seed: Seed = 0
    #: Number of trainings with different splits and initial weights; results are their mean and standard
    #: deviation.
    repeats: int = Field(default=1, ge=1, le=100)
    target: tuple[LabelName, ...] = ("teff", "logg", "fe_h")
    labels: tuple[LabelsInput, ...] = Field(min_length=1)
    #: Tables that link the identifiers of releases of Gaia, for labels with identifiers of another release.
    crosswalk: tuple[CrosswalkInput, ...] = ()
    #: How the labels of several surveys are put on one scale.
    homogenize: HomogenizeConfig = HomogenizeConfig()
    features: FeaturesConfig = FeaturesConfig()
    #: Which stars with labels are used, where they are too many.
    sample: SampleConfig = SampleConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = MixtureConfig()
    models: tuple[ModelEntry, ...] = ()
    #: Whether to compare with models without the surveys' own estimates of labels, and with these estimates alone.
    ablation: bool = False
    compare: tuple[Reference, ...] = ()
    #: Permutation importance of the inputs, measured on the test part.
    importance: ImportanceConfig = ImportanceConfig()

    @model_validator(mode="after")
    def _labels_once(self) -> RunConfig:
        if len(set(self.target)) != len(self.target) or not self.target:
            raise ValueError("target must name one or more labels, each once")
        if len(self.labels) > 1 and any(entry.path is None and entry.fetch is None for entry in self.labels):
            raise ValueError("if there are several [[labels]], each needs a `path` or a `fetch`")
        # Every repeat has a seed of its own.
        within_bits(self.seed + self.repeats - 1)
        return self

    @model_validator(mode="after")
    def _models_once(self) -> RunConfig:
        names = [entry.name for entry in self.models]
        if len({*names, OWN_MODEL}) <= len(names):
            raise ValueError(f"every [[models]] needs a different name, and {OWN_MODEL!r} is the model of the run")
        if sum(entry.reference for entry in self.models) > 1:
            raise ValueError("only one of [[models]] can be the reference")
        if any((entry.repeats or 1) > self.repeats for entry in self.models):
            raise ValueError(f"no model can have more repeats than the run ({self.repeats})")
        return self


class BundleConfig(Frozen):
    """A trained model that a run applies, in place of labels and a training."""

    #: Folder of the bundle, or name of a model.
    bundle: str
    #: Whether the cuts of the bundle remove rows; otherwise the catalogue flags the stars that fail one.
    clean: bool = False


class LeadingTableInput(InputTable):
    """The leading catalogue of a run that applies a model, whose cuts are those of the bundle."""

    join: tuple[InputTable, ...] = ()


class ApplyConfig(AnyRunConfig):
    """Settings of a run that applies a trained model; cuts, match and features are those of its bundle."""

    title: str = "starscale apply"
    catalogue: LeadingTableInput
    photometry: tuple[InputTable, ...] = ()
    model: BundleConfig

    @property
    def tables(self) -> TablesConfig:
        """The tables, as those of any run."""
        return TablesConfig(
            title=self.title,
            mock=self.mock,
            catalogue=CatalogueInput(**dict(self.catalogue)),
            photometry=tuple(PhotometryInput(**dict(table)) for table in self.photometry),
        )
