"""The run file: everything a user chooses, strict and frozen.

A run file is TOML. ``extends = "turchi2024"`` (a packaged one, or a path) starts from another run
file; what the file itself says wins, table by table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from starscale.vocabulary.columns import LabelName
from starscale.vocabulary.settings.fetch import Selection
from starscale.vocabulary.settings.homogenize import HomogenizeConfig
from starscale.vocabulary.settings.models import MixtureConfig, ModelConfig
from starscale.vocabulary.settings.split import SplitConfig
from starscale.vocabulary.strict import Frozen


class ImportanceConfig(Frozen):
    """How much worse predictions become when columns of the test part are shuffled among its stars."""

    #: Whether a run does it.
    apply: bool = True
    #: Shuffles of every column and group; their scatter is the error.
    repeats: int = Field(default=5, ge=2, le=1000)
    #: Columns whose rank correlation (absolute) is above this, on average over a group, are shuffled together.
    correlation: float = Field(default=0.9, gt=0, lt=1)
    #: Stars that are looked at, at most, drawn at random.
    max_stars: int = Field(default=2000, ge=20)
    seed: int = Field(default=0, ge=0)


class ExtraCut(Frozen):
    """A cut of the user's own: rows where the SQL predicate `keep` is true are kept."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    keep: str


class Cuts(Frozen):
    """Which cuts of the survey file apply."""

    apply: bool = True
    without: tuple[str, ...] = ()
    extra: tuple[ExtraCut, ...] = ()


class FetchSettings(Frozen):
    """How an archive is asked, whatever is asked for."""

    #: Which of the survey's archives; left out: the main one.
    at: str | None = None
    #: Another TAP service that has the same tables (a mirror).
    service: str | None = Field(default=None, pattern=r"^https?://")
    #: Columns of the table; none named: all that the survey file describes.
    columns: tuple[str, ...] = ()
    #: Which cuts the archive applies; by default none, since a match should see the stars that cuts remove.
    cuts: Cuts = Cuts(apply=False)
    #: Also bring the tables that share the identifier (distances), where the archive has them.
    join: bool = True
    #: Catalogues that the archive has matched with this one, to be joined there.
    match: tuple[str, ...] = ()
    #: Rows of one query at most, and queries at a time.
    chunk: int = Field(default=200_000, ge=1)
    jobs: int = Field(default=3, ge=1, le=8)
    #: Log in, with name and password or token from the environment or ~/.netrc.
    login: bool = False


class Fetch(Selection, FetchSettings):
    """A table that is fetched from an archive as the first step of a run."""


class InputTable(Frozen):
    """A table on disk, or to be fetched, and the survey file that describes it."""

    survey: str
    path: Path | None = None
    fetch: Fetch | None = None

    @model_validator(mode="after")
    def _one_source(self) -> InputTable:
        if (self.path is None) == (self.fetch is None):
            raise ValueError("either `path`, the table, or `fetch`, how to get it, must be given")
        return self


class CatalogueInput(InputTable):
    """The catalogue that leads: one row of it is one star of the result."""

    join: tuple[InputTable, ...] = ()
    cuts: Cuts = Cuts()


class MatchConfig(Frozen):
    """How positions of the leading and the photometric catalogues are matched."""

    #: `figure_of_merit`: position errors, local density and proper motions decide, after Marrese et al.
    #: (2019); `nearest`: the separation alone.
    method: Literal["figure_of_merit", "nearest"] = "figure_of_merit"
    #: Who looks for whom: `dense`, every Gaia star for its counterpart, which several may share; `sparse`,
    #: every external source for its star, one-to-one. Default: as the survey file says.
    mode: Literal["dense", "sparse"] | None = None
    #: Largest separation of a pair, arcsec, at the epoch of the external source; by default 5 for the figure
    #: of merit, where the errors set a closer limit, and 1 for the nearest.
    radius: float | None = Field(default=None, gt=0, le=60)
    #: Whether errors are learnt from the pairs themselves (a scale, a floor, local offsets, blends) or
    #: taken as the catalogues state them.
    errors: Literal["calibrated", "stated"] = "calibrated"
    #: Share of the true pairs that the test of good neighbours would keep if all errors were Gaussian:
    #: 0.9999994 is 5.36 sigma.
    gamma: float = Field(default=0.9999994, gt=0.3, lt=1)
    #: A pair that fails the test is a good neighbour all the same when it is this likely: a blended source.
    least_probability: float = Field(default=0.1, gt=0, le=1)
    #: Spread of the proper motions of stars that have none, mas/yr: their position errors grow by it.
    unknown_motion: float = Field(default=20.0, ge=0)
    #: Which pairs are kept: `strict` one good neighbour on either side; `loose` one neighbour and no
    #: mates; `best` the best neighbour of every star.
    pairs: Literal["strict", "loose", "best"] = "strict"
    #: Whether pairs are sought among all rows and the cuts applied afterwards (`match_first`: a
    #: blended neighbour that a cut removes still counts), or among the rows that passed the cuts.
    order: Literal["match_first", "clean_first"] = "match_first"
    proper_motion: bool = True
    #: Whether entries that repeat one another are collapsed first, as the survey file says.
    curate: bool = True

    @property
    def search_radius(self) -> float:
        """Largest separation of a pair, arcsec."""
        return self.radius if self.radius is not None else (5.0 if self.method == "figure_of_merit" else 1.0)


