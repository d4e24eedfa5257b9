"""starscale: put every star on one scale.

The same verbs as the command: :func:`fetch`, :func:`read`, :func:`clean`, :func:`clean_file`, :func:`match`,
:func:`match_files`, :func:`homogenize`, :func:`recalibrate`, :func:`label_report`, :func:`train`, :func:`load`,
:func:`predict`, :func:`evaluate`, :func:`compare_models`, :func:`explain`, :func:`importance`, :func:`run`,
:func:`report`, :func:`check`, :func:`write`, :func:`publish`, :func:`make_mock`, :func:`demo`. They are loaded
when they are first used, so that ``import starscale`` is quick and a table can be cleaned without loading the
learning libraries.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from starscale.version import __version__

if TYPE_CHECKING:
    from starscale.archives.api import fetch
    from starscale.archives.estimate import plan_fetch
    from starscale.crossmatch.api import match, match_files
    from starscale.homogenization.api import homogenize, recalibrate
    from starscale.model.api import evaluate, load, predict
    from starscale.model.explain import explain
    from starscale.model.importance import importance
    from starscale.model.model import Model
    from starscale.pipeline.check import check
    from starscale.pipeline.compare_models import compare_models
    from starscale.pipeline.demo import demo, make_mock
    from starscale.pipeline.pipeline import run
    from starscale.pipeline.training import train
    from starscale.publication.api import publish
    from starscale.reports.homogenize import label_report
    from starscale.reports.page import write_report as report
    from starscale.surveys import load_survey, survey_names
    from starscale.tables.api import read, write
    from starscale.tables.clean import clean, clean_file

#: Public name -> (module, name there).
_PUBLIC = {
    "Model": ("starscale.model.model", "Model"),
    "check": ("starscale.pipeline.check", "check"),
    "clean": ("starscale.tables.clean", "clean"),
    "clean_file": ("starscale.tables.clean", "clean_file"),
    "compare_models": ("starscale.pipeline.compare_models", "compare_models"),
    "demo": ("starscale.pipeline.demo", "demo"),
    "evaluate": ("starscale.model.api", "evaluate"),
    "explain": ("starscale.model.explain", "explain"),
    "fetch": ("starscale.archives.api", "fetch"),
    "homogenize": ("starscale.homogenization.api", "homogenize"),
    "importance": ("starscale.model.importance", "importance"),
    "label_report": ("starscale.reports.homogenize", "label_report"),
    "load": ("starscale.model.api", "load"),
    "load_survey": ("starscale.surveys", "load_survey"),
    "match_files": ("starscale.crossmatch.api", "match_files"),
    "make_mock": ("starscale.pipeline.demo", "make_mock"),
    "match": ("starscale.crossmatch.api", "match"),
    "plan_fetch": ("starscale.archives.estimate", "plan_fetch"),
    "predict": ("starscale.model.api", "predict"),
    "publish": ("starscale.publication.api", "publish"),
    "read": ("starscale.tables.api", "read"),
    "recalibrate": ("starscale.homogenization.api", "recalibrate"),
    "report": ("starscale.reports.page", "write_report"),
    "run": ("starscale.pipeline.pipeline", "run"),
    "survey_names": ("starscale.surveys", "survey_names"),
    "train": ("starscale.pipeline.training", "train"),
    "write": ("starscale.tables.api", "write"),
}

__all__ = [  # noqa: RUF022  the verbs in the order of use
    "__version__",
    "fetch",
    "plan_fetch",
    "read",
    "clean",
    "clean_file",
    "match",
    "match_files",
    "homogenize",
    "recalibrate",
    "label_report",
    "train",
    "load",
    "evaluate",
    "compare_models",
    "predict",
    "explain",
    "importance",
    "report",
    "run",
    "check",
    "write",
    "publish",
    "make_mock",
    "demo",
    "Model",
    "load_survey",
    "survey_names",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'starscale' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
