"""The step of a run that homogenizes the labels of several surveys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starscale.homogenization.api import LabelsPlan, homogenize_parts, survey_rows
from starscale.homogenization.saving import companion_paths, save_labels
from starscale.pipeline.folder import RunFolder
from starscale.surveys import Survey

LABELS = "labels.parquet"


def homogenize_step(folder: RunFolder, plan: LabelsPlan, sums: Mapping[str, str], lead: Survey) -> None:
    """Homogenize the labels, or skip the step if its inputs are unchanged.

    Parameters
    ----------
    folder : RunFolder
    plan : LabelsPlan
    sums : mapping of str to str
        Checksums of the tables that the run reads, by their path in the run file.
    lead : Survey
        The survey of the leading catalogue.
    """

    def work() -> dict[str, Any]:
        found = survey_rows(plan, folder.progress)
        result = homogenize_parts(plan, found, folder.progress)
        save_labels(result, folder.file(LABELS), folder.provenance)
        return {
            "attritions": {name: asdict(attrition) for name, attrition in found.attritions.items()},
            "stars": result.labels.height,
            "diagnostics": result.diagnostics,
            "account": result.account.document(),
            "accounts": {name: account.document() for name, account in result.accounts.items()},
        }

    lead_path = [path for path in sums if plan.lead is not None and plan.base / path == plan.lead.path]
    folder.step(
        "homogenize",
        settings=_settings(plan, lead),
        reads={path: sums[path] for path in dict.fromkeys([*(str(p) for p in plan.paths), *lead_path])},
        writes=[LABELS, *(path.name for path in companion_paths(LABELS).values())],
        work=work,
    )


def _settings(plan: LabelsPlan, lead: Survey) -> list[Any]:
    surveys = [lead, *plan.surveys, *([plan.reference] if plan.reference else [])]
    return [
        plan.config.model_dump(mode="json"),
        [entry.model_dump(mode="json") for entry in plan.entries],
        plan.lead.match.model_dump(mode="json") if plan.lead else None,
        [survey.model_dump(mode="json") for survey in surveys],
        [item.settings() for item in plan.crosswalks],
    ]