class PhotometryInput(InputTable):
    """A photometric catalogue, matched to the leading one."""

    cuts: Cuts = Cuts()


class LabelsInput(Frozen):
    """A spectroscopic catalogue; without `path` and `fetch` the labels stand in the leading table itself.

    Its rows find their star by the Gaia identifier that the survey delivers, or by position
    within `radius` (arcsec) where the errors of both allow it.
    """

    survey: str
    path: Path | None = None
    fetch: Fetch | None = None
    cuts: Cuts = Cuts()
    radius: float = Field(default=2.0, gt=0, le=60)


class FeaturesConfig(Frozen):
    """Which inputs the model sees."""

    #: A packaged feature set or the path of one's own.
    set: str = "default"
    #: Feature names to keep (shell-style patterns); none named: all.
    only: tuple[str, ...] = ()
    #: Feature names to leave out (shell-style patterns).
    without: tuple[str, ...] = ()


class Reference(Frozen):
    """A catalogue to compare the predictions with, star by star on `source_id`; it takes no part in training."""

    name: str
    path: Path
    source_id: str = "source_id"
    #: Columns of the reference, by label.
    columns: dict[LabelName, str]
    #: An SQL predicate on the reference's own columns.
    where: str | None = None


class ModelEntry(Frozen):
    """A model to compare with the run's own, on the same splits and seeds; it is scored and not kept."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    model: ModelConfig
    #: Its inputs; left out: those of the run.
    features: FeaturesConfig | None = None
    #: Trainings; left out: as many as the run's own model.
    repeats: int | None = Field(default=None, ge=1, le=100)
    #: The others are compared with this one; of none: with the run's own model.
    reference: bool = False


#: Name of the run's own model among those that are compared.
OWN_MODEL = "model"


#: Names of the two that an ablation adds.
WITHOUT_ESTIMATES, ESTIMATES_ALONE = "without-estimates", "estimates-alone"


class RunConfig(Frozen):
    """A whole run."""

    title: str = "starscale run"
    extends: str | None = None
    #: The data are simulated; said wherever a figure is shown.
    mock: bool = False
    seed: int = Field(default=0, ge=0)
    #: Trainings with different splits and initial weights; figures are their mean and spread.
    repeats: int = Field(default=1, ge=1, le=100)
    target: tuple[LabelName, ...] = ("teff", "logg", "fe_h")
    catalogue: CatalogueInput
    photometry: tuple[PhotometryInput, ...] = ()
    match: MatchConfig = MatchConfig()
    labels: tuple[LabelsInput, ...] = Field(min_length=1)
    #: How the labels of several surveys are put on one scale.
    homogenize: HomogenizeConfig = HomogenizeConfig()
    features: FeaturesConfig = FeaturesConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = MixtureConfig()
    models: tuple[ModelEntry, ...] = ()
    #: Also compare with the run's model without the surveys' own estimates of labels, and with these alone.
    ablation: bool = False
    compare: tuple[Reference, ...] = ()
    #: What the predictions rest on, measured on the test part.
    importance: ImportanceConfig = ImportanceConfig()

    @model_validator(mode="after")
    def _labels_once(self) -> RunConfig:
        if len(set(self.target)) != len(self.target) or not self.target:
            raise ValueError("target must name one or more labels, each once")
        if len(self.labels) > 1 and any(entry.path is None for entry in self.labels):
            raise ValueError("of several [[labels]], each needs a path")
        return self

    @model_validator(mode="after")
    def _models_once(self) -> RunConfig:
        names = [entry.name for entry in self.models]
        if len({*names, OWN_MODEL}) <= len(names):
            raise ValueError(f"every [[models]] needs a name of its own, and {OWN_MODEL!r} is the run's own")
        if sum(entry.reference for entry in self.models) > 1:
            raise ValueError("one of [[models]] can be the reference, not several")
        if any((entry.repeats or 1) > self.repeats for entry in self.models):
            raise ValueError(f"no model can have more repeats than the run, which has {self.repeats}")
        return self
