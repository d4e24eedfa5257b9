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
    from starscale.faces.checks import check
    from starscale.faces.clean import clean_file
    from starscale.faces.compare_models import compare_models
    from starscale.faces.demo import demo, make_mock
    from starscale.faces.explain import explain
    from starscale.faces.fetch import fetch
    from starscale.faces.fetch_estimate import plan_fetch
    from starscale.faces.homogenize import homogenize, recalibrate
    from starscale.faces.homogenize_page import label_report
    from starscale.faces.importance import importance
    from starscale.faces.match_files import match_files
    from starscale.faces.pipeline import run
    from starscale.faces.publish import publish
    from starscale.faces.report import write_report as report
    from starscale.faces.tables import clean, match, read, write
    from starscale.faces.training import evaluate, load, predict, train
    from starscale.surveys import load_survey, survey_names
    from starscale.use.model import Model

#: Public name -> (module, name there).
_PUBLIC = {
    "Model": ("starscale.use.model", "Model"),
    "check": ("starscale.faces.checks", "check"),
    "clean": ("starscale.faces.tables", "clean"),
    "clean_file": ("starscale.faces.clean", "clean_file"),
    "compare_models": ("starscale.faces.compare_models", "compare_models"),
    "demo": ("starscale.faces.demo", "demo"),
    "evaluate": ("starscale.faces.training", "evaluate"),
    "explain": ("starscale.faces.explain", "explain"),
    "fetch": ("starscale.faces.fetch", "fetch"),
    "homogenize": ("starscale.faces.homogenize", "homogenize"),
    "importance": ("starscale.faces.importance", "importance"),
    "label_report": ("starscale.faces.homogenize_page", "label_report"),
    "load": ("starscale.faces.training", "load"),
    "load_survey": ("starscale.surveys", "load_survey"),
    "match_files": ("starscale.faces.match_files", "match_files"),
    "make_mock": ("starscale.faces.demo", "make_mock"),
    "match": ("starscale.faces.tables", "match"),
    "plan_fetch": ("starscale.faces.fetch_estimate", "plan_fetch"),
    "predict": ("starscale.faces.training", "predict"),
    "publish": ("starscale.faces.publish", "publish"),
    "read": ("starscale.faces.tables", "read"),
    "recalibrate": ("starscale.faces.homogenize", "recalibrate"),
    "report": ("starscale.faces.report", "write_report"),
    "run": ("starscale.faces.pipeline", "run"),
    "survey_names": ("starscale.surveys", "survey_names"),
    "train": ("starscale.faces.training", "train"),
    "write": ("starscale.faces.tables", "write"),
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
