# The public names of starscale, by the module that holds them. __init__.py imports from here what is used; type
# checkers read it in place of __init__.py. tests/test_contract.py compares it with tests/data/contract.txt.

# Tables
from .archives.api import Fetched, fetch
from .archives.comparison import check_archive
from .archives.estimate import FetchEstimate, plan_fetch
from .dust.api import Reddened, add_reddening
from .dust.reddening import ReddeningFlag
from .crossmatch.api import Matched, match
from .crossmatch.kernel.tally import MatchStatistics
from .publication.api import Published, publish
from .publication.send import Sent, send
from .tables.api import read, write
from .tables.clean import Cleaned, clean
from .tables.columns.parallax import CorrectedParallaxes, correct_parallax
from .tables.convert import Converted, convert
from .tables.cuts import Attrition
from .tables.drafting import draft_survey

# Labels
from .homogenization.api import homogenize, recalibrate
from .homogenization.kernel.calibration import Calibration
from .homogenization.kernel.whole import Homogenized
from .reports.homogenize import label_report

# Models
from .features.families import Feature
from .features.features import feature_list
from .model.api import evaluate, evaluate_coverage, evaluate_probabilities, load, predict
from .model.explain import Explanation, explain
from .model.importance import importance
from .model.model import Model
from .model.profiling import profile_prediction
from .model.predict import Predicted
from .pipeline.compare_models import compare_models
from .pipeline.comparing import Comparison
from .pipeline.distil import Distilled, distil
from .pipeline.training import Trained, train
from .registry.api import Packed, add_models, get_model, pack_model
from .registry.listing import describe_model, list_models

# Runs
from .pipeline.apply import Applied, apply
from .pipeline.check import check
from .mock import make_sky
from .pipeline.demo import demo, make_mock
from .pipeline.fetch_plan import plan_run
from .pipeline.pipeline import RunResult, run
from .reports.citing import cite
from .reports.page import report

# Catalogues tested
from .validation.api import validate
from .validation.result import Validated
from .validation.selecting import SelectionFunction, selection_function

# Pictures
from . import plots

# Surveys and settings
from .surveys import Survey, load_survey, survey_names
from .surveys.describing import describe_survey
from .vocabulary.columns import Column
from .vocabulary.settings.fetch import Selection
from .vocabulary.settings.homogenize import ClusterTable, HomogenizeConfig, ReferenceList
from .vocabulary.settings.labels import LabelsConfig
from .vocabulary.settings.cuts import Cuts, ExtraCut
from .vocabulary.settings.match import CrosswalkInput, CrosswalkLimits, MatchConfig
from .vocabulary.settings.models import (
    KnnConfig,
    MeanConfig,
    MixtureConfig,
    RandomForestConfig,
    RidgeConfig,
    SvrConfig,
    Turchi2024Config,
    XgboostConfig,
)
from .vocabulary.settings.predict import PredictConfig
from .vocabulary.settings.run import (
    CatalogueInput,
    FeaturesConfig,
    FetchSettings,
    ImportanceConfig,
    LabelsInput,
    ModelEntry,
    PhotometryInput,
    RunConfig,
)
from .vocabulary.settings.sample import SampleConfig
from .vocabulary.settings.split import SplitClusters, SplitConfig

# Flags, errors, progress
from .vocabulary.errors import InputError, Problem, StarscaleError
from .vocabulary.flag_advice import explain_mask
from .vocabulary.flags import CatalogueFlag, LabelFlag, PairFlag
from .vocabulary.progress import Progress, Task
from .version import __version__

__all__ = [
    "Applied",
    "Attrition",
    "Calibration",
    "CatalogueFlag",
    "CatalogueInput",
    "Cleaned",
    "ClusterTable",
    "Column",
    "Comparison",
    "Converted",
    "CorrectedParallaxes",
    "CrosswalkInput",
    "CrosswalkLimits",
    "Cuts",
    "Distilled",
    "Explanation",
    "ExtraCut",
    "Feature",
    "FeaturesConfig",
    "FetchEstimate",
    "FetchSettings",
    "Fetched",
    "HomogenizeConfig",
    "Homogenized",
    "ImportanceConfig",
    "InputError",
    "KnnConfig",
    "LabelFlag",
    "LabelsConfig",
    "LabelsInput",
    "MatchConfig",
    "MatchStatistics",
    "Matched",
    "MeanConfig",
    "MixtureConfig",
    "Model",
    "ModelEntry",
    "Packed",
    "PairFlag",
    "PhotometryInput",
    "PredictConfig",
    "Predicted",
    "Problem",
    "Progress",
    "Published",
    "RandomForestConfig",
    "Reddened",
    "ReddeningFlag",
    "ReferenceList",
    "RidgeConfig",
    "RunConfig",
    "RunResult",
    "SampleConfig",
    "Selection",
    "SelectionFunction",
    "Sent",
    "SplitClusters",
    "SplitConfig",
    "StarscaleError",
    "Survey",
    "SvrConfig",
    "Task",
    "Trained",
    "Turchi2024Config",
    "Validated",
    "XgboostConfig",
    "__version__",
    "add_models",
    "add_reddening",
    "apply",
    "check",
    "check_archive",
    "cite",
    "clean",
    "compare_models",
    "convert",
    "correct_parallax",
    "demo",
    "describe_model",
    "describe_survey",
    "distil",
    "draft_survey",
    "evaluate",
    "evaluate_coverage",
    "evaluate_probabilities",
    "explain",
    "explain_mask",
    "feature_list",
    "fetch",
    "get_model",
    "homogenize",
    "importance",
    "label_report",
    "list_models",
    "load",
    "load_survey",
    "make_mock",
    "make_sky",
    "match",
    "pack_model",
    "plan_fetch",
    "plan_run",
    "plots",
    "predict",
    "profile_prediction",
    "publish",
    "read",
    "recalibrate",
    "report",
    "run",
    "selection_function",
    "send",
    "survey_names",
    "train",
    "validate",
    "write",
]
